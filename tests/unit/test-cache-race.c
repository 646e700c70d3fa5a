/* test-cache-race.c - names and contents that change while they are on their way. Against
 * gss-local, whose path is the first argument. */
#include "test-cache-world.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>

#include "cache/private.h"
#include "cache/upload.h"

/* --- open files --- */

static void test_unlink_open(Fixture *f, const void *data)
{
	CacheId id = make(f, "f", "content");
	drain(f);
	CacheFile *file = open_file(f, id, O_RDWR);
	delete (f, "f");
	assert_gone(f, "f");
	put(file, 3, "---");
	assert_read(file, "con---t");
	CacheFile *again = open_file(f, id, O_RDWR);
	put(again, 7, "!");
	close_file(file);
	assert_read(again, "con---t!");
	int sent = counter(f, "rest.POST") + counter(f, "rest.PUT");
	close_file(again);
	drain(f);
	assert_gone(f, "f");
	g_assert_cmpint(counter(f, "rest.POST") + counter(f, "rest.PUT"), ==, sent);
	assert_names(f, "");
}

/* What is only on GSS is to go with the last close, or with the death of whoever had it open. */
static void test_unlink_open_killed(Fixture *f, const void *data)
{
	put_and_restart(f, "f", "read me to the end");
	CacheFile *file = open_file(f, find(f, "f"), O_RDONLY);
	delete (f, "f");
	assert_there(f, "f", "read me to the end");
	assert_names(f, "");
	assert_read(file, "read me to the end");
	kill_cache(f, file);
	assert_names(f, "");
	drain(f);
	assert_gone(f, "f");
}

static void test_unlink_open_in_flight(Fixture *f, const void *data)
{
	control(f, "/fault?method=POST&path=*/f&hold=before", "");
	CacheId id = make(f, "f", "content");
	await_counter(f, "held", 1);
	CacheFile *file = open_file(f, id, O_RDWR);
	delete (f, "f");
	put(file, 0, "C");
	assert_read(file, "Content");
	control(f, "/release", "");
	close_file(file);
	drain(f);
	await_there(f, "f", false);
	assert_names(f, "");
}

/* Removed while somebody has it open who does not read it to its end: a new file of its name does
 * not wait for him. */
static void test_made_anew_while_open(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *big = g_strnfill(24 * 1024 * 1024, 'x'); /* more than sockets hold */
	put_and_restart(f, "f", big);
	CacheFile *file = open_file(f, find(f, "f"), O_RDONLY);
	g_free(sync_read(file, 20 * 1024 * 1024, 10, &error));
	g_assert_no_error(error);
	delete (f, "f");
	f->cache->patience = 10 * G_USEC_PER_SEC;
	g_free(sync_publish(f->cache, make(f, "f", "new"), &error));
	g_assert_no_error(error);
	assert_there(f, "f", "new");
	g_autofree char *text = sync_read(file, 0, 10, &error);
	g_assert_cmpstr(text, ==, "xxxxxxxxxx");
	cache_file_release(file);
	drain(f);
	assert_there(f, "f", "new");
}

/* A teammate has put another there since: the rest of what was removed is gone for good. */
static void test_made_anew_while_replaced(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *big = g_strnfill(24 * 1024 * 1024, 'x'); /* more than sockets hold */
	put_and_restart(f, "f", big);
	CacheFile *file = open_file(f, find(f, "f"), O_RDONLY);
	g_free(sync_read(file, 20 * 1024 * 1024, 10, &error));
	g_assert_no_error(error);
	delete (f, "f");
	put_there(f, "f", "a teammate's");
	f->cache->patience = 10 * G_USEC_PER_SEC;
	CacheAttr attr;
	CacheFile *anew = sync_create(f->cache, f->home, "f", &attr, &error);
	put(anew, 0, "new");
	CacheId id = attr.id;
	g_free(sync_publish(f->cache, id, &error));
	g_assert_error(error, CACHE_ERROR, ESTALE);
	close_file(anew);
	drain(f);
	assert_there(f, "f", "a teammate's");
	g_assert_cmpint(cache_state(f->cache, id), ==, CACHE_STATE_CONFLICT);
	cache_file_release(file);
}

