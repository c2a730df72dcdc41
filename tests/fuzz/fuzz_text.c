/* fuzz_text.c: any bytes to the text parser; what parses is verified, printed, and must parse to the same
 * text again. */
#include <stdlib.h>

#include "ir/text.h"
#include "ir/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

typedef agate_status (*parse_fn)(const char *text, size_t size_bytes, agate_graph **out_graph);

static const agate_print_options with_origins = {.origins = true};

static void print_kernels(const agate_graph *graph)
{
    AGATE_EACH_NODE (node, graph)
        if (node->body) {
            agate_text signature = {0};
            agate_print_signature(node, &signature);
            agate_text_deinit(&signature);
        }
}

/* Parses what was printed and prints it again. */
static void check_again(parse_fn parse, const agate_text *printed)
{
    agate_graph *again;
    agate_text text = {0};
    agate_status status = parse(agate_text_c(printed), printed->size_bytes, &again);

    if (status != AGATE_OK)
        abort();
    agate_print(again, &with_origins, &text);
    if (text.size_bytes != printed->size_bytes ||
        memcmp(agate_text_c(&text), agate_text_c(printed), text.size_bytes) != 0)
        abort();
    agate_text_deinit(&text);
    agate_graph_release(again);
}

static void check(parse_fn parse, const uint8_t *data, size_t size_bytes)
{
    agate_graph *graph;
    agate_text printed = {0};
    agate_status status = parse((const char *)data, size_bytes, &graph);

    if (status != AGATE_OK) {
        agate_status_release(status);
        return;
    }
    agate_status_release(agate_verify_status(graph));
    agate_print(graph, &with_origins, &printed);
    print_kernels(graph);
    check_again(parse, &printed);
    agate_text_deinit(&printed);
    agate_graph_release(graph);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    check(agate_parse, data, size_bytes);
    check(agate_parse_unchecked, data, size_bytes);
    return 0;
}
