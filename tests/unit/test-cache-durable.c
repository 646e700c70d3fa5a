/* test-cache-durable.c - what the journal says has reached the disk, has. Against gss-local, whose
 * path is the first argument. */
#include "cache/private.h"
#include "test-cache-world.h"
#include "test-deadline.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SIZE (1024 * 1024)

/* Runs in the syncer, after the blob `hook_fd` was brought to the disk. */
static gint hook_fd = -1;
static CacheFile *hook_file;

static void fetch(CacheFile *file, guint64 offset)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *bytes = sync_read(file, offset, 1, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(bytes, ==, "o");
}

static gint fail_blob;     /* the next fdatasync() of a blob fails */
static gint log_unsynced;  /* bytes of the journal's log */
static gint pushed_before; /* as many of them when a blob was pushed to the disk */
static gint log_syncs;     /* how often it was brought to the disk */
static gint cut_after;     /* as often when a blob was cut */
static gint refuse_moves;

static bool is(int fd, const char *what)
{
	char link[32], path[512];
	g_snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	gssize n = readlink(link, path, sizeof(path) - 1);
	path[MAX(n, 0)] = '\0';
	return strstr(path, what) != NULL;
}

static gssize write_journal(int fd, const void *bytes, gsize length, off_t offset)
{
	if (is(fd, "-wal"))
		g_atomic_int_add(&log_unsynced, (gint)length);
	return syscall(SYS_pwrite64, fd, bytes, length, offset);
}

int sync_file_range(int fd, off64_t offset, off64_t length, unsigned flags)
{
	g_atomic_int_set(&pushed_before, g_atomic_int_get(&log_unsynced));
	return (int)syscall(SYS_sync_file_range, fd, offset, length, flags);
}

int ftruncate(int fd, off_t length)
{
	if (is(fd, "/blobs/"))
		g_atomic_int_set(&cut_after, g_atomic_int_get(&log_syncs));
	return (int)syscall(SYS_ftruncate, fd, length);
}

int renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
	if (g_atomic_int_get(&refuse_moves)) {
		errno = ENOSPC;
		return -1;
	}
	return (int)syscall(SYS_renameat2, from, old, to, new, flags);
}

int fdatasync(int fd)
{
	if (is(fd, "/blobs/") && g_atomic_int_compare_and_exchange(&fail_blob, 1, 0)) {
		errno = EIO;
		return -1;
	}
	if (is(fd, "-wal")) {
		g_atomic_int_set(&log_unsynced, 0);
		g_atomic_int_inc(&log_syncs);
	}
	int result = (int)syscall(SYS_fdatasync, fd);
	if (fd == g_atomic_int_get(&hook_fd)) {
		g_atomic_int_set(&hook_fd, -1);
		fetch(hook_file, SIZE / 2);
	}
	return result;
}

/* A file of GSS, of which one byte was changed here. */
static CacheFile *change(Fixture *f, CacheId *ret_id, CacheBlobId *ret_blob)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *old = g_strnfill(SIZE, 'o');
	CacheAttr attr;
	put_and_restart(f, "f", old);
	g_assert_true(sync_lookup(f->cache, f->home, "f", &attr, &error));
	CacheFile *file = sync_open(f->cache, attr.id, O_RDWR, &error);
	g_assert_no_error(error);
	g_assert_true(sync_write(file, 0, "x", 1, &error));
	g_mutex_lock(&f->cache->lock);
	const CacheNode *node = g_hash_table_lookup(f->cache->nodes, &attr.id);
	*ret_blob = node->r.blob;
	g_mutex_unlock(&f->cache->lock);
	*ret_id = attr.id;
	return file;
}

static CacheContent *content_of(Fixture *f, CacheId id)
{
	g_mutex_lock(&f->cache->lock);
	const CacheNode *node = g_hash_table_lookup(f->cache->nodes, &id);
	CacheContent *content = cache_content_ref(node->content);
	g_mutex_unlock(&f->cache->lock);
	return content;
}

typedef struct {
	GMutex lock;
	GCond cond;
	bool done;
	gint unsynced; /* bytes of the journal's log at that moment */
} Wait;

static void on_synced(Cache *cache, const GError *error, void *data)
{
	Wait *wait = data;
	g_assert_no_error(error);
	g_mutex_lock(&wait->lock);
	wait->unsynced = g_atomic_int_get(&log_unsynced);
	wait->done = true;
	g_cond_signal(&wait->cond);
	g_mutex_unlock(&wait->lock);
}

