/* cache/cache.h - what is known and held locally of one storage: the façade of this folder.
 *
 * A Cache is bound to one (platform, project, storage) and lives in one locked folder:
 *
 *   journal.sqlite   namespace, attributes, extents, generations, upload queue (cache/store.h)
 *   blobs/           contents, one sparse file a generation (cache/blob.h)
 *   quarantine/      what recovery could not trust; never uploaded, never deleted by us
 *
 * It holds no token and no request description.
 *
 * Threads: every function may be called from any thread. Functions without a callback touch memory
 * and the local disk only. Functions with a callback never wait for the network in the caller's
 * thread; the callback runs exactly once, either before the function returns (when the answer is
 * known locally) or later on a thread of the cache or the client. No lock of the cache is held
 * during a callback, and callbacks must not block. What a callback is given ends with it.
 *
 * Waiting: namespace operations end within the namespace deadline (20 s, then ETIMEDOUT),
 * cache_fsync and cache_publish after 60 s without progress: of the file or, while it has to wait
 * for its turn, of those before it; without a login after 5 s (ENOKEY, EKEYREJECTED). A caller
 * that no longer wants the answer (FUSE_INTERRUPT) just ignores it; the operation goes on.
 *
 * References: each attribute handed out by lookup, mkdir or file_create carries one reference to
 * its node, as the kernel counts lookups; cache_forget() returns them. A node that was unlinked
 * stays valid while it is referenced or open.
 *
 * Errors: GError with a positive errno: EINVAL a name the platform can't hold,
 * EIO/EHOSTUNREACH/ETIMEDOUT service out of reach (never ENOENT), EACCES/EKEYREJECTED/ENOKEY not
 * logged in, ENOTEMPTY, EXDEV, ...
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

#include "cache/error.h"

typedef struct Cache Cache;
typedef struct CacheFile CacheFile; /* an open file; one a FUSE file handle */
typedef struct GssClient GssClient;

typedef guint64 CacheId; /* node: one incarnation of a name under a parent; never reused; < 2^48 */

typedef struct {
	CacheId id;
	bool folder;
	mode_t mode;  /* permission bits */
	guint64 size; /* bytes; proven, or local and authoritative */
	struct timespec atime, mtime, ctime;
	bool stale; /* somebody still has a version before it open, and must not take its end for
	               that one's: the kernel has to ask each time */
} CacheAttr;

/* What a file's bytes are doing; a folder is always clean. */
typedef enum {
	CACHE_STATE_CLEAN,     /* what we have is what GSS has */
	CACHE_STATE_DIRTY,     /* local changes wait for their upload, or for the last close */
	CACHE_STATE_UPLOADING, /* under way */
	CACHE_STATE_FAILED,    /* parked: needs the user; bytes are kept */
	/* A conflict copy: ours, uploaded under this name, since somebody else's version has the
	 * one it had. Or parked: GSS has a newer version, and of ours only a part is held. */
	CACHE_STATE_CONFLICT,
} CacheState;
const char *cache_state_name(CacheState state); /* "clean", ... as user.gss.state shows it */

/* What the kernel must be told; called on a thread of the cache that holds no lock, but for
 * `content`. */
typedef struct {
	/* attributes changed, and contents from `offset` on are stale; takes note of it, and calls
	 * nobody. No attributes of the file are to be told before the kernel knows. */
	void (*content)(CacheId id, guint64 offset, void *data);
	/* attributes changed; when this returns the kernel knows. It does not wait for anybody. */
	void (*attributes)(CacheId id, void *data);
	/* calls back, at once or on some thread, when the kernel knows all that was said of this
	 * one before */
	void (*settled)(CacheId id, void (*ready)(void *request), void *request, void *data);
	/* the name is gone, or is somebody else now */
	void (*entry)(CacheId parent, const char *name, void *data);
	/* something of what cache_status_files() and cache_pending() tell has changed; not more
	 * than ten times a second */
	void (*status)(void *data);
	void *data;
} CacheNotify;

typedef struct {
	const char *dir;      /* cache_dir; the cache's own folder is made below it, 0700 */
	const char *platform; /* the GSS service's URL */
	const char *project;
	const char *storage;    /* backend: "it4i_anselm" */
	const char *mountpoint; /* for the message that a second mount gets */
	const char *user;       /* who we are on the platform, "" unknown; for names and logs */
	guint64 size_limit;     /* bytes of disk for contents, 0: a quarter of the disk */
	guint64 reserve;     /* bytes of the disk that stay free, 0: a twentieth, at most 2 GiB */
	bool fsync_local;    /* fsync means the local disk */
	bool offline_cached; /* while GSS is out of reach, what was listed and held before is shown
	                      */
	bool overwrite; /* what somebody else changed on GSS meanwhile is replaced all the same */
	bool read_only; /* EROFS to every change (uploads pending from before still run) */
	mode_t file_mode, folder_mode; /* permission bits of what comes from GSS: 0644, 0755 */
} CacheOptions;

