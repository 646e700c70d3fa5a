/* The upload queue: which file is sent when, and what follows from the outcome. */
#include "cache/private.h"

#include <errno.h>

#include "cache/upload.h"
#include "gss/uri.h"

#define LARGE_BYTES (1024 * 1024) /* from here on a file takes the lane for large bodies */
#define SMALL_JOBS 26 /* gss/client.h: some of its connections stay free for who waits */
#define LARGE_JOBS 4
#define ABORTS_MAX 2 /* then the sealed generation is finished, and the next starts as a clone */
#define RETRY_MS 1000
#define RETRY_MAX_MS 60000
#define LOGIN_MAX_MS 10000 /* the credentials are looked at so often, at least */

static void run(void *data);
static bool passes(int code);
static void after_locked(Cache *cache, CacheNode *node, guint ms);
static void try_again_locked(Cache *cache, CacheNode *node, const GError *error);

static void job_free_locked(CacheJob *job)
{
	Cache *cache = job->cache;
	cache_content_unref(job->content);
	cache_content_idle_locked(job->node);
	cache_node_put_locked(cache, job->node);
	g_object_unref(job->cancellable);
	g_clear_pointer(&job->resource, gss_resource_unref);
	g_free(job->name);
	g_free(job->moved_from);
	g_free(job->address);
	g_free(job->uri);
	gss_version_clear(&job->base);
	gss_version_clear(&job->result);
	gss_version_clear(&job->looked);
	g_free(job->base_hash);
	g_free(job->attempted_hash);
	g_free(job->hash);
	g_free(job->sum);
	g_free(job->theirs);
	g_free(job->awaits);
	g_clear_error(&job->error);
	g_free(job);
}

void cache_job_look_end_locked(CacheJob *job)
{
	g_hash_table_remove(job->cache->looking, job);
	g_clear_pointer(&job->looks_at, g_free);
	g_clear_pointer(&job->saw, g_free);
}

/* Whose place is at `uri` looks there now. */
static void wake_locked(Cache *cache, const char *uri)
{
	CacheNode *next = g_hash_table_lookup(cache->awaited, uri);
	if (!next)
		return;
	cache_queue_await_locked(cache, next, NULL);
	next->blocked = false;
	cache_worker_cancel(&next->retry);
	cache_queue_consider_locked(cache, next);
}

void cache_queue_left_locked(Cache *cache, const char *uri)
{
	GHashTableIter iter;
	void *key;
	g_hash_table_iter_init(&iter, cache->looking);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		CacheJob *job = key;
		job->left |= g_strcmp0(job->looks_at, uri) == 0 || g_strcmp0(job->saw, uri) == 0;
	}
	wake_locked(cache, uri);
}

void cache_queue_await_locked(Cache *cache, CacheNode *node, const char *uri)
{
	if (node->awaits && g_hash_table_lookup(cache->awaited, node->awaits) == node)
		g_hash_table_remove(cache->awaited, node->awaits);
	g_free(node->awaits);
	node->awaits = g_strdup(uri);
	if (uri)
		g_hash_table_replace(cache->awaited, node->awaits, node);
}

static bool due_locked(Cache *cache, const CacheNode *node)
{
	bool kept = node->r.uri && g_hash_table_contains(cache->kept, node->r.uri);
	return !kept && cache_node_dirty(node) && node->r.parent != CACHE_PARENT_UNLINKED &&
	       !node->job && (!node->r.torn || node->changed) && !node->retry &&
	       cache_node_whole(node) && !node->cloning && !node->leaving &&
	       node->r.state == CACHE_STATE_DIRTY && (!node->writers || node->publishers) &&
	       !cache_op_closed_locked(cache, node->r.parent);
}

/* Behind all others; if somebody waits for it, behind those that somebody waits for. */
static void enqueue_locked(Cache *cache, CacheNode *node, int lane)
{
	GList *before = node->publishers ? cache->ready[lane].head : NULL;
	while (before && ((CacheNode *)before->data)->publishers)
		before = before->next;
	g_queue_insert_before(&cache->ready[lane], before, node);
}

void cache_queue_prefer_locked(Cache *cache, CacheNode *node)
{
	for (int lane = 0; lane < 2 && node->queued; lane++)
		if (g_queue_remove(&cache->ready[lane], node))
			enqueue_locked(cache, node, lane);
}

