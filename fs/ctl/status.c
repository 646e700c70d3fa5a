#include "fs/ctl/status.h"

#include "fs/ctl/ctl.h"

#include <errno.h>
#include <string.h>

#define MAJOR "1"
#define FIELDS_MAX 16

static void cache_free(void *data)
{
	CtlCache *cache = data;
	g_free(cache->storage);
	g_free(cache);
}

static void quarantine_free(void *data)
{
	CtlQuarantine *quarantine = data;
	g_free(quarantine->path);
	g_free(quarantine);
}

static void file_free(void *data)
{
	CtlFile *file = data;
	g_free(file->path);
	g_free(file->state);
	g_free(file->message);
	g_free(file);
}

static void command_free(void *data)
{
	CtlCommand *command = data;
	g_free(command->folder);
	g_free(command->verb);
	g_free(command->source);
	g_free(command->name);
	g_free(command->step);
	g_free(command->storage);
	g_free(command);
}

void ctl_status_free(CtlStatus *status)
{
	g_free(status->version);
	g_free(status->source);
	g_free(status->mountpoint);
	g_free(status->session.state);
	g_free(status->session.user);
	g_free(status->session.project);
	g_free(status->session.message);
	g_ptr_array_unref(status->caches);
	g_ptr_array_unref(status->quarantines);
	g_ptr_array_unref(status->files);
	g_ptr_array_unref(status->commands);
	g_free(status);
}

static bool is_octal(const char *p)
{
	return p[0] >= '0' && p[0] <= '3' && p[1] >= '0' && p[1] <= '7' && p[2] >= '0' &&
	       p[2] <= '7';
}

char *ctl_unescape(const char *field)
{
	GString *text = g_string_sized_new(strlen(field));

	for (const char *p = field; *p != '\0'; p++) {
		/* \000 would end the string: it stays as it is. */
		if (*p == '\\' && is_octal(p + 1) && strncmp(p + 1, "000", 3) != 0) {
			g_string_append_c(
				text, (char)((p[1] - '0') * 64 + (p[2] - '0') * 8 + (p[3] - '0')));
			p += 3;
		} else {
			g_string_append_c(text, *p);
		}
	}
	return g_string_free(text, FALSE);
}

/* --- fields; those that a line does not have are nothing --- */

typedef struct {
	char **words;
	guint next;
} Fields;

static const char *take(Fields *fields)
{
	const char *word = fields->words[fields->next];

	if (word == NULL)
		return NULL;
	fields->next++;
	return strcmp(word, "-") == 0 ? NULL : word;
}

static char *take_text(Fields *fields)
{
	const char *word = take(fields);
	return word != NULL ? ctl_unescape(word) : NULL;
}

static guint64 take_number(Fields *fields)
{
	const char *word = take(fields);
	guint64 number = 0;

	if (word != NULL)
		g_ascii_string_to_unsigned(word, 10, 0, G_MAXUINT64, &number, NULL);
	return number;
}

static gint64 take_time(Fields *fields)
{
	const char *word = take(fields);
	g_autoptr(GDateTime) time = word != NULL && g_utf8_validate(word, -1, NULL)
	                                    ? g_date_time_new_from_iso8601(word, NULL)
	                                    : NULL;

	return time != NULL ? g_date_time_to_unix(time) : 0;
}

static void replace(char **text, char *by)
{
	g_free(*text);
	*text = by;
}

static void read_session(CtlStatus *status, Fields *fields)
{
	replace(&status->session.state, take_text(fields));
	replace(&status->session.user, take_text(fields));
	replace(&status->session.project, take_text(fields));
	status->session.valid_until = take_time(fields);
	replace(&status->session.message, take_text(fields));
}

static void read_cache(CtlStatus *status, Fields *fields)
{
	CtlCache *cache = g_new0(CtlCache, 1);

	cache->storage = take_text(fields);
	cache->used = take_number(fields);
	cache->limit = take_number(fields);
	g_ptr_array_add(status->caches, cache);
}

static void read_quarantine(CtlStatus *status, Fields *fields)
{
	CtlQuarantine *quarantine = g_new0(CtlQuarantine, 1);

	quarantine->files = take_number(fields);
	quarantine->bytes = take_number(fields);
	quarantine->path = take_text(fields);
	g_ptr_array_add(status->quarantines, quarantine);
}

