/* The way of a command: the source is closed and published, the service asked what is there, the
 * request sent, and where its answer is lost the service asked what became of it. */
#include "cache/crash.h"
#include "fs/command-private.h"
#include "fs/loop.h"
#include "fs/status.h"

#include <errno.h>
#include <string.h>

#define PAUSE_MIN_S 1
#define PAUSE_MAX_S 30
/* Dates of images may have no more than seconds. */
#define YOUNG_NS (2 * G_GINT64_CONSTANT(1000000000))
#define YOUNG_MS 1500

/* Then whatever comes is no outcome: the command was cut off, and stays pending. */
static bool is_stopping(const Command *command)
{
	return fs_storage_is_stopping(command->storage);
}

/* --- the platform is out of reach, and nobody waits --- */

/* Nothing was done, and it may be as wanted later. */
static bool may_pass(const GError *error)
{
	switch (error->code) {
	case EHOSTUNREACH:
	case ETIMEDOUT:
	case EAGAIN:
	case ENOKEY:
	case EKEYREJECTED:
		return true;
	default:
		return false;
	}
}

static void postpone(Command *command, const GError *error)
{
	FsCommands *commands = command->commands;
	FsMount *mount = commands->mount;

	command->deadline = 0;
	g_message("image %s: %s; trying again later", command->memo.name, error->message);
	guint rest = CLAMP(command->rest * 2, PAUSE_MIN_S, PAUSE_MAX_S);
	command->rest = rest;
	g_mutex_lock(&commands->lock);
	/* Who came meanwhile found nothing that paused. */
	if (fs_command_is_image_waited_for_locked(command))
		rest = 0;
	command->step = STEP_PAUSING;
	command->due = g_get_monotonic_time() + rest * G_USEC_PER_SEC;
	fs_command_log_message(command->record, error->message);
	g_mutex_unlock(&commands->lock);
	fs_status_changed(mount);
	fs_loop_after(mount->loop, rest * 1000, fs_command_on_due, commands);
}

/* It could not be done. What nobody waits for any more is not given up for that; who waits behind
 * it is told, as if he had been the first. */
static void give_up(Command *command, const GError *error)
{
	if (!may_pass(error) || fs_command_is_waited_for(command)) {
		fs_command_finish(command, error);
		return;
	}
	fs_command_fail_behind(command, error);
	postpone(command, error);
}

void fs_command_on_due(void *data)
{
	FsCommands *commands = data;
	g_autoptr(GPtrArray) due = g_ptr_array_new();
	gint64 now = g_get_monotonic_time();

	g_mutex_lock(&commands->lock);
	for (GList *link = commands->pending.head; link != NULL; link = link->next) {
		Command *command = link->data;
		bool rests = command->step == STEP_PAUSING || command->step == STEP_OPEN;
		if (!rests || command->due > now)
			continue;
		command->step = STEP_ASKING;
		fs_command_log_message(command->record, NULL);
		g_ptr_array_add(due, command);
	}
	g_mutex_unlock(&commands->lock);
	for (guint i = 0; i < due->len; i++)
		fs_command_start(due->pdata[i]);
}

/* --- an answer was lost --- */

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

/* The service has told that it was not done: is it to be sent again? */
static bool is_sent_again(const Command *command, bool late)
{
	switch (command->again) {
	case AGAIN_NOW:
		return true;
	case AGAIN_LATE:
		/* A removal leaves nothing behind that would take its time. */
		return late || command->memo.verb == FS_VERB_REMOVE;
	case AGAIN_NEVER:
		break;
	}
	return false;
}

static void ask(void *data);

static void pause_then_ask(Command *command)
{
	guint pause = command->pause;

	command->pause = MIN(pause * 2, PAUSE_MAX_S);
	fs_loop_after(command->commands->mount->loop, pause * 1000, ask, command);
}

