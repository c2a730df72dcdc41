/* links: frontend */
/* test_import.c: what models become, as text, and what is said of bad ones. */
#include <unistd.h>

#include "ir/text.h"
#include "tests/unit/import_lines.h"
#include "tests/suite.h"

/* The body of the imported graph, without its last brace, must be `wanted`. */
static void expect_with(const char *lines, const agate_import_options *options, const char *wanted)
{
    agate_graph *graph;
    agate_status status = import_lines(lines, options, &graph);
    ck_assert_msg(status == AGATE_OK, "%s", agate_status_message(status));
    agate_text text = {0};
    agate_print(graph, NULL, &text);
    ck_assert_str_eq(agate_text_c(&text), wanted);
    agate_text_deinit(&text);
    agate_graph_release(graph);
}

static void expect(const char *lines, const char *wanted)
{
    expect_with(lines, NULL, wanted);
}

/* The error must have this code and hold every part of `parts`, which are separated by '|'. */
static void check_error(agate_status status, agate_code code, const char *parts)
{
    ck_assert_msg(status != AGATE_OK, "imported where an error with \"%s\" was due", parts);
    const char *message = agate_status_message(status);
    ck_assert_msg(agate_status_code(status) == code, "%s: %s", agate_code_name(agate_status_code(status)),
                  message);
    for (const char *part = parts; *part;) {
        char copy[256];
        const size_t length = strcspn(part, "|");
        memcpy(copy, part, length);
        copy[length] = '\0';
        ck_assert_msg(strstr(message, copy), "no \"%s\" in: %s", copy, message);
        part += length + (part[length] == '|');
    }
    agate_status_release(status);
}

static void expect_error(const char *lines, agate_code code, const char *parts)
{
    agate_graph *graph;
    check_error(import_lines(lines, NULL, &graph), code, parts);
}

/* ---- good models -----------------------------------------------------------------------------------------
 */

START_TEST(residual_block)
{
    expect("opset 13\n"
           "input x f32 N 4 8 8\n"
           "weight w f32 4 4 3 3\n"
           "weight s f32 4\n"
           "node conv Conv x w -> a ; pads=[1,1,1,1] kernel_shape=[3,3]\n"
           "node bn BatchNormalization a s s s s -> b ; epsilon=0.25\n"
           "node add Add b x -> c\n"
           "node relu Relu c -> y\n"
           "output y f32",
           "graph @g(%x: f32[N,4,8,8]) -> y: f32[N,4,8,8] {\n"
           "  %w = weight \"w\" : f32[4,4,3,3]\n"
           "  %a = conv %x, %w pads=[1, 1, 1, 1] : f32[N,4,8,8]\n"
           "  %s = weight \"s\" : f32[4]\n"
           "  %b = batch_norm %a, %s, %s, %s, %s epsilon=0.25 : f32[N,4,8,8]\n"
           "  %c = add %b, %x : f32[N,4,8,8]\n"
           "  %y = relu %c : f32[N,4,8,8]\n"
           "  return %y\n"
           "}\n");
}
END_TEST

/* The flattening that exporters write: shape arithmetic over the batch leaves nothing behind. */
START_TEST(shape_arithmetic)
{
    expect("opset 13\n"
           "input x f32 batch 8 2 2\n"
           "list zero i64 0\nlist minus i64 -1\nlist none i64 0\nscalar first i64 0\n"
           "node s Shape x -> shape\n"
           "node g Gather shape first -> n\n"
           "node u Unsqueeze n none -> n1\n"
           "node c Concat n1 minus -> target ; axis=0\n"
           "node r Reshape x target -> y\n"
           "output y f32",
           "graph @g(%x: f32[N,8,2,2]) -> y: f32[N,32] {\n"
           "  %y = reshape %x shape=[N, 32] : f32[N,32]\n"
           "  return %y\n"
           "}\n");
}
END_TEST

/* Arithmetic on the batch itself: N*2 rows of half the width, and Expand by ConstantOfShape, Equal and Where.
 */
