/* test-cache-full.c - a journal that cannot be written, for the disk is full. Against gss-local,
 * whose path is the first argument. */
#include "cache/private.h"
#include "test-cache-world.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cache/upload.h"

static gint full;     /* atomic */
static char *ballast; /* atomic: while this is there the disk is full; NULL: never */

/* Only the journal's log is written so; the rest of it by checkpoints, which may fail. */
static gssize write_journal(int fd, const void *bytes, gsize length, off_t offset)
{
	const char *path = g_atomic_pointer_get(&ballast);
	if (!g_atomic_int_get(&full) && (!path || access(path, F_OK) != 0))
		return syscall(SYS_pwrite64, fd, bytes, length, offset);
	errno = ENOSPC;
	return -1;
}

static CacheTorn journaled_torn(Fixture *f, CacheId id)
{
	g_autoptr(GError) error = NULL;
	g_auto(CacheRecord) record = CACHE_RECORD_INIT;
	g_assert_true(cache_store_load(f->cache->store, id, &record, &error));
	return record.torn;
}

/* Is [0, size) journaled as being held? */
static bool journaled(Fixture *f, CacheId id, guint64 size)
{
	g_autoptr(GError) error = NULL;
	g_auto(CacheRecord) record = CACHE_RECORD_INIT;
	CacheExtents extents;
	cache_extents_init(&extents);
	g_assert_true(cache_store_load(f->cache->store, id, &record, &error));
	g_assert_true(cache_store_load_extents(f->cache->store, record.blob, &extents, &error));
	bool held = cache_extents_contain(&extents, 0, size);
	cache_extents_clear(&extents);
	return held && record.size >= (gint64)size;
}

static void write_some(CacheFile *file, char byte, gsize size)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *bytes = g_malloc(size);
	memset(bytes, byte, size);
	g_assert_true(sync_write(file, 0, bytes, size, &error));
	g_assert_no_error(error);
}

static CacheFile *open_named(Fixture *f, const char *name, CacheId *ret_id)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	g_assert_true(sync_lookup(f->cache, f->home, name, &attr, &error));
	CacheFile *file = sync_open(f->cache, attr.id, O_RDWR, &error);
	g_assert_no_error(error);
	*ret_id = attr.id;
	return file;
}

static void close_in_vain(CacheFile *file)
{
	g_autoptr(GError) error = NULL;
	g_atomic_int_set(&full, 1);
	g_assert_false(cache_file_flush(file, &error));
	g_assert_error(error, CACHE_ERROR, ENOSPC);
	cache_file_release(file);
}

/* What a close could not journal is here, as it was written, and is uploaded as a whole. */
static void test_failed_close(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *old = g_strnfill(200000, 'o'), *path = place(f, "f"), *bytes = NULL;
	gsize length;
	CacheId id;
	put_and_restart(f, "f", old);
	CacheFile *file = open_named(f, "f", &id);
	control(f, "/fault?method=GET&path=/refissh*/f&status=503&times=10000", "");
	write_some(file, 'a', 50000);
	g_assert_true(cache_file_flush(file, &error));
	cache_file_release(file);
	file = open_named(f, "f", &id);
	write_some(file, 'b', 100000);
	close_in_vain(file);
	/* Time enough for all tries to end. */
	g_usleep(G_USEC_PER_SEC / 2);
	g_atomic_int_set(&full, 0);
	control(f, "/reset", "");
	drain(f);
	g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
	g_assert_cmpuint(length, ==, 200000);
	for (gsize i = 0; i < length; i++)
		g_assert_cmpint(bytes[i], ==, i < 100000 ? 'b' : 'o');
}

/* It is journaled when that is possible, whether anything can be uploaded or not. */
static void test_failed_close_of_a_new_file(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	control(f, "/fault?method=POST&path=*&status=503&times=10000", "");
	CacheFile *file = sync_create(f->cache, f->home, "new", &attr, &error);
	g_assert_no_error(error);
	write_some(file, 'n', 100000);
	close_in_vain(file);
	g_usleep(G_USEC_PER_SEC / 2);
	file = open_named(f, "new", &attr.id);
	g_autofree char *text = sync_read(file, 0, 3, &error);
	g_assert_cmpstr(text, ==, "nnn");
	cache_file_release(file);
	g_atomic_int_set(&full, 0);
	gint64 deadline = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;
	while (!journaled(f, attr.id, 100000) && g_get_monotonic_time() < deadline)
		g_usleep(10000);
	g_assert_true(journaled(f, attr.id, 100000));
	g_assert_cmpint(journaled_torn(f, attr.id), ==, CACHE_TORN_NO);
	control(f, "/reset", "");
	drain(f);
}

