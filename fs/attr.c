/* Attributes: stat, chmod, touch, truncate, extended attributes, statfs. */
#include "fs/notify.h"
#include "fs/ops.h"
#include "fs/virtual.h"

#include <errno.h>
#include <string.h>

#define XATTR_URI "user.gss.uri"
#define XATTR_STATE "user.gss.state"
#define XATTR_ERROR "user.gss.error"
#define XATTR_PROGRESS "user.gss.progress"
#define XATTR_SHA256 "user.gss.sha256"

#define NAME_BYTES_MAX 255
/* st_blksize: what cp and cat take as buffer, one request. Of folders it is what readdir(3) takes,
 * or 32 KiB: who stats what he reads profits from the READDIRPLUS of the second piece on. */
#define PREFERRED_BLOCK (1024 * 1024)
#define FOLDER_BLOCK 4096

void fs_stat(const FsStorage *storage, const CacheAttr *attr, struct stat *ret)
{
	const FsMountOptions *options = &storage->mount->options;

	*ret = (struct stat){
		.st_ino = fs_mount_ino(storage, attr->id),
		.st_mode =
			(attr->folder ? S_IFDIR : S_IFREG) | (attr->mode & 07777 & ~options->umask),
		.st_nlink = attr->folder ? 2 : 1,
		.st_uid = options->uid,
		.st_gid = options->gid,
		.st_size = attr->folder ? 0 : (off_t)attr->size,
		/* Never what is resident: holes of the cache are no holes of the file. */
		.st_blocks = attr->folder ? 0 : (blkcnt_t)((attr->size + 511) / 512),
		.st_blksize = attr->folder ? FOLDER_BLOCK : PREFERRED_BLOCK,
		.st_atim = attr->atime,
		.st_mtim = attr->mtime,
		.st_ctim = attr->ctime,
	};
}

void fs_stat_root(const FsMount *mount, struct stat *ret)
{
	*ret = (struct stat){
		.st_ino = FS_ROOT_INO,
		.st_mode = S_IFDIR | (0555 & ~mount->options.umask),
		.st_nlink = 2,
		.st_uid = mount->options.uid,
		.st_gid = mount->options.gid,
		.st_blksize = FOLDER_BLOCK,
		.st_atim = mount->started,
		.st_mtim = mount->started,
		.st_ctim = mount->started,
	};
}

static double timeout(const CacheAttr *attr)
{
	return attr->stale ? 0 : FS_ATTR_TIMEOUT;
}

void fs_entry(const FsStorage *storage, const CacheAttr *attr, struct fuse_entry_param *ret)
{
	*ret = (struct fuse_entry_param){
		.ino = fs_mount_ino(storage, attr->id),
		.attr_timeout = timeout(attr),
		.entry_timeout = FS_ENTRY_TIMEOUT,
	};
	fs_stat(storage, attr, &ret->attr);
}

void fs_attr_settle(FsReply *reply, const CacheAttr *attr, void (*answer)(void *reply))
{
	uint64_t ino = fs_mount_ino(reply->storage, attr->id);

	reply->attr = *attr;
	if (attr->folder)
		answer(reply);
	else
		fs_notifier_settled(reply->mount->notifier, ino, answer, reply);
}

static void answer_attr(void *data)
{
	FsReply *reply = data;
	struct stat st;

	fs_stat(reply->storage, &reply->attr, &st);
	fs_reply_attr(reply, &st, timeout(&reply->attr));
}

static void on_attr(const CacheAttr *attr, const GError *error, void *data)
{
	if (error != NULL)
		fs_reply_error(data, error);
	else
		fs_attr_settle(data, attr, answer_attr);
}

void fs_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	FsReply *reply = fs_reply_new(req);
	struct stat st;

	reply->storage = fs_mount_resolve(reply->mount, ino, &reply->id);
	if (fs_ino_is_virtual(ino)) {
		fs_virtual_getattr(reply, ino);
	} else if (reply->storage == NULL) {
		fs_stat_root(reply->mount, &st);
		fs_reply_attr(reply, &st, FS_ATTR_TIMEOUT);
	} else {
		CacheFile *file = fi != NULL ? fs_file_hold(reply, fi) : NULL;
		if (!fs_reply_wait(reply))
			return;
		if (file != NULL)
			cache_file_getattr(file, on_attr, reply);
		else
			cache_getattr(reply->storage->cache, reply->id, on_attr, reply);
	}
}

/* Giving a file to whom it belongs already is fine; GSS knows no owners, so that nothing else can
 * be kept. */
static bool keeps_owner(const FsMountOptions *options, const struct stat *attr, int set)
{
	if ((set & FUSE_SET_ATTR_UID) && attr->st_uid != options->uid)
		return false;
	return !(set & FUSE_SET_ATTR_GID) || attr->st_gid == options->gid;
}

static CacheSetMask set_mask(const struct stat *attr, int set, CacheAttr *ret)
{
	struct timespec now;
	CacheSetMask mask = 0;

	clock_gettime(CLOCK_REALTIME, &now);
	*ret = (CacheAttr){0};
	if (set & FUSE_SET_ATTR_MODE) {
		mask |= CACHE_SET_MODE;
		ret->mode = attr->st_mode & 07777;
	}
	if (set & FUSE_SET_ATTR_SIZE) {
		mask |= CACHE_SET_SIZE;
		ret->size = (guint64)attr->st_size;
	}
	if (set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW)) {
		mask |= CACHE_SET_ATIME;
		ret->atime = set & FUSE_SET_ATTR_ATIME_NOW ? now : attr->st_atim;
	}
	if (set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)) {
		mask |= CACHE_SET_MTIME;
		ret->mtime = set & FUSE_SET_ATTR_MTIME_NOW ? now : attr->st_mtim;
	}
	return mask;
}