START_TEST(batch_arithmetic)
{
    expect("opset 13\n"
           "input x f32 N 8\n"
           "list two i64 2\nlist half i64 4\nlist starts i64 0\nlist ends i64 1\n"
           "node s Shape x -> shape\n"
           "node sl Slice shape starts ends -> n\n"
           "node m Mul n two -> rows\n"
           "node c Concat rows half -> target ; axis=0\n"
           "node r Reshape x target -> a\n"
           "node sh Shape a -> ash\n"
           "list minus i64 -1 -1\n"
           "node eq Equal ash minus -> free\n"
           "node w Where free target ash -> back\n"
           "node e Expand a back -> y\n"
           "output y",
           "graph @g(%x: f32[N,8]) -> y: f32[2N,4] {\n"
           "  %a = reshape %x shape=[2N, 4] : f32[2N,4]\n"
           "  return %a\n"
           "}\n");
}
END_TEST

START_TEST(auto_pad)
{
    expect("opset 11\n"
           "input x f32 1 1 5 6\nweight w f32 1 1 3 2\n"
           "node up Conv x w -> a ; auto_pad=SAME_UPPER strides=[2,2]\n"
           "node low Conv x w -> b ; auto_pad=SAME_LOWER\n"
           "node valid MaxPool x -> c ; auto_pad=VALID kernel_shape=[2,2]\n"
           "output a\noutput b\noutput c",
           "graph @g(%x: f32[1,1,5,6]) -> (a: f32[1,1,3,3], b: f32[1,1,5,6], c: f32[1,1,4,5]) {\n"
           "  %w = weight \"w\" : f32[1,1,3,2]\n"
           "  %a = conv %x, %w strides=[2, 2] pads=[1, 0, 1, 0] : f32[1,1,3,3]\n"
           "  %b = conv %x, %w pads=[1, 1, 1, 0] : f32[1,1,5,6]\n"
           "  %c = max_pool %x kernel=[2, 2] : f32[1,1,4,5]\n"
           "  return %a, %b, %c\n"
           "}\n");
}
END_TEST

/* Clip, Softmax and Squeeze in their old form and their new one. */
START_TEST(forms_by_opset)
{
    const char *wanted = "graph @g(%x: f32[2,3,1]) -> y: f32[2,3] {\n"
                         "  %0 = const [0] : f32[]\n"
                         "  %1 = const [6] : f32[]\n"
                         "  %2 = max %x, %0 : f32[2,3,1]\n"
                         "  %a = min %2, %1 : f32[2,3,1]\n"
                         "  %y = reshape %a shape=[2, 3] : f32[2,3]\n"
                         "  return %y\n"
                         "}\n";
    expect("opset 10\ninput x f32 2 3 1\nnode c Clip x -> a ; min=0.0 max=6.0\nnode s Squeeze a -> y ; "
           "axes=[-1]\n"
           "output y",
           wanted);
    expect("opset 12\ninput x f32 2 3 1\nnode s Softmax x -> y ; axis=1\noutput y",
           "graph @g(%x: f32[2,3,1]) -> y: f32[2,3,1] {\n"
           "  %0 = reshape %x shape=[2, 3] : f32[2,3]\n"
           "  %1 = softmax %0 axis=1 : f32[2,3]\n"
           "  %y = reshape %1 shape=[2, 3, 1] : f32[2,3,1]\n"
           "  return %y\n"
           "}\n");
    expect("opset 13\ninput x f32 2 3 1\nnode s Softmax x -> y ; axis=1\noutput y",
           "graph @g(%x: f32[2,3,1]) -> y: f32[2,3,1] {\n"
           "  %y = softmax %x axis=1 : f32[2,3,1]\n"
           "  return %y\n"
           "}\n");
}
END_TEST

START_TEST(slices)
{
    expect("opset 13\ninput x f32 N 10 7\n"
           "list st i64 -1 1\nlist en i64 -9223372036854775807 5\nlist ax i64 1 2\nlist sp i64 -3 2\n"
           "node s Slice x st en ax sp -> y\noutput y",
           "graph @g(%x: f32[N,10,7]) -> y: f32[N,4,2] {\n"
           "  %y = slice %x starts=[0, 9, 1] steps=[1, -3, 2] shape=[N, 4, 2] : f32[N,4,2]\n"
           "  return %y\n"
           "}\n");
    expect("opset 18\ninput x f32 N 7\nnode s Split x -> a b ; axis=1 num_outputs=2\noutput a\noutput b",
           "graph @g(%x: f32[N,7]) -> (a: f32[N,4], b: f32[N,3]) {\n"
           "  %a = slice %x starts=[0, 0] shape=[N, 4] : f32[N,4]\n"
           "  %b = slice %x starts=[0, 4] shape=[N, 3] : f32[N,3]\n"
           "  return %a, %b\n"
           "}\n");
}
END_TEST

