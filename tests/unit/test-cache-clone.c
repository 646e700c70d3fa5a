/* test-cache-clone.c - a content that changes while it is sent: the upload goes on from what it
 * was, and the node with a clone, or both begin anew. Against gss-local, whose path is the first
 * argument. */
#include "test-cache-world.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cache/private.h"
#include "cache/upload.h"

typedef struct {
	Fixture *f;
	CacheId id;
} Publishing;

static void *publish(void *data)
{
	Publishing *publishing = data;
	g_autoptr(GError) error = NULL;
	g_free(sync_publish(publishing->f->cache, publishing->id, &error));
	g_assert_no_error(error);
	return NULL;
}

static void await_publisher(Fixture *f, CacheId id)
{
	for (bool waits = false; !waits; g_usleep(1000)) {
		g_mutex_lock(&f->cache->lock);
		CacheNode *node = g_hash_table_lookup(f->cache->nodes, &id);
		waits = node->publishers != NULL;
		g_mutex_unlock(&f->cache->lock);
	}
}

/* Somebody waits for a file that ends in a hole, and it is written to: the upload goes on from what
 * it was, and the node with a clone. */
static void test_clone_of_holes(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	const guint64 size = 3 * 1024 * 1024;
	CacheId id = make(f, "f", "");
	drain(f);
	control(f, "/fault?method=PUT&path=*/f&hold=before", "");
	CacheFile *file = open_file(f, id, O_WRONLY);
	put(file, 1000, "data");
	g_assert_true(sync_truncate(f->cache, id, size, &error));
	close_file(file);
	Publishing publishing = {f, id};
	GThread *thread = g_thread_new("publish", publish, &publishing);
	await_counter(f, "held", 1);
	await_publisher(f, id);
	file = open_file(f, id, O_WRONLY);
	put(file, 2000, "more");
	close_file(file);
	control(f, "/release", "");
	g_thread_join(thread);
	drain(f);
	g_autofree char *path = place(f, "f"), *bytes = NULL, *expected = g_malloc0(size);
	gsize length = 0;
	memcpy(expected + 1000, "data", 4);
	memcpy(expected + 2000, "more", 4);
	g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
	g_assert_cmpmem(bytes, length, expected, size);
}

static void ignore(const CachePublished *published, const GError *error, void *data)
{
}

/* Killed while an older generation is sent, for which somebody waits, and the newer one is in a
 * blob of its own: of the older one nothing is left, also if another file took the name. */
static void killed_while_an_older_is_sent(Fixture *f, bool replaced)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *big = g_strnfill(24 * 1024 * 1024, 'x'); /* more than sockets hold */
	CacheId id = make(f, "f", "");
	drain(f);
	control(f, "/fault?method=PUT&path=*/f&hold=before", "");
	rewrite(f, id, big);
	cache_publish(f->cache, id, ignore, NULL);
	await_counter(f, "held", 1);
	CacheFile *file = open_file(f, id, O_WRONLY);
	put(file, 0, "new");
	g_assert_true(cache_file_flush(file, &error));
	if (replaced) {
		make(f, "g", "another");
		move(f, "g", "f");
	}
	kill_cache(f, file);
	control(f, "/release", "");
	g_autofree char *path = g_build_filename(f->cache->path, "quarantine", NULL);
	g_autoptr(GDir) quarantine = g_dir_open(path, 0, NULL);
	g_assert_cmpstr(quarantine ? g_dir_read_name(quarantine) : NULL, ==, NULL);
	drain(f);
	assert_there(f, "f", replaced ? "another" : memcpy(big, "new", 3));
}

static void test_killed_while_an_older_is_sent(Fixture *f, const void *data)
{
	killed_while_an_older_is_sent(f, false);
}

static void test_replaced_while_an_older_is_sent(Fixture *f, const void *data)
{
	killed_while_an_older_is_sent(f, true);
}

/* --- what happens while a content is read --- */

static struct {
	Fixture *f;
	CacheId id;
	guint64 size;
	gint left;
} changing;

static void change_all(void)
{
	g_autofree char *text = g_strnfill(changing.size, 'n');
	CacheFile *file = open_file(changing.f, changing.id, O_WRONLY);
	put(file, 0, text);
	close_file(file);
}

