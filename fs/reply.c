#include "fs/reply.h"

#include <errno.h>

#include "fs/signals.h"

/* The kernel tells of a caller's first signal only; who waits on is looked at this often. */
#define WATCH_INTERVAL_US (100 * G_TIME_SPAN_MILLISECOND)

struct FsReplies {
	GMutex lock;
	GCond idle;       /* answering is 0 */
	GQueue waiting;   /* FsReply, by their links */
	guint answering;  /* claimed, and libfuse not yet called or not yet back */
	guint watched;    /* of those that wait */
	GCond watch;      /* there is something to watch, or nothing ever more */
	GThread *watcher; /* runs from the first to be watched on */
	bool over, freed;
};

FsReplies *fs_replies_new(void)
{
	FsReplies *replies = g_new0(FsReplies, 1);
	g_mutex_init(&replies->lock);
	g_cond_init(&replies->idle);
	g_cond_init(&replies->watch);
	return replies;
}

void fs_replies_free(FsReplies *replies)
{
	g_mutex_lock(&replies->lock);
	replies->freed = true;
	g_cond_signal(&replies->watch);
	g_mutex_unlock(&replies->lock);
	if (replies->watcher != NULL)
		g_thread_join(replies->watcher);
	g_cond_clear(&replies->watch);
	g_mutex_clear(&replies->lock);
	g_cond_clear(&replies->idle);
	g_free(replies);
}

/* Whoever claims a reply answers it, and then calls done(): meanwhile the session stays. */
static bool claim_locked(FsReplies *replies, FsReply *reply)
{
	if (reply->claimed)
		return false;
	reply->claimed = true;
	if (reply->listed)
		g_queue_unlink(&replies->waiting, &reply->link);
	reply->listed = false;
	if (reply->watched)
		replies->watched--;
	reply->watched = false;
	replies->answering++;
	return true;
}

static void done_locked(FsReplies *replies)
{
	if (--replies->answering == 0 && replies->over)
		g_cond_broadcast(&replies->idle);
}

static void done(FsReplies *replies)
{
	g_mutex_lock(&replies->lock);
	done_locked(replies);
	g_mutex_unlock(&replies->lock);
}

static void reply_unref(FsReply *reply)
{
	FsReplies *replies = reply->mount->replies;

	g_mutex_lock(&replies->lock);
	bool last = --reply->references == 0;
	g_mutex_unlock(&replies->lock);
	if (!last)
		return;
	if (reply->handle != NULL)
		fs_handle_unref(reply->handle);
	g_free(reply);
}

/* An answer that the kernel did not take although nothing hangs on it. */
static void report(int result)
{
	if (result != 0)
		g_debug("ending a request: %s", g_strerror(-result));
}

/* The answer to a claimed request that was interrupted. */
static void answer_interrupt(FsReplies *replies, fuse_req_t req, gsize partial, int err)
{
	report(partial > 0 ? fuse_reply_write(req, partial)
	                   : fuse_reply_err(req, err != 0 ? err : EINTR));
	done(replies);
}

/* Ends the waits of those whose signals ask for it by now. */
static void look_at_watched(FsReplies *replies)
{
	g_autoptr(GPtrArray) watched = g_ptr_array_new();

	for (GList *link = replies->waiting.head; link != NULL; link = link->next) {
		FsReply *reply = link->data;
		if (!reply->watched)
			continue;
		reply->references++;
		g_ptr_array_add(watched, reply);
	}
	g_mutex_unlock(&replies->lock);
	for (guint i = 0; i < watched->len; i++) {
		FsReply *reply = watched->pdata[i];
		if (fs_signals_pending(reply->caller, reply->any_signal)) {
			g_mutex_lock(&replies->lock);
			bool claimed = claim_locked(replies, reply);
			gsize partial = reply->partial;
			int err = reply->err;
			g_mutex_unlock(&replies->lock);
			if (claimed) {
				/* Waits for an interrupt that is being handled. */
				fuse_req_interrupt_func(reply->req, NULL, NULL);
				answer_interrupt(replies, reply->req, partial, err);
			}
		}
		reply_unref(reply);
	}
	g_mutex_lock(&replies->lock);
}

static gpointer watch(gpointer data)
{
	FsReplies *replies = data;

	g_mutex_lock(&replies->lock);
	while (!replies->freed) {
		if (replies->watched == 0) {
			g_cond_wait(&replies->watch, &replies->lock);
			continue;
		}
		gint64 until = g_get_monotonic_time() + WATCH_INTERVAL_US;
		while (!replies->freed && g_cond_wait_until(&replies->watch, &replies->lock, until))
			;
		look_at_watched(replies);
	}
	g_mutex_unlock(&replies->lock);
	return NULL;
}

