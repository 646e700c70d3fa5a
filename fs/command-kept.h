/* fs/command-kept.h - commands that succeeded and of which nobody heard, because a signal had
 * interrupted all who waited. Programs repeat a write() that was interrupted: the repetition is not
 * the same command once more, but the question what became of it, and is answered once. What failed
 * is not kept: it may be mended by then, and is tried again.
 *
 * Threads: none of its own, no lock: fs/command.c guards it.
 */
#pragma once

#include "fs/command-memo.h"
#include "fs/mount.h"

typedef struct FsCommandKept FsCommandKept;

FsCommandKept *fs_command_kept_new(void);
void fs_command_kept_free(FsCommandKept *kept);
/* For some seconds. */
void fs_command_kept_add(FsCommandKept *kept, const FsStorage *storage, const FsCommandMemo *memo);
/* False: this command is not among them. */
bool fs_command_kept_take(FsCommandKept *kept, const FsStorage *storage, const FsCommandMemo *memo);
/* Of this image something newer is told from now on. */
void fs_command_kept_drop(FsCommandKept *kept, const FsStorage *storage, const char *name);
