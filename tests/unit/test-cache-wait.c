/* test-cache-wait.c - whoever waits is told when it is over, and not before. Against gss-local,
 * whose path is the first argument. */
#include "test-cache-world.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "cache/private.h"
#include "cache/upload.h"
#include "test-deadline.h"

/* After so many the next try would be half a minute off. */
#define TRIES 6
#define AT_ONCE_US (12 * G_USEC_PER_SEC)

static void try_in_vain(Fixture *f, CacheId id)
{
	for (guint tries = 0; tries < TRIES; g_usleep(1000)) {
		g_mutex_lock(&f->cache->lock);
		CacheNode *node = g_hash_table_lookup(f->cache->nodes, &id);
		tries = node->tries;
		if (tries < TRIES && node->retry) {
			cache_worker_cancel(&node->retry);
			cache_queue_consider_locked(f->cache, node);
		}
		g_mutex_unlock(&f->cache->lock);
	}
}

/* Until what has its place is known to stay there. */
static void await_blocked(Fixture *f, CacheId id)
{
	for (bool blocked = false; !blocked; g_usleep(1000)) {
		g_mutex_lock(&f->cache->lock);
		CacheNode *node = g_hash_table_lookup(f->cache->nodes, &id);
		blocked = node->blocked && !node->job;
		g_mutex_unlock(&f->cache->lock);
	}
}

static void on_all(const GError *error, void *data)
{
	g_assert_no_error(error);
	g_atomic_int_set((gint *)data, 1);
}

static void await_all(gint *done)
{
	for (gint64 deadline = test_deadline(); !g_atomic_int_get(done); g_usleep(1000))
		g_assert_cmpint(g_get_monotonic_time(), <, deadline);
}

/* --- for what had its name --- */

/* A file that was renamed in a folder and has not arrived: the folder is not moved from under it.
 */
static void test_folder_of_a_renamed_file(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheAttr folder, attr;
	g_assert_true(sync_mkdir(f->cache, f->home, "d", &folder, &error));
	CacheFile *file = sync_create(f->cache, folder.id, "f", &attr, &error);
	put(file, 0, "content");
	close_file(file);
	drain(f);
	control(f, "/fault?operation=getResourceInformation&status=503&times=1000", "");
	g_assert_true(sync_rename(f->cache, folder.id, "f", folder.id, "g", &error));
	await_error(f, attr.id);
	g_assert_false(sync_rename(f->cache, f->home, "d", f->home, "e", &error));
	g_assert_error(error, CACHE_ERROR, EXDEV);
	control(f, "/reset", "");
	drain(f);
	assert_there(f, "d/g", "content");
	assert_gone(f, "d/f");
}

/* A file “d/f” was renamed to “e/f”, and GSS refuses it there: it does not go from d. Gives d. */
static CacheId park_moved(Fixture *f)
{
	g_autoptr(GError) error = NULL;
	CacheAttr folder, other, attr;
	g_assert_true(sync_mkdir(f->cache, f->home, "d", &folder, &error));
	g_assert_true(sync_mkdir(f->cache, f->home, "e", &other, &error));
	CacheFile *file = sync_create(f->cache, folder.id, "f", &attr, &error);
	put(file, 0, "content");
	close_file(file);
	drain(f);
	control(f, "/fault?method=POST&path=*/e/f&status=405&times=1000", "");
	g_assert_true(sync_rename(f->cache, folder.id, "f", other.id, "f", &error));
	g_assert_true(sync_drain(f->cache, &error));
	f->cache->op_patience = 1000;
	return folder.id;
}

/* A folder that cannot be removed in time, since what was renamed from it does not arrive: what is
 * made in it then is sent all the same. */
static void test_folder_not_removed(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	CacheId folder = park_moved(f);
	g_assert_false(sync_rmdir(f->cache, f->home, "d", &error));
	g_clear_error(&error);
	CacheFile *file = sync_create(f->cache, folder, "new", &attr, &error);
	put(file, 0, "new");
	close_file(file);
	g_assert_true(sync_drain(f->cache, &error));
	assert_there(f, "d/new", "new");
}

