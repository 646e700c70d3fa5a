/* Sums of contents, here and there; and the one that is known of a file on GSS. */
#include "cache/sum.h"

#include <errno.h>
#include <unistd.h>

#include "cache/private.h"

#define PIECE (256 * 1024)

/* --- here --- */

static char *sum_blob(int fd, guint64 size, GCancellable *cancellable, CacheSumPiece piece,
                      void *data)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	g_autofree guchar *buffer = g_malloc(MIN(PIECE, MAX(size, 1)));
	guint64 offset = 0;
	while (offset < size) {
		gssize n = pread(fd, buffer, MIN(PIECE, size - offset), (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || g_cancellable_is_cancelled(cancellable))
			return NULL;
		g_checksum_update(sum, buffer, n);
		offset += n;
		if (piece && !piece(data))
			return NULL;
	}
	return g_strdup(g_checksum_get_string(sum));
}

char *cache_sum_blob(int fd, guint64 size, GCancellable *cancellable)
{
	return sum_blob(fd, size, cancellable, NULL, NULL);
}

typedef struct {
	Cache *cache;
	CacheContent *content;
	guint64 size;
	GCancellable *cancellable;
	CacheSumPiece piece;
	CacheSummed summed;
	void *data;
	char *hash;
} Local;

static void local_done(void *data)
{
	Local *local = data;
	local->summed(local->hash, local->data);
	cache_content_put(local->content);
	g_object_unref(local->cancellable);
	g_free(local->hash);
	g_free(local);
}

void cache_sum_run(void *task, void *data)
{
	Local *local = task;
	local->hash = sum_blob(local->content->fd, local->size, local->cancellable, local->piece,
	                       local->data);
	cache_worker_post(data, local_done, local);
}

void cache_sum_content(Cache *cache, CacheContent *content, guint64 size, GCancellable *cancellable,
                       CacheSumPiece piece, CacheSummed summed, void *data)
{
	Local *local = g_new(Local, 1);
	*local = (Local){.cache = cache,
	                 .content = cache_content_ref(content),
	                 .size = size,
	                 .cancellable = g_object_ref(cancellable),
	                 .piece = piece,
	                 .summed = summed,
	                 .data = data};
	g_thread_pool_push(cache->sums, local, NULL);
}

/* --- there --- */

typedef struct {
	GChecksum *checksum;
	guint64 size, done;
	void (*progress)(void *data);
	CacheSumCallback callback;
	void *data;
} Remote;

static bool changes(GError **error)
{
	g_set_error_literal(error, CACHE_ERROR, EAGAIN, "it changes while it is looked at");
	return false;
}

static bool on_begin(const GssBody *body, void *data, GError **error)
{
	const Remote *remote = data;
	bool fits = body->length < 0 || (guint64)body->length == remote->size;
	return (!body->partial && fits) || changes(error);
}

static bool on_body(const void *bytes, gsize length, void *data, GError **error)
{
	Remote *remote = data;
	if (length > remote->size - remote->done)
		return changes(error);
	remote->done += length;
	g_checksum_update(remote->checksum, bytes, length);
	if (remote->progress)
		remote->progress(remote->data);
	return true;
}

static void on_done(const GError *error, void *data)
{
	g_autofree Remote *remote = data;
	g_autoptr(GError) shorter = NULL;
	if (!error && remote->done != remote->size) {
		changes(&shorter);
		error = shorter;
	}
	remote->callback(error ? NULL : g_checksum_get_string(remote->checksum), error,
	                 remote->data);
	g_checksum_free(remote->checksum);
}

void cache_sum_remote(GssClient *client, GssResource *resource, guint64 size,
                      GCancellable *cancellable, void (*progress)(void *data),
                      CacheSumCallback callback, void *data)
{
	static const GssSink sink = {.begin = on_begin, .body = on_body, .done = on_done};
	Remote *remote = g_new(Remote, 1);
	*remote = (Remote){.checksum = g_checksum_new(G_CHECKSUM_SHA256),
	                   .size = size,
	                   .progress = progress,
	                   .callback = callback,
	                   .data = data};
	gss_storage_read(client, resource, 0, 0, NULL, cancellable, &sink, remote);
}

/* --- user.gss.sha256 --- */

typedef struct {
	Cache *cache;
	CacheNode *node; /* pinned */
	CacheContent *content;
	guint64 generation;
	guint seq; /* the content's, before it was read */
	CacheSha256Callback callback;
	void *data;
} Question;