/* Nearest elements at whole ratios are expanded or sliced, others gathered. The rest is weighted sums of
 * neighbours, or a product with all weights where they are many. */
START_TEST(resizes)
{
    expect("opset 13\ninput x f32 N 2 3\nlist size i64 1 2 6\nnode s Shape x -> shape\nlist z i64 0\n"
           "node n Gather shape z -> batch\nlist rest i64 2 6\nnode c Concat batch rest -> sizes ; axis=0\n"
           "node r Resize x _ _ sizes -> y ; mode=nearest\noutput y",
           "graph @g(%x: f32[N,2,3]) -> y: f32[N,2,6] {\n"
           "  %0 = reshape %x shape=[6N, 1, 1] : f32[6N,1,1]\n"
           "  %1 = expand %0 shape=[6N, 2, 1] : f32[6N,2,1]\n"
           "  %y = reshape %1 shape=[N, 2, 6] : f32[N,2,6]\n"
           "  return %y\n"
           "}\n");
    expect("opset 13\ninput x f32 1 2 6\nlist sizes i64 1 2 3\nnode r Resize x _ _ sizes -> y ; "
           "mode=nearest coordinate_transformation_mode=asymmetric nearest_mode=floor\noutput y",
           "graph @g(%x: f32[1,2,6]) -> y: f32[1,2,3] {\n"
           "  %y = slice %x starts=[0, 0, 0] steps=[1, 1, 2] shape=[1, 2, 3] : f32[1,2,3]\n"
           "  return %y\n"
           "}\n");
    expect("opset 18\ninput x f32 1 4 4\nlist sizes i64 8\nnode r Resize x _ _ sizes -> y ; mode=linear "
           "axes=[1]\noutput y",
           "graph @g(%x: f32[1,4,4]) -> y: f32[1,8,4] {\n"
           "  %0 = const [0, 0, 0, 1, 1, 2, 2, 2] : i64[8]\n"
           "  %1 = weight \"r\" : f32[8,2]\n"
           "  %y = resample %x, %0, %1 axis=1 : f32[1,8,4]\n"
           "  return %y\n"
           "}\n");
    expect("opset 18\ninput x f32 1 16 4\nlist sizes i64 4\nnode r Resize x _ _ sizes -> y ; mode=linear "
           "antialias=1 axes=[1]\noutput y",
           "graph @g(%x: f32[1,16,4]) -> y: f32[1,4,4] {\n"
           "  %0 = weight \"r\" : f32[4,16]\n"
           "  %y = matmul %0, %x : f32[1,4,4]\n"
           "  return %y\n"
           "}\n");
}
END_TEST

