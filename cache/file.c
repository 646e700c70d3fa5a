/* Open files: opening, reading, writing, closing. */
#include "cache/private.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cache/upload.h"
#include "gss/uri.h"

#define WRITE_OUT_BYTES                                                          \
	(16 * 1024 * 1024) /* dirty data goes to the disk in pieces of this size \
	                    */

struct CacheFile {
	Cache *cache;
	CacheNode *node; /* pinned */
	bool writer;
	bool appends; /* O_WRONLY | O_APPEND: says nothing about what is there */
	bool bound;   /* to the version it was opened with: it may have read or written that */
	bool direct;
	guint lineage;
	CacheAhead ahead;
	guint64 written_out; /* bytes up to here were given to the syncer; guarded by Cache.lock */
};

CacheId cache_file_id(const CacheFile *file)
{
	return file->node->r.id;
}

void cache_file_attr(const CacheFile *file, CacheAttr *ret)
{
	g_mutex_lock(&file->cache->lock);
	cache_node_attr(file->node, ret);
	g_mutex_unlock(&file->cache->lock);
}

static CacheFile *file_new_locked(Cache *cache, CacheNode *node, int flags)
{
	CacheFile *file = g_new0(CacheFile, 1);
	*file = (CacheFile){.cache = cache,
	                    .node = cache_node_pin_locked(node),
	                    .writer = (flags & O_ACCMODE) != O_RDONLY,
	                    .bound = (flags & O_ACCMODE) != O_WRONLY,
	                    .appends = (flags & O_ACCMODE) == O_WRONLY && (flags & O_APPEND),
	                    .lineage = node->lineage};
	file->direct = node->stale > 0;
	node->opens++;
	node->writers += file->writer;
	node->bound += file->bound;
	return file;
}

bool cache_file_is_direct(const CacheFile *file)
{
	return file->direct;
}

void cache_file_getattr(CacheFile *file, CacheAttrCallback callback, void *data)
{
	cache_attr_set(file->cache, file->node->r.id, file, 0, NULL, callback, data);
}

void cache_file_setattr(CacheFile *file, CacheSetMask mask, const CacheAttr *attr,
                        CacheAttrCallback callback, void *data)
{
	cache_attr_set(file->cache, file->node->r.id, file, mask, attr, callback, data);
}

/* --- opening --- */

typedef struct {
	Cache *cache;
	CacheNode *node; /* pinned */
	int flags;
	CacheOpenCallback callback;
	void *data;
} OpenRequest;

static CacheFile *open_locked(Cache *cache, CacheNode *node, int flags, bool *ret_keep,
                              GError **error)
{
	bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
	if (node->r.folder || (writes && cache->read_only)) {
		int code = node->r.folder ? EISDIR : EROFS;
		g_set_error_literal(error, CACHE_ERROR, code, g_strerror(code));
		return NULL;
	}
	if (node->r.size < 0 && !cache_node_dirty(node)) {
		g_set_error(error, CACHE_ERROR, EIO, "%s: GSS tells no size", node->r.name);
		return NULL;
	}
	bool writer = (flags & O_ACCMODE) != O_RDONLY;
	if ((flags & O_TRUNC) && !cache_change_truncate_locked(cache, node, 0, writer, error))
		return NULL;
	/* The blob is opened now, while an error can still be told. */
	CacheContent *content = cache_content_open_locked(cache, node, error);
	if (!content)
		return NULL;
	CACHE_CRASH_POINT("file.opened");
	cache_content_unref(content);
	*ret_keep = node->kernel_valid && !(flags & O_TRUNC);
	node->kernel_valid = true;
	node->read |= *ret_keep;
	CacheFile *file = file_new_locked(cache, node, flags);
	if ((flags & O_TRUNC) && !file->writer)
		cache_queue_consider_locked(cache, node);
	return file;
}

