/* test-cache-read.c - reading what GSS has: how much is fetched, how often, and of which version.
 */
#include "cache/private.h"
#include "test-cache-world.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIB G_GUINT64_CONSTANT(1024)
#define MIB (1024 * KIB)

/* --- files whose every byte is known --- */

/* What a file of version `seed` has at `offset`. */
static char byte_at(guint64 offset, guint seed)
{
	return "abcdefghijklmnopqrstuvwxyz"[(offset * 7 + offset / 4096 + seed) % 26];
}

static void write_bytes(const char *path, guint64 from, guint64 end, guint seed)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	g_assert_cmpint(fd, >=, 0);
	g_autofree char *buffer = g_malloc(MIB);
	while (from < end) {
		gsize n = MIN(MIB, end - from);
		for (gsize i = 0; i < n; i++)
			buffer[i] = byte_at(from + i, seed);
		g_assert_cmpint(pwrite(fd, buffer, n, from), ==, n);
		from += n;
	}
	close(fd);
}

/* In place. */
static void append_there(Fixture *f, const char *name, guint64 from, guint64 end, guint seed)
{
	g_autofree char *path = place(f, name);
	write_bytes(path, from, end, seed);
}

/* As a whole; what is being sent goes on being the old version. */
static void fill_there(Fixture *f, const char *name, guint64 size, guint seed)
{
	g_autofree char *path = place(f, name);
	g_autofree char *aside = g_build_filename(test_server_root(f->server), "aside", NULL);
	write_bytes(aside, 0, size, seed);
	g_assert_cmpint(rename(aside, path), ==, 0);
}

/* As another mount, with the same cache. */
static void remount(Fixture *f)
{
	stop_cache(f);
	start_cache(f);
}

/* A new name, which the folder's listing is to have. */
static void make_there(Fixture *f, const char *name, guint64 size, guint seed)
{
	fill_there(f, name, size, seed);
	remount(f);
}

/* --- reading --- */

static CacheFile *open_there(Fixture *f, const char *name, CacheAttr *ret)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	g_assert_true(sync_lookup(f->cache, f->home, name, &attr, &error));
	g_assert_no_error(error);
	CacheFile *file = sync_open(f->cache, attr.id, O_RDONLY, &error);
	g_assert_no_error(error);
	if (ret)
		*ret = attr;
	return file;
}

static void assert_reads(CacheFile *file, guint64 offset, gsize length, guint seed)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = sync_read(file, offset, length, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(strlen(text), ==, length);
	for (gsize i = 0; i < length; i++)
		if (text[i] != byte_at(offset + i, seed))
			g_error("byte %" G_GUINT64_FORMAT " is wrong", offset + i);
}

static void assert_fails(CacheFile *file, guint64 offset, int code)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = sync_read(file, offset, 4 * KIB, &error);
	g_assert_null(text);
	g_assert_cmpint(error->code, ==, code);
}

static guint64 received(Fixture *f)
{
	GssCounters counters;
	gss_client_counters(f->client, &counters);
	return counters.bytes_received;
}

/* A body counts when its request is over, a moment after its bytes are there. */
static void await_received(Fixture *f, guint64 least)
{
	gint64 deadline = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;
	while (received(f) < least && g_get_monotonic_time() < deadline)
		g_usleep(1000);
	g_assert_cmpuint(received(f), >=, least);
}

static guint64 requests(Fixture *f)
{
	GssCounters counters;
	gss_client_counters(f->client, &counters);
	return counters.requests;
}

/* --- how much --- */

static void test_random(Fixture *f, const void *data)
{
	g_autofree char *path = place(f, "big");
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	g_assert_cmpint(ftruncate(fd, 1024 * MIB), ==, 0);
	close(fd);
	remount(f);
	CacheFile *file = open_there(f, "big", NULL);
	GRand *random = g_rand_new_with_seed(4);
	guint64 before = received(f);
	for (guint i = 0; i < 1000; i++) {
		g_autoptr(GError) error = NULL;
		guint64 block = g_rand_int_range(random, 0, 1024 * MIB / 4096);
		g_free(sync_read(file, block * 4096, 4096, &error));
		g_assert_no_error(error);
	}
	g_test_message("%" G_GUINT64_FORMAT " KiB for 1,000 reads of 4 KiB",
	               (received(f) - before) / KIB);
	g_assert_cmpuint(received(f) - before, <, 64 * MIB);
	g_rand_free(random);
	cache_file_release(file);
}

