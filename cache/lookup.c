/* Finding: by name, by URI, and everything in a folder. */
#include "cache/private.h"

#include <errno.h>
#include <string.h>

#include "gss/uri.h"

#define LOOKUP_TRIES 3 /* a name that changes under our eyes is not followed for ever */

typedef struct {
	Cache *cache;
	CacheNode *parent; /* pinned */
	char *name;
	bool refreshed, viewed, validated;
	guint tries;
	GError *list_error, *attr_error;
	CacheAttrCallback callback;
	void *data;
} Lookup;

static void lookup_step(Lookup *lookup);

static void lookup_end(Lookup *lookup, const CacheAttr *attr, const GError *error)
{
	Cache *cache = lookup->cache;
	lookup->callback(attr, error, lookup->data);
	g_mutex_lock(&cache->lock);
	cache_node_put_locked(cache, lookup->parent);
	g_mutex_unlock(&cache->lock);
	g_clear_error(&lookup->list_error);
	g_clear_error(&lookup->attr_error);
	g_free(lookup->name);
	g_free(lookup);
}

static void on_refreshed(Cache *cache, const GError *error, void *data)
{
	Lookup *lookup = data;
	lookup->refreshed = true;
	g_clear_error(&lookup->list_error);
	if (error)
		lookup->list_error = g_error_copy(error);
	lookup_step(lookup);
}

static void on_validated(Cache *cache, const GError *error, void *data)
{
	Lookup *lookup = data;
	lookup->validated = true;
	g_clear_error(&lookup->attr_error);
	if (error && error->code == ENOENT && ++lookup->tries < LOOKUP_TRIES) {
		/* Gone, or something else by now: the folder knows. */
		lookup->refreshed = lookup->validated = false;
	} else if (error) {
		lookup->attr_error = g_error_copy(error);
	}
	lookup_step(lookup);
}

/* The full view has come, or is not waited for any longer. */
static void on_view(Cache *cache, const GError *error, void *data)
{
	Lookup *lookup = data;
	lookup->viewed = true;
	lookup_step(lookup);
}

/* The last listing takes the place of the one that failed. */
static bool offline_locked(const Lookup *lookup)
{
	return lookup->list_error && lookup->parent->r.listed &&
	       cache_offline(lookup->cache, lookup->list_error);
}

/* What is known locally, without a question to GSS: NULL when GSS must be asked. An error of the
 * listing never makes a name vanish; what the journal's last complete listing does not have is not
 * there. */
static bool settle_locked(Lookup *lookup, CacheNode *node, GError **error)
{
	if (node && (cache_node_dirty(node) || !node->r.uri))
		return true;
	const GError *failure = lookup->list_error;
	if (failure && !offline_locked(lookup) && !(node && node->r.folder) &&
	    !(!node && lookup->parent->r.listed)) {
		g_propagate_error(error, g_error_copy(failure));
		return false;
	}
	if (!node)
		g_set_error(error, CACHE_ERROR, ENOENT, "%s: no such file or folder", lookup->name);
	return node != NULL;
}

static void lookup_step(Lookup *lookup)
{
	Cache *cache = lookup->cache;
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	bool found = false;
	g_mutex_lock(&cache->lock);
	CacheNode *node = cache_node_find_locked(cache, lookup->parent->r.id, lookup->name, &error);
	if (!node && error->code != ENOENT)
		goto done;
	g_clear_error(&error);
	bool local = node && (cache_node_dirty(node) || !node->r.uri);
	if (!local && !lookup->refreshed &&
	    !cache_folder_refresh_locked(cache, lookup->parent, on_refreshed, lookup))
		goto waiting;
	found = settle_locked(lookup, node, &error);
	if (!found || local)
		goto done;
	cache_siblings_hand_down_locked(lookup->parent, node);
	cache_siblings_apply_locked(cache, lookup->parent, node);
	if (node->r.folder)
		goto done;
	bool known = node->r.size >= 0;
	if (!lookup->viewed && !lookup->validated &&
	    cache_siblings_await_locked(cache, lookup->parent, node, on_view, lookup))
		goto waiting;
	if (!lookup->validated && !(known && offline_locked(lookup)) &&
	    !cache_attr_validate_locked(cache, node, cache_attr_lease_locked(node, false),
	                                on_validated, lookup)) {
		cache_siblings_view_locked(cache, lookup->parent, lookup->name);
		goto waiting;
	}
	bool failed = lookup->attr_error && !(known && cache_offline(cache, lookup->attr_error));
	if (failed || (node->r.size < 0 && !cache_node_dirty(node))) {
		found = false;
		error = lookup->attr_error ? g_steal_pointer(&lookup->attr_error)
		                           : g_error_new(CACHE_ERROR, EIO, "%s: GSS tells no size",
		                                         lookup->name);
	} else {
		cache_siblings_ahead_locked(cache, lookup->parent, lookup->name);
	}
done:
	if (found) {
		node->refs++;
		cache_node_attr(node, &attr);
	}
	if (node)
		cache_node_put_locked(cache, node);
	g_mutex_unlock(&cache->lock);
	lookup_end(lookup, found ? &attr : NULL, error);
	return;
waiting:
	if (node)
		cache_node_put_locked(cache, node);
	g_mutex_unlock(&cache->lock);
}

