/* emit_space.h: the walk over the elements of a result, shared out to tasks; beneath pointwise, nest, pool
 * and reduce. */
#ifndef AGATE_EMIT_SPACE_H
#define AGATE_EMIT_SPACE_H

#include "backend/emit_parts.h"

/* A result's elements as tasks of rows of vectors. The axes run in the order of memory, so stores are near
 * each other. */
typedef struct agate_space {
    const agate_type *type;
    int32_t vector; /* dimension of the lanes; -1: elements one by one */
    int32_t lanes;
    int32_t block; /* `vector` is walked in blocks of this: its outer part is an axis; 0: it is walked whole
                      in each row */
    agate_phys_axis axes[AGATE_MAX_PHYS];
    int32_t axis_count; /* all but what the vectors walk */
    int32_t row_axes;   /* the first of the axes number the rows; the last one may run within a row */
    int64_t task_rows;
    int64_t rows;  /* per turn of the first axis where `by_first`, else in all */
    bool by_first; /* the first axis has tasks of its own, because it follows the batch */
    agate_dim tasks;
} agate_space;

/* The dimension that vectors of at most `lanes` best run along: channels in blocks, else the innermost that
 * is not 1. Writes how many lanes fit; -1 and 1 where none do. */
int32_t agate_space_vector(const agate_type *type, int32_t lanes, int32_t *out_lanes);

/* `grain`: elements of the result that a task computes, about. */
agate_space agate_space_make(const agate_type *type, int32_t vector, int32_t lanes, int64_t grain);

typedef void (*agate_space_fn)(agate_emitter *e, const agate_coords *coords, void *user);

/* Emits the loop over the tasks and, within, over the elements; `body` once per vector (twice where there is
 * a tail). */
void agate_emit_space(agate_emitter *e, const agate_space *space, agate_space_fn body, void *user);

/* A kernel whose result's vectors would be gathered element by element, while its operand has vectors along
 * `across`: square tiles of `lanes` are read along `across`, transposed in registers and written along
 * `along`. */
typedef struct agate_transposition {
    int32_t along, across;
    int32_t lanes;
    agate_type tiles; /* the result with `along` counted in tiles and `across` left out */
    agate_space space;
} agate_transposition;

/* Returns false where the kernel is of another kind. */
bool agate_transposition_find(const agate_node *kernel, agate_transposition *out_transposition);
void agate_emit_transposition(agate_emitter *e, const agate_transposition *transposition);

#endif
