/* Rename. Of a file it is a change of the journal: the name is new at once, the transfers that make
 * it true on GSS run behind. Of a folder it is a question to GSS, which knows
 * no rename: only an empty one, or one whose content GSS has never seen, can be made anew. */
#include "cache/private.h"

#include <errno.h>
#include <stdio.h>

#include "cache/upload.h"
#include "gss/uri.h"

CacheLeftover cache_rename_leftover(const CacheRecord *r, bool sent)
{
	CacheLeftover left = {.attempted = r->attempted, .attempted_hash = r->attempted_hash};
	if (sent) {
		left.version = (GssVersion){.size = (gint64)r->attempted - 1, .mtime = -1};
	} else {
		left.version = r->remote;
		left.hash = r->remote_hash;
	}
	return left;
}

/* What the file leaves behind on GSS under the name it had. */
static bool leave_locked(Cache *cache, CacheNode *node, CacheNode *parent, GError **error)
{
	CacheRecord *r = &node->r;
	cache_conflict_note_base_locked(node);
	const CacheLeftover left = cache_rename_leftover(r, !r->uri);
	if (r->uri && r->moved_from) {
		/* It was to replace a file there, did not yet, and now never will: that file is
		 * gone all the same. An upload to there that is under way ends first. */
		if (!cache_store_insert_removal(cache->store, r->uri, &left, 0, error))
			return false;
	} else if (r->uri) {
		r->moved_from = g_steal_pointer(&r->uri);
		cache_leftover_copy(&r->from, &left);
		g_hash_table_add(cache->hidden, g_strdup(r->moved_from));
	} else if (r->attempted) {
		/* A creating request whose answer is lost, or still to come, may have arrived. */
		g_autofree char *address = gss_uri_child(parent->r.uri, r->name);
		if (!cache_store_insert_removal(cache->store, address, &left,
		                                cache_now_ns() + CACHE_WATCH_NS, error))
			return false;
	}
	g_clear_pointer(&r->uri, g_free);
	gss_version_clear(&r->remote);
	g_clear_pointer(&r->remote_hash, g_free);
	g_clear_pointer(&r->attempted_hash, g_free);
	g_clear_pointer(&r->conflict, g_free); /* whoever renames it has seen it */
	r->attempted = 0;
	cache_node_set_resource(node, NULL);
	return true;
}

/* The target's place on GSS becomes the one our content goes to. In a transaction; memory follows
 * when that is committed: until then the target's upload goes on. */
static bool replace_locked(Cache *cache, CacheNode *node, CacheNode *target, GError **error)
{
	CacheRecord *r = &node->r, *t = &target->r;
	r->uri = g_strdup(t->uri);
	gss_version_copy(&r->remote, &t->remote);
	r->remote_hash = g_strdup(t->remote_hash);
	r->attempted_hash = g_strdup(t->attempted_hash);
	r->attempted = t->attempted; /* what it sends from now on is outdated, and is not sent */
	t->parent = CACHE_PARENT_UNLINKED;
	return cache_node_save_locked(cache, target, error);
}

/* --- what somebody still reads --- */

bool cache_rename_give_place_locked(Cache *cache, CacheNode *node, GError **error)
{
	CacheRecord *r = &node->r, before = *r;
	r->moved_from = NULL;
	r->from = CACHE_LEFTOVER_INIT;
	if (!cache_node_save_locked(cache, node, error)) {
		r->moved_from = before.moved_from;
		r->from = before.from;
		return false;
	}
	if (node->job)
		g_clear_pointer(&node->job->moved_from, g_free);
	g_hash_table_remove(cache->hidden, before.moved_from);
	g_free(before.moved_from);
	cache_leftover_clear(&before.from);
	return true;
}

