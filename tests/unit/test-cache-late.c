/* test-cache-late.c - what was sent may have arrived, or arrive yet, when its name has moved on.
 * Against gss-local, whose path is the first argument. */
#include "test-cache-world.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include "cache/private.h"
#include "cache/upload.h"

/* Replaced on GSS, the answer is lost, and nobody can ask. */
static void replace_unknown(Fixture *f, CacheId id, const char *text)
{
	control(f, "/fault?method=PUT&path=*/f&hold=after&cut=after", "");
	rewrite(f, id, text);
	await_counter(f, "held", 1);
	control(f, "/fault?operation=getResourceInformation&status=503&times=1000", "");
	control(f, "/release", "");
	await_counter(f, "faults", 2);
}

/* Renamed before anybody could ask: either version goes. */
static void test_moved_unknown(Fixture *f, const void *data)
{
	CacheId id = make(f, "f", "first");
	drain(f);
	replace_unknown(f, id, "the second");
	assert_there(f, "f", "the second");
	move(f, "f", "g");
	control(f, "/reset", "");
	drain(f);
	assert_there(f, "g", "the second");
	assert_gone(f, "f");
	assert_names(f, "g");
}

/* Not if it is somebody else's, of the same size. */
static void test_moved_unknown_theirs(Fixture *f, const void *data)
{
	CacheId id = make(f, "f", "first");
	drain(f);
	replace_unknown(f, id, "the second");
	put_there(f, "f", "THE SECOND");
	move(f, "f", "g");
	control(f, "/reset", "");
	drain(f);
	assert_there(f, "g", "the second");
	assert_there(f, "f", "THE SECOND");
}

/* A new file “f” whose body has left us to its end and is not answered: it may come at any time,
 * and has not come yet. (Until it has left to its end, nothing can come.) */
static void give_all(Fixture *f, const char *text)
{
	control(f, "/fault?method=POST&path=*/f&hold=after", "");
	make(f, "f", text);
	await_counter(f, "held", 1);
	g_autofree char *path = place(f, "f");
	g_assert_cmpint(unlink(path), ==, 0);
}

/* Given up with its body sent: it comes after the name was removed, and goes again. */
static void test_late_arrival(Fixture *f, const void *data)
{
	give_all(f, "late");
	delete (f, "f");
	drain(f); /* looked for once */
	put_there(f, "f", "late");
	await_there(f, "f", false);
	assert_names(f, "");
	control(f, "/release", "");
}

/* From the moment on at which it is seen somebody waits for its removal. */
static void test_late_arrival_in_the_end(Fixture *f, const void *data)
{
	give_all(f, "late");
	delete (f, "f");
	drain(f); /* looked for once */
	control(f, "/fault?method=HEAD&path=*/f&hold=before&times=100", "");
	control(f, "/fault?method=GET&path=*/f&hold=before&times=100", "");
	put_there(f, "f", "late");
	await_counter(f, "held", 2);
	CachePending pending;
	cache_pending(f->cache, &pending);
	g_assert_cmpuint(pending.removals, ==, 1);
	control(f, "/reset", "");
	control(f, "/release", "");
	drain(f);
	assert_gone(f, "f");
}

static void test_late_arrival_after_restart(Fixture *f, const void *data)
{
	give_all(f, "late");
	delete (f, "f");
	kill_cache(f, NULL);
	put_there(f, "f", "late");
	await_there(f, "f", false);
}

/* What is too large to be compared by the way was sent twice, has come with the first, and is
 * replaced: it is known to be ours. */
static void test_late_arrival_of_large(Fixture *f, const void *data)
{
	g_autofree char *big = g_strnfill(2 * 1024 * 1024, 'x');
	give_all(f, big);
	control(f, "/reset", "");
	control(f, "/fault?method=POST&path=*/f&hold=before&times=100", "");
	control(f, "/release", "");
	await_counter(f, "held", 1); /* the second try */
	kill_cache(f, NULL);
	put_there(f, "f", big);
	rewrite(f, find(f, "f"), "newer");
	drain(f);
	assert_names(f, "f");
	assert_there(f, "f", "newer");
}