/* The signal is none to end a wait for, but the kernel tells of no other any more. */
static void watch_locked(FsReplies *replies, FsReply *reply)
{
	if (!reply->watched)
		replies->watched++;
	reply->watched = true;
	if (replies->watcher == NULL)
		replies->watcher = g_thread_new("fs-signals", watch, replies);
	g_cond_signal(&replies->watch);
}

/* Called by libfuse with the request's lock held, in the thread that reads the interrupt, or within
 * fs_reply_wait() when the interrupt was first. In the latter case the request must not be answered
 * here: libfuse goes on to use it. In the former libfuse holds a reference to the request. */
static void on_interrupt(fuse_req_t req, void *data)
{
	FsReply *reply = data;
	FsReplies *replies = reply->mount->replies;
	bool claimed = false;

	bool ends = fs_signals_pending(reply->caller, reply->any_signal);
	g_mutex_lock(&replies->lock);
	if (reply->announcer == g_thread_self())
		reply->interrupted = ends ? FS_INTERRUPT_ENDS : FS_INTERRUPT_WATCHED;
	else if (ends)
		claimed = claim_locked(replies, reply);
	else if (!reply->claimed)
		watch_locked(replies, reply);
	gsize partial = reply->partial;
	int err = reply->err;
	g_mutex_unlock(&replies->lock);
	/* The reply is the completion's to free, and may be gone once it is claimed. */
	if (claimed)
		answer_interrupt(replies, req, partial, err);
}

FsReply *fs_reply_new(fuse_req_t req)
{
	FsReply *reply = g_new0(FsReply, 1);

	reply->mount = fuse_req_userdata(req);
	reply->req = req;
	reply->link.data = reply;
	reply->references = 1;
	return reply;
}

bool fs_reply_wait(FsReply *reply)
{
	FsReplies *replies = reply->mount->replies;

	g_mutex_lock(&replies->lock);
	reply->announcer = g_thread_self();
	reply->caller = fuse_req_ctx(reply->req)->pid;
	replies->answering++;
	g_mutex_unlock(&replies->lock);
	fuse_req_interrupt_func(reply->req, on_interrupt, reply);
	reply->announced = true;

	g_mutex_lock(&replies->lock);
	reply->announcer = NULL;
	bool gone = reply->claimed;
	int err = replies->over ? ENOTCONN : reply->interrupted == FS_INTERRUPT_ENDS ? EINTR : 0;
	if (!gone && err == 0) {
		g_queue_push_tail_link(&replies->waiting, &reply->link);
		reply->listed = true;
		if (reply->interrupted == FS_INTERRUPT_WATCHED)
			watch_locked(replies, reply);
	}
	g_mutex_unlock(&replies->lock);
	if (gone)
		reply_unref(reply);
	else if (err != 0)
		fs_reply_err(reply, err);
	done(replies);
	return !gone && err == 0;
}

bool fs_reply_set_outcome(FsReply *reply, gsize bytes, int err)
{
	FsReplies *replies = reply->mount->replies;

	g_mutex_lock(&replies->lock);
	bool open = !reply->claimed;
	reply->partial = bytes;
	reply->err = err;
	g_mutex_unlock(&replies->lock);
	return open;
}

bool fs_reply_dropped(FsReply *reply)
{
	FsReplies *replies = reply->mount->replies;

	g_mutex_lock(&replies->lock);
	bool dropped = reply->claimed;
	g_mutex_unlock(&replies->lock);
	return dropped;
}

void fs_replies_abort(FsReplies *replies)
{
	g_autoptr(GPtrArray) left = g_ptr_array_new();

	g_mutex_lock(&replies->lock);
	replies->over = true;
	while (!g_queue_is_empty(&replies->waiting)) {
		FsReply *reply = replies->waiting.head->data;
		claim_locked(replies, reply);
		reply->references++;
		g_ptr_array_add(left, reply);
	}
	g_mutex_unlock(&replies->lock);
	for (guint i = 0; i < left->len; i++) {
		FsReply *reply = left->pdata[i];
		/* Waits for an interrupt that is being handled, and lets no other come. */
		fuse_req_interrupt_func(reply->req, NULL, NULL);
		report(fuse_reply_err(reply->req, ENOTCONN));
		done(replies);
		reply_unref(reply);
	}
	g_mutex_lock(&replies->lock);
	while (replies->answering > 0)
		g_cond_wait(&replies->idle, &replies->lock);
	g_mutex_unlock(&replies->lock);
}

int fs_errno(const GError *error)
{
	switch (error->code) {
	case EINPROGRESS: /* the answer is lost and the outcome unknown */
		return ETIMEDOUT;
	case EAGAIN: /* would read as "this descriptor is non-blocking" */
	case EPROTO:
	case ESTALE: /* makes the kernel repeat the path walk */
	case ECANCELED:
	case ENOSYS: /* makes the kernel never ask again */
		return EIO;
	case ERANGE:
		return EINVAL;
	default:
		return error->code > 0 && error->code < 512 ? error->code : EIO;
	}
}

