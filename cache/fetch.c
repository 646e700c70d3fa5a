/* Downloads: ranges of a file that move into its blob, and the readers who wait for them.
 *
 * A reader is answered as soon as its own bytes are there. All readers of a content share its
 * transfers; a storage that ignores ranges is recognised by its 200 and then serves everybody from
 * one whole body. */
#include "cache/private.h"

#include <errno.h>
#include <unistd.h>

#define MAX_TRANSFERS 4              /* of one content */
#define WINDOW_MIN (4 * 1024 * 1024) /* first range of a sequential reader */
#define WINDOW_MAX (64 * 1024 * 1024)
#define RANDOM_BYTES (64 * 1024)        /* least range of any other */
#define NEAR_BYTES (2 * 1024 * 1024)    /* the kernel's read-ahead comes in any order */
#define WORTH_WAITING (8 * 1024 * 1024) /* a transfer this close is waited for */
#define MAX_TRIES 6
#define RETRY_MS 100 /* doubling */

typedef struct {
	Cache *cache;
	CacheNode *node; /* pinned */
	CacheContent *content;
	char *uri;
	GssVersion expected;
	guint64 size; /* of the remote file */
	guint64 start, pos, end;
	GCancellable *cancellable;
} CacheTransfer;

typedef struct {
	CacheNode *node; /* pinned */
	guint64 offset, end, size;
	CacheReadCallback callback; /* or */
	CacheReady ready;
	void *data;
} CacheReader;

static void want_io(Cache *cache, CacheReader *reader, CacheContent *content, GSList **ret_start);
static void start_all(GSList *transfers);

static void transfer_free(CacheTransfer *transfer)
{
	Cache *cache = transfer->cache;
	cache_content_put(transfer->content);
	g_mutex_lock(&cache->lock);
	cache_evict_soon_locked(cache);
	cache_node_put_locked(cache, transfer->node);
	g_mutex_unlock(&cache->lock);
	g_object_unref(transfer->cancellable);
	gss_version_clear(&transfer->expected);
	g_free(transfer->uri);
	g_free(transfer);
	cache_call_end(cache);
}

static void reader_free(Cache *cache, CacheReader *reader)
{
	g_mutex_lock(&cache->lock);
	cache_node_put_locked(cache, reader->node);
	g_mutex_unlock(&cache->lock);
	g_free(reader);
}

/* Answers and frees. No lock held; `content` stays open for the callback. */
static void answer(Cache *cache, CacheContent *content, CacheReader *reader, const GError *error)
{
	CacheSpan span = {content->fd, reader->offset, reader->end - reader->offset};
	if (reader->ready)
		reader->ready(cache, error, reader->data);
	else
		reader->callback(error ? NULL : &span, error, reader->data);
	reader_free(cache, reader);
}

static void answer_all(Cache *cache, CacheContent *content, GSList *readers, const GError *error)
{
	for (GSList *l = readers; l; l = l->next)
		answer(cache, content, l->data, error);
	g_slist_free(readers);
}

/* Readers whose bytes are all there. */
static GSList *take_served_io(CacheContent *content)
{
	GSList *served = NULL;
	for (GSList *l = content->readers, *next; l; l = next) {
		CacheReader *reader = l->data;
		next = l->next;
		if (!cache_extents_contain(&content->resident, reader->offset, reader->end))
			continue;
		content->readers = g_slist_remove_link(content->readers, l);
		served = g_slist_concat(l, served);
	}
	return g_slist_reverse(served);
}

/* Writes what of [pos, pos + length) is neither held nor being written by somebody. */
static bool fill_io(CacheContent *content, guint64 pos, const char *bytes, gsize length,
                    GError **error)
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
				cache_extents_add(&content->resident, piece, piece + n);
				piece += n;
			}
			at = piece_end;
		}
		from = gap_end;
	}
	return true;
}

static bool on_begin(guint64 offset, gint64 length, const GssVersion *version, void *data,
                     GError **error)
{
	CacheTransfer *transfer = data;
	const GssVersion *expected = &transfer->expected;
	bool same =
		(version->size < 0 || expected->size < 0 || version->size == expected->size) &&
		(version->mtime < 0 || expected->mtime < 0 || version->mtime == expected->mtime) &&
		(!version->etag || !expected->etag || g_str_equal(version->etag, expected->etag));
	if (!same) {
		g_set_error(error, CACHE_ERROR, ESTALE, "%s: changed on GSS while it was read",
		            transfer->uri);
		return false;
	}
	CacheContent *content = transfer->content;
	bool redundant = false;
	g_mutex_lock(&content->io);
	if (offset != transfer->start) {
		/* 200: the whole body, whatever was asked; one of these is enough. */
		redundant = content->no_ranges && content->transfers->next;
		content->no_ranges = true;
		transfer->start = transfer->pos = offset;
		transfer->end = transfer->size;
	}
	g_mutex_unlock(&content->io);
	if (redundant)
		g_set_error(error, CACHE_ERROR, ECANCELED, "another transfer brings it");
	return !redundant;
}