static gint64 settling_locked(Cache *cache, const CacheNode *node)
{
	if (cache->settled_by <= g_get_monotonic_time())
		return 0;
	g_autofree char *address = cache_node_address_locked(cache, node);
	return cache_recovery_settling_locked(cache, address ? address : node->r.uri);
}

void cache_queue_consider_locked(Cache *cache, CacheNode *node)
{
	if (node->queued || !due_locked(cache, node) || !cache->client || cache->stopping)
		return;
	gint64 settling = settling_locked(cache, node);
	if (settling > 0) {
		after_locked(cache, node, settling / 1000 + 1);
		return;
	}
	int lane = node->r.size >= LARGE_BYTES;
	enqueue_locked(cache, cache_node_pin_locked(node), lane);
	node->queued = true;
	if (node->publishers)
		cache_burst_end_locked(cache);
	else if (lane == 0)
		cache_burst_note_locked(cache);
	if (lane || !cache_burst_holds_locked(cache))
		cache_queue_run_locked(cache);
}

static void cancel_job(CacheJob *job)
{
	g_cancellable_cancel(job->cancellable);
	cache_fetch_forget(job->cache, job->content, job);
}

void cache_queue_cancel_locked(Cache *cache, CacheNode *node)
{
	if (node->queued) {
		node->queued = false;
		for (int lane = 0; lane < 2; lane++)
			if (g_queue_remove(&cache->ready[lane], node))
				cache_node_put_locked(cache, node);
	}
	cache_worker_cancel(&node->retry);
	/* What is sent whole arrives anyway: its end is waited for, so that nothing newer is
	 * overtaken. */
	if (node->job && (node->leaving || !g_atomic_int_get(&node->job->sent_all)))
		cancel_job(node->job);
}

bool cache_queue_drop_generations_locked(Cache *cache, CacheNode *node, guint64 number,
                                         GError **error)
{
	CacheGeneration sealed;
	g_autoptr(GError) none = NULL;
	bool ok = true;
	while (ok && cache_store_oldest_generation(cache->store, node->r.id, &sealed, &none) &&
	       sealed.number <= number) {
		bool sent = node->job && node->job->content->blob == sealed.blob;
		ok = (sent ? cache_blob_disown_locked(cache, node, sealed.blob, error)
		           : cache_blob_let_go_locked(cache, node, sealed.blob, error)) &&
		     cache_store_remove_generations(cache->store, node->r.id, sealed.number, error);
	}
	return ok;
}

/* Recovery must not go back to anything. */
static bool unseal_locked(Cache *cache, CacheNode *node, GError **error)
{
	if (!cache_store_begin(cache->store, error))
		return false;
	bool ok = cache_queue_drop_generations_locked(cache, node, G_MAXINT64, error);
	return cache_store_end(cache->store, ok, ok ? error : NULL) && ok;
}

/* --- starting --- */

static void park_locked(Cache *cache, CacheNode *node, CacheState state, const GError *error)
{
	cache_node_set_state_locked(cache, node, state, error);
	g_warning("%s: not uploaded, kept here: %s", node->r.name, error->message);
}

