/* wire.h: bytes to protobuf messages, safely: everything that could make protobuf-c recurse or allocate
 * without bound is refused before or while it unpacks. */
#ifndef AGATE_WIRE_H
#define AGATE_WIRE_H

#include "onnx.pb-c.h"
#include "runtime/base/base.h"

/* Unpacks a ModelProto or TensorProto; `what` ("an ONNX model") is for the error. The message is released
 * with agate_wire_release; arrays in it come from aligned_alloc, aligned to AGATE_ALIGNMENT where they are
 * large, so that they may be taken out and freed alone. The raw_data of tensors are not copied:
 * agate_wire_raw tells where they lie in `data`. */
AGATE_MUST_USE agate_status agate_wire_unpack(const ProtobufCMessageDescriptor *descriptor, const void *data,
                                              size_t size_bytes, const char *what,
                                              ProtobufCMessage **out_message);

/* The error for bytes that are not `what`: says what they are instead, where that shows, else `fault` and
 * where. */
AGATE_MUST_USE agate_status agate_wire_refuse(const void *data, size_t size_bytes, const char *what,
                                              const char *fault, size_t at_bytes);

/* The raw_data of a tensor, in the bytes that were unpacked; NULL and 0 where it has none. */
const void *agate_wire_raw(const Onnx__TensorProto *tensor, size_t *out_size_bytes);

/* NULL is accepted. */
void agate_wire_release(ProtobufCMessage *message);

#endif
