/* text.h: the graph as text, and back. What prints, parses: print(parse(print(g))) is print(g) at every
 * stage.
 *
 *     graph @block(%x: f32[N,64,56,56]) -> f32[N,64,56,56] {
 *       %w = weight "conv2.w" : f32[64,64,3,3]
 *       %0 = kernel(%x, %w) direct_conv<v=16, oc=2, ow=14> {
 *         %a = conv $0, $1 pads=[1, 1, 1, 1] : f32[N,64,56,56]{nchw16c}
 *         %b = relu %a : f32[N,64,56,56]{nchw16c}
 *         yield %b
 *       } : f32[N,64,56,56]{nchw16c} at slab[200704N]
 *       return %0
 *     }
 *
 *     graph      graph @NAME(%NAME: TYPE, ...) -> RESULT { NODE... }
 *     RESULT     TYPE | NAME: TYPE | (RESULT, ...)          several, or none, stand in parentheses
 *     NODE       %V = OP %V, ... ATTR=VALUE ... : TYPE PLACE from "..."
 *                %V = const [1, 0.5, -inf, nan, 0x1.8p-3] : TYPE
 *                %V = weight "NAME" : TYPE
 *                %V, ... = kernel(%V, ...) STRATEGY<TILE=NUMBER, ...> { NODE... } : TYPE PLACE, ...
 *                return %V, ... | yield %V, ...
 *     PLACE      at slab[DIM] | at output[NUMBER]           bytes of the slab; number of the graph result
 *     NAME       identifier (letters, digits, _ and .; no digit or . first) | "any bytes, \" \\ and \x0a
 *                escaped"
 *
 * A value is printed by its ONNX name where it is a parameter or the name is an identifier that no other
 * value has; other values are numbered. Inside a kernel operands are $0, $1, ... and values lettered. `const`
 * holds its elements as one flat list in physical order; a `weight` is known by name. Attributes at their
 * default, strategy, tiles, place and origin (`from`, if asked for) may be left out. Comments run from `;` to
 * the end of the line.
 */
#ifndef AGATE_IR_TEXT_H
#define AGATE_IR_TEXT_H

#include "ir/graph.h"

typedef struct agate_print_options {
    bool origins; /* print `from "..."` */
    /* number values by when they were made, so that a value keeps its number from pass to pass */
    bool serials;
} agate_print_options;

/* Appends the graph. `options` may be NULL. Check text->failed at the end. */
void agate_print(const agate_graph *graph, const agate_print_options *options, agate_text *text);

/* Is this a name that needs no quotes? */
bool agate_is_identifier(const char *name);

/* One node, one line (kernels: several), without indentation; for messages and remarks. */
void agate_print_node(const agate_node *node, agate_text *text);

/* Strategy and tiles of a kernel node, "direct_conv<v=16, oc=2>"; nothing where it is not scheduled. */
void agate_print_schedule(const agate_node *kernel, agate_text *text);

/* The signature of a kernel node (op, body, operand types, strategy, tiles; no names): equal text means equal
 * code. */
void agate_print_signature(const agate_node *kernel, agate_text *text);

/* Parses one graph out of `size_bytes` of text (any bytes: untrusted). Errors name line and column and what
 * was expected. Types are checked against inference. Weights come without contents. `scratch` of each node is
 * its line, counted from 1. On success the graph is the caller's. */
AGATE_MUST_USE agate_status agate_parse(const char *text, size_t size_bytes, agate_graph **out_graph);

/* Like agate_parse, but does not check: faulty graphs that parse are returned for the verifier's tests. */
AGATE_MUST_USE agate_status agate_parse_unchecked(const char *text, size_t size_bytes,
                                                  agate_graph **out_graph);

#endif