/* Opens (or makes) the cache, locks it, replays the journal. Touches the local disk only. EBUSY:
 * another process holds it, the message says who. A holder that is only draining is asked (SIGUSR1)
 * to stop, waited for, and its queue taken over. */
Cache *cache_open(const CacheOptions *options, GError **error);
/* Lets uploads begin and network questions be asked. `client` and `notify` must outlive the cache's
 * stop. */
void cache_start(Cache *cache, GssClient *client, const CacheNotify *notify);
/* From now on (unmounted, every file released) the holder only drains: the kernel's references are
 * over, and on SIGUSR1 it must cache_stop() and cache_close(), if this is the only cache that it
 * has left, or is wanted. */
void cache_set_draining(Cache *cache);
/* Does another process wait for it to be handed over? */
bool cache_is_wanted(const Cache *cache);
/* Ends every transfer (what is unfinished stays journaled), answers every waiter with ECANCELED,
 * joins the threads. After it no callback and no notification runs. The client must still be there.
 */
void cache_stop(Cache *cache);
void cache_close(Cache *cache); /* after cache_stop(), or of a cache never started; unlocks */

/* How much is on its way. */
typedef struct {
	guint64 files;       /* not clean: queued, uploading, failed */
	guint64 parked;      /* of these: failed or in conflict */
	guint64 bytes_total; /* of the files not parked */
	guint64 bytes_done;  /* of these: sent */
	guint64 removals;    /* journaled deletions still to be made on GSS */
	guint64 refused;     /* those that GSS refuses to make */
} CachePending;
void cache_pending(Cache *cache, CachePending *ret);
/* Calls back when nothing but parked files and refused deletions is pending (at once if so). After
 * the unmount, to drain.
 */
typedef void (*CacheCallback)(const GError *error, void *data);
void cache_drain(Cache *cache, CacheCallback callback, void *data);

/* A file that is not clean, whose upload is under way, or that is a conflict copy: one that has
 * arrived is as much done as it is in total. */
typedef struct {
	CacheId id;
	char *path; /* relative to the folder `root`; the GSS address of what is not below that */
	CacheState state;
	guint64 done, total; /* bytes, of the upload under way */
	guint tries;         /* that failed, since the last success */
	gint64 next_try;     /* ns since the epoch; 0: none is waited for */
	char *message;       /* of the last try that failed, or NULL */
} CacheFileStatus;
/* Of CacheFileStatus, by path; free with g_ptr_array_unref(). */
GPtrArray *cache_status_files(Cache *cache, CacheId root);
/* The path of a folder below the folder `root`, without a slash at its ends; "" for that itself,
 * its URI for what is not below. */
char *cache_path(Cache *cache, CacheId root, CacheId id);
/* Which of its contents a file has now: grows with each change. */
guint64 cache_generation(Cache *cache, CacheId id);
/* How many bytes of a file the upload under way has sent, of how many; a clean file is through.
 * False: it is a folder. */
bool cache_progress(Cache *cache, CacheId id, guint64 *ret_done, guint64 *ret_total);
/* Bytes a second that were sent lately. */
guint64 cache_rate(Cache *cache);
/* Bytes of the local disk that contents take, not older than some seconds; and the limit of those
 * that are not waiting for their upload. */
void cache_usage(Cache *cache, guint64 *ret_used, guint64 *ret_limit);
/* What was set aside since it could not be trusted, and waits for a person: how many files, their
 * bytes, and the folder. Free with g_free(). */
char *cache_quarantine(Cache *cache, guint *ret_files, guint64 *ret_bytes);

/* Tries uploads again now that wait for their next try or are parked; 0: all, and removals too.
 * EIO: the file was not written to its end. */
bool cache_retry(Cache *cache, CacheId id, GError **error);
/* The session is alive again, or may be: what waits for credentials is tried now. */
void cache_resume(Cache *cache);
/* Gives the local changes of a file up, for good: it is as GSS has it, or gone where GSS never had
 * it; a rename still to be made is undone. An upload under way is ended first. EBUSY: open for
 * writing; ENODATA: nothing to give up, also when the upload was faster. */
void cache_discard(Cache *cache, CacheId id, CacheCallback callback, void *data);
/* Forgets for how long attributes and listings are valid; of a node and what is below it, or of all
 * (0). */
