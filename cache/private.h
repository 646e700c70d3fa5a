/* cache/private.h - what the rooms of this folder share: the cache, its nodes, their contents.
 *
 * Locks, in the order in which they may be taken:
 *
 *   Cache.lock        all fields of Cache and CacheNode. Held for memory and the journal, never for
 *                     network, callbacks, or copying of contents.
 *   CacheStore's own  inside of the store, and by a transaction.
 *   CacheContent.io   the extents of one content and who waits for them; nothing is taken under it.
 *                     Held while one piece of a download is written to the blob (at most 512 KiB).
 *
 * Threads: FUSE workers (the callers), gss-net (callbacks of the client), the cache's worker
 * (posted functions and timers: everything that follows from a network answer) and the syncer
 * (fdatasync and checkpoints). Functions that end in _locked want Cache.lock held.
 */
#pragma once

#include <gio/gio.h>

#include "cache/blob.h"
#include "cache/cache.h"
#include "cache/crash.h"
#include "cache/sibling.h"
#include "cache/store.h"
#include "gss/storage.h"

#define CACHE_NAMESPACE_DEADLINE_MS 20000
/* Where what is known from before may be shown instead of an answer (-o offline=cached). */
#define CACHE_CACHED_DEADLINE_MS 5000
/* Where GSS has been silent for a deadline, and not been heard since. */
#define CACHE_SILENT_DEADLINE_MS 1000
#define CACHE_PROGRESS_DEADLINE_US (60 * G_USEC_PER_SEC)
#define CACHE_LIST_LEASE_US (10 * G_USEC_PER_SEC)
#define CACHE_ATTR_LEASE_US (10 * G_USEC_PER_SEC)
#define CACHE_OPEN_LEASE_US (1 * G_USEC_PER_SEC)
/* What comes later in a body than this may be of another version than its head told of. */
#define CACHE_DOUBT_US (G_USEC_PER_SEC / 10)
/* After a listing failed, the same answer is given for this long without another try, so that a
 * dead network costs one time-out and not one for each name. */
#define CACHE_FAILURE_LEASE_US (2 * G_USEC_PER_SEC)

typedef struct CacheNode CacheNode;
typedef struct CacheContent CacheContent;
typedef struct CacheWorker CacheWorker;
typedef struct CacheSyncer CacheSyncer;
typedef struct CacheJob CacheJob;
typedef struct CacheGrowth CacheGrowth;     /* cache/growth.h */
typedef struct CacheTransfer CacheTransfer; /* cache/transfer.h */

/* Does a GET with Range bring the range (206), or the whole body (200)? */
typedef enum {
	CACHE_RANGES_UNKNOWN,
	CACHE_RANGES_HONOURED,
	CACHE_RANGES_IGNORED,
} CacheRanges;

/* Something to be told once; called without locks. */
typedef void (*CacheReady)(Cache *cache, const GError *error, void *data);

/* The state of cache/space.c, guarded by Cache.lock but for the atomic. */
typedef struct {
	guint64 limit;            /* bytes that all blobs may take; constant */
	guint64 reserve;          /* bytes that stay free on their disk; constant */
	guint64 window;           /* bytes that are read ahead, at most; constant */
	_Atomic gint64 allowance; /* bytes that may be written before the next measuring */
	guint64 pending;          /* bytes of writes that have their room, and are not made yet */
	GQueue waiters;           /* CacheRoomWaiter, first come first served but for the leader */
	guint64 wanted;           /* bytes, by all of them */
	CacheId leader;           /* the one file that grows while room is short; 0 none */
	gint64 leader_at;         /* monotonic us: when it last got room */
	gint64 leader_paused;     /* us in which it wrote nothing */
	gint64 leader_bytes;      /* that it got */
	GSource *tick;            /* while somebody waits */
	bool posted;              /* a look is due on the worker */
	gint64 moved_at;          /* monotonic us: since then nothing got better */
	guint64 progress;         /* bytes sent, when last looked */
	bool slow;                /* the patience was lost once, and nothing got better since */
	gint64 told_at;           /* monotonic us: when the log was told last, 0 never */
	gint ballast;             /* atomic: may be there */
	GSource *ballast_timer;   /* until it is there again */
	/* Constant; tests are in a hurry. */
	gint64 patience, short_patience, slow_patience; /* us */
} CacheRoom;

/* The state of cache/burst.c, guarded by Cache.lock. */
typedef struct {
	gint64 began_at, last_at; /* monotonic us: when its first and its last file were queued */
	guint files;
	GSource *timer; /* while it holds uploads back */
} CacheBurst;

/* The state of cache/idle.c, guarded by Cache.lock. */
typedef struct {
	GHashTable *lookups; /* of nodes that are not in memory */
	GQueue nodes;        /* CacheNode, the least recently used first; some are in use again */
	guint limit;         /* nodes, and an eighth before some go; constant after opening */
	bool trimming;       /* posted, or after a pause */
	GSource *timer;      /* the pause */
} CacheIdle;

struct Cache {
	GMutex lock;
	/* Constant after opening. */
	char *path, *platform, *project, *storage, *user;
	bool fsync_local, read_only, overwrite, offline_cached;
	mode_t file_mode, folder_mode;
	char *boot_id;
	int lock_fd;
	CacheBlobs blobs;
	CacheStore *store;
	CacheWorker *worker;
	CacheSyncer *syncer;
	/* Constant after cache_start(). */
	GssClient *client;
	CacheNotify notify;
	GCancellable *stop;