/* The close of one handle says nothing of the write that another is in the midst of. */
static void test_close_beside_a_write(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheSpan span;
	CacheId id = make(f, "f", "0123456789");
	drain(f);
	CacheFile *one = open_named(f, "f", &id), *other = open_named(f, "f", &id);
	g_assert_true(sync_write(one, 0, "ab", 2, &error));
	g_assert_true(cache_file_write_begin(other, 2, 4, false, &span, &error));
	g_assert_true(cache_file_flush(one, &error));
	g_assert_cmpint(journaled_torn(f, id), ==, CACHE_TORN_WRITING);
	g_assert_cmpint(pwrite(span.fd, "cdef", 4, 2), ==, 4);
	cache_file_write_end(other, &span, 4, 0);
	g_assert_true(cache_file_flush(other, &error));
	g_assert_cmpint(journaled_torn(f, id), ==, CACHE_TORN_NO);
	cache_file_release(one);
	cache_file_release(other);
	drain(f);
	assert_there(f, "f", "abcdef6789");
}

/* The journal takes what is kept for it, whoever writes it; with room again that is kept anew. */
static void test_ballast(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *path = g_build_filename(f->cache->path, "ballast", NULL);
	CacheId id = make(f, "f", "first");
	drain(f);
	g_assert_cmpint(access(path, F_OK), ==, 0);
	g_atomic_pointer_set(&ballast, path);
	g_assert_true(cache_store_set_meta(f->cache->store, "key", "value", &error));
	g_assert_no_error(error);
	g_assert_cmpint(access(path, F_OK), !=, 0);
	g_atomic_pointer_set(&ballast, NULL);
	for (int i = 0; access(path, F_OK) != 0 && i < 1000; i++)
		g_usleep(10000);
	g_assert_cmpint(access(path, F_OK), ==, 0);
	/* A transaction is lost, and made once more by whoever can. */
	CacheFile *file = open_named(f, "f", &id);
	write_some(file, 'x', 5);
	g_atomic_pointer_set(&ballast, path);
	g_assert_true(cache_file_flush(file, &error));
	g_atomic_pointer_set(&ballast, NULL);
	cache_file_release(file);
	drain(f);
	assert_there(f, "f", "xxxxx");
}

/* Ends the upload under way. */
static void cancel_upload(Fixture *f, CacheId id)
{
	g_mutex_lock(&f->cache->lock);
	const CacheNode *node = g_hash_table_lookup(f->cache->nodes, &id);
	g_assert_nonnull(node->job);
	g_cancellable_cancel(node->job->cancellable);
	for (; node->job; g_mutex_lock(&f->cache->lock)) {
		g_mutex_unlock(&f->cache->lock);
		g_usleep(1000);
	}
	g_mutex_unlock(&f->cache->lock);
}

/* What recovery could go back to goes when the close that supersedes it is journaled. That fails
 * here, as if the process had died before: what was closed earlier is there, and is uploaded. */
static void test_superseded_in_vain(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	/* The sockets don't take it whole. */
	g_autofree char *big = g_strnfill(12 * 1024 * 1024, 'x');
	CacheId id = make(f, "f", "");
	drain(f);
	control(f, "/fault?method=PUT&path=*/f&hold=before", "");
	rewrite(f, id, big);
	await_counter(f, "held", 1);
	g_mutex_lock(&f->cache->lock);
	((CacheNode *)g_hash_table_lookup(f->cache->nodes, &id))->aborts = 2;
	g_mutex_unlock(&f->cache->lock);
	CacheFile *file = open_file(f, id, O_WRONLY);
	put(file, 0, "SECOND"); /* to a clone */
	cancel_upload(f, id);
	g_atomic_int_set(&full, 1);
	g_assert_false(cache_file_flush(file, &error));
	g_assert_error(error, CACHE_ERROR, ENOSPC);
	g_atomic_int_set(&full, 0);
	control(f, "/release", "");
	kill_cache(f, file);
	drain(f);
	assert_there(f, "f", big);
}

