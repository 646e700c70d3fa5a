/* Local changes of a file's content, and how they are journaled. */
#include "cache/private.h"

#include <errno.h>
#include <unistd.h>

#include "cache/upload.h"

#define FLUSH_AGAIN_MS 1000

bool cache_change_begin_locked(Cache *cache, CacheNode *node, guint64 offset, GError **error)
{
	CacheRecord *r = &node->r;
	guint64 sealed = MAX(node->sealed, r->published);
	bool first = r->generation <= sealed;
	bool tears = !r->torn && offset < node->flushed_size;
	bool durable = node->content && node->content->durable;
	/* What lost a write, or was cut off, is parked; who writes it anew takes it up again. */
	bool parked = r->state == CACHE_STATE_FAILED && !node->write_errno;
	if (!first && !tears && !durable && !parked)
		return true;
	if (first)
		cache_conflict_note_base_locked(node);
	CacheRecord before = *r;
	/* Whoever writes to a conflict copy that has arrived has seen it. */
	if (!cache_node_dirty(node))
		r->conflict = NULL;
	if (first)
		r->generation = sealed + 1;
	if (node->write_errno)
		r->state = CACHE_STATE_FAILED;
	else if (parked || (first && r->state != CACHE_STATE_CONFLICT))
		r->state = CACHE_STATE_DIRTY;
	if (tears)
		r->torn = CACHE_TORN_WRITING;
	if (!cache_store_begin(cache->store, error))
		goto failed;
	bool ok = (!(first || durable) ||
	           cache_store_mark_blob(cache->store, r->blob, cache->boot_id, false, error)) &&
	          cache_node_save_locked(cache, node, error);
	if (cache_store_end(cache->store, ok, ok ? error : NULL) && ok) {
		CACHE_CRASH_POINT("change.begun");
		if (durable) {
			node->content->durable = false;
			node->content->believed = MAX(r->size, 0);
		}
		if (first && r->parent != CACHE_PARENT_UNLINKED)
			cache_node_mark_dirty_locked(cache, node);
		if (!r->conflict)
			g_free(before.conflict);
		return true;
	}
failed:
	r->generation = before.generation;
	r->state = before.state;
	r->torn = before.torn;
	r->conflict = before.conflict;
	return false;
}

static bool flush_locked(Cache *cache, CacheNode *node, GError **error)
{
	if (!node->changed || !node->content)
		return true;
	CacheTorn torn = node->r.torn;
	if (!cache_store_begin(cache->store, error))
		return false;
	/* A file that lost a write is never whole, whatever is journaled of it; and one that
	 * another handle is writing to is not whole yet. */
	if (!cache_node_whole(node))
		node->r.torn = CACHE_TORN_LOST;
	else if (!node->write_calls)
		node->r.torn = CACHE_TORN_NO;
	node->changed = false;
	/* An older generation in a blob of its own is what recovery would go back to: no more. */
	CacheGeneration older;
	bool supersedes = node->sealed > node->r.published &&
	                  cache_store_find_generation(cache->store, node->r.id, &older, NULL) &&
	                  older.blob != node->r.blob;
	bool ok = (!supersedes ||
	           cache_queue_drop_generations_locked(cache, node, G_MAXINT64, error)) &&
	          cache_content_save_extents_locked(node->content, error) &&
	          cache_node_save_locked(cache, node, error);
	ok = cache_store_end(cache->store, ok, ok ? error : NULL) && ok;
	if (!ok) {
		node->r.torn = torn;
		node->changed = true;
		return false;
	}
	CACHE_CRASH_POINT("change.flushed");
	node->flushed_size = node->r.size;
	return true;
}

/* Close has failed, but what was written is here, and is journaled as soon as that is possible. */
static gboolean on_flush_timer(void *data)
{
	Cache *cache = data;
	g_mutex_lock(&cache->lock);
	if (!g_source_is_destroyed(g_main_current_source())) {
		cache_worker_cancel(&cache->flush_timer);
		cache_change_flush_closed_locked(cache);
	}
	g_mutex_unlock(&cache->lock);
	return G_SOURCE_REMOVE;
}

