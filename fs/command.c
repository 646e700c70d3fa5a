#include "fs/command.h"

#include "cache/crash.h"
#include "fs/command-private.h"
#include "fs/images-dir.h"
#include "fs/loop.h"
#include "fs/status.h"

#include <errno.h>
#include <string.h>

#define PENDING_MAX 1000

static const char *const step_names[] = {
	[STEP_WAITING] = "waiting", [STEP_OPEN] = "open", [STEP_UPLOADING] = "uploading",
	[STEP_ASKING] = "asking",   [STEP_SENT] = "sent", [STEP_SETTLING] = "settling",
	[STEP_PAUSING] = "pausing",
};

static gint64 now_s(void)
{
	return g_get_real_time() / G_USEC_PER_SEC;
}

void fs_commands_reject(FsCommands *commands, const FsStorage *storage, const char *shown,
                        const char *name, const GError *error)
{
	g_mutex_lock(&commands->lock);
	fs_command_log_end(fs_command_log_begin(commands->log, storage, name, shown, now_s()), NULL,
	                   error);
	g_mutex_unlock(&commands->lock);
}

void fs_commands_print(FsCommands *commands, const FsStorage *storage, GString *text)
{
	g_mutex_lock(&commands->lock);
	fs_command_log_print(commands->log, storage, text);
	g_mutex_unlock(&commands->lock);
}