	gint ranges; /* atomic CacheRanges: does the storage honour them? (cache/verdict.c) */
	gint heard;  /* atomic; grows with each answer */
	gint silent; /* atomic: a question missed its deadline, and none was answered since */
	bool stopping;
	guint calls; /* network questions under way; cache_stop() waits for 0 */
	GCond calls_done;
	GHashTable *nodes;    /* CacheId -> CacheNode */
	GHashTable *nameless; /* set of those that lost their name, and may be in use */
	bool leaving_posted;  /* a look at what they leave on GSS is due on the worker */
	CacheIdle idle;
	guint listing_now;  /* folders being listed */
	GHashTable *gone;   /* URI -> gint64, monotonic us: removed meanwhile; what was asked before
	                       may still name it */
	GHashTable *hidden; /* URIs that a rename leaves behind: listings don't show them */
	/* set of CacheId: of these it was said that names there can't be shown */
	GHashTable *unshown;
	/* cache/attr.c */
	GPtrArray *unsaved; /* of CacheNode, pinned: a size became known; NULL none */
	GSource *save_timer;
	/* cache/sibling.c */
	GQueue listed;         /* CacheSiblings, the oldest first */
	guint listed_children; /* of all of them */
	guint listings;        /* made so far */
	bool view_proving;     /* it is being found out whether the storage has full views */
	gint64 settled_at;     /* monotonic us: a local change ended last */
	guint learned; /* serial of what the journal has of gss_storage_learned(); the worker's */
	/* cache/queue.c */
	GQueue ready[2]; /* of CacheNode, pinned: to be uploaded; by lane: small, large */
	guint active[2]; /* jobs under way */
	CacheBurst burst;
	GHashTable
		*sending, /* creation addresses to which something is being sent: one at a time */
		*looking; /* set of CacheJob that look at what is there */
	GHashTable *awaited; /* URI -> CacheNode: its turn comes when what is there has gone */
	/* URIs and creation addresses to which the last run had sent something, and when
	 * (monotonic us) all of it has arrived. */
	GHashTable *settling;
	gint64 settled_by;
	GHashTable *kept;  /* URIs at which nothing may be replaced yet: cache/rename.c */
	GHashTable *dirty; /* set of CacheNode, pinned: not clean, and with a name */
	GSList *drainers;  /* CacheCall */
	gint64 moved_at;   /* monotonic us of the last byte or step of any upload */
	/* Of those who wait for an upload, and for an operation on names; constant, tests are in a
	 * hurry. */
	gint64 patience;   /* us */
	guint op_patience; /* ms */
	/* The queue waits as a whole: for credentials, or for a service out of reach. */
	struct {
		int code;            /* of the error that was reported, 0: it does not */
		guint tries, probes; /* probes: uploads that find out whether it is over */
		GSource *timer;      /* until then no upload is tried */
	} pause;
	/* cache/status.c; times are monotonic us */
	GSource *status_timer; /* a change is about to be told */
	double rate_bytes;
	gint64 rate_since, rate_at;
	/* cache/removal.c */
	GHashTable *removals; /* URI -> Removal, not yet made */
	gint64 removals_seen; /* the newest that was loaded */
	guint removals_ended; /* how many were made, or parked */
	guint removing;       /* under way */
	GSource *removal_timer;
	GQueue transfers;        /* CacheTransfer, by their links */
	GSource *evict_timer;    /* cache/evict.c, as the next */
	bool evicting;           /* posted */
	GSource *flush_timer;    /* cache/change.c */
	GSList *removal_waiters; /* CacheCall: told when a removal was made */
	GSList *ops;             /* CacheOp under way */
	GThreadPool *sums;       /* cache/sum.c */
	CacheRoom room;
};

/* A callback of any kind in a list. */
typedef struct {
	CacheReady func;
	void *data;
} CacheCall;
GSList *cache_calls_add(GSList *calls, CacheReady func, void *data);
/* Calls `ready` from the worker, for an answer that is due while locks are held. */
void cache_ready_later(Cache *cache, CacheReady ready, void *data, int code, const char *message);
/* Runs and frees all, in the order in which they were added. No lock held. */
void cache_calls_run(Cache *cache, GSList *calls, const GError *error);

/* --- nodes (cache/node.c) --- */

/* The deadline of those who wait for a question, which itself goes on: the kernel holds locks
 * meanwhile. */
typedef struct {
	GSource *timer;
	bool slow; /* it was missed, and nothing was answered since: nobody waits any more */
} CacheLate;
typedef struct {
	Cache *cache;
	GSList **waiting; /* CacheCall, of a pinned node */
	CacheLate *late;
	int heard;  /* Cache.heard when it was armed */
	bool whole; /* with a whole deadline: to miss it says something */
} CacheLateArm;
void cache_late_arm_locked(Cache *cache, CacheLate *late, GSList **waiting);
/* A question has ended, by an answer or by an error; any thread. */
void cache_heard(Cache *cache, const GError *error);
/* A whole deadline was missed; `heard`: as it was at its begin. */
void cache_missed(Cache *cache, int heard);
/* The same, on the worker, of a question with a deadline. */
void cache_late_clear_locked(Cache *cache, CacheLate *late, const GError *error);

