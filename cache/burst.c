/* Bursts: while many small files are written one after the other, as by cp -r, whoever writes them
 * is not to share processors and journal with their uploads, which begin in the first pause. */
#include "cache/private.h"
#include "cache/upload.h"

#define FEW 4 /* files that are no burst: they are never held up */
#define PAUSE_MS 30
#define LONGEST_US (2 * G_USEC_PER_SEC) /* then uploads go on, writers or not */

static bool over(const CacheBurst *burst, gint64 now)
{
	return now - burst->last_at > PAUSE_MS * G_TIME_SPAN_MILLISECOND ||
	       now - burst->began_at > LONGEST_US;
}

void cache_burst_note_locked(Cache *cache)
{
	CacheBurst *burst = &cache->burst;
	gint64 now = g_get_monotonic_time();
	if (now - burst->last_at > PAUSE_MS * G_TIME_SPAN_MILLISECOND)
		*burst = (CacheBurst){.began_at = now, .timer = burst->timer};
	burst->last_at = now;
	burst->files++;
}

void cache_burst_end_locked(Cache *cache)
{
	cache->burst.last_at = 0;
	cache_worker_cancel(&cache->burst.timer);
}

static gboolean on_pause(void *data)
{
	Cache *cache = data;
	g_mutex_lock(&cache->lock);
	if (!g_source_is_destroyed(g_main_current_source())) {
		cache_worker_cancel(&cache->burst.timer);
		cache_queue_run_locked(cache);
	}
	g_mutex_unlock(&cache->lock);
	return G_SOURCE_REMOVE;
}

bool cache_burst_holds_locked(Cache *cache)
{
	CacheBurst *burst = &cache->burst;
	if (burst->files <= FEW || over(burst, g_get_monotonic_time()))
		return false;
	if (!burst->timer)
		burst->timer = cache_worker_after(cache, PAUSE_MS, on_pause, cache, NULL);
	return true;
}
