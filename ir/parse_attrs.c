/* parse_attrs.c: what a node holds beside operands: attributes, strategy and tiles, elements of a constant.
 */
#include "ir/number.h"
#include "ir/parse.h"

/* ---- attributes ---------------------------------------------------------------------------------------- */

/* [ITEM, ...], at most `room` of them. Each is read by `item` into slot number `index` of `list`. */
static bool parse_list(agate_parser *p, int32_t room,
                       bool (*item)(agate_parser *p, void *list, int32_t index), void *list,
                       int32_t *out_count)
{
    *out_count = 0;
    if (!agate_parse_expect(p, "["))
        return false;
    if (agate_parse_accept(p, "]"))
        return true;
    do {
        if (*out_count == room)
            return agate_parse_fail(p, NULL, "a list holds at most %d numbers", room);
        if (!item(p, list, (*out_count)++))
            return false;
    } while (agate_parse_accept(p, ","));
    return agate_parse_expect(p, "]");
}

static bool int_item(agate_parser *p, void *list, int32_t index)
{
    return agate_parse_int(p, &((agate_ints *)list)->v[index]);
}

static bool dim_item(agate_parser *p, void *list, int32_t index)
{
    return agate_parse_dim(p, &((agate_dims *)list)->v[index]);
}

static bool parse_float(agate_parser *p, double *out_value)
{
    agate_parse_blanks(p);
    const char *end = agate_double_parse(p->at, out_value);
    if (!end)
        return agate_parse_expected(p, "a number");
    p->at = end;
    return true;
}

static bool parse_bool(agate_parser *p, bool *out_value)
{
    *out_value = agate_parse_keyword(p, "true");
    return *out_value || agate_parse_keyword(p, "false") || agate_parse_expected(p, "true or false");
}

static bool parse_padding(agate_parser *p, agate_padding *out_value)
{
    for (agate_padding mode = AGATE_PAD_CONSTANT; mode <= AGATE_PAD_WRAP; mode++)
        if (agate_parse_keyword(p, agate_padding_name(mode))) {
            *out_value = mode;
            return true;
        }
    return agate_parse_expected(p, "constant, reflect, edge or wrap");
}

static bool parse_dtype(agate_parser *p, agate_dtype *out_value)
{
#define TRY(name, text, size_bytes, onnx)                                                                    \
    if (agate_parse_keyword(p, text)) {                                                                      \
        *out_value = AGATE_##name;                                                                           \
        return true;                                                                                         \
    }
    AGATE_DTYPE_TABLE(TRY)
#undef TRY
    return agate_parse_expected(p, "an element type such as f32");
}

static bool parse_value(agate_parser *p, agate_attr_kind kind, void *field)
{
    switch (kind) {
    case AGATE_ATTR_int:
        return agate_parse_int(p, field);
    case AGATE_ATTR_bool:
        return parse_bool(p, field);
    case AGATE_ATTR_float:
        return parse_float(p, field);
    case AGATE_ATTR_ints:
        return parse_list(p, AGATE_MAX_INTS, int_item, field, &((agate_ints *)field)->count);
    case AGATE_ATTR_dims:
        return parse_list(p, AGATE_MAX_RANK, dim_item, field, &((agate_dims *)field)->count);
    case AGATE_ATTR_enum:
        return parse_padding(p, field);
    case AGATE_ATTR_dtype:
        return parse_dtype(p, field);
    }
    return false;
}

/* Passes NAME=; false where no such pair comes next. */
static bool parse_attr_name(agate_parser *p, agate_word *out_name)
{
    agate_parse_blanks(p);
    const char *start = p->at;

    if (agate_parse_word(p, out_name) && agate_parse_accept(p, "="))
        return true;
    p->at = start; /* it is `from`, or the next node */
    return false;
}

bool agate_parse_attrs(agate_parser *p, agate_node *node)
{
    size_t count;
    const agate_attr_info *rows = agate_attr_rows(agate_node_info(node)->attrs, &count);
    uint32_t seen = 0;
    agate_word name;

    while (parse_attr_name(p, &name)) {
        size_t row = 0;
        while (row < count && !agate_word_is(name, rows[row].name))
            row++;
        if (row == count || (seen & (1u << row)))
            return agate_parse_fail(p, name.start, "%s %s '%.*s'", agate_node_info(node)->name,
                                    row == count ? "has no attribute" : "already has",
                                    (int)agate_min((int64_t)name.length, 40), name.start);
        seen |= 1u << row;
        if (!parse_value(p, rows[row].kind, (char *)&node->attrs + rows[row].offset_bytes))
            return false;
    }
    return p->status == AGATE_OK;
}

