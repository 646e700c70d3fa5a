/* stats.h - counters, and the log of the last requests.
 *
 * Threads: locked inside; any thread. The log holds no token and no password.
 */
#pragma once

#include "halt.h"

typedef struct GlStats GlStats;

#define GL_STATS_LOG_LENGTH 8192 /* requests remembered */

GlStats *gl_stats_new(void);
void gl_stats_free(GlStats *stats);

/* Adds to the counter `name`, which springs into being. */
void gl_stats_count(GlStats *stats, const char *name, gint64 amount);
/* Waits until the counter is at least `value`; false when it did not come to that in time, or the
 * server ended. */
bool gl_stats_wait(GlStats *stats, GlHalt *halt, const char *name, gint64 value, guint timeout_ms);
/* All counters 0, the log empty. Gauges (names ending in ".now") stay. */
void gl_stats_reset(GlStats *stats);
/* A JSON object. */
void gl_stats_append_json(GlStats *stats, GString *out);

/* Enters a request into the log when its head is there. `headers` is the inside of a JSON object.
 * The number names the entry later on; entries that fell out of the log are silently skipped. */
guint64 gl_stats_log_begin(GlStats *stats, const char *method, const char *target,
                           const char *headers);
/* A SOAP call: its operation and its URI, image or user (may be NULL). */
void gl_stats_log_call(GlStats *stats, guint64 number, const char *operation, const char *subject);
/* Status 0: the connection was cut. */
void gl_stats_log_end(GlStats *stats, guint64 number, guint status, guint64 received, guint64 sent);
/* A JSON array of the entries numbered `since` and later. */
void gl_stats_append_log(GlStats *stats, guint64 since, GString *out);
