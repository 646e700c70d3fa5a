/* fs/command.h - what the control files have the platform do: registering images. And the log of
 * it.
 *
 * A command runs on although nobody waits for it any more. An equal one (verb, contents of the
 * source, name) that is given meanwhile joins it: programs repeat a write() that a signal
 * interrupted. Commands for one image run one after the other, so that the last one counts.
 *
 * Nothing is sent twice without asking: when an answer is lost (the platform's proxy answers 504
 * while a registration goes on), the service is asked about the image, with pauses, until it tells
 * the outcome or `register_timeout` has passed.
 *
 * Commands are journaled, in the cache of their storage, until they have ended: what the death of
 * the daemon or an impatient end cut off goes on at the next mount (fs_commands_resume). What was
 * sent already is asked for first; only if the platform does not tell an outcome in all that time
 * it is sent again.
 *
 * Threads: any; callbacks on any.
 */
#pragma once

#include "fs/register-line.h"
#include "fs/virtual.h"

FsCommands *fs_commands_new(FsMount *mount);
/* Who still waits gets ECANCELED. */
void fs_commands_free(FsCommands *commands);

typedef void (*FsCommandCallback)(const GError *error, void *data);

typedef struct {
	FsVerb verb;
	FsStorage *storage;
	FsFolder folder;   /* of the control file */
	CacheId source;    /* 0: none */
	const char *shown; /* the source as it was written */
	const char *name;  /* of the image */
} FsCommandSpec;
/* What can be said before anything is sent: is there an Images service, does the name keep to the
 * platform's rules? */
bool fs_command_check(const FsStorage *storage, const char *name, GError **error);
/* Takes over the reference that `source` carries. */
void fs_commands_run(FsCommands *commands, const FsCommandSpec *spec, FsCommandCallback callback,
                     void *data);
/* Logs a line that became no command. */
void fs_commands_reject(FsCommands *commands, const char *shown, const char *name,
                        const GError *error);
/* Goes on with what the last run left; once the storage's cache has been started. */
void fs_commands_resume(FsCommands *commands, FsStorage *storage);

guint fs_commands_pending(FsCommands *commands);
/* Calls `func` once when none is pending, or at once. */
void fs_commands_when_idle(FsCommands *commands, void (*func)(void *data), void *data);

/* Appends the log: a line each, which begins with '#'. */
void fs_commands_print(FsCommands *commands, GString *text);

/* One that is pending. */
typedef struct {
	const char *folder; /* relative to the mount; "." its root */
	const char *verb;   /* "replace", "register", "update", "remove" */
	const char *source; /* as written, "": none */
	const char *name;
	gint64 since;     /* s since the epoch */
	const char *step; /* "waiting" for another one of that name, "uploading" the source,
	                     "asking" what is there, "sent", "settling" what became of it */
} FsCommandStatus;
/* In the order in which they were given; a lock is held. */
typedef void (*FsCommandFunc)(const FsCommandStatus *status, void *data);
void fs_commands_each(FsCommands *commands, FsCommandFunc func, void *data);
