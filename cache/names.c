/* Names that come and go with GSS's word: mkdir, rmdir, unlink. */
#include "cache/private.h"

#include <errno.h>

#include "cache/upload.h"
#include "gss/uri.h"

static bool may_change(Cache *cache, GError **error)
{
	if (cache->read_only)
		g_set_error_literal(error, CACHE_ERROR, EROFS, "mounted read-only");
	return !cache->read_only;
}

static CacheNode *get_folder_locked(Cache *cache, CacheId id, GError **error)
{
	CacheNode *node = cache_node_get_locked(cache, id, error);
	if (node && !node->r.folder) {
		cache_node_put_locked(cache, node);
		g_set_error_literal(error, CACHE_ERROR, ENOTDIR, "not a folder");
		return NULL;
	}
	return node;
}

/* --- mkdir --- */

static void mkdir_made(CacheOp *op)
{
	Cache *cache = op->cache;
	if (op->error) {
		cache_op_end_error(op);
		return;
	}
	CACHE_CRASH_POINT("mkdir.made");
	g_autoptr(GError) error = NULL;
	g_auto(CacheRecord) record = CACHE_RECORD_INIT;
	const char *uri = gss_resource_uri(op->resource);
	g_mutex_lock(&cache->lock);
	cache_record_init(&record, op->parent->r.id, op->name, true, op->mode);
	record.uri = g_strdup(uri ? uri : op->uri);
	record.listed = true;
	if (cache_store_insert(cache->store, &record, &error)) {
		op->node = cache_node_adopt_locked(cache, &record);
		op->node->list_until = g_get_monotonic_time() + CACHE_LIST_LEASE_US;
		cache_folder_touch_locked(op->parent, op->name);
	}
	g_mutex_unlock(&cache->lock);
	CACHE_CRASH_POINT("mkdir.answering");
	cache_op_end(op, op->node, error);
}

static void mkdir_begin(CacheOp *op)
{
	cache_op_make_folder(op, op->uri, mkdir_made);
}

static CacheOp *mkdir_new_locked(Cache *cache, CacheId parent, const char *name, GError **error)
{
	if (!may_change(cache, error) || !gss_name_check(name, error))
		return NULL;
	CacheNode *folder = get_folder_locked(cache, parent, error);
	if (!folder)
		return NULL;
	g_autoptr(GError) missing = NULL;
	CacheNode *existing = cache_node_find_locked(cache, parent, name, &missing);
	CacheOp *op = NULL;
	if (existing) {
		cache_node_put_locked(cache, existing);
		g_set_error(error, CACHE_ERROR, EEXIST, "%s: is there already", name);
	} else if (!folder->r.uri) {
		g_set_error(error, CACHE_ERROR, ENOENT, "the folder of %s is gone", name);
	} else if (cache_op_closed_locked(cache, (gint64)parent)) {
		g_set_error(error, CACHE_ERROR, EBUSY,
		            "the folder of %s is being renamed or removed", name);
	} else {
		op = cache_op_new_locked(cache, error);
	}
	if (!op) {
		cache_node_put_locked(cache, folder);
		return NULL;
	}
	op->parent = folder;
	op->makes = true;
	op->name = g_strdup(name);
	op->uri = gss_uri_child(folder->r.uri, name);
	return op;
}

void cache_mkdir(Cache *cache, CacheId parent, const char *name, mode_t mode,
                 CacheAttrCallback callback, void *data)
{
	g_autoptr(GError) error = NULL;
	g_mutex_lock(&cache->lock);
	CacheOp *op = mkdir_new_locked(cache, parent, name, &error);
	g_mutex_unlock(&cache->lock);
	if (!op) {
		callback(NULL, error, data);
		return;
	}
	op->attr = callback;
	op->data = data;
	op->mode = mode;
	cache_op_start(op, mkdir_begin);
}

/* --- rmdir --- */

static void rmdir_made_again(CacheOp *op)
{
	if (op->error)
		g_message("%s: was removed while something was written to it, and cannot be made "
		          "again: %s",
		          op->name, op->error->message);
	cache_op_fail(op, ENOTEMPTY, "%s: something was written to it", op->name);
}

static void rmdir_gone(CacheOp *op)
{
	Cache *cache = op->cache;
	g_mutex_lock(&cache->lock);
	CACHE_CRASH_POINT("rmdir.removed");
	cache_folder_touch_locked(op->parent, op->name);
	bool pruned = cache_folder_prune_locked(cache, op->node);
	g_mutex_unlock(&cache->lock);
	if (pruned) {
		cache_op_end(op, NULL, NULL);
		return;
	}
	/* The caller was told ETIMEDOUT, and went on to write here: that needs its folder. */
	op->step = rmdir_made_again;
	gss_storage_create_folder(cache->client, op->uri, cache->stop, cache_op_on_resource, op);
}

