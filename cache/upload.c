/* One upload: ask what is there, send, ask what has arrived. Each step runs on the worker; the
 * client's callbacks only keep what came and post the next one. */
#include "cache/private.h"

#include <errno.h>

#include "cache/conflict.h"
#include "cache/sum.h"
#include "cache/upload.h"

static void run_step(void *data)
{
	CacheJob *job = data;
	job->step(job);
}

/* While a file waits for what is in its place each try gets as far; and where the queue waits as a
 * whole, as far as questions go. */
static void advance(CacheJob *job, bool question)
{
	g_mutex_lock(&job->cache->lock);
	if (!job->again && !(question && job->cache->pause.code))
		cache_publish_moved_locked(job->cache, job->node);
	g_mutex_unlock(&job->cache->lock);
}

static void moved(void *data)
{
	advance(data, false);
}

static void keep(CacheJob *job, GssResource *resource, const GssVersion *version,
                 const GError *error)
{
	g_clear_error(&job->error);
	if (error)
		job->error = g_error_copy(error);
	if (resource) {
		gss_resource_ref(resource);
		g_clear_pointer(&job->resource, gss_resource_unref);
		job->resource = resource;
	}
	if (version)
		gss_version_copy(&job->result, version);
	if (!error)
		advance(job, true);
	cache_worker_post(job->cache, run_step, job);
}

static void on_resource(GssResource *resource, const GError *error, void *data)
{
	keep(data, resource, NULL, error);
}

static void on_version(const GssVersion *version, const GError *error, void *data)
{
	keep(data, NULL, version, error);
}

static void on_written(const char *uri, const GError *error, void *data)
{
	CacheJob *job = data;
	if (uri) {
		char *copy = g_strdup(uri);
		g_free(job->uri);
		job->uri = copy;
	}
	keep(job, NULL, NULL, error);
}

/* --- what ours is --- */

/* A writer need not wait for a sum that nobody wants any more. */
static bool on_our_piece(void *data)
{
	CacheJob *job = data;
	moved(job);
	return !g_atomic_int_get(&job->aborted);
}

static void on_our_sum(const char *hash, void *data)
{
	CacheJob *job = data;
	/* Looked at afterwards, as in read_blob(). */
	if (!g_atomic_int_get(&job->aborted))
		job->sum = g_strdup(hash);
	job->step(job);
}

/* Of the first `size` bytes of what is sent: job->sum, NULL if it is being changed. */
static void sum_ours(CacheJob *job, guint64 size, GCancellable *cancellable,
                     void (*step)(CacheJob *job))
{
	job->step = step;
	g_clear_pointer(&job->sum, g_free);
	cache_sum_content(job->cache, job->content, size, cancellable, on_our_piece, on_our_sum,
	                  job);
}

/* Small contents are summed at once. */
static void note_hash(CacheJob *job)
{
	if (job->hash || job->size > CACHE_COMPARE_BYTES)
		return;
	job->hash = cache_sum_blob(job->content->fd, job->size, NULL);
	if (g_atomic_int_get(&job->aborted))
		g_clear_pointer(&job->hash, g_free);
}

/* --- failing --- */

static void failed(CacheJob *job)
{
	if (!job->hash)
		job->hash = g_steal_pointer(&job->sum);
	g_autoptr(GError) error = g_steal_pointer(&job->error);
	cache_queue_finished(job, error);
}

/* What GSS has whole may arrive yet, and is to be known then. */
static void fail_with_error(CacheJob *job)
{
	if (job->untouched || job->hash || g_atomic_int_get(&job->aborted) ||
	    g_cancellable_is_cancelled(job->cache->stop))
		failed(job);
	else
		sum_ours(job, job->size, job->cache->stop, failed);
}

static void fail(CacheJob *job, int code, const char *message)
{
	g_clear_error(&job->error);
	job->error = g_error_new(CACHE_ERROR, code, "%s: %s", job->name, message);
	fail_with_error(job);
}

static void resolve(CacheJob *job, const char *uri, void (*step)(CacheJob *job))
{
	job->step = step;
	gss_storage_resolve(job->cache->client, uri, job->cancellable, on_resource, job);
}