/* All of it is here, or nobody reads it: what is there can be removed before the last close. */
static void leave_place_locked(Cache *cache, CacheNode *node)
{
	CacheRecord *r = &node->r;
	g_autoptr(GError) error = NULL;
	g_auto(CacheRecord) before = CACHE_RECORD_INIT;
	cache_record_copy(&before, r);
	bool ok = cache_store_begin(cache->store, &error);
	if (ok) {
		ok = cache_store_insert_removal(cache->store, r->moved_from, &r->from, 0, &error) &&
		     cache_rename_give_place_locked(cache, node, &error);
		ok = cache_store_end(cache->store, ok, ok ? &error : NULL) && ok;
	}
	if (!ok) {
		CacheRecord wrong = *r;
		*r = before;
		before = wrong;
		g_hash_table_add(cache->hidden, g_strdup(r->moved_from));
	}
	if (!ok || !cache_removal_load_locked(cache, &error))
		g_warning("%s: %s", cache->path, error->message);
	cache_removal_run(cache);
}

typedef struct {
	Cache *cache;
	CacheNode *node; /* pinned; has lost its name to what is to be uploaded */
	char *uri;
} Keep;

static void on_kept(Cache *cache, const GError *error, void *data)
{
	Keep *keep = data;
	g_mutex_lock(&cache->lock);
	keep->node->keeping = NULL;
	bool stays = g_strcmp0(keep->node->r.moved_from, keep->uri) == 0;
	if (error && error->code != ECANCELED && !stays)
		g_message("%s: was replaced while it is open; what was not read of it is lost: %s",
		          keep->uri, error->message);
	/* What is not there any more cannot be fetched later either. */
	if (stays && (!error || error->code == ESTALE))
		leave_place_locked(cache, keep->node);
	g_hash_table_remove(cache->kept, keep->uri);
	GHashTableIter iter;
	void *node;
	g_hash_table_iter_init(&iter, cache->dirty);
	while (g_hash_table_iter_next(&iter, &node, NULL))
		if (g_strcmp0(((CacheNode *)node)->r.uri, keep->uri) == 0)
			cache_queue_consider_locked(cache, node);
	cache_node_put_locked(cache, keep->node);
	cache_removal_run(cache);
	g_mutex_unlock(&cache->lock);
	g_free(keep->uri);
	g_free(keep);
}

static bool is_read_there_locked(const CacheNode *node)
{
	return node->opens &&
	       !(node->content && cache_content_whole(node->content, MAX(node->r.size, 0)));
}

/* Is it open, and not wholly held? Then nothing replaces it on GSS for now. */
static void keep_locked(Cache *cache, CacheNode *node)
{
	const char *uri = node->r.moved_from ? node->r.moved_from : node->r.uri;
	if (!is_read_there_locked(node) || node->keeping || !uri || !node->content ||
	    node->write_errno || g_hash_table_contains(cache->kept, uri))
		return;
	Keep *keep = g_new(Keep, 1);
	*keep = (Keep){cache, cache_node_pin_locked(node), g_strdup(uri)};
	node->keeping = keep;
	g_hash_table_add(cache->kept, g_strdup(uri));
}

static void keep(Cache *cache, CacheNode *node)
{
	g_mutex_lock(&cache->lock);
	Keep *request = node->keeping;
	CacheContent *content = request && node->content ? cache_content_ref(node->content) : NULL;
	guint64 size = MAX(node->r.size, 0);
	g_mutex_unlock(&cache->lock);
	if (content) {
		cache_fetch_all(cache, node, content, size, on_kept, request);
		cache_content_put(content);
	} else if (request) {
		on_kept(cache, NULL, request);
	}
}

/* Of files that were removed while they are open; pinned. */
static GSList *find_nameless_locked(Cache *cache, const char *uri)
{
	g_autofree char *below = g_strconcat(uri, "/", NULL);
	GSList *found = NULL;
	GHashTableIter iter;
	void *key;
	g_hash_table_iter_init(&iter, cache->nameless);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		CacheNode *node = key;
		const char *from = node->r.moved_from;
		if (from && (g_str_equal(from, uri) || g_str_has_prefix(from, below)))
			found = g_slist_prepend(found, cache_node_pin_locked(node));
	}
	return found;
}

