/* What an upload leaves in the journal: of what has arrived, and of what may still. */
#include "cache/private.h"

#include <errno.h>

#include "cache/upload.h"

/* It lost its name to another file while it was sent: that one replaces what came of it. Pinned. */
static CacheNode *find_heir_locked(const CacheJob *job)
{
	Cache *cache = job->cache;
	if (job->node->r.parent != CACHE_PARENT_UNLINKED)
		return NULL;
	CacheNode *heir = cache_node_find_locked(cache, (gint64)job->parent, job->name, NULL);
	if (heir && (heir->r.folder || !cache_node_dirty(heir))) {
		cache_node_put_locked(cache, heir);
		heir = NULL;
	}
	if (heir && heir->job)
		heir->job->left = true; /* it must look again */
	return heir;
}

/* What replaced it is to be somewhere else by now: what came of it is to go, and is known exactly.
 */
static bool give_away_locked(CacheJob *job, GError **error)
{
	Cache *cache = job->cache;
	GHashTableIter iter;
	void *key;
	g_hash_table_iter_init(&iter, cache->dirty);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		CacheRecord *r = &((CacheNode *)key)->r;
		if (g_strcmp0(r->moved_from, job->uri) != 0)
			continue;
		cache_leftover_clear(&r->from);
		gss_version_copy(&r->from.version, &job->result);
		r->from.hash = g_strdup(job->hash);
		return cache_node_save_locked(cache, key, error);
	}
	return cache_removal_arrived_locked(cache, job->uri, &job->result, job->hash, error) &&
	       (g_str_equal(job->uri, job->address) ||
	        cache_removal_arrived_locked(cache, job->address, &job->result, job->hash, error));
}

static bool bequeath_locked(CacheJob *job, GError **error)
{
	CacheNode *heir = find_heir_locked(job);
	if (!heir)
		return give_away_locked(job, error);
	CacheRecord *r = &heir->r;
	g_free(r->uri);
	r->uri = g_strdup(job->uri);
	gss_version_copy(&r->remote, &job->result);
	g_free(r->remote_hash);
	r->remote_hash = g_strdup(job->hash);
	r->attempted = 0;
	g_clear_pointer(&r->attempted_hash, g_free);
	bool ok = cache_node_save_locked(job->cache, heir, error);
	cache_node_put_locked(job->cache, heir);
	return ok;
}

/* What was watched for where it was sent has come. Also where it has another URI. */
static bool drop_watch_locked(const CacheJob *job, GError **error)
{
	return cache_removal_drop_locked(job->cache, job->uri, error) &&
	       cache_removal_drop_locked(job->cache, job->address, error);
}

static void note_sum(char **hash, guint64 attempted, const CacheJob *job)
{
	if (!*hash && attempted == job->size + 1)
		*hash = g_strdup(job->hash);
}

void cache_settle_sent_locked(CacheJob *job, bool outdated)
{
	CacheRecord *r = &job->node->r;
	g_autoptr(GError) error = NULL;
	if (job->untouched || !job->hash)
		return;
	g_free(job->node->sum);
	job->node->sum = g_strdup(job->hash);
	job->node->summed = job->generation;
	if (!outdated)
		note_sum(&r->attempted_hash, r->attempted, job);
	else if (g_strcmp0(r->moved_from, job->uri) == 0)
		note_sum(&r->from.attempted_hash, r->from.attempted, job);
	CacheNode *heir = find_heir_locked(job);
	if (heir) {
		note_sum(&heir->r.attempted_hash, heir->r.attempted, job);
		cache_node_save_locked(job->cache, heir, &error);
		cache_node_put_locked(job->cache, heir);
	}
	if (!error && job->fresh)
		cache_removal_note_sum_locked(job->cache, job->address, job->size + 1, job->hash,
		                              &error);
	if (error)
		g_warning("%s: %s", job->cache->path, error->message);
}

