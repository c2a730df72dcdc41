/* tensor.c: TensorProto and SparseTensorProto to types and constant data. */
#include "frontend/importer.h"
#include "frontend/wire.h"

#include <inttypes.h>
#include <stdlib.h>

static const char *const onnx_dtype_names[] = {
    "undefined", "float",      "uint8",      "int8",         "uint16",         "int16",      "int32",
    "int64",     "string",     "bool",       "float16",      "double",         "uint32",     "uint64",
    "complex64", "complex128", "bfloat16",   "float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz",
    "uint4",     "int4",       "float4e2m1", "float8e8m0",   "uint2",          "int2",
};

const char *agate_onnx_dtype_name(int32_t data_type)
{
    return data_type >= 0 && (size_t)data_type < AGATE_COUNT(onnx_dtype_names)
               ? onnx_dtype_names[data_type]
               : "an element type newer than agate";
}

agate_dtype agate_onnx_dtype(int32_t data_type)
{
    return data_type > 0 && agate_dtype_size((agate_dtype)data_type) ? (agate_dtype)data_type
                                                                     : AGATE_DTYPE_NONE;
}

agate_status agate_tensor_type(const int64_t *dims, size_t rank, int32_t data_type, size_t limit_bytes,
                               agate_type *out_type)
{
    const agate_dtype dtype = agate_onnx_dtype(data_type);
    if (dtype == AGATE_DTYPE_NONE && data_type == 0)
        return agate_error_make(AGATE_CODE_INVALID_MODEL, "it has no element type");
    if (dtype == AGATE_DTYPE_NONE)
        return agate_error_make(AGATE_CODE_UNSUPPORTED, "elements of type %s are not supported yet",
                                agate_onnx_dtype_name(data_type));
    if (rank > AGATE_MAX_RANK)
        return agate_error_make(AGATE_CODE_UNSUPPORTED, "it has %zu dimensions; at most %d are supported",
                                rank, AGATE_MAX_RANK);
    size_t size;
    for (size_t i = 0; i < rank; i++)
        if (dims[i] < 0)
            return agate_error_make(AGATE_CODE_INVALID_MODEL, "dimension %zu is negative (%" PRId64 ")", i,
                                    dims[i]);
    for (size_t i = 0; i < rank; i++)
        if (dims[i] > AGATE_MAX_EXTENT)
            return agate_error_make(AGATE_CODE_UNSUPPORTED,
                                    "dimension %zu is %" PRId64 "; at most %d is supported", i, dims[i],
                                    AGATE_MAX_EXTENT);
    if (!agate_tensor_size(dtype, (int32_t)rank, dims, &size) || size > limit_bytes)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY,
                                "its size exceeds the limit of %zu bytes for one tensor", limit_bytes);
    agate_dim fixed[AGATE_MAX_RANK];
    for (size_t i = 0; i < rank; i++)
        fixed[i] = agate_dim_fixed(dims[i]);
    *out_type = agate_type_make(dtype, (int32_t)rank, fixed);
    return AGATE_OK;
}

/* ---- elements in the message -----------------------------------------------------------------------------
 */

static void release_taken(agate_data *data)
{
    free(data->owner);
    free(data);
}

/* `bytes` as data that owns them. NULL where they are not aligned well, or memory is short. */
static agate_data *take_bytes(void *bytes, size_t size_bytes)
{
    if (!bytes || (uintptr_t)bytes % AGATE_ALIGNMENT)
        return NULL;
    agate_data *data = malloc(sizeof(*data));
    if (data)
        *data = (agate_data){.size_bytes = size_bytes,
                             .bytes = bytes,
                             .references = 1,
                             .release = release_taken,
                             .owner = bytes};
    return data;
}

/* Copies or takes `size_bytes` at *bytes; what is taken is cleared in the message. */
static agate_status use_bytes(void **bytes, size_t size_bytes, bool take, agate_data **out_data)
{
    agate_data *data = take ? take_bytes(*bytes, size_bytes) : NULL;
    if (data) {
        *bytes = NULL;
    } else {
        data = agate_data_create(size_bytes);
        if (!data)
            return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for its %zu bytes", size_bytes);
        if (size_bytes)
            memcpy((void *)data->bytes, *bytes, size_bytes);
    }
    *out_data = data;
    return AGATE_OK;
}

