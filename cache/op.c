/* Operations on names: the thread they run on, their deadline, their one answer. */
#include "cache/private.h"

#include <errno.h>
#include <stdarg.h>

#include "cache/upload.h"

#define ASK_MIN_MS 100
#define ASK_MAX_MS 1000
#define ASKS_OF_NOTHING 5
#define MAKES_MAX 5

CacheOp *cache_op_new_locked(Cache *cache, GError **error)
{
	if (!cache_call_begin_locked(cache)) {
		g_set_error_literal(error, CACHE_ERROR, EIO, "GSS cannot be asked");
		return NULL;
	}
	CacheOp *op = g_new0(CacheOp, 1);
	op->cache = cache;
	cache->ops = g_slist_prepend(cache->ops, op);
	return op;
}

static void answer(CacheOp *op, const CacheAttr *attr, const GError *error)
{
	if (op->answered)
		return;
	op->answered = true;
	if (op->attr)
		op->attr(error ? NULL : attr, error, op->data);
	else
		op->done(error, op->data);
}

static gboolean on_deadline(void *data)
{
	CacheOp *op = data;
	g_autoptr(GError) error =
		g_error_new(CACHE_ERROR, ETIMEDOUT, "%s: GSS did not answer in time%s%s", op->name,
	                    op->last ? ": " : "", op->last ? op->last->message : "");
	Cache *cache = op->cache;
	if (op->whole)
		cache_missed(cache, op->heard);
	answer(op, NULL, error);
	/* What closes a folder does not wait longer than whoever asked for it. May free it. */
	g_mutex_lock(&cache->lock);
	GSList *waiters = g_steal_pointer(&cache->removal_waiters);
	g_mutex_unlock(&cache->lock);
	cache_calls_run(cache, waiters, NULL);
	return G_SOURCE_REMOVE;
}

static void run_step(void *data)
{
	CacheOp *op = data;
	op->step(op);
}

static void run_first(void *data)
{
	CacheOp *op = data;
	/* The kernel locks the folder meanwhile. */
	op->whole = !g_atomic_int_get(&op->cache->silent);
	op->heard = g_atomic_int_get(&op->cache->heard);
	guint ms = op->whole ? op->cache->op_patience : CACHE_SILENT_DEADLINE_MS;
	op->timer = cache_worker_after(op->cache, ms, on_deadline, op, NULL);
	op->step(op);
}

void cache_op_start(CacheOp *op, void (*step)(CacheOp *op))
{
	op->step = step;
	cache_worker_post(op->cache, run_first, op);
}

static void keep(CacheOp *op, GssResource *resource, const GError *error)
{
	g_clear_error(&op->error);
	g_clear_pointer(&op->resource, gss_resource_unref);
	cache_heard(op->cache, error);
	if (error)
		op->error = g_error_copy(error);
	else if (resource)
		op->resource = gss_resource_ref(resource);
	cache_worker_post(op->cache, run_step, op);
}

void cache_op_on_resource(GssResource *resource, const GError *error, void *op)
{
	keep(op, resource, error);
}

void cache_op_on_done(const GError *error, void *op)
{
	keep(op, NULL, error);
}

/* An answer that says nothing may come for ever. */
static bool may_answer_later(const CacheOp *op)
{
	int code = op->error ? op->error->code : 0;
	return (code == EIO && op->asks < ASKS_OF_NOTHING) || code == EAGAIN || code == ETIMEDOUT ||
	       code == EHOSTUNREACH;
}

static void doubt(CacheOp *op)
{
	const CacheNotify *notify = &op->cache->notify;
	CacheNode *parent = op->new_parent ? op->new_parent : op->parent;
	g_mutex_lock(&op->cache->lock);
	parent->list_until = 0;
	CacheId id = parent->r.id;
	g_mutex_unlock(&op->cache->lock);
	if (notify->entry)
		notify->entry(id, op->new_name ? op->new_name : op->name, notify->data);
}

static gboolean ask(void *data);

static void on_asked(CacheOp *op)
{
	op->asks++;
	if (may_answer_later(op) && !op->answered && !g_cancellable_is_cancelled(op->cache->stop)) {
		g_clear_error(&op->last);
		op->last = g_steal_pointer(&op->error);
		op->pause_ms = CLAMP(op->pause_ms * 2, ASK_MIN_MS, ASK_MAX_MS);
		g_source_unref(cache_worker_after(op->cache, op->pause_ms, ask, op, NULL));
		return;
	}
	if (op->error)
		doubt(op);
	op->asked(op);
}

