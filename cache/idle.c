/* Idle nodes: nobody here uses them, but the kernel remembers them. A program that walks through
 * folders of a hundred thousand files leaves as many behind. Those used least recently go from
 * memory; how often the kernel has looked them up stays. They come back from the journal. */
#include "cache/private.h"

#define IDLE_MAX 4096
#define PASS_NODES 256 /* looked at in one go, with the lock held */
#define PAUSE_MS 100   /* when none of them could go */

typedef struct {
	CacheId id; /* the key */
	guint64 refs;
} Lookups;

void cache_idle_init(Cache *cache)
{
	cache->idle.limit = IDLE_MAX;
	cache->idle.lookups = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
}

void cache_idle_clear(Cache *cache)
{
	g_hash_table_unref(cache->idle.lookups);
}

void cache_idle_adopt_locked(Cache *cache, CacheNode *node)
{
	Lookups *lookups = g_hash_table_lookup(cache->idle.lookups, &node->r.id);
	if (!lookups)
		return;
	node->refs = lookups->refs;
	g_hash_table_remove(cache->idle.lookups, lookups);
}

void cache_idle_unref_locked(Cache *cache, CacheId id, guint64 count)
{
	Lookups *lookups = g_hash_table_lookup(cache->idle.lookups, &id);
	if (!lookups)
		return;
	lookups->refs -= MIN(lookups->refs, count);
	if (!lookups->refs)
		g_hash_table_remove(cache->idle.lookups, lookups);
}

void cache_idle_forget_all_locked(Cache *cache)
{
	g_hash_table_remove_all(cache->idle.lookups);
}

/* May it be forgotten, without losing more than a question? */
static bool may_go(CacheNode *node)
{
	if (node->content)
		cache_content_idle_locked(node);
	bool listed = node->list_running ||
	              MAX(node->list_until, node->list_failed_until) > g_get_monotonic_time();
	return node->refs && node->r.parent > CACHE_PARENT_ROOT && !cache_node_dirty(node) &&
	       cache_node_whole(node) && !node->content && !node->opens && !node->leaving &&
	       !node->keeping && !node->retry && !listed;
}

static void let_go_locked(Cache *cache, CacheNode *node)
{
	Lookups *lookups = g_new(Lookups, 1);
	*lookups = (Lookups){node->r.id, node->refs};
	g_hash_table_add(cache->idle.lookups, lookups);
	cache_siblings_take_back_locked(cache, node);
	cache_siblings_clear_locked(cache, node);
	g_hash_table_remove(cache->nodes, &node->r.id);
	cache_node_free(node);
}

static gboolean on_pause(void *data);

static void trim(void *data)
{
	Cache *cache = data;
	CacheIdle *idle = &cache->idle;
	g_mutex_lock(&cache->lock);
	guint before = idle->nodes.length;
	for (guint i = 0; i < PASS_NODES && idle->nodes.length > idle->limit; i++) {
		CacheNode *node = idle->nodes.head->data;
		cache_idle_leave_locked(cache, node);
		if (node->pins)
			continue; /* whoever uses it puts it back */
		if (may_go(node))
			let_go_locked(cache, node);
		else
			cache_idle_enter_locked(cache, node);
	}
	idle->trimming = idle->nodes.length > idle->limit && !cache->stopping;
	/* The leases of folders that were just listed are waited for. */
	if (idle->trimming && idle->nodes.length < before)
		cache_worker_post(cache, trim, cache);
	else if (idle->trimming)
		idle->timer = cache_worker_after(cache, PAUSE_MS, on_pause, cache, NULL);
	g_mutex_unlock(&cache->lock);
}

static gboolean on_pause(void *data)
{
	Cache *cache = data;
	g_mutex_lock(&cache->lock);
	cache_worker_cancel(&cache->idle.timer);
	g_mutex_unlock(&cache->lock);
	trim(cache);
	return G_SOURCE_REMOVE;
}

void cache_idle_enter_locked(Cache *cache, CacheNode *node)
{
	CacheIdle *idle = &cache->idle;
	cache_idle_leave_locked(cache, node);
	node->idle_link.data = node;
	g_queue_push_tail_link(&idle->nodes, &node->idle_link);
	/* Behind the caller's back, who may know nodes that nobody has pinned. */
	if (idle->nodes.length > idle->limit + idle->limit / 8 && !idle->trimming) {
		idle->trimming = true;
		cache_worker_post(cache, trim, cache);
	}
}

void cache_idle_leave_locked(Cache *cache, CacheNode *node)
{
	if (!node->idle_link.data)
		return;
	g_queue_unlink(&cache->idle.nodes, &node->idle_link);
	node->idle_link.data = NULL;
}