struct CacheNode {
	CacheRecord r;   /* the journaled part; r.size is current also before it is journaled */
	guint64 refs;    /* the kernel's lookups */
	guint pins;      /* users inside of the cache */
	GList idle_link; /* in Cache.idle.nodes, while it has data */
	GssResource *resource; /* what GSS said last; NULL unknown */
	gint64 attr_until;     /* monotonic us: until then size and date need no question */
	GSList *validating;    /* CacheCall: wait for the question under way */
	bool validate_running;
	bool unsaved; /* in Cache.unsaved */
	CacheLate validate_late;
	gint64 refreshed_at; /* monotonic us: what was asked before that does not count */

	/* folder */
	gint64 list_until; /* the listing is fresh until then */
	gint64 list_failed_until;
	GError *list_error; /* why the last listing failed */
	bool list_running;
	CacheLate list_late;
	GSList *listing;     /* CacheCall: wait for the listing under way */
	GHashTable *touched; /* names changed here while a listing is under way: it may not know */
	CacheSiblings *siblings; /* NULL: not listed lately */
	bool describing;         /* its own description is being asked for */
	GSList *described;       /* CacheCall: wait for that */

	/* file */
	CacheContent *content; /* NULL: blob not open */
	guint opens, writers;
	bool kernel_valid; /* the kernel's pages are of this content */
	bool read;         /* whoever has it open may have seen bytes of it */
	bool viewed;   /* what is known comes from a full view, which may tell less than the file */
	guint lineage; /* grows when another version replaces bytes that may have been read */
	guint bound,
		stale; /* open files that may have read what it is now; or what it was before */
	guint64 flushed_size; /* acknowledged size: a write below it may tear */
	bool changed;         /* something is not journaled yet: the content stays open */
	int write_errno;      /* a write was lost: not whole */
	/* What writers gave us and we do not have: refused, or waiting for room. Not whole until it
	 * was written again or cut off. */
	CacheExtents lost;
	guint write_calls; /* between begin and end of a write: the content must stay what it is */
	bool cloning;      /* the content is being copied */
	GCond settled;     /* one of these two has ended */
	/* upload (cache/queue.c, cache/upload.c) */
	bool queued;
	bool leaving;   /* an unlink is under way */
	void *keeping;  /* replaced while open: its content is being brought here */
	CacheJob *job;  /* under way */
	guint64 sealed; /* newest generation that is complete: the next write begins another */
	guint64 summed; /* newest generation of which a try left the sum */
	char *sum;
	bool blocked; /* its last try found its place on GSS taken by what is parked */
	char *awaits; /* URI of what its last try found in its place; the key in Cache.awaited */
	guint aborts, tries;
	guint failures; /* since somebody began to wait for it */
	GSList *idle;   /* CacheCall: wait for the job's end */
	GSource *retry;
	bool parted; /* it became a conflict copy while it was open, and nobody was told of it */
	GSList *publishers; /* CachePublisher */
	gint64 progress_at; /* monotonic us of the last byte or step of an upload somebody waits for
	                     */
	GSource *deadline;
};

static inline bool cache_node_dirty(const CacheNode *node)
{
	return !node->r.folder && node->r.generation != node->r.published;
}
/* `it4i_anselm://`, where mostly no files can be made. */
static inline bool cache_node_is_storage_root(const CacheNode *node)
{
	return node->r.uri && g_str_has_suffix(node->r.uri, "://");
}

/* Nothing comes of it before somebody does something: nobody waits for that. */
static inline bool cache_node_parked(const CacheNode *node)
{
	return node->r.state != CACHE_STATE_DIRTY || node->write_errno || node->blocked;
}

static inline bool cache_node_whole(const CacheNode *node)
{
	return !node->write_errno && !cache_extents_count(&node->lost);
}

/* Finds or loads a node and pins it; NULL with ENOENT. */
CacheNode *cache_node_get_locked(Cache *cache, CacheId id, GError **error);
/* The same by name; the record is in the journal or ENOENT. */
CacheNode *cache_node_find_locked(Cache *cache, gint64 parent, const char *name, GError **error);
CacheNode *cache_node_find_uri_locked(Cache *cache, const char *uri, GError **error);
CacheNode *cache_node_adopt_locked(Cache *cache, CacheRecord *record); /* steals; pinned */
/* Where on GSS it creates something new; NULL: it replaces something, or has no place. */
char *cache_node_address_locked(Cache *cache, const CacheNode *node);
CacheNode *cache_node_pin_locked(CacheNode *node);
/* Forgets it when nobody needs it any more; a node without a name is then removed for good. */
void cache_node_put_locked(Cache *cache, CacheNode *node);
void cache_node_idle_locked(Cache *cache, CacheNode *node);
void cache_node_free(CacheNode *node);
bool cache_node_save_locked(Cache *cache, CacheNode *node, GError **error);
void cache_node_attr(const CacheNode *node, CacheAttr *ret);
/* The record of something new: times now. */
void cache_record_init(CacheRecord *record, gint64 parent, const char *name, bool folder,
                       mode_t mode);
gint64 cache_now_ns(void);
void cache_node_set_resource(CacheNode *node, GssResource *resource);
/* Sets state and error of a file and journals them; `error` NULL clears. */
void cache_node_set_state_locked(Cache *cache, CacheNode *node, CacheState state,
                                 const GError *error);