static void on_asked(const FsImage *image, const GError *error, void *data)
{
	Command *command = data;
	const FsCommandMemo *memo = &command->memo;
	bool gone = error != NULL && error->code == ENOENT;
	bool told = error == NULL || gone;
	bool late = g_get_monotonic_time() >= command->deadline;

	if (is_stopping(command))
		return;
	if ((image != NULL && is_settled(memo, image)) || (memo->verb == FS_VERB_REMOVE && gone)) {
		fs_command_finish(command, NULL);
	} else if (told && is_sent_again(command, late)) {
		command->again = AGAIN_NEVER;
		fs_command_set_step(command, STEP_ASKING);
		on_before(image, error, command);
	} else if (!late) {
		if (!told)
			g_debug("asking about image %s: %s", memo->name, error->message);
		pause_then_ask(command);
	} else {
		g_autoptr(GError) lost = g_error_new_literal(
			CACHE_ERROR, ETIMEDOUT,
			"the platform's answer was lost, and it has not told the outcome since; "
			"look at the list of images later");
		if (told)
			fs_command_finish(command, lost);
		else
			give_up(command, lost);
	}
}

static void ask(void *data)
{
	Command *command = data;
	const FsImages *images = command->storage->images;

	if (!is_stopping(command))
		images->info(images->images, command->memo.name, on_asked, command);
}

/* `waited`: s since it was sent. */
static void settle(Command *command, gint64 waited)
{
	gint64 timeout = command->commands->mount->options.register_timeout;

	g_message("image %s: the answer was lost; asking for the outcome", command->memo.name);
	fs_command_set_step(command, STEP_SETTLING);
	command->pause = PAUSE_MIN_S;
	command->deadline =
		g_get_monotonic_time() + MAX(timeout - MAX(waited, 0), 0) * G_USEC_PER_SEC;
}

/* --- the usual way: publish, ask, send --- */

static void ask_before(void *data)
{
	Command *command = data;
	const FsImages *images = command->storage->images;

	if (is_stopping(command))
		return;
	fs_command_set_step(command, STEP_ASKING);
	images->info(images->images, command->memo.name, on_before, command);
}

static void on_sent(const GError *error, void *data)
{
	Command *command = data;
	const FsCommandMemo *memo = &command->memo;
	int code = error != NULL ? error->code : 0;

	CACHE_CRASH_POINT("command.answered");
	if (is_stopping(command)) {
		fs_command_finish(command, error);
	} else if (code == EINPROGRESS) {
		settle(command, 0);
		pause_then_ask(command);
	} else if (code == EKEYEXPIRED && !command->renewed) {
		/* Mostly nothing was done; but the token may have died while it was. */
		command->renewed = true;
		command->again = AGAIN_NOW;
		settle(command, 0);
		ask(command);
	} else if (memo->verb == FS_VERB_REPLACE && !command->asked_again &&
	           code == (memo->existed ? ENOENT : EEXIST)) {
		/* Somebody else removed or made an image of this name in between. */
		command->asked_again = true;
		command->memo.sent_at = 0;
		ask_before(command);
	} else {
		fs_command_finish(command, error);
	}
}

/* Journaled first: after a restart it is asked for, and not sent again just so. */
static void send(Command *command)
{
	const FsImages *images = command->storage->images;
	FsCommandMemo *memo = &command->memo;
	g_autoptr(GError) error = NULL;

	memo->sent_at = g_get_real_time() / G_USEC_PER_SEC;
	if (!fs_command_save(command, &error)) {
		fs_command_finish(command, error);
		return;
	}
	CACHE_CRASH_POINT("command.sending");
	fs_command_set_step(command, STEP_SENT);
	if (memo->verb == FS_VERB_REMOVE)
		images->remove(images->images, memo->name, on_sent, command);
	else if (memo->existed)
		images->replace(images->images, memo->name, memo->uri, on_sent, command);
	else
		images->add(images->images, memo->name, memo->uri, on_sent, command);
}