/* Ranges grow; what lies between pieces that are held is not asked for one by one. */
static void test_sequential(Fixture *f, const void *data)
{
	make_there(f, "big", 64 * MIB, 0);
	CacheFile *file = open_there(f, "big", NULL);
	for (guint64 at = 20 * MIB; at < 30 * MIB; at += 700 * KIB)
		assert_reads(file, at, 4 * KIB, 0);
	cache_file_release(file);
	file = open_there(f, "big", NULL);
	guint64 before = requests(f);
	for (guint64 at = 0; at < 64 * MIB; at += 128 * KIB)
		assert_reads(file, at, 128 * KIB, 0);
	g_test_message("%" G_GUINT64_FORMAT " requests for 64 MiB", requests(f) - before);
	g_assert_cmpuint(requests(f) - before, <=, 10);
	cache_file_release(file);
}

/* Two who read one file at different places both read ahead. */
static void test_two_readers(Fixture *f, const void *data)
{
	make_there(f, "big", 32 * MIB, 0);
	CacheFile *a = open_there(f, "big", NULL), *b = open_there(f, "big", NULL);
	guint64 before = requests(f);
	for (guint64 at = 0; at < 16 * MIB; at += 128 * KIB) {
		assert_reads(a, at, 128 * KIB, 0);
		assert_reads(b, 16 * MIB + at, 128 * KIB, 0);
	}
	g_test_message("%" G_GUINT64_FORMAT " requests for 32 MiB", requests(f) - before);
	g_assert_cmpuint(requests(f) - before, <=, 12);
	cache_file_release(a);
	cache_file_release(b);
}

/* --- a storage that ignores ranges --- */

static void test_no_ranges(Fixture *f, const void *data)
{
	control(f, "", "range=off");
	make_there(f, "one", 24 * MIB, 0);
	fill_there(f, "three", 24 * MIB, 2);
	fill_there(f, "four", 24 * MIB, 3);
	make_there(f, "two", 24 * MIB, 1);
	CacheFile *file = open_there(f, "one", NULL);
	guint64 before = received(f);
	/* The first range is answered with the whole; nobody asks for another part meanwhile. */
	for (guint64 at = 0; at < 24 * MIB; at += 128 * KIB)
		assert_reads(file, at, 128 * KIB, 0);
	cache_file_release(file);
	g_assert_cmpuint(received(f) - before, <, 25 * MIB);
	/* The next mount knows it, and asks once from the start. */
	remount(f);
	file = open_there(f, "two", NULL);
	before = received(f);
	assert_reads(file, 20 * MIB, 4 * KIB, 1);
	assert_reads(file, 1 * MIB, 4 * KIB, 1);
	assert_reads(file, 23 * MIB, 4 * KIB, 1);
	cache_file_release(file);
	g_assert_cmpuint(received(f) - before, <, 25 * MIB);
	/* And notices when the storage has learned it. */
	control(f, "", "range=on");
	file = open_there(f, "three", NULL);
	assert_reads(file, 20 * MIB, 4 * KIB, 2);
	cache_file_release(file);
	file = open_there(f, "four", NULL);
	before = received(f);
	assert_reads(file, 20 * MIB, 4 * KIB, 3);
	g_assert_cmpuint(received(f) - before, <, 1 * MIB);
	cache_file_release(file);
}

/* Nobody waits for more than their own bytes, though these come in pieces of any size. */
static void test_progress(Fixture *f, const void *data)
{
	guint64 half = MIB + 100 * KIB;
	make_there(f, "one", 2 * half, 0);
	CacheFile *file = open_there(f, "one", NULL);
	control(f, "/fault?method=GET&path=*one&hold=during", "");
	for (guint64 at = 0; at + 64 * KIB < half; at += 4 * KIB)
		assert_reads(file, at, 4 * KIB, 0);
	control(f, "/release", "");
	assert_reads(file, half, half, 0);
	cache_file_release(file);
}

/* A body that always breaks at the same place is given up, one that breaks once is not. */
static void test_cut(Fixture *f, const void *data)
{
	control(f, "", "range=off");
	fill_there(f, "two", 8 * MIB, 1);
	make_there(f, "one", 8 * MIB, 0);
	CacheFile *file = open_there(f, "one", NULL);
	control(f, "/fault?method=GET&path=*one&cut=during&times=3", "");
	assert_reads(file, 7 * MIB, 128 * KIB, 0);
	cache_file_release(file);
	file = open_there(f, "two", NULL);
	control(f, "/fault?method=GET&path=*two&cut=during&times=1000", "");
	assert_fails(file, 7 * MIB, EIO);
	assert_reads(file, 0, 128 * KIB, 1);
	control(f, "/reset", "");
	cache_file_release(file);
}

