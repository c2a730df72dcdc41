/* links: frontend ref */
/* test_views.c: models that move the batch inwards and back: what they become, and that it computes what the
 * same model with a batch of fixed size does. */
#include <math.h>

#include "ir/interpret.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "tests/unit/import_lines.h"
#include "tests/suite.h"

enum { BATCH = 3, MOST_RESULTS = 4 };

/* Contents of the one parameter, whose first dimension is N or 3: 0, 1, ... 6, 0, ... - 3, or indices. */
static agate_tensor input_of(const agate_type *type)
{
    agate_tensor tensor = {.dtype = type->dtype, .rank = type->rank};
    int64_t count = 1;
    for (int32_t i = 0; i < type->rank; i++) {
        tensor.dims[i] = agate_dim_at(type->dims[i], BATCH);
        count *= tensor.dims[i];
    }
    tensor.size_bytes = (size_t)count * agate_dtype_size(type->dtype);
    tensor.data = malloc(tensor.size_bytes + 1);
    for (int64_t i = 0; i < count; i++) {
        if (type->dtype == AGATE_F32)
            ((float *)tensor.data)[i] = (float)(i * 5 % 7 - 3) / 2 + (float)i / 1024;
        else
            ((int64_t *)tensor.data)[i] = i * 5 % 4;
    }
    return tensor;
}

/* The results at batch 3. Returns how many. */
static size_t interpret(const agate_graph *graph, agate_tensor *results)
{
    agate_tensor input = input_of(&graph->params[0]->type);
    const size_t count = (size_t)graph->last->operand_count;
    ck_assert_uint_le(count, MOST_RESULTS);
    agate_status status = agate_interpret(graph, &input, 1, results, count, BATCH);
    ck_assert_msg(status == AGATE_OK, "%s", agate_status_message(status));
    free(input.data);
    return count;
}

static void compare(const agate_tensor *a, const agate_tensor *b, const char *lines)
{
    ck_assert_int_eq(a->rank, b->rank);
    for (int32_t i = 0; i < a->rank; i++)
        ck_assert_msg(a->dims[i] == b->dims[i], "dimension %d is %lld, not %lld, in\n%s", i,
                      (long long)a->dims[i], (long long)b->dims[i], lines);
    const agate_data left = {.bytes = a->data, .size_bytes = a->size_bytes},
                     right = {.bytes = b->data, .size_bytes = b->size_bytes};
    ck_assert_uint_eq(left.size_bytes, right.size_bytes);
    const int64_t count = (int64_t)(a->size_bytes / agate_dtype_size(a->dtype));
    for (int64_t i = 0; i < count; i++) {
        const double x = agate_data_at(&left, a->dtype, i), y = agate_data_at(&right, b->dtype, i);
        ck_assert_msg(fabs(x - y) <= 1e-5 * (1 + fabs(y)), "element %lld is %g, not %g, in\n%s", (long long)i,
                      x, y, lines);
    }
}

/* With a free batch the model computes what it does with a fixed one. */
static void holds(const char *lines)
{
    const agate_dim_binding three = {.name = "N", .value = BATCH};
    const agate_import_options fixed = {.dims = &three, .dim_count = 1};
    agate_graph *free_graph, *fixed_graph;
    agate_tensor found[MOST_RESULTS], wanted[MOST_RESULTS];
    agate_status status = import_lines(lines, NULL, &free_graph);
    ck_assert_msg(status == AGATE_OK, "%s in\n%s", agate_status_message(status), lines);
    status = import_lines(lines, &fixed, &fixed_graph);
    ck_assert_msg(status == AGATE_OK, "%s in\n%s", agate_status_message(status), lines);
    status = agate_verify_status(free_graph);
    ck_assert_msg(status == AGATE_OK, "%s in\n%s", agate_status_message(status), lines);
    const size_t count = interpret(free_graph, found);
    ck_assert_uint_eq(interpret(fixed_graph, wanted), count);
    for (size_t i = 0; i < count; i++)
        compare(&found[i], &wanted[i], lines);
    agate_interpret_free(found, count);
    agate_interpret_free(wanted, count);
    agate_graph_release(free_graph);
    agate_graph_release(fixed_graph);
}

