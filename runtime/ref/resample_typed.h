/* resample_typed.h: resampling for one element type. */
#if KIND == AGATE_KIND_FLOAT

static void NAME(resample)(const agate_ref_call *call, int32_t which)
{
    const agate_tensor *x = call->inputs[0], *weights = call->inputs[2], *y = call->outputs[0];
    const int32_t axis = (int32_t)call->attrs->axis.axis;
    const int64_t outer = agate_product(x->dims, axis), extent = x->dims[axis], count = y->dims[axis];
    const int64_t inner = agate_product(&x->dims[axis + 1], x->rank - axis - 1), taps = weights->dims[1];
    const int64_t *first = call->inputs[1]->data;
    const T *from = x->data, *weight = weights->data;
    T *to = y->data;

    (void)which;
    for (int64_t o = 0; o < outer; o++, from += extent * inner) {
        for (int64_t i = 0; i < count; i++) {
            const int64_t begin = agate_max(0, agate_min(first[i], extent - taps));
            for (int64_t k = 0; k < inner; k++) {
                W sum = 0;
                for (int64_t t = 0; t < taps; t++)
                    sum += (W)GET(weight[i * taps + t]) * (W)GET(from[(begin + t) * inner + k]);
                *to++ = PUT(sum);
            }
        }
    }
}

#endif
