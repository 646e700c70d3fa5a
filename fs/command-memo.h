/* fs/command-memo.h - what is journaled of a command: fields of a line (fs/field.h).
 *
 * Pure functions, any thread.
 */
#pragma once

#include "cache/cache.h"
#include "fs/register-line.h"

typedef struct {
	/* What was wanted. */
	FsVerb verb;
	CacheId source;     /* 0: none, or it is gone */
	guint64 generation; /* of the source */
	char *folder;       /* of the control file, relative to the mount */
	char *shown;        /* the source as written; "": none */
	char *name;         /* of the image */
	gint64 since;       /* s since the epoch */
	/* What is known by now. */
	char *uri;       /* of the source; NULL: not yet */
	gint64 size;     /* of the source; -1: not known */
	bool existed;    /* an image of that name, before it was sent */
	gint64 old_size; /* of that image; -1: not known */
	char *old_date;  /* as the platform wrote it; NULL: none */
	gint64 sent_at;  /* s since the epoch; 0: nothing was sent */
	char *failure; /* how it ended, when nobody was there any more to be told; NULL: it runs */
	gint64 failed_at; /* s since the epoch; 0: not known */
} FsCommandMemo;
void fs_command_memo_clear(FsCommandMemo *memo);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FsCommandMemo, fs_command_memo_clear)

/* Is it the same that was wanted: verb, contents of the source, name? */
bool fs_command_memo_equal(const FsCommandMemo *a, const FsCommandMemo *b);
/* To be freed with g_free(). */
char *fs_command_memo_print(const FsCommandMemo *memo);
/* False: this is none. */
bool fs_command_memo_parse(const char *text, FsCommandMemo *ret);
