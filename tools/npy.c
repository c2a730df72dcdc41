/* npy.c: numpy's file format: "\x93NUMPY", a version, the length of a header, the header (a Python
 * dictionary), the data. */
#include "tools/npy.h"

#include <stdio.h>
#include <stdlib.h>

#include "tools/file.h"

static const char magic[6] = {'\x93', 'N', 'U', 'M', 'P', 'Y'};

/* numpy's names of the types. */
static const struct {
    agate_dtype dtype;
    const char *descr;
} types[] = {
    {AGATE_F32, "<f4"}, {AGATE_F64, "<f8"}, {AGATE_F16, "<f2"}, {AGATE_U8, "|u1"},
    {AGATE_I8, "|i1"},  {AGATE_U16, "<u2"}, {AGATE_I16, "<i2"}, {AGATE_U32, "<u4"},
    {AGATE_I32, "<i4"}, {AGATE_U64, "<u8"}, {AGATE_I64, "<i8"}, {AGATE_BOOL, "|b1"},
};

/* What stands behind 'key': in the header; NULL: no such key. */
static const char *value_of(const char *header, const char *key)
{
    const char *found = strstr(header, key);

    if (!found)
        return NULL;
    found += strlen(key);
    return found + strspn(found, ": ");
}

/* "'<f4'" and whatever follows. One byte has no order: "|u1" and "<u1" are the same. */
static bool parse_dtype(const char *descr, agate_dtype *out_dtype)
{
    for (size_t i = 0; i < AGATE_COUNT(types) && strnlen(descr, 5) == 5; i++) {
        const char *type = types[i].descr;

        if (descr[0] == '\'' && descr[4] == '\'' && memcmp(descr + 2, type + 1, 2) == 0 &&
            (descr[1] == type[0] || type[2] == '1')) {
            *out_dtype = types[i].dtype;
            return true;
        }
    }
    return false;
}

/* "(2, 3)", "(2,)", "()" */
static bool parse_shape(const char *text, agate_tensor *tensor)
{
    if (*text++ != '(')
        return false;
    for (tensor->rank = 0;;) {
        char *end;

        text += strspn(text, ", ");
        if (*text == ')')
            return true;
        if (*text < '0' || *text > '9' || tensor->rank == AGATE_MAX_RANK)
            return false;
        tensor->dims[tensor->rank++] = strtoll(text, &end, 10);
        text = end;
    }
}

static agate_status parse_header(const char *header, agate_tensor *tensor)
{
    const char *descr = value_of(header, "'descr'"), *shape = value_of(header, "'shape'");
    const char *order = value_of(header, "'fortran_order'");

    if (!descr || !shape || !order)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT,
                                "the .npy header lacks descr, shape or fortran_order");
    if (!parse_dtype(descr, &tensor->dtype))
        return agate_error_make(AGATE_CODE_UNSUPPORTED, "the .npy element type %.*s is none of agate's%s",
                                (int)strcspn(descr, ","), descr,
                                *descr && descr[1] == '>' ? ": save it with the least byte first" : "");
    if (!parse_shape(shape, tensor))
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT,
                                "the .npy shape is damaged, or has more than %d dimensions", AGATE_MAX_RANK);
    if (strncmp(order, "False", 5) != 0 && tensor->rank > 1)
        return agate_error_make(AGATE_CODE_UNSUPPORTED,
                                "the .npy file is in Fortran order: save it through numpy.ascontiguousarray");
    return AGATE_OK;
}

agate_status agate_npy_parse(const char *data, size_t size_bytes, agate_tensor *out_tensor)
{
    const uint8_t *bytes = (const uint8_t *)data;
    agate_tensor tensor = {0};
    agate_status status;
    size_t start, length;
    char *header;

    if (size_bytes < 12 || memcmp(data, magic, sizeof magic) != 0)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "no .npy file");
    if (bytes[6] < 1 || bytes[6] > 3)
        return agate_error_make(AGATE_CODE_UNSUPPORTED, "the .npy file is of version %d.%d: there are 1 to 3",
                                bytes[6], bytes[7]);
    start = bytes[6] == 1 ? 10 : 12;
    length = bytes[8] | (size_t)bytes[9] << 8;
    if (bytes[6] != 1)
        length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (length > size_bytes - start)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "the .npy file ends within its header");
    header = strndup(data + start, length);
    status = header ? parse_header(header, &tensor) : agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory");
    free(header);
    AGATE_TRY(status);
    data += start + length;
    size_bytes -= start + length;
    if (!agate_tensor_size(tensor.dtype, tensor.rank, tensor.dims, &tensor.size_bytes) ||
        tensor.size_bytes > size_bytes)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT,
                                "the .npy file has fewer bytes than its shape needs");
    if (posix_memalign(&tensor.data, AGATE_ALIGNMENT, tensor.size_bytes + 1) != 0)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for %zu bytes", tensor.size_bytes);
    memcpy(tensor.data, data, tensor.size_bytes);
    *out_tensor = tensor;
    return AGATE_OK;
}

static agate_status write_as(const char *path, const char *descr, const agate_tensor *tensor,
                             const void *data, size_t size_bytes)
{
    agate_text header = {0};
    agate_status status;
    char head[10] = {'\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0};

    agate_text_add_bytes(&header, head, sizeof head);
    agate_text_add(&header, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (int32_t d = 0; d < tensor->rank; d++)
        agate_text_add(&header, "%lld,%s", (long long)tensor->dims[d], d + 1 < tensor->rank ? " " : "");
    agate_text_add(&header, "), }");
    /* The data starts at a multiple of 64. */
    while (header.size_bytes % 64 != 63 && !header.failed)
        agate_text_add(&header, " ");
    agate_text_add(&header, "\n");
    if (header.failed) {
        agate_text_deinit(&header);
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "%s: no memory", path);
    }
    header.data[8] = (char)((header.size_bytes - sizeof head) & 0xff);
    header.data[9] = (char)((header.size_bytes - sizeof head) >> 8);
    status = agate_file_write(path, header.data, header.size_bytes, data, size_bytes);
    agate_text_deinit(&header);
    return status;
}

static agate_status write_bf16(const char *path, const agate_tensor *tensor)
{
    size_t count = tensor->size_bytes / sizeof(uint16_t);
    float *wide = calloc(count + 1, sizeof *wide);
    agate_status status;

    if (!wide)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "%s: no memory", path);
    for (size_t i = 0; i < count; i++)
        wide[i] = agate_bf16_to_f32(((const uint16_t *)tensor->data)[i]);
    status = write_as(path, "<f4", tensor, wide, count * sizeof *wide);
    free(wide);
    return status;
}

agate_status agate_npy_write(const char *path, const agate_tensor *tensor)
{
    size_t size_bytes;

    if (!agate_tensor_size(tensor->dtype, tensor->rank, tensor->dims, &size_bytes))
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "%s: no tensor to write", path);
    for (size_t i = 0; i < AGATE_COUNT(types); i++)
        if (types[i].dtype == tensor->dtype)
            return write_as(path, types[i].descr, tensor, tensor->data, size_bytes);
    return write_bf16(path, tensor);
}
