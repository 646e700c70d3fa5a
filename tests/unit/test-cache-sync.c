#include "test-cache-sync.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test-deadline.h"

typedef struct {
	GMutex lock;
	GCond cond;
	bool done;
	GError *error;
	CacheAttr attr;
	CacheId id;
	CacheFile *file;
	CacheListing *listing;
	char *text;
} Wait;

static void finish(Wait *wait, const GError *error)
{
	g_mutex_lock(&wait->lock);
	g_assert_false(wait->done);
	wait->error = error ? g_error_copy(error) : NULL;
	wait->done = true;
	g_cond_signal(&wait->cond);
	g_mutex_unlock(&wait->lock);
}

static bool await(Wait *wait, GError **error)
{
	g_mutex_lock(&wait->lock);
	gint64 deadline = test_deadline();
	while (!wait->done)
		g_assert_true(g_cond_wait_until(&wait->cond, &wait->lock, deadline));
	g_mutex_unlock(&wait->lock);
	bool ok = !wait->error;
	if (!ok)
		g_propagate_error(error, wait->error);
	return ok;
}

static void on_attr(const CacheAttr *attr, const GError *error, void *data)
{
	Wait *wait = data;
	if (attr)
		wait->attr = *attr;
	finish(wait, error);
}

static void on_done(const GError *error, void *data)
{
	finish(data, error);
}

static void on_root(CacheId id, bool known, const GError *error, void *data)
{
	((Wait *)data)->id = id;
	finish(data, error);
}

static bool keep_attr(Wait *wait, CacheAttr *ret, GError **error)
{
	bool ok = await(wait, error);
	if (ok && ret)
		*ret = wait->attr;
	return ok;
}

bool sync_root(Cache *cache, const char *uri, CacheId *ret, GError **error)
{
	Wait wait = {0};
	cache_root(cache, uri, on_root, &wait);
	bool ok = await(&wait, error);
	if (ok)
		*ret = wait.id;
	return ok;
}

bool sync_lookup(Cache *cache, CacheId parent, const char *name, CacheAttr *ret, GError **error)
{
	Wait wait = {0};
	cache_lookup(cache, parent, name, on_attr, &wait);
	return keep_attr(&wait, ret, error);
}

bool sync_getattr(Cache *cache, CacheId id, CacheAttr *ret, GError **error)
{
	Wait wait = {0};
	cache_getattr(cache, id, on_attr, &wait);
	return keep_attr(&wait, ret, error);
}

bool sync_truncate(Cache *cache, CacheId id, guint64 size, GError **error)
{
	Wait wait = {0};
	CacheAttr attr = {.size = size};
	cache_setattr(cache, id, CACHE_SET_SIZE, &attr, on_attr, &wait);
	return await(&wait, error);
}

bool sync_mkdir(Cache *cache, CacheId parent, const char *name, CacheAttr *ret, GError **error)
{
	Wait wait = {0};
	cache_mkdir(cache, parent, name, 0755, on_attr, &wait);
	return keep_attr(&wait, ret, error);
}

bool sync_rmdir(Cache *cache, CacheId parent, const char *name, GError **error)
{
	Wait wait = {0};
	cache_rmdir(cache, parent, name, on_done, &wait);
	return await(&wait, error);
}

bool sync_unlink(Cache *cache, CacheId parent, const char *name, GError **error)
{
	Wait wait = {0};
	cache_unlink(cache, parent, name, on_done, &wait);
	return await(&wait, error);
}

bool sync_rename(Cache *cache, CacheId parent, const char *name, CacheId new_parent,
                 const char *new_name, GError **error)
{
	Wait wait = {0};
	cache_rename(cache, parent, name, new_parent, new_name, 0, on_done, &wait);
	return await(&wait, error);
}

