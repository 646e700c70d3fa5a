/* fs/ctl/log.h - what .register tells of the last commands.
 *
 * Pure functions, any thread.
 */
#pragma once

#include <glib.h>

typedef struct {
	char *time, *outcome, *name, *source, *seconds, *message; /* NULL: nothing */
	guint64 size;                                             /* bytes */
} CtlLogLine;
void ctl_log_line_clear(CtlLogLine *line);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CtlLogLine, ctl_log_line_clear)

/* The newest command of this image and source, not older than `since` (seconds since the epoch), in
 * the text of a .register. False: there is none. */
gboolean ctl_log_find(const char *text, const char *name, const char *source, gint64 since,
                      CtlLogLine *ret);
