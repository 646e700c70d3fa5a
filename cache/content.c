/* Contents: an open blob and which parts of the file it holds. */
#include "cache/private.h"

#include <errno.h>
#include <unistd.h>

#include "cache/upload.h"

#define SAVE_MS 2000 /* one transaction for all that comes meanwhile */

CacheContent *cache_content_new(Cache *cache, CacheId node, CacheBlobId blob, int fd)
{
	CacheContent *content = g_new0(CacheContent, 1);
	g_atomic_ref_count_init(&content->refs);
	content->cache = cache;
	content->node = node;
	content->blob = blob;
	content->fd = fd;
	content->limit = G_MAXUINT64;
	struct stat st;
	if (fstat(fd, &st) == 0)
		content->bytes = (guint64)st.st_blocks * 512;
	g_mutex_init(&content->io);
	cache_extents_init(&content->resident);
	cache_extents_init(&content->claimed);
	cache_extents_init(&content->doubtful);
	return content;
}

CacheContent *cache_content_ref(CacheContent *content)
{
	g_atomic_ref_count_inc(&content->refs);
	return content;
}

void cache_content_unref(CacheContent *content)
{
	if (!g_atomic_ref_count_dec(&content->refs))
		return;
	if (!g_atomic_int_get(&content->discard))
		cache_blob_measure(&content->cache->blobs, content->fd, content->bytes);
	close(content->fd);
	cache_extents_clear(&content->resident);
	cache_extents_clear(&content->claimed);
	cache_extents_clear(&content->doubtful);
	g_clear_pointer(&content->saving, g_source_unref); /* ended with us, by the worker's end */
	g_mutex_clear(&content->io);
	g_free(content);
}

void cache_content_discard(CacheContent *content)
{
	g_autoptr(GError) error = NULL;
	g_atomic_int_set(&content->discard, 1);
	cache_blob_measure(&content->cache->blobs, content->fd, content->bytes);
	if (!cache_blob_remove(&content->cache->blobs, content->blob, &error))
		g_warning("%s", error->message);
}

bool cache_content_busy(CacheContent *content)
{
	return !g_atomic_ref_count_compare(&content->refs, 1);
}

void cache_content_idle_locked(CacheNode *node)
{
	/* What is not journaled yet is nowhere else. */
	if (node->content && !node->changed && !node->opens && !node->job &&
	    !cache_content_busy(node->content))
		g_clear_pointer(&node->content, cache_content_unref);
}

void cache_content_put(CacheContent *content)
{
	Cache *cache = content->cache;
	g_mutex_lock(&cache->lock);
	CacheNode *node = g_hash_table_lookup(cache->nodes, &content->node);
	cache_content_unref(content);
	if (node) {
		cache_content_idle_locked(node);
		cache_node_idle_locked(cache, node);
	}
	g_mutex_unlock(&cache->lock);
}

/* A new blob, recorded and on disk; the caller's transaction makes it last. */
static CacheContent *make(Cache *cache, CacheNode *node, GError **error)
{
	CacheBlobId blob = cache_store_insert_blob(cache->store, node->r.id, cache->boot_id, error);
	if (!blob)
		return NULL;
	int fd = cache_blob_create(&cache->blobs, blob, error);
	return fd < 0 ? NULL : cache_content_new(cache, node->r.id, blob, fd);
}

bool cache_content_renew_locked(Cache *cache, CacheNode *node, GError **error)
{
	CacheBlobId old = node->r.blob;
	bool sent = node->job && node->job->content->blob == old;
	if (!cache_store_begin(cache->store, error))
		return false;
	CacheContent *content = make(cache, node, error);
	bool ok = content != NULL;
	if (ok) {
		node->r.blob = content->blob;
		/* A blob that an upload still reads is given up when that has ended (its
		 * generation). */
		ok = (!old || node->job || cache_store_give_up_blob(cache->store, old, error)) &&
		     cache_node_save_locked(cache, node, error);
	}
	ok = cache_store_end(cache->store, ok, ok ? error : NULL) && ok;
	if (!ok) {
		node->r.blob = old;
		if (content) {
			cache_content_discard(content);
			cache_content_unref(content);
		}
		return false;
	}
	CACHE_CRASH_POINT("content.renewed");
	if (node->content) {
		if (!sent)
			cache_content_discard(node->content);
		cache_content_unref(node->content);
	}
	node->content = content;
	return true;
}

