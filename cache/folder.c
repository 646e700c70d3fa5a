/* Folders: listings, and what follows from them. */
#include "cache/private.h"

#include <errno.h>
#include <string.h>

#include "gss/uri.h"

/* Of the entries of a folder that can't be shown. */
#define UNSHOWN_TOLD 3
#define UNSHOWN_BYTES 60       /* of a name */
#define UNSHOWN_FOLDERS 100000 /* more are not remembered, and not told */

typedef struct {
	Cache *cache;
	CacheNode *folder; /* pinned */
	char *uri;
	GPtrArray *resources; /* GssResource; once it is reconciled those that are shown, by name */
	gint64 asked_at;
	bool anew; /* for the second time */
	GError *error;
	GPtrArray *outdated; /* names the kernel must forget */
	guint unshown;       /* entries that can't be */
	GString *examples;   /* the first of them, NULL none */
} Listing;

static void on_item(GssResource *resource, void *data)
{
	Listing *listing = data;
	if (gss_resource_type(resource) == GSS_TYPE_NOTEXIST)
		return;
	g_mutex_lock(&listing->cache->lock);
	g_ptr_array_add(listing->resources, cache_siblings_same_locked(listing->folder, resource));
	g_mutex_unlock(&listing->cache->lock);
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
	const GPtrArray *shown; /* GssResource, by name */
	bool *known;            /* as many: it is known here, and stays */
	GHashTable *touched;    /* set of names */
	GArray *gone;           /* Gone */
} Compare;

static int by_name(const void *a, const void *b)
{
	return strcmp(gss_resource_name(*(GssResource *const *)a),
	              gss_resource_name(*(GssResource *const *)b));
}

static int by_name_and_uri(const void *a, const void *b)
{
	int order = by_name(a, b);
	return order ? order
	             : g_strcmp0(gss_resource_uri(*(GssResource *const *)a),
	                         gss_resource_uri(*(GssResource *const *)b));
}

