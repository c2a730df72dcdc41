/* wire.c: bytes to protobuf messages. A scan walks the wire format first, so that protobuf-c only ever sees
 * bytes that are well formed and nested within a limit, and an allocator bounds what it takes by the size of
 * the file. What protobuf-c sees is a copy without the raw data of tensors, most of any file: in their places
 * stand references. */
#include "frontend/wire.h"

#include <ctype.h>
#include <stdlib.h>

enum {
    MOST_BYTES = INT32_MAX, /* of one field: what protobuf allows */
    MAX_DEPTH = 100,        /* messages within messages: what other protobuf libraries allow too */
    WIRE_VARINT = 0,
    WIRE_64 = 1,
    WIRE_BYTES = 2,
    WIRE_32 = 5,
};

/* ---- the scan -------------------------------------------------------------------------------------------
 */

typedef struct reader {
    const uint8_t *at;
    const uint8_t *end;
} reader;

/* What takes the place of raw data. */
typedef struct reference {
    const void *bytes;
    size_t size_bytes;
} reference;

/* The copy. Lengths of messages are written in full, since their messages may shrink. */
enum { LENGTH_BYTES = 5 };

static void write_length(uint64_t length, char out[LENGTH_BYTES])
{
    for (int i = 0; i < LENGTH_BYTES; i++)
        out[i] = (char)(((length >> (7 * i)) & 0x7f) | (i < LENGTH_BYTES - 1 ? 0x80 : 0));
}

static void add_field(agate_text *copy, const void *bytes, size_t size_bytes)
{
    char length[LENGTH_BYTES];
    write_length(size_bytes, length);
    agate_text_add_bytes(copy, length, sizeof length);
    agate_text_add_bytes(copy, bytes, size_bytes);
}

static bool read_varint(reader *in, uint64_t *out_value)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 70 && in->at < in->end; shift += 7) {
        const uint8_t byte = *in->at++;
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *out_value = value;
            return true;
        }
    }
    return false;
}

static bool skip(reader *in, uint64_t size_bytes)
{
    if (size_bytes > (uint64_t)(in->end - in->at))
        return false;
    in->at += size_bytes;
    return true;
}

static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *message, uint64_t number)
{
    return number <= UINT32_MAX ? protobuf_c_message_descriptor_get_field(message, (unsigned)number) : NULL;
}

/* Does protobuf-c take this wire type for this field? A packed list and a plain one are both good for
 * numbers. */
static bool wire_type_fits(const ProtobufCFieldDescriptor *field, unsigned wire_type)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
        return wire_type == WIRE_BYTES;
    default:
        break;
    }
    if (wire_type == WIRE_BYTES)
        return field->label == PROTOBUF_C_LABEL_REPEATED;
    if (field->type == PROTOBUF_C_TYPE_FLOAT)
        return wire_type == WIRE_32;
    if (field->type == PROTOBUF_C_TYPE_DOUBLE)
        return wire_type == WIRE_64;
    return wire_type == WIRE_VARINT;
}

static const char *scan_message(const ProtobufCMessageDescriptor *descriptor, reader in, int depth,
                                agate_text *copy, const uint8_t **out_at);

static const char *scan_bytes(const ProtobufCFieldDescriptor *field, reader *in, int depth, agate_text *copy,
                              const uint8_t **out_at)
{
    uint64_t size;
    const uint8_t *const start = in->at;
    if (!read_varint(in, &size) || size > MOST_BYTES || !skip(in, size)) {
        *out_at = start;
        return "a field runs past the end of what holds it";
    }
    const uint8_t *const bytes = in->at - size;
    if (field && field->type == PROTOBUF_C_TYPE_MESSAGE) {
        const size_t length_at = copy->size_bytes;
        add_field(copy, NULL, 0);
        const char *fault = scan_message(field->descriptor, (reader){bytes, in->at}, depth + 1, copy, out_at);
        if (!copy->failed)
            write_length(copy->size_bytes - length_at - LENGTH_BYTES, copy->data + length_at);
        return fault;
    }
    const bool is_raw = field && field->type == PROTOBUF_C_TYPE_BYTES && strcmp(field->name, "raw_data") == 0;
    const reference reference = {bytes, size};
    if (is_raw)
        add_field(copy, &reference, sizeof reference);
    else
        add_field(copy, bytes, size);
    return NULL;
}