/* The same for `x`, moved inwards as [4,N,6] (v), and what `nodes` makes of it (w), moved back by `perm`. */
static void holds_inside(const char *nodes, const char *perm)
{
    char lines[2048];
    snprintf(lines, sizeof(lines),
             "opset 17\ninput x f32 N 4 6\nnode in Transpose x -> v ; perm=[1,0,2]\n%s\n"
             "node back Transpose w -> y ; perm=%s\noutput y",
             nodes, perm);
    holds(lines);
}

static void becomes(const char *lines, const char *wanted)
{
    agate_graph *graph;
    agate_status status = import_lines(lines, NULL, &graph);
    ck_assert_msg(status == AGATE_OK, "%s", agate_status_message(status));
    agate_text text = {0};
    agate_print(graph, NULL, &text);
    ck_assert_str_eq(agate_text_c(&text), wanted);
    agate_text_deinit(&text);
    agate_graph_release(graph);
}

/* The error names the node (or output) and holds `part`. */
static void refused(const char *lines, const char *name, const char *part)
{
    agate_graph *graph;
    agate_status status = import_lines(lines, NULL, &graph);
    ck_assert_msg(status != AGATE_OK, "imported:\n%s", lines);
    const char *message = agate_status_message(status);
    ck_assert_msg(agate_status_code(status) == AGATE_CODE_UNSUPPORTED, "%s", message);
    ck_assert_msg(strstr(message, name) && strstr(message, part) && strstr(message, "--dim N=1"), "%s",
                  message);
    agate_status_release(status);
}

static void refused_inside(const char *nodes, const char *part)
{
    char lines[2048];
    snprintf(lines, sizeof(lines),
             "opset 17\ninput x f32 N 4 6\nnode in Transpose x -> v ; perm=[1,0,2]\n%s\noutput y", nodes);
    refused(lines, "\"bad\"", part);
}

/* ---- what models become -----------------------------------------------------------------------------------
 */

/* Queries, keys and values of timm's attention: three slices of one value, and no more moves than needed. */
START_TEST(attention_heads)
{
    becomes("opset 17\n"
            "input x f32 N 5 24\n"
            "list shape i64 0 5 3 2 4\nscalar one i64 1\n"
            "node r Reshape x shape -> a\n"
            "node t Transpose a -> b ; perm=[2,0,3,1,4]\n"
            "node g Gather b one -> y\n"
            "output y",
            "graph @g(%x: f32[N,5,24]) -> y: f32[N,2,5,4] {\n"
            "  %a = reshape %x shape=[N, 5, 3, 2, 4] : f32[N,5,3,2,4]\n"
            "  %one = const [1] : i64[]\n"
            "  %0 = gather %a, %one axis=2 : f32[N,5,2,4]\n"
            "  %y = transpose %0 perm=[0, 2, 1, 3] : f32[N,2,5,4]\n"
            "  return %y\n"
            "}\n");
}
END_TEST

/* What is moved and moved back has not been moved. */
START_TEST(there_and_back)
{
    becomes("opset 17\n"
            "input x f32 N 4 6\n"
            "node in Transpose x -> v ; perm=[1,2,0]\n"
            "node soft Softmax v -> w ; axis=0\n"
            "node back Transpose w -> y ; perm=[2,0,1]\n"
            "output y",
            "graph @g(%x: f32[N,4,6]) -> y: f32[N,4,6] {\n"
            "  %y = softmax %x axis=1 : f32[N,4,6]\n"
            "  return %y\n"
            "}\n");
}
END_TEST

/* Torch's attention folds heads into the batch, and the batch into the rows of a matrix. */
START_TEST(heads_and_rows)
{
    becomes("opset 17\n"
            "input x f32 N 4 6\n"
            "list heads i64 4 -1 3\n"
            "node in Transpose x -> v ; perm=[1,0,2]\n"
            "node r Reshape v heads -> h\n"
            "node t Transpose h -> y ; perm=[1,0,2]\n"
            "output y",
            "graph @g(%x: f32[N,4,6]) -> y: f32[2N,4,3] {\n"
            "  %0 = reshape %x shape=[N, 4, 2, 3] : f32[N,4,2,3]\n"
            "  %1 = transpose %0 perm=[0, 2, 1, 3] : f32[N,2,4,3]\n"
            "  %y = reshape %1 shape=[2N, 4, 3] : f32[2N,4,3]\n"
            "  return %y\n"
            "}\n");
    becomes("opset 17\n"
            "input x f32 N 4 6\nweight w f32 6 5\nweight c f32 5\n"
            "list rows i64 -1 6\nlist back i64 4 -1 5\n"
            "node in Transpose x -> v ; perm=[1,0,2]\n"
            "node r Reshape v rows -> a\n"
            "node g Gemm a w c -> b\n"
            "node r2 Reshape b back -> o\n"
            "node t Transpose o -> y ; perm=[1,0,2]\n"
            "output y",
            "graph @g(%x: f32[N,4,6]) -> y: f32[N,4,5] {\n"
            "  %w = weight \"w\" : f32[6,5]\n"
            "  %c = weight \"c\" : f32[5]\n"
            "  %0 = matmul %x, %w : f32[N,4,5]\n"
            "  %y = add %0, %c : f32[N,4,5]\n"
            "  return %y\n"
            "}\n");
}
END_TEST

