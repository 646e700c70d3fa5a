#include "cache/transfer.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define SAVE_BYTES (16 * 1024 * 1024)
#define NEAR_BYTES (1024 * 1024)
#define OVERLAP_BYTES (64 * 1024)
#define MAX_TRIES 6
#define RETRY_MS 100 /* doubling */

static void transfer_free(CacheTransfer *transfer)
{
	Cache *cache = transfer->cache;
	cache_content_put(transfer->content);
	g_mutex_lock(&cache->lock);
	g_queue_unlink(&cache->transfers, &transfer->link);
	cache_evict_soon_locked(cache);
	cache_node_put_locked(cache, transfer->node);
	g_mutex_unlock(&cache->lock);
	g_object_unref(transfer->cancellable);
	gss_version_clear(&transfer->expected);
	gss_resource_unref(transfer->resource);
	g_bytes_unref(transfer->last);
	g_free(transfer->uri);
	g_free(transfer);
	cache_call_end(cache);
}

/* --- is it what is wanted? --- */

static bool same_version(const GssVersion *a, const GssVersion *b)
{
	return (a->size < 0 || b->size < 0 || a->size == b->size) &&
	       (a->mtime < 0 || b->mtime < 0 || a->mtime == b->mtime) &&
	       (!a->etag || !b->etag || g_str_equal(a->etag, b->etag));
}

static GssVersion *wanted_version_locked(CacheNode *node)
{
	return node->r.moved_from ? &node->r.from.version : &node->r.remote;
}

static bool changed(const CacheTransfer *transfer, GError **error)
{
	g_set_error(error, CACHE_ERROR, ESTALE, "%s: changed on GSS while it was read",
	            transfer->uri);
	return false;
}

/* What the content stands for is another version by now, or nobody wants the content any more. */
static bool is_wanted_io(const CacheTransfer *transfer, GError **error)
{
	const CacheContent *content = transfer->content;
	if (!cache_transfer_current_io(transfer))
		return changed(transfer, error);
	if (content->readers || !g_atomic_int_get(&content->discard))
		return true;
	g_set_error_literal(error, CACHE_ERROR, ECANCELED, "its content was given up");
	return false;
}

/* A file of which nothing was read or is held may as well be a longer one by now: a log that grows
 * faster than it can be asked about. */
static bool adopt_locked(CacheTransfer *transfer, const GssVersion *version)
{
	CacheNode *node = transfer->node;
	CacheContent *content = transfer->content;
	if (node->content != content || node->read || cache_node_dirty(node) ||
	    node->r.moved_from || version->size < node->r.size || !cache_content_empty(content))
		return false;
	/* All others are superseded by that. */
	g_mutex_lock(&content->io);
	content->transfers = g_slist_remove(content->transfers, transfer);
	g_mutex_unlock(&content->io);
	cache_attr_apply_locked(transfer->cache, node, version, NULL, CACHE_FROM_FILE);
	g_mutex_lock(&content->io);
	content->transfers = g_slist_prepend(content->transfers, transfer);
	transfer->serial = content->serial;
	transfer->size = (guint64)version->size;
	g_mutex_unlock(&content->io);
	gss_version_copy(&transfer->expected, version);
	return true;
}

/* Is this the version that is wanted? What the answer says more of it is taken over. */
static bool accept_locked(CacheTransfer *transfer, const GssVersion *version, bool *ret_adopted,
                          GError **error)
{
	CacheContent *content = transfer->content;
	g_mutex_lock(&content->io);
	bool current = cache_transfer_current_io(transfer);
	g_mutex_unlock(&content->io);
	bool given_up = g_atomic_int_get(&content->discard);
	const GssVersion *wanted =
		given_up ? &transfer->expected : wanted_version_locked(transfer->node);
	if (current && same_version(version, wanted)) {
		if (!given_up)
			cache_attr_refine_locked(transfer->cache, transfer->node, version);
		transfer->validated = gss_version_validated(version, wanted);
		return true;
	}
	*ret_adopted = current && !given_up && adopt_locked(transfer, version);
	transfer->validated = version->mtime >= 0 || version->etag;
	return *ret_adopted || changed(transfer, error);
}

