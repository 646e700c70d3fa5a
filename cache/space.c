/* Space: how much the contents may take, and who waits until there is room again.
 *
 * Two bounds: `limit` for all contents, and `reserve`, which stays free on their disk, so that the
 * journal can always be written. Room is given out from an allowance, which costs no system call;
 * when it is used up, the disk and what was written are measured, and the next piece is allowed.
 *
 * Without room, clean contents go (cache/evict.c). If that is not enough, the writer waits for what
 * uploads free; when nothing gets better for a while, it gets ENOSPC.
 *
 * Only a whole file is uploaded and frees its room: four that are copied in at the same time could
 * fill the cache before one of them is whole. So when a third of it can't be given up, only one
 * file grows, the leader, until it is closed or its writer pauses too much. */
#include "cache/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cache/upload.h"

#define PIECE_BYTES (16 * 1024 * 1024)  /* written between two measurings */
#define TICK_MS 1000                    /* other programs free room, too, and nobody tells */
#define WAITING_MAX (256 * 1024 * 1024) /* bytes of requests that are held in memory */
#define SLACK_MIN (4 * 1024 * 1024)
#define WINDOW_MIN (512 * 1024)
#define WINDOW_MAX (64 * 1024 * 1024)
#define TELL_US (60 * G_USEC_PER_SEC)
/* A writer that pauses longer, or often, is not waited for. */
#define LEAD_MS 250
#define LEAD_PAUSE_US (G_USEC_PER_SEC / 2)
#define LEAD_BYTES_US 4 /* MB/s, about */
#define RESERVE_MIN (8 * 1024 * 1024)
#define RESERVE_MAX (G_GUINT64_CONSTANT(2) << 30)
#define BALLAST_MAX (4 * 1024 * 1024)
#define JOURNAL_BYTES (1024 * 1024) /* more than a transaction needs, mostly */
/* A body that is sent again and again is no progress. */
#define TRIES_MAX 6

typedef struct {
	CacheId node;
	guint64 length;
	CacheReady ready;
	void *data;
} CacheRoomWaiter;

static bool ask_disk(Cache *cache, guint64 *ret_size, guint64 *ret_free)
{
	struct statvfs st;
	if (fstatvfs(cache->blobs.dir, &st) < 0)
		return false;
	*ret_size = (guint64)st.f_blocks * st.f_frsize;
	*ret_free = (guint64)st.f_bavail * st.f_frsize;
	return true;
}

void cache_space_measure_locked(Cache *cache, CacheContent *content)
{
	g_atomic_int_set(&content->grown, 0);
	if (!g_atomic_int_get(&content->discard))
		content->bytes = cache_blob_measure(&cache->blobs, content->fd, content->bytes);
}

static guint64 used(Cache *cache)
{
	return MAX(cache->blobs.used, 0);
}

/* What is only here, and so cannot be given up: changes, what is being sent of an older generation,
 * and files without a name. */
static guint64 fixed_locked(Cache *cache)
{
	guint64 fixed = 0;
	GHashTableIter iter;
	void *key;
	g_hash_table_iter_init(&iter, cache->dirty);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		const CacheNode *node = key;
		struct stat st;
		if (node->content)
			fixed += node->content->bytes;
		else if (node->r.blob && cache_blob_stat(&cache->blobs, node->r.blob, &st))
			fixed += (guint64)st.st_blocks * 512;
		if (node->job && node->job->content->blob != node->r.blob)
			fixed += node->job->content->bytes;
	}
	g_hash_table_iter_init(&iter, cache->nameless);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		const CacheNode *node = key;
		if (node->content)
			fixed += node->content->bytes;
	}
	return fixed;
}

/* What fits, by now. */
static guint64 room_locked(Cache *cache)
{
	const CacheRoom *room = &cache->room;
	guint64 size, disk;
	GHashTableIter iter;
	void *value;
	g_hash_table_iter_init(&iter, cache->nodes);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		CacheNode *node = value;
		if (node->content && g_atomic_int_get(&node->content->grown))
			cache_space_measure_locked(cache, node->content);
	}
	guint64 left = room->limit - MIN(used(cache), room->limit);
	if (ask_disk(cache, &size, &disk))
		left = MIN(left, disk - MIN(room->reserve, disk));
	return left - MIN(room->pending, left);
}

