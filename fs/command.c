#include "fs/command.h"

#include "fs/loop.h"

#include <errno.h>
#include <string.h>

#define LOG_MAX 100
#define PENDING_MAX 1000
#define PAUSE_MIN_S 1
#define PAUSE_MAX_S 30

/* A line of the log. */
typedef struct {
	gint64 time; /* s since the epoch */
	const char *outcome;
	char *name, *shown, *message;
	gint64 size; /* bytes, -1 unknown */
	double seconds;
} Record;

typedef struct {
	FsCommandCallback func;
	void *data;
} Waiter;

typedef struct {
	FsCommands *commands;
	/* Constant. */
	char *key;
	FsVerb verb;
	FsStorage *storage;
	CacheId source; /* referenced; 0: none */
	char *name, *shown;
	gint64 started; /* monotonic us */
	/* Owned by the step under way. */
	char *uri;
	gint64 size; /* of the source */
	bool existed;
	gint64 old_size; /* of the image that existed */
	char *old_date;
	bool asked_again;
	guint pause;     /* s */
	gint64 deadline; /* monotonic us, since the answer was lost */
	/* Guarded by the lock of FsCommands. */
	GSList *waiters; /* Waiter */
	Record *record;  /* in the log, unless that has grown past it */
} Command;

struct FsCommands {
	FsMount *mount;
	GMutex lock;
	GHashTable *pending; /* key -> Command */
	GQueue log;          /* Record, the newest last */
	void (*idle)(void *data);
	void *idle_data;
};

/* --- the log --- */

static void record_free(void *data)
{
	Record *record = data;

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
		if ((guchar)*p < ' ' || *p == 0x7f)
			*p = ' ';
	}
	return clean;
}

static Record *log_add_locked(FsCommands *commands, const char *name, const char *shown)
{
	Record *record = g_new0(Record, 1);

	*record = (Record){
		.time = g_get_real_time() / G_USEC_PER_SEC,
		.outcome = "running",
		.name = field(name),
		.shown = field(shown),
		.message = g_strdup(""),
		.size = -1,
	};
	g_queue_push_tail(&commands->log, record);
	/* The oldest goes, unless it still runs: there are at most PENDING_MAX of these. */
	for (GList *link = commands->log.head; commands->log.length > LOG_MAX && link != NULL;) {
		GList *next = link->next;
		const Record *old = link->data;
		if (strcmp(old->outcome, "running") != 0) {
			record_free(link->data);
			g_queue_delete_link(&commands->log, link);
		}
		link = next;
	}
	return record;
}

static void log_end_locked(Record *record, const char *outcome, const GError *error, gint64 started)
{
	record->outcome = error != NULL ? "failed" : outcome;
	record->seconds = (double)(g_get_monotonic_time() - started) / G_USEC_PER_SEC;
	g_free(record->message);
	record->message = field(error != NULL ? error->message : "");
}

void fs_commands_reject(FsCommands *commands, const char *shown, const char *name,
                        const GError *error)
{
	g_mutex_lock(&commands->lock);
	Record *record = log_add_locked(commands, name, shown);
	log_end_locked(record, NULL, error, g_get_monotonic_time());
	g_mutex_unlock(&commands->lock);
}

void fs_commands_print(FsCommands *commands, GString *text)
{
	g_mutex_lock(&commands->lock);
	for (GList *link = commands->log.head; link != NULL; link = link->next) {
		const Record *record = link->data;
		g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(record->time);
		g_autofree char *shown = g_date_time_format(time, "%Y-%m-%dT%H:%M:%S%:z");
		g_string_append_printf(text, "# %s\t%s\t%s\t%s\t", shown, record->outcome,
		                       record->name, record->shown);
		if (record->size >= 0)
			g_string_append_printf(text, "%" G_GINT64_FORMAT, record->size);
		else
			g_string_append_c(text, '-');
		g_string_append_printf(text, "\t%.1f\t%s\n", record->seconds, record->message);
	}
	g_mutex_unlock(&commands->lock);
}

/* --- life --- */

FsCommands *fs_commands_new(FsMount *mount)
{
	FsCommands *commands = g_new0(FsCommands, 1);

	commands->mount = mount;
	g_mutex_init(&commands->lock);
	commands->pending = g_hash_table_new(g_str_hash, g_str_equal);
	return commands;
}

static void command_free(Command *command)
{
	g_free(command->key);
	g_free(command->name);
	g_free(command->shown);
	g_free(command->uri);
	g_free(command->old_date);
	g_slist_free_full(command->waiters, g_free);
	g_free(command);
}

