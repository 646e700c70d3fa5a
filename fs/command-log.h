/* fs/command-log.h - what became of the last commands: what .register tells.
 *
 * Threads: none of its own, no lock: fs/command.c guards it.
 */
#pragma once

#include "fs/mount.h"

typedef struct FsCommandLog FsCommandLog;
typedef struct FsCommandRecord FsCommandRecord; /* a line; the log's */

FsCommandLog *fs_command_log_new(void);
void fs_command_log_free(FsCommandLog *log);

/* A command that runs; stays until it has ended, and then until others of its storage (NULL: of the
 * mount's root alone) push it out. `since`: s since the epoch. */
FsCommandRecord *fs_command_log_begin(FsCommandLog *log, const FsStorage *storage, const char *name,
                                      const char *shown, gint64 since);
void fs_command_log_size(FsCommandRecord *record, gint64 size);
void fs_command_log_message(FsCommandRecord *record, const char *message);
/* `error` NULL: `outcome`, a constant. */
void fs_command_log_end(FsCommandRecord *record, const char *outcome, const GError *error);
/* It has ended, and did so before: `at`, s since the epoch. */
void fs_command_log_ended_at(FsCommandRecord *record, gint64 at);
/* Appends what is of `storage`: a line each, which begins with '#', the newest last; fields as
 * fs/field.h says. NULL: of all, each with its storage as one more field. */
void fs_command_log_print(const FsCommandLog *log, const FsStorage *storage, GString *text);
