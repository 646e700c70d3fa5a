/* fs/command-private.h - a command, as its entering and leaving (fs/command.c) and its way from
 * step to step (fs/command-run.c) share it.
 */
#pragma once

#include "fs/command-kept.h"
#include "fs/command-log.h"
#include "fs/command-memo.h"
#include "fs/command.h"

typedef enum {
	STEP_WAITING,
	STEP_OPEN,
	STEP_UPLOADING,
	STEP_ASKING,
	STEP_SENT,
	STEP_SETTLING,
	STEP_PAUSING,
} Step;

/* What the next answer about the image is good for, should it not tell that ours was done. */
typedef enum {
	AGAIN_NEVER,
	AGAIN_LATE, /* sent by an earlier run: to send again when `deadline` is over */
	AGAIN_NOW,  /* refused because of the token: to send again at once */
} Again;

typedef struct {
	FsCommands *commands;
	GList link; /* in FsCommands.pending; guarded by its lock */
	/* Constant. */
	FsStorage *storage;
	char *memo_key;
	/* Its first part is constant, the rest owned by the step under way, as are the next. */
	FsCommandMemo memo;
	bool asked_again; /* what is there, after it had changed in between */
	bool renewed;     /* sent again with a new token */
	bool rested;      /* the image that it replaces is older than its date can tell */
	Again again;
	guint pause, rest; /* s until it is asked, or tried, again */
	gint64 deadline;   /* monotonic us, since the answer was lost */
	/* Guarded by the lock of FsCommands. */
	Step step;
	gint64 due;      /* monotonic us, of STEP_OPEN and STEP_PAUSING: look at it again */
	GSList *waiters; /* FsCommandWaiter */
	FsCommandRecord *record;
} Command;

struct FsCommands {
	FsMount *mount;
	GMutex lock;    /* the journal's own may be taken in it, nothing else */
	GQueue pending; /* Command, by their links, in the order they came */
	GQueue left;    /* those of storages that have left: timers may still know them */
	FsCommandLog *log;
	FsCommandKept *kept;
	guint64 last_key;
	bool draining;
	void (*idle)(void *data);
	void *idle_data;
};

/* --- fs/command.c --- */

void fs_command_set_step(Command *command, Step step);
/* The journal has what is needed to go on after a restart. */
bool fs_command_save(const Command *command, GError **error);
/* What its line in .register says while it runs. */
void fs_command_note(Command *command, const char *message);
/* It has ended, and may be gone afterwards. While the mount stops what fails was cut off: it stays
 * pending, with its memo. */
void fs_command_finish(Command *command, const GError *error);
void fs_command_fail(Command *command, int code, const char *message);
bool fs_command_is_waited_for(Command *command);
/* The same, or one of those behind it for the same image; the lock is held. */
bool fs_command_is_image_waited_for_locked(const Command *command);
/* Those behind it for the same image that somebody waits for end with `error`. */
void fs_command_fail_behind(Command *command, const GError *error);

/* --- fs/command-run.c --- */

/* Begins, or goes on where the last run was cut off. */
void fs_command_start(Command *command);
/* On the mount's loop: those that are due go on. */
void fs_command_on_due(void *commands);
