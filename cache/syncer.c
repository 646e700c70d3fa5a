/* The syncer: the thread that waits for the local disk, so that nobody else has to. */
#include "cache/private.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cache/upload.h"

#define BATCH_MAX 64
#define GATHER_US (50 * G_TIME_SPAN_MILLISECOND)

typedef enum { WRITE_OUT, SYNC, QUIT } Kind;

typedef struct {
	Kind kind;
	CacheContent *content;
	guint64 offset, length;
	CacheReady ready;
	void *data;
	guint seq; /* the content's, before it was synced */
	GError *error;
} Task;

struct CacheSyncer {
	Cache *cache;
	GAsyncQueue *queue;
	GThread *thread;
};

static void task_free(void *data)
{
	Task *task = data;
	if (task->content)
		cache_content_put(task->content);
	g_clear_error(&task->error);
	g_free(task);
}

static void write_out(const Task *task)
{
	/* Advice: a failure shows at the fdatasync() that follows. */
	(void)sync_file_range(task->content->fd, task->offset, task->length, SYNC_FILE_RANGE_WRITE);
}

/* Durable is what did not change since before the fdatasync() and is not being written. */
static bool unchanged_locked(Cache *cache, const Task *task)
{
	CacheContent *content = task->content;
	g_mutex_lock(&content->io);
	bool unchanged = task->seq == (guint)g_atomic_int_get(&content->dirty_seq) &&
	                 !cache_extents_count(&content->claimed);
	g_mutex_unlock(&content->io);
	/* The blob may have been opened anew, and written, since. */
	CacheNode *node = g_hash_table_lookup(cache->nodes, &content->node);
	if (node && node->content && node->content != content &&
	    !(node->job && node->job->content == content))
		unchanged = false;
	return unchanged && !g_atomic_int_get(&content->discard);
}

/* The kernel tells of that once and forgets the bytes: what is read from now on need not be what
 * was written. Of a clean file nothing is lost: it is fetched again. */
static GSList *lost_locked(Cache *cache, const CacheContent *content, int errnum)
{
	g_autoptr(GError) error = NULL;
	CacheNode *node = g_hash_table_lookup(cache->nodes, &content->node);
	if (node && node->job && node->job->content == content)
		g_atomic_int_set(&node->job->aborted, 1);
	if (!node || node->r.blob != content->blob)
		return NULL;
	if (cache_node_dirty(node))
		return cache_change_lost_locked(cache, node, 0, MAX(node->r.size, 1), errnum);
	if (!cache_content_renew_locked(cache, node, &error))
		g_warning("%s: %s", cache->path, error->message);
	return NULL;
}

/* In one transaction, so that a batch costs the journal little more than one blob. `ret_failed`:
 * those who wait for what is lost. */
static bool mark(Cache *cache, GPtrArray *batch, GSList **ret_failed, GError **error)
{
	g_autoptr(GPtrArray) marked = g_ptr_array_new(); /* Task */
	g_mutex_lock(&cache->lock);
	for (guint i = 0; i < batch->len; i++) {
		Task *task = batch->pdata[i];
		if (task->error)
			*ret_failed = g_slist_concat(
				lost_locked(cache, task->content, task->error->code), *ret_failed);
		else if (unchanged_locked(cache, task))
			g_ptr_array_add(marked, task);
	}
	bool ok = marked->len == 0 || cache_store_begin(cache->store, error);
	if (ok && marked->len) {
		for (guint i = 0; ok && i < marked->len; i++) {
			const CacheContent *content = ((Task *)marked->pdata[i])->content;
			ok = cache_store_mark_blob(cache->store, content->blob, cache->boot_id,
			                           true, error);
		}
		ok = cache_store_end(cache->store, ok, ok ? error : NULL) && ok;
	}
	CACHE_CRASH_POINT("sync.marked");
	for (guint i = 0; ok && i < marked->len; i++) {
		const Task *task = marked->pdata[i];
		task->content->durable = true;
		task->content->synced = task->seq;
	}
	g_mutex_unlock(&cache->lock);
	return ok;
}

/* A burst of small files fills the journal's log faster than they reach the disk. */
static void fold(Cache *cache)
{
	g_autoptr(GError) error = NULL;
	if (cache_store_log_is_long(cache->store) && !cache_store_checkpoint(cache->store, &error))
		g_warning("%s: %s", cache->path, error->message);
}

