/* fs/command-kept.h - how commands ended of which nobody heard, because a signal had interrupted
 * all who waited. Programs repeat a write() that was interrupted: the repetition is not the same
 * command once more, but the question what became of it, and is answered once.
 *
 * Threads: none of its own, no lock: fs/command.c guards it.
 */
#pragma once

#include "fs/command-memo.h"
#include "fs/mount.h"

typedef struct FsCommandKept FsCommandKept;

FsCommandKept *fs_command_kept_new(void);
void fs_command_kept_free(FsCommandKept *kept);
/* For some seconds. `error` NULL: it succeeded. */
void fs_command_kept_add(FsCommandKept *kept, const FsStorage *storage, const FsCommandMemo *memo,
                         const GError *error);
/* False: there is none of this command. */
bool fs_command_kept_take(FsCommandKept *kept, const FsStorage *storage, const FsCommandMemo *memo,
                          GError **ret_error);
/* Of this image something newer is told from now on. */
void fs_command_kept_drop(FsCommandKept *kept, const FsStorage *storage, const char *name);
