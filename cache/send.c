/* The sending of a body: what is journaled before, whose place it takes, and where its bytes come
 * from. */
#include "cache/private.h"

#include <errno.h>
#include <unistd.h>

#include "cache/upload.h"

/* --- before the first byte --- */

void cache_job_await(CacheJob *job, const char *uri)
{
	g_free(job->awaits);
	job->awaits = g_strdup(uri);
}

/* It may have changed since it was looked at. `ret_left`: whose place it is, if not its own. */
static bool may_take_back_locked(CacheJob *job, CacheNode **ret_left, GError **error)
{
	Cache *cache = job->cache;
	const char *uri = gss_resource_uri(job->resource);
	if (!job->back || job->fresh || !g_hash_table_contains(cache->hidden, uri) ||
	    g_strcmp0(job->node->r.moved_from, uri) == 0)
		return true;
	*ret_left = cache_rename_circle_locked(cache, job->node, uri);
	if (*ret_left)
		return true;
	cache_job_await(job, uri);
	g_set_error_literal(error, CACHE_ERROR, EAGAIN,
	                    "it waits until what had its name is removed from GSS");
	return false;
}

/* Journaled before the request: after a crash what is found there is either what is there now,
 * which was looked at, or what is sent now. */
static bool note_attempt_locked(CacheJob *job, const char *there, GError **error)
{
	Cache *cache = job->cache;
	CacheRecord *r = &job->node->r;
	CacheNode *left = NULL;
	if (!may_take_back_locked(job, &left, error) || !cache_store_begin(cache->store, error))
		return false;
	if (!job->fresh) {
		g_free(r->uri);
		r->uri = g_strdup(gss_resource_uri(job->resource));
		gss_version_copy(&r->remote, &job->result);
		g_free(r->remote_hash);
		r->remote_hash = g_strdup(there);
		/* Taken back: it is not to be removed any more, after a crash neither. */
		if (g_strcmp0(r->moved_from, r->uri) == 0) {
			g_hash_table_remove(cache->hidden, r->uri);
			g_clear_pointer(&r->moved_from, g_free);
			cache_leftover_clear(&r->from);
		}
	}
	g_autofree char *before_hash = g_steal_pointer(&r->attempted_hash);
	guint64 before = r->attempted;
	r->attempted = job->size + 1;
	r->attempted_hash = g_strdup(job->hash);
	bool ok = cache_removal_give_way_locked(cache, r->uri ? r->uri : job->address, error) &&
	          cache_node_save_locked(cache, job->node, error);
	if (ok && left)
		ok = cache_rename_give_place_locked(cache, left, error);
	/* What was fetched for it is held from now on: it is replaced there. */
	if (ok && (job->uri || job->moved_from))
		ok = cache_content_save_extents_locked(job->content, error);
	ok = cache_store_end(cache->store, ok, ok ? error : NULL) && ok;
	if (!ok) {
		/* What was sent before may still come. */
		g_free(r->attempted_hash);
		r->attempted_hash = g_steal_pointer(&before_hash);
		r->attempted = before;
		cache_removal_reload_locked(cache);
	}
	return ok;
}

bool cache_send_begin_locked(CacheJob *job, const char *there, GError **error)
{
	Cache *cache = job->cache;
	bool taken = !job->sending && g_hash_table_contains(cache->sending, job->address);
	if (cache_job_outdated_locked(job)) {
		g_set_error_literal(error, CACHE_ERROR, ECANCELED, "renamed meanwhile");
		return false;
	}
	if (taken) {
		cache_job_await(job, job->address);
		g_set_error_literal(error, CACHE_ERROR, EAGAIN,
		                    "it waits until an older version has arrived");
		return false;
	}
	if (!note_attempt_locked(job, there, error))
		return false;
	if (!job->sending)
		job->sending = g_hash_table_add(cache->sending, job->address);
	return true;
}

/* --- the body --- */

static gssize read_blob(void *buffer, gsize size, guint64 offset, void *data, GError **error)
{
	CacheJob *job = data;
	size = MIN(size, job->size - MIN(offset, job->size));
	gssize n;
	do
		n = pread(job->content->fd, buffer, size, offset);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		int errnum = errno;
		g_set_error(error, CACHE_ERROR, EIO, "cannot read the blob: %s",
		            g_strerror(errnum));
		return -1;
	}
	CACHE_CRASH_POINT("upload.read");
	/* Looked at after the bytes were read: a writer raises it before it changes any. */
	if (g_atomic_int_get(&job->aborted)) {
		g_set_error_literal(error, CACHE_ERROR, ECANCELED, "changed while it was sent");
		return -1;
	}
	if (offset + n >= job->size)
		g_atomic_int_set(&job->sent_all, 1);
	return n;
}

static void on_progress(guint64 bytes, void *data)
{
	CacheJob *job = data;
	g_mutex_lock(&job->cache->lock);
	cache_status_sent_locked(job->cache, bytes - MIN(bytes, job->sent));
	job->sent = bytes;
	cache_publish_moved_locked(job->cache, job->node);
	g_mutex_unlock(&job->cache->lock);
}

void cache_send(CacheJob *job, GssWrittenCallback written)
{
	Cache *cache = job->cache;
	g_atomic_int_set(&job->sent_all, job->size == 0);
	GssSource source = {.length = job->size, .read = read_blob, .progress = on_progress};
	g_autoptr(GssResource) resource = gss_resource_ref(job->resource);
	if (job->fresh)
		gss_storage_create(cache->client, resource, job->cancellable, &source, written,
		                   job);
	else
		gss_storage_update(cache->client, resource,
		                   job->result.size >= 0 ? &job->result : NULL, job->cancellable,
		                   &source, written, job);
}