/* Seals what the node has now. NULL: not possible; the node was parked, or will come again. */
static CacheJob *seal_locked(Cache *cache, CacheNode *node, GError **error)
{
	CacheRecord *r = &node->r;
	CacheId folder_id = r->parent;
	CacheNode *folder = cache_node_get_locked(cache, folder_id, error);
	if (!folder)
		return NULL;
	char *address = folder->r.uri ? gss_uri_child(folder->r.uri, r->name) : NULL;
	cache_node_put_locked(cache, folder);
	if (!address) {
		g_set_error(error, CACHE_ERROR, ENOENT, "its folder is gone on GSS");
		return NULL;
	}
	CacheContent *content = cache_content_open_locked(cache, node, error);
	if (!content) {
		g_free(address);
		return NULL;
	}
	CacheGeneration sealed = {r->id, r->generation, content->blob, r->size};
	if (!cache_change_flush_locked(cache, node, error) ||
	    !cache_store_insert_generation(cache->store, &sealed, error)) {
		cache_content_unref(content);
		g_free(address);
		return NULL;
	}
	CACHE_CRASH_POINT("queue.sealed");
	node->sealed = r->generation;
	CacheJob *job = g_new0(CacheJob, 1);
	*job = (CacheJob){.cache = cache,
	                  .node = cache_node_pin_locked(node),
	                  .content = content,
	                  .generation = r->generation,
	                  .size = r->size,
	                  .large = r->size >= LARGE_BYTES,
	                  .cancellable = g_cancellable_new(),
	                  .parent = folder_id,
	                  .name = g_strdup(r->name),
	                  .moved_from = g_strdup(r->moved_from),
	                  .address = address,
	                  .uri = g_strdup(r->uri),
	                  .base = GSS_VERSION_INIT,
	                  .attempted = r->attempted,
	                  .base_hash = g_strdup(r->remote_hash),
	                  .attempted_hash = g_strdup(r->attempted_hash),
	                  .looked = GSS_VERSION_INIT,
	                  .result = GSS_VERSION_INIT};
	if (node->summed == r->generation)
		job->hash = g_strdup(node->sum);
	gss_version_copy(&job->base, &r->remote);
	return job;
}

static bool being_written(CacheNode *node)
{
	if (!node->content)
		return false;
	g_mutex_lock(&node->content->io);
	bool claimed = cache_extents_count(&node->content->claimed) > 0;
	g_mutex_unlock(&node->content->io);
	return claimed;
}

static CacheJob *start_locked(Cache *cache, CacheNode *node, GSList **ret_failed, GError **error)
{
	/* A write that is under way looks here again when it has ended. */
	if (!due_locked(cache, node) || being_written(node))
		return NULL;
	CacheJob *job = seal_locked(cache, node, error);
	if (!job && passes((*error)->code)) {
		try_again_locked(cache, node, *error);
		return NULL;
	}
	if (!job) {
		park_locked(cache, node, CACHE_STATE_FAILED, *error);
		*ret_failed = cache_publishers_take_locked(node, G_MAXUINT64);
		return NULL;
	}
	node->job = job;
	node->blocked = false;
	job->again = node->awaits != NULL;
	cache_queue_await_locked(cache, node, NULL);
	/* What came before its turn was its progress, too. */
	node->progress_at = MAX(node->progress_at, cache->moved_at);
	cache->calls++;
	cache->active[job->large]++;
	job->probes = cache->pause.code != 0;
	cache->pause.probes += job->probes;
	cache_status_changed_locked(cache);
	CACHE_CRASH_POINT("queue.started");
	cache_syncer_sync(cache, job->content, NULL, NULL);
	return job;
}

void cache_queue_run_locked(Cache *cache)
{
	cache_worker_post(cache, run, cache);
}

/* In a pause one upload at a time finds out whether it is over; what was under way before may hang
 * for long. */
static bool has_room_locked(Cache *cache, int lane)
{
	static const guint limit[2] = {SMALL_JOBS, LARGE_JOBS};
	bool waits = cache->pause.code && (cache->pause.timer || cache->pause.probes > 0);
	return cache->active[lane] < limit[lane] && !cache->stopping && !waits &&
	       (lane || g_queue_is_empty(&cache->ready[0]) || !cache_burst_holds_locked(cache));
}

/* Starts what the lanes have room for: a large file never keeps a small one waiting. */
static void run(void *data)
{
	Cache *cache = data;
	for (int lane = 0; lane < 2; lane++) {
		for (;;) {
			g_autoptr(GError) error = NULL;
			GSList *failed = NULL, *drained = NULL;
			CacheJob *job = NULL;
			g_mutex_lock(&cache->lock);
			CacheNode *node = has_room_locked(cache, lane)
			                          ? g_queue_pop_head(&cache->ready[lane])
			                          : NULL;
			if (node) {
				node->queued = false;
				job = start_locked(cache, node, &failed, &error);
				cache_node_put_locked(cache, node);
				cache_queue_check_drained_locked(cache, &drained);
			}
			g_mutex_unlock(&cache->lock);
			cache_publishers_run(failed, NULL, error);
			cache_calls_run(cache, drained, NULL);
			if (job)
				cache_upload_start(job);
			if (!node)
				break;
		}
	}
}

/* --- changing what is on its way --- */