/* The node's record after its generation arrived at job->uri; in a transaction. */
static bool settle_locked(Cache *cache, CacheJob *job, GError **error)
{
	CacheRecord *r = &job->node->r;
	bool nameless = r->parent == CACHE_PARENT_UNLINKED;
	bool renamed = !nameless && cache_job_outdated_locked(job);
	bool ok = true;
	if (nameless) {
		/* What it leaves behind goes with it (bury_locked); where it is now, unlink asks.
		 */
		g_free(r->uri);
		r->uri = g_strdup(job->uri);
		gss_version_copy(&r->remote, &job->result);
		ok = bequeath_locked(job, error);
	} else if (!renamed) {
		/* What is the same as that which has arrived may go from there. */
		if (!r->from.hash)
			r->from.hash = g_strdup(job->hash);
		if (job->moved_from)
			ok = cache_store_insert_removal(cache->store, job->moved_from, &r->from, 0,
			                                error);
		/* Renamed away and back while it was sent. */
		ok = ok && drop_watch_locked(job, error);
		g_clear_pointer(&r->moved_from, g_free);
		cache_leftover_clear(&r->from);
		g_free(r->uri);
		r->uri = g_strdup(job->uri);
		g_hash_table_remove(cache->hidden, r->uri);
		gss_version_copy(&r->remote, &job->result);
		r->attempted = 0;
		g_clear_pointer(&r->attempted_hash, g_free);
		g_free(r->remote_hash);
		r->remote_hash = g_strdup(job->hash);
	} else {
		/* It is the place that the node was renamed from. What is at another was moved here
		 * by now, or replaced on the way. */
		if (r->moved_from && !g_str_equal(r->moved_from, job->uri))
			ok = cache_store_insert_removal(cache->store, r->moved_from, &r->from, 0,
			                                error);
		g_free(r->moved_from);
		r->moved_from = g_strdup(job->uri);
		ok = ok && drop_watch_locked(job, error);
		cache_leftover_clear(&r->from);
		gss_version_copy(&r->from.version, &job->result);
		g_hash_table_add(cache->hidden, g_strdup(job->uri));
	}
	r->published = job->generation;
	if (r->generation == r->published) {
		r->state = CACHE_STATE_CLEAN;
		r->error = 0;
		g_clear_pointer(&r->message, g_free);
	}
	return ok &&
	       cache_queue_drop_generations_locked(cache, job->node, job->generation, error) &&
	       cache_blob_let_go_locked(cache, job->node, job->content->blob, error) &&
	       cache_node_save_locked(cache, job->node, error);
}

static bool try_locked(CacheJob *job, GError **error)
{
	Cache *cache = job->cache;
	CacheRecord *r = &job->node->r;
	g_auto(CacheRecord) before = CACHE_RECORD_INIT;
	bool hidden = g_hash_table_contains(cache->hidden, job->uri);
	if (!cache_store_begin(cache->store, error))
		return false;
	cache_record_copy(&before, r);
	bool ok = settle_locked(cache, job, error);
	ok = cache_store_end(cache->store, ok, ok ? error : NULL) && ok;
	if (ok)
		return true;
	/* Memory as it was, and the journal is. */
	CacheRecord wrong = *r;
	*r = before;
	before = wrong;
	if (hidden)
		g_hash_table_add(cache->hidden, g_strdup(job->uri));
	else
		g_hash_table_remove(cache->hidden, job->uri);
	cache_removal_reload_locked(cache);
	return false;
}

bool cache_settle_locked(CacheJob *job, GError **error)
{
	Cache *cache = job->cache;
	g_autoptr(GError) failure = NULL;
	/* The ballast may have gone for it. */
	if (!try_locked(job, &failure) && (failure->code != ENOSPC || !try_locked(job, NULL))) {
		/* The next try finds its own bytes there. */
		job->untouched = false;
		g_propagate_prefixed_error(error, g_steal_pointer(&failure),
		                           "it was uploaded, but that cannot be journaled: ");
		return false;
	}
	g_clear_error(&failure);
	if (!cache_removal_load_locked(cache, &failure))
		g_warning("%s: %s", cache->path, failure->message); /* taken up at the next mount */
	return true;
}