static void ask_version(CacheJob *job, void (*step)(CacheJob *job))
{
	job->step = step;
	g_autoptr(GssResource) resource = gss_resource_ref(job->resource);
	gss_storage_stat(job->cache->client, resource, job->cancellable, on_version, job);
}

static void on_sum(const char *hash, const GError *error, void *data)
{
	CacheJob *job = data;
	g_free(job->theirs);
	job->theirs = g_strdup(hash);
	keep(job, NULL, NULL, error);
}

/* Of what is there, of the size that was just told: job->theirs. */
static void sum_theirs(CacheJob *job, void (*step)(CacheJob *job))
{
	job->step = step;
	g_autoptr(GssResource) resource = gss_resource_ref(job->resource);
	cache_sum_remote(job->cache->client, resource, job->result.size, job->cancellable, moved,
	                 on_sum, job);
}

/* --- after sending --- */

static void not_all(CacheJob *job)
{
	g_autofree char *message =
		g_strdup_printf("GSS has %" G_GINT64_FORMAT
	                        " bytes of it, not the %" G_GUINT64_FORMAT " that were sent",
	                        job->result.size, job->size);
	fail(job, EIO, message);
}

/* Less than was sent: is it the beginning of that? */
static void beginning_compared(CacheJob *job)
{
	job->cut_short = !job->error && job->sum && g_strcmp0(job->sum, job->theirs) == 0;
	g_clear_pointer(&job->sum, g_free);
	g_clear_pointer(&job->theirs, g_free);
	not_all(job);
}

static void beginning_summed(CacheJob *job)
{
	sum_theirs(job, beginning_compared);
}

static void arrived_whole(CacheJob *job)
{
	if (!job->hash)
		job->hash = g_steal_pointer(&job->sum);
	cache_queue_finished(job, NULL);
}

/* Will only its content tell that what a rename leaves behind is the same? */
static bool leaves_doubt(CacheJob *job)
{
	const CacheRecord *r = &job->node->r;
	g_mutex_lock(&job->cache->lock);
	bool doubt = job->moved_from && !job->hash && !r->from.hash && r->from.version.mtime < 0 &&
	             !r->from.version.etag;
	g_mutex_unlock(&job->cache->lock);
	return doubt;
}

static void verified(CacheJob *job)
{
	CACHE_CRASH_POINT("upload.verifying");
	if (job->error && job->error->code == ENOENT)
		fail(job, EIO, "it was sent, but GSS does not have it");
	else if (job->error)
		fail_with_error(job);
	else if (job->result.size > (gint64)job->size) /* somebody else's */
		not_all(job);
	else if (job->result.size < (gint64)job->size)
		sum_ours(job, job->result.size, job->cancellable, beginning_summed);
	else if (leaves_doubt(job))
		sum_ours(job, job->size, job->cancellable, arrived_whole);
	else
		cache_queue_finished(job, NULL);
}

static void arrived(CacheJob *job)
{
	CACHE_CRASH_POINT("upload.arrived");
	if (job->error)
		fail_with_error(job);
	else if (gss_resource_type(job->resource) != GSS_TYPE_FILE)
		fail(job, EIO, "it was sent, but GSS does not have it");
	else
		ask_version(job, verified);
}

static void ask_what_is_there(CacheJob *job);

static void sent(CacheJob *job)
{
	CACHE_CRASH_POINT("upload.sent");
	int code = job->error ? job->error->code : 0;
	switch (code) {
	case 0:
		resolve(job, job->uri, arrived);
		return;
	case EINPROGRESS:
		/* The answer is lost: never again without asking. */
		job->unknown = true;
		break;
	case EEXIST:
	case ENOENT:
		/* 405: somebody was faster, or the folder is gone, or it is simply not allowed. */
		job->refused = true;
		job->untouched = true;
		break;
	case ESTALE:
		/* 412: it was changed since it was looked at. */
		job->stale = true;
		job->untouched = true;
		break;
	case EACCES:
	case EPERM:
	case EINVAL:
	case EFBIG:
	case ENOSPC:
		job->untouched = true; /* refused */
		fail_with_error(job);
		return;
	default:
		job->untouched = !g_atomic_int_get(&job->sent_all);
		fail_with_error(job);
		return;
	}
	ask_what_is_there(job);
}