bool cache_queue_unseal_locked(Cache *cache, CacheNode *node, bool truncating, GError **error)
{
	while (node->cloning)
		g_cond_wait(&node->settled, &cache->lock);
	CacheJob *job = node->job;
	if (!job || job->content != node->content || g_atomic_int_get(&job->aborted))
		return true;
	/* Once the client has every byte the blob is free; a further try is made with the new
	 * content. */
	bool taken = g_atomic_int_get(&job->sent_all);
	if (!taken && (node->aborts >= ABORTS_MAX || node->publishers)) {
		g_autoptr(GError) failure = NULL;
		if (truncating || cache_clone_locked(cache, node, &failure))
			return true;
		/* Without it the upload is made once more, and the write is made all the same. */
		g_debug("%s: aborted again: %s", node->r.name, failure->message);
		job = node->job;
		if (!job || job->content != node->content)
			return true;
		taken = g_atomic_int_get(&job->sent_all);
	}
	/* The sealed generation ends here. */
	if (!truncating && !unseal_locked(cache, node, error))
		return false;
	/* Also if it is taken: should the client want a byte once more, it does not get it. */
	CACHE_CRASH_POINT("queue.aborting");
	if (!truncating || !taken)
		g_atomic_int_set(&job->aborted, 1);
	if (!taken) {
		node->aborts++;
		cancel_job(job);
	}
	return true;
}

/* --- ending --- */

static bool passes(int code)
{
	switch (code) {
	case EINVAL:
	case EACCES:
	case EPERM:
	case EEXIST:
	case EISDIR:
	case ENOENT:
	case EFBIG:
	case ENAMETOOLONG:
	case ESTALE:
		return false;
	default:
		return true;
	}
}

bool cache_job_outdated_locked(const CacheJob *job)
{
	const CacheRecord *r = &job->node->r;
	if (r->parent != (gint64)job->parent || !g_str_equal(r->name, job->name))
		return true;
	CacheNode *folder = cache_node_get_locked(job->cache, job->parent, NULL);
	g_autofree char *address =
		folder && folder->r.uri ? gss_uri_child(folder->r.uri, r->name) : NULL;
	if (folder)
		cache_node_put_locked(job->cache, folder);
	return g_strcmp0(address, job->address) != 0;
}

static bool succeeded_locked(CacheJob *job, GError **error)
{
	Cache *cache = job->cache;
	CacheNode *node = job->node;
	CACHE_CRASH_POINT("upload.settling");
	if (!cache_settle_locked(job, error))
		return false;
	CACHE_CRASH_POINT("upload.settled");
	node->aborts = node->tries = 0;
	node->attr_until = g_get_monotonic_time() + CACHE_ATTR_LEASE_US;
	cache_node_set_resource(
		node, node->r.uri && job->resource &&
				      g_strcmp0(gss_resource_uri(job->resource), node->r.uri) == 0
			      ? job->resource
			      : NULL);
	if (!cache_node_dirty(node))
		cache_node_mark_clean_locked(cache, node);
	cache_evict_soon_locked(cache);
	CacheNode *folder = g_hash_table_lookup(cache->nodes, &job->parent);
	if (folder)
		cache_folder_touch_locked(folder, job->name);
	g_debug("%s: uploaded as %s", job->name, job->uri);
	return true;
}

typedef struct {
	Cache *cache;
	CacheNode *node; /* alive: the timer goes with it */
} Retry;

static gboolean on_retry(void *data)
{
	const Retry *retry = data;
	Cache *cache = retry->cache;
	g_mutex_lock(&cache->lock);
	/* Cancelled, with the node perhaps, while this waited for the lock. */
	if (!g_source_is_destroyed(g_main_current_source())) {
		CacheNode *node = retry->node;
		cache_worker_cancel(&node->retry);
		cache_queue_consider_locked(cache, node);
	}
	g_mutex_unlock(&cache->lock);
	return G_SOURCE_REMOVE;
}

/* 1 s, doubling to 60 s, with jitter so that a thousand files don't come at once. */
guint cache_queue_delay(guint tries, double random)
{
	guint base = MIN(RETRY_MS << MIN(tries, 6), RETRY_MAX_MS);
	return base / 2 + (guint)(base / 2 * random);
}