static bool on_body(const void *bytes, gsize length, void *data, GError **error)
{
	CacheTransfer *transfer = data;
	CacheContent *content = transfer->content;
	g_mutex_lock(&content->io);
	bool ok = fill_io(content, transfer->pos, bytes, length, error);
	if (ok) {
		transfer->pos += length;
		content->tries = 0;
	}
	GSList *served = take_served_io(content);
	g_mutex_unlock(&content->io);
	answer_all(transfer->cache, content, served, NULL);
	return ok;
}

static bool passes(int code)
{
	return code != ESTALE && code != ENOENT && code != EACCES && code != EPERM &&
	       code != ENOSPC && code != EPROTO && code != ENOKEY && code != EKEYREJECTED &&
	       code != ERANGE && code != EINVAL;
}

static void save_extents(void *data)
{
	CacheContent *content = data;
	Cache *cache = content->cache;
	g_autoptr(GError) error = NULL;
	g_mutex_lock(&cache->lock);
	if (!g_atomic_int_get(&content->discard) && cache_store_begin(cache->store, &error)) {
		bool ok = cache_store_mark_blob(cache->store, content->blob, cache->boot_id, false,
		                                &error) &&
		          cache_content_save_extents(content, &error);
		if (cache_store_end(cache->store, ok, ok ? &error : NULL) && ok)
			content->durable = false;
	}
	g_mutex_unlock(&cache->lock);
	if (error)
		g_warning("%s: %s", cache->path, error->message);
	cache_syncer_sync(content->cache, content, NULL, NULL);
	cache_content_put(content);
}

/* Sees to it that everybody who waits has a transfer to wait for. */
static void kick(Cache *cache, CacheContent *content)
{
	GSList *starting = NULL, *failed = NULL;
	g_autoptr(GError) error = g_error_new_literal(CACHE_ERROR, ECANCELED, "unmounting");
	g_mutex_lock(&cache->lock);
	g_mutex_lock(&content->io);
	GSList *served = take_served_io(content);
	if (cache->stopping)
		failed = g_steal_pointer(&content->readers);
	else
		for (GSList *l = content->readers; l; l = l->next)
			want_io(cache, l->data, content, &starting);
	g_mutex_unlock(&content->io);
	g_mutex_unlock(&cache->lock);
	start_all(starting);
	answer_all(cache, content, served, NULL);
	answer_all(cache, content, failed, error);
}

static void look_again(void *data)
{
	CacheContent *content = data;
	kick(content->cache, content);
	cache_content_put(content);
}

void cache_fetch_look_again(Cache *cache, CacheContent *content)
{
	g_mutex_lock(&content->io);
	bool waited_for = content->readers != NULL;
	g_mutex_unlock(&content->io);
	if (waited_for)
		cache_worker_post(cache, look_again, cache_content_ref(content));
}

void cache_fetch_cut_io(CacheContent *content, guint64 size)
{
	for (GSList *l = content->readers; l; l = l->next) {
		CacheReader *reader = l->data;
		reader->end = MIN(reader->end, MAX(size, reader->offset));
		reader->size = MIN(reader->size, MAX(size, reader->end));
	}
}

typedef struct {
	CacheContent *content;
	void *data;
} Forget;

static void forget(void *data)
{
	g_autofree Forget *request = data;
	CacheContent *content = request->content;
	g_autoptr(GError) error =
		g_error_new_literal(CACHE_ERROR, ECANCELED, "not wanted any more");
	GSList *found = NULL;
	g_mutex_lock(&content->io);
	for (GSList *l = content->readers, *next; l; l = next) {
		CacheReader *reader = l->data;
		next = l->next;
		if (!reader->ready || reader->data != request->data)
			continue;
		content->readers = g_slist_remove_link(content->readers, l);
		found = g_slist_concat(l, found);
	}
	g_mutex_unlock(&content->io);
	answer_all(content->cache, content, found, error);
	cache_content_put(content);
}

void cache_fetch_forget(Cache *cache, CacheContent *content, void *data)
{
	Forget *request = g_new(Forget, 1);
	*request = (Forget){cache_content_ref(content), data};
	cache_worker_post(cache, forget, request);
}

static void put(void *content)
{
	cache_content_put(content);
}

static gboolean on_retry(void *data)
{
	CacheContent *content = data;
	kick(content->cache, content);
	return G_SOURCE_REMOVE;
}