/* Nor does who removes the folder that it was in. */
static void test_folder_removed_while_open(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *big = g_strnfill(24 * 1024 * 1024, 'x'); /* more than sockets hold */
	CacheAttr folder, attr;
	g_assert_true(sync_mkdir(f->cache, f->home, "d", &folder, &error));
	put_and_restart(f, "d/f", big);
	CacheId d = find(f, "d");
	g_assert_true(sync_lookup(f->cache, d, "f", &attr, &error));
	CacheFile *file = open_file(f, attr.id, O_RDONLY);
	g_free(sync_read(file, 20 * 1024 * 1024, 10, &error));
	g_assert_true(sync_unlink(f->cache, d, "f", &error));
	g_assert_true(sync_rmdir(f->cache, f->home, "d", &error));
	g_assert_no_error(error);
	assert_gone(f, "d");
	g_autofree char *text = sync_read(file, 0, 10, &error);
	g_assert_cmpstr(text, ==, "xxxxxxxxxx");
	cache_file_release(file);
}

/* Replaced here while somebody reads it, by what then leaves that name or is removed: the reader
 * gets all of what was there, and then it goes. */
static void replaced_while_open(Fixture *f, bool removed)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *big = g_strnfill(24 * 1024 * 1024, 'x'); /* more than sockets hold */
	put_and_restart(f, "t", big);
	CacheFile *file = open_file(f, find(f, "t"), O_RDONLY);
	g_free(sync_read(file, 20 * 1024 * 1024, 10, &error));
	g_assert_no_error(error);
	control(f, "/fault?method=GET&path=*/t&hold=before", "");
	int removals = counter(f, "rest.DELETE");
	make(f, "a", "new");
	move(f, "a", "t");
	if (removed)
		delete (f, "t");
	else
		move(f, "t", "c");
	await_counter(f, "held", 1);
	make(f, "b", "goes through all that is due before");
	g_free(sync_publish(f->cache, find(f, "b"), &error));
	g_assert_no_error(error);
	assert_there(f, "t", big);
	control(f, "/release", "");
	g_autofree char *text = sync_read(file, 0, 10, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(text, ==, "xxxxxxxxxx");
	drain(f);
	assert_gone(f, "t");
	g_assert_cmpint(counter(f, "rest.DELETE"), >, removals);
	assert_names(f, removed ? "b" : "b c");
	cache_file_release(file);
}

static void test_replaced_and_moved_while_open(Fixture *f, const void *data)
{
	replaced_while_open(f, false);
}

static void test_replaced_and_removed_while_open(Fixture *f, const void *data)
{
	replaced_while_open(f, true);
}

static void test_rename_over_open(Fixture *f, const void *data)
{
	CacheId id = make(f, "t", "what was there");
	drain(f);
	CacheFile *file = open_file(f, id, O_RDWR);
	make(f, "s", "what comes");
	move(f, "s", "t");
	drain(f);
	assert_there(f, "t", "what comes");
	assert_gone(f, "s");
	assert_read(file, "what was there");
	put(file, 0, "W");
	assert_read(file, "What was there");
	close_file(file);
	drain(f);
	assert_there(f, "t", "what comes");
	assert_names(f, "t");
}

/* The same, of what is not held here: it stays readable until the last close. */
static void test_rename_over_open_remote(Fixture *f, const void *data)
{
	put_and_restart(f, "t", "what was there");
	CacheFile *file = open_file(f, find(f, "t"), O_RDONLY);
	control(f, "/fault?method=GET&path=*/t&hold=before&times=100", "");
	make(f, "s", "what comes");
	move(f, "s", "t");
	await_counter(f, "held", 1);
	/* What comes later goes first. */
	g_autoptr(GError) error = NULL;
	g_free(sync_publish(f->cache, make(f, "z", "z"), &error));
	g_assert_no_error(error);
	assert_there(f, "t", "what was there");
	control(f, "/reset", "");
	control(f, "/release", "");
	drain(f);
	assert_there(f, "t", "what comes");
	assert_read(file, "what was there");
	cache_file_release(file);
	delete (f, "z");
	assert_names(f, "t");
	/* Closed before it has all come: nobody waits. */
	g_autofree char *big = g_strnfill(24 * 1024 * 1024, 'x'); /* more than sockets hold */
	put_and_restart(f, "big", big);
	CacheId id = find(f, "big");
	control(f, "/fault?method=GET&path=*/big&hold=before&times=100", "");
	file = open_file(f, id, O_RDONLY);
	make(f, "s", "longer than any word"); /* which a GET would be asked about */
	move(f, "s", "big");
	await_counter(f, "held", 1);
	cache_file_release(file);
	drain(f);
	assert_there(f, "big", "longer than any word");
	control(f, "/release", "");
}

