/* Attributes: what is known of a file's version, for how long, and what users set. */
#include "cache/growth.h"
#include "cache/transfer.h"

#include <errno.h>

#include "cache/upload.h"

#define NS_PER_S G_GINT64_CONSTANT(1000000000)
#define SAVE_MS 500
#define SAVE_MAX 1024 /* nodes that wait to be journaled */

typedef struct {
	Cache *cache;
	CacheNode *node; /* pinned */
	gint64 asked_at; /* monotonic us */
	bool anew;       /* for the second time */
	GssVersion version;
	GError *error;
	bool gone;
	CacheContent *content; /* what is compared, NULL nothing */
	char *uri;             /* and generation: what was asked about */
	guint64 generation;
	CacheGrowth *growth; /* NULL: not known to be the old version with something added */
	bool postponed;      /* a body of the old version is still to come, whole */
	bool stale_resource; /* the resource was from before: ask anew if it does not work */
} Question;

/* The name is not there any more, or is something else now. Returns the waiters. */
static void forget_name_locked(Cache *cache, CacheNode *node)
{
	g_autoptr(GError) error = NULL;
	if (cache_node_dirty(node) || node->r.parent <= CACHE_PARENT_ROOT)
		return;
	CacheId id = node->r.parent;
	CacheNode *parent = g_hash_table_lookup(cache->nodes, &id);
	if (parent)
		parent->list_until = 0; /* the listing knew no better */
	if (!cache_node_detach_locked(cache, node, &error))
		g_warning("%s: %s", cache->path, error->message);
}

/* --- journaling sizes that were not known before, many at once: to lose one costs a question ---
 */

void cache_attr_save_locked(Cache *cache)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) nodes = g_steal_pointer(&cache->unsaved);
	cache_worker_cancel(&cache->save_timer);
	if (!nodes)
		return;
	bool ok = cache_store_begin(cache->store, &error);
	if (ok) {
		for (guint i = 0; ok && i < nodes->len; i++)
			ok = cache_node_save_locked(cache, nodes->pdata[i], &error);
		ok = cache_store_end(cache->store, ok, ok ? &error : NULL) && ok;
	}
	if (!ok)
		g_warning("%s: %s", cache->path, error->message);
	for (guint i = 0; i < nodes->len; i++) {
		CacheNode *node = nodes->pdata[i];
		node->unsaved = false;
		cache_node_put_locked(cache, node);
	}
}

static gboolean on_save(void *data)
{
	Cache *cache = data;
	g_mutex_lock(&cache->lock);
	if (!g_source_is_destroyed(g_main_current_source()))
		cache_attr_save_locked(cache);
	g_mutex_unlock(&cache->lock);
	return G_SOURCE_REMOVE;
}

static void save_soon_locked(Cache *cache, CacheNode *node)
{
	if (node->unsaved)
		return;
	node->unsaved = true;
	if (!cache->unsaved)
		cache->unsaved = g_ptr_array_new();
	g_ptr_array_add(cache->unsaved, cache_node_pin_locked(node));
	if (cache->unsaved->len == 1 || cache->unsaved->len == SAVE_MAX) {
		cache_worker_cancel(&cache->save_timer);
		cache->save_timer = cache_worker_after(
			cache, cache->unsaved->len == 1 ? SAVE_MS : 0, on_save, cache, NULL);
	}
}

/* What is held stays, what was read along with the comparison comes in addition. */
static void grow_locked(CacheNode *node, const CacheGrowth *growth)
{
	CacheContent *content = node->content;
	if (!content)
		return;
	const GByteArray *bytes = growth->bytes;
	g_mutex_lock(&content->io);
	cache_extents_remove(&content->doubtful, 0, G_MAXUINT64); /* it was compared */
	gssize n = bytes->len ? pwrite(content->fd, bytes->data, bytes->len, growth->offset) : 0;
	if (n > 0) {
		cache_content_add_io(content, growth->offset, growth->offset + n);
		if (growth->doubtful)
			cache_extents_add(&content->doubtful, growth->offset, growth->offset + n);
		content->tries = 0;
	}
	content->unsaved += MAX(n, 1);
	g_mutex_unlock(&content->io);
}