/* The service has the body whole and says nothing of it: that it was not there a moment later does
 * not mean that it will not come. */
static void lose_answer(Fixture *f, const char *method)
{
	g_autofree char *fault =
		g_strdup_printf("/fault?method=%s&path=*/f&status=504&times=1", method);
	control(f, fault, "");
}

static void test_late_arrival_unanswered(Fixture *f, const void *data)
{
	lose_answer(f, "POST");
	await_error(f, make(f, "f", "late"));
	delete (f, "f");
	drain(f);
	put_there(f, "f", "late");
	await_there(f, "f", false);
	assert_names(f, "");
}

static void test_late_arrival_of_moved(Fixture *f, const void *data)
{
	lose_answer(f, "POST");
	await_error(f, make(f, "f", "late"));
	move(f, "f", "g");
	drain(f);
	put_there(f, "f", "late");
	await_there(f, "f", false);
	assert_there(f, "g", "late");
	assert_names(f, "g");
}

/* It comes before the next generation is sent: that replaces it. */
static void test_late_arrival_of_older(Fixture *f, const void *data)
{
	CacheId id = make(f, "f", "first");
	drain(f);
	lose_answer(f, "PUT");
	rewrite(f, id, "second");
	await_error(f, id);
	rewrite(f, id, "the third");
	put_there(f, "f", "second");
	drain(f);
	assert_names(f, "f");
	assert_there(f, "f", "the third");
}

/* It comes when its name has been given to a new file, which waits for that: it neither replaces
 * what was made later, nor is it in its way. */
static void test_late_arrival_before_the_next(Fixture *f, const void *data)
{
	give_all(f, "first");
	delete (f, "f");
	drain(f); /* looked for once */
	CacheId id = make(f, "f", "second");
	gint64 deadline = g_get_monotonic_time() + G_USEC_PER_SEC / 2;
	while (cache_state(f->cache, id) != CACHE_STATE_CLEAN && g_get_monotonic_time() < deadline)
		g_usleep(10000);
	g_assert_cmpint(cache_state(f->cache, id), !=, CACHE_STATE_CLEAN);
	put_there(f, "f", "first");
	drain(f);
	assert_names(f, "f");
	assert_there(f, "f", "second");
	control(f, "/release", "");
}

/* Its body has left us to its end. */
static void await_sent(Fixture *f, CacheId id)
{
	for (bool sent = false; !sent; g_usleep(1000)) {
		g_mutex_lock(&f->cache->lock);
		const CacheNode *node = g_hash_table_lookup(f->cache->nodes, &id);
		sent = node && node->job && g_atomic_int_get(&node->job->sent_all);
		g_mutex_unlock(&f->cache->lock);
	}
}

/* What is on its way there is not sent beside what is to replace it: in which order they arrive,
 * nobody knows. */
static void test_sent_to_one_place(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	control(f, "/fault?method=POST&path=*/f&hold=before", "");
	CacheId id = make(f, "f", "first");
	await_counter(f, "held", 1);
	await_sent(f, id);
	CacheFile *file = sync_create(f->cache, f->home, "g", &attr, &error);
	g_assert_no_error(error);
	put(file, 0, "second");
	move(f, "g", "f");
	close_file(file);
	await_error(f, attr.id);
	g_assert_cmpint(counter(f, "rest.POST"), ==, 1);
	control(f, "/release", "");
	drain(f);
	assert_names(f, "f");
	assert_there(f, "f", "second");
}

static bool removes(Fixture *f)
{
	CachePending pending;
	cache_pending(f->cache, &pending);
	return pending.removals > 0;
}

/* What was there is removed after it was looked at, for it was renamed here: it is no teammate's.
 */
static void test_removed_while_looked_at(Fixture *f, const void *data)
{
	make(f, "f", "what was there before");
	drain(f);
	control(f, "/fault?method=DELETE&path=*/f&status=503", "");
	move(f, "f", "g");
	await_counter(f, "rest.DELETE", 1); /* again in a second */
	control(f, "/fault?method=HEAD&path=*/f&hold=after", "");
	make(f, "f", "what is new");
	await_counter(f, "held", 1);
	await_there(f, "f", false);
	for (int i = 0; removes(f) && i < 1000; i++)
		g_usleep(10000);
	g_assert_false(removes(f));
	control(f, "/release", "");
	drain(f);
	assert_names(f, "f g");
	assert_there(f, "f", "what is new");
	assert_there(f, "g", "what was there before");
}

