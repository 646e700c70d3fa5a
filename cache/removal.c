/* Removals: deletions on GSS that a rename or an unlink leaves to be made behind everybody's back.
 * Each looks first: only the very version that was renamed, or what a request of ours that was
 * given up may have brought, is deleted; a teammate's newer one stays.
 *
 * A removal with an end (`until`) watches a name: nothing is there now, but a body that GSS has
 * whole may still come. It hides what comes and holds nobody up. What GSS refuses for good is
 * parked with its reason: shown again, tried anew at the next mount or when somebody asks. */
#include "cache/private.h"

#include <errno.h>

#include "cache/crash.h"
#include "cache/sum.h"
#include "cache/upload.h"
#include "gss/uri.h"

#define AT_ONCE 8
#define RETRY_MS 1000
#define RETRY_MAX_MS 60000
/* A new file of the same name waits so long for the body of an old one. */
#define GIVE_WAY_US (3 * G_USEC_PER_SEC)
#define WATCH_US (CACHE_WATCH_NS / 1000)

typedef struct {
	Cache *cache;
	CacheRemoval r;
	guint tries;
	gint64 not_before;
	gint64 until; /* monotonic us: the clock of r.until may be set meanwhile; 0: no watch */
	bool running, dropped;
	bool replaced; /* the journal has a newer one for its URI */
	bool quiet;    /* a watch that has seen nothing: nobody waits for it */
	GssResource *resource;
	GError *error;
	bool made, kept;
	bool unsure; /* why it was kept: only its size was to compare */
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
		g_hash_table_remove_all(cache->removals);
	cache_worker_cancel(&cache->removal_timer);
}

static gint64 monotonic(gint64 until)
{
	gint64 left = CLAMP(until - cache_now_ns(), 0, CACHE_WATCH_NS);
	return until ? g_get_monotonic_time() + left / 1000 : 0;
}

bool cache_removal_load_locked(Cache *cache, GError **error)
{
	if (!cache->removals)
		cache->removals = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, forget);
	g_autoptr(GPtrArray) list = cache_store_removals(cache->store, cache->removals_seen, error);
	if (!list)
		return false;
	bool all = true;
	for (guint i = 0; i < list->len; i++) {
		CacheRemoval *recorded = g_ptr_array_index(list, i);
		Removal *removal = g_hash_table_lookup(cache->removals, recorded->uri);
		if (removal && removal->r.id == recorded->id)
			continue;
		if (removal && removal->running) {
			removal->replaced = true;
			all = false; /* comes again when that has ended */
			continue;
		}
		removal = g_new0(Removal, 1);
		removal->cache = cache;
		removal->r = *recorded;
		removal->r.error = 0; /* of another run: tried anew */
		removal->until = monotonic(removal->r.until);
		*recorded = (CacheRemoval){.left = CACHE_LEFTOVER_INIT, .id = removal->r.id};
		g_hash_table_add(cache->hidden, g_strdup(removal->r.uri));
		g_hash_table_replace(cache->removals, removal->r.uri, removal);
		if (all)
			cache->removals_seen = removal->r.id;
	}
	return true;
}

void cache_removal_reload_locked(Cache *cache)
{
	g_autoptr(GError) error = NULL;
	cache->removals_seen = 0;
	if (!cache_removal_load_locked(cache, &error))
		g_warning("%s: %s", cache->path, error->message);
}

static void wake(void *data)
{
	Cache *cache = data;
	g_mutex_lock(&cache->lock);
	GSList *waiters = g_steal_pointer(&cache->removal_waiters);
	g_mutex_unlock(&cache->lock);
	cache_calls_run(cache, waiters, NULL);
}

bool cache_removal_drop_locked(Cache *cache, const char *uri, GError **error)
{
	Removal *removal = cache->removals ? g_hash_table_lookup(cache->removals, uri) : NULL;
	if (!removal)
		return true;
	if (!cache_store_remove_removal(cache->store, removal->r.id, error))
		return false;
	g_hash_table_remove(cache->hidden, uri);
	g_hash_table_remove(cache->removals, removal->r.uri);
	cache->removals_ended++;
	if (cache->removal_waiters)
		cache_worker_post(cache, wake, cache);
	return true;
}

bool cache_removal_give_way_locked(Cache *cache, const char *uri, GError **error)
{
	Removal *removal = g_hash_table_lookup(cache->removals, uri);
	if (!removal)
		return true;
	gint64 age = g_get_monotonic_time() - (removal->until - WATCH_US);
	if (removal->running || (removal->until && age < GIVE_WAY_US)) {
		g_set_error(error, CACHE_ERROR, EAGAIN,
		            "it waits until what had its name is removed from GSS");
		return false;
	}
	return cache_removal_drop_locked(cache, uri, error);
}