void cache_lookup(Cache *cache, CacheId parent, const char *name, CacheAttrCallback callback,
                  void *data)
{
	g_autoptr(GError) error = NULL;
	g_mutex_lock(&cache->lock);
	CacheNode *node = cache_node_get_locked(cache, parent, &error);
	if (node && (!node->r.folder || !gss_name_check(name, NULL))) {
		int code = !node->r.folder               ? ENOTDIR
		           : strlen(name) > GSS_NAME_MAX ? ENAMETOOLONG
		                                         : ENOENT;
		g_set_error(&error, CACHE_ERROR, code, "%s", g_strerror(code));
		cache_node_put_locked(cache, node);
		node = NULL;
	}
	g_mutex_unlock(&cache->lock);
	if (!node) {
		callback(NULL, error, data);
		return;
	}
	Lookup *lookup = g_new0(Lookup, 1);
	*lookup = (Lookup){.cache = cache,
	                   .parent = node,
	                   .name = g_strdup(name),
	                   .callback = callback,
	                   .data = data};
	lookup_step(lookup);
}

bool cache_lookup_known(Cache *cache, CacheId parent, const char *name, bool ahead, CacheAttr *ret)
{
	bool known = false;
	g_mutex_lock(&cache->lock);
	gint64 now = g_get_monotonic_time();
	CacheNode *folder = g_hash_table_lookup(cache->nodes, &parent);
	bool may = folder && folder->list_until > now &&
	           cache_siblings_known_locked(cache, folder, name);
	CacheNode *node = may ? cache_node_find_locked(cache, parent, name, NULL) : NULL;
	if (node) {
		bool local = cache_node_dirty(node) || !node->r.uri;
		if (!local) {
			cache_siblings_hand_down_locked(folder, node);
			cache_siblings_apply_locked(cache, folder, node);
		}
		known = local || node->r.folder ||
		        (node->r.size >= 0 && !node->opens && node->attr_until > now);
	}
	if (known) {
		node->refs++;
		cache_node_attr(node, ret);
		if (ahead)
			cache_siblings_ahead_locked(cache, folder, name);
	}
	if (node)
		cache_node_put_locked(cache, node);
	g_mutex_unlock(&cache->lock);
	return known;
}

void cache_forget(Cache *cache, CacheId id, guint64 count)
{
	g_mutex_lock(&cache->lock);
	CacheNode *node = g_hash_table_lookup(cache->nodes, &id);
	if (node) {
		node->refs -= MIN(node->refs, count);
		cache_node_put_locked(cache, cache_node_pin_locked(node));
	} else {
		cache_idle_unref_locked(cache, id, count);
	}
	g_mutex_unlock(&cache->lock);
}

bool cache_hold(Cache *cache, CacheId id)
{
	g_mutex_lock(&cache->lock);
	CacheNode *node = cache_node_get_locked(cache, id, NULL);
	if (node) {
		node->refs++;
		cache_node_put_locked(cache, node);
	}
	g_mutex_unlock(&cache->lock);
	return node != NULL;
}

/* --- everything in a folder --- */

typedef struct {
	CacheId id;
	bool folder;
	gsize name; /* offset in names */
} Entry;

struct CacheListing {
	GArray *entries; /* Entry */
	GString *names;
};

typedef struct {
	Cache *cache;
	CacheNode *folder; /* pinned */
	CacheListingCallback callback;
	void *data;
} ListRequest;

static bool note_entry(const CacheRecord *record, void *data)
{
	CacheListing *listing = data;
	Entry entry = {record->id, record->folder, listing->names->len};
	g_string_append_len(listing->names, record->name, strlen(record->name) + 1);
	g_array_append_val(listing->entries, entry);
	return true;
}

