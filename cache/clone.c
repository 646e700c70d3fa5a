/* Clones: a node's content is copied for a writer, while an upload keeps the old one. */
#include "cache/private.h"

#include <errno.h>

/* Fills the copy; the lock is dropped meanwhile. A real copy takes room, which must be there, and
 * time, which the worker does not have. */
static bool copy_locked(Cache *cache, CacheNode *node, CacheContent *old, CacheContent *copy,
                        GError **error)
{
	guint64 size = node->r.size, bytes = 0;
	g_mutex_unlock(&cache->lock);
	bool ok = cache_blob_share(old->fd, copy->fd);
	g_mutex_lock(&cache->lock);
	if (!ok) {
		cache_space_measure_locked(cache, old);
		bytes = old->bytes;
	}
	if (!ok &&
	    (cache_worker_is_current(cache) || !cache_space_take_locked(cache, node, bytes))) {
		g_set_error_literal(error, CACHE_ERROR, ENOSPC, "a copy does not fit");
		return false;
	}
	if (!ok) {
		g_mutex_unlock(&cache->lock);
		ok = cache_blob_copy(old->fd, copy->fd, size, error);
		g_mutex_lock(&cache->lock);
		cache_space_written_locked(cache, bytes);
	}
	cache_space_measure_locked(cache, copy);
	return ok;
}

/* Makes the copy the node's content, unless another version has replaced what was copied. */
static bool install_locked(Cache *cache, CacheNode *node, CacheBlobId before, CacheContent *copy,
                           GError **error)
{
	if (node->r.blob != before || !node->content || node->content->blob != before) {
		g_set_error(error, CACHE_ERROR, ESTALE, "%s: another version has replaced it",
		            node->r.name);
		return false;
	}
	if (!cache_store_begin(cache->store, error))
		return false;
	node->r.blob = copy->blob;
	/* If the upload has ended meanwhile nobody has the old one any more. */
	bool ok = cache_content_save_extents_locked(copy, error) &&
	          (node->job || cache_blob_let_go_locked(cache, node, before, error)) &&
	          cache_node_save_locked(cache, node, error);
	ok = cache_store_end(cache->store, ok, ok ? error : NULL) && ok;
	if (!ok) {
		node->r.blob = before;
		return false;
	}
	cache_content_unref(node->content);
	node->content = copy;
	return true;
}

bool cache_clone_locked(Cache *cache, CacheNode *node, GError **error)
{
	CacheBlobId before = node->r.blob;
	CacheContent *old = cache_content_ref(node->content);
	CacheBlobId id = cache_store_insert_blob(cache->store, node->r.id, cache->boot_id, error);
	int fd = id ? cache_blob_create(&cache->blobs, id, error) : -1;
	if (fd < 0) {
		if (id)
			cache_store_remove_blob(cache->store, id, NULL);
		cache_content_unref(old);
		return false;
	}
	CacheContent *copy = cache_content_new(cache, node->r.id, id, fd);
	/* Before the copy: what a download brings meanwhile may be a hole in it. */
	g_mutex_lock(&old->io);
	for (guint i = 0; i < cache_extents_count(&old->resident); i++) {
		CacheExtent extent = cache_extents_get(&old->resident, i);
		cache_extents_add(&copy->resident, extent.start, extent.end);
	}
	for (guint i = 0; i < cache_extents_count(&old->doubtful); i++) {
		CacheExtent extent = cache_extents_get(&old->doubtful, i);
		cache_extents_add(&copy->doubtful, extent.start, extent.end);
	}
	copy->limit = old->limit;
	copy->written = old->written;
	g_mutex_unlock(&old->io);
	node->cloning = true;
	bool ok = copy_locked(cache, node, old, copy, error);
	CACHE_CRASH_POINT("queue.cloned");
	node->cloning = false;
	g_cond_broadcast(&node->settled);
	ok = ok && install_locked(cache, node, before, copy, error);
	if (ok) {
		CACHE_CRASH_POINT("queue.cloned_recorded");
		if (!node->job)
			cache_content_discard(old);
	} else {
		cache_content_discard(copy);
		cache_store_remove_blob(cache->store, id, NULL);
		cache_content_unref(copy);
	}
	cache_content_unref(old);
	return ok;
}