/* Does it tell of what GSS has now? Without a date or an ETag another version of the same size
 * would go unnoticed. */
static bool telling_locked(const CacheNode *node)
{
	const CacheRecord *r = &node->r;
	return !r->folder && !cache_node_dirty(node) && r->parent != CACHE_PARENT_UNLINKED &&
	       r->uri && r->size >= 0 && r->size == r->remote.size &&
	       (r->remote.mtime >= 0 || r->remote.etag);
}

/* The content, if it is wholly held. */
static CacheContent *whole_locked(Cache *cache, CacheNode *node)
{
	CacheContent *content = node->r.blob ? cache_content_open_locked(cache, node, NULL) : NULL;
	if (content && !cache_content_whole(content, node->r.size)) {
		cache_content_unref(content);
		cache_content_idle_locked(node);
		content = NULL;
	}
	return content;
}

bool cache_has_sha256(Cache *cache, CacheId id)
{
	g_mutex_lock(&cache->lock);
	CacheNode *node = cache_node_get_locked(cache, id, NULL);
	bool has = node && telling_locked(node);
	if (has && !node->r.remote_hash) {
		CacheContent *content = whole_locked(cache, node);
		has = content != NULL;
		if (content)
			cache_content_unref(content);
		cache_content_idle_locked(node);
	}
	if (node)
		cache_node_put_locked(cache, node);
	g_mutex_unlock(&cache->lock);
	return has;
}

static void answer(Question *question, const char *hash, const GError *error)
{
	Cache *cache = question->cache;
	g_autoptr(GError) none = NULL;
	if (!hash && !error)
		error = none = g_error_new_literal(CACHE_ERROR, ENODATA, "its sum is not known");
	question->callback(hash, error, question->data);
	g_mutex_lock(&cache->lock);
	if (question->node)
		cache_node_put_locked(cache, question->node);
	g_mutex_unlock(&cache->lock);
	g_free(question);
}

static void on_summed(const char *hash, void *data)
{
	Question *question = data;
	Cache *cache = question->cache;
	CacheNode *node = question->node;
	g_autoptr(GError) error = NULL;
	g_mutex_lock(&cache->lock);
	bool same = telling_locked(node) && node->r.generation == question->generation &&
	            node->content == question->content &&
	            question->seq == (guint)g_atomic_int_get(&question->content->dirty_seq);
	if (hash && same && !node->r.remote_hash) {
		node->r.remote_hash = g_strdup(hash);
		if (!cache_node_save_locked(cache, node, &error))
			g_warning("%s: %s", cache->path, error->message);
	}
	g_mutex_unlock(&cache->lock);
	answer(question, same ? hash : NULL, NULL);
	cache_call_end(cache);
}

static void on_validated(Cache *cache, const GError *error, void *data)
{
	Question *question = data;
	CacheNode *node = question->node;
	g_autofree char *known = NULL;
	CacheContent *content = NULL;
	g_mutex_lock(&cache->lock);
	if (!error && telling_locked(node)) {
		known = g_strdup(node->r.remote_hash);
		content = known ? NULL : whole_locked(cache, node);
	}
	bool begun = content && cache_call_begin_locked(cache);
	question->generation = node->r.generation;
	question->content = content;
	question->seq = content ? (guint)g_atomic_int_get(&content->dirty_seq) : 0;
	guint64 size = MAX(node->r.size, 0);
	g_mutex_unlock(&cache->lock);
	if (begun)
		cache_sum_content(cache, content, size, cache->stop, NULL, on_summed, question);
	if (content)
		cache_content_put(content);
	if (!begun)
		answer(question, known, error);
}

void cache_sha256(Cache *cache, CacheId id, CacheSha256Callback callback, void *data)
{
	Question *question = g_new0(Question, 1);
	*question = (Question){.cache = cache, .callback = callback, .data = data};
	g_autoptr(GError) error = NULL;
	g_mutex_lock(&cache->lock);
	question->node = cache_node_get_locked(cache, id, &error);
	bool telling = question->node && telling_locked(question->node);
	bool fresh =
		telling && cache_attr_validate_locked(cache, question->node, CACHE_OPEN_LEASE_US,
	                                              on_validated, question);
	g_mutex_unlock(&cache->lock);
	if (!telling)
		answer(question, NULL, error);
	else if (fresh)
		on_validated(cache, NULL, question);
}
