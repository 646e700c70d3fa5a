/* Waiting until GSS has a generation: fsync, registration. */
#include "cache/private.h"

#include <errno.h>

typedef struct {
	guint64 generation;
	CachePublishCallback callback;
	void *data;
} Publisher;

GSList *cache_publishers_take_locked(CacheNode *node, guint64 up_to)
{
	GSList *taken = NULL;
	for (GSList *l = node->publishers, *next; l; l = next) {
		next = l->next;
		if (((Publisher *)l->data)->generation > up_to)
			continue;
		node->publishers = g_slist_remove_link(node->publishers, l);
		taken = g_slist_concat(l, taken);
	}
	if (!node->publishers)
		cache_worker_cancel(&node->deadline);
	return taken;
}

void cache_publishers_run(GSList *publishers, const char *uri, const GError *error)
{
	while (publishers) {
		g_autofree Publisher *publisher = publishers->data;
		publishers = g_slist_delete_link(publishers, publishers);
		publisher->callback(error ? NULL : uri, error, publisher->data);
	}
}

typedef struct {
	Cache *cache;
	CacheNode *node; /* alive: the timer goes with it */
} Deadline;

static gboolean on_deadline(void *data)
{
	Deadline *deadline = data;
	Cache *cache = deadline->cache;
	CacheNode *node = deadline->node;
	GSList *late = NULL;
	g_mutex_lock(&cache->lock);
	/* Cancelled, with the node perhaps, while this waited for the lock. */
	if (g_source_is_destroyed(g_main_current_source())) {
		g_mutex_unlock(&cache->lock);
		return G_SOURCE_REMOVE;
	}
	gint64 left = node->progress_at + CACHE_PROGRESS_DEADLINE_US - g_get_monotonic_time();
	g_autofree char *message = g_strdup_printf("%s: no progress for 60 s%s%s; it stays queued",
	                                           node->r.name, node->r.message ? ": " : "",
	                                           node->r.message ? node->r.message : "");
	if (left > 0)
		g_source_set_ready_time(node->deadline, g_get_monotonic_time() + left);
	else
		late = cache_publishers_take_locked(node, G_MAXUINT64);
	g_mutex_unlock(&cache->lock);
	if (late) {
		g_autoptr(GError) error = g_error_new_literal(CACHE_ERROR, ETIMEDOUT, message);
		cache_publishers_run(late, NULL, error);
	}
	return left > 0 ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static void arm_locked(Cache *cache, CacheNode *node)
{
	if (node->deadline)
		return;
	Deadline *deadline = g_new(Deadline, 1);
	*deadline = (Deadline){cache, node};
	node->progress_at = g_get_monotonic_time();
	node->deadline = cache_worker_after(cache, CACHE_PROGRESS_DEADLINE_US / 1000, on_deadline,
	                                    deadline, g_free);
}

/* True: answered by what is in ret_uri or error. */
static bool answer_locked(Cache *cache, CacheNode *node, CachePublishCallback callback, void *data,
                          char **ret_uri, GError **error)
{
	if (!cache_node_dirty(node)) {
		*ret_uri = g_strdup(node->r.uri);
		return true;
	}
	if (node->write_errno) {
		g_set_error(error, CACHE_ERROR, node->write_errno, "%s: a write to it was lost",
		            node->r.name);
		return true;
	}
	if (node->r.torn && !node->changed) {
		g_set_error(error, CACHE_ERROR, EIO, "%s: %s", node->r.name,
		            node->r.message ? node->r.message : "it was not written to its end");
		return true;
	}
	if (node->r.parent == CACHE_PARENT_UNLINKED || cache->stopping || !cache->client) {
		g_set_error(error, CACHE_ERROR,
		            node->r.parent == CACHE_PARENT_UNLINKED ? ENOENT : EIO,
		            "%s: is not going to be uploaded", node->r.name);
		return true;
	}
	Publisher *publisher = g_new(Publisher, 1);
	*publisher = (Publisher){node->r.generation, callback, data};
	CACHE_CRASH_POINT("fsync.waiting");
	node->publishers = g_slist_prepend(node->publishers, publisher);
	arm_locked(cache, node);
	/* Somebody asks: what was parked, or waits for its next try, is tried now. */
	if (node->r.state == CACHE_STATE_FAILED || node->r.state == CACHE_STATE_CONFLICT)
		node->r.state = CACHE_STATE_DIRTY;
	cache_worker_cancel(&node->retry);
	cache_queue_consider_locked(cache, node);
	cache_queue_resume_locked(cache);
	return false;
}

void cache_publish(Cache *cache, CacheId id, CachePublishCallback callback, void *data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *uri = NULL;
	bool answered = true;
	g_mutex_lock(&cache->lock);
	CacheNode *node = cache_node_get_locked(cache, id, &error);
	if (node) {
		answered = answer_locked(cache, node, callback, data, &uri, &error);
		cache_node_put_locked(cache, node);
	}
	g_mutex_unlock(&cache->lock);
	if (answered)
		callback(error ? NULL : uri, error, data);
}

/* --- fsync --- */

typedef struct {
	CacheCallback callback;
	void *data;
} Fsync;

static void on_published(const char *uri, const GError *error, void *data)
{
	CACHE_CRASH_POINT("fsync.answering");
	g_autofree Fsync *request = data;
	request->callback(error, request->data);
}

static void on_synced(Cache *cache, const GError *error, void *data)
{
	g_autofree Fsync *request = data;
	request->callback(error, request->data);
}

/* What is written now is journaled and brought to the local disk. */
static bool sync_locally(Cache *cache, CacheId id, Fsync *request, GError **error)
{
	g_mutex_lock(&cache->lock);
	CacheNode *node = cache_node_get_locked(cache, id, error);
	bool ok = node != NULL, queued = false;
	if (ok && node->write_errno) {
		g_set_error(error, CACHE_ERROR, node->write_errno, "%s: a write to it was lost",
		            node->r.name);
		ok = false;
	}
	if (ok && cache_node_dirty(node)) {
		CacheContent *content = NULL;
		ok = cache_change_flush_locked(cache, node, error) &&
		     (content = cache_content_open_locked(cache, node, error));
		if (ok) {
			cache_syncer_sync(cache, content, on_synced, request);
			cache_content_unref(content);
			queued = true;
		}
	}
	if (node)
		cache_node_put_locked(cache, node);
	g_mutex_unlock(&cache->lock);
	if (ok && !queued)
		on_synced(cache, NULL, request);
	return ok;
}

void cache_fsync(Cache *cache, CacheId id, CacheCallback callback, void *data)
{
	Fsync *request = g_new(Fsync, 1);
	*request = (Fsync){callback, data};
	g_autoptr(GError) error = NULL;
	g_mutex_lock(&cache->lock);
	CacheNode *node = g_hash_table_lookup(cache->nodes, &id);
	/* Without a name there is nothing to bring to GSS, and nothing that could be found after a
	 * crash. */
	bool nameless = node && node->r.parent == CACHE_PARENT_UNLINKED;
	g_mutex_unlock(&cache->lock);
	if (nameless)
		on_published("", NULL, request);
	else if (!cache->fsync_local)
		cache_publish(cache, id, on_published, request);
	else if (!sync_locally(cache, id, request, &error))
		on_synced(cache, error, request);
}
