/* Nodes: loaded from the journal while somebody uses them. */
#include "cache/private.h"

#include <errno.h>
#include <time.h>

#include "cache/upload.h"
#include "gss/uri.h"

gint64 cache_now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * G_GINT64_CONSTANT(1000000000) + now.tv_nsec;
}

GSList *cache_calls_add(GSList *calls, CacheReady func, void *data)
{
	CacheCall *call = g_new(CacheCall, 1);
	*call = (CacheCall){func, data};
	return g_slist_prepend(calls, call);
}

void cache_calls_run(Cache *cache, GSList *calls, const GError *error)
{
	calls = g_slist_reverse(calls);
	while (calls) {
		g_autofree CacheCall *call = calls->data;
		calls = g_slist_delete_link(calls, calls);
		call->func(cache, error, call->data);
	}
}

bool cache_offline(const Cache *cache, const GError *error)
{
	if (!cache->offline_cached)
		return false;
	switch (error->code) {
	case EIO:
	case EAGAIN:
	case EPROTO:
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ECONNREFUSED:
		return true;
	default: /* an answer, or a login that fails */
		return false;
	}
}

bool cache_call_begin_locked(Cache *cache)
{
	if (cache->stopping || !cache->client)
		return false;
	cache->calls++;
	return true;
}

void cache_call_end(Cache *cache)
{
	g_mutex_lock(&cache->lock);
	if (--cache->calls == 0)
		g_cond_broadcast(&cache->calls_done);
	g_mutex_unlock(&cache->lock);
}

void cache_record_init(CacheRecord *record, gint64 parent, const char *name, bool folder,
                       mode_t mode)
{
	gint64 now = cache_now_ns();
	*record = (CacheRecord){.parent = parent,
	                        .name = g_strdup(name),
	                        .folder = folder,
	                        .mode = mode & 07777,
	                        .atime = now,
	                        .mtime = now,
	                        .ctime = now,
	                        .size = folder ? 0 : -1,
	                        .remote = GSS_VERSION_INIT,
	                        .from = CACHE_LEFTOVER_INIT};
}

char *cache_node_address_locked(Cache *cache, const CacheNode *node)
{
	CacheNode *folder = node->r.uri ? NULL : cache_node_get_locked(cache, node->r.parent, NULL);
	char *address = folder && folder->r.uri ? gss_uri_child(folder->r.uri, node->r.name) : NULL;
	if (folder)
		cache_node_put_locked(cache, folder);
	return address;
}

CacheNode *cache_node_pin_locked(CacheNode *node)
{
	node->pins++;
	return node;
}

CacheNode *cache_node_adopt_locked(Cache *cache, CacheRecord *record)
{
	CacheNode *node = g_hash_table_lookup(cache->nodes, &record->id);
	if (node) {
		cache_record_clear(record);
		return cache_node_pin_locked(node);
	}
	node = g_new0(CacheNode, 1);
	node->r = *record;
	*record = (CacheRecord)CACHE_RECORD_INIT;
	record->size = -1;
	node->flushed_size = MAX(node->r.size, 0);
	node->sealed = node->r.published;
	g_cond_init(&node->settled);
	cache_extents_init(&node->lost);
	node->pins = 1;
	g_hash_table_insert(cache->nodes, &node->r.id, node);
	cache_idle_adopt_locked(cache, node);
	return node;
}

CacheNode *cache_node_get_locked(Cache *cache, CacheId id, GError **error)
{
	CacheNode *node = g_hash_table_lookup(cache->nodes, &id);
	if (node)
		return cache_node_pin_locked(node);
	g_auto(CacheRecord) record = CACHE_RECORD_INIT;
	if (!cache_store_load(cache->store, id, &record, error))
		return NULL;
	return cache_node_adopt_locked(cache, &record);
}

CacheNode *cache_node_find_locked(Cache *cache, gint64 parent, const char *name, GError **error)
{
	CacheNode *known = cache_siblings_node_locked(cache, parent, name);
	if (known)
		return cache_node_pin_locked(known);
	g_auto(CacheRecord) record = CACHE_RECORD_INIT;
	if (!cache_store_find(cache->store, parent, name, &record, error))
		return NULL;
	return cache_node_adopt_locked(cache, &record);
}

CacheNode *cache_node_find_uri_locked(Cache *cache, const char *uri, GError **error)
{
	g_auto(CacheRecord) record = CACHE_RECORD_INIT;
	if (!cache_store_find_uri(cache->store, uri, &record, error))
		return NULL;
	return cache_node_adopt_locked(cache, &record);
}

void cache_node_free(CacheNode *node)
{
	g_clear_pointer(&node->content, cache_content_unref);
	g_clear_pointer(&node->resource, gss_resource_unref);
	g_clear_pointer(&node->touched, g_hash_table_unref);
	g_clear_error(&node->list_error);
	cache_worker_cancel(&node->retry);
	cache_worker_cancel(&node->deadline);
	cache_worker_cancel(&node->validate_late.timer);
	cache_worker_cancel(&node->list_late.timer);
	g_cond_clear(&node->settled);
	cache_extents_clear(&node->lost);
	g_free(node->sum);
	g_free(node->awaits);
	cache_record_clear(&node->r);
	g_free(node);
}