void fs_commands_free(FsCommands *commands)
{
	GHashTableIter iter;
	void *command;

	/* Those that were in a pause; all others have ended with the caches and services. */
	g_hash_table_iter_init(&iter, commands->pending);
	while (g_hash_table_iter_next(&iter, NULL, &command))
		command_free(command);
	g_hash_table_unref(commands->pending);
	g_queue_clear_full(&commands->log, record_free);
	g_mutex_clear(&commands->lock);
	g_free(commands);
}

guint fs_commands_pending(FsCommands *commands)
{
	g_mutex_lock(&commands->lock);
	guint pending = g_hash_table_size(commands->pending);
	g_mutex_unlock(&commands->lock);
	return pending;
}

void fs_commands_when_idle(FsCommands *commands, void (*func)(void *data), void *data)
{
	g_mutex_lock(&commands->lock);
	bool idle = g_hash_table_size(commands->pending) == 0;
	if (!idle) {
		commands->idle = func;
		commands->idle_data = data;
	}
	g_mutex_unlock(&commands->lock);
	if (idle)
		func(data);
}

static const char *outcome(const Command *command)
{
	if (command->verb == FS_VERB_REMOVE)
		return "removed";
	return command->existed ? "updated" : "registered";
}

static void finish(Command *command, const GError *error)
{
	FsCommands *commands = command->commands;
	void (*idle)(void *data) = NULL;

	if (command->source != 0)
		cache_forget(command->storage->cache, command->source, 1);
	g_mutex_lock(&commands->lock);
	log_end_locked(command->record, outcome(command), error, command->started);
	g_hash_table_remove(commands->pending, command->key);
	GSList *waiters = g_slist_reverse(g_steal_pointer(&command->waiters));
	if (g_hash_table_size(commands->pending) == 0) {
		idle = commands->idle;
		commands->idle = NULL;
	}
	void *idle_data = commands->idle_data;
	g_mutex_unlock(&commands->lock);
	if (error != NULL)
		g_message("%s of image %s: %s",
		          command->verb == FS_VERB_REMOVE ? "removal" : "registration",
		          command->name, error->message);
	else
		g_message("image %s %s", command->name, outcome(command));
	for (GSList *link = waiters; link != NULL; link = link->next) {
		const Waiter *waiter = link->data;
		waiter->func(error, waiter->data);
	}
	g_slist_free_full(waiters, g_free);
	command_free(command);
	if (idle != NULL)
		idle(idle_data);
}

static void fail(Command *command, int code, const char *message)
{
	g_autoptr(GError) error = g_error_new_literal(CACHE_ERROR, code, message);
	finish(command, error);
}

/* --- an answer was lost --- */

static void pause_then_ask(Command *command);

/* Does what the service says of the image tell that our request has been carried out? */
static bool is_settled(const Command *command, const FsImage *image)
{
	bool dated = *image->date != '\0' && command->old_date != NULL;

	if (command->verb == FS_VERB_REMOVE)
		return false;
	/* While it is being copied the image may be there already, but not all of it. */
	if (image->size >= 0 && image->size != command->size)
		return false;
	if (!command->existed)
		return true;
	if (dated && strcmp(image->date, command->old_date) != 0)
		return true;
	return image->size >= 0 && image->size != command->old_size;
}

static void on_asked(const FsImage *image, const GError *error, void *data)
{
	Command *command = data;
	bool gone = g_error_matches(error, error != NULL ? error->domain : 0, ENOENT);

	if ((image != NULL && is_settled(command, image)) ||
	    (command->verb == FS_VERB_REMOVE && gone)) {
		finish(command, NULL);
		return;
	}
	if (error != NULL && error->code == ECANCELED) {
		finish(command, error);
		return;
	}
	if (error != NULL)
		g_debug("asking about image %s: %s", command->name, error->message);
	if (g_get_monotonic_time() < command->deadline)
		pause_then_ask(command);
	else
		fail(command, ETIMEDOUT,
		     "the platform's answer was lost, and it has not told the outcome since; look "
		     "at the list of images later");
}

static void ask(void *data)
{
	Command *command = data;
	const FsImages *images = command->storage->images;

	images->info(images->images, command->name, on_asked, command);
}

static void pause_then_ask(Command *command)
{
	guint pause = command->pause;

	command->pause = MIN(pause * 2, PAUSE_MAX_S);
	fs_loop_after(command->commands->mount->loop, pause * 1000, ask, command);
}

static void settle(Command *command)
{
	gint64 timeout = command->commands->mount->options.register_timeout;

	g_message("image %s: the answer was lost; asking for the outcome", command->name);
	command->pause = PAUSE_MIN_S;
	command->deadline = g_get_monotonic_time() + timeout * G_USEC_PER_SEC;
	pause_then_ask(command);
}

/* --- the usual way: publish, ask, send --- */

static void on_before(const FsImage *image, const GError *error, void *data);

