/* What is still to be done, and who waits for its end. */
#include "cache/private.h"
#include "cache/upload.h"

void cache_pending(Cache *cache, CachePending *ret)
{
	*ret = (CachePending){0};
	g_mutex_lock(&cache->lock);
	GHashTableIter iter;
	void *key;
	g_hash_table_iter_init(&iter, cache->dirty);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		CacheNode *node = key;
		ret->files++;
		if (cache_node_parked(node)) {
			ret->parked++;
			continue;
		}
		ret->bytes_total += node->r.size;
		ret->bytes_done += node->job ? node->job->sent : 0;
	}
	guint removals, refused;
	cache_removal_count_locked(cache, &removals, &refused);
	ret->removals = removals;
	ret->refused = refused;
	g_mutex_unlock(&cache->lock);
}

static bool drained_locked(Cache *cache)
{
	guint removals, refused;
	cache_removal_count_locked(cache, &removals, &refused);
	if (removals)
		return false;
	GHashTableIter iter;
	void *key;
	g_hash_table_iter_init(&iter, cache->nameless);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		if (((CacheNode *)key)->r.moved_from)
			return false;
	}
	g_hash_table_iter_init(&iter, cache->dirty);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		if (!cache_node_parked(key))
			return false;
	}
	return true;
}

void cache_queue_check_drained_locked(Cache *cache, GSList **ret_calls)
{
	if (cache->drainers && drained_locked(cache))
		*ret_calls = g_slist_concat(*ret_calls, g_steal_pointer(&cache->drainers));
}

static void look(void *data)
{
	Cache *cache = data;
	GSList *calls = NULL;
	g_mutex_lock(&cache->lock);
	cache_queue_check_drained_locked(cache, &calls);
	g_mutex_unlock(&cache->lock);
	cache_calls_run(cache, calls, NULL);
}

void cache_drain_look_soon_locked(Cache *cache)
{
	if (cache->drainers)
		cache_worker_post(cache, look, cache);
}

typedef struct {
	CacheCallback callback;
	void *data;
} Drain;

static void on_drained(Cache *cache, const GError *error, void *data)
{
	g_autofree Drain *drain = data;
	drain->callback(error, drain->data);
}

/* What they wait for may have gone meanwhile. */
static void try_blocked_locked(Cache *cache)
{
	GHashTableIter iter;
	void *key;
	g_hash_table_iter_init(&iter, cache->dirty);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		CacheNode *node = key;
		if (!node->blocked || node->job)
			continue;
		node->blocked = false;
		cache_worker_cancel(&node->retry);
		cache_queue_consider_locked(cache, node);
	}
}

void cache_drain(Cache *cache, CacheCallback callback, void *data)
{
	Drain *drain = g_new(Drain, 1);
	*drain = (Drain){callback, data};
	GSList *calls = NULL;
	g_mutex_lock(&cache->lock);
	cache->drainers = cache_calls_add(cache->drainers, on_drained, drain);
	try_blocked_locked(cache);
	cache_burst_end_locked(cache);
	cache_queue_run_locked(cache);
	cache_queue_check_drained_locked(cache, &calls);
	g_mutex_unlock(&cache->lock);
	cache_calls_run(cache, calls, NULL);
}