static void rmdir_look(CacheOp *op);

static void rmdir_checked(CacheOp *op)
{
	if (op->error)
		cache_op_end_error(op);
	else if (gss_resource_type(op->resource) == GSS_TYPE_NOTEXIST)
		rmdir_gone(op);
	else if (cache_op_again(op))
		rmdir_look(op);
	else
		cache_op_fail(op, EIO, "%s: GSS did not remove the folder", op->name);
}

static void rmdir_done(CacheOp *op)
{
	if (!op->error) {
		rmdir_gone(op);
		return;
	}
	int code = op->error->code;
	if (code != EINPROGRESS && code != EIO && code != ENOENT) {
		cache_op_end_error(op);
		return;
	}
	op->lost = code == EINPROGRESS;
	cache_op_ask(op, op->uri, rmdir_checked);
}

static void rmdir_listed(CacheOp *op)
{
	Cache *cache = op->cache;
	if (op->error && op->error->code == ENOENT) {
		rmdir_gone(op);
	} else if (op->error) {
		cache_op_end_error(op);
	} else if (op->entries) {
		g_mutex_lock(&cache->lock);
		op->node->list_until = 0; /* it has what was not shown */
		g_mutex_unlock(&cache->lock);
		cache_op_fail(op, ENOTEMPTY, "%s: not empty", op->name);
	} else if (op->answered) {
		cache_op_end(op, NULL, NULL); /* told ETIMEDOUT: nothing is deleted behind that */
	} else {
		CACHE_CRASH_POINT("rmdir.removing");
		op->step = rmdir_done;
		gss_storage_delete_folder(cache->client, op->uri, cache->stop, cache_op_on_done,
		                          op);
	}
}

static void rmdir_look(CacheOp *op)
{
	cache_op_count(op, op->uri, rmdir_listed);
}

static bool note_local(const CacheRecord *record, void *data)
{
	bool *local = data;
	*local = !record->uri || (!record->folder && record->generation != record->published);
	return !*local;
}

static bool find_pair_locked(Cache *cache, CacheId parent, const char *name, CacheNode **ret_parent,
                             CacheNode **ret_node, GError **error)
{
	CacheNode *folder =
		may_change(cache, error) ? get_folder_locked(cache, parent, error) : NULL;
	CacheNode *node = folder ? cache_node_find_locked(cache, parent, name, error) : NULL;
	if (folder && !node)
		cache_node_put_locked(cache, folder);
	*ret_parent = folder;
	*ret_node = node;
	return node != NULL;
}

static CacheOp *rmdir_new_locked(Cache *cache, CacheNode *folder, CacheNode *node, GError **error)
{
	bool local = false;
	if (!node->r.folder) {
		g_set_error(error, CACHE_ERROR, ENOTDIR, "%s: not a folder", node->r.name);
		return NULL;
	}
	if (!cache_store_children(cache->store, node->r.id, note_local, &local, error))
		return NULL;
	if (local || cache_op_fills_locked(cache, node)) {
		g_set_error(error, CACHE_ERROR, ENOTEMPTY, "%s: not empty", node->r.name);
		return NULL;
	}
	return cache_op_new_locked(cache, error);
}

void cache_rmdir(Cache *cache, CacheId parent, const char *name, CacheCallback callback, void *data)
{
	g_autoptr(GError) error = NULL;
	CacheNode *folder, *node;
	CacheOp *op = NULL;
	g_mutex_lock(&cache->lock);
	if (find_pair_locked(cache, parent, name, &folder, &node, &error)) {
		op = rmdir_new_locked(cache, folder, node, &error);
		if (op) {
			op->parent = folder;
			op->node = node;
			op->uri = g_strdup(node->r.uri);
			op->closes = true;
		} else {
			cache_node_put_locked(cache, node);
			cache_node_put_locked(cache, folder);
		}
	}
	g_mutex_unlock(&cache->lock);
	if (!op) {
		callback(error, data);
		return;
	}
	op->done = callback;
	op->data = data;
	op->name = g_strdup(name);
	cache_op_start(op, rmdir_look);
}

/* --- unlink --- */

/* Somebody has it open, and some of what they may read is only on GSS. */
static bool needed_locked(const CacheNode *node)
{
	return node->opens && !node->job && (node->r.uri || node->r.moved_from) &&
	       !(node->content && cache_content_whole(node->content, MAX(node->r.size, 0)));
}

/* Somebody reads what it has replaced here. */
static bool keeps_locked(const Cache *cache, const CacheNode *node)
{
	return node->r.uri && g_hash_table_contains(cache->kept, node->r.uri);
}