/* --- what GSS says --- */

static bool tells_more(const GssVersion *known, const GssVersion *version)
{
	return (known->mtime < 0 && version->mtime >= 0) || (!known->etag && version->etag);
}

static bool refine_locked(Cache *cache, CacheNode *node, const GssVersion *version)
{
	CacheRecord *r = &node->r;
	bool dated = r->remote.mtime < 0 && version->mtime >= 0 &&
	             (node->viewed || !r->generation) && !cache_node_dirty(node);
	gss_version_add(&r->remote, version);
	g_clear_pointer(&r->remote_hash, g_free); /* it may be of one that only had this size */
	if (dated)
		r->mtime = r->ctime = version->mtime;
	save_soon_locked(cache, node);
	return dated;
}

void cache_attr_refine_locked(Cache *cache, CacheNode *node, const GssVersion *version)
{
	CacheRecord *r = &node->r;
	if (r->moved_from && tells_more(&r->from.version, version)) {
		gss_version_add(&r->from.version, version);
		save_soon_locked(cache, node);
	} else if (!r->moved_from && tells_more(&r->remote, version)) {
		refine_locked(cache, node, version);
		node->viewed = false;
	}
}

void cache_attr_tell_content_locked(Cache *cache, CacheNode *node, guint64 offset)
{
	node->kernel_valid &= offset > 0;
	if (cache->notify.content)
		cache->notify.content(node->r.id, offset, cache->notify.data);
}

/* The same version, as far as what was known of it could tell. Bytes that are held may be of one
 * before it. */
static bool same_locked(Cache *cache, CacheNode *node, const GssVersion *version,
                        CacheSource source)
{
	g_autoptr(GError) error = NULL;
	bool more = tells_more(&node->r.remote, version);
	bool held = node->r.blob && !(node->content && cache_content_empty(node->content));
	if (more && source == CACHE_FROM_VIEW && (held || node->kernel_valid))
		return false;
	/* Who has it open goes on: it was looked at when it was opened. */
	bool doubtful = more && !node->opens && (held || node->kernel_valid);
	if (doubtful && !cache_content_drop_locked(cache, node, &error)) {
		g_warning("%s: %s", cache->path, error->message);
		node->attr_until = 0;
		return false;
	}
	if (doubtful)
		cache_attr_tell_content_locked(cache, node, 0);
	bool outdated = more && refine_locked(cache, node, version);
	bool undated = node->r.remote.mtime < 0 && !node->r.remote.etag;
	node->viewed = source == CACHE_FROM_VIEW && (more || node->viewed || undated);
	return outdated && !doubtful;
}

/* Lets go of what is held of the old version; who has read of it learns that it is gone. */
static bool replace_locked(Cache *cache, CacheNode *node)
{
	g_autoptr(GError) error = NULL;
	if (!cache_content_drop_locked(cache, node, &error)) {
		g_warning("%s: %s", cache->path, error->message);
		node->attr_until = 0;
		return false;
	}
	cache_file_replaced_locked(node);
	return true;
}

static bool is_waited_for(CacheContent *content)
{
	g_mutex_lock(&content->io);
	bool waited = content->readers != NULL;
	g_mutex_unlock(&content->io);
	return waited;
}