bool cache_change_flush_locked(Cache *cache, CacheNode *node, GError **error)
{
	g_autoptr(GError) failure = NULL;
	if (flush_locked(cache, node, &failure))
		return true;
	/* The ballast may have gone for it. */
	if (failure->code == ENOSPC && flush_locked(cache, node, NULL))
		return true;
	g_propagate_error(error, g_steal_pointer(&failure));
	if (!cache->flush_timer && !cache->stopping)
		cache->flush_timer =
			cache_worker_after(cache, FLUSH_AGAIN_MS, on_flush_timer, cache, NULL);
	return false;
}

void cache_change_flush_closed_locked(Cache *cache)
{
	GHashTableIter iter;
	void *key;
	g_hash_table_iter_init(&iter, cache->dirty);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		CacheNode *node = key;
		if (node->changed && !node->writers && !node->write_calls &&
		    cache_change_flush_locked(cache, node, NULL))
			cache_queue_consider_locked(cache, node);
	}
}

void cache_change_found_locked(Cache *cache, CacheNode *node, guint64 start, guint64 end)
{
	if (!cache_extents_count(&node->lost))
		return;
	cache_extents_remove(&node->lost, start, end);
	if (cache_extents_count(&node->lost) || !node->write_errno)
		return;
	g_message("%s: what was lost is there now", node->r.name);
	node->write_errno = 0;
	node->r.torn = CACHE_TORN_WRITING; /* until the next flush */
	node->changed = true;
	if (cache_node_dirty(node))
		cache_node_set_state_locked(cache, node, CACHE_STATE_DIRTY, NULL);
}

/* What there may be behind the old end is none of the file's: what is added is a hole. */
static bool resize(CacheContent *content, guint64 old_size, guint64 size, GError **error)
{
	g_mutex_lock(&content->io);
	bool ok = ftruncate(content->fd, MIN(old_size, size)) == 0 &&
	          ftruncate(content->fd, size) == 0;
	int errnum = errno;
	g_mutex_unlock(&content->io);
	if (!ok)
		g_set_error(error, CACHE_ERROR, errnum, "cannot change the size of a blob: %s",
		            g_strerror(errnum));
	return ok;
}

/* The part of the blob from `size` on is no longer the file's; or what was added to it is: zeros,
 * and as good as written. */
static void note_size(CacheContent *content, guint64 old_size, guint64 size)
{
	g_mutex_lock(&content->io);
	content->written = true;
	if (size < old_size) {
		cache_extents_remove(&content->resident, size, G_MAXINT64);
		cache_extents_remove(&content->doubtful, size, G_MAXINT64);
		content->limit = MIN(content->limit, size);
		cache_fetch_cut_io(content, size);
	} else {
		cache_content_add_io(content, old_size, size);
	}
	g_mutex_unlock(&content->io);
}

