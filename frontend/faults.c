/* faults.c: gathering what is wrong with a model, one line per fault, into one error. */
#include "frontend/importer.h"

#include <inttypes.h>

#define MAX_LINES 50 /* enough to see the pattern */

void agate_tame(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

void agate_faults_add(agate_faults *faults, agate_code code, const char *node, const char *op,
                      const char *line)
{
    if (faults->count == 0 || (code == AGATE_CODE_INVALID_MODEL && faults->code != code))
        faults->code = code;
    const size_t start_bytes = faults->text.size_bytes + (faults->count > 0); /* behind the line break */
    if (faults->count++ == 0) {
        faults->first_node = node;
        faults->first_op = op;
        agate_text_add(&faults->text, "%s", line); /* agate_faults_status puts its place in front */
    } else if (faults->count <= MAX_LINES) {
        agate_text_add(&faults->text, "\n");
        if (node || op)
            agate_text_add(&faults->text, "node \"%s\" (%s): ", node ? node : "", op ? op : "");
        agate_text_add(&faults->text, "%s", line);
    }
    if (faults->text.size_bytes > start_bytes)
        agate_tame(faults->text.data + start_bytes);
}

void agate_fault_tell(agate_importer *importer, const agate_import_fault *fault)
{
    const agate_import_listener *listener = importer->options->listener;
    if (listener && listener->fault)
        listener->fault(listener->user, fault);
}

agate_status agate_faults_status(const agate_faults *faults)
{
    if (faults->count == 0)
        return AGATE_OK;
    if (faults->text.failed)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to list the model's faults");
    const char *text = agate_text_c(&faults->text);
    agate_status status = faults->count == 1
                              ? agate_error_make(faults->code, "%s", text)
                              : agate_error_make(faults->code, "%s\n%zu faults in all%s", text, faults->count,
                                                 faults->count > MAX_LINES ? "; the first are listed" : "");
    return agate_error_at(status, faults->first_node, faults->first_op);
}

static const char *domain_of(const agate_call *call)
{
    const char *domain = call->node->domain;
    return domain && *domain ? domain : "ai.onnx";
}

const char *agate_call_types(const agate_call *call)
{
    agate_text text = {0};
    for (int32_t i = 0; i < call->operand_count; i++) {
        agate_text_add(&text, "%s", i ? ", " : "");
        if (call->operands[i])
            agate_type_print(&call->operands[i]->type, &text);
        else
            agate_text_add(&text, "?");
    }
    const char *types = agate_arena_text(call->importer->arena, agate_text_c(&text));
    agate_text_deinit(&text);
    return types;
}

void agate_call_fault(agate_call *call, agate_code code, const char *format, ...)
{
    agate_importer *importer = call->importer;
    agate_text line = {0};
    va_list args;

    call->faulty = true;
    va_start(args, format);
    agate_text_add_v(&line, format, args);
    va_end(args);
    if (importer->options->listener)
        agate_fault_tell(importer, &(agate_import_fault){.code = code,
                                                         .node = call->name,
                                                         .op = call->node->op_type,
                                                         .domain = domain_of(call),
                                                         .opset = call->opset,
                                                         .types = agate_call_types(call),
                                                         .reason = agate_text_c(&line)});
    agate_text_add(&line, " [%s %" PRId64 "]", domain_of(call), call->opset);
    agate_faults_add(&importer->faults, code, call->name, call->node->op_type, agate_text_c(&line));
    agate_text_deinit(&line);
}