bool cache_attr_apply_locked(Cache *cache, CacheNode *node, const GssVersion *version,
                             const CacheGrowth *growth, CacheSource source)
{
	CacheRecord *r = &node->r;
	node->attr_until = g_get_monotonic_time() + CACHE_ATTR_LEASE_US;
	if (r->size >= 0 && gss_version_equal(&r->remote, version))
		return same_locked(cache, node, version, source);
	bool was_known = r->size >= 0, shorter = version->size < r->size;
	guint64 old_size = (guint64)MAX(r->size, 0);
	g_autoptr(GError) error = NULL;
	bool kept = growth || (node->content && cache_content_empty(node->content) && !node->read);
	if (node->content)
		cache_transfer_supersede_locked(node->content);
	if (growth)
		grow_locked(node, growth);
	else if (!kept && !replace_locked(cache, node))
		return false;
	if (version->mtime >= 0)
		r->mtime = r->ctime = version->mtime;
	else if (was_known)
		r->mtime = r->ctime = cache_now_ns();
	r->size = version->size;
	node->flushed_size = version->size;
	if (kept && node->content) {
		g_mutex_lock(&node->content->io);
		cache_fetch_grow_io(node->content, version->size);
		g_mutex_unlock(&node->content->io);
	}
	gss_version_copy(&r->remote, version);
	g_clear_pointer(&r->remote_hash, g_free);
	node->viewed = source == CACHE_FROM_VIEW;
	node->kernel_valid &= growth != NULL;
	if (!was_known || (kept && !growth))
		save_soon_locked(cache, node);
	else if (!cache_node_save_locked(cache, node, &error))
		g_warning("%s: %s", cache->path, error->message);
	/* The kernel has no pages of what nobody read. A first read that is under way learns from
	 * its answer where the end is; to be told besides would make it take what is missing for
	 * zeros.
	 */
	if (!was_known || (kept && shorter && is_waited_for(node->content)))
		return false;
	if (!kept || growth)
		cache_attr_tell_content_locked(cache, node, growth ? old_size : 0);
	return kept && !growth;
}

/* --- asking --- */

/* From now on nothing of the version before is fetched, until it is known what this one is. False:
 * a whole body of it is on its way, which is waited for. */
static bool look_locked(CacheContent *content)
{
	bool coming = false;
	g_mutex_lock(&content->io);
	for (GSList *l = content->transfers; l; l = l->next) {
		const CacheTransfer *transfer = l->data;
		coming |= transfer->whole && cache_transfer_current_io(transfer);
	}
	coming &= content->readers != NULL;
	content->postponed = coming;
	content->looking += !coming;
	g_mutex_unlock(&content->io);
	if (!coming)
		cache_transfer_supersede_locked(content);
	return !coming;
}

/* What came of it. */
static void let_go(Question *question)
{
	Cache *cache = question->cache;
	if (question->content) {
		cache_transfer_looked(question->content);
		cache_fetch_kick(cache, question->content);
		if (question->growth)
			cache_content_save_soon(question->content);
		cache_content_put(g_steal_pointer(&question->content));
	}
	g_clear_pointer(&question->growth, cache_growth_free);
	g_clear_error(&question->error);
	gss_version_clear(&question->version);
}

static void ask(void *data);

/* A refresh came after it was asked. Once: who refreshes all the time keeps nobody waiting. */
static bool ask_anew(Question *question)
{
	Cache *cache = question->cache;
	const GssVersion none = GSS_VERSION_INIT;
	g_mutex_lock(&cache->lock);
	bool due = question->asked_at <= question->node->refreshed_at && !question->anew;
	g_mutex_unlock(&cache->lock);
	if (!due)
		return false;
	let_go(question);
	question->version = none;
	question->gone = question->postponed = false;
	question->anew = true;
	question->asked_at = g_get_monotonic_time();
	ask(question);
	return true;
}

