/* Explicit acts of the user on what is on its way: trying again now, giving local changes up, and
 * forgetting what is known of GSS. */
#include "cache/private.h"

#include <errno.h>
#include <string.h>

#include "cache/upload.h"

#define CLOSING_LOOKS 40
#define CLOSING_LOOK_MS 25

/* --- trying again --- */

static bool retry_locked(Cache *cache, CacheNode *node, GError **error)
{
	bool torn = node->r.torn && !node->changed;
	bool cut_off = node->write_errno || (torn && !node->writers);
	/* Whoever has it open may still write it anew: that takes it up again. */
	if (!cache_node_dirty(node) || node->job || (torn && !cut_off))
		return true;
	if (cut_off) {
		g_set_error(error, CACHE_ERROR, EIO,
		            "%s: it was not written to its end, and is not uploaded: write it "
		            "anew, or discard it",
		            node->r.name);
		return false;
	}
	cache_worker_cancel(&node->retry);
	node->tries = 0;
	if (node->r.state != CACHE_STATE_DIRTY)
		cache_node_set_state_locked(cache, node, CACHE_STATE_DIRTY, NULL);
	cache_queue_consider_locked(cache, node);
	cache_status_changed_locked(cache);
	return true;
}

bool cache_retry(Cache *cache, CacheId id, GError **error)
{
	bool ok = true;
	g_mutex_lock(&cache->lock);
	if (id) {
		CacheNode *node = cache_node_get_locked(cache, id, error);
		ok = node && retry_locked(cache, node, error);
		if (node)
			cache_node_put_locked(cache, node);
	} else {
		GHashTableIter iter;
		void *node;
		g_hash_table_iter_init(&iter, cache->dirty);
		while (g_hash_table_iter_next(&iter, &node, NULL))
			retry_locked(cache, node, NULL);
		cache_queue_resume_locked(cache);
		cache_removal_hurry_locked(cache);
	}
	g_mutex_unlock(&cache->lock);
	if (!id)
		cache_removal_run(cache);
	return ok;
}

void cache_resume(Cache *cache)
{
	g_mutex_lock(&cache->lock);
	cache_queue_resume_locked(cache);
	cache_removal_hurry_locked(cache);
	g_mutex_unlock(&cache->lock);
	cache_removal_run(cache);
}

/* --- giving up --- */

typedef struct {
	Cache *cache;
	CacheNode *node; /* pinned */
	CacheCallback callback;
	void *data;
	guint looks;    /* that found it still open; from the first on a call is counted */
	GSource *timer; /* until the next look */
	bool cancelled; /* the upload under way was */
} Discard;

static bool may_locked(Cache *cache, const CacheNode *node, GError **error)
{
	int code = cache->read_only                          ? EROFS
	           : node->r.folder                          ? EISDIR
	           : node->r.parent == CACHE_PARENT_UNLINKED ? ENOENT
	           : node->writers || node->write_calls      ? EBUSY
	           : node->cloning || node->leaving          ? EBUSY
	           : !cache_node_dirty(node)                 ? ENODATA
	                                                     : 0;
	if (code)
		g_set_error(error, CACHE_ERROR, code, "%s: %s", node->r.name,
		            code == EBUSY ? "is open for writing, or being removed"
		            : code == ENODATA
		                    ? "has no changes that GSS does not have: nothing to discard"
		                    : g_strerror(code));
	return code == 0;
}

/* The node shows again what GSS has at its URI: the version that the changes began from, and should
 * there be another by now, the next look at it finds that out. */
static bool go_back_locked(Cache *cache, CacheNode *node, GError **error)
{
	CacheRecord *r = &node->r;
	CacheBlobId blob = r->blob;
	if (!cache_store_begin(cache->store, error))
		return false;
	bool ok = cache_queue_drop_generations_locked(cache, node, G_MAXINT64, error) &&
	          (!blob || cache_store_give_up_blob(cache->store, blob, error));
	r->blob = 0;
	r->size = r->remote.size;
	r->published = r->generation;
	r->torn = false;
	r->attempted = 0;
	r->state = CACHE_STATE_CLEAN;
	r->error = 0;
	if (r->remote.mtime >= 0)
		r->mtime = r->remote.mtime;
	r->ctime = cache_now_ns();
	ok = ok && cache_store_update(cache->store, r, error);
	ok = cache_store_end(cache->store, ok, ok ? error : NULL) && ok;
	if (!ok)
		return false;
	node->changed = false;
	node->flushed_size = MAX(r->size, 0);
	if (node->content) {
		cache_content_discard(node->content);
		g_clear_pointer(&node->content, cache_content_unref);
	}
	return true;
}

