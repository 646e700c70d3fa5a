/* fs/loop.h - a thread with timers and signals: the pauses of commands, the end of the session.
 *
 * Threads: every function from any thread; functions posted run on the loop's own and must not
 * block for long.
 */
#pragma once

#include <glib.h>

typedef struct FsLoop FsLoop;

FsLoop *fs_loop_new(void);
/* Ends the thread; what is posted or due later never runs. */
void fs_loop_stop(FsLoop *loop);
void fs_loop_free(FsLoop *loop);

typedef void (*FsLoopFunc)(void *data);
void fs_loop_after(FsLoop *loop, guint ms, FsLoopFunc func, void *data);
/* Calls `func` with each signal `signum` that arrives, until the loop ends. */
void fs_loop_signal(FsLoop *loop, int signum, FsLoopFunc func, void *data);
