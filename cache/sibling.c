#include "cache/private.h"

#include <errno.h>
#include <string.h>

#define SIBLINGS_TOTAL 24576 /* of all folders; those listed longest ago are forgotten */
#define SIBLINGS_RUNNING 32  /* questions of one folder at a time: enough for all connections */
#define SIBLINGS_AHEAD 256   /* files */

typedef struct {
	GssResource *resource; /* has the name */
	CacheId id;            /* 0: not found yet */
	gint64 attr_until;     /* of a node that is not in memory, as CacheNode.attr_until; or 0 */
} Sibling;

struct CacheSiblings {
	CacheNode *folder;
	GArray *all; /* Sibling, by name */
	GList link;  /* in Cache.listed */
	guint serial;
	gint64 shown_until; /* a program has read the names not long ago */
	guint next, end;    /* to be asked for next, and up to which */
	guint running;
	bool pumping; /* posted */
};

static void sibling_clear(void *data)
{
	gss_resource_unref(((Sibling *)data)->resource);
}

static int compare(const void *a, const void *b)
{
	return strcmp(gss_resource_name(*(GssResource *const *)a),
	              gss_resource_name(*(GssResource *const *)b));
}

void cache_siblings_clear_locked(Cache *cache, CacheNode *folder)
{
	CacheSiblings *siblings = g_steal_pointer(&folder->siblings);
	if (!siblings)
		return;
	cache->listed_children -= siblings->all->len;
	g_queue_unlink(&cache->listed, &siblings->link);
	g_array_unref(siblings->all);
	g_free(siblings);
}

void cache_siblings_set_locked(Cache *cache, CacheNode *folder, GPtrArray *resources)
{
	gint64 shown_until = folder->siblings ? folder->siblings->shown_until : 0;
	cache_siblings_clear_locked(cache, folder);
	g_ptr_array_sort(resources, compare);
	CacheSiblings *siblings = g_new0(CacheSiblings, 1);
	siblings->folder = folder;
	siblings->serial = ++cache->listings;
	siblings->shown_until = shown_until;
	siblings->all = g_array_sized_new(FALSE, TRUE, sizeof(Sibling), resources->len);
	g_array_set_clear_func(siblings->all, sibling_clear);
	for (guint i = 0; i < resources->len; i++) {
		Sibling sibling = {.resource = g_steal_pointer(&resources->pdata[i])};
		g_array_append_val(siblings->all, sibling);
	}
	g_ptr_array_set_free_func(resources, NULL);
	g_ptr_array_unref(resources);
	siblings->link.data = siblings;
	g_queue_push_tail_link(&cache->listed, &siblings->link);
	cache->listed_children += siblings->all->len;
	folder->siblings = siblings;
	while (cache->listed_children > SIBLINGS_TOTAL && cache->listed.head->data != siblings)
		cache_siblings_clear_locked(cache,
		                            ((CacheSiblings *)cache->listed.head->data)->folder);
}

