#include "fs/command-log.h"

#include "fs/field.h"

#define LOG_MAX 100 /* of each storage */

struct FsCommandLog {
	GQueue records; /* the newest last */
};

struct FsCommandRecord {
	const FsStorage *storage;
	gint64 since;        /* s since the epoch */
	gint64 begun, ended; /* monotonic us */
	const char *outcome; /* NULL: it runs */
	char *name, *shown, *message;
	gint64 size; /* bytes, -1 unknown */
};

static void record_free(void *data)
{
	FsCommandRecord *record = data;

	g_free(record->name);
	g_free(record->shown);
	g_free(record->message);
	g_free(record);
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

/* The oldest goes, unless it still runs: of these there are not many. */
static void drop_old(FsCommandLog *log, const FsStorage *storage)
{
	guint count = 0;

	for (GList *link = log->records.tail, *before; link != NULL; link = before) {
		const FsCommandRecord *record = link->data;
		before = link->prev;
		if (record->storage != storage || ++count <= LOG_MAX || record->outcome == NULL)
			continue;
		record_free(link->data);
		g_queue_delete_link(&log->records, link);
	}
}

FsCommandRecord *fs_command_log_begin(FsCommandLog *log, const FsStorage *storage, const char *name,
                                      const char *shown, gint64 since)
{
	FsCommandRecord *record = g_new0(FsCommandRecord, 1);
	gint64 passed = MAX(g_get_real_time() - since * G_USEC_PER_SEC, 0);

	*record = (FsCommandRecord){
		.storage = storage,
		.since = since,
		/* One that began just now did not begin with its second. */
		.begun = g_get_monotonic_time() - (passed < G_USEC_PER_SEC ? 0 : passed),
		.name = g_strdup(name),
		.shown = g_strdup(shown),
		.size = -1,
	};
	g_queue_push_tail(&log->records, record);
	drop_old(log, storage);
	return record;
}

void fs_command_log_size(FsCommandRecord *record, gint64 size)
{
	record->size = size;
}

void fs_command_log_message(FsCommandRecord *record, const char *message)
{
	g_free(record->message);
	record->message = g_strdup(message);
}

void fs_command_log_end(FsCommandRecord *record, const char *outcome, const GError *error)
{
	record->outcome = error != NULL ? "failed" : outcome;
	record->ended = g_get_monotonic_time();
	fs_command_log_message(record, error != NULL ? error->message : NULL);
}

void fs_command_log_ended_at(FsCommandRecord *record, gint64 at)
{
	record->ended = record->begun + MAX(at - record->since, 0) * G_USEC_PER_SEC;
}

static void print(const FsCommandRecord *record, bool all, GString *text)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(record->since);
	g_autofree char *shown =
		time != NULL ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%S%:z") : NULL;
	gint64 end = record->outcome != NULL ? record->ended : g_get_monotonic_time();
	g_autofree char *seconds =
		g_strdup_printf("%.1f", (double)(end - record->begun) / G_USEC_PER_SEC);
	g_autofree char *size =
		record->size >= 0 ? g_strdup_printf("%" G_GINT64_FORMAT, record->size) : NULL;

	g_string_append_printf(text, "# %s", shown != NULL ? shown : "-");
	fs_field_text(text, record->outcome != NULL ? record->outcome : "running");
	fs_field_text(text, record->name);
	fs_field_text(text, record->shown);
	fs_field_text(text, size);
	fs_field_text(text, seconds);
	fs_field_text(text, record->message);
	if (all)
		fs_field_text(text, record->storage != NULL ? record->storage->name : NULL);
	g_string_append_c(text, '\n');
}

void fs_command_log_print(const FsCommandLog *log, const FsStorage *storage, GString *text)
{
	for (GList *link = log->records.head; link != NULL; link = link->next) {
		const FsCommandRecord *record = link->data;
		if (storage == NULL || record->storage == storage)
			print(record, storage == NULL, text);
	}
}
