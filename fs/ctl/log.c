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

static bool parse(const char *text, CtlLogLine *ret)
{
	if (strncmp(text, "# ", 2) != 0)
		return false;
	g_auto(GStrv) words = g_strsplit(text + 2, "\t", -1);
	if (g_strv_length(words) < FIELDS)
		return false;
	*ret = (CtlLogLine){
		.time = field(words[0]),
		.outcome = field(words[1]),
		.name = field(words[2]),
		.source = field(words[3]),
		.seconds = field(words[5]),
		.message = field(words[6]),
	};
	g_ascii_string_to_unsigned(words[4], 10, 0, G_MAXUINT64, &ret->size, NULL);
	return true;
}

/* Not before `since`, as far as a time without parts of a second tells. */
static bool ended_since(const CtlLogLine *line, gint64 since)
{
	double passed = line->seconds != NULL ? g_ascii_strtod(line->seconds, NULL) : 0;

	return g_strcmp0(line->outcome, "running") != 0 &&
	       (double)seconds_of(line->time) + passed + 1 >= (double)since;
}

bool ctl_log_find(const char *text, const CtlLogQuery *query, CtlLogLine *ret)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	g_auto(CtlLogLine) best = {0};
	bool exact = false;

	for (guint i = g_strv_length(lines); i-- > 0 && !exact;) {
		g_auto(CtlLogLine) line = {0};
		if (!parse(lines[i], &line) || g_strcmp0(line.name, query->name) != 0 ||
		    (g_strcmp0(line.outcome, "failed") == 0) != query->failed ||
		    !ended_since(&line, query->since))
			continue;
		exact = g_strcmp0(line.source, query->source) == 0;
		if (!exact && best.time != NULL)
			continue;
		ctl_log_line_clear(&best);
		best = line;
		line = (CtlLogLine){0};
	}
	if (best.time == NULL)
		return false;
	*ret = best;
	best = (CtlLogLine){0};
	return true;
}