static Sibling *find(CacheSiblings *siblings, const char *name, guint *ret_index)
{
	guint low = 0, high = siblings ? siblings->all->len : 0;
	while (low < high) {
		guint middle = low + (high - low) / 2;
		Sibling *sibling = &g_array_index(siblings->all, Sibling, middle);
		int order = strcmp(name, gss_resource_name(sibling->resource));
		if (order == 0) {
			*ret_index = middle;
			return sibling;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

void cache_siblings_hand_down_locked(CacheNode *folder, CacheNode *child)
{
	guint index;
	Sibling *sibling = find(folder->siblings, child->r.name, &index);
	if (!sibling || g_strcmp0(gss_resource_uri(sibling->resource), child->r.uri) != 0)
		return;
	sibling->id = child->r.id;
	if (!child->resource)
		cache_node_set_resource(child, sibling->resource);
	child->attr_until = MAX(child->attr_until, sibling->attr_until);
	sibling->attr_until = 0;
}

void cache_siblings_touch_locked(CacheNode *folder, const char *name)
{
	guint index;
	Sibling *sibling = find(folder->siblings, name, &index);
	if (sibling) {
		sibling->id = 0;
		sibling->attr_until = 0;
	}
}

void cache_siblings_shown_locked(CacheNode *folder)
{
	if (folder->siblings)
		folder->siblings->shown_until = g_get_monotonic_time() + CACHE_LIST_LEASE_US;
}

/* --- asking ahead --- */

typedef struct {
	Cache *cache;
	CacheNode *folder; /* pinned */
	CacheNode *child;  /* pinned; NULL in a pump */
	guint serial;      /* of the listing it belongs to */
	guint index;
} Ahead;

static void pump(void *data);

static void pump_later_locked(Cache *cache, CacheNode *folder)
{
	if (folder->siblings->pumping || !cache_call_begin_locked(cache))
		return;
	folder->siblings->pumping = true;
	Ahead *ahead = g_new0(Ahead, 1);
	*ahead = (Ahead){.cache = cache,
	                 .folder = cache_node_pin_locked(folder),
	                 .serial = folder->siblings->serial};
	cache_worker_post(cache, pump, ahead);
}

static CacheSiblings *still_there(const Ahead *ahead)
{
	CacheSiblings *siblings = ahead->folder->siblings;
	return siblings && siblings->serial == ahead->serial ? siblings : NULL;
}

static void on_answer(Cache *cache, const GError *error, void *data)
{
	g_autofree Ahead *ahead = data;
	CacheNode *child = ahead->child;
	g_mutex_lock(&cache->lock);
	CacheSiblings *siblings = still_there(ahead);
	if (siblings) {
		siblings->running--;
		Sibling *sibling = &g_array_index(siblings->all, Sibling, ahead->index);
		if (!error && !child->refs && !cache_node_dirty(child) &&
		    child->r.id == sibling->id)
			sibling->attr_until = child->attr_until;
		/* A service in trouble is left alone until somebody asks again. */
		if (error && error->code != ENOENT)
			siblings->end = siblings->next;
		if (siblings->next < siblings->end)
			pump_later_locked(cache, ahead->folder);
	}
	cache_node_put_locked(cache, child);
	cache_node_put_locked(cache, ahead->folder);
	g_mutex_unlock(&cache->lock);
	cache_call_end(cache);
}

/* Is nothing to be asked about this one? */
static bool settled_locked(Cache *cache, const Sibling *sibling, gint64 now)
{
	if (gss_resource_type(sibling->resource) != GSS_TYPE_FILE || sibling->attr_until > now)
		return true;
	const CacheNode *node =
		sibling->id ? g_hash_table_lookup(cache->nodes, &sibling->id) : NULL;
	return node && (cache_node_dirty(node) || node->attr_until > now);
}

static void ask_locked(Cache *cache, CacheNode *folder, guint index)
{
	CacheSiblings *siblings = folder->siblings;
	Sibling *sibling = &g_array_index(siblings->all, Sibling, index);
	CacheNode *node = cache_node_find_locked(cache, folder->r.id,
	                                         gss_resource_name(sibling->resource), NULL);
	if (!node)
		return;
	cache_siblings_hand_down_locked(folder, node);
	bool ours = g_strcmp0(gss_resource_uri(sibling->resource), node->r.uri) == 0;
	if (!ours || !cache_call_begin_locked(cache)) {
		cache_node_put_locked(cache, node);
		return;
	}
	Ahead *ahead = g_new(Ahead, 1);
	*ahead = (Ahead){cache, cache_node_pin_locked(folder), node, siblings->serial, index};
	siblings->running++;
	if (cache_attr_validate_locked(cache, node, CACHE_ATTR_LEASE_US, on_answer, ahead))
		cache_ready_later(cache, on_answer, ahead, 0, NULL);
}

static void pump(void *data)
{
	g_autofree Ahead *ahead = data;
	Cache *cache = ahead->cache;
	g_mutex_lock(&cache->lock);
	CacheSiblings *siblings = still_there(ahead);
	if (siblings) {
		siblings->pumping = false;
		gint64 now = g_get_monotonic_time();
		while (siblings->running < SIBLINGS_RUNNING && siblings->next < siblings->end) {
			guint index = siblings->next++;
			if (!settled_locked(cache, &g_array_index(siblings->all, Sibling, index),
			                    now))
				ask_locked(cache, ahead->folder, index);
		}
	}
	cache_node_put_locked(cache, ahead->folder);
	g_mutex_unlock(&cache->lock);
	cache_call_end(cache);
}

void cache_siblings_ahead_locked(Cache *cache, CacheNode *folder, const char *name)
{
	CacheSiblings *siblings = folder->siblings;
	guint at;
	if (!siblings || siblings->shown_until < g_get_monotonic_time() ||
	    !find(siblings, name, &at))
		return;
	siblings->shown_until = g_get_monotonic_time() + CACHE_LIST_LEASE_US;
	/* Who goes back far, or on beyond what was asked for, is followed. */
	if (at >= siblings->next || at + 1 + SIBLINGS_AHEAD < siblings->next)
		siblings->next = at + 1;
	siblings->end = MIN(at + 1 + SIBLINGS_AHEAD, siblings->all->len);
	if (siblings->next < siblings->end)
		pump_later_locked(cache, folder);
}
