/* fs/stop.h - being told to end: SIGTERM, SIGINT and SIGHUP.
 *
 * The first ends the session, and gssfs goes on to upload what is left. A second SIGTERM or SIGINT
 * gives that up, and so does SIGUSR1, by which the next mount of a cache takes its queue over,
 * unless somebody sees to that. A SIGHUP while uploading changes nothing: the terminal may go.
 *
 * Threads: any. Signals are handled on the mount's loop.
 */
#pragma once

#include "fs/session.h"

typedef struct FsStop FsStop;

#define FS_STOP_LEAVE 2 /* told so often, what is left is left for the next mount */

/* Takes the signals over. */
FsStop *fs_stop_new(FsMount *mount, FsSession *session);
/* The session is about to be closed. */
void fs_stop_session_over(FsStop *stop);
/* `func` sees to SIGUSR1, also to one that has come since the session's end: on the mount's loop;
 * false: it gives all up. */
void fs_stop_on_successor(FsStop *stop, bool (*func)(void *data), void *data);
/* After the mount's loop has been stopped. */
void fs_stop_free(FsStop *stop);

/* To be locked when waiting for `changed`, which is broadcast at each signal and by fs_stop_wake().
 */
void fs_stop_lock(FsStop *stop);
void fs_stop_unlock(FsStop *stop);
void fs_stop_wait_until_locked(FsStop *stop, gint64 monotonic_us);
/* How often we were told to end. */
guint fs_stop_count_locked(const FsStop *stop);
void fs_stop_wake_locked(FsStop *stop);
