/* fs/register-line.h - the lines that are written to .register.
 *
 *	SOURCE [NAME]             bring the image NAME up to SOURCE, be it new or not
 *	register SOURCE [NAME]    the same
 *	update SOURCE [NAME]      the image must exist
 *	remove NAME
 *
 * Words are split and quoted as a shell does; blank lines and comments (#) are nothing. A source of
 *one of these names is written ./register.
 *
 * Pure functions, any thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define FS_LINE_MAX 4096  /* bytes, without the newline */
#define FS_LINES_MAX 1000 /* in one write */

typedef enum {
	FS_VERB_REGISTER, /* new or replaced */
	FS_VERB_UPDATE,
	FS_VERB_REMOVE,
} FsVerb;

typedef struct {
	FsVerb verb;
	char *source; /* NULL: FS_VERB_REMOVE */
	char *name;   /* of the image; by default the source's file name */
} FsLine;
void fs_line_clear(FsLine *line);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FsLine, fs_line_clear)

/* A line of a write. */
typedef struct {
	char *text;
	gsize end; /* bytes of the write up to and with its newline */
} FsLineText;

/* The lines of a write (FsLineText, to be freed with g_ptr_array_unref()). EINVAL: a tail without a
 * newline, a byte 0, invalid UTF-8, a line or a number of lines beyond the limits. */
GPtrArray *fs_lines_split(const char *bytes, gsize length, GError **error);

/* EINVAL, and the message says why. `ret_empty`: there is nothing to do. */
bool fs_line_parse(const char *text, FsLine *ret, bool *ret_empty, GError **error);