static void on_list_refreshed(Cache *cache, const GError *error, void *data)
{
	g_autofree ListRequest *request = data;
	g_autoptr(GError) failure = NULL;
	CacheListing *listing = NULL;
	g_mutex_lock(&cache->lock);
	if (error && request->folder->r.listed && cache_offline(cache, error))
		error = NULL;
	if (!error) {
		cache_siblings_shown_locked(request->folder);
		listing = g_new0(CacheListing, 1);
		listing->entries = g_array_new(FALSE, FALSE, sizeof(Entry));
		listing->names = g_string_new(NULL);
		if (!cache_store_children(cache->store, request->folder->r.id, note_entry, listing,
		                          &failure))
			g_clear_pointer(&listing, cache_listing_free);
	}
	cache_node_put_locked(cache, request->folder);
	g_mutex_unlock(&cache->lock);
	request->callback(listing, error ? error : failure, request->data);
}

void cache_list(Cache *cache, CacheId folder, CacheListingCallback callback, void *data)
{
	g_autoptr(GError) error = NULL;
	g_mutex_lock(&cache->lock);
	CacheNode *node = cache_node_get_locked(cache, folder, &error);
	if (node && !node->r.folder) {
		cache_node_put_locked(cache, node);
		node = NULL;
		g_set_error_literal(&error, CACHE_ERROR, ENOTDIR, "not a folder");
	}
	if (!node) {
		g_mutex_unlock(&cache->lock);
		callback(NULL, error, data);
		return;
	}
	ListRequest *request = g_new(ListRequest, 1);
	*request = (ListRequest){cache, node, callback, data};
	/* An open folder without a name (removed) is empty. */
	bool fresh = node->r.parent == CACHE_PARENT_UNLINKED ||
	             cache_folder_refresh_locked(cache, node, on_list_refreshed, request);
	g_mutex_unlock(&cache->lock);
	if (fresh)
		on_list_refreshed(cache, NULL, request);
}

guint cache_listing_size(const CacheListing *listing)
{
	return listing->entries->len;
}

void cache_listing_get(const CacheListing *listing, guint index, CacheEntry *ret)
{
	const Entry *entry = &g_array_index(listing->entries, Entry, index);
	*ret = (CacheEntry){entry->id, entry->folder, listing->names->str + entry->name};
}

void cache_listing_free(CacheListing *listing)
{
	g_array_unref(listing->entries);
	g_string_free(listing->names, TRUE);
	g_free(listing);
}

/* --- the folder a mount shows --- */

typedef struct {
	Cache *cache;
	CacheNode *node; /* pinned until the cache is closed */
	CacheRootCallback callback;
	void *data;
	bool made;
} RootRequest;

static void on_root_listed(Cache *cache, const GError *error, void *data)
{
	g_autofree RootRequest *request = data;
	g_autoptr(GError) told = NULL;
	CacheId id = request->node->r.id;
	if (error) {
		told = g_error_copy(error);
		g_mutex_lock(&cache->lock);
		/* It was only a question: nothing of it stays. */
		if (request->made && !cache_node_detach_locked(cache, request->node, &told))
			g_warning("%s: cannot forget %s", cache->path, request->node->r.uri);
		cache_node_put_locked(cache, request->node);
		g_mutex_unlock(&cache->lock);
	}
	request->callback(error ? 0 : id, false, told, request->data);
}

void cache_root(Cache *cache, const char *uri, CacheRootCallback callback, void *data)
{
	g_autoptr(GError) error = NULL;
	RootRequest *request = g_new0(RootRequest, 1);
	*request = (RootRequest){.cache = cache, .callback = callback, .data = data};
	g_mutex_lock(&cache->lock);
	CacheNode *node =
		gss_uri_check(uri, &error) ? cache_node_find_uri_locked(cache, uri, &error) : NULL;
	if (!node && error->code == ENOENT) {
		g_clear_error(&error);
		g_auto(CacheRecord) record = CACHE_RECORD_INIT;
		cache_record_init(&record, CACHE_PARENT_ROOT, uri, true, cache->folder_mode);
		record.uri = g_strdup(uri);
		request->made = cache_store_insert(cache->store, &record, &error);
		if (request->made)
			node = cache_node_adopt_locked(cache, &record);
	} else if (node && !node->r.folder) {
		cache_node_put_locked(cache, node);
		node = NULL;
		g_set_error(&error, CACHE_ERROR, ENOTDIR, "%s is a file, not a folder", uri);
	}
	request->node = node;
	bool known = node && node->r.listed;
	CacheId id = node ? node->r.id : 0;
	bool asking = node && !known;
	bool fresh = asking && cache_folder_refresh_locked(cache, node, on_root_listed, request);
	g_mutex_unlock(&cache->lock);
	if (fresh) {
		on_root_listed(cache, NULL, request);
	} else if (!asking) {
		g_free(request);
		callback(id, known, error, data);
	}
}

/* --- by URI --- */