/* The clock was set back since the name began to be watched: a new file does not wait until it has
 * caught up. */
static void test_watched_by_a_wrong_clock(Fixture *f, const void *data)
{
	CacheLeftover late = {.version = {.size = 4, .mtime = -1}, .attempted = 5};
	g_autoptr(GError) error = NULL;
	gint64 until = cache_now_ns() + 100 * CACHE_WATCH_NS;
	g_mutex_lock(&f->cache->lock);
	g_assert_true(cache_store_insert_removal(f->cache->store, "it4i_anselm://home/f", &late,
	                                         until, &error));
	g_assert_true(cache_removal_load_locked(f->cache, &error));
	g_mutex_unlock(&f->cache->lock);
	make(f, "f", "new");
	drain(f);
	assert_there(f, "f", "new");
}

/* What comes is somebody else's: it stays, and is seen. */
static void test_late_arrival_theirs(Fixture *f, const void *data)
{
	give_all(f, "late");
	delete (f, "f");
	put_there(f, "f", "them");
	gint64 deadline = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;
	CacheAttr attr;
	while (!sync_lookup(f->cache, f->home, "f", &attr, NULL) &&
	       g_get_monotonic_time() < deadline)
		g_usleep(10000);
	assert_there(f, "f", "them");
	assert_names(f, "f");
	control(f, "/release", "");
}

static void test_create_delete_create(Fixture *f, const void *data)
{
	control(f, "/fault?method=POST&path=*/f&hold=before", "");
	make(f, "f", "one");
	await_counter(f, "held", 1);
	delete (f, "f");
	make(f, "f", "one");
	drain(f);
	assert_there(f, "f", "one");
	assert_names(f, "f");
	/* What is there now is not what was given up. */
	stop_cache(f);
	start_cache(f);
	drain(f);
	assert_there(f, "f", "one");
	/* And without anything in flight. */
	delete (f, "f");
	assert_gone(f, "f");
	make(f, "f", "three");
	delete (f, "f");
	make(f, "f", "four");
	drain(f);
	assert_there(f, "f", "four");
	control(f, "/release", "");
}

/* A removal that GSS answers too late for its caller, who has written the file anew meanwhile: what
 * was written is a new file, although nothing was sent of the one before. */
static void test_written_in_a_late_unlink(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheId id = make(f, "f", "first");
	drain(f);
	CacheFile *file = open_file(f, id, O_WRONLY); /* nothing is sent until it is closed */
	put(file, 0, "SECOND");
	control(f, "/fault?method=DELETE&path=*/f&hold=before", "");
	g_atomic_int_set(&f->cache->silent, 1); /* nobody waits for long */
	g_assert_false(sync_unlink(f->cache, f->home, "f", &error));
	g_assert_error(error, CACHE_ERROR, ETIMEDOUT);
	put(file, 0, "third!");
	close_file(file);
	control(f, "/release", "");
	drain(f);
	assert_names(f, "f");
	assert_there(f, "f", "third!");
}

/* A creating request in flight, renamed, killed: the old name goes when it has come. */
static void test_moved_in_flight_killed(Fixture *f, const void *data)
{
	give_all(f, "content");
	move(f, "f", "g");
	kill_cache(f, NULL);
	drain(f);
	put_there(f, "f", "content");
	await_there(f, "f", false);
	assert_there(f, "g", "content");
	assert_names(f, "g");
}

/* Sent whole, killed, renamed, killed again: what has its name by then is neither sent before it
 * has come, nor is it deleted with it. */
