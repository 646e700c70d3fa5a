#include "fs/ctl/show.h"

#include "fs/ctl/text.h"

#include <string.h>

#define LOGIN "gssctl login"

static bool has_state(const CtlStatus *status, const char *state)
{
	return g_strcmp0(status->session.state, state) == 0;
}

/* With the remedy, unless the message has it. */
static char *no_login(const char *what, const char *message)
{
	bool told = message != NULL && strstr(message, LOGIN) != NULL;

	return g_strconcat(what, message != NULL ? ", " : "", message != NULL ? message : "",
	                   told ? "" : ": " LOGIN, NULL);
}

char *ctl_show_login_trouble(const CtlStatus *status)
{
	const char *message = status->session.message;

	if (has_state(status, "missing"))
		return no_login("nobody is logged in", message);
	if (has_state(status, "rejected"))
		return no_login("the login was refused", message);
	if (has_state(status, "offline") && message != NULL)
		return g_strdup_printf("the platform is out of reach: %s", message);
	return NULL;
}

char *ctl_show_trouble(const CtlFile *file)
{
	const char *message = file->message != NULL ? file->message : "no reason is known";

	if (strcmp(file->state, "conflict") == 0 && ctl_file_is_there(file))
		return g_strdup_printf("%s (compare them: rm the one you don't want, or mv yours "
		                       "over the other)",
		                       message);
	if (strcmp(file->state, "conflict") == 0)
		return g_strdup_printf(
			"%s (kept here: gssctl discard takes what GSS has, writing it "
			"anew uploads it)",
			message);
	/* Of what was cut off, or lost a write, the message has the remedy. */
	if (strcmp(file->state, "failed") == 0)
		return g_strconcat(message,
		                   strstr(message, "write it anew") != NULL
		                           ? ""
		                           : " (gssctl retry tries again)",
		                   NULL);
	return NULL;
}

char *ctl_show_wait(const CtlFile *file, gint64 now)
{
	if (file->next_try > 0) {
		g_autofree char *time = ctl_text_duration((guint64)MAX(file->next_try - now, 0));
		return g_strdup_printf("again in %s: %s", time,
		                       file->message != NULL ? file->message : "it failed");
	}
	return file->done >= file->total ? g_strdup("waits for GSS's answer") : NULL;
}

static char *login_text(const CtlStatus *status, gint64 now)
{
	const char *user = status->session.user, *project = status->session.project;
	gint64 until = status->session.valid_until;
	char *trouble = ctl_show_login_trouble(status);

	if (trouble != NULL)
		return trouble;
	if (has_state(status, "offline"))
		return g_strdup("not asked for yet");
	g_autofree char *time = until > 0 ? ctl_text_time(until, now) : NULL;
	return g_strdup_printf("%s%s%s%s%s", user != NULL ? user : "by token",
	                       project != NULL ? " in " : "", project != NULL ? project : "",
	                       time != NULL ? ", until " : "", time != NULL ? time : "");
}

/* `all`: the files are shown below. */
static char *pending_text(const CtlStatus *status, bool all, gint64 now)
{
	GString *text = g_string_new(NULL);
	guint64 files = status->pending.files, parked = status->pending.parked;

	if (files > parked) {
		g_autofree char *number = ctl_text_number(files - parked, "file", "files");
		g_autofree char *size = ctl_text_size(status->pending.bytes);
		g_string_append_printf(text, "%s, %s left", number, size);
		if (status->pending.rate > 0) {
			g_autofree char *rate = ctl_text_rate(status->pending.rate);
			g_string_append_printf(text, " at %s", rate);
		}
		if (status->pending.expected_end > 0) {
			g_autofree char *end = ctl_text_time(status->pending.expected_end, now);
			g_autofree char *left = ctl_text_duration(
				(guint64)MAX(status->pending.expected_end - now, 0));
			g_string_append_printf(text, ", done by %s (%s)", end, left);
		}
	}
	if (status->pending.removals > 0) {
		g_autofree char *number =
			ctl_text_number(status->pending.removals, "removal", "removals");
		g_string_append_printf(text, "%s%s to be made on GSS", text->len > 0 ? "; " : "",
		                       number);
	}
	if (parked > 0) {
		g_autofree char *number = ctl_text_number(parked, "file needs", "files need");
		g_string_append_printf(text, "%s%s you, see %s", text->len > 0 ? "; " : "", number,
		                       all ? "below" : "gssctl status");
	}
	if (text->len == 0)
		g_string_append(text, "nothing, everything is on GSS");
	return g_string_free(text, FALSE);
}

