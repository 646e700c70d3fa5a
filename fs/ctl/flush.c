#include "fs/ctl/flush.h"

#include "fs/ctl/ctl.h"
#include "fs/ctl/json.h"
#include "fs/ctl/progress.h"
#include "fs/ctl/show.h"
#include "fs/ctl/text.h"

#include <string.h>

#define BAR_MS 1000    /* the bars' time goes on although nothing arrives */
#define QUIET_MS 30000 /* a look without being told */

/* What is left to do, of all scopes. */
typedef struct {
	GPtrArray *statuses; /* CtlStatus, one a scope */
	guint64 moving, parked, removals, commands;
	guint64 bytes_done, bytes_total; /* of those that move */
} Look;

typedef struct {
	const CtlFlush *how;
	GPtrArray *scopes; /* those that can be read */
	int lost;          /* the exit status of the others; CTL_OK: there are none */
	CtlProgress *progress;
	GHashTable *seen; /* path -> bytes (guint64): files that were pending at some time */
	char *told;       /* trouble that was said last */
} Flush;

static guint64 *bytes_new(guint64 bytes)
{
	guint64 *kept = g_new(guint64, 1);
	*kept = bytes;
	return kept;
}

/* What has arrived meanwhile counts as done, so that the bar of the whole never goes back. */
static void sum_arrived(Flush *flush, GHashTable *pending, Look *look)
{
	GHashTableIter iter;
	const char *path;
	const guint64 *bytes;

	g_hash_table_iter_init(&iter, flush->seen);
	while (g_hash_table_iter_next(&iter, (void **)&path, (void **)&bytes)) {
		if (!g_hash_table_contains(pending, path)) {
			look->bytes_done += *bytes;
			look->bytes_total += *bytes;
		}
	}
}

static void look_at(Flush *flush, const CtlScope *scope, const CtlStatus *status,
                    GHashTable *pending, Look *look)
{
	for (guint i = 0; i < status->files->len; i++) {
		const CtlFile *file = status->files->pdata[i];
		if (!ctl_scope_has(scope, file) || ctl_file_is_there(file))
			continue;
		if (ctl_file_is_parked(file)) {
			look->parked++;
			continue;
		}
		char *path = ctl_scope_path(scope, file);
		look->moving++;
		look->bytes_done += MIN(file->done, file->total);
		look->bytes_total += file->total;
		g_hash_table_replace(flush->seen, g_strdup(path), bytes_new(file->total));
		g_hash_table_add(pending, path);
	}
	/* Of a part nobody can tell which removals are in it. */
	if (!ctl_scope_is_all(scope))
		return;
	look->removals += status->pending.removals;
	if (flush->how->commands)
		look->commands += status->commands->len;
}

/* A mount that ended keeps nobody from waiting for the others. */
static void lose(Flush *flush, guint index, const GError *error, Look *last)
{
	ctl_progress_clear(flush->progress);
	flush->lost = ctl_worse(flush->lost, ctl_complain(error));
	g_ptr_array_remove_index(flush->scopes, index);
	if (index < last->statuses->len)
		g_ptr_array_remove_index(last->statuses, index);
}

static GPtrArray *statuses_new(void)
{
	return g_ptr_array_new_with_free_func((GDestroyNotify)ctl_status_free);
}

/* `last` stays as it is when a signal cuts this one off: it tells what is left. */
static void look(Flush *flush, Look *last)
{
	g_autoptr(GHashTable) pending =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	Look next = {.statuses = statuses_new()};
	guint i = 0;

	while (i < flush->scopes->len && ctl_interrupted() == 0) {
		const CtlScope *scope = flush->scopes->pdata[i];
		g_autoptr(GError) error = NULL;
		CtlStatus *status = ctl_channel_read(scope->channel, &error);
		if (status != NULL) {
			g_ptr_array_add(next.statuses, status);
			look_at(flush, scope, status, pending, &next);
			i++;
		} else if (ctl_interrupted() == 0) {
			lose(flush, i, error, last);
		}
	}
	if (i < flush->scopes->len) {
		g_ptr_array_unref(next.statuses);
		return;
	}
	sum_arrived(flush, pending, &next);
	g_ptr_array_unref(last->statuses);
	*last = next;
}

/* --- what is seen --- */

/* Its path in the mount; of several mounts, with the mount's name before it. */
static char *label_of(const Flush *flush, const CtlScope *scope, const CtlFile *file)
{
	const CtlMount *mount = ctl_channel_mount(scope->channel);
	g_autofree char *name = g_path_get_basename(mount->path);
	bool plain = flush->scopes->len == 1 || strstr(file->path, "://") != NULL;

	return plain ? g_strdup(file->path) : g_build_filename(name, file->path, NULL);
}