/* A rename that is still to be made is given up as well: the file is where GSS has it, and the
 * folder of the old name lists it again. */
static void show_again_locked(Cache *cache, const char *uri)
{
	GHashTableIter iter;
	void *value;
	g_hash_table_remove(cache->hidden, uri);
	cache_queue_left_locked(cache, uri);
	g_hash_table_iter_init(&iter, cache->nodes);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		((CacheNode *)value)->list_until = 0;
}

static bool discard_locked(Cache *cache, CacheNode *node, GError **error)
{
	CacheRecord *r = &node->r, before = *r;
	gint64 parent = r->parent;
	cache_queue_cancel_locked(cache, node);
	r->moved_from = r->message = NULL;
	r->from = CACHE_LEFTOVER_INIT;
	/* Where GSS never had it, it goes; with its last reader. */
	if (!(r->uri ? go_back_locked(cache, node, error)
	             : cache_node_detach_locked(cache, node, error))) {
		*r = before;
		return false;
	}
	if (before.moved_from)
		show_again_locked(cache, before.moved_from);
	g_free(before.moved_from);
	g_free(before.message);
	cache_leftover_clear(&before.from);
	node->write_errno = 0;
	cache_extents_remove(&node->lost, 0, G_MAXUINT64);
	node->tries = node->aborts = 0;
	node->sealed = r->published;
	cache_attr_tell_content_locked(cache, node, 0);
	node->attr_until = 0;
	cache_node_set_resource(node, NULL);
	CacheNode *folder = cache_node_get_locked(cache, parent, NULL);
	if (folder) {
		folder->list_until = 0;
		cache_folder_touch_locked(folder, r->name);
		cache_node_put_locked(cache, folder);
	}
	return true;
}

/* The end of all; the upload that was under way is over. Frees it. */
static void finish(Discard *discard)
{
	Cache *cache = discard->cache;
	CacheNode *node = discard->node;
	g_autoptr(GError) error = NULL;
	GSList *publishers = NULL, *drained = NULL;
	g_mutex_lock(&cache->lock);
	gint64 parent = node->r.parent;
	g_autofree char *name = g_strdup(node->r.name);
	bool ok = may_locked(cache, node, &error) && discard_locked(cache, node, &error);
	bool gone = ok && node->r.parent == CACHE_PARENT_UNLINKED;
	if (ok) {
		publishers = cache_publishers_take_locked(node, G_MAXUINT64);
		cache_node_mark_clean_locked(cache, node);
		cache_status_changed_locked(cache);
		g_message("%s: the local changes were discarded", name);
	} else {
		cache_queue_consider_locked(cache, node);
	}
	cache_node_put_locked(cache, node);
	cache_queue_check_drained_locked(cache, &drained);
	g_mutex_unlock(&cache->lock);
	if (publishers) {
		g_autoptr(GError) told =
			g_error_new(CACHE_ERROR, ECANCELED, "%s: was discarded", name);
		cache_publishers_run(publishers, NULL, told);
	}
	cache_calls_run(cache, drained, NULL);
	if (gone && cache->notify.entry)
		cache->notify.entry(parent, name, cache->notify.data);
	discard->callback(error, discard->data);
	cache_worker_cancel(&discard->timer);
	if (discard->looks)
		cache_call_end(cache);
	g_free(discard);
}

static void on_idle(Cache *cache, const GError *error, void *data)
{
	Discard *discard = data;
	g_mutex_lock(&cache->lock);
	discard->node->leaving = false;
	g_mutex_unlock(&cache->lock);
	finish(discard);
}

static gboolean look_again(void *data);

/* Is it open for writing, though that may be over already? The kernel tells of the last close()
 * only after it has returned. */
