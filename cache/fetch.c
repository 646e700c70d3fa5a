/* Downloads: ranges of a file that move into its blob, and the readers who wait for them.
 *
 * A reader is answered as soon as its own bytes are there. All readers of a content share its
 * transfers; a storage that ignores ranges is recognised by its 200 and then serves everybody from
 * one whole body. */
#include "cache/private.h"

#include <errno.h>
#include <unistd.h>

#define MAX_TRANSFERS 8              /* of one content */
#define WINDOW_MIN (4 * 1024 * 1024) /* first range of a sequential reader */
#define WINDOW_MAX (64 * 1024 * 1024)
#define RANDOM_BYTES (64 * 1024) /* any other range ends where such a block does */
#define NEAR_BYTES (512 * 1024)  /* the kernel's read-ahead comes in any order */
/* A transfer this close is waited for, by a sequential and by any other reader. */
#define WORTH_WAITING (8 * 1024 * 1024)
#define RANDOM_WAITING (512 * 1024)
#define BRIDGE_BYTES (1024 * 1024) /* what is held and shorter parts no range */
#define SAVE_BYTES (16 * 1024 * 1024)
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
	bool ranged;  /* it asked for a range */
	bool partial; /* and got one */
	bool whole;   /* the whole body comes */
	GCancellable *cancellable;
} CacheTransfer;

typedef struct {
	CacheNode *node; /* pinned */
	guint64 offset, end, size, window;
	CacheReadCallback callback; /* or */
	CacheReady ready;
	void *data;
} CacheReader;

static bool want_io(Cache *cache, CacheContent *content, const CacheReader *reader,
                    guint64 patience, GSList **ret_start);
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

/* Writes what of [pos, pos + length) is neither held nor being written by somebody. How much that
 * was is added to `ret_new`. */
static bool fill_io(CacheContent *content, guint64 pos, const char *bytes, gsize length,
                    guint64 *ret_new, GError **error)
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
				*ret_new += n;
			}
			at = piece_end;
		}
		from = gap_end;
	}
	return true;
}

static bool same_version(const GssVersion *a, const GssVersion *b)
{
	return (a->size < 0 || b->size < 0 || a->size == b->size) &&
	       (a->mtime < 0 || b->mtime < 0 || a->mtime == b->mtime) &&
	       (!a->etag || !b->etag || g_str_equal(a->etag, b->etag));
}

static CacheRanges ranges_io(const CacheContent *content)
{
	return content->ranges ? content->ranges
	                       : (CacheRanges)g_atomic_int_get(&content->cache->ranges);
}

static bool on_begin(const GssBody *body, void *data, GError **error)
{
	CacheTransfer *transfer = data;
	if (!same_version(body->version, &transfer->expected)) {
		g_set_error(error, CACHE_ERROR, ESTALE, "%s: changed on GSS while it was read",
		            transfer->uri);
		return false;
	}
	CacheContent *content = transfer->content;
	CacheRanges verdict = body->partial ? CACHE_RANGES_HONOURED : CACHE_RANGES_IGNORED;
	bool redundant = false;
	g_mutex_lock(&content->io);
	transfer->partial = body->partial;
	if (!body->partial) {
		/* The whole body, whatever was asked; one of these is enough. */
		for (GSList *l = content->transfers; l; l = l->next) {
			const CacheTransfer *other = l->data;
			redundant |= other != transfer && other->whole;
		}
		transfer->whole = true;
		transfer->start = transfer->pos = 0;
		transfer->end = transfer->size;
	}
	if (transfer->ranged)
		content->ranges = verdict;
	g_mutex_unlock(&content->io);
	if (transfer->ranged)
		cache_verdict_ranges(transfer->cache, verdict);
	if (redundant)
		g_set_error(error, CACHE_ERROR, ECANCELED, "another transfer brings it");
	return !redundant;
}

