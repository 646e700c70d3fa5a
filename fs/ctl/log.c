#include "fs/ctl/log.h"

#include "fs/ctl/status.h"

#include <string.h>

#define FIELDS 7

void ctl_log_line_clear(CtlLogLine *line)
{
	g_clear_pointer(&line->time, g_free);
	g_clear_pointer(&line->outcome, g_free);
	g_clear_pointer(&line->name, g_free);
	g_clear_pointer(&line->source, g_free);
	g_clear_pointer(&line->seconds, g_free);
	g_clear_pointer(&line->message, g_free);
}

static char *field(const char *word)
{
	return strcmp(word, "-") == 0 || *word == '\0' ? NULL : ctl_unescape(word);
}

static gint64 seconds_of(const char *time)
{
	g_autoptr(GDateTime) parsed = time != NULL && g_utf8_validate(time, -1, NULL)
	                                      ? g_date_time_new_from_iso8601(time, NULL)
	                                      : NULL;

	return parsed != NULL ? g_date_time_to_unix(parsed) : 0;
}

gboolean ctl_log_find(const char *text, const char *name, const char *source, gint64 since,
                      CtlLogLine *ret)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	for (guint i = g_strv_length(lines); i-- > 0;) {
		if (strncmp(lines[i], "# ", 2) != 0)
			continue;
		g_auto(GStrv) words = g_strsplit(lines[i] + 2, "\t", -1);
		if (g_strv_length(words) < FIELDS)
			continue;
		g_auto(CtlLogLine) line = {
			.time = field(words[0]),
			.outcome = field(words[1]),
			.name = field(words[2]),
			.source = field(words[3]),
			.seconds = field(words[5]),
			.message = field(words[6]),
		};
		g_ascii_string_to_unsigned(words[4], 10, 0, G_MAXUINT64, &line.size, NULL);
		if (g_strcmp0(line.name, name) != 0 || g_strcmp0(line.source, source) != 0 ||
		    seconds_of(line.time) < since)
			continue;
		*ret = line;
		line = (CtlLogLine){0};
		return TRUE;
	}
	return FALSE;
}