/* Shapes are those of the model, not of the base. */
START_TEST(shapes)
{
    becomes("opset 17\n"
            "input x f32 N 4 6\n"
            "node in Transpose x -> v ; perm=[1,0,2]\n"
            "node s Shape v -> shape\n"
            "scalar one i64 1\nlist none i64 0\nlist rest i64 -1\n"
            "node g Gather shape one -> n\n"
            "node u Unsqueeze n none -> n1\n"
            "node c Concat n1 rest -> target ; axis=0\n"
            "node r Reshape x target -> y\n"
            "output y",
            "graph @g(%x: f32[N,4,6]) -> y: f32[N,24] {\n"
            "  %y = reshape %x shape=[N, 24] : f32[N,24]\n"
            "  return %y\n"
            "}\n");
}
END_TEST

/* ---- what they compute ------------------------------------------------------------------------------------
 */

START_TEST(moves)
{
    holds_inside("node a Transpose v -> w ; perm=[2,0,1]", "[2,1,0]");
    holds_inside("scalar i i64 -1\nnode a Gather v i -> g ; axis=0\nlist z i64 0\nnode u Unsqueeze g z -> w",
                 "[1,0,2]");
    holds_inside("list i i64 3 0\nnode a Gather v i -> w ; axis=2", "[1,2,0]");
    holds_inside("weight p f32 2 3\nnode q Cast p -> i ; to=7\nnode a Gather v i -> w ; axis=0", "[2,3,1,0]");
    holds_inside("list s i64 1 5\nlist e i64 3 -100\nlist a i64 0 2\nlist t i64 1 -2\n"
                 "node a Slice v s e a t -> w",
                 "[1,0,2]");
    holds_inside("node a Split v -> p q ; axis=0\nnode b Mul p q -> w", "[1,0,2]");
    holds_inside("list z i64 0 2\nnode a Unsqueeze v z -> u\nnode b Relu u -> c\nnode s Squeeze c z -> w",
                 "[1,0,2]");
    holds_inside("node a Concat v v v -> w ; axis=0", "[1,0,2]");
    holds_inside(
        "node t Transpose x -> u ; perm=[1,0,2]\nnode n Neg u -> m\nnode a Concat v m -> w ; axis=-1",
        "[1,2,0]");
    holds_inside("list p i64 1 0 0 0 0 2\nnode a Pad v p -> w", "[1,0,2]");
    holds_inside("list r i64 2 1 3\nnode a Tile v r -> w", "[1,0,2]");
    holds_inside("list r i64 2 1 1 1\nnode a Expand v r -> w", "[2,3,0,1]");
    /* queries that are the same for every image */
    holds_inside("weight q f32 4 1 6\nnode s Shape v -> r\nnode a Expand q r -> e\nnode b Add e v -> w",
                 "[1,0,2]");
    holds_inside("node s Shape v -> r\nnode a ConstantOfShape r -> e\nnode b Add e v -> w", "[1,0,2]");
    holds_inside(
        "weight q f32 4 1 6\nnode s Shape v -> r\nlist i i64 1\nnode g Gather r i -> n\nlist o i64 1\n"
        "node c Concat o n o -> t ; axis=0\nnode a Tile q t -> e\nnode b Mul e v -> w",
        "[1,0,2]");
}
END_TEST

