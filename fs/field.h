/* fs/field.h - the fields of lines that control files show: parted by TABs, so that TABs, newlines,
 * other control characters and backslashes inside of a field are written as \ooo (octal), as in
 * /proc/self/mountinfo. Times are ISO 8601 in UTC; "-" stands for nothing.
 *
 * Pure functions, any thread.
 */
#pragma once

#include <glib.h>

/* Each appends a TAB (unless the line begins) and the field. */
void fs_field_text(GString *line, const char *text); /* NULL or "": nothing */
void fs_field_number(GString *line, guint64 number);
void fs_field_time(GString *line, gint64 seconds); /* since the epoch; 0: nothing */

/* Appends `text` as valid UTF-8, the bytes of control characters (also of U+0080 to U+009F, which
 * terminals obey) and those of `also` as \ooo. */
void fs_field_escape(GString *line, const char *text, const char *also);

/* A field without its escapes, to be freed with g_free(). */
char *fs_field_unescape(const char *field);