static void *release_later(void *data)
{
	Fixture *f = data;
	for (bool waits = false; !waits; g_usleep(1000)) {
		g_mutex_lock(&f->cache->lock);
		waits = f->cache->drainers != NULL;
		g_mutex_unlock(&f->cache->lock);
	}
	control(f, "/release", "");
	return NULL;
}

static void *remove_f(void *data)
{
	delete (data, "f");
	return NULL;
}

/* What is waited for is removed meanwhile. */
static void test_unlink_while_draining(Fixture *f, const void *data)
{
	CacheId id = make(f, "f", "one");
	drain(f);
	control(f, "/fault?method=HEAD&path=*/f&status=500&times=100", "");
	control(f, "/fault?method=GET&path=*/f&status=500&times=100", "");
	rewrite(f, id, "two");
	await_error(f, id);
	control(f, "/reset", "");
	control(f, "/fault?method=DELETE&path=*/f&hold=before", "");
	GThread *thread = g_thread_new("remove", remove_f, f);
	await_counter(f, "held", 1);
	GThread *release = g_thread_new("release", release_later, f);
	g_autoptr(GError) error = NULL;
	g_assert_true(sync_drain(f->cache, &error));
	g_thread_join(thread);
	g_thread_join(release);
	assert_gone(f, "f");
}

/* Renamed, and removed before it arrived under its new name. The kernel may know it for as long as
 * it likes: nothing of it stays on GSS, and nobody waits. */
static void test_moved_and_removed(Fixture *f, const void *data)
{
	make(f, "f", "one");
	drain(f);
	control(f, "/fault?method=POST&path=*/g&status=503&times=100", "");
	move(f, "f", "g");
	await_counter(f, "faults", 1);
	delete (f, "g");
	drain(f);
	assert_gone(f, "f");
	assert_gone(f, "g");
}

static void test_two_writers(Fixture *f, const void *data)
{
	CacheId id = make(f, "f", "");
	drain(f);
	CacheFile *a = open_file(f, id, O_WRONLY), *b = open_file(f, id, O_WRONLY);
	put(b, 4, "bbbb");
	put(a, 0, "aaaa");
	int sent = counter(f, "rest.PUT");
	close_file(a);
	/* Nothing is sent until the last of them has closed it. */
	for (int i = 0; i < 30 && counter(f, "rest.PUT") == sent; i++)
		g_usleep(10000);
	g_assert_cmpint(counter(f, "rest.PUT"), ==, sent);
	put(b, 8, "!");
	close_file(b);
	drain(f);
	assert_there(f, "f", "aaaabbbb!");
	g_assert_cmpint(counter(f, "rest.PUT"), ==, sent + 1);
}

static void test_truncate_in_flight(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *big = g_strnfill(24 * 1024 * 1024, 'x'); /* more than sockets hold */
	int times = 0;
	for (guint size = 0; size <= 1000; size += 1000) {
		control(f, "/fault?method=POST&path=*/f&hold=before", "");
		CacheId id = make(f, "f", big);
		await_counter(f, "held", ++times);
		g_assert_true(sync_truncate(f->cache, id, size, &error));
		control(f, "/release", "");
		drain(f);
		big[size] = '\0';
		assert_there(f, "f", big);
		big[size] = 'x';
		delete (f, "f");
	}
	await_counter(f, "broken", times);
}