bool cache_change_truncate_locked(Cache *cache, CacheNode *node, guint64 size, bool opening,
                                  GError **error)
{
	/* open(O_TRUNC) is not kept apart from writes by the kernel. */
	while (node->write_calls || node->cloning)
		g_cond_wait(&node->settled, &cache->lock);
	if (size > G_MAXINT64) {
		g_set_error_literal(error, CACHE_ERROR, EFBIG, "too large");
		return false;
	}
	if (!cache_queue_unseal_locked(cache, node, size == 0, error))
		return false;
	CacheContent *content = cache_content_open_locked(cache, node, size ? error : NULL);
	if (!content && size) /* to be written anew it need not be there */
		return false;
	guint64 old_size = MAX(node->r.size, 0);
	bool ok;
	if (size == 0 && (!content || old_size > 0 || node->write_errno || node->r.torn ||
	                  (cache_node_dirty(node) && node->r.state != CACHE_STATE_DIRTY))) {
		/* A new blob, so that a crash leaves either the old content or none. */
		cache_conflict_note_base_locked(node);
		CacheRecord before = node->r;
		if (!cache_node_dirty(node))
			node->r.conflict = NULL;
		guint64 sealed = MAX(node->sealed, node->r.published), flushed = node->flushed_size;
		bool changed = node->changed;
		node->r.size = node->flushed_size = 0;
		node->r.generation = MAX(node->r.generation, sealed + 1);
		node->r.torn = opening ? CACHE_TORN_WRITING : CACHE_TORN_NO;
		node->r.state = CACHE_STATE_DIRTY;
		node->changed = false;
		ok = cache_content_renew_locked(cache, node, error);
		if (ok) {
			g_mutex_lock(&node->content->io);
			node->content->limit = 0;
			node->content->written = true;
			g_mutex_unlock(&node->content->io);
			node->write_errno = 0;
			cache_extents_remove(&node->lost, 0, G_MAXUINT64);
			if (!node->r.conflict)
				g_free(before.conflict);
			if (node->r.parent != CACHE_PARENT_UNLINKED)
				cache_node_mark_dirty_locked(cache, node);
		} else {
			node->changed = changed; /* still to be journaled */
			node->r.size = before.size;
			node->flushed_size = flushed;
			node->r.generation = before.generation;
			node->r.torn = before.torn;
			node->r.state = before.state;
			node->r.conflict = before.conflict;
		}
	} else {
		/* Growing tears nothing, but may not be possible; shrinking is journaled before the
		 * bytes go. */
		guint64 flushed = node->flushed_size;
		ok = (size < old_size || resize(content, old_size, size, error)) &&
		     cache_change_begin_locked(cache, node, G_MAXINT64, error) &&
		     (size >= content->believed || cache_store_sync(cache->store, error));
		if (ok && size < old_size) {
			node->r.size = size;
			node->flushed_size = MIN(flushed, size);
			ok = cache_node_save_locked(cache, node, error);
			if (!ok) {
				node->r.size = (gint64)old_size;
				node->flushed_size = flushed;
			}
		}
		CACHE_CRASH_POINT("change.shrunk");
		if (ok)
			note_size(content, old_size, size);
		ok = ok && (size >= old_size || resize(content, old_size, size, error));
		CACHE_CRASH_POINT("change.cut");
		if (ok)
			cache_change_found_locked(cache, node, size, G_MAXUINT64);
		if (ok && opening && !node->r.torn) {
			node->r.torn = CACHE_TORN_WRITING;
			ok = cache_node_save_locked(cache, node, error);
			if (!ok)
				node->r.torn = CACHE_TORN_NO;
		}
	}
	if (content) {
		cache_fetch_look_again(cache, content);
		cache_content_unref(content);
	}
	if (!ok) {
		/* It may have become dirty all the same: who waits for it is not to wait for ever.
		 */
		cache_queue_consider_locked(cache, node);
		return false;
	}
	CACHE_CRASH_POINT("change.truncated");
	node->r.size = size;
	node->r.mtime = node->r.ctime = cache_now_ns();
	node->changed = true;
	return opening || cache_change_flush_locked(cache, node, error);
}

GSList *cache_change_lost_locked(Cache *cache, CacheNode *node, guint64 start, guint64 end,
                                 int errnum)
{
	if (errnum == ESTALE) { /* it was not this version that the writer meant */
		cache_extents_remove(&node->lost, start, end);
		return NULL;
	}
	cache_extents_add(&node->lost, start, end);
	g_autoptr(GError) error = g_error_new(
		CACHE_ERROR, errnum, "a write to it was lost: %s: write it anew, or remove it",
		g_strerror(errnum));
	if (!node->write_errno)
		g_warning("%s: %s", node->r.name, error->message);
	node->write_errno = errnum;
	/* One that was not changed yet is what GSS has. */
	if (!cache_node_dirty(node))
		return NULL;
	node->r.torn = CACHE_TORN_LOST; /* also after a restart */
	cache_node_set_state_locked(cache, node, CACHE_STATE_FAILED, error);
	return cache_publishers_take_locked(node, G_MAXUINT64);
}
