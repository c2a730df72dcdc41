/* typed_one.h: one turn of typed.h: fills in what the type leaves out, includes the template, forgets the
 * type. */
#ifndef KIND
#define KIND AGATE_KIND_INTEGER
#endif
#ifndef S
#define S T
#endif
#if KIND == AGATE_KIND_FLOAT
#define W         double
#define LOWEST    (-INFINITY)
#define HIGHEST   INFINITY
#define IS_NAN(s) isnan(s)
#else
#define W         uint64_t
#define IS_NAN(s) false
#endif
#ifndef LOWEST
#define LOWEST 0
#endif
#ifndef SIGNED
#define SIGNED 0
#endif
#ifndef GET
#define GET(t) (t)
#endif
#ifndef PUT
#define PUT(c) ((T)(c))
#endif
#define NAME_JOIN(f, suffix)   f##_##suffix
#define NAME_EXPAND(f, suffix) NAME_JOIN(f, suffix)
#define NAME(f)                NAME_EXPAND(f, SUFFIX)

#include TEMPLATE

#undef SUFFIX
#undef T
#undef S
#undef W
#undef KIND
#undef SIGNED
#undef IS_NAN
#undef LOWEST
#undef HIGHEST
#undef GET
#undef PUT
#undef NAME_JOIN
#undef NAME_EXPAND
#undef NAME
