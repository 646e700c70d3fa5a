/* Files: making, opening, reading, writing, closing. */
#include "fs/command.h"
#include "fs/notify.h"
#include "fs/ops.h"
#include "fs/virtual.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

typedef struct {
	FsHandle base;
	CacheFile *file;
} FsFile;

static void file_free(FsHandle *handle)
{
	FsFile *file = (FsFile *)handle;
	FsCommands *commands = handle->mount->commands;

	cache_file_release(file->file);
	g_free(file);
	fs_commands_closed(commands);
}

static FsHandle *file_new(FsMount *mount, CacheFile *cache_file)
{
	FsFile *file = fs_handle_new(mount, sizeof(FsFile), file_free);
	file->file = cache_file;
	return &file->base;
}

static FsHandle *handle_of(const struct fuse_file_info *fi)
{
	return (FsHandle *)(uintptr_t)fi->fh;
}

static CacheFile *file_of(const struct fuse_file_info *fi)
{
	return ((FsFile *)handle_of(fi))->file;
}

CacheFile *fs_file_hold(FsReply *reply, const struct fuse_file_info *fi)
{
	reply->handle = handle_of(fi);
	fs_handle_ref(reply->handle);
	return file_of(fi);
}

/* --- making and opening --- */

/* CREATE, and what it becomes when the name turns out to be taken: a lookup and an open. */
typedef struct {
	FsReply *reply;
	struct fuse_file_info fi;
	char *name;
	CacheId id; /* of what was looked up, with a reference */
} Create;

static void create_free(Create *create)
{
	g_free(create->name);
	g_free(create);
}

static void create_answer(Create *create, CacheFile *file, const CacheAttr *attr)
{
	const FsStorage *storage = create->reply->storage;
	CacheId id = attr->id;
	struct fuse_entry_param entry;

	fs_entry(storage, attr, &entry);
	FsHandle *handle = file_new(create->reply->mount, file);
	if (!fs_reply_create(create->reply, &entry, handle, &create->fi))
		cache_forget(storage->cache, id, 1);
	create_free(create);
}

static void create_fail(Create *create, const GError *error)
{
	fs_reply_error(create->reply, error);
	create_free(create);
}

static void on_taken_opened(CacheFile *file, bool keep, const GError *error, void *data)
{
	Create *create = data;
	CacheAttr attr;

	if (error != NULL) {
		cache_forget(create->reply->storage->cache, create->id, 1);
		create_fail(create, error);
		return;
	}
	create->fi.keep_cache = keep;
	create->fi.direct_io = cache_file_is_direct(file);
	/* It may be another version than the one that was looked up, or an empty one. */
	cache_file_attr(file, &attr);
	create_answer(create, file, &attr);
}

static void on_taken_found(const CacheAttr *attr, const GError *error, void *data)
{
	Create *create = data;

	if (error != NULL) {
		create_fail(create, error);
		return;
	}
	create->id = attr->id;
	cache_file_open(create->reply->storage->cache, attr->id, create->fi.flags, on_taken_opened,
	                create);
}

static void on_created(CacheFile *file, const CacheAttr *attr, const GError *error, void *data)
{
	Create *create = data;
	const FsReply *reply = create->reply;

	if (error == NULL) {
		create->fi.keep_cache = 1;
		create_answer(create, file, attr);
	} else if (error->code == EEXIST && !(create->fi.flags & O_EXCL)) {
		/* Somebody was faster, here or on another machine: open(2) opens what is there. */
		cache_lookup(reply->storage->cache, reply->id, create->name, on_taken_found,
		             create);
	} else {
		create_fail(create, error);
	}
}

/* The folder in which a file may be made; false: it may not, and that was answered. */
static bool find_folder(FsReply *reply, fuse_ino_t parent, const char *name)
{
	reply->storage = fs_mount_resolve(reply->mount, parent, &reply->id);
	if (reply->storage == NULL ||
	    fs_virtual_class(reply->mount, &(FsFolder){reply->storage, reply->id}, name) != NULL) {
		fs_reply_err(reply, EPERM);
		return false;
	}
	return fs_reply_wait(reply);
}

void fs_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                  struct fuse_file_info *fi)
{
	FsReply *reply = fs_reply_new(req);

	if (!find_folder(reply, parent, name))
		return;
	Create *create = g_new0(Create, 1);
	*create = (Create){.reply = reply, .fi = *fi, .name = g_strdup(name)};
	cache_file_create(reply->storage->cache, reply->id, name, mode & 07777, fi->flags,
	                  on_created, create);
}

