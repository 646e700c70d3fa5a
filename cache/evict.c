/* Eviction: what GSS has too is given up, least recently used first, when the cache is over its
 * limit. Dirty files and files in use are never touched; README.md says that the limit is one of
 * clean contents. */
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

/* The bytes a candidate frees; 0: it is in use, or dirty by now. */
static guint64 give_up(Cache *cache, const Candidate *candidate)
{
	g_autoptr(GError) error = NULL;
	guint64 freed = 0;
	g_mutex_lock(&cache->lock);
	CacheNode *node = cache_node_get_locked(cache, candidate->node, &error);
	if (node) {
		cache_content_idle_locked(node);
		CACHE_CRASH_POINT("evict.chosen");
		if (!cache_node_dirty(node) && !node->content && !node->opens) {
			if (cache_content_drop_locked(cache, node, &error))
				freed = candidate->bytes;
			CACHE_CRASH_POINT("evict.dropped");
			node->kernel_valid = false;
		}
		cache_node_put_locked(cache, node);
	}
	g_mutex_unlock(&cache->lock);
	if (error)
		g_debug("%s: eviction: %s", cache->path, error->message);
	return freed;
}

static gboolean run(void *data)
{
	Cache *cache = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(GArray) candidates = g_array_new(FALSE, FALSE, sizeof(Candidate));
	guint64 total = 0;
	g_mutex_lock(&cache->lock);
	cache_worker_cancel(&cache->evict_timer);
	g_mutex_unlock(&cache->lock);
	if (!cache_store_clean_blobs(cache->store, note, candidates, &error)) {
		g_warning("%s: %s", cache->path, error->message);
		return G_SOURCE_REMOVE;
	}
	for (guint i = 0; i < candidates->len; i++) {
		Candidate *candidate = &g_array_index(candidates, Candidate, i);
		struct stat st = {0};
		if (!cache_blob_stat(&cache->blobs, candidate->bytes, &st))
			st.st_blocks = 0;
		candidate->bytes = (guint64)st.st_blocks * 512;
		candidate->used_at = st.st_atim.tv_sec;
		total += candidate->bytes;
	}
	g_array_sort(candidates, by_use);
	for (guint i = 0; i < candidates->len && total > cache->size_limit; i++)
		total -= give_up(cache, &g_array_index(candidates, Candidate, i));
	return G_SOURCE_REMOVE;
}

void cache_evict_soon_locked(Cache *cache)
{
	if (!cache->evict_timer && !cache->stopping)
		cache->evict_timer = cache_worker_after(cache, DELAY_MS, run, cache, NULL);
}
