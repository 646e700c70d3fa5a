/* The worker: a thread with a main context, for posted functions and timers. */
#include "cache/private.h"

struct CacheWorker {
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

CacheWorker *cache_worker_new(Cache *cache)
{
	CacheWorker *worker = g_new0(CacheWorker, 1);
	worker->context = g_main_context_new();
	worker->loop = g_main_loop_new(worker->context, FALSE);
	worker->thread = g_thread_new("cache-worker", run, worker);
	return worker;
}

static gboolean quit(void *data)
{
	g_main_loop_quit(data);
	return G_SOURCE_REMOVE;
}

static GSource *attach(CacheWorker *worker, GSource *source, GSourceFunc func, void *data,
                       GDestroyNotify destroy)
{
	g_source_set_priority(source, G_PRIORITY_DEFAULT);
	g_source_set_callback(source, func, data, destroy);
	g_source_attach(source, worker->context);
	return source;
}

void cache_worker_free(CacheWorker *worker)
{
	g_source_unref(attach(worker, g_idle_source_new(), quit, worker->loop, NULL));
	g_thread_join(worker->thread);
	g_main_loop_unref(worker->loop);
	g_main_context_unref(worker->context);
	g_free(worker);
}

typedef struct {
	CacheFunc func;
	void *data;
} Post;

static gboolean run_post(void *data)
{
	g_autofree Post *post = data;
	post->func(post->data);
	return G_SOURCE_REMOVE;
}

void cache_worker_post(Cache *cache, CacheFunc func, void *data)
{
	Post *post = g_new(Post, 1);
	*post = (Post){func, data};
	g_source_unref(attach(cache->worker, g_idle_source_new(), run_post, post, NULL));
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
