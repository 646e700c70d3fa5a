/* Names and folders. */
#include "fs/entries.h"
#include "fs/ops.h"
#include "fs/virtual.h"

#include <errno.h>
#include <string.h>

/* --- names --- */

static void answer_entry(void *data)
{
	FsReply *reply = data;
	const FsStorage *storage = reply->storage;
	CacheId id = reply->attr.id;
	struct fuse_entry_param entry;

	fs_entry(storage, &reply->attr, &entry);
	if (!fs_reply_entry(reply, &entry))
		cache_forget(storage->cache, id, 1);
}

static void on_entry(const CacheAttr *attr, const GError *error, void *data)
{
	if (error != NULL)
		fs_reply_error(data, error);
	else
		fs_attr_settle(data, attr, answer_entry);
}

/* The folder of a storage, looked up in the virtual root. No reference is taken: the cache holds
 * its root. */
static void on_storage_root(const CacheAttr *attr, const GError *error, void *data)
{
	FsReply *reply = data;
	struct fuse_entry_param entry;

	if (error != NULL) {
		fs_reply_error(reply, error);
		return;
	}
	fs_entry(reply->storage, attr, &entry);
	fs_reply_entry(reply, &entry);
}

void fs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	FsReply *reply = fs_reply_new(req);
	CacheId id = 0;

	if (fs_ino_is_virtual(parent)) {
		fs_virtual_child(reply, parent, name);
		return;
	}
	FsStorage *storage = fs_mount_resolve(reply->mount, parent, &id);
	const FsFolder folder = {storage, id};
	const FsVirtualClass *class = fs_virtual_class(reply->mount, &folder, name);
	if (class != NULL) {
		fs_virtual_lookup(class, &folder, reply);
		return;
	}
	bool root = storage == NULL;
	if (root)
		storage = fs_mount_find(reply->mount, name);
	if (storage == NULL) {
		fs_reply_err(reply, ENOENT);
		return;
	}
	reply->storage = storage;
	if (!fs_reply_wait(reply))
		return;
	if (root)
		cache_getattr(storage->cache, storage->root, on_storage_root, reply);
	else
		cache_lookup(storage->cache, id, name, on_entry, reply);
}

static void forget(FsMount *mount, fuse_ino_t ino, uint64_t count)
{
	CacheId id;
	const FsStorage *storage = fs_mount_resolve(mount, ino, &id);

	if (fs_ino_is_virtual(ino))
		fs_virtual_forget(mount, ino, count);
	else if (storage != NULL && id != storage->root)
		cache_forget(storage->cache, id, count);
}

void fs_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	forget(fuse_req_userdata(req), ino, count);
	fuse_reply_none(req);
}

void fs_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		forget(fuse_req_userdata(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

/* --- changing names --- */

/* The folder in which `name` may be made, removed or renamed. NULL: it may not, and that was
 * answered. */
static FsStorage *writable(FsReply *reply, fuse_ino_t parent, const char *name, CacheId *ret_id)
{
	FsStorage *storage = fs_mount_resolve(reply->mount, parent, ret_id);

	/* Storages and control files are not to be made or removed. */
	if (storage == NULL ||
	    fs_virtual_class(reply->mount, &(FsFolder){storage, *ret_id}, name) != NULL) {
		fs_reply_err(reply, EPERM);
		return NULL;
	}
	reply->storage = storage;
	return storage;
}

static void on_done(const GError *error, void *data)
{
	fs_reply_error(data, error);
}

void fs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	FsReply *reply = fs_reply_new(req);
	CacheId id;
	FsStorage *storage = writable(reply, parent, name, &id);

	if (storage != NULL && fs_reply_wait(reply))
		cache_mkdir(storage->cache, id, name, mode & 07777, on_entry, reply);
}

void fs_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	FsReply *reply = fs_reply_new(req);
	CacheId id;
	FsStorage *storage = writable(reply, parent, name, &id);

	if (storage != NULL && fs_reply_wait(reply))
		cache_rmdir(storage->cache, id, name, on_done, reply);
}

void fs_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	FsReply *reply = fs_reply_new(req);
	CacheId id;
	FsStorage *storage = writable(reply, parent, name, &id);

	if (storage != NULL && fs_reply_wait(reply))
		cache_unlink(storage->cache, id, name, on_done, reply);
}

void fs_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                  const char *new_name, unsigned flags)
{
	FsReply *reply = fs_reply_new(req);
	CacheId from, to;

	FsStorage *storage = writable(reply, parent, name, &from);
	if (storage == NULL)
		return;
	FsStorage *target = writable(reply, new_parent, new_name, &to);
	if (target == NULL)
		return;
	if (target != storage)
		fs_reply_err(reply, EXDEV);
	else if (fs_reply_wait(reply))
		cache_rename(storage->cache, from, name, to, new_name, flags, on_done, reply);
}

/* GSS holds files and folders; EPERM is what symlink(2) and link(2) give where the filesystem has
 * no links. */
void fs_op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	fs_reply_err(fs_reply_new(req), EPERM);
}

void fs_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name)
{
	fs_reply_err(fs_reply_new(req), EPERM);
}

/* --- listing --- */

typedef struct {
	FsHandle base;
	FsFolder folder;
	GMutex lock;
	CacheListing *listing; /* NULL: not read yet; guarded by lock */
} FsDir;

static void dir_free(FsHandle *handle)
{
	FsDir *dir = (FsDir *)handle;

	g_clear_pointer(&dir->listing, cache_listing_free);
	g_mutex_clear(&dir->lock);
	g_free(dir);
}