void cache_refresh(Cache *cache, CacheId id);

/* The node of the folder that a mount shows (a GSS URI of this storage). Known from the journal: at
 * once and offline; `known` tells. Otherwise the service is asked: ENOENT, ENOTDIR, EHOSTUNREACH,
 * ... The reference is held until cache_close(). */
typedef void (*CacheRootCallback)(CacheId id, bool known, const GError *error, void *data);
void cache_root(Cache *cache, const char *uri, CacheRootCallback callback, void *data);

/* --- notes of the cache's owner, journaled: what it wants to find again after a restart --- */

/* `text` NULL forgets it. */
bool cache_set_memo(Cache *cache, const char *key, const char *text, GError **error);
/* Pairs of key and text, in the order of the keys; free with g_ptr_array_unref(). */
GPtrArray *cache_memos(Cache *cache, GError **error);

/* --- namespace --- */

typedef void (*CacheAttrCallback)(const CacheAttr *attr, const GError *error, void *data);

void cache_lookup(Cache *cache, CacheId parent, const char *name, CacheAttrCallback callback,
                  void *data);
/* The same if it needs no question to GSS; false: it does, and nothing is asked. `ahead`: those
 * that follow will be looked up too. */
bool cache_lookup_known(Cache *cache, CacheId parent, const char *name, bool ahead, CacheAttr *ret);
void cache_forget(Cache *cache, CacheId id, guint64 count);
/* One more reference, as lookup gives them; false: there is no such node any more. */
bool cache_hold(Cache *cache, CacheId id);
void cache_getattr(Cache *cache, CacheId id, CacheAttrCallback callback, void *data);

typedef enum {
	CACHE_SET_MODE = 1 << 0,
	CACHE_SET_SIZE = 1 << 1,
	CACHE_SET_ATIME = 1 << 2,
	CACHE_SET_MTIME = 1 << 3,
} CacheSetMask;
/* mode and times are kept locally; a size makes the file dirty. Only what `mask` names is read of
 * `attr`. */
void cache_setattr(Cache *cache, CacheId id, CacheSetMask mask, const CacheAttr *attr,
                   CacheAttrCallback callback, void *data);

void cache_mkdir(Cache *cache, CacheId parent, const char *name, mode_t mode,
                 CacheAttrCallback callback, void *data);
void cache_rmdir(Cache *cache, CacheId parent, const char *name, CacheCallback callback,
                 void *data);
void cache_unlink(Cache *cache, CacheId parent, const char *name, CacheCallback callback,
                  void *data);
/* flags as renameat2(2): RENAME_NOREPLACE is honoured, all others are EINVAL. */
void cache_rename(Cache *cache, CacheId parent, const char *name, CacheId new_parent,
                  const char *new_name, unsigned flags, CacheCallback callback, void *data);

/* A snapshot of a folder's entries, without "." and "..". */
typedef struct CacheListing CacheListing;
typedef struct {
	CacheId id;
	bool folder;
	const char *name;
} CacheEntry;
/* The listing is the caller's, to be freed with cache_listing_free(). */
typedef void (*CacheListingCallback)(CacheListing *listing, const GError *error, void *data);
void cache_list(Cache *cache, CacheId folder, CacheListingCallback callback, void *data);
guint cache_listing_size(const CacheListing *listing);
void cache_listing_get(const CacheListing *listing, guint index, CacheEntry *ret);
void cache_listing_free(CacheListing *listing);

CacheId cache_parent(Cache *cache, CacheId id); /* 0: none, or the node is gone */
/* The node's GSS URI; NULL when it has none yet. Free with g_free(). */
char *cache_uri(Cache *cache, CacheId id);
CacheState cache_state(Cache *cache, CacheId id);
/* SHA-256, in hexadecimal digits, of the version that GSS has; GSS is asked whether it still has
 * it. It is made of what is held here, which takes 2 s a GiB once. ENODATA: it has changed here or
 * there, is not wholly held, or the storage has neither dates nor ETags. */
typedef void (*CacheSha256Callback)(const char *hash, const GError *error, void *data);
void cache_sha256(Cache *cache, CacheId id, CacheSha256Callback callback, void *data);
/* Is it to be had, as far as is known here? */
bool cache_has_sha256(Cache *cache, CacheId id);
/* Has somebody the file open for writing? */
bool cache_is_written(Cache *cache, CacheId id);
/* The last error of a file that is not clean, or why there is a conflict copy; NULL when there is
 * neither. Free with g_free(). */
char *cache_state_error(Cache *cache, CacheId id);
/* Which node is (or will be, once uploaded) at this URI: ENOENT if none is known here or on GSS.
 * The attribute carries a reference. */
