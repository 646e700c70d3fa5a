/* Reading: who waits for which bytes, and what is asked for on their behalf (cache/transfer.c).
 *
 * A reader is answered as soon as its own bytes are there. All readers of a content share its
 * transfers; a storage that ignores ranges is recognised by its 200 and then serves everybody from
 * one whole body. */
#include "cache/transfer.h"

#include <errno.h>

#define MAX_TRANSFERS 8              /* of one content */
#define WINDOW_MIN (4 * 1024 * 1024) /* first range of a sequential reader */
#define WINDOW_MAX (64 * 1024 * 1024)
#define RANDOM_BYTES (64 * 1024) /* any other range ends where such a block does */
#define NEAR_BYTES (512 * 1024)  /* the kernel's read-ahead comes in any order */
/* A transfer this close is waited for, by a sequential and by any other reader. */
#define WORTH_WAITING (8 * 1024 * 1024)
#define RANDOM_WAITING (512 * 1024)
#define BRIDGE_BYTES (1024 * 1024) /* what is held and shorter parts no range */
/* The rest of a whole body that is short enough comes also when nobody waits for it. */
#define KEEP_BYTES (64 * 1024 * 1024)

typedef struct {
	CacheNode *node; /* pinned */
	guint64 offset, end, asked, size, window;
	guint lineage;              /* of the node, when it was asked for */
	CacheReadCallback callback; /* or */
	CacheReady ready;
	void *data;
} CacheReader;

static bool want_io(Cache *cache, CacheContent *content, const CacheReader *reader,
                    guint64 patience, GSList **ret_start);

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
	if (!error && reader->callback) {
		g_mutex_lock(&cache->lock);
		reader->node->read = true;
		g_mutex_unlock(&cache->lock);
	}
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

static CacheRanges ranges_io(const CacheContent *content)
{
	return content->ranges ? content->ranges
	                       : (CacheRanges)g_atomic_int_get(&content->cache->ranges);
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

void cache_fetch_serve(Cache *cache, CacheContent *content)
{
	g_mutex_lock(&content->io);
	GSList *served = take_served_io(content);
	g_mutex_unlock(&content->io);
	answer_all(cache, content, served, NULL);
}

void cache_fetch_fail(Cache *cache, CacheContent *content, const GError *error)
{
	g_mutex_lock(&content->io);
	GSList *failed = g_steal_pointer(&content->readers);
	g_mutex_unlock(&content->io);
	answer_all(cache, content, failed, error);
}

void cache_fetch_kick(Cache *cache, CacheContent *content)
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
	cache_transfer_start_all(starting);
	answer_all(cache, content, served, NULL);
	answer_all(cache, content, failed, error);
}