static void test_replaced_in_flight_killed(Fixture *f, const void *data)
{
	CacheId first = make(f, "f", "first");
	drain(f);
	control(f, "/fault?method=PUT&path=*/f&hold=before", "");
	rewrite(f, first, "second");
	await_counter(f, "held", 1);
	kill_cache(f, NULL);
	move(f, "f", "g");
	CacheId id = make(f, "f", "third!");
	kill_cache(f, NULL);
	g_mutex_lock(&f->cache->lock);
	if (f->cache->settled_by > 0) /* however slow the machine is */
		f->cache->settled_by = g_get_monotonic_time() + 4 * G_USEC_PER_SEC;
	g_mutex_unlock(&f->cache->lock);
	gint64 deadline = g_get_monotonic_time() + G_USEC_PER_SEC;
	while (cache_state(f->cache, id) != CACHE_STATE_CLEAN && g_get_monotonic_time() < deadline)
		g_usleep(10000);
	put_there(f, "f", "second");
	drain(f);
	assert_names(f, "f g");
	assert_there(f, "f", "third!");
	assert_there(f, "g", "second");
}

static void test_moved_in_flight(Fixture *f, const void *data)
{
	control(f, "/fault?method=POST&path=*/f&hold=before", "");
	make(f, "f", "content");
	await_counter(f, "held", 1);
	move(f, "f", "g");
	move(f, "g", "h");
	control(f, "/release", "");
	drain(f);
	await_there(f, "f", false);
	assert_there(f, "h", "content");
	assert_gone(f, "g");
	assert_names(f, "h");
}

/* What is on its way to a name that has been given to another file, which has left it since: it
 * goes when it has arrived, also where only a look into all of it would tell what it is. */
static void moved_over_and_on(Fixture *f, const char *method)
{
	g_autofree char *fault = g_strdup_printf("/fault?method=%s&path=*/b&hold=after", method);
	g_autofree char *big = g_strnfill(2 * 1024 * 1024, 'x');
	control(f, fault, "");
	if (g_str_equal(method, "PUT"))
		rewrite(f, find(f, "b"), big);
	else
		make(f, "b", big);
	await_counter(f, "held", 1);
	make(f, "a", "small");
	move(f, "a", "b");
	move(f, "b", "c");
	control(f, "/release", "");
	drain(f);
	await_there(f, "b", false);
	assert_names(f, "c");
	assert_there(f, "c", "small");
}

static void test_moved_over_and_on(Fixture *f, const void *data)
{
	moved_over_and_on(f, "POST");
}

static void test_moved_over_and_on_replacing(Fixture *f, const void *data)
{
	make(f, "b", "what was there");
	drain(f);
	moved_over_and_on(f, "PUT");
}

static void mount_opaque(Fixture *f)
{
	g_autoptr(GError) error = NULL;
	g_assert_true(sync_root(f->cache, "plm://demo/model/1", &f->home, &error));
	g_assert_no_error(error);
}

/* Renamed away and back while it is sent to a storage whose URIs say nothing of the place: it is
 * not taken for what was to be removed there, by the next mount neither. */
static void moved_to_and_fro(Fixture *f, bool killed)
{
	g_autofree char *path =
		g_build_filename(test_server_root(f->server), "plm", "demo", "model", "f", NULL);
	mount_opaque(f);
	control(f, "/fault?method=POST&path=/plm*&hold=after", "");
	make(f, "f", "content");
	await_counter(f, "held", 1);
	move(f, "f", "g");
	move(f, "g", "f");
	if (killed) {
		control(f, "/fault?path=/plm*&method=DELETE&status=503&times=100000", "");
		control(f, "/fault?path=/plm*&method=P*&status=503&times=100000", "");
		kill_cache(f, NULL);
		mount_opaque(f);
	}
	control(f, "/release", "");
	for (int mount = 0; mount < 2; mount++) {
		drain(f);
		g_autofree char *text = NULL;
		g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
		g_assert_cmpstr(text, ==, "content");
		assert_names(f, "f");
		stop_cache(f);
		start_cache(f);
		mount_opaque(f);
	}
}

static void test_moved_to_and_fro(Fixture *f, const void *data)
{
	moved_to_and_fro(f, false);
}

static void test_moved_to_and_fro_killed(Fixture *f, const void *data)
{
	moved_to_and_fro(f, true);
}

