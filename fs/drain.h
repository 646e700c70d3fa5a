/* fs/drain.h - after the unmount: bringing to GSS what is not there yet, and saying how far it is.
 *
 * Threads: one; it gets its news from others.
 */
#pragma once

#include "fs/stop.h"

typedef struct FsDrain FsDrain;

FsDrain *fs_drain_start(FsMount *mount, FsStop *stop);
/* The storage's cache and Images service have stopped, and what is pending there is left to another
 * mount: it is not looked at any more (storage->cache is NULL then). On the mount's loop. */
void fs_drain_leave(FsDrain *drain, FsStorage *storage);
/* Waits until nothing is pending but what needs the user, `timeout` (s, 0: none) has passed, or we
 * are told to end once more. Returns true when nothing at all is left; says what is. */
bool fs_drain_wait(FsDrain *drain, guint timeout);
/* After the caches have stopped. */
void fs_drain_free(FsDrain *drain);
