/* parse_words.c: the parser's words, names, numbers and errors. */
#include <ctype.h>

#include "ir/number.h"
#include "ir/parse.h"

/* ---- errors -------------------------------------------------------------------------------------------- */

bool agate_parse_fail(agate_parser *p, const char *where, const char *format, ...)
{
    if (p->status != AGATE_OK)
        return false;
    int64_t line = 1, column = 1;
    agate_text message = {0};
    va_list args;

    for (const char *c = p->text; c < (where ? where : p->at); c++, column++)
        if (*c == '\n') {
            line++;
            column = 0;
        }
    va_start(args, format);
    agate_text_add_v(&message, format, args);
    va_end(args);
    p->status = agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "%lld:%lld: %s", (long long)line,
                                 (long long)column, agate_text_c(&message));
    agate_text_deinit(&message);
    return false;
}

bool agate_parse_expected(agate_parser *p, const char *what)
{
    int length = 0;
    unsigned char first = (unsigned char)*p->at;

    if (p->at == p->end)
        return agate_parse_fail(p, NULL, "expected %s, found the end of the text", what);
    if (!isprint(first))
        return agate_parse_fail(p, NULL, "expected %s, found byte 0x%02x", what, first);
    do
        length++;
    while (length < 24 && (isalnum((unsigned char)p->at[length]) || p->at[length] == '_'));
    return agate_parse_fail(p, NULL, "expected %s, found '%.*s'", what, length, p->at);
}

/* ---- tokens -------------------------------------------------------------------------------------------- */

void agate_parse_blanks(agate_parser *p)
{
    for (; p->at < p->end; p->at++) {
        if (*p->at == '\n')
            p->line++;
        else if (*p->at == ';')
            p->at += strcspn(p->at, "\n") - 1; /* the line's end, or the text's, comes next */
        else if (*p->at != ' ' && *p->at != '\t' && *p->at != '\r')
            return;
    }
}

bool agate_parse_accept(agate_parser *p, const char *token)
{
    size_t length = strlen(token);

    agate_parse_blanks(p);
    if (p->status != AGATE_OK || strncmp(p->at, token, length) != 0)
        return false;
    p->at += length;
    return true;
}

bool agate_parse_expect(agate_parser *p, const char *token)
{
    char what[16] = "'";
    return agate_parse_accept(p, token) ||
           agate_parse_expected(p, strcat(strncat(what, token, sizeof what - 3), "'"));
}

static bool is_word_byte(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.';
}

bool agate_parse_word(agate_parser *p, agate_word *out_word)
{
    agate_parse_blanks(p);
    const char *start = p->at;

    if (p->status != AGATE_OK || !is_word_byte(*start))
        return false;
    while (is_word_byte(*p->at))
        p->at++;
    *out_word = (agate_word){start, (size_t)(p->at - start)};
    return true;
}

bool agate_word_is(agate_word word, const char *text)
{
    return strlen(text) == word.length && memcmp(text, word.start, word.length) == 0;
}

bool agate_parse_keyword(agate_parser *p, const char *keyword)
{
    agate_parse_blanks(p);
    const char *start = p->at;
    agate_word word;

    if (agate_parse_word(p, &word) && agate_word_is(word, keyword))
        return true;
    p->at = start;
    return false;
}

/* ---- names --------------------------------------------------------------------------------------------- */

/* The byte that an escape stands for, passing it; 0: none. */
static char parse_escape(agate_parser *p)
{
    p->at++; /* the backslash */
    if (*p->at == '"' || *p->at == '\\')
        return *p->at++;
    if (*p->at == 'x' && isxdigit((unsigned char)p->at[1]) && isxdigit((unsigned char)p->at[2])) {
        static const char digits[] = "0123456789abcdef";
        int high = (int)(strchr(digits, tolower((unsigned char)p->at[1])) - digits);
        int low = (int)(strchr(digits, tolower((unsigned char)p->at[2])) - digits);
        p->at += 3;
        return (char)(16 * high + low);
    }
    return 0;
}

bool agate_parse_string(agate_parser *p, const char **out_string)
{
    if (!agate_parse_accept(p, "\""))
        return agate_parse_expected(p, "a name in quotes");
    size_t length = 0;
    const char *quote = p->at;
    while (*quote && *quote != '"' && *quote != '\n')
        quote += *quote == '\\' && quote[1] ? 2 : 1;
    char *string = agate_arena_alloc(p->graph->arena, (size_t)(quote - p->at) + 1);

    while (*p->at != '"') {
        if (p->at == p->end || *p->at == '\n' || *p->at == 0)
            return agate_parse_expected(p, "a quote at the end of the name");
        char c = *p->at;
        if (c == '\\') {
            const char *escape = p->at;
            c = parse_escape(p);
            if (c == 0)
                return agate_parse_fail(p, escape,
                                        "expected an escape: \\\", \\\\ or \\x and two digits other than 00");
        } else {
            p->at++;
        }
        string[length++] = c;
    }
    p->at++;
    *out_string = string; /* the arena gave zeroed memory */
    return true;
}

bool agate_parse_name(agate_parser *p, const char **out_name)
{
    agate_word word;

    agate_parse_blanks(p);
    if (*p->at == '"')
        return agate_parse_string(p, out_name);
    if ((!isalpha((unsigned char)*p->at) && *p->at != '_') || !agate_parse_word(p, &word))
        return agate_parse_expected(p, "a name");
    *out_name = agate_arena_format(p->graph->arena, "%.*s", (int)word.length, word.start);
    return true;
}

/* ---- numbers and types --------------------------------------------------------------------------------- */

bool agate_parse_int(agate_parser *p, int64_t *out_value)
{
    agate_parse_blanks(p);
    const char *end = agate_int_parse(p->at, out_value);
    if (!end)
        return agate_parse_expected(p, "a whole number of 64 bits");
    p->at = end;
    return true;
}

bool agate_parse_dim(agate_parser *p, agate_dim *out_dim)
{
    agate_parse_blanks(p);
    const char *end = agate_dim_parse(p->at, out_dim);
    if (!end)
        return agate_parse_expected(p, "a dimension such as 64, N or 2N+1");
    p->at = end;
    return true;
}

bool agate_parse_type(agate_parser *p, agate_type *out_type)
{
    agate_parse_blanks(p);
    const char *start = p->at, *end = agate_type_parse(p->at, out_type);
    agate_text fault = {0};

    if (!end) {
        size_t length = 0;
        while (length < 60 && p->at[length] &&
               (isalnum((unsigned char)p->at[length]) || strchr("[],+-{}", p->at[length])))
            length++;
        return agate_parse_fail(p, NULL,
                                "expected a type such as f32[N,64] or f32[N,64,7,7]{nchw16c}, found '%.*s'",
                                (int)length, p->at);
    }
    p->at = end;
    if (p->checked && !agate_type_check(out_type, &fault))
        agate_parse_fail(p, start, "%s", agate_text_c(&fault));
    agate_text_deinit(&fault);
    return p->status == AGATE_OK;
}
