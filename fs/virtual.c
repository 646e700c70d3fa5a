#include "fs/virtual.h"

#include "fs/images-dir.h"
#include "fs/register.h"
#include "fs/status.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

struct FsVirtuals {
	GMutex lock;
	GHashTable *nodes; /* ino (gint64) -> FsVirtual; guarded by lock, as is the next */
	guint64 last;
};

/* Where a virtual node shows up. */
typedef enum {
	EVERYWHERE, /* can be looked up in every folder, is listed in storages' roots and the root
	             */
	MOUNT_ROOT,
	STORAGE_ROOT, /* of those that have an Images service */
} Place;

static const struct {
	const FsVirtualClass *class;
	Place place;
} classes[] = {
	{&fs_register_class, EVERYWHERE},
	{&fs_status_class, MOUNT_ROOT},
	{&fs_images_dir_class, STORAGE_ROOT},
};

static void node_free(void *data)
{
	FsVirtual *node = data;

	if (node->class->free != NULL)
		node->class->free(node->data);
	g_free(node);
}

FsVirtuals *fs_virtuals_new(void)
{
	FsVirtuals *virtuals = g_new0(FsVirtuals, 1);
	g_mutex_init(&virtuals->lock);
	virtuals->nodes = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, node_free);
	return virtuals;
}

void fs_virtuals_free(FsVirtuals *virtuals)
{
	g_hash_table_unref(virtuals->nodes);
	g_mutex_clear(&virtuals->lock);
	g_free(virtuals);
}

static bool is_mount_root(const FsMount *mount, const FsFolder *folder)
{
	if (mount->options.all)
		return folder->storage == NULL;
	return folder->storage != NULL && folder->id == folder->storage->root;
}

static bool is_storage_root(const FsFolder *folder)
{
	return folder->storage != NULL && folder->id == folder->storage->root;
}

static bool is_here(Place place, const FsMount *mount, const FsFolder *folder)
{
	switch (place) {
	case EVERYWHERE:
		return true;
	case MOUNT_ROOT:
		return is_mount_root(mount, folder);
	case STORAGE_ROOT:
		return is_storage_root(folder) && fs_images_dir_exists(folder->storage);
	}
	return false;
}

const FsVirtualClass *fs_virtual_class(const FsMount *mount, const FsFolder *folder,
                                       const char *name)
{
	if (*name != '.')
		return NULL;
	for (guint i = 0; i < G_N_ELEMENTS(classes); i++) {
		if (strcmp(classes[i].class->name, name) == 0)
			return is_here(classes[i].place, mount, folder) ? classes[i].class : NULL;
	}
	return NULL;
}

const FsVirtualClass *fs_virtual_listed(const FsMount *mount, const FsFolder *folder, guint index)
{
	if (folder->storage != NULL && !is_storage_root(folder))
		return NULL;
	for (guint i = 0; i < G_N_ELEMENTS(classes); i++) {
		if (is_here(classes[i].place, mount, folder) && index-- == 0)
			return classes[i].class;
	}
	return NULL;
}

/* The node; the kernel knows it, so that it stays for the length of its request. */
static FsVirtual *find(FsMount *mount, uint64_t ino)
{
	g_mutex_lock(&mount->virtuals->lock);
	FsVirtual *node = g_hash_table_lookup(mount->virtuals->nodes, &ino);
	g_mutex_unlock(&mount->virtuals->lock);
	return node;
}

static void fill(const FsMount *mount, const FsVirtual *node, struct stat *ret)
{
	*ret = (struct stat){
		.st_ino = node->st_ino,
		.st_mode = node->class->mode,
		.st_nlink = S_ISDIR(node->class->mode) ? 2 : 1,
		.st_uid = mount->options.uid,
		.st_gid = mount->options.gid,
		.st_blksize = 4096,
		.st_atim = node->time,
		.st_mtim = node->time,
		.st_ctim = node->time,
	};
	if (node->class->attr != NULL)
		node->class->attr(node, ret);
}