/* Is a third of `all` taken by what can't be given up? */
static bool short_locked(Cache *cache, guint64 all)
{
	guint64 coming = cache->room.pending;
	return used(cache) + coming > all / 3 && fixed_locked(cache) + coming > all / 3;
}

static bool lead_locked(Cache *cache, CacheId node, guint64 length)
{
	CacheRoom *room = &cache->room;
	gint64 now = g_get_monotonic_time();
	bool busy = now - room->leader_at < LEAD_MS * 1000 &&
	            room->leader_paused < LEAD_PAUSE_US + room->leader_bytes / LEAD_BYTES_US;
	if (room->leader != node) {
		if (room->leader && busy)
			return false;
		room->leader = node;
		room->leader_bytes = 0;
		room->leader_paused = 0;
	}
	room->leader_at = now;
	room->leader_bytes += length;
	return true;
}

static bool take_locked(Cache *cache, CacheId node, guint64 length)
{
	CacheRoom *room = &cache->room;
	if (room->allowance < (gint64)length) {
		guint64 left = room_locked(cache), all = used(cache) + room->pending + left;
		guint64 piece = MAX(MIN(all / 16, PIECE_BYTES), length);
		if (!short_locked(cache, all))
			room->leader = 0;
		else if (!lead_locked(cache, node, length))
			return false;
		/* Of a leader each write is looked at. */
		room->allowance = MIN(left, room->leader ? length : piece);
	}
	if (room->allowance < (gint64)length)
		return false;
	room->allowance -= (gint64)length;
	room->pending += length;
	return true;
}

bool cache_space_take_locked(Cache *cache, const CacheNode *node, guint64 length)
{
	CacheRoom *room = &cache->room;
	bool first = g_queue_is_empty(&room->waiters);
	if (room->leader == node->r.id) {
		room->leader_paused += g_get_monotonic_time() - room->leader_at;
		first = true;
	}
	return first && take_locked(cache, node->r.id, length);
}

void cache_space_written_locked(Cache *cache, guint64 length)
{
	cache->room.pending -= MIN(length, cache->room.pending);
}

void cache_space_closed_locked(Cache *cache, const CacheNode *node)
{
	if (cache->room.leader == node->r.id)
		cache->room.leader = 0;
	cache_space_look_soon_locked(cache);
}

/* By so much readers may exceed the limit until others have given way. */
static guint64 slack(const CacheRoom *room)
{
	return MAX(room->limit / 8, SLACK_MIN);
}

CacheFetchRoom cache_space_fetch(Cache *cache, CacheContent *content, guint64 length,
                                 GError **error)
{
	CacheRoom *room = &cache->room;
	guint64 size, disk = G_MAXUINT64;
	g_atomic_int_set(&content->grown, 1);
	if (atomic_fetch_sub(&room->allowance, (gint64)length) >= (gint64)length)
		return CACHE_FETCH_ENOUGH;
	g_mutex_lock(&cache->lock);
	guint64 left = room_locked(cache), taken = used(cache) + room->pending;
	guint64 allowed = MIN(left, MAX((taken + left) / 16, length));
	room->allowance = (gint64)MIN(allowed, PIECE_BYTES) - (gint64)length;
	if (left < length)
		cache_evict_now_locked(cache);
	g_mutex_unlock(&cache->lock);
	/* A reader may take the reserve, but not the journal's last. */
	ask_disk(cache, &size, &disk);
	if (disk >= room->reserve / 2 + length)
		return taken + length <= room->limit + slack(room) ? CACHE_FETCH_ENOUGH
		                                                   : CACHE_FETCH_SHORT;
	g_set_error(error, CACHE_ERROR, ENOSPC, "the disk of the cache is full");
	return CACHE_FETCH_NONE;
}

