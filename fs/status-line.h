/* fs/status-line.h - the lines that are written to .status.
 *
 *	retry [PATH]      try uploads again now: all that wait or are parked, or one
 *	discard PATH      give local changes up for good; the file is as GSS has it, or gone
 *	login             read the credentials afresh and log in
 *	refresh [PATH]    forget cached attributes and listings; of all, or of a file or folder
 *
 * Words are split and quoted as a shell does; blank lines and comments (#) are nothing. PATH is
 * relative to the mount, or below its mount point, or a GSS URI.
 *
 * Pure functions, any thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef enum {
	FS_ACT_NOTHING,
	FS_ACT_RETRY,
	FS_ACT_DISCARD,
	FS_ACT_LOGIN,
	FS_ACT_REFRESH,
} FsAct;

/* EINVAL, and the message says why. `ret_path` is NULL where there is none, to be freed with
 * g_free(). */
bool fs_status_line_parse(const char *text, FsAct *ret_act, char **ret_path, GError **error);