static void want_place(Cache *cache, CacheNode *node)
{
	g_mutex_lock(&cache->lock);
	bool fits = node->r.size <= (gint64)cache->room.limit;
	bool idle = !node->keeping && node->r.moved_from && fits;
	if (idle)
		keep_locked(cache, node);
	bool starts = idle && node->keeping;
	if (idle && !starts && !is_read_there_locked(node))
		leave_place_locked(cache, node);
	g_mutex_unlock(&cache->lock);
	if (starts)
		keep(cache, node);
	g_mutex_lock(&cache->lock);
	cache_node_put_locked(cache, node);
	g_mutex_unlock(&cache->lock);
}

void cache_rename_want_place(Cache *cache, const char *uri)
{
	g_mutex_lock(&cache->lock);
	GSList *nodes = find_nameless_locked(cache, uri);
	g_mutex_unlock(&cache->lock);
	for (GSList *l = nodes; l; l = l->next)
		want_place(cache, l->data);
	g_slist_free(nodes);
}

static void leave(void *data)
{
	Cache *cache = data;
	GHashTableIter iter;
	void *key;
	g_mutex_lock(&cache->lock);
	cache->leaving_posted = false;
	g_hash_table_iter_init(&iter, cache->nameless);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		CacheNode *node = key;
		if (!node->pins && node->r.moved_from)
			leave_place_locked(cache, node);
	}
	g_mutex_unlock(&cache->lock);
}

void cache_rename_leave_soon_locked(Cache *cache)
{
	/* Later: the caller may be in a transaction. */
	if (!cache->leaving_posted)
		cache_worker_post(cache, leave, cache);
	cache->leaving_posted = true;
}

void cache_rename_keep_no_more_locked(CacheNode *node)
{
	const Keep *keep = node->keeping;
	if (keep && node->content)
		cache_fetch_forget(keep->cache, node->content, node->keeping);
}

/* --- names in a circle --- */

/* The file that was renamed from `uri` and has not arrived elsewhere yet. */
static CacheNode *find_left_locked(Cache *cache, const char *uri)
{
	GHashTableIter iter;
	void *node;
	g_hash_table_iter_init(&iter, cache->dirty);
	bool hidden = uri && g_hash_table_contains(cache->hidden, uri);
	while (hidden && g_hash_table_iter_next(&iter, &node, NULL))
		if (g_strcmp0(((CacheNode *)node)->r.moved_from, uri) == 0)
			return node;
	return NULL;
}

bool cache_rename_stuck_locked(Cache *cache, const char *uri)
{
	const CacheNode *left = find_left_locked(cache, uri);
	return left && cache_node_parked(left);
}

/* Will all of it be here, whatever comes? */
static bool is_safe_locked(Cache *cache, CacheNode *node)
{
	CacheContent *content = node->r.torn || node->changed || !cache_node_whole(node)
	                                ? NULL
	                                : cache_content_open_locked(cache, node, NULL);
	bool safe = content && cache_content_synced_locked(content) &&
	            cache_content_whole(content, MAX(node->r.size, 0));
	if (content)
		cache_content_unref(content);
	cache_content_idle_locked(node);
	return safe;
}

static GHashTable *map_left_locked(Cache *cache)
{
	GHashTable *left = g_hash_table_new(g_str_hash, g_str_equal);
	GHashTableIter iter;
	void *key;
	g_hash_table_iter_init(&iter, cache->dirty);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		CacheNode *node = key;
		if (node->r.moved_from)
			g_hash_table_insert(left, node->r.moved_from, node);
	}
	return left;
}