/* --- what is there --- */

/* May it, by its size, be what an earlier try of ours sent, whose answer was lost? */
static bool maybe_from_before(const CacheJob *job)
{
	return job->attempted && job->result.size == (gint64)(job->attempted - 1);
}

static bool ours_from_before(const CacheJob *job)
{
	return maybe_from_before(job) && job->theirs && job->attempted_hash &&
	       g_str_equal(job->theirs, job->attempted_hash);
}

/* Is it what we are about to send, or what we just sent? */
static bool same_as_ours(const CacheJob *job)
{
	return job->result.size == (gint64)job->size && job->theirs && job->hash &&
	       g_str_equal(job->theirs, job->hash);
}

/* Is it the version that the change began from? */
static bool unchanged(const CacheJob *job)
{
	if (job->base.size < 0)
		return job->uri != NULL;
	return gss_version_equal(&job->base, &job->result) &&
	       (!job->theirs || !job->base_hash || g_str_equal(job->theirs, job->base_hash));
}

/* --- sending --- */

static void send(CacheJob *job)
{
	Cache *cache = job->cache;
	g_autoptr(GError) error = NULL;
	note_hash(job);
	gss_version_copy(&job->looked, &job->result);
	const char *there = job->theirs ? job->theirs : unchanged(job) ? job->base_hash : NULL;
	g_mutex_lock(&cache->lock);
	bool begun = cache_send_begin_locked(job, there, &error);
	g_mutex_unlock(&cache->lock);
	if (!begun) {
		job->untouched = true;
		fail(job, error->code, error->message);
		return;
	}
	CACHE_CRASH_POINT("upload.attempted");
	job->step = sent;
	job->untouched = false;
	cache_send(job, on_written);
}

/* --- before sending --- */

/* Is it something that a rename or an unlink here is still to remove? What arrived late is known by
 * where it was sent. */
static bool leaving(CacheJob *job)
{
	const char *uri = gss_resource_uri(job->resource);
	g_mutex_lock(&job->cache->lock);
	GHashTable *hidden = job->cache->hidden;
	const char *place = uri && g_hash_table_contains(hidden, uri)     ? uri
	                    : g_hash_table_contains(hidden, job->address) ? job->address
	                                                                  : NULL;
	if (place) {
		cache_removal_look_locked(job->cache, place);
		cache_job_await(job, place);
	}
	job->blocked = place && cache_rename_stuck_locked(job->cache, place);
	g_mutex_unlock(&job->cache->lock);
	if (place)
		cache_rename_want_place(job->cache, place);
	return place != NULL;
}

/* Does an upload of what was replaced here still go there? */
static bool is_sent_to(CacheJob *job)
{
	g_mutex_lock(&job->cache->lock);
	bool sent = !job->sending && g_hash_table_contains(job->cache->sending, job->address);
	if (sent)
		cache_job_await(job, job->address);
	g_mutex_unlock(&job->cache->lock);
	return sent;
}

/* Has that been removed since we began to look? */
static bool has_left(CacheJob *job)
{
	g_mutex_lock(&job->cache->lock);
	bool left = job->left;
	g_mutex_unlock(&job->cache->lock);
	return left;
}

/* Renamed away and back, or in a circle: what is there is what a rename was to remove, and is
 * replaced instead. */
static void take_back(CacheJob *job)
{
	const char *uri = gss_resource_uri(job->resource);
	if (job->uri || !uri)
		return;
	g_mutex_lock(&job->cache->lock);
	bool own = g_strcmp0(uri, job->moved_from) == 0;
	const CacheNode *left =
		own ? job->node : cache_rename_circle_locked(job->cache, job->node, uri);
	if (left) {
		const CacheRecord *r = &left->r;
		gss_version_copy(&job->base, &r->from.version);
		job->attempted = r->from.attempted;
		g_free(job->attempted_hash);
		job->attempted_hash = g_strdup(r->from.attempted_hash);
		g_free(job->base_hash);
		job->base_hash = g_strdup(r->from.hash);
		job->uri = own ? g_steal_pointer(&job->moved_from) : g_strdup(uri);
		job->back = true;
	}
	g_mutex_unlock(&job->cache->lock);
}

