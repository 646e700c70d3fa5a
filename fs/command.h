/* fs/command.h - what the control files have the platform do: registering images. And the log of
 * it.
 *
 * A command runs on although nobody waits for it any more. An equal one (verb, contents of the
 * source, name) that is given meanwhile joins it, if it is the last for its image: programs repeat
 * a write() that a signal interrupted. If it ended before the repetition came, that is answered
 * with its outcome. Commands for one image run one after the other, so that the last one counts.
 *
 * A source that is open for writing is waited for until it is closed, for `register_timeout`.
 *
 * Nothing is sent twice without asking: when an answer is lost (the platform's proxy answers 504
 * while a registration goes on), the service is asked about the image, with pauses, until it tells
 * the outcome or `register_timeout` has passed.
 *
 * Commands are journaled, in the cache of their storage, until they have ended: what the death of
 * the daemon or an impatient end cut off goes on at the next mount (fs_commands_resume). One that
 * nobody waits for any more does not fail because the platform cannot be reached or the credentials
 * do not work: it pauses; who waits behind it for the same image is told, as if it were not there.
 * What was sent already is asked for first; only if the platform does not
 * tell an outcome in all that time it is sent again.
 *
 * Threads: any; callbacks on any.
 */
#pragma once

#include "fs/register-line.h"
#include "fs/virtual.h"

FsCommands *fs_commands_new(FsMount *mount);
/* Who still waits gets ECANCELED. */
void fs_commands_free(FsCommands *commands);

/* Who waits for the end of a command; copied. */
typedef struct {
	/* Called once. True: it was heard; false: a signal, or the session's end, had ended the
	 * wait. */
	bool (*done)(const GError *error, void *data);
	bool (*waits)(void *data); /* still? A lock is held. */
	void *data;
} FsCommandWaiter;

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
void fs_commands_run(FsCommands *commands, const FsCommandSpec *spec,
                     const FsCommandWaiter *waiter);
/* Logs a line that became no command. `storage` NULL: it is not known of which. */
void fs_commands_reject(FsCommands *commands, const FsStorage *storage, const char *shown,
                        const char *name, const GError *error);
/* Goes on with what the last run left; once the storage's cache has been started. */
void fs_commands_resume(FsCommands *commands, FsStorage *storage);

guint fs_commands_pending(FsCommands *commands);
/* The session is over. Calls `func` once when none is pending, or at once. */
void fs_commands_drain(FsCommands *commands, void (*func)(void *data), void *data);
/* On the mount's loop: the storage is leaving, its cache and its Images service have stopped. What
 * is pending of it is in its journal. Was anything? */
bool fs_commands_leave(FsCommands *commands, const FsStorage *storage);
/* The platform may be there again, or the login work: those that pause for it try now. */
void fs_commands_wake(FsCommands *commands);
/* A file that was open for writing has been closed. */
void fs_commands_closed(FsCommands *commands);

/* Appends the log of a storage, or of all: fs/command-log.h. */
void fs_commands_print(FsCommands *commands, const FsStorage *storage, GString *text);

/* One that is pending. */
typedef struct {
	const char *folder; /* relative to the mount; "." its root */
	const char *verb;   /* "replace", "register", "update", "remove" */
	const char *source; /* as written, "": none */
	const char *name;
	gint64 since;     /* s since the epoch */
	const char *step; /* "waiting" for another one of that name, "open" for writing is the
	                     source, "uploading" it, "asking" what is there, "sent", "settling" what
	                     became of it, "pausing" until the platform can be reached */
	const char *storage;
} FsCommandStatus;
/* In the order in which they were given; a lock is held. */
typedef void (*FsCommandFunc)(const FsCommandStatus *status, void *data);
void fs_commands_each(FsCommands *commands, FsCommandFunc func, void *data);