/* What of the journal has not reached the disk then. */
static gint bring_to_the_disk(Fixture *f, CacheContent *content)
{
	Wait wait = {0};
	cache_syncer_sync(f->cache, content, on_synced, &wait);
	g_mutex_lock(&wait.lock);
	gint64 deadline = test_deadline();
	while (!wait.done)
		g_assert_true(g_cond_wait_until(&wait.cond, &wait.lock, deadline));
	g_mutex_unlock(&wait.lock);
	return wait.unsynced;
}

static bool is_durable(Fixture *f, CacheBlobId blob)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *boot_id = NULL;
	bool durable = false;
	g_assert_true(cache_store_blob_info(f->cache->store, blob, &boot_id, &durable, &error));
	return durable;
}

static void await_transfers(CacheContent *content)
{
	for (bool busy = true; busy; g_usleep(1000)) {
		g_mutex_lock(&content->io);
		busy = content->transfers != NULL;
		g_mutex_unlock(&content->io);
	}
}

/* What is fetched after the blob was brought to the disk, and before that is said, is not there. */
static void test_fetched_meanwhile(Fixture *f, const void *data)
{
	CacheId id;
	CacheBlobId blob;
	CacheFile *file = change(f, &id, &blob);
	CacheContent *content = content_of(f, id);
	hook_file = file;
	g_atomic_int_set(&hook_fd, content->fd);
	bring_to_the_disk(f, content);
	g_assert_cmpint(g_atomic_int_get(&hook_fd), ==, -1);
	g_assert_false(is_durable(f, blob));
	await_transfers(content);
	bring_to_the_disk(f, content);
	g_assert_true(is_durable(f, blob));
	cache_content_put(content);
	cache_file_release(file);
	drain(f);
}

/* What was fetched later is journaled with the rest by a close. */
static void test_fetched_later(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheId id;
	CacheBlobId blob;
	CacheFile *file = change(f, &id, &blob);
	CacheContent *content = content_of(f, id);
	bring_to_the_disk(f, content);
	g_assert_true(is_durable(f, blob));
	fetch(file, SIZE / 2);
	g_assert_true(cache_file_flush(file, &error));
	g_assert_false(is_durable(f, blob));
	await_transfers(content);
	/* What is written next is so, too. Who waits for it waits for the journal as well. */
	g_assert_cmpint(bring_to_the_disk(f, content), ==, 0);
	g_assert_true(is_durable(f, blob));
	g_assert_true(sync_write(file, 1, "y", 1, &error));
	g_assert_false(is_durable(f, blob));
	cache_content_put(content);
	cache_file_release(file);
	drain(f);
}

/* Kept here: GSS does not take it. */
static CacheId make_pending(Fixture *f, const char *name, const char *text)
{
	g_autofree char *fault =
		g_strdup_printf("/fault?method=POST&path=*/%s&status=503&times=1000", name);
	control(f, fault, "");
	CacheId id = make(f, name, text);
	for (g_autofree char *why = NULL; !why; g_usleep(1000))
		why = cache_state_error(f->cache, id);
	return id;
}

static CacheBlobId blob_of(Fixture *f, CacheId id)
{
	g_mutex_lock(&f->cache->lock);
	const CacheNode *node = g_hash_table_lookup(f->cache->nodes, &id);
	CacheBlobId blob = node->r.blob;
	g_mutex_unlock(&f->cache->lock);
	return blob;
}

/* What is written over something durable reaches the disk after the journal has said so there. */
static void test_written_over(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	const gsize size = 20 * SIZE;
	g_autofree char *old = g_strnfill(size, 'o'), *new = g_strnfill(size - SIZE, 'n');
	CacheId id = make_pending(f, "f", old);
	while (!is_durable(f, blob_of(f, id)))
		g_usleep(1000);
	g_assert_true(cache_store_checkpoint(f->cache->store, &error));
	CacheFile *file = sync_open(f->cache, id, O_WRONLY, &error);
	g_assert_no_error(error);
	g_atomic_int_set(&pushed_before, -1);
	g_assert_true(sync_write(file, 0, new, size - SIZE, &error));
	while (g_atomic_int_get(&pushed_before) < 0)
		g_usleep(1000);
	g_assert_cmpint(g_atomic_int_get(&pushed_before), ==, 0);
	/* Neither is it cut. */
	g_assert_true(cache_file_flush(file, &error));
	cache_file_release(file);
	while (!is_durable(f, blob_of(f, id)))
		g_usleep(1000);
	gint before = g_atomic_int_get(&log_syncs);
	g_assert_true(sync_truncate(f->cache, id, SIZE, &error));
	g_assert_cmpint(g_atomic_int_get(&cut_after), >, before);
	control(f, "/reset", "");
	drain(f);
}

