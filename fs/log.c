#include "fs/log.h"

#include "fs/field.h"

#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define FIELDS_MAX 32

/* A GLib log writer is one per process, and set once: so is what it needs. */
typedef struct {
	gint debug;      /* atomic */
	gint background; /* atomic */
} Log;

static const char *message_of(const GLogField *fields, gsize count)
{
	for (gsize i = 0; i < count; i++) {
		if (strcmp(fields[i].key, "MESSAGE") == 0)
			return fields[i].value;
	}
	return "";
}

static int priority_of(GLogLevelFlags level)
{
	if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
		return LOG_ERR;
	if (level & G_LOG_LEVEL_WARNING)
		return LOG_WARNING;
	if (level & G_LOG_LEVEL_MESSAGE)
		return LOG_NOTICE;
	return level & G_LOG_LEVEL_INFO ? LOG_INFO : LOG_DEBUG;
}

static bool to_journal(GLogLevelFlags level, const GLogField *fields, gsize count)
{
	GLogField all[FIELDS_MAX];

	count = MIN(count, FIELDS_MAX - 1);
	memcpy(all, fields, count * sizeof(*fields));
	all[count] = (GLogField){"SYSLOG_IDENTIFIER", "gssfs", -1};
	return g_log_writer_journald(level, all, count + 1, NULL) == G_LOG_WRITER_HANDLED;
}

static GLogWriterOutput on_log(GLogLevelFlags level, const GLogField *fields, gsize count,
                               gpointer data)
{
	Log *log = data;
	bool background = g_atomic_int_get(&log->background);
	bool detail = (level & (G_LOG_LEVEL_DEBUG | G_LOG_LEVEL_INFO)) != 0;

	if (detail && !g_atomic_int_get(&log->debug))
		return G_LOG_WRITER_HANDLED;
	if (background || g_log_writer_is_journald(STDERR_FILENO)) {
		if (to_journal(level, fields, count))
			return G_LOG_WRITER_HANDLED;
	}
	/* Names may have line ends, and what terminals obey. */
	g_autoptr(GString) line = g_string_new(NULL);
	fs_field_escape(line, message_of(fields, count), "");
	if (background)
		syslog(priority_of(level), "%s", line->str);
	else
		fprintf(stderr, "gssfs: %s\n", line->str);
	return G_LOG_WRITER_HANDLED;
}

static Log *the_log(void)
{
	static Log log;
	return &log;
}

void fs_log_start(void)
{
	openlog("gssfs", LOG_PID, LOG_DAEMON);
	g_log_set_writer_func(on_log, the_log(), NULL);
}

void fs_log_debug(void)
{
	g_atomic_int_set(&the_log()->debug, 1);
}

void fs_log_background(void)
{
	g_atomic_int_set(&the_log()->background, 1);
}
