/* pool_typed.h: pools for one element type. */
#if KIND != AGATE_KIND_BOOL

static void NAME(pool)(const agate_ref_call *call, int32_t which)
{
    const agate_attrs_pool *attrs = &call->attrs->pool;
    const agate_tensor *in = call->inputs[0], *out = call->outputs[0];
    agate_window window =
        agate_window_make(in, attrs->kernel.v, &attrs->strides, &attrs->pads, &attrs->dilations);
    int64_t plane = agate_product(window.in, window.rank);
    T *y = out->data;

    for (agate_walk w = agate_walk_begin(out->rank, out->dims); w.live; agate_walk_next(&w), y++) {
        const T *x = (const T *)in->data + (w.at[0] * in->dims[1] + w.at[1]) * plane;
        S most = LOWEST;
        W sum = 0;

        for (agate_walk tap = agate_walk_begin(window.rank, window.kernel); tap.live; agate_walk_next(&tap)) {
            int64_t offset = agate_window_offset(&window, window.rank, &w.at[2], tap.at);
            S value = offset >= 0 ? GET(x[offset]) : 0;

            if (offset < 0)
                continue;
            sum += (W)value;
            if (value > most || IS_NAN(value))
                most = value;
        }
        if (which == POOL_MAX) {
            *y = PUT(most);
        } else {
            W divisor = (W)pool_divisor(&window, &w.at[2], attrs->count_pads);

            *y = PUT(divisor != 0 ? sum / divisor : 0);
        }
    }
}

#endif