static void finish_open(OpenRequest *request, const GError *error)
{
	Cache *cache = request->cache;
	g_autoptr(GError) failure = NULL;
	CacheFile *file = NULL;
	bool keep = false;
	g_mutex_lock(&cache->lock);
	if (error && request->node->r.size >= 0 && cache_offline(cache, error))
		error = NULL;
	if (!error)
		file = open_locked(cache, request->node, request->flags, &keep, &failure);
	cache_node_put_locked(cache, request->node);
	g_mutex_unlock(&cache->lock);
	request->callback(file, keep, error ? error : failure, request->data);
	g_free(request);
}

static void on_settled(void *data)
{
	OpenRequest *request = data;
	Cache *cache = request->cache;
	finish_open(request, NULL);
	cache_call_end(cache);
}

static void on_valid(Cache *cache, const GError *error, void *data)
{
	OpenRequest *request = data;
	CacheId id = request->node->r.id;
	g_mutex_lock(&cache->lock);
	bool waits = !error && cache->notify.settled && cache_call_begin_locked(cache);
	g_mutex_unlock(&cache->lock);
	/* A shorter version must be known before the first read: what the kernel is told while that
	 * is under way makes it take what is missing for zeros. */
	if (waits)
		cache->notify.settled(id, on_settled, request, cache->notify.data);
	else
		finish_open(request, error);
}

void cache_file_open(Cache *cache, CacheId id, int flags, CacheOpenCallback callback, void *data)
{
	g_autoptr(GError) error = NULL;
	g_mutex_lock(&cache->lock);
	CacheNode *node = cache_node_get_locked(cache, id, &error);
	if (!node) {
		g_mutex_unlock(&cache->lock);
		callback(NULL, false, error, data);
		return;
	}
	OpenRequest *request = g_new(OpenRequest, 1);
	*request = (OpenRequest){cache, node, flags, callback, data};
	bool changes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
	gint64 lease = cache_attr_lease_locked(node, changes);
	bool valid = cache_attr_validate_locked(cache, node, lease, on_valid, request);
	g_mutex_unlock(&cache->lock);
	if (valid)
		on_valid(cache, NULL, request);
}

/* The record, its blob and its first generation, in one transaction. */
static CacheNode *make_locked(Cache *cache, CacheNode *folder, const char *name, mode_t mode,
                              GError **error)
{
	g_auto(CacheRecord) record = CACHE_RECORD_INIT;
	cache_record_init(&record, folder->r.id, name, false, mode);
	record.size = 0;
	record.generation = 1;
	record.torn = CACHE_TORN_WRITING; /* nothing of it is acknowledged before the first flush */
	record.state = CACHE_STATE_DIRTY;
	if (!cache_store_begin(cache->store, error))
		return NULL;
	int fd = -1;
	CacheBlobId blob = 0;
	bool ok =
		cache_store_insert(cache->store, &record, error) &&
		(blob = cache_store_insert_blob(cache->store, record.id, cache->boot_id, error)) &&
		(fd = cache_blob_create(&cache->blobs, blob, error)) >= 0;
	record.blob = blob;
	ok = ok && cache_store_update(cache->store, &record, error);
	ok = cache_store_end(cache->store, ok, ok ? error : NULL) && ok;
	CacheContent *content = fd >= 0 ? cache_content_new(cache, record.id, blob, fd) : NULL;
	if (!ok) {
		if (content) {
			cache_content_discard(content);
			cache_content_unref(content);
		}
		return NULL;
	}
	CacheNode *node = cache_node_adopt_locked(cache, &record);
	node->content = content;
	node->kernel_valid = true;
	node->changed = true; /* also an empty file is journaled as whole by its first flush */
	cache_node_mark_dirty_locked(cache, node);
	cache_folder_touch_locked(folder, name);
	return node;
}