static bool on_body(const void *bytes, gsize length, void *data, GError **error)
{
	CacheTransfer *transfer = data;
	CacheContent *content = transfer->content;
	if (length > transfer->size - MIN(transfer->pos, transfer->size)) {
		g_set_error(error, CACHE_ERROR, ESTALE, "%s: is longer on GSS than it was",
		            transfer->uri);
		return false;
	}
	if (!cache_space_fetch(transfer->cache, length, error))
		return false;
	guint64 fresh = 0;
	g_mutex_lock(&content->io);
	bool ok = fill_io(content, transfer->pos, bytes, length, &fresh, error);
	if (ok)
		transfer->pos += length;
	/* The beginning of a body that always breaks at the same place is no progress. */
	if (fresh)
		content->tries = 0;
	content->unsaved += fresh;
	bool save = content->unsaved >= SAVE_BYTES && content->unsaved - fresh < SAVE_BYTES;
	GSList *served = take_served_io(content);
	g_mutex_unlock(&content->io);
	answer_all(transfer->cache, content, served, NULL);
	if (save)
		cache_content_save_soon(content);
	return ok;
}

/* There is another version, or none. */
static bool is_outdated(int code)
{
	return code == ESTALE || code == ENOENT || code == ERANGE;
}

static bool passes(int code)
{
	return !is_outdated(code) && code != EACCES && code != EPERM && code != ENOSPC &&
	       code != EPROTO && code != ENOKEY && code != EKEYREJECTED && code != EINVAL;
}

static GError *told_error(const GError *error)
{
	return g_error_new_literal(CACHE_ERROR, is_outdated(error->code) ? ESTALE : error->code,
	                           error->message);
}

static guint64 patience(const CacheReader *reader)
{
	return reader->window ? WORTH_WAITING : RANDOM_WAITING;
}

/* Readers for whom nothing can be fetched any more. */
static GSList *want_all_io(Cache *cache, CacheContent *content, GSList **ret_start)
{
	GSList *hopeless = NULL;
	for (GSList *l = content->readers, *next; l; l = next) {
		next = l->next;
		const CacheReader *reader = l->data;
		if (want_io(cache, content, reader, patience(reader), ret_start))
			continue;
		content->readers = g_slist_remove_link(content->readers, l);
		hopeless = g_slist_concat(l, hopeless);
	}
	return g_slist_reverse(hopeless);
}

