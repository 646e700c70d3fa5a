/* cache/sum.h - SHA-256 sums of contents: what tells one from another where nothing else does.
 *
 * Here a sum takes 2 s a GiB, on a thread of its own; there it takes a download. Neither is made
 * unless it decides something.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#include "gss/storage.h"

typedef struct Cache Cache;
typedef struct CacheContent CacheContent;

/* Of the first `size` bytes of an open blob; NULL: it cannot be read, or was cancelled. Waits for
 * the disk: for what is small. Free with g_free(). */
char *cache_sum_blob(int fd, guint64 size, GCancellable *cancellable);

/* The same, later: `summed` runs on the worker, with no lock held. `piece` (may be NULL) runs on
 * the summing thread, with no lock held, after each piece: false ends it. Whether the content was
 * changed meanwhile is for the caller to know. To be called within cache_call_begin_locked(). */
typedef bool (*CacheSumPiece)(void *data);
typedef void (*CacheSummed)(const char *hash, void *data);
void cache_sum_content(Cache *cache, CacheContent *content, guint64 size, GCancellable *cancellable,
                       CacheSumPiece piece, CacheSummed summed, void *data);

/* Of a file on GSS of `size` bytes; EAGAIN: it is changing. The callbacks run on gss-net;
 * `progress` (may be NULL) for each piece. */
typedef void (*CacheSumCallback)(const char *hash, const GError *error, void *data);
void cache_sum_remote(GssClient *client, GssResource *resource, guint64 size,
                      GCancellable *cancellable, void (*progress)(void *data),
                      CacheSumCallback callback, void *data);
