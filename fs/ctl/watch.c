/* gssctl status: how things are, once or from then on. */
#include "fs/ctl/attribute.h"
#include "fs/ctl/ctl.h"
#include "fs/ctl/progress.h"
#include "fs/ctl/scope.h"
#include "fs/ctl/show.h"
#include "fs/ctl/text.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND_MS 1000

static bool in_scope(const CtlFile *file, const void *data)
{
	return ctl_scope_has(data, file);
}

static gint64 now(void)
{
	return g_get_real_time() / G_USEC_PER_SEC;
}

/* All of the scopes as one text; NULL: error set. One of several mounts that has gone is told, and
 * leaves them. */
static char *render(GPtrArray *scopes, bool as_json, guint files_max, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(CtlJson) json = ctl_json_new();

	ctl_json_begin_array(json, NULL);
	for (guint i = 0; i < scopes->len;) {
		const CtlScope *scope = scopes->pdata[i];
		const CtlMount *mount = ctl_channel_mount(scope->channel);
		g_autoptr(GError) failure = NULL;
		g_autoptr(CtlStatus) status = ctl_channel_read(scope->channel, &failure);
		if (status == NULL && scopes->len == 1) {
			g_propagate_error(error, g_steal_pointer(&failure));
			return NULL;
		}
		if (status == NULL) {
			ctl_say("%s", failure->message);
			g_ptr_array_remove_index(scopes, i);
			continue;
		}
		ctl_show_json(json, mount, status, in_scope, scope);
		g_autofree char *shown = ctl_show_text(mount, status, in_scope, scope, files_max,
		                                       isatty(STDOUT_FILENO), now());
		g_string_append_printf(text, "%s%s", i > 0 ? "\n" : "", shown);
		i++;
	}
	ctl_json_end_array(json);
	return g_strdup(as_json ? ctl_json_text(json) : text->str);
}

static int print_once(GPtrArray *scopes, bool as_json)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = render(scopes, as_json, G_MAXUINT, &error);

	if (text == NULL)
		return ctl_complain(error);
	fputs(text, stdout);
	return CTL_OK;
}

static void draw(CtlProgress *progress, const char *text)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	ctl_progress_begin(progress);
	for (guint i = 0; lines[i] != NULL && (lines[i + 1] != NULL || *lines[i] != '\0'); i++)
		ctl_progress_text(progress, lines[i]);
	ctl_progress_draw(progress);
}

/* On a terminal one picture that changes; else a text (or a line of JSON) a change. */
static int watch(GPtrArray *scopes, bool as_json)
{
	g_autoptr(CtlProgress) progress = ctl_progress_new();
	g_autofree char *last = NULL;
	bool live = !as_json && isatty(STDOUT_FILENO) && ctl_progress_visible(progress);

	ctl_interrupts();
	while (ctl_interrupted() == 0) {
		g_autoptr(GError) error = NULL;
		g_autofree char *text = render(
			scopes, as_json, live ? ctl_progress_room(progress) : G_MAXUINT, &error);
		if (text == NULL)
			return ctl_complain(error);
		if (live) {
			draw(progress, text);
		} else if (g_strcmp0(text, last) != 0) {
			printf("%s%s", last != NULL && !as_json ? "\n" : "", text);
			if (fflush(stdout) != 0)
				return CTL_IOERR;
			g_free(last);
			last = g_steal_pointer(&text);
		}
		ctl_scopes_wait(scopes, SECOND_MS);
	}
	return CTL_SIGNAL + ctl_interrupted();
}

/* --- a single file --- */

static bool is_file(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

static int print_file(const CtlPlace *place, bool as_json)
{
	static const char *const names[] = {"state", "progress", "uri", "sha256", "error"};
	g_autoptr(CtlTable) table = ctl_table_new("ll");
	g_autoptr(CtlJson) json = ctl_json_new();

	ctl_json_begin_object(json, NULL);
	ctl_json_string(json, "path", place->path);
	for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
		int code = 0;
		g_autofree char *value = ctl_attribute(place->path, names[i], &code);
		if (value == NULL && code != ENODATA) {
			ctl_say("%s: %s", place->path, g_strerror(code));
			return CTL_IOERR;
		}
		guint64 done = 0, total = 0;
		bool progress = strcmp(names[i], "progress") == 0;
		if (progress && value != NULL &&
		    sscanf(value, "%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, &done, &total) == 2) {
			g_autofree char *shown_done = ctl_text_size(done);
			g_autofree char *shown_total = ctl_text_size(total);
			g_free(value);
			value = g_strdup_printf("%s of %s are on GSS", shown_done, shown_total);
			ctl_json_number(json, "bytes_done", done);
			ctl_json_number(json, "bytes_total", total);
		}
		if (!progress)
			ctl_json_string(json, names[i], value);
		if (value != NULL)
			ctl_table_add(table, names[i], value);
	}
	ctl_json_end_object(json);
	if (as_json) {
		ctl_json_print(json);
	} else {
		g_autofree char *path = ctl_text_safe(place->path);
		g_autofree char *text = ctl_table_text(table, "  ");
		printf("%s\n%s", path, text);
	}
	return CTL_OK;
}

static int status_run(const char *name, char **words)
{
	gboolean follow = FALSE, as_json = FALSE;
	const GOptionEntry entries[] = {
		{"watch", 'w', 0, G_OPTION_ARG_NONE, &follow, "Go on, and show each change", NULL},
		{"json", 0, 0, G_OPTION_ARG_NONE, &as_json,
	         "Write JSON: an array of mounts; with -w a line a change", NULL},
		G_OPTION_ENTRY_NULL,
	};
	g_autoptr(GError) error = NULL;

	if (!ctl_options(&ctl_verb_status, entries, &words))
		return CTL_USAGE;
	g_autoptr(GPtrArray) mounts = ctl_mounts(&error);
	if (mounts == NULL)
		return ctl_complain(error);
	if (words[1] != NULL && words[2] == NULL && !follow) {
		g_autoptr(CtlPlace) place = ctl_mounts_find(mounts, words[1], NULL);
		if (place != NULL && *place->relative != '\0' && ctl_place_is_control(place)) {
			ctl_say("%s is a control file of the mount; gssctl images tells of images",
			        words[1]);
			return CTL_NOINPUT;
		}
		if (place != NULL && is_file(place->path))
			return print_file(place, as_json);
	}
	g_autoptr(GPtrArray) scopes = ctl_scopes(mounts, words + 1, &error);
	if (scopes == NULL)
		return ctl_complain(error);
	return follow ? watch(scopes, as_json) : print_once(scopes, as_json);
}

const CtlVerb ctl_verb_status = {
	.name = "status",
	.arguments = "[MOUNT|PATH…]",
	.summary = "Shows who is logged in, how full the cache is, and what is not on GSS yet.",
	.details = "Without arguments all mounts are shown; of a folder the files below it; of a "
		   "file all\n"
		   "that is known of it. Ctrl-C ends -w and nothing else.",
	.run = status_run,
};
