/* cache/transfer.h - one download: a range of one version of a file, or all of it, on its way into
 * the blob. Who waits for it, and what is asked for, is cache/fetch.c's.
 *
 * A transfer fills a content only as long as that stands for the version the transfer began with
 * (`serial`). The first answer of a version says most of it: what the node did not know yet, it
 * takes over, so that the next answers are held against all that can be told.
 *
 * Threads: made with Cache.lock and then CacheContent.io; started without a lock; from then on it
 * is gss-net's, and ends by itself. Its fields are guarded by CacheContent.io, but for the constant
 * ones.
 */
#pragma once

#include "cache/private.h"

struct CacheTransfer {
	/* Constant. */
	Cache *cache;
	CacheNode *node; /* pinned */
	CacheContent *content;
	char *uri;
	bool ranged; /* it asks for a range */
	GCancellable *cancellable;

	GList link;          /* in Cache.transfers; guarded by Cache.lock */
	GssVersion expected; /* gss-net's, as are the next three */
	GssResource *resource;
	gint64 begun_at; /* monotonic us: when the answer began */
	GBytes *last;    /* the end of a body that took long: not believed yet */
	guint64 size;    /* of the remote file */
	guint64 start, pos, end;
	guint serial;   /* of the content, when it began */
	guint64 fresh;  /* bytes that it brought */
	bool partial;   /* it got a range */
	bool whole;     /* the whole body comes */
	bool validated; /* the answer has what tells versions of one size apart */
};

/* Of [from, end), for `node`. NULL: there is nothing of this content to be had. Locks: Cache.lock,
 * then io. */
CacheTransfer *cache_transfer_new_locked(Cache *cache, CacheNode *node, CacheContent *content,
                                         guint64 size, guint64 from);
/* What one of CacheContent.readers waits for (cache/fetch.c). */
void cache_fetch_reader_range_io(const void *reader, guint64 *ret_from, guint64 *ret_to);
/* How much is to come, in one go; what is held before it is read once more where only that can tell
 * that the file is still the same. */
void cache_transfer_aim_io(CacheTransfer *transfer, guint64 end);
/* Does it bring the version for which its content stands? */
static inline bool cache_transfer_current_io(const CacheTransfer *transfer)
{
	return transfer->serial == transfer->content->serial;
}
/* From now on the content stands for another version: what is under way is of no use. */
void cache_transfer_supersede_locked(CacheContent *content);
/* Whoever had raised CacheContent.looking knows which version is there. */
void cache_transfer_looked(CacheContent *content);
/* Starts and frees a list of them. */
void cache_transfer_start_all(GSList *transfers);