/* What was fetched serves the next mount. */
static void test_next_mount(Fixture *f, const void *data)
{
	make_there(f, "big", 16 * MIB, 0);
	CacheFile *file = open_there(f, "big", NULL);
	assert_reads(file, 8 * MIB, 64 * KIB, 0);
	cache_file_release(file);
	remount(f);
	file = open_there(f, "big", NULL);
	guint64 before = received(f);
	assert_reads(file, 8 * MIB, 64 * KIB, 0);
	g_assert_cmpuint(received(f) - before, <, 64 * KIB); /* answers of other kinds */
	cache_file_release(file);
}

/* --- which version --- */

static void replaced(Fixture *f)
{
	g_autofree char *path = place(f, "big");
	make_there(f, "big", 16 * MIB, 0);
	CacheFile *file = open_there(f, "big", NULL);
	assert_reads(file, 0, 64 * KIB, 0);
	fill_there(f, "big", 16 * MIB, 5);
	/* A date has seconds only. */
	const struct timespec past[2] = {{.tv_sec = 1500000000}, {.tv_sec = 1500000000}};
	g_assert_cmpint(utimensat(AT_FDCWD, path, past, 0), ==, 0);
	/* The other half of what was begun cannot be had, not now and not later. */
	assert_fails(file, 12 * MIB, ESTALE);
	assert_fails(file, 12 * MIB, ESTALE);
	CacheFile *anew = open_there(f, "big", NULL);
	assert_reads(anew, 0, 64 * KIB, 5);
	assert_reads(anew, 12 * MIB, 64 * KIB, 5);
	assert_fails(file, 0, ESTALE);
	cache_file_release(anew);
	cache_file_release(file);
}

static void test_replaced(Fixture *f, const void *data)
{
	control(f, "", "etag=on&last-modified=off");
	replaced(f);
}

static void test_replaced_dated(Fixture *f, const void *data)
{
	replaced(f);
}

static void test_shrunk(Fixture *f, const void *data)
{
	make_there(f, "big", 16 * MIB, 0);
	CacheFile *file = open_there(f, "big", NULL);
	assert_reads(file, 0, 64 * KIB, 0);
	fill_there(f, "big", 1 * MIB, 5);
	assert_fails(file, 12 * MIB, ESTALE);
	cache_file_release(file);
	CacheAttr attr;
	file = open_there(f, "big", &attr);
	g_assert_cmpuint(attr.size, ==, 1 * MIB);
	assert_reads(file, 0, 64 * KIB, 5);
	cache_file_release(file);
}

static void test_deleted(Fixture *f, const void *data)
{
	make_there(f, "big", 16 * MIB, 0);
	CacheFile *file = open_there(f, "big", NULL);
	assert_reads(file, 0, 64 * KIB, 0);
	g_autofree char *path = place(f, "big");
	g_assert_cmpint(unlink(path), ==, 0);
	assert_fails(file, 12 * MIB, ESTALE);
	cache_file_release(file);
}

/* Of a version that nobody has read a byte of nothing can be mixed. */
static void test_replaced_unread(Fixture *f, const void *data)
{
	make_there(f, "big", 8 * MIB, 0);
	CacheFile *file = open_there(f, "big", NULL);
	fill_there(f, "big", 9 * MIB, 5);
	assert_reads(file, 0, 64 * KIB, 5);
	assert_reads(file, 9 * MIB - 64 * KIB, 64 * KIB, 5);
	cache_file_release(file);
}

static void on_span(const CacheSpan *span, const GError *error, void *data)
{
	*(gssize *)data = span ? (gssize)span->length : -1;
}

/* Bytes that came only after the reader had looked are read all the same. */
static void test_came_meanwhile(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	make_there(f, "small", 64 * KIB, 0);
	CacheFile *file = open_there(f, "small", &attr);
	assert_reads(file, 0, 64 * KIB, 0);
	g_mutex_lock(&f->cache->lock);
	CacheNode *node = cache_node_get_locked(f->cache, attr.id, &error);
	CacheContent *content = cache_content_open_locked(f->cache, node, &error);
	node->read = false; /* as it was when the reader looked */
	CacheWanted wanted = {.lineage = node->lineage};
	g_mutex_unlock(&f->cache->lock);
	for (guint64 end = 0; end <= 4096; end += 4096) {
		gssize length = -1;
		wanted.end = end;
		cache_fetch_read(f->cache, node, content, 64 * KIB, &wanted, on_span, &length);
		g_assert_cmpint(length, ==, end);
		g_assert_cmpint(node->read, ==, end > 0);
	}
	cache_content_put(content);
	g_mutex_lock(&f->cache->lock);
	cache_node_put_locked(f->cache, node);
	g_mutex_unlock(&f->cache->lock);
	cache_file_release(file);
}

