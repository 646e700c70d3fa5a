/* Folders: listings, and what follows from them. */
#include "cache/private.h"

#include <errno.h>
#include <string.h>

#include "gss/uri.h"

typedef struct {
	const char *name, *uri;
	bool folder;
	bool kept;             /* it is known here, and stays */
	GssResource *resource; /* has name and URI; NULL past CACHE_SIBLINGS_MAX */
	char texts[];          /* has them then */
} Item;

typedef struct {
	Cache *cache;
	CacheNode *folder; /* pinned */
	char *uri;
	GPtrArray *items; /* Item */
	gint64 asked_at;
	GError *error;
	GPtrArray *outdated; /* names the kernel must forget */
} Listing;

static void item_free(void *data)
{
	Item *item = data;
	g_clear_pointer(&item->resource, gss_resource_unref);
	g_free(item);
}

static void on_item(GssResource *resource, void *data)
{
	Listing *listing = data;
	GssType type = gss_resource_type(resource);
	if (type == GSS_TYPE_NOTEXIST)
		return;
	const char *name = gss_resource_name(resource), *uri = gss_resource_uri(resource);
	bool described = listing->items->len < CACHE_SIBLINGS_MAX;
	gsize name_size = strlen(name) + 1, uri_size = uri ? strlen(uri) + 1 : 0;
	Item *item = g_malloc0(sizeof(Item) + (described ? 0 : name_size + uri_size));
	item->folder = type == GSS_TYPE_FOLDER;
	if (described) {
		item->resource = gss_resource_ref(resource);
		item->name = name;
		item->uri = uri;
	} else {
		item->name = memcpy(item->texts, name, name_size);
		item->uri = uri ? memcpy(item->texts + name_size, uri, uri_size) : NULL;
	}
	g_ptr_array_add(listing->items, item);
}

/* --- pruning --- */

typedef struct {
	Cache *cache;
	GArray *below; /* CacheId, parents first */
	bool dirty;
} Tree;

static bool note_dirty(const CacheRecord *record, void *data)
{
	Tree *tree = data;
	if (!record->folder && record->generation != record->published)
		tree->dirty = true;
	g_array_append_val(tree->below, record->id);
	return !tree->dirty;
}

static bool walk(Cache *cache, Tree *tree, CacheId top, GError **error)
{
	bool ok = cache_store_children(cache->store, top, note_dirty, tree, error);
	for (guint i = 0; ok && !tree->dirty && i < tree->below->len; i++)
		ok = cache_store_children(cache->store, g_array_index(tree->below, CacheId, i),
		                          note_dirty, tree, error);
	return ok;
}

bool cache_folder_prune_locked(Cache *cache, CacheNode *folder)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GArray) below = g_array_new(FALSE, FALSE, sizeof(CacheId));
	Tree tree = {.cache = cache, .below = below};
	bool ok = !folder->r.folder || walk(cache, &tree, folder->r.id, &error);
	if (ok && tree.dirty)
		return false;
	for (guint i = below->len; ok && i > 0; i--) {
		CacheNode *node =
			cache_node_get_locked(cache, g_array_index(below, CacheId, i - 1), &error);
		ok = node && cache_node_detach_locked(cache, node, &error);
		if (node)
			cache_node_put_locked(cache, node);
	}
	ok = ok && cache_node_detach_locked(cache, folder, &error);
	if (!ok)
		g_warning("%s: %s", cache->path, error->message);
	return ok;
}

/* --- reconciling a listing with what is known --- */

/* A child that GSS does not have any more, or not as what it was. */
typedef struct {
	CacheId id;
	char *name;
} Gone;

static void gone_clear(void *data)
{
	g_free(((Gone *)data)->name);
}

typedef struct {
	GHashTable *shown, *touched; /* name -> Item; set of names */
	GArray *gone;                /* Gone */
} Compare;

static bool compare(const CacheRecord *record, void *data)
{
	const Compare *all = data;
	Item *item = g_hash_table_lookup(all->shown, record->name);
	bool local = !record->uri || (!record->folder && record->generation != record->published);
	bool same =
		item && item->folder == record->folder && g_strcmp0(item->uri, record->uri) == 0;
	if (item)
		item->kept = local || same;
	if (!same && !local && !g_hash_table_contains(all->touched, record->name)) {
		Gone gone = {record->id, g_strdup(record->name)};
		g_array_append_val(all->gone, gone);
	}
	return true;
}

