/* halt.h - the end of the server, and every wait that must not outlive it.
 *
 * Threads: all functions may be called from any thread. Injected latency, throttling, held requests
 * and background registrations wait here, so that SIGTERM ends the process at once.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <time.h>

typedef struct GlHalt GlHalt;

GlHalt *gl_halt_new(void);
/* Nobody may wait any more. */
void gl_halt_free(GlHalt *halt);

/* Ends all waits, now and later. */
void gl_halt_stop(GlHalt *halt);
bool gl_halt_stopping(GlHalt *halt);

/* The moment `milliseconds` from now, for pthread_cond_clockwait() with CLOCK_MONOTONIC. */
struct timespec gl_halt_deadline(guint milliseconds);

/* Sleeps; false when the server ended meanwhile. */
bool gl_halt_sleep(GlHalt *halt, guint milliseconds);

/* Holding requests. A release lets all of them go on that are held; one that finds none counts for
 * those that are to be held by faults of the epoch that it ends. */
guint64 gl_halt_epoch(GlHalt *halt);
/* From now on the request is held: who tells of it draws the ticket first, for the release may come
 * at once. Each ticket is to be used. */
guint64 gl_halt_ticket(GlHalt *halt);
/* Waits for a release. False: the server ended. */
bool gl_halt_hold(GlHalt *halt, guint64 ticket, guint64 epoch);
void gl_halt_release(GlHalt *halt);

/* Counts work in the background (registrations); gl_halt_drain() waits until none is left. */
void gl_halt_enter(GlHalt *halt);
void gl_halt_leave(GlHalt *halt);
void gl_halt_drain(GlHalt *halt);
