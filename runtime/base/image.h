/* image.h: a compiled module as bytes: what compiled files hold beside code.
 *
 * An image has two parts. The plan says everything but the weights; the weights are the module's constants
 * one after the other, each at a multiple of 64 bytes and filled up to one with zeros. Neither holds an
 * address, so both are read where they are mapped.
 *
 * The plan is a row of words of 8 bytes, least significant byte first. A text is its length in bytes (one
 * word), then its bytes and zeros, one at least, up to a whole word. A dimension is two words, scale and
 * offset. A list is its length, then its rows. What the file serves are its variants, each an instruction set
 * and a precision, those of one precision together and from the least instruction set to the best: each has
 * steps and code of its own, and all share the weights. In order:
 *
 *     magic, version, bytes of the plan, bytes of the weights, their digest (agate_long_digest), text file
 *     (of the weights; "": they are in this file)
 *     variants:        needs (agate_cpu_feature bits), text isa, text precision, bytes of its part
 *     then each one's part:
 *     dimension slab bytes, workspace bytes of a thread, steps that keep rows apart
 *     inputs, outputs: text name, type
 *     constants:       offset in the weights, bytes
 *     arguments:       storage, index, dimension offset, type, dimension reach, last step
 *     steps:           text function, text label, text origin, first argument, operands, results, dimension
 *                      tasks, dimensions flops, scalar instructions, divisions, text kernel ("": the function
 *                      is compiled code); else the reference kernel's name (runtime/ref/ref.def), text scalar
 *                      op or "", attributes: text name and value each
 *     copies:          argument, output
 *     metadata:        0, or 1, texts and versions in agate_metadata's order, opsets, properties
 *     type:            dtype, dimensions
 *
 * A compiled file is the linked ELF object, zeros, the weights (unless they are in a file of their own) and
 * the seal. The weights begin at a multiple of a page, and where they fill a huge page, of that: so the
 * system can map them by huge pages, which makes reading them several times faster. A section header names
 * them, but no segment: only the loader maps them.
 */
#ifndef AGATE_IMAGE_H
#define AGATE_IMAGE_H

#include "runtime/base/module.h"

#define AGATE_IMAGE_MAGIC   "agateimg" /* 8 bytes */
#define AGATE_IMAGE_VERSION 7

/* Name of the plan in a compiled file, and of both parts in an object that is to be linked into something
 * else. */
#define AGATE_PLAN_SYMBOL     "agate_artifact_v1"
#define AGATE_WEIGHTS_SYMBOL  "agate_weights_v1"
#define AGATE_WEIGHTS_SECTION ".agate.weights"

#define AGATE_HUGE_PAGE_BYTES ((size_t)2 << 20)

/* What the weights' place in a file is a multiple of. */
static inline size_t agate_weights_alignment(uint64_t size_bytes)
{
    return size_bytes >= AGATE_HUGE_PAGE_BYTES ? AGATE_HUGE_PAGE_BYTES : 4096;
}

/* The last bytes of a compiled file. */
#define AGATE_SEAL_MAGIC "agateend"
typedef struct agate_seal {
    char magic[8];
    uint64_t version;    /* AGATE_IMAGE_VERSION */
    uint64_t body_bytes; /* in front of the weights, or of the seal where there are none */
    uint64_t body_digest;
    uint64_t weights_bytes; /* behind the body; their digest is in the plan, hence in the body */
    uint64_t digest;        /* of the fields above */
} agate_seal;

/* The value of `digest`. */
static inline uint64_t agate_seal_digest(const agate_seal *seal)
{
    agate_digest digest = {0};
    agate_digest_add(&digest, seal, offsetof(agate_seal, digest));
    return agate_digest_end(&digest);
}

#endif