static void on_made(CacheFile *file, const CacheAttr *attr, const GError *error, void *data)
{
	FsReply *reply = data;
	const FsStorage *storage = reply->storage;
	struct fuse_entry_param entry;
	g_autoptr(GError) failure = NULL;

	if (error != NULL) {
		fs_reply_error(reply, error);
		return;
	}
	CacheId id = attr->id;
	fs_entry(storage, attr, &entry);
	bool flushed = cache_file_flush(file, &failure);
	cache_file_release(file);
	bool taken = flushed ? fs_reply_entry(reply, &entry) : fs_reply_error(reply, failure);
	if (!flushed || !taken)
		cache_forget(storage->cache, id, 1);
}

void fs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	FsReply *reply = fs_reply_new(req);

	if (!S_ISREG(mode))
		fs_reply_err(reply, EPERM);
	else if (find_folder(reply, parent, name))
		cache_file_create(reply->storage->cache, reply->id, name, mode & 07777, O_WRONLY,
		                  on_made, reply);
}

typedef struct {
	FsReply *reply;
	struct fuse_file_info fi;
} Open;

static void on_opened(CacheFile *file, bool keep, const GError *error, void *data)
{
	g_autofree Open *open = data;

	if (error != NULL) {
		fs_reply_error(open->reply, error);
		return;
	}
	open->fi.keep_cache = keep;
	open->fi.direct_io = cache_file_is_direct(file);
	fs_reply_open(open->reply, file_new(open->reply->mount, file), &open->fi);
}

void fs_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	FsReply *reply = fs_reply_new(req);

	reply->storage = fs_mount_resolve(reply->mount, ino, &reply->id);
	if (fs_ino_is_virtual(ino)) {
		fs_virtual_open(reply, ino, fi);
	} else if (reply->storage == NULL) {
		fs_reply_err(reply, EISDIR);
	} else if (fs_reply_wait(reply)) {
		Open *open = g_new(Open, 1);
		*open = (Open){reply, *fi};
		cache_file_open(reply->storage->cache, reply->id, fi->flags, on_opened, open);
	}
}

/* --- contents --- */

static void on_read(const CacheSpan *span, const GError *error, void *data)
{
	FsReply *reply = data;

	if (error != NULL) {
		fs_reply_error(reply, error);
		return;
	}
	struct fuse_bufvec source = FUSE_BUFVEC_INIT(span->length);
	source.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	source.buf[0].fd = span->fd;
	source.buf[0].pos = (off_t)span->offset;
	if (span->length == 0)
		fs_reply_buf(reply, NULL, 0);
	else
		fs_reply_data(reply, &source);
}

void fs_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                struct fuse_file_info *fi)
{
	FsReply *reply = fs_reply_new(req);

	fs_handle_ref(handle_of(fi));
	reply->handle = handle_of(fi);
	if (fs_ino_is_virtual(ino))
		fs_virtual_read(reply, ino, handle_of(fi), (guint64)offset, size);
	else if (fs_reply_wait(reply))
		cache_file_read(file_of(fi), (guint64)offset, size, on_read, reply);
}

/* A write that waits for room in the cache has its own copy of the bytes. */
typedef struct {
	FsReply *reply;
	CacheFile *file;
	fuse_ino_t ino;
	guint64 offset; /* of the kernel */
	gsize size;
	char bytes[];
} Waiting;

/* What was appended is not where the kernel took the end to be: its page there is wrong. So are
 * those that it has of what was written past them. */
static void tell_written(const FsMount *mount, fuse_ino_t ino, CacheFile *file, guint64 offset,
                         const CacheSpan *span)
{
	if (span->offset != offset || cache_file_is_direct(file))
		fs_notifier_content(mount->notifier, ino, offset);
}

static int write_all(const CacheSpan *span, const char *bytes, gsize *ret_written)
{
	*ret_written = 0;
	while (*ret_written < span->length) {
		ssize_t n = pwrite(span->fd, bytes + *ret_written, span->length - *ret_written,
		                   (off_t)(span->offset + *ret_written));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		*ret_written += (gsize)n;
	}
	return 0;
}

static void on_room(const CacheSpan *span, const GError *error, void *data)
{
	g_autofree Waiting *waiting = data;
	gsize written = 0;

	if (error != NULL) {
		fs_reply_error(waiting->reply, error);
		return;
	}
	/* Whoever was interrupted was told that nothing is written. */
	int err = fs_reply_dropped(waiting->reply) ? EINTR
	                                           : write_all(span, waiting->bytes, &written);
	cache_file_write_end(waiting->file, span, written, err);
	tell_written(waiting->reply->mount, waiting->ino, waiting->file, waiting->offset, span);
	if (written == 0 && err != 0)
		fs_reply_err(waiting->reply, err);
	else
		fs_reply_write(waiting->reply, written);
}

