/* test-cache-publish.c - waiting for an upload: whose turn it is, and for how long. Against
 * gss-local, whose path is the first argument. */
#include "test-cache-world.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cache/private.h"
#include "test-deadline.h"

#define LARGE (12 * 1024 * 1024)
#define PATIENCE_US (1500 * G_TIME_SPAN_MILLISECOND)

typedef struct {
	GMutex lock;
	GCond cond;
	bool done;
	int code;
	char *uri;
	guint64 generation, size;
	gint64 at; /* monotonic us */
} Answer;

static void note(Answer *answer, const GError *error)
{
	g_mutex_lock(&answer->lock);
	answer->code = error ? error->code : 0;
	answer->at = g_get_monotonic_time();
	answer->done = true;
	g_cond_signal(&answer->cond);
	g_mutex_unlock(&answer->lock);
}

static void on_published(const CachePublished *published, const GError *error, void *data)
{
	Answer *answer = data;
	g_assert_true((published == NULL) == (error != NULL));
	if (published) {
		answer->uri = g_strdup(published->uri);
		answer->generation = published->generation;
		answer->size = published->size;
	}
	note(answer, error);
}

static void on_synced(const GError *error, void *data)
{
	note(data, error);
}

static int await(Answer *answer)
{
	g_mutex_lock(&answer->lock);
	gint64 deadline = test_deadline();
	while (!answer->done)
		g_assert_true(g_cond_wait_until(&answer->cond, &answer->lock, deadline));
	g_mutex_unlock(&answer->lock);
	g_free(answer->uri);
	return answer->code;
}

/* As many as go on side by side, each of some seconds; and one more that has to wait. */
static CacheId fill_the_lane(Fixture *f, const char *last)
{
	g_autofree char *big = g_strnfill(LARGE, 'x');
	f->cache->patience = PATIENCE_US;
	control(f, "", "bandwidth=3000000");
	for (int i = 0; i < 4; i++) {
		g_autofree char *name = g_strdup_printf("before %d", i);
		make(f, name, big);
	}
	await_counter(f, "rest.POST", 4);
	return make(f, last, big);
}

static void test_turn(Fixture *f, const void *data)
{
	Answer published = {0}, synced = {0};
	fill_the_lane(f, "nobody");
	g_autofree char *big = g_strnfill(LARGE, 'x');
	for (int i = 0; i < 5; i++) {
		g_autofree char *name = g_strdup_printf("nobody either %d", i);
		make(f, name, big);
	}
	CacheId id = make(f, "waited-for", big);
	CacheId other = make(f, "waited-for too", big);
	gint64 began = g_get_monotonic_time();
	cache_publish(f->cache, id, on_published, &published);
	cache_fsync(f->cache, other, on_synced, &synced);
	g_assert_cmpint(await(&published), ==, 0);
	g_assert_cmpint(published.at - began, >, PATIENCE_US);
	g_assert_cmpint(await(&synced), ==, 0);
	/* Those for which nobody waits came after them. */
	CachePending pending;
	cache_pending(f->cache, &pending);
	g_assert_cmpuint(pending.files, >=, 2);
	control(f, "", "bandwidth=0");
	drain(f);
}

/* Who holds no lock waits for as long as anything moves; who does, until his own file is stuck. */
static void test_patience(Fixture *f, const void *data)
{
	Answer published = {0}, synced = {0};
	f->cache->patience = PATIENCE_US;
	control(f, "/fault?method=POST&path=*stuck&hold=before", "");
	CacheId id = make(f, "stuck", "x");
	await_counter(f, "held", 1);
	fill_the_lane(f, "nobody");
	gint64 began = g_get_monotonic_time();
	cache_publish(f->cache, id, on_published, &published);
	cache_fsync(f->cache, id, on_synced, &synced);
	g_assert_cmpint(await(&synced), ==, ETIMEDOUT);
	g_assert_cmpint(synced.at - began, <, 2 * PATIENCE_US);
	g_assert_cmpint(await(&published), ==, ETIMEDOUT);
	g_assert_cmpint(published.at - began, >, 2 * PATIENCE_US);
	control(f, "", "bandwidth=0");
	control(f, "/release", "");
	drain(f);
}

/* What fails again and again moves each time, and gets nowhere. */
static void test_in_vain(Fixture *f, const void *data)
{
	Answer synced = {0}, again = {0};
	g_autofree char *big = g_strnfill(LARGE, 'x');
	f->cache->patience = PATIENCE_US;
	control(f, "", "bandwidth=3000000");
	CacheId id = make(f, "f", big);
	cache_fsync(f->cache, id, on_synced, &synced);
	g_mutex_lock(&f->cache->lock);
	CacheNode *node = g_hash_table_lookup(f->cache->nodes, &id);
	node->failures = 6;
	g_mutex_unlock(&f->cache->lock);
	g_assert_cmpint(await(&synced), ==, ETIMEDOUT);
	/* Who begins to wait only now has seen none of that. */
	cache_fsync(f->cache, id, on_synced, &again);
	g_assert_cmpint(await(&again), ==, 0);
	control(f, "", "bandwidth=0");
}