/* What the disk has lost is not uploaded, nor called durable; written anew it is. */
static void test_lost_by_the_disk(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_atomic_int_set(&fail_blob, 1);
	CacheId id = make_pending(f, "f", "content");
	for (int i = 0; i < 5000 && cache_state(f->cache, id) != CACHE_STATE_FAILED; i++)
		g_usleep(1000);
	g_assert_cmpint(cache_state(f->cache, id), ==, CACHE_STATE_FAILED);
	g_assert_false(is_durable(f, blob_of(f, id)));
	control(f, "/reset", "");
	g_assert_true(sync_drain(f->cache, &error));
	assert_gone(f, "f");
	rewrite(f, id, "anew");
	drain(f);
	assert_there(f, "f", "anew");
}

/* Cut off behind our back: a shorter body is none, and is told at once. */
static void test_cut_by_somebody(Fixture *f, const void *data)
{
	g_autofree char *big = g_strnfill(2 * SIZE, 'x');
	CacheId id = make_pending(f, "f", big);
	CacheFile *file = open_file(f, id, O_RDONLY); /* it stays open */
	g_autofree char *path = g_strdup_printf("%s/blobs/%016" G_GINT64_MODIFIER "x",
	                                        f->cache->path, (guint64)blob_of(f, id));
	g_assert_cmpint(truncate(path, SIZE), ==, 0);
	control(f, "/reset", "");
	g_autofree char *why = NULL;
	for (int i = 0; i < 2000 && !(why && strstr(why, "ended after")); i++) {
		g_usleep(10000);
		g_free(why);
		why = cache_state_error(f->cache, id);
	}
	g_assert_nonnull(why);
	g_assert_nonnull(strstr(why, "ended after"));
	assert_gone(f, "f");
	cache_file_release(file);
	rewrite(f, id, "anew");
	drain(f);
	assert_there(f, "f", "anew");
}

/* What could not be moved to quarantine/ stays where it is, whoever opens it. */
static void test_cannot_be_moved(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *journal = g_build_filename(f->cache->path, "journal.sqlite", NULL);
	CacheId id = make_pending(f, "f", "acknowledged");
	stop_cache(f);
	sqlite3 *db = NULL;
	g_assert_cmpint(sqlite3_open(journal, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(db, "UPDATE blob SET boot_id = 'another', durable = 0", NULL,
	                             NULL, NULL),
	                ==, SQLITE_OK);
	sqlite3_close(db);
	g_atomic_int_set(&refuse_moves, 1);
	start_cache(f);
	g_atomic_int_set(&refuse_moves, 0);
	g_autofree char *path = g_strdup_printf("%s/blobs/%016" G_GINT64_MODIFIER "x",
	                                        f->cache->path, (guint64)blob_of(f, id));
	CacheFile *file = sync_open(f->cache, id, O_RDONLY, NULL);
	if (file)
		cache_file_release(file);
	g_autofree char *bytes = NULL;
	g_assert_true(g_file_get_contents(path, &bytes, NULL, &error));
	g_assert_cmpstr(bytes, ==, "acknowledged");
	control(f, "/reset", "");
	rewrite(f, id, "anew");
	drain(f);
	assert_there(f, "f", "anew");
}

/* Each that is set aside stays there, however soon the next one follows. */
static void test_journals_set_aside(Fixture *f, const void *data)
{
	enum { TIMES = 4 };
	g_autofree char *path = g_strdup(f->cache->path);
	g_autofree char *journal = g_build_filename(path, "journal.sqlite", NULL);
	g_autofree char *quarantine = g_build_filename(path, "quarantine", NULL);
	for (int i = 0; i < TIMES; i++) {
		stop_cache(f);
		g_assert_true(g_file_set_contents(journal, "no journal", -1, NULL));
		start_cache(f);
	}
	g_autoptr(GDir) dir = g_dir_open(quarantine, 0, NULL);
	g_assert_nonnull(dir);
	int kept = 0;
	for (const char *name; (name = g_dir_read_name(dir));)
		kept += g_str_has_prefix(name, "journal-") && g_str_has_suffix(name, ".sqlite");
	g_assert_cmpint(kept, ==, TIMES);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_FATAL_MASK);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	intercept_journal(write_journal);
	world_init(argv[1]);
	ADD("durable/fetched-meanwhile", test_fetched_meanwhile);
	ADD("durable/fetched-later", test_fetched_later);
	ADD("durable/written-over", test_written_over);
	ADD("durable/lost-by-the-disk", test_lost_by_the_disk);
	ADD("durable/cut-by-somebody", test_cut_by_somebody);
	ADD("durable/cannot-be-moved", test_cannot_be_moved);
	ADD("durable/journals-set-aside", test_journals_set_aside);
	return g_test_run();
}
