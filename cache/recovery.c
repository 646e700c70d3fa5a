/* Recovery: what the last run left, at the start of the next. Touches the local disk only. Nothing
 * that could be somebody's work is deleted: what cannot be trusted goes to quarantine/ and is
 * reported. */
#include "cache/private.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define SETTLE_US (2 * G_USEC_PER_SEC)

static bool set_aside(Cache *cache, CacheBlobId id, const char *label, GError **error)
{
	struct stat st;
	if (!cache_blob_stat(&cache->blobs, id, &st))
		return true;
	if (S_ISREG(st.st_mode) && st.st_size == 0)
		return cache_blob_remove(&cache->blobs, id, error);
	if (!cache_blob_quarantine(&cache->blobs, id, label, error))
		return false;
	g_warning("%s: a blob of %s is not trusted and was moved to quarantine/", cache->path,
	          label);
	return true;
}

/* A copy that was being made for a writer: the journal says of no byte that it is held there, and
 * what it was to be a copy of is here. `node`: whose. */
static bool is_half_a_copy(Cache *cache, CacheBlobId id, const CacheRecord *node)
{
	struct stat st;
	CacheExtents held;
	cache_extents_init(&held);
	bool unused = cache_store_load_extents(cache->store, id, &held, NULL) &&
	              !cache_extents_count(&held);
	cache_extents_clear(&held);
	return unused && node->blob && node->blob != id &&
	       cache_blob_stat(&cache->blobs, node->blob, &st) && S_ISREG(st.st_mode);
}

static bool recover_orphan(Cache *cache, CacheBlobId id, GError **error)
{
	g_auto(CacheRecord) record = CACHE_RECORD_INIT;
	g_autoptr(GError) unread = NULL;
	CacheId node = cache_store_blob_node(cache->store, id, &unread);
	bool given_up = !node && !unread;
	bool known = node && cache_store_load(cache->store, node, &record, NULL);
	bool ok = given_up || (known && is_half_a_copy(cache, id, &record))
	                  ? cache_blob_remove(&cache->blobs, id, error)
	                  : set_aside(cache, id, known ? record.name : "nobody", error);
	return ok && cache_store_remove_blob(cache->store, id, error);
}

/* Blobs on disk that the journal does not know, and blobs in the journal that nothing uses. One
 * that cannot be moved stays for the next mount. */
static bool recover_blobs(Cache *cache, GError **error)
{
	CACHE_CRASH_POINT("recovery.begun");
	g_autoptr(GArray) orphans = cache_store_orphans(cache->store, error);
	if (!orphans)
		return false;
	for (guint i = 0; i < orphans->len; i++) {
		g_autoptr(GError) failure = NULL;
		if (recover_orphan(cache, g_array_index(orphans, CacheBlobId, i), &failure))
			continue;
		if (failure->code == EUCLEAN) {
			g_propagate_error(error, g_steal_pointer(&failure));
			return false;
		}
		g_warning("%s: %s", cache->path, failure->message);
	}
	CACHE_CRASH_POINT("recovery.orphans");
	g_autoptr(GArray) recorded = cache_store_blobs(cache->store, error);
	g_autoptr(GArray) present = recorded ? cache_blobs_list(&cache->blobs, error) : NULL;
	if (!present)
		return false;
	g_autoptr(GHashTable) known = g_hash_table_new(g_int64_hash, g_int64_equal);
	for (guint i = 0; i < recorded->len; i++)
		g_hash_table_add(known, &g_array_index(recorded, CacheBlobId, i));
	for (guint i = 0; i < present->len; i++) {
		CacheBlobId *id = &g_array_index(present, CacheBlobId, i);
		g_autoptr(GError) failure = NULL;
		if (!g_hash_table_contains(known, id) && !set_aside(cache, *id, "nobody", &failure))
			g_warning("%s: %s", cache->path, failure->message);
	}
	return true;
}

static bool note_id(const CacheRecord *record, void *data)
{
	g_array_append_val((GArray *)data, record->id);
	return true;
}

