/* picture.c: decode, resize, crop, normalize. PREPROCESS.md says why each step is as it is. */
#include "tools/picture.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

#define STBI_MAX_DIMENSIONS (1 << 14) /* 16384 x 16384 pixels at most */
#define STB_IMAGE_IMPLEMENTATION
#define STBI_NO_STDIO
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

struct agate_preprocess {
    const char *name;
    int64_t size;
    bool margin;       /* resize to 256/224 of the crop first */
    bool grey, colour; /* numbers of channels it offers: 1, 3 */
    int order[3];      /* which of R, G, B each channel is */
    float divisor, mean[3], scale[3];
    bool light_on_dark;
};

static const agate_preprocess rows[] = {
    {"imagenet",
     224,
     true,
     false,
     true,
     {0, 1, 2},
     255,
     {0.485f, 0.456f, 0.406f},
     {0.229f, 0.224f, 0.225f},
     false},
    {"keras-caffe", 224, true, false, true, {2, 1, 0}, 1, {103.939f, 116.779f, 123.68f}, {1, 1, 1}, false},
    {"dlib", 227, true, false, true, {0, 1, 2}, 1, {122.782f, 117.001f, 104.298f}, {256, 256, 256}, false},
    {"unit", 224, false, true, true, {0, 1, 2}, 255, {0, 0, 0}, {1, 1, 1}, false},
    {"digits", 28, false, true, false, {0, 1, 2}, 255, {0, 0, 0}, {1, 1, 1}, true},
};

const agate_preprocess *agate_preprocess_find(const char *name)
{
    for (size_t i = 0; i < AGATE_COUNT(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

void agate_preprocess_names(agate_text *text)
{
    for (size_t i = 0; i < AGATE_COUNT(rows); i++)
        agate_text_add(text, "%s%s", i ? ", " : "", rows[i].name);
}

agate_status agate_picture_shape_of(const agate_preprocess *preprocess, int32_t rank, const int64_t *dims,
                                    agate_picture_shape *out_shape)
{
    bool nchw = rank == 4 && (dims[1] == 1 || dims[1] == 3),
         nhwc = rank == 4 && (dims[3] == 1 || dims[3] == 3);
    const int64_t *spatial = nchw ? &dims[2] : &dims[1];
    int64_t channels;

    if (!nchw && !nhwc)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT,
                                "a picture needs an input of 4 dimensions with 1 or 3 channels");
    channels = nchw ? dims[1] : dims[3];
    if (channels == 1 ? !preprocess->grey : !preprocess->colour)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT,
                                "--preprocess %s gives %s channels, the model takes %lld", preprocess->name,
                                preprocess->grey ? "1" : "3", (long long)channels);
    *out_shape = (agate_picture_shape){
        .height = spatial[0] > 0 ? spatial[0] : preprocess->size,
        .width = spatial[1] > 0 ? spatial[1] : preprocess->size,
        .channels = channels,
        .nhwc = !nchw,
    };
    return AGATE_OK;
}

/* ---- resizing ----------------------------------------------------------------------------------------- */

/* The source pixels that one result pixel is made of, and their weights. */
typedef struct taps {
    int64_t first, end;
    double *weights;
} taps;

static void taps_at(int64_t source, int64_t result, int64_t at, taps *out)
{
    double ratio = (double)source / (double)result, reach = ratio > 1 ? ratio : 1,
           centre = ((double)at + 0.5) * ratio;
    double sum = 0;

    out->first = agate_max(0, (int64_t)(centre - reach + 0.5));
    out->end = agate_min(source, (int64_t)(centre + reach + 0.5));
    for (int64_t i = out->first; i < out->end; i++) {
        double weight = 1 - fabs((double)i + 0.5 - centre) / reach;

        out->weights[i - out->first] = weight > 0 ? weight : 0;
        sum += out->weights[i - out->first];
    }
    for (int64_t i = out->first; i < out->end; i++)
        out->weights[i - out->first] /= sum;
}

/* One picture on its way: what was decoded, the size it is resized to, and the crop that is kept of that. */
typedef struct picture {
    const uint8_t *pixels; /* R G B */
    int64_t height, width;
    int64_t resized_height, resized_width;
    int64_t top, left;
    int64_t crop_height, crop_width;
} picture;

/* The columns of the crop for every source row: height x crop_width x 3. */
static void resize_rows(const picture *p, taps *t, float *out)
{
    for (int64_t x = 0; x < p->crop_width; x++) {
        taps_at(p->width, p->resized_width, p->left + x, t);
        for (int64_t y = 0; y < p->height; y++)
            for (int c = 0; c < 3; c++) {
                double sum = 0;

                for (int64_t i = t->first; i < t->end; i++)
                    sum += t->weights[i - t->first] * p->pixels[(y * p->width + i) * 3 + c];
                out[(y * p->crop_width + x) * 3 + c] = (float)sum;
            }
    }
}

/* From those, the crop: crop_height x crop_width x 3. */
static void resize_columns(const picture *p, taps *t, const float *rows_resized, float *out)
{
    int64_t row = p->crop_width * 3;

    for (int64_t y = 0; y < p->crop_height; y++) {
        taps_at(p->height, p->resized_height, p->top + y, t);
        for (int64_t k = 0; k < row; k++) {
            double sum = 0;

            for (int64_t i = t->first; i < t->end; i++)
                sum += t->weights[i - t->first] * rows_resized[i * row + k];
            out[y * row + k] = (float)sum;
        }
    }
}

static agate_status resize(const picture *p, float *out)
{
    taps t = {.weights = calloc((size_t)agate_max(p->height, p->width) + 4, sizeof(double))};
    float *half = calloc((size_t)p->height, (size_t)p->crop_width * 3 * sizeof(float));
    agate_status status = AGATE_OK;

    if (t.weights && half) {
        resize_rows(p, &t, half);
        resize_columns(p, &t, half, out);
    } else {
        status = agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to resize a picture");
    }
    free(t.weights);
    free(half);
    return status;
}

/* ---- values ------------------------------------------------------------------------------------------- */

/* Ink on paper becomes chalk on a board: judged by the outermost ring. */
static void turn_light_on_dark(float *values, int64_t height, int64_t width)
{
    double sum = 0;
    int64_t ring = 0;

    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++)
            if (y == 0 || x == 0 || y == height - 1 || x == width - 1) {
                sum += values[y * width + x];
                ring++;
            }
    for (int64_t i = 0; sum > 0.5 * (double)ring && i < height * width; i++)
        values[i] = 1 - values[i];
}