CacheNode *cache_rename_circle_locked(Cache *cache, const CacheNode *node, const char *uri)
{
	CacheNode *first = find_left_locked(cache, uri), *next = first;
	g_autoptr(GHashTable) left = NULL; /* URI -> CacheNode, for a chain may be long */
	for (guint n = g_hash_table_size(cache->dirty); next && next != node && n > 0; n--) {
		g_autofree char *address = cache_node_address_locked(cache, next);
		if (!address || !g_hash_table_contains(cache->hidden, address))
			return NULL;
		if (!left)
			left = map_left_locked(cache);
		next = g_hash_table_lookup(left, address);
	}
	return first != node && next == node && is_safe_locked(cache, first) ? first : NULL;
}

/* --- files --- */

/* The journal has the old state; memory is brought back to it. */
static void roll_back_locked(Cache *cache, CacheNode *node, CacheNode *target,
                             const CacheNode *new_parent)
{
	CacheRecord *r = &node->r;
	gint64 size = r->size, mtime = r->mtime, ctime = r->ctime;
	g_auto(CacheRecord) before = CACHE_RECORD_INIT;
	if (cache_store_load(cache->store, r->id, &before, NULL)) {
		CacheRecord wrong = *r;
		*r = before;
		before = wrong;
		/* Ahead of the journal while it is written. */
		r->size = size;
		if (node->changed) {
			r->mtime = mtime;
			r->ctime = ctime;
		}
	}
	if (r->uri)
		g_hash_table_remove(cache->hidden, r->uri);
	if (target)
		target->r.parent = new_parent->r.id;
}

static bool rename_file_locked(Cache *cache, CacheNode *parent, CacheNode *node,
                               CacheNode *new_parent, const char *new_name, CacheNode *target,
                               GError **error)
{
	CacheRecord *r = &node->r;
	if (r->size < 0) {
		g_set_error(error, CACHE_ERROR, EIO, "%s: its size is not known", r->name);
		return false;
	}
	if (!cache_store_begin(cache->store, error))
		return false;
	CACHE_CRASH_POINT("rename.begun");
	g_autofree char *old_name = g_strdup(r->name);
	bool ok = leave_locked(cache, node, parent, error) &&
	          (!target || replace_locked(cache, node, target, error));
	if (ok) {
		r->parent = new_parent->r.id;
		g_free(r->name);
		r->name = g_strdup(new_name);
		r->ctime = cache_now_ns();
		r->generation = MAX(r->generation, MAX(node->sealed, r->published)) + 1;
		/* What is not whole is not sent from there either. */
		if (!node->write_errno && (!r->torn || node->changed)) {
			r->state = CACHE_STATE_DIRTY;
			r->error = 0;
			g_clear_pointer(&r->message, g_free);
		}
		ok = cache_node_save_locked(cache, node, error);
	}
	ok = cache_store_end(cache->store, ok, ok ? error : NULL) && ok;
	if (!ok) {
		roll_back_locked(cache, node, target, new_parent);
		return false;
	}
	if (target) {
		keep_locked(cache, target);
		cache_queue_cancel_locked(cache, target);
		target->r.ctime = r->ctime;
		cache_node_detached_locked(cache, target);
	}
	g_autoptr(GError) failure = NULL;
	if (!cache_removal_load_locked(cache, &failure))
		g_warning("%s: %s", cache->path, failure->message); /* taken up at the next mount */
	cache_node_mark_dirty_locked(cache, node);
	cache_folder_touch_locked(parent, old_name);
	cache_folder_touch_locked(new_parent, new_name);
	node->attr_until = 0;
	node->aborts = node->tries = 0;
	/* What stood in its way did so under the old name. */
	node->blocked = false;
	cache_queue_await_locked(cache, node, NULL);
	cache_worker_cancel(&node->retry);
	cache_queue_consider_locked(cache, node);
	return true;
}

/* --- folders --- */

typedef struct {
	Cache *cache;
	bool any;   /* something is below */
	bool fixed; /* and is known to GSS, or may be */
} Below;

static bool note_fixed(const CacheRecord *record, void *data)
{
	Below *below = data;
	CacheNode *node = g_hash_table_lookup(below->cache->nodes, &record->id);
	below->any = true;
	/* What was renamed leaves its old place only once it has arrived. */
	below->fixed = record->folder || record->uri || record->attempted || record->moved_from ||
	               (node && node->job);
	return !below->fixed;
}