/* Phases of a stride become channels of an ordinary convolution, and are interleaved behind it. */
START_TEST(transposed_convolutions)
{
    expect("opset 13\ninput x f32 N 4 5\ninput w f32 4 3 3\nnode c ConvTranspose x w -> y ; strides=[2] "
           "pads=[1,1] "
           "output_padding=[1]\noutput y",
           "graph @g(%x: f32[N,4,5], %w: f32[4,3,3]) -> y: f32[N,3,10] {\n"
           "  %0 = reshape %w shape=[1, 4, 3, 3] : f32[1,4,3,3]\n"
           "  %1 = transpose %0 perm=[0, 2, 1, 3] : f32[1,3,4,3]\n"
           "  %2 = reshape %1 shape=[3, 4, 3] : f32[3,4,3]\n"
           "  %3 = pad %2 ends=[0, 0, 1] : f32[3,4,4]\n"
           "  %4 = reshape %3 shape=[3, 4, 2, 2] : f32[3,4,2,2]\n"
           "  %5 = slice %4 starts=[0, 0, 1, 0] steps=[1, 1, -1, 1] shape=[3, 4, 2, 2] : f32[3,4,2,2]\n"
           "  %6 = transpose %5 perm=[3, 0, 1, 2] : f32[2,3,4,2]\n"
           "  %7 = reshape %6 shape=[6, 4, 2] : f32[6,4,2]\n"
           "  %8 = conv %x, %7 pads=[1, 1] : f32[N,6,6]\n"
           "  %9 = slice %8 starts=[0, 0, 0] shape=[N, 3, 6] : f32[N,3,6]\n"
           "  %10 = slice %8 starts=[0, 3, 0] shape=[N, 3, 6] : f32[N,3,6]\n"
           "  %11 = interleave %9, %10 axis=2 : f32[N,3,12]\n"
           "  %y = slice %11 starts=[0, 0, 1] shape=[N, 3, 10] : f32[N,3,10]\n"
           "  return %y\n"
           "}\n");
    expect("opset 13\ninput x f32 N 4 5\ninput w f32 4 3 3\nnode c ConvTranspose x w -> y ; pads=[1,1] "
           "group=2\noutput y",
           "graph @g(%x: f32[N,4,5], %w: f32[4,3,3]) -> y: f32[N,6,5] {\n"
           "  %0 = reshape %w shape=[2, 2, 3, 3] : f32[2,2,3,3]\n"
           "  %1 = transpose %0 perm=[0, 2, 1, 3] : f32[2,3,2,3]\n"
           "  %2 = reshape %1 shape=[6, 2, 3] : f32[6,2,3]\n"
           "  %3 = reshape %2 shape=[6, 2, 3, 1] : f32[6,2,3,1]\n"
           "  %4 = slice %3 starts=[0, 0, 2, 0] steps=[1, 1, -1, 1] shape=[6, 2, 3, 1] : f32[6,2,3,1]\n"
           "  %5 = transpose %4 perm=[0, 3, 1, 2] : f32[6,1,2,3]\n"
           "  %6 = reshape %5 shape=[6, 2, 3] : f32[6,2,3]\n"
           "  %y = conv %x, %6 pads=[1, 1] group=2 : f32[N,6,5]\n"
           "  return %y\n"
           "}\n");
}
END_TEST

/* Made of comparisons with counted positions. */
START_TEST(positions)
{
    expect("opset 14\ninput x f32 N 2 3\nnode t Trilu x -> y\noutput y",
           "graph @g(%x: f32[N,2,3]) -> y: f32[N,2,3] {\n"
           "  %0 = const [0] : f32[]\n"
           "  %1 = weight \"t\" : f32[2,3]\n"
           "  %y = select %1, %x, %0 : f32[N,2,3]\n"
           "  return %y\n"
           "}\n");
    expect("opset 13\ninput x f32 N 3\nnode h Hardmax x -> y\noutput y",
           "graph @g(%x: f32[N,3]) -> y: f32[N,3] {\n"
           "  %0 = arg_max %x axis=1 : i64[N,1]\n"
           "  %1 = const [0, 1, 2] : i64[1,3]\n"
           "  %2 = equal %1, %0 : bool[N,3]\n"
           "  %y = cast %2 to=f32 : f32[N,3]\n"
           "  return %y\n"
           "}\n");
}
END_TEST

START_TEST(functions)
{
    expect("opset 13\nopset my 1\ninput x f32 N 4\n"
           "function my Bend a -> b\n"
           "node act LeakyRelu a -> c ; alpha=@slope\n"
           "node sum Add c a -> b\n"
           "end\n"
           "node one my:Bend x -> y ; slope=0.5\n"
           "node two my:Bend y -> z ; slope=0.25\n"
           "output z",
           "graph @g(%x: f32[N,4]) -> z: f32[N,4] {\n"
           "  %0 = leaky_relu %x alpha=0.5 : f32[N,4]\n"
           "  %1 = add %0, %x : f32[N,4]\n"
           "  %2 = leaky_relu %1 alpha=0.25 : f32[N,4]\n"
           "  %3 = add %2, %1 : f32[N,4]\n"
           "  return %3\n"
           "}\n");
}
END_TEST

/* A binding fixes a free dimension by its name, or by input and axis; initializers listed as inputs are none.
 */
