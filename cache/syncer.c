/* The syncer: the thread that waits for the local disk, so that nobody else has to. */
#include "cache/private.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

typedef enum { WRITE_OUT, SYNC, QUIT } Kind;

typedef struct {
	Kind kind;
	CacheContent *content;
	guint64 offset, length;
	CacheReady ready;
	void *data;
} Task;

struct CacheSyncer {
	Cache *cache;
	GAsyncQueue *queue;
	GThread *thread;
};

/* Durable is what did not change since before the fdatasync() and is not being written. */
static bool sync_content(Cache *cache, CacheContent *content, GError **error)
{
	guint seq = g_atomic_int_get(&content->dirty_seq);
	if (fdatasync(content->fd) < 0) {
		int errnum = errno;
		g_set_error(error, CACHE_ERROR, errnum, "cannot bring a blob to the disk: %s",
		            g_strerror(errnum));
		return false;
	}
	CACHE_CRASH_POINT("sync.synced");
	g_mutex_lock(&cache->lock);
	g_mutex_lock(&content->io);
	bool unchanged = seq == (guint)g_atomic_int_get(&content->dirty_seq) &&
	                 !cache_extents_count(&content->claimed);
	g_mutex_unlock(&content->io);
	/* The blob may have been opened anew, and written, since. */
	CacheNode *node = g_hash_table_lookup(cache->nodes, &content->node);
	if (node && node->content && node->content != content &&
	    !(node->job && node->job->content == content))
		unchanged = false;
	bool mark = unchanged && !g_atomic_int_get(&content->discard);
	bool ok = !mark ||
	          cache_store_mark_blob(cache->store, content->blob, cache->boot_id, true, error);
	CACHE_CRASH_POINT("sync.marked");
	content->durable |= mark && ok;
	g_mutex_unlock(&cache->lock);
	return ok;
}

static void run_task(Cache *cache, Task *task)
{
	if (task->kind == WRITE_OUT) {
		/* Advice: a failure shows at the fdatasync() that follows. */
		(void)sync_file_range(task->content->fd, task->offset, task->length,
		                      SYNC_FILE_RANGE_WRITE);
		return;
	}
	g_autoptr(GError) error = NULL;
	if (!sync_content(cache, task->content, &error) ||
	    (task->ready && !cache_store_checkpoint(cache->store, &error)))
		g_warning("%s: %s", cache->path, error->message);
	if (task->ready)
		task->ready(cache, error, task->data);
}

static void *run(void *data)
{
	CacheSyncer *syncer = data;
	guint since_checkpoint = 0;
	for (;;) {
		Task *task = g_async_queue_pop(syncer->queue);
		bool quit = task->kind == QUIT;
		if (!quit) {
			run_task(syncer->cache, task);
			cache_content_put(task->content);
		}
		g_free(task);
		/* The journal's log is folded in from here, away from everybody's way. */
		if (quit || ++since_checkpoint >= 256 || g_async_queue_length(syncer->queue) <= 0) {
			g_autoptr(GError) error = NULL;
			if (since_checkpoint &&
			    !cache_store_checkpoint(syncer->cache->store, &error))
				g_warning("%s: %s", syncer->cache->path, error->message);
			since_checkpoint = 0;
		}
		if (quit)
			return NULL;
	}
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