guint64 cache_space_excess_locked(Cache *cache)
{
	CacheRoom *room = &cache->room;
	guint64 size, disk;
	room->allowance = 0;
	room_locked(cache);
	guint64 total = used(cache) + room->wanted, least = room->reserve + room->wanted;
	guint64 over = total - MIN(total, room->limit);
	if (ask_disk(cache, &size, &disk))
		over = MAX(over, least - MIN(disk, least));
	return over;
}

/* --- waiting --- */

/* Has something moved since the last look? And is there something that may still move? */
static bool hope_locked(Cache *cache)
{
	CacheRoom *room = &cache->room;
	guint64 progress = 0;
	bool hope = false;
	GHashTableIter iter;
	void *key;
	g_hash_table_iter_init(&iter, cache->dirty);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		const CacheNode *node = key;
		/* In a pause of the queue a try is none either, before its first byte. */
		if (node->job && node->tries < TRIES_MAX)
			progress += node->job->sent + (cache->pause.code == 0);
		hope |= node->job || node->queued || node->retry ||
		        (node->r.state == CACHE_STATE_DIRTY && !node->writers);
	}
	if (progress != room->progress) {
		room->progress = progress;
		room->moved_at = g_get_monotonic_time();
		room->slow = false;
	}
	return hope;
}

static void tell_locked(Cache *cache, const char *what)
{
	CacheRoom *room = &cache->room;
	gint64 now = g_get_monotonic_time();
	if (room->told_at && now - room->told_at < TELL_US)
		return;
	g_autofree char *held = g_format_size(used(cache));
	room->told_at = now;
	g_warning("%s: the cache is full (%s): %s", cache->path, held, what);
}

/* The next to be served: the leader's own, before those who came first. */
static GList *next_locked(Cache *cache)
{
	CacheRoom *room = &cache->room;
	for (GList *l = room->leader ? room->waiters.head : NULL; l; l = l->next)
		if (((CacheRoomWaiter *)l->data)->node == room->leader)
			return l;
	return room->waiters.head;
}

/* Takes a waiter off the queue, and adds it to those who are told. */
static GSList *tell_waiter_locked(Cache *cache, GList *link, GSList *calls)
{
	CacheRoom *room = &cache->room;
	g_autofree CacheRoomWaiter *waiter = link->data;
	g_queue_delete_link(&room->waiters, link);
	room->wanted -= waiter->length;
	return cache_calls_add(calls, waiter->ready, waiter->data);
}

static void serve_locked(Cache *cache, GSList **ret_served)
{
	CacheRoom *room = &cache->room;
	GList *link;
	while ((link = next_locked(cache))) {
		const CacheRoomWaiter *waiter = link->data;
		if (!take_locked(cache, waiter->node, waiter->length))
			return;
		*ret_served = tell_waiter_locked(cache, link, *ret_served);
		room->moved_at = g_get_monotonic_time();
		room->slow = false;
	}
}

GSList *cache_space_stop_locked(Cache *cache)
{
	GSList *calls = NULL;
	while (cache->room.waiters.head)
		calls = tell_waiter_locked(cache, cache->room.waiters.head, calls);
	cache_worker_cancel(&cache->room.tick);
	return calls;
}

static gboolean on_tick(void *data)
{
	Cache *cache = data;
	g_mutex_lock(&cache->lock);
	if (!g_source_is_destroyed(g_main_current_source())) {
		cache_worker_cancel(&cache->room.tick);
		cache_space_look_soon_locked(cache);
	}
	g_mutex_unlock(&cache->lock);
	return G_SOURCE_REMOVE;
}

/* Those who have waited long enough while nothing moved. When nothing would help, one at a time:
 * its program may remove what it could not finish. */
static GSList *give_up_locked(Cache *cache)
{
	CacheRoom *room = &cache->room;
	bool hope = hope_locked(cache);
	gint64 now = g_get_monotonic_time();
	gint64 patience = room->slow ? room->slow_patience
	                  : hope     ? room->patience
	                             : room->short_patience;
	if (now - room->moved_at < patience)
		return NULL;
	room->slow |= hope;
	if (hope) {
		tell_locked(cache, "uploads don't move, so writes fail");
		return cache_space_stop_locked(cache);
	}
	tell_locked(cache, "no upload can free any of it, so writes fail");
	room->moved_at = now;
	return tell_waiter_locked(cache, next_locked(cache), NULL);
}

