/* reduce_typed.h: reductions, indices of extremes and softmax for one element type. */

static T NAME(reduce_one)(const T *x, const parts *p, int32_t which)
{
    S extreme = which == REDUCE_MAX ? LOWEST : HIGHEST;
    W sum = 0, product = 1;
    int64_t count = agate_product(p->reduced, p->reduced_rank);

    for (agate_walk w = agate_walk_begin(p->reduced_rank, p->reduced); w.live; agate_walk_next(&w)) {
        S value = GET(x[agate_offset(w.rank, w.at, p->reduced_strides)]);

        sum += (W)value;
        product *= (W)value;
        if (IS_NAN(value) || (which == REDUCE_MAX ? value > extreme : value < extreme))
            extreme = value;
    }
    switch (which) {
    case REDUCE_SUM:
        return PUT(sum);
    case REDUCE_PROD:
        return PUT(product);
    case REDUCE_MEAN:
#if KIND == AGATE_KIND_FLOAT
        return PUT(sum / (W)count);
#elif SIGNED
        return PUT(count ? (int64_t)sum / count : 0);
#else
        return PUT(count ? sum / (W)count : 0);
#endif
    default:
        return PUT(extreme);
    }
}

static void NAME(reduce)(const agate_ref_call *call, int32_t which)
{
    const agate_tensor *x = call->inputs[0];
    parts p = parts_of(x, &call->attrs->reduce.axes);
    T *y = call->outputs[0]->data;

    for (agate_walk w = agate_walk_begin(p.kept_rank, p.kept); w.live; agate_walk_next(&w))
        *y++ = NAME(reduce_one)((const T *)x->data + agate_offset(w.rank, w.at, p.kept_strides), &p, which);
}

#if KIND != AGATE_KIND_BOOL

static void NAME(arg)(const agate_ref_call *call, int32_t which)
{
    const agate_tensor *x = call->inputs[0];
    parts p = parts_of_axis(x, call->attrs->arg.axis);
    int64_t count = x->rank ? p.reduced[0] : 1, stride = x->rank ? p.reduced_strides[0] : 0;
    int64_t *y = call->outputs[0]->data;

    for (agate_walk w = agate_walk_begin(p.kept_rank, p.kept); w.live; agate_walk_next(&w)) {
        const T *from = (const T *)x->data + agate_offset(w.rank, w.at, p.kept_strides);
        int64_t best = 0;

        for (int64_t i = 1; i < count; i++) {
            S value = GET(from[i * stride]), most = GET(from[best * stride]);
            bool better = which == ARG_MAX ? value > most : value < most;
            bool equal = value == most || (IS_NAN(value) && IS_NAN(most));

            if (better || (IS_NAN(value) && !IS_NAN(most)) || (equal && call->attrs->arg.last))
                best = i;
        }
        *y++ = best;
    }
}

#endif
#if KIND == AGATE_KIND_FLOAT

/* The greatest element is taken off first, so that no power overflows. */
static void NAME(softmax)(const agate_ref_call *call, int32_t which)
{
    const agate_tensor *x = call->inputs[0];
    parts p = parts_of_axis(x, call->attrs->axis.axis);
    int64_t count = x->rank ? p.reduced[0] : 1, stride = x->rank ? p.reduced_strides[0] : 0;

    for (agate_walk w = agate_walk_begin(p.kept_rank, p.kept); w.live; agate_walk_next(&w)) {
        int64_t offset = agate_offset(w.rank, w.at, p.kept_strides);
        const T *from = (const T *)x->data + offset;
        T *to = (T *)call->outputs[0]->data + offset;
        W most = -INFINITY, sum = 0;

        for (int64_t i = 0; i < count; i++)
            most = fmax(most, GET(from[i * stride]));
        for (int64_t i = 0; i < count; i++)
            sum += exp(GET(from[i * stride]) - most);
        for (int64_t i = 0; i < count; i++) {
            W value = GET(from[i * stride]) - most;

            to[i * stride] = PUT(which == SOFTMAX ? exp(value) / sum : value - log(sum));
        }
    }
}

#endif