static bool on_begin(const GssBody *body, void *data, GError **error)
{
	CacheTransfer *transfer = data;
	Cache *cache = transfer->cache;
	CacheContent *content = transfer->content;
	bool adopted = false;
	transfer->begun_at = g_get_monotonic_time();
	g_mutex_lock(&cache->lock);
	bool ok = accept_locked(transfer, body->version, &adopted, error);
	CacheId id = transfer->node->r.id;
	g_mutex_unlock(&cache->lock);
	/* Before anybody has read of it: he would take the old end for the new one's. */
	if (adopted && cache->notify.attributes)
		cache->notify.attributes(id, cache->notify.data);
	if (!ok)
		return false;
	CacheRanges verdict = body->partial ? CACHE_RANGES_HONOURED : CACHE_RANGES_IGNORED;
	bool redundant = false;
	g_mutex_lock(&content->io);
	content->weak = !transfer->validated;
	transfer->partial = body->partial;
	if (!body->partial) {
		/* The whole body, whatever was asked; one of these is enough. */
		for (GSList *l = content->transfers; l; l = l->next) {
			const CacheTransfer *other = l->data;
			redundant |= other != transfer && other->whole &&
			             cache_transfer_current_io(other);
		}
		transfer->whole = true;
		transfer->start = transfer->pos = 0;
		transfer->end = transfer->size;
	}
	bool learned = transfer->ranged && content->ranges != verdict;
	if (transfer->ranged)
		content->ranges = verdict;
	g_mutex_unlock(&content->io);
	if (transfer->ranged)
		cache_verdict_ranges(cache, verdict);
	/* Who waited for a whole body need not. */
	if (learned && body->partial)
		cache_fetch_look_again(cache, content);
	if (redundant)
		g_set_error(error, CACHE_ERROR, ECANCELED, "another transfer brings it");
	return !redundant;
}

/* --- the body --- */

/* Writes what of [pos, pos + length) is neither held nor being written by somebody. How much that
 * was is added to `ret_new`. */
static bool fill_io(CacheContent *content, guint64 pos, const char *bytes, gsize length,
                    bool doubtful, guint64 *ret_new, GError **error)
{
	guint64 limit = MIN(pos + length, content->limit), from = pos, gap, gap_end;
	while (from < limit && cache_extents_gap(&content->resident, from, limit, &gap, &gap_end)) {
		guint64 piece, piece_end, at = gap;
		while (at < gap_end &&
		       cache_extents_gap(&content->claimed, at, gap_end, &piece, &piece_end)) {
			while (piece < piece_end) {
				gssize n = pwrite(content->fd, bytes + (piece - pos),
				                  piece_end - piece, piece);
				if (n < 0 && errno == EINTR)
					continue;
				if (n < 0) {
					int errnum = errno;
					g_set_error(error, CACHE_ERROR, errnum,
					            "cannot write to the cache: %s",
					            g_strerror(errnum));
					return false;
				}
				CACHE_CRASH_POINT("fetch.written");
				cache_content_add_io(content, piece, piece + n);
				if (doubtful)
					cache_extents_add(&content->doubtful, piece, piece + n);
				piece += n;
				*ret_new += n;
			}
			at = piece_end;
		}
		from = gap_end;
	}
	return true;
}

/* Where nothing else tells versions apart, what comes once more must be what is held. */
static bool equals_held_io(const CacheTransfer *transfer, const char *bytes, gsize length)
{
	CacheContent *content = transfer->content;
	guint64 at = transfer->pos, limit = MIN(transfer->pos + length, content->limit);
	char held[16 * 1024];
	if (transfer->validated || content->written)
		return true;
	while (at < limit) {
		guint64 gap = limit, gap_end = limit;
		if (!cache_extents_gap(&content->resident, at, limit, &gap, &gap_end))
			gap = gap_end = limit;
		while (at < gap) {
			gsize n = MIN(gap - at, sizeof held);
			if (pread(content->fd, held, n, at) != (gssize)n ||
			    memcmp(held, bytes + (at - transfer->pos), n) != 0)
				return false;
			at += n;
		}
		at = gap_end;
	}
	return true;
}

static bool deliver(CacheTransfer *transfer, const void *bytes, gsize length, bool doubtful,
                    GError **error)
{
	CacheContent *content = transfer->content;
	guint64 fresh = 0;
	g_mutex_lock(&content->io);
	bool ok = is_wanted_io(transfer, error) &&
	          (equals_held_io(transfer, bytes, length) || changed(transfer, error)) &&
	          fill_io(content, transfer->pos, bytes, length, doubtful, &fresh, error);
	if (ok)
		transfer->pos += length;
	/* The beginning of a body that always breaks at the same place is no progress. */
	if (fresh) {
		content->tries = 0;
		content->came_at = g_get_monotonic_time();
	}
	transfer->fresh += fresh;
	content->unsaved += fresh;
	bool save = content->unsaved >= SAVE_BYTES && content->unsaved - fresh < SAVE_BYTES;
	g_mutex_unlock(&content->io);
	cache_fetch_serve(transfer->cache, content);
	if (save)
		cache_content_save_soon(content);
	return ok;
}

