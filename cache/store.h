/* cache/store.h - the journal: the only SQL of the project (SQLite, WAL).
 *
 * Threads: any; a store is guarded by a lock of its own, which cache_store_begin() takes and
 * cache_store_end() releases. Calls outside of a transaction are transactions of their own.
 *
 * Durability: a committed transaction survives the death of the daemon at any instruction. It
 * survives power loss once cache_store_checkpoint() ran after it; the journal itself is consistent
 * after power loss in any case. What the journal says of data may then be newer than the data: that
 * is what blob.boot_id and blob.durable are for.
 *
 * Errors: CACHE_ERROR: ENOSPC, EIO, EUCLEAN (the database is damaged), ENOENT (no such record),
 * EEXIST.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "cache/blob.h"
#include "cache/cache.h"
#include "cache/extent.h"
#include "gss/resource.h"

#define CACHE_PARENT_ROOT 0      /* parent of what a mount shows; the name is the URI */
#define CACHE_PARENT_UNLINKED -1 /* parent of a node without a name, still open */

typedef enum {
	CACHE_TORN_NO,
	/* Unacknowledged writes may have changed acknowledged bytes since the last flush. */
	CACHE_TORN_WRITING,
	/* A write to it was lost, and its writer knows. */
	CACHE_TORN_LOST,
} CacheTorn;

/* What may be at a place on GSS that something here has left. */
typedef struct {
	GssVersion version; /* that is known to be there; of unknown size: whatever is there */
	char *hash;         /* of its content; NULL unknown */
	/* Or what a request has brought whose answer is lost: this many bytes, plus 1; 0: none. */
	guint64 attempted;
	char *attempted_hash; /* of those; NULL unknown: large, and not looked into yet */
} CacheLeftover;
#define CACHE_LEFTOVER_INIT ((CacheLeftover){.version = GSS_VERSION_INIT})
void cache_leftover_clear(CacheLeftover *left);
void cache_leftover_copy(CacheLeftover *to, const CacheLeftover *from);

/* One node. Times in ns since the epoch. */
typedef struct {
	CacheId id;
	gint64 parent;
	char *name;
	bool folder;
	mode_t mode;
	gint64 atime, mtime, ctime;
	gint64 size; /* of the content; -1: not known yet */
	char *uri;   /* where it is on GSS, or what its content is to replace; NULL: nowhere yet */
	GssVersion remote;  /* the version at `uri` that the content equals or was made from */
	char *moved_from;   /* renamed: the URI to remove once the content has arrived under its new
	                       name */
	CacheLeftover from; /* what is to go there */
	guint64 generation; /* of the content; grows with the first change after a seal */
	guint64 published;  /* the generation that GSS has; equal: clean */
	CacheBlobId blob;   /* 0: nothing is held */
	CacheTorn torn;     /* why it is not to be uploaded as it is */
	guint64 attempted;  /* a request that sent this many bytes, plus 1, may have been processed
	                     * without our knowing; 0: none */
	char *attempted_hash; /* of what it sent; NULL unknown: large, and not looked into yet */
	char *remote_hash;    /* of what is at `uri`; NULL unknown */
	bool listed;          /* folder: its children here are a complete listing of some time */
	CacheState state;     /* CLEAN, DIRTY, FAILED or CONFLICT */
	int error;            /* errno of the last failed upload, 0 none */
	char *message;        /* and what it said */
	char *conflict;       /* a conflict copy: why it is one; NULL: none */
} CacheRecord;
#define CACHE_RECORD_INIT                                               \
	{                                                               \
		.remote = GSS_VERSION_INIT, .from = CACHE_LEFTOVER_INIT \
	}
void cache_record_clear(CacheRecord *record);
void cache_record_copy(CacheRecord *to, const CacheRecord *from);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CacheRecord, cache_record_clear)

/* A sealed generation: what an upload sends. */
typedef struct {
	CacheId node;
	guint64 number;
	CacheBlobId blob;
	guint64 size;
} CacheGeneration;

/* A deletion still to be made on GSS, of what a rename left behind. */
typedef struct {
	gint64 id;
	char *uri;
	CacheLeftover left;
	gint64 until;  /* ns since the epoch: it may still come until then; 0: looked at once */
	int error;     /* errno of why GSS refuses for good, 0: it does not */
	char *message; /* and what it said */
} CacheRemoval;
void cache_removal_clear(CacheRemoval *removal);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CacheRemoval, cache_removal_clear)

typedef struct CacheStore CacheStore;

/* Opens or makes it, checks it, migrates older schemas. EUCLEAN: damaged. */
CacheStore *cache_store_open(const char *path, GError **error);
/* A damaged one, only to be read: each call may fail. NULL: nothing of it can be read. */
CacheStore *cache_store_open_damaged(const char *path);
void cache_store_close(CacheStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CacheStore, cache_store_close)
/* Who makes room on the disk for the journal: asked before each transaction, and when the disk was
 * found to be `full`; true: it has become better. Called with the store's lock, takes no other. */
typedef bool (*CacheStoreRoom)(void *data, bool full);
void cache_store_set_room(CacheStore *store, CacheStoreRoom room, void *data);
/* Who removes the file of a blob that was given up; false: not yet. Called when that is committed,
 * without the store's lock. */