/* A dirty node stays in memory. */
void cache_node_mark_dirty_locked(Cache *cache, CacheNode *node);
void cache_node_mark_clean_locked(Cache *cache, CacheNode *node);
/* Takes a node's name away: removed at once or with its last user. In a transaction of its own. */
bool cache_node_detach_locked(Cache *cache, CacheNode *node, GError **error);
/* What follows in memory, for whoever has journaled it with other things. */
void cache_node_detached_locked(Cache *cache, CacheNode *node);
/* A name in a folder changed here: a listing under way may not know of it. */
void cache_folder_touch_locked(CacheNode *folder, const char *name);

/* --- nodes that only the kernel remembers (cache/idle.c) --- */

void cache_idle_init(Cache *cache);
void cache_idle_clear(Cache *cache);
/* Its last user here has gone: some time later it may go from memory. */
void cache_idle_enter_locked(Cache *cache, CacheNode *node);
void cache_idle_leave_locked(Cache *cache, CacheNode *node); /* it goes for another reason */
/* It is in memory again: takes over how often the kernel has looked it up. */
void cache_idle_adopt_locked(Cache *cache, CacheNode *node);
/* The kernel forgets a node that is not in memory; or all of them. */
void cache_idle_unref_locked(Cache *cache, CacheId id, guint64 count);
void cache_idle_forget_all_locked(Cache *cache);

/* Is what is known from before to be told, since GSS is out of reach? */
bool cache_offline(const Cache *cache, const GError *error);

/* Network questions that must have ended before cache_stop() returns. False: stopping. */
bool cache_call_begin_locked(Cache *cache);
void cache_call_end(Cache *cache);

/* --- contents (cache/content.c) --- */

struct CacheContent {
	gatomicrefcount refs;
	Cache *cache;
	CacheId node;
	CacheBlobId blob;
	int fd;
	bool durable;  /* as the journal may say; guarded by Cache.lock, as is the next */
	guint synced;  /* dirty_seq of what is on the disk */
	guint64 bytes; /* of disk, as last measured; guarded by Cache.lock */
	/* So much of it is durable for the journal on the disk, and not any more for the journal;
	 * guarded by Cache.lock */
	guint64 believed;
	gint grown;      /* atomic: it has become more since */
	gint discard;    /* atomic: the journal has forgotten it, see cache_content_discard() */
	guint dirty_seq; /* atomic; grows with the begin of each write, and with all that comes */
	GMutex io;
	CacheExtents resident; /* held, by whatever way */
	CacheExtents claimed;  /* being written: a download must not touch them */
	CacheExtents doubtful; /* of what is held: came late in a body whose end is not confirmed;
	                        * never journaled */
	/* cache/fetch.c */
	GSList *transfers;  /* CacheTransfer */
	GSList *readers;    /* CacheReader */
	guint64 limit;      /* downloads fill nothing from here on: it was cut off locally */
	guint tries;        /* failures in a row */
	guint looking;      /* GSS is asked which version is there: nothing is fetched meanwhile */
	bool postponed;     /* it has grown, which waits for a whole body under way */
	guint serial;       /* grows when it begins to stand for another version */
	bool weak;          /* the last answer had nothing that tells versions of one size apart */
	bool written;       /* changed here: not all that it holds is GSS's */
	CacheRanges ranges; /* what this file's answers said; unknown: as the storage */
	bool streams;       /* it does not fit: of a whole body only what is waited for is kept */
	guint64 unsaved;    /* bytes that came since the extents were journaled */
	gint64 came_at;     /* monotonic us: when the last of them came */
	GSource *saving;    /* they will be; guarded by Cache.lock */
};

CacheContent *cache_content_new(Cache *cache, CacheId node, CacheBlobId blob, int fd);
/* Gives back a reference, and closes the blob if nobody has it open any more. A blob is never
 * opened twice, for its extents live in one place: the node stays while its content is busy. No
 * lock held. */
void cache_content_put(CacheContent *content);
bool cache_content_busy(CacheContent *content); /* somebody has it besides its node */
void cache_content_idle_locked(CacheNode *node);
/* The node's content, opened or newly made (then empty). */
CacheContent *cache_content_open_locked(Cache *cache, CacheNode *node, GError **error);
CacheContent *cache_content_ref(CacheContent *content);
void cache_content_unref(CacheContent *content);
/* The journal has forgotten its blob: the file goes at once; who has it open keeps the bytes. Call
 * with Cache.lock. */
void cache_content_discard(CacheContent *content);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CacheContent, cache_content_unref)
/* Lets go of the content: the blob is given up (journaled; the file goes with its last user). */
bool cache_content_drop_locked(Cache *cache, CacheNode *node, GError **error);
/* Gives a blob up, unless it is the node's own. Its file goes with the end of the transaction: who
 * has it open keeps it. */
bool cache_blob_let_go_locked(Cache *cache, CacheNode *node, CacheBlobId blob, GError **error);
/* The same of one that a job still sends, and then lets go. */
bool cache_blob_disown_locked(Cache *cache, CacheNode *node, CacheBlobId blob, GError **error);
/* Replaces the node's content by a new empty one, in the current transaction or its own. */
bool cache_content_renew_locked(Cache *cache, CacheNode *node, GError **error);
/* [start, end) is held from now on. Call with the content's io. */
void cache_content_add_io(CacheContent *content, guint64 start, guint64 end);
/* Is all that is held on the disk, and journaled so? */
bool cache_content_synced_locked(CacheContent *content);
/* In the current transaction, with what follows: what came since the blob was brought to the disk
 * is not there yet. */