/* The place that a file was renamed from is to be removed once it has arrived, whatever becomes of
 * the first transaction that says so. */
static void test_renamed_for_the_ballast(Fixture *f, const void *data)
{
	g_autofree char *path = g_build_filename(f->cache->path, "ballast", NULL);
	CacheId id = make(f, "f", "content");
	drain(f);
	control(f, "/fault?method=POST&path=*/g&hold=after", "");
	move(f, "f", "g");
	await_counter(f, "held", 1);
	g_assert_cmpint(access(path, F_OK), ==, 0);
	g_atomic_pointer_set(&ballast, path);
	control(f, "/release", "");
	drain(f);
	g_atomic_pointer_set(&ballast, NULL);
	assert_gone(f, "f");
	rewrite(f, id, "another content");
	drain(f);
	assert_names(f, "g");
	assert_there(f, "g", "another content");
}

/* Not even that can be journaled: it is tried again, and what has arrived is not sent twice. */
static void test_renamed_in_vain(Fixture *f, const void *data)
{
	CacheId id = make(f, "f", "content");
	drain(f);
	control(f, "/fault?method=POST&path=*/g&hold=after", "");
	move(f, "f", "g");
	await_counter(f, "held", 1);
	int sent = counter(f, "rest.POST") + counter(f, "rest.PUT");
	g_atomic_int_set(&full, 1);
	control(f, "/release", "");
	await_error(f, id);
	assert_there(f, "f", "content");
	g_atomic_int_set(&full, 0);
	drain(f);
	g_assert_cmpint(counter(f, "rest.POST") + counter(f, "rest.PUT"), ==, sent);
	assert_gone(f, "f");
	assert_names(f, "g");
	assert_there(f, "g", "content");
}

/* The last close of what was removed before cannot be journaled: nobody waits for that, and the
 * next mount sees to it. */
static void test_buried_in_vain(Fixture *f, const void *data)
{
	CacheId id;
	put_and_restart(f, "f", "what only GSS has");
	CacheFile *file = open_named(f, "f", &id);
	delete (f, "f");
	assert_there(f, "f", "what only GSS has");
	g_atomic_int_set(&full, 1);
	cache_file_release(file);
	cache_forget(f->cache, id, G_MAXUINT64);
	drain(f);
	g_atomic_int_set(&full, 0);
	stop_cache(f);
	start_cache(f);
	drain(f);
	assert_gone(f, "f");
}

/* A removal that cannot be journaled has removed nothing, and nothing goes later. */
static void test_removed_in_vain(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheId id;
	put_and_restart(f, "f", "what only GSS has");
	CacheFile *file = open_named(f, "f", &id);
	g_atomic_int_set(&full, 1);
	g_assert_false(sync_unlink(f->cache, f->home, "f", &error));
	g_assert_error(error, CACHE_ERROR, ENOSPC);
	g_atomic_int_set(&full, 0);
	cache_refresh(f->cache, 0);
	assert_names(f, "f");
	assert_read(file, "what only GSS has");
	cache_file_release(file);
	cache_forget(f->cache, id, G_MAXUINT64);
	drain(f);
	assert_names(f, "f");
	assert_there(f, "f", "what only GSS has");
}

/* What was sent before a try that could not be journaled arrives after it: it is known to be ours.
 */
static void test_attempted_in_vain(Fixture *f, const void *data)
{
	CacheId id = make(f, "f", "first");
	drain(f);
	control(f, "/fault?method=PUT&path=*/f&status=504", "");
	rewrite(f, id, "second");
	await_error(f, id);
	control(f, "/fault?method=HEAD&path=*/f&hold=before", "");
	rewrite(f, id, "and the third");
	await_counter(f, "held", 1);
	g_mutex_lock(&f->cache->lock);
	const CacheNode *node = g_hash_table_lookup(f->cache->nodes, &id);
	guint tries = node->tries;
	g_mutex_unlock(&f->cache->lock);
	g_atomic_int_set(&full, 1);
	control(f, "/release", "");
	for (bool tried = false; !tried; g_usleep(1000)) {
		g_mutex_lock(&f->cache->lock);
		tried = node->tries > tries && !node->job;
		g_mutex_unlock(&f->cache->lock);
	}
	put_there(f, "f", "second");
	g_atomic_int_set(&full, 0);
	drain(f);
	assert_names(f, "f");
	assert_there(f, "f", "and the third");
}