/* The same of a folder that is to be made in the place of a file that does not go. */
static void test_folder_not_made(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	CacheId folder = park_moved(f);
	g_assert_false(sync_mkdir(f->cache, folder, "f", &attr, &error));
	g_clear_error(&error);
	control(f, "/reset", "");
	/* Nothing is being made in it any more. */
	gint64 deadline = test_deadline();
	for (bool any = true; any; g_usleep(10000)) {
		g_mutex_lock(&f->cache->lock);
		any = f->cache->ops != NULL;
		g_mutex_unlock(&f->cache->lock);
		g_assert_cmpint(g_get_monotonic_time(), <, deadline);
	}
}

/* What had its name could not go, and now does: a drain that began meanwhile waits for it, too. */
static void test_unblocked_while_draining(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	gint drained = 0;
	CacheId moved = make(f, "f", "moved");
	drain(f);
	control(f, "/fault?method=POST&path=*/g&status=405&times=1", "");
	control(f, "/fault?method=POST&path=*/g&hold=before", "");
	control(f, "/fault?method=POST&path=*/other&hold=before", "");
	move(f, "f", "g");
	g_assert_true(sync_drain(f->cache, &error)); /* it is parked */
	CacheId id = make(f, "f", "new");
	make(f, "other", "keeps the drain");
	cache_drain(f->cache, on_all, &drained);
	await_blocked(f, id);
	await_counter(f, "held", 1);
	g_assert_true(cache_retry(f->cache, moved, &error));
	await_counter(f, "held", 2);
	control(f, "/fault?method=P*&path=*/f&delay=500&times=5", "");
	control(f, "/release", "");
	await_all(&drained);
	assert_there(f, "f", "new");
	assert_there(f, "g", "moved");
}

/* Or it takes another name, which is free: that is tried at once, and waited for. */
static void test_moved_on_while_draining(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	gint drained = 0;
	make(f, "f", "moved");
	drain(f);
	control(f, "/fault?method=POST&path=*/g&status=405&times=1000", "");
	control(f, "/fault?method=POST&path=*/other&hold=before", "");
	move(f, "f", "g");
	g_assert_true(sync_drain(f->cache, &error)); /* it is parked */
	CacheId id = make(f, "f", "new");
	make(f, "other", "keeps the drain");
	await_counter(f, "held", 1);
	cache_drain(f->cache, on_all, &drained);
	await_blocked(f, id);
	move(f, "f", "h");
	control(f, "/release", "");
	await_all(&drained);
	assert_there(f, "h", "new");
}

/* What had its name is given up, and stays where it was: that is a conflict, and known at once. */
static void test_discarded_in_the_way(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	gint done = 0;
	CacheId moved = make(f, "f", "moved");
	drain(f);
	control(f, "/fault?method=POST&path=*/g&status=405&times=1000", "");
	move(f, "f", "g");
	g_assert_true(sync_drain(f->cache, &error)); /* it is parked */
	CacheId id = make(f, "f", "new");
	try_in_vain(f, id);
	gint64 began = g_get_monotonic_time();
	cache_discard(f->cache, moved, on_all, &done);
	while (cache_state(f->cache, id) != CACHE_STATE_CONFLICT &&
	       g_get_monotonic_time() - began < AT_ONCE_US)
		g_usleep(10000);
	g_assert_cmpint(g_get_monotonic_time() - began, <, AT_ONCE_US);
	assert_there(f, "f", "moved");
}

/* What had its name is being written, and leaves its place when that has ended: to find it there is
 * no progress. */
static void test_behind_a_writer(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheId id = make(f, "f", "old");
	drain(f);
	CacheFile *file = open_file(f, id, O_RDWR);
	put(file, 0, "O");
	move(f, "f", "g");
	f->cache->patience = 6 * G_USEC_PER_SEC;
	id = make(f, "f", "new");
	gint64 began = g_get_monotonic_time();
	g_assert_false(sync_fsync(f->cache, id, &error));
	g_assert_error(error, CACHE_ERROR, ETIMEDOUT);
	g_assert_cmpint(g_get_monotonic_time() - began, <, f->cache->patience * 3 / 2);
	close_file(file);
	drain(f);
	assert_there(f, "f", "new");
	assert_there(f, "g", "Old");
}

