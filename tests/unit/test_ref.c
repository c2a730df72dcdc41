/* links: ir ref base */
/* test_ref.c: every reference kernel against values worked out by hand or by formula. */
#include <math.h>
#include <stdlib.h>

#include "ir/graph.h"
#include "runtime/ref/element.h"
#include "tests/suite.h"

#define MAX_VALUES 64

/* A small tensor, written as doubles. */
typedef struct sample {
    agate_dtype dtype;
    int32_t rank;
    int64_t dims[AGATE_MAX_RANK];
    double values[MAX_VALUES];
} sample;

#define D(...)                                                                                               \
    {                                                                                                        \
        __VA_ARGS__                                                                                          \
    }

static agate_tensor tensor_of(const sample *s)
{
    agate_tensor tensor = {.dtype = s->dtype, .rank = s->rank};

    memcpy(tensor.dims, s->dims, sizeof tensor.dims);
    ck_assert(agate_tensor_size(s->dtype, s->rank, s->dims, &tensor.size_bytes));
    tensor.data = calloc(1, tensor.size_bytes + 1);
    ck_assert_ptr_nonnull(tensor.data);
    return tensor;
}

static agate_status run(agate_op op, const agate_attrs *attrs, const sample *in, int32_t count,
                        agate_tensor *out)
{
    agate_tensor tensors[4];
    const agate_tensor *inputs[4];
    agate_attrs none = {0};
    agate_ref_call call = {
        .attrs = attrs ? attrs : &none,
        .input_count = count,
        .output_count = 1,
        .inputs = inputs,
        .outputs = &out,
        .variant = (int)op < (int)AGATE_SCALAR_COUNT ? (int32_t)op : 0,
    };
    agate_status status;

    for (int32_t i = 0; i < count; i++) {
        tensors[i] = tensor_of(&in[i]);
        for (size_t k = 0; k < tensors[i].size_bytes / agate_dtype_size(in[i].dtype); k++)
            agate_element_store(in[i].dtype, tensors[i].data, (int64_t)k, in[i].values[k]);
        inputs[i] = &tensors[i];
    }
    status = agate_op_table[op].reference(&call);
    for (int32_t i = 0; i < count; i++)
        free(tensors[i].data);
    return status;
}

/* Runs `op` and compares: NaN equals NaN; 16-bit floats and transcendentals within their rounding. */
static void expect(agate_op op, const agate_attrs *attrs, const sample *in, int32_t count, const sample *want)
{
    agate_tensor out = tensor_of(want);
    agate_status status = run(op, attrs, in, count, &out);
    double tolerance = want->dtype == AGATE_F16 || want->dtype == AGATE_BF16 ? 1e-2 : 1e-6;

    ck_assert_msg(status == AGATE_OK, "%s", agate_status_message(status));
    for (size_t i = 0; i < out.size_bytes / agate_dtype_size(out.dtype); i++) {
        double got = agate_element_load(out.dtype, out.data, (int64_t)i), value = want->values[i];
        bool same =
            got == value || (isnan(got) && isnan(value)) || fabs(got - value) <= tolerance * fabs(value);

        ck_assert_msg(same, "%s %s: element %zu is %.9g, not %.9g", agate_op_table[op].name,
                      agate_dtype_name(out.dtype), i, got, value);
    }
    free(out.data);
}

static void expect_error(agate_op op, const agate_attrs *attrs, const sample *in, int32_t count,
                         const sample *shape, agate_code code)
{
    agate_tensor out = tensor_of(shape);
    agate_status status = run(op, attrs, in, count, &out);

    ck_assert_int_eq(agate_status_code(status), code);
    agate_status_release(status);
    free(out.data);
}