/* Who writes into what somebody has replaced would make a third version that nobody meant. */
static void test_replaced_written(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	control(f, "", "etag=on");
	make_there(f, "big", 1 * MIB, 0);
	CacheFile *file = open_there(f, "big", &attr);
	CacheFile *writer = sync_open(f->cache, attr.id, O_RDWR, &error);
	CacheFile *appender = sync_open(f->cache, attr.id, O_WRONLY | O_APPEND, &error);
	g_assert_no_error(error);
	assert_reads(file, 0, 64 * KIB, 0);
	fill_there(f, "big", 2 * MIB, 5);
	CacheFile *anew = sync_open(f->cache, attr.id, O_RDONLY, &error);
	for (int i = 0;
	     i < 300 && sync_getattr(f->cache, attr.id, &attr, NULL) && attr.size != 2 * MIB; i++)
		g_usleep(20000);
	g_assert_cmpuint(attr.size, ==, 2 * MIB);
	g_assert_false(sync_write(writer, 10, "x", 1, &error));
	g_assert_error(error, CACHE_ERROR, ESTALE);
	g_clear_error(&error);
	g_assert_true(sync_write(appender, 2 * MIB, "x", 1, &error));
	cache_file_release(writer);
	cache_file_release(appender);
	cache_file_release(file);
	cache_file_release(anew);
	drain(f);
}

/* What is being written is not written over by what a download brings of it. */
static void test_written_while_it_comes(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	CacheSpan span;
	make_there(f, "big", 1 * MIB, 0);
	CacheFile *reader = open_there(f, "big", &attr);
	CacheFile *writer = sync_open(f->cache, attr.id, O_RDWR, &error);
	g_assert_no_error(error);
	g_autofree char *ours = g_strnfill(4 * KIB, '#');
	g_assert_true(cache_file_write_begin(writer, 4 * KIB, 4 * KIB, false, &span, &error));
	g_assert_cmpint(pwrite(span.fd, ours, 4 * KIB, 4 * KIB), ==, 4 * KIB);
	/* All around it. */
	assert_reads(reader, 0, 4 * KIB, 0);
	assert_reads(reader, 8 * KIB, 64 * KIB, 0);
	cache_file_write_end(writer, &span, 4 * KIB, 0);
	g_autofree char *text = sync_read(reader, 4 * KIB, 4 * KIB, &error);
	g_assert_cmpstr(text, ==, ours);
	cache_file_release(reader);
	close_file(writer);
	drain(f);
	g_autofree char *path = place(f, "big"), *bytes = NULL;
	gsize length;
	g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
	g_assert_cmpuint(length, ==, 1 * MIB);
	for (gsize i = 0; i < length; i++)
		g_assert_cmpint(bytes[i], ==, i / (4 * KIB) == 1 ? '#' : byte_at(i, 0));
}

/* --- files that grow --- */

static void await_size(Fixture *f, CacheId id, guint64 size)
{
	CacheAttr attr = {0};
	gint64 deadline = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;
	while (attr.size != size && g_get_monotonic_time() < deadline) {
		g_autoptr(GError) error = NULL;
		g_assert_true(sync_getattr(f->cache, id, &attr, &error));
		g_assert_no_error(error);
		g_usleep(20000);
	}
	g_assert_cmpuint(attr.size, ==, size);
}

