/* onednn.c: the time of a network's convolutions by oneDNN, and of nothing else:  onednn f32|bf16 < LINES
 *
 * A line is a convolution, 18 numbers: batch, groups; channels, height, width of the input, then of the
 * output; kernel, strides, dilations of both dimensions; the four pads in ONNX's order. Then each line "go"
 * runs all of them in turn and prints the milliseconds. Layouts are oneDNN's choice, nothing is converted
 * between two convolutions, each has memory of its own, and there is a bias but no other operation. Ends with
 * 1 and a line that says why where oneDNN refuses one. */
#include <dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NUMBERS = 18, MOST = 4096, ARGUMENTS = 4 };

typedef struct convolution {
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[ARGUMENTS];
} convolution;

static void must(dnnl_status_t status, const char *what)
{
    if (status == dnnl_success)
        return;
    fprintf(stderr, "onednn: %s is refused: status %d\n", what, (int)status);
    exit(1);
}

static dnnl_memory_desc_t any_layout(int rank, const dnnl_dims_t dims, dnnl_data_type_t type)
{
    dnnl_memory_desc_t desc;

    must(dnnl_memory_desc_init_by_tag(&desc, rank, dims, type, rank == 1 ? dnnl_x : dnnl_format_tag_any),
         "a tensor");
    return desc;
}

/* Memory in the layout that the convolution wants, full of 0.0115 (of either type): no denormals. */
static dnnl_exec_arg_t argument(int number, const_dnnl_primitive_desc_t desc, dnnl_query_t what, int index,
                                dnnl_engine_t engine)
{
    const dnnl_memory_desc_t *layout = dnnl_primitive_desc_query_md(desc, what, index);
    dnnl_exec_arg_t arg = {.arg = number};
    void *data;

    must(dnnl_memory_create(&arg.memory, layout, engine, DNNL_MEMORY_ALLOCATE), "memory");
    must(dnnl_memory_get_data_handle(arg.memory, &data), "memory");
    memset(data, 0x3c, dnnl_memory_desc_get_size(layout));
    return arg;
}

static convolution create(const int64_t n[NUMBERS], dnnl_data_type_t type, dnnl_engine_t engine)
{
    const dnnl_dims_t src_dims = {n[0], n[2], n[3], n[4]}, dst_dims = {n[0], n[5], n[6], n[7]},
                      bias_dims = {n[5]}, whole = {n[5], n[2], n[8], n[9]},
                      grouped = {n[1], n[5] / n[1], n[2] / n[1], n[8], n[9]}, strides = {n[10], n[11]},
                      between = {n[12] - 1, n[13] - 1}, before = {n[14], n[15]}, behind = {n[16], n[17]};
    const dnnl_memory_desc_t src = any_layout(4, src_dims, type), dst = any_layout(4, dst_dims, type),
                             bias = any_layout(1, bias_dims, dnnl_f32),
                             weights = n[1] == 1 ? any_layout(4, whole, type) : any_layout(5, grouped, type);
    dnnl_convolution_desc_t sizes;
    dnnl_primitive_desc_t desc;
    convolution c;

    must(dnnl_dilated_convolution_forward_desc_init(&sizes, dnnl_forward_inference, dnnl_convolution_direct,
                                                    &src, &weights, &bias, &dst, strides, between, before,
                                                    behind),
         "a convolution of such sizes");
    must(dnnl_primitive_desc_create(&desc, &sizes, NULL, engine, NULL), "a convolution");
    must(dnnl_primitive_create(&c.primitive, desc), "a convolution");
    c.args[0] = argument(DNNL_ARG_SRC, desc, dnnl_query_src_md, 0, engine);
    c.args[1] = argument(DNNL_ARG_WEIGHTS, desc, dnnl_query_weights_md, 0, engine);
    c.args[2] = argument(DNNL_ARG_BIAS, desc, dnnl_query_weights_md, 1, engine);
    c.args[3] = argument(DNNL_ARG_DST, desc, dnnl_query_dst_md, 0, engine);
    must(dnnl_primitive_desc_destroy(desc), "a convolution");
    return c;
}

static double milliseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static double run(const convolution *convolutions, size_t count, dnnl_stream_t stream)
{
    const double start = milliseconds();

    for (size_t i = 0; i < count; i++)
        must(dnnl_primitive_execute(convolutions[i].primitive, stream, ARGUMENTS, convolutions[i].args),
             "a run");
    must(dnnl_stream_wait(stream), "a run");
    return milliseconds() - start;
}

static convolution read_line(const char *line, dnnl_data_type_t type, dnnl_engine_t engine)
{
    int64_t numbers[NUMBERS];
    char *at;

    for (int i = 0; i < NUMBERS; i++, line = at) {
        numbers[i] = strtoll(line, &at, 10);
        if (at == line) {
            fprintf(stderr, "onednn: a line has %d numbers instead of %d\n", i, NUMBERS);
            exit(1);
        }
    }
    return create(numbers, type, engine);
}

int main(int argc, char **argv)
{
    static convolution convolutions[MOST];
    size_t count = 0;
    char line[1024];
    dnnl_engine_t engine;
    dnnl_stream_t stream;

    if (argc != 2 || (strcmp(argv[1], "f32") != 0 && strcmp(argv[1], "bf16") != 0)) {
        fputs("onednn: usage: onednn f32|bf16, with convolutions on standard input\n", stderr);
        return 2;
    }
    const dnnl_data_type_t type = strcmp(argv[1], "bf16") == 0 ? dnnl_bf16 : dnnl_f32;
    must(dnnl_engine_create(&engine, dnnl_cpu, 0), "the CPU");
    must(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "the CPU");
    while (fgets(line, sizeof line, stdin)) {
        if (strcmp(line, "go\n") == 0) {
            printf("%.4f\n", run(convolutions, count, stream));
            fflush(stdout);
        } else if (count < MOST) {
            convolutions[count++] = read_line(line, type, engine);
        } else {
            fprintf(stderr, "onednn: more than %d convolutions\n", MOST);
            return 1;
        }
    }
    return 0;
}