static agate_status wrong_count(size_t found, int64_t wanted)
{
    if (found == 0)
        return agate_error_make(AGATE_CODE_INVALID_MODEL, "it holds no data for its %" PRId64 " elements",
                                wanted);
    return agate_error_make(AGATE_CODE_INVALID_MODEL,
                            "it holds %zu elements where its shape asks for %" PRId64, found, wanted);
}

/* Values that int32_data may hold for a dtype that is kept in less than 32 bits. */
static void narrow_range(agate_dtype dtype, int32_t *out_least, int32_t *out_greatest)
{
    const int bits = 8 * (int)agate_dtype_size(dtype);
    const bool is_signed = dtype == AGATE_I8 || dtype == AGATE_I16;
    *out_least = is_signed ? -(1 << (bits - 1)) : 0;
    *out_greatest = dtype == AGATE_BOOL ? 1 : is_signed ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
}

/* int32_data of an 8- or 16-bit dtype. */
static agate_status narrow(const int32_t *from, int64_t count, agate_dtype dtype, agate_data **out_data)
{
    const size_t size = agate_dtype_size(dtype);
    int32_t least, greatest;
    narrow_range(dtype, &least, &greatest);
    agate_data *data = agate_data_create((size_t)count * size);
    if (!data)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for its %" PRId64 " elements", count);
    for (int64_t i = 0; i < count; i++) {
        if (from[i] < least || from[i] > greatest) {
            agate_data_release(data);
            return agate_error_make(AGATE_CODE_INVALID_MODEL,
                                    "element %" PRId64 " (%" PRId32 ") does not fit %s", i, from[i],
                                    agate_dtype_name(dtype));
        }
        memcpy((char *)data->bytes + (size_t)i * size, &from[i], size); /* little-endian */
    }
    *out_data = data;
    return AGATE_OK;
}

static agate_status narrow_u32(const uint64_t *from, int64_t count, agate_data **out_data)
{
    agate_data *data = agate_data_create((size_t)count * sizeof(uint32_t));
    if (!data)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for its %" PRId64 " elements", count);
    for (int64_t i = 0; i < count; i++)
        ((uint32_t *)data->bytes)[i] = (uint32_t)from[i];
    *out_data = data;
    return AGATE_OK;
}

/* Elements in the field that belongs to the dtype. */
static agate_status read_fields(Onnx__TensorProto *tensor, int64_t count, agate_dtype dtype, bool take,
                                agate_data **out_data)
{
    const size_t size = (size_t)count * agate_dtype_size(dtype);
    size_t found;
    void **field;

    switch (dtype) {
    case AGATE_F32:
        found = tensor->n_float_data, field = (void **)&tensor->float_data;
        break;
    case AGATE_F64:
        found = tensor->n_double_data, field = (void **)&tensor->double_data;
        break;
    case AGATE_I64:
        found = tensor->n_int64_data, field = (void **)&tensor->int64_data;
        break;
    case AGATE_U32:
    case AGATE_U64:
        found = tensor->n_uint64_data, field = (void **)&tensor->uint64_data;
        break;
    default:
        found = tensor->n_int32_data, field = (void **)&tensor->int32_data;
        break;
    }
    if (found != (size_t)count)
        return wrong_count(found, count);
    if (dtype == AGATE_U32)
        return narrow_u32(tensor->uint64_data, count, out_data);
    if (agate_dtype_size(dtype) < 4)
        return narrow(tensor->int32_data, count, dtype, out_data);
    return use_bytes(field, size, take, out_data);
}

/* Less is copied, so that what shapes are made of lies where reference kernels can read it. */
#define LEAST_LOOSE_BYTES ((size_t)64 << 10)

static agate_status read_raw(agate_files *files, const void *raw, size_t found_bytes, size_t size_bytes,
                             agate_data **out_data)
{
    if (found_bytes != size_bytes)
        return agate_error_make(AGATE_CODE_INVALID_MODEL, "it holds %zu bytes where its shape asks for %zu",
                                found_bytes, size_bytes);
    if (!files->model || size_bytes < LEAST_LOOSE_BYTES)
        return use_bytes((void **)&raw, size_bytes, false, out_data);
    *out_data = agate_data_create_loose(size_bytes, raw, files->model);
    if (!*out_data)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for it");
    return AGATE_OK;
}

