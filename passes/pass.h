/* pass.h: the frame that passes run in.
 *
 * A pass is a row of passes.def and a function `bool agate_pass_ID(agate_pass *, agate_graph *)` in its own
 * file, which returns whether it changed the graph. It may decline to do something, and says so with a
 * remark; it never fails. The runner, not the pass, owns verifying, printing, diffing, skipping, timing and
 * fuel.
 */
#ifndef AGATE_PASS_H
#define AGATE_PASS_H

#include "ir/graph.h"
#include "runtime/base/features.h"

typedef enum agate_stage {
    AGATE_STAGE_import,
    AGATE_STAGE_canonical,
    AGATE_STAGE_fused,
    AGATE_STAGE_scheduled,
    AGATE_STAGE_planned,
    AGATE_STAGE_COUNT,
} agate_stage;

const char *agate_stage_name(agate_stage stage);
bool agate_stage_parse(const char *text, agate_stage *out_stage);

typedef enum agate_precision {
#define AGATE_PRECISION(id, text, dtype, planes, summary) AGATE_PRECISION_##id,
#include "passes/precision.def"
#undef AGATE_PRECISION
    AGATE_PRECISION_COUNT
} agate_precision;

/* The mode of this name (NULL: f32). An error lists them. */
AGATE_MUST_USE agate_status agate_precision_parse(const char *text, agate_precision *out_precision);

const char *agate_precision_name(agate_precision precision); /* as it is parsed */

/* How many numbers of which type stand for an operand of a product (ir/narrow.h); 0: it is an f32. */
int32_t agate_precision_planes(agate_precision precision);
agate_dtype agate_precision_dtype(agate_precision precision);

/* Does code for the machine sum the products of two pairs of bf16 by one instruction (AVX512-BF16)? */
bool agate_has_pair_products(const agate_machine *machine);

/* Does code for the machine multiply tiles of bf16 (Intel AMX), and round to bf16 (AVX512-BF16)? */
bool agate_has_tile_products(const agate_machine *machine);

/* Features beyond those of `machine` that serve the products of this precision, along with others or alone;
 * 0: none do. */
uint32_t agate_precision_features(agate_precision precision, const agate_machine *machine);

/* Precisions of single nodes: "NODE=P,NODE=P" (NULL: of none), by the names that nodes have in the ONNX file.
 * An error where that is malformed, P is no precision, or `graph` (NULL: any), as imported, has no such
 * node. */
AGATE_MUST_USE agate_status agate_node_precisions_check(const char *list, const agate_graph *graph);

/* What such a list that was checked says of `node`, by the names it came from; `otherwise` where it says
 * nothing. */
agate_precision agate_precision_of(const char *list, agate_precision otherwise, const agate_node *node);

/* agate_precision_features of all in the list. */
uint32_t agate_node_precisions_features(const char *list, const agate_machine *machine);

typedef void (*agate_remark_fn)(void *user, const char *pass, const agate_node *node, const char *message);

/* Called before each rewrite, with the node as it is before it. */
typedef void (*agate_rewrote_fn)(void *user, const char *pass, const agate_node *node, const char *rewrite);

/* What a running pass sees. */
typedef struct agate_pass {
    const char *name;
    const agate_machine *machine;
    const struct agate_tuning *tuning; /* NULL: none */
    agate_arena *scratch;              /* emptied after each pass */
    int64_t *fuel;                     /* rewrites left; negative: no limit */
    uint64_t allowed;                  /* bit s: strategy s, which is to be asked for by name, may be used */
    agate_precision precision;
    const char *node_precisions; /* as agate_pass_options.node_precisions */
    agate_remark_fn remark;      /* NULL: nobody listens */
    void *remark_user;
    agate_rewrote_fn rewrote; /* NULL: nobody listens */
    void *rewrote_user;
} agate_pass;

/* Asks leave for one rewrite at `node`; false when the fuel is spent. Call it once per rewrite, right before
 * making it. */
bool agate_pass_spend(agate_pass *pass, const agate_node *node, const char *rewrite);

/* Says why something was or was not done. */
void agate_pass_remark(agate_pass *pass, const agate_node *node, const char *format, ...) AGATE_PRINTF(3, 4);

typedef struct agate_pass_info {
    const char *name;
    const char *summary;
    agate_stage stage; /* the stage that holds once this pass has run */
    bool (*run)(agate_pass *pass, agate_graph *graph);
} agate_pass_info;

/* All passes, in pipeline order. */
extern const agate_pass_info agate_pass_table[];
extern const size_t agate_pass_count;
const agate_pass_info *agate_pass_find(const char *name); /* NULL: none of this name */

/* Called by the runner after each pass that is to be shown; `before` is its text before, with
 * serials for numbers (NULL unless asked for). */
typedef void (*agate_dump_fn)(void *user, const char *pass, const agate_graph *graph, const char *before);

/* Zero-initialize, then set what differs. */
typedef struct agate_pass_options {
    const agate_machine *machine;      /* required */
    const struct agate_tuning *tuning; /* tiles that were measured (tuning.h), of that machine; NULL: none */
    const char *const *skip;           /* names of passes left out */
    size_t skip_count;
    const char *allow;           /* strategies to be asked for by name, separated by commas; NULL: none */
    const char *precision;       /* a row of precision.def; NULL: f32 */
    const char *node_precisions; /* of single nodes, "NODE=P,NODE=P"; NULL: of none */
    const char *print_after;     /* a pass, or "all"; NULL: none */
    bool diff;                   /* hand `before` to dump as well */
    agate_dump_fn dump;
    void *dump_user;
    bool verify_each;
    int64_t fuel; /* 0: no limit; n: n - 1 rewrites */
    agate_remark_fn remark;
    void *remark_user;
    agate_rewrote_fn rewrote; /* NULL: nobody listens */
    void *rewrote_user;
    /* one more pass, run once behind the rounds of the first stage; NULL: none. For trying a pass out, and
     * for tests of what finds a wrong one */
    const agate_pass_info *extra;
    void (*timed)(void *user, const char *what,
                  uint64_t ns); /* a pass, or what the driver does; NULL: not timed */
    void *timed_user;
} agate_pass_options;

/* The bits of agate_pass.allowed that a list as in agate_pass_options.allow names; NULL: none. */
AGATE_MUST_USE agate_status agate_passes_parse_allowed(const char *list, uint64_t *out_allowed);

/* Runs the pipeline from the graph as imported up to and including `stage`. Always verifies at the end. */
AGATE_MUST_USE agate_status agate_passes_run(agate_graph *graph, const agate_pass_options *options,
                                             agate_stage stage);

/* Runs the named passes in the order given. */
AGATE_MUST_USE agate_status agate_passes_run_named(agate_graph *graph, const agate_pass_options *options,
                                                   const char *const *names, size_t count);

#endif
