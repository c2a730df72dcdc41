/* dce: drop what no result needs.
 *
 *     %0 = relu %x               %1 = add %x, %y
 *     %1 = add %x, %y     ==>    return %1
 *     return %1
 *
 * Backwards, so that one walk finds all of it. Needs nothing; breaks nothing.
 */
#include "passes/rewrite.h"

bool agate_pass_dce(agate_pass *pass, agate_graph *graph)
{
    bool changed = false;

    (void)pass;
    AGATE_EACH_NODE_REVERSE (node, graph) {
        bool used = agate_node_has(node, AGATE_TERMINATOR);
        for (int32_t i = 0; i < node->result_count; i++)
            used |= node->results[i].use_count > 0;
        if (!used) {
            agate_node_remove(node);
            changed = true;
        }
    }
    return changed;
}