static void after_locked(Cache *cache, CacheNode *node, guint ms)
{
	/* The timer goes with the node, which its own users keep. */
	Retry *retry = g_new(Retry, 1);
	*retry = (Retry){cache, node};
	cache_worker_cancel(&node->retry);
	node->retry = cache_worker_after(cache, ms, on_retry, retry, g_free);
}

static void try_again_locked(Cache *cache, CacheNode *node, const GError *error)
{
	guint delay = cache_queue_delay(node->tries, g_random_double());
	node->failures++;
	if (node->tries++ == 0)
		g_message("%s: not uploaded yet, will be tried again: %s", node->r.name,
		          error->message);
	cache_node_set_state_locked(cache, node, CACHE_STATE_DIRTY, error);
	after_locked(cache, node, delay);
}

/* No fault of the file, and nothing that a try of another would change now: no credentials, or a
 * service that nobody reaches. */
static bool stops_all(int code)
{
	return code == ENOKEY || code == EKEYREJECTED || code == EHOSTUNREACH;
}

static gboolean on_pause_timer(void *data)
{
	Cache *cache = data;
	g_mutex_lock(&cache->lock);
	if (!g_source_is_destroyed(g_main_current_source())) {
		cache_worker_cancel(&cache->pause.timer);
		cache_queue_run_locked(cache);
	}
	g_mutex_unlock(&cache->lock);
	return G_SOURCE_REMOVE;
}

/* All wait, and no file uses up a try. Credentials may come at any time: they are looked at more
 * often, which costs the service nothing. */
static void pause_locked(Cache *cache, CacheNode *node, const GError *error)
{
	bool login = error->code != EHOSTUNREACH;
	if (cache->pause.code != error->code)
		g_warning("%s: uploads wait for %s: %s", cache->storage,
		          login ? "credentials" : "the service", error->message);
	cache->pause.code = error->code;
	cache_node_set_state_locked(cache, node, CACHE_STATE_DIRTY, error);
	if (cache->pause.timer || cache->stopping)
		return;
	guint delay = cache_queue_delay(cache->pause.tries++, login ? 1 : g_random_double());
	cache->pause.timer = cache_worker_after(cache, login ? MIN(delay, LOGIN_MAX_MS) : delay,
	                                        on_pause_timer, cache, NULL);
}

void cache_queue_resume_locked(Cache *cache)
{
	cache->pause.tries = 0;
	cache_worker_cancel(&cache->pause.timer);
	cache_burst_end_locked(cache);
	cache_queue_run_locked(cache);
}

static void end_pause_locked(Cache *cache)
{
	if (cache->pause.code)
		g_message("%s: uploads go on", cache->storage);
	cache->pause.code = 0;
	cache->pause.tries = 0;
	cache_worker_cancel(&cache->pause.timer);
}

/* The end of a try whose outcome does not matter any more. */
static bool forget_try_locked(CacheJob *job, GError **error)
{
	Cache *cache = job->cache;
	CacheNode *node = job->node;
	/* A blob of its own is kept only as long as recovery could go back to it. */
	CacheGeneration sealed;
	bool older = job->content->blob != node->r.blob;
	bool fallback = node->r.torn &&
	                cache_store_find_generation(cache->store, node->r.id, &sealed, NULL) &&
	                sealed.blob == job->content->blob;
	if (!cache_store_begin(cache->store, error))
		return false;
	bool ok = (!older || cache->stopping || fallback ||
	           (cache_store_remove_generations(cache->store, node->r.id, job->generation,
	                                           error) &&
	            cache_blob_let_go_locked(cache, node, job->content->blob, error))) &&
	          cache_node_save_locked(cache, node, error);
	return cache_store_end(cache->store, ok, ok ? error : NULL) && ok;
}

