/* parse.h: the text parser's parts, shared by its files. Internal to ir.
 *
 * Every function that reads returns false once something was not as expected; the first error is kept in
 * `status`, and everything behind it is cheap to skip. What a text can make the parser allocate is bounded by
 * the text's own size.
 */
#ifndef AGATE_PARSE_H
#define AGATE_PARSE_H

#include "ir/map.h"
#include "ir/text.h"

typedef struct agate_parser {
    const char *text; /* 0-terminated copy */
    const char *at;
    const char *end;
    int64_t line;      /* of `at`, counted from 1 */
    int64_t node_line; /* where the node that is being read begins */
    bool checked;
    agate_status status;
    agate_arena *scratch;
    agate_graph *graph; /* whose nodes are being read */
    agate_map names;    /* text of a value's name -> agate_value *, in this graph */
} agate_parser;

/* A stretch of the text. */
typedef struct agate_word {
    const char *start;
    size_t length;
} agate_word;

/* ---- parse_words.c ------------------------------------------------------------------------------------- */

/* Records the first error, "LINE:COLUMN: ...", at `where` (NULL: here); returns false. */
bool agate_parse_fail(agate_parser *p, const char *where, const char *format, ...) AGATE_PRINTF(3, 4);

/* "expected WHAT, found ..." */
bool agate_parse_expected(agate_parser *p, const char *what);

/* Passes blanks, line ends and comments. */
void agate_parse_blanks(agate_parser *p);

/* Passes `token` if it comes next; agate_parse_expect fails where it does not. */
bool agate_parse_accept(agate_parser *p, const char *token);
bool agate_parse_expect(agate_parser *p, const char *token);

/* Passes a word of letters, digits, _ and dots; false, without an error, where none comes next. */
bool agate_parse_word(agate_parser *p, agate_word *out_word);
bool agate_word_is(agate_word word, const char *text);

/* Passes this very word if it comes next. */
bool agate_parse_keyword(agate_parser *p, const char *keyword);

/* "..." with its escapes resolved; in the graph's arena. */
bool agate_parse_string(agate_parser *p, const char **out_string);

/* An identifier or a string. */
bool agate_parse_name(agate_parser *p, const char **out_name);

bool agate_parse_int(agate_parser *p, int64_t *out_value);
bool agate_parse_dim(agate_parser *p, agate_dim *out_dim);

/* A type; checked for sense if the parser checks. */
bool agate_parse_type(agate_parser *p, agate_type *out_type);

/* ---- parse_attrs.c ------------------------------------------------------------------------------------- */

/* NAME=VALUE ... of the node's attribute set, up to what is no such pair. */
bool agate_parse_attrs(agate_parser *p, agate_node *node);

/* STRATEGY<TILE=NUMBER, ...>, which may be left out. */
bool agate_parse_strategy(agate_parser *p, agate_node *node);

/* Passes [NUMBER, ...]; the numbers are read once the type is known, by agate_parse_elements. */
bool agate_parse_skip_elements(agate_parser *p, agate_word *out_elements);
bool agate_parse_elements(agate_parser *p, agate_word elements, agate_node *node);

#endif