static bool insert_child(Cache *cache, CacheNode *folder, const Item *item, GError **error)
{
	g_auto(CacheRecord) record = {.remote = GSS_VERSION_INIT, .from = GSS_VERSION_INIT};
	/* A folder that was mounted by itself before is the same folder. */
	if (item->folder && cache_store_find_uri(cache->store, item->uri, &record, NULL) &&
	    record.parent == CACHE_PARENT_ROOT && record.folder && record.id != folder->r.id) {
		CacheNode *node = cache_node_adopt_locked(cache, &record);
		node->r.parent = folder->r.id;
		g_free(node->r.name);
		node->r.name = g_strdup(item->name);
		bool ok = cache_node_save_locked(cache, node, error);
		node->pins--; /* stays in memory: nothing may be buried inside a transaction */
		if (!node->pins && !node->refs) {
			cache_idle_leave_locked(cache, node);
			g_hash_table_remove(cache->nodes, &node->r.id);
			cache_node_free(node);
		}
		return ok;
	}
	cache_record_clear(&record);
	cache_record_init(&record, folder->r.id, item->name, item->folder,
	                  item->folder ? cache->folder_mode : cache->file_mode);
	record.uri = g_strdup(item->uri);
	return cache_store_insert(cache->store, &record, error);
}

void cache_folder_gone_locked(Cache *cache, const char *uri)
{
	gint64 now = g_get_monotonic_time();
	if (cache->listing_now)
		g_hash_table_insert(cache->gone, g_strdup(uri), g_memdup2(&now, sizeof(now)));
}

/* May this entry be shown, and is it not one that a local change knows better? */
static bool usable(Cache *cache, CacheNode *folder, const Item *item, gint64 asked_at)
{
	g_autoptr(GError) error = NULL;
	if (!gss_name_check(item->name, &error) ||
	    !gss_uri_check(item->uri ? item->uri : "", NULL)) {
		if (!folder->names_reported)
			g_warning("%s: an entry that can't be shown is left out: %s", folder->r.uri,
			          error ? error->message : "it has no valid URI");
		folder->names_reported = true;
		return false;
	}
	const gint64 *gone = g_hash_table_lookup(cache->gone, item->uri);
	return !(gone && *gone >= asked_at) && !g_hash_table_contains(cache->hidden, item->uri) &&
	       !g_hash_table_contains(folder->touched, item->name);
}

/* Each in a transaction of its own. */
static void remove_gone_locked(Listing *listing, const GArray *all)
{
	Cache *cache = listing->cache;
	for (guint i = 0; i < all->len; i++) {
		const Gone *gone = &g_array_index(all, Gone, i);
		CacheNode *node = cache_node_get_locked(cache, gone->id, NULL);
		if (!node)
			continue;
		/* It may have become local since it was noted. */
		if (!cache_node_dirty(node) && cache_folder_prune_locked(cache, node))
			g_ptr_array_add(listing->outdated, g_strdup(gone->name));
		cache_node_put_locked(cache, node);
	}
}

static bool reconcile_locked(Listing *listing, GError **error)
{
	Cache *cache = listing->cache;
	CacheNode *folder = listing->folder;
	g_autoptr(GHashTable) shown = g_hash_table_new(g_str_hash, g_str_equal);
	g_autoptr(GArray) gone = g_array_new(FALSE, FALSE, sizeof(Gone));
	g_array_set_clear_func(gone, gone_clear);
	for (guint i = 0; i < listing->items->len; i++) {
		Item *item = g_ptr_array_index(listing->items, i);
		if (usable(cache, folder, item, listing->asked_at) &&
		    !g_hash_table_contains(shown, item->name))
			g_hash_table_insert(shown, (void *)item->name, item);
	}
	Compare all = {shown, folder->touched, gone};
	if (!cache_store_children(cache->store, folder->r.id, compare, &all, error))
		return false;
	remove_gone_locked(listing, gone);

	CACHE_CRASH_POINT("folder.reconciling");
	if (!cache_store_begin(cache->store, error))
		return false;
	bool ok = true;
	g_autoptr(GPtrArray) resources =
		g_ptr_array_new_with_free_func((GDestroyNotify)gss_resource_unref);
	for (guint i = 0; ok && i < listing->items->len; i++) {
		Item *item = g_ptr_array_index(listing->items, i);
		if (g_hash_table_lookup(shown, item->name) != item)
			continue;
		if (item->resource)
			g_ptr_array_add(resources, g_steal_pointer(&item->resource));
		g_autoptr(GError) failure = NULL;
		if (!item->kept && !insert_child(cache, folder, item, &failure) &&
		    failure->code != EEXIST) { /* EEXIST: kept, since something below it is dirty */
			g_propagate_error(error, g_steal_pointer(&failure));
			ok = false;
		}
	}
	if (ok && !folder->r.listed) {
		folder->r.listed = true;
		ok = cache_node_save_locked(cache, folder, error);
	}
	ok = cache_store_end(cache->store, ok, ok ? error : NULL) && ok;
	if (ok)
		cache_siblings_set_locked(cache, folder, g_steal_pointer(&resources));
	return ok;
}