/* Should the answer get lost: would neither size nor date tell our image from this one? */
static bool is_too_young(const Command *command, const FsImage *image)
{
	gint64 age = g_get_real_time() * 1000 - image->mtime;

	return command->memo.verb != FS_VERB_REMOVE && !command->rested &&
	       image->size == command->memo.size && image->mtime >= 0 && ABS(age) < YOUNG_NS;
}

/* What is there under that name is known: ENOENT, or the image. */
static void on_before(const FsImage *image, const GError *error, void *data)
{
	Command *command = data;
	FsCommandMemo *memo = &command->memo;

	if (is_stopping(command))
		return;
	if (error != NULL && error->code != ENOENT) {
		give_up(command, error);
		return;
	}
	memo->existed = image != NULL;
	memo->old_size = image != NULL ? image->size : -1;
	g_free(memo->old_date);
	memo->old_date = image != NULL ? g_strdup(image->date) : NULL;
	if (image != NULL && memo->verb == FS_VERB_REGISTER) {
		fs_command_fail(command, EEXIST,
		                "there is an image of that name already, and only a new one was "
		                "wanted: update replaces it");
	} else if (image == NULL && memo->verb == FS_VERB_UPDATE) {
		fs_command_fail(command, ENOENT, "there is no image of that name to update");
	} else if (image == NULL && memo->verb == FS_VERB_REMOVE) {
		fs_command_fail(command, ENOENT, "there is no image of that name to remove");
	} else if (image != NULL && is_too_young(command, image)) {
		command->rested = true;
		fs_loop_after(command->commands->mount->loop, YOUNG_MS, ask_before, command);
	} else {
		send(command);
	}
}

static void on_published(const CachePublished *published, const GError *error, void *data)
{
	Command *command = data;
	FsCommands *commands = command->commands;

	if (is_stopping(command))
		return;
	if (error != NULL) {
		give_up(command, error);
		return;
	}
	g_free(command->memo.uri);
	command->memo.uri = g_strdup(published->uri);
	command->memo.size = (gint64)published->size;
	g_mutex_lock(&commands->lock);
	fs_command_log_size(command->record, command->memo.size);
	g_mutex_unlock(&commands->lock);
	ask_before(command);
}

/* Half of a file is no image: whoever writes it comes to an end first. */
static void wait_for_writer(Command *command)
{
	FsCommands *commands = command->commands;
	FsMount *mount = commands->mount;
	Cache *cache = command->storage->cache;
	CacheId source = command->memo.source;
	gint64 now = g_get_monotonic_time();

	/* One timer, however often it is looked at meanwhile. */
	bool begins = command->deadline == 0;
	if (begins)
		command->deadline = now + mount->options.register_timeout * G_USEC_PER_SEC;
	if (now >= command->deadline) {
		fs_command_fail(command, EBUSY,
		                "the source is still open for writing: close it first");
		return;
	}
	guint left = (guint)((command->deadline - now) / 1000 + 1);
	g_mutex_lock(&commands->lock);
	command->step = STEP_OPEN;
	command->due = command->deadline;
	fs_command_log_message(command->record,
	                       "the source is open for writing; waiting until it is closed");
	g_mutex_unlock(&commands->lock);
	/* From here on the command is the loop's. */
	fs_status_changed(mount);
	if (begins)
		fs_loop_after(mount->loop, left, fs_command_on_due, commands);
	/* Closed in between? */
	if (!cache_is_written(cache, source))
		fs_commands_closed(commands);
}

void fs_command_start(Command *command)
{
	const FsCommandMemo *memo = &command->memo;
	Cache *cache = command->storage->cache;

	if (memo->sent_at != 0) {
		settle(command, g_get_real_time() / G_USEC_PER_SEC - memo->sent_at);
		ask(command);
	} else if (memo->verb == FS_VERB_REMOVE) {
		ask_before(command);
	} else if (cache_is_written(cache, memo->source)) {
		wait_for_writer(command);
	} else {
		fs_command_set_step(command, STEP_UPLOADING);
		cache_publish(cache, memo->source, on_published, command);
	}
}
