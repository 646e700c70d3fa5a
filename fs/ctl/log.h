/* fs/ctl/log.h - what .register tells of the last commands.
 *
 * Pure functions, any thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
	char *time, *outcome, *name, *source, *seconds, *message; /* NULL: nothing */
	guint64 size;                                             /* bytes */
} CtlLogLine;
void ctl_log_line_clear(CtlLogLine *line);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CtlLogLine, ctl_log_line_clear)

/* A command that was written to .register. It may have joined an equal one, which began earlier,
 * and in whose line the source is spelled otherwise. */
typedef struct {
	const char *name;   /* of the image */
	const char *source; /* as written; NULL: none */
	gint64 since;       /* s since the epoch: it did not end before */
	bool failed;        /* whether it did */
} CtlLogQuery;

/* Its line in the text of a .register: the newest one that was spelled so, else the newest. False:
 * there is none. */
bool ctl_log_find(const char *text, const CtlLogQuery *query, CtlLogLine *ret);