static void add_quarantines(CtlTable *facts, const CtlStatus *status)
{
	for (guint i = 0; i < status->quarantines->len; i++) {
		const CtlQuarantine *quarantine = status->quarantines->pdata[i];
		g_autofree char *files = ctl_text_number(quarantine->files, "file", "files");
		g_autofree char *size = ctl_text_size(quarantine->bytes);
		g_autofree char *line =
			g_strdup_printf("%s, %s in %s: take them away", files, size,
		                        quarantine->path != NULL ? quarantine->path : "its cache");
		ctl_table_add(facts, i == 0 ? "quarantine" : "", line);
	}
}

static char *file_remark(const CtlFile *file, gint64 now)
{
	char *trouble = ctl_show_trouble(file);

	if (trouble != NULL)
		return trouble;
	if (file->next_try > now) {
		g_autofree char *wait = ctl_text_duration((guint64)(file->next_try - now));
		return g_strdup_printf("next try in %s: %s", wait,
		                       file->message != NULL ? file->message : "it failed");
	}
	return g_strdup(file->message);
}

static void add_file(CtlTable *table, const CtlFile *file, gint64 now)
{
	g_autofree char *size = ctl_text_size(file->total);
	g_autofree char *remark = file_remark(file, now);
	g_autofree char *percent = NULL;

	if (strcmp(file->state, "uploading") == 0)
		percent = g_strdup_printf(
			"%u %%", file->total > 0 ? (guint)((double)MIN(file->done, file->total) *
		                                           100 / (double)file->total)
						 : 100);
	ctl_table_add(table, file->state, percent, size, file->path, remark);
}

static void append_files(GString *text, const CtlStatus *status, CtlFileFilter filter,
                         const void *data, guint files_max, bool heads, gint64 now)
{
	g_autoptr(CtlTable) table = ctl_table_new("lrrll");
	guint more = 0;

	if (heads)
		ctl_table_head(table, "STATE", "DONE", "SIZE", "FILE", "");
	for (guint i = 0; i < status->files->len; i++) {
		const CtlFile *file = status->files->pdata[i];
		if (!filter(file, data))
			continue;
		if (ctl_table_rows(table) < files_max)
			add_file(table, file, now);
		else
			more++;
	}
	if (ctl_table_rows(table) > 0) {
		g_autofree char *files = ctl_table_text(table, "  ");
		g_string_append_printf(text, "\n%s", files);
	}
	if (more > 0)
		g_string_append_printf(text, "  ... and %u more\n", more);
}

static void append_commands(GString *text, const CtlStatus *status, bool heads, gint64 now)
{
	g_autoptr(CtlTable) table = ctl_table_new("llllllr");

	if (heads)
		ctl_table_head(table, "COMMAND", "SOURCE", "", "IMAGE", "STORAGE", "STEP", "TIME");
	for (guint i = 0; i < status->commands->len; i++) {
		const CtlCommand *command = status->commands->pdata[i];
		g_autofree char *since =
			command->since > 0
				? ctl_text_duration((guint64)MAX(now - command->since, 0))
				: NULL;
		ctl_table_add(table, command->verb, command->source,
		              command->source != NULL ? "as" : NULL, command->name,
		              command->storage, command->step, since);
	}
	if (ctl_table_rows(table) > 0) {
		g_autofree char *commands = ctl_table_text(table, "  ");
		g_string_append_printf(text, "\n%s", commands);
	}
}

char *ctl_show_text(const CtlMount *mount, const CtlStatus *status, CtlFileFilter filter,
                    const void *data, guint files_max, bool heads, gint64 now)
{
	GString *text = g_string_new(NULL);
	g_autofree char *path = ctl_text_safe(mount->path);
	g_autofree char *source =
		ctl_text_safe(status->source != NULL ? status->source : mount->source);
	g_autoptr(CtlTable) facts = ctl_table_new("ll");
	g_autofree char *login = login_text(status, now);
	bool all = true;
	for (guint i = 0; all && i < status->files->len; i++)
		all = filter(status->files->pdata[i], data);
	g_autofree char *pending = pending_text(status, all, now);

	g_string_append_printf(text, "%s  %s\n", path, source);
	ctl_table_add(facts, "login", login);
	for (guint i = 0; i < status->caches->len; i++) {
		const CtlCache *cache = status->caches->pdata[i];
		g_autofree char *used = ctl_text_size(cache->used);
		g_autofree char *limit = ctl_text_size(cache->limit);
		g_autofree char *line = g_strdup_printf(
			"%s of %s%s%s", used, limit,
			status->caches->len > 1 && cache->storage ? "  " : "",
			status->caches->len > 1 && cache->storage ? cache->storage : "");
		ctl_table_add(facts, i == 0 ? "cache" : "", line);
	}
	add_quarantines(facts, status);
	ctl_table_add(facts, "pending", pending);
	g_autofree char *lines = ctl_table_text(facts, "  ");
	g_string_append(text, lines);
	append_files(text, status, filter, data, files_max, heads, now);
	append_commands(text, status, heads, now);
	return g_string_free(text, FALSE);
}

