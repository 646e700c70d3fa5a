/* test-cache-durable.c - what the journal says has reached the disk, has. Against gss-local, whose
 * path is the first argument. */
#include "cache/private.h"
#include "test-cache-world.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
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

int fdatasync(int fd)
{
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
} Wait;

static void on_synced(Cache *cache, const GError *error, void *data)
{
	Wait *wait = data;
	g_assert_no_error(error);
	g_mutex_lock(&wait->lock);
	wait->done = true;
	g_cond_signal(&wait->cond);
	g_mutex_unlock(&wait->lock);
}

static void bring_to_the_disk(Fixture *f, CacheContent *content)
{
	Wait wait = {0};
	cache_syncer_sync(f->cache, content, on_synced, &wait);
	g_mutex_lock(&wait.lock);
	while (!wait.done)
		g_cond_wait(&wait.cond, &wait.lock);
	g_mutex_unlock(&wait.lock);
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
	/* What is written next is so, too. */
	bring_to_the_disk(f, content);
	g_assert_true(is_durable(f, blob));
	g_assert_true(sync_write(file, 1, "y", 1, &error));
	g_assert_false(is_durable(f, blob));
	cache_content_put(content);
	cache_file_release(file);
	drain(f);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_FATAL_MASK);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	world_init(argv[1]);
	ADD("durable/fetched-meanwhile", test_fetched_meanwhile);
	ADD("durable/fetched-later", test_fetched_later);
	return g_test_run();
}