/* Cut while the rest of it is fetched: nobody waits for what is not there any more. */
static void test_truncate_in_download(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *big = g_strnfill(24 * 1024 * 1024, 'x'); /* more than sockets hold */
	put_and_restart(f, "f", big);
	CacheId id = find(f, "f");
	control(f, "", "bandwidth=1000000");
	CacheFile *file = open_file(f, id, O_WRONLY);
	put(file, 4 * 1024 * 1024, "!");
	close_file(file);
	await_counter(f, "bytes.sent", 500000);
	g_assert_true(sync_truncate(f->cache, id, 1000, &error));
	control(f, "", "bandwidth=0");
	drain(f);
	big[1000] = '\0';
	assert_there(f, "f", big);
}

/* Files that take each other's names before GSS hears of any; also by a cache that is killed
 * before the first is sent, or while it is. */
static void test_names_in_a_circle(Fixture *f, const void *data)
{
	for (int killed = 0; killed < 3; killed++) {
		make(f, "a", "was a");
		make(f, "b", "b it was");
		make(f, "c", "and this is c");
		drain(f);
		control(f, "", "latency=200");
		move(f, "a", "t");
		move(f, "c", "a");
		move(f, "b", "c");
		move(f, "t", "b");
		control(f, "", "latency=0");
		if (killed == 2) {
			control(f, "/fault?method=PUT&path=*&hold=before", "");
			await_counter(f, "held", 1);
		}
		if (killed)
			kill_cache(f, NULL);
		control(f, "/reset", "");
		control(f, "/release", "");
		drain(f);
		assert_names(f, "a b c");
		assert_there(f, "a", "and this is c");
		assert_there(f, "b", "was a");
		assert_there(f, "c", "b it was");
		assert_gone(f, "t");
		delete (f, "a");
		delete (f, "b");
		delete (f, "c");
	}
}

/* What a teammate puts there meanwhile keeps its name. */
static void test_changed_in_a_circle(Fixture *f, const void *data)
{
	CacheId a = make(f, "a", "was a");
	make(f, "b", "b it was");
	drain(f);
	control(f, "", "latency=200");
	move(f, "a", "t");
	move(f, "b", "a");
	move(f, "t", "b");
	put_there(f, "b", "a teammate's");
	control(f, "", "latency=0");
	drain(f);
	assert_there(f, "a", "b it was");
	assert_there(f, "b", "a teammate's");
	g_assert_cmpint(cache_state(f->cache, a), ==, CACHE_STATE_CONFLICT);
}

/* Each takes the name of the next, as logs do: its turn comes as soon as that has left, and not
 * with one of its tries, which are a minute apart in the end. */
static void test_names_in_a_row(Fixture *f, const void *data)
{
	enum { ROW = 12 };
	char *names[ROW + 1];
	for (int i = 0; i < ROW; i++) {
		names[i] = g_strdup_printf("f%d", i);
		make(f, names[i], names[i]);
	}
	names[ROW] = g_strdup_printf("f%d", ROW);
	drain(f);
	control(f, "/fault?method=POST&path=*/f12&hold=before", "");
	for (int i = ROW; i > 0; i--)
		move(f, names[i - 1], names[i]);
	await_counter(f, "held", 1);
	gint64 began = g_get_monotonic_time();
	control(f, "/release", "");
	drain(f);
	g_assert_cmpint(g_get_monotonic_time() - began, <, 60 * G_USEC_PER_SEC);
	assert_gone(f, names[0]);
	for (int i = ROW; i > 0; i--)
		assert_there(f, names[i], names[i - 1]);
	for (int i = 0; i <= ROW; i++)
		g_free(names[i]);
}

/* What a rename leaves behind on GSS is waited for by a folder that takes its name. */
static void test_folder_in_the_place_of_a_file(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	make(f, "f", "content");
	drain(f);
	control(f, "", "latency=100");
	move(f, "f", "g");
	g_assert_true(sync_mkdir(f->cache, f->home, "f", &attr, &error));
	g_assert_no_error(error);
	drain(f);
	assert_names(f, "f/ g");
	assert_there(f, "g", "content");
}

/* By a folder that is renamed, as well. */
static void test_folder_renamed_to_the_place_of_a_file(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	make(f, "f", "content");
	g_assert_true(sync_mkdir(f->cache, f->home, "d", &attr, &error));
	g_assert_no_error(error);
	drain(f);
	control(f, "", "latency=100");
	move(f, "f", "g");
	move(f, "d", "f");
	drain(f);
	assert_names(f, "f/ g");
	assert_there(f, "g", "content");
}