/* ---- elements outside ------------------------------------------------------------------------------------
 */

static bool parse_u64(const char *text, uint64_t *out_value)
{
    uint64_t value = 0;
    for (const char *c = text; *c; c++)
        if (*c < '0' || *c > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*c - '0'), &value))
            return false;
    *out_value = value;
    return *text != '\0';
}

static agate_status read_external(agate_files *files, const Onnx__TensorProto *tensor, size_t size_bytes,
                                  agate_data **out_data)
{
    const char *location = NULL;
    uint64_t offset = 0, length = size_bytes;

    for (size_t i = 0; i < tensor->n_external_data; i++) {
        const char *key = tensor->external_data[i]->key, *value = tensor->external_data[i]->value;
        if (!key || !value)
            continue;
        if (strcmp(key, "location") == 0)
            location = value;
        else if ((strcmp(key, "offset") == 0 && !parse_u64(value, &offset)) ||
                 (strcmp(key, "length") == 0 && !parse_u64(value, &length)))
            return agate_error_make(AGATE_CODE_INVALID_MODEL,
                                    "the %s of its external data, \"%s\", is no number", key, value);
    }
    if (!location)
        return agate_error_make(AGATE_CODE_INVALID_MODEL, "its external data names no file");
    if (length != size_bytes)
        return agate_error_make(AGATE_CODE_INVALID_MODEL,
                                "its external data has %" PRIu64 " bytes where its shape asks for %zu",
                                length, size_bytes);
    return agate_files_data(files, location, offset, size_bytes, out_data);
}

/* Bytes of a bool other than 0 and 1 become 1. */
static agate_status tidy_bool(agate_data **data)
{
    const uint8_t *bytes = agate_data_bytes(*data);
    size_t strange = 0;
    if (!bytes)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for its %zu bytes", (*data)->size_bytes);
    for (size_t i = 0; i < (*data)->size_bytes; i++)
        strange += bytes[i] > 1;
    if (!strange)
        return AGATE_OK;
    agate_data *tidy = agate_data_create((*data)->size_bytes);
    if (!tidy)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for its %zu bytes", (*data)->size_bytes);
    for (size_t i = 0; i < tidy->size_bytes; i++)
        ((uint8_t *)tidy->bytes)[i] = bytes[i] != 0;
    agate_data_release(*data);
    *data = tidy;
    return AGATE_OK;
}

agate_status agate_tensor_read(agate_files *files, Onnx__TensorProto *tensor, size_t limit_bytes, bool take,
                               agate_type *out_type, agate_data **out_data)
{
    AGATE_TRY(agate_tensor_type(tensor->dims, tensor->n_dims, tensor->data_type, limit_bytes, out_type));
    agate_dim count, size;
    if (!agate_type_count(out_type, &count) || !agate_type_size(out_type, &size))
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "its size overflows");
    if (tensor->segment)
        return agate_error_make(AGATE_CODE_UNSUPPORTED, "tensors stored in segments are not supported");

    const size_t size_bytes = (size_t)size.offset;
    size_t raw_bytes;
    const void *raw = agate_wire_raw(tensor, &raw_bytes);
    agate_data *data = NULL;
    if (tensor->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL)
        AGATE_TRY(read_external(files, tensor, size_bytes, &data));
    else if (raw_bytes)
        AGATE_TRY(read_raw(files, raw, raw_bytes, size_bytes, &data));
    else
        AGATE_TRY(read_fields(tensor, count.offset, out_type->dtype, take, &data));

    agate_status status = out_type->dtype == AGATE_BOOL ? tidy_bool(&data) : AGATE_OK;
    if (status)
        agate_data_release(data);
    else
        *out_data = data;
    return status;
}

/* ---- sparse tensors ---------------------------------------------------------------------------------------
 */

/* Flat index of entry `i`; false where it lies outside the tensor. */
static bool sparse_index(const int64_t *indices, int64_t i, bool flat, const agate_type *type, int64_t count,
                         int64_t *out_index)
{
    int64_t index = 0;
    if (flat) {
        index = indices[i];
    } else {
        for (int32_t axis = 0; axis < type->rank; axis++) {
            const int64_t at = indices[i * type->rank + axis];
            if (at < 0 || at >= type->dims[axis].offset)
                return false;
            index = index * type->dims[axis].offset + at;
        }
    }
    *out_index = index;
    return index >= 0 && index < count;
}

