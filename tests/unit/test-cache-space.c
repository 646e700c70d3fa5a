/* test-cache-space.c - a cache that is full, against gss-local, whose path is the first argument.
 */
#include "cache/private.h"
#include "test-cache-world.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MIB (1024 * 1024)
#define UPLOADS "/fault?method=POST&path=/refissh*"

/* A cache of 4 MiB that loses its patience soon. */
static void set_up_small(Fixture *f, const void *data)
{
	f->limit = 4 * MIB;
	set_up(f, data);
	f->cache->room.patience = G_USEC_PER_SEC / 2;
	f->cache->room.short_patience = f->cache->room.slow_patience = G_USEC_PER_SEC / 10;
}

static void set_up_64m(Fixture *f, const void *data)
{
	f->limit = 64 * MIB;
	set_up(f, data);
}

static CacheFile *begin(Fixture *f, const char *name, CacheId *ret_id)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	CacheFile *file = sync_create(f->cache, f->home, name, &attr, &error);
	g_assert_no_error(error);
	if (ret_id)
		*ret_id = attr.id;
	return file;
}

/* Writes [from, to) MiB, filled with `byte`. */
static bool fill(CacheFile *file, int from, int to, char byte, GError **error)
{
	g_autofree char *bytes = g_malloc(MIB);
	memset(bytes, byte, MIB);
	for (int i = from; i < to; i++)
		if (!sync_write(file, (guint64)i * MIB, bytes, MIB, error))
			return false;
	return true;
}

static void end(CacheFile *file)
{
	g_autoptr(GError) error = NULL;
	g_assert_true(cache_file_flush(file, &error));
	g_assert_no_error(error);
	cache_file_release(file);
}

static void assert_size(Fixture *f, const char *name, guint64 size)
{
	g_autofree char *path = place(f, name), *bytes = NULL;
	gsize length;
	g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
	g_assert_cmpuint(length, ==, size);
}

typedef struct {
	CacheFile *file;
	int from, to;
	GError *error;
} Writer;

static void *write_there(void *data)
{
	Writer *writer = data;
	fill(writer->file, writer->from, writer->to, 'w', &writer->error);
	return NULL;
}

static void await_waiter(Fixture *f)
{
	for (bool waits = false; !waits; g_usleep(1000)) {
		g_mutex_lock(&f->cache->lock);
		waits = !g_queue_is_empty(&f->cache->room.waiters);
		g_mutex_unlock(&f->cache->lock);
	}
}

/* Much more than the cache holds gets through, slowed to what uploads free. */
static void test_throttle(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	f->cache->room.patience = f->cache->room.short_patience = 60 * G_USEC_PER_SEC;
	for (int i = 0; i < 10; i++) {
		g_autofree char *name = g_strdup_printf("file %d", i);
		CacheFile *file = begin(f, name, NULL);
		fill(file, 0, 3, 'a' + i, &error);
		g_assert_no_error(error);
		end(file);
		g_assert_cmpint(f->cache->blobs.used, <=, 4 * MIB + 64 * 1024);
	}
	drain(f);
	for (int i = 0; i < 10; i++) {
		g_autofree char *name = g_strdup_printf("file %d", i);
		assert_size(f, name, 3 * MIB);
	}
}

/* A writer waits until an upload has ended, and is not served before those who came first. */
static void test_wait(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	f->cache->room.patience = 60 * G_USEC_PER_SEC;
	control(f, UPLOADS "&hold=before", "");
	CacheFile *file = begin(f, "first", NULL);
	fill(file, 0, 3, 'x', &error);
	end(file);
	await_counter(f, "held", 1);
	Writer writer = {begin(f, "second", NULL), 0, 3, NULL};
	GThread *thread = g_thread_new("writer", write_there, &writer);
	await_waiter(f);
	CacheSpan span;
	CacheFile *third = begin(f, "third", NULL);
	g_assert_false(cache_file_write_begin(third, 0, 1, false, &span, &error));
	g_assert_error(error, CACHE_ERROR, EAGAIN);
	g_clear_error(&error);
	control(f, "/release", "");
	g_thread_join(thread);
	g_assert_no_error(writer.error);
	end(writer.file);
	/* It is not whole before those bytes have come. */
	g_assert_true(sync_write(third, 0, "3", 1, &error));
	end(third);
	drain(f);
	assert_size(f, "second", 3 * MIB);
	assert_there(f, "third", "3");
}