static void conflict(CacheJob *job)
{
	Cache *cache = job->cache;
	bool folder = gss_resource_type(job->resource) == GSS_TYPE_FOLDER;
	if (cache->overwrite && !folder) {
		g_message("%s: replaced on GSS, though it was changed there (conflict=overwrite)",
		          job->name);
		job->fresh = false;
		send(job);
		return;
	}
	job->conflict = true;
	job->untouched = true;
	fail(job, ESTALE,
	     folder     ? "a folder has its name on GSS: yours is kept as a conflict copy"
	     : job->uri ? "it was changed on GSS since the edit began: yours is kept as a "
	                  "conflict copy"
	                : "a file of this name has appeared on GSS: yours is kept as a "
	                  "conflict copy");
}

static void is_there(CacheJob *job)
{
	g_free(job->uri);
	job->uri = g_strdup(gss_resource_uri(job->resource));
	cache_queue_finished(job, NULL);
}

/* The answer to our request was lost, and what it brought is not there, as far as can be seen: what
 * left us whole may still come. */
static void fail_lost(CacheJob *job, bool same)
{
	job->untouched = same && !g_atomic_int_get(&job->sent_all);
	fail(job, EAGAIN, "the answer was lost, and GSS does not have it");
}

static void judge_lost(CacheJob *job)
{
	if (same_as_ours(job))
		is_there(job);
	else
		fail_lost(job, job->base.size >= 0 && unchanged(job));
}

/* What is there is known: is it what we mean to replace? */
static void judge(CacheJob *job)
{
	bool ours = ours_from_before(job), same = unchanged(job);
	if (job->unknown) {
		judge_lost(job);
	} else if (job->refused && !job->fresh) {
		job->untouched = true;
		fail(job, EPERM, "GSS refuses to replace it");
	} else if (job->stale && gss_version_equal(&job->looked, &job->result)) {
		job->untouched = true;
		fail(job, EAGAIN, "GSS says that it was changed, and shows what was there before");
	} else if (has_left(job)) {
		job->untouched = true;
		fail(job, EAGAIN, "what had its name was just removed from GSS");
	} else if (maybe_from_before(job) && same_as_ours(job)) {
		is_there(job); /* it arrived, after all */
	} else if (same || ours) {
		job->fresh = false;
		send(job);
	} else if (is_sent_to(job)) {
		job->untouched = true;
		fail(job, EAGAIN, "it waits until an older version has arrived");
	} else if (!job->back && leaving(job)) {
		job->untouched = true;
		fail(job, EAGAIN,
		     job->blocked ? "what had its name is still there on GSS, for it is not "
		                    "uploaded under its new one"
		                  : "it waits until what had its name is removed from GSS");
	} else if (same_as_ours(job)) {
		is_there(job); /* somebody else has put the same there */
	} else {
		conflict(job);
	}
}

/* --- comparing contents --- */

/* It could not be looked at; what went away meanwhile is asked for anew. */
static void not_seen(CacheJob *job)
{
	job->untouched = !job->unknown;
	if (job->error->code == ENOENT)
		fail(job, EAGAIN, "what was there went away while it was looked at");
	else
		fail_with_error(job);
}

static void summed(CacheJob *job)
{
	if (job->error)
		not_seen(job);
	else
		judge(job);
}

static void look_inside(CacheJob *job)
{
	if (!job->hash)
		job->hash = g_steal_pointer(&job->sum);
	sum_theirs(job, summed);
}