/* `offset`: the kernel's; `place`: where there was no room. */
static void wait_for_room(FsReply *reply, CacheFile *file, fuse_ino_t ino, struct fuse_bufvec *data,
                          guint64 offset, guint64 place, bool append)
{
	gsize size = fuse_buf_size(data);
	Waiting *waiting = g_malloc(sizeof(Waiting) + size);
	struct fuse_bufvec copy = FUSE_BUFVEC_INIT(size);
	FsHandle *handle = reply->handle;

	*waiting =
		(Waiting){.reply = reply, .file = file, .ino = ino, .offset = offset, .size = size};
	copy.buf[0].mem = waiting->bytes;
	ssize_t copied = fuse_buf_copy(&copy, data, 0);
	if (copied != (ssize_t)size) {
		int err = copied < 0 ? (int)-copied : EIO;
		cache_file_write_lost(file, place, size, err);
		fs_reply_err(reply, err);
		g_free(waiting);
		return;
	}
	fs_handle_ref(handle);
	if (fs_reply_wait(reply)) {
		cache_file_write_wait(file, place, size, append, on_room, waiting);
	} else {
		cache_file_write_lost(file, place, size, EINTR);
		g_free(waiting);
	}
	fs_handle_unref(handle);
}

void fs_op_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *data, off_t offset,
                     struct fuse_file_info *fi)
{
	FsReply *reply = fs_reply_new(req);
	g_autoptr(GError) error = NULL;
	gsize size = fuse_buf_size(data);
	CacheSpan span;

	fs_handle_ref(handle_of(fi));
	reply->handle = handle_of(fi);
	if (fs_ino_is_virtual(ino)) {
		fs_virtual_write(reply, ino, handle_of(fi), data);
		return;
	}
	CacheFile *file = file_of(fi);
	/* What comes from a mapping knows its place, whichever handle it is sent through. */
	bool append = (fi->flags & O_APPEND) && !fi->writepage;
	if (!cache_file_write_begin(file, (guint64)offset, size, append, &span, &error)) {
		if (error->code == EAGAIN)
			wait_for_room(reply, file, ino, data, (guint64)offset, span.offset, append);
		else
			fs_reply_error(reply, error);
		return;
	}
	struct fuse_bufvec target = FUSE_BUFVEC_INIT(span.length);
	target.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	target.buf[0].fd = span.fd;
	target.buf[0].pos = (off_t)span.offset;
	ssize_t written = fuse_buf_copy(&target, data, 0);
	/* Fewer bytes than asked for are no loss: the writer is told the number. But of mapped
	 * pages the kernel takes them for all. */
	bool less = written >= 0 && (gsize)written < size && fi->writepage;
	int err = written < 0 ? (int)-written : less ? EIO : 0;
	cache_file_write_end(file, &span, written > 0 ? (gsize)written : 0, err);
	tell_written(reply->mount, ino, file, (guint64)offset, &span);
	if (err != 0)
		fs_reply_err(reply, err);
	else
		fs_reply_write(reply, (gsize)written);
}

/* --- closing --- */

void fs_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	FsReply *reply = fs_reply_new(req);
	g_autoptr(GError) error = NULL;

	if (fs_ino_is_virtual(ino)) {
		fs_virtual_flush(reply, ino, handle_of(fi));
		return;
	}
	cache_file_flush(file_of(fi), &error);
	fs_reply_error(reply, error);
}

void fs_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fs_handle_release(handle_of(fi));
	fs_reply_err(fs_reply_new(req), 0);
}

static void on_synced(const GError *error, void *data)
{
	fs_reply_error(data, error);
}

void fs_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	FsReply *reply = fs_reply_new(req);

	reply->storage = fs_mount_resolve(reply->mount, ino, &reply->id);
	if (reply->storage == NULL)
		fs_reply_err(reply, 0); /* a control file: all that was written has run */
	else if (fs_reply_wait(reply))
		cache_fsync(reply->storage->cache, reply->id, on_synced, reply);
}

void fs_op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
                struct fuse_pollhandle *handle)
{
	FsReply *reply = fs_reply_new(req);

	if (fs_ino_is_virtual(ino)) {
		fs_virtual_poll(reply, ino, handle_of(fi), handle);
		return;
	}
	/* As without us: a regular file is always ready. */
	if (handle != NULL)
		fuse_pollhandle_destroy(handle);
	fs_reply_poll(reply, FS_POLL_ALWAYS);
}
