#include "fs/stop.h"

#include "fs/loop.h"

#include <signal.h>

struct FsStop {
	GMutex lock;
	GCond changed;
	FsMount *mount;
	FsSession *session; /* NULL: over */
	bool ending;
	bool wanted; /* by a successor */
	guint count;
	bool (*successor)(void *data); /* NULL: none yet */
	void *successor_data;
};

static void told(FsStop *stop, bool hangup)
{
	g_mutex_lock(&stop->lock);
	FsSession *session = stop->ending ? NULL : stop->session;
	if (!hangup || session != NULL)
		stop->count++;
	if (session != NULL) {
		stop->ending = true;
		/* Under the lock, so that the session is not freed meanwhile. */
		fs_session_end(session);
	}
	g_cond_broadcast(&stop->changed);
	g_mutex_unlock(&stop->lock);
}

static void on_terminate(void *data)
{
	told(data, false);
}

static void on_hangup(void *data)
{
	told(data, true);
}

/* The next mount of a cache wants what is left of it (cache_open). */
static void on_successor(void *data)
{
	FsStop *stop = data;

	g_mutex_lock(&stop->lock);
	stop->wanted = stop->session == NULL;
	bool (*successor)(void *data) = stop->wanted ? stop->successor : NULL;
	g_mutex_unlock(&stop->lock);
	if (successor == NULL || successor(stop->successor_data))
		return;
	g_mutex_lock(&stop->lock);
	stop->count = FS_STOP_LEAVE;
	g_cond_broadcast(&stop->changed);
	g_mutex_unlock(&stop->lock);
}

void fs_stop_on_successor(FsStop *stop, bool (*func)(void *data), void *data)
{
	g_mutex_lock(&stop->lock);
	stop->successor = func;
	stop->successor_data = data;
	bool wanted = stop->wanted;
	g_mutex_unlock(&stop->lock);
	if (wanted)
		fs_loop_after(stop->mount->loop, 0, on_successor, stop);
}

FsStop *fs_stop_new(FsMount *mount, FsSession *session)
{
	FsStop *stop = g_new0(FsStop, 1);

	g_mutex_init(&stop->lock);
	g_cond_init(&stop->changed);
	stop->mount = mount;
	stop->session = session;
	fs_loop_signal(mount->loop, SIGTERM, on_terminate, stop);
	fs_loop_signal(mount->loop, SIGINT, on_terminate, stop);
	fs_loop_signal(mount->loop, SIGHUP, on_hangup, stop);
	fs_loop_signal(mount->loop, SIGUSR1, on_successor, stop);
	return stop;
}

void fs_stop_session_over(FsStop *stop)
{
	g_mutex_lock(&stop->lock);
	stop->session = NULL;
	g_mutex_unlock(&stop->lock);
}

void fs_stop_free(FsStop *stop)
{
	g_mutex_clear(&stop->lock);
	g_cond_clear(&stop->changed);
	g_free(stop);
}

void fs_stop_lock(FsStop *stop)
{
	g_mutex_lock(&stop->lock);
}

void fs_stop_unlock(FsStop *stop)
{
	g_mutex_unlock(&stop->lock);
}

void fs_stop_wait_until_locked(FsStop *stop, gint64 monotonic_us)
{
	g_cond_wait_until(&stop->changed, &stop->lock, monotonic_us);
}

guint fs_stop_count_locked(const FsStop *stop)
{
	return stop->count;
}

void fs_stop_wake_locked(FsStop *stop)
{
	g_cond_broadcast(&stop->changed);
}
