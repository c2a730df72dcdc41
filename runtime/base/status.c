/* status.c: errors as values: making one, placing it, reading it. */
#include "runtime/base/base.h"

#include <stdio.h>
#include <stdlib.h>

/* `message` is the whole sentence; node and op are "" where unknown. All three lie behind the struct, in one
 * block. */
struct agate_error {
    agate_code code;
    const char *message;
    const char *node;
    const char *op;
};

/* Stands in when there is no memory for an error; never written to, never freed. */
static const agate_error no_memory = {AGATE_CODE_OUT_OF_MEMORY, "out of memory", "", ""};

static agate_status out_of_memory(void)
{
    return (agate_status)&no_memory;
}

/* An error whose message is `prefix_size` bytes still to be written, then `message`. NULL if memory is short.
 */
static agate_status make(agate_code code, size_t prefix_size, size_t message_size, const char *node,
                         const char *op, char **out_message)
{
    const size_t node_size = strlen(node) + 1, op_size = strlen(op) + 1;
    agate_error *error = malloc(sizeof(*error) + prefix_size + message_size + 1 + node_size + op_size);
    if (!error)
        return NULL;
    char *text = (char *)(error + 1);
    error->code = code;
    error->node = memcpy(text, node, node_size);
    error->op = memcpy(text + node_size, op, op_size);
    *out_message = text + node_size + op_size;
    error->message = *out_message;
    return error;
}

agate_status agate_error_make(agate_code code, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int size = vsnprintf(NULL, 0, format, args);
    va_end(args);

    char *message;
    agate_status status = size < 0 ? NULL : make(code, 0, (size_t)size, "", "", &message);
    if (status)
        vsnprintf(message, (size_t)size + 1, format, again);
    va_end(again);
    return status ? status : out_of_memory();
}

/* `status` with the formatted text, then ": ", in front of its message, and this place. Takes `status`, and
 * returns it unchanged if memory is short: the shorter message is better than none. */
static agate_status prefix(agate_status status, const char *node, const char *op, const char *format,
                           va_list args)
{
    va_list again;
    va_copy(again, args);
    const int size = vsnprintf(NULL, 0, format, args);
    const size_t prefix_size = size < 0 ? 0 : (size_t)size + 2, message_size = strlen(status->message);

    char *message;
    agate_status longer = size < 0 ? NULL : make(status->code, prefix_size, message_size, node, op, &message);
    if (longer) {
        vsnprintf(message, prefix_size, format, again);
        memcpy(message + prefix_size - 2, ": ", 2);
        memcpy(message + prefix_size, status->message, message_size + 1);
        agate_status_release(status);
    }
    va_end(again);
    return longer ? longer : status;
}

AGATE_PRINTF(4, 5)
static agate_status prefix_with(agate_status status, const char *node, const char *op, const char *format,
                                ...)
{
    va_list args;
    va_start(args, format);
    status = prefix(status, node, op, format, args);
    va_end(args);
    return status;
}

agate_status agate_error_at(agate_status status, const char *node, const char *op)
{
    node = node ? node : "";
    op = op ? op : "";
    if (!status || *status->node || *status->op || (!*node && !*op))
        return status;
    if (!*op)
        return prefix_with(status, node, op, "node \"%s\"", node);
    if (!*node)
        return prefix_with(status, node, op, "unnamed node (%s)", op);
    return prefix_with(status, node, op, "node \"%s\" (%s)", node, op);
}

agate_status agate_error_within(agate_status status, const char *format, ...)
{
    if (!status)
        return status;
    va_list args;
    va_start(args, format);
    status = prefix(status, status->node, status->op, format, args);
    va_end(args);
    return status;
}

agate_code agate_status_code(const agate_error *status)
{
    return status ? status->code : AGATE_CODE_OK;
}

const char *agate_status_message(const agate_error *status)
{
    return status ? status->message : "";
}

const char *agate_status_node(const agate_error *status)
{
    return status ? status->node : "";
}

const char *agate_status_op(const agate_error *status)
{
    return status ? status->op : "";
}

void agate_status_release(agate_status status)
{
    if (status != &no_memory)
        free(status);
}

const char *agate_code_name(agate_code code)
{
    static const char *const names[] = {
        [AGATE_CODE_OK] = "ok",
        [AGATE_CODE_INVALID_ARGUMENT] = "invalid-argument",
        [AGATE_CODE_INVALID_MODEL] = "invalid-model",
        [AGATE_CODE_UNSUPPORTED] = "unsupported",
        [AGATE_CODE_NOT_FOUND] = "not-found",
        [AGATE_CODE_IO] = "io",
        [AGATE_CODE_OUT_OF_MEMORY] = "out-of-memory",
        [AGATE_CODE_CANCELLED] = "cancelled",
        [AGATE_CODE_INTERNAL] = "internal",
    };
    return (size_t)code < AGATE_COUNT(names) ? names[code] : "unknown";
}
