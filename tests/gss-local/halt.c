#include "halt.h"

#include <errno.h>
#include <pthread.h>

/* pthread locks here and in the other rooms, for ThreadSanitizer does not see through those of
 * GLib. */
struct GlHalt {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stopping;
	guint held;       /* requests */
	guint64 releases; /* grows with every release of theirs; they wait for a change */
	guint64 epoch;    /* grows with every release that found none */
	guint background;
};

GlHalt *gl_halt_new(void)
{
	GlHalt *halt = g_new0(GlHalt, 1);
	pthread_mutex_init(&halt->lock, NULL);
	pthread_cond_init(&halt->changed, NULL);
	return halt;
}

void gl_halt_free(GlHalt *halt)
{
	pthread_mutex_destroy(&halt->lock);
	pthread_cond_destroy(&halt->changed);
	g_free(halt);
}

void gl_halt_stop(GlHalt *halt)
{
	pthread_mutex_lock(&halt->lock);
	halt->stopping = true;
	pthread_cond_broadcast(&halt->changed);
	pthread_mutex_unlock(&halt->lock);
}

bool gl_halt_stopping(GlHalt *halt)
{
	pthread_mutex_lock(&halt->lock);
	bool stopping = halt->stopping;
	pthread_mutex_unlock(&halt->lock);
	return stopping;
}

struct timespec gl_halt_deadline(guint milliseconds)
{
	struct timespec end;

	if (clock_gettime(CLOCK_MONOTONIC, &end) != 0)
		g_error("there is no monotonic clock");
	end.tv_sec += milliseconds / 1000;
	end.tv_nsec += (long)(milliseconds % 1000) * 1000000;
	if (end.tv_nsec >= 1000000000) {
		end.tv_sec++;
		end.tv_nsec -= 1000000000;
	}
	return end;
}

bool gl_halt_sleep(GlHalt *halt, guint milliseconds)
{
	struct timespec end = gl_halt_deadline(milliseconds);
	int result = milliseconds > 0 ? 0 : ETIMEDOUT;

	pthread_mutex_lock(&halt->lock);
	while (!halt->stopping && result == 0)
		result = pthread_cond_clockwait(&halt->changed, &halt->lock, CLOCK_MONOTONIC, &end);
	bool slept = !halt->stopping;
	pthread_mutex_unlock(&halt->lock);
	return slept;
}

guint64 gl_halt_epoch(GlHalt *halt)
{
	pthread_mutex_lock(&halt->lock);
	guint64 epoch = halt->epoch;
	pthread_mutex_unlock(&halt->lock);
	return epoch;
}

guint64 gl_halt_ticket(GlHalt *halt)
{
	pthread_mutex_lock(&halt->lock);
	guint64 ticket = halt->releases;
	halt->held++;
	pthread_mutex_unlock(&halt->lock);
	return ticket;
}

bool gl_halt_hold(GlHalt *halt, guint64 ticket, guint64 epoch)
{
	pthread_mutex_lock(&halt->lock);
	while (!halt->stopping && halt->releases == ticket && halt->epoch == epoch)
		pthread_cond_wait(&halt->changed, &halt->lock);
	bool released = !halt->stopping;
	halt->held--;
	pthread_mutex_unlock(&halt->lock);
	return released;
}

void gl_halt_release(GlHalt *halt)
{
	pthread_mutex_lock(&halt->lock);
	if (halt->held > 0)
		halt->releases++;
	else
		halt->epoch++;
	pthread_cond_broadcast(&halt->changed);
	pthread_mutex_unlock(&halt->lock);
}

void gl_halt_enter(GlHalt *halt)
{
	pthread_mutex_lock(&halt->lock);
	halt->background++;
	pthread_mutex_unlock(&halt->lock);
}

void gl_halt_leave(GlHalt *halt)
{
	pthread_mutex_lock(&halt->lock);
	halt->background--;
	pthread_cond_broadcast(&halt->changed);
	pthread_mutex_unlock(&halt->lock);
}

void gl_halt_drain(GlHalt *halt)
{
	pthread_mutex_lock(&halt->lock);
	while (halt->background > 0)
		pthread_cond_wait(&halt->changed, &halt->lock);
	pthread_mutex_unlock(&halt->lock);
}