typedef struct {
	CacheFile *file;
	gint served, failed; /* atomic */
} Many;

static void on_room_for_one(const CacheSpan *span, const GError *error, void *data)
{
	Many *many = data;
	if (error) {
		g_atomic_int_inc(&many->failed);
		return;
	}
	g_assert_cmpint(pwrite(span->fd, "m", 1, (off_t)span->offset), ==, 1);
	cache_file_write_end(many->file, span, 1, 0);
	g_atomic_int_inc(&many->served);
}

/* However many write at the same time, all are slowed, and none fails. */
static void test_many_waiters(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	f->cache->room.patience = f->cache->room.short_patience = 60 * G_USEC_PER_SEC;
	control(f, UPLOADS "&hold=before", "");
	CacheFile *file = begin(f, "first", NULL);
	fill(file, 0, 3, 'x', &error);
	end(file);
	await_counter(f, "held", 1);
	Writer writer = {begin(f, "second", NULL), 0, 3, NULL};
	GThread *thread = g_thread_new("writer", write_there, &writer);
	await_waiter(f);
	Many many = {.file = begin(f, "third", NULL)};
	for (int i = 0; i < 1000; i++)
		cache_file_write_wait(many.file, i, 1, false, on_room_for_one, &many);
	g_assert_cmpint(g_atomic_int_get(&many.failed), ==, 0);
	control(f, "/release", "");
	g_thread_join(thread);
	g_assert_no_error(writer.error);
	end(writer.file);
	while (g_atomic_int_get(&many.served) + g_atomic_int_get(&many.failed) < 1000)
		g_usleep(1000);
	g_assert_cmpint(g_atomic_int_get(&many.failed), ==, 0);
	end(many.file);
	drain(f);
	assert_size(f, "third", 1000);
}

static void on_room_at_end(const CacheSpan *span, const GError *error, void *data)
{
	g_assert_no_error(error);
	g_assert_cmpuint(span->offset, ==, 7);
	on_room_for_one(span, error, data);
}

/* The end is where it is when there is room. */
static void test_append_waits(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	f->cache->room.patience = f->cache->room.short_patience = 60 * G_USEC_PER_SEC;
	control(f, UPLOADS "&hold=before", "");
	CacheFile *file = begin(f, "first", NULL);
	fill(file, 0, 3, 'x', &error);
	end(file);
	await_counter(f, "held", 1);
	Writer writer = {begin(f, "second", NULL), 0, 3, NULL};
	GThread *thread = g_thread_new("writer", write_there, &writer);
	await_waiter(f);
	CacheId id;
	Many log = {.file = begin(f, "log", &id)};
	CacheSpan span;
	g_assert_true(sync_truncate(f->cache, id, 5, &error));
	g_assert_false(cache_file_write_begin(log.file, 0, 1, true, &span, &error));
	g_assert_error(error, CACHE_ERROR, EAGAIN);
	g_clear_error(&error);
	g_assert_cmpuint(span.offset, ==, 5);
	cache_file_write_wait(log.file, span.offset, 1, true, on_room_at_end, &log);
	g_assert_true(sync_truncate(f->cache, id, 7, &error));
	control(f, "/release", "");
	g_thread_join(thread);
	g_assert_no_error(writer.error);
	end(writer.file);
	while (!g_atomic_int_get(&log.served))
		g_usleep(1000);
	end(log.file);
	drain(f);
	assert_size(f, "log", 8);
}

/* Nothing is uploaded, so nothing is freed: an error after a while, and never half a file on GSS.
 */