/* Nodes that had lost their name: their last user is gone too. */
static bool recover_nameless(Cache *cache, GError **error)
{
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(CacheId));
	if (!cache_store_children(cache->store, CACHE_PARENT_UNLINKED, note_id, ids, error))
		return false;
	for (guint i = 0; i < ids->len; i++) {
		CacheNode *node =
			cache_node_get_locked(cache, g_array_index(ids, CacheId, i), error);
		if (!node)
			return false;
		CACHE_CRASH_POINT("recovery.nameless");
		cache_node_put_locked(cache, node); /* buries it */
	}
	return true;
}

/* Is less there of the first `size` bytes than the journal says? */
static bool is_cut_off(Cache *cache, CacheBlobId blob, guint64 size, guint64 length)
{
	CacheExtents held;
	g_autoptr(GError) none = NULL;
	cache_extents_init(&held);
	bool read = cache_store_load_extents(cache->store, blob, &held, &none);
	bool less = read && MIN(cache_extents_end(&held), size) > length;
	cache_extents_clear(&held);
	return !read || less;
}

/* Why a blob cannot be what was written to it; NULL: it is. `size`: of what must be there; -1: as
 * much as there is. */
static const char *distrust(Cache *cache, CacheBlobId blob, gint64 size)
{
	g_autofree char *boot_id = NULL;
	g_autoptr(GError) none = NULL;
	struct stat st;
	bool durable = false;
	if (!cache_store_blob_info(cache->store, blob, &boot_id, &durable, &none) ||
	    !cache_blob_stat(&cache->blobs, blob, &st) || !S_ISREG(st.st_mode))
		return "its local copy is lost";
	if (st.st_size < size && is_cut_off(cache, blob, (guint64)size, (guint64)st.st_size))
		return "its local copy is cut off; what is left of it is in quarantine/";
	if (!durable && g_strcmp0(boot_id, cache->boot_id) != 0)
		return "it had not reached the disk when the machine went down; its bytes are in "
		       "quarantine/";
	return NULL;
}

/* Sealed generations whose blobs cannot be trusted must not be found any more. */
static bool give_up_generations(Cache *cache, CacheNode *node, GError **error)
{
	CacheGeneration sealed;
	g_autoptr(GError) none = NULL;
	while (cache_store_oldest_generation(cache->store, node->r.id, &sealed, &none)) {
		if (!set_aside(cache, sealed.blob, node->r.name, error) ||
		    !cache_store_remove_blob(cache->store, sealed.blob, error) ||
		    !cache_store_remove_generations(cache->store, node->r.id, sealed.number, error))
			return false;
	}
	return true;
}

/* The local bytes are gone or not to be trusted: back to what GSS has, or parked without content.
 */
static bool give_up_blob(Cache *cache, CacheNode *node, const char *why, GError **error)
{
	CacheRecord *r = &node->r;
	if (!set_aside(cache, r->blob, r->name, error) ||
	    !cache_store_remove_blob(cache->store, r->blob, error) ||
	    !give_up_generations(cache, node, error))
		return false;
	CACHE_CRASH_POINT("recovery.gave_up");
	g_warning("%s: %s: %s", cache->path, r->name, why);
	r->blob = 0;
	r->torn = CACHE_TORN_NO;
	if (r->uri && !r->moved_from) {
		r->published = r->generation;
		r->state = CACHE_STATE_CLEAN;
		r->size = -1;
		gss_version_clear(&r->remote);
		node->flushed_size = 0;
		return cache_node_save_locked(cache, node, error);
	}
	r->torn = CACHE_TORN_WRITING;
	r->size = r->moved_from ? r->from.version.size : 0;
	g_autoptr(GError) told = g_error_new_literal(CACHE_ERROR, EIO, why);
	cache_node_set_state_locked(cache, node, CACHE_STATE_FAILED, told);
	return true;
}

