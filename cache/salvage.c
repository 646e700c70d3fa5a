/* Salvage: what a damaged journal still says of files that GSS does not have.
 *
 * A file is carried over into the new journal if all that is said of it can be read and agrees: its
 * record, the folders above it, and that its blob is whole, of just the journaled size, and not
 * torn. Such a blob is what its last close() left, whatever else was lost. All other blobs go to
 * quarantine/, under the name that could be read. What it says is still to be deleted on GSS is
 * not believed, and told. */
#include "cache/private.h"

#include <errno.h>

#include "gss/uri.h"

#define DEPTH_MAX 256

typedef struct {
	Cache *cache;
	CacheStore *old;  /* NULL: it can't be opened */
	GPtrArray *sound; /* Found, to be carried over */
} Salvage;

typedef struct {
	CacheRecord record; /* of the blob's file; without a name: it could not be read */
	CacheBlobId blob;
	char *boot_id;
	bool durable;
} Found;

static void found_free(void *data)
{
	Found *found = data;
	cache_record_clear(&found->record);
	g_free(found->boot_id);
	g_free(found);
}

static Found *find(const Salvage *salvage, CacheBlobId blob)
{
	Found *found = g_new0(Found, 1);
	found->blob = blob;
	cache_record_clear(&found->record);
	CacheId node = salvage->old ? cache_store_blob_node(salvage->old, blob, NULL) : 0;
	if (node && !cache_store_load(salvage->old, node, &found->record, NULL))
		cache_record_clear(&found->record);
	return found;
}

/* Is there a way from a folder up to what was mounted? */
static bool has_path(CacheStore *old, gint64 folder)
{
	for (int depth = 0; depth < DEPTH_MAX; depth++) {
		g_auto(CacheRecord) above = CACHE_RECORD_INIT;
		if (folder <= 0 || !cache_store_load(old, folder, &above, NULL) || !above.folder ||
		    !above.uri || !gss_uri_check(above.uri, NULL))
			return false;
		if (above.parent == CACHE_PARENT_ROOT)
			return g_strcmp0(above.name, above.uri) == 0;
		if (!above.name || !gss_name_check(above.name, NULL))
			return false;
		folder = above.parent;
	}
	return false;
}

/* Holds the blob just what the record says, from its begin to its end? */
static bool is_whole(const Salvage *salvage, const Found *found)
{
	struct stat st;
	CacheExtents held;
	guint64 size = (guint64)found->record.size;
	if (!cache_blob_stat(&salvage->cache->blobs, found->blob, &st) || !S_ISREG(st.st_mode) ||
	    (guint64)st.st_size != size)
		return false;
	cache_extents_init(&held);
	bool whole = cache_store_load_extents(salvage->old, found->blob, &held, NULL) &&
	             cache_extents_contain(&held, 0, size) && cache_extents_end(&held) <= size;
	cache_extents_clear(&held);
	return whole;
}

static bool is_sound(const Salvage *salvage, Found *found)
{
	const CacheRecord *r = &found->record;
	return r->name && !r->folder && r->blob == found->blob && r->size >= 0 &&
	       r->generation > r->published && r->torn == CACHE_TORN_NO &&
	       gss_name_check(r->name, NULL) && (!r->uri || gss_uri_check(r->uri, NULL)) &&
	       (!r->moved_from || gss_uri_check(r->moved_from, NULL)) &&
	       has_path(salvage->old, r->parent) &&
	       cache_store_blob_info(salvage->old, found->blob, &found->boot_id, &found->durable,
	                             NULL) &&
	       is_whole(salvage, found);
}

/* The folder and those above it, in the new journal. What else they have is asked for anew. */
static bool carry_folder(const Salvage *salvage, CacheId id, GError **error)
{
	g_auto(CacheRecord) record = CACHE_RECORD_INIT;
	if (cache_store_load(salvage->cache->store, id, &record, NULL))
		return true;
	if (!cache_store_load(salvage->old, id, &record, error))
		return false;
	record.listed = false;
	return (record.parent == CACHE_PARENT_ROOT ||
	        carry_folder(salvage, record.parent, error)) &&
	       cache_store_restore(salvage->cache->store, &record, error);
}

