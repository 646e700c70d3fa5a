/* cache/upload.h - one upload of one generation of a file, the queue that decides when it is made,
 * and who waits for it.
 *
 * Threads: a job begins and ends on the worker; each of its steps runs there. Its fields are the
 * worker's, but for those that say otherwise.
 */
#pragma once

#include "cache/private.h"

/* One try to bring one generation to GSS. */
struct CacheJob {
	Cache *cache;
	CacheNode *node; /* pinned */
	CacheContent *content;
	guint64 generation, size;
	bool large;
	bool probes; /* begun in a pause of the queue */
	bool again;  /* the last try found its place taken, and nobody told that it is free */
	GCancellable *cancellable;
	gint aborted; /* atomic: the content is being changed, not another byte of it may be sent */
	gint sent_all; /* atomic: the client has the whole body */
	guint64 sent;  /* bytes; guarded by Cache.lock */
	/* What it began with; the node may be renamed meanwhile. */
	CacheId parent;
	char *name, *moved_from;
	char *address;     /* creation address */
	char *uri;         /* of what it replaces, NULL: nothing; at the end: where the bytes are */
	GssVersion base;   /* the version it replaces */
	guint64 attempted; /* as CacheRecord.attempted */
	/* cache/upload.c, cache/send.c */
	bool sending;   /* its address is in Cache.sending */
	char *looks_at; /* URI; guarded by Cache.lock, as are the next two */
	char *saw;      /* as GSS calls it */
	bool left;      /* what was there has been removed meanwhile */
	bool fresh;     /* creating */
	bool back;      /* it replaces what a rename was to remove */
	bool refused;   /* 405: asking why */
	bool unknown;   /* the answer was lost: asking */
	bool stale;     /* 412: asking what is there now */
	bool conflict;  /* why it failed: `resource`, of version `result`, is somebody else's */
	bool partial;   /* it failed since what is not held here is gone */
	bool cut_short; /* it failed since GSS has less than was sent, as `result` */
	bool untouched; /* it failed before GSS can have changed anything */
	bool blocked;   /* it failed since what had its name is parked */
	char *awaits;   /* it failed since what is at this URI is still to go */
	GssResource *resource;
	GssVersion result;
	GssVersion looked; /* what was there when it was sent */
	char *base_hash;   /* of the base, NULL: not known */
	char *attempted_hash;
	char *hash;   /* of what is sent; NULL: not made yet, or it is being changed */
	char *sum;    /* the last that was made of it, or of its beginning */
	char *theirs; /* of what is there */
	GError *error;
	void (*step)(CacheJob *job);
};
/* The node has another address than the job began with, or none. */
bool cache_job_outdated_locked(const CacheJob *job);
void cache_upload_start(CacheJob *job); /* on the worker; ends with cache_queue_finished() */

/* --- one body (cache/send.c); on the worker --- */

/* It goes on when what is at `uri` has gone. */
void cache_job_await(CacheJob *job, const char *uri);
/* Takes the address for this job and journals the attempt, unless the name is another's by now, or
 * something that was replaced here is still on its way there, by which ours must not be overtaken.
 * `there`: the sum of what it replaces, NULL unknown. False: nothing may be sent. */
bool cache_send_begin_locked(CacheJob *job, const char *there, GError **error);
/* `written` is called with the job as its data. */
void cache_send(CacheJob *job, GssWrittenCallback written);

/* --- when it is made (cache/queue.c, cache/drain.c) --- */

/* Something changed (close, fsync, rename, start): queues the node if it is due, and looks for
 * work. */
void cache_queue_consider_locked(Cache *cache, CacheNode *node);
/* A write or truncate is about to change the node's content, which may be on its way: aborts the
 * upload or gives the node a clone, as HACKING.md says. The lock is dropped while contents are
 * copied. */
bool cache_queue_unseal_locked(Cache *cache, CacheNode *node, bool truncating, GError **error);
/* Forgets sealed generations up to `number`, and the blobs that only they used. In a transaction.
 */
bool cache_queue_drop_generations_locked(Cache *cache, CacheNode *node, guint64 number,
                                         GError **error);
/* The node must not be uploaded (any more): unlinked, replaced. */
void cache_queue_cancel_locked(Cache *cache, CacheNode *node);
/* Starts what there is room for; on the worker. */
void cache_queue_run_locked(Cache *cache);
/* It looks at nothing on GSS (any more). */
void cache_job_look_end_locked(CacheJob *job);
/* What is at `uri` was removed, or stays: who looks at it must look again, and whose place it had
 * does so now. */
void cache_queue_left_locked(Cache *cache, const char *uri);
/* Its place is taken by what is at `uri`, and is its own when that has gone; NULL: it is looked at
 * anew. A dirty node. */
void cache_queue_await_locked(Cache *cache, CacheNode *node, const char *uri);
/* Somebody waits for it: it goes before those that nobody waits for. */
void cache_queue_prefer_locked(Cache *cache, CacheNode *node);
/* The job's end, on the worker. `error` NULL: its generation is on GSS at job->uri, as job->result.
 */
void cache_queue_finished(CacheJob *job, const GError *error);
/* Somebody knows better, or waits: a pause does not last to the next look. */
void cache_queue_resume_locked(Cache *cache);
/* ms until the next try, after so many failed ones; `random` from 0 to 1. */
guint cache_queue_delay(guint tries, double random);
/* Takes those who wait for the end of all (cache/drain.c), if it has come; to be run without lock.
 */
void cache_queue_check_drained_locked(Cache *cache, GSList **ret_calls);
/* The same, from the worker: something that they wait for may have ended without an upload. */
void cache_drain_look_soon_locked(Cache *cache);

/* --- what an upload leaves in the journal (cache/settle.c) --- */

/* Its generation has arrived at job->uri, as job->result. On failure nothing has changed. */
bool cache_settle_locked(CacheJob *job, GError **error);
/* A failed try: what may still arrive is known by its sum. `outdated`: under the old name. */
void cache_settle_sent_locked(CacheJob *job, bool outdated);

/* --- bursts of small files (cache/burst.c) --- */

/* One was queued. */
void cache_burst_note_locked(Cache *cache);
/* Somebody waits for an upload. */
void cache_burst_end_locked(Cache *cache);
/* Do uploads wait for a pause? Then the queue is run after it. */
bool cache_burst_holds_locked(Cache *cache);

/* --- who waits for an upload (cache/publish.c) --- */

/* Those who wait for a generation up to this one; to be run without lock. */
GSList *cache_publishers_take_locked(CacheNode *node, guint64 up_to);
void cache_publishers_run(GSList *publishers, const CachePublished *published, const GError *error);
/* Its upload has come a step further. */
void cache_publish_moved_locked(Cache *cache, CacheNode *node);