/* What somebody should know who sees only an errno in a program; the rest are everyday answers. */
static void log_error(const GError *error)
{
	switch (error->code) {
	case ENOENT:
	case EEXIST:
	case ENOTEMPTY:
	case EINVAL:
	case ENAMETOOLONG:
	case EISDIR:
	case ENOTDIR:
	case EROFS:
	case EXDEV:
	case ECANCELED:
		g_debug("%s", error->message);
		break;
	default:
		g_message("%s", error->message);
		break;
	}
}

static bool claim(FsReply *reply)
{
	FsReplies *replies = reply->mount->replies;

	g_mutex_lock(&replies->lock);
	bool claimed = claim_locked(replies, reply);
	g_mutex_unlock(&replies->lock);
	/* An interrupt that comes now finds it claimed; wait until it is through with the reply. */
	if (claimed && reply->announced)
		fuse_req_interrupt_func(reply->req, NULL, NULL);
	return claimed;
}

static bool sent(FsReply *reply, int result)
{
	done(reply->mount->replies);
	return result == 0;
}

/* Ends the request's life; `send` is evaluated by whoever claims it. */
#define ANSWER(reply, send)                             \
	bool taken = claim(reply) && sent(reply, send); \
	reply_unref(reply);                             \
	return taken

bool fs_reply_err(FsReply *reply, int err)
{
	ANSWER(reply, fuse_reply_err(reply->req, err));
}

bool fs_reply_error(FsReply *reply, const GError *error)
{
	if (error != NULL)
		log_error(error);
	return fs_reply_err(reply, error != NULL ? fs_errno(error) : 0);
}

bool fs_reply_entry(FsReply *reply, const struct fuse_entry_param *entry)
{
	ANSWER(reply, fuse_reply_entry(reply->req, entry));
}

static bool give(FsHandle *handle, struct fuse_file_info *fi, bool (*send)(FsReply *, void *),
                 FsReply *reply, void *data)
{
	fi->fh = (uintptr_t)handle;
	fs_handle_give(handle);
	bool sent = send(reply, data);
	if (!sent)
		fs_handle_release(handle);
	fs_handle_unref(handle);
	return sent;
}

typedef struct {
	const struct fuse_entry_param *entry;
	const struct fuse_file_info *fi;
} Opened;

static bool send_create(FsReply *reply, void *data)
{
	const Opened *opened = data;
	ANSWER(reply, fuse_reply_create(reply->req, opened->entry, opened->fi));
}

static bool send_open(FsReply *reply, void *data)
{
	const Opened *opened = data;
	ANSWER(reply, fuse_reply_open(reply->req, opened->fi));
}

bool fs_reply_create(FsReply *reply, const struct fuse_entry_param *entry, FsHandle *handle,
                     struct fuse_file_info *fi)
{
	return give(handle, fi, send_create, reply, &(Opened){entry, fi});
}

bool fs_reply_open(FsReply *reply, FsHandle *handle, struct fuse_file_info *fi)
{
	return give(handle, fi, send_open, reply, &(Opened){NULL, fi});
}

bool fs_reply_attr(FsReply *reply, const struct stat *attr, double timeout)
{
	ANSWER(reply, fuse_reply_attr(reply->req, attr, timeout));
}

bool fs_reply_buf(FsReply *reply, const void *bytes, gsize length)
{
	ANSWER(reply, fuse_reply_buf(reply->req, bytes, length));
}

bool fs_reply_data(FsReply *reply, struct fuse_bufvec *data)
{
	/* Spliced, but not FUSE_BUF_SPLICE_MOVE: that would take the pages out of the blob's page
	 * cache, and the next reader, or the upload, would fetch them from the disk again. */
	ANSWER(reply, fuse_reply_data(reply->req, data, 0));
}

bool fs_reply_write(FsReply *reply, gsize length)
{
	ANSWER(reply, fuse_reply_write(reply->req, length));
}

bool fs_reply_xattr(FsReply *reply, const char *value, gsize length, gsize size)
{
	if (size == 0) {
		ANSWER(reply, fuse_reply_xattr(reply->req, length));
	}
	if (length > size)
		return fs_reply_err(reply, ERANGE);
	return fs_reply_buf(reply, value, length);
}

bool fs_reply_statfs(FsReply *reply, const struct statvfs *space)
{
	ANSWER(reply, fuse_reply_statfs(reply->req, space));
}

bool fs_reply_poll(FsReply *reply, unsigned events)
{
	ANSWER(reply, fuse_reply_poll(reply->req, events));
}