static void on_sent(const GError *error, void *data)
{
	Command *command = data;
	const FsImages *images = command->storage->images;
	int code = error != NULL ? error->code : 0;

	if (code == EINPROGRESS) {
		settle(command);
	} else if (command->verb != FS_VERB_REMOVE && !command->asked_again &&
	           code == (command->existed ? ENOENT : EEXIST)) {
		/* Somebody else removed or made an image of this name in between. */
		command->asked_again = true;
		images->info(images->images, command->name, on_before, command);
	} else {
		finish(command, error);
	}
}

static void on_before(const FsImage *image, const GError *error, void *data)
{
	Command *command = data;
	const FsImages *images = command->storage->images;

	if (error != NULL && error->code != ENOENT) {
		finish(command, error);
		return;
	}
	command->existed = image != NULL;
	if (image != NULL) {
		command->old_size = image->size;
		g_free(command->old_date);
		command->old_date = g_strdup(image->date);
		images->replace(images->images, command->name, command->uri, on_sent, command);
	} else if (command->verb == FS_VERB_UPDATE) {
		fail(command, ENOENT, "there is no image of that name to update");
	} else {
		images->add(images->images, command->name, command->uri, on_sent, command);
	}
}

static void on_size(const CacheAttr *attr, const GError *error, void *data)
{
	Command *command = data;
	FsCommands *commands = command->commands;
	const FsImages *images = command->storage->images;

	if (error != NULL) {
		finish(command, error);
		return;
	}
	command->size = (gint64)attr->size;
	g_mutex_lock(&commands->lock);
	command->record->size = command->size;
	g_mutex_unlock(&commands->lock);
	images->info(images->images, command->name, on_before, command);
}

static void on_published(const char *uri, const GError *error, void *data)
{
	Command *command = data;

	if (error != NULL) {
		finish(command, error);
		return;
	}
	command->uri = g_strdup(uri);
	cache_getattr(command->storage->cache, command->source, on_size, command);
}

static void start(Command *command)
{
	const FsImages *images = command->storage->images;

	if (command->verb == FS_VERB_REMOVE)
		images->remove(images->images, command->name, on_sent, command);
	else
		cache_publish(command->storage->cache, command->source, on_published, command);
}

/* Joins or makes the command of that key; true: made, to be started. NULL: there are too many. */
static Command *enter(FsCommands *commands, const FsCommandSpec *spec, Waiter *waiter,
                      bool *ret_made)
{
	g_autofree char *key = g_strdup_printf("%d %u %" G_GUINT64_FORMAT " %s", (int)spec->verb,
	                                       spec->storage->index, spec->source, spec->name);

	g_mutex_lock(&commands->lock);
	Command *command = g_hash_table_lookup(commands->pending, key);
	*ret_made = command == NULL && g_hash_table_size(commands->pending) < PENDING_MAX;
	if (*ret_made) {
		command = g_new0(Command, 1);
		*command = (Command){
			.commands = commands,
			.key = g_steal_pointer(&key),
			.verb = spec->verb,
			.storage = spec->storage,
			.source = spec->source,
			.name = g_strdup(spec->name),
			.shown = g_strdup(spec->shown),
			.started = g_get_monotonic_time(),
			.record = log_add_locked(commands, spec->name, spec->shown),
		};
		g_hash_table_insert(commands->pending, command->key, command);
	}
	if (command != NULL)
		command->waiters = g_slist_prepend(command->waiters, waiter);
	g_mutex_unlock(&commands->lock);
	return command;
}

bool fs_command_check(const FsStorage *storage, const char *name, GError **error)
{
	const FsImages *images = storage->images;

	if (images == NULL) {
		g_set_error(error, CACHE_ERROR, ENOTSUP,
		            "%s has no Images service: configure one (images=) to register images",
		            storage->name);
		return false;
	}
	return images->check(images->images, name, error);
}

void fs_commands_run(FsCommands *commands, const FsCommandSpec *spec, FsCommandCallback callback,
                     void *data)
{
	g_autoptr(GError) error = NULL;
	bool made = false;
	Command *command = NULL;

	if (fs_command_check(spec->storage, spec->name, &error)) {
		Waiter *waiter = g_new(Waiter, 1);
		*waiter = (Waiter){callback, data};
		command = enter(commands, spec, waiter, &made);
		if (command == NULL) {
			g_free(waiter);
			g_set_error_literal(&error, CACHE_ERROR, EBUSY,
			                    "too many registrations are under way");
		}
	}
	if (!made && spec->source != 0)
		cache_forget(spec->storage->cache, spec->source, 1);
	if (error != NULL) {
		fs_commands_reject(commands, spec->shown, spec->name, error);
		callback(error, data);
	} else if (made) {
		start(command);
	}
}