static void look(void *data)
{
	Cache *cache = data;
	GSList *served = NULL, *failed = NULL;
	guint64 excess = 0;
	g_mutex_lock(&cache->lock);
	cache->room.posted = false;
	serve_locked(cache, &served);
	if (!g_queue_is_empty(&cache->room.waiters))
		excess = cache_space_excess_locked(cache);
	g_mutex_unlock(&cache->lock);
	if (excess)
		cache_evict(cache, excess);
	g_mutex_lock(&cache->lock);
	if (excess)
		serve_locked(cache, &served);
	if (!g_queue_is_empty(&cache->room.waiters)) {
		tell_locked(cache, "writers wait for uploads");
		failed = give_up_locked(cache);
	}
	if (!g_queue_is_empty(&cache->room.waiters) && !cache->room.tick && !cache->stopping)
		cache->room.tick = cache_worker_after(cache, cache->room.leader ? LEAD_MS : TICK_MS,
		                                      on_tick, cache, NULL);
	g_mutex_unlock(&cache->lock);
	cache_calls_run(cache, served, NULL);
	g_autoptr(GError) error =
		failed ? g_error_new_literal(CACHE_ERROR, ENOSPC, "the cache is full") : NULL;
	cache_calls_run(cache, failed, error);
}

void cache_space_look_soon_locked(Cache *cache)
{
	if (g_queue_is_empty(&cache->room.waiters) || cache->room.posted)
		return;
	cache->room.posted = true;
	cache_worker_post(cache, look, cache);
}

bool cache_space_wait_locked(Cache *cache, CacheNode *node, guint64 length, CacheReady ready,
                             void *data, GError **error)
{
	CacheRoom *room = &cache->room;
	guint64 own = node->content ? node->content->bytes : 0;
	if (own + length > room->limit) {
		g_autofree char *limit = g_format_size(room->limit);
		g_set_error(
			error, CACHE_ERROR, ENOSPC,
			"%s: is larger than the cache may be (cache_size, %s), and only a whole "
			"file can be uploaded",
			node->r.name, limit);
		return false;
	}
	if (cache->stopping || room->wanted + length > WAITING_MAX) {
		g_set_error(error, CACHE_ERROR, ENOSPC, "%s: the cache is full", node->r.name);
		return false;
	}
	if (g_queue_is_empty(&room->waiters))
		room->moved_at = g_get_monotonic_time();
	CacheRoomWaiter *waiter = g_new(CacheRoomWaiter, 1);
	*waiter = (CacheRoomWaiter){node->r.id, length, ready, data};
	g_queue_push_tail(&room->waiters, waiter);
	room->wanted += length;
	cache_space_look_soon_locked(cache);
	return true;
}

/* --- the ballast --- */

static char *ballast_path(Cache *cache)
{
	return g_build_filename(cache->path, "ballast", NULL);
}

/* Best effort: it is there again when there is room again. */
static void load_ballast(Cache *cache)
{
	guint64 size, disk;
	if (!ask_disk(cache, &size, &disk))
		return;
	guint64 bytes = MIN(BALLAST_MAX, size / 64 + 1);
	g_autofree char *path = ballast_path(cache);
	if (disk < cache->room.reserve + bytes && !g_file_test(path, G_FILE_TEST_EXISTS))
		return;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	int result = posix_fallocate(fd, 0, (off_t)bytes);
	close(fd);
	if (result)
		unlink(path);
	g_atomic_int_set(&cache->room.ballast, result == 0);
}

static gboolean on_ballast_tick(void *data)
{
	Cache *cache = data;
	g_mutex_lock(&cache->lock);
	if (!g_source_is_destroyed(g_main_current_source())) {
		load_ballast(cache);
		if (g_atomic_int_get(&cache->room.ballast))
			cache_worker_cancel(&cache->room.ballast_timer);
	}
	g_mutex_unlock(&cache->lock);
	return G_SOURCE_CONTINUE;
}