/* Is what is below the folder unknown to GSS, so that it can go anywhere? */
static bool is_free_locked(Cache *cache, const CacheNode *folder, bool empty, int code,
                           GError **error)
{
	Below below = {.cache = cache};
	if (!cache_store_children(cache->store, folder->r.id, note_fixed, &below, error))
		return false;
	if (!below.fixed && !(empty && below.any) && !cache_op_fills_locked(cache, folder))
		return true;
	g_set_error(error, CACHE_ERROR, code, "%s: %s", folder->r.name,
	            code == EXDEV ? "a folder with content cannot be renamed on GSS" : "not empty");
	return false;
}

static void undone(CacheOp *op)
{
	g_autoptr(GError) failure = g_steal_pointer(&op->failure);
	if (op->error)
		g_message("%s: not renamed, but the new folder stays: %s", op->made,
		          op->error->message);
	cache_op_end(op, NULL, failure);
}

static void undo_counted(CacheOp *op)
{
	/* What is hidden is waited for only while somebody waits for us. */
	if (!op->error && (op->entries || op->hidden || op->left))
		op->error = g_error_new_literal(CACHE_ERROR, ENOTEMPTY, "it is in use");
	if (op->error) {
		undone(op);
		return;
	}
	op->step = undone;
	gss_storage_delete_folder(op->cache->client, op->made, op->cache->stop, cache_op_on_done,
	                          op);
}

/* The new folder goes again, if it is still empty. */
static void undo(CacheOp *op, char *made, GError *failure)
{
	Cache *cache = op->cache;
	op->failure = failure;
	g_mutex_lock(&cache->lock);
	CacheNode *node = made ? cache_node_find_uri_locked(cache, made, NULL) : NULL;
	bool used = node && !is_free_locked(cache, node, false, ENOTEMPTY, &op->error);
	if (node)
		cache_node_put_locked(cache, node);
	op->made = made;
	g_mutex_unlock(&cache->lock);
	if (!made)
		cache_op_end(op, NULL, failure);
	else if (used)
		undone(op);
	else
		cache_op_count(op, op->made, undo_counted);
}

static void old_deleted(CacheOp *op)
{
	CACHE_CRASH_POINT("rename.folder_removed");
	if (op->error)
		g_message("%s: renamed, but the old folder could not be removed: %s", op->uri,
		          op->error->message);
	cache_op_end(op, NULL, NULL);
}

/* Nothing was sent into it from here; somebody else may have. */
static void old_counted(CacheOp *op)
{
	if (!op->error && op->entries)
		op->error = g_error_new_literal(CACHE_ERROR, ENOTEMPTY, "it has content by now");
	else if (!op->error && op->answered)
		op->error = g_error_new_literal(CACHE_ERROR, ETIMEDOUT, "GSS took too long");
	if (op->error) {
		old_deleted(op);
		return;
	}
	op->step = old_deleted;
	gss_storage_delete_folder(op->cache->client, op->uri, op->cache->stop, cache_op_on_done,
	                          op);
}

/* Is it still to be renamed, and can it be? */
static bool may_move_locked(CacheOp *op, GError **error)
{
	const CacheRecord *r = &op->node->r;
	if (op->answered)
		g_set_error(error, CACHE_ERROR, ETIMEDOUT, "%s: GSS took too long", op->name);
	else if (r->parent != (gint64)op->parent->r.id || g_strcmp0(r->name, op->name) != 0 ||
	         g_strcmp0(r->uri, op->uri) != 0)
		g_set_error(error, CACHE_ERROR, ENOENT, "%s: is not there any more", op->name);
	else
		return is_free_locked(op->cache, op->node, false, EXDEV, error) &&
		       (!op->target ||
		        is_free_locked(op->cache, op->target, true, ENOTEMPTY, error));
	return false;
}