/* What was cut off while it was written, and is open again without being written, is not to be
 * sent: nobody waits for that. */
static void test_cut_off_and_open(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	CacheFile *file = sync_create(f->cache, f->home, "f", &attr, &error);
	put(file, 0, "half of it");
	kill_cache(f, file);
	CacheId id = find(f, "f");
	g_assert_cmpint(cache_state(f->cache, id), ==, CACHE_STATE_FAILED);
	file = open_file(f, id, O_WRONLY);
	g_assert_true(cache_retry(f->cache, 0, &error));
	cache_file_flush(file, NULL);
	cache_file_release(file);
	g_assert_true(sync_drain(f->cache, &error));
	g_assert_cmpint(cache_state(f->cache, id), ==, CACHE_STATE_FAILED);
}

/* Replaced here while it is sent, which takes long: its turn comes as soon as that has arrived. */
static void test_replaced_while_sent(Fixture *f, const void *data)
{
	control(f, "/fault?method=POST&path=*/f&hold=after", "");
	make(f, "f", "old");
	await_counter(f, "held", 1);
	CacheId id = make(f, "new", "new, and longer");
	g_autoptr(GError) error = NULL;
	g_free(sync_publish(f->cache, id, &error));
	g_assert_no_error(error);
	move(f, "new", "f");
	try_in_vain(f, id);
	gint64 began = g_get_monotonic_time();
	control(f, "/release", "");
	drain(f);
	g_assert_cmpint(g_get_monotonic_time() - began, <, AT_ONCE_US);
	assert_there(f, "f", "new, and longer");
	assert_names(f, "f");
}

/* --- for a service that is not there --- */

/* The service answers, and where it says that bodies go nobody is: each try gets as far, which is
 * no progress. */
static void test_nobody_takes_bodies(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	f->cache->patience = 4 * G_USEC_PER_SEC;
	answer_nowhere(f, "f", "&times=1000");
	CacheId id = make(f, "f", "content");
	gint64 began = g_get_monotonic_time();
	g_assert_false(sync_fsync(f->cache, id, &error));
	g_assert_error(error, CACHE_ERROR, ETIMEDOUT);
	g_assert_cmpint(g_get_monotonic_time() - began, <, 2 * f->cache->patience);
	control(f, "/reset", "");
	drain(f);
}

/* What was under way when the service went, and may hang for long, is not what finds out whether it
 * is there again. */
static void test_hangs_in_a_pause(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	f->cache->patience = 20 * G_USEC_PER_SEC;
	control(f, "/fault?method=POST&path=*/hangs&hold=after", "");
	make(f, "hangs", "x");
	await_counter(f, "held", 1);
	answer_nowhere(f, "f", "");
	g_free(sync_publish(f->cache, make(f, "f", "content"), &error));
	g_assert_no_error(error);
	assert_there(f, "f", "content");
	control(f, "/release", "");
	drain(f);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_FATAL_MASK); /* a warning is an outcome here, not a failure */
	curl_global_init(CURL_GLOBAL_DEFAULT);
	world_init(argv[1]);
	ADD("wait/folder-of-a-renamed-file", test_folder_of_a_renamed_file);
	ADD("wait/folder-not-removed", test_folder_not_removed);
	ADD("wait/folder-not-made", test_folder_not_made);
	ADD("wait/unblocked-while-draining", test_unblocked_while_draining);
	ADD("wait/moved-on-while-draining", test_moved_on_while_draining);
	ADD("wait/discarded-in-the-way", test_discarded_in_the_way);
	ADD("wait/replaced-while-sent", test_replaced_while_sent);
	ADD("wait/behind-a-writer", test_behind_a_writer);
	ADD("wait/cut-off-and-open", test_cut_off_and_open);
	ADD("wait/nobody-takes-bodies", test_nobody_takes_bodies);
	ADD("wait/hangs-in-a-pause", test_hangs_in_a_pause);
	return g_test_run();
}