/* It takes long: meanwhile the file may have been written in place. */
static bool is_late(const CacheTransfer *transfer)
{
	return g_get_monotonic_time() - transfer->begun_at > CACHE_DOUBT_US;
}

/* Is what comes now to be kept? `ret_waited`: by somebody it, or what follows, is waited for. */
static bool is_worth_keeping(const CacheTransfer *transfer, gsize length, bool short_of_room,
                             bool *ret_waited)
{
	CacheContent *content = transfer->content;
	guint64 end = transfer->pos + length;
	bool now = false, later = false;
	g_mutex_lock(&content->io);
	for (const GSList *l = content->readers; l; l = l->next) {
		guint64 from, to;
		cache_fetch_reader_range_io(l->data, &from, &to);
		/* The kernel's read-ahead comes in any order. */
		now |= from < end + NEAR_BYTES && to > transfer->pos;
		later |= from >= end + NEAR_BYTES && from < transfer->end;
	}
	bool keep = now || !(short_of_room || (later && content->streams));
	g_mutex_unlock(&content->io);
	*ret_waited = now || later;
	return keep;
}

/* Goes on without these. */
static void skip(CacheTransfer *transfer, gsize length)
{
	g_mutex_lock(&transfer->content->io);
	transfer->pos += length;
	g_mutex_unlock(&transfer->content->io);
}

static bool on_body(const void *bytes, gsize length, void *data, GError **error)
{
	CacheTransfer *transfer = data;
	if (transfer->last || length > transfer->size - MIN(transfer->pos, transfer->size)) {
		g_set_error(error, CACHE_ERROR, ESTALE, "%s: is longer on GSS than it was",
		            transfer->uri);
		return false;
	}
	CacheFetchRoom room = cache_space_fetch(transfer->cache, transfer->content, length, error);
	bool waited;
	if (room == CACHE_FETCH_NONE)
		return false;
	if (!is_worth_keeping(transfer, length, room == CACHE_FETCH_SHORT, &waited)) {
		if (waited)
			skip(transfer, length);
		else
			g_set_error_literal(error, CACHE_ERROR, ECANCELED, "no room to read ahead");
		return waited;
	}
	bool doubtful = is_late(transfer);
	if (!doubtful || transfer->pos + length < transfer->end)
		return deliver(transfer, bytes, length, doubtful, error);
	transfer->last = g_bytes_new(bytes, length);
	return true;
}

/* --- the end --- */

/* There is another version, or none. */
static bool is_outdated(int code)
{
	return code == ESTALE || code == ENOENT || code == ERANGE;
}

static bool passes(int code)
{
	return !is_outdated(code) && code != EACCES && code != EPERM && code != EPROTO &&
	       code != ENOKEY && code != EKEYREJECTED && code != EINVAL;
}

static GError *told_error(const GError *error)
{
	return g_error_new_literal(CACHE_ERROR, is_outdated(error->code) ? ESTALE : error->code,
	                           error->message);
}

static void put(void *content)
{
	cache_content_put(content);
}

static gboolean on_retry(void *data)
{
	CacheContent *content = data;
	cache_fetch_kick(content->cache, content);
	return G_SOURCE_REMOVE;
}

void cache_transfer_looked(CacheContent *content)
{
	g_mutex_lock(&content->io);
	content->looking--;
	g_mutex_unlock(&content->io);
}

/* GSS was asked what is there now. */
static void on_looked(Cache *cache, const GError *error, void *data)
{
	CacheContent *content = data;
	g_autoptr(GError) told = error ? told_error(error) : NULL;
	cache_transfer_looked(content);
	if (told)
		cache_fetch_fail(cache, content, told);
	cache_fetch_kick(cache, content);
	cache_content_put(content);
}

/* The version is another one. What is there now is asked for, which also corrects what the kernel
 * believes: a file that only grew, or of which nothing was read yet, goes on. Of a file that was
 * changed here the old version cannot be had any more: false. `content` is looking. */
static bool look_anew(Cache *cache, CacheNode *node, CacheContent *content)
{
	g_mutex_lock(&cache->lock);
	node->attr_until = 0;
	bool asked =
		!cache_attr_validate_locked(cache, node, 0, on_looked, cache_content_ref(content));
	g_mutex_unlock(&cache->lock);
	if (asked)
		return true;
	cache_transfer_looked(content);
	cache_content_put(content);
	return false;
}

