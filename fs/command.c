#include "fs/command.h"

#include "fs/command-log.h"
#include "fs/command-memo.h"
#include "fs/images-dir.h"
#include "fs/loop.h"
#include "fs/status.h"

#include <errno.h>
#include <string.h>

#define PENDING_MAX 1000
#define PAUSE_MIN_S 1
#define PAUSE_MAX_S 30

typedef enum {
	STEP_WAITING,
	STEP_UPLOADING,
	STEP_ASKING,
	STEP_SENT,
	STEP_SETTLING,
} Step;

static const char *const step_names[] = {
	[STEP_WAITING] = "waiting", [STEP_UPLOADING] = "uploading", [STEP_ASKING] = "asking",
	[STEP_SENT] = "sent",       [STEP_SETTLING] = "settling",
};

typedef struct {
	FsCommandCallback func;
	void *data;
} Waiter;

typedef struct {
	FsCommands *commands;
	GList link; /* in FsCommands.pending; guarded by its lock */
	/* Constant. */
	FsStorage *storage;
	char *memo_key;
	gint64 started; /* monotonic us */
	/* Its first part is constant, the rest owned by the step under way. */
	FsCommandMemo memo;
	bool asked_again;
	bool resumed;    /* sent by an earlier run, and not since */
	guint pause;     /* s */
	gint64 deadline; /* monotonic us, since the answer was lost */
	/* Guarded by the lock of FsCommands. */
	Step step;
	GSList *waiters; /* Waiter */
	FsCommandRecord *record;
} Command;

struct FsCommands {
	FsMount *mount;
	GMutex lock;
	GQueue pending; /* Command, by their links, in the order they came */
	FsCommandLog *log;
	guint64 last_key;
	void (*idle)(void *data);
	void *idle_data;
};

void fs_commands_reject(FsCommands *commands, const char *shown, const char *name,
                        const GError *error)
{
	g_mutex_lock(&commands->lock);
	fs_command_log_end(fs_command_log_begin(commands->log, name, shown), NULL, error, 0);
	g_mutex_unlock(&commands->lock);
}

void fs_commands_print(FsCommands *commands, GString *text)
{
	g_mutex_lock(&commands->lock);
	fs_command_log_print(commands->log, text);
	g_mutex_unlock(&commands->lock);
}

void fs_commands_each(FsCommands *commands, FsCommandFunc func, void *data)
{
	g_mutex_lock(&commands->lock);
	for (GList *link = commands->pending.head; link != NULL; link = link->next) {
		const Command *command = link->data;
		const FsCommandMemo *memo = &command->memo;
		func(&(FsCommandStatus){memo->folder, fs_verb_name(memo->verb), memo->shown,
		                        memo->name, memo->since, step_names[command->step]},
		     data);
	}
	g_mutex_unlock(&commands->lock);
}

/* --- life --- */

FsCommands *fs_commands_new(FsMount *mount)
{
	FsCommands *commands = g_new0(FsCommands, 1);

	commands->mount = mount;
	g_mutex_init(&commands->lock);
	commands->log = fs_command_log_new();
	/* Keys of memos go on rising from run to run. */
	commands->last_key = (guint64)g_get_real_time();
	return commands;
}

static void tell(GSList *waiters, const GError *error)
{
	for (GSList *link = waiters; link != NULL; link = link->next) {
		const Waiter *waiter = link->data;
		waiter->func(error, waiter->data);
	}
	g_slist_free_full(waiters, g_free);
}

static void command_free(Command *command)
{
	fs_command_memo_clear(&command->memo);
	g_free(command->memo_key);
	g_free(command);
}

void fs_commands_free(FsCommands *commands)
{
	g_autoptr(GError) error =
		g_error_new_literal(CACHE_ERROR, ECANCELED, "gssfs is being unmounted");
	GList *link;

	/* Those that were in a pause; all others have ended with the caches and services. */
	while ((link = g_queue_pop_head_link(&commands->pending)) != NULL) {
		Command *command = link->data;
		tell(g_steal_pointer(&command->waiters), error);
		command_free(command);
	}
	fs_command_log_free(commands->log);
	g_mutex_clear(&commands->lock);
	g_free(commands);
}