uint64_t fs_virtual_ino(const FsFolder *folder, const char *path)
{
	uint64_t parent =
		folder->storage != NULL ? fs_mount_ino(folder->storage, folder->id) : FS_ROOT_INO;
	g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT "/%s", parent, path);
	g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);

	sum[16] = '\0'; /* 64 bits */
	return FS_VIRTUAL_BIT | g_ascii_strtoull(sum, NULL, 16);
}

void fs_virtual_lookup(const FsVirtualClass *class, const FsFolder *folder, FsReply *reply)
{
	fs_virtual_answer(class, folder, class->name, NULL, reply);
}

void fs_virtual_answer(const FsVirtualClass *class, const FsFolder *folder, const char *path,
                       void *data, FsReply *reply)
{
	FsMount *mount = reply->mount;
	FsVirtuals *virtuals = mount->virtuals;
	FsVirtual *node = g_new0(FsVirtual, 1);
	struct fuse_entry_param entry = {.attr_timeout = FS_ATTR_TIMEOUT, .entry_timeout = 0};

	*node = (FsVirtual){
		.class = class,
		.st_ino = fs_virtual_ino(folder, path),
		.folder = *folder,
		.data = data,
		.lookups = 1,
	};
	clock_gettime(CLOCK_REALTIME, &node->time);
	g_mutex_lock(&virtuals->lock);
	node->ino = FS_VIRTUAL_BIT | ++virtuals->last;
	entry.ino = node->ino;
	fill(mount, node, &entry.attr);
	g_hash_table_insert(virtuals->nodes, &node->ino, node);
	g_mutex_unlock(&virtuals->lock);
	if (!fs_reply_entry(reply, &entry))
		fs_virtual_forget(mount, entry.ino, 1);
}

void fs_virtual_forget(FsMount *mount, uint64_t ino, guint64 count)
{
	FsVirtuals *virtuals = mount->virtuals;

	g_mutex_lock(&virtuals->lock);
	FsVirtual *node = g_hash_table_lookup(virtuals->nodes, &ino);
	if (node != NULL) {
		node->lookups -= MIN(count, node->lookups);
		if (node->lookups == 0)
			g_hash_table_remove(virtuals->nodes, &node->ino);
	}
	g_mutex_unlock(&virtuals->lock);
}

void fs_virtual_getattr(FsReply *reply, uint64_t ino)
{
	const FsVirtual *node = find(reply->mount, ino);
	struct stat attr;

	if (node == NULL) {
		fs_reply_err(reply, ENOENT);
		return;
	}
	fill(reply->mount, node, &attr);
	fs_reply_attr(reply, &attr, FS_ATTR_TIMEOUT);
}

/* `: > FILE`, `truncate` and `touch` do nothing and succeed; who may use it is not to be changed.
 */