static bool drop_locked(Cache *cache, CacheNode *folder, CacheNode *node, GError **error)
{
	CacheRecord *r = &node->r;
	/* What was sent whole and then given up may still come. */
	g_autofree char *address =
		r->uri ? g_strdup(r->uri) : gss_uri_child(folder->r.uri, r->name);
	bool keeps = keeps_locked(cache, node), twice = keeps || (r->uri && r->moved_from);
	bool later = !twice && needed_locked(node) && !r->moved_from;
	gint64 until = r->attempted ? cache_now_ns() + CACHE_WATCH_NS : 0;
	const CacheLeftover left = cache_rename_leftover(r, !twice);
	if ((twice || (r->attempted && !later)) &&
	    (!cache_store_insert_removal(cache->store, address, &left, until, error) ||
	     !cache_removal_load_locked(cache, error)))
		return false;
	if (later) {
		cache_conflict_note_base_locked(node);
		/* It is read from there until the last close: then it is removed (see bury_locked).
		 */
		r->moved_from = g_steal_pointer(&r->uri);
		const CacheLeftover all = cache_rename_leftover(r, false);
		cache_leftover_copy(&r->from, &all);
		g_hash_table_add(cache->hidden, g_strdup(r->moved_from));
	}
	cache_folder_touch_locked(folder, r->name);
	CACHE_CRASH_POINT("unlink.detaching");
	if (cache_node_detach_locked(cache, node, error))
		return true;
	if (later) {
		g_hash_table_remove(cache->hidden, r->moved_from);
		r->uri = g_steal_pointer(&r->moved_from);
		cache_leftover_clear(&r->from);
	}
	return false;
}

/* Written again after the removal had begun (the caller was interrupted, say): a new file. */
static void forget_place_locked(Cache *cache, CacheNode *node, GError **error)
{
	g_clear_pointer(&node->r.uri, g_free);
	gss_version_clear(&node->r.remote);
	g_clear_pointer(&node->r.remote_hash, g_free);
	g_clear_pointer(&node->r.attempted_hash, g_free);
	node->r.attempted = 0;
	cache_node_set_resource(node, NULL);
	cache_node_save_locked(cache, node, error);
}

static void unlink_gone(CacheOp *op)
{
	g_autoptr(GError) error = NULL;
	Cache *cache = op->cache;
	GSList *publishers = NULL;
	g_mutex_lock(&cache->lock);
	CACHE_CRASH_POINT("unlink.removed");
	bool rewritten = op->node->r.generation != op->generation;
	/* It may have been renamed or replaced meanwhile: then this name is not its any more. */
	if (op->node->r.parent == (gint64)op->parent->r.id &&
	    g_str_equal(op->node->r.name, op->name)) {
		if (rewritten) {
			/* Its old content is gone from GSS, as was asked; the new one goes there.
			 */
			forget_place_locked(cache, op->node, &error);
		} else {
			cache_queue_cancel_locked(cache, op->node);
			if (drop_locked(cache, op->parent, op->node, &error))
				publishers = cache_publishers_take_locked(op->node, G_MAXUINT64);
		}
	}
	g_mutex_unlock(&cache->lock);
	if (publishers) {
		g_autoptr(GError) gone =
			g_error_new(CACHE_ERROR, ENOENT, "%s: was removed", op->name);
		cache_publishers_run(publishers, NULL, gone);
	}
	cache_removal_run(cache);
	CACHE_CRASH_POINT("unlink.answering");
	cache_op_end(op, NULL, error);
}

static void unlink_make(CacheOp *op);

static void unlink_stays(CacheOp *op)
{
	if (op->error && op->error->code == ENOENT)
		unlink_gone(op);
	else if (op->error)
		cache_op_end_error(op);
	else
		cache_op_fail(op, EIO, "%s: GSS did not remove the file", op->name);
}

static void unlink_again(CacheOp *op)
{
	if (cache_op_again(op))
		unlink_make(op);
	else
		unlink_stays(op);
}

/* Is it still what was to go? Somebody else may have put something there since. */
static void on_left_version(const GssVersion *version, const GError *error, void *data)
{
	CacheOp *op = data;
	g_autoptr(GssResource) resource = gss_resource_ref(op->resource);
	g_mutex_lock(&op->cache->lock);
	const GssVersion *known = &op->node->r.remote;
	bool same = !error && gss_version_validated(known, version) &&
	            gss_version_equal(known, version);
	g_mutex_unlock(&op->cache->lock);
	op->step = same ? unlink_again : unlink_stays;
	cache_op_on_resource(resource, error, op);
}

static void unlink_checked(CacheOp *op)
{
	GssType type = op->error ? GSS_TYPE_NOTEXIST : gss_resource_type(op->resource);
	if (op->error)
		cache_op_end_error(op);
	else if (type == GSS_TYPE_NOTEXIST)
		unlink_gone(op);
	else if (type == GSS_TYPE_FILE)
		gss_storage_stat(op->cache->client, op->resource, op->cache->stop, on_left_version,
		                 op);
	else
		unlink_stays(op);
}

