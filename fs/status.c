#include "fs/status.h"

#include "fs/command.h"
#include "fs/control.h"
#include "fs/field.h"
#include "fs/login.h"
#include "fs/notify.h"
#include "fs/source.h"
#include "fs/status-line.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define FORMAT 1

struct FsStatus {
	GMutex lock;
	guint64 changes; /* guarded by lock, as is the next */
	GQueue open;     /* Handle, by their links */
};

typedef struct {
	FsControl base;
	/* Guarded by the lock of FsStatus. */
	GList link;
	guint64 seen;               /* `changes` when it was last read from 0 */
	struct fuse_pollhandle *on; /* whom to wake; or NULL */
} Handle;

FsStatus *fs_status_new(void)
{
	FsStatus *status = g_new0(FsStatus, 1);

	g_mutex_init(&status->lock);
	/* Who has not read it yet has something to read. */
	status->changes = 1;
	return status;
}

void fs_status_free(FsStatus *status)
{
	g_mutex_clear(&status->lock);
	g_free(status);
}

void fs_login_status_clear(FsLoginStatus *status)
{
	g_clear_pointer(&status->user, g_free);
	g_clear_pointer(&status->project, g_free);
	g_clear_pointer(&status->message, g_free);
}

void fs_status_changed(FsMount *mount)
{
	FsStatus *status = mount->status;

	g_mutex_lock(&status->lock);
	status->changes++;
	for (GList *link = status->open.head; link != NULL; link = link->next) {
		Handle *handle = link->data;
		if (handle->on != NULL)
			fs_notifier_poll(mount->notifier, g_steal_pointer(&handle->on));
	}
	g_mutex_unlock(&status->lock);
}

/* --- the text --- */

static void begin(GString *text, const char *kind)
{
	if (text->len > 0)
		g_string_append_c(text, '\n');
	fs_field_text(text, kind);
}

static void get_login(const FsMount *mount, FsLoginStatus *ret)
{
	*ret = (FsLoginStatus){.state = FS_LOGIN_OFFLINE};
	if (mount->login != NULL)
		mount->login->status(mount->login->login, ret);
}

static void show_session(const FsLoginStatus *login, GString *text)
{
	static const char *const names[] = {
		[FS_LOGIN_OK] = "ok",
		[FS_LOGIN_MISSING] = "missing",
		[FS_LOGIN_REJECTED] = "rejected",
		[FS_LOGIN_OFFLINE] = "offline",
	};
	begin(text, "session");
	fs_field_text(text, names[login->state]);
	fs_field_text(text, login->user);
	fs_field_text(text, login->project);
	fs_field_time(text, login->valid_until);
	fs_field_text(text, login->message);
}

static void show_caches(const FsMount *mount, GString *text)
{
	for (guint i = 0; i < mount->storages->len; i++) {
		const FsStorage *storage = mount->storages->pdata[i];
		g_autofree char *uri = g_strconcat(storage->name, "://", NULL);
		guint64 used, limit;
		cache_usage(storage->cache, &used, &limit);
		begin(text, "cache");
		fs_field_text(text, uri);
		fs_field_number(text, used);
		fs_field_number(text, limit);
	}
}

static void show_quarantines(const FsMount *mount, GString *text)
{
	for (guint i = 0; i < mount->storages->len; i++) {
		const FsStorage *storage = mount->storages->pdata[i];
		guint files;
		guint64 bytes;
		g_autofree char *path = cache_quarantine(storage->cache, &files, &bytes);
		if (files == 0)
			continue;
		begin(text, "quarantine");
		fs_field_number(text, files);
		fs_field_number(text, bytes);
		fs_field_text(text, path);
	}
}

static void show_pending(const FsMount *mount, const FsLoginStatus *login, GString *text)
{
	/* What moved before the login was lost tells of no end. */
	bool moves = login->state != FS_LOGIN_MISSING && login->state != FS_LOGIN_REJECTED;
	CachePending all = {0};
	guint64 rate = 0;

	for (guint i = 0; i < mount->storages->len; i++) {
		const FsStorage *storage = mount->storages->pdata[i];
		CachePending one;
		cache_pending(storage->cache, &one);
		all.files += one.files;
		all.parked += one.parked;
		all.removals += one.removals;
		all.bytes_total += one.bytes_total - MIN(one.bytes_total, one.bytes_done);
		rate += moves ? cache_rate(storage->cache) : 0;
	}
	gint64 end = all.bytes_total > 0 && rate > 0
	                     ? g_get_real_time() / G_USEC_PER_SEC +
	                               (gint64)MIN(all.bytes_total / rate, G_MAXINT32)
	                     : 0;
	begin(text, "pending");
	fs_field_number(text, all.files);
	fs_field_number(text, all.bytes_total);
	fs_field_number(text, rate);
	fs_field_time(text, end);
	fs_field_number(text, all.parked);
	fs_field_number(text, all.removals);
}