/* Sees to it that everybody who waits has a transfer to wait for. */
static void kick(Cache *cache, CacheContent *content)
{
	GSList *starting = NULL, *failed = NULL;
	g_autoptr(GError) error = NULL;
	g_mutex_lock(&cache->lock);
	g_mutex_lock(&content->io);
	GSList *served = take_served_io(content);
	if (cache->stopping) {
		failed = g_steal_pointer(&content->readers);
		error = g_error_new_literal(CACHE_ERROR, ECANCELED, "unmounting");
	} else {
		failed = want_all_io(cache, content, &starting);
		error = g_error_new_literal(CACHE_ERROR, ESTALE, "another version has replaced it");
	}
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

/* GSS was asked what is there now. */
static void on_looked(Cache *cache, const GError *error, void *data)
{
	CacheContent *content = data;
	g_autoptr(GError) told = error ? told_error(error) : NULL;
	g_mutex_lock(&content->io);
	content->looking = false;
	GSList *failed = error ? g_steal_pointer(&content->readers) : NULL;
	g_mutex_unlock(&content->io);
	answer_all(cache, content, failed, told);
	kick(cache, content);
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
	g_mutex_lock(&content->io);
	content->looking = false;
	g_mutex_unlock(&content->io);
	cache_content_put(content);
	return false;
}

static const GssVersion *wanted_version_locked(const CacheNode *node)
{
	return node->r.moved_from ? &node->r.from : &node->r.remote;
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

static void on_done(const GError *error, void *data)
{
	CacheTransfer *transfer = data;
	Cache *cache = transfer->cache;
	CacheContent *content = cache_content_ref(transfer->content);
	g_autoptr(GError) early = NULL;
	if (!error && !transfer->partial && transfer->pos < transfer->end)
		error = early = early_end(transfer);
	bool outdated = error && is_outdated(error->code);
	bool superseded = outdated && is_superseded(transfer);
	g_mutex_lock(&content->io);
	content->transfers = g_slist_remove(content->transfers, transfer);
	bool fails =
		error && error->code != ECANCELED && !superseded && !(outdated && content->looking);
	bool again = fails && content->tries < MAX_TRIES;
	guint delay = RETRY_MS << content->tries;
	if (fails)
		content->tries = again ? content->tries + 1 : 0;
	if (again && outdated)
		content->looking = true;
	g_mutex_unlock(&content->io);

	bool looking = again && outdated && look_anew(cache, transfer->node, content);
	bool retry = again && !looking && passes(error->code);
	if (fails && !looking && !retry) {
		g_autoptr(GError) told = told_error(error);
		g_message("%s: cannot be read: %s", transfer->uri, error->message);
		g_mutex_lock(&content->io);
		GSList *failed = g_steal_pointer(&content->readers);
		g_mutex_unlock(&content->io);
		answer_all(cache, content, failed, told);
	}
	cache_content_save_soon(content);
	if (retry) {
		g_source_unref(cache_worker_after(cache, delay, on_retry, content, put));
	} else {
		if (!looking)
			kick(cache, content);
		cache_content_put(content);
	}
	transfer_free(transfer); /* last: from here on the cache may be stopped */
}

static const GssSink sink = {.begin = on_begin, .body = on_body, .done = on_done};

static void transfer_read(CacheTransfer *transfer, GssResource *resource)
{
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

/* The first byte of [from, limit) that is neither held nor on its way, near enough (`patience`
 * bytes) to be waited for. */
static bool missing_io(const CacheContent *content, guint64 from, guint64 limit, guint64 patience,
                       guint64 *ret)
{
	guint64 gap, gap_end;
	if (!cache_extents_gap(&content->resident, from, limit, &gap, &gap_end))
		return false;
	if (content->transfers && ranges_io(content) == CACHE_RANGES_IGNORED)
		return false;
	for (const GSList *l = content->transfers; l; l = l->next) {
		const CacheTransfer *transfer = l->data;
		if (gap >= transfer->pos && gap < transfer->end && gap - transfer->pos <= patience)
			return transfer->end < limit &&
			       missing_io(content, transfer->end, limit, patience, ret);
	}
	*ret = gap;
	return true;
}

/* How much to ask for at `from`: never what another transfer will bring, and what is held only
 * between two gaps that are close to each other. */
static guint64 range_end_io(const CacheContent *content, guint64 from, guint64 needed,
                            guint64 window, guint64 size)
{
	guint64 end =
		window ? from + window : MAX(needed, (from / RANDOM_BYTES + 1) * RANDOM_BYTES);
	end = MIN(end, size);
	guint64 gap = from, gap_end = from, next;
	while (gap_end < end &&
	       cache_extents_gap(&content->resident, gap_end, end, &next, &gap_end) &&
	       (next == from || next - gap <= BRIDGE_BYTES))
		gap = gap_end;
	end = gap;
	for (const GSList *l = content->transfers; l; l = l->next) {
		const CacheTransfer *other = l->data;
		if (other->pos > from)
			end = MIN(end, other->pos);
	}
	return end;
}

/* NULL: there is nothing of this content to be had. */
static CacheTransfer *transfer_new_locked(Cache *cache, CacheContent *content,
                                          const CacheReader *reader, guint64 from)
{
	CacheNode *node = reader->node;
	const char *uri = node->r.moved_from ? node->r.moved_from : node->r.uri;
	const GssVersion *version = wanted_version_locked(node);
	guint64 size = version->size >= 0 ? (guint64)version->size : reader->size;
	if (!uri || from >= size || g_atomic_int_get(&content->discard) ||
	    !cache_call_begin_locked(cache))
		return NULL;
	CacheTransfer *transfer = g_new0(CacheTransfer, 1);
	transfer->cache = cache;
	transfer->node = cache_node_pin_locked(node);
	transfer->content = cache_content_ref(content);
	transfer->uri = g_strdup(uri);
	gss_version_copy(&transfer->expected, version);
	transfer->size = size;
	transfer->cancellable = g_cancellable_new();
	return transfer;
}

/* Starts what is missing for [offset, end) of a reader; false: it can't be had. Locks: Cache.lock,
 * then io. */
static bool want_io(Cache *cache, CacheContent *content, const CacheReader *reader,
                    guint64 patience, GSList **ret_start)
{
	guint64 from;
	if (!missing_io(content, reader->offset, reader->end, patience, &from) ||
	    content->looking || g_slist_length(content->transfers) >= MAX_TRANSFERS)
		return true;
	CacheTransfer *transfer = transfer_new_locked(cache, content, reader, from);
	if (!transfer)
		return false;
	if (ranges_io(content) == CACHE_RANGES_IGNORED) {
		/* Asked for as a range all the same: it tells when the storage has learned it. */
		transfer->end = transfer->size;
		transfer->ranged = true;
	} else {
		transfer->start = transfer->pos = from;
		transfer->end = range_end_io(content, from, reader->end, reader->window,
		                             MIN(reader->size, transfer->size));
		transfer->ranged = from > 0 || transfer->end < transfer->size;
	}
	content->transfers = g_slist_prepend(content->transfers, transfer);
	*ret_start = g_slist_prepend(*ret_start, transfer);
	return true;
}

guint64 cache_fetch_note(CacheAhead *ahead, guint64 offset, guint64 end)
{
	bool near = offset <= ahead->next + NEAR_BYTES && offset + NEAR_BYTES >= ahead->next;
	if (!near)
		*ahead = (CacheAhead){.run = offset};
	ahead->next = MAX(ahead->next, end);
	return near ? CLAMP(ahead->next - MIN(ahead->run, ahead->next), WINDOW_MIN, WINDOW_MAX) : 0;
}

/* Queues a reader, or answers it when there is nothing to wait for; [ahead, ahead_end) is wanted
 * soon. */
static void enqueue(Cache *cache, CacheContent *content, CacheReader *reader, guint64 ahead,
                    guint64 ahead_end)
{
	GSList *starting = NULL;
	g_autoptr(GError) error = NULL;
	g_mutex_lock(&cache->lock);
	g_mutex_lock(&content->io);
	bool served = cache_extents_contain(&content->resident, reader->offset, reader->end);
	bool usable = cache->client && !cache->stopping &&
	              (reader->node->r.uri || reader->node->r.moved_from);
	bool waits =
		!served && usable && want_io(cache, content, reader, patience(reader), &starting);
	if (waits)
		content->readers = g_slist_append(content->readers, reader);
	else if (!served)
		error = g_error_new_literal(
			CACHE_ERROR, usable ? ESTALE : EIO,
			usable ? "another version has replaced it"
			       : "the contents are not held here and GSS cannot be asked");
	if (usable && ahead < ahead_end) {
		/* Read ahead, while the reader is busy with what it has. */
		CacheReader hint = {.node = reader->node,
		                    .offset = ahead,
		                    .end = ahead_end,
		                    .size = reader->size,
		                    .window = reader->window};
		want_io(cache, content, &hint, WINDOW_MAX, &starting);
	}
	g_mutex_unlock(&content->io);
	g_mutex_unlock(&cache->lock);
	start_all(starting);
	if (!waits)
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
                      const CacheWanted *wanted, CacheReadCallback callback, void *data)
{
	guint64 ahead_end = MIN(wanted->next + wanted->window / 2, size), missing;
	g_mutex_lock(&content->io);
	/* What is held, with what follows on its way, needs no further look. */
	bool held = cache_extents_contain(&content->resident, wanted->offset, wanted->end) &&
	            (wanted->next >= ahead_end ||
	             !missing_io(content, wanted->next, ahead_end, WINDOW_MAX, &missing));
	g_mutex_unlock(&content->io);
	if (held) {
		CacheSpan span = {content->fd, wanted->offset, wanted->end - wanted->offset};
		callback(&span, NULL, data);
		return;
	}
	CacheReader *reader = reader_new(cache, node, wanted->offset, wanted->end, size, data);
	reader->callback = callback;
	reader->window = wanted->window;
	enqueue(cache, content, reader, wanted->next, ahead_end);
}

void cache_fetch_all(Cache *cache, CacheNode *node, CacheContent *content, guint64 size,
                     CacheReady ready, void *data)
{
	CacheReader *reader = reader_new(cache, node, 0, size, size, data);
	reader->ready = ready;
	reader->window = WINDOW_MAX;
	enqueue(cache, content, reader, 0, 0);
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