static void add_rows(Flush *flush, const CtlScope *scope, const CtlStatus *status, guint *room)
{
	gint64 now = g_get_real_time() / G_USEC_PER_SEC;

	for (guint i = 0; *room > 0 && i < status->files->len; i++) {
		const CtlFile *file = status->files->pdata[i];
		if (!ctl_scope_has(scope, file) || ctl_file_is_parked(file) ||
		    (strcmp(file->state, "uploading") != 0 && file->next_try == 0))
			continue;
		g_autofree char *wait = ctl_show_wait(file, now);
		g_autofree char *path = ctl_scope_path(scope, file);
		g_autofree char *label = label_of(flush, scope, file);
		ctl_progress_row(flush->progress, path, label, file->done, file->total, wait);
		(*room)--;
	}
}

static void draw(Flush *flush, const Look *now)
{
	guint room = ctl_progress_room(flush->progress);

	ctl_progress_begin(flush->progress);
	for (guint i = 0; i < now->statuses->len; i++)
		add_rows(flush, flush->scopes->pdata[i], now->statuses->pdata[i], &room);
	g_autofree char *label =
		now->moving > 0 ? ctl_text_number(now->moving, "file left", "files left")
		: now->removals > 0
			? ctl_text_number(now->removals, "removal", "removals")
			: ctl_text_number(now->commands, "registration", "registrations");
	ctl_progress_row(flush->progress, "", label, now->bytes_done, now->bytes_total, NULL);
	ctl_progress_draw(flush->progress);
}

/* Nothing can arrive: said once, for whoever looks at a log. */
static void tell_trouble(Flush *flush, const Look *now)
{
	for (guint i = 0; now->moving > 0 && i < now->statuses->len; i++) {
		const CtlScope *scope = flush->scopes->pdata[i];
		g_autofree char *trouble = ctl_show_login_trouble(now->statuses->pdata[i]);
		if (trouble == NULL || g_strcmp0(trouble, flush->told) == 0)
			continue;
		ctl_progress_clear(flush->progress);
		ctl_say("%s: waiting, %s", ctl_channel_mount(scope->channel)->path, trouble);
		g_free(flush->told);
		flush->told = g_steal_pointer(&trouble);
	}
}

static void tell_parked(const Flush *flush, const Look *now)
{
	for (guint i = 0; i < now->statuses->len; i++) {
		const CtlScope *scope = flush->scopes->pdata[i];
		const CtlStatus *status = now->statuses->pdata[i];
		for (guint j = 0; j < status->files->len; j++) {
			const CtlFile *file = status->files->pdata[j];
			if (!ctl_scope_has(scope, file) || !ctl_file_is_parked(file))
				continue;
			g_autofree char *path = ctl_scope_path(scope, file);
			g_autofree char *trouble = ctl_show_trouble(file);
			ctl_say("%s is not on GSS: %s", path, trouble);
		}
	}
}

static void list_left(const Flush *flush, const Look *now, GPtrArray *left)
{
	for (guint i = 0; i < now->statuses->len; i++) {
		const CtlScope *scope = flush->scopes->pdata[i];
		const CtlStatus *status = now->statuses->pdata[i];
		for (guint j = 0; j < status->files->len; j++) {
			const CtlFile *file = status->files->pdata[j];
			if (ctl_scope_has(scope, file) && !ctl_file_is_there(file))
				g_ptr_array_add(left, ctl_scope_path(scope, file));
		}
	}
}

/* --- the waiting --- */

/* Why it ends now; -1: it goes on. */
static int verdict(const Look *now, const CtlFlush *how, gint64 until)
{
	if (ctl_interrupted() != 0)
		return CTL_SIGNAL + ctl_interrupted();
	if (now->moving == 0 && now->removals == 0 && now->commands == 0)
		return now->parked > 0 ? CTL_FAILED : CTL_OK;
	return how->timeout != CTL_FLUSH_FOREVER && g_get_monotonic_time() >= until ? CTL_TEMPFAIL
	                                                                            : -1;
}

static int pause_ms(const Flush *flush, const CtlFlush *how, gint64 until)
{
	int longest = ctl_progress_visible(flush->progress) ? BAR_MS : QUIET_MS;

	if (how->timeout == CTL_FLUSH_FOREVER)
		return longest;
	gint64 left = (until - g_get_monotonic_time()) / 1000 + 1;
	return (int)CLAMP(left, 0, longest);
}

