/* text.c: a growable string. */
#include "runtime/base/base.h"

#include <stdio.h>
#include <stdlib.h>

/* Makes room for `more` bytes and the 0 behind them. */
static bool reserve(agate_text *text, size_t more)
{
    if (text->failed || more > SIZE_MAX / 4 || text->size_bytes > SIZE_MAX / 4) {
        text->failed = true;
        return false;
    }
    const size_t need = text->size_bytes + more + 1;
    if (need <= text->room_bytes)
        return true;
    size_t room = text->room_bytes ? text->room_bytes : 64;
    while (room < need)
        room *= 2;
    char *data = realloc(text->data, room);
    if (!data) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->room_bytes = room;
    return true;
}

void agate_text_add_bytes(agate_text *text, const void *bytes, size_t size_bytes)
{
    if (!reserve(text, size_bytes))
        return;
    if (size_bytes)
        memcpy(text->data + text->size_bytes, bytes, size_bytes);
    text->size_bytes += size_bytes;
    text->data[text->size_bytes] = 0;
}

void agate_text_add_v(agate_text *text, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    const int size = vsnprintf(NULL, 0, format, args);
    if (size < 0)
        text->failed = true;
    else if (reserve(text, (size_t)size)) {
        vsnprintf(text->data + text->size_bytes, (size_t)size + 1, format, again);
        text->size_bytes += (size_t)size;
    }
    va_end(again);
}

void agate_text_add(agate_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    agate_text_add_v(text, format, args);
    va_end(args);
}

void agate_text_deinit(agate_text *text)
{
    free(text->data);
    *text = (agate_text){0};
}