void fs_virtual_setattr(FsReply *reply, uint64_t ino, const struct stat *attr, int set)
{
	const FsVirtual *node = find(reply->mount, ino);

	if (node != NULL && (node->class->mode & 0222) == 0)
		fs_reply_err(reply, EPERM);
	else if (set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
		fs_reply_err(reply, EPERM);
	else
		fs_virtual_getattr(reply, ino);
}

void fs_virtual_open(FsReply *reply, uint64_t ino, struct fuse_file_info *fi)
{
	const FsMountOptions *options = &reply->mount->options;
	uid_t caller = fuse_req_ctx(reply->req)->uid;
	FsVirtual *node = find(reply->mount, ino);

	if (node == NULL || node->class->open == NULL) {
		fs_reply_err(reply, node == NULL ? ENOENT : EISDIR);
		return;
	}
	/* Not left to the mode alone: a control file acts with the credentials of who mounted. Root
	 * reaches a mount of somebody else only where that user has allowed it. */
	bool private = (node->class->mode & 077) == 0;
	if (private && caller != options->uid && caller != options->owner && caller != 0) {
		fs_reply_err(reply, EACCES);
		return;
	}
	fi->direct_io = 1;
	fi->keep_cache = 0;
	node->class->open(node, reply, fi);
}

void fs_virtual_read(FsReply *reply, uint64_t ino, FsHandle *handle, guint64 offset, gsize size)
{
	const FsVirtual *node = find(reply->mount, ino);

	if (node == NULL || handle == NULL)
		fs_reply_err(reply, EBADF);
	else
		node->class->read(handle, reply, offset, size);
}

void fs_virtual_write(FsReply *reply, uint64_t ino, FsHandle *handle, struct fuse_bufvec *data)
{
	const FsVirtual *node = find(reply->mount, ino);
	gsize size = fuse_buf_size(data);
	struct fuse_bufvec copy = FUSE_BUFVEC_INIT(size);

	if (node == NULL || handle == NULL) {
		fs_reply_err(reply, EBADF);
		return;
	}
	copy.buf[0].mem = g_malloc(size);
	ssize_t length = fuse_buf_copy(&copy, data, 0);
	if (length < 0) {
		g_free(copy.buf[0].mem);
		fs_reply_err(reply, (int)-length);
		return;
	}
	g_autoptr(GBytes) bytes = g_bytes_new_take(copy.buf[0].mem, (gsize)length);
	node->class->write(handle, reply, bytes);
}

void fs_virtual_flush(FsReply *reply, uint64_t ino, FsHandle *handle)
{
	const FsVirtual *node = find(reply->mount, ino);

	if (node == NULL || handle == NULL)
		fs_reply_err(reply, EBADF);
	else
		node->class->flush(handle, reply);
}

void fs_virtual_poll(FsReply *reply, uint64_t ino, FsHandle *handle, struct fuse_pollhandle *on)
{
	const FsVirtual *node = find(reply->mount, ino);

	if (node != NULL && handle != NULL && node->class->poll != NULL) {
		node->class->poll(handle, reply, on);
		return;
	}
	if (on != NULL)
		fuse_pollhandle_destroy(on);
	fs_reply_poll(reply, FS_POLL_ALWAYS);
}

/* --- folders --- */

void fs_virtual_child(FsReply *reply, uint64_t parent, const char *name)
{
	const FsVirtual *node = find(reply->mount, parent);

	if (node == NULL || node->class->lookup == NULL)
		fs_reply_err(reply, node == NULL ? ENOENT : ENOTDIR);
	else if (strlen(name) > NAME_MAX)
		fs_reply_err(reply, ENAMETOOLONG);
	else
		node->class->lookup(node, name, reply);
}

void fs_virtual_opendir(FsReply *reply, uint64_t ino, struct fuse_file_info *fi)
{
	const FsVirtual *node = find(reply->mount, ino);

	if (node == NULL || node->class->opendir == NULL)
		fs_reply_err(reply, node == NULL ? ENOENT : ENOTDIR);
	else
		node->class->opendir(node, reply, fi);
}

void fs_virtual_readdir(FsReply *reply, uint64_t ino, FsHandle *handle, guint64 offset, gsize size)
{
	const FsVirtual *node = find(reply->mount, ino);

	if (node == NULL || handle == NULL || node->class->readdir == NULL)
		fs_reply_err(reply, EBADF);
	else
		node->class->readdir(handle, reply, offset, size);
}

/* --- extended attributes --- */

void fs_virtual_getxattr(FsReply *reply, uint64_t ino, const char *name, gsize size)
{
	const FsVirtual *node = find(reply->mount, ino);
	g_autofree char *value =
		node != NULL && node->class->xattr != NULL ? node->class->xattr(node, name) : NULL;

	if (value == NULL)
		fs_reply_err(reply, ENODATA);
	else
		fs_reply_xattr(reply, value, strlen(value), size);
}

void fs_virtual_listxattr(FsReply *reply, uint64_t ino, gsize size)
{
	const FsVirtual *node = find(reply->mount, ino);
	const char *name = node != NULL ? node->class->xattr_name : NULL;
	g_autofree char *value = name != NULL ? node->class->xattr(node, name) : NULL;

	fs_reply_xattr(reply, name, value != NULL ? strlen(name) + 1 : 0, size);
}