static void finish(void *data)
{
	Listing *listing = data;
	Cache *cache = listing->cache;
	CacheNode *folder = listing->folder;
	g_mutex_lock(&cache->lock);
	if (!listing->error)
		reconcile_locked(listing, &listing->error);
	gint64 now = g_get_monotonic_time();
	g_clear_error(&folder->list_error);
	if (listing->error) {
		folder->list_until = 0;
		folder->list_failed_until = now + CACHE_FAILURE_LEASE_US;
		folder->list_error = g_error_copy(listing->error);
	} else {
		folder->list_until = listing->asked_at + CACHE_LIST_LEASE_US;
	}
	folder->list_running = false;
	if (--cache->listing_now == 0)
		g_hash_table_remove_all(cache->gone);
	cache_late_clear_locked(cache, &folder->list_late, listing->error);
	g_clear_pointer(&folder->touched, g_hash_table_unref);
	GSList *waiting = g_steal_pointer(&folder->listing);
	CacheId id = folder->r.id;
	g_mutex_unlock(&cache->lock);

	cache_calls_run(cache, waiting, listing->error);
	for (guint i = 0; cache->notify.entry && i < listing->outdated->len; i++)
		cache->notify.entry(id, g_ptr_array_index(listing->outdated, i),
		                    cache->notify.data);
	g_mutex_lock(&cache->lock);
	cache_node_put_locked(cache, folder);
	g_mutex_unlock(&cache->lock);
	g_ptr_array_unref(listing->items);
	g_ptr_array_unref(listing->outdated);
	g_clear_error(&listing->error);
	g_free(listing->uri);
	g_free(listing);
	cache_call_end(cache);
}

static void on_listed(const GError *error, void *data)
{
	Listing *listing = data;
	/* A listing that GSS refuses is no proof that nothing is there. */
	if (error)
		listing->error = g_error_copy(error);
	cache_worker_post(listing->cache, finish, listing);
}

static void ask(void *data)
{
	Listing *listing = data;
	gss_storage_list(listing->cache->client, listing->uri, false, listing->cache->stop, on_item,
	                 on_listed, listing);
}

bool cache_folder_refresh_locked(Cache *cache, CacheNode *folder, CacheReady ready, void *data)
{
	gint64 now = g_get_monotonic_time();
	if (folder->list_until > now)
		return true;
	if (folder->list_running) {
		folder->listing = cache_calls_add(folder->listing, ready, data);
		cache_late_arm_locked(cache, &folder->list_late, &folder->listing);
		return false;
	}
	if (folder->list_error && folder->list_failed_until > now) {
		cache_ready_later(cache, ready, data, folder->list_error->code,
		                  folder->list_error->message);
		return false;
	}
	if (!folder->r.uri || !cache_call_begin_locked(cache)) {
		cache_ready_later(cache, ready, data, EIO, "GSS cannot be asked");
		return false;
	}
	Listing *listing = g_new0(Listing, 1);
	*listing = (Listing){.cache = cache,
	                     .folder = cache_node_pin_locked(folder),
	                     .uri = g_strdup(folder->r.uri),
	                     .items = g_ptr_array_new_with_free_func(item_free),
	                     .outdated = g_ptr_array_new_with_free_func(g_free),
	                     .asked_at = now};
	folder->list_running = true;
	cache->listing_now++;
	folder->touched = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	folder->listing = cache_calls_add(folder->listing, ready, data);
	cache_late_arm_locked(cache, &folder->list_late, &folder->listing);
	cache_worker_post(cache, ask, listing);
	return false;
}