typedef struct {
	Cache *cache;
	GPtrArray *names; /* below the folder that was found, deepest last */
	guint next;
	CacheId folder; /* referenced until its child has answered */
	CacheId found;  /* referenced for the caller, unless asking for it fails */
	CacheAttrCallback callback;
	void *data;
} UriRequest;

static void on_component(const CacheAttr *attr, const GError *error, void *data)
{
	UriRequest *request = data;
	if (request->folder)
		cache_forget(request->cache, request->folder, 1);
	if (error && request->found)
		cache_forget(request->cache, request->found, 1);
	if (error || request->next == request->names->len) {
		request->callback(attr, error, request->data);
		g_ptr_array_unref(request->names);
		g_free(request);
		return;
	}
	request->folder = attr->id;
	cache_lookup(request->cache, attr->id, g_ptr_array_index(request->names, request->next++),
	             on_component, request);
}

/* The URI may be known as it is, or be the address of a name below a folder that is: what is not
 * uploaded yet has no URI of its own. */
void cache_find_uri(Cache *cache, const char *uri, CacheAttrCallback callback, void *data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *prefix = g_strdup(uri);
	g_mutex_lock(&cache->lock);
	CacheNode *node = NULL;
	CacheAttr attr;
	while (gss_uri_check(prefix, &error) &&
	       !(node = cache_node_find_uri_locked(cache, prefix, &error)) &&
	       error->code == ENOENT) {
		char *slash = strrchr(prefix, '/');
		if (!slash || slash == prefix || !slash[1])
			break;
		g_clear_error(&error);
		g_ptr_array_insert(names, 0, g_strdup(slash + 1));
		/* The root keeps its "//". */
		slash[slash[-1] == '/' ? 1 : 0] = '\0';
	}
	if (node) {
		cache_node_attr(node, &attr);
		node->refs++;
		cache_node_put_locked(cache, node);
	}
	g_mutex_unlock(&cache->lock);
	if (!node) {
		callback(NULL, error, data);
		return;
	}
	UriRequest *request = g_new0(UriRequest, 1);
	*request = (UriRequest){.cache = cache,
	                        .names = g_steal_pointer(&names),
	                        .callback = callback,
	                        .data = data};
	if (request->names->len) {
		request->folder = attr.id;
		cache_lookup(cache, attr.id, g_ptr_array_index(request->names, request->next++),
		             on_component, request);
	} else {
		/* Is it still there? This asks if the lease is over. */
		request->found = attr.id;
		cache_getattr(cache, attr.id, on_component, request);
	}
}

/* --- small questions --- */

CacheId cache_parent(Cache *cache, CacheId id)
{
	g_mutex_lock(&cache->lock);
	CacheNode *node = cache_node_get_locked(cache, id, NULL);
	CacheId parent = node && node->r.parent > 0 ? node->r.parent : 0;
	if (node)
		cache_node_put_locked(cache, node);
	g_mutex_unlock(&cache->lock);
	return parent;
}

char *cache_uri(Cache *cache, CacheId id)
{
	g_mutex_lock(&cache->lock);
	CacheNode *node = cache_node_get_locked(cache, id, NULL);
	char *uri = node ? g_strdup(node->r.uri) : NULL;
	if (node)
		cache_node_put_locked(cache, node);
	g_mutex_unlock(&cache->lock);
	return uri;
}

CacheState cache_state(Cache *cache, CacheId id)
{
	g_mutex_lock(&cache->lock);
	CacheNode *node = cache_node_get_locked(cache, id, NULL);
	CacheState state = CACHE_STATE_CLEAN;
	if (node && cache_node_dirty(node))
		state = node->job ? CACHE_STATE_UPLOADING : node->r.state;
	else if (node && node->r.conflict)
		state = CACHE_STATE_CONFLICT;
	if (node)
		cache_node_put_locked(cache, node);
	g_mutex_unlock(&cache->lock);
	return state;
}

char *cache_state_error(Cache *cache, CacheId id)
{
	g_mutex_lock(&cache->lock);
	CacheNode *node = cache_node_get_locked(cache, id, NULL);
	const char *message = node && cache_node_dirty(node) ? node->r.message : NULL;
	char *copy = g_strdup(message ? message : node ? node->r.conflict : NULL);
	if (node)
		cache_node_put_locked(cache, node);
	g_mutex_unlock(&cache->lock);
	return copy;
}

const char *cache_state_name(CacheState state)
{
	switch (state) {
	case CACHE_STATE_CLEAN:
		return "clean";
	case CACHE_STATE_DIRTY:
		return "dirty";
	case CACHE_STATE_UPLOADING:
		return "uploading";
	case CACHE_STATE_FAILED:
		return "failed";
	case CACHE_STATE_CONFLICT:
		return "conflict";
	}
	return "unknown";
}