/* An older generation that was being sent, whole and on the disk. */
static bool find_sealed(Cache *cache, const CacheNode *node, CacheGeneration *ret)
{
	return cache_store_find_generation(cache->store, node->r.id, ret, NULL) &&
	       ret->blob != node->r.blob && !distrust(cache, ret->blob, (gint64)ret->size);
}

static bool fall_back(Cache *cache, CacheNode *node, const CacheGeneration *sealed, GError **error)
{
	CacheRecord *r = &node->r;
	if (!set_aside(cache, r->blob, r->name, error) ||
	    !cache_store_remove_blob(cache->store, r->blob, error))
		return false;
	CACHE_CRASH_POINT("recovery.falling_back");
	r->blob = sealed->blob;
	r->size = sealed->size;
	r->generation = sealed->number;
	r->torn = CACHE_TORN_NO;
	node->flushed_size = sealed->size;
	r->state = CACHE_STATE_DIRTY;
	return cache_node_save_locked(cache, node, error);
}

/* Writing was cut off, and nothing older is here: what there is is kept and shown, and waits for
 * the user. */
static bool recover_torn(Cache *cache, CacheNode *node, GError **error)
{
	CacheRecord *r = &node->r;
	struct stat st;
	CacheContent *content = cache_content_open_locked(cache, node, error);
	if (!content || fstat(content->fd, &st) < 0) {
		if (content)
			cache_content_unref(content);
		return content == NULL ? false : true;
	}
	CACHE_CRASH_POINT("recovery.torn");
	bool ok = true;
	if ((!r->uri && !r->moved_from) || r->size == 0) {
		r->size = st.st_size;
		cache_content_add_io(content, 0, r->size);
		ok = cache_content_save_extents_locked(content, error);
	}
	cache_content_unref(content);
	if (r->torn == CACHE_TORN_LOST) {
		/* Which bytes is not known any more: all of it is to be written anew. */
		node->write_errno = r->error ? r->error : EIO;
		cache_extents_add(&node->lost, 0, G_MAXUINT64);
		r->state = CACHE_STATE_FAILED;
		return ok;
	}
	g_autoptr(GError) told =
		g_error_new_literal(CACHE_ERROR, EIO,
	                            "writing it was cut off when gssfs ended; what had been "
	                            "written is kept here: write it anew, or remove it");
	cache_node_set_state_locked(cache, node, CACHE_STATE_FAILED, told);
	g_warning("%s: %s: %s", cache->path, r->name, told->message);
	return ok;
}

/* What the blob has beyond the journaled end was never acknowledged: it must not show up where
 * zeros belong. */
static bool trim(Cache *cache, CacheNode *node, GError **error)
{
	CacheContent *content = cache_content_open_locked(cache, node, error);
	if (!content)
		return false;
	CACHE_CRASH_POINT("recovery.trimming");
	bool ok = ftruncate(content->fd, node->r.size) == 0;
	if (!ok)
		g_set_error(error, CACHE_ERROR, errno, "%s: cannot cut a blob", cache->path);
	cache_extents_remove(&content->resident, node->r.size, G_MAXINT64);
	ok = ok && cache_content_save_extents_locked(content, error);
	cache_content_unref(content);
	return ok;
}

gint64 cache_recovery_settling_locked(Cache *cache, const char *uri)
{
	gint64 left = cache->settled_by - g_get_monotonic_time();
	return left > 0 && uri && g_hash_table_contains(cache->settling, uri) ? left : 0;
}

static void settle(Cache *cache, const char *uri)
{
	g_hash_table_add(cache->settling, g_strdup(uri));
	cache->settled_by = g_get_monotonic_time() + SETTLE_US;
}

/* What was sent whole just before the end may still be on its way. */
static void note_sent(Cache *cache, CacheNode *node)
{
	const CacheRecord *r = &node->r;
	g_autofree char *address = r->attempted ? cache_node_address_locked(cache, node) : NULL;
	if (address || (r->attempted && r->uri))
		settle(cache, address ? address : r->uri);
	if (r->moved_from && r->from.attempted)
		settle(cache, r->moved_from);
}

