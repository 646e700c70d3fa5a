/* cache/conflict.h - two versions of one file: somebody changed it on GSS after an edit of it began
 * here. Both survive: theirs keeps the name, ours goes on, as the node it is, under the name of a
 * conflict copy; both in one transaction, before a byte of ours is sent there.
 *
 * A conflict copy that was uploaded is clean: nothing of it is pending. That it is one stays in its
 * record (CacheRecord.conflict) and is shown as its state, until somebody renames it, writes to it,
 * or removes it.
 *
 * Contents are compared where the storage has nothing but sizes to compare, up to
 * CACHE_COMPARE_BYTES.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#include "cache/blob.h"
#include "gss/storage.h"

#define CACHE_COMPARE_BYTES (1024 * 1024)

/* NAME.conflict-USER-YYYYMMDDTHHMMSS[-NUMBER], of at most 255 bytes; `when` in s since the epoch,
 * UTC; `number` from 2 on is shown. What `user` has beyond letters, digits, ".", "_" and "-"
 * becomes "_". Free with g_free(). */
char *cache_conflict_name(const char *name, const char *user, gint64 when, guint number);

/* SHA-256 of the first `size` bytes of an open blob; NULL: it cannot be read. */
char *cache_conflict_hash(int fd, guint64 size);

/* The same of a file on GSS of `size` bytes, at most CACHE_COMPARE_BYTES; EAGAIN: it is changing.
 * The callback runs on gss-net. */
typedef void (*CacheSumCallback)(const char *hash, const GError *error, void *data);
void cache_conflict_sum(GssClient *client, GssResource *resource, guint64 size,
                        GCancellable *cancellable, CacheSumCallback callback, void *data);