static void on_done(const GError *error, void *data)
{
	CacheTransfer *transfer = data;
	Cache *cache = transfer->cache;
	CacheContent *content = cache_content_ref(transfer->content);
	if (error && (error->code == ESTALE || error->code == ENOENT)) {
		g_mutex_lock(&cache->lock);
		transfer->node->attr_until = 0;
		g_mutex_unlock(&cache->lock);
	}
	GSList *failed = NULL;
	bool retry = false;
	g_mutex_lock(&content->io);
	content->transfers = g_slist_remove(content->transfers, transfer);
	if (error && error->code != ECANCELED) {
		retry = passes(error->code) && content->tries < MAX_TRIES;
		if (!retry)
			failed = g_steal_pointer(&content->readers);
	}
	guint delay = RETRY_MS << content->tries;
	content->tries = error && retry ? content->tries + 1 : 0;
	g_mutex_unlock(&content->io);

	if (failed) {
		g_autoptr(GError) told =
			g_error_new(CACHE_ERROR, error->code == ENOENT ? ESTALE : error->code, "%s",
		                    error->message);
		g_message("%s: cannot be read: %s", transfer->uri, error->message);
		answer_all(cache, content, failed, told);
	}
	cache_worker_post(cache, save_extents, cache_content_ref(content));
	if (retry)
		g_source_unref(cache_worker_after(cache, delay, on_retry, content, put));
	else {
		kick(cache, content);
		cache_content_put(content);
	}
	transfer_free(transfer); /* last: from here on the cache may be stopped */
}

static const GssSink sink = {.begin = on_begin, .body = on_body, .done = on_done};

static void transfer_read(CacheTransfer *transfer, GssResource *resource)
{
	bool whole = transfer->start == 0 && transfer->end == transfer->size;
	gss_storage_read(transfer->cache->client, resource, transfer->start,
	                 whole ? 0 : transfer->end - transfer->start, transfer->cancellable, &sink,
	                 transfer);
}

