#include "fs/command-log.h"

#include <string.h>

#define LOG_MAX 100

struct FsCommandLog {
	GQueue records; /* the newest last */
};

struct FsCommandRecord {
	gint64 time;         /* s since the epoch */
	const char *outcome; /* NULL: it runs */
	char *name, *shown, *message;
	gint64 size; /* bytes, -1 unknown */
	double seconds;
};

static void record_free(void *data)
{
	FsCommandRecord *record = data;

	g_free(record->name);
	g_free(record->shown);
	g_free(record->message);
	g_free(record);
}

/* Foreign text as one field of a line. */
static char *field(const char *text)
{
	char *clean = g_utf8_make_valid(text != NULL ? text : "", -1);

	for (char *p = clean; *p != '\0'; p++) {
		/* Those of two bytes, too. */
		if ((guchar)*p == 0xc2 && (guchar)p[1] < 0xa0)
			p[0] = p[1] = ' ';
		else if ((guchar)*p < ' ' || *p == 0x7f)
			*p = ' ';
	}
	return clean;
}

FsCommandLog *fs_command_log_new(void)
{
	return g_new0(FsCommandLog, 1);
}

void fs_command_log_free(FsCommandLog *log)
{
	g_queue_clear_full(&log->records, record_free);
	g_free(log);
}

FsCommandRecord *fs_command_log_begin(FsCommandLog *log, const char *name, const char *shown)
{
	FsCommandRecord *record = g_new0(FsCommandRecord, 1);

	*record = (FsCommandRecord){
		.time = g_get_real_time() / G_USEC_PER_SEC,
		.name = field(name),
		.shown = field(shown),
		.message = g_strdup(""),
		.size = -1,
	};
	g_queue_push_tail(&log->records, record);
	/* The oldest goes, unless it still runs: of these there are not many. */
	for (GList *link = log->records.head; log->records.length > LOG_MAX && link != NULL;) {
		GList *next = link->next;
		const FsCommandRecord *old = link->data;
		if (old->outcome != NULL) {
			record_free(link->data);
			g_queue_delete_link(&log->records, link);
		}
		link = next;
	}
	return record;
}

void fs_command_log_size(FsCommandRecord *record, gint64 size)
{
	record->size = size;
}

void fs_command_log_message(FsCommandRecord *record, const char *message)
{
	g_free(record->message);
	record->message = field(message);
}

void fs_command_log_end(FsCommandRecord *record, const char *outcome, const GError *error,
                        double seconds)
{
	record->outcome = error != NULL ? "failed" : outcome;
	record->seconds = seconds;
	fs_command_log_message(record, error != NULL ? error->message : "");
}

void fs_command_log_print(const FsCommandLog *log, GString *text)
{
	for (GList *link = log->records.head; link != NULL; link = link->next) {
		const FsCommandRecord *record = link->data;
		g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(record->time);
		g_autofree char *shown = g_date_time_format(time, "%Y-%m-%dT%H:%M:%S%:z");
		g_string_append_printf(text, "# %s\t%s\t%s\t%s\t", shown,
		                       record->outcome != NULL ? record->outcome : "running",
		                       record->name, record->shown);
		if (record->size >= 0)
			g_string_append_printf(text, "%" G_GINT64_FORMAT, record->size);
		else
			g_string_append_c(text, '-');
		g_string_append_printf(text, "\t%.1f\t%s\n", record->seconds, record->message);
	}
}