static void show_files(const FsMount *mount, const FsStorage *storage, GString *text)
{
	g_autoptr(GPtrArray) files = cache_status_files(storage->cache, storage->root);

	for (guint i = 0; i < files->len; i++) {
		const CacheFileStatus *file = files->pdata[i];
		bool shown = strstr(file->path, "://") == NULL;
		g_autofree char *path = mount->options.all && shown
		                                ? g_strconcat(storage->name, "/", file->path, NULL)
		                                : NULL;
		begin(text, "file");
		fs_field_text(text, path != NULL ? path : file->path);
		fs_field_text(text, cache_state_name(file->state));
		fs_field_number(text, file->done);
		fs_field_number(text, file->total);
		fs_field_number(text, file->tries);
		fs_field_time(text, file->next_try / 1000000000);
		fs_field_text(text, file->message);
	}
}

static void show_command(const FsCommandStatus *command, void *data)
{
	GString *text = data;

	begin(text, "command");
	fs_field_text(text, command->folder);
	fs_field_text(text, command->verb);
	fs_field_text(text, command->source);
	fs_field_text(text, command->name);
	fs_field_time(text, command->since);
	fs_field_text(text, command->step);
	fs_field_text(text, command->storage);
}

static GString *show(FsControl *control)
{
	FsMount *mount = control->base.mount;
	Handle *handle = (Handle *)control;
	GString *text = g_string_new(NULL);
	FsLoginStatus login;

	/* Before anything is looked at: what changes meanwhile is told once more. */
	g_mutex_lock(&mount->status->lock);
	handle->seen = mount->status->changes;
	g_mutex_unlock(&mount->status->lock);
	begin(text, "gssfs");
	fs_field_number(text, FORMAT);
	fs_field_text(text, GSSFS_VERSION);
	fs_field_text(text, mount->options.source);
	fs_field_text(text, mount->options.mountpoint);
	get_login(mount, &login);
	show_session(&login, text);
	show_caches(mount, text);
	show_quarantines(mount, text);
	show_pending(mount, &login, text);
	fs_login_status_clear(&login);
	for (guint i = 0; i < mount->storages->len; i++)
		show_files(mount, mount->storages->pdata[i], text);
	fs_commands_each(mount->commands, show_command, text);
	g_string_append_c(text, '\n');
	return text;
}

/* --- commands --- */

typedef struct {
	FsMount *mount;
	FsAct act;
	uint64_t folder, file; /* of what is discarded */
	FsControlDone done;
	void *data;
} Act;

static void act_end(Act *act, const GError *error)
{
	act->done(error, act->data);
	g_free(act);
}

static void on_content_told(void *data)
{
	act_end(data, NULL);
}

static void on_name_told(void *data)
{
	Act *act = data;

	fs_notifier_settled(act->mount->notifier, act->file, on_content_told, act);
}

/* Who discards a file sees what is there then, whatever the kernel had cached. */
static void on_discarded(const GError *error, void *data)
{
	Act *act = data;

	if (error != NULL)
		act_end(act, error);
	else
		fs_notifier_settled(act->mount->notifier, act->folder, on_name_told, act);
}

static void on_login(const GError *error, void *data)
{
	Act *act = data;

	/* What waited for credentials need not wait for its next try. */
	for (guint i = 0; error == NULL && i < act->mount->storages->len; i++) {
		const FsStorage *storage = act->mount->storages->pdata[i];
		cache_resume(storage->cache);
	}
	if (error == NULL)
		fs_commands_wake(act->mount->commands);
	act_end(act, error);
}