static gboolean ask(void *data)
{
	CacheOp *op = data;
	op->step = on_asked;
	gss_storage_resolve(op->cache->client, op->asks_for, op->cache->stop, cache_op_on_resource,
	                    op);
	return G_SOURCE_REMOVE;
}

void cache_op_ask(CacheOp *op, const char *uri, void (*step)(CacheOp *op))
{
	op->asks_for = uri;
	op->asked = step;
	op->pause_ms = op->asks = 0;
	ask(op);
}

bool cache_op_again(CacheOp *op)
{
	bool again = op->lost && !op->again && !op->answered;
	op->again |= again;
	return again;
}

/* --- making a folder --- */

static void make_folder(CacheOp *op);

static void on_left(Cache *cache, const GError *error, void *data)
{
	CacheOp *op = data;
	if (op->answered)
		cache_op_end(op, NULL, NULL);
	else
		make_folder(op);
}

/* What is there is a file that is still to be removed: that is waited for. */
static bool waits_for_removal(CacheOp *op)
{
	Cache *cache = op->cache;
	g_autofree char *uri = g_strdup(gss_resource_uri(op->resource));
	g_mutex_lock(&cache->lock);
	bool waits = uri && g_hash_table_contains(cache->hidden, uri) && !op->answered &&
	             !cache->stopping;
	if (waits) {
		cache_removal_look_locked(cache, uri);
		cache->removal_waiters = cache_calls_add(cache->removal_waiters, on_left, op);
		op->whole = false;
	}
	g_mutex_unlock(&cache->lock);
	if (waits)
		cache_rename_want_place(cache, uri);
	return waits;
}

/* The answer was lost, or a refusal without a reason: what is there now? */
static void folder_asked(CacheOp *op)
{
	GssType type = op->error ? GSS_TYPE_NOTEXIST : gss_resource_type(op->resource);
	const char *name = op->new_name ? op->new_name : op->name;
	bool again = type == GSS_TYPE_NOTEXIST &&
	             (cache_op_again(op) ||
	              (op->refusal == EEXIST && !op->answered && op->tries++ < MAKES_MAX));
	if (op->error || (type == GSS_TYPE_FOLDER && op->lost)) {
		op->after_make(op);
	} else if (type == GSS_TYPE_FILE && waits_for_removal(op)) {
		return;
	} else if (again) {
		make_folder(op); /* what was there has gone meanwhile */
	} else {
		bool there = type != GSS_TYPE_NOTEXIST;
		if (there)
			doubt(op);
		op->error = g_error_new(CACHE_ERROR, there ? EEXIST : EIO, "%s: %s", name,
		                        there ? "is there already" : "GSS did not make the folder");
		op->after_make(op);
	}
}

static void folder_made(CacheOp *op)
{
	op->refusal = op->error ? op->error->code : 0;
	op->lost |= op->refusal == EINPROGRESS; /* the folder that may be found is our own */
	if (op->refusal == EINPROGRESS || op->refusal == EEXIST || op->refusal == EIO)
		cache_op_ask(op, op->makes_at, folder_asked);
	else
		op->after_make(op);
}

static void make_folder(CacheOp *op)
{
	op->step = folder_made;
	gss_storage_create_folder(op->cache->client, op->makes_at, op->cache->stop,
	                          cache_op_on_resource, op);
}

void cache_op_make_folder(CacheOp *op, const char *uri, void (*step)(CacheOp *op))
{
	op->makes_at = uri;
	op->after_make = step;
	make_folder(op);
}

/* --- folders --- */

static void on_entry(GssResource *resource, void *data)
{
	CacheOp *op = data;
	if (gss_resource_type(resource) == GSS_TYPE_NOTEXIST)
		return;
	g_mutex_lock(&op->cache->lock);
	if (cache_folder_left_locked(op->cache, op->counted, resource, op->asked_at))
		op->left++;
	else if (cache_removal_hides_locked(op->cache, op->counted, resource))
		op->hidden++;
	else
		op->entries++;
	g_mutex_unlock(&op->cache->lock);
}

static void count(CacheOp *op);

static void on_removal(Cache *cache, const GError *error, void *data)
{
	CacheOp *op = data;
	if (!op->answered) {
		count(op);
		return;
	}
	op->error = g_error_new_literal(CACHE_ERROR, ETIMEDOUT, "GSS took too long");
	op->after_count(op);
}