bool cache_content_save_extents_locked(CacheContent *content, GError **error);
/* Journals before long which parts have come; those of a content nobody has open are brought to the
 * disk, too. What is lost with the daemon before that is fetched again. Any thread, no lock. */
void cache_content_save_soon(CacheContent *content);
void cache_content_save_now(CacheContent *content); /* on the worker, or at the end */
bool cache_content_empty(CacheContent *content);    /* holds nothing */
bool cache_content_whole(CacheContent *content, guint64 size);
gint64 cache_content_came_at(CacheContent *content); /* monotonic us: the last byte from GSS */

/* --- reading from GSS (cache/fetch.c) --- */

/* How one open file is being read: a run is what follows on itself. */
typedef struct {
	guint64 run, next;
} CacheAhead;
/* Takes note of a read and tells how much to fetch ahead of it: 0 for random access, else from 4
 * MiB on as much as the run is long already, up to 64 MiB. */
guint64 cache_fetch_note(CacheAhead *ahead, guint64 offset, guint64 end);
/* Answers from the blob or once the bytes have come; bytes [next, next + window / 2) are wanted
 * soon. No lock held. */
typedef struct {
	guint64 offset, end, next, window;
	guint64 asked; /* as `end`, wherever the file's end is */
	guint lineage; /* of the node */
	bool noted;    /* that it is read */
} CacheWanted;
void cache_fetch_read(Cache *cache, CacheNode *node, CacheContent *content, guint64 size,
                      const CacheWanted *wanted, CacheReadCallback callback, void *data);
/* Tells when [0, size) is held. No lock held. */
void cache_fetch_all(Cache *cache, CacheNode *node, CacheContent *content, guint64 size,
                     CacheReady ready, void *data);
/* The file was cut to `size`: nobody waits for more. Looks on the worker whom that serves. Also to
 * be called when a write has ended for which somebody waits. */
void cache_fetch_look_again(Cache *cache, CacheContent *content);
/* For the transfers: answers whose bytes are there; tells all others an error; sees to it that
 * everybody who waits has a transfer to wait for. No lock held. */
void cache_fetch_serve(Cache *cache, CacheContent *content);
void cache_fetch_fail(Cache *cache, CacheContent *content, const GError *error);
void cache_fetch_kick(Cache *cache, CacheContent *content);
/* Eviction puts another, empty content in the place of this one: those who wait go along, unless
 * somebody wants all of it, or it is being compared. True: there are some, for which
 * cache_fetch_look_again() is to be called. */
bool cache_fetch_may_move_io(const CacheContent *content);
bool cache_fetch_move_locked(CacheContent *from, CacheContent *to);
void cache_fetch_cut_io(CacheContent *content, guint64 size);
/* The file is longer: what they asked for may be more now. Who heard of the new end would take what
 * is missing up to it for zeros. */
void cache_fetch_grow_io(CacheContent *content, guint64 size);
/* Takes back what cache_fetch_all() was asked by `data`; it is answered with ECANCELED, from the
 * worker. */
void cache_fetch_forget(Cache *cache, CacheContent *content, void *data);
/* Ends downloads nobody waits for (last close), or all, whose readers get `error`. No lock held. */
void cache_fetch_stop(Cache *cache, CacheContent *content, const GError *error);

/* --- what was learned of the storage (cache/verdict.c) --- */

/* From the journal, at the start. */
bool cache_verdict_load(Cache *cache, GError **error);
/* A range was asked for and answered. Any thread, no lock held. */
void cache_verdict_ranges(Cache *cache, CacheRanges ranges);

/* --- attributes (cache/attr.c) --- */

/* Asks GSS for the version of a clean file unless its lease still holds; `ready` is told at the
 * end, and not called when it returns true: nothing to ask. The node is pinned meanwhile. */
bool cache_attr_validate_locked(Cache *cache, CacheNode *node, gint64 lease, CacheReady ready,
                                void *data);

typedef enum {
	CACHE_FROM_FILE, /* GSS was asked about this file */
	CACHE_FROM_VIEW, /* about its folder */
} CacheSource;
/* Takes over what GSS says of a clean file; `growth` (may be NULL): what is held is its beginning.
 * True: the kernel is to hear that its attributes are outdated. Of its contents it is told. */
bool cache_attr_apply_locked(Cache *cache, CacheNode *node, const GssVersion *version,
                             const CacheGrowth *growth, CacheSource source);
/* What the kernel has of its contents, from `offset` on, is outdated. With the lock, so that nobody
 * opens the file before it is known that the kernel is to hear of it. */
void cache_attr_tell_content_locked(Cache *cache, CacheNode *node, guint64 offset);
/* An answer with bytes of the version that is known says more of it. */
void cache_attr_refine_locked(Cache *cache, CacheNode *node, const GssVersion *version);
/* For how long what is known of an open file is good enough; `changes`: for who is about to change
 * it. */
gint64 cache_attr_lease_locked(const CacheNode *node, bool changes);
/* cache_setattr(), through `file` if it is not NULL. */
void cache_attr_set(Cache *cache, CacheId id, CacheFile *file, CacheSetMask mask,
                    const CacheAttr *attr, CacheAttrCallback callback, void *data);