START_TEST(inputs)
{
    const agate_dim_binding bindings[] = {{"side", 8}, {"x:3", 6}};
    const agate_import_options options = {.dims = bindings, .dim_count = 2};
    expect_with("ir 3\nopset 13\ninput x f32 ? 3 side ?\ninput k f32 1\nweight k f32 1\nnode a Add x k -> "
                "y\noutput y",
                &options,
                "graph @g(%x: f32[N,3,8,6]) -> y: f32[N,3,8,6] {\n"
                "  %k = const [0] : f32[1]\n"
                "  %y = add %x, %k : f32[N,3,8,6]\n"
                "  return %y\n"
                "}\n");
}
END_TEST

/* ---- bad models ------------------------------------------------------------------------------------------
 */

#define INVALID     AGATE_CODE_INVALID_MODEL
#define UNSUPPORTED AGATE_CODE_UNSUPPORTED

START_TEST(not_a_model)
{
    agate_graph *graph;
    size_t size;
    uint8_t *bytes =
        onnx_text_pack("opset 13\ninput x f32 N 4\nweight w f32 4\nnode a Add x w -> y\noutput y", &size);

    check_error(agate_import("", 0, NULL, &graph), INVALID, "empty");
    check_error(agate_import("import torch\nprint(1)\n", 22, NULL, &graph), INVALID,
                "not an ONNX model|text that begins with \"import torch\"");
    check_error(agate_import("PK\x03\x04xxxxxxxx", 12, NULL, &graph), INVALID, "zip archive");
    /* A cut file never imports, wherever it is cut, and is never over-read. */
    for (size_t cut = 1; cut < size; cut++) {
        uint8_t *exact = malloc(cut);
        memcpy(exact, bytes, cut);
        agate_status status = agate_import(exact, cut, NULL, &graph);
        ck_assert_msg(status != AGATE_OK, "imported the first %zu bytes", cut);
        agate_status_release(status);
        free(exact);
    }
    check_error(agate_import(bytes, size - 3, NULL, &graph), INVALID, "truncated|at byte");
    free(bytes);
}
END_TEST

START_TEST(versions)
{
    expect_error("ir 15\nopset 13\noutput y", UNSUPPORTED, "IR version 15");
    expect_error("opset 99\noutput y", UNSUPPORTED, "opset 99|newest supported");
    expect_error("opset 6\ninput x f32 N\nnode a Add x x -> y\noutput y", UNSUPPORTED,
                 "(Add)|opset 6|version_converter");
    expect_error("opset 13\ninput x f32 N\nnode m Mish x -> y\noutput y", UNSUPPORTED,
                 "(Mish)|since opset 18");
}
END_TEST

START_TEST(names)
{
    expect_error("opset 13\ninput x f32 N 4\nnode a Add x w -> y\noutput y", INVALID,
                 "node \"a\" (Add)|\"w\" is defined nowhere");
    expect_error("opset 13\ninput x f32 N\nnode a Add x c -> b\nnode n Neg b -> c\noutput c", INVALID,
                 "node \"a\" (Add)|\"c\"|node \"n\"|cycle");
    expect_error("opset 13\ninput x f32 N\nnode a Add x c -> b\nnode n Neg x -> c\noutput b", INVALID,
                 "node \"a\" (Add)|only later, by node \"n\"|sorted");
    expect_error("opset 13\ninput x f32 N\nnode a Neg x -> y\nnode b Abs x -> y\noutput y", INVALID,
                 "node \"b\" (Abs)|\"y\", a name that is taken");
    expect_error("opset 13\ninput x f32 N\nnode a Neg x -> y\noutput z", INVALID,
                 "output \"z\" is made by no node");
    expect_error("opset 13\ninput x f32 N\nnode a Neg x -> y", INVALID, "no outputs");
}
END_TEST