static void note_failure(const GError *error, void *data)
{
	g_atomic_int_set((gint *)data, error ? error->code : -1);
}

/* A removal, or a discard, that cannot be journaled leaves the file where it was: to be sent. */
static void test_kept_in_vain(Fixture *f, bool discarded)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	CacheFile *file = sync_create(f->cache, f->home, "f", &attr, &error);
	put(file, 0, "content");
	control(f, "/fault?operation=getResourceInformation&status=503&times=1000", "");
	close_file(file);
	CacheId id = attr.id;
	await_error(f, id);
	g_atomic_int_set(&full, 1);
	if (discarded) {
		gint done = 0;
		cache_discard(f->cache, id, note_failure, &done);
		g_assert_cmpint(g_atomic_int_get(&done), ==, ENOSPC);
	} else {
		g_assert_false(sync_unlink(f->cache, f->home, "f", &error));
		g_assert_error(error, CACHE_ERROR, ENOSPC);
	}
	g_atomic_int_set(&full, 0);
	control(f, "/reset", "");
	drain(f);
	assert_there(f, "f", "content");
}

static void test_unlinked_in_vain(Fixture *f, const void *data)
{
	test_kept_in_vain(f, false);
}

static void test_discarded_in_vain(Fixture *f, const void *data)
{
	test_kept_in_vain(f, true);
}

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;
	g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &limit), ==, 0);
	limit.rlim_cur = MIN(bytes, limit.rlim_max);
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
}

/* The local file system cannot make it so long: nothing has become of that. */
static void test_too_long(Fixture *f, const void *data)
{
	static const guint64 mib = 1024 * 1024;
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	CacheId id = make(f, "f", "content");
	drain(f);
	limit_files(64 * mib);
	g_assert_false(sync_truncate(f->cache, id, 128 * mib, &error));
	limit_files(RLIM_INFINITY);
	g_assert_error(error, CACHE_ERROR, EFBIG);
	g_clear_error(&error);
	g_assert_cmpint(cache_state(f->cache, id), ==, CACHE_STATE_CLEAN);
	g_assert_true(sync_getattr(f->cache, id, &attr, &error));
	g_assert_cmpint(attr.size, ==, 7);
	g_assert_true(sync_truncate(f->cache, id, 8, &error));
	CacheFile *file = open_file(f, id, O_RDWR);
	put(file, 8, "!");
	close_file(file);
	drain(f);
	g_autofree char *path = place(f, "f"), *bytes = NULL;
	gsize length;
	g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
	g_assert_cmpmem(bytes, length, "content\0!", 9);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	signal(SIGXFSZ, SIG_IGN); /* as gssfs does */
	g_log_set_always_fatal(G_LOG_FATAL_MASK);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	intercept_journal(write_journal);
	world_init(argv[1]);
	ADD("full/failed-close", test_failed_close);
	ADD("full/failed-close-of-a-new-file", test_failed_close_of_a_new_file);
	ADD("full/close-beside-a-write", test_close_beside_a_write);
	ADD("full/ballast", test_ballast);
	ADD("full/renamed-for-the-ballast", test_renamed_for_the_ballast);
	ADD("full/renamed-in-vain", test_renamed_in_vain);
	ADD("full/superseded-in-vain", test_superseded_in_vain);
	ADD("full/buried-in-vain", test_buried_in_vain);
	ADD("full/removed-in-vain", test_removed_in_vain);
	ADD("full/attempted-in-vain", test_attempted_in_vain);
	ADD("full/unlinked-in-vain", test_unlinked_in_vain);
	ADD("full/discarded-in-vain", test_discarded_in_vain);
	ADD("full/too-long", test_too_long);
	return g_test_run();
}