static void create(Cache *cache, CacheId parent, const char *name, mode_t mode, int flags,
                   CacheCreateCallback callback, void *data)
{
	g_autoptr(GError) error = NULL;
	CacheFile *file = NULL;
	CacheAttr attr;
	g_mutex_lock(&cache->lock);
	CacheNode *folder = cache_node_get_locked(cache, parent, &error);
	CacheNode *node = NULL;
	int code = !folder                                                       ? 0
	           : cache->read_only                                            ? EROFS
	           : !folder->r.folder                                           ? ENOTDIR
	           : folder->r.parent == CACHE_PARENT_UNLINKED || !folder->r.uri ? ENOENT
	                                                                         : 0;
	if (code)
		g_set_error(&error, CACHE_ERROR, code, "%s: %s", name, g_strerror(code));
	else if (folder && gss_name_check(name, &error))
		node = make_locked(cache, folder, name, mode, &error);
	if (node) {
		file = file_new_locked(cache, node, flags);
		node->refs++;
		cache_node_attr(node, &attr);
		cache_node_put_locked(cache, node);
	}
	if (folder)
		cache_node_put_locked(cache, folder);
	g_mutex_unlock(&cache->lock);
	CACHE_CRASH_POINT("file.created");
	callback(file, file ? &attr : NULL, error, data);
}

/* Mostly a storage takes no files in its root. That would be told by the upload, of which cp hears
 * nothing: it is asked before. */
typedef struct {
	Cache *cache;
	CacheId parent;
	char *name;
	mode_t mode;
	int flags;
	CacheCreateCallback callback;
	void *data;
} Creation;

static void on_root_asked(const GError *error, void *data)
{
	Creation *creation = data;
	if (error && error->code == EPERM)
		creation->callback(NULL, NULL, error, creation->data);
	else
		create(creation->cache, creation->parent, creation->name, creation->mode,
		       creation->flags, creation->callback, creation->data);
	g_free(creation->name);
	g_free(creation);
}

static void root_asked(CacheOp *op)
{
	if (!op->error && gss_resource_type(op->resource) == GSS_TYPE_NOTEXIST &&
	    !gss_resource_creatable(op->resource, &op->error))
		g_prefix_error(&op->error, "%s: ", op->uri);
	cache_op_end_error(op);
}

static void root_ask(CacheOp *op)
{
	op->step = root_asked;
	gss_storage_resolve(op->cache->client, op->uri, op->cache->stop, cache_op_on_resource, op);
}

void cache_file_create(Cache *cache, CacheId parent, const char *name, mode_t mode, int flags,
                       CacheCreateCallback callback, void *data)
{
	g_mutex_lock(&cache->lock);
	CacheNode *folder = cache_node_get_locked(cache, parent, NULL);
	bool root = folder && cache_node_is_storage_root(folder) && !cache->read_only &&
	            gss_name_check(name, NULL);
	CacheOp *op = root ? cache_op_new_locked(cache, NULL) : NULL;
	if (op) {
		op->parent = folder;
		op->name = g_strdup(name);
		op->uri = gss_uri_child(folder->r.uri, name);
	} else if (folder) {
		cache_node_put_locked(cache, folder);
	}
	g_mutex_unlock(&cache->lock);
	if (!op) {
		create(cache, parent, name, mode, flags, callback, data);
		return;
	}
	Creation *creation = g_new(Creation, 1);
	*creation = (Creation){cache, parent, g_strdup(name), mode, flags, callback, data};
	op->done = on_root_asked;
	op->data = creation;
	cache_op_start(op, root_ask);
}

/* --- reading --- */

/* Who has read the one half of a version gets an error instead of the other half of another one. A
 * file that only grew is still the same. */
bool cache_file_is_current_locked(const CacheFile *file, GError **error)
{
	if (!file->bound || file->lineage == file->node->lineage)
		return true;
	g_set_error(error, CACHE_ERROR, ESTALE,
	            "%s: another version has replaced it on GSS since it was opened",
	            file->node->r.name);
	return false;
}

bool cache_file_bind_locked(CacheFile *file, GError **error)
{
	if (!file->bound && !file->appends) {
		file->bound = true;
		file->lineage = file->node->lineage;
		file->node->bound++;
	}
	return cache_file_is_current_locked(file, error);
}

void cache_file_replaced_locked(CacheNode *node)
{
	node->lineage++;
	node->stale += node->bound;
	node->bound = 0;
	node->read = false;
}