/* In place of the library's. */
ssize_t pread(int fd, void *buffer, size_t size, off_t offset)
{
	bool last = offset > 0 && (guint64)offset + size >= changing.size;
	if (last && g_atomic_int_compare_and_exchange(&changing.left, 1, 0))
		change_all();
	return syscall(SYS_pread64, fd, buffer, size, offset);
}

/* Changed when all but its end was read, and while that is: GSS never has the one half of the old
 * and the other of the new content. */
static void test_changed_while_it_is_read(Fixture *f, const void *data)
{
	const guint64 size = 2 * 1024 * 1024;
	g_autofree char *old = g_strnfill(size, 'o'), *new = g_strnfill(size, 'n');
	CacheId id = make(f, "f", "");
	drain(f);
	control(f, "/fault?method=PUT&path=*/f&hold=after&times=2", "");
	changing.f = f;
	changing.id = id;
	changing.size = size;
	g_atomic_int_set(&changing.left, 1);
	rewrite(f, id, old);
	await_counter(f, "held", 1); /* what has come whole */
	g_assert_cmpint(g_atomic_int_get(&changing.left), ==, 0);
	assert_there(f, "f", new);
	g_assert_cmpint(counter(f, "rest.PUT"), ==, 2);
	control(f, "/release", "");
	drain(f);
	assert_there(f, "f", new);
}

/* --- what happens while a content is copied --- */

static Publishing copying;
static gint copies_left;

/* The upload ends, a teammate replaces the file, and somebody looks. */
static void replace_meanwhile(void)
{
	Fixture *f = copying.f;
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	control(f, "/release", "");
	for (bool busy = true; busy; g_usleep(10000)) {
		g_mutex_lock(&f->cache->lock);
		CacheNode *node = g_hash_table_lookup(f->cache->nodes, &copying.id);
		busy = node->job != NULL;
		node->attr_until = 0;
		g_mutex_unlock(&f->cache->lock);
	}
	put_there(f, "f", "a teammate's");
	g_assert_true(sync_getattr(f->cache, copying.id, &attr, &error));
	g_assert_cmpuint(attr.size, ==, strlen("a teammate's"));
}

/* In place of the library's. */
ssize_t copy_file_range(int from, off_t *in, int to, off_t *out, size_t length, unsigned flags)
{
	if (g_atomic_int_compare_and_exchange(&copies_left, 1, 0))
		replace_meanwhile();
	return syscall(SYS_copy_file_range, from, in, to, out, length, flags);
}

static void test_replaced_while_cloned(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *big = g_strnfill(24 * 1024 * 1024, 'x'); /* more than sockets hold */
	CacheId id = make(f, "f", "");
	drain(f);
	control(f, "/fault?method=PUT&path=*/f&hold=before", "");
	rewrite(f, id, big);
	copying = (Publishing){f, id};
	GThread *thread = g_thread_new("publish", publish, &copying);
	await_counter(f, "held", 1);
	await_publisher(f, id);
	CacheFile *file = open_file(f, id, O_RDWR);
	g_atomic_int_set(&copies_left, 1);
	g_assert_false(sync_write(file, 0, "mine", 4, &error));
	g_assert_error(error, CACHE_ERROR, ESTALE);
	cache_file_flush(file, NULL);
	cache_file_release(file);
	g_thread_join(thread);
	drain(f);
	assert_there(f, "f", "a teammate's");
	g_autofree char *text = content(f, "f");
	g_assert_cmpstr(text, ==, "a teammate's");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_FATAL_MASK); /* a warning is an outcome here, not a failure */
	curl_global_init(CURL_GLOBAL_DEFAULT);
	world_init(argv[1]);
	ADD("clone/clone-of-holes", test_clone_of_holes);
	ADD("clone/killed-while-an-older-is-sent", test_killed_while_an_older_is_sent);
	ADD("clone/replaced-while-an-older-is-sent", test_replaced_while_an_older_is_sent);
	ADD("clone/changed-while-it-is-read", test_changed_while_it_is_read);
	ADD("clone/replaced-while-cloned", test_replaced_while_cloned);
	return g_test_run();
}
