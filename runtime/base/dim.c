/* dim.c: arithmetic on dimensions scale*N + offset. */
#include "runtime/base/base.h"

/* a/b, where that is a whole number. */
static bool divide(int64_t a, int64_t b, int64_t *out_quotient)
{
    if (b == 0 || (b == -1 && a == INT64_MIN) || a % b)
        return false;
    *out_quotient = a / b;
    return true;
}

bool agate_dim_add(agate_dim a, agate_dim b, agate_dim *out_dim)
{
    agate_dim sum;
    if (__builtin_add_overflow(a.scale, b.scale, &sum.scale) ||
        __builtin_add_overflow(a.offset, b.offset, &sum.offset))
        return false;
    *out_dim = sum;
    return true;
}

bool agate_dim_mul(agate_dim a, agate_dim b, agate_dim *out_dim)
{
    /* One side is a number, or there would be a square of N. */
    if (!agate_dim_is_fixed(b)) {
        const agate_dim swap = a;
        a = b;
        b = swap;
    }
    agate_dim product;
    if (!agate_dim_is_fixed(b) || __builtin_mul_overflow(a.scale, b.offset, &product.scale) ||
        __builtin_mul_overflow(a.offset, b.offset, &product.offset))
        return false;
    *out_dim = product;
    return true;
}

bool agate_dim_div(agate_dim a, agate_dim b, agate_dim *out_dim)
{
    agate_dim quotient = {0, 0};
    if (agate_dim_is_fixed(b)) {
        if (!divide(a.scale, b.offset, &quotient.scale) || !divide(a.offset, b.offset, &quotient.offset))
            return false;
    } else {
        /* 6N+4 over 3N+2 is 2: the same factor on both parts. */
        int64_t back;
        if (!divide(a.scale, b.scale, &quotient.offset) ||
            __builtin_mul_overflow(b.offset, quotient.offset, &back) || back != a.offset)
            return false;
    }
    *out_dim = quotient;
    return true;
}

void agate_dim_print(agate_dim dim, agate_text *text)
{
    if (dim.scale == 0) {
        agate_text_add(text, "%lld", (long long)dim.offset);
        return;
    }
    if (dim.scale != 1)
        agate_text_add(text, "%lld", (long long)dim.scale);
    agate_text_add(text, "N");
    if (dim.offset != 0)
        agate_text_add(text, "%+lld", (long long)dim.offset);
}