void cache_file_read(CacheFile *file, guint64 offset, gsize length, CacheReadCallback callback,
                     void *data)
{
	Cache *cache = file->cache;
	g_autoptr(GError) error = NULL;
	g_mutex_lock(&cache->lock);
	CacheContent *content = cache_file_bind_locked(file, &error)
	                                ? cache_content_open_locked(cache, file->node, &error)
	                                : NULL;
	guint64 size = MAX(file->node->r.size, 0);
	CacheWanted wanted = {.offset = MIN(offset, size),
	                      .end = MIN(offset + length, size),
	                      .asked = offset + length};
	wanted.window = cache_fetch_note(&file->ahead, wanted.offset, wanted.end);
	wanted.window = MIN(wanted.window, cache->room.window);
	wanted.lineage = file->node->lineage;
	wanted.next = file->ahead.next;
	/* Bytes that are still to come are noted when they have. */
	file->node->read |= content && !cache_content_empty(content);
	wanted.noted = file->node->read;
	g_mutex_unlock(&cache->lock);
	if (!content) {
		callback(NULL, error, data);
		return;
	}
	cache_fetch_read(cache, file->node, content, size, &wanted, callback, data);
	cache_content_unref(content);
}

/* --- writing --- */

/* `ret_believed`: see settle(). */
static bool begin_locked(CacheFile *file, guint64 offset, gsize length, CacheSpan *ret,
                         bool *ret_believed, GError **error)
{
	Cache *cache = file->cache;
	CacheNode *node = file->node;
	/* Looked at again: the lock may have been dropped for a copy. */
	bool ok = cache_file_bind_locked(file, error) &&
	          cache_queue_unseal_locked(cache, node, false, error) &&
	          cache_file_is_current_locked(file, error);
	CacheContent *content = ok ? cache_content_open_locked(cache, node, error) : NULL;
	if (!content)
		return false;
	/* What it withdraws is told by the open content. */
	if (!cache_change_begin_locked(cache, node, offset, error)) {
		cache_content_unref(content);
		return false;
	}
	g_mutex_lock(&content->io);
	content->written = true;
	cache_extents_add(&content->claimed, offset, offset + length);
	/* Beyond the end: what lies between is zeros, a hole of the blob. */
	if ((gint64)offset > node->r.size)
		cache_content_add_io(content, MAX(node->r.size, 0), offset);
	g_atomic_int_inc(&content->dirty_seq);
	g_mutex_unlock(&content->io);
	/* The reference is held until the end of the write: the node has the content anyway. */
	*ret = (CacheSpan){content->fd, offset, length};
	*ret_believed = offset < content->believed;
	g_atomic_int_set(&content->grown, 1);
	node->write_calls++;
	cache_content_unref(content);
	CACHE_CRASH_POINT("write.begun");
	return true;
}

static void tell_lost(GSList *publishers, int errnum)
{
	if (!publishers)
		return;
	g_autoptr(GError) error = g_error_new(CACHE_ERROR, errnum, "a write was lost");
	cache_publishers_run(publishers, NULL, error);
}

/* Bytes that are on the disk can be written over when it is full. */
static bool overwrites(const CacheNode *node, guint64 offset, gsize length)
{
	const CacheContent *content = node->content;
	return content && node->r.size >= (gint64)(offset + length) &&
	       lseek(content->fd, (off_t)offset, SEEK_DATA) == (off_t)offset &&
	       lseek(content->fd, (off_t)offset, SEEK_HOLE) >= (off_t)(offset + length);
}

/* What the journal on the disk believes to be durable is not written over before it has heard
 * otherwise: bytes and journal reach the disk in any order. Ends the write on failure. */
static bool settle(CacheFile *file, const CacheSpan *span, GError **error)
{
	Cache *cache = file->cache;
	g_autoptr(GError) failure = NULL;
	if (!cache_store_sync(cache->store, &failure)) {
		cache_file_write_end(file, span, 0, failure->code);
		g_propagate_error(error, g_steal_pointer(&failure));
		return false;
	}
	g_mutex_lock(&cache->lock);
	file->node->content->believed = 0; /* a write is under way: it is still the same */
	g_mutex_unlock(&cache->lock);
	return true;
}

