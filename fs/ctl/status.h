/* fs/ctl/status.h - the text of a mount's .status, understood.
 *
 * One line a fact, fields parted by TABs, the first says its kind; inside of fields backslash, TAB,
 * newline and control bytes are \ooo (octal). "-" is nothing; times are ISO 8601 in UTC. Kinds and
 * trailing fields that are not known here are of a later version, and are skipped.
 *
 *	gssfs    1  VERSION  SOURCE  MOUNTPOINT
 *	session  ok|missing|rejected|offline  USER  PROJECT  VALID_UNTIL  MESSAGE
 *	cache    STORAGE_URI  USED_BYTES  LIMIT_BYTES
 *	quarantine  FILES  BYTES  PATH
 *	pending  FILES  BYTES_LEFT  BYTES_PER_SECOND  EXPECTED_END  PARKED  REMOVALS
 *	file     PATH  STATE  BYTES_DONE  BYTES_TOTAL  TRIES  NEXT_TRY  MESSAGE
 *	command  FOLDER  VERB  SOURCE  NAME  SINCE  STEP  STORAGE
 *
 * Pure functions, any thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Strings are NULL and times 0 where the text has nothing. Times are seconds since the epoch. */

typedef struct {
	char *storage; /* "it4i_anselm://" */
	guint64 used, limit;
} CtlCache;

typedef struct {
	guint64 files, bytes;
	char *path; /* a folder outside of the mount */
} CtlQuarantine;

typedef struct {
	char *path; /* relative to the mount; a GSS URI if it is not below it */
	char *state;
	guint64 done, total; /* bytes */
	guint64 tries;
	gint64 next_try;
	char *message;
} CtlFile;

typedef struct {
	char *folder, *verb, *source, *name;
	gint64 since;
	char *step, *storage;
} CtlCommand;

typedef struct {
	char *version, *source, *mountpoint;
	struct {
		char *state, *user, *project, *message;
		gint64 valid_until;
	} session;
	struct {
		guint64 files, bytes, rate, parked, removals;
		gint64 expected_end;
	} pending;
	GPtrArray *caches, *quarantines; /* CtlCache, CtlQuarantine */
	GPtrArray *files, *commands;     /* CtlFile, CtlCommand */
} CtlStatus;

/* EPROTO: it is not a .status, or one of another major version. */
CtlStatus *ctl_status_parse(const char *text, GError **error);
void ctl_status_free(CtlStatus *status);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlStatus, ctl_status_free)

/* Does this file wait for a person? */
bool ctl_file_is_parked(const CtlFile *file);
/* Does GSS have all of it? Also a conflict copy may be there. */
bool ctl_file_is_there(const CtlFile *file);
/* Is this file, or is it below, the path (relative to the mount; "" is all)? */
bool ctl_file_is_below(const CtlFile *file, const char *path);

/* A field without its escapes. Free with g_free(). */
char *ctl_unescape(const char *field);
