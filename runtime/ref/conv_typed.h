/* conv_typed.h: convolution for one float type; sums are kept in double. */

/* Adds the taps of one filter to `count` <= ROW outputs that follow `first` in the last dimension of the row
 * at `at`. `planes` are the input channels of the group, `filter` its weights for this output channel. */
static void NAME(conv_row)(const agate_window *window, const T *planes, const T *filter, int64_t channels,
                           const int64_t *at, int64_t first, int64_t count, W *sums)
{
    int32_t last = window->rank - 1;
    int64_t stride = window->strides[last], width = window->in[last];
    int64_t plane = agate_product(window->in, window->rank);

    for (int64_t c = 0; c < channels; c++, planes += plane) {
        for (agate_walk tap = agate_walk_begin(window->rank, window->kernel); tap.live;
             agate_walk_next(&tap)) {
            W weight = GET(*filter++);
            int64_t row = agate_window_offset(window, last, at, tap.at);
            int64_t x = agate_window_at(window, last, first, tap.at[last]);
            int64_t lo = x < 0 ? agate_ceil_div(-x, stride) : 0;
            int64_t hi = x < width ? agate_min(count, agate_ceil_div(width - x, stride)) : 0;

            for (int64_t i = lo; row >= 0 && i < hi; i++)
                sums[i] += weight * GET(planes[row + x + i * stride]);
        }
    }
}

static void NAME(conv)(const agate_ref_call *call, int32_t which)
{
    const agate_attrs_conv *attrs = &call->attrs->conv;
    const agate_tensor *x = call->inputs[0], *w = call->inputs[1];
    const T *bias = call->input_count > 2 && call->inputs[2] ? call->inputs[2]->data : NULL;
    agate_tensor *y = call->outputs[0];
    agate_window window = agate_window_make(x, &w->dims[2], &attrs->strides, &attrs->pads, &attrs->dilations);
    int64_t channels = w->dims[1], group_outputs = w->dims[0] / attrs->group;
    int64_t plane = agate_product(window.in, window.rank), filter = agate_product(&w->dims[1], w->rank - 1);
    int64_t width = y->dims[y->rank - 1];
    T *row = y->data;

    (void)which;
    for (agate_walk at = agate_walk_begin(y->rank - 1, y->dims); at.live;
         agate_walk_next(&at), row += width) {
        int64_t image = at.at[0], output = at.at[1], group = output / group_outputs;
        const T *planes = (const T *)x->data + (image * x->dims[1] + group * channels) * plane;

        for (int64_t first = 0; first < width; first += ROW) {
            int64_t count = agate_min(ROW, width - first);
            W sums[ROW];

            for (int64_t i = 0; i < count; i++)
                sums[i] = bias ? GET(bias[output]) : 0;
            NAME(conv_row)
            (&window, planes, (const T *)w->data + output * filter, channels, &at.at[2], first, count, sums);
            for (int64_t i = 0; i < count; i++)
                row[first + i] = PUT(sums[i]);
        }
    }
}