static const GssResource *find(const GPtrArray *shown, const char *name, guint *ret_index)
{
	guint low = 0, high = shown->len;
	while (low < high) {
		guint middle = low + (high - low) / 2;
		int order = strcmp(name, gss_resource_name(shown->pdata[middle]));
		*ret_index = middle;
		if (order == 0)
			return shown->pdata[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static bool compare(const CacheRecord *record, void *data)
{
	const Compare *all = data;
	guint index;
	const GssResource *resource = find(all->shown, record->name, &index);
	bool local = !record->uri || (!record->folder && record->generation != record->published);
	bool same = resource &&
	            (gss_resource_type(resource) == GSS_TYPE_FOLDER) == record->folder &&
	            g_strcmp0(gss_resource_uri(resource), record->uri) == 0;
	if (resource)
		all->known[index] = local || same;
	if (!same && !local && !g_hash_table_contains(all->touched, record->name)) {
		Gone gone = {record->id, g_strdup(record->name)};
		g_array_append_val(all->gone, gone);
	}
	return true;
}

static bool insert_child(Cache *cache, CacheNode *folder, const GssResource *resource,
                         GError **error)
{
	const char *name = gss_resource_name(resource), *uri = gss_resource_uri(resource);
	bool is_folder = gss_resource_type(resource) == GSS_TYPE_FOLDER;
	g_auto(CacheRecord) record = CACHE_RECORD_INIT;
	/* A folder that was mounted by itself before is the same folder. */
	if (is_folder && cache_store_find_uri(cache->store, uri, &record, NULL) &&
	    record.parent == CACHE_PARENT_ROOT && record.folder && record.id != folder->r.id) {
		CacheNode *node = cache_node_adopt_locked(cache, &record);
		node->r.parent = folder->r.id;
		g_free(node->r.name);
		node->r.name = g_strdup(name);
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
	cache_record_init(&record, folder->r.id, name, is_folder,
	                  is_folder ? cache->folder_mode : cache->file_mode);
	record.uri = g_strdup(uri);
	return cache_store_insert(cache->store, &record, error);
}

/* --- what is removed while a listing is under way --- */

gint64 cache_folder_asks_locked(Cache *cache)
{
	cache->listing_now++;
	return g_get_monotonic_time();
}

void cache_folder_asked_locked(Cache *cache)
{
	if (--cache->listing_now == 0)
		g_hash_table_remove_all(cache->gone);
}

void cache_folder_gone_locked(Cache *cache, const char *uri)
{
	gint64 now = g_get_monotonic_time();
	if (cache->listing_now)
		g_hash_table_insert(cache->gone, g_strdup(uri), g_memdup2(&now, sizeof(now)));
}

static bool gone_since(Cache *cache, const char *uri, gint64 since)
{
	const gint64 *gone = uri ? g_hash_table_lookup(cache->gone, uri) : NULL;
	return gone && *gone >= since;
}

bool cache_folder_left_locked(Cache *cache, const char *folder, const GssResource *resource,
                              gint64 since)
{
	if (!g_hash_table_size(cache->gone))
		return false;
	/* What arrived late is known by where it was sent: that need not be its URI. */
	g_autofree char *address = gss_uri_child(folder, gss_resource_name(resource));
	return gone_since(cache, gss_resource_uri(resource), since) ||
	       gone_since(cache, address, since);
}

/* --- what is shown --- */

static void note_unshown(Listing *listing, const char *name, const char *why)
{
	if (listing->unshown++ >= UNSHOWN_TOLD)
		return;
	g_autofree char *start = g_utf8_make_valid(name, (gssize)MIN(strlen(name), UNSHOWN_BYTES));
	if (!listing->examples)
		listing->examples = g_string_new(NULL);
	g_string_append_printf(listing->examples, "%s“%s%s” (%s)",
	                       listing->examples->len ? ", " : "", start,
	                       strlen(name) > UNSHOWN_BYTES ? "…" : "", why);
}

/* Once a folder and mount: who knows of them needs no reminder with each listing. */
static void tell_unshown_locked(Listing *listing)
{
	Cache *cache = listing->cache;
	CacheNode *folder = listing->folder;
	if (!listing->unshown || g_hash_table_size(cache->unshown) >= UNSHOWN_FOLDERS ||
	    g_hash_table_contains(cache->unshown, &folder->r.id))
		return;
	g_hash_table_add(cache->unshown, g_memdup2(&folder->r.id, sizeof(folder->r.id)));
	g_warning("%s: %u %s left out: %s%s", folder->r.uri, listing->unshown,
	          listing->unshown == 1 ? "entry can't be shown and is"
	                                : "entries can't be shown and are",
	          listing->examples->str, listing->unshown > UNSHOWN_TOLD ? ", …" : "");
}

/* May this entry be shown, and is it not one that a local change knows better? */
static bool usable(Listing *listing, const GssResource *resource)
{
	Cache *cache = listing->cache;
	CacheNode *folder = listing->folder;
	const char *name = gss_resource_name(resource), *uri = gss_resource_uri(resource);
	g_autoptr(GError) error = NULL;
	if (!gss_name_check(name, &error) || !gss_uri_check(uri ? uri : "", NULL)) {
		note_unshown(listing, name, error ? error->message : "it has no valid URI");
		return false;
	}
	return !cache_folder_left_locked(cache, folder->r.uri, resource, listing->asked_at) &&
	       !cache_removal_hides_locked(cache, folder->r.uri, resource) &&
	       !g_hash_table_contains(folder->touched, name);
}

/* Leaves what is to be shown, by name; of two of one name always the same. */
static void sort_out_locked(Listing *listing)
{
	GPtrArray *all = listing->resources;
	guint shown = 0;
	g_ptr_array_sort(all, by_name_and_uri);
	for (guint i = 0; i < all->len; i++) {
		GssResource *resource = g_steal_pointer(&all->pdata[i]);
		const GssResource *last = shown ? all->pdata[shown - 1] : NULL;
		const char *name = gss_resource_name(resource);
		bool use = usable(listing, resource);
		bool again = use && last && strcmp(name, gss_resource_name(last)) == 0;
		if (again && strcmp(gss_resource_uri(resource), gss_resource_uri(last)) != 0)
			note_unshown(listing, name, "another one has this name");
		if (use && !again)
			all->pdata[shown++] = resource;
		else
			gss_resource_unref(resource);
	}
	g_ptr_array_set_size(all, (int)shown);
	tell_unshown_locked(listing);
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
	GPtrArray *shown = listing->resources;
	sort_out_locked(listing);
	g_autofree bool *known = g_new0(bool, shown->len);
	g_autoptr(GArray) gone = g_array_new(FALSE, FALSE, sizeof(Gone));
	g_array_set_clear_func(gone, gone_clear);
	Compare all = {shown, known, folder->touched, gone};
	if (!cache_store_children(cache->store, folder->r.id, compare, &all, error))
		return false;
	remove_gone_locked(listing, gone);

	CACHE_CRASH_POINT("folder.reconciling");
	if (!cache_store_begin(cache->store, error))
		return false;
	bool ok = true;
	for (guint i = 0; ok && i < shown->len; i++) {
		g_autoptr(GError) failure = NULL;
		if (!known[i] && !insert_child(cache, folder, shown->pdata[i], &failure) &&
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
		cache_siblings_set_locked(cache, folder, g_steal_pointer(&listing->resources));
	return ok;
}

/* --- the folder's own description --- */

typedef struct {
	Cache *cache;
	CacheNode *folder; /* pinned */
	char *uri;
	GssResource *resource;
	GError *error;
} Describing;

static void described(void *data)
{
	Describing *describing = data;
	Cache *cache = describing->cache;
	CacheNode *folder = describing->folder;
	g_mutex_lock(&cache->lock);
	if (describing->resource)
		cache_node_set_resource(folder, describing->resource);
	folder->describing = false;
	GSList *waiting = g_steal_pointer(&folder->described);
	g_mutex_unlock(&cache->lock);
	cache_calls_run(cache, waiting, describing->error);
	g_mutex_lock(&cache->lock);
	cache_node_put_locked(cache, folder);
	g_mutex_unlock(&cache->lock);
	g_clear_pointer(&describing->resource, gss_resource_unref);
	g_clear_error(&describing->error);
	g_free(describing->uri);
	g_free(describing);
	cache_call_end(cache);
}

/* On gss-net. */
static void on_described(GssResource *resource, const GError *error, void *data)
{
	Describing *describing = data;
	if (error)
		describing->error = g_error_copy(error);
	else if (gss_resource_type(resource) == GSS_TYPE_FOLDER)
		describing->resource = gss_resource_ref(resource);
	else
		describing->error = g_error_new_literal(CACHE_ERROR, ENOTDIR, "no folder");
	cache_worker_post(describing->cache, described, describing);
}

static void describe(void *data)
{
	Describing *describing = data;
	Cache *cache = describing->cache;
	gss_storage_resolve(cache->client, describing->uri, cache->stop, on_described, describing);
}

/* Has it a description of what its address is now? */
static bool is_described(const CacheNode *folder)
{
	return folder->resource &&
	       g_strcmp0(gss_resource_uri(folder->resource), folder->r.uri) == 0;
}

static bool describe_locked(Cache *cache, CacheNode *folder)
{
	if (folder->describing)
		return true;
	if (!folder->r.uri || !cache_call_begin_locked(cache))
		return false;
	Describing *describing = g_new(Describing, 1);
	*describing = (Describing){.cache = cache,
	                           .folder = cache_node_pin_locked(folder),
	                           .uri = g_strdup(folder->r.uri)};
	folder->describing = true;
	cache_worker_post(cache, describe, describing);
	return true;
}

bool cache_folder_describe_locked(Cache *cache, CacheNode *folder, CacheReady ready, void *data)
{
	if (is_described(folder))
		return true;
	if (describe_locked(cache, folder))
		folder->described = cache_calls_add(folder->described, ready, data);
	else
		cache_ready_later(cache, ready, data, EIO, "GSS cannot be asked");
	return false;
}

/* --- asking for a listing --- */

/* Without a login that is told at no cost; and there may be one at any moment. */
static bool for_want_of_login(const GError *error)
{
	return error->code == ENOKEY || error->code == EKEYREJECTED;
}

static void ask(void *data);

/* A refresh came after it was asked. Once: who refreshes all the time keeps nobody waiting. */
static bool ask_anew(Listing *listing)
{
	Cache *cache = listing->cache;
	g_mutex_lock(&cache->lock);
	bool due = listing->asked_at <= listing->folder->refreshed_at && !listing->anew;
	listing->anew |= due;
	if (due) {
		cache_folder_asked_locked(cache);
		listing->asked_at = cache_folder_asks_locked(cache);
	}
	g_mutex_unlock(&cache->lock);
	if (!due)
		return false;
	g_ptr_array_set_size(listing->resources, 0);
	g_clear_error(&listing->error);
	ask(listing);
	return true;
}

static void finish(void *data)
{
	Listing *listing = data;
	Cache *cache = listing->cache;
	CacheNode *folder = listing->folder;
	if (ask_anew(listing))
		return;
	g_mutex_lock(&cache->lock);
	if (!listing->error)
		reconcile_locked(listing, &listing->error);
	gint64 now = g_get_monotonic_time();
	g_clear_error(&folder->list_error);
	if (listing->error) {
		folder->list_until = 0;
		folder->list_failed_until =
			for_want_of_login(listing->error) ? 0 : now + CACHE_FAILURE_LEASE_US;
		folder->list_error = g_error_copy(listing->error);
	} else {
		folder->list_until = listing->asked_at + CACHE_LIST_LEASE_US;
	}
	folder->list_running = false;
	cache_folder_asked_locked(cache);
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
	g_clear_pointer(&listing->resources, g_ptr_array_unref);
	g_ptr_array_unref(listing->outdated);
	g_clear_error(&listing->error);
	if (listing->examples)
		g_string_free(listing->examples, TRUE);
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
	*listing = (Listing){
		.cache = cache,
		.folder = cache_node_pin_locked(folder),
		.uri = g_strdup(folder->r.uri),
		.resources = g_ptr_array_new_with_free_func((GDestroyNotify)gss_resource_unref),
		.outdated = g_ptr_array_new_with_free_func(g_free),
		.asked_at = cache_folder_asks_locked(cache)};
	folder->list_running = true;
	folder->touched = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	folder->listing = cache_calls_add(folder->listing, ready, data);
	cache_late_arm_locked(cache, &folder->list_late, &folder->listing);
	cache_worker_post(cache, ask, listing);
	/* A full view would be at the folder's own address, which no listing tells of a folder that
	 * is mounted by itself. */
	if (!is_described(folder) && cache_siblings_want_view_locked(cache, folder))
		describe_locked(cache, folder);
	return false;
}
