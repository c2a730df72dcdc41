/* op_scalar.c: elementwise operators. Those that are one core op are rows of onnx_ops.def. */
#include "frontend/importer.h"

#include <math.h>

/* The word number `index` of a row's attributes, or NULL; `room` holds it. */
static const char *attribute_word(const agate_onnx_op *row, int index, char room[32])
{
    const char *at = row->attributes;
    for (; index > 0 && *at; index--) {
        at += strcspn(at, " ");
        at += strspn(at, " ");
    }
    const size_t length = strcspn(at, " ");
    assert(length < 32);
    memcpy(room, at, length);
    room[length] = '\0';
    return length ? room : NULL;
}

void agate_import_pointwise(agate_call *call)
{
    char word[32];
    agate_attrs attrs;
    agate_attrs_init(AGATE_SET_param, &attrs);
    if (attribute_word(call->row, 0, word))
        attrs.param.alpha = agate_attr_float(call, word, call->row->p);
    if (attribute_word(call->row, 1, word))
        attrs.param.beta = agate_attr_float(call, word, call->row->q);
    call->results[0] = agate_lower(call, call->row->op, &attrs, call->operands, call->operand_count);
}

/* An operator without attributes that is one core op. */
void agate_import_plain(agate_call *call)
{
    call->results[0] = agate_lower(call, call->row->op, NULL, call->operands, call->operand_count);
}

void agate_import_is_inf(agate_call *call)
{
    const bool negative = agate_attr_bool(call, "detect_negative", true);
    const bool positive = agate_attr_bool(call, "detect_positive", true);
    agate_value *x = call->operands[0], *infinite = agate_lower1(call, AGATE_OP_is_inf, x);
    if (!negative || !positive) {
        /* Neither side wanted: an element is not above and below 0 at once. */
        agate_value *zero = agate_lower_scalar(call, x->type.dtype, 0);
        if (!negative)
            infinite =
                agate_lower2(call, AGATE_OP_and, infinite, agate_lower2(call, AGATE_OP_greater, x, zero));
        if (!positive)
            infinite = agate_lower2(call, AGATE_OP_and, infinite, agate_lower2(call, AGATE_OP_less, x, zero));
    }
    call->results[0] = infinite;
}

/* The result has the base's element type; integers to a broken power are computed as doubles, which hold
 * every one of 32 bits. */
void agate_import_pow(agate_call *call)
{
    agate_value *base = call->operands[0], *exponent = call->operands[1];
    const agate_dtype dtype = base->type.dtype;
    const bool broken = !agate_is_float(dtype) && agate_is_float(exponent->type.dtype);
    base = agate_lower_cast(call, base, broken ? AGATE_F64 : dtype);
    exponent = agate_lower_cast(call, exponent, broken ? AGATE_F64 : dtype);
    call->results[0] = agate_lower_cast(call, agate_lower2(call, AGATE_OP_pow, base, exponent), dtype);
}

void agate_import_mod(agate_call *call)
{
    const bool fmod = agate_attr_bool(call, "fmod", false);
    if (!fmod && agate_is_float(call->operands[0]->type.dtype))
        agate_call_invalid(call, "on floats the attribute \"fmod\" must be 1");
    call->results[0] =
        agate_lower2(call, fmod ? AGATE_OP_fmod : AGATE_OP_mod, call->operands[0], call->operands[1]);
}

void agate_import_bit_shift(agate_call *call)
{
    const char *direction = agate_attr_string(call, "direction", "");
    const bool left = strcmp(direction, "LEFT") == 0;
    if (!left && strcmp(direction, "RIGHT") != 0)
        agate_call_invalid(call, "the attribute \"direction\" must be LEFT or RIGHT, not \"%s\"", direction);
    call->results[0] = agate_lower2(call, left ? AGATE_OP_shift_left : AGATE_OP_shift_right,
                                    call->operands[0], call->operands[1]);
}

static agate_value *chain(agate_call *call, agate_op op)
{
    agate_value *value = call->operands[0];
    for (int32_t i = 1; i < call->operand_count; i++)
        value = agate_lower2(call, op, value, call->operands[i]);
    return value;
}

void agate_import_variadic(agate_call *call)
{
    call->results[0] = chain(call, call->row->op);
}

void agate_import_mean(agate_call *call)
{
    agate_value *sum = chain(call, AGATE_OP_add);
    if (sum)
        sum = agate_lower2(call, AGATE_OP_div, sum,
                           agate_lower_scalar(call, sum->type.dtype, call->operand_count));
    call->results[0] = sum;
}

/* The core's select takes its condition in the element type of what it selects. */
static agate_value *emit_select(agate_call *call, agate_value *condition, agate_value *yes, agate_value *no)
{
    if (!condition || !yes || !no)
        return NULL;
    condition = agate_lower_cast(call, condition, yes->type.dtype);
    return agate_lower(call, AGATE_OP_select, NULL, (agate_value *[]){condition, yes, no}, 3);
}