static bool move_locked(CacheOp *op, const char *made, GError **error)
{
	Cache *cache = op->cache;
	CacheRecord *r = &op->node->r;
	g_autofree char *uri = g_strdup(op->target ? op->target->r.uri : made);
	gint64 old_parent = r->parent;
	char *old_name = r->name, *old_uri = r->uri;
	bool ok = !op->target || cache_folder_prune_locked(cache, op->target);
	r->parent = op->new_parent->r.id;
	r->name = op->new_name;
	r->uri = uri;
	ok = ok && cache_node_save_locked(cache, op->node, error);
	if (!ok) {
		r->parent = old_parent;
		r->name = old_name;
		r->uri = old_uri;
		if (!*error)
			g_set_error(error, CACHE_ERROR, EIO, "%s: the journal cannot be written",
			            op->name);
		return false;
	}
	cache_folder_touch_locked(op->parent, op->name);
	cache_folder_touch_locked(op->new_parent, op->new_name);
	cache_node_set_resource(op->node, NULL);
	op->new_name = NULL;
	uri = NULL;
	g_free(old_name);
	g_free(old_uri);
	return true;
}

static void folder_made(CacheOp *op)
{
	Cache *cache = op->cache;
	if (op->error) {
		cache_op_end_error(op);
		return;
	}
	g_autoptr(GError) error = NULL;
	g_mutex_lock(&cache->lock);
	CACHE_CRASH_POINT("rename.folder_made");
	const char *uri = op->resource ? gss_resource_uri(op->resource) : NULL;
	char *made = op->target ? NULL
	             : uri      ? g_strdup(uri)
	                        : gss_uri_child(op->new_parent->r.uri, op->new_name);
	bool ok = may_move_locked(op, &error) && move_locked(op, made, &error);
	g_mutex_unlock(&cache->lock);
	if (!ok) {
		undo(op, made, g_steal_pointer(&error));
		return;
	}
	g_free(made);
	CACHE_CRASH_POINT("rename.folder_recorded");
	cache_op_count(op, op->uri, old_counted);
}

static void target_counted(CacheOp *op)
{
	if (op->error)
		cache_op_end_error(op);
	else if (op->entries)
		cache_op_fail(op, ENOTEMPTY, "%s: not empty", op->new_name);
	else
		folder_made(op);
}

static void source_counted(CacheOp *op)
{
	CACHE_CRASH_POINT("rename.folder_listed");
	if (op->error) {
		cache_op_end_error(op);
	} else if (op->entries) {
		/* mv copies then, file by file, where everybody can see it. */
		cache_op_fail(op, EXDEV, "%s: a folder with content cannot be renamed on GSS",
		              op->name);
	} else if (op->answered) {
		cache_op_end(op, NULL, NULL);
	} else if (op->target) {
		cache_op_count(op, op->target->r.uri, target_counted);
	} else {
		op->address = gss_uri_child(op->new_parent->r.uri, op->new_name);
		cache_op_make_folder(op, op->address, folder_made);
	}
}

static void folder_begin(CacheOp *op)
{
	cache_op_count(op, op->uri, source_counted);
}

/* --- both --- */

typedef struct {
	CacheNode *parent, *node, *new_parent, *target;
} Places;