static void on_counted(CacheOp *op)
{
	Cache *cache = op->cache;
	g_mutex_lock(&cache->lock);
	bool waits = !op->error && !op->entries && (op->hidden || op->left) && !op->answered;
	bool ended = op->left || cache->removals_ended != op->removals_ended;
	g_autofree char *uri = g_strdup(op->counted);
	cache_folder_asked_locked(cache);
	if (waits && cache->stopping) {
		op->error = g_error_new_literal(CACHE_ERROR, ECANCELED, "unmounting");
		waits = false;
	} else if (waits && !ended) {
		cache->removal_waiters = cache_calls_add(cache->removal_waiters, on_removal, op);
		op->whole = false;
	}
	g_mutex_unlock(&cache->lock);
	if (!waits)
		op->after_count(op);
	else if (ended)
		count(op);
	else
		cache_rename_want_place(cache, uri);
}

static void count(CacheOp *op)
{
	op->step = on_counted;
	op->entries = op->hidden = op->left = 0;
	g_mutex_lock(&op->cache->lock);
	op->asked_at = cache_folder_asks_locked(op->cache);
	op->removals_ended = op->cache->removals_ended;
	g_mutex_unlock(&op->cache->lock);
	gss_storage_list(op->cache->client, op->counted, true, op->cache->stop, on_entry,
	                 cache_op_on_done, op);
}

void cache_op_count(CacheOp *op, const char *uri, void (*step)(CacheOp *op))
{
	g_free(op->counted);
	op->counted = g_strdup(uri);
	op->after_count = step;
	count(op);
}

static bool closes(const Cache *cache, const char *uri)
{
	for (GSList *l = cache->ops; uri && l; l = l->next) {
		const CacheOp *op = l->data;
		if (op->closes && (g_strcmp0(op->uri, uri) == 0 || g_strcmp0(op->made, uri) == 0))
			return true;
	}
	return false;
}

bool cache_op_closed_locked(Cache *cache, gint64 folder)
{
	bool any = false, closed = false;
	for (GSList *l = cache->ops; l && !any; l = l->next)
		any = ((CacheOp *)l->data)->closes;
	while (any && !closed && folder > 0) {
		CacheNode *node = cache_node_get_locked(cache, folder, NULL);
		if (!node)
			break;
		closed = closes(cache, node->r.uri);
		folder = node->r.parent;
		cache_node_put_locked(cache, node);
	}
	return closed;
}

bool cache_op_fills_locked(const Cache *cache, const CacheNode *folder)
{
	for (GSList *l = cache->ops; l; l = l->next) {
		const CacheOp *op = l->data;
		if (op->makes && (op->new_parent ? op->new_parent : op->parent) == folder)
			return true;
	}
	return false;
}

/* What waited to be sent into a folder that is still there, or under another name. */
static void leave_locked(CacheOp *op)
{
	Cache *cache = op->cache;
	cache->ops = g_slist_remove(cache->ops, op);
	GHashTableIter iter;
	void *node;
	g_hash_table_iter_init(&iter, cache->dirty);
	while (op->closes && g_hash_table_iter_next(&iter, &node, NULL))
		cache_queue_consider_locked(cache, node);
}

void cache_op_end(CacheOp *op, CacheNode *node, const GError *error)
{
	Cache *cache = op->cache;
	CacheAttr attr;
	cache_worker_cancel(&op->timer);
	g_mutex_lock(&cache->lock);
	if (node && op->attr && !op->answered) {
		node->refs++;
		cache_node_attr(node, &attr);
	}
	g_mutex_unlock(&cache->lock);
	answer(op, &attr, error);
	g_mutex_lock(&cache->lock);
	if (op->node && op->node->leaving) {
		op->node->leaving = false;
		cache_queue_consider_locked(cache, op->node);
	}
	leave_locked(op);
	CacheNode *pinned[] = {op->parent, op->node, op->new_parent, op->target};
	for (gsize i = 0; i < G_N_ELEMENTS(pinned); i++)
		if (pinned[i])
			cache_node_put_locked(cache, pinned[i]);
	g_mutex_unlock(&cache->lock);
	g_clear_pointer(&op->resource, gss_resource_unref);
	g_clear_error(&op->error);
	g_clear_error(&op->last);
	g_clear_error(&op->failure);
	g_free(op->made);
	g_free(op->address);
	g_free(op->counted);
	g_free(op->name);
	g_free(op->new_name);
	g_free(op->uri);
	g_free(op);
	cache_call_end(cache);
}

void cache_op_fail(CacheOp *op, int code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	g_autoptr(GError) error = g_error_new_valist(CACHE_ERROR, code, format, args);
	va_end(args);
	cache_op_end(op, NULL, error);
}

void cache_op_end_error(CacheOp *op)
{
	g_autoptr(GError) error = g_steal_pointer(&op->error);
	cache_op_end(op, NULL, error);
}