void fs_commands_each(FsCommands *commands, FsCommandFunc func, void *data)
{
	g_mutex_lock(&commands->lock);
	for (GList *link = commands->pending.head; link != NULL; link = link->next) {
		const Command *command = link->data;
		const FsCommandMemo *memo = &command->memo;
		func(&(FsCommandStatus){memo->folder, fs_verb_name(memo->verb), memo->shown,
		                        memo->name, memo->since, step_names[command->step],
		                        command->storage->name},
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
	commands->kept = fs_command_kept_new();
	/* Keys of memos go on rising from run to run. */
	commands->last_key = (guint64)g_get_real_time();
	return commands;
}

/* True: somebody heard. */
static bool tell(GSList *waiters, const GError *error)
{
	bool heard = false;

	for (GSList *link = waiters; link != NULL; link = link->next) {
		const FsCommandWaiter *waiter = link->data;
		heard |= waiter->done(error, waiter->data);
	}
	g_slist_free_full(waiters, g_free);
	return heard;
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

	/* Those that were cut off. */
	while ((link = g_queue_pop_head_link(&commands->pending)) != NULL ||
	       (link = g_queue_pop_head_link(&commands->left)) != NULL) {
		Command *command = link->data;
		tell(g_steal_pointer(&command->waiters), error);
		command_free(command);
	}
	fs_command_log_free(commands->log);
	fs_command_kept_free(commands->kept);
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

void fs_commands_drain(FsCommands *commands, void (*func)(void *data), void *data)
{
	g_mutex_lock(&commands->lock);
	bool idle = commands->pending.length == 0;
	commands->draining = true;
	if (!idle) {
		commands->idle = func;
		commands->idle_data = data;
	}
	g_mutex_unlock(&commands->lock);
	if (idle)
		func(data);
}

/* What is to be called now that nothing is pending any more, if that is so. */
static void take_idle_locked(FsCommands *commands, void (**ret)(void *data))
{
	*ret = commands->pending.length == 0 ? commands->idle : NULL;
	if (*ret != NULL)
		commands->idle = NULL;
}

bool fs_commands_leave(FsCommands *commands, const FsStorage *storage)
{
	void (*idle)(void *data);
	bool any = false;

	g_mutex_lock(&commands->lock);
	for (GList *link = commands->pending.head, *next; link != NULL; link = next) {
		next = link->next;
		if (((Command *)link->data)->storage != storage)
			continue;
		g_queue_unlink(&commands->pending, link);
		g_queue_push_tail_link(&commands->left, link);
		any = true;
	}
	take_idle_locked(commands, &idle);
	g_mutex_unlock(&commands->lock);
	if (idle != NULL)
		idle(commands->idle_data);
	return any;
}

/* Those that are in `step` are to go on at once. */
static void hurry(FsCommands *commands, Step step)
{
	bool any = false;

	g_mutex_lock(&commands->lock);
	for (GList *link = commands->pending.head; link != NULL; link = link->next) {
		Command *command = link->data;
		if (command->step != step)
			continue;
		command->due = 0;
		any = true;
	}
	g_mutex_unlock(&commands->lock);
	if (any)
		fs_loop_after(commands->mount->loop, 0, fs_command_on_due, commands);
}

void fs_commands_wake(FsCommands *commands)
{
	hurry(commands, STEP_PAUSING);
}

void fs_commands_closed(FsCommands *commands)
{
	hurry(commands, STEP_OPEN);
}

/* --- what the steps need --- */

void fs_command_set_step(Command *command, Step step)
{
	FsCommands *commands = command->commands;

	g_mutex_lock(&commands->lock);
	command->step = step;
	g_mutex_unlock(&commands->lock);
	fs_status_changed(commands->mount);
}

void fs_command_note(Command *command, const char *message)
{
	g_mutex_lock(&command->commands->lock);
	fs_command_log_message(command->record, message);
	g_mutex_unlock(&command->commands->lock);
}

bool fs_command_save(const Command *command, GError **error)
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

static bool same_image(const Command *a, const FsStorage *storage, const char *name)
{
	return a->storage == storage && strcmp(a->memo.name, name) == 0;
}

/* The next one for the same image, if one waits. */
static Command *next_locked(FsCommands *commands, const Command *ended)
{
	for (GList *link = commands->pending.head; link != NULL; link = link->next) {
		Command *command = link->data;
		if (same_image(command, ended->storage, ended->memo.name))
			return command->step == STEP_WAITING ? command : NULL;
	}
	return NULL;
}

static bool is_waited_for_locked(const Command *command)
{
	for (GSList *link = command->waiters; link != NULL; link = link->next) {
		const FsCommandWaiter *waiter = link->data;
		if (waiter->waits(waiter->data))
			return true;
	}
	return false;
}

bool fs_command_is_waited_for(Command *command)
{
	g_mutex_lock(&command->commands->lock);
	bool waits = is_waited_for_locked(command);
	g_mutex_unlock(&command->commands->lock);
	return waits;
}

bool fs_command_is_image_waited_for_locked(const Command *command)
{
	for (GList *link = command->commands->pending.head; link != NULL; link = link->next) {
		if (same_image(link->data, command->storage, command->memo.name) &&
		    is_waited_for_locked(link->data))
			return true;
	}
	return false;
}

void fs_command_fail_behind(Command *command, const GError *error)
{
	FsCommands *commands = command->commands;
	g_autoptr(GPtrArray) behind = g_ptr_array_new();

	g_mutex_lock(&commands->lock);
	for (GList *link = commands->pending.head; link != NULL; link = link->next) {
		Command *other = link->data;
		if (other->step == STEP_WAITING && is_waited_for_locked(other) &&
		    same_image(other, command->storage, command->memo.name))
			g_ptr_array_add(behind, other);
	}
	g_mutex_unlock(&commands->lock);
	/* They are this one's to start, which has not ended. */
	for (guint i = 0; i < behind->len; i++)
		fs_command_finish(behind->pdata[i], error);
}

/* After the session's end nobody can be told of a failure; the next mount's log will have it. */
static void forget_memo(Command *command, const GError *error)
{
	FsCommands *commands = command->commands;
	g_autoptr(GError) failure = NULL;
	bool ok;

	g_mutex_lock(&commands->lock);
	bool draining = commands->draining;
	g_mutex_unlock(&commands->lock);
	if (error != NULL && draining) {
		command->memo.failure = g_strdup(error->message);
		command->memo.failed_at = now_s();
		ok = fs_command_save(command, &failure);
	} else {
		ok = cache_set_memo(command->storage->cache, command->memo_key, NULL, &failure);
	}
	if (!ok)
		g_warning("%s: %s", command->memo.name, failure->message);
	CACHE_CRASH_POINT("command.forgotten");
}

static void log_end(const Command *command, const GError *error)
{
	const FsCommandMemo *memo = &command->memo;

	if (error != NULL)
		g_message("%s of image %s: %s",
		          memo->verb == FS_VERB_REMOVE ? "removal" : "registration", memo->name,
		          error->message);
	else
		g_message("image %s %s", memo->name, outcome(command));
}

/* Who waits is told. Kept before that, for who was interrupted and asks again at once; given up
 * when somebody heard, or when a newer one for the image counts. */
static void tell_end(Command *command, GSList *waiters, const GError *error)
{
	FsCommands *commands = command->commands;

	if (!tell(waiters, error))
		return;
	g_mutex_lock(&commands->lock);
	fs_command_kept_take(commands->kept, command->storage, &command->memo);
	g_mutex_unlock(&commands->lock);
}

void fs_command_finish(Command *command, const GError *error)
{
	FsCommands *commands = command->commands;
	FsMount *mount = commands->mount;
	bool stopping = fs_storage_is_stopping(command->storage);
	void (*idle)(void *data);

	if (stopping && error != NULL)
		return;
	forget_memo(command, error);
	if (command->memo.source != 0)
		cache_forget(command->storage->cache, command->memo.source, 1);
	g_mutex_lock(&commands->lock);
	fs_command_log_end(command->record, outcome(command), error);
	g_queue_unlink(&commands->pending, &command->link);
	GSList *waiters = g_slist_reverse(g_steal_pointer(&command->waiters));
	Command *next = next_locked(commands, command);
	if (next != NULL && !stopping)
		next->step = STEP_ASKING;
	/* A failure may be mended by now: that is tried again. */
	if (next == NULL && waiters != NULL && error == NULL)
		fs_command_kept_add(commands->kept, command->storage, &command->memo);
	take_idle_locked(commands, &idle);
	void *idle_data = commands->idle_data;
	g_mutex_unlock(&commands->lock);
	log_end(command, error);
	fs_image_list_forget(command->storage->image_list);
	fs_status_changed(mount);
	tell_end(command, waiters, error);
	command_free(command);
	/* What it calls is about to end. */
	if (next != NULL && !stopping)
		fs_command_start(next);
	if (idle != NULL)
		idle(idle_data);
}

void fs_command_fail(Command *command, int code, const char *message)
{
	g_autoptr(GError) error = g_error_new_literal(CACHE_ERROR, code, message);
	fs_command_finish(command, error);
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

/* The last one that was given for the image: the one that counts. */
static Command *last_locked(FsCommands *commands, const FsStorage *storage, const char *name)
{
	for (GList *link = commands->pending.tail; link != NULL; link = link->prev) {
		if (same_image(link->data, storage, name))
			return link->data;
	}
	return NULL;
}

/* Takes `memo` over. Waits if one for the same image is before it. */
static Command *command_new_locked(FsCommands *commands, FsStorage *storage, FsCommandMemo *memo,
                                   const char *key)
{
	bool first = last_locked(commands, storage, memo->name) == NULL;
	Command *command = g_new0(Command, 1);

	*command = (Command){
		.commands = commands,
		.storage = storage,
		.memo_key = key != NULL ? g_strdup(key)
	                                : g_strdup_printf("command/%020" G_GUINT64_FORMAT,
	                                                  ++commands->last_key),
		.memo = *memo,
		.step = first ? STEP_ASKING : STEP_WAITING,
	};
	*memo = (FsCommandMemo){0};
	command->link.data = command;
	return command;
}

static void add_locked(Command *command)
{
	FsCommands *commands = command->commands;
	const FsCommandMemo *memo = &command->memo;

	command->record = fs_command_log_begin(commands->log, command->storage, memo->name,
	                                       memo->shown, memo->since);
	fs_command_log_size(command->record, memo->size);
	fs_command_kept_drop(commands->kept, command->storage, memo->name);
	g_queue_push_tail_link(&commands->pending, &command->link);
}

/* What is pending is journaled: also what only waits for another one. */
static Command *make_locked(FsCommands *commands, FsStorage *storage, FsCommandMemo *memo,
                            GError **error)
{
	if (commands->pending.length >= PENDING_MAX) {
		g_set_error_literal(error, CACHE_ERROR, EBUSY,
		                    "too many registrations are under way");
		return NULL;
	}
	Command *command = command_new_locked(commands, storage, memo, NULL);
	if (!fs_command_save(command, error)) {
		command_free(command);
		return NULL;
	}
	CACHE_CRASH_POINT("command.saved");
	add_locked(command);
	return command;
}

typedef enum {
	ENTERED_NOT,
	ENTERED_MADE,
	ENTERED_JOINED,
	ENTERED_ANSWERED, /* it has succeeded, nobody heard, and this asks again */
} Entered;

/* `ret_start`: to be started by the caller; or NULL. `error`: of ENTERED_NOT. */
static Entered enter(FsCommands *commands, FsStorage *storage, FsCommandMemo *memo,
                     const FsCommandWaiter *waiter, Command **ret_start, GError **error)
{
	Entered entered = ENTERED_MADE;

	*ret_start = NULL;
	g_mutex_lock(&commands->lock);
	Command *command = last_locked(commands, storage, memo->name);
	if (command != NULL && fs_command_memo_equal(&command->memo, memo)) {
		entered = ENTERED_JOINED;
	} else if (command == NULL && fs_command_kept_take(commands->kept, storage, memo)) {
		entered = ENTERED_ANSWERED;
	} else {
		command = make_locked(commands, storage, memo, error);
		entered = command != NULL ? ENTERED_MADE : ENTERED_NOT;
	}
	if (command != NULL)
		command->waiters =
			g_slist_prepend(command->waiters, g_memdup2(waiter, sizeof(*waiter)));
	if (entered == ENTERED_MADE && command->step != STEP_WAITING)
		*ret_start = command;
	g_mutex_unlock(&commands->lock);
	return entered;
}

/* Once more unheard, it is kept once more. */
static void answer(FsCommands *commands, const FsStorage *storage, const FsCommandMemo *memo,
                   const FsCommandWaiter *waiter)
{
	if (waiter->done(NULL, waiter->data))
		return;
	g_mutex_lock(&commands->lock);
	if (last_locked(commands, storage, memo->name) == NULL)
		fs_command_kept_add(commands->kept, storage, memo);
	g_mutex_unlock(&commands->lock);
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

void fs_commands_run(FsCommands *commands, const FsCommandSpec *spec, const FsCommandWaiter *waiter)
{
	Cache *cache = spec->storage->cache;
	g_autoptr(GError) error = NULL;
	g_auto(FsCommandMemo) memo = {0};
	Entered entered = ENTERED_NOT;
	Command *made = NULL;

	memo = (FsCommandMemo){
		.verb = spec->verb,
		.source = spec->source,
		.generation = spec->source != 0 ? cache_generation(cache, spec->source) : 0,
		.folder = folder_path(commands->mount, &spec->folder),
		.shown = g_strdup(spec->shown),
		.name = g_strdup(spec->name),
		.since = now_s(),
		.size = -1,
		.old_size = -1,
	};
	if (fs_command_check(spec->storage, spec->name, &error))
		entered = enter(commands, spec->storage, &memo, waiter, &made, &error);
	if (entered != ENTERED_MADE && spec->source != 0)
		cache_forget(cache, spec->source, 1);
	if (entered == ENTERED_NOT) {
		fs_commands_reject(commands, spec->storage, spec->shown, spec->name, error);
		waiter->done(error, waiter->data);
	} else if (entered == ENTERED_ANSWERED) {
		answer(commands, spec->storage, &memo, waiter);
	}
	fs_status_changed(commands->mount);
	if (made != NULL)
		fs_command_start(made);
	/* Somebody waits: what paused, and may be before it, need not pause any longer. */
	if (entered == ENTERED_MADE || entered == ENTERED_JOINED)
		fs_commands_wake(commands);
}

/* --- after a restart --- */

/* It failed when nobody was there to be told. */
static void tell_failure(FsCommands *commands, FsStorage *storage, const char *key,
                         const FsCommandMemo *memo)
{
	g_autoptr(GError) error = g_error_new_literal(CACHE_ERROR, EIO, memo->failure);

	g_mutex_lock(&commands->lock);
	FsCommandRecord *record =
		fs_command_log_begin(commands->log, storage, memo->name, memo->shown, memo->since);
	fs_command_log_size(record, memo->size);
	fs_command_log_end(record, NULL, error);
	if (memo->failed_at != 0)
		fs_command_log_ended_at(record, memo->failed_at);
	g_mutex_unlock(&commands->lock);
	cache_set_memo(storage->cache, key, NULL, NULL);
}

static void go_on(FsCommands *commands, FsStorage *storage, FsCommandMemo *memo, const char *key)
{
	g_autoptr(GError) error = NULL;
	bool sent = memo->sent_at != 0;
	bool lost = memo->source != 0 && !cache_hold(storage->cache, memo->source);

	if (lost)
		memo->source = 0;
	g_message("image %s: going on with the %s of %s", memo->name,
	          memo->verb == FS_VERB_REMOVE ? "removal" : "registration",
	          *memo->shown != '\0' ? memo->shown : memo->name);
	g_mutex_lock(&commands->lock);
	Command *command = command_new_locked(commands, storage, memo, key);
	bool starts = command->step != STEP_WAITING;
	command->again = sent ? AGAIN_LATE : AGAIN_NEVER;
	add_locked(command);
	fs_command_log_message(command->record, "resumed after a restart");
	g_mutex_unlock(&commands->lock);
	fs_status_changed(commands->mount);
	if (lost && !sent)
		fs_command_fail(command, ENOENT,
		                "the source was removed before it could be registered");
	else if (!fs_command_check(storage, command->memo.name, &error))
		fs_command_finish(command, error);
	else if (starts)
		fs_command_start(command);
}

static void resume(FsCommands *commands, FsStorage *storage, const char *key, const char *text)
{
	g_auto(FsCommandMemo) memo = {0};

	if (!fs_command_memo_parse(text, &memo)) {
		g_warning("%s: a note of a registration cannot be read: %s", storage->name, text);
		cache_set_memo(storage->cache, key, NULL, NULL);
	} else if (memo.failure != NULL) {
		tell_failure(commands, storage, key, &memo);
	} else {
		go_on(commands, storage, &memo, key);
	}
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