static bool find_places_locked(Cache *cache, CacheId parent, const char *name, CacheId new_parent,
                               const char *new_name, unsigned flags, Places *ret, GError **error)
{
	if (cache->read_only || (flags & ~RENAME_NOREPLACE)) {
		int code = cache->read_only ? EROFS : EINVAL;
		g_set_error_literal(error, CACHE_ERROR, code, g_strerror(code));
		return false;
	}
	if (!gss_name_check(new_name, error))
		return false;
	ret->parent = cache_node_get_locked(cache, parent, error);
	ret->new_parent = ret->parent ? cache_node_get_locked(cache, new_parent, error) : NULL;
	ret->node = ret->new_parent ? cache_node_find_locked(cache, parent, name, error) : NULL;
	if (!ret->node)
		return false;
	g_autoptr(GError) missing = NULL;
	ret->target = cache_node_find_locked(cache, new_parent, new_name, &missing);
	int code = 0;
	if (!ret->target && missing->code != ENOENT)
		code = missing->code;
	else if (!ret->new_parent->r.folder)
		code = ENOTDIR;
	else if (ret->new_parent->r.parent == CACHE_PARENT_UNLINKED || !ret->new_parent->r.uri)
		code = ENOENT;
	else if (ret->new_parent != ret->parent && !ret->node->r.folder &&
	         cache_node_is_storage_root(ret->new_parent))
		code = EXDEV; /* mv copies then, and that is asked for */
	else if (ret->target && (flags & RENAME_NOREPLACE))
		code = EEXIST;
	else if (ret->target && ret->target->r.folder && !ret->node->r.folder)
		code = EISDIR;
	else if (ret->target && !ret->target->r.folder && ret->node->r.folder)
		code = ENOTDIR;
	if (code)
		g_set_error(error, CACHE_ERROR, code, "%s: %s", new_name, g_strerror(code));
	return code == 0;
}

static CacheOp *folder_op_locked(Cache *cache, const Places *places, GError **error)
{
	if ((places->target && !is_free_locked(cache, places->target, true, ENOTEMPTY, error)) ||
	    !is_free_locked(cache, places->node, false, EXDEV, error))
		return NULL;
	if (cache_op_closed_locked(cache, (gint64)places->new_parent->r.id)) {
		g_set_error(error, CACHE_ERROR, EBUSY, "%s: is being renamed or removed",
		            places->new_parent->r.name);
		return NULL;
	}
	return cache_op_new_locked(cache, error);
}

void cache_rename(Cache *cache, CacheId parent, const char *name, CacheId new_parent,
                  const char *new_name, unsigned flags, CacheCallback callback, void *data)
{
	g_autoptr(GError) error = NULL;
	Places p = {0};
	CacheOp *op = NULL;
	GSList *publishers = NULL;
	CacheNode *kept = NULL;
	g_mutex_lock(&cache->lock);
	bool ok = find_places_locked(cache, parent, name, new_parent, new_name, flags, &p, &error);
	if (!ok || p.target == p.node) {
		/* nothing to do */
	} else if (p.node->r.folder) {
		op = folder_op_locked(cache, &p, &error);
	} else if (rename_file_locked(cache, p.parent, p.node, p.new_parent, new_name, p.target,
	                              &error) &&
	           p.target) {
		publishers = cache_publishers_take_locked(p.target, G_MAXUINT64);
		kept = p.target->keeping ? cache_node_pin_locked(p.target) : NULL;
	}
	if (op) {
		op->parent = p.parent;
		op->node = p.node;
		op->new_parent = p.new_parent;
		op->target = p.target;
		op->uri = g_strdup(p.node->r.uri);
		op->closes = op->makes = true;
	} else {
		CacheNode *pinned[] = {p.parent, p.node, p.new_parent, p.target};
		for (gsize i = 0; i < G_N_ELEMENTS(pinned); i++)
			if (pinned[i])
				cache_node_put_locked(cache, pinned[i]);
	}
	g_mutex_unlock(&cache->lock);
	if (kept) {
		keep(cache, kept);
		g_mutex_lock(&cache->lock);
		cache_node_put_locked(cache, kept);
		g_mutex_unlock(&cache->lock);
	}
	if (publishers) {
		g_autoptr(GError) gone =
			g_error_new(CACHE_ERROR, ENOENT, "%s: was replaced", new_name);
		cache_publishers_run(publishers, NULL, gone);
	}
	if (!op) {
		cache_removal_run(cache);
		CACHE_CRASH_POINT("rename.answering");
		callback(error, data);
		return;
	}
	op->done = callback;
	op->data = data;
	op->name = g_strdup(name);
	op->new_name = g_strdup(new_name);
	cache_op_start(op, folder_begin);
}