static void test_dead_network(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheId id;
	control(f, UPLOADS "&times=100000&status=503", "");
	CacheFile *whole = begin(f, "whole", NULL);
	fill(whole, 0, 2, 'x', &error);
	end(whole);
	CacheFile *file = begin(f, "part", &id);
	g_assert_false(fill(file, 0, 3, 'y', &error));
	g_assert_error(error, CACHE_ERROR, ENOSPC);
	g_clear_error(&error);
	g_assert_false(cache_file_flush(file, &error));
	g_assert_error(error, CACHE_ERROR, ENOSPC);
	g_clear_error(&error);
	g_assert_cmpint(cache_state(f->cache, id), ==, CACHE_STATE_FAILED);
	g_assert_false(sync_fsync(f->cache, id, &error));
	g_assert_error(error, CACHE_ERROR, ENOSPC);
	g_clear_error(&error);
	/* The network lives again; what was written is not sent. */
	control(f, "/reset", "");
	g_assert_true(sync_drain(f->cache, &error));
	assert_size(f, "whole", 2 * MIB);
	assert_gone(f, "part");
	/* The same bytes once more, as a patient program does: now it is whole. */
	g_assert_true(fill(file, 0, 3, 'y', &error));
	end(file);
	drain(f);
	assert_size(f, "part", 3 * MIB);
}

static void test_larger_than_the_cache(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	CacheId id;
	CacheFile *file = begin(f, "huge", &id);
	g_assert_false(fill(file, 0, 6, 'h', &error));
	g_assert_error(error, CACHE_ERROR, ENOSPC);
	g_assert_nonnull(strstr(error->message, "larger than the cache"));
	g_clear_error(&error);
	g_assert_false(cache_file_flush(file, NULL));
	cache_file_release(file);
	g_assert_true(sync_drain(f->cache, &error));
	assert_gone(f, "huge");
	/* Also opened again, closed again, after a restart. */
	file = sync_open(f->cache, id, O_WRONLY, &error);
	g_assert_false(cache_file_flush(file, NULL));
	cache_file_release(file);
	stop_cache(f);
	start_cache(f);
	g_assert_true(sync_lookup(f->cache, f->home, "huge", &attr, &error));
	file = sync_open(f->cache, attr.id, O_WRONLY, &error);
	g_assert_no_error(error);
	g_assert_true(sync_write(file, 0, "x", 1, &error));
	g_assert_false(cache_file_flush(file, &error));
	g_assert_error(error, CACHE_ERROR, ENOSPC);
	g_clear_error(&error);
	cache_file_release(file);
	g_assert_true(sync_drain(f->cache, &error));
	g_assert_cmpint(cache_state(f->cache, attr.id), ==, CACHE_STATE_FAILED);
	assert_gone(f, "huge");
	/* Cut off and written anew. */
	rewrite(f, attr.id, "small");
	drain(f);
	assert_there(f, "huge", "small");
}

/* What the blobs take by now, measured or not. */
static guint64 on_disk(Fixture *f)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GArray) blobs = cache_blobs_list(&f->cache->blobs, &error);
	guint64 bytes = 0;
	g_assert_no_error(error);
	for (guint i = 0; i < blobs->len; i++) {
		struct stat st;
		if (cache_blob_stat(&f->cache->blobs, g_array_index(blobs, CacheBlobId, i), &st))
			bytes += (guint64)st.st_blocks * 512;
	}
	return bytes;
}

typedef struct {
	Fixture *f;
	CacheId id;
} Publish;

static void *publish(void *data)
{
	const Publish *publish = data;
	g_autoptr(GError) error = NULL;
	g_free(sync_publish(publish->f->cache, publish->id, &error));
	g_assert_no_error(error);
	return NULL;
}

static void await_publisher(Fixture *f, CacheId id)
{
	for (bool waits = false; !waits; g_usleep(1000)) {
		g_mutex_lock(&f->cache->lock);
		const CacheNode *node = g_hash_table_lookup(f->cache->nodes, &id);
		waits = node && node->publishers && node->job;
		g_mutex_unlock(&f->cache->lock);
	}
}

