/* test-cache-live.c - the cache against gss-local, whose path is the first argument; no FUSE. */
#include "test-cache-world.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache/private.h"

/* --- tests --- */

static void test_create(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheId id = make(f, "a b%#?&<ü.txt", "hello");
	g_autofree char *uri = sync_publish(f->cache, id, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(uri, ==, "it4i_anselm://home/a b%#?&<ü.txt");
	g_assert_cmpint(cache_state(f->cache, id), ==, CACHE_STATE_CLEAN);
	assert_there(f, "a b%#?&<ü.txt", "hello");
	make(f, "empty", "");
	drain(f);
	assert_there(f, "empty", "");
	g_autofree char *names = sync_names(f->cache, f->home, &error);
	g_assert_cmpstr(names, ==, "a b%#?&<ü.txt empty");
}

static void test_read_remote(Fixture *f, const void *data)
{
	put_and_restart(f, "log", "line one\n");
	g_autofree char *text = content(f, "log");
	g_assert_cmpstr(text, ==, "line one\n");
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	g_assert_false(sync_lookup(f->cache, f->home, "nothing", &attr, &error));
	g_assert_error(error, CACHE_ERROR, ENOENT);
}

static void test_rewrite(Fixture *f, const void *data)
{
	CacheId id = make(f, "file", "first");
	drain(f);
	rewrite(f, id, "second, longer");
	drain(f);
	assert_there(f, "file", "second, longer");
	g_autofree char *text = content(f, "file");
	g_assert_cmpstr(text, ==, "second, longer");
}

/* What is not held here is fetched before the whole is sent. */
static void test_write_in_the_middle(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	put_and_restart(f, "remote", "0123456789");
	g_assert_true(sync_lookup(f->cache, f->home, "remote", &attr, &error));
	CacheFile *file = sync_open(f->cache, attr.id, O_RDWR, &error);
	g_assert_no_error(error);
	g_assert_true(sync_write(file, 3, "xyz", 3, &error));
	g_assert_true(cache_file_flush(file, &error));
	cache_file_release(file);
	drain(f);
	assert_there(f, "remote", "012xyz6789");
	g_assert_true(sync_truncate(f->cache, attr.id, 4, &error));
	g_assert_true(sync_truncate(f->cache, attr.id, 6, &error));
	drain(f);
	g_autofree char *path = place(f, "remote"), *bytes = NULL;
	gsize length;
	g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
	g_assert_cmpmem(bytes, length, "012x\0\0", 6);
}

static void test_folders(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheAttr folder;
	g_assert_true(sync_mkdir(f->cache, f->home, "sub", &folder, &error));
	g_assert_false(sync_mkdir(f->cache, f->home, "sub", NULL, &error));
	g_assert_error(error, CACHE_ERROR, EEXIST);
	g_clear_error(&error);
	/* What only the server knows counts too. */
	put_there(f, "sub/hidden", "x");
	g_assert_false(sync_rmdir(f->cache, f->home, "sub", &error));
	g_assert_error(error, CACHE_ERROR, ENOTEMPTY);
	g_clear_error(&error);
	assert_there(f, "sub/hidden", "x");
	g_assert_false(sync_rename(f->cache, f->home, "sub", f->home, "other", &error));
	g_assert_error(error, CACHE_ERROR, EXDEV);
	g_clear_error(&error);
	g_assert_true(sync_unlink(f->cache, folder.id, "hidden", &error) || error->code == ENOENT);
	g_clear_error(&error);
	CacheAttr attr;
	if (sync_lookup(f->cache, folder.id, "hidden", &attr, NULL))
		g_assert_true(sync_unlink(f->cache, folder.id, "hidden", &error));
	g_assert_no_error(error);
	g_assert_true(sync_rename(f->cache, f->home, "sub", f->home, "other", &error));
	g_assert_no_error(error);
	assert_gone(f, "sub");
	g_assert_true(sync_rmdir(f->cache, f->home, "other", &error));
	g_assert_no_error(error);
	assert_gone(f, "other");
}

static void test_rename(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	make(f, "tmp", "new");
	g_assert_true(sync_rename(f->cache, f->home, "tmp", f->home, "early", &error));
	drain(f);
	assert_there(f, "early", "new");
	assert_gone(f, "tmp");
	/* Published: content to the new address, then the old one goes. */
	g_assert_true(sync_rename(f->cache, f->home, "early", f->home, "late", &error));
	g_autofree char *names = sync_names(f->cache, f->home, &error);
	g_assert_cmpstr(names, ==, "late");
	drain(f);
	assert_there(f, "late", "new");
	assert_gone(f, "early");
	/* Over an existing one: an editor's save. */
	make(f, "late.tmp", "newest");
	g_assert_true(sync_rename(f->cache, f->home, "late.tmp", f->home, "late", &error));
	drain(f);
	assert_there(f, "late", "newest");
	assert_gone(f, "late.tmp");
	g_autofree char *after = sync_names(f->cache, f->home, &error);
	g_assert_cmpstr(after, ==, "late");
}

/* Content that is only on GSS travels through here. */
static void test_rename_remote(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	put_there(f, "from", "remote bytes");
	put_and_restart(f, "to", "old");
	g_assert_true(sync_lookup(f->cache, f->home, "from", &attr, &error));
	g_assert_true(sync_lookup(f->cache, f->home, "to", &attr, &error));
	g_assert_true(sync_rename(f->cache, f->home, "from", f->home, "to", &error));
	g_assert_no_error(error);
	drain(f);
	assert_there(f, "to", "remote bytes");
	assert_gone(f, "from");
}

static void test_unlink(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	make(f, "gone", "x");
	drain(f);
	g_assert_true(sync_unlink(f->cache, f->home, "gone", &error));
	assert_gone(f, "gone");
	/* While open it can be read on. */
	CacheId id = make(f, "open", "still here");
	drain(f);
	CacheFile *file = sync_open(f->cache, id, O_RDONLY, &error);
	g_assert_true(sync_unlink(f->cache, f->home, "open", &error));
	g_autofree char *text = sync_read(file, 0, 100, &error);
	g_assert_cmpstr(text, ==, "still here");
	cache_file_release(file);
	g_autofree char *names = sync_names(f->cache, f->home, &error);
	g_assert_cmpstr(names, ==, "");
}

static void *unlink_f(void *data)
{
	Fixture *f = data;
	g_autoptr(GError) error = NULL;
	g_assert_true(sync_unlink(f->cache, f->home, "f", &error));
	return NULL;
}

/* Whoever writes a file while it is being removed (the caller of unlink was interrupted) has a new
 * file. */
static void test_write_during_unlink(Fixture *f, const void *data)
{
	CacheId id = make(f, "f", "old");
	drain(f);
	control(f, "/fault?method=DELETE&path=/refissh*&hold=before", "");
	GThread *thread = g_thread_new("unlink", unlink_f, f);
	await_counter(f, "held", 1);
	rewrite(f, id, "written after");
	control(f, "/release", "");
	g_thread_join(thread);
	drain(f);
	assert_there(f, "f", "written after");
}

/* What is only on GSS stays there until the last close, without a name. */
static void test_unlink_open_remote(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	put_and_restart(f, "remote", "read me to the end");
	g_assert_true(sync_lookup(f->cache, f->home, "remote", &attr, &error));
	CacheFile *file = sync_open(f->cache, attr.id, O_RDONLY, &error);
	g_assert_true(sync_unlink(f->cache, f->home, "remote", &error));
	g_autofree char *names = sync_names(f->cache, f->home, &error);
	g_assert_cmpstr(names, ==, "");
	g_autofree char *text = sync_read(file, 0, 100, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(text, ==, "read me to the end");
	cache_file_release(file);
	cache_forget(f->cache, attr.id, 1);
	drain(f);
	assert_gone(f, "remote");
}

/* What was closed while GSS was out of reach arrives after the next start. */
static void test_restart(Fixture *f, const void *data)
{
	control(f, "", "error-rate=100");
	make(f, "pending", "survives");
	stop_cache(f);
	assert_gone(f, "pending");
	control(f, "", "error-rate=0");
	start_cache(f);
	drain(f);
	assert_there(f, "pending", "survives");
}

/* The answer of the creating request is lost: it is asked, not sent again. */
static void test_lost_answer(Fixture *f, const void *data)
{
	control(f, "/fault?method=POST&path=/refissh*&cut=after", "");
	make(f, "once", "exactly once");
	drain(f);
	assert_there(f, "once", "exactly once");
	g_assert_cmpint(counter(f, "rest.POST"), ==, 1);
	g_assert_cmpint(counter(f, "rest.PUT"), ==, 0);
}

static void assert_bytes(Fixture *f, const char *name, const char *expected, gsize length)
{
	g_autofree char *path = place(f, name), *bytes = NULL;
	gsize got;
	g_assert_true(g_file_get_contents(path, &bytes, &got, NULL));
	g_assert_cmpmem(bytes, got, expected, length);
}

/* What another process does with the cache in a folder, and how that ended. It is a program of its
 * own: in a mere copy of this one what another thread had locked would be locked for ever. */
#define DIE "--die"
#define SECOND "--second"

static int run_again(const char *what, const char *dir)
{
	g_autoptr(GError) error = NULL;
	const char *const argv[] = {"/proc/self/exe", what, dir, NULL};
	int status = -1;
	g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status,
	             &error);
	g_assert_no_error(error);
	return status;
}

/* The child changes files and dies; what it had acknowledged is what counts. */
static void die_while_writing(const char *dir)
{
	CacheId home;
	CacheAttr attr;
	Cache *cache = cache_open(&(CacheOptions){.dir = dir,
	                                          .platform = "http://test",
	                                          .project = "demo",
	                                          .storage = "it4i_anselm",
	                                          .file_mode = 0644},
	                          NULL);
	if (!cache || !sync_root(cache, "it4i_anselm://home", &home, NULL))
		_exit(1);
	CacheFile *file = sync_create(cache, home, "closed", &attr, NULL);
	if (!sync_write(file, 0, "acknowledged", 12, NULL) || !cache_file_flush(file, NULL))
		_exit(2);
	/* Appended after the flush, and not acknowledged. */
	if (!sync_write(file, 12, "+", 1, NULL))
		_exit(3);
	file = sync_create(cache, home, "open", &attr, NULL);
	if (!sync_write(file, 0, "half", 4, NULL))
		_exit(4);
	kill(getpid(), SIGKILL);
}

static void test_killed(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	stop_cache(f);
	g_assert_true(WIFSIGNALED(run_again(DIE, f->dir)));
	start_cache(f);
	g_assert_true(sync_drain(f->cache, &error));
	assert_there(f, "closed", "acknowledged");
	/* Never closed: kept, shown, and not uploaded as if it were whole. */
	assert_gone(f, "open");
	g_assert_true(sync_lookup(f->cache, f->home, "open", &attr, &error));
	g_assert_cmpint(cache_state(f->cache, attr.id), ==, CACHE_STATE_FAILED);
	g_autofree char *kept = content(f, "open");
	g_assert_cmpstr(kept, ==, "half");
	g_assert_false(sync_fsync(f->cache, attr.id, &error));
	g_assert_error(error, CACHE_ERROR, EIO);
	rewrite(f, attr.id, "whole");
	drain(f);
	assert_there(f, "open", "whole");
	/* What was not acknowledged is not where zeros belong, either. */
	CacheFile *file = open_file(f, find(f, "closed"), O_WRONLY);
	put(file, 14, "!");
	close_file(file);
	drain(f);
	assert_bytes(f, "closed", "acknowledged\0\0!", 15);
}

/* What a write that came to nothing has left behind the end is none of the file's. */
static void test_behind_the_end(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheSpan span;
	CacheId id = make(f, "f", "12345");
	drain(f);
	CacheFile *file = open_file(f, id, O_WRONLY);
	g_assert_true(cache_file_write_begin(file, 5, 4, false, &span, &error));
	g_assert_cmpint(pwrite(span.fd, "6789", 4, 5), ==, 4);
	cache_file_write_end(file, &span, 0, 0);
	g_assert_true(sync_truncate(f->cache, id, 8, &error));
	close_file(file);
	drain(f);
	assert_bytes(f, "f", "12345\0\0\0", 8);
}

/* Not durable, and another boot: the journal may be newer than the data. */
static void test_other_boot(Fixture *f, const void *data)
{
	control(f, "", "error-rate=100");
	make(f, "new", "zeros by now");
	stop_cache(f);
	g_autoptr(GDir) dir = g_dir_open(f->dir, 0, NULL);
	g_autofree char *path =
		g_build_filename(f->dir, g_dir_read_name(dir), "journal.sqlite", NULL);
	g_autofree char *command = g_strdup_printf(
		"sqlite3 '%s' \"UPDATE blob SET boot_id = 'another', durable = 0\"", path);
	int status = -1;
	g_autofree char *program = g_find_program_in_path("sqlite3");
	if (!program) {
		g_test_skip("needs the program sqlite3");
	} else {
		g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, &status, NULL));
		g_assert_cmpint(status, ==, 0);
	}
	control(f, "", "error-rate=0");
	start_cache(f);
	if (status == 0) {
		g_autoptr(GError) error = NULL;
		CacheAttr attr;
		g_assert_true(sync_drain(f->cache, &error));
		assert_gone(f, "new");
		g_assert_true(sync_lookup(f->cache, f->home, "new", &attr, &error));
		g_assert_cmpint(cache_state(f->cache, attr.id), ==, CACHE_STATE_FAILED);
		g_autofree char *aside = g_path_get_dirname(path);
		g_autofree char *quarantine = g_build_filename(aside, "quarantine", NULL);
		g_autoptr(GDir) kept = g_dir_open(quarantine, 0, NULL);
		g_assert_nonnull(g_dir_read_name(kept));
	}
}