static void finish(void *data)
{
	Question *question = data;
	Cache *cache = question->cache;
	CacheNode *node = question->node;
	CacheId id = node->r.id;
	if (ask_anew(question))
		return;
	g_mutex_lock(&cache->lock);
	bool outdated = false, vanished = false;
	gint64 parent = node->r.parent;
	g_autofree char *name = g_strdup(node->r.name);
	/* A local change that began meanwhile wins. */
	bool same = g_strcmp0(node->r.uri, question->uri) == 0 &&
	            node->r.generation == question->generation;
	if (same && !cache_node_dirty(node) && node->r.parent != CACHE_PARENT_UNLINKED) {
		if (question->gone) {
			forget_name_locked(cache, node);
			vanished = true;
		} else if (!question->error && !question->postponed) {
			if (node->content != question->content)
				g_clear_pointer(&question->growth, cache_growth_free);
			outdated = cache_attr_apply_locked(cache, node, &question->version,
			                                   question->growth, CACHE_FROM_FILE);
		}
	}
	if (question->gone && same && !question->error)
		question->error =
			g_error_new(CACHE_ERROR, ENOENT, "%s: is not on GSS any more", name);
	node->validate_running = false;
	cache_late_clear_locked(cache, &node->validate_late, question->error);
	GSList *waiting = g_steal_pointer(&node->validating);
	g_mutex_unlock(&cache->lock);

	cache_learned_save(cache);
	/* Whoever waits goes on from what the kernel knows. */
	if (outdated && cache->notify.attributes)
		cache->notify.attributes(id, cache->notify.data);
	cache_calls_run(cache, waiting, question->error);
	if (vanished && parent > 0 && cache->notify.entry)
		cache->notify.entry(parent, name, cache->notify.data);

	let_go(question);
	g_mutex_lock(&cache->lock);
	cache_node_put_locked(cache, node);
	g_mutex_unlock(&cache->lock);
	g_free(question->uri);
	g_free(question);
	cache_call_end(cache);
}

static void on_compared(CacheGrowth *growth, void *data)
{
	Question *question = data;
	if (growth)
		gss_version_copy(&question->version, &growth->version);
	question->growth = growth;
	cache_worker_post(question->cache, finish, question);
}

/* A longer version may be the one that is held, with something added: a log. */
static void weigh(void *data)
{
	Question *question = data;
	Cache *cache = question->cache;
	CacheNode *node = question->node;
	CacheRecord *r = &node->r;
	g_autoptr(GssResource) resource = NULL;
	g_autoptr(GError) error = NULL;
	g_mutex_lock(&cache->lock);
	guint64 size = MAX(r->size, 0);
	bool longer = r->size > 0 && question->version.size > r->size && r->blob &&
	              node->resource && !cache_node_dirty(node) &&
	              r->generation == question->generation &&
	              g_strcmp0(gss_resource_uri(node->resource), question->uri) == 0;
	if (longer) {
		resource = gss_resource_ref(node->resource);
		question->content = cache_content_open_locked(cache, node, &error);
	}
	if (question->content && !look_locked(question->content)) {
		question->postponed = true;
		g_clear_pointer(&question->content, cache_content_unref);
		node->attr_until = 0;
	}
	g_mutex_unlock(&cache->lock);
	if (question->content)
		cache_growth_check(cache, question->content, size, resource, &question->version,
		                   on_compared, question);
	else
		finish(question);
}

static void on_resolved(GssResource *resource, const GError *error, void *data);

static void on_version(const GssVersion *version, const GError *error, void *data)
{
	Question *question = data;
	if (error && question->stale_resource && error->code != ECANCELED) {
		/* The description may have aged, the file may be gone or a folder now: GSS knows.
		 */
		question->stale_resource = false;
		gss_storage_resolve(question->cache->client, question->uri, question->cache->stop,
		                    on_resolved, question);
		return;
	}
	if (error && error->code == ENOENT)
		question->gone = true;
	else if (error)
		question->error = g_error_copy(error);
	else
		gss_version_copy(&question->version, version);
	cache_worker_post(question->cache, question->error || question->gone ? finish : weigh,
	                  question);
}

static void on_resolved(GssResource *resource, const GError *error, void *data)
{
	Question *question = data;
	Cache *cache = question->cache;
	if (!error && gss_resource_type(resource) == GSS_TYPE_FILE) {
		g_mutex_lock(&cache->lock);
		cache_node_set_resource(question->node, resource);
		g_mutex_unlock(&cache->lock);
		gss_storage_stat(cache->client, resource, cache->stop, on_version, question);
		return;
	}
	if (error && error->code != ENOENT)
		question->error = g_error_copy(error);
	else
		question->gone = true;
	cache_worker_post(cache, finish, question);
}

