/* What is on its way, for people to look at: each file that is not clean, totals, the rate; and
 * that something of it changed. */
#include "cache/private.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "cache/upload.h"
#include "gss/uri.h"

#define TELL_MS 100 /* changes that come together are told once */
#define RATE_US (10 * G_USEC_PER_SEC)
#define YOUNG_US (2 * G_USEC_PER_SEC)

/* --- that something changed --- */

static gboolean tell(void *data)
{
	Cache *cache = data;
	g_mutex_lock(&cache->lock);
	bool cancelled = g_source_is_destroyed(g_main_current_source());
	if (!cancelled)
		cache_worker_cancel(&cache->status_timer);
	CacheNotify notify = cache->notify;
	g_mutex_unlock(&cache->lock);
	if (!cancelled && notify.status)
		notify.status(notify.data);
	return G_SOURCE_REMOVE;
}

void cache_status_changed_locked(Cache *cache)
{
	if (!cache->status_timer && !cache->stopping && cache->notify.status)
		cache->status_timer = cache_worker_after(cache, TELL_MS, tell, cache, NULL);
}

/* --- the rate --- */

/* Bytes a second, of the last seconds more than of those before; a pause of some length begins it
 * anew. */
static double rate(const Cache *cache, gint64 now)
{
	double known = 1 - exp(-(double)(now - cache->rate_since) / RATE_US);
	double left = exp(-(double)(now - cache->rate_at) / RATE_US);
	return cache->rate_at && known > 0 ? cache->rate_bytes * left / known : 0;
}

void cache_status_sent_locked(Cache *cache, guint64 bytes)
{
	gint64 now = g_get_monotonic_time();
	if (now - cache->rate_at > RATE_US) {
		cache->rate_since = now - G_USEC_PER_SEC / 10;
		cache->rate_at = now;
		cache->rate_bytes = 0;
	}
	cache->rate_bytes *= exp(-(double)(now - cache->rate_at) / RATE_US);
	cache->rate_bytes += bytes * ((double)G_USEC_PER_SEC / RATE_US);
	cache->rate_at = now;
	cache_status_changed_locked(cache);
}

guint64 cache_rate(Cache *cache)
{
	g_mutex_lock(&cache->lock);
	gint64 now = g_get_monotonic_time();
	/* What is sent at first fills the buffers between here and GSS, and tells nothing. */
	bool told = now - cache->rate_since > YOUNG_US && now - cache->rate_at <= RATE_US;
	double bytes = told ? rate(cache, now) : 0;
	g_mutex_unlock(&cache->lock);
	return (guint64)bytes;
}

/* --- files --- */

static void file_free(void *data)
{
	CacheFileStatus *file = data;
	g_free(file->path);
	g_free(file->message);
	g_free(file);
}

/* The path of a folder below `root`, with a slash at its end; if it is not below, its URI is what
 * people know it by. Remembered for the length of one list. */
static const char *folder_path(Cache *cache, GHashTable *paths, CacheId root, CacheId id)
{
	const char *known = g_hash_table_lookup(paths, &id);
	if (known)
		return known;
	CacheNode *folder = cache_node_get_locked(cache, id, NULL);
	char *path = NULL;
	if (id == root)
		path = g_strdup("");
	else if (folder && folder->r.parent > CACHE_PARENT_ROOT)
		path = g_strconcat(folder_path(cache, paths, root, folder->r.parent),
		                   folder->r.name, "/", NULL);
	else if (folder && folder->r.uri)
		path = gss_uri_child(folder->r.uri, "");
	if (!path)
		path = g_strdup("?/");
	if (folder)
		cache_node_put_locked(cache, folder);
	gint64 *key = g_new(gint64, 1);
	*key = id;
	g_hash_table_insert(paths, key, path);
	return path;
}

static gint64 next_try(const CacheNode *node)
{
	gint64 left = node->retry && !node->job
	                      ? g_source_get_ready_time(node->retry) - g_get_monotonic_time()
	                      : -1;
	return left < 0 ? 0 : cache_now_ns() + left * 1000;
}

static CacheState state_of(const CacheNode *node)
{
	if (!cache_node_dirty(node))
		return CACHE_STATE_CLEAN;
	return node->job ? CACHE_STATE_UPLOADING : node->r.state;
}

