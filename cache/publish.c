/* Waiting until GSS has a generation: fsync, registration. */
#include "cache/private.h"

#include <errno.h>

#include "cache/upload.h"

/* What always fails gets as far each time: from then on that is no progress any more. */
#define TRIES_THAT_COUNT 6
/* Without a login nothing moves, however long one waits; for so long one may be on its way. */
#define LOGIN_US (5 * G_USEC_PER_SEC)

typedef struct {
	guint64 generation;
	gint64 since; /* monotonic us */
	bool patient; /* it holds no lock of the kernel: others' progress counts always */
	CachePublishCallback callback;
	void *data;
} Publisher;

GSList *cache_publishers_take_locked(CacheNode *node, guint64 up_to)
{
	GSList *taken = NULL;
	for (GSList *l = node->publishers, *next; l; l = next) {
		next = l->next;
		if (((Publisher *)l->data)->generation > up_to)
			continue;
		node->publishers = g_slist_remove_link(node->publishers, l);
		taken = g_slist_concat(l, taken);
	}
	if (!node->publishers)
		cache_worker_cancel(&node->deadline);
	return taken;
}

void cache_publishers_run(GSList *publishers, const CachePublished *published, const GError *error)
{
	while (publishers) {
		g_autofree Publisher *publisher = publishers->data;
		publishers = g_slist_delete_link(publishers, publishers);
		publisher->callback(error ? NULL : published, error, publisher->data);
	}
}

void cache_publish_moved_locked(Cache *cache, CacheNode *node)
{
	if (node->failures >= TRIES_THAT_COUNT)
		return;
	node->progress_at = cache->moved_at = g_get_monotonic_time();
}

/* Do all uploads wait for credentials, while none is finding out whether there are some? */
static bool lacks_login_locked(const Cache *cache)
{
	int code = cache->pause.code;
	return (code == ENOKEY || code == EKEYREJECTED) && cache->pause.timer;
}

static gint64 left_locked(const Cache *cache, const CacheNode *node, const Publisher *publisher)
{
	gint64 moved = MAX(node->progress_at, publisher->since);
	/* What it lacks comes from GSS first. */
	if (node->job)
		moved = MAX(moved, cache_content_came_at(node->job->content));
	/* Its turn comes when those before it are through. */
	if (node->queued || publisher->patient)
		moved = MAX(moved, cache->moved_at);
	gint64 patience =
		lacks_login_locked(cache) ? MIN(LOGIN_US, cache->patience) : cache->patience;
	return moved + patience - g_get_monotonic_time();
}

/* Those who have waited too long; and how long the others still will. */
static GSList *take_late_locked(const Cache *cache, CacheNode *node, gint64 *ret_left)
{
	GSList *late = NULL;
	*ret_left = G_MAXINT64;
	for (GSList *l = node->publishers, *next; l; l = next) {
		next = l->next;
		gint64 left = left_locked(cache, node, l->data);
		if (left > 0) {
			*ret_left = MIN(*ret_left, left);
			continue;
		}
		node->publishers = g_slist_remove_link(node->publishers, l);
		late = g_slist_concat(l, late);
	}
	return late;
}

typedef struct {
	Cache *cache;
	CacheNode *node; /* alive: the timer goes with it */
} Deadline;

/* What those are told who have waited too long. */
static GError *late_error_locked(const Cache *cache, const CacheNode *node)
{
	bool login = lacks_login_locked(cache);
	const char *why = !login                        ? "no progress for 60 s"
	                  : cache->pause.code == ENOKEY ? "nobody is logged in"
	                                                : "the login was refused";
	return g_error_new(CACHE_ERROR, login ? cache->pause.code : ETIMEDOUT,
	                   "%s: %s%s%s; it stays queued", node->r.name, why,
	                   node->r.message ? ": " : "", node->r.message ? node->r.message : "");
}

static void arm_locked(Cache *cache, CacheNode *node, gint64 us);

static gboolean on_deadline(void *data)
{
	Deadline *deadline = data;
	Cache *cache = deadline->cache;
	CacheNode *node = deadline->node;
	GSList *late = NULL;
	g_mutex_lock(&cache->lock);
	/* Cancelled, with the node perhaps, while this waited for the lock. */
	if (g_source_is_destroyed(g_main_current_source())) {
		g_mutex_unlock(&cache->lock);
		return G_SOURCE_REMOVE;
	}
	gint64 left;
	g_autoptr(GError) error = late_error_locked(cache, node);
	late = take_late_locked(cache, node, &left);
	bool more = node->publishers != NULL;
	cache_worker_cancel(&node->deadline);
	if (more)
		arm_locked(cache, node, left);
	g_mutex_unlock(&cache->lock);
	cache_publishers_run(late, NULL, error);
	return G_SOURCE_REMOVE;
}

/* Looked at meanwhile: the login may get lost. */
static void arm_locked(Cache *cache, CacheNode *node, gint64 us)
{
	us = CLAMP(us, 0, LOGIN_US);
	Deadline *deadline = g_new(Deadline, 1);
	*deadline = (Deadline){cache, node};
	node->deadline =
		cache_worker_after(cache, (guint)(us / 1000) + 1, on_deadline, deadline, g_free);
}