/* A folder that GSS has, with content that it has never seen. */
static void test_folder_of_local_content(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheAttr folder, attr;
	g_assert_true(sync_mkdir(f->cache, f->home, "d", &folder, &error));
	control(f, "/fault?method=POST&path=*/f&hold=before&times=2", "");
	CacheFile *busy = sync_create(f->cache, folder.id, "f", &attr, &error);
	put(busy, 0, "local");
	/* Not closed: nothing of it was sent. */
	move(f, "d", "e");
	close_file(busy);
	await_counter(f, "held", 1);
	control(f, "/release", "");
	control(f, "/reset", "");
	drain(f);
	assert_there(f, "e/f", "local");
	assert_gone(f, "d");
	/* On its way it may have arrived: mv copies then. */
	g_assert_false(sync_rename(f->cache, f->home, "e", f->home, "d", &error));
	g_assert_error(error, CACHE_ERROR, EXDEV);
}

/* --- the locks --- */

typedef struct {
	Fixture *f;
	CacheId id;
	gint stop;
} Reading;

static void *read_on(void *data)
{
	Reading *reading = data;
	while (!g_atomic_int_get(&reading->stop)) {
		CacheFile *file = open_file(reading->f, reading->id, O_RDONLY);
		guint64 offset = g_random_int_range(0, 4000) * 1024;
		g_free(sync_read(file, offset, 1000, NULL));
		cache_file_release(file);
	}
	return NULL;
}

/* Flushes while downloads of the same file end. */
static void test_flush_while_reading(Fixture *f, const void *data)
{
	g_autofree char *big = g_strnfill(24 * 1024 * 1024, 'x'); /* more than sockets hold */
	put_and_restart(f, "f", big);
	Reading reading = {.f = f, .id = find(f, "f")};
	GThread *readers[2];
	for (int i = 0; i < 2; i++)
		readers[i] = g_thread_new("reader", read_on, &reading);
	CacheFile *file = open_file(f, reading.id, O_WRONLY);
	g_autoptr(GError) error = NULL;
	for (int i = 0; i < 300; i++) {
		put(file, i * 10, "y");
		big[i * 10] = 'y';
		g_assert_true(cache_file_flush(file, &error));
	}
	g_atomic_int_set(&reading.stop, 1);
	for (int i = 0; i < 2; i++)
		g_thread_join(readers[i]);
	close_file(file);
	drain(f);
	assert_there(f, "f", big);
}

/* --- when it is sent --- */

static void test_rewritten_ten_times(Fixture *f, const void *data)
{
	control(f, "", "latency=100");
	CacheId id = make(f, "f", "0");
	for (int i = 1; i <= 10; i++) {
		g_autofree char *text = g_strdup_printf("version %d", i);
		rewrite(f, id, text);
	}
	drain(f);
	assert_there(f, "f", "version 10");
	g_assert_cmpint(counter(f, "rest.POST") + counter(f, "rest.PUT"), <=, 2);
}

/* Appended to more often than it can be sent: after two aborts a generation arrives. */
static void test_appended_for_ever(Fixture *f, const void *data)
{
	g_autofree char *big = g_strnfill(24 * 1024 * 1024, 'x'); /* more than sockets hold */
	CacheId id = make(f, "log", "");
	drain(f);
	control(f, "/fault?method=PUT&path=*/log&hold=before&times=100", "");
	guint64 end = 0;
	CacheFile *file = open_file(f, id, O_WRONLY);
	put(file, 0, big);
	end = strlen(big);
	close_file(file);
	g_autofree char *path = place(f, "log");
	struct stat st = {0};
	/* Every time it is on its way another line comes. */
	for (int line = 1; line <= 4 && st.st_size == 0; line++) {
		await_counter(f, "held", line);
		file = open_file(f, id, O_WRONLY);
		put(file, end, "line\n");
		end += 5;
		close_file(file);
		control(f, "/release", "");
		g_assert_cmpint(stat(path, &st), ==, 0);
	}
	g_assert_cmpint(st.st_size, >=, strlen(big));
	await_counter(f, "broken", 2);
	control(f, "/reset", "");
	control(f, "/release", "");
	drain(f);
	g_assert_cmpint(stat(path, &st), ==, 0);
	g_assert_cmpuint(st.st_size, ==, end);
}

