/* tsan-glib - tells ThreadSanitizer what GLib's locks and queues order. GLib is not instrumented and its GMutex is a
 * futex, so that without this every access under a GMutex looks like a race. Preloaded by tests/run.sh --thread. */
#include <dlfcn.h>
#include <gio/gio.h>
#include <stdlib.h>

extern void __tsan_acquire(void *address) __attribute__((weak));
extern void __tsan_release(void *address) __attribute__((weak));

static void acquire(void *address)
{
	if (__tsan_acquire)
		__tsan_acquire(address);
}

static void release(void *address)
{
	if (__tsan_release)
		__tsan_release(address);
}

/* The function of that name which this file hides. */
#define REAL(name)                                                                                 \
	static __typeof__(&(name)) real;                                                           \
	if (__atomic_load_n(&real, __ATOMIC_RELAXED) == NULL) {                                    \
		void *found = dlsym(RTLD_NEXT, #name);                                             \
		if (found == NULL)                                                                 \
			abort();                                                                   \
		__atomic_store_n((void **)&real, found, __ATOMIC_RELAXED);                         \
	}

void g_mutex_lock(GMutex *mutex)
{
	REAL(g_mutex_lock);
	real(mutex);
	acquire(mutex);
}

gboolean g_mutex_trylock(GMutex *mutex)
{
	REAL(g_mutex_trylock);
	gboolean locked = real(mutex);
	if (locked)
		acquire(mutex);
	return locked;
}

void g_mutex_unlock(GMutex *mutex)
{
	REAL(g_mutex_unlock);
	release(mutex);
	real(mutex);
}

void g_rec_mutex_lock(GRecMutex *mutex)
{
	REAL(g_rec_mutex_lock);
	real(mutex);
	acquire(mutex);
}

void g_rec_mutex_unlock(GRecMutex *mutex)
{
	REAL(g_rec_mutex_unlock);
	release(mutex);
	real(mutex);
}

void g_cond_wait(GCond *cond, GMutex *mutex)
{
	REAL(g_cond_wait);
	release(mutex);
	real(cond, mutex);
	acquire(mutex);
}

gboolean g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end)
{
	REAL(g_cond_wait_until);
	release(mutex);
	gboolean signalled = real(cond, mutex, end);
	acquire(mutex);
	return signalled;
}

void g_async_queue_push(GAsyncQueue *queue, gpointer data)
{
	REAL(g_async_queue_push);
	release(queue);
	real(queue, data);
}

gpointer g_async_queue_pop(GAsyncQueue *queue)
{
	REAL(g_async_queue_pop);
	gpointer data = real(queue);
	acquire(queue);
	return data;
}

gpointer g_async_queue_try_pop(GAsyncQueue *queue)
{
	REAL(g_async_queue_try_pop);
	gpointer data = real(queue);
	acquire(queue);
	return data;
}

gpointer g_async_queue_timeout_pop(GAsyncQueue *queue, guint64 timeout)
{
	REAL(g_async_queue_timeout_pop);
	gpointer data = real(queue, timeout);
	acquire(queue);
	return data;
}

/* A task comes after whatever was done before it was pushed. The pools live as long as their
 * programs, nearly: what wraps their functions is not freed. */
typedef struct {
	GFunc func;
	gpointer data;
} Pool;

static void run_task(gpointer task, gpointer data)
{
	const Pool *pool = data;
	acquire(task);
	pool->func(task, pool->data);
}

GThreadPool *g_thread_pool_new(GFunc func, gpointer data, gint threads, gboolean exclusive,
                               GError **error)
{
	REAL(g_thread_pool_new);
	Pool *pool = malloc(sizeof(*pool));
	if (pool == NULL)
		abort();
	*pool = (Pool){func, data};
	return real(run_task, pool, threads, exclusive, error);
}

gboolean g_thread_pool_push(GThreadPool *pool, gpointer task, GError **error)
{
	REAL(g_thread_pool_push);
	release(task);
	return real(pool, task, error);
}

/* The last reference's holder comes after all others'. */
#define UNREF(name, type)                                                                          \
	void name(type *object)                                                                    \
	{                                                                                          \
		REAL(name);                                                                        \
		release(object);                                                                   \
		acquire(object);                                                                   \
		real(object);                                                                      \
	}

UNREF(g_bytes_unref, GBytes)
UNREF(g_ptr_array_unref, GPtrArray)
UNREF(g_hash_table_unref, GHashTable)
UNREF(g_main_loop_unref, GMainLoop)
UNREF(g_main_context_unref, GMainContext)

gboolean(g_atomic_ref_count_dec)(gatomicrefcount *count)
{
	REAL(g_atomic_ref_count_dec);
	release(count);
	acquire(count);
	return real(count);
}

void(g_object_unref)(gpointer object)
{
	REAL(g_object_unref);
	release(object);
	acquire(object);
	real(object);
}

void g_cancellable_cancel(GCancellable *cancellable)
{
	REAL(g_cancellable_cancel);
	if (cancellable != NULL)
		release(cancellable);
	real(cancellable);
}

gboolean g_cancellable_is_cancelled(GCancellable *cancellable)
{
	REAL(g_cancellable_is_cancelled);
	gboolean cancelled = real(cancellable);
	if (cancelled)
		acquire(cancellable);
	return cancelled;
}

/* A source's callback comes after whatever its maker did. */
typedef struct {
	GSourceFunc func;
	gpointer data;
	GDestroyNotify notify;
} Closure;

static gboolean call(gpointer data)
{
	Closure *closure = data;

	acquire(closure);
	return closure->func(closure->data);
}

static void end(gpointer data)
{
	Closure *closure = data;

	if (closure->notify != NULL)
		closure->notify(closure->data);
	free(closure);
}

void g_source_set_callback(GSource *source, GSourceFunc func, gpointer data, GDestroyNotify notify)
{
	REAL(g_source_set_callback);
	/* Other sources call functions of other types. */
	if (func == NULL ||
	    (source->source_funcs != &g_timeout_funcs && source->source_funcs != &g_idle_funcs)) {
		real(source, func, data, notify);
		return;
	}
	Closure *closure = malloc(sizeof(*closure));
	if (closure == NULL)
		abort();
	*closure = (Closure){func, data, notify};
	release(closure);
	real(source, call, closure, end);
}