static void ask(void *data)
{
	Question *question = data;
	Cache *cache = question->cache;
	g_mutex_lock(&cache->lock);
	g_autoptr(GssResource) resource =
		question->node->resource ? gss_resource_ref(question->node->resource) : NULL;
	const char *uri = question->uri;
	g_mutex_unlock(&cache->lock);
	question->stale_resource = resource != NULL;
	if (resource && g_strcmp0(gss_resource_uri(resource), uri) == 0)
		gss_storage_stat(cache->client, resource, cache->stop, on_version, question);
	else
		gss_storage_resolve(cache->client, uri, cache->stop, on_resolved, question);
}

gint64 cache_attr_lease_locked(const CacheNode *node, bool changes)
{
	/* What the change begins from must be told from what others put there meanwhile. */
	if (changes && node->viewed && node->r.remote.mtime < 0)
		return 0;
	return node->opens ? CACHE_OPEN_LEASE_US : CACHE_ATTR_LEASE_US;
}

bool cache_attr_validate_locked(Cache *cache, CacheNode *node, gint64 lease, CacheReady ready,
                                void *data)
{
	gint64 fresh_until = node->attr_until - CACHE_ATTR_LEASE_US + lease;
	if (node->r.folder || cache_node_dirty(node) || !node->r.uri ||
	    node->r.parent == CACHE_PARENT_UNLINKED || fresh_until > g_get_monotonic_time())
		return true;
	if (!node->validate_running) {
		if (!cache_call_begin_locked(cache)) {
			cache_ready_later(cache, ready, data, EIO, "GSS cannot be asked");
			return false;
		}
		Question *question = g_new0(Question, 1);
		*question = (Question){.cache = cache,
		                       .node = cache_node_pin_locked(node),
		                       .uri = g_strdup(node->r.uri),
		                       .generation = node->r.generation,
		                       .asked_at = g_get_monotonic_time(),
		                       .version = GSS_VERSION_INIT};
		node->validate_running = true;
		cache_worker_post(cache, ask, question);
	}
	node->validating = cache_calls_add(node->validating, ready, data);
	cache_late_arm_locked(cache, &node->validate_late, &node->validating);
	return false;
}

/* --- getattr, setattr --- */

typedef struct {
	Cache *cache;
	CacheNode *node; /* pinned */
	CacheFile *file; /* through which it comes; NULL: none */
	CacheSetMask mask;
	CacheAttr wanted;
	CacheAttrCallback callback;
	void *data;
} Request;

static void request_end(Request *request, const GError *error)
{
	Cache *cache = request->cache;
	CacheAttr attr;
	g_mutex_lock(&cache->lock);
	cache_node_attr(request->node, &attr);
	cache_node_put_locked(cache, request->node);
	g_mutex_unlock(&cache->lock);
	request->callback(error ? NULL : &attr, error, request->data);
	g_free(request);
}

/* The nearest date that can be held: from 1677 to 2262. */
static gint64 to_ns(struct timespec time)
{
	gint64 seconds = CLAMP(time.tv_sec, G_MININT64 / NS_PER_S, G_MAXINT64 / NS_PER_S - 1);
	return seconds * NS_PER_S + time.tv_nsec;
}