static CacheFileStatus *file_status(Cache *cache, GHashTable *paths, CacheId root,
                                    const CacheNode *node)
{
	CacheFileStatus *file = g_new(CacheFileStatus, 1);
	*file = (CacheFileStatus){
		.id = node->r.id,
		.path = g_strconcat(folder_path(cache, paths, root, node->r.parent), node->r.name,
	                            NULL),
		.state = state_of(node),
		.done = node->job ? node->job->sent : 0,
		.total = MAX(node->r.size, 0),
		.tries = node->tries,
		.next_try = next_try(node),
		.message = g_strdup(node->r.message)};
	return file;
}

typedef struct {
	Cache *cache;
	GHashTable *paths;
	CacheId root;
	GPtrArray *files;
} Conflicts;

/* A conflict copy that has arrived is not pending, but somebody should look at it. */
static bool add_conflict(const CacheRecord *record, void *data)
{
	const Conflicts *all = data;
	if (record->generation != record->published)
		return true;
	CacheFileStatus *file = g_new(CacheFileStatus, 1);
	*file = (CacheFileStatus){
		.id = record->id,
		.path = g_strconcat(folder_path(all->cache, all->paths, all->root, record->parent),
	                            record->name, NULL),
		.state = CACHE_STATE_CONFLICT,
		.done = MAX(record->size, 0),
		.total = MAX(record->size, 0),
		.message = g_strdup(record->conflict)};
	g_ptr_array_add(all->files, file);
	return true;
}

static int by_path(const void *a, const void *b)
{
	const CacheFileStatus *x = *(CacheFileStatus *const *)a, *y = *(CacheFileStatus *const *)b;
	return strcmp(x->path, y->path);
}

GPtrArray *cache_status_files(Cache *cache, CacheId root)
{
	GPtrArray *files = g_ptr_array_new_with_free_func(file_free);
	g_autoptr(GHashTable) paths =
		g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
	GHashTableIter iter;
	void *node;
	g_mutex_lock(&cache->lock);
	g_hash_table_iter_init(&iter, cache->dirty);
	while (g_hash_table_iter_next(&iter, &node, NULL))
		g_ptr_array_add(files, file_status(cache, paths, root, node));
	Conflicts conflicts = {cache, paths, root, files};
	g_autoptr(GError) error = NULL;
	if (!cache_store_conflicts(cache->store, add_conflict, &conflicts, &error))
		g_warning("%s: %s", cache->path, error->message);
	g_mutex_unlock(&cache->lock);
	g_ptr_array_sort(files, by_path);
	return files;
}

char *cache_path(Cache *cache, CacheId root, CacheId id)
{
	g_autoptr(GHashTable) paths =
		g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
	g_mutex_lock(&cache->lock);
	char *path = g_strdup(folder_path(cache, paths, root, id));
	g_mutex_unlock(&cache->lock);
	if (g_str_has_suffix(path, "/"))
		path[strlen(path) - 1] = '\0';
	return path;
}

bool cache_is_written(Cache *cache, CacheId id)
{
	g_mutex_lock(&cache->lock);
	const CacheNode *node = g_hash_table_lookup(cache->nodes, &id);
	bool written = node && node->writers > 0;
	g_mutex_unlock(&cache->lock);
	return written;
}

guint64 cache_generation(Cache *cache, CacheId id)
{
	g_mutex_lock(&cache->lock);
	CacheNode *node = cache_node_get_locked(cache, id, NULL);
	guint64 generation = node ? node->r.generation : 0;
	if (node)
		cache_node_put_locked(cache, node);
	g_mutex_unlock(&cache->lock);
	return generation;
}

bool cache_progress(Cache *cache, CacheId id, guint64 *ret_done, guint64 *ret_total)
{
	g_mutex_lock(&cache->lock);
	CacheNode *node = cache_node_get_locked(cache, id, NULL);
	bool file = node && !node->r.folder && node->r.size >= 0;
	if (file) {
		guint64 sent = node->job ? node->job->sent : 0;
		*ret_total = node->r.size;
		*ret_done = cache_node_dirty(node) ? sent : *ret_total;
	}
	if (node)
		cache_node_put_locked(cache, node);
	g_mutex_unlock(&cache->lock);
	return file;
}

/* --- the disk --- */

void cache_usage(Cache *cache, guint64 *ret_used, guint64 *ret_limit)
{
	*ret_used = MAX(cache->blobs.used, 0);
	*ret_limit = cache->room.limit;
}

char *cache_quarantine(Cache *cache, guint *ret_files, guint64 *ret_bytes)
{
	cache_blobs_quarantined(&cache->blobs, ret_files, ret_bytes);
	return g_build_filename(cache->path, "quarantine", NULL);
}