START_TEST(pointwise)
{
    holds_inside("node a Relu v -> w", "[1,0,2]");
    holds_inside("weight c f32 6\nnode a Add v c -> w", "[1,0,2]");
    holds_inside("weight c f32 4 1 1\nnode a Mul c v -> w", "[1,0,2]");
    holds_inside("weight c f32 4 1 6\nnode a Mul v c -> w", "[1,2,0]");
    holds_inside("node b Transpose v -> u ; perm=[2,1,0]\nweight c f32 6 1 4\nnode a Mul u c -> w",
                 "[1,0,2]");
    holds_inside("weight c f32 2 4 1 6\nnode a Sub v c -> w", "[2,0,1,3]");
    /* a view that lies otherwise, and one of fewer dimensions */
    holds_inside("node b Transpose x -> p ; perm=[2,0,1]\nnode c Transpose p -> q ; perm=[2,1,0]\n"
                 "node a Sub v q -> w",
                 "[1,0,2]");
    holds_inside("scalar i i64 1\nnode g Gather v i -> h ; axis=0\nnode a Mul v h -> w", "[1,0,2]");
    holds_inside("node b Greater v c -> m\nweight c f32 1\nnode n Neg v -> k\nnode a Where m v k -> w",
                 "[1,0,2]");
    holds_inside("scalar lo f32 0\nscalar hi f32 1\nnode a Clip v lo hi -> w", "[1,0,2]");
    holds_inside("node a Cast v -> i ; to=7\nnode b Cast i -> w ; to=1", "[1,0,2]");
    /* an ordinary value that broadcasting moves inwards */
    holds("opset 17\ninput x f32 N 6\nweight c f32 2 1 6\nnode a Add x c -> w\n"
          "node t Transpose w -> y ; perm=[1,0,2]\noutput y");
}
END_TEST

START_TEST(rows)
{
    holds_inside("node a Softmax v -> w ; axis=0", "[1,0,2]");
    holds_inside("node a LogSoftmax v -> w ; axis=-1", "[1,2,0]");
    holds_inside("node a ReduceMean v -> w ; axes=[2]", "[1,0,2]");
    holds_inside("node a ReduceMax v -> w ; axes=[0,2] keepdims=0", "[0]");
    holds_inside("node a ReduceL2 v -> u ; axes=[0] keepdims=0\nlist z i64 1\nnode b Unsqueeze u z -> w",
                 "[0,2,1]");
    holds_inside("node a ArgMax v -> w ; axis=0 keepdims=0", "[0,1]");
    holds_inside("node a ArgMin v -> w ; axis=2", "[1,2,0]");
    holds_inside("weight s f32 6\nweight b f32 6\nnode a LayerNormalization v s b -> w ; epsilon=0.5",
                 "[1,0,2]");
    holds_inside("node a LpNormalization v -> w ; axis=0", "[1,0,2]");
}
END_TEST

START_TEST(products)
{
    holds_inside("weight m f32 6 5\nnode a MatMul v m -> w", "[1,0,2]");
    holds_inside("weight m f32 1 6 5\nnode a MatMul v m -> w", "[1,0,2]");
    holds_inside("node b Transpose x -> u ; perm=[2,0,1]\nweight m f32 4 5\nnode a MatMul u m -> w",
                 "[1,2,0]");
    holds_inside("weight m f32 4 6 5\nnode a MatMul v m -> w", "[1,0,2]");
    holds("opset 17\ninput x f32 N 6\nweight m f32 3 6 5\nnode a MatMul x m -> w\n"
          "node t Transpose w -> y ; perm=[1,0,2]\noutput y");
    /* the batch among the columns of the right one */
    holds_inside("node b Transpose x -> u ; perm=[1,2,0]\nweight m f32 5 6\nnode a MatMul m u -> w",
                 "[2,0,1]");
    holds_inside("node b Transpose x -> u ; perm=[1,2,0]\nweight m f32 4 5 6\nnode a MatMul m u -> w",
                 "[2,0,1]");
    /* the batch among stacked matrices */
    holds("opset 17\ninput x f32 N 2 4 6\nnode a Transpose x -> v ; perm=[1,0,2,3]\n"
          "node b Transpose x -> k ; perm=[1,0,3,2]\nnode c MatMul v k -> p\nnode s Softmax p -> q\n"
          "node d MatMul q v -> o\nnode e Transpose o -> y ; perm=[1,2,0,3]\noutput y");
    holds("opset 17\ninput x f32 N 2 4 6\nweight m f32 2 1 6 5\nnode a Transpose x -> v ; perm=[1,0,2,3]\n"
          "node c MatMul v m -> p\nnode e Transpose p -> y ; perm=[1,2,0,3]\noutput y");
    holds_inside("list r i64 24 -1\nnode b Transpose v -> u ; perm=[0,2,1]\nnode c Reshape u r -> a\n"
                 "weight m f32 24 5\nnode g Gemm a m -> w ; transA=1",
                 "[0,1]");
}
END_TEST