/* Whoever writes to what is being sent, and waited for, needs a copy of it; where that does not
 * fit, the upload begins anew instead. */
static void test_no_room_for_a_copy(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	Publish publisher = {.f = f};
	control(f, UPLOADS "&hold=before", "");
	CacheFile *file = begin(f, "large", &publisher.id);
	g_assert_true(fill(file, 0, 40, 'l', &error));
	end(file);
	await_counter(f, "held", 1);
	GThread *thread = g_thread_new("publisher", publish, &publisher);
	await_publisher(f, publisher.id);
	file = sync_open(f->cache, publisher.id, O_WRONLY, &error);
	g_assert_no_error(error);
	g_assert_true(sync_write(file, 0, "LL", 2, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(on_disk(f), <=, 64 * MIB);
	end(file);
	control(f, "/release", "");
	g_thread_join(thread);
	drain(f);
	g_autofree char *path = place(f, "large"), *bytes = NULL;
	gsize length;
	g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
	g_assert_cmpuint(length, ==, 40 * MIB);
	g_assert_cmpmem(bytes, 4, "LLll", 4);
}

typedef struct {
	CacheFile *file;
	GAsyncQueue *ended;
} Posted;

static void write_from_worker(void *data)
{
	const Posted *posted = data;
	g_autoptr(GError) error = NULL;
	CacheSpan span;
	g_assert_true(cache_file_write_begin(posted->file, 0, 2, false, &span, &error));
	g_assert_cmpint(pwrite(span.fd, "LL", 2, 0), ==, 2);
	cache_file_write_end(posted->file, &span, 2, 0);
	g_async_queue_push(posted->ended, posted->ended);
}

/* The worker, on which all else depends, copies nothing. */
static void test_no_copy_by_the_worker(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GAsyncQueue) ended = g_async_queue_new();
	Publish publisher = {.f = f};
	control(f, UPLOADS "&hold=before", "");
	CacheFile *file = begin(f, "large", &publisher.id);
	g_assert_true(fill(file, 0, 20, 'l', &error));
	end(file);
	await_counter(f, "held", 1);
	GThread *thread = g_thread_new("publisher", publish, &publisher);
	await_publisher(f, publisher.id);
	Posted posted = {sync_open(f->cache, publisher.id, O_WRONLY, &error), ended};
	g_assert_no_error(error);
	cache_worker_post(f->cache, write_from_worker, &posted);
	g_async_queue_pop(ended);
	g_assert_cmpuint(on_disk(f), <, 30 * MIB);
	end(posted.file);
	control(f, "/release", "");
	g_thread_join(thread);
	drain(f);
	assert_size(f, "large", 20 * MIB);
}

/* Cutting off what was lost makes the rest whole. */
static void test_truncate(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheId id;
	CacheFile *file = begin(f, "cut", &id);
	g_assert_false(fill(file, 0, 6, 'h', &error));
	g_clear_error(&error);
	g_assert_true(sync_truncate(f->cache, id, 2 * MIB, &error));
	g_assert_no_error(error);
	end(file);
	drain(f);
	assert_size(f, "cut", 2 * MIB);
}

/* What GSS has too makes room, the least recently used first, and an open file the last. */
static void test_eviction_makes_room(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheFile *file = begin(f, "old", NULL);
	fill(file, 0, 3, 'o', &error);
	end(file);
	drain(f);
	CacheAttr attr;
	g_assert_true(sync_lookup(f->cache, f->home, "old", &attr, &error));
	CacheFile *reader = sync_open(f->cache, attr.id, O_RDONLY, &error);
	file = begin(f, "new", NULL);
	g_assert_true(fill(file, 0, 3, 'n', &error));
	end(file);
	drain(f);
	g_autofree char *bytes = sync_read(reader, 2 * MIB, 10, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(bytes, ==, "oooooooooo");
	cache_file_release(reader);
	assert_size(f, "old", 3 * MIB);
	assert_size(f, "new", 3 * MIB);
}

static void test_statfs(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheSpace space;
	control(f, UPLOADS "&times=100000&status=503", "");
	CacheFile *file = begin(f, "kept", NULL);
	fill(file, 0, 3, 'x', &error);
	g_assert_true(cache_space(f->cache, &space, &error));
	g_assert_cmpuint(space.blocks * space.block_size, ==, 4 * MIB);
	g_assert_cmpuint(space.free_blocks * space.block_size, <=, MIB);
	g_assert_cmpuint(space.free_blocks * space.block_size, >=, MIB - 64 * 1024);
	end(file);
	control(f, "/reset", "");
	drain(f);
	/* What can be given up counts as free. */
	g_assert_true(cache_space(f->cache, &space, &error));
	g_assert_cmpuint(space.free_blocks * space.block_size, ==, 4 * MIB);
}

/* A temporary file without a name takes room that nothing frees before its last close. */
static void test_statfs_without_a_name(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheSpace space;
	CacheFile *file = begin(f, "kept", NULL);
	delete (f, "kept");
	fill(file, 0, 3, 'x', &error);
	g_assert_no_error(error);
	g_assert_true(cache_space(f->cache, &space, &error));
	g_assert_cmpuint(space.free_blocks * space.block_size, <=, MIB);
	end(file);
}

/* Tries that nobody takes free nothing, however long each of them lasts. */
static void test_nobody_takes_bodies(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	f->cache->room.patience = 6 * G_USEC_PER_SEC;
	answer_nowhere(f, "f", "&delay=1500&times=1000");
	CacheFile *file = begin(f, "f", NULL);
	fill(file, 0, 3, 'x', &error);
	end(file);
	file = begin(f, "waits", NULL);
	gint64 began = g_get_monotonic_time();
	g_assert_false(fill(file, 0, 3, 'w', &error));
	g_assert_error(error, CACHE_ERROR, ENOSPC);
	g_assert_cmpint(g_get_monotonic_time() - began, <, 15 * G_USEC_PER_SEC);
	cache_file_release(file);
	control(f, "/reset", "");
}

/* Whoever waits is told when the mount goes. */
static void test_unmount(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	f->cache->room.patience = f->cache->room.short_patience = 600 * G_USEC_PER_SEC;
	control(f, UPLOADS "&times=100000&status=503", "");
	CacheFile *file = begin(f, "kept", NULL);
	fill(file, 0, 3, 'x', &error);
	end(file);
	Writer writer = {begin(f, "waits", NULL), 0, 3, NULL};
	GThread *thread = g_thread_new("writer", write_there, &writer);
	await_waiter(f);
	cache_set_draining(f->cache);
	g_thread_join(thread);
	g_assert_error(writer.error, CACHE_ERROR, ECANCELED);
	g_clear_error(&writer.error);
	cache_file_release(writer.file);
}

#define ADD_SMALL(name, function) \
	g_test_add("/cache/space/" name, Fixture, NULL, set_up_small, function, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_FATAL_MASK);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	world_init(argv[1]);
	ADD_SMALL("throttle", test_throttle);
	ADD_SMALL("wait", test_wait);
	ADD_SMALL("many-waiters", test_many_waiters);
	ADD_SMALL("append-waits", test_append_waits);
	ADD_SMALL("dead-network", test_dead_network);
	ADD_SMALL("larger-than-the-cache", test_larger_than_the_cache);
	ADD_SMALL("truncate", test_truncate);
	g_test_add("/cache/space/no-room-for-a-copy", Fixture, NULL, set_up_64m,
	           test_no_room_for_a_copy, tear_down);
	g_test_add("/cache/space/no-copy-by-the-worker", Fixture, NULL, set_up_64m,
	           test_no_copy_by_the_worker, tear_down);
	ADD_SMALL("eviction-makes-room", test_eviction_makes_room);
	ADD_SMALL("statfs", test_statfs);
	ADD_SMALL("statfs-without-a-name", test_statfs_without_a_name);
	ADD_SMALL("nobody-takes-bodies", test_nobody_takes_bodies);
	ADD_SMALL("unmount", test_unmount);
	return g_test_run();
}