START_TEST(shapes_and_dtypes)
{
    expect_error("opset 13\ninput x f32 N 3 8 8\nweight w f32 4 5 3 3\nnode conv1 Conv x w -> y\noutput y",
                 INVALID, "node \"conv1\" (Conv)|3 channels|5 in each|[ai.onnx 13]");
    expect_error("opset 13\ninput x f32 N 3\ninput z i32 N 3\nnode a Add x z -> y\noutput y", INVALID,
                 "node \"a\" (Add)|i32|f32");
    expect_error("opset 13\ninput x f32 N 3\nnode a Neg x -> y\noutput y i64", INVALID,
                 "output \"y\"|declared as int64|makes float");
    expect_error("opset 13\ninput x f32 N 9223372036854775807 8\nnode a Neg x -> y\noutput y", UNSUPPORTED,
                 "input \"x\"|9223372036854775807");
    expect_error("opset 13\ninput x f32 N 2147483647 1024\nnode a Neg x -> y\noutput y",
                 AGATE_CODE_OUT_OF_MEMORY, "input \"x\"|limit");
    expect_error("opset 13\ninput x f32 N 3\nweight w f32 65536 65536 65536\nnode a Add x w -> y\noutput y",
                 AGATE_CODE_OUT_OF_MEMORY, "initializer \"w\"|limit");
    expect_error("opset 13\ninput x f32 1 3\nlist s i64 1000000 1000000 3\nnode e Expand x s -> y\noutput y",
                 AGATE_CODE_OUT_OF_MEMORY, "node \"e\" (Expand)|limit");
    expect_error("opset 13\ninput x f32 N 3\nlist s i64 1 3\nnode r Reshape x s -> y\noutput y", INVALID,
                 "node \"r\" (Reshape)|batch size fixed at export");
    expect_error("opset 13\ninput x 17 N 3\nnode a Neg x -> y\noutput y", UNSUPPORTED,
                 "input \"x\"|float8e4m3fn");
}
END_TEST

START_TEST(operators)
{
    expect_error(
        "opset 13\ninput x f32 N 3\nnode a Frobnicate x -> y\nnode b Frobnicate y -> z\nnode c Sin z -> u\n"
        "node d other:Thing u -> v\noutput v",
        UNSUPPORTED, "node \"a\" (Frobnicate)|2 nodes|node \"d\" (Thing)|domain \"other\"|2 faults in all");
    expect_error("opset 13\ninput x f32 N 3\nweight s f32 1\nnode q QuantizeLinear x s -> a\n"
                 "node d DequantizeLinear a s -> y\noutput y",
                 UNSUPPORTED, "(QuantizeLinear)|(DequantizeLinear)|quantized models are not supported yet");
    expect_error("opset 13\ninput x f32 N 3\nnode a Relu x -> y ; slope=0.5\noutput y", INVALID,
                 "attribute \"slope\", which the operator does not have");
    expect_error("opset 13\ninput x f32 N 3\nnode a LeakyRelu x -> y ; alpha=1\noutput y", INVALID,
                 "\"alpha\" is of kind int where float is wanted");
    expect_error("opset 13\ninput x f32 N 3\nnode a Add x -> y\noutput y", INVALID,
                 "it has 1 inputs; 2 are needed");
    expect_error("opset 13\ninput x f32 N 3\nnode r ReduceMax x -> y ; axes=[1] keepdims=-1\noutput y",
                 INVALID, "\"keepdims\" is -1, which is neither 0 nor 1");
    expect_error("opset 17\ninput x f32 N 3\nlist a i64 1\nnode r ReduceMax x a -> y\noutput y", INVALID,
                 "before opset 18 \"axes\" is an attribute, not an input");
    expect_error("opset 13\ninput x f32 N 3\nweight c f32 3\nnode k Clip x _ c -> y\noutput y", INVALID,
                 "input 2 (max) must be a scalar");
    expect_error(
        "opset 13\ninput x f32 N 3 4\nweight s f32 1\nnode n InstanceNormalization x s s -> y\noutput y",
        INVALID, "input 1 must be a vector of 3 numbers");
    expect_error("opset 13\ninput x f32 N 3\nnode s Split x -> y z ; axis=1 split=[1,2]\noutput y", INVALID,
                 "since opset 13 \"split\" is an input, not an attribute");
    expect_error("opset 15\ninput x f32 N 3\nweight s f32 3\n"
                 "node bn BatchNormalization x s s s s -> y ; training_mode=1\noutput y",
                 UNSUPPORTED, "training mode|inference");
    expect_error(
        "opset 12\ninput x f32 N 3 8 8\nnode p MaxPool x -> y i ; kernel_shape=[2,2]\noutput y\noutput i",
        UNSUPPORTED, "indices");
    expect_error("opset 13\ninput x f32 N 3\ninput s i64 2\nnode r Reshape x s -> y\noutput y", UNSUPPORTED,
                 "node \"r\" (Reshape)|input 1 (shape) is computed from data");
    expect_error("opset 13\nopset my 1\ninput x f32 N\nfunction my F a -> b\nnode f my:F a -> b\nend\n"
                 "node f my:F x -> y\noutput y",
                 INVALID, "nested more than");
}
END_TEST

