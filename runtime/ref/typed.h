/* typed.h: includes the file TEMPLATE once per element type. No include guard, on purpose.
 *
 * Define TEMPLATE, and FLOATS_ONLY to leave out integers and bool. The template sees
 *   NAME(f)   f with the type's name behind it      T        the type in memory
 *   KIND      AGATE_KIND_*                          S        the type that scalars compute in
 *   SIGNED    1 for signed integers, 0 for others   W        the type that sums are kept in: double, or
 * uint64_t, which LOWEST, HIGHEST   least and greatest value               wraps and so serves all integers
 *   IS_NAN(s) false for what is no float
 *   GET(t)    S of an element in memory             PUT(c)   and back
 */
#define SUFFIX F32
#define T      float
#define S      float
#define KIND   AGATE_KIND_FLOAT
#include "runtime/ref/typed_one.h"

#define SUFFIX F64
#define T      double
#define S      double
#define KIND   AGATE_KIND_FLOAT
#include "runtime/ref/typed_one.h"

#define SUFFIX F16
#define T      uint16_t
#define S      float
#define KIND   AGATE_KIND_FLOAT
#define GET(t) agate_f16_to_f32(t)
#define PUT(c) agate_f32_to_f16((float)(c))
#include "runtime/ref/typed_one.h"

#define SUFFIX BF16
#define T      uint16_t
#define S      float
#define KIND   AGATE_KIND_FLOAT
#define GET(t) agate_bf16_to_f32(t)
#define PUT(c) agate_f32_to_bf16((float)(c))
#include "runtime/ref/typed_one.h"

#ifndef FLOATS_ONLY

#define SUFFIX  U8
#define T       uint8_t
#define HIGHEST UINT8_MAX
#include "runtime/ref/typed_one.h"

#define SUFFIX  U16
#define T       uint16_t
#define HIGHEST UINT16_MAX
#include "runtime/ref/typed_one.h"

#define SUFFIX  U32
#define T       uint32_t
#define HIGHEST UINT32_MAX
#include "runtime/ref/typed_one.h"

#define SUFFIX  U64
#define T       uint64_t
#define HIGHEST UINT64_MAX
#include "runtime/ref/typed_one.h"

#define SUFFIX  I8
#define T       int8_t
#define SIGNED  1
#define LOWEST  INT8_MIN
#define HIGHEST INT8_MAX
#include "runtime/ref/typed_one.h"

#define SUFFIX  I16
#define T       int16_t
#define SIGNED  1
#define LOWEST  INT16_MIN
#define HIGHEST INT16_MAX
#include "runtime/ref/typed_one.h"

#define SUFFIX  I32
#define T       int32_t
#define SIGNED  1
#define LOWEST  INT32_MIN
#define HIGHEST INT32_MAX
#include "runtime/ref/typed_one.h"

#define SUFFIX  I64
#define T       int64_t
#define SIGNED  1
#define LOWEST  INT64_MIN
#define HIGHEST INT64_MAX
#include "runtime/ref/typed_one.h"

/* Bytes other than 0 and 1 may come from outside; both mean something. */
#define SUFFIX  BOOL
#define T       uint8_t
#define KIND    AGATE_KIND_BOOL
#define HIGHEST 1
#define GET(t)  ((t) != 0)
#include "runtime/ref/typed_one.h"

#endif
#undef TEMPLATE
#undef FLOATS_ONLY
