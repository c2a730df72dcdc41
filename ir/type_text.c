/* type_text.c: types, dimensions and layouts as text, and back. */
#include <ctype.h>
#include <stdio.h>

#include "ir/type.h"

enum { LAYOUT_TEXT_BYTES = 48, MAX_BLOCK = 1024 };

/* ---- dimensions ---------------------------------------------------------------------------------------- */

/* Digits only; NULL where there are none, or too many. */
static const char *parse_digits(const char *text, int64_t *out_value)
{
    int64_t value = 0;

    if (!isdigit((unsigned char)*text))
        return NULL;
    for (; isdigit((unsigned char)*text); text++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *text - '0', &value))
            return NULL;
    *out_value = value;
    return text;
}

const char *agate_dim_parse(const char *text, agate_dim *out_dim)
{
    agate_dim dim = {0, 0};

    if (*text != 'N') {
        text = parse_digits(text, &dim.offset);
        if (!text || *text != 'N') {
            *out_dim = dim;
            return text;
        }
        dim = (agate_dim){dim.offset, 0};
    } else {
        dim.scale = 1;
    }
    text++; /* the N */
    if (*text == '+' || *text == '-') {
        int64_t sign = *text == '-' ? -1 : 1;
        text = parse_digits(text + 1, &dim.offset);
        dim.offset *= sign;
    }
    *out_dim = dim;
    return text;
}

/* ---- layouts ------------------------------------------------------------------------------------------- */

static const char *const layout_texts[AGATE_LAYOUT_COUNT] = {
#define AGATE_LAYOUT(id, text, order) [AGATE_LAYOUT_##id] = text,
#include "ir/layouts.def"
#undef AGATE_LAYOUT
};

/* Writes the name of `layout` for this rank, by its text in layouts.def: the letters in front of the first B
 * or H name the dimensions ("hw" stands for any number of spatial ones, and where there is no "hw" more
 * dimensions go in front, as b); each B stands for the block, H for half of it. */
static void layout_text(agate_layout layout, int32_t rank, char out_text[LAYOUT_TEXT_BYTES])
{
    const char *pattern = layout.kind < AGATE_LAYOUT_COUNT ? layout_texts[layout.kind] : "?";
    const char *blocks = pattern + strcspn(pattern, "BH");
    bool spatial = strstr(pattern, "hw") != NULL;
    int32_t more = (int32_t)agate_max(rank - 2, 0);
    size_t at = 0;

    for (int32_t i = 0; i < more && !spatial; i++)
        out_text[at++] = 'b';
    for (int32_t i = 0; i < agate_min(rank, 2); i++)
        out_text[at++] = pattern[i];
    if (spatial)
        at += (size_t)sprintf(out_text + at, "%s", &"zyxdhw"[6 - more]);
    for (; *blocks; blocks++) {
        if (*blocks == 'B' || *blocks == 'H')
            at += (size_t)sprintf(out_text + at, "%d", *blocks == 'B' ? layout.block : layout.block / 2);
        else
            out_text[at++] = *blocks;
    }
    out_text[at] = 0;
}

/* Nothing, or " of 256". */
static const char *pitch_parse(const char *text, agate_layout *layout)
{
    int64_t pitch = 0;

    if (strncmp(text, " of ", 4) == 0) {
        text = parse_digits(text + 4, &pitch);
        if (!text || pitch == 0 || pitch > INT32_MAX)
            return NULL;
    }
    layout->pitch = (int32_t)pitch;
    return *text == '}' ? text : NULL;
}

/* Tries every kind's name at the block that stands in the text. */
static const char *layout_parse(const char *text, int32_t rank, agate_layout *out_layout)
{
    size_t length = strcspn(text, " }");
    int64_t block;

    if ((text[length] != '}' && text[length] != ' ') ||
        !parse_digits(text + strcspn(text, "0123456789 }"), &block) || block > MAX_BLOCK)
        return NULL;
    for (uint16_t kind = AGATE_LAYOUT_plain + 1; kind < AGATE_LAYOUT_COUNT; kind++) {
        char name[LAYOUT_TEXT_BYTES];
        bool half = strchr(layout_texts[kind], 'H') != NULL; /* is the first number in the text */
        agate_layout layout = {kind, (uint16_t)(half ? 2 * block : block), 0};
        layout_text(layout, rank, name);
        if (strlen(name) == length && memcmp(name, text, length) == 0) {
            *out_layout = layout;
            return pitch_parse(text + length, out_layout);
        }
    }
    return NULL;
}

/* ---- types --------------------------------------------------------------------------------------------- */

void agate_type_print(const agate_type *type, agate_text *text)
{
    agate_text_add(text, "%s[", agate_dtype_name(type->dtype));
    for (int32_t i = 0; i < type->rank; i++) {
        agate_text_add(text, "%s", i ? "," : "");
        agate_dim_print(type->dims[i], text);
    }
    agate_text_add(text, "]");
    if (type->layout.kind != AGATE_LAYOUT_plain) {
        char name[LAYOUT_TEXT_BYTES];
        layout_text(type->layout, type->rank, name);
        agate_text_add(text, "{%s", name);
        if (type->layout.pitch)
            agate_text_add(text, " of %d", type->layout.pitch);
        agate_text_add(text, "}");
    }
}

static const char *dtype_parse(const char *text, agate_dtype *out_dtype)
{
    static const struct {
        const char *name;
        agate_dtype dtype;
    } rows[] = {
#define ROW(id, name, size_bytes, onnx) {name, AGATE_##id},
        AGATE_DTYPE_TABLE(ROW)
#undef ROW
    };
    size_t length = 0;

    while (isalnum((unsigned char)text[length]))
        length++;
    for (size_t i = 0; i < AGATE_COUNT(rows); i++)
        if (strlen(rows[i].name) == length && memcmp(rows[i].name, text, length) == 0) {
            *out_dtype = rows[i].dtype;
            return text + length;
        }
    return NULL;
}

static const char *dims_parse(const char *text, agate_type *type)
{
    if (*text == ']')
        return text + 1;
    while (type->rank < AGATE_MAX_RANK) {
        text = agate_dim_parse(text + strspn(text, " "), &type->dims[type->rank]);
        if (!text)
            return NULL;
        type->rank++;
        if (*text == ']')
            return text + 1;
        if (*text++ != ',')
            return NULL;
    }
    return NULL;
}

const char *agate_type_parse(const char *text, agate_type *out_type)
{
    agate_type type;

    memset(&type, 0, sizeof type);
    text = dtype_parse(text, &type.dtype);
    if (!text || *text != '[')
        return NULL;
    text = dims_parse(text + 1, &type);
    if (text && *text == '{') {
        text = layout_parse(text + 1, type.rank, &type.layout);
        text = text ? text + 1 : NULL;
    }
    if (text)
        *out_type = type;
    return text;
}