bool cache_file_write_begin(CacheFile *file, guint64 offset, gsize length, bool append,
                            CacheSpan *ret, GError **error)
{
	Cache *cache = file->cache;
	CacheNode *node = file->node;
	GSList *failed = NULL;
	g_autoptr(GError) failure = NULL;
	g_mutex_lock(&cache->lock);
	if (append)
		offset = (guint64)MAX(node->r.size, 0);
	if (offset > G_MAXINT64 - length) {
		g_mutex_unlock(&cache->lock);
		g_set_error_literal(error, CACHE_ERROR, EFBIG, "too large");
		return false;
	}
	bool room = cache_space_take_locked(cache, node, length);
	if (!room && overwrites(node, offset, length)) {
		cache->room.pending += length;
		room = true;
	}
	bool believed = false;
	bool ok = room && begin_locked(file, offset, length, ret, &believed, &failure);
	int errnum = failure ? failure->code : EAGAIN;
	if (!room) { /* what is not there yet is not whole */
		cache_extents_add(&node->lost, offset, offset + length);
		ret->offset = offset;
	} else if (!ok) {
		failed = cache_change_lost_locked(cache, node, offset, offset + length, errnum);
	}
	if (room && !ok)
		cache_space_written_locked(cache, length);
	g_mutex_unlock(&cache->lock);
	tell_lost(failed, errnum);
	if (!room)
		g_set_error_literal(error, CACHE_ERROR, EAGAIN, "there is no room now");
	else if (!ok)
		g_propagate_error(error, g_steal_pointer(&failure));
	return ok && (!believed || settle(file, ret, error));
}

void cache_file_write_lost(CacheFile *file, guint64 offset, gsize length, int errnum)
{
	Cache *cache = file->cache;
	g_mutex_lock(&cache->lock);
	GSList *failed =
		cache_change_lost_locked(cache, file->node, offset, offset + length, errnum);
	g_mutex_unlock(&cache->lock);
	tell_lost(failed, errnum);
}

typedef struct {
	CacheFile *file;
	guint64 offset;
	gsize length;
	bool append;
	CacheWriteCallback callback;
	void *data;
} WaitingWrite;

/* The end may have moved since its place was noted as lost. */
static void place_locked(WaitingWrite *write)
{
	CacheNode *node = write->file->node;
	guint64 end = (guint64)MAX(node->r.size, 0);
	if (!write->append || write->offset == end)
		return;
	cache_extents_remove(&node->lost, write->offset, write->offset + write->length);
	write->offset = end;
}

static void on_room(Cache *cache, const GError *error, void *data)
{
	g_autofree WaitingWrite *write = data;
	CacheNode *node = write->file->node;
	g_autoptr(GError) failure = NULL;
	GSList *failed = NULL;
	CacheSpan span;
	bool believed = false;
	g_mutex_lock(&cache->lock);
	place_locked(write);
	bool ok = !error && begin_locked(write->file, write->offset, write->length, &span,
	                                 &believed, &failure);
	if (!ok && !error) {
		cache_space_written_locked(cache, write->length);
		error = failure;
	}
	if (!ok)
		failed = cache_change_lost_locked(cache, node, write->offset,
		                                  write->offset + write->length, error->code);
	g_mutex_unlock(&cache->lock);
	if (!ok)
		tell_lost(failed, error->code);
	if (ok && believed && !settle(write->file, &span, &failure)) {
		ok = false;
		error = failure;
	}
	write->callback(ok ? &span : NULL, ok ? NULL : error, write->data);
}

void cache_file_write_wait(CacheFile *file, guint64 offset, gsize length, bool append,
                           CacheWriteCallback callback, void *data)
{
	Cache *cache = file->cache;
	g_autoptr(GError) error = NULL;
	WaitingWrite *write = g_new(WaitingWrite, 1);
	*write = (WaitingWrite){file, offset, length, append, callback, data};
	g_mutex_lock(&cache->lock);
	bool waits = cache_space_wait_locked(cache, file->node, length, on_room, write, &error);
	g_mutex_unlock(&cache->lock);
	if (!waits)
		on_room(cache, error, write);
}