static void unlink_removed(CacheOp *op)
{
	if (!op->error) {
		unlink_gone(op);
	} else if (op->error->code == EINPROGRESS) {
		op->lost = true;
		cache_op_ask(op, op->uri, unlink_checked);
	} else {
		cache_op_end_error(op);
	}
}

static void unlink_make(CacheOp *op)
{
	CACHE_CRASH_POINT("unlink.removing");
	op->step = unlink_removed;
	g_autoptr(GssResource) resource = gss_resource_ref(op->resource);
	gss_storage_remove(op->cache->client, resource, op->cache->stop, cache_op_on_done, op);
}

static void unlink_found(CacheOp *op)
{
	if (op->error && op->error->code != ENOENT) {
		cache_op_end_error(op);
		return;
	}
	GssType type = op->error ? GSS_TYPE_NOTEXIST : gss_resource_type(op->resource);
	if (type == GSS_TYPE_NOTEXIST) {
		unlink_gone(op);
	} else if (type == GSS_TYPE_FOLDER) {
		g_mutex_lock(&op->cache->lock);
		op->parent->list_until = 0;
		g_mutex_unlock(&op->cache->lock);
		cache_op_fail(op, EISDIR, "%s: is a folder on GSS", op->name);
	} else if (op->answered) {
		cache_op_end(op, NULL, NULL); /* told ETIMEDOUT: nothing is deleted behind that */
	} else {
		unlink_make(op);
	}
}

static void unlink_ask(CacheOp *op)
{
	op->step = unlink_found;
	gss_storage_resolve(op->cache->client, op->uri, op->cache->stop, cache_op_on_resource, op);
}

/* An upload that is being ended may still have arrived: GSS is asked when it is over. */
static void on_idle(Cache *cache, const GError *error, void *data)
{
	CacheOp *op = data;
	g_mutex_lock(&cache->lock);
	if (op->node->r.uri) {
		g_free(op->uri);
		op->uri = g_strdup(op->node->r.uri);
	}
	g_mutex_unlock(&cache->lock);
	unlink_ask(op);
}

static void unlink_begin(CacheOp *op)
{
	Cache *cache = op->cache;
	g_mutex_lock(&cache->lock);
	CACHE_CRASH_POINT("unlink.begun");
	bool busy = op->node->job != NULL;
	if (busy) {
		cache_queue_cancel_locked(cache, op->node);
		op->node->idle = cache_calls_add(op->node->idle, on_idle, op);
		op->whole = false;
	}
	g_mutex_unlock(&cache->lock);
	if (!busy)
		unlink_ask(op);
}

void cache_unlink(Cache *cache, CacheId parent, const char *name, CacheCallback callback,
                  void *data)
{
	g_autoptr(GError) error = NULL;
	CacheNode *folder, *node;
	CacheOp *op = NULL;
	GSList *publishers = NULL;
	g_mutex_lock(&cache->lock);
	if (find_pair_locked(cache, parent, name, &folder, &node, &error)) {
		if (node->r.folder) {
			g_set_error(&error, CACHE_ERROR, EISDIR, "%s: is a folder", name);
		} else if ((!node->r.uri && !node->r.attempted && !node->job) ||
		           needed_locked(node) || keeps_locked(cache, node)) {
			/* GSS never heard of it, or must keep what is there until the last close.
			 */
			cache_queue_cancel_locked(cache, node);
			if (drop_locked(cache, folder, node, &error))
				publishers = cache_publishers_take_locked(node, G_MAXUINT64);
			else
				cache_queue_consider_locked(cache, node);
		} else if ((op = cache_op_new_locked(cache, &error))) {
			op->parent = cache_node_pin_locked(folder);
			op->node = cache_node_pin_locked(node);
			node->leaving = true;
			op->generation = node->r.generation;
			/* What is written from now on is another one. */
			node->sealed = MAX(node->sealed, op->generation);
			op->uri = node->r.uri ? g_strdup(node->r.uri)
			                      : gss_uri_child(folder->r.uri, name);
		}
		cache_node_put_locked(cache, node);
		cache_node_put_locked(cache, folder);
	}
	g_mutex_unlock(&cache->lock);
	if (publishers) {
		g_autoptr(GError) gone = g_error_new(CACHE_ERROR, ENOENT, "%s: was removed", name);
		cache_publishers_run(publishers, NULL, gone);
	}
	if (!op) {
		if (!error)
			cache_removal_run(cache);
		callback(error, data);
		return;
	}
	op->done = callback;
	op->data = data;
	op->name = g_strdup(name);
	cache_op_start(op, unlink_begin);
}
