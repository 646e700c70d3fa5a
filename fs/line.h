/* fs/line.h - the lines that are written to control files: each a command, its words split and
 * quoted as a shell does (g_shell_parse_argv); a # with nothing or a blank before it, outside of
 * quotes, begins a comment.
 *
 * Pure functions, any thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define FS_LINE_MAX 4096  /* bytes, without the newline */
#define FS_LINES_MAX 1000 /* in one write */

/* A line of a write. */
typedef struct {
	char *text;
	gsize end; /* bytes of the write up to and with its newline */
} FsLineText;

/* The lines of a write (FsLineText, to be freed with g_ptr_array_unref()). EINVAL: a tail without a
 * newline, a byte 0, invalid UTF-8, a line or a number of lines beyond the limits. */
GPtrArray *fs_lines_split(const char *bytes, gsize length, GError **error);

/* The words of a line, to be freed with g_strfreev(); NULL: it has none. EINVAL: quotes don't
 * match. */
bool fs_line_words(const char *text, char ***ret, GError **error);
