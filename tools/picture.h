/* picture.h: photos as input tensors, as tools/models/PREPROCESS.md defines it. */
#ifndef AGATE_PICTURE_H
#define AGATE_PICTURE_H

#include "runtime/base/base.h"

typedef struct agate_preprocess agate_preprocess;

/* A row of PREPROCESS.md's table; NULL: no such name. */
const agate_preprocess *agate_preprocess_find(const char *name);

/* Appends all names, parted by ", ". */
void agate_preprocess_names(agate_text *text);

/* What one picture becomes. */
typedef struct agate_picture_shape {
    int64_t height, width, channels;
    bool nhwc; /* false: nchw */
} agate_picture_shape;

/* Reads the shape off an input's dimensions [batch, ...], of which negative ones are free. */
AGATE_MUST_USE agate_status agate_picture_shape_of(const agate_preprocess *preprocess, int32_t rank,
                                                   const int64_t *dims, agate_picture_shape *out_shape);

/* Decodes `size_bytes` of a PNG, JPEG, BMP, GIF, PNM or TGA file (untrusted) and writes height*width*channels
 * floats. */
AGATE_MUST_USE agate_status agate_picture_load(const agate_preprocess *preprocess, const char *data,
                                               size_t size_bytes, const agate_picture_shape *shape,
                                               float *out_values);

#endif