/* Of a clean file, too, what had not reached the disk may be zeros: GSS has it. */
static void test_other_boot_clean(Fixture *f, const void *data)
{
	CacheId id = make(f, "f", "what GSS has");
	drain(f);
	g_mutex_lock(&f->cache->lock);
	CacheNode *node = cache_node_get_locked(f->cache, id, NULL);
	g_autofree char *path = g_strdup_printf("%s/blobs/%016" G_GINT64_MODIFIER "x",
	                                        f->cache->path, (guint64)node->r.blob);
	cache_node_put_locked(f->cache, node);
	g_mutex_unlock(&f->cache->lock);
	g_autofree char *journal = g_build_filename(f->cache->path, "journal.sqlite", NULL);
	stop_cache(f);
	sqlite3 *db = NULL;
	g_assert_cmpint(sqlite3_open(journal, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(db, "UPDATE blob SET boot_id = 'another', durable = 0", NULL,
	                             NULL, NULL),
	                ==, SQLITE_OK);
	sqlite3_close(db);
	g_assert_true(g_file_set_contents(path, "\0\0\0\0\0\0\0\0\0\0\0\0", 12, NULL));
	start_cache(f);
	g_autofree char *text = content(f, "f");
	g_assert_cmpstr(text, ==, "what GSS has");
}

static guint blobs(Fixture *f)
{
	g_autoptr(GDir) dir = g_dir_open(f->dir, 0, NULL);
	g_autofree char *path = g_build_filename(f->dir, g_dir_read_name(dir), "blobs", NULL);
	g_autoptr(GDir) list = g_dir_open(path, 0, NULL);
	guint count = 0;
	while (g_dir_read_name(list))
		count++;
	return count;
}

/* Over the limit, what GSS has too goes, and is fetched again when it is wanted. */
static void test_evict(Fixture *f, const void *data)
{
	make(f, "one", "first");
	make(f, "two", "second");
	drain(f);
	control(f, "", "error-rate=100");
	make(f, "dirty", "only here");
	g_assert_cmpuint(blobs(f), ==, 3);
	stop_cache(f);
	f->limit = 1;
	start_cache(f);
	gint64 deadline = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
	while (blobs(f) > 1 && g_get_monotonic_time() < deadline)
		g_usleep(20000);
	g_assert_cmpuint(blobs(f), ==, 1);
	control(f, "", "error-rate=0");
	g_autofree char *text = content(f, "one");
	g_assert_cmpstr(text, ==, "first");
	drain(f);
	assert_there(f, "dirty", "only here");
}

/* An editor's backup: the old file is renamed away, a new one takes its name. */
static void test_rename_and_create(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	make(f, "f", "old");
	drain(f);
	g_assert_true(sync_rename(f->cache, f->home, "f", f->home, "f~", &error));
	make(f, "f", "new");
	drain(f);
	assert_there(f, "f", "new");
	assert_there(f, "f~", "old");
}

static void test_rename_and_back(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	make(f, "f", "content");
	drain(f);
	g_assert_true(sync_rename(f->cache, f->home, "f", f->home, "g", &error));
	g_assert_true(sync_rename(f->cache, f->home, "g", f->home, "f", &error));
	drain(f);
	assert_there(f, "f", "content");
	assert_gone(f, "g");
	g_autofree char *names = sync_names(f->cache, f->home, &error);
	g_assert_cmpstr(names, ==, "f");
}

/* A write that could not be kept: the file is not whole, after a restart either, until it is
 * written anew. */
static void test_lost_write(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	CacheSpan span;
	CacheFile *file = sync_create(f->cache, f->home, "part", &attr, &error);
	g_assert_true(sync_write(file, 0, "first", 5, &error));
	g_assert_true(cache_file_write_begin(file, 5, 6, false, &span, &error));
	cache_file_write_end(file, &span, 0, ENOSPC);
	g_assert_false(cache_file_flush(file, &error));
	g_assert_error(error, CACHE_ERROR, ENOSPC);
	g_clear_error(&error);
	cache_file_release(file);
	stop_cache(f);
	start_cache(f);
	g_assert_true(sync_drain(f->cache, &error));
	g_assert_cmpint(cache_state(f->cache, attr.id), ==, CACHE_STATE_FAILED);
	assert_gone(f, "part");
	rewrite(f, attr.id, "whole");
	drain(f);
	assert_there(f, "part", "whole");
}

static void run_command(const char *const *argv)
{
	int status = -1;
	g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
	                           NULL, &status, NULL));
	g_assert_cmpint(status, ==, 0);
}