/* The journal forgets it and its blob, and what a rename or an unlink while it was open left on GSS
 * is to be removed. */
static bool forget_locked(Cache *cache, CacheNode *node, GError **error)
{
	const CacheRecord *r = &node->r;
	if (!cache_store_begin(cache->store, error))
		return false;
	bool ok = (!r->moved_from ||
	           cache_store_insert_removal(cache->store, r->moved_from, &r->from, 0, error)) &&
	          cache_queue_drop_generations_locked(cache, node, G_MAXINT64, error) &&
	          (!r->blob || cache_store_give_up_blob(cache->store, r->blob, error)) &&
	          cache_store_remove(cache->store, r->id, error);
	return cache_store_end(cache->store, ok, ok ? error : NULL) && ok;
}

/* The end of a node without a name. */
static void bury_locked(Cache *cache, CacheNode *node)
{
	g_autoptr(GError) error = NULL;
	g_hash_table_remove(cache->nameless, node);
	/* The ballast may have gone for it. */
	if (!forget_locked(cache, node, &error) &&
	    (error->code != ENOSPC || !forget_locked(cache, node, NULL))) {
		/* Recovery removes what is left at the next mount. */
		g_warning("%s: %s", cache->path, error->message);
		cache_drain_look_soon_locked(cache);
		return;
	}
	g_clear_error(&error);
	CACHE_CRASH_POINT("node.buried");
	if (node->r.moved_from) {
		if (!cache_removal_load_locked(cache, &error))
			g_warning("%s: %s", cache->path, error->message);
		cache_removal_run(cache);
	}
	if (node->content)
		cache_content_discard(node->content);
	cache_space_look_soon_locked(cache);
}

void cache_node_put_locked(Cache *cache, CacheNode *node)
{
	g_assert(node->pins > 0);
	node->pins--;
	cache_node_idle_locked(cache, node);
}

void cache_node_idle_locked(Cache *cache, CacheNode *node)
{
	bool unlinked = node->r.parent == CACHE_PARENT_UNLINKED;
	if (node->pins)
		return;
	if (node->refs) {
		if (unlinked && node->r.moved_from)
			cache_rename_leave_soon_locked(cache);
		cache_idle_enter_locked(cache, node);
		return;
	}
	if (!unlinked && node->content && cache_content_busy(node->content))
		return; /* it could be looked up anew: cache_content_put() comes again */
	if (unlinked)
		bury_locked(cache, node);
	cache_siblings_clear_locked(cache, node);
	cache_idle_leave_locked(cache, node);
	g_hash_table_remove(cache->nodes, &node->r.id);
	cache_node_free(node);
}

bool cache_node_save_locked(Cache *cache, CacheNode *node, GError **error)
{
	/* While a file is written its size is ahead of its journaled extents: flush brings both. */
	gint64 size = node->r.size;
	if (node->changed)
		node->r.size = node->flushed_size;
	bool ok = cache_store_update(cache->store, &node->r, error);
	node->r.size = size;
	return ok;
}

static struct timespec to_timespec(gint64 ns)
{
	gint64 seconds = ns / 1000000000, rest = ns % 1000000000;
	if (rest < 0) {
		seconds--;
		rest += 1000000000;
	}
	return (struct timespec){.tv_sec = seconds, .tv_nsec = rest};
}

void cache_node_attr(const CacheNode *node, CacheAttr *ret)
{
	*ret = (CacheAttr){.id = node->r.id,
	                   .folder = node->r.folder,
	                   .mode = node->r.mode,
	                   .size = MAX(node->r.size, 0),
	                   .atime = to_timespec(node->r.atime),
	                   .mtime = to_timespec(node->r.mtime),
	                   .ctime = to_timespec(node->r.ctime),
	                   .stale = node->stale > 0};
}

void cache_node_set_resource(CacheNode *node, GssResource *resource)
{
	if (resource)
		gss_resource_ref(resource);
	if (node->resource)
		gss_resource_unref(node->resource);
	node->resource = resource;
}

void cache_node_set_state_locked(Cache *cache, CacheNode *node, CacheState state,
                                 const GError *error)
{
	node->r.state = state;
	node->r.error = error ? error->code : 0;
	g_free(node->r.message);
	node->r.message = error ? g_strdup(error->message) : NULL;
	cache_status_changed_locked(cache);
	if (state != CACHE_STATE_DIRTY)
		cache_drain_look_soon_locked(cache);
	g_autoptr(GError) failure = NULL;
	if (!cache_node_save_locked(cache, node, &failure))
		g_warning("%s: %s: %s", cache->path, node->r.name, failure->message);
}