void fs_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set,
                   struct fuse_file_info *fi)
{
	FsReply *reply = fs_reply_new(req);
	CacheAttr wanted;

	reply->storage = fs_mount_resolve(reply->mount, ino, &reply->id);
	if (fs_ino_is_virtual(ino)) {
		fs_virtual_setattr(reply, ino, attr, set);
		return;
	}
	if (reply->storage == NULL || !keeps_owner(&reply->mount->options, attr, set)) {
		fs_reply_err(reply, EPERM);
		return;
	}
	CacheSetMask mask = set_mask(attr, set, &wanted);
	CacheFile *file = fi != NULL ? fs_file_hold(reply, fi) : NULL;
	if (!fs_reply_wait(reply))
		return;
	if (mask != 0 && file != NULL)
		cache_file_setattr(file, mask, &wanted, on_attr, reply);
	else if (mask == 0)
		cache_getattr(reply->storage->cache, reply->id, on_attr, reply);
	else
		cache_setattr(reply->storage->cache, reply->id, mask, &wanted, on_attr, reply);
}

/* Bytes that GSS has, of those that the file has; while it is on its way. */
static char *progress(const FsStorage *storage, CacheId id)
{
	guint64 done, total;

	if (!cache_progress(storage->cache, id, &done, &total))
		return NULL;
	return g_strdup_printf("%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, done, total);
}

/* The value of one of our attributes; NULL: the node has none of that name. */
static char *xattr_value(const FsStorage *storage, CacheId id, const char *name)
{
	if (strcmp(name, XATTR_URI) == 0)
		return cache_uri(storage->cache, id);
	if (strcmp(name, XATTR_STATE) == 0)
		return g_strdup(cache_state_name(cache_state(storage->cache, id)));
	if (strcmp(name, XATTR_ERROR) == 0)
		return cache_state_error(storage->cache, id);
	if (strcmp(name, XATTR_PROGRESS) == 0)
		return progress(storage, id);
	return NULL;
}

static void on_sha256(const char *hash, const GError *error, void *data)
{
	FsReply *reply = data;

	/* Whatever the reason is: it is not known. */
	if (hash == NULL)
		fs_reply_err(reply, ENODATA);
	else
		fs_reply_xattr(reply, hash, strlen(hash), reply->size);
}

void fs_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	FsReply *reply = fs_reply_new(req);
	CacheId id;

	if (fs_ino_is_virtual(ino)) {
		fs_virtual_getxattr(reply, ino, name, size);
		return;
	}
	const FsStorage *storage = fs_mount_resolve(reply->mount, ino, &id);
	if (storage != NULL && strcmp(name, XATTR_SHA256) == 0) {
		reply->size = size;
		if (fs_reply_wait(reply))
			cache_sha256(storage->cache, id, on_sha256, reply);
		return;
	}
	g_autofree char *value = storage != NULL ? xattr_value(storage, id, name) : NULL;

	/* ls asks each file for its label and its ACL until it hears that there is no such thing
	 * here.
	 */
	if (value == NULL)
		fs_reply_err(reply, g_str_has_prefix(name, "user.") ? ENODATA : ENOTSUP);
	else
		fs_reply_xattr(reply, value, strlen(value), size);
}

void fs_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	static const char *const names[] = {XATTR_URI, XATTR_STATE, XATTR_ERROR, XATTR_PROGRESS};
	FsReply *reply = fs_reply_new(req);
	g_autoptr(GString) list = g_string_new(NULL);
	CacheId id;

	if (fs_ino_is_virtual(ino)) {
		fs_virtual_listxattr(reply, ino, size);
		return;
	}
	const FsStorage *storage = fs_mount_resolve(reply->mount, ino, &id);

	for (guint i = 0; storage != NULL && i < G_N_ELEMENTS(names); i++) {
		g_autofree char *value = xattr_value(storage, id, names[i]);
		if (value != NULL)
			g_string_append_len(list, names[i], (gssize)strlen(names[i]) + 1);
	}
	if (storage != NULL && cache_has_sha256(storage->cache, id))
		g_string_append_len(list, XATTR_SHA256, sizeof XATTR_SHA256);
	fs_reply_xattr(reply, list->str, list->len, size);
}

/* GSS keeps none, and those that we show are not to be written. */
void fs_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                    size_t size, int flags)
{
	fs_reply_err(fs_reply_new(req), ENOTSUP);
}

void fs_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	fs_reply_err(fs_reply_new(req), ENOTSUP);
}

void fs_op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	FsReply *reply = fs_reply_new(req);
	g_autoptr(GError) error = NULL;
	CacheSpace space;
	CacheId id;
	const FsStorage *storage = fs_mount_resolve(reply->mount, ino, &id);

	if (storage == NULL)
		storage = reply->mount->storages->pdata[0];
	if (!cache_space(storage->cache, &space, &error)) {
		fs_reply_error(reply, error);
		return;
	}
	fs_reply_statfs(reply, &(struct statvfs){
				       .f_bsize = space.block_size,
				       .f_frsize = space.block_size,
				       .f_blocks = space.blocks,
				       .f_bfree = space.free_blocks,
				       .f_bavail = space.free_blocks,
				       .f_files = space.nodes,
				       .f_ffree = space.free_nodes,
				       .f_favail = space.free_nodes,
				       .f_namemax = NAME_BYTES_MAX,
			       });
}