/* Writes the entries into `dense`. */
static agate_status scatter(const agate_type *type, const agate_data *dense, const agate_type *value_type,
                            const agate_data *values, const agate_type *index_type, const agate_data *indices)
{
    const size_t size = agate_dtype_size(type->dtype);
    const int64_t count = (int64_t)(dense->size_bytes / size), entries = value_type->dims[0].offset;
    const bool flat = index_type->rank == 1;

    if (index_type->dtype != AGATE_I64 || index_type->rank < 1 || index_type->rank > 2 ||
        index_type->dims[0].offset != entries || (!flat && index_type->dims[1].offset != type->rank))
        return agate_error_make(AGATE_CODE_INVALID_MODEL,
                                "its indices must be int64 of shape [%" PRId64 "] or [%" PRId64 ", %d]",
                                entries, entries, type->rank);
    int64_t previous = -1;
    for (int64_t i = 0; i < entries; i++) {
        int64_t at;
        if (!sparse_index(indices->bytes, i, flat, type, count, &at) || at <= previous)
            return agate_error_make(AGATE_CODE_INVALID_MODEL,
                                    "its index %" PRId64 " lies outside the tensor or is not ascending", i);
        memcpy((char *)dense->bytes + (size_t)at * size, (const char *)values->bytes + (size_t)i * size,
               size);
        previous = at;
    }
    return AGATE_OK;
}

agate_status agate_tensor_read_sparse(agate_files *files, const Onnx__SparseTensorProto *tensor,
                                      size_t limit_bytes, agate_type *out_type, agate_data **out_data)
{
    if (!tensor->values || !tensor->indices)
        return agate_error_make(AGATE_CODE_INVALID_MODEL, "it lacks its values or its indices");
    AGATE_TRY(
        agate_tensor_type(tensor->dims, tensor->n_dims, tensor->values->data_type, limit_bytes, out_type));

    agate_type value_type, index_type;
    agate_data *values = NULL, *indices = NULL, *dense = NULL;
    agate_dim size;
    agate_status status = agate_tensor_read(files, tensor->values, limit_bytes, false, &value_type, &values);
    if (!status)
        status = agate_tensor_read(files, tensor->indices, limit_bytes, false, &index_type, &indices);
    if (!status && value_type.rank != 1)
        status = agate_error_make(AGATE_CODE_INVALID_MODEL, "its values must be a vector");
    if (!status && agate_type_size(out_type, &size) && !(dense = agate_data_create((size_t)size.offset)))
        status = agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for the dense tensor");
    if (!status && !(agate_data_bytes(values) && agate_data_bytes(indices)))
        status = agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for its values");
    if (!status)
        status = scatter(out_type, dense, &value_type, values, &index_type, indices);
    agate_data_release(values);
    agate_data_release(indices);
    if (status)
        agate_data_release(dense);
    else
        *out_data = dense;
    return status;
}

/* ---- a tensor in a file of its own ------------------------------------------------------------------------
 */

agate_status agate_import_tensor(const void *data, size_t size_bytes, agate_tensor *out_tensor)
{
    ProtobufCMessage *message;
    AGATE_TRY(
        agate_wire_unpack(&onnx__tensor_proto__descriptor, data, size_bytes, "an ONNX tensor", &message));

    agate_files none = {0};
    agate_type type;
    agate_data *contents = NULL;
    agate_status status =
        agate_tensor_read(&none, (Onnx__TensorProto *)message, SIZE_MAX, false, &type, &contents);
    agate_wire_release(message);
    if (status)
        return agate_error_within(status, "tensor");

    void *copy = malloc(contents->size_bytes ? contents->size_bytes : 1);
    if (copy && agate_data_read(contents, 0, contents->size_bytes, copy)) {
        *out_tensor = (agate_tensor){
            .dtype = type.dtype, .rank = type.rank, .data = copy, .size_bytes = contents->size_bytes};
        for (int32_t i = 0; i < type.rank; i++)
            out_tensor->dims[i] = type.dims[i].offset;
    } else {
        status = agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for a tensor of %zu bytes",
                                  contents->size_bytes);
    }
    agate_data_release(contents);
    return status;
}