typedef bool (*CacheStoreGivenUp)(CacheBlobId id, void *data);
void cache_store_set_given_up(CacheStore *store, CacheStoreGivenUp given_up, void *data);
/* Brings what was committed to the disk, and folds it in. Slow: for a thread that may wait. */
bool cache_store_checkpoint(CacheStore *store, GError **error);
/* Brings what was committed to the disk, and no more. */
bool cache_store_sync(CacheStore *store, GError **error);
bool cache_store_log_is_long(CacheStore *store); /* a checkpoint is due */

/* Transactions don't nest. end(commit = false) rolls back and can't fail; a failed commit rolls
 * back. */
bool cache_store_begin(CacheStore *store, GError **error);
bool cache_store_end(CacheStore *store, bool commit, GError **error);

/* NULL without an error: not set. */
char *cache_store_get_meta(CacheStore *store, const char *key, GError **error);
bool cache_store_set_meta(CacheStore *store, const char *key, const char *value, GError **error);

bool cache_store_remove_meta(CacheStore *store, const char *key, GError **error);
/* Those whose key begins so, in the order of their keys: pairs of key and value. */
GPtrArray *cache_store_list_meta(CacheStore *store, const char *prefix, GError **error);

/* Sets record->id. EEXIST: the name is taken. */
bool cache_store_insert(CacheStore *store, CacheRecord *record, GError **error);
/* The same, with the id that it had in another journal. */
bool cache_store_restore(CacheStore *store, const CacheRecord *record, GError **error);
bool cache_store_update(CacheStore *store, const CacheRecord *record, GError **error);
bool cache_store_remove(CacheStore *store, CacheId id, GError **error);
/* `ret` must be zeroed or cleared before; ENOENT. */
bool cache_store_load(CacheStore *store, CacheId id, CacheRecord *ret, GError **error);
bool cache_store_find(CacheStore *store, gint64 parent, const char *name, CacheRecord *ret,
                      GError **error);
bool cache_store_find_uri(CacheStore *store, const char *uri, CacheRecord *ret, GError **error);
/* The record belongs to the store and ends with the call; return false to stop. */
typedef bool (*CacheRecordFunc)(const CacheRecord *record, void *data);
bool cache_store_children(CacheStore *store, gint64 parent, CacheRecordFunc func, void *data,
                          GError **error);
bool cache_store_dirty(CacheStore *store, CacheRecordFunc func, void *data, GError **error);
bool cache_store_conflicts(CacheStore *store, CacheRecordFunc func, void *data, GError **error);

/* A new blob of `node`, dirtied in boot `boot_id`, not durable. */
CacheBlobId cache_store_insert_blob(CacheStore *store, CacheId node, const char *boot_id,
                                    GError **error);
bool cache_store_mark_blob(CacheStore *store, CacheBlobId id, const char *boot_id, bool durable,
                           GError **error);
bool cache_store_blob_info(CacheStore *store, CacheBlobId id, char **ret_boot_id, bool *ret_durable,
                           GError **error);
/* As it was in another journal. */
bool cache_store_restore_blob(CacheStore *store, CacheBlobId id, CacheId node, const char *boot_id,
                              bool durable, GError **error);
/* 0: it was given up; or an error. */
CacheId cache_store_blob_node(CacheStore *store, CacheBlobId id, GError **error);
/* It is nobody's from the end of this transaction on: its file goes after that, and not before, for
 * the transaction may fail. What a kill leaves of it recovery removes. */
bool cache_store_give_up_blob(CacheStore *store, CacheBlobId id, GError **error);
/* The same of a blob whose file is still in use: whoever uses it gives it up in the end. */
bool cache_store_disown_blob(CacheStore *store, CacheBlobId id, GError **error);
/* With its extents. */
bool cache_store_remove_blob(CacheStore *store, CacheBlobId id, GError **error);
GArray *cache_store_blobs(CacheStore *store, GError **error); /* of CacheBlobId */
/* Those that no node and no sealed generation has. */
GArray *cache_store_orphans(CacheStore *store, GError **error);
/* Those of files that are clean and have a name. */
typedef bool (*CacheBlobFunc)(CacheBlobId blob, CacheId node, void *data);
bool cache_store_clean_blobs(CacheStore *store, CacheBlobFunc func, void *data, GError **error);
bool cache_store_save_extents(CacheStore *store, CacheBlobId id, const CacheExtents *extents,
                              GError **error);
bool cache_store_load_extents(CacheStore *store, CacheBlobId id, CacheExtents *extents,
                              GError **error);

bool cache_store_insert_generation(CacheStore *store, const CacheGeneration *generation,
                                   GError **error);
/* The oldest or newest sealed generation of a node; ENOENT. */
bool cache_store_oldest_generation(CacheStore *store, CacheId node, CacheGeneration *ret,
                                   GError **error);
bool cache_store_find_generation(CacheStore *store, CacheId node, CacheGeneration *ret,
                                 GError **error);
bool cache_store_remove_generations(CacheStore *store, CacheId node, guint64 up_to, GError **error);

bool cache_store_insert_removal(CacheStore *store, const char *uri, const CacheLeftover *left,
                                gint64 until, GError **error);
bool cache_store_park_removal(CacheStore *store, gint64 id, int code, const char *message,
                              GError **error);
bool cache_store_remove_removal(CacheStore *store, gint64 id, GError **error);
/* GPtrArray of CacheRemoval: those with ids above `after`. */
GPtrArray *cache_store_removals(CacheStore *store, gint64 after, GError **error);