/* What another boot left may be zeros: only a durable blob is believed. (What recovery found to be
 * dirty and not durable is not here any more, if it could be moved; what was clean then is still on
 * GSS.) */
static bool is_trusted(Cache *cache, CacheNode *node, bool *ret_durable, GError **error)
{
	g_autofree char *boot_id = NULL;
	if (!cache_store_blob_info(cache->store, node->r.blob, &boot_id, ret_durable, error))
		return false;
	if (*ret_durable || g_strcmp0(boot_id, cache->boot_id) == 0)
		return true;
	g_set_error(error, CACHE_ERROR, ENOENT,
	            "%s: its local copy had not reached the disk when the machine went down",
	            node->r.name);
	return false;
}

static CacheContent *load(Cache *cache, CacheNode *node, GError **error)
{
	struct stat st;
	bool durable = false;
	int fd = is_trusted(cache, node, &durable, error)
	                 ? cache_blob_open(&cache->blobs, node->r.blob, error)
	                 : -1;
	if (fd < 0)
		return NULL;
	CacheContent *content = cache_content_new(cache, node->r.id, node->r.blob, fd);
	content->durable = durable;
	/* What GSS has behind its end is none of what was changed here. */
	content->written = cache_node_dirty(node);
	if (content->written)
		content->limit = (guint64)MAX(node->r.size, 0);
	if (!cache_store_load_extents(cache->store, node->r.blob, &content->resident, error)) {
		cache_content_unref(content);
		return NULL;
	}
	/* What a truncate had begun may be journaled longer than it is. */
	guint64 end = cache_extents_end(&content->resident);
	if (node->r.size >= 0)
		end = MIN(end, (guint64)node->r.size);
	if (fstat(fd, &st) < 0 || (end > (guint64)st.st_size && !node->r.torn)) {
		g_set_error(error, CACHE_ERROR, EIO, "%s: its local copy is cut off", node->r.name);
		cache_content_unref(content);
		return NULL;
	}
	cache_extents_remove(&content->resident, (guint64)st.st_size, G_MAXUINT64);
	return content;
}

CacheContent *cache_content_open_locked(Cache *cache, CacheNode *node, GError **error)
{
	if (node->content)
		return cache_content_ref(node->content);
	g_autoptr(GError) failure = NULL;
	if (node->r.blob) {
		node->content = load(cache, node, &failure);
		if (node->content)
			return cache_content_ref(node->content);
		/* Whatever is there of what was written here stays. */
		if (cache_node_dirty(node)) {
			failure->code = failure->code == ENOENT ? EIO : failure->code;
			g_propagate_error(error, g_steal_pointer(&failure));
			return NULL;
		}
		/* Of a clean file nothing is lost: it is fetched again. */
		if (failure->code != ENOENT)
			g_warning("%s: %s", cache->path, failure->message);
	}
	if (!cache_content_renew_locked(cache, node, error))
		return NULL;
	return cache_content_ref(node->content);
}

bool cache_blob_let_go_locked(Cache *cache, CacheNode *node, CacheBlobId blob, GError **error)
{
	return blob == node->r.blob || cache_store_give_up_blob(cache->store, blob, error);
}

bool cache_blob_disown_locked(Cache *cache, CacheNode *node, CacheBlobId blob, GError **error)
{
	return blob == node->r.blob || cache_store_disown_blob(cache->store, blob, error);
}

bool cache_content_drop_locked(Cache *cache, CacheNode *node, GError **error)
{
	CacheBlobId old = node->r.blob;
	if (!old)
		return true;
	if (!cache_store_begin(cache->store, error))
		return false;
	node->r.blob = 0;
	bool ok = cache_store_give_up_blob(cache->store, old, error) &&
	          cache_node_save_locked(cache, node, error);
	ok = cache_store_end(cache->store, ok, ok ? error : NULL) && ok;
	if (!ok) {
		node->r.blob = old;
		return false;
	}
	CACHE_CRASH_POINT("content.dropped");
	if (node->content) {
		cache_content_discard(node->content);
		cache_fetch_look_again(cache, node->content);
		g_clear_pointer(&node->content, cache_content_unref);
	}
	return true;
}