/* What it expected is known to be over: that it found so is no failure. */
static bool is_superseded(CacheTransfer *transfer)
{
	g_mutex_lock(&transfer->cache->lock);
	bool same = gss_version_equal(wanted_version_locked(transfer->node), &transfer->expected);
	g_mutex_unlock(&transfer->cache->lock);
	return !same;
}

static GError *early_end(const CacheTransfer *transfer)
{
	return g_error_new(CACHE_ERROR, EIO,
	                   "%s: the body ended after %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
	                   " bytes",
	                   transfer->uri, transfer->pos, transfer->size);
}

static void finish(CacheTransfer *transfer, const GError *error)
{
	Cache *cache = transfer->cache;
	CacheContent *content = cache_content_ref(transfer->content);
	g_autoptr(GError) early = NULL;
	if (!error && !transfer->partial && transfer->pos < transfer->end)
		error = early = early_end(transfer);
	bool outdated = error && is_outdated(error->code);
	bool superseded = outdated && is_superseded(transfer);
	g_mutex_lock(&content->io);
	content->transfers = g_slist_remove(content->transfers, transfer);
	if (transfer->whole)
		content->postponed = false;
	/* The same once more would not bring more. */
	if (!error && !transfer->fresh && content->readers)
		error = early = g_error_new(CACHE_ERROR, EIO, "%s: nothing came that was missing",
		                            transfer->uri);
	bool fails =
		error && error->code != ECANCELED && !superseded && !(outdated && content->looking);
	/* A service that was silent for so long will be so again. */
	bool patient = !error || error->code != ETIMEDOUT || content->tries == 0;
	bool again = fails && content->tries < MAX_TRIES && patient;
	guint delay = RETRY_MS << content->tries;
	if (fails)
		content->tries = again ? content->tries + 1 : 0;
	if (again && outdated)
		content->looking++;
	g_mutex_unlock(&content->io);

	bool looking = again && outdated && look_anew(cache, transfer->node, content);
	bool retry = again && !looking && passes(error->code);
	if (fails && !looking && !retry) {
		g_autoptr(GError) told = told_error(error);
		g_message("%s: cannot be read: %s", transfer->uri, error->message);
		cache_fetch_fail(cache, content, told);
	}
	cache_content_save_soon(content);
	if (retry) {
		g_source_unref(cache_worker_after(cache, delay, on_retry, content, put));
	} else {
		if (!looking)
			cache_fetch_kick(cache, content);
		cache_content_put(content);
	}
	transfer_free(transfer); /* last: from here on the cache may be stopped */
}

/* All that it brought is of its version. */
static void confirm(CacheTransfer *transfer)
{
	CacheContent *content = transfer->content;
	g_mutex_lock(&content->io);
	if (cache_transfer_current_io(transfer)) {
		cache_extents_remove(&content->doubtful, transfer->start, transfer->end);
		content->unsaved += transfer->end - transfer->start;
	}
	g_mutex_unlock(&content->io);
}

/* GSS was asked which version is there at the end of a body that took long. */
static void on_checked(const GssVersion *version, const GError *error, void *data)
{
	CacheTransfer *transfer = data;
	Cache *cache = transfer->cache;
	g_autoptr(GError) failure = NULL;
	bool same = false;
	if (!error) {
		g_mutex_lock(&cache->lock);
		const GssVersion *wanted = wanted_version_locked(transfer->node);
		same = same_version(version, wanted);
		g_mutex_unlock(&cache->lock);
	}
	gsize length;
	const void *bytes = g_bytes_get_data(transfer->last, &length);
	if (!error && !same)
		changed(transfer, &failure);
	else if (same && deliver(transfer, bytes, length, false, &failure))
		confirm(transfer);
	finish(transfer, error ? error : failure);
}

static void on_done(const GError *error, void *data)
{
	CacheTransfer *transfer = data;
	if (!error && transfer->last)
		gss_storage_stat(transfer->cache->client, transfer->resource, transfer->cancellable,
		                 on_checked, transfer);
	else
		finish(transfer, error);
}

/* --- the beginning --- */

static const GssSink sink = {.begin = on_begin, .body = on_body, .done = on_done};

