/* text.h - names, escapes and dates. Pure functions, any thread. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Whether the platform can hold `name`: 1 to 255 bytes of valid UTF-8, no slash, nothing
 * that XML cannot carry, neither "." nor "..". */
bool gl_text_name_valid(const char *name);

/* One segment of a URL path. `raw` leaves everything alone but `%`, `?` and `#`, as the storages do
 * that hand out URLs with spaces and UTF-8 in them. */
char *gl_text_escape_segment(const char *name, bool raw);

/* Both append. */
void gl_text_append_xml(GString *out, const char *text);
void gl_text_append_json(GString *out, const char *text); /* with the quotes */

/* "Sun, 06 Nov 1994 08:49:37 GMT" from and to seconds since 1970; -1 when `text` is no such date.
 */
char *gl_text_http_date(gint64 seconds);
gint64 gl_text_parse_http_date(const char *text);

/* "1994-11-06T08:49:37Z" */
char *gl_text_iso_date(gint64 seconds);