static void sync_batch(Cache *cache, GPtrArray *batch)
{
	/* All are started before one is waited for: the first wait then brings most of the others
	 * along. What was given up meanwhile needs no disk. */
	for (guint i = 0; i < batch->len; i++) {
		Task *task = batch->pdata[i];
		task->seq = g_atomic_int_get(&task->content->dirty_seq);
		if (batch->len > 1 && !g_atomic_int_get(&task->content->discard))
			write_out(task);
	}
	for (guint i = 0; i < batch->len; i++) {
		Task *task = batch->pdata[i];
		fold(cache);
		if (g_atomic_int_get(&task->content->discard) || fdatasync(task->content->fd) == 0)
			continue;
		int errnum = errno;
		g_set_error(&task->error, CACHE_ERROR, errnum,
		            "cannot bring a blob to the disk: %s", g_strerror(errnum));
	}
	CACHE_CRASH_POINT("sync.synced");
	g_autoptr(GError) failure = NULL;
	g_autoptr(GError) lost = g_error_new_literal(CACHE_ERROR, EIO, "the disk has lost it");
	GSList *failed = NULL;
	/* The journal's log is folded in from here, away from everybody's way; and with it what was
	 * marked is on the disk. */
	if (!mark(cache, batch, &failed, &failure) ||
	    !cache_store_checkpoint(cache->store, &failure))
		g_warning("%s: %s", cache->path, failure->message);
	cache_publishers_run(failed, NULL, lost);
	for (guint i = 0; i < batch->len; i++) {
		Task *task = batch->pdata[i];
		if (task->error)
			g_warning("%s: %s", cache->path, task->error->message);
		if (task->ready)
			task->ready(cache, task->error ? task->error : failure, task->data);
	}
}

/* Takes what comes within a moment; whoever is waited for is not kept waiting. True: the end. */
static bool gather(CacheSyncer *syncer, GPtrArray *batch)
{
	gint64 until = 0;
	while (batch->len < BATCH_MAX) {
		gint64 left = until - g_get_monotonic_time();
		Task *task = !until     ? g_async_queue_pop(syncer->queue)
		             : left > 0 ? g_async_queue_timeout_pop(syncer->queue, left)
		                        : g_async_queue_try_pop(syncer->queue);
		if (!task)
			return false;
		Kind kind = task->kind;
		if (kind == SYNC) {
			g_ptr_array_add(batch, task);
			if (task->ready)
				until = 1;
			else if (!until)
				until = g_get_monotonic_time() + GATHER_US;
			continue;
		}
		if (kind == WRITE_OUT)
			write_out(task);
		task_free(task);
		if (kind == QUIT)
			return true;
	}
	return false;
}

static void *run(void *data)
{
	CacheSyncer *syncer = data;
	bool quit;
	do {
		g_autoptr(GPtrArray) batch = g_ptr_array_new_with_free_func(task_free);
		quit = gather(syncer, batch);
		sync_batch(syncer->cache, batch);
	} while (!quit);
	return NULL;
}

CacheSyncer *cache_syncer_new(Cache *cache)
{
	CacheSyncer *syncer = g_new0(CacheSyncer, 1);
	syncer->cache = cache;
	syncer->queue = g_async_queue_new();
	syncer->thread = g_thread_new("cache-syncer", run, syncer);
	return syncer;
}

static void push(CacheSyncer *syncer, Task task)
{
	g_async_queue_push(syncer->queue, g_memdup2(&task, sizeof task));
}

void cache_syncer_free(CacheSyncer *syncer)
{
	push(syncer, (Task){.kind = QUIT});
	g_thread_join(syncer->thread);
	g_async_queue_unref(syncer->queue);
	g_free(syncer);
}

void cache_syncer_write_out(Cache *cache, CacheContent *content, guint64 offset, guint64 length)
{
	push(cache->syncer, (Task){.kind = WRITE_OUT,
	                           .content = cache_content_ref(content),
	                           .offset = offset,
	                           .length = length});
}

void cache_syncer_sync(Cache *cache, CacheContent *content, CacheReady ready, void *data)
{
	push(cache->syncer, (Task){.kind = SYNC,
	                           .content = cache_content_ref(content),
	                           .ready = ready,
	                           .data = data});
}