/* What is still to be removed is not shown under its old name, which its URI does not tell. */
static void test_moved_on_opaque(Fixture *f, const void *data)
{
	mount_opaque(f);
	make(f, "f", "content");
	drain(f);
	control(f, "/fault?method=DELETE&path=/plm*&hold=before", "");
	move(f, "f", "g");
	await_counter(f, "held", 1);
	cache_refresh(f->cache, 0);
	assert_names(f, "g");
	control(f, "/release", "");
	drain(f);
	assert_names(f, "g");
}

/* Removed there while it is changed here: ours lives. */
static void test_removed_on_opaque(Fixture *f, const void *data)
{
	g_autofree char *path =
		g_build_filename(test_server_root(f->server), "plm", "demo", "model", "f", NULL);
	g_autofree char *text = NULL;
	mount_opaque(f);
	CacheId id = make(f, "f", "content");
	drain(f);
	CacheFile *file = open_file(f, id, O_WRONLY);
	put(file, 0, "CON");
	g_assert_cmpint(unlink(path), ==, 0);
	close_file(file);
	drain(f);
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "CONtent");
}

/* A file takes the name of another while it is sent, and leaves it: neither its old name nor what
 * it replaced is left. */
static void test_moved_over_another_and_on(Fixture *f, const void *data)
{
	make(f, "t", "what was there");
	drain(f);
	control(f, "/fault?method=POST&path=*/a&hold=before", "");
	make(f, "a", "new");
	await_counter(f, "held", 1);
	move(f, "a", "t");
	move(f, "t", "c");
	control(f, "/release", "");
	drain(f);
	assert_names(f, "c");
	assert_there(f, "c", "new");
	assert_gone(f, "a");
	assert_gone(f, "t");
}

/* GSS refuses to remove the old name: told, shown, and tried again at the next mount. */
static void test_removal_refused(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	make(f, "f", "content");
	drain(f);
	control(f, "/fault?method=DELETE&status=405&times=100000", "");
	move(f, "f", "g");
	g_assert_true(sync_drain(f->cache, &error));
	CachePending pending;
	cache_pending(f->cache, &pending);
	g_assert_cmpint(pending.files, ==, 0);
	g_assert_cmpint(pending.removals, ==, 0);
	g_assert_cmpint(pending.refused, ==, 1);
	assert_there(f, "f", "content");
	assert_there(f, "g", "content");
	stop_cache(f);
	control(f, "/reset", "");
	start_cache(f);
	drain(f);
	assert_gone(f, "f");
	assert_there(f, "g", "content");
}