static void normalize(const agate_preprocess *row, const float *crop, const agate_picture_shape *shape,
                      float *out)
{
    int64_t plane = shape->height * shape->width;

    for (int64_t i = 0; i < plane; i++)
        for (int64_t c = 0; c < shape->channels; c++) {
            const float *rgb = &crop[i * 3];
            float v = shape->channels == 1 ? 0.299f * rgb[0] + 0.587f * rgb[1] + 0.114f * rgb[2]
                                           : rgb[row->order[c]];

            out[shape->nhwc ? i * shape->channels + c : c * plane + i] =
                (v / row->divisor - row->mean[c]) / row->scale[c];
        }
    if (row->light_on_dark)
        turn_light_on_dark(out, shape->height, shape->width);
}

static agate_status convert(const agate_preprocess *row, picture *p, const agate_picture_shape *shape,
                            float *out)
{
    int64_t crop = agate_max(shape->height, shape->width), smaller = agate_min(p->height, p->width);
    int64_t shorter = row->margin ? lrint((double)(crop * 256) / 224.0) : crop;
    agate_status status;
    float *values;

    p->resized_height = shorter * p->height / smaller;
    p->resized_width = shorter * p->width / smaller;
    p->top = lrint((double)(p->resized_height - shape->height) / 2.0);
    p->left = lrint((double)(p->resized_width - shape->width) / 2.0);
    p->crop_height = shape->height;
    p->crop_width = shape->width;
    values = calloc((size_t)shape->height, (size_t)shape->width * 3 * sizeof(float));
    if (!values)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for a picture");
    status = resize(p, values);
    if (status == AGATE_OK)
        normalize(row, values, shape, out);
    free(values);
    return status;
}

agate_status agate_picture_load(const agate_preprocess *preprocess, const char *data, size_t size_bytes,
                                const agate_picture_shape *shape, float *out_values)
{
    int width, height, channels;
    stbi_uc *pixels;
    agate_status status;

    if (size_bytes > INT_MAX || shape->height > (1 << 20) || shape->width > (1 << 20))
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT,
                                "the picture, or what it is to become, is too large");
    pixels = stbi_load_from_memory((const stbi_uc *)data, (int)size_bytes, &width, &height, &channels, 3);
    if (!pixels)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "no picture that agate can read (%s)",
                                stbi_failure_reason());
    status = convert(preprocess, &(picture){.pixels = pixels, .height = height, .width = width}, shape,
                     out_values);
    stbi_image_free(pixels);
    return status;
}