void cache_folder_touch_locked(CacheNode *folder, const char *name)
{
	if (folder->touched)
		g_hash_table_add(folder->touched, g_strdup(name));
	cache_siblings_touch_locked(folder, name);
}

void cache_node_detached_locked(Cache *cache, CacheNode *node)
{
	g_hash_table_add(cache->nameless, node);
	cache_node_mark_clean_locked(cache, node);
}

bool cache_node_detach_locked(Cache *cache, CacheNode *node, GError **error)
{
	gint64 parent = node->r.parent, ctime = node->r.ctime;
	node->r.parent = CACHE_PARENT_UNLINKED;
	node->r.ctime = cache_now_ns();
	if (!cache_node_save_locked(cache, node, error)) {
		node->r.parent = parent;
		node->r.ctime = ctime;
		return false;
	}
	cache_node_detached_locked(cache, node);
	return true;
}

void cache_node_mark_dirty_locked(Cache *cache, CacheNode *node)
{
	if (g_hash_table_add(cache->dirty, node))
		cache_node_pin_locked(node);
	cache_status_changed_locked(cache);
}

void cache_node_mark_clean_locked(Cache *cache, CacheNode *node)
{
	cache->settled_at = g_get_monotonic_time();
	/* All that it holds is GSS's, and what GSS has is its. */
	if (node->content) {
		g_mutex_lock(&node->content->io);
		node->content->limit = G_MAXUINT64;
		node->content->written = false;
		g_mutex_unlock(&node->content->io);
	}
	cache_queue_await_locked(cache, node, NULL);
	if (g_hash_table_remove(cache->dirty, node)) {
		cache_status_changed_locked(cache);
		cache_drain_look_soon_locked(cache);
		cache_node_put_locked(cache, node);
	}
}

typedef struct {
	Cache *cache;
	CacheReady ready;
	void *data;
	GError *error;
} Later;

static void run_later(void *data)
{
	g_autofree Later *later = data;
	later->ready(later->cache, later->error, later->data);
	g_clear_error(&later->error);
}

void cache_ready_later(Cache *cache, CacheReady ready, void *data, int code, const char *message)
{
	Later *later = g_new(Later, 1);
	*later = (Later){.cache = cache,
	                 .ready = ready,
	                 .data = data,
	                 .error = code ? g_error_new_literal(CACHE_ERROR, code, message) : NULL};
	cache_worker_post(cache, run_later, later);
}

static gboolean on_late(void *data)
{
	const CacheLateArm *arm = data;
	Cache *cache = arm->cache;
	g_autoptr(GError) error =
		g_error_new_literal(CACHE_ERROR, ETIMEDOUT, "GSS did not answer in time");
	g_mutex_lock(&cache->lock);
	if (g_source_is_destroyed(g_main_current_source())) {
		g_mutex_unlock(&cache->lock);
		return G_SOURCE_REMOVE;
	}
	GSList *waiting = g_steal_pointer(arm->waiting);
	if (arm->whole)
		cache_missed(cache, arm->heard);
	arm->late->slow = true;
	cache_worker_cancel(&arm->late->timer); /* frees arm */
	g_mutex_unlock(&cache->lock);
	cache_calls_run(cache, waiting, error);
	return G_SOURCE_REMOVE;
}

void cache_late_arm_locked(Cache *cache, CacheLate *late, GSList **waiting)
{
	if (late->timer)
		return;
	CacheLateArm *arm = g_new(CacheLateArm, 1);
	*arm = (CacheLateArm){.cache = cache,
	                      .waiting = waiting,
	                      .late = late,
	                      .heard = g_atomic_int_get(&cache->heard)};
	bool silent = g_atomic_int_get(&cache->silent);
	guint ms = CACHE_NAMESPACE_DEADLINE_MS;
	arm->whole = !silent && !late->slow;
	if (silent && late->slow)
		ms = 0;
	else if (silent || late->slow)
		ms = CACHE_SILENT_DEADLINE_MS;
	else if (cache->offline_cached)
		ms = CACHE_CACHED_DEADLINE_MS;
	late->timer = cache_worker_after(cache, ms, on_late, arm, g_free);
}

static bool is_answer(const GError *error)
{
	return !error || (error->code != ETIMEDOUT && error->code != EHOSTUNREACH &&
	                  error->code != ECANCELED && error->code != EINPROGRESS);
}

void cache_heard(Cache *cache, const GError *error)
{
	if (!is_answer(error))
		return;
	g_atomic_int_inc(&cache->heard);
	g_atomic_int_set(&cache->silent, 0);
}

void cache_missed(Cache *cache, int heard)
{
	if (g_atomic_int_get(&cache->heard) == heard)
		g_atomic_int_set(&cache->silent, 1);
}

void cache_late_clear_locked(Cache *cache, CacheLate *late, const GError *error)
{
	cache_worker_cancel(&late->timer);
	late->slow = false;
	cache_heard(cache, error);
}