void cache_content_add_io(CacheContent *content, guint64 start, guint64 end)
{
	cache_extents_add(&content->resident, start, end);
	cache_extents_remove(&content->doubtful, start, end);
	g_atomic_int_inc(&content->dirty_seq);
}

bool cache_content_synced_locked(CacheContent *content)
{
	return content->durable && content->synced == (guint)g_atomic_int_get(&content->dirty_seq);
}

bool cache_content_save_extents_locked(CacheContent *content, GError **error)
{
	if (g_atomic_int_get(&content->discard))
		return true;
	CacheStore *store = content->cache->store;
	CacheExtents copy;
	cache_extents_init(&copy);
	g_mutex_lock(&content->io);
	for (guint i = 0; i < cache_extents_count(&content->resident); i++) {
		CacheExtent extent = cache_extents_get(&content->resident, i);
		cache_extents_add(&copy, extent.start, extent.end);
	}
	for (guint i = 0; i < cache_extents_count(&content->doubtful); i++) {
		CacheExtent extent = cache_extents_get(&content->doubtful, i);
		cache_extents_remove(&copy, extent.start, extent.end);
	}
	g_mutex_unlock(&content->io);
	/* After the look at what is held: more may come at any time. The flag stays, for the
	 * transaction may fail; to clear it in the journal twice does no harm. */
	bool ok = (!content->durable || cache_content_synced_locked(content) ||
	           cache_store_mark_blob(store, content->blob, content->cache->boot_id, false,
	                                 error)) &&
	          cache_store_save_extents(store, content->blob, &copy, error);
	cache_extents_clear(&copy);
	return ok;
}

void cache_content_save_now(CacheContent *content)
{
	Cache *cache = content->cache;
	g_autoptr(GError) error = NULL;
	g_mutex_lock(&cache->lock);
	cache_space_measure_locked(cache, content);
	cache_evict_soon_locked(cache);
	g_mutex_lock(&content->io);
	bool due = content->unsaved > 0 && !g_atomic_int_get(&content->discard);
	content->unsaved = 0;
	g_mutex_unlock(&content->io);
	if (due && cache_store_begin(cache->store, &error)) {
		bool ok = cache_content_save_extents_locked(content, &error);
		cache_store_end(cache->store, ok, ok ? &error : NULL);
	}
	const CacheNode *node = g_hash_table_lookup(cache->nodes, &content->node);
	/* Of a file with changes also while it is read: without the rest they would not be believed
	 * after a power failure. */
	bool used = node && (node->writers || (node->opens && !cache_node_dirty(node)));
	bool sync = !used && !cache_content_synced_locked(content) &&
	            !g_atomic_int_get(&content->discard);
	g_mutex_unlock(&cache->lock);
	if (error)
		g_warning("%s: %s", cache->path, error->message);
	if (sync)
		cache_syncer_sync(cache, content, NULL, NULL);
}

static gboolean on_save(void *data)
{
	CacheContent *content = data;
	Cache *cache = content->cache;
	g_mutex_lock(&cache->lock);
	g_clear_pointer(&content->saving, g_source_unref);
	g_mutex_unlock(&cache->lock);
	cache_content_save_now(content);
	return G_SOURCE_REMOVE;
}

static void put(void *content)
{
	cache_content_put(content);
}

void cache_content_save_soon(CacheContent *content)
{
	Cache *cache = content->cache;
	g_mutex_lock(&cache->lock);
	/* What was given up is closed as soon as nobody uses it. */
	if (!content->saving && !g_atomic_int_get(&content->discard))
		content->saving = cache_worker_after(cache, SAVE_MS, on_save,
		                                     cache_content_ref(content), put);
	g_mutex_unlock(&cache->lock);
}

bool cache_content_empty(CacheContent *content)
{
	g_mutex_lock(&content->io);
	bool empty = !cache_extents_count(&content->resident);
	g_mutex_unlock(&content->io);
	return empty;
}

gint64 cache_content_came_at(CacheContent *content)
{
	g_mutex_lock(&content->io);
	gint64 at = content->came_at;
	g_mutex_unlock(&content->io);
	return at;
}

bool cache_content_whole(CacheContent *content, guint64 size)
{
	g_mutex_lock(&content->io);
	bool whole = cache_extents_contain(&content->resident, 0, size);
	g_mutex_unlock(&content->io);
	return whole;
}
