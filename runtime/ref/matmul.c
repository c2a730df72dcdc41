/* matmul.c: matrix products with numpy's rules: leading dimensions broadcast, a vector is a row or a column.
 */
#include <math.h>

#include "runtime/ref/element.h"
#include "runtime/ref/index.h"

#define ROW 64 /* columns that are summed side by side */

typedef struct matrices {
    int64_t m, n, k;
    int32_t batch_rank;
    int64_t batch[AGATE_MAX_RANK];
    int64_t a_strides[AGATE_MAX_RANK]; /* of the batch dimensions, in matrices */
    int64_t b_strides[AGATE_MAX_RANK];
} matrices;

static matrices matrices_of(const agate_tensor *a, const agate_tensor *b, const agate_tensor *y)
{
    int32_t a_batch = (int32_t)agate_max(a->rank - 2, 0), b_batch = (int32_t)agate_max(b->rank - 2, 0);
    matrices shape = {
        .m = a->rank > 1 ? a->dims[a->rank - 2] : 1,
        .n = b->rank > 1 ? b->dims[b->rank - 1] : 1,
        .k = a->dims[a->rank - 1],
        .batch_rank = (int32_t)agate_max(a_batch, b_batch),
    };

    memcpy(shape.batch, y->dims, sizeof shape.batch);
    agate_broadcast_strides(a_batch, a->dims, shape.batch_rank, shape.a_strides);
    agate_broadcast_strides(b_batch, b->dims, shape.batch_rank, shape.b_strides);
    return shape;
}

#define TEMPLATE "runtime/ref/matmul_typed.h"
#include "runtime/ref/typed.h"

AGATE_REF(matmul)
{
    static const agate_typed_fn table[AGATE_DTYPE_SLOTS] = {AGATE_FLOAT_TYPED(matmul),
                                                            AGATE_INTEGER_TYPED(matmul)};

    return agate_call_typed(table, call, 0, "matmul");
}