/* True: answered by what is in ret or error. */
static bool answer_locked(Cache *cache, CacheNode *node, const Publisher *asks, CachePublished *ret,
                          GError **error)
{
	if (node->parted) {
		node->parted = false;
		g_set_error(error, CACHE_ERROR, ESTALE, "%s; it is %s",
		            node->r.conflict ? node->r.conflict : "changed on GSS", node->r.name);
		return true;
	}
	if (!cache_node_dirty(node)) {
		*ret = (CachePublished){g_strdup(node->r.uri), node->r.published,
		                        MAX(node->r.size, 0)};
		return true;
	}
	if (node->write_errno) {
		g_set_error(error, CACHE_ERROR, node->write_errno, "%s: a write to it was lost",
		            node->r.name);
		return true;
	}
	if (node->r.torn && !node->changed && !node->write_calls) {
		g_set_error(error, CACHE_ERROR, EIO, "%s: %s", node->r.name,
		            node->r.message ? node->r.message : "it was not written to its end");
		return true;
	}
	if (node->r.parent == CACHE_PARENT_UNLINKED || cache->stopping || !cache->client) {
		g_set_error(error, CACHE_ERROR,
		            node->r.parent == CACHE_PARENT_UNLINKED ? ENOENT : EIO,
		            "%s: is not going to be uploaded", node->r.name);
		return true;
	}
	Publisher *publisher = g_new(Publisher, 1);
	*publisher = *asks;
	publisher->generation = node->r.generation;
	publisher->since = g_get_monotonic_time();
	CACHE_CRASH_POINT("fsync.waiting");
	node->publishers = g_slist_prepend(node->publishers, publisher);
	node->failures = 0;
	if (!node->deadline)
		arm_locked(cache, node, cache->patience);
	/* Somebody asks: what was parked, or waits for its next try, is tried now. */
	if (node->r.state == CACHE_STATE_FAILED || node->r.state == CACHE_STATE_CONFLICT)
		node->r.state = CACHE_STATE_DIRTY;
	cache_worker_cancel(&node->retry);
	cache_queue_prefer_locked(cache, node);
	cache_queue_consider_locked(cache, node);
	cache_queue_resume_locked(cache);
	return false;
}

static void publish(Cache *cache, CacheId id, const Publisher *asks)
{
	g_autoptr(GError) error = NULL;
	CachePublished published = {0};
	bool answered = true;
	g_mutex_lock(&cache->lock);
	CacheNode *node = cache_node_get_locked(cache, id, &error);
	if (node) {
		answered = answer_locked(cache, node, asks, &published, &error);
		cache_node_put_locked(cache, node);
	}
	g_mutex_unlock(&cache->lock);
	if (answered)
		asks->callback(error ? NULL : &published, error, asks->data);
	g_free((char *)published.uri);
}

void cache_publish(Cache *cache, CacheId id, CachePublishCallback callback, void *data)
{
	publish(cache, id, &(Publisher){.patient = true, .callback = callback, .data = data});
}

/* --- fsync --- */

typedef struct {
	CacheCallback callback;
	void *data;
} Fsync;

static void on_published(const CachePublished *published, const GError *error, void *data)
{
	CACHE_CRASH_POINT("fsync.answering");
	g_autofree Fsync *request = data;
	request->callback(error, request->data);
}

static void on_synced(Cache *cache, const GError *error, void *data)
{
	g_autofree Fsync *request = data;
	request->callback(error, request->data);
}

/* What is written now is journaled and brought to the local disk. */
static bool sync_locally(Cache *cache, CacheId id, Fsync *request, GError **error)
{
	g_mutex_lock(&cache->lock);
	CacheNode *node = cache_node_get_locked(cache, id, error);
	bool ok = node != NULL, queued = false;
	if (ok && node->write_errno) {
		g_set_error(error, CACHE_ERROR, node->write_errno, "%s: a write to it was lost",
		            node->r.name);
		ok = false;
	}
	if (ok && cache_node_dirty(node)) {
		CacheContent *content = NULL;
		ok = cache_change_flush_locked(cache, node, error) &&
		     (content = cache_content_open_locked(cache, node, error));
		if (ok) {
			cache_syncer_sync(cache, content, on_synced, request);
			cache_content_unref(content);
			queued = true;
		}
	}
	if (node)
		cache_node_put_locked(cache, node);
	g_mutex_unlock(&cache->lock);
	if (ok && !queued)
		on_synced(cache, NULL, request);
	return ok;
}

void cache_fsync(Cache *cache, CacheId id, CacheCallback callback, void *data)
{
	Fsync *request = g_new(Fsync, 1);
	*request = (Fsync){callback, data};
	g_autoptr(GError) error = NULL;
	g_mutex_lock(&cache->lock);
	CacheNode *node = g_hash_table_lookup(cache->nodes, &id);
	/* Without a name there is nothing to bring to GSS, and nothing that could be found after a
	 * crash. */
	bool nameless = node && node->r.parent == CACHE_PARENT_UNLINKED;
	g_mutex_unlock(&cache->lock);
	if (nameless)
		on_published(NULL, NULL, request);
	else if (!cache->fsync_local)
		publish(cache, id, &(Publisher){.callback = on_published, .data = request});
	else if (!sync_locally(cache, id, request, &error))
		on_synced(cache, error, request);
}