static void grow(Fixture *f, const char *switches, guint64 most)
{
	control(f, "", switches);
	make_there(f, "log", 8 * MIB, 0);
	CacheAttr attr;
	CacheFile *file = open_there(f, "log", &attr);
	guint64 before = received(f);
	for (guint64 at = 0; at < 8 * MIB; at += 128 * KIB)
		assert_reads(file, at, 128 * KIB, 0);
	await_received(f, before + 8 * MIB);
	before = received(f);
	append_there(f, "log", 8 * MIB, 8 * MIB + 100, 0);
	await_size(f, attr.id, 8 * MIB + 100);
	assert_reads(file, 8 * MIB, 100, 0);
	append_there(f, "log", 8 * MIB + 100, 9 * MIB, 0);
	await_size(f, attr.id, 9 * MIB);
	for (guint64 at = 0; at < 9 * MIB; at += 128 * KIB)
		assert_reads(file, at, 128 * KIB, 0);
	g_test_message("%" G_GUINT64_FORMAT " KiB for 1 MiB that was added",
	               (received(f) - before) / KIB);
	g_assert_cmpuint(received(f) - before, <, most);
	cache_file_release(file);
	/* The next mount compares as well. */
	remount(f);
	append_there(f, "log", 9 * MIB, 9 * MIB + 100, 0);
	before = received(f);
	file = open_there(f, "log", NULL);
	assert_reads(file, 0, 64 * KIB, 0);
	assert_reads(file, 9 * MIB, 100, 0);
	g_assert_cmpuint(received(f) - before, <, most);
	cache_file_release(file);
}

static void test_grown(Fixture *f, const void *data)
{
	grow(f, "range=on", 2 * MIB);
}

static void test_grown_no_ranges(Fixture *f, const void *data)
{
	grow(f, "range=off", 40 * MIB);
}

/* Longer, and not the same before its old end. */
static void replace_longer(Fixture *f, guint64 read, guint64 differs)
{
	make_there(f, "log", 8 * MIB, 0);
	CacheAttr attr;
	CacheFile *file = open_there(f, "log", &attr);
	for (guint64 at = 0; at < read; at += 128 * KIB)
		assert_reads(file, at, 128 * KIB, 0);
	append_there(f, "log", differs, 9 * MIB, 5);
	await_size(f, attr.id, 9 * MIB);
	assert_fails(file, 0, ESTALE);
	cache_file_release(file);
	file = open_there(f, "log", NULL);
	assert_reads(file, differs, 64 * KIB, 5);
	assert_reads(file, 9 * MIB - 64 * KIB, 64 * KIB, 5);
	cache_file_release(file);
}

static void test_longer_other_end(Fixture *f, const void *data)
{
	replace_longer(f, 8 * MIB, 8 * MIB - 1);
}

static void test_longer_other_beginning(Fixture *f, const void *data)
{
	g_autofree char *path = place(f, "log");
	make_there(f, "log", 8 * MIB, 0);
	CacheAttr attr;
	CacheFile *file = open_there(f, "log", &attr);
	for (guint64 at = 0; at < 8 * MIB; at += 128 * KIB)
		assert_reads(file, at, 128 * KIB, 0);
	append_there(f, "log", 8 * MIB, 9 * MIB, 0);
	int fd = open(path, O_WRONLY);
	g_assert_cmpint(pwrite(fd, "#", 1, 100), ==, 1);
	close(fd);
	await_size(f, attr.id, 9 * MIB);
	assert_fails(file, 4 * MIB, ESTALE);
	cache_file_release(file);
}

/* Zeros say nothing: many files end in them. */
static void test_longer_zeros(Fixture *f, const void *data)
{
	g_autofree char *path = place(f, "disk");
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	g_assert_cmpint(ftruncate(fd, 1 * MIB), ==, 0);
	remount(f);
	CacheAttr attr;
	CacheFile *file = open_there(f, "disk", &attr);
	g_autoptr(GError) error = NULL;
	for (guint64 at = 0; at < 1 * MIB; at += 128 * KIB)
		g_free(sync_read(file, at, 128 * KIB, &error));
	g_assert_no_error(error);
	g_assert_cmpint(ftruncate(fd, 2 * MIB), ==, 0);
	g_assert_cmpint(pwrite(fd, "#", 1, 512 * KIB), ==, 1);
	close(fd);
	await_size(f, attr.id, 2 * MIB);
	assert_fails(file, 512 * KIB, ESTALE);
	cache_file_release(file);
}

/* It grows under a reader who has the beginning only. */
static void test_grows_while_read(Fixture *f, const void *data)
{
	make_there(f, "log", 16 * MIB, 0);
	CacheFile *file = open_there(f, "log", NULL);
	guint64 size = 16 * MIB;
	for (guint64 at = 0; at < 16 * MIB; at += 128 * KIB) {
		if (at % (2 * MIB) == 0) {
			append_there(f, "log", size, size + 1000, 0);
			size += 1000;
		}
		assert_reads(file, at, 128 * KIB, 0);
	}
	cache_file_release(file);
}

typedef struct {
	CacheFile *file;
	guint64 offset;
} Piece;