static void read_pending(CtlStatus *status, Fields *fields)
{
	status->pending.files = take_number(fields);
	status->pending.bytes = take_number(fields);
	status->pending.rate = take_number(fields);
	status->pending.expected_end = take_time(fields);
	status->pending.parked = take_number(fields);
	status->pending.removals = take_number(fields);
}

static void read_file(CtlStatus *status, Fields *fields)
{
	CtlFile *file = g_new0(CtlFile, 1);

	file->path = take_text(fields);
	file->state = take_text(fields);
	file->done = take_number(fields);
	file->total = take_number(fields);
	file->tries = take_number(fields);
	file->next_try = take_time(fields);
	file->message = take_text(fields);
	/* A file may be called "-", and what is not called anything is none. */
	if (file->path == NULL)
		file->path = g_strdup("-");
	if (file->state == NULL)
		file->state = g_strdup("dirty");
	g_ptr_array_add(status->files, file);
}

static void read_command(CtlStatus *status, Fields *fields)
{
	CtlCommand *command = g_new0(CtlCommand, 1);

	command->folder = take_text(fields);
	command->verb = take_text(fields);
	command->source = take_text(fields);
	command->name = take_text(fields);
	command->since = take_time(fields);
	command->step = take_text(fields);
	command->storage = take_text(fields);
	g_ptr_array_add(status->commands, command);
}

static void read_line(CtlStatus *status, const char *line)
{
	static const struct {
		const char *name;
		void (*read)(CtlStatus *status, Fields *fields);
	} kinds[] = {
		{"session", read_session}, {"cache", read_cache}, {"quarantine", read_quarantine},
		{"pending", read_pending}, {"file", read_file},   {"command", read_command},
	};
	g_auto(GStrv) words = g_strsplit(line, "\t", FIELDS_MAX);
	Fields fields = {.words = words, .next = 1};

	for (guint i = 0; words[0] != NULL && i < G_N_ELEMENTS(kinds); i++) {
		if (strcmp(words[0], kinds[i].name) == 0)
			kinds[i].read(status, &fields);
	}
}

/* The first line, which all versions have. */
static bool read_head(CtlStatus *status, const char *line, GError **error)
{
	g_auto(GStrv) words = g_strsplit(line, "\t", FIELDS_MAX);
	Fields fields = {.words = words, .next = 2};

	if (g_strv_length(words) < 2 || strcmp(words[0], "gssfs") != 0)
		return ctl_fail(error, EPROTO, "this is not the status of a gssfs");
	if (strcmp(words[1], MAJOR) != 0)
		return ctl_fail(
			error, EPROTO,
			"the mount's status is of version %s, which this gssctl " GSSFS_VERSION
			" does not know",
			words[1]);
	status->version = take_text(&fields);
	status->source = take_text(&fields);
	status->mountpoint = take_text(&fields);
	return true;
}

CtlStatus *ctl_status_parse(const char *text, GError **error)
{
	g_autoptr(CtlStatus) status = g_new0(CtlStatus, 1);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	status->caches = g_ptr_array_new_with_free_func(cache_free);
	status->quarantines = g_ptr_array_new_with_free_func(quarantine_free);
	status->files = g_ptr_array_new_with_free_func(file_free);
	status->commands = g_ptr_array_new_with_free_func(command_free);
	if (!read_head(status, lines[0] != NULL ? lines[0] : "", error))
		return NULL;
	for (guint i = 1; lines[i] != NULL; i++)
		read_line(status, lines[i]);
	return g_steal_pointer(&status);
}

bool ctl_file_is_parked(const CtlFile *file)
{
	return strcmp(file->state, "failed") == 0 ||
	       (strcmp(file->state, "conflict") == 0 && !ctl_file_is_there(file));
}

bool ctl_file_is_there(const CtlFile *file)
{
	return strcmp(file->state, "clean") == 0 ||
	       (strcmp(file->state, "conflict") == 0 && file->done == file->total);
}

bool ctl_file_is_below(const CtlFile *file, const char *path)
{
	gsize length = strlen(path);

	return length == 0 || (strncmp(file->path, path, length) == 0 &&
	                       (file->path[length] == '\0' || file->path[length] == '/'));
}