guint fs_commands_pending(FsCommands *commands)
{
	g_mutex_lock(&commands->lock);
	guint pending = commands->pending.length;
	g_mutex_unlock(&commands->lock);
	return pending;
}

void fs_commands_when_idle(FsCommands *commands, void (*func)(void *data), void *data)
{
	g_mutex_lock(&commands->lock);
	bool idle = commands->pending.length == 0;
	if (!idle) {
		commands->idle = func;
		commands->idle_data = data;
	}
	g_mutex_unlock(&commands->lock);
	if (idle)
		func(data);
}

static void set_step(Command *command, Step step)
{
	FsCommands *commands = command->commands;

	g_mutex_lock(&commands->lock);
	command->step = step;
	g_mutex_unlock(&commands->lock);
	fs_status_changed(commands->mount);
}

/* The journal has what is needed to go on after a restart. */
static bool save(const Command *command, GError **error)
{
	g_autofree char *text = fs_command_memo_print(&command->memo);

	return cache_set_memo(command->storage->cache, command->memo_key, text, error);
}

static const char *outcome(const Command *command)
{
	if (command->memo.verb == FS_VERB_REMOVE)
		return "removed";
	return command->memo.existed ? "updated" : "registered";
}

static bool same_image(const Command *a, const Command *b)
{
	return a->storage == b->storage && strcmp(a->memo.name, b->memo.name) == 0;
}

static void start(Command *command);

/* The next one for the same image, if one waits. */
static Command *next_locked(FsCommands *commands, const Command *ended)
{
	for (GList *link = commands->pending.head; link != NULL; link = link->next) {
		Command *command = link->data;
		if (same_image(command, ended))
			return command->step == STEP_WAITING ? command : NULL;
	}
	return NULL;
}

static void forget_memo(const Command *command, const GError *error)
{
	bool cut_off = error != NULL && error->code == ECANCELED &&
	               fs_mount_is_stopping(command->commands->mount);
	g_autoptr(GError) failure = NULL;

	if (!cut_off && !cache_set_memo(command->storage->cache, command->memo_key, NULL, &failure))
		g_warning("%s: %s", command->memo.name, failure->message);
}