static void look_again(void *data)
{
	CacheContent *content = data;
	cache_fetch_kick(content->cache, content);
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

void cache_fetch_grow_io(CacheContent *content, guint64 size)
{
	for (GSList *l = content->readers; l; l = l->next) {
		CacheReader *reader = l->data;
		reader->end = MAX(reader->end, MIN(reader->asked, size));
		reader->size = MAX(reader->size, size);
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

/* The first byte of [from, limit) that is neither held nor on its way, near enough (`patience`
 * bytes) to be waited for. */
static bool missing_io(const CacheContent *content, guint64 from, guint64 limit, guint64 patience,
                       guint64 *ret)
{
	guint64 gap, gap_end;
	if (!cache_extents_gap(&content->resident, from, limit, &gap, &gap_end))
		return false;
	for (const GSList *l = content->transfers; l; l = l->next) {
		const CacheTransfer *transfer = l->data;
		if (!cache_transfer_current_io(transfer))
			continue;
		if (ranges_io(content) == CACHE_RANGES_IGNORED)
			return false;
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
		if (cache_transfer_current_io(other) && other->pos > from)
			end = MIN(end, other->pos);
	}
	return end;
}

/* Starts what is missing for [offset, end) of a reader; false: it can't be had. Locks: Cache.lock,
 * then io. */
static bool want_io(Cache *cache, CacheContent *content, const CacheReader *reader,
                    guint64 patience, GSList **ret_start)
{
	guint64 from;
	if (!missing_io(content, reader->offset, reader->end, patience, &from) ||
	    content->looking || content->postponed ||
	    g_slist_length(content->transfers) >= MAX_TRANSFERS)
		return true;
	CacheTransfer *transfer =
		cache_transfer_new_locked(cache, reader->node, content, reader->size, from);
	if (!transfer)
		return false;
	cache_transfer_aim_io(transfer, range_end_io(content, from, reader->end, reader->window,
	                                             MIN(reader->size, transfer->size)));
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

bool cache_fetch_move_locked(CacheContent *from, CacheContent *to)
{
	g_mutex_lock(&from->io);
	GSList *readers = g_steal_pointer(&from->readers);
	g_mutex_unlock(&from->io);
	g_mutex_lock(&to->io);
	to->readers = g_slist_concat(to->readers, readers);
	to->streams = true;
	g_mutex_unlock(&to->io);
	return readers != NULL;
}

void cache_fetch_reader_range_io(const void *reader, guint64 *ret_from, guint64 *ret_to)
{
	*ret_from = ((const CacheReader *)reader)->offset;
	*ret_to = ((const CacheReader *)reader)->end;
}

bool cache_fetch_may_move_io(const CacheContent *content)
{
	bool may = !content->looking;
	for (const GSList *l = content->readers; l && may; l = l->next)
		may = !((const CacheReader *)l->data)->ready;
	return may;
}

/* What the reader asked for, or what has taken its place when it was evicted meanwhile. */
static CacheContent *current_locked(Cache *cache, const CacheReader *reader, CacheContent *content)
{
	CacheNode *node = reader->node;
	/* A content that was cut off here is none of what the reader asked for. */
	bool evicted = g_atomic_int_get(&content->discard) && node->content != content &&
	               node->lineage == reader->lineage && !cache_node_dirty(node);
	CacheContent *current = evicted ? cache_content_open_locked(cache, node, NULL) : NULL;
	return current ? current : cache_content_ref(content);
}

/* Queues a reader, or answers it when there is nothing to wait for; [ahead, ahead_end) is wanted
 * soon. */
static void enqueue(Cache *cache, CacheContent *asked, CacheReader *reader, guint64 ahead,
                    guint64 ahead_end)
{
	GSList *starting = NULL;
	g_autoptr(GError) error = NULL;
	g_mutex_lock(&cache->lock);
	CacheContent *content = current_locked(cache, reader, asked);
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
	cache_transfer_start_all(starting);
	if (!waits)
		answer(cache, content, reader, error);
	cache_content_put(content);
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

/* Bytes have come since the reader was told that there are none. False: they are not the node's any
 * more. */
static bool note_read(Cache *cache, CacheNode *node, const CacheContent *content)
{
	g_mutex_lock(&cache->lock);
	bool current = node->content == content;
	node->read |= current;
	g_mutex_unlock(&cache->lock);
	return current;
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
	bool noted = wanted->noted || wanted->end == wanted->offset;
	if (held && (noted || note_read(cache, node, content))) {
		CacheSpan span = {content->fd, wanted->offset, wanted->end - wanted->offset};
		callback(&span, NULL, data);
		return;
	}
	CacheReader *reader = reader_new(cache, node, wanted->offset, wanted->end, size, data);
	reader->callback = callback;
	reader->asked = wanted->asked;
	reader->window = wanted->window;
	reader->lineage = wanted->lineage;
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
			if (error || !transfer->whole || transfer->end - transfer->pos > KEEP_BYTES)
				cancel = g_slist_prepend(cancel,
				                         g_object_ref(transfer->cancellable));
		}
	g_mutex_unlock(&content->io);
	for (GSList *l = cancel; l; l = l->next)
		g_cancellable_cancel(l->data);
	g_slist_free_full(cancel, g_object_unref);
	answer_all(cache, content, readers, error);
}