/* Those who are to be told. */
static GSList *failed_locked(CacheJob *job, const GError *error, bool *ret_parted)
{
	Cache *cache = job->cache;
	CacheNode *node = job->node;
	/* What cannot have reached GSS leaves no doubt behind. */
	bool outdated = cache_job_outdated_locked(job);
	g_autoptr(GError) failure = NULL;
	cache_settle_sent_locked(job, outdated);
	if (job->untouched && !job->attempted && !outdated)
		node->r.attempted = 0;
	if (job->cut_short && !outdated) {
		/* A failed try, and no conflict: what is there is what came of it. */
		g_free(node->r.uri);
		node->r.uri = g_strdup(job->uri);
		gss_version_copy(&node->r.remote, &job->result);
		g_clear_pointer(&node->r.remote_hash, g_free);
	}
	/* Renamed meanwhile: what may arrive under the old name is looked for; what can't have
	 * arrived is not. */
	if (outdated && job->untouched && !job->attempted) {
		if (g_strcmp0(node->r.moved_from, job->uri) == 0)
			node->r.from.attempted = 0;
		if (job->fresh && !cache_removal_drop_locked(cache, job->address, &failure)) {
			g_warning("%s: %s", cache->path, failure->message);
			g_clear_error(&failure);
		}
	}
	CACHE_CRASH_POINT("upload.failed");
	bool superseded = g_atomic_int_get(&job->aborted) || node->r.parent < 0 || outdated ||
	                  node->r.generation != job->generation;
	if (cache->stopping || error->code == ECANCELED || superseded) {
		if (!forget_try_locked(job, &failure))
			g_warning("%s: %s", cache->path, failure->message);
		return NULL;
	}
	if (job->conflict && node->leaving) {
		/* An unlink under way means what is there now. */
		try_again_locked(cache, node, error);
		return NULL;
	}
	if (job->conflict) {
		*ret_parted = cache_conflict_part_locked(cache, job, &failure);
		if (!*ret_parted) {
			try_again_locked(cache, node, failure);
			return NULL;
		}
		/* Under the name that they know it does not arrive. */
		node->parted = node->opens && !node->publishers;
		return cache_publishers_take_locked(node, G_MAXUINT64);
	}
	if (job->partial || !passes(error->code)) {
		park_locked(cache, node, job->partial ? CACHE_STATE_CONFLICT : CACHE_STATE_FAILED,
		            error);
		return cache_publishers_take_locked(node, G_MAXUINT64);
	}
	if (stops_all(error->code))
		pause_locked(cache, node, error);
	else
		try_again_locked(cache, node, error);
	return NULL;
}

void cache_queue_finished(CacheJob *job, const GError *error)
{
	Cache *cache = job->cache;
	CacheNode *node = job->node;
	GSList *publishers, *drained = NULL;
	g_autoptr(GError) failure = NULL;
	const GError *outcome = NULL;
	bool parted = false;
	g_mutex_lock(&cache->lock);
	node->job = NULL;
	node->blocked = job->blocked;
	if (job->sending)
		g_hash_table_remove(cache->sending, job->address);
	cache_job_look_end_locked(job);
	cache->active[job->large]--;
	cache->pause.probes -= job->probes;
	cache_status_changed_locked(cache);
	if (!error)
		end_pause_locked(cache);
	if (error || !succeeded_locked(job, &failure)) {
		outcome = error ? error : failure;
		publishers = failed_locked(job, outcome, &parted);
	} else {
		publishers = cache_publishers_take_locked(node, node->r.published);
	}
	g_autofree char *uri = g_strdup(job->uri), *old_name = g_strdup(job->name);
	CachePublished published = {uri, job->generation, job->size};
	g_autofree char *new_name = g_strdup(node->r.name);
	CacheId parent = job->parent;
	GSList *idle = g_steal_pointer(&node->idle);
	if (job->awaits && g_hash_table_contains(cache->dirty, node))
		cache_queue_await_locked(cache, node, job->awaits);
	cache_queue_consider_locked(cache, node);
	if (job->sending)
		wake_locked(cache, job->address);
	/* Room in a lane: the next. */
	cache_queue_run_locked(cache);
	job_free_locked(job);
	cache_queue_check_drained_locked(cache, &drained);
	g_mutex_unlock(&cache->lock);
	if (parted && cache->notify.entry) {
		/* Whoever has ours open goes on with ours; the names lead elsewhere. */
		cache->notify.entry(parent, old_name, cache->notify.data);
		cache->notify.entry(parent, new_name, cache->notify.data);
	}
	cache_publishers_run(publishers, &published, outcome);
	cache_calls_run(cache, idle, NULL);
	cache_calls_run(cache, drained, NULL);
	cache_removal_run(cache);
	cache_call_end(cache);
}
