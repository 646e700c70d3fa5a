/* fs/notify.h - telling the kernel that what it has cached is no longer true.
 *
 * The kernel may block who tells it, for as long as a page of that file is locked by a read under
 * way, or that folder by a lookup. So contents and names are told by threads that do nothing else
 * and hold nothing, each of one inode at a time: those of another go on meanwhile. What is answered
 * about a file waits for them, and who has discarded one. Equal notifications that wait are made
 * one.
 *
 * Threads: any; fs_notifier_stop() from a thread that no read waits for. Nothing calls back into
 * the cache but what is given to fs_notifier_settled().
 */
#pragma once

#include "fs/fuse.h"

#include <glib.h>

typedef struct FsNotifier FsNotifier;

FsNotifier *fs_notifier_new(void);
/* Begins; until then everything is dropped, for the kernel has nothing cached. */
void fs_notifier_start(FsNotifier *notifier, struct fuse_session *session);
/* Ends the threads. What waits is dropped, who waits for it is told. */
void fs_notifier_stop(FsNotifier *notifier);
void fs_notifier_free(FsNotifier *notifier);

/* A file's attributes, and its contents from `offset` on. */
void fs_notifier_content(FsNotifier *notifier, uint64_t ino, guint64 offset);
void fs_notifier_entry(FsNotifier *notifier, uint64_t parent, const char *name);
/* Calls back, at once or on some thread, when the kernel knows all of what came before about that
 * inode, or about names in it. */
void fs_notifier_settled(FsNotifier *notifier, uint64_t ino, void (*settled)(void *data),
                         void *data);

/* These two never block, and are told before the function returns. */

/* The inode's attributes: what is answered after this is read with the new ones. */
void fs_notifier_attributes(FsNotifier *notifier, uint64_t ino);
/* Wakes who polls; takes the handle over. */
void fs_notifier_poll(FsNotifier *notifier, struct fuse_pollhandle *handle);