static void *read_piece(void *data)
{
	const Piece *piece = data;
	assert_reads(piece->file, piece->offset, 4 * KIB, 0);
	return NULL;
}

/* GSS takes its time to tell what has become of a file that grew, and more and more readers come:
 * they wait for that answer, and do not find the same out each for themselves. */
static void test_grown_many_readers(Fixture *f, const void *data)
{
	make_there(f, "log", 16 * MIB, 0);
	CacheFile *file = open_there(f, "log", NULL);
	assert_reads(file, 0, 128 * KIB, 0);
	append_there(f, "log", 16 * MIB, 16 * MIB + 1000, 0);
	control(f, "/fault?method=HEAD&path=*log&hold=before", "");
	guint64 before = requests(f);
	Piece pieces[16];
	GThread *threads[G_N_ELEMENTS(pieces)];
	for (guint i = 0; i < G_N_ELEMENTS(pieces); i++) {
		pieces[i] = (Piece){file, (15 - i / 2) * MIB};
		threads[i] = g_thread_new("reader", read_piece, &pieces[i]);
		g_usleep(20000);
	}
	g_assert_cmpuint(requests(f) - before, <=, 3);
	control(f, "/release", "");
	for (guint i = 0; i < G_N_ELEMENTS(pieces); i++)
		g_thread_join(threads[i]);
	cache_file_release(file);
}

/* --- the kernel is told --- */

typedef struct {
	void (*ready)(void *request);
	void *request;
} Told;

static void on_told(CacheId id, void (*ready)(void *request), void *request, void *data)
{
	Told *told = g_new(Told, 1);
	*told = (Told){ready, request};
	g_async_queue_push(data, told);
}

static void on_opened(CacheFile *file, bool keep, const GError *error, void *data)
{
	g_assert_no_error(error);
	g_atomic_pointer_set((CacheFile **)data, file);
}

/* The second comes when the other version is known here, and the kernel has not heard of it yet. */
static void test_opened_before_it_was_told(Fixture *f, const void *data)
{
	g_autoptr(GAsyncQueue) waiting = g_async_queue_new();
	CacheFile *opened[2] = {NULL, NULL};
	Told kept[2];
	CacheAttr attr;
	make_there(f, "a", 100, 1);
	CacheFile *held = open_there(f, "a", &attr);
	assert_reads(held, 0, 100, 1);
	fill_there(f, "a", 50, 2);
	cache_refresh(f->cache, 0);
	f->cache->notify = (CacheNotify){.settled = on_told, .data = waiting};
	for (guint i = 0; i < 2; i++) {
		cache_file_open(f->cache, attr.id, O_RDONLY, on_opened, &opened[i]);
		g_autofree Told *told = g_async_queue_timeout_pop(waiting, 30 * G_USEC_PER_SEC);
		g_assert_nonnull(told);
		g_assert_null(g_atomic_pointer_get(&opened[i]));
		kept[i] = *told;
	}
	for (guint i = 0; i < 2; i++)
		kept[i].ready(kept[i].request);
	for (guint i = 0; i < 2; i++) {
		assert_reads(opened[i], 0, 50, 2);
		close_file(opened[i]);
	}
	close_file(held);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_FATAL_MASK);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	world_init(argv[1]);
	ADD("read/random", test_random);
	ADD("read/sequential", test_sequential);
	ADD("read/two-readers", test_two_readers);
	ADD("read/no-ranges", test_no_ranges);
	ADD("read/progress", test_progress);
	ADD("read/cut", test_cut);
	ADD("read/next-mount", test_next_mount);
	ADD("read/replaced", test_replaced);
	ADD("read/replaced-dated", test_replaced_dated);
	ADD("read/shrunk", test_shrunk);
	ADD("read/deleted", test_deleted);
	ADD("read/replaced-unread", test_replaced_unread);
	ADD("read/came-meanwhile", test_came_meanwhile);
	ADD("read/replaced-written", test_replaced_written);
	ADD("read/written-while-it-comes", test_written_while_it_comes);
	ADD("read/grown", test_grown);
	ADD("read/grown-no-ranges", test_grown_no_ranges);
	ADD("read/longer-other-end", test_longer_other_end);
	ADD("read/longer-other-beginning", test_longer_other_beginning);
	ADD("read/longer-zeros", test_longer_zeros);
	ADD("read/grows-while-read", test_grows_while_read);
	ADD("read/grown-many-readers", test_grown_many_readers);
	ADD("read/opened-before-it-was-told", test_opened_before_it_was_told);
	return g_test_run();
}