bool cache_removal_note_sum_locked(Cache *cache, const char *uri, guint64 attempted,
                                   const char *hash, GError **error)
{
	const Removal *removal = g_hash_table_lookup(cache->removals, uri);
	if (!removal || removal->r.left.attempted_hash || removal->r.left.attempted != attempted)
		return true;
	const CacheRemoval *r = &removal->r;
	CacheLeftover left = r->left;
	left.attempted_hash = (char *)hash;
	return cache_store_insert_removal(cache->store, r->uri, &left, r->until, error) &&
	       cache_removal_load_locked(cache, error);
}

bool cache_removal_arrived_locked(Cache *cache, const char *uri, const GssVersion *version,
                                  const char *hash, GError **error)
{
	const CacheLeftover left = {.version = *version, .hash = (char *)hash};
	return !g_hash_table_contains(cache->removals, uri) ||
	       cache_store_insert_removal(cache->store, uri, &left, 0, error);
}

bool cache_removal_hides_locked(Cache *cache, const char *folder, const GssResource *resource)
{
	const char *name = gss_resource_name(resource), *uri = gss_resource_uri(resource);
	if (!g_hash_table_size(cache->hidden) || gss_resource_type(resource) == GSS_TYPE_FOLDER)
		return false;
	if (uri && g_hash_table_contains(cache->hidden, uri))
		return true;
	/* What was on its way when it was given up is known by where it was sent: that need not be
	 * its URI. */
	g_autofree char *address = gss_uri_child(folder, name);
	if (!g_hash_table_contains(cache->hidden, address))
		return false;
	cache_removal_look_locked(cache, address);
	return true;
}

void cache_removal_look_locked(Cache *cache, const char *uri)
{
	Removal *removal = g_hash_table_lookup(cache->removals, uri);
	if (removal)
		removal->not_before = 0;
	cache_removal_run(cache);
}

void cache_removal_count_locked(Cache *cache, guint *ret_pending, guint *ret_parked)
{
	GHashTableIter iter;
	void *value;
	*ret_pending = *ret_parked = 0;
	g_hash_table_iter_init(&iter, cache->removals);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const Removal *removal = value;
		*ret_parked += removal->r.error != 0;
		*ret_pending += !removal->r.error && !removal->quiet;
	}
}

void cache_removal_hurry_locked(Cache *cache)
{
	GHashTableIter iter;
	void *value;
	g_hash_table_iter_init(&iter, cache->removals);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		Removal *removal = value;
		removal->not_before = 0;
		if (!removal->r.error)
			continue;
		removal->r.error = 0;
		g_hash_table_add(cache->hidden, g_strdup(removal->r.uri));
	}
}

/* --- ending --- */

static bool passes(int code)
{
	return code != EACCES && code != EPERM && code != EINVAL && code != EISDIR;
}

static void later_locked(Removal *removal)
{
	guint delay = MIN(RETRY_MS << MIN(removal->tries, 6), RETRY_MAX_MS);
	removal->tries++;
	removal->not_before = g_get_monotonic_time() + delay * G_GINT64_CONSTANT(1000);
}

static void park_locked(Removal *removal)
{
	Cache *cache = removal->cache;
	g_autoptr(GError) error = NULL;
	removal->r.error = removal->error->code;
	g_free(removal->r.message);
	removal->r.message = g_strdup(removal->error->message);
	g_hash_table_remove(cache->hidden, removal->r.uri);
	g_warning("%s: GSS refuses to remove it, it stays there: %s", removal->r.uri,
	          removal->r.message);
	if (!cache_store_park_removal(cache->store, removal->r.id, removal->r.error,
	                              removal->r.message, &error))
		g_warning("%s: %s", cache->path, error->message);
}

/* Nothing is left to do for it: its name, if it comes again, is somebody's. */
static void done_locked(Removal *removal)
{
	Cache *cache = removal->cache;
	g_autoptr(GError) error = NULL;
	if (removal->kept)
		g_message("%s: was renamed or removed here, but %s stays", removal->r.uri,
		          removal->unsure ? "nothing tells whether it is still what it was then: it"
		                          : "changed on GSS since: the newer version");
	if (!cache_store_remove_removal(cache->store, removal->r.id, &error))
		g_warning("%s: %s", cache->path, error->message);
	CACHE_CRASH_POINT("removal.finished");
	cache_queue_left_locked(cache, removal->r.uri);
	if (!removal->kept)
		cache_folder_gone_locked(cache, removal->r.uri);
	if (removal->dropped)
		return; /* the list has forgotten it */
	bool replaced = removal->replaced;
	g_hash_table_remove(cache->hidden, removal->r.uri);
	g_hash_table_remove(cache->removals, removal->r.uri); /* frees it */
	if (replaced && !cache_removal_load_locked(cache, &error))
		g_warning("%s: %s", cache->path, error->message);
}

