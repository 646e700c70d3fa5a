/* fs/signals.h - which of a waiting caller's signals end its wait.
 *
 * The kernel sends FUSE_INTERRUPT for every signal, also for the timer that a program draws its
 * progress with, and for the freezing before a suspend. If each ended a wait with EINTR, programs
 * would fail here that run on any other file system: few handle EINTR of open(). So only what ends
 * the process counts, and the signals by which somebody asks it to end.
 *
 * The source of what is pending, blocked, ignored and caught: /proc/TID/status, see proc(5).
 *
 * Threads: any. Touches /proc only.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* `status`: the text of /proc/TID/status. `any`: a caught signal of any kind counts. */
bool fs_signals_end_wait(const char *status, bool any);
/* The same for a thread. What can't be looked at (another PID namespace, hidepid) might be anything
 * and counts. */
bool fs_signals_pending(pid_t thread, bool any);