static void transfer_read(CacheTransfer *transfer, GssResource *resource)
{
	transfer->resource = gss_resource_ref(resource);
	gss_storage_read(transfer->cache->client, resource, transfer->start,
	                 transfer->ranged ? transfer->end - transfer->start : 0,
	                 &transfer->expected, transfer->cancellable, &sink, transfer);
}

static void on_resolved(GssResource *resource, const GError *error, void *data)
{
	CacheTransfer *transfer = data;
	g_autoptr(GError) gone = NULL;
	if (!error && gss_resource_type(resource) != GSS_TYPE_FILE)
		error = gone = g_error_new(CACHE_ERROR, ESTALE, "%s: is no longer a file on GSS",
		                           transfer->uri);
	if (error) {
		finish(transfer, error);
		return;
	}
	g_mutex_lock(&transfer->cache->lock);
	cache_node_set_resource(transfer->node, resource);
	g_mutex_unlock(&transfer->cache->lock);
	transfer_read(transfer, resource);
}

static void start(CacheTransfer *transfer)
{
	Cache *cache = transfer->cache;
	g_autoptr(GssResource) resource = NULL;
	g_mutex_lock(&cache->lock);
	if (transfer->node->resource &&
	    g_strcmp0(gss_resource_uri(transfer->node->resource), transfer->uri) == 0)
		resource = gss_resource_ref(transfer->node->resource);
	g_mutex_unlock(&cache->lock);
	if (resource)
		transfer_read(transfer, resource);
	else
		gss_storage_resolve(cache->client, transfer->uri, transfer->cancellable,
		                    on_resolved, transfer);
}

void cache_transfer_supersede_locked(CacheContent *content)
{
	GSList *cancel = NULL;
	g_mutex_lock(&content->io);
	content->serial++;
	for (GSList *l = content->transfers; l; l = l->next) {
		const CacheTransfer *transfer = l->data;
		cancel = g_slist_prepend(cancel, g_object_ref(transfer->cancellable));
	}
	g_mutex_unlock(&content->io);
	for (GSList *l = cancel; l; l = l->next)
		g_cancellable_cancel(l->data);
	g_slist_free_full(cancel, g_object_unref);
}

void cache_transfer_start_all(GSList *transfers)
{
	for (GSList *l = transfers; l; l = l->next)
		start(l->data);
	g_slist_free(transfers);
}

CacheTransfer *cache_transfer_new_locked(Cache *cache, CacheNode *node, CacheContent *content,
                                         guint64 size, guint64 from)
{
	const char *uri = node->r.moved_from ? node->r.moved_from : node->r.uri;
	const GssVersion *version = wanted_version_locked(node);
	if (version->size >= 0)
		size = (guint64)version->size;
	if (!uri || from >= size || g_atomic_int_get(&content->discard) ||
	    !cache_call_begin_locked(cache))
		return NULL;
	CacheTransfer *transfer = g_new0(CacheTransfer, 1);
	transfer->cache = cache;
	transfer->link.data = transfer;
	g_queue_push_tail_link(&cache->transfers, &transfer->link);
	transfer->node = cache_node_pin_locked(node);
	transfer->content = cache_content_ref(content);
	transfer->uri = g_strdup(uri);
	gss_version_copy(&transfer->expected, version);
	transfer->size = size;
	transfer->start = transfer->pos = from;
	transfer->serial = content->serial;
	transfer->cancellable = g_cancellable_new();
	return transfer;
}

/* Is this byte held, or on its way with another transfer? */
static bool comes_io(const CacheContent *content, guint64 at)
{
	guint64 gap, gap_end;
	bool comes = !cache_extents_gap(&content->resident, at, at + 1, &gap, &gap_end);
	for (const GSList *l = content->transfers; l && !comes; l = l->next) {
		const CacheTransfer *other = l->data;
		comes = cache_transfer_current_io(other) && other->start <= at && at < other->end;
	}
	return comes;
}

void cache_transfer_aim_io(CacheTransfer *transfer, guint64 end)
{
	CacheContent *content = transfer->content;
	guint64 from = transfer->start, size = transfer->size;
	bool tells = transfer->expected.mtime >= 0 || transfer->expected.etag;
	if ((content->weak || !tells) && !content->written) {
		if (from > 0 && comes_io(content, from - 1))
			transfer->start = transfer->pos = from - MIN(from, OVERLAP_BYTES);
		if (end < size && comes_io(content, end))
			end += MIN(size - end, OVERLAP_BYTES);
	}
	transfer->end = end;
	transfer->ranged = transfer->start > 0 || end < transfer->size;
	content->transfers = g_slist_prepend(content->transfers, transfer);
}
