/* attributes.c: typed reading of a node's attributes. */
#include "frontend/importer.h"

#include <inttypes.h>

static const char *const kind_names[] = {
    "undefined", "float",   "int",    "string",        "tensor",         "graph", "floats", "ints",
    "strings",   "tensors", "graphs", "sparse tensor", "sparse tensors", "type",  "types",
};

static const char *kind_name(int32_t kind)
{
    return kind >= 0 && (size_t)kind < AGATE_COUNT(kind_names) ? kind_names[kind] : "unknown";
}

static const Onnx__AttributeProto *find_in(Onnx__AttributeProto *const *attributes, size_t count,
                                           const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (attributes[i]->name && strcmp(attributes[i]->name, name) == 0)
            return attributes[i];
    return NULL;
}

/* Within a function an attribute may stand for one of the calling node, or for the function's default. */
static const Onnx__AttributeProto *resolve(const agate_scope *scope, const Onnx__AttributeProto *attribute)
{
    while (attribute && attribute->ref_attr_name && *attribute->ref_attr_name) {
        if (!scope->function)
            return NULL;
        const char *name = attribute->ref_attr_name;
        attribute = find_in(scope->call->attribute, scope->call->n_attribute, name);
        if (!attribute)
            return find_in(scope->function->attribute_proto, scope->function->n_attribute_proto, name);
        scope = scope->caller;
    }
    return attribute;
}

const Onnx__AttributeProto *agate_attr_find(agate_call *call, const char *name)
{
    return resolve(call->scope, find_in(call->node->attribute, call->node->n_attribute, name));
}

bool agate_attr_has(agate_call *call, const char *name)
{
    return agate_attr_find(call, name) != NULL;
}

/* The attribute, if it is there and of this kind. IR 3 files have kinds; files without are read by what is
 * set. */
static const Onnx__AttributeProto *find_kind(agate_call *call, const char *name, int32_t kind, bool set)
{
    const Onnx__AttributeProto *attribute = agate_attr_find(call, name);
    if (!attribute || attribute->type == kind || (!attribute->has_type && set))
        return attribute;
    agate_call_invalid(call, "attribute \"%s\" is of kind %s where %s is wanted", name,
                       kind_name(attribute->type), kind_name(kind));
    return NULL;
}

int64_t agate_attr_int(agate_call *call, const char *name, int64_t value)
{
    const Onnx__AttributeProto *found = find_kind(call, name, ONNX__ATTRIBUTE_PROTO__KIND__INT, true);
    return found ? found->i : value;
}

bool agate_attr_bool(agate_call *call, const char *name, bool value)
{
    const int64_t found = agate_attr_int(call, name, value);
    if (found != 0 && found != 1)
        agate_call_invalid(call, "attribute \"%s\" is %" PRId64 ", which is neither 0 nor 1", name, found);
    return found != 0;
}

double agate_attr_float(agate_call *call, const char *name, double value)
{
    const Onnx__AttributeProto *found = find_kind(call, name, ONNX__ATTRIBUTE_PROTO__KIND__FLOAT, true);
    return found ? (double)found->f : value;
}

const char *agate_attr_string(agate_call *call, const char *name, const char *value)
{
    const Onnx__AttributeProto *found = find_kind(call, name, ONNX__ATTRIBUTE_PROTO__KIND__STRING, true);
    if (!found)
        return value;
    char *copy = agate_arena_alloc(call->importer->arena, found->s.len + 1); /* zeroed: ends with 0 */
    if (found->s.len)
        memcpy(copy, found->s.data, found->s.len);
    return copy;
}

bool agate_attr_ints(agate_call *call, const char *name, agate_ints *out_ints)
{
    memset(out_ints, 0, sizeof(*out_ints));
    const Onnx__AttributeProto *found = find_kind(call, name, ONNX__ATTRIBUTE_PROTO__KIND__INTS, true);
    if (!found)
        return false;
    if (found->n_ints > AGATE_MAX_INTS) {
        agate_call_unsupported(call, "attribute \"%s\" has %zu numbers; at most %d are supported", name,
                               found->n_ints, AGATE_MAX_INTS);
        return false;
    }
    out_ints->count = (int32_t)found->n_ints;
    if (found->n_ints)
        memcpy(out_ints->v, found->ints, found->n_ints * sizeof(int64_t));
    return true;
}

/* Is `name` one of the words of `list`? */
static bool listed(const char *list, const char *name)
{
    const size_t length = strlen(name);
    for (const char *at = list; *at;) {
        const size_t word = strcspn(at, " ");
        if (word == length && memcmp(at, name, length) == 0)
            return true;
        at += word + strspn(at + word, " ");
    }
    return false;
}

void agate_attrs_check(agate_call *call)
{
    const Onnx__NodeProto *node = call->node;
    for (size_t i = 0; i < node->n_attribute; i++) {
        const char *name = node->attribute[i]->name;
        if (!name || !*name)
            agate_call_invalid(call, "it has an attribute without a name");
        else if (!listed(call->row->attributes, name))
            agate_call_invalid(call, "it has an attribute \"%s\", which the operator does not have", name);
        else if (find_in(node->attribute, i, name))
            agate_call_invalid(call, "it has two attributes \"%s\"", name);
        if (call->faulty)
            return;
    }
}