/* A dead token is renewed; it is no failure of the upload. */
static void test_token_dies(Fixture *f, const void *data)
{
	CacheId id = make(f, "f", "one");
	drain(f);
	for (int i = 0; i < 5; i++) {
		g_autofree char *text = g_strdup_printf("version %d", i);
		control(f, "/revoke", "");
		rewrite(f, id, text);
		drain(f);
		assert_there(f, "f", text);
		g_assert_null(cache_state_error(f->cache, id));
	}
}

/* What is parked is taken up again by a change, and at the next start. */
static void test_parked(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheId id = make(f, "f", "one");
	drain(f);
	for (int how = 0; how < 2; how++) {
		control(f, "/fault?method=PUT&path=*/f&status=405&times=1000", "");
		rewrite(f, id, "two");
		g_assert_true(sync_drain(f->cache, &error));
		g_assert_cmpint(cache_state(f->cache, id), ==, CACHE_STATE_FAILED);
		g_autofree char *why = cache_state_error(f->cache, id);
		g_assert_nonnull(strstr(why, "refuses"));
		CachePending pending;
		cache_pending(f->cache, &pending);
		g_assert_cmpint(pending.parked, ==, 1);
		control(f, "/reset", "");
		if (how == 0) {
			rewrite(f, id, "three");
			drain(f);
			assert_there(f, "f", "three");
		} else {
			stop_cache(f);
			start_cache(f);
			drain(f);
			assert_there(f, "f", "two");
		}
	}
}

static void test_delay(void)
{
	for (guint tries = 0; tries < 100; tries++) {
		guint most = tries < 6 ? 1000u << tries : 60000;
		g_assert_cmpuint(cache_queue_delay(tries, 0), ==, most / 2);
		g_assert_cmpuint(cache_queue_delay(tries, 1), ==, most);
		g_assert_cmpuint(cache_queue_delay(tries, 0.5), ==, most / 4 * 3);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_FATAL_MASK); /* a warning is an outcome here, not a failure */
	curl_global_init(CURL_GLOBAL_DEFAULT);
	world_init(argv[1]);
	g_test_add_func("/cache/race/delay", test_delay);
	ADD("race/unlink-open", test_unlink_open);
	ADD("race/unlink-open-killed", test_unlink_open_killed);
	ADD("race/unlink-open-in-flight", test_unlink_open_in_flight);
	ADD("race/unlink-while-draining", test_unlink_while_draining);
	ADD("race/made-anew-while-open", test_made_anew_while_open);
	ADD("race/made-anew-while-replaced", test_made_anew_while_replaced);
	ADD("race/folder-removed-while-open", test_folder_removed_while_open);
	ADD("race/rename-over-open", test_rename_over_open);
	ADD("race/rename-over-open-remote", test_rename_over_open_remote);
	ADD("race/moved-and-removed", test_moved_and_removed);
	ADD("race/two-writers", test_two_writers);
	ADD("race/truncate-in-flight", test_truncate_in_flight);
	ADD("race/truncate-in-download", test_truncate_in_download);
	ADD("race/replaced-and-moved-while-open", test_replaced_and_moved_while_open);
	ADD("race/replaced-and-removed-while-open", test_replaced_and_removed_while_open);
	ADD("race/names-in-a-circle", test_names_in_a_circle);
	ADD("race/names-in-a-row", test_names_in_a_row);
	ADD("race/changed-in-a-circle", test_changed_in_a_circle);
	ADD("race/folder-in-the-place-of-a-file", test_folder_in_the_place_of_a_file);
	ADD("race/folder-renamed-to-the-place-of-a-file",
	    test_folder_renamed_to_the_place_of_a_file);
	ADD("race/folder-of-local-content", test_folder_of_local_content);
	ADD("race/flush-while-reading", test_flush_while_reading);
	ADD("race/rewritten-ten-times", test_rewritten_ten_times);
	ADD("race/appended-for-ever", test_appended_for_ever);
	ADD("race/token-dies", test_token_dies);
	ADD("race/parked", test_parked);
	return g_test_run();
}
