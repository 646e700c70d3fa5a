/* fs/reply.h - answering the kernel: the only place that does, apart from INIT and FORGET.
 *
 * Each request gets one FsReply, which is answered by one of the fs_reply_*() functions; these free
 * it. A request that waits for a callback is announced with fs_reply_wait() first. From then on it
 * may also be answered by an interrupt (EINTR; fs/signals.h says which signals count) or by the
 * session's end (ENOTCONN); whoever claims it first answers it, and the others' answers are
 * dropped.
 *
 * So the functions return whether the kernel took the answer. When it did not, the caller gives
 * back what the answer would have handed over: a lookup's reference, an open file.
 *
 * Threads: any. fs_reply_wait() and what comes before it in the FUSE worker that got the request.
 */
#pragma once

#include "fs/fuse.h"
#include "fs/handle.h"
#include "fs/mount.h"

#include <poll.h>

typedef enum {
	FS_INTERRUPT_NONE,
	FS_INTERRUPT_ENDS,
	FS_INTERRUPT_WATCHED,
} FsInterrupt;

typedef struct FsReply FsReply;
struct FsReply {
	FsMount *mount;
	fuse_req_t req;
	/* For the handler's own use. */
	FsStorage *storage;
	CacheId id;
	FsHandle *handle; /* a reference, dropped with the reply; or NULL */
	gsize size;
	CacheAttr attr;
	bool plus;       /* a READDIRPLUS */
	bool any_signal; /* set before the announcement: a wait for minutes, any caught signal ends
	                    it */
	/* fs/reply.c */
	bool announced; /* may be interrupted */
	/* Guarded by the lock of FsReplies. */
	GList link; /* in the list of those that wait */
	bool listed;
	guint references;
	bool claimed;
	GThread *announcer;      /* the thread in fs_reply_wait() */
	FsInterrupt interrupted; /* while being announced */
	pid_t caller;            /* the thread that waits */
	bool watched;  /* it had a signal that is none to end a wait for; others are looked for */
	gsize partial; /* an interrupt answers this many bytes written instead of EINTR */
	int err;       /* or, when these are none, this instead of EINTR; or 0 */
};

FsReplies *fs_replies_new(void);
void fs_replies_free(FsReplies *replies);
/* Answers all that wait with ENOTCONN, and from now on every announcement at once. Returns when
 * nobody is about to answer any more: then the session may be destroyed. */
void fs_replies_abort(FsReplies *replies);

FsReply *fs_reply_new(fuse_req_t req);
/* Announces a wait. False: it has been answered already (and freed), the operation must not start.
 */
bool fs_reply_wait(FsReply *reply);
/* From now on an interrupt tells the writer that `bytes` were written; or, when these are none,
 * `err` instead of EINTR. False: it has told something else already. */
bool fs_reply_set_outcome(FsReply *reply, gsize bytes, int err);

/* It was answered by an interrupt, or by the session's end. It still has to be ended. */
bool fs_reply_dropped(FsReply *reply);

/* The errno that the kernel gets for an error, always positive. */
int fs_errno(const GError *error);

bool fs_reply_err(FsReply *reply, int err); /* 0: success */
/* Answers with the error's errno, or success when NULL, and logs what somebody should know. */
bool fs_reply_error(FsReply *reply, const GError *error);
bool fs_reply_entry(FsReply *reply, const struct fuse_entry_param *entry);
/* Both give the handle (whose reference they take over) to the kernel, with the rest of `fi`. */
bool fs_reply_create(FsReply *reply, const struct fuse_entry_param *entry, FsHandle *handle,
                     struct fuse_file_info *fi);
bool fs_reply_open(FsReply *reply, FsHandle *handle, struct fuse_file_info *fi);
bool fs_reply_attr(FsReply *reply, const struct stat *attr, double timeout);
bool fs_reply_buf(FsReply *reply, const void *bytes, gsize length);
bool fs_reply_data(FsReply *reply, struct fuse_bufvec *data);
bool fs_reply_write(FsReply *reply, gsize length);
/* The value of an extended attribute, or its length when the caller asked for that (`size` 0). */
bool fs_reply_xattr(FsReply *reply, const char *value, gsize length, gsize size);
/* What poll() says of every file: it can be read and written. */
#define FS_POLL_ALWAYS (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM)
bool fs_reply_poll(FsReply *reply, unsigned events);
bool fs_reply_statfs(FsReply *reply, const struct statvfs *space);