void cache_find_uri(Cache *cache, const char *uri, CacheAttrCallback callback, void *data);

/* --- contents --- */

/* `flags` as open(2): access mode and O_TRUNC count. `keep`: what the kernel has cached of this
 * file is still true. */
typedef void (*CacheOpenCallback)(CacheFile *file, bool keep, const GError *error, void *data);
void cache_file_open(Cache *cache, CacheId id, int flags, CacheOpenCallback callback, void *data);
/* EEXIST if the name is there. */
typedef void (*CacheCreateCallback)(CacheFile *file, const CacheAttr *attr, const GError *error,
                                    void *data);
void cache_file_create(Cache *cache, CacheId parent, const char *name, mode_t mode, int flags,
                       CacheCreateCallback callback, void *data);
CacheId cache_file_id(const CacheFile *file);
/* What is known of it now, without a question. */
void cache_file_attr(const CacheFile *file, CacheAttr *ret);

/* Somebody still had a version before it open when it was opened. The kernel has one set of pages
 * for both, and would give him those of the new one: this file is read and written past them. */
bool cache_file_is_direct(const CacheFile *file);

/* As cache_getattr() and cache_setattr(), through an open file: another version than the one it has
 * read or written is neither told of nor cut (ESTALE). The file stays open until the callback. */
void cache_file_getattr(CacheFile *file, CacheAttrCallback callback, void *data);
void cache_file_setattr(CacheFile *file, CacheSetMask mask, const CacheAttr *attr,
                        CacheAttrCallback callback, void *data);

/* A piece of a blob, to be read from or written to directly (splice). */
typedef struct {
	int fd;
	guint64 offset;
	gsize length;
} CacheSpan;
/* Bytes [offset, offset + length), fewer only at the end of the file. They must be consumed before
 * the callback returns. */
typedef void (*CacheReadCallback)(const CacheSpan *span, const GError *error, void *data);
void cache_file_read(CacheFile *file, guint64 offset, gsize length, CacheReadCallback callback,
                     void *data);

/* Between begin and end the caller copies its bytes to the span. Every successful begin is followed
 * by one end, which says how many bytes were written and, if that failed, the errno: a file that
 * lost a write is never uploaded as if it were whole, until those bytes were written after all or
 * cut off. EAGAIN: there is no room now, see below. `append`: at the file's end, which may not be
 * where the kernel believed it to be (`offset`); ret->offset tells, also after EAGAIN. */
bool cache_file_write_begin(CacheFile *file, guint64 offset, gsize length, bool append,
                            CacheSpan *ret, GError **error);
/* One of these two is to be called after EAGAIN, with ret->offset. Lost: the bytes will not come.
 * Wait: calls back with the span when there is room, in the order of the calls; it must be filled,
 * and the write ended, before the callback returns (a caller whose writer has gone ends it with
 * EINTR). ENOSPC: nothing frees any room, which is waited for for 60 s; or the file alone is larger
 * than the cache. The file must stay open. */
void cache_file_write_lost(CacheFile *file, guint64 offset, gsize length, int errnum);
typedef void (*CacheWriteCallback)(const CacheSpan *span, const GError *error, void *data);
void cache_file_write_wait(CacheFile *file, guint64 offset, gsize length, bool append,
                           CacheWriteCallback callback, void *data);
void cache_file_write_end(CacheFile *file, const CacheSpan *span, gsize written, int errnum);

/* What close() promises: size, times and extents are journaled when it returns true. */
bool cache_file_flush(CacheFile *file, GError **error);
/* The handle's end; the last one of a changed file starts its upload. */
void cache_file_release(CacheFile *file);

/* Waits until GSS has the bytes that are written now, verified (or, with fsync_local, until they
 * are durable on the local disk). Counts for the node, not for a handle. */
void cache_fsync(Cache *cache, CacheId id, CacheCallback callback, void *data);
/* As cache_fsync() with GSS as the goal, whatever the options; gives what has arrived there. It
 * waits as long as anything moves. */
typedef struct {
	const char *uri;
	guint64 generation; /* as cache_generation() */
	guint64 size;
} CachePublished;
typedef void (*CachePublishCallback)(const CachePublished *published, const GError *error,
                                     void *data);
void cache_publish(Cache *cache, CacheId id, CachePublishCallback callback, void *data);

typedef struct {
	guint64 block_size, blocks, free_blocks; /* what can be written now */
	guint64 nodes, free_nodes;
} CacheSpace;
bool cache_space(Cache *cache, CacheSpace *ret, GError **error);
