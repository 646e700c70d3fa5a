/* cache/blob.h - the files that hold contents: blobs/<id>, sparse, 0600, and the quarantine.
 *
 * Threads: any; the struct is constant after opening, but for `used`. Errors: CACHE_ERROR with the
 * errno of the system call.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/stat.h>

typedef guint64 CacheBlobId; /* 0: none */

typedef struct {
	char *path;     /* of the cache's folder, for messages */
	int dir;        /* blobs/ */
	int quarantine; /* quarantine/ */
	/* Bytes of disk that the files in blobs/ take, as far as they have been measured. */
	_Atomic gint64 used;
} CacheBlobs;

bool cache_blobs_open(CacheBlobs *blobs, const char *cache_path, GError **error);
void cache_blobs_close(CacheBlobs *blobs);

/* A file descriptor open for reading and writing, -1 with error set. Create refuses what exists;
 * open gives ENOENT for what is lost. */
int cache_blob_create(const CacheBlobs *blobs, CacheBlobId id, GError **error);
int cache_blob_open(const CacheBlobs *blobs, CacheBlobId id, GError **error);
bool cache_blob_stat(const CacheBlobs *blobs, CacheBlobId id,
                     struct stat *ret); /* false: not there */
bool cache_blob_remove(CacheBlobs *blobs, CacheBlobId id, GError **error);
/* Notes in `used` what an open blob takes on the disk by now, `known` bytes of which are in it
 * already. Returns what it takes. */
guint64 cache_blob_measure(CacheBlobs *blobs, int fd, guint64 known);
/* Counts all of `ids` (GArray of CacheBlobId) anew. */
void cache_blobs_measure(CacheBlobs *blobs, const GArray *ids);
/* Makes another, empty blob the same as this one, at no cost; false: the disk can't. */
bool cache_blob_share(int from, int to);
/* Copies [0, length) of one open blob to another, empty one. */
bool cache_blob_copy(int from, int to, guint64 length, GError **error);
/* Moves a blob aside, under a name that says which file it was. Never deletes. */
bool cache_blob_quarantine(const CacheBlobs *blobs, CacheBlobId id, const char *label,
                           GError **error);
/* How much is there; 0 if that can't be found out. */
void cache_blobs_quarantined(const CacheBlobs *blobs, guint *ret_files, guint64 *ret_bytes);
/* Every id in blobs/ (GArray of CacheBlobId; free with g_array_unref). Files that aren't named like
 * a blob are moved to the quarantine. */
GArray *cache_blobs_list(const CacheBlobs *blobs, GError **error);