#define IN(...)       (const sample[]){__VA_ARGS__}, COUNT_OF(__VA_ARGS__)
#define COUNT_OF(...) (int32_t)(sizeof((sample[]){__VA_ARGS__}) / sizeof(sample))
#define S(type, rank_, dims_, ...)                                                                           \
    ((sample){.dtype = AGATE_##type, .rank = rank_, .dims = dims_, .values = {__VA_ARGS__}})
#define WANT(type, rank_, dims_, ...)                                                                        \
    (&(sample){.dtype = AGATE_##type, .rank = rank_, .dims = dims_, .values = {__VA_ARGS__}})

static const agate_dtype floats[] = {AGATE_F32, AGATE_F64, AGATE_F16, AGATE_BF16};
static const agate_dtype numbers[] = {AGATE_F32, AGATE_F64, AGATE_F16, AGATE_BF16, AGATE_U8,  AGATE_I8,
                                      AGATE_U16, AGATE_I16, AGATE_U32, AGATE_I32,  AGATE_U64, AGATE_I64};

START_TEST(scalars_by_formula)
{
    static const struct {
        agate_op op;
        double alpha, beta, x, y;
    } rows[] = {
        {AGATE_OP_leaky_relu, 0.1, 0, -2, -0.2},
        {AGATE_OP_elu, 2, 0, -1, 2 * (0.36787944117144233 - 1)},
        {AGATE_OP_hard_sigmoid, 0.2, 0.5, 1, 0.7},
        {AGATE_OP_hard_swish, 0, 0, 1.5, 1.125},
        {AGATE_OP_thresholded_relu, 1, 0, 1, 0},
        {AGATE_OP_sigmoid, 0, 0, 0, 0.5},
        {AGATE_OP_softplus, 0, 0, 100, 100},
        {AGATE_OP_silu, 0, 0, 0, 0},
        {AGATE_OP_softsign, 0, 0, -3, -0.75},
        {AGATE_OP_round, 0, 0, 2.5, 2},
        {AGATE_OP_round, 0, 0, -1.5, -2},
        {AGATE_OP_round_f16, 0, 0, 1 + 0x1p-11, 1}, /* half way: to the even one */
        {AGATE_OP_round_f16, 0, 0, 1 + 3 * 0x1p-11, 1 + 0x1p-9},
        {AGATE_OP_round_f16, 0, 0, 65520, INFINITY},
        {AGATE_OP_round_f16, 0, 0, -0x1p-25, -0.0},
        {AGATE_OP_round_bf16, 0, 0, 1 + 0x1p-8, 1},
        {AGATE_OP_round_bf16, 0, 0, 1 + 3 * 0x1p-8, 1 + 0x1p-6},
        {AGATE_OP_ceil, 0, 0, -1.5, -1},
        {AGATE_OP_exp, 0, 0, 1, 2.718281828459045},
        {AGATE_OP_erf, 0, 0, 0.5, 0.5204998778130465},
        {AGATE_OP_relu, 0, 0, NAN, NAN},
        {AGATE_OP_sign, 0, 0, -7, -1},
        {AGATE_OP_reciprocal, 0, 0, 4, 0.25},
        {AGATE_OP_atanh, 0, 0, 0.5, 0.5493061443340548},
    };

    for (size_t i = 0; i < AGATE_COUNT(rows); i++) {
        for (size_t t = 0; t < AGATE_COUNT(floats); t++) {
            agate_attrs attrs = {.param = {.alpha = rows[i].alpha, .beta = rows[i].beta}};
            sample x = {.dtype = floats[t], .values = {rows[i].x}},
                   y = {.dtype = floats[t], .values = {rows[i].y}};

            expect(rows[i].op, &attrs, &x, 1, &y);
        }
    }
}
END_TEST

START_TEST(scalars_broadcast_in_every_type)
{
    for (size_t t = 0; t < AGATE_COUNT(numbers); t++) {
        sample in[] = {{.dtype = numbers[t], .rank = 2, .dims = {2, 1}, .values = {7, 3}},
                       {.dtype = numbers[t], .rank = 1, .dims = {3}, .values = {1, 2, 4}}};
        sample want = {.dtype = numbers[t], .rank = 2, .dims = {2, 3}, .values = {8, 9, 11, 4, 5, 7}};

        expect(AGATE_OP_add, NULL, in, 2, &want);
        expect(AGATE_OP_max, NULL, in, 2, &(sample){numbers[t], 2, {2, 3}, {7, 7, 7, 3, 3, 4}});
        expect(AGATE_OP_pow, NULL, in, 2,
               &(sample){numbers[t],
                         2,
                         {2, 3},
                         {7, 49, numbers[t] == AGATE_U8 || numbers[t] == AGATE_I8 ? 97 : 2401, 3, 9, 81}});
        expect(AGATE_OP_less, NULL, in, 2, &(sample){AGATE_BOOL, 2, {2, 3}, {0, 0, 0, 0, 0, 1}});
    }
    expect(AGATE_OP_add, NULL, IN(S(F32, 0, {0}, 2), S(F32, 0, {0}, 3)), WANT(F32, 0, {0}, 5));
    expect(AGATE_OP_add, NULL, IN(S(F32, 2, D(0, 3)), S(F32, 1, {3}, 1, 2, 3)), WANT(F32, 2, D(0, 3)));
}
END_TEST

START_TEST(integers_never_trap)
{
    sample by[] = {S(I32, 1, {4}, INT32_MIN, 7, -7, 5), S(I32, 1, {4}, -1, 0, 3, -3)};

    expect(AGATE_OP_div, NULL, by, 2, WANT(I32, 1, {4}, INT32_MIN, 0, -2, -1));
    expect(AGATE_OP_mod, NULL, by, 2, WANT(I32, 1, {4}, 0, 0, 2, -1));
    expect(AGATE_OP_fmod, NULL, by, 2, WANT(I32, 1, {4}, 0, 0, -1, 2));
    expect(AGATE_OP_neg, NULL, by, 1, WANT(I32, 1, {4}, INT32_MIN, -7, 7, -5));
    expect(AGATE_OP_abs, NULL, by, 1, WANT(I32, 1, {4}, INT32_MIN, 7, 7, 5));
    expect(AGATE_OP_div, NULL, IN(S(U8, 1, {2}, 254, 255), S(U8, 0, {0}, 255)), WANT(U8, 1, {2}, 0, 1));
    expect(AGATE_OP_add, NULL, IN(S(U8, 0, {0}, 255), S(U8, 0, {0}, 2)), WANT(U8, 0, {0}, 1));
    expect(AGATE_OP_shift_left, NULL, IN(S(U16, 1, {3}, 1, 1, 3), S(U16, 1, {3}, 4, 16, 15)),
           WANT(U16, 1, {3}, 16, 0, 32768));
    expect(AGATE_OP_shift_right, NULL, IN(S(I8, 1, {3}, -128, -1, 64), S(I8, 1, {3}, 7, 100, 3)),
           WANT(I8, 1, {3}, -1, -1, 8));
    expect(AGATE_OP_pow, NULL, IN(S(I32, 1, {4}, 2, -1, -1, 1), S(I32, 1, {4}, -1, -3, -2, -9)),
           WANT(I32, 1, {4}, 0, -1, 1, 1));
    expect(AGATE_OP_bit_not, NULL, IN(S(U8, 0, {0}, 5)), WANT(U8, 0, {0}, 250));
}
END_TEST

START_TEST(nan_and_bool)
{
    expect(AGATE_OP_max, NULL, IN(S(F32, 1, {3}, NAN, 1, 1), S(F32, 1, {3}, 1, NAN, INFINITY)),
           WANT(F32, 1, {3}, NAN, NAN, INFINITY));
    expect(AGATE_OP_less_equal, NULL, IN(S(F32, 1, {2}, NAN, 1), S(F32, 0, {0}, 1)),
           WANT(BOOL, 1, {2}, 0, 1));
    expect(AGATE_OP_mod, NULL, IN(S(F32, 1, {2}, -7, 7), S(F32, 1, {2}, 3, -3)), WANT(F32, 1, {2}, 2, -2));
    expect(AGATE_OP_fmod, NULL, IN(S(F32, 1, {2}, -7, 7), S(F32, 1, {2}, 3, -3)), WANT(F32, 1, {2}, -1, 1));
    expect(AGATE_OP_is_inf, NULL, IN(S(F64, 1, {3}, -INFINITY, NAN, 0)), WANT(BOOL, 1, {3}, 1, 0, 0));
    expect(AGATE_OP_is_nan, NULL, IN(S(F16, 1, {2}, NAN, 1)), WANT(BOOL, 1, {2}, 1, 0));
    expect(AGATE_OP_xor, NULL, IN(S(BOOL, 1, {2}, 1, 0), S(BOOL, 0, {0}, 1)), WANT(BOOL, 1, {2}, 0, 1));
    expect(AGATE_OP_not, NULL, IN(S(BOOL, 1, {2}, 1, 0)), WANT(BOOL, 1, {2}, 0, 1));
    expect(AGATE_OP_equal, NULL, IN(S(BOOL, 1, {2}, 1, 0), S(BOOL, 0, {0}, 1)), WANT(BOOL, 1, {2}, 1, 0));
    expect_error(AGATE_OP_exp, NULL, IN(S(I32, 0, {0}, 1)), WANT(I32, 0, {0}), AGATE_CODE_UNSUPPORTED);
    expect_error(AGATE_OP_and, NULL, IN(S(F32, 0, {0}, 1), S(F32, 0, {0}, 1)), WANT(BOOL, 0, {0}),
                 AGATE_CODE_UNSUPPORTED);
}
END_TEST

START_TEST(cast_between_all)
{
    static const agate_dtype all[] = {AGATE_F32, AGATE_U8,  AGATE_I8,   AGATE_U16, AGATE_I16,
                                      AGATE_I32, AGATE_I64, AGATE_BOOL, AGATE_F16, AGATE_F64,
                                      AGATE_U32, AGATE_U64, AGATE_BF16};

    for (size_t from = 0; from < AGATE_COUNT(all); from++)
        for (size_t to = 0; to < AGATE_COUNT(all); to++) {
            double most = all[from] == AGATE_BOOL || all[to] == AGATE_BOOL ? 1 : 100;

            expect(AGATE_OP_cast, NULL, &(sample){all[from], 1, {3}, {0, 1, 100}}, 1,
                   &(sample){all[to], 1, {3}, {0, 1, most}});
        }
    expect(AGATE_OP_cast, NULL, IN(S(F32, 1, {6}, 1e30, -1e30, NAN, -2.7, INFINITY, 2147483520)),
           WANT(I32, 1, {6}, INT32_MAX, INT32_MIN, 0, -2, INT32_MAX, 2147483520));
    expect(AGATE_OP_cast, NULL, IN(S(F64, 1, {3}, -1, 255.9, 256)), WANT(U8, 1, {3}, 0, 255, 255));
    expect(AGATE_OP_cast, NULL, IN(S(F64, 1, {2}, 1e300, -1e300)),
           WANT(I64, 1, {2}, 9223372036854775807.0, INT64_MIN));
    expect(AGATE_OP_cast, NULL, IN(S(F64, 1, {2}, 1e300, -1e300)),
           WANT(U64, 1, {2}, 18446744073709551615.0, 0));
    expect(AGATE_OP_cast, NULL, IN(S(I32, 1, {3}, 300, -1, 128)), WANT(I8, 1, {3}, 44, -1, -128));
    expect(AGATE_OP_cast, NULL, IN(S(F32, 1, {3}, 0.5, -0.0, NAN)), WANT(BOOL, 1, {3}, 1, 0, 1));
    expect(AGATE_OP_cast, NULL, IN(S(F32, 0, {0}, 1e6)), WANT(F16, 0, {0}, INFINITY));
}
END_TEST

START_TEST(conv_values)
{
    agate_attrs plain = {0}, same = {0}, depthwise = {0};

    plain.conv.group = same.conv.group = 1;
    same.conv.pads = (agate_ints){4, {1, 1, 1, 1}};
    same.conv.strides = (agate_ints){2, {2, 2}};
    depthwise.conv.group = 2;
    depthwise.conv.dilations = (agate_ints){1, {2}};
    for (size_t t = 0; t < AGATE_COUNT(floats); t++) {
        sample x = {floats[t], 4, {1, 1, 3, 3}, {0, 1, 2, 3, 4, 5, 6, 7, 8}};
        sample ones = {floats[t], 4, {1, 1, 2, 2}, {1, 1, 1, 1}};
        sample nine = {floats[t], 4, {1, 1, 3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 1}};

        expect(AGATE_OP_conv, &plain, (sample[]){x, ones}, 2,
               &(sample){floats[t], 4, {1, 1, 2, 2}, {8, 12, 20, 24}});
        expect(AGATE_OP_conv, &same, (sample[]){x, nine}, 2,
               &(sample){floats[t], 4, {1, 1, 2, 2}, {8, 12, 20, 24}});
    }
    /* Two groups in one dimension, dilated, with bias: y[g][i] = w[g][0] x[g][i] + w[g][1] x[g][i+2] + b[g].
     */
    expect(AGATE_OP_conv, &depthwise,
           IN(S(F32, 3, D(1, 2, 4), 1, 2, 3, 4, 5, 6, 7, 8), S(F32, 3, D(2, 1, 2), 1, 10, 2, 0),
              S(F32, 1, {2}, 0.5, -1)),
           WANT(F32, 3, D(1, 2, 2), 31.5, 42.5, 9, 11));
    /* Three spatial dimensions, two channels summed, two filters. */
    expect(AGATE_OP_conv, &plain,
           IN(S(F32, 5, D(1, 2, 1, 1, 2), 1, 2, 3, 4), S(F32, 5, D(2, 2, 1, 1, 1), 1, 1, 1, -1)),
           WANT(F32, 5, D(1, 2, 1, 1, 2), 4, 6, -2, -2));
    expect(AGATE_OP_conv, &plain, IN(S(F32, 4, D(0, 1, 3, 3)), S(F32, 4, D(1, 1, 3, 3))),
           WANT(F32, 4, D(0, 1, 1, 1)));
    expect_error(AGATE_OP_conv, &plain, IN(S(I32, 4, D(1, 1, 1, 1)), S(I32, 4, D(1, 1, 1, 1))),
                 WANT(I32, 4, D(1, 1, 1, 1)), AGATE_CODE_UNSUPPORTED);
}
END_TEST

START_TEST(matmul_values)
{
    sample a = S(F32, 2, D(2, 3), 1, 2, 3, 4, 5, 6), b = S(F32, 2, D(3, 2), 1, 0, 0, 1, 1, 1);
    sample v = S(F32, 1, {3}, 1, 2, 3);

    expect(AGATE_OP_matmul, NULL, (sample[]){a, b}, 2, WANT(F32, 2, D(2, 2), 4, 5, 10, 11));
    expect(AGATE_OP_matmul, NULL, (sample[]){a, v}, 2, WANT(F32, 1, {2}, 14, 32));
    expect(AGATE_OP_matmul, NULL, (sample[]){v, b}, 2, WANT(F32, 1, {2}, 4, 5));
    expect(AGATE_OP_matmul, NULL, (sample[]){v, v}, 2, WANT(F32, 0, {0}, 14));
    expect(AGATE_OP_matmul, NULL, IN(S(I32, 3, D(2, 1, 1), 2, 3), S(I32, 4, D(2, 1, 1, 2), 1, -1, 5, 7)),
           WANT(I32, 4, D(2, 2, 1, 2), 2, -2, 3, -3, 10, 14, 15, 21));
    expect(AGATE_OP_matmul, NULL, IN(S(F64, 2, D(2, 0)), S(F64, 2, D(0, 1))), WANT(F64, 2, D(2, 1), 0, 0));
}
END_TEST

START_TEST(pool_values)
{
    sample x = S(F32, 4, D(1, 1, 3, 3), 1, 2, 3, 4, 5, 6, 7, 8, 9);
    agate_attrs attrs = {0};

    attrs.pool.kernel = (agate_ints){2, {2, 2}};
    attrs.pool.strides = (agate_ints){2, {2, 2}};
    attrs.pool.ceil = true;
    expect(AGATE_OP_max_pool, &attrs, &x, 1, WANT(F32, 4, D(1, 1, 2, 2), 5, 6, 8, 9));
    expect(AGATE_OP_avg_pool, &attrs, &x, 1, WANT(F32, 4, D(1, 1, 2, 2), 3, 4.5, 7.5, 9));
    attrs.pool.pads = (agate_ints){4, {1, 1, 0, 0}};
    attrs.pool.ceil = false;
    expect(AGATE_OP_avg_pool, &attrs, &x, 1, WANT(F32, 4, D(1, 1, 2, 2), 1, 2.5, 5.5, 7));
    attrs.pool.count_pads = true;
    expect(AGATE_OP_avg_pool, &attrs, &x, 1, WANT(F32, 4, D(1, 1, 2, 2), 0.25, 1.25, 2.75, 7));
    expect(AGATE_OP_max_pool, &attrs, IN(S(I8, 4, D(1, 1, 3, 3), -1, -2, -3, -4, -5, -6, -7, -8, -9)),
           WANT(I8, 4, D(1, 1, 2, 2), -1, -2, -4, -5));
    attrs.pool = (agate_attrs_pool){.kernel = {1, {2}}, .dilations = {1, {2}}};
    expect(AGATE_OP_max_pool, &attrs, IN(S(F16, 3, D(1, 1, 4), 1, NAN, 3, 2)),
           WANT(F16, 3, D(1, 1, 2), 3, NAN));
}
END_TEST

START_TEST(reduce_values)
{
    sample x = S(F32, 2, D(2, 3), 1, -2, 3, 4, 5, 6), empty = S(I32, 2, D(2, 0));
    agate_attrs all = {0}, rows = {0}, columns = {0};

    rows.reduce.axes = (agate_ints){1, {1}};
    columns.reduce.axes = (agate_ints){1, {0}};
    expect(AGATE_OP_reduce_sum, &all, &x, 1, WANT(F32, 0, {0}, 17));
    expect(AGATE_OP_reduce_mean, &rows, &x, 1, WANT(F32, 1, {2}, 2.0 / 3, 5));
    expect(AGATE_OP_reduce_max, &columns, &x, 1, WANT(F32, 2, D(1, 3), 4, 5, 6));
    expect(AGATE_OP_reduce_min, &columns, &x, 1, WANT(F32, 1, {3}, 1, -2, 3));
    expect(AGATE_OP_reduce_prod, &rows, &x, 1, WANT(F32, 1, {2}, -6, 120));
    expect(AGATE_OP_reduce_sum, &all, IN(S(F32, 0, {0}, 3)), WANT(F32, 0, {0}, 3));
    expect(AGATE_OP_reduce_sum, &rows, &empty, 1, WANT(I32, 1, {2}, 0, 0));
    expect(AGATE_OP_reduce_prod, &rows, &empty, 1, WANT(I32, 1, {2}, 1, 1));
    expect(AGATE_OP_reduce_max, &rows, &empty, 1, WANT(I32, 1, {2}, INT32_MIN, INT32_MIN));
    expect(AGATE_OP_reduce_min, &all, IN(S(F32, 1, {0})), WANT(F32, 0, {0}, INFINITY));
    expect(AGATE_OP_reduce_mean, &all, IN(S(I32, 1, {2}, -3, -4)), WANT(I32, 0, {0}, -3));
    expect(AGATE_OP_reduce_max, &all, IN(S(F64, 1, {3}, 1, NAN, 2)), WANT(F64, 0, {0}, NAN));
    expect(AGATE_OP_reduce_max, &all, IN(S(BOOL, 1, {2}, 0, 1)), WANT(BOOL, 0, {0}, 1));
}
END_TEST

START_TEST(arg_values)
{
    sample x = S(F32, 2, D(2, 3), 1, 3, 3, 2, 1, 1);
    agate_attrs first = {.arg = {.axis = 1}}, last = {.arg = {.axis = 1, .last = true}}, columns = {0};

    expect(AGATE_OP_arg_max, &first, &x, 1, WANT(I64, 1, {2}, 1, 0));
    expect(AGATE_OP_arg_max, &last, &x, 1, WANT(I64, 1, {2}, 2, 0));
    expect(AGATE_OP_arg_min, &last, &x, 1, WANT(I64, 1, {2}, 0, 2));
    expect(AGATE_OP_arg_min, &columns, &x, 1, WANT(I64, 2, D(1, 3), 0, 1, 1));
    expect(AGATE_OP_arg_max, &columns, IN(S(F32, 1, {4}, 1, NAN, 9, NAN)), WANT(I64, 0, {0}, 1));
    expect_error(AGATE_OP_arg_max, &columns, IN(S(F32, 1, {0})), WANT(I64, 0, {0}),
                 AGATE_CODE_INVALID_ARGUMENT);
}
END_TEST

START_TEST(softmax_values)
{
    double e = exp(-1), sum = 1 + e;
    agate_attrs rows = {.axis = {.axis = 1}}, columns = {0};
    sample x = S(F32, 2, D(2, 2), 1000, 1001, -5, -5);

    expect(AGATE_OP_softmax, &rows, &x, 1, WANT(F32, 2, D(2, 2), e / sum, 1 / sum, 0.5, 0.5));
    expect(AGATE_OP_log_softmax, &rows, &x, 1,
           WANT(F32, 2, D(2, 2), -1 - log(sum), -log(sum), -log(2), -log(2)));
    expect(AGATE_OP_softmax, &columns, &x, 1, WANT(F32, 2, D(2, 2), 1, 1, 0, 0));
    expect(AGATE_OP_softmax, &columns, IN(S(F16, 1, {2}, NAN, 1)), WANT(F16, 1, {2}, NAN, NAN));
    expect(AGATE_OP_softmax, &columns, IN(S(F32, 1, {0})), WANT(F32, 1, {0}));
}
END_TEST

START_TEST(batch_norm_values)
{
    agate_attrs attrs = {.norm = {.epsilon = 0}};
    sample x[] = {S(F32, 3, D(1, 2, 2), 1, 2, 3, 4), S(F32, 1, {2}, 2, 1), S(F32, 1, {2}, 0, 10),
                  S(F32, 1, {2}, 1, 3), S(F32, 1, {2}, 4, 0.25)};
    agate_tensor tensors[5], out = tensor_of(&x[0]), *outputs = &out;
    const agate_tensor *inputs[5];
    static const float want[] = {0, 1, 10, 12};

    for (int i = 0; i < 5; i++) {
        tensors[i] = tensor_of(&x[i]);
        for (size_t k = 0; k < tensors[i].size_bytes / 4; k++)
            ((float *)tensors[i].data)[k] = (float)x[i].values[k];
        inputs[i] = &tensors[i];
    }
    ck_assert(agate_op_table[AGATE_OP_batch_norm].reference(
                  &(agate_ref_call){&attrs, 5, 1, inputs, &outputs, 0}) == AGATE_OK);
    ck_assert_mem_eq(out.data, want, sizeof want);
    for (int i = 0; i < 5; i++)
        free(tensors[i].data);
    free(out.data);
}
END_TEST

START_TEST(moves_of_every_size)
{
    agate_attrs swap = {0}, slice = {0}, axis1 = {.axis = {.axis = 1}};

    swap.perm.perm = (agate_ints){2, {1, 0}};
    slice.slice.starts = (agate_ints){2, {1, 2}};
    slice.slice.steps = (agate_ints){2, {-1, -2}};
    for (size_t t = 0; t < AGATE_COUNT(numbers); t++) {
        agate_dtype dtype = numbers[t];
        sample x = {dtype, 2, {2, 3}, {1, 2, 3, 4, 5, 6}};

        expect(AGATE_OP_transpose, &swap, &x, 1, &(sample){dtype, 2, {3, 2}, {1, 4, 2, 5, 3, 6}});
        expect(AGATE_OP_slice, &slice, &x, 1, &(sample){dtype, 2, {2, 2}, {6, 4, 3, 1}});
        expect(AGATE_OP_reshape, NULL, &x, 1, &(sample){dtype, 1, {6}, {1, 2, 3, 4, 5, 6}});
        expect(AGATE_OP_expand, NULL, &(sample){dtype, 2, {2, 1}, {1, 2}}, 1,
               &(sample){dtype, 3, {2, 2, 2}, {1, 1, 2, 2, 1, 1, 2, 2}});
        expect(AGATE_OP_concat, &axis1, (sample[]){x, {dtype, 2, {2, 0}, {0}}, {dtype, 2, {2, 1}, {7, 8}}}, 3,
               &(sample){dtype, 2, {2, 4}, {1, 2, 3, 7, 4, 5, 6, 8}});
        expect(AGATE_OP_gather, &axis1, (sample[]){x, {AGATE_I64, 2, {1, 2}, {-1, 0}}}, 2,
               &(sample){dtype, 3, {2, 1, 2}, {3, 1, 6, 4}});
        expect(AGATE_OP_gather, &axis1, (sample[]){x, {AGATE_I32, 0, {0}, {1}}}, 2,
               &(sample){dtype, 1, {2}, {2, 5}});
    }
    expect(AGATE_OP_gather, NULL, IN(S(F32, 2, D(3, 0)), S(I64, 1, {1}, 2)), WANT(F32, 2, D(1, 0)));
    expect_error(AGATE_OP_gather, NULL, IN(S(F32, 1, {3}), S(I64, 1, {1}, 3)), WANT(F32, 1, {1}),
                 AGATE_CODE_INVALID_ARGUMENT);
    expect_error(AGATE_OP_gather, NULL, IN(S(F32, 1, {0}), S(I64, 1, {1}, 0)), WANT(F32, 1, {1}),
                 AGATE_CODE_INVALID_ARGUMENT);
}
END_TEST

START_TEST(resamples)
{
    const agate_attrs axis1 = {.axis = {.axis = 1}};

    /* First taps beyond an end are moved to it. */
    expect(AGATE_OP_resample, &axis1,
           IN(S(F32, 3, D(1, 4, 2), 1, 10, 2, 20, 3, 30, 4, 40), S(I64, 1, {3}, 1, -5, 9),
              S(F32, 2, D(3, 2), 0.5, 0.25, 1, 0, 0, 2)),
           WANT(F32, 3, D(1, 3, 2), 1.75, 17.5, 1, 10, 8, 80));
    expect(AGATE_OP_resample, NULL,
           IN(S(F64, 1, {3}, 1, 2, 3), S(I64, 1, {1}, 0), S(F64, 2, D(1, 3), 1, -1, 1)),
           WANT(F64, 1, {1}, 2));
}
END_TEST

START_TEST(pad_modes)
{
    static const struct {
        agate_padding mode;
        double want[9];
    } rows[] = {
        {AGATE_PAD_CONSTANT, {9, 9, 9, 1, 2, 3, 9, 9, 9}},
        {AGATE_PAD_EDGE, {1, 1, 1, 1, 2, 3, 3, 3, 3}},
        {AGATE_PAD_REFLECT, {2, 3, 2, 1, 2, 3, 2, 1, 2}},
        {AGATE_PAD_WRAP, {1, 2, 3, 1, 2, 3, 1, 2, 3}},
    };
    sample x = S(F32, 1, {3}, 1, 2, 3);
    agate_attrs attrs = {0};

    for (size_t i = 0; i < AGATE_COUNT(rows); i++) {
        sample want = {.dtype = AGATE_F32, .rank = 1, .dims = {9}};

        memcpy(want.values, rows[i].want, sizeof rows[i].want);
        attrs.pad = (agate_attrs_pad){.begins = {1, {3}}, .ends = {1, {3}}, .mode = rows[i].mode, .value = 9};
        expect(AGATE_OP_pad, &attrs, &x, 1, &want);
    }
    attrs.pad = (agate_attrs_pad){.begins = {2, {-1, 0}}, .ends = {2, {1, -1}}, .value = -1};
    expect(AGATE_OP_pad, &attrs, IN(S(I64, 2, D(2, 2), 1, 2, 3, 4)), WANT(I64, 2, D(2, 1), 3, -1));
    attrs.pad = (agate_attrs_pad){.begins = {1, {2}}, .ends = {1, {0}}, .mode = AGATE_PAD_REFLECT};
    expect(AGATE_OP_pad, &attrs, IN(S(F32, 1, {1}, 5)), WANT(F32, 1, {3}, 5, 5, 5));
    expect_error(AGATE_OP_pad, &attrs, IN(S(F32, 1, {0})), WANT(F32, 1, {2}), AGATE_CODE_INVALID_ARGUMENT);
    attrs.pad.mode = AGATE_PAD_CONSTANT;
    expect(AGATE_OP_pad, &attrs, IN(S(F32, 1, {0})), WANT(F32, 1, {2}, 0, 0));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ref");
    TCase *tests = tcase_create("ref");

    tcase_add_test(tests, scalars_by_formula);
    tcase_add_test(tests, scalars_broadcast_in_every_type);
    tcase_add_test(tests, integers_never_trap);
    tcase_add_test(tests, nan_and_bool);
    tcase_add_test(tests, cast_between_all);
    tcase_add_test(tests, conv_values);
    tcase_add_test(tests, matmul_values);
    tcase_add_test(tests, pool_values);
    tcase_add_test(tests, reduce_values);
    tcase_add_test(tests, arg_values);
    tcase_add_test(tests, softmax_values);
    tcase_add_test(tests, batch_norm_values);
    tcase_add_test(tests, moves_of_every_size);
    tcase_add_test(tests, resamples);
    tcase_add_test(tests, pad_modes);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