/* `why` may be NULL. */
static bool give_up(Cache *cache, const Found *found, const char *why, GError **error)
{
	const char *name = found->record.name ? found->record.name : "nobody";
	if (!cache_blob_quarantine(&cache->blobs, found->blob, name, error))
		return false;
	g_warning("%s: %s: its bytes were moved to quarantine/%s%s", cache->path, name,
	          why ? ": " : "", why ? why : "");
	return true;
}

static bool carry_over(const Salvage *salvage, Found *found, GError **error)
{
	CacheStore *store = salvage->cache->store;
	CacheExtents whole;
	cache_extents_init(&whole);
	cache_extents_add(&whole, 0, (guint64)found->record.size);
	bool ok = carry_folder(salvage, found->record.parent, error) &&
	          cache_store_restore(store, &found->record, error) &&
	          cache_store_restore_blob(store, found->blob, found->record.id, found->boot_id,
	                                   found->durable, error) &&
	          cache_store_save_extents(store, found->blob, &whole, error);
	cache_extents_clear(&whole);
	return ok;
}

/* One that does not get in is no harm to the others; a full disk is. */
static bool settle(const Salvage *salvage, Found *found, guint *ret_carried, GError **error)
{
	Cache *cache = salvage->cache;
	g_autoptr(GError) failure = NULL;
	if (!cache_store_begin(cache->store, error))
		return false;
	bool ok = carry_over(salvage, found, &failure);
	ok = cache_store_end(cache->store, ok, ok ? &failure : NULL) && ok;
	*ret_carried += ok;
	if (ok)
		return true;
	if (failure->code == ENOSPC) {
		g_propagate_error(error, g_steal_pointer(&failure));
		return false;
	}
	return give_up(cache, found, failure->message, error);
}

/* The rest goes to the quarantine first: what is in blobs/ afterwards is sound. */
static bool sort_out(Salvage *salvage, GError **error)
{
	Cache *cache = salvage->cache;
	g_autoptr(GArray) blobs = cache_blobs_list(&cache->blobs, error);
	for (guint i = 0; blobs && i < blobs->len; i++) {
		CacheBlobId blob = g_array_index(blobs, CacheBlobId, i);
		Found *found = find(salvage, blob);
		if (salvage->old && is_sound(salvage, found)) {
			g_ptr_array_add(salvage->sound, found);
			continue;
		}
		bool ok = give_up(cache, found, NULL, error);
		found_free(found);
		if (!ok)
			return false;
	}
	return blobs != NULL;
}

static void tell_removals(const Salvage *salvage)
{
	g_autoptr(GPtrArray) removals =
		salvage->old ? cache_store_removals(salvage->old, 0, NULL) : NULL;
	for (guint i = 0; removals && i < removals->len; i++) {
		const CacheRemoval *removal = removals->pdata[i];
		if (!removal->until && removal->uri && gss_uri_check(removal->uri, NULL))
			g_warning("%s: %s: was to be removed from GSS, and is not: it shows again",
			          salvage->cache->path, removal->uri);
	}
}

bool cache_salvage(Cache *cache, const char *damaged, GError **error)
{
	g_autoptr(CacheStore) old = cache_store_open_damaged(damaged);
	g_autoptr(GPtrArray) sound = g_ptr_array_new_with_free_func(found_free);
	Salvage salvage = {cache, old, sound};
	if (!sort_out(&salvage, error))
		return false;
	tell_removals(&salvage);
	CACHE_CRASH_POINT("salvage.sorted");
	guint carried = 0;
	for (guint i = 0; i < sound->len; i++)
		if (!settle(&salvage, sound->pdata[i], &carried, error))
			return false;
	if (carried)
		g_warning("%s: %u files that were not uploaded yet were carried over", cache->path,
		          carried);
	return true;
}
