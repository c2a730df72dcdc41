/* image.h: a compiled module as bytes: what compiled files hold beside code.
 *
 * An image has two parts. The plan says everything but the weights; the weights are the module's constants one after the
 * other, each at a multiple of 64 bytes and filled up to one with zeros. Neither holds an address, so both are read where
 * they are mapped.
 *
 * The plan is a row of words of 8 bytes, least significant byte first. A text is its length in bytes (one word), then its
 * bytes and zeros, one at least, up to a whole word. A dimension is two words, scale and offset. A list is its length,
 * then its rows. In order:
 *
 *     magic, version, bytes of the plan, needs (agate_cpu_feature bits), text isa,
 *     bytes of the weights, their digest, text file (of the weights; "": they lie beside the plan),
 *     dimension slab bytes,
 *     inputs, outputs: text name, type
 *     constants:       offset in the weights, bytes
 *     arguments:       storage, index, dimension offset, type
 *     steps:           text function, text label, text origin, first argument, operands, results, dimension tasks,
 *                      dimension flops, text kernel ("": the function is compiled code); else the reference kernel's name
 *                      (runtime/ref/ref.def), text scalar op or "", attributes: text name and value each
 *     copies:          argument, output
 *     metadata:        0, or 1, texts and versions in agate_metadata's order, opsets, properties
 *     type:            dtype, dimensions
 */
#ifndef AGATE_IMAGE_H
#define AGATE_IMAGE_H

#include "runtime/base/module.h"

#define AGATE_IMAGE_MAGIC   "agateimg" /* 8 bytes */
#define AGATE_IMAGE_VERSION 1

/* Names of the two parts in a compiled file. */
#define AGATE_PLAN_SYMBOL    "agate_artifact_v1"
#define AGATE_WEIGHTS_SYMBOL "agate_weights_v1"

/* The last bytes of a compiled file: how many come before them, and their digest. */
#define AGATE_SEAL_MAGIC "agateend"
typedef struct agate_seal {
    char magic[8];
    uint64_t size_bytes;
    uint64_t digest;
} agate_seal;

#endif