static void finish(void *data)
{
	Removal *removal = data;
	Cache *cache = removal->cache;
	GSList *waiters = NULL, *drained = NULL;
	g_mutex_lock(&cache->lock);
	CACHE_CRASH_POINT("removal.finishing");
	bool dropped = removal->dropped; /* it is ours to free */
	removal->running = false;
	cache->removing--;
	bool watching = removal->until > g_get_monotonic_time() && !removal->made && !removal->kept;
	const GError *error = removal->error;
	if (error && (passes(error->code) || dropped)) {
		if (removal->tries == 0 && error->code != ECANCELED)
			g_message("%s: cannot be removed yet: %s", removal->r.uri, error->message);
		later_locked(removal);
	} else if (error) {
		park_locked(removal);
		cache->removals_ended++;
		waiters = g_steal_pointer(&cache->removal_waiters);
	} else if (watching && !dropped && !removal->replaced) {
		removal->quiet = true;
		later_locked(removal);
	} else {
		waiters = g_steal_pointer(&cache->removal_waiters);
		g_clear_error(&removal->error);
		cache->removals_ended++;
		done_locked(removal);
		if (!dropped)
			removal = NULL;
	}
	if (removal)
		g_clear_error(&removal->error);
	if (dropped)
		removal_free(removal);
	cache_queue_check_drained_locked(cache, &drained);
	cache_status_changed_locked(cache);
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
	Removal *removal = data;
	CACHE_CRASH_POINT("removal.made");
	removal->made = !error;
	end(data, error);
}

static void make(Removal *removal)
{
	CACHE_CRASH_POINT("removal.making");
	gss_storage_remove(removal->cache->client, removal->resource, removal->cache->stop,
	                   on_removed, removal);
}

static void leave(Removal *removal)
{
	removal->kept = true;
	end(removal, NULL);
}

static void on_sum(const char *hash, const GError *error, void *data)
{
	Removal *removal = data;
	const CacheLeftover *left = &removal->r.left;
	if (error)
		end(removal, error);
	else if (g_strcmp0(hash, left->hash) == 0 || g_strcmp0(hash, left->attempted_hash) == 0)
		make(removal);
	else
		leave(removal);
}

/* Is it what is to go? */
static void on_version(const GssVersion *version, const GError *error, void *data)
{
	Removal *removal = data;
	const CacheLeftover *left = &removal->r.left;
	if (error) {
		end(removal, error);
		return;
	}
	bool attempt = left->attempted && version->size == (gint64)(left->attempted - 1);
	bool dated = gss_version_validated(&left->version, version);
	bool any = left->version.size < 0;
	bool same = gss_version_equal(&left->version, version);
	removal->unsure = (same && !left->hash) || (attempt && !left->attempted_hash);
	/* By its size alone it may be somebody else's. */
	bool tells = (same && left->hash) || (attempt && left->attempted_hash);
	if (any || (same && dated))
		make(removal);
	else if (tells)
		cache_sum_remote(removal->cache->client, removal->resource, version->size,
		                 removal->cache->stop, NULL, on_sum, removal);
	else
		leave(removal);
}

static void on_resolved(GssResource *resource, const GError *error, void *data)
{
	Removal *removal = data;
	if (error || gss_resource_type(resource) != GSS_TYPE_FILE) {
		end(removal, error);
		return;
	}
	g_mutex_lock(&removal->cache->lock);
	removal->quiet = false;
	g_mutex_unlock(&removal->cache->lock);
	g_clear_pointer(&removal->resource, gss_resource_unref);
	CACHE_CRASH_POINT("removal.found");
	removal->resource = gss_resource_ref(resource);
	gss_storage_stat(removal->cache->client, resource, removal->cache->stop, on_version,
	                 removal);
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
	GHashTableIter iter;
	void *value;
	g_hash_table_iter_init(&iter, cache->removals);
	while (cache->removing < AT_ONCE && g_hash_table_iter_next(&iter, NULL, &value)) {
		Removal *removal = value;
		/* While something is being sent there, it is not known what is to go; and what is
		 * being read goes when it is here. */
		if (removal->running || removal->r.error ||
		    g_hash_table_contains(cache->sending, removal->r.uri) ||
		    g_hash_table_contains(cache->kept, removal->r.uri))
			continue;
		gint64 settled = now + cache_recovery_settling_locked(cache, removal->r.uri);
		if (MAX(removal->not_before, settled) > now) {
			next = MIN(next, MAX(removal->not_before, settled));
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