static void watch_ballast(void *data)
{
	Cache *cache = data;
	g_mutex_lock(&cache->lock);
	if (!g_atomic_int_get(&cache->room.ballast) && !cache->room.ballast_timer &&
	    !cache->stopping) {
		cache->room.ballast_timer =
			cache_worker_after(cache, TICK_MS, on_ballast_tick, cache, NULL);
		cache_evict_soon_locked(cache);
	}
	g_mutex_unlock(&cache->lock);
}

bool cache_space_for_journal(void *data, bool full)
{
	Cache *cache = data;
	guint64 size, disk;
	if (!g_atomic_int_get(&cache->room.ballast) ||
	    (!full && (!ask_disk(cache, &size, &disk) || disk >= JOURNAL_BYTES)))
		return false;
	g_autofree char *path = ballast_path(cache);
	g_atomic_int_set(&cache->room.ballast, 0);
	if (unlink(path) < 0)
		return false;
	g_warning("%s: its disk is full: the journal takes what was kept for it", cache->path);
	cache_worker_post(cache, watch_ballast, cache);
	return true;
}

bool cache_space_init(Cache *cache, GError **error)
{
	CacheRoom *room = &cache->room;
	guint64 size, disk;
	if (!ask_disk(cache, &size, &disk)) {
		int errnum = errno;
		g_set_error(error, CACHE_ERROR, errnum,
		            "%s: cannot ask for the size of the disk: %s", cache->path,
		            g_strerror(errnum));
		return false;
	}
	if (!room->limit)
		room->limit = size / 4;
	if (!room->reserve)
		room->reserve = MIN(MAX(size / 20, MIN(RESERVE_MIN, size / 8)), RESERVE_MAX);
	/* What is read ahead must not drive out what is being read. */
	room->window = CLAMP(MIN(room->limit, size) / 16, WINDOW_MIN, WINDOW_MAX);
	room->patience = CACHE_PROGRESS_DEADLINE_US;
	room->short_patience = 5 * G_USEC_PER_SEC;
	room->slow_patience = 1 * G_USEC_PER_SEC;
	room->ballast = 1; /* from the last run */
	return true;
}

bool cache_space_open(Cache *cache, GError **error)
{
	g_autoptr(GArray) blobs = cache_blobs_list(&cache->blobs, error);
	if (!blobs)
		return false;
	cache_blobs_measure(&cache->blobs, blobs);
	g_atomic_int_set(&cache->room.ballast, 0);
	load_ballast(cache);
	watch_ballast(cache);
	return true;
}

/* --- what programs are told --- */

bool cache_space(Cache *cache, CacheSpace *ret, GError **error)
{
	struct statvfs st;
	if (fstatvfs(cache->blobs.dir, &st) < 0) {
		int errnum = errno;
		g_set_error(error, CACHE_ERROR, errnum, "%s: cannot ask for the free space: %s",
		            cache->path, g_strerror(errnum));
		return false;
	}
	g_mutex_lock(&cache->lock);
	room_locked(cache); /* measures */
	guint64 fixed = fixed_locked(cache), all = MAX(used(cache), fixed);
	guint64 disk = (guint64)st.f_bavail * st.f_frsize + (all - fixed);
	guint64 limit = cache->room.limit, reserve = cache->room.reserve;
	g_mutex_unlock(&cache->lock);
	guint64 free_bytes = MIN(limit - MIN(fixed, limit), disk - MIN(reserve, disk));
	guint64 total = MAX(MIN(limit, (guint64)st.f_blocks * st.f_frsize), free_bytes);
	/* What fits here can be written now, whatever GSS has room for. */
	*ret = (CacheSpace){.block_size = st.f_frsize,
	                    .blocks = total / st.f_frsize,
	                    .free_blocks = free_bytes / st.f_frsize,
	                    .nodes = st.f_files,
	                    .free_nodes = st.f_favail};
	return true;
}
