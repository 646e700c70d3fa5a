/* The worker: a thread with a main context, for posted functions and timers. */
#include "cache/private.h"

/* Posts have a queue of their own: a source for each would make each turn of the loop as long as
 * the queue. */
typedef struct {
	CacheFunc func;
	void *data;
} Post;

struct CacheWorker {
	GMutex lock;
	GArray *posts;   /* Post; guarded by the lock */
	GSource *posted; /* ready while there are posts */
	GMainContext *context;
	GMainLoop *loop;
	GThread *thread;
};

static void *run(void *data)
{
	CacheWorker *worker = data;
	g_main_context_push_thread_default(worker->context);
	g_main_loop_run(worker->loop);
	/* What was posted before the end still counts. */
	while (g_main_context_iteration(worker->context, FALSE))
		;
	g_main_context_pop_thread_default(worker->context);
	return NULL;
}

static GSource *attach(CacheWorker *worker, GSource *source, GSourceFunc func, void *data,
                       GDestroyNotify destroy)
{
	g_source_set_priority(source, G_PRIORITY_DEFAULT);
	g_source_set_callback(source, func, data, destroy);
	g_source_attach(source, worker->context);
	return source;
}

static gboolean dispatch(GSource *source, GSourceFunc func, void *data)
{
	return func(data);
}

static GSourceFuncs posted_funcs = {.dispatch = dispatch};

/* Those that were posted before; what they post has its turn after the timers. */
static gboolean run_posts(void *data)
{
	CacheWorker *worker = data;
	g_mutex_lock(&worker->lock);
	g_autoptr(GArray) posts = worker->posts;
	worker->posts = g_array_new(FALSE, FALSE, sizeof(Post));
	g_source_set_ready_time(worker->posted, -1);
	g_mutex_unlock(&worker->lock);
	for (guint i = 0; i < posts->len; i++) {
		const Post *post = &g_array_index(posts, Post, i);
		post->func(post->data);
	}
	return G_SOURCE_CONTINUE;
}

CacheWorker *cache_worker_new(Cache *cache)
{
	CacheWorker *worker = g_new0(CacheWorker, 1);
	g_mutex_init(&worker->lock);
	worker->posts = g_array_new(FALSE, FALSE, sizeof(Post));
	worker->context = g_main_context_new();
	worker->posted = attach(worker, g_source_new(&posted_funcs, sizeof(GSource)), run_posts,
	                        worker, NULL);
	worker->loop = g_main_loop_new(worker->context, FALSE);
	worker->thread = g_thread_new("cache-worker", run, worker);
	return worker;
}

static gboolean quit(void *data)
{
	g_main_loop_quit(data);
	return G_SOURCE_REMOVE;
}

void cache_worker_free(CacheWorker *worker)
{
	g_source_unref(attach(worker, g_idle_source_new(), quit, worker->loop, NULL));
	g_thread_join(worker->thread);
	g_source_destroy(worker->posted);
	g_source_unref(worker->posted);
	g_array_unref(worker->posts);
	g_mutex_clear(&worker->lock);
	g_main_loop_unref(worker->loop);
	g_main_context_unref(worker->context);
	g_free(worker);
}

bool cache_worker_is_current(const Cache *cache)
{
	return cache->worker->thread == g_thread_self();
}

void cache_worker_post(Cache *cache, CacheFunc func, void *data)
{
	CacheWorker *worker = cache->worker;
	g_mutex_lock(&worker->lock);
	g_array_append_val(worker->posts, ((Post){func, data}));
	if (worker->posts->len == 1)
		g_source_set_ready_time(worker->posted, 0);
	g_mutex_unlock(&worker->lock);
}

GSource *cache_worker_after(Cache *cache, guint ms, GSourceFunc func, void *data,
                            GDestroyNotify destroy)
{
	return attach(cache->worker, g_timeout_source_new(ms), func, data, destroy);
}

void cache_worker_cancel(GSource **timer)
{
	if (!*timer)
		return;
	g_source_destroy(*timer);
	g_source_unref(*timer);
	*timer = NULL;
}