static void on_listing(CacheListing *listing, const GError *error, void *data)
{
	((Wait *)data)->listing = listing;
	finish(data, error);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *sync_names(Cache *cache, CacheId folder, GError **error)
{
	Wait wait = {0};
	cache_list(cache, folder, on_listing, &wait);
	if (!await(&wait, error))
		return NULL;
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; i < cache_listing_size(wait.listing); i++) {
		CacheEntry entry;
		cache_listing_get(wait.listing, i, &entry);
		g_ptr_array_add(names, g_strconcat(entry.name, entry.folder ? "/" : "", NULL));
	}
	cache_listing_free(wait.listing);
	g_ptr_array_sort(names, by_name);
	g_ptr_array_add(names, NULL);
	return g_strjoinv(" ", (char **)names->pdata);
}

static void on_open(CacheFile *file, bool keep, const GError *error, void *data)
{
	((Wait *)data)->file = file;
	finish(data, error);
}

CacheFile *sync_open(Cache *cache, CacheId id, int flags, GError **error)
{
	Wait wait = {0};
	cache_file_open(cache, id, flags, on_open, &wait);
	return await(&wait, error) ? wait.file : NULL;
}

static void on_create(CacheFile *file, const CacheAttr *attr, const GError *error, void *data)
{
	Wait *wait = data;
	wait->file = file;
	if (attr)
		wait->attr = *attr;
	finish(wait, error);
}

CacheFile *sync_create(Cache *cache, CacheId parent, const char *name, CacheAttr *ret,
                       GError **error)
{
	Wait wait = {0};
	cache_file_create(cache, parent, name, 0644, 1 /* O_WRONLY */, on_create, &wait);
	return keep_attr(&wait, ret, error) ? wait.file : NULL;
}

typedef struct {
	Wait wait;
	CacheFile *file;
	const void *bytes;
} Write;

static void on_room(const CacheSpan *span, const GError *error, void *data)
{
	Write *write = data;
	if (span) {
		gssize n = pwrite(span->fd, write->bytes, span->length, span->offset);
		g_assert_cmpint(n, ==, span->length);
		cache_file_write_end(write->file, span, n, 0);
	}
	finish(&write->wait, error);
}

bool sync_write(CacheFile *file, guint64 offset, const void *bytes, gsize length, GError **error)
{
	CacheSpan span;
	g_autoptr(GError) failure = NULL;
	if (!cache_file_write_begin(file, offset, length, false, &span, &failure)) {
		if (failure->code != EAGAIN) {
			g_propagate_error(error, g_steal_pointer(&failure));
			return false;
		}
		Write write = {.file = file, .bytes = bytes};
		cache_file_write_wait(file, offset, length, false, on_room, &write);
		return await(&write.wait, error);
	}
	gssize n = pwrite(span.fd, bytes, span.length, span.offset);
	g_assert_cmpint(n, ==, length);
	cache_file_write_end(file, &span, n, 0);
	return true;
}

static void on_read(const CacheSpan *span, const GError *error, void *data)
{
	Wait *wait = data;
	if (span) {
		wait->text = g_malloc0(span->length + 1);
		g_assert_cmpint(pread(span->fd, wait->text, span->length, span->offset), ==,
		                span->length);
	}
	finish(wait, error);
}

char *sync_read(CacheFile *file, guint64 offset, gsize length, GError **error)
{
	Wait wait = {0};
	cache_file_read(file, offset, length, on_read, &wait);
	return await(&wait, error) ? wait.text : NULL;
}

bool sync_fsync(Cache *cache, CacheId id, GError **error)
{
	Wait wait = {0};
	cache_fsync(cache, id, on_done, &wait);
	return await(&wait, error);
}

static void on_publish(const CachePublished *published, const GError *error, void *data)
{
	((Wait *)data)->text = published ? g_strdup(published->uri) : NULL;
	finish(data, error);
}

char *sync_publish(Cache *cache, CacheId id, GError **error)
{
	Wait wait = {0};
	cache_publish(cache, id, on_publish, &wait);
	return await(&wait, error) ? wait.text : NULL;
}

bool sync_drain(Cache *cache, GError **error)
{
	Wait wait = {0};
	cache_drain(cache, on_done, &wait);
	return await(&wait, error);
}
