/* Removals: deletions on GSS that a rename leaves to be made behind everybody's back. Each looks
 * first: only the very version that was renamed is deleted, a teammate's newer one stays. */
#include "cache/private.h"

#include <errno.h>

#define AT_ONCE 8
#define RETRY_MS 1000
#define RETRY_MAX_MS 60000

typedef struct {
	Cache *cache;
	CacheRemoval r;
	guint tries;
	gint64 not_before;
	bool running, dropped;
	GssResource *resource;
	GError *error;
	bool made, kept;
} Removal;

static void removal_free(void *data)
{
	Removal *removal = data;
	cache_removal_clear(&removal->r);
	g_clear_pointer(&removal->resource, gss_resource_unref);
	g_clear_error(&removal->error);
	g_free(removal);
}

/* One under way stays until its question has ended. */
static void forget(void *data)
{
	Removal *removal = data;
	if (removal->running)
		removal->dropped = true;
	else
		removal_free(removal);
}

void cache_removal_clear_locked(Cache *cache)
{
	if (cache->removals)
		g_ptr_array_set_size(cache->removals, 0);
	cache_worker_cancel(&cache->removal_timer);
}

static bool find(Cache *cache, const char *uri)
{
	for (guint i = 0; i < cache->removals->len; i++)
		if (g_str_equal(((Removal *)g_ptr_array_index(cache->removals, i))->r.uri, uri))
			return true;
	return false;
}

bool cache_removal_load_locked(Cache *cache, GError **error)
{
	if (!cache->removals)
		cache->removals = g_ptr_array_new_with_free_func(forget);
	g_autoptr(GPtrArray) list = cache_store_removals(cache->store, error);
	if (!list)
		return false;
	for (guint i = 0; i < list->len; i++) {
		CacheRemoval *recorded = g_ptr_array_index(list, i);
		if (find(cache, recorded->uri))
			continue;
		Removal *removal = g_new0(Removal, 1);
		removal->cache = cache;
		removal->r = *recorded;
		*recorded = (CacheRemoval){.version = GSS_VERSION_INIT};
		g_hash_table_add(cache->hidden, g_strdup(removal->r.uri));
		g_ptr_array_add(cache->removals, removal);
	}
	return true;
}

static void finish(void *data)
{
	Removal *removal = data;
	Cache *cache = removal->cache;
	g_autoptr(GError) error = NULL;
	g_mutex_lock(&cache->lock);
	CACHE_CRASH_POINT("removal.finishing");
	bool dropped = removal->dropped; /* the list has forgotten it: it is ours to free */
	removal->running = false;
	cache->removing--;
	GSList *waiters = NULL;
	if (removal->error) {
		guint delay = MIN(RETRY_MS << MIN(removal->tries, 6), RETRY_MAX_MS);
		removal->tries++;
		removal->not_before = g_get_monotonic_time() + delay * G_GINT64_CONSTANT(1000);
		if (removal->tries == 1 && removal->error->code != ECANCELED)
			g_message("%s: cannot be removed yet: %s", removal->r.uri,
			          removal->error->message);
		g_clear_error(&removal->error);
	} else {
		if (removal->kept)
			g_message("%s: was renamed here but changed on GSS since: the newer "
			          "version stays",
			          removal->r.uri);
		if (!cache_store_remove_removal(cache->store, removal->r.id, &error))
			g_warning("%s: %s", cache->path, error->message);
		CACHE_CRASH_POINT("removal.finished");
		g_hash_table_remove(cache->hidden, removal->r.uri);
		waiters = g_steal_pointer(&cache->removal_waiters);
		if (!dropped)
			g_ptr_array_remove_fast(cache->removals, removal); /* frees it */
	}
	if (dropped)
		removal_free(removal);
	GSList *drained = NULL;
	cache_queue_check_drained_locked(cache, &drained);
	g_mutex_unlock(&cache->lock);
	cache_calls_run(cache, waiters, NULL);
	cache_calls_run(cache, drained, NULL);
	cache_removal_run(cache);
	cache_call_end(cache);
}

static void end(Removal *removal, const GError *error)
{
	if (error && error->code != ENOENT)
		removal->error = g_error_copy(error);
	cache_worker_post(removal->cache, finish, removal);
}

static void on_removed(const GError *error, void *data)
{
	CACHE_CRASH_POINT("removal.made");
	end(data, error);
}

static void on_version(const GssVersion *version, const GError *error, void *data)
{
	Removal *removal = data;
	const GssVersion *ours = &removal->r.version;
	if (error) {
		end(removal, error);
	} else if (ours->size >= 0 && !gss_version_equal(ours, version)) {
		removal->kept = true;
		end(removal, NULL);
	} else {
		CACHE_CRASH_POINT("removal.making");
		gss_storage_remove(removal->cache->client, removal->resource, removal->cache->stop,
		                   on_removed, removal);
	}
}

static void on_resolved(GssResource *resource, const GError *error, void *data)
{
	Removal *removal = data;
	if (error || gss_resource_type(resource) != GSS_TYPE_FILE) {
		end(removal, error);
		return;
	}
	g_clear_pointer(&removal->resource, gss_resource_unref);
	CACHE_CRASH_POINT("removal.found");
	removal->resource = gss_resource_ref(resource);
	gss_storage_stat(removal->cache->client, resource, removal->cache->stop, on_version,
	                 removal);
}

void cache_removal_hurry_locked(Cache *cache)
{
	for (guint i = 0; i < cache->removals->len; i++)
		((Removal *)g_ptr_array_index(cache->removals, i))->not_before = 0;
}

static gboolean on_timer(void *data)
{
	cache_removal_run(data);
	return G_SOURCE_REMOVE;
}

static void run(void *data)
{
	Cache *cache = data;
	GSList *starting = NULL;
	gint64 now = g_get_monotonic_time(), next = G_MAXINT64;
	g_mutex_lock(&cache->lock);
	cache_worker_cancel(&cache->removal_timer);
	for (guint i = 0; i < cache->removals->len && cache->removing < AT_ONCE; i++) {
		Removal *removal = g_ptr_array_index(cache->removals, i);
		if (removal->running)
			continue;
		if (removal->not_before > now) {
			next = MIN(next, removal->not_before);
			continue;
		}
		if (!cache_call_begin_locked(cache))
			break;
		removal->running = true;
		cache->removing++;
		starting = g_slist_prepend(starting, removal);
	}
	if (next != G_MAXINT64 && !cache->stopping)
		cache->removal_timer =
			cache_worker_after(cache, (next - now) / 1000 + 1, on_timer, cache, NULL);
	g_mutex_unlock(&cache->lock);
	starting = g_slist_reverse(starting);
	for (GSList *l = starting; l; l = l->next) {
		Removal *removal = l->data;
		gss_storage_resolve(cache->client, removal->r.uri, cache->stop, on_resolved,
		                    removal);
	}
	g_slist_free(starting);
}

void cache_removal_run(Cache *cache)
{
	cache_worker_post(cache, run, cache);
}