/* Killed while `cp` overwrites what GSS has: the good version stays there. */
static void test_killed_while_replacing(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheId id = make(f, "image", "good old image");
	drain(f);
	CacheFile *file = sync_open(f->cache, id, O_WRONLY | O_TRUNC, &error);
	g_assert_true(sync_write(file, 0, "new half", 8, &error));
	/* What a kill would leave, kept aside until this cache has ended. */
	g_autofree char *kept_dir = g_strconcat(f->dir, ".kept", NULL);
	run_command((const char *[]){"cp", "-a", f->dir, kept_dir, NULL});
	control(f, "", "error-rate=100");
	cache_file_release(file);
	stop_cache(f);
	run_command((const char *[]){"rm", "-r", f->dir, NULL});
	run_command((const char *[]){"mv", kept_dir, f->dir, NULL});
	control(f, "", "error-rate=0");
	start_cache(f);
	g_assert_true(sync_drain(f->cache, &error));
	assert_there(f, "image", "good old image");
	g_assert_cmpint(cache_state(f->cache, id), ==, CACHE_STATE_FAILED);
	g_autofree char *kept = content(f, "image");
	g_assert_cmpstr(kept, ==, "new half");
}

/* Refused for good: told, not tried again and again. */
static void test_refused(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheId id = make(f, "f", "content");
	drain(f);
	control(f, "/fault?method=PUT&path=/refissh*&status=405&times=1000", "");
	rewrite(f, id, "other");
	g_assert_false(sync_fsync(f->cache, id, &error));
	g_assert_error(error, CACHE_ERROR, EPERM);
	g_assert_cmpint(cache_state(f->cache, id), ==, CACHE_STATE_FAILED);
	control(f, "/reset", "");
	g_clear_error(&error);
	g_assert_true(sync_fsync(f->cache, id, &error));
	assert_there(f, "f", "other");
}