/* `since`: monotonic us, when the waiting began. */
static void tell_end(const Flush *flush, const CtlFlush *how, const Look *now, int result,
                     gint64 since)
{
	g_autofree char *files =
		now->moving > 0 || now->commands == 0
			? ctl_text_number(now->moving, "file", "files")
			: ctl_text_number(now->commands, "registration", "registrations");
	g_autofree char *left = ctl_text_size(now->bytes_total - now->bytes_done);

	ctl_progress_clear(flush->progress);
	tell_parked(flush, now);
	if (result == CTL_OK && flush->lost == CTL_OK && ctl_progress_visible(flush->progress)) {
		guint64 passed = (guint64)(g_get_monotonic_time() - since) / G_USEC_PER_SEC;
		g_autofree char *size = ctl_text_size(now->bytes_total);
		g_autofree char *time = ctl_text_duration(passed);
		if (g_hash_table_size(flush->seen) == 0)
			fputs("Everything is on GSS.\n", stderr);
		else
			fprintf(stderr, "%s in %s: everything is on GSS.\n", size, time);
	}
	if (result > CTL_SIGNAL && now->statuses->len == 0)
		ctl_say("%s", how->leaving);
	else if (result > CTL_SIGNAL)
		ctl_say("%s, %s left; %s", files, left, how->leaving);
	else if (result == CTL_TEMPFAIL)
		ctl_say("not in %d s: %s, %s left, which goes on", how->timeout, files, left);
}

int ctl_flush(const GPtrArray *scopes, const CtlFlush *how, GPtrArray *left)
{
	g_autoptr(CtlProgress) progress = ctl_progress_new();
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	gint64 begun = g_get_monotonic_time();
	gint64 until = begun + (gint64)MAX(how->timeout, 0) * G_USEC_PER_SEC;
	g_autoptr(GPtrArray) readable = g_ptr_array_new();
	Flush flush = {.how = how, .scopes = readable, .progress = progress, .seen = seen};
	Look now = {.statuses = statuses_new()};
	int result = -1;

	ctl_interrupts();
	g_ptr_array_extend(readable, (GPtrArray *)scopes, NULL, NULL);
	while (result < 0) {
		look(&flush, &now);
		result = verdict(&now, how, until);
		if (result < 0) {
			tell_trouble(&flush, &now);
			draw(&flush, &now);
		} else {
			tell_end(&flush, how, &now, result, begun);
			if (left != NULL)
				list_left(&flush, &now, left);
		}
		if (result < 0)
			ctl_scopes_wait(readable, pause_ms(&flush, how, until));
	}
	g_ptr_array_unref(now.statuses);
	g_free(flush.told);
	return result > CTL_SIGNAL ? result : ctl_worse(flush.lost, result);
}

bool ctl_flush_check(int timeout)
{
	if (timeout >= 0 || timeout == CTL_FLUSH_FOREVER)
		return true;
	ctl_say("a time to wait is not negative");
	return false;
}

static int flush_run(const char *name, char **words)
{
	gboolean as_json = FALSE;
	int timeout = CTL_FLUSH_FOREVER;
	const GOptionEntry entries[] = {
		{"timeout", 't', 0, G_OPTION_ARG_INT, &timeout,
	         "Wait so long at most; 0 only looks", "SECONDS"},
		{"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "Write what has not arrived, as JSON",
	         NULL},
		G_OPTION_ENTRY_NULL,
	};
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) left = g_ptr_array_new_with_free_func(g_free);

	if (!ctl_options(&ctl_verb_flush, entries, &words) || !ctl_flush_check(timeout))
		return CTL_USAGE;
	g_autoptr(GPtrArray) mounts = ctl_mounts(&error);
	g_autoptr(GPtrArray) scopes = mounts != NULL ? ctl_scopes(mounts, words + 1, &error) : NULL;
	if (scopes == NULL)
		return ctl_complain(error);
	const CtlFlush how = {
		.timeout = timeout,
		.leaving = "the uploads go on (gssctl status shows them)",
	};
	int result = ctl_flush(scopes, &how, left);
	if (as_json) {
		g_autoptr(CtlJson) json = ctl_json_new();
		ctl_json_begin_object(json, NULL);
		ctl_json_bool(json, "arrived", result == CTL_OK);
		ctl_json_begin_array(json, "left");
		for (guint i = 0; i < left->len; i++)
			ctl_json_string(json, NULL, left->pdata[i]);
		ctl_json_end_array(json);
		ctl_json_end_object(json);
		ctl_json_print(json);
	}
	return result;
}

const CtlVerb ctl_verb_flush = {
	.name = "flush",
	.arguments = "[PATH…]",
	.summary = "Waits until everything is on GSS; of all mounts, or of these paths.",
	.details = "Exit status: 0 everything arrived, 1 some files need you (they are named), 75 "
		   "the time is\n"
		   "over. Ctrl-C ends the waiting, not the uploads.",
	.run = flush_run,
};
