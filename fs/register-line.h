/* fs/register-line.h - the lines that are written to .register.
 *
 *	SOURCE [NAME]             bring the image NAME up to SOURCE, be it new or not
 *	register SOURCE [NAME]    only if the name is free
 *	update SOURCE [NAME]      only if the image is there
 *	remove NAME
 *
 * Words are split and quoted as a shell does; blank lines and comments (#) are nothing. A source of
 * one of these names is written ./register.
 *
 * Pure functions, any thread.
 */
#pragma once

#include "fs/line.h"

typedef enum {
	FS_VERB_REPLACE,  /* new or replaced */
	FS_VERB_REGISTER, /* must not be there */
	FS_VERB_UPDATE,   /* must be there */
	FS_VERB_REMOVE,
} FsVerb;

/* "replace", "register", "update", "remove". */
const char *fs_verb_name(FsVerb verb);
bool fs_verb_parse(const char *name, FsVerb *ret);

typedef struct {
	FsVerb verb;
	char *source; /* NULL: FS_VERB_REMOVE */
	char *name;   /* of the image; by default the source's file name */
} FsLine;
void fs_line_clear(FsLine *line);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FsLine, fs_line_clear)

/* EINVAL, and the message says why. `ret_empty`: there is nothing to do. */
bool fs_line_parse(const char *text, FsLine *ret, bool *ret_empty, GError **error);