static bool note_removals(Cache *cache, GError **error)
{
	g_autoptr(GPtrArray) removals = cache_store_removals(cache->store, 0, error);
	for (guint i = 0; removals && i < removals->len; i++) {
		const CacheRemoval *removal = removals->pdata[i];
		if (removal->left.attempted)
			settle(cache, removal->uri);
	}
	return removals != NULL;
}

static bool recover_dirty(Cache *cache, CacheNode *node, GError **error)
{
	CacheRecord *r = &node->r;
	CacheGeneration sealed;
	struct stat st;
	if (r->moved_from)
		g_hash_table_add(cache->hidden, g_strdup(r->moved_from));
	note_sent(cache, node);
	const char *why = r->blob ? distrust(cache, r->blob, r->torn ? -1 : r->size) : NULL;
	if ((why || r->torn) && find_sealed(cache, node, &sealed)) {
		if (why)
			g_warning("%s: %s: %s; what it was before that is uploaded", cache->path,
			          r->name, why);
		return fall_back(cache, node, &sealed, error);
	}
	if (why)
		return give_up_blob(cache, node, why, error);
	if (r->torn)
		return recover_torn(cache, node, error);
	if (r->blob && cache_blob_stat(&cache->blobs, r->blob, &st) && st.st_size > r->size &&
	    !trim(cache, node, error))
		return false;
	/* As between two tries: the next close that is acknowledged ends what could be gone back
	 * to. */
	if (cache_store_find_generation(cache->store, r->id, &sealed, NULL))
		node->sealed = MAX(node->sealed, sealed.number);
	/* What was parked is tried again at each mount. */
	r->state = CACHE_STATE_DIRTY;
	return true;
}

/* It could not be seen to now, for whatever reason of the disk: it stays as it is until the next
 * mount, or until it is written anew from its beginning. */
static void park(Cache *cache, CacheNode *node, const GError *error)
{
	CacheRecord *r = &node->r;
	g_auto(CacheRecord) journaled = CACHE_RECORD_INIT;
	g_warning("%s: %s: %s", cache->path, r->name, error->message);
	/* Half a recovery is none. */
	if (cache_store_load(cache->store, r->id, &journaled, NULL)) {
		CacheRecord half = *r;
		*r = journaled;
		journaled = half;
	}
	node->write_errno = error->code;
	cache_extents_add(&node->lost, 0, G_MAXUINT64);
	r->state = CACHE_STATE_FAILED;
	r->error = error->code;
	g_free(r->message);
	r->message = g_strdup_printf("it could not be recovered: %s", error->message);
}

/* One file that cannot be recovered stops no other. */
static bool recover_file(Cache *cache, CacheId id, GError **error)
{
	g_autoptr(GError) failure = NULL;
	CacheNode *node = cache_node_get_locked(cache, id, error);
	if (!node)
		return false;
	CACHE_CRASH_POINT("recovery.dirty");
	bool ok = recover_dirty(cache, node, &failure);
	if (!ok && failure->code != EUCLEAN) {
		park(cache, node, failure);
		ok = true;
	}
	if (ok && cache_node_dirty(node))
		cache_node_mark_dirty_locked(cache, node);
	cache_content_idle_locked(node);
	cache_node_put_locked(cache, node);
	if (!ok)
		g_propagate_error(error, g_steal_pointer(&failure));
	return ok;
}

bool cache_recover(Cache *cache, GError **error)
{
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(CacheId));
	g_mutex_lock(&cache->lock);
	bool ok = cache_removal_load_locked(cache, error) && recover_nameless(cache, error) &&
	          note_removals(cache, error) && recover_blobs(cache, error) &&
	          cache_store_dirty(cache->store, note_id, ids, error);
	for (guint i = 0; ok && i < ids->len; i++)
		ok = recover_file(cache, g_array_index(ids, CacheId, i), error);
	g_mutex_unlock(&cache->lock);
	return ok;
}
