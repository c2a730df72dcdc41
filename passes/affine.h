/* affine.h: chains of mul, div, add and sub by constants per channel, and of batch_norm, as one x * scale +
 * shift. Internal to passes/. */
#ifndef AGATE_AFFINE_H
#define AGATE_AFFINE_H

#include "passes/rewrite.h"

typedef struct agate_affine {
    agate_type type; /* of every value in the chain */
    int32_t axis;    /* the dimension of the channels */
    int64_t count;   /* channels */
    double *scale;   /* one per channel */
    double *shift;
    int32_t links;    /* ops in the chain */
    bool scales;      /* does any do more than add? */
    agate_value *end; /* behind an anchor: the last result; in front of one: the first operand */
    agate_text names; /* of the constants, joined by '*' */
} agate_affine;

/* The empty chain at `value`. False where the channels are not a fixed number of floats. */
bool agate_affine_init(agate_affine *chain, agate_pass *pass, agate_value *value, int32_t axis);
void agate_affine_deinit(agate_affine *chain);

/* Writes batch_norm `node` over `channels` as x * scale + shift. False where its statistics are not known
 * constants. */
bool agate_affine_of_norm(agate_pass *pass, const agate_node *node, int64_t channels, double *out_scale,
                          double *out_shift);

/* Extends the chain by what uses its end, where that is the only use: end' = op(end, constant). */
void agate_affine_grow_behind(agate_affine *chain, agate_pass *pass);

/* Extends the chain by what makes its end: end = op(end', constant), as long as `end` is used only there.
 * With `shifts` false, stops at anything that adds other than zero. */
void agate_affine_grow_front(agate_affine *chain, agate_pass *pass, bool shifts);

/* `label` with the chain's names: "conv1.weight*bn1"; NULL where neither has a name. In `arena`. */
const char *agate_affine_label(const agate_affine *chain, agate_arena *arena, const char *label);

#endif