static void on_resolved(GssResource *resource, const GError *error, void *data)
{
	CacheTransfer *transfer = data;
	g_autoptr(GError) gone = NULL;
	if (!error && gss_resource_type(resource) != GSS_TYPE_FILE)
		error = gone = g_error_new(CACHE_ERROR, ESTALE, "%s: is no longer a file on GSS",
		                           transfer->uri);
	if (error) {
		on_done(error, transfer);
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

static void start_all(GSList *transfers)
{
	for (GSList *l = transfers; l; l = l->next)
		start(l->data);
	g_slist_free(transfers);
}

/* Is somebody bringing `offset` soon? */
static bool covered_io(const CacheContent *content, guint64 offset)
{
	for (const GSList *l = content->transfers; l; l = l->next) {
		const CacheTransfer *transfer = l->data;
		if (content->no_ranges)
			return true;
		if (offset >= transfer->pos && offset < transfer->end &&
		    offset - transfer->pos <= WORTH_WAITING)
			return true;
	}
	return g_slist_length(content->transfers) >= MAX_TRANSFERS;
}

/* How much to ask for at `from`: never what is held, never what another transfer will bring. */
static guint64 range_end_io(CacheContent *content, guint64 from, guint64 needed, guint64 gap_end)
{
	guint64 end;
	if (content->window) {
		end = from + content->window;
		content->window = MIN(content->window * 2, WINDOW_MAX);
	} else {
		end = MAX(needed, (from / RANDOM_BYTES + 1) * RANDOM_BYTES);
	}
	end = MIN(end, gap_end);
	for (const GSList *l = content->transfers; l; l = l->next) {
		const CacheTransfer *other = l->data;
		if (other->pos > from)
			end = MIN(end, other->pos);
	}
	return end;
}

/* Starts what is missing for [offset, end) of a reader. Locks: Cache.lock, then io. */
static void want_io(Cache *cache, CacheReader *reader, CacheContent *content, GSList **ret_start)
{
	guint64 gap, gap_end;
	if (!cache_extents_gap(&content->resident, reader->offset, reader->size, &gap, &gap_end) ||
	    gap >= reader->end || covered_io(content, gap))
		return;
	CacheNode *node = reader->node;
	const char *uri = node->r.moved_from ? node->r.moved_from : node->r.uri;
	const GssVersion *version = node->r.moved_from ? &node->r.from : &node->r.remote;
	if (!uri || !cache_call_begin_locked(cache))
		return;
	CacheTransfer *transfer = g_new0(CacheTransfer, 1);
	transfer->cache = cache;
	transfer->node = cache_node_pin_locked(node);
	transfer->content = cache_content_ref(content);
	transfer->uri = g_strdup(uri);
	gss_version_copy(&transfer->expected, version);
	transfer->size = version->size >= 0 ? (guint64)version->size : reader->size;
	transfer->cancellable = g_cancellable_new();
	if (content->no_ranges) {
		transfer->end = transfer->size;
	} else {
		transfer->start = transfer->pos = gap;
		transfer->end =
			MIN(range_end_io(content, gap, reader->end, gap_end), transfer->size);
	}
	content->transfers = g_slist_prepend(content->transfers, transfer);
	*ret_start = g_slist_prepend(*ret_start, transfer);
}

static void note_access_io(CacheContent *content, guint64 offset, guint64 end)
{
	bool near = offset <= content->next + NEAR_BYTES && offset + NEAR_BYTES >= content->next;
	if (!near)
		content->window = 0;
	else if (!content->window)
		content->window = WINDOW_MIN;
	content->next = near ? MAX(content->next, end) : end;
}

/* Queues a reader, or answers it when there is nothing to wait for. */
static void enqueue(Cache *cache, CacheContent *content, CacheReader *reader)
{
	GSList *starting = NULL;
	g_mutex_lock(&cache->lock);
	bool usable = cache->client && !cache->stopping &&
	              (reader->node->r.uri || reader->node->r.moved_from);
	g_mutex_lock(&content->io);
	bool served = cache_extents_contain(&content->resident, reader->offset, reader->end);
	if (!served && usable) {
		content->readers = g_slist_append(content->readers, reader);
		want_io(cache, reader, content, &starting);
	}
	if (content->window && usable) {
		/* Read ahead, while the reader is busy with what it has. */
		guint64 ahead = content->next;
		CacheReader hint = {.node = reader->node,
		                    .offset = ahead,
		                    .end = MIN(ahead + content->window / 2, reader->size),
		                    .size = reader->size};
		if (hint.offset < hint.end)
			want_io(cache, &hint, content, &starting);
	}
	g_mutex_unlock(&content->io);
	g_mutex_unlock(&cache->lock);
	start_all(starting);
	if (!served && usable)
		return;
	g_autoptr(GError) error =
		served ? NULL
		       : g_error_new(CACHE_ERROR, EIO,
	                             "the contents are not held here and GSS cannot be asked");
	answer(cache, content, reader, error);
}

static CacheReader *reader_new(Cache *cache, CacheNode *node, guint64 offset, guint64 end,
                               guint64 size, void *data)
{
	CacheReader *reader = g_new0(CacheReader, 1);
	*reader = (CacheReader){
		.node = node, .offset = offset, .end = end, .size = size, .data = data};
	g_mutex_lock(&cache->lock);
	cache_node_pin_locked(node);
	g_mutex_unlock(&cache->lock);
	return reader;
}

void cache_fetch_read(Cache *cache, CacheNode *node, CacheContent *content, guint64 size,
                      guint64 offset, gsize length, CacheReadCallback callback, void *data)
{
	offset = MIN(offset, size);
	guint64 end = MIN(offset + length, size);
	g_mutex_lock(&content->io);
	note_access_io(content, offset, end);
	/* Whole files need no look at what else could be fetched. */
	bool held =
		cache_extents_contain(&content->resident, offset, end) &&
		(!content->window || cache_extents_contain(&content->resident, end,
	                                                   MIN(end + content->window / 2, size)));
	g_mutex_unlock(&content->io);
	if (held) {
		CacheSpan span = {content->fd, offset, end - offset};
		callback(&span, NULL, data);
		return;
	}
	CacheReader *reader = reader_new(cache, node, offset, end, size, data);
	reader->callback = callback;
	enqueue(cache, content, reader);
}

void cache_fetch_all(Cache *cache, CacheNode *node, CacheContent *content, guint64 size,
                     CacheReady ready, void *data)
{
	CacheReader *reader = reader_new(cache, node, 0, size, size, data);
	reader->ready = ready;
	g_mutex_lock(&content->io);
	content->window = MAX(content->window, WINDOW_MIN);
	g_mutex_unlock(&content->io);
	enqueue(cache, content, reader);
}

void cache_fetch_stop(Cache *cache, CacheContent *content, const GError *error)
{
	g_mutex_lock(&content->io);
	GSList *readers = error ? g_steal_pointer(&content->readers) : NULL, *cancel = NULL;
	if (!content->readers)
		for (GSList *l = content->transfers; l; l = l->next) {
			CacheTransfer *transfer = l->data;
			cancel = g_slist_prepend(cancel, g_object_ref(transfer->cancellable));
		}
	g_mutex_unlock(&content->io);
	for (GSList *l = cancel; l; l = l->next)
		g_cancellable_cancel(l->data);
	g_slist_free_full(cancel, g_object_unref);
	answer_all(cache, content, readers, error);
}