/* A change in the middle: the rest comes from GSS first. */
static void test_fetched_first(Fixture *f, const void *data)
{
	Answer synced = {0};
	g_autofree char *big = g_strnfill(LARGE, 'x'), *path = place(f, "f");
	put_and_restart(f, "f", big);
	f->cache->patience = PATIENCE_US;
	control(f, "", "bandwidth=3000000");
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	g_assert_true(sync_lookup(f->cache, f->home, "f", &attr, &error));
	CacheFile *file = sync_open(f->cache, attr.id, O_WRONLY, &error);
	g_assert_no_error(error);
	g_assert_true(sync_write(file, LARGE / 2, "change", 6, &error));
	g_assert_true(cache_file_flush(file, &error));
	cache_file_release(file);
	cache_fsync(f->cache, attr.id, on_synced, &synced);
	g_assert_cmpint(await(&synced), ==, 0);
	control(f, "", "bandwidth=0");
	g_autofree char *there = NULL;
	gsize length = 0;
	memcpy(big + LARGE / 2, "change", 6);
	g_assert_true(g_file_get_contents(path, &there, &length, NULL));
	g_assert_cmpmem(there, length, big, LARGE);
}

/* What has arrived, and not what was written since. */
static void test_what_arrived(Fixture *f, const void *data)
{
	Answer first = {0}, clean = {0};
	control(f, "/fault?method=POST&path=*&hold=before", "");
	CacheId id = make(f, "file", "first");
	await_counter(f, "held", 1);
	guint64 generation = cache_generation(f->cache, id);
	cache_publish(f->cache, id, on_published, &first);
	rewrite(f, id, "second, longer");
	control(f, "/release", "");
	g_assert_cmpint(await(&first), ==, 0);
	g_assert_cmpuint(first.generation, ==, generation);
	g_assert_cmpuint(first.size, ==, strlen("first"));
	drain(f);
	cache_publish(f->cache, id, on_published, &clean);
	g_assert_cmpint(await(&clean), ==, 0);
	g_assert_cmpuint(clean.generation, ==, cache_generation(f->cache, id));
	g_assert_cmpuint(clean.size, ==, strlen("second, longer"));
}

static bool is_done(Answer *answer)
{
	g_mutex_lock(&answer->lock);
	bool done = answer->done;
	g_mutex_unlock(&answer->lock);
	return done;
}

/* What arrives is older than what is waited for. */
static void test_older_arrives(Fixture *f, const void *data)
{
	Answer synced = {0};
	control(f, "/fault?method=POST&path=*/file&hold=after", "");
	control(f, "/fault?method=PUT&path=*/file&hold=before", "");
	CacheId id = make(f, "file", "first");
	await_counter(f, "held", 1);
	rewrite(f, id, "second, longer");
	cache_fsync(f->cache, id, on_synced, &synced);
	control(f, "/release", "");
	await_counter(f, "held", 2);
	assert_there(f, "file", "first");
	g_assert_false(is_done(&synced));
	control(f, "/release", "");
	g_assert_cmpint(await(&synced), ==, 0);
	assert_there(f, "file", "second, longer");
}

/* Somebody waits for a file while another program is in the midst of a write to it. */
static void half_written(Fixture *f, bool flushed)
{
	g_autoptr(GError) error = NULL;
	Answer synced = {0};
	CacheSpan span;
	CacheAttr attr;
	CacheFile *file = sync_create(f->cache, f->home, "file", &attr, &error);
	g_assert_no_error(error);
	put(file, 0, "first");
	if (flushed)
		g_assert_true(cache_file_flush(file, &error));
	g_assert_true(cache_file_write_begin(file, 0, 5, false, &span, &error));
	g_assert_cmpint(pwrite(span.fd, "se", 2, 0), ==, 2);
	cache_fsync(f->cache, attr.id, on_synced, &synced);
	for (int i = 0; i < 30 && !counter(f, "rest.POST"); i++)
		g_usleep(10000);
	g_assert_cmpint(counter(f, "rest.POST"), ==, 0);
	g_assert_cmpint(pwrite(span.fd, "con", 3, 2), ==, 3);
	cache_file_write_end(file, &span, 5, 0);
	g_assert_cmpint(await(&synced), ==, 0);
	assert_there(f, "file", "secon");
	close_file(file);
	drain(f);
}

static void test_half_written(Fixture *f, const void *data)
{
	half_written(f, false);
}

/* What it had written before is journaled. */
static void test_half_written_over(Fixture *f, const void *data)
{
	half_written(f, true);
}

static void on_drained(const GError *error, void *data)
{
	g_assert_no_error(error);
	g_atomic_int_set((gint *)data, 1);
}

/* Who waits for all is told also when what was left is removed. */
static void test_drained_by_removal(Fixture *f, const void *data)
{
	gint drained = 0;
	CacheId id = make(f, "f", "content");
	drain(f);
	CacheFile *file = open_file(f, id, O_WRONLY); /* nothing is sent until it is closed */
	put(file, 0, "C");
	cache_drain(f->cache, on_drained, &drained);
	g_assert_cmpint(g_atomic_int_get(&drained), ==, 0);
	delete (f, "f");
	for (int i = 0; !g_atomic_int_get(&drained) && i < 1000; i++)
		g_usleep(10000);
	g_assert_cmpint(g_atomic_int_get(&drained), ==, 1);
	close_file(file);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	world_init(argv[1]);
	ADD("publish/turn", test_turn);
	ADD("publish/patience", test_patience);
	ADD("publish/in-vain", test_in_vain);
	ADD("publish/fetched-first", test_fetched_first);
	ADD("publish/what-arrived", test_what_arrived);
	ADD("publish/older-arrives", test_older_arrives);
	ADD("publish/half-written", test_half_written);
	ADD("publish/half-written-over", test_half_written_over);
	ADD("publish/drained-by-removal", test_drained_by_removal);
	return g_test_run();
}