/* Does only its content tell what it is? Of what is large only if it may have come from here. */
static bool worth_comparing(CacheJob *job, bool *ret_ours)
{
	const GssVersion *there = &job->result;
	bool small = there->size <= CACHE_COMPARE_BYTES;
	bool validated = gss_version_validated(there, &job->base);
	bool base = unchanged(job);
	bool doubtful = small && job->base.size == there->size && job->base_hash && !validated;
	bool ours = job->unknown ? small || !(base && validated)
	                         : !base && (small || maybe_from_before(job));
	bool same_size = ours && there->size == (gint64)job->size;
	*ret_ours = same_size;
	return there->size >= 0 &&
	       (doubtful || same_size || (maybe_from_before(job) && job->attempted_hash && !base));
}

/* What is there, and which version of it. */
static void compare(CacheJob *job)
{
	bool ours;
	if (job->error) {
		not_seen(job);
		return;
	}
	CACHE_CRASH_POINT("upload.comparing");
	take_back(job);
	g_clear_pointer(&job->theirs, g_free);
	if (!worth_comparing(job, &ours)) {
		judge(job);
		return;
	}
	if (ours)
		note_hash(job);
	if (ours && !job->hash)
		sum_ours(job, job->size, job->cancellable, look_inside);
	else
		look_inside(job);
}

static void found(CacheJob *job)
{
	/* Where URIs say nothing of the place, what is gone has none. */
	bool gone = job->error && job->error->code == ENOENT && job->uri;
	if (job->error && !gone) {
		job->untouched = !job->unknown;
		fail_with_error(job);
		return;
	}
	CACHE_CRASH_POINT("upload.found");
	g_mutex_lock(&job->cache->lock);
	g_free(job->saw);
	job->saw = gone ? NULL : g_strdup(gss_resource_uri(job->resource));
	g_mutex_unlock(&job->cache->lock);
	switch (gone ? GSS_TYPE_NOTEXIST : gss_resource_type(job->resource)) {
	case GSS_TYPE_FOLDER:
		gss_version_clear(&job->result);
		conflict(job);
		return;
	case GSS_TYPE_FILE:
		ask_version(job, compare);
		return;
	case GSS_TYPE_NOTEXIST:
		break;
	}
	if (job->unknown) {
		fail_lost(job, true);
	} else if (job->uri) {
		/* Removed on GSS, changed here: ours lives. */
		g_clear_pointer(&job->uri, g_free);
		gss_version_clear(&job->base);
		job->refused = false;
		ask_what_is_there(job);
	} else if (job->refused) {
		job->untouched = true;
		fail(job, EPERM, "GSS refuses to create it there");
	} else {
		job->fresh = true;
		gss_version_clear(&job->result);
		send(job);
	}
}

static void ask_what_is_there(CacheJob *job)
{
	Cache *cache = job->cache;
	g_mutex_lock(&cache->lock);
	cache_job_look_end_locked(job);
	job->looks_at = g_strdup(job->uri ? job->uri : job->address);
	job->left = false;
	g_hash_table_add(cache->looking, job);
	g_mutex_unlock(&cache->lock);
	resolve(job, job->uri ? job->uri : job->address, found);
}

static void whole(CacheJob *job)
{
	CACHE_CRASH_POINT("upload.whole");
	if (job->error) {
		job->untouched = true;
		job->partial = job->error->code == ESTALE;
		if (job->partial)
			fail(job, ESTALE,
			     "it was changed on GSS, and only a part of the version that was "
			     "edited is held here: write it anew as a whole, or remove it");
		else
			fail_with_error(job);
	} else {
		ask_what_is_there(job);
	}
}

static void on_fetched(Cache *cache, const GError *error, void *data)
{
	CacheJob *job = data;
	job->step = whole;
	keep(job, NULL, NULL, error);
}

void cache_upload_start(CacheJob *job)
{
	CACHE_CRASH_POINT("upload.begun");
	job->untouched = true;
	if (cache_content_whole(job->content, job->size)) {
		ask_what_is_there(job);
		return;
	}
	/* What was never held here is fetched first: from where it is, in the version the change
	 * began with. */
	cache_fetch_all(job->cache, job->node, job->content, job->size, on_fetched, job);
}