void fs_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	FsReply *reply = fs_reply_new(req);

	if (fs_ino_is_virtual(ino)) {
		fs_virtual_opendir(reply, ino, fi);
		return;
	}
	FsDir *dir = fs_handle_new(reply->mount, sizeof(FsDir), dir_free);

	g_mutex_init(&dir->lock);
	dir->folder.storage = fs_mount_resolve(reply->mount, ino, &dir->folder.id);
	fs_reply_open(reply, &dir->base, fi);
}

/* Names without attributes in a READDIRPLUS. Who wants those of the first few has asked for them
 * when he comes for the next, which are known by then. */
#define UNKNOWN_MAX 16

/* Its attributes, if they are known. Whoever reads on has looked names up: then those of what
 * follows are asked for. */
static bool add_known(FsEntries *entries, const FsDir *dir, const CacheEntry *entry)
{
	const FsStorage *storage = dir->folder.storage;
	struct fuse_entry_param known;
	CacheAttr attr;

	if (!entries->reply->plus || !fs_entries_fits(entries, entry->name) ||
	    !cache_lookup_known(storage->cache, dir->folder.id, entry->name, entries->from > 0,
	                        &attr))
		return false;
	fs_entry(storage, &attr, &known);
	fs_entries_add_known(entries, entry->name, attr.id, &known);
	return true;
}

static void add_listing(FsEntries *entries, const FsDir *dir)
{
	const FsStorage *storage = dir->folder.storage;
	guint count = cache_listing_size(dir->listing);
	guint first = 0, unknown = 0;

	/* Straight to where the last READDIR ended. */
	if (entries->from > entries->position) {
		first = (guint)MIN(entries->from - entries->position, count);
		fs_entries_skip(entries, first);
	}
	for (guint i = first; i < count && !entries->full && unknown < UNKNOWN_MAX; i++) {
		CacheEntry entry;
		cache_listing_get(dir->listing, i, &entry);
		if (fs_virtual_class(dir->base.mount, &dir->folder, entry.name) != NULL) {
			fs_entries_skip(entries, 1); /* behind the control file of that name */
		} else if (!add_known(entries, dir, &entry)) {
			fs_entries_add(entries, entry.name, fs_mount_ino(storage, entry.id),
			               entry.folder);
			unknown += entries->reply->plus;
		}
	}
}

/* The lock of `dir` is held, and a reference besides the reply's. */
static void answer(FsReply *reply, const FsDir *dir, guint64 from)
{
	const FsMount *mount = reply->mount;
	const FsStorage *storage = dir->folder.storage;
	FsEntries entries;

	fs_entries_init(&entries, reply, reply->size, from);
	fs_entries_add(&entries, ".",
	               storage != NULL ? fs_mount_ino(storage, dir->folder.id) : FS_ROOT_INO, true);
	fs_entries_add(&entries, "..", FS_ROOT_INO, true);
	const FsVirtualClass *class;
	for (guint i = 0; (class = fs_virtual_listed(mount, &dir->folder, i)) != NULL; i++)
		fs_entries_add(&entries, class->name, fs_virtual_ino(&dir->folder, class->name),
		               S_ISDIR(class->mode));
	for (guint i = 0; storage == NULL && i < mount->storages->len; i++) {
		const FsStorage *child = mount->storages->pdata[i];
		if (child->root != 0)
			fs_entries_add(&entries, child->name, fs_mount_ino(child, child->root),
			               true);
	}
	if (dir->listing != NULL)
		add_listing(&entries, dir);
	fs_entries_send(&entries);
}

static void on_listing(CacheListing *listing, const GError *error, void *data)
{
	FsReply *reply = data;
	FsDir *dir = (FsDir *)reply->handle;

	if (error != NULL) {
		fs_reply_error(reply, error);
		return;
	}
	fs_handle_ref(&dir->base);
	g_mutex_lock(&dir->lock);
	g_clear_pointer(&dir->listing, cache_listing_free);
	dir->listing = listing;
	answer(reply, dir, 0);
	g_mutex_unlock(&dir->lock);
	fs_handle_unref(&dir->base);
}

static void read_dir(FsReply *reply, fuse_ino_t ino, size_t size, off_t offset,
                     const struct fuse_file_info *fi)
{
	if (fs_ino_is_virtual(ino)) {
		FsHandle *handle = (FsHandle *)(uintptr_t)fi->fh;
		fs_handle_ref(handle);
		reply->handle = handle;
		fs_virtual_readdir(reply, ino, handle, (guint64)offset, size);
		return;
	}
	FsDir *dir = (FsDir *)(uintptr_t)fi->fh;
	const FsStorage *storage = dir->folder.storage;

	fs_handle_ref(&dir->base);
	reply->handle = &dir->base;
	reply->storage = dir->folder.storage;
	reply->size = size;
	/* From the start: what is there now, as rewinddir(3) demands. Later: the snapshot of that
	 * moment, so that removing while listing skips nothing. */
	if (offset == 0 && storage != NULL) {
		if (fs_reply_wait(reply))
			cache_list(storage->cache, dir->folder.id, on_listing, reply);
		return;
	}
	fs_handle_ref(&dir->base);
	g_mutex_lock(&dir->lock);
	answer(reply, dir, (guint64)offset);
	g_mutex_unlock(&dir->lock);
	fs_handle_unref(&dir->base);
}

void fs_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                   struct fuse_file_info *fi)
{
	read_dir(fs_reply_new(req), ino, size, offset, fi);
}

void fs_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
	FsReply *reply = fs_reply_new(req);

	reply->plus = true;
	read_dir(reply, ino, size, offset, fi);
}

void fs_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fs_handle_release((FsHandle *)(uintptr_t)fi->fh);
	fs_reply_err(fs_reply_new(req), 0);
}

/* Names are written through, and renames journaled, before they are answered. */
void fs_op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	fs_reply_err(fs_reply_new(req), 0);
}