/* On all storages. */
static void act_on_all(Act *act)
{
	for (guint i = 0; i < act->mount->storages->len; i++) {
		const FsStorage *storage = act->mount->storages->pdata[i];
		if (act->act == FS_ACT_RETRY)
			cache_retry(storage->cache, 0, NULL);
		else
			cache_refresh(storage->cache, 0);
	}
	if (act->act == FS_ACT_RETRY)
		fs_commands_wake(act->mount->commands);
	act_end(act, NULL);
}

static void on_path(FsStorage *storage, const CacheAttr *attr, const GError *error, void *data)
{
	Act *act = data;
	g_autoptr(GError) failure = NULL;

	if (error != NULL) {
		act_end(act, error);
		return;
	}
	if (storage == NULL) {
		act_on_all(act);
		return;
	}
	CacheId id = attr->id;
	if (act->act == FS_ACT_DISCARD) {
		act->file = fs_mount_ino(storage, id);
		act->folder = fs_mount_ino(storage, cache_parent(storage->cache, id));
		cache_discard(storage->cache, id, on_discarded, act);
	} else {
		if (act->act == FS_ACT_REFRESH)
			cache_refresh(storage->cache, id);
		else
			cache_retry(storage->cache, id, &failure);
		act_end(act, failure);
	}
	cache_forget(storage->cache, id, 1);
}

/* A path below the mount point is one relative to it. */
static const char *relative(const FsMount *mount, const char *path)
{
	gsize length = strlen(mount->options.mountpoint);

	if (strncmp(path, mount->options.mountpoint, length) != 0 || path[length] != '/')
		return path;
	path += length + strspn(path + length, "/");
	return *path != '\0' ? path : ".";
}

static void run(FsControl *control, const char *text, FsControlDone done, void *data)
{
	FsMount *mount = control->base.mount;
	g_autoptr(GError) error = NULL;
	g_autofree char *path = NULL;
	FsAct what;

	if (!fs_status_line_parse(text, &what, &path, &error) || what == FS_ACT_NOTHING) {
		done(error, data);
		return;
	}
	if (what == FS_ACT_LOGIN && mount->login == NULL) {
		g_set_error_literal(&error, CACHE_ERROR, EAGAIN, "the mount is not up yet");
		done(error, data);
		return;
	}
	Act *act = g_new(Act, 1);
	*act = (Act){.mount = mount, .act = what, .done = done, .data = data};
	if (what == FS_ACT_LOGIN)
		mount->login->again(mount->login->login, on_login, act);
	else if (path == NULL)
		act_on_all(act);
	else
		fs_source_find(mount, &control->folder, relative(mount, path), true, on_path, act);
}

/* --- the handle --- */

static void status_free(FsControl *control)
{
	FsStatus *status = control->base.mount->status;
	Handle *handle = (Handle *)control;

	g_mutex_lock(&status->lock);
	g_queue_unlink(&status->open, &handle->link);
	if (handle->on != NULL)
		fuse_pollhandle_destroy(handle->on);
	g_mutex_unlock(&status->lock);
}

static void status_open(FsVirtual *node, FsReply *reply, struct fuse_file_info *fi)
{
	static const FsControlClass class = {.show = show, .run = run, .free = status_free};
	FsStatus *status = reply->mount->status;
	Handle *handle = fs_control_new(reply->mount, sizeof(Handle), &class, node);

	handle->link.data = handle;
	g_mutex_lock(&status->lock);
	g_queue_push_tail_link(&status->open, &handle->link);
	g_mutex_unlock(&status->lock);
	fs_reply_open(reply, &handle->base.base, fi);
}

static void status_poll(FsHandle *base, FsReply *reply, struct fuse_pollhandle *on)
{
	FsStatus *status = reply->mount->status;
	Handle *handle = (Handle *)base;

	g_mutex_lock(&status->lock);
	bool changed = handle->seen != status->changes;
	if (on != NULL) {
		if (handle->on != NULL)
			fuse_pollhandle_destroy(handle->on);
		handle->on = on;
	}
	g_mutex_unlock(&status->lock);
	fs_reply_poll(reply, FS_POLL_ALWAYS | (changed ? POLLPRI | POLLERR : 0));
}

const FsVirtualClass fs_status_class = {
	.name = FS_STATUS_NAME,
	.mode = S_IFREG | 0600,
	.open = status_open,
	.read = fs_control_read,
	.write = fs_control_write,
	.flush = fs_control_flush,
	.poll = status_poll,
};