START_TEST(resizes_and_transposed_convolutions)
{
    expect_error("opset 13\ninput x f32 N 2 6\nnode r Resize x -> y\noutput y", INVALID, "scales|sizes");
    expect_error("opset 13\ninput x f32 N 2 6\nlist s i64 3 2 6\nnode r Resize x _ _ s -> y\noutput y",
                 UNSUPPORTED, "dimension 0|batch");
    expect_error("opset 13\ninput x f32 1 2 6\nlist s i64 1 2 0\nnode r Resize x _ _ s -> y\noutput y",
                 INVALID, "from 6 to 0");
    expect_error("opset 13\ninput x f32 1 2 6\nweight s f32 3\nnode r Resize x _ s -> y\noutput y", INVALID,
                 "scale 0");
    expect_error(
        "opset 13\ninput x f32 1 2 6\nlist s i64 1 2 9\nnode r Resize x _ _ s -> y ; mode=sharp\noutput y",
        UNSUPPORTED, "\"mode\" is \"sharp\"");
    expect_error(
        "opset 13\ninput x i32 1 2 6\nlist s i64 1 2 9\nnode r Resize x _ _ s -> y ; mode=linear\noutput y",
        UNSUPPORTED, "i32");
    expect_error("opset 13\ninput x f32 1 2 6\nlist s i64 1 2 2000000000\nnode r Resize x _ _ s -> y ; "
                 "mode=linear\noutput y",
                 AGATE_CODE_OUT_OF_MEMORY, "r");
    expect_error("opset 13\ninput x f32 1 4 5\nweight w f32 3 2 3\nnode c ConvTranspose x w -> y\noutput y",
                 INVALID, "4 channels|3 in 1");
    expect_error("opset 13\ninput x f32 1 4 5\nweight w f32 4 2 3\nnode c ConvTranspose x w -> y ; "
                 "pads=[9,9]\noutput y",
                 INVALID, "-11 elements");
    expect_error("opset 13\ninput x f32 1 4 5\nweight w f32 4 2 3\nnode c ConvTranspose x w -> y ; "
                 "strides=[2147483647] "
                 "dilations=[2147483647]\noutput y",
                 INVALID, "dimension 2");
    expect_error("opset 13\ninput x f32 1 4 5\nweight w f32 4 2 3\nweight b f32 3\nnode c ConvTranspose x w "
                 "b -> y\noutput y",
                 INVALID, "bias");
}
END_TEST

/* One run tells every fault, and nothing that only follows from another. */
START_TEST(all_faults)
{
    expect_error(
        "opset 13\ninput x f32 N 3\nweight w f32 5\n"
        "node a Add x w -> p\nnode b Neg p -> q\nnode c Transpose x -> r ; perm=[0,0]\nnode d Mul q r -> y\n"
        "output y",
        INVALID, "node \"a\" (Add)|node \"c\" (Transpose)|2 faults in all");
}
END_TEST

START_TEST(free_dimensions)
{
    const agate_dim_binding wrong = {"sid", 8};
    const agate_import_options options = {.dims = &wrong, .dim_count = 1};
    agate_graph *graph;
    expect_error("opset 13\ninput x f32 N 3 height width\ninput z f32 N ?\nnode a Neg x -> y\noutput y",
                 AGATE_CODE_INVALID_ARGUMENT, "--dim height=...|--dim width=...|--dim z:1=...");
    check_error(import_lines("opset 13\ninput x f32 N 3 side\nnode a Neg x -> y\noutput y", &options, &graph),
                AGATE_CODE_INVALID_ARGUMENT, "named \"sid\"");
    expect_error("opset 13\ninput x f32 N 3\nnode s Shape x -> y\noutput y", UNSUPPORTED,
                 "output \"y\" holds the batch size|--dim N=1");
}
END_TEST