/* Copies a message. NULL where the bytes are well formed, else what is wrong and where. */
static const char *scan_message(const ProtobufCMessageDescriptor *descriptor, reader in, int depth,
                                agate_text *copy, const uint8_t **out_at)
{
    uint64_t seen = 0; /* singular messages, by field number */

    if (depth > MAX_DEPTH) {
        *out_at = in.at;
        return "messages are nested too deeply";
    }
    while (in.at < in.end) {
        uint64_t tag;
        *out_at = in.at;
        if (!read_varint(&in, &tag) || tag >> 3 == 0)
            return "a field's tag is damaged";
        const ProtobufCFieldDescriptor *field = find_field(descriptor, tag >> 3);
        const unsigned wire_type = tag & 7;
        if (field && !wire_type_fits(field, wire_type))
            return "a field has the wrong wire type";
        if (field && field->type == PROTOBUF_C_TYPE_MESSAGE && field->label != PROTOBUF_C_LABEL_REPEATED) {
            /* Merging two halves of one message is legal protobuf that no writer of ONNX produces. */
            if (field->id < 64 && seen & UINT64_C(1) << field->id)
                return "a field that stands for one message occurs twice";
            seen |= field->id < 64 ? UINT64_C(1) << field->id : 0;
        }
        const char *fault = NULL;
        uint64_t number;
        const uint8_t *const value_at = in.at;
        agate_text_add_bytes(copy, *out_at, (size_t)(in.at - *out_at));
        if (wire_type == WIRE_BYTES)
            fault = scan_bytes(field, &in, depth, copy, out_at);
        else if (wire_type == WIRE_VARINT ? !read_varint(&in, &number)
                 : wire_type == WIRE_64   ? !skip(&in, 8)
                 : wire_type == WIRE_32   ? !skip(&in, 4)
                                          : true)
            fault = "a field's value is damaged";
        if (fault)
            return fault;
        if (wire_type != WIRE_BYTES)
            agate_text_add_bytes(copy, value_at, (size_t)(in.at - value_at));
    }
    return NULL;
}

/* ---- what else the file may be --------------------------------------------------------------------------
 */

static const struct magic {
    size_t offset;
    const char *bytes;
    const char *what;
} magics[] = {
    {0, "PK\x03\x04", "a zip archive (PyTorch saves .pt files so: export to ONNX instead)"},
    {0, "\x89HDF", "an HDF5 file (Keras saves .h5 files so: convert with tf2onnx)"},
    {4, "TFL3", "a TensorFlow Lite model (convert with tf2onnx)"},
    {4, "ORTM", "a model in ONNX Runtime's own format (use the .onnx file it was made from)"},
    {0, "\x1f\x8b", "gzip-compressed (unpack it first)"},
    {0,
     "\x7f"
     "ELF",
     "an ELF object (if agate compiled it: use the model that it was made from)"},
    {0, "\x89PNG", "a PNG image"},
    {0, "\xff\xd8\xff", "a JPEG image"},
    {0, "version https://git-lfs", "a Git LFS pointer (fetch the file itself: git lfs pull)"},
};

/* Is the beginning text? Then writes it, shortened, to `out`. */
static bool looks_like_text(const uint8_t *data, size_t size_bytes, char out[48])
{
    const size_t size = size_bytes < 47 ? size_bytes : 47;
    size_t length = 0;
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '\n' || data[i] == '\r') {
            if (length)
                break; /* the first line is enough */
            continue;
        }
        if (!isprint(data[i]) && data[i] != '\t' && data[i] < 0x80)
            return false;
        out[length++] = data[i] < 0x80 && data[i] != '\t' ? (char)data[i] : ' ';
    }
    out[length] = '\0';
    return length > 0;
}