/* Has it read or written another version than the one that is known? ESTALE then. */
bool cache_file_is_current_locked(const CacheFile *file, GError **error);
/* The same for who is about to; from now on it has. */
bool cache_file_bind_locked(CacheFile *file, GError **error);
/* What may have been read is not its content any more. */
void cache_file_replaced_locked(CacheNode *node);
/* Journals now what waits for it. */
void cache_attr_save_locked(Cache *cache);
/* Journals what was learned of the storage, if it is new. On the worker, no lock held. */
void cache_learned_save(Cache *cache);

/* --- local changes of a file (cache/change.c) --- */

/* Before bytes from `offset` on change: journals that the file is dirty (once a generation), and
 * that acknowledged bytes are about to be overwritten. */
bool cache_change_begin_locked(Cache *cache, CacheNode *node, guint64 offset, GError **error);
/* Journals size, times and extents: what close() promises. On failure it is tried again, once
 * nobody writes any more. */
bool cache_change_flush_locked(Cache *cache, CacheNode *node, GError **error);
/* Tries that for all whose last close has failed to. */
void cache_change_flush_closed_locked(Cache *cache);
/* `opening`: the writer who truncates goes on to write; nothing of it is acknowledged before the
 * next flush. May drop the lock while a write or a copy is under way. */
bool cache_change_truncate_locked(Cache *cache, CacheNode *node, guint64 size, bool opening,
                                  GError **error);
/* Bytes are not what they should be: the file is not uploaded until they are written anew, or cut
 * off. Returns those who wait for it to arrive. */
GSList *cache_change_lost_locked(Cache *cache, CacheNode *node, guint64 start, guint64 end,
                                 int errnum);
/* Bytes that were lost are there again, or are no longer part of the file. */
void cache_change_found_locked(Cache *cache, CacheNode *node, guint64 start, guint64 end);

/* --- copies for a writer (cache/clone.c) --- */

/* Gives the node a copy of its content, for a writer, while an upload keeps the old one. ENOSPC:
 * there is no room for it, or no time, since the worker cannot wait for it. The lock is dropped
 * meanwhile. */
bool cache_clone_locked(Cache *cache, CacheNode *node, GError **error);

/* --- folders (cache/folder.c) --- */

/* As cache_attr_validate_locked() for a folder's listing. */
bool cache_folder_refresh_locked(Cache *cache, CacheNode *folder, CacheReady ready, void *data);
/* The folder's own description, as its node->resource. True: it is there. Else `ready` is called on
 * the worker when it is, or with why it can't be had. */
bool cache_folder_describe_locked(Cache *cache, CacheNode *folder, CacheReady ready, void *data);

/* What was at `uri` was removed for good: a listing that was asked before does not count. */
void cache_folder_gone_locked(Cache *cache, const char *uri);
/* Around each listing; the first tells since when, in monotonic us. */
gint64 cache_folder_asks_locked(Cache *cache);
void cache_folder_asked_locked(Cache *cache);
/* Was it, listed in `folder`, removed after that? */
bool cache_folder_left_locked(Cache *cache, const char *folder, const GssResource *resource,
                              gint64 since);

/* Removes a folder that has gone, with all that is known below it; kept (false) if something below
 * is dirty. */
bool cache_folder_prune_locked(Cache *cache, CacheNode *folder);

/* --- operations on names (cache/op.c) --- */

/* One operation that asks GSS: steps run on the worker; the caller is answered at the latest when
 * the deadline has passed, and an operation that was answered so starts nothing destructive any
 * more. */
typedef struct CacheOp CacheOp;
struct CacheOp {
	Cache *cache;
	CacheAttrCallback attr; /* one of these two */
	CacheCallback done;
	void *data;
	bool answered;
	GSource *timer;
	CacheNode *parent, *node, *new_parent, *target; /* pinned, or NULL */
	char *name, *new_name, *uri;
	guint64 generation; /* of a file about to be removed: whoever writes it meanwhile wants it
	                       to stay */
	mode_t mode;
	bool lost;   /* the answer to the change */
	bool again;  /* the change has been asked for twice */
	bool closes; /* it may delete the folder `uri` (and `made`), with all that is in there then:
	              * nothing is sent into it meanwhile */
	bool makes;  /* a folder, in its (new) parent */
	char *made;  /* a folder that was made, and is to go again */
	char *address;        /* where a folder is to be made, of a rename */
	const char *makes_at; /* the same, of any operation */
	int refusal;          /* why it was not made */
	guint tries;          /* to make it, where what was there was gone when it was asked */
	void (*after_make)(CacheOp *op);
	char *counted;        /* URI of a folder about to be removed */
	guint entries;        /* in it */
	guint hidden;         /* and those that are being removed */
	guint left;           /* and those that were removed while it was listed */
	gint64 asked_at;      /* monotonic us */
	guint removals_ended; /* Cache.removals_ended before it was listed */
	void (*after_count)(CacheOp *op);
	GError *failure; /* what it is going to be answered */
	void (*step)(CacheOp *op);
	void (*asked)(CacheOp *op); /* see cache_op_ask() */
	const char *asks_for;
	guint pause_ms; /* before the next question */
	guint asks;     /* questions so far */
	int heard;      /* Cache.heard at its begin */
	bool whole; /* it waits for an answer, with a whole deadline: to miss it says something */
	GssResource *resource; /* what the last question brought */
	GError *error;
	GError *last; /* why it was asked again */
};
/* NULL with an error when the cache is stopping or has no client. Takes over the pins. */
CacheOp *cache_op_new_locked(Cache *cache, GError **error);
/* Runs `step` on the worker, with the deadline set. */
void cache_op_start(CacheOp *op, void (*step)(CacheOp *op));
/* Continuations of client calls: keep what came, and run `step` on the worker. */
void cache_op_on_resource(GssResource *resource, const GError *error, void *op);
void cache_op_on_done(const GError *error, void *op);
/* The answer to a change was lost, or said nothing: asks what is at `uri` now, until that is
 * answered or the deadline is over. Then `step` runs; if it has op->error, nothing is believed of
 * the (new) name any more. Both keep `uri`. */
