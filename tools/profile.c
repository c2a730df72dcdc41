/* profile.c: names of kernels and nodes for a table, and why a kernel is far from its roofline. */
#include "tools/profile.h"

#include <stdlib.h>

/* ---- names --------------------------------------------------------------------------------------------- */

/* Is this tile of interest? Not how wide vectors are, which the instruction set says, nor what is left
 * whole. */
static bool is_shown(const char *tile, size_t length)
{
    return !(length > 2 && memcmp(tile, "v=", 2) == 0) &&
           !(length > 2 && memcmp(tile + length - 2, "=1", 2) == 0);
}

void agate_profile_kernel(const char *label, agate_text *text)
{
    size_t length = strcspn(label, "<");

    agate_text_add_bytes(text, label, length);
    for (label += length; *label; label += length) {
        label += strspn(label, "<, >");
        length = strcspn(label, ",>");
        if (length > 0 && is_shown(label, length)) {
            agate_text_add(text, " ");
            agate_text_add_bytes(text, label, length);
        }
    }
}

/* Does the part of a path at `part` only begin the next one ("layer1/layer1.0")? */
static bool is_repeated(const char *part, size_t length, const char *end)
{
    const char *next = part + length + 1;

    return next + length < end && memcmp(part, next, length) == 0 && next[length] == '.';
}

static void add_path(const char *path, const char *end, agate_text *text)
{
    while (path < end) {
        const char *slash = memchr(path, '/', (size_t)(end - path));
        size_t length = (size_t)((slash ? slash : end) - path);

        if (length > 0 && !(slash && is_repeated(path, length, end))) {
            agate_text_add_bytes(text, path, length);
            if (slash && slash + 1 < end)
                agate_text_add(text, "/");
        }
        path += length + 1;
    }
}

void agate_profile_nodes(const char *origin, size_t width, agate_text *text)
{
    const size_t begin = text->size_bytes;

    for (bool first = true; *origin; first = false) {
        const char *end = origin + strcspn(origin, "+"), *part = end;

        while (part > origin && part[-1] != '/')
            part--;
        if (!first)
            agate_text_add(text, "+");
        add_path(first ? origin : part, end, text);
        origin = end + (*end == '+');
    }
    if (text->size_bytes - begin > width) {
        text->size_bytes = begin + width - 3;
        agate_text_add(text, "...");
    }
}

/* ---- reasons ------------------------------------------------------------------------------------------- */

#define SHORT_MS     0.02
#define FEW_CHANNELS 4

/* What holds for every kernel of a strategy. */
static const struct {
    const char *strategy, *reason;
} by_strategy[] = {
    {"library", "the reference kernel computes it, one element at a time on one thread"},
    {"nest", "no strategy fits it, so it goes one element at a time"},
    {"depthwise", "each input meets one filter only, so loads limit it, not multiply-adds"},
    {"grouped_conv", "a group has too few channels to use what was loaded again"},
    {"pool", "it compares rather than multiplies, and reads each input in several windows"},
};

static bool is_strategy(const agate_module_step *step, const char *name)
{
    size_t length = strlen(name);

    return strncmp(step->label, name, length) == 0 &&
           (step->label[length] == '<' || step->label[length] == 0);
}

/* A convolution that reads the few channels of a picture. */
static bool reads_few_channels(const agate_module *module, const agate_module_step *step)
{
    const agate_module_type *x = &module->args[step->first_arg].type;

    return (is_strategy(step, "direct_conv") || is_strategy(step, "bands")) && step->operand_count > 0 &&
           x->rank > 1 && x->dims[1].offset <= FEW_CHANNELS;
}

/* A convolution to so few channels that a quarter of the vectors' lanes or more have none. */
static bool leaves_lanes(const agate_module *module, const agate_module_step *step)
{
    const agate_module_type *y = &module->args[step->first_arg + step->operand_count].type;
    const char *tile = strstr(step->label, "v=");
    const int64_t lanes = tile ? strtol(tile + 2, NULL, 10) : 0;

    if (!is_strategy(step, "direct_conv") || step->result_count == 0 || y->rank < 2 || lanes < 1)
        return false;
    return 4 * y->dims[1].offset <= 3 * lanes * agate_ceil_div(y->dims[1].offset, lanes);
}

const char *agate_profile_reason(const agate_module *module, const agate_module_step *step, int64_t batch,
                                 int64_t threads, double ms)
{
    if (ms < SHORT_MS)
        return "it is so short that starting it weighs as much";
    for (size_t i = 0; i < AGATE_COUNT(by_strategy); i++)
        if (is_strategy(step, by_strategy[i].strategy))
            return by_strategy[i].reason;
    if (agate_dim_at(step->task_count, batch) < threads)
        return "it has fewer tasks than there are threads";
    if (reads_few_channels(module, step))
        return "its input has too few channels to use what was loaded again";
    if (leaves_lanes(module, step))
        return "the channels of its result leave lanes of its vectors empty";
    return NULL;
}
