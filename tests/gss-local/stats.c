#include "stats.h"

#include "text.h"

#include <pthread.h>
#include <string.h>

typedef struct {
	guint64 number;
	gint64 began; /* microseconds since 1970 */
	char *method;
	char *target;
	char *headers;
	char *operation;
	char *subject;
	bool done;
	guint status;
	guint64 received;
	guint64 sent;
} Entry;

struct GlStats {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	GHashTable *counters; /* string -> gint64 * */
	GQueue log;           /* of Entry, oldest first, numbered without gaps */
	guint64 next;
};

static void entry_free(gpointer data)
{
	Entry *entry = data;
	g_free(entry->method);
	g_free(entry->target);
	g_free(entry->headers);
	g_free(entry->operation);
	g_free(entry->subject);
	g_free(entry);
}

GlStats *gl_stats_new(void)
{
	GlStats *stats = g_new0(GlStats, 1);
	pthread_mutex_init(&stats->lock, NULL);
	pthread_cond_init(&stats->changed, NULL);
	stats->counters = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_queue_init(&stats->log);
	stats->next = 1;
	return stats;
}

void gl_stats_free(GlStats *stats)
{
	g_queue_clear_full(&stats->log, entry_free);
	g_hash_table_unref(stats->counters);
	pthread_cond_destroy(&stats->changed);
	pthread_mutex_destroy(&stats->lock);
	g_free(stats);
}

void gl_stats_count(GlStats *stats, const char *name, gint64 amount)
{
	pthread_mutex_lock(&stats->lock);
	gint64 *counter = g_hash_table_lookup(stats->counters, name);
	if (counter == NULL) {
		counter = g_new0(gint64, 1);
		g_hash_table_insert(stats->counters, g_strdup(name), counter);
	}
	*counter += amount;
	pthread_cond_broadcast(&stats->changed);
	pthread_mutex_unlock(&stats->lock);
}

bool gl_stats_wait(GlStats *stats, GlHalt *halt, const char *name, gint64 value, guint timeout_ms)
{
	gint64 end = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
	bool reached = false;

	pthread_mutex_lock(&stats->lock);
	for (;;) {
		const gint64 *counter = g_hash_table_lookup(stats->counters, name);
		gint64 left = (end - g_get_monotonic_time()) / 1000;

		reached = (counter != NULL ? *counter : 0) >= value;
		if (reached || left <= 0 || gl_halt_stopping(halt))
			break;
		/* Looks up at least ten times a second, for the end of the server wakes nobody
		 * here. */
		struct timespec until = gl_halt_deadline((guint)MIN(left, 100));
		pthread_cond_clockwait(&stats->changed, &stats->lock, CLOCK_MONOTONIC, &until);
	}
	pthread_mutex_unlock(&stats->lock);
	return reached;
}

static gboolean resettable(gpointer key, gpointer value, gpointer data)
{
	return !g_str_has_suffix(key, ".now");
}

void gl_stats_reset(GlStats *stats)
{
	pthread_mutex_lock(&stats->lock);
	g_hash_table_foreach_remove(stats->counters, resettable, NULL);
	g_queue_clear_full(&stats->log, entry_free);
	pthread_mutex_unlock(&stats->lock);
}

void gl_stats_append_json(GlStats *stats, GString *out)
{
	pthread_mutex_lock(&stats->lock);
	g_autoptr(GList) names = g_hash_table_get_keys(stats->counters);
	names = g_list_sort(names, (GCompareFunc)strcmp);
	g_string_append_c(out, '{');
	for (GList *l = names; l != NULL; l = l->next) {
		const gint64 *counter = g_hash_table_lookup(stats->counters, l->data);

		if (l != names)
			g_string_append_c(out, ',');
		gl_text_append_json(out, l->data);
		g_string_append_printf(out, ":%" G_GINT64_FORMAT, *counter);
	}
	g_string_append_c(out, '}');
	pthread_mutex_unlock(&stats->lock);
}

guint64 gl_stats_log_begin(GlStats *stats, const char *method, const char *target,
                           const char *headers)
{
	Entry *entry = g_new0(Entry, 1);

	entry->began = g_get_real_time();
	entry->method = g_strdup(method);
	entry->target = g_utf8_make_valid(target, -1);
	entry->headers = g_strdup(headers);
	pthread_mutex_lock(&stats->lock);
	guint64 number = entry->number = stats->next++;
	g_queue_push_tail(&stats->log, entry);
	if (g_queue_get_length(&stats->log) > GL_STATS_LOG_LENGTH)
		entry_free(g_queue_pop_head(&stats->log));
	pthread_mutex_unlock(&stats->lock);
	return number;
}

/* Called with the lock held. From the tail, for it is the newest that are still worked on. */
static Entry *find(GlStats *stats, guint64 number)
{
	for (GList *l = stats->log.tail; l != NULL; l = l->prev) {
		Entry *entry = l->data;

		if (entry->number == number)
			return entry;
		if (entry->number < number)
			break;
	}
	return NULL;
}

void gl_stats_log_call(GlStats *stats, guint64 number, const char *operation, const char *subject)
{
	pthread_mutex_lock(&stats->lock);
	Entry *entry = find(stats, number);
	if (entry != NULL) {
		g_free(entry->operation);
		g_free(entry->subject);
		entry->operation = g_strdup(operation);
		entry->subject = g_strdup(subject);
	}
	pthread_mutex_unlock(&stats->lock);
}

void gl_stats_log_end(GlStats *stats, guint64 number, guint status, guint64 received, guint64 sent)
{
	pthread_mutex_lock(&stats->lock);
	Entry *entry = find(stats, number);
	if (entry != NULL) {
		entry->done = true;
		entry->status = status;
		entry->received = received;
		entry->sent = sent;
	}
	pthread_mutex_unlock(&stats->lock);
}

static void append_member(GString *out, const char *name, const char *value)
{
	g_string_append_printf(out, ",\"%s\":", name);
	if (value != NULL)
		gl_text_append_json(out, value);
	else
		g_string_append(out, "null");
}

void gl_stats_append_log(GlStats *stats, guint64 since, GString *out)
{
	bool first = true;

	pthread_mutex_lock(&stats->lock);
	g_string_append_c(out, '[');
	for (GList *l = stats->log.head; l != NULL; l = l->next) {
		const Entry *entry = l->data;

		if (entry->number < since)
			continue;
		g_string_append_printf(out,
		                       "%s{\"number\":%" G_GUINT64_FORMAT
		                       ",\"time\":%" G_GINT64_FORMAT ".%06" G_GINT64_FORMAT
		                       ",\"done\":%s,\"status\":%u,\"received\":%" G_GUINT64_FORMAT
		                       ",\"sent\":%" G_GUINT64_FORMAT,
		                       first ? "" : ",\n", entry->number,
		                       entry->began / G_USEC_PER_SEC, entry->began % G_USEC_PER_SEC,
		                       entry->done ? "true" : "false", entry->status,
		                       entry->received, entry->sent);
		append_member(out, "method", entry->method);
		append_member(out, "target", entry->target);
		append_member(out, "operation", entry->operation);
		append_member(out, "subject", entry->subject);
		g_string_append_printf(out, ",\"headers\":{%s}}", entry->headers);
		first = false;
	}
	g_string_append_c(out, ']');
	pthread_mutex_unlock(&stats->lock);
}