/* Rewritten again and again while it is sent: nothing of it stays but the last. */
static void test_no_blob_is_left(Fixture *f, const void *data)
{
	g_autofree char *big = g_strnfill(2 * 1024 * 1024, 'x');
	control(f, "", "bandwidth=500000");
	CacheId id = make(f, "big", big);
	for (int i = 0; i < 4; i++) {
		g_usleep(200000);
		big[0] = 'a' + i;
		rewrite(f, id, big);
	}
	control(f, "", "bandwidth=0");
	drain(f);
	assert_there(f, "big", big);
	g_assert_cmpuint(blobs(f), ==, 1);
}

/* Another process: 0 if it was told who has the cache. */
static int open_second(const char *dir)
{
	g_autoptr(GError) error = NULL;
	Cache *second = cache_open(&(CacheOptions){.dir = dir,
	                                           .platform = "http://test",
	                                           .project = "demo",
	                                           .storage = "it4i_anselm"},
	                           &error);
	return second || error->code != EBUSY || !strstr(error->message, "/nowhere");
}

static void test_locked(Fixture *f, const void *data)
{
	g_assert_cmpint(run_again(SECOND, f->dir), ==, 0);
}

/* A removal of a name of which another is under way comes after it, whatever else is to go. */
static void test_removal_of_what_is_being_removed(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	const CacheLeftover any = CACHE_LEFTOVER_INIT;
	Cache *cache = f->cache;
	make(f, "a", "content");
	drain(f);
	control(f, "/fault?method=DELETE&hold=after", "");
	g_assert_true(sync_rename(cache, f->home, "a", f->home, "b", &error));
	await_counter(f, "held", 1);
	put_there(f, "a", "again");
	put_there(f, "c", "too");
	g_mutex_lock(&cache->lock);
	static const char *const uris[] = {"it4i_anselm://home/a", "it4i_anselm://home/c"};
	for (gsize i = 0; i < G_N_ELEMENTS(uris); i++)
		g_assert_true(cache_store_insert_removal(cache->store, uris[i], &any, 0, &error) &&
		              cache_removal_load_locked(cache, &error));
	g_mutex_unlock(&cache->lock);
	control(f, "/release", "");
	drain(f);
	assert_gone(f, "a");
	assert_gone(f, "c");
	assert_there(f, "b", "content");
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], SECOND) == 0)
		return open_second(argv[2]);
	if (argc == 3 && strcmp(argv[1], DIE) == 0)
		die_while_writing(argv[2]);
	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_FATAL_MASK); /* a warning is an outcome here, not a failure */
	curl_global_init(CURL_GLOBAL_DEFAULT);
	world_init(argv[1]);
	ADD("create", test_create);
	ADD("read-remote", test_read_remote);
	ADD("rewrite", test_rewrite);
	ADD("write-in-the-middle", test_write_in_the_middle);
	ADD("folders", test_folders);
	ADD("rename", test_rename);
	ADD("rename-remote", test_rename_remote);
	ADD("unlink", test_unlink);
	ADD("write-during-unlink", test_write_during_unlink);
	ADD("unlink-open-remote", test_unlink_open_remote);
	ADD("restart", test_restart);
	ADD("lost-answer", test_lost_answer);
	ADD("killed", test_killed);
	ADD("behind-the-end", test_behind_the_end);
	ADD("other-boot", test_other_boot);
	ADD("other-boot-clean", test_other_boot_clean);
	ADD("evict", test_evict);
	ADD("rename-and-create", test_rename_and_create);
	ADD("rename-and-back", test_rename_and_back);
	ADD("lost-write", test_lost_write);
	ADD("killed-while-replacing", test_killed_while_replacing);
	ADD("refused", test_refused);
	ADD("no-blob-is-left", test_no_blob_is_left);
	ADD("locked", test_locked);
	ADD("removal-of-what-is-being-removed", test_removal_of_what_is_being_removed);
	return g_test_run();
}
