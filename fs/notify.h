/* fs/notify.h - telling the kernel that what it has cached is no longer true.
 *
 * A thread does nothing else. It may block in the kernel for as long as a page is locked by a read
 * under way; it holds nothing meanwhile, and only a command's answer waits for it, and the opening
 * of a file that turned out to be another version. Equal notifications that wait are made one.
 *
 * Threads: any; fs_notifier_stop() from a thread that no read waits for.
 */
#pragma once

#include "fs/fuse.h"

#include <glib.h>

typedef struct FsNotifier FsNotifier;

FsNotifier *fs_notifier_new(void);
/* Begins; until then everything is dropped, for the kernel has nothing cached. */
void fs_notifier_start(FsNotifier *notifier, struct fuse_session *session);
/* Ends the thread. What waits is dropped, who waits for it is told. */
void fs_notifier_stop(FsNotifier *notifier);
void fs_notifier_free(FsNotifier *notifier);

/* As CacheNotify.inode: a length below 0 means the attributes only, 0 to the end. */
void fs_notifier_inode(FsNotifier *notifier, uint64_t ino, gint64 offset, gint64 length);
/* The inode's attributes, at once: what is answered after this is read with the new ones. Never
 * blocks for a page. */
void fs_notifier_attributes(FsNotifier *notifier, uint64_t ino);
/* Calls back, on some thread, when the kernel knows all of what came before. */
void fs_notifier_settled(FsNotifier *notifier, void (*settled)(void *data), void *data);
/* Wakes who polls; takes the handle over. */
void fs_notifier_poll(FsNotifier *notifier, struct fuse_pollhandle *handle);
void fs_notifier_entry(FsNotifier *notifier, uint64_t parent, const char *name);