void cache_file_write_end(CacheFile *file, const CacheSpan *span, gsize written, int errnum)
{
	Cache *cache = file->cache;
	CacheNode *node = file->node;
	CACHE_CRASH_POINT("write.copied");
	GSList *failed = NULL;
	g_mutex_lock(&cache->lock);
	CacheContent *content = node->content;
	g_mutex_lock(&content->io);
	cache_extents_remove(&content->claimed, span->offset, span->offset + span->length);
	cache_content_add_io(content, span->offset, span->offset + written);
	g_mutex_unlock(&content->io);
	cache_space_written_locked(cache, span->length);
	if (--node->write_calls == 0)
		g_cond_broadcast(&node->settled);
	cache_fetch_look_again(cache, content);
	guint64 end = span->offset + written;
	cache_change_found_locked(cache, node, span->offset, end);
	if (written) {
		node->r.size = MAX(node->r.size, (gint64)end);
		node->r.mtime = node->r.ctime = cache_now_ns();
		node->changed = true;
	}
	if (errnum)
		failed = cache_change_lost_locked(cache, node, end, span->offset + span->length,
		                                  errnum);
	if (end >= file->written_out + WRITE_OUT_BYTES) {
		cache_syncer_write_out(cache, content, file->written_out, end - file->written_out);
		file->written_out = end;
	}
	if (node->publishers)
		cache_queue_consider_locked(cache, node);
	g_mutex_unlock(&cache->lock);
	tell_lost(failed, errnum);
}

/* --- closing --- */

bool cache_file_flush(CacheFile *file, GError **error)
{
	Cache *cache = file->cache;
	CacheNode *node = file->node;
	if (!file->writer)
		return true;
	CACHE_CRASH_POINT("file.flushing");
	g_mutex_lock(&cache->lock);
	bool ok = true;
	if (node->write_errno) {
		/* Journaled all the same: what could be kept is kept. */
		cache_change_flush_locked(cache, node, NULL);
		g_set_error(error, CACHE_ERROR, node->write_errno, "%s: a write to it was lost",
		            node->r.name);
		ok = false;
	} else {
		ok = cache_change_flush_locked(cache, node, error);
	}
	g_mutex_unlock(&cache->lock);
	CACHE_CRASH_POINT("file.flushed");
	return ok;
}

void cache_file_release(CacheFile *file)
{
	Cache *cache = file->cache;
	CacheNode *node = file->node;
	g_autoptr(GError) error = NULL;
	CacheContent *idle = NULL;
	g_mutex_lock(&cache->lock);
	CACHE_CRASH_POINT("file.releasing");
	node->opens--;
	node->writers -= file->writer;
	if (file->bound)
		*(file->lineage == node->lineage ? &node->bound : &node->stale) -= 1;
	if (!node->opens) {
		cache_rename_keep_no_more_locked(node);
		node->read = node->parted = false;
	}
	if (node->content && g_atomic_int_get(&node->content->grown))
		cache_space_measure_locked(cache, node->content);
	/* The descriptor is worth keeping only while somebody uses it. */
	if (!node->opens && node->content && !node->job)
		idle = cache_content_ref(node->content);
	/* Eviction goes by when a blob was used last; a failure only makes it a worse guess. */
	static const struct timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
	if (node->content && futimens(node->content->fd, now) < 0)
		g_debug("%s: cannot note its use", node->r.name);
	/* The kernel flushes before it releases, but at a session's end it may do neither. */
	if (file->writer && !cache_change_flush_locked(cache, node, &error))
		g_warning("%s: %s", node->r.name, error->message);
	cache_queue_consider_locked(cache, node);
	g_mutex_unlock(&cache->lock);
	if (idle) {
		cache_fetch_stop(cache, idle, NULL);
		cache_content_put(idle);
	}
	g_mutex_lock(&cache->lock);
	if (!node->writers && !cache_node_dirty(node)) {
		cache_extents_remove(&node->lost, 0, G_MAXUINT64);
		node->write_errno = 0;
	}
	cache_space_closed_locked(cache, node);
	cache_node_put_locked(cache, node);
	g_mutex_unlock(&cache->lock);
	CACHE_CRASH_POINT("file.released");
	g_free(file);
}
