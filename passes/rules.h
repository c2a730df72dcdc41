/* rules.h: a rewrite rule of canonicalize.
 *
 * A rule looks at `node` and returns NULL where it does not apply; otherwise the value to use instead of the
 * node's result, of the same type: an older value, or one it built in front of the node. A rule that edits
 * the node in place returns the node's own result. Fuel, replacing and clearing away belong to the driver.
 */
#ifndef AGATE_RULES_H
#define AGATE_RULES_H

#include "passes/rewrite.h"

typedef agate_value *(*agate_rule_fn)(agate_node *node);

#define AGATE_RULE(op, id, meaning) agate_value *agate_rule_##id(agate_node *node);
#include "passes/rules.def"
#undef AGATE_RULE

#endif