static bool closing_locked(Discard *discard)
{
	const CacheNode *node = discard->node;
	if (!node->writers || node->write_calls || node->changed || discard->looks == CLOSING_LOOKS)
		return false;
	if (!discard->looks && !cache_call_begin_locked(discard->cache))
		return false;
	discard->looks++;
	cache_worker_cancel(&discard->timer);
	discard->timer =
		cache_worker_after(discard->cache, CLOSING_LOOK_MS, look_again, discard, NULL);
	return true;
}

static void discard_begin(Discard *discard)
{
	Cache *cache = discard->cache;
	CacheNode *node = discard->node;
	g_mutex_lock(&cache->lock);
	bool waits = closing_locked(discard);
	if (!waits && node->job && may_locked(cache, node, NULL)) {
		/* What is sent already may have arrived: then there is nothing to discard. */
		node->leaving = discard->cancelled = waits = true;
		cache_queue_cancel_locked(cache, node);
		node->idle = cache_calls_add(node->idle, on_idle, discard);
	}
	g_mutex_unlock(&cache->lock);
	if (!waits)
		finish(discard);
}

static gboolean look_again(void *data)
{
	discard_begin(data);
	return G_SOURCE_REMOVE;
}

void cache_discard(Cache *cache, CacheId id, CacheCallback callback, void *data)
{
	g_autoptr(GError) error = NULL;
	g_mutex_lock(&cache->lock);
	CacheNode *node = cache_node_get_locked(cache, id, &error);
	g_mutex_unlock(&cache->lock);
	if (!node) {
		callback(error, data);
		return;
	}
	Discard *discard = g_new0(Discard, 1);
	*discard = (Discard){.cache = cache, .node = node, .callback = callback, .data = data};
	discard_begin(discard);
}

/* --- forgetting --- */

static bool is_below_locked(Cache *cache, CacheNode *node, CacheId folder)
{
	gint64 id = node->r.id;
	while (id > 0 && (CacheId)id != folder) {
		CacheNode *at = cache_node_get_locked(cache, id, NULL);
		id = at ? at->r.parent : 0;
		if (at)
			cache_node_put_locked(cache, at);
	}
	return id > 0;
}

/* What was found out of its children ahead, or of it. */
static void forget_siblings_locked(Cache *cache, CacheNode *node)
{
	CacheId id = (CacheId)node->r.parent;
	CacheNode *parent = g_hash_table_lookup(cache->nodes, &id);
	if (node->r.folder)
		cache_siblings_clear_locked(cache, node);
	if (parent)
		cache_siblings_touch_locked(parent, node->r.name);
}

void cache_refresh(Cache *cache, CacheId id)
{
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(CacheId));
	g_mutex_lock(&cache->lock);
	g_autoptr(GList) nodes = g_hash_table_get_values(cache->nodes);
	for (GList *l = nodes; l; l = l->next)
		cache_node_pin_locked(l->data);
	for (GList *l = nodes; l; l = l->next) {
		CacheNode *node = l->data;
		if (!id || is_below_locked(cache, node, id)) {
			node->attr_until = node->list_until = node->list_failed_until = 0;
			node->refreshed_at = g_get_monotonic_time();
			forget_siblings_locked(cache, node);
			if (!cache_node_dirty(node))
				cache_node_set_resource(node, NULL);
			g_array_append_val(ids, node->r.id);
		}
	}
	for (GList *l = nodes; l; l = l->next)
		cache_node_put_locked(cache, l->data);
	g_mutex_unlock(&cache->lock);
	for (guint i = 0; i < ids->len && cache->notify.attributes; i++)
		cache->notify.attributes(g_array_index(ids, CacheId, i), cache->notify.data);
}

/* --- notes --- */

#define MEMO_PREFIX "memo/"

bool cache_set_memo(Cache *cache, const char *key, const char *text, GError **error)
{
	g_autofree char *name = g_strconcat(MEMO_PREFIX, key, NULL);
	return text ? cache_store_set_meta(cache->store, name, text, error)
	            : cache_store_remove_meta(cache->store, name, error);
}

GPtrArray *cache_memos(Cache *cache, GError **error)
{
	GPtrArray *pairs = cache_store_list_meta(cache->store, MEMO_PREFIX, error);
	for (guint i = 0; pairs && i < pairs->len; i += 2) {
		char *name = pairs->pdata[i];
		pairs->pdata[i] = g_strdup(name + strlen(MEMO_PREFIX));
		g_free(name);
	}
	return pairs;
}