/* --- for programs --- */

void ctl_show_file_json(CtlJson *json, const CtlFile *file)
{
	ctl_json_begin_object(json, NULL);
	ctl_json_string(json, "path", file->path);
	ctl_json_string(json, "state", file->state);
	ctl_json_number(json, "bytes_done", file->done);
	ctl_json_number(json, "bytes_total", file->total);
	ctl_json_number(json, "tries", file->tries);
	ctl_json_time(json, "next_try", file->next_try);
	ctl_json_string(json, "message", file->message);
	ctl_json_end_object(json);
}

static void commands_json(CtlJson *json, const CtlStatus *status)
{
	ctl_json_begin_array(json, "commands");
	for (guint i = 0; i < status->commands->len; i++) {
		const CtlCommand *command = status->commands->pdata[i];
		ctl_json_begin_object(json, NULL);
		ctl_json_string(json, "folder", command->folder);
		ctl_json_string(json, "verb", command->verb);
		ctl_json_string(json, "source", command->source);
		ctl_json_string(json, "name", command->name);
		ctl_json_time(json, "since", command->since);
		ctl_json_string(json, "step", command->step);
		ctl_json_string(json, "storage", command->storage);
		ctl_json_end_object(json);
	}
	ctl_json_end_array(json);
}

void ctl_show_json(CtlJson *json, const CtlMount *mount, const CtlStatus *status,
                   CtlFileFilter filter, const void *data)
{
	ctl_json_begin_object(json, NULL);
	ctl_json_string(json, "mountpoint", mount->path);
	ctl_json_string(json, "source", status->source);
	ctl_json_string(json, "version", status->version);
	ctl_json_begin_object(json, "session");
	ctl_json_string(json, "state", status->session.state);
	ctl_json_string(json, "user", status->session.user);
	ctl_json_string(json, "project", status->session.project);
	ctl_json_time(json, "valid_until", status->session.valid_until);
	ctl_json_string(json, "message", status->session.message);
	ctl_json_end_object(json);
	ctl_json_begin_array(json, "caches");
	for (guint i = 0; i < status->caches->len; i++) {
		const CtlCache *cache = status->caches->pdata[i];
		ctl_json_begin_object(json, NULL);
		ctl_json_string(json, "storage", cache->storage);
		ctl_json_number(json, "used", cache->used);
		ctl_json_number(json, "limit", cache->limit);
		ctl_json_end_object(json);
	}
	ctl_json_end_array(json);
	ctl_json_begin_array(json, "quarantines");
	for (guint i = 0; i < status->quarantines->len; i++) {
		const CtlQuarantine *quarantine = status->quarantines->pdata[i];
		ctl_json_begin_object(json, NULL);
		ctl_json_number(json, "files", quarantine->files);
		ctl_json_number(json, "bytes", quarantine->bytes);
		ctl_json_string(json, "path", quarantine->path);
		ctl_json_end_object(json);
	}
	ctl_json_end_array(json);
	ctl_json_begin_object(json, "pending");
	ctl_json_number(json, "files", status->pending.files);
	ctl_json_number(json, "bytes_left", status->pending.bytes);
	ctl_json_number(json, "bytes_per_second", status->pending.rate);
	ctl_json_time(json, "expected_end", status->pending.expected_end);
	ctl_json_number(json, "parked", status->pending.parked);
	ctl_json_number(json, "removals", status->pending.removals);
	ctl_json_end_object(json);
	ctl_json_begin_array(json, "files");
	for (guint i = 0; i < status->files->len; i++) {
		if (filter(status->files->pdata[i], data))
			ctl_show_file_json(json, status->files->pdata[i]);
	}
	ctl_json_end_array(json);
	commands_json(json, status);
	ctl_json_end_object(json);
}