agate_status agate_wire_refuse(const void *bytes, size_t size_bytes, const char *what, const char *fault,
                               size_t at_bytes)
{
    const uint8_t *data = bytes;
    char text[48];

    if (size_bytes == 0)
        return agate_error_make(AGATE_CODE_INVALID_MODEL, "this is not %s: it is empty", what);
    for (size_t i = 0; i < AGATE_COUNT(magics); i++) {
        const size_t length = strlen(magics[i].bytes);
        if (size_bytes >= magics[i].offset + length &&
            memcmp(data + magics[i].offset, magics[i].bytes, length) == 0)
            return agate_error_make(AGATE_CODE_INVALID_MODEL, "this is not %s: it is %s", what,
                                    magics[i].what);
    }
    if (looks_like_text(data, size_bytes, text))
        return agate_error_make(AGATE_CODE_INVALID_MODEL,
                                "this is not %s: it is text that begins with \"%s\"", what, text);
    return agate_error_make(
        AGATE_CODE_INVALID_MODEL,
        "this is not %s, or it is truncated: at byte %zu of %zu, %s (was the download complete?)", what,
        at_bytes, size_bytes, fault);
}

/* ---- memory ---------------------------------------------------------------------------------------------
 */

/* What unpacking may take: an empty message of two bytes becomes a struct of some 200, and packed bytes
 * int64s, so the file's size times this, and something for small files. */
#define BYTES_PER_BYTE 200
#define BYTES_AT_LEAST ((size_t)1 << 20)

typedef struct budget {
    size_t left_bytes;
} budget;

static void *allocate(void *user, size_t size_bytes)
{
    budget *budget = user;
    if (size_bytes > budget->left_bytes)
        return NULL;
    budget->left_bytes -= size_bytes;
    if (size_bytes < 4 * AGATE_ALIGNMENT)
        return malloc(size_bytes);
    if (size_bytes > SIZE_MAX - AGATE_ALIGNMENT)
        return NULL;
    return aligned_alloc(AGATE_ALIGNMENT,
                         (size_bytes + AGATE_ALIGNMENT - 1) / AGATE_ALIGNMENT * AGATE_ALIGNMENT);
}

static void release(void *user, void *memory)
{
    (void)user;
    free(memory);
}

static agate_status unpack(const ProtobufCMessageDescriptor *descriptor, const agate_text *copy,
                           size_t size_bytes, const char *what, ProtobufCMessage **out_message)
{
    budget budget = {BYTES_AT_LEAST};
    if (size_bytes > copy->size_bytes)
        size_bytes = copy->size_bytes;
    if (__builtin_mul_overflow(size_bytes, (size_t)BYTES_PER_BYTE, &budget.left_bytes))
        budget.left_bytes = SIZE_MAX;
    if (budget.left_bytes < BYTES_AT_LEAST)
        budget.left_bytes = BYTES_AT_LEAST;
    ProtobufCAllocator allocator = {allocate, release, &budget};
    *out_message = NULL;
    if (!copy->failed)
        *out_message = protobuf_c_message_unpack(descriptor, &allocator, copy->size_bytes,
                                                 (const uint8_t *)agate_text_c(copy));
    if (!*out_message)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to unpack %s", what);
    return AGATE_OK;
}

agate_status agate_wire_unpack(const ProtobufCMessageDescriptor *descriptor, const void *data,
                               size_t size_bytes, const char *what, ProtobufCMessage **out_message)
{
    const uint8_t *at = data;
    agate_text copy = {0};
    const char *fault = size_bytes == 0
                            ? "it is empty"
                            : scan_message(descriptor, (reader){data, at + size_bytes}, 0, &copy, &at);
    agate_status status =
        fault ? agate_wire_refuse(data, size_bytes, what, fault, (size_t)(at - (const uint8_t *)data))
              : unpack(descriptor, &copy, size_bytes, what, out_message);
    agate_text_deinit(&copy);
    return status;
}

const void *agate_wire_raw(const Onnx__TensorProto *tensor, size_t *out_size_bytes)
{
    reference reference = {NULL, 0};
    if (tensor->raw_data.len == sizeof reference)
        memcpy(&reference, tensor->raw_data.data, sizeof reference);
    *out_size_bytes = reference.size_bytes;
    return reference.bytes;
}

void agate_wire_release(ProtobufCMessage *message)
{
    ProtobufCAllocator allocator = {allocate, release, NULL};
    if (message)
        protobuf_c_message_free_unpacked(message, &allocator);
}
