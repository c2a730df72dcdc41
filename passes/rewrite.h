/* rewrite.h: what the passes share: reading and making constants, building and clearing away nodes. */
#ifndef AGATE_REWRITE_H
#define AGATE_REWRITE_H

#include "passes/pass.h"

#define AGATE_PASS(id, text, stage, summary) bool agate_pass_##id(agate_pass *pass, agate_graph *graph);
#include "passes/passes.def"
#undef AGATE_PASS

/* ---- values ------------------------------------------------------------------------------------------- */

static inline bool agate_is_constant(const agate_value *value)
{
    return value->node && agate_node_has(value->node, AGATE_CONSTANT);
}

static inline agate_family agate_node_family(const agate_node *node)
{
    return agate_op_table[node->op].family;
}

/* Sets `scratch` of every parameter and result to 0. */
static inline void agate_clear_scratch(const agate_graph *graph)
{
    for (int32_t i = 0; i < graph->param_count; i++)
        graph->params[i]->scratch = 0;
    AGATE_EACH_NODE (node, graph)
        for (int32_t i = 0; i < node->result_count; i++)
            node->results[i].scratch = 0;
}

/* The node that made `value`, if it is of this op; else NULL. */
static inline agate_node *agate_made_by(const agate_value *value, agate_op op)
{
    return agate_value_is(value, op) ? value->node : NULL;
}

/* ---- constants ---------------------------------------------------------------------------------------- */

/* Is `value` a constant whose elements all equal one number (NaN counts as no number)? */
bool agate_constant_splat(const agate_value *value, double *out_number);

/* Can constant `value`, broadcast to `type`, vary along dimension `axis` only? Then writes the `axis`
 * extent's worth of numbers. False where its contents are unknown or the extent is not fixed. */
bool agate_constant_along(const agate_value *value, const agate_type *type, int32_t axis,
                          double *out_numbers);

/* Elements `start`, `start + 1`, ... of floats, read as or rounded from doubles. `dtype` is a float. */
void agate_floats_read(const void *bytes, agate_dtype dtype, int64_t start, int64_t count,
                       double *out_numbers);
void agate_floats_write(void *bytes, agate_dtype dtype, int64_t start, int64_t count, const double *numbers);

/* A constant in front of `before` with these numbers, rounded once to the float type `type`. `label` as in
 * agate_build_constant. NULL where memory is short. */
agate_value *agate_build_floats(agate_node *before, const agate_type *type, const double *numbers,
                                const char *label);

/* Name of a constant without its last part: "layer1.bn2" of "layer1.bn2.scale"; whole where it has one part.
 * `label` may be NULL: then so is the result. In `arena`. */
const char *agate_label_stem(agate_arena *arena, const char *label);

/* ---- nodes -------------------------------------------------------------------------------------------- */

/* agate_build in front of `node`, with the origin of `node`. */
agate_value *agate_rebuild(agate_node *node, agate_op op, const agate_attrs *attrs,
                           agate_value *const *operands, int32_t operand_count);

/* Takes over the origin of `from`, unless that of `node` is long already. */
void agate_take_origin(agate_node *node, const agate_node *from);

/* Removes `node`, if no result of it is used, and then whatever only it needed. All of that stands before
 * `node`, so a forward walk stays valid, also where `node` is the current one. Returns whether anything went.
 */
bool agate_sweep(agate_node *node);

/* Every use of the one result of `node` becomes one of `with`; then sweeps `node`. */
void agate_replace(agate_node *node, agate_value *with);

#endif