void agate_import_where(agate_call *call)
{
    if (call->operands[0]->type.dtype != AGATE_BOOL)
        agate_call_invalid(call, "its condition must be bool, not %s",
                           agate_dtype_name(call->operands[0]->type.dtype));
    call->results[0] = emit_select(call, call->operands[0], call->operands[1], call->operands[2]);
}

/* The bound of Clip: an attribute before opset 11, then an optional operand of one element. */
static agate_value *clip_bound(agate_call *call, const char *name, int32_t index)
{
    if (call->opset >= 11) {
        agate_value *bound = agate_call_operand(call, index);
        for (int32_t i = 0; bound && i < bound->type.rank; i++)
            if (!agate_dim_is(bound->type.dims[i], 1))
                agate_call_invalid(call, "its input %d (%s) must be a scalar", index, name);
        /* One element of more dimensions would pass these on. */
        return bound && !call->faulty ? agate_lower_reshape(call, bound, 0, NULL) : NULL;
    }
    return agate_attr_has(call, name)
               ? agate_lower_scalar(call, call->operands[0]->type.dtype, agate_attr_float(call, name, 0))
               : NULL;
}

void agate_import_clip(agate_call *call)
{
    agate_value *low = clip_bound(call, "min", 1), *high = clip_bound(call, "max", 2);
    agate_value *value = call->operands[0];
    if (low)
        value = agate_lower2(call, AGATE_OP_max, value, low);
    if (high)
        value = agate_lower2(call, AGATE_OP_min, value, high);
    call->results[0] = value;
}

void agate_import_gelu(agate_call *call)
{
    const char *approximate = agate_attr_string(call, "approximate", "none");
    const bool by_tanh = strcmp(approximate, "tanh") == 0;
    agate_value *x = call->operands[0], *inner;

    if (!by_tanh && strcmp(approximate, "none") != 0)
        agate_call_invalid(call, "the attribute \"approximate\" must be none or tanh, not \"%s\"",
                           approximate);
    if (by_tanh) {
        agate_value *cube = agate_lower2(call, AGATE_OP_mul, x, agate_lower2(call, AGATE_OP_mul, x, x));
        inner = agate_lower2(call, AGATE_OP_add, x, agate_lower_with(call, AGATE_OP_mul, cube, 0.044715));
        inner =
            agate_lower1(call, AGATE_OP_tanh, agate_lower_with(call, AGATE_OP_mul, inner, sqrt(2 / M_PI)));
    } else {
        inner = agate_lower1(call, AGATE_OP_erf, agate_lower_with(call, AGATE_OP_mul, x, sqrt(0.5)));
    }
    agate_value *half = agate_lower_with(call, AGATE_OP_mul, x, 0.5);
    call->results[0] = agate_lower2(call, AGATE_OP_mul, half, agate_lower_with(call, AGATE_OP_add, inner, 1));
}

void agate_import_swish(agate_call *call)
{
    const double alpha = agate_attr_float(call, "alpha", 1);
    agate_value *x = call->operands[0];
    if (alpha == 1) {
        call->results[0] = agate_lower1(call, AGATE_OP_silu, x);
        return;
    }
    agate_value *gate = agate_lower1(call, AGATE_OP_sigmoid, agate_lower_with(call, AGATE_OP_mul, x, alpha));
    call->results[0] = agate_lower2(call, AGATE_OP_mul, x, gate);
}

void agate_import_mish(agate_call *call)
{
    agate_value *x = call->operands[0], *soft = agate_lower1(call, AGATE_OP_softplus, x);
    call->results[0] = agate_lower2(call, AGATE_OP_mul, x, agate_lower1(call, AGATE_OP_tanh, soft));
}

/* x + bias below -lambd, x - bias above lambd, 0 between. Integers meet a broken bias as doubles; bounds of
 * them may be whole. */
void agate_import_shrink(agate_call *call)
{
    const double bias = agate_attr_float(call, "bias", 0), lambd = agate_attr_float(call, "lambd", 0.5);
    const agate_dtype dtype = call->operands[0]->type.dtype;
    const bool integer = !agate_is_float(dtype), exact = bias == floor(bias) && lambd >= 0;
    const agate_dtype kept = integer && !exact ? AGATE_F64 : dtype;
    const double high = integer ? floor(lambd) : lambd, low = integer ? ceil(-lambd) : -lambd;
    agate_value *x = agate_lower_cast(call, call->operands[0], kept),
                *zero = agate_lower_scalar(call, kept, 0);
    agate_value *lowered = agate_lower_with(call, AGATE_OP_sub, x, bias),
                *raised = agate_lower_with(call, AGATE_OP_add, x, bias);
    agate_value *above = emit_select(call, agate_lower_with(call, AGATE_OP_greater, x, high), lowered, zero);
    agate_value *below = agate_lower_with(call, AGATE_OP_less, x, low);
    call->results[0] = agate_lower_cast(call, emit_select(call, below, raised, above), dtype);
}
