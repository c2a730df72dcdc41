/* matmul_typed.h: matrix products for one element type. */
#if KIND != AGATE_KIND_BOOL

static void NAME(matmul_one)(const matrices *shape, const T *a, const T *b, T *y)
{
    for (int64_t i = 0; i < shape->m; i++, a += shape->k) {
        for (int64_t first = 0; first < shape->n; first += ROW) {
            int64_t count = agate_min(ROW, shape->n - first);
            W sums[ROW] = {0};

            for (int64_t k = 0; k < shape->k; k++)
                for (int64_t j = 0; j < count; j++)
                    sums[j] += (W)GET(a[k]) * (W)GET(b[k * shape->n + first + j]);
            for (int64_t j = 0; j < count; j++)
                *y++ = PUT(sums[j]);
        }
    }
}

static void NAME(matmul)(const agate_ref_call *call, int32_t which)
{
    const T *a = call->inputs[0]->data, *b = call->inputs[1]->data;
    T *y = call->outputs[0]->data;
    matrices shape = matrices_of(call->inputs[0], call->inputs[1], call->outputs[0]);
    int64_t a_size = shape.m * shape.k, b_size = shape.k * shape.n, y_size = shape.m * shape.n;

    (void)which;
    for (agate_walk w = agate_walk_begin(shape.batch_rank, shape.batch); w.live;
         agate_walk_next(&w), y += y_size)
        NAME(matmul_one)
    (&shape, a + a_size * agate_offset(w.rank, w.at, shape.a_strides),
     b + b_size * agate_offset(w.rank, w.at, shape.b_strides), y);
}

#endif