static void finish(Command *command, const GError *error)
{
	FsCommands *commands = command->commands;
	FsMount *mount = commands->mount;
	const FsCommandMemo *memo = &command->memo;
	void (*idle)(void *data) = NULL;

	forget_memo(command, error);
	if (memo->source != 0)
		cache_forget(command->storage->cache, memo->source, 1);
	g_mutex_lock(&commands->lock);
	fs_command_log_end(command->record, outcome(command), error,
	                   (double)(g_get_monotonic_time() - command->started) / G_USEC_PER_SEC);
	g_queue_unlink(&commands->pending, &command->link);
	GSList *waiters = g_slist_reverse(g_steal_pointer(&command->waiters));
	Command *next = next_locked(commands, command);
	if (next != NULL)
		next->step = STEP_ASKING;
	if (commands->pending.length == 0) {
		idle = commands->idle;
		commands->idle = NULL;
	}
	void *idle_data = commands->idle_data;
	g_mutex_unlock(&commands->lock);
	if (error != NULL)
		g_message("%s of image %s: %s",
		          memo->verb == FS_VERB_REMOVE ? "removal" : "registration", memo->name,
		          error->message);
	else
		g_message("image %s %s", memo->name, outcome(command));
	fs_image_list_forget(command->storage->image_list);
	fs_status_changed(mount);
	tell(waiters, error);
	command_free(command);
	if (next != NULL)
		start(next);
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
static void on_before(const FsImage *image, const GError *error, void *data);

/* Does what the service says of the image tell that our request has been carried out? */
static bool is_settled(const FsCommandMemo *memo, const FsImage *image)
{
	bool dated = *image->date != '\0' && memo->old_date != NULL;

	if (memo->verb == FS_VERB_REMOVE)
		/* Somebody made a new one since: ours is gone. */
		return dated && strcmp(image->date, memo->old_date) != 0;
	/* While it is being copied the image may be there already, but not all of it. */
	if (image->size >= 0 && image->size != memo->size)
		return false;
	if (!memo->existed)
		return true;
	if (dated && strcmp(image->date, memo->old_date) != 0)
		return true;
	return image->size >= 0 && image->size != memo->old_size;
}

static void on_asked(const FsImage *image, const GError *error, void *data)
{
	Command *command = data;
	const FsCommandMemo *memo = &command->memo;
	bool gone = error != NULL && error->code == ENOENT;

	if ((image != NULL && is_settled(memo, image)) || (memo->verb == FS_VERB_REMOVE && gone)) {
		finish(command, NULL);
		return;
	}
	if (error != NULL && error->code == ECANCELED) {
		finish(command, error);
		return;
	}
	if (error != NULL)
		g_debug("asking about image %s: %s", memo->name, error->message);
	bool told = error == NULL || gone;
	bool late = g_get_monotonic_time() >= command->deadline;
	/* A removal leaves nothing behind that would take its time. */
	if (command->resumed && told && (late || memo->verb == FS_VERB_REMOVE)) {
		command->resumed = false;
		set_step(command, STEP_ASKING);
		on_before(image, error, command);
	} else if (!late) {
		pause_then_ask(command);
	} else {
		fail(command, ETIMEDOUT,
		     "the platform's answer was lost, and it has not told the outcome since; look "
		     "at the list of images later");
	}
}

static void ask(void *data)
{
	Command *command = data;
	const FsImages *images = command->storage->images;

	images->info(images->images, command->memo.name, on_asked, command);
}

static void pause_then_ask(Command *command)
{
	guint pause = command->pause;

	command->pause = MIN(pause * 2, PAUSE_MAX_S);
	fs_loop_after(command->commands->mount->loop, pause * 1000, ask, command);
}

/* `waited`: s since it was sent. */
static void settle(Command *command, gint64 waited)
{
	gint64 timeout = command->commands->mount->options.register_timeout;

	g_message("image %s: the answer was lost; asking for the outcome", command->memo.name);
	set_step(command, STEP_SETTLING);
	command->pause = PAUSE_MIN_S;
	command->deadline =
		g_get_monotonic_time() + MAX(timeout - MAX(waited, 0), 0) * G_USEC_PER_SEC;
}

/* --- the usual way: publish, ask, send --- */

static void on_sent(const GError *error, void *data)
{
	Command *command = data;
	const FsCommandMemo *memo = &command->memo;
	const FsImages *images = command->storage->images;
	int code = error != NULL ? error->code : 0;

	if (code == EINPROGRESS) {
		settle(command, 0);
		pause_then_ask(command);
	} else if (memo->verb == FS_VERB_REPLACE && !command->asked_again &&
	           code == (memo->existed ? ENOENT : EEXIST)) {
		/* Somebody else removed or made an image of this name in between. */
		command->asked_again = true;
		set_step(command, STEP_ASKING);
		images->info(images->images, memo->name, on_before, command);
	} else {
		finish(command, error);
	}
}

/* Journaled first: after a restart it is asked for, and not sent again just so. */
static void send(Command *command)
{
	const FsImages *images = command->storage->images;
	FsCommandMemo *memo = &command->memo;
	g_autoptr(GError) error = NULL;

	memo->sent_at = g_get_real_time() / G_USEC_PER_SEC;
	if (!save(command, &error)) {
		finish(command, error);
		return;
	}
	set_step(command, STEP_SENT);
	if (memo->verb == FS_VERB_REMOVE)
		images->remove(images->images, memo->name, on_sent, command);
	else if (memo->existed)
		images->replace(images->images, memo->name, memo->uri, on_sent, command);
	else
		images->add(images->images, memo->name, memo->uri, on_sent, command);
}

/* What is there under that name is known: ENOENT, or the image. */
static void on_before(const FsImage *image, const GError *error, void *data)
{
	Command *command = data;
	FsCommandMemo *memo = &command->memo;

	if (error != NULL && error->code != ENOENT) {
		finish(command, error);
		return;
	}
	memo->existed = image != NULL;
	memo->old_size = image != NULL ? image->size : -1;
	g_free(memo->old_date);
	memo->old_date = image != NULL ? g_strdup(image->date) : NULL;
	if (image != NULL && memo->verb == FS_VERB_REGISTER)
		fail(command, EEXIST,
		     "there is an image of that name already: update replaces it, and so does the "
		     "line without register");
	else if (image == NULL && memo->verb == FS_VERB_UPDATE)
		fail(command, ENOENT, "there is no image of that name to update");
	else if (image == NULL && memo->verb == FS_VERB_REMOVE)
		fail(command, ENOENT, "there is no image of that name to remove");
	else
		send(command);
}

static void ask_before(Command *command)
{
	const FsImages *images = command->storage->images;

	set_step(command, STEP_ASKING);
	images->info(images->images, command->memo.name, on_before, command);
}

static void on_size(const CacheAttr *attr, const GError *error, void *data)
{
	Command *command = data;
	FsCommands *commands = command->commands;

	if (error != NULL) {
		finish(command, error);
		return;
	}
	command->memo.size = (gint64)attr->size;
	g_mutex_lock(&commands->lock);
	fs_command_log_size(command->record, command->memo.size);
	g_mutex_unlock(&commands->lock);
	ask_before(command);
}

static void on_published(const CachePublished *published, const GError *error, void *data)
{
	Command *command = data;

	if (error != NULL) {
		finish(command, error);
		return;
	}
	g_free(command->memo.uri);
	command->memo.uri = g_strdup(published->uri);
	cache_getattr(command->storage->cache, command->memo.source, on_size, command);
}

static void start(Command *command)
{
	const FsCommandMemo *memo = &command->memo;

	if (command->resumed) {
		settle(command, g_get_real_time() / G_USEC_PER_SEC - memo->sent_at);
		ask(command);
	} else if (memo->verb == FS_VERB_REMOVE) {
		ask_before(command);
	} else {
		set_step(command, STEP_UPLOADING);
		cache_publish(command->storage->cache, memo->source, on_published, command);
	}
}

/* --- entering --- */

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

static Command *find_equal_locked(FsCommands *commands, const FsStorage *storage,
                                  const FsCommandMemo *memo)
{
	for (GList *link = commands->pending.head; link != NULL; link = link->next) {
		Command *command = link->data;
		const FsCommandMemo *other = &command->memo;
		if (command->storage == storage && other->verb == memo->verb &&
		    other->source == memo->source && other->generation == memo->generation &&
		    strcmp(other->name, memo->name) == 0)
			return command;
	}
	return NULL;
}

/* Takes `memo` over. It starts unless one for the same image is before it. */
static Command *add_locked(FsCommands *commands, FsStorage *storage, FsCommandMemo *memo,
                           const char *key)
{
	Command *command = g_new0(Command, 1);

	*command = (Command){
		.commands = commands,
		.storage = storage,
		.memo_key = key != NULL ? g_strdup(key)
	                                : g_strdup_printf("command/%020" G_GUINT64_FORMAT,
	                                                  ++commands->last_key),
		.memo = *memo,
		.started = g_get_monotonic_time(),
		.step = STEP_ASKING,
		.record = fs_command_log_begin(commands->log, memo->name, memo->shown),
	};
	*memo = (FsCommandMemo){0};
	command->link.data = command;
	for (GList *link = commands->pending.head; link != NULL; link = link->next) {
		if (same_image(link->data, command))
			command->step = STEP_WAITING;
	}
	g_queue_push_tail_link(&commands->pending, &command->link);
	return command;
}

/* Joins an equal command, or makes one; `ret_made`: which one is to be started by the caller. */
static bool enter(FsCommands *commands, FsStorage *storage, FsCommandMemo *memo, Waiter *waiter,
                  Command **ret_made, GError **error)
{
	bool made = false;

	*ret_made = NULL;
	g_mutex_lock(&commands->lock);
	Command *command = find_equal_locked(commands, storage, memo);
	if (command == NULL && commands->pending.length < PENDING_MAX) {
		command = add_locked(commands, storage, memo, NULL);
		made = true;
	}
	if (command != NULL)
		command->waiters = g_slist_prepend(command->waiters, waiter);
	bool starts = made && command->step != STEP_WAITING;
	g_mutex_unlock(&commands->lock);
	if (command == NULL) {
		g_set_error_literal(error, CACHE_ERROR, EBUSY,
		                    "too many registrations are under way");
		return false;
	}
	if (starts)
		*ret_made = command;
	return made;
}

static char *folder_path(const FsMount *mount, const FsFolder *folder)
{
	const FsStorage *storage = folder->storage;
	g_autofree char *path =
		storage != NULL ? cache_path(storage->cache, storage->root, folder->id) : NULL;

	if (path == NULL)
		return g_strdup(".");
	if (mount->options.all)
		return g_strjoin(*path != '\0' ? "/" : "", storage->name, path, NULL);
	return g_strdup(*path != '\0' ? path : ".");
}

void fs_commands_run(FsCommands *commands, const FsCommandSpec *spec, FsCommandCallback callback,
                     void *data)
{
	Cache *cache = spec->storage->cache;
	g_autoptr(GError) error = NULL;
	g_auto(FsCommandMemo) memo = {0};
	Command *made = NULL;

	if (!fs_command_check(spec->storage, spec->name, &error)) {
		if (spec->source != 0)
			cache_forget(cache, spec->source, 1);
		fs_commands_reject(commands, spec->shown, spec->name, error);
		callback(error, data);
		return;
	}
	memo = (FsCommandMemo){
		.verb = spec->verb,
		.source = spec->source,
		.generation = spec->source != 0 ? cache_generation(cache, spec->source) : 0,
		.folder = folder_path(commands->mount, &spec->folder),
		.shown = g_strdup(spec->shown),
		.name = g_strdup(spec->name),
		.since = g_get_real_time() / G_USEC_PER_SEC,
		.size = -1,
		.old_size = -1,
	};
	Waiter *waiter = g_new(Waiter, 1);
	*waiter = (Waiter){callback, data};
	bool entered = enter(commands, spec->storage, &memo, waiter, &made, &error);
	if (!entered && spec->source != 0)
		cache_forget(cache, spec->source, 1);
	if (error != NULL) {
		g_free(waiter);
		fs_commands_reject(commands, spec->shown, spec->name, error);
		callback(error, data);
	}
	fs_status_changed(commands->mount);
	if (made != NULL && save(made, &error))
		start(made);
	else if (made != NULL)
		finish(made, error);
}

/* --- after a restart --- */

static void resume(FsCommands *commands, FsStorage *storage, const char *key, const char *text)
{
	g_auto(FsCommandMemo) memo = {0};
	g_autoptr(GError) error = NULL;

	if (!fs_command_memo_parse(text, &memo)) {
		g_warning("%s: a note of a registration cannot be read: %s", storage->name, text);
		cache_set_memo(storage->cache, key, NULL, NULL);
		return;
	}
	bool sent = memo.sent_at != 0;
	bool lost = memo.source != 0 && !cache_hold(storage->cache, memo.source);
	if (lost)
		memo.source = 0;
	g_message("image %s: going on with the %s of %s", memo.name,
	          memo.verb == FS_VERB_REMOVE ? "removal" : "registration",
	          *memo.shown != '\0' ? memo.shown : memo.name);
	g_mutex_lock(&commands->lock);
	Command *command = add_locked(commands, storage, &memo, key);
	bool starts = command->step != STEP_WAITING;
	command->resumed = sent;
	fs_command_log_size(command->record, command->memo.size);
	fs_command_log_message(command->record, "resumed after a restart");
	g_mutex_unlock(&commands->lock);
	fs_status_changed(commands->mount);
	if (lost && !sent)
		fail(command, ENOENT, "the source was removed before it could be registered");
	else if (!fs_command_check(storage, command->memo.name, &error))
		finish(command, error);
	else if (starts)
		start(command);
}

void fs_commands_resume(FsCommands *commands, FsStorage *storage)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) memos = cache_memos(storage->cache, &error);

	if (memos == NULL) {
		g_warning("%s: %s", storage->name, error->message);
		return;
	}
	for (guint i = 0; i + 1 < memos->len; i += 2) {
		if (g_str_has_prefix(memos->pdata[i], "command/"))
			resume(commands, storage, memos->pdata[i], memos->pdata[i + 1]);
	}
}