void cache_op_ask(CacheOp *op, const char *uri, void (*step)(CacheOp *op));
/* It was asked, and nothing came of the change: may the change be asked for once more? What a kept
 * connection lost that had died unnoticed has reached nobody. */
bool cache_op_again(CacheOp *op);
/* Makes a folder with that address: a file there that is still to be removed is waited for, and
 * what became of it is asked where the answer was lost. Then `step` runs, with op->error or (if GSS
 * told) op->resource. */
void cache_op_make_folder(CacheOp *op, const char *uri, void (*step)(CacheOp *op));
/* GSS deletes folders recursively: counts in op->entries what it names in the folder `uri`, shown
 * or not. What a rename is still to remove there is waited for. */
void cache_op_count(CacheOp *op, const char *uri, void (*step)(CacheOp *op));
/* May the folder, or one that it is in, be deleted by an operation under way? */
bool cache_op_closed_locked(Cache *cache, gint64 folder);
/* Is a folder being made in it? */
bool cache_op_fills_locked(const Cache *cache, const CacheNode *folder);
/* Answers (unless the deadline has) and frees. `node` gets the kernel's reference if the answer
 * carries attributes. */
void cache_op_end(CacheOp *op, CacheNode *node, const GError *error);
void cache_op_fail(CacheOp *op, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* The client's error that came last ends the operation. */
void cache_op_end_error(CacheOp *op);

/* --- somebody else's version (cache/conflict.c, conflict.h) --- */

/* The job found what is not ours to replace: the node goes on as a conflict copy under another
 * name, and what is there gets a node of its own. Journaled as one; on failure nothing has changed.
 */
bool cache_conflict_part_locked(Cache *cache, CacheJob *job, GError **error);
/* Before the first change of a clean file: remembers what its content was, if only that can tell.
 */
void cache_conflict_note_base_locked(CacheNode *node);

/* --- renames (cache/rename.c) --- */

/* What it leaves at record->uri; `sent`: only what a request may have brought whose answer is
 * lost. Its pointers are the record's. */
CacheLeftover cache_rename_leftover(const CacheRecord *record, bool sent);
/* Each file of a circle (mv a t; mv b a; mv t b) waits until the next has left its place. Is the
 * one that was at `uri` in a circle with `node`, and will it be here as a whole, so that it may be
 * replaced there before it has arrived under its new name? NULL: no. */
CacheNode *cache_rename_circle_locked(Cache *cache, const CacheNode *node, const char *uri);
/* Is what was renamed from `uri` parked, so that it does not go from there? */
bool cache_rename_stuck_locked(Cache *cache, const char *uri);
/* It is replaced there: nothing of it is to be removed any more. In a transaction. */
bool cache_rename_give_place_locked(Cache *cache, CacheNode *node, GError **error);
/* Something new is to go to `uri`, or it is a folder that is to go. What was removed there while it
 * is open is fetched as far as it is missing, and goes before its last close. On the worker, no
 * lock held. */
void cache_rename_want_place(Cache *cache, const char *uri);
/* The last close of what was replaced while it was open: its content need not come here any more.
 */
void cache_rename_keep_no_more_locked(CacheNode *node);
/* A nameless node has lost its last user, and the kernel may know it for long: what it leaves on
 * GSS is removed before it is forgotten. */
void cache_rename_leave_soon_locked(Cache *cache);

/* --- removals (cache/removal.c) --- */

void cache_removal_run(Cache *cache); /* looks for work; any thread, no lock held */
/* Takes over what the journal has new (cache_store_insert_removal, committed), and hides it from
 * listings. */
bool cache_removal_load_locked(Cache *cache, GError **error);
void cache_removal_clear_locked(Cache *cache);
/* A transaction has failed: what was dropped in it is still to be removed. */
void cache_removal_reload_locked(Cache *cache);
/* How long a body that GSS has whole may take to appear: it may copy behind a slow link. */
#define CACHE_WATCH_NS (15 * 60 * G_GINT64_CONSTANT(1000000000))
/* What is at `uri` from now on is not to go any more. */
bool cache_removal_drop_locked(Cache *cache, const char *uri, GError **error);
/* The same, for something new that is about to be sent there; EAGAIN: not yet. */
bool cache_removal_give_way_locked(Cache *cache, const char *uri, GError **error);
/* What is watched for there is known by its sum. */
bool cache_removal_note_sum_locked(Cache *cache, const char *uri, guint64 attempted,
                                   const char *hash, GError **error);
/* What is to go there has arrived, as this version; in a transaction, with
 * cache_removal_load_locked() after it. */
bool cache_removal_arrived_locked(Cache *cache, const char *uri, const GssVersion *version,
                                  const char *hash, GError **error);
/* Is this entry of the folder with that URI still to be removed? Only files are. */
bool cache_removal_hides_locked(Cache *cache, const char *folder, const GssResource *resource);
/* Somebody waits for this one. */
void cache_removal_look_locked(Cache *cache, const char *uri);
/* Still to be made, and those that GSS refuses; watches count in neither. */
void cache_removal_count_locked(Cache *cache, guint *ret_pending, guint *ret_parked);
/* Tries what was refused once more, and all others now; to be followed by cache_removal_run(). */
void cache_removal_hurry_locked(Cache *cache);

/* --- sums of contents (cache/sum.c, sum.h) --- */

void cache_sum_run(void *task, void *cache); /* the function of Cache.sums */

/* --- eviction (cache/evict.c) --- */

/* Something was added, or something that can be given up: looks at the limit before long, at once
 * when somebody waits for room. */
void cache_evict_soon_locked(Cache *cache);
/* It is over the limit now. */
void cache_evict_now_locked(Cache *cache);
/* Gives up contents of at least `bytes`, if there are so many; and if nobody has them open, some
 * more, so that it need not come again soon. On the worker, no lock held. */
void cache_evict(Cache *cache, guint64 bytes);

/* --- space (cache/space.c) --- */

/* Sets limits that are 0 to their defaults. Before the journal is opened. */
bool cache_space_init(Cache *cache, GError **error);
/* Measures, makes the ballast. After recovery. */
bool cache_space_open(Cache *cache, GError **error);
/* Takes room for `length` bytes about to be written to `node`. False: there is none now, or others
 * are first. */
bool cache_space_take_locked(Cache *cache, const CacheNode *node, guint64 length);
/* That write has ended, or is not made. */
void cache_space_written_locked(Cache *cache, guint64 length);
/* The node was closed: others may grow. */
void cache_space_closed_locked(Cache *cache, const CacheNode *node);
/* Asks for room and waits: `ready` is called on the worker, without an error when the room is the
 * caller's; ENOSPC when nothing frees any. False: ENOSPC at once. */
bool cache_space_wait_locked(Cache *cache, CacheNode *node, guint64 length, CacheReady ready,
                             void *data, GError **error);
/* The same for a download, which does not wait. Any thread, no lock held. */
typedef enum {
	CACHE_FETCH_ENOUGH,
	CACHE_FETCH_SHORT, /* for what somebody waits for; room is being made */
	CACHE_FETCH_NONE,  /* ENOSPC: the disk is full; room is being made */
} CacheFetchRoom;
CacheFetchRoom cache_space_fetch(Cache *cache, CacheContent *content, guint64 length,
                                 GError **error);
/* Notes what a content takes by now. */
void cache_space_measure_locked(Cache *cache, CacheContent *content);
/* Bytes by which limit or reserve are exceeded, with those who wait. */
guint64 cache_space_excess_locked(Cache *cache);
/* Room has come: those who wait are served. */
void cache_space_look_soon_locked(Cache *cache);
/* Nobody waits any more: to be run with an error, without lock. */
GSList *cache_space_stop_locked(Cache *cache);
/* The store's (cache_store_set_room()): frees what is kept for the journal when the disk is short.
 */
bool cache_space_for_journal(void *cache, bool full);

/* --- what people are told (cache/status.c) --- */

/* A file's state, progress or error changed, or what is left to be done. */
void cache_status_changed_locked(Cache *cache);
/* So many more bytes were sent. */
void cache_status_sent_locked(Cache *cache, guint64 bytes);

/* --- recovery (cache/recovery.c, cache/salvage.c) --- */

/* EUCLEAN: the journal is damaged after all. */
bool cache_recover(Cache *cache, GError **error);
/* For how long (us) something that the last run sent there may still arrive: it must not come after
 * anything newer, nor after it has been removed. */
gint64 cache_recovery_settling_locked(Cache *cache, const char *uri);
/* Carries over to the new journal what can be read of a damaged one, and sets the other blobs
 * aside.
 */
bool cache_salvage(Cache *cache, const char *damaged, GError **error);

/* --- threads (cache/worker.c, cache/syncer.c) --- */

CacheWorker *cache_worker_new(Cache *cache);
void cache_worker_free(CacheWorker *worker); /* runs what was posted, then joins */
bool cache_worker_is_current(const Cache *cache);
typedef void (*CacheFunc)(void *data);
void cache_worker_post(Cache *cache, CacheFunc func, void *data);
/* A timer on the worker; returns a reference, to be given to cache_worker_cancel(). `destroy` (may
 * be NULL) frees data with the timer. */
GSource *cache_worker_after(Cache *cache, guint ms, GSourceFunc func, void *data,
                            GDestroyNotify destroy);
void cache_worker_cancel(GSource **timer);

CacheSyncer *cache_syncer_new(Cache *cache);
void cache_syncer_free(CacheSyncer *syncer);
/* Start writing [offset, offset + length) to the disk. */
void cache_syncer_write_out(Cache *cache, CacheContent *content, guint64 offset, guint64 length);
/* Bring the blob to the disk and mark it durable; `ready` may be NULL. */
void cache_syncer_sync(Cache *cache, CacheContent *content, CacheReady ready, void *data);
