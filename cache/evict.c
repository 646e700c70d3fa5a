/* Eviction: what GSS has too is given up, least recently used first, when the cache is over its
 * limit, or its disk is short. Dirty files are never touched. */
#include "cache/private.h"

#include <fcntl.h>
#include <sys/stat.h>

#define DELAY_MS 2000 /* after something was added: one look for all that comes meanwhile */

typedef struct {
	CacheId node;
	guint64 bytes;
	gint64 used_at;
} Candidate;

static bool note(CacheBlobId blob, CacheId node, void *data)
{
	GArray *candidates = data;
	Candidate candidate = {.node = node, .bytes = blob}; /* measured below */
	g_array_append_val(candidates, candidate);
	return true;
}

static int by_use(const void *a, const void *b)
{
	gint64 x = ((const Candidate *)a)->used_at, y = ((const Candidate *)b)->used_at;
	return x < y ? -1 : x > y;
}

/* An open file that is clean goes on with an empty content, as do those who wait for parts of it;
 * who is being answered from the old one keeps it to the end of that. */
static bool renew_locked(Cache *cache, CacheNode *node, GSource **ret_saving, GError **error)
{
	g_autoptr(CacheContent) old = cache_content_ref(node->content);
	g_mutex_lock(&old->io);
	bool may = cache_fetch_may_move_io(old);
	g_mutex_unlock(&old->io);
	if (!may || node->r.parent == CACHE_PARENT_UNLINKED || node->keeping || node->job ||
	    node->write_calls || node->cloning || node->validate_running ||
	    !cache_content_renew_locked(cache, node, error))
		return false;
	*ret_saving = g_steal_pointer(&old->saving);
	if (cache_fetch_move_locked(old, node->content))
		cache_fetch_look_again(cache, node->content);
	return true;
}

/* The bytes a candidate frees; 0: it is in use, or dirty by now. */
static guint64 give_up(Cache *cache, const Candidate *candidate, bool also_open)
{
	g_autoptr(GError) error = NULL;
	GSource *saving = NULL;
	guint64 freed = 0;
	g_mutex_lock(&cache->lock);
	CacheNode *node = cache_node_get_locked(cache, candidate->node, &error);
	if (node) {
		cache_content_idle_locked(node);
		if (!cache_node_dirty(node) && !node->content && !node->opens) {
			if (node->r.blob && cache_content_drop_locked(cache, node, &error))
				freed = candidate->bytes;
			node->kernel_valid = false;
		} else if (also_open && !cache_node_dirty(node) && node->content) {
			freed = renew_locked(cache, node, &saving, &error) ? candidate->bytes : 0;
		}
		cache_node_put_locked(cache, node);
	}
	g_mutex_unlock(&cache->lock);
	cache_worker_cancel(&saving); /* gives back its reference, which wants the lock */
	if (error)
		g_debug("%s: eviction: %s", cache->path, error->message);
	return freed;
}

static GArray *list(Cache *cache, GError **error)
{
	g_autoptr(GArray) candidates = g_array_new(FALSE, FALSE, sizeof(Candidate));
	if (!cache_store_clean_blobs(cache->store, note, candidates, error))
		return NULL;
	for (guint i = 0; i < candidates->len; i++) {
		Candidate *candidate = &g_array_index(candidates, Candidate, i);
		struct stat st = {0};
		if (!cache_blob_stat(&cache->blobs, candidate->bytes, &st))
			st.st_blocks = 0;
		candidate->bytes = (guint64)st.st_blocks * 512;
		candidate->used_at = st.st_atim.tv_sec;
	}
	g_array_sort(candidates, by_use);
	return g_steal_pointer(&candidates);
}

/* Those that nobody has open first; then also those that are: who reads on fetches it again. */
void cache_evict(Cache *cache, guint64 bytes)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GArray) candidates = list(cache, &error);
	guint64 freed = 0, wanted[] = {bytes + cache->room.limit / 16, bytes};
	if (!candidates) {
		g_warning("%s: %s", cache->path, error->message);
		return;
	}
	for (int open = 0; open < 2; open++)
		for (guint i = 0; i < candidates->len && freed < wanted[open]; i++)
			freed += give_up(cache, &g_array_index(candidates, Candidate, i), open);
}

static void look(Cache *cache)
{
	g_mutex_lock(&cache->lock);
	guint64 excess = cache_space_excess_locked(cache);
	g_mutex_unlock(&cache->lock);
	if (excess)
		cache_evict(cache, excess);
}

static gboolean on_timer(void *data)
{
	Cache *cache = data;
	g_mutex_lock(&cache->lock);
	cache_worker_cancel(&cache->evict_timer);
	g_mutex_unlock(&cache->lock);
	look(cache);
	return G_SOURCE_REMOVE;
}

void cache_evict_soon_locked(Cache *cache)
{
	if (!cache->evict_timer && !cache->stopping)
		cache->evict_timer = cache_worker_after(cache, DELAY_MS, on_timer, cache, NULL);
	cache_space_look_soon_locked(cache);
}

static void run(void *data)
{
	Cache *cache = data;
	g_mutex_lock(&cache->lock);
	cache->evicting = false;
	g_mutex_unlock(&cache->lock);
	look(cache);
}

void cache_evict_now_locked(Cache *cache)
{
	if (cache->evicting || cache->stopping)
		return;
	cache->evicting = true;
	cache_worker_post(cache, run, cache);
}