static bool set_locked(Cache *cache, CacheNode *node, CacheSetMask mask, const CacheAttr *wanted,
                       GError **error)
{
	if (mask && cache->read_only) {
		g_set_error_literal(error, CACHE_ERROR, EROFS, "mounted read-only");
		return false;
	}
	if (mask & CACHE_SET_SIZE) {
		if (node->r.folder) {
			g_set_error_literal(error, CACHE_ERROR, EISDIR, "is a folder");
			return false;
		}
		if (!cache_change_truncate_locked(cache, node, wanted->size, false, error))
			return false;
		cache_queue_consider_locked(cache, node);
	}
	CacheRecord *r = &node->r, before = *r;
	if (mask & CACHE_SET_MODE)
		r->mode = wanted->mode & 07777;
	if (mask & CACHE_SET_ATIME)
		r->atime = to_ns(wanted->atime);
	if (mask & CACHE_SET_MTIME)
		r->mtime = to_ns(wanted->mtime);
	if (!(mask & (CACHE_SET_MODE | CACHE_SET_ATIME | CACHE_SET_MTIME)))
		return true;
	r->ctime = cache_now_ns();
	bool ok = cache_node_save_locked(cache, node, error);
	if (!ok) {
		r->mode = before.mode;
		r->atime = before.atime;
		r->mtime = before.mtime;
		r->ctime = before.ctime;
	}
	return ok;
}

/* Is it the version that is open? */
static bool is_meant_locked(const Request *request, GError **error)
{
	if (request->file && (request->mask & CACHE_SET_SIZE))
		return cache_file_bind_locked(request->file, error);
	return !request->file || request->mask ||
	       cache_file_is_current_locked(request->file, error);
}

static void on_valid(Cache *cache, const GError *error, void *data)
{
	Request *request = data;
	g_autoptr(GError) failure = NULL;
	g_mutex_lock(&cache->lock);
	const CacheNode *node = request->node;
	/* Who has it open goes on seeing what they opened. */
	bool gone_open = error && error->code == ENOENT && node->opens && !request->mask;
	if (gone_open || (error && node->r.size >= 0 && cache_offline(cache, error)))
		error = NULL;
	g_mutex_unlock(&cache->lock);
	if (!error) {
		g_mutex_lock(&cache->lock);
		if (!is_meant_locked(request, &failure) ||
		    !set_locked(cache, request->node, request->mask, &request->wanted, &failure))
			error = failure;
		g_mutex_unlock(&cache->lock);
	}
	request_end(request, error);
}

void cache_attr_set(Cache *cache, CacheId id, CacheFile *file, CacheSetMask mask,
                    const CacheAttr *attr, CacheAttrCallback callback, void *data)
{
	g_autoptr(GError) error = NULL;
	g_mutex_lock(&cache->lock);
	CacheNode *node = cache_node_get_locked(cache, id, &error);
	if (!node) {
		g_mutex_unlock(&cache->lock);
		callback(NULL, error, data);
		return;
	}
	Request *request = g_new0(Request, 1);
	*request = (Request){.cache = cache,
	                     .node = node,
	                     .file = file,
	                     .mask = mask,
	                     .callback = callback,
	                     .data = data};
	if (attr)
		request->wanted = *attr;
	gint64 lease = cache_attr_lease_locked(node, mask & CACHE_SET_SIZE);
	bool valid = cache_attr_validate_locked(cache, node, lease, on_valid, request);
	g_mutex_unlock(&cache->lock);
	if (valid)
		on_valid(cache, NULL, request);
}

void cache_setattr(Cache *cache, CacheId id, CacheSetMask mask, const CacheAttr *attr,
                   CacheAttrCallback callback, void *data)
{
	cache_attr_set(cache, id, NULL, mask, attr, callback, data);
}

void cache_getattr(Cache *cache, CacheId id, CacheAttrCallback callback, void *data)
{
	/* The common case costs a look into memory. */
	CacheAttr attr;
	g_mutex_lock(&cache->lock);
	CacheNode *node = g_hash_table_lookup(cache->nodes, &id);
	bool known = node && (node->r.folder || cache_node_dirty(node) ||
	                      (node->attr_until > g_get_monotonic_time() && !node->opens));
	if (known)
		cache_node_attr(node, &attr);
	g_mutex_unlock(&cache->lock);
	if (known)
		callback(&attr, NULL, data);
	else
		cache_setattr(cache, id, 0, NULL, callback, data);
}