/* ---- external data ---------------------------------------------------------------------------------------
 */

#define EXTERNAL(location, offset, length)                                                                   \
    "opset 13\ninput x f32 N 4\nexternal w f32 " location " " offset " " length " 4\n"                       \
    "node a Add x w -> y\noutput y"

static agate_status import_from(const char *directory, const char *lines)
{
    const agate_import_options options = {.directory = directory};
    agate_graph *graph;
    agate_status status = import_lines(lines, &options, &graph);
    if (status)
        return status;
    /* The numbers in the file are there, whether mapped or copied. */
    const agate_data *data = agate_value_data(graph->last->operands[0]->node->operands[1]);
    ck_assert(data->size_bytes == 16 && agate_data_at(data, AGATE_F32, 3) == 4);
    agate_graph_release(graph);
    return AGATE_OK;
}

START_TEST(external_data)
{
    char directory[] = P_tmpdir "/agate-import-XXXXXX", path[64], link[64];
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/w.bin", directory);
    snprintf(link, sizeof link, "%s/link.bin", directory);
    FILE *file = fopen(path, "wb");
    const float numbers[8] = {1, 2, 3, 4, 1, 2, 3, 4};
    ck_assert_uint_eq(fwrite(numbers, 1, sizeof numbers, file), sizeof numbers);
    fclose(file);
    ck_assert_int_eq(symlink("/etc/hostname", link), 0);

    ck_assert_ptr_null(import_from(directory, EXTERNAL("w.bin", "0", "16")));
    ck_assert_ptr_null(import_from(directory, EXTERNAL("w.bin", "16", "16")));
    check_error(import_from(directory, EXTERNAL("w.bin", "20", "16")), INVALID,
                "initializer \"w\"|past the end");
    check_error(import_from(directory, EXTERNAL("w.bin", "18446744073709551615", "16")), INVALID,
                "past the end");
    check_error(import_from(directory, EXTERNAL("w.bin", "0", "15")), INVALID,
                "15 bytes where its shape asks for 16");
    check_error(import_from(directory, EXTERNAL("w.bin", "-1", "16")), INVALID, "offset|no number");
    check_error(import_from(directory, EXTERNAL("v.bin", "0", "16")), AGATE_CODE_NOT_FOUND,
                "\"v.bin\"|model's folder");
    check_error(import_from(directory, EXTERNAL("../w.bin", "0", "16")), INVALID,
                "outside the model's folder");
    check_error(import_from(directory, EXTERNAL("/etc/hostname", "0", "16")), INVALID,
                "outside the model's folder");
    check_error(import_from(directory, EXTERNAL("link.bin", "0", "16")), INVALID, "symbolic link");
    check_error(import_from(directory, EXTERNAL(".", "0", "16")), INVALID, "no regular file");
    check_error(import_from(NULL, EXTERNAL("w.bin", "0", "16")), AGATE_CODE_INVALID_ARGUMENT,
                "without a folder");
    unlink(path);
    unlink(link);
    rmdir(directory);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("import");
    TCase *good = tcase_create("good"), *bad = tcase_create("bad");
    tcase_add_test(good, residual_block);
    tcase_add_test(good, shape_arithmetic);
    tcase_add_test(good, batch_arithmetic);
    tcase_add_test(good, auto_pad);
    tcase_add_test(good, forms_by_opset);
    tcase_add_test(good, slices);
    tcase_add_test(good, resizes);
    tcase_add_test(good, transposed_convolutions);
    tcase_add_test(good, positions);
    tcase_add_test(good, functions);
    tcase_add_test(good, inputs);
    tcase_add_test(bad, not_a_model);
    tcase_add_test(bad, versions);
    tcase_add_test(bad, names);
    tcase_add_test(bad, shapes_and_dtypes);
    tcase_add_test(bad, operators);
    tcase_add_test(bad, resizes_and_transposed_convolutions);
    tcase_add_test(bad, all_faults);
    tcase_add_test(bad, free_dimensions);
    tcase_add_test(bad, external_data);
    suite_add_tcase(suite, good);
    suite_add_tcase(suite, bad);
    return suite_run(suite);
}