/* ---- strategy and tiles -------------------------------------------------------------------------------- */

static bool parse_tile(agate_parser *p, int32_t *tiles)
{
    agate_word word;
    int64_t value;
    size_t tile = 0;

    agate_parse_blanks(p);
    const char *start = p->at;
    if (!agate_parse_word(p, &word))
        return agate_parse_expected(p, "a tile");
    while (tile < agate_tile_count && !agate_word_is(word, agate_tile_names[tile]))
        tile++;
    if (tile == agate_tile_count || tiles[tile] != 0)
        return agate_parse_fail(
            p, start, tile == agate_tile_count ? "there is no such tile" : "this tile is set twice");
    if (!agate_parse_expect(p, "="))
        return false;
    start = p->at;
    if (!agate_parse_int(p, &value))
        return false;
    if (value < 1 || value > INT32_MAX)
        return agate_parse_fail(p, start, "a tile is from 1 to %d", INT32_MAX);
    tiles[tile] = (int32_t)value;
    return true;
}

bool agate_parse_strategy(agate_parser *p, agate_node *node)
{
    agate_word word;

    agate_parse_blanks(p);
    const char *start = p->at;
    if (!agate_parse_word(p, &word))
        return p->status == AGATE_OK;
    node->strategy = agate_strategy_find(word.start, word.length);
    if (node->strategy == AGATE_STRATEGY_none)
        return agate_parse_fail(p, start, "there is no strategy '%.*s'",
                                (int)agate_min((int64_t)word.length, 40), word.start);
    if (!agate_parse_accept(p, "<"))
        return p->status == AGATE_OK;
    do
        if (!parse_tile(p, (int32_t *)&node->tiles))
            return false;
    while (agate_parse_accept(p, ","));
    return agate_parse_expect(p, ">");
}

/* ---- constants ----------------------------------------------------------------------------------------- */

bool agate_parse_skip_elements(agate_parser *p, agate_word *out_elements)
{
    if (!agate_parse_expect(p, "["))
        return false;
    out_elements->start = p->at;
    out_elements->length = strcspn(p->at, "];\n\"{}");
    p->at += out_elements->length;
    return agate_parse_expect(p, "]");
}

static int64_t count_elements(agate_word elements)
{
    int64_t commas = 0;
    size_t blanks = strspn(elements.start, " \t\r");

    if (blanks >= elements.length)
        return 0;
    for (size_t i = 0; i < elements.length; i++)
        commas += elements.start[i] == ',';
    return commas + 1;
}

/* Reads the list into `bytes`, which has room for as many elements as the list has. */
static bool read_elements(agate_parser *p, agate_word elements, agate_dtype dtype, char *bytes)
{
    const char *after = p->at, *end = elements.start + elements.length;
    size_t size = agate_dtype_size(dtype);

    for (p->at = elements.start;; bytes += size) {
        agate_parse_blanks(p);
        const char *next = agate_element_parse(p->at, dtype, bytes);
        if (!next)
            return agate_parse_fail(p, NULL, "expected a number that fits %s", agate_dtype_name(dtype));
        p->at = next;
        agate_parse_blanks(p);
        if (p->at == end)
            break;
        if (!agate_parse_expect(p, ","))
            return false;
    }
    p->at = after;
    return true;
}

bool agate_parse_elements(agate_parser *p, agate_word elements, agate_node *node)
{
    const agate_type *type = &node->results[0].type;
    int64_t count = count_elements(elements);
    agate_dim size;

    if (!agate_type_size(type, &size) || !agate_dim_is_fixed(size))
        return agate_parse_fail(p, elements.start, "the type of a constant must have a fixed size");
    int64_t needed = size.offset / (int64_t)agate_dtype_size(type->dtype);
    if (needed != count)
        return agate_parse_fail(p, elements.start, "the type has %lld elements, the list %lld",
                                (long long)needed, (long long)count);
    node->data = agate_data_create((size_t)size.offset);
    if (!node->data) {
        p->status = agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for a constant of %lld bytes",
                                     (long long)size.offset);
        return false;
    }
    return count == 0 || read_elements(p, elements, type->dtype, (char *)node->data->bytes);
}