/* Makes the journal refuse changes of what has this name. */
static void refuse(Fixture *f, const char *name, bool on)
{
	g_autoptr(GDir) dir = g_dir_open(f->dir, 0, NULL);
	g_autofree char *path =
		g_build_filename(f->dir, g_dir_read_name(dir), "journal.sqlite", NULL);
	g_autofree char *sql =
		on ? g_strdup_printf("CREATE TRIGGER stop BEFORE UPDATE ON node WHEN OLD.name = "
	                             "'%s' BEGIN SELECT RAISE(ABORT, 'refused'); END",
	                             name)
		   : g_strdup("DROP TRIGGER stop");
	sqlite3 *db = NULL;
	g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
	sqlite3_busy_timeout(db, 10000);
	g_assert_cmpint(sqlite3_exec(db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
	sqlite3_close(db);
}

/* A rename that the journal refuses has not happened: the target's upload goes on. */
static void test_rename_not_journaled(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	make(f, "s", "source");
	drain(f);
	control(f, "/fault?method=POST&path=*/t&status=503", "");
	CacheId id = make(f, "t", "target");
	await_error(f, id); /* waits for its next try */
	refuse(f, "s", true);
	g_assert_false(sync_rename(f->cache, f->home, "s", f->home, "t", &error));
	refuse(f, "s", false);
	drain(f);
	assert_there(f, "s", "source");
	assert_there(f, "t", "target");
	assert_names(f, "s t");
}

/* What was cut off while it was written is parked, under whatever name. */
static void test_cut_off_and_moved(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheId id = make(f, "f", "0123456789");
	drain(f);
	CacheFile *file = open_file(f, id, O_WRONLY);
	put(file, 0, "half");
	kill_cache(f, file);
	id = find(f, "f");
	g_assert_cmpint(cache_state(f->cache, id), ==, CACHE_STATE_FAILED);
	move(f, "f", "g");
	g_assert_cmpint(cache_state(f->cache, id), ==, CACHE_STATE_FAILED);
	g_autofree char *why = cache_state_error(f->cache, id);
	g_assert_nonnull(why);
	g_assert_true(sync_drain(f->cache, &error));
	rewrite(f, id, "whole");
	drain(f);
	assert_names(f, "g");
	assert_there(f, "g", "whole");
}

/* What was renamed is parked and stays where it was on GSS: a new file there is not waited for, and
 * does not replace it. */
static void test_blocked(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	make(f, "f", "old");
	drain(f);
	control(f, "/fault?method=POST&path=*/g&status=405&times=1000", "");
	move(f, "f", "g");
	make(f, "f", "new");
	for (int round = 0; round < 2; round++) {
		g_assert_true(sync_drain(f->cache, &error));
		CachePending pending;
		cache_pending(f->cache, &pending);
		g_assert_cmpint(pending.files, ==, 2);
		g_assert_cmpint(pending.parked, ==, 2);
		assert_there(f, "f", "old");
		stop_cache(f);
		start_cache(f);
	}
	control(f, "/reset", "");
	rewrite(f, find(f, "g"), "renamed");
	drain(f);
	drain(f); /* it may have been looked at too early */
	assert_there(f, "f", "new");
	assert_there(f, "g", "renamed");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_FATAL_MASK); /* a warning is an outcome here, not a failure */
	curl_global_init(CURL_GLOBAL_DEFAULT);
	world_init(argv[1]);
	ADD("late/moved-unknown", test_moved_unknown);
	ADD("late/moved-unknown-theirs", test_moved_unknown_theirs);
	ADD("late/arrival", test_late_arrival);
	ADD("late/arrival-in-the-end", test_late_arrival_in_the_end);
	ADD("late/arrival-after-restart", test_late_arrival_after_restart);
	ADD("late/arrival-of-large", test_late_arrival_of_large);
	ADD("late/arrival-unanswered", test_late_arrival_unanswered);
	ADD("late/arrival-of-moved", test_late_arrival_of_moved);
	ADD("late/arrival-of-older", test_late_arrival_of_older);
	ADD("late/arrival-before-the-next", test_late_arrival_before_the_next);
	ADD("late/sent-to-one-place", test_sent_to_one_place);
	ADD("late/removed-while-looked-at", test_removed_while_looked_at);
	ADD("late/watched-by-a-wrong-clock", test_watched_by_a_wrong_clock);
	ADD("late/arrival-theirs", test_late_arrival_theirs);
	ADD("late/create-delete-create", test_create_delete_create);
	ADD("late/written-in-an-unlink", test_written_in_a_late_unlink);
	ADD("late/moved-in-flight-killed", test_moved_in_flight_killed);
	ADD("late/replaced-in-flight-killed", test_replaced_in_flight_killed);
	ADD("late/moved-in-flight", test_moved_in_flight);
	ADD("late/moved-over-and-on", test_moved_over_and_on);
	ADD("late/moved-over-and-on-replacing", test_moved_over_and_on_replacing);
	ADD("late/moved-over-another-and-on", test_moved_over_another_and_on);
	ADD("late/removed-on-opaque", test_removed_on_opaque);
	ADD("late/moved-on-opaque", test_moved_on_opaque);
	ADD("late/moved-to-and-fro", test_moved_to_and_fro);
	ADD("late/moved-to-and-fro-killed", test_moved_to_and_fro_killed);
	ADD("late/removal-refused", test_removal_refused);
	ADD("late/rename-not-journaled", test_rename_not_journaled);
	ADD("late/cut-off-and-moved", test_cut_off_and_moved);
	ADD("late/blocked", test_blocked);
	return g_test_run();
}