START_TEST(reshapes)
{
    holds_inside("list s i64 0 0 2 3\nnode a Reshape v s -> w", "[1,0,3,2]");
    holds_inside("list s i64 2 2 -1 6\nnode a Reshape v s -> w", "[2,0,3,1]");
    holds_inside("list s i64 4 -1 2\nnode a Reshape v s -> u\nnode b Relu u -> w", "[1,0,2]");
    holds_inside("list s i64 4 -1 2\nlist b i64 4 -1 3\nnode a Reshape v s -> u\nnode t Tanh u -> k\n"
                 "node b Reshape k b -> l\nnode n Neg l -> w",
                 "[1,0,2]");
    holds_inside("list s i64 -1\nlist b i64 2 2 -1 6\nnode a Reshape v s -> u\nnode t Tanh u -> k\n"
                 "node b Reshape k b -> w",
                 "[2,0,1,3]");
    /* folded with what is in front of it: as rows, along with other such rows and with constants */
    holds_inside(
        "list s i64 -1 6\nlist b i64 4 -1 6\nweight c f32 6\nnode a Reshape v s -> u\n"
        "node m Mul u c -> p\nnode q Add p u -> r\nnode t Softmax r -> k ; axis=1\nnode b Reshape k b -> w",
        "[1,0,2]");
    holds_inside("list s i64 2 -1 6\nlist b i64 4 -1 6\nweight c f32 2 1 6\nnode a Reshape v s -> u\n"
                 "node m Mul u c -> p\nnode o ReduceSum p z -> r\nlist z i64 2\nnode q Sub p r -> k\n"
                 "node b Reshape k b -> w",
                 "[1,0,2]");
    holds_inside(
        "list s i64 -1 6\nlist b i64 4 -1 6\nnode a Reshape v s -> u\nnode c Concat u u -> p ; axis=1\n"
        "list d i64 1 7\nlist e i64 4 10\nlist f i64 1\nlist st i64 1\nlist d1 i64 3\nlist e1 i64 9\n"
        "node sl Slice p d1 e1 f st -> k\nnode b Reshape k b -> w",
        "[1,0,2]");
    holds_inside(
        "list s i64 -1 6\nlist b i64 6 4 -1\nnode a Reshape v s -> u\nnode t Transpose u -> k ; perm=[1,0]\n"
        "node n Relu k -> m\nnode b Reshape m b -> w",
        "[2,1,0]");
    holds_inside("list s i64 -1 1\nlist e i64 1 5\nlist b i64 4 -1 30\nnode a Reshape v s -> u\n"
                 "node x Expand u e -> k\nnode b Reshape k b -> w",
                 "[1,0,2]");
    holds_inside("node a Flatten v -> u ; axis=2\nlist b i64 4 -1 6\nnode b Reshape u b -> w", "[1,0,2]");
    /* an ordinary value becomes one by a reshape */
    holds("opset 17\ninput x f32 N 6\nlist z i64 0\nweight c f32 2 1 6\nnode u Unsqueeze x z -> v\n"
          "node m Mul v c -> w\nnode t Transpose w -> y ; perm=[1,0,2]\noutput y");
}
END_TEST

/* Frames of films, the batch within their number. */
START_TEST(images)
{
    const char *film =
        "opset 17\ninput x f32 N 3 2 4 4\nweight k f32 5 2 3 3\nlist f i64 -1 2 4 4\nlist b i64 3 -1 5\n"
        "weight c f32 5\nnode a Transpose x -> v ; perm=[1,0,2,3,4]\nnode r Reshape v f -> u\n"
        "node d Conv u k -> p\nnode n BatchNormalization p c c c c -> q\n"
        "node m MaxPool q -> o ; kernel_shape=[2,2]\nnode s Reshape o b -> w\n"
        "node e Transpose w -> y ; perm=[1,0,2]\noutput y";
    holds(film);
    holds("opset 17\ninput x f32 N 3 2 4 4\nweight k f32 2 3 2 2\nlist f i64 -1 2 4 4\nlist b i64 3 -1 192\n"
          "list z f32 1 1 2 2\nnode a Transpose x -> v ; perm=[1,0,2,3,4]\nnode r Reshape v f -> u\n"
          "node d ConvTranspose u k -> p ; strides=[2,2]\nnode n Resize p _ z -> q ; mode=linear\n"
          "node m AveragePool q -> o ; kernel_shape=[2,2] strides=[2,2]\nnode s Reshape o b -> w\n"
          "node e Transpose w -> y ; perm=[1,0,2]\noutput y");
}
END_TEST

