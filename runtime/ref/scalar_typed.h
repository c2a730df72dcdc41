/* scalar_typed.h: the words that any number takes, and the loop over one tensor, for one element type. */
#define WORD1(name, type, expression)                                                                        \
    static inline type NAME(name)(S a)                                                                       \
    {                                                                                                        \
        return (type)(expression);                                                                           \
    }
#define WORD2(name, type, expression)                                                                        \
    static inline type NAME(name)(S a, S b)                                                                  \
    {                                                                                                        \
        return (type)(expression);                                                                           \
    }

WORD2(lt, bool, a < b)
WORD2(le, bool, a <= b)
WORD2(eq, bool, a == b)

#if KIND == AGATE_KIND_FLOAT

WORD2(add, S, a + b)
WORD2(sub, S, a - b)
WORD2(mul, S, a *b)
WORD2(div, S, a / b)
WORD2(fmod, S, fmod(a, b))
WORD2(pow, S, pow(a, b))
WORD2(max, S, a > b || isnan(a) ? a : b)
WORD2(min, S, a < b || isnan(a) ? a : b)
WORD1(neg, S, -a)
WORD1(abs, S, fabs(a))

#elif KIND == AGATE_KIND_INTEGER

#define BITS ((S)(sizeof(S) * 8))

WORD2(add, S, (uint64_t)a + (uint64_t)b)
WORD2(sub, S, (uint64_t)a - (uint64_t)b)
WORD2(mul, S, (uint64_t)a *(uint64_t)b)
WORD1(neg, S, -(uint64_t)a)
WORD1(abs, S, LT(a, 0) ? NEG(a) : a)
WORD2(max, S, a > b ? a : b)
WORD2(min, S, a < b ? a : b)

/* The least number divided by -1 does not fit, and traps. */
WORD2(div, S, b == 0 ? 0 : SIGNED && b == (S)-1 ? NEG(a) : a / b)
WORD2(fmod, S, b == 0 || (SIGNED && b == (S)-1) ? 0 : a % b)

WORD2(shl, S, LT(b, 0) || b >= BITS ? 0 : (uint64_t)a << b)
WORD2(shr, S, LT(b, 0) || b >= BITS ? (LT(a, 0) ? (S)-1 : (S)0) : (S)(a >> b))

#undef BITS

/* By squaring. A negative power is 0, save that of 1 and -1. */
static inline S NAME(pow)(S a, S b)
{
    S result = 1;

    if (LT(b, 0))
        return a == 1 ? 1 : SIGNED && a == (S)-1 ? (b & 1 ? a : 1) : 0;
    for (; b; b >>= 1, a = MUL(a, a))
        if (b & 1)
            result = MUL(result, a);
    return result;
}

#endif

#if KIND != AGATE_KIND_BOOL
static inline S NAME(mod)(S a, S b)
{
    S rest = FMOD(a, b);

    return rest != 0 && LT(rest, 0) != LT(b, 0) ? ADD(rest, b) : rest;
}
#endif

#undef WORD1
#undef WORD2

/* Rows that take this kind of type; agate_ref_scalar has refused the others. */
#if KIND == AGATE_KIND_FLOAT
#define IF_F(row) row
#else
#define IF_F(row)
#endif
#if KIND == AGATE_KIND_INTEGER
#define IF_I(row) row
#else
#define IF_I(row)
#endif
#if KIND == AGATE_KIND_BOOL
#define IF_B(row) row
#define IF_N(row)
#else
#define IF_B(row)
#define IF_N(row) row
#endif
#define IF_IB(row) IF_I(row) IF_B(row)
#define IF_A(row)  row

static void NAME(scalar)(const agate_ref_call *call, int32_t op)
{
    const operands in = operands_of(call);
    const S P = KIND == AGATE_KIND_FLOAT ? (S)call->attrs->param.alpha : 0;
    const S Q = KIND == AGATE_KIND_FLOAT ? (S)call->attrs->param.beta : 0;
    agate_tensor *out = call->outputs[0];
    int64_t i = 0;

    (void)P;
    (void)Q;
    for (agate_walk w = agate_walk_begin(out->rank, out->dims); w.live; agate_walk_next(&w), i++) {
        const S A = GET(((const T *)in.tensor[0]->data)[agate_offset(w.rank, w.at, in.strides[0])]);
        const S B = GET(((const T *)in.tensor[1]->data)[agate_offset(w.rank, w.at, in.strides[1])]);
        const S C = GET(((const T *)in.tensor[2]->data)[agate_offset(w.rank, w.at, in.strides[2])]);

        (void)B;
        (void)C;
        switch ((agate_scalar_op)op) {
#define AGATE_SCALAR(id, arity, types, result, expression)                                                   \
    case AGATE_SCALAR_##id:                                                                                  \
        IF_##types(STORE_##result(i, expression);) break;
#include "runtime/base/scalar.def"
#undef AGATE_SCALAR
        case AGATE_SCALAR_COUNT:
            break;
        }
    }
}

#undef IF_F
#undef IF_I
#undef IF_B
#undef IF_N
#undef IF_IB
#undef IF_A