START_TEST(embeddings)
{
    holds("opset 17\ninput x i64 N 5\nweight e f32 4 6\nnode t Transpose x -> v\nnode g Gather e v -> w\n"
          "node b Transpose w -> y ; perm=[1,0,2]\noutput y");
}
END_TEST

/* ---- what is refused --------------------------------------------------------------------------------------
 */

START_TEST(outputs)
{
    const char *only = "dimension 1 follows the batch, which only the outermost one can";
    refused("opset 17\ninput x f32 N 4 6\nnode a Transpose x -> y ; perm=[1,0,2]\noutput y", "output \"y\"",
            only);
    refused("opset 17\ninput x f32 N 6\nlist z i64 0\nnode a Unsqueeze x z -> y\noutput y", "output \"y\"",
            only);
    refused("opset 17\ninput x f32 N 4 6\nlist s i64 -1 6\nnode a Transpose x -> v ; perm=[1,0,2]\n"
            "node b Reshape v s -> y\noutput y",
            "output \"y\"", "dimension 0 holds the batch within another dimension");
    refused("opset 17\ninput x f32 N 4\nlist r i64 2 1\nnode a Tile x r -> y\noutput y", "output \"y\"",
            "dimension 0 holds the batch within another dimension");
}
END_TEST

START_TEST(operators)
{
    const char *only = "dimension 1 follows the batch, which only the outermost one can";
    refused_inside("weight k f32 2 4 3\nnode bad Conv v k -> y", "channels or weights follow the batch");
    refused_inside("node bad AveragePool v -> y ; kernel_shape=[2]", only);
    refused_inside("node bad Softmax v -> y ; axis=1", only);
    refused_inside("node bad ReduceSum v z -> y\nlist z i64 1", only);
    refused_inside("node bad ArgMax v -> y ; axis=1", only);
    refused_inside("scalar i i64 0\nnode bad Gather v i -> y ; axis=1", only);
    refused_inside("node bad Concat v v -> y ; axis=1", only);
    refused_inside("node t Transpose v -> u ; perm=[0,2,1]\nnode bad MatMul v u -> y", only);
    refused_inside("node t Transpose v -> u ; perm=[0,2,1]\nnode bad MatMul u v -> y",
                   "dimension 2 follows the batch");
    /* rows of the batch, and the batch of rows: equal shapes in another order */
    refused_inside("list s i64 -1 6\nnode a Reshape v s -> u\nnode b Reshape x s -> k\nnode bad Add u k -> y",
                   "dimension 0 holds the batch within another dimension");
    /* a shape that cuts through the batch */
    refused_inside("list s i64 4 -1 6\nnode a Reshape x s -> u\nnode bad Softmax u -> y ; axis=0", only);
    refused_inside("list s i64 8 -1 3\nnode a Reshape v s -> u\nnode bad Softmax u -> y ; axis=0", only);
    /* the batch in two dimensions */
    refused("opset 17\ninput x f32 N 1\nnode t Transpose x -> v\nnode bad Add x v -> y\noutput y", "\"bad\"",
            only);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("views");
    TCase *texts = tcase_create("texts"), *values = tcase_create("values"), *bad = tcase_create("bad");
    tcase_add_test(texts, attention_heads);
    tcase_add_test(texts, there_and_back);
    tcase_add_test(texts, heads_and_rows);
    tcase_add_test(texts, shapes);
    tcase_add_test(values, moves);
    tcase_add_test(values, pointwise);
    tcase_add_test(values, rows);
    tcase_add_test(values, products);
    tcase_add_test(values, reshapes);
    tcase_add_test(values, images);
    tcase_add_test(values, embeddings);
    tcase_add_test(bad, outputs);
    tcase_add_test(bad, operators);
    suite_add_tcase(suite, texts);
    suite_add_tcase(suite, values);
    suite_add_tcase(suite, bad);
    return suite_run(suite);
}
