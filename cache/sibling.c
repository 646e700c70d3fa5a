#include "cache/private.h"

#include <errno.h>
#include <string.h>

#define SIBLINGS_MAX 131072   /* of one folder */
#define SIBLINGS_TOTAL 131072 /* of all folders; those listed longest ago are forgotten */
#define SIBLINGS_RUNNING 32   /* questions of one folder at a time: enough for all connections */
#define SIBLINGS_AHEAD 256    /* files */
#define VIEW_WORTH 8          /* files; for fewer the full view saves nothing */
#define VIEW_TRIES 3          /* files with which it is compared before it is called wrong */
#define VIEW_PATIENCE_US (2 * G_USEC_PER_SEC) /* nothing is asked ahead meanwhile */
#define VIEW_WAIT_US (G_USEC_PER_SEC / 4)     /* and lookups wait for it, instead of asking */
#define WORD_MAX 12 /* bytes; a size up to this may be the length of a word (gss/storages.c) */

typedef struct {
	GssResource *resource; /* has the name */
	CacheId id;            /* 0: not found yet */
	gint64 attr_until;     /* of a node that is not in memory, as CacheNode.attr_until; or 0 */
	gint64 size, mtime;    /* as the full view has them; -1 */
} Sibling;

struct CacheSiblings {
	CacheNode *folder;
	GArray *all; /* Sibling, by name */
	GList link;  /* in Cache.listed */
	guint serial;
	gint64 shown_until; /* a program has read the names not long ago */
	guint next, end;    /* to be asked for next, and up to which */
	guint running;
	bool pumping; /* posted */
	enum { VIEW_UNTRIED, VIEW_ASKED, VIEW_OVER } view;
	guint files;
	struct View *asking; /* VIEW_ASKED */
	gint64 view_asked;   /* monotonic us */
	gint64 view_until;   /* its sizes are believed until then; 0 not at all */
	bool dates;          /* and its dates */
};

static void sibling_clear(void *data)
{
	gss_resource_unref(((Sibling *)data)->resource);
}

void cache_siblings_clear_locked(Cache *cache, CacheNode *folder)
{
	CacheSiblings *siblings = g_steal_pointer(&folder->siblings);
	if (!siblings)
		return;
	cache->listed_children -= siblings->all->len;
	g_queue_unlink(&cache->listed, &siblings->link);
	g_array_unref(siblings->all);
	g_free(siblings);
}

static Sibling *find(CacheSiblings *siblings, const char *name, guint *ret_index)
{
	guint low = 0, high = siblings ? siblings->all->len : 0;
	while (low < high) {
		guint middle = low + (high - low) / 2;
		Sibling *sibling = &g_array_index(siblings->all, Sibling, middle);
		int order = strcmp(name, gss_resource_name(sibling->resource));
		if (order == 0) {
			*ret_index = middle;
			return sibling;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

GssResource *cache_siblings_same_locked(CacheNode *folder, GssResource *resource)
{
	guint index;
	const Sibling *sibling = find(folder->siblings, gss_resource_name(resource), &index);
	bool same = sibling && gss_resource_equal(sibling->resource, resource);
	return gss_resource_ref(same ? sibling->resource : resource);
}

/* What was found out about a child that is what it was stays true as long as it did. *at: where the
 * last one was found; they come by name. */
static void carry_over(const CacheSiblings *before, guint *at, Sibling *sibling)
{
	const char *name = gss_resource_name(sibling->resource);
	for (; before && *at < before->all->len; (*at)++) {
		const Sibling *old = &g_array_index(before->all, Sibling, *at);
		int order = strcmp(gss_resource_name(old->resource), name);
		if (order > 0)
			return;
		if (order < 0 || old->resource != sibling->resource)
			continue;
		sibling->id = old->id;
		sibling->attr_until = old->attr_until;
	}
}

void cache_siblings_set_locked(Cache *cache, CacheNode *folder, GPtrArray *resources)
{
	const CacheSiblings *before = folder->siblings;
	guint count = MIN(resources->len, SIBLINGS_MAX);
	CacheSiblings *siblings = g_new0(CacheSiblings, 1);
	siblings->folder = folder;
	siblings->serial = ++cache->listings;
	siblings->shown_until = before ? before->shown_until : 0;
	siblings->all = g_array_sized_new(FALSE, TRUE, sizeof(Sibling), count);
	g_array_set_clear_func(siblings->all, sibling_clear);
	for (guint i = 0, at = 0; i < count; i++) {
		Sibling sibling = {
			.resource = g_steal_pointer(&resources->pdata[i]), .size = -1, .mtime = -1};
		siblings->files += gss_resource_type(sibling.resource) == GSS_TYPE_FILE;
		carry_over(before, &at, &sibling);
		g_array_append_val(siblings->all, sibling);
	}
	g_ptr_array_unref(resources);
	cache_siblings_clear_locked(cache, folder);
	siblings->link.data = siblings;
	g_queue_push_tail_link(&cache->listed, &siblings->link);
	cache->listed_children += siblings->all->len;
	folder->siblings = siblings;
	while (cache->listed_children > SIBLINGS_TOTAL && cache->listed.head->data != siblings)
		cache_siblings_clear_locked(cache,
		                            ((CacheSiblings *)cache->listed.head->data)->folder);
}

CacheNode *cache_siblings_node_locked(Cache *cache, gint64 parent, const char *name)
{
	guint index;
	const CacheNode *folder = g_hash_table_lookup(cache->nodes, &parent);
	const Sibling *sibling = folder ? find(folder->siblings, name, &index) : NULL;
	CacheNode *node =
		sibling && sibling->id ? g_hash_table_lookup(cache->nodes, &sibling->id) : NULL;
	/* It may have moved since. */
	bool there = node && node->r.parent == parent && strcmp(node->r.name, name) == 0;
	return there ? node : NULL;
}

void cache_siblings_hand_down_locked(CacheNode *folder, CacheNode *child)
{
	guint index;
	Sibling *sibling = find(folder->siblings, child->r.name, &index);
	if (!sibling || g_strcmp0(gss_resource_uri(sibling->resource), child->r.uri) != 0)
		return;
	sibling->id = child->r.id;
	if (!child->resource)
		cache_node_set_resource(child, sibling->resource);
	child->attr_until = MAX(child->attr_until, sibling->attr_until);
	sibling->attr_until = 0;
}

void cache_siblings_take_back_locked(Cache *cache, const CacheNode *child)
{
	guint index;
	CacheId parent = child->r.parent;
	const CacheNode *folder = g_hash_table_lookup(cache->nodes, &parent);
	Sibling *sibling = folder ? find(folder->siblings, child->r.name, &index) : NULL;
	/* That it comes from a view is not kept: the view has to tell it again, or GSS. */
	bool undated = child->viewed && child->r.remote.mtime < 0;
	if (sibling && sibling->id == child->r.id)
		sibling->attr_until = undated ? 0 : child->attr_until;
}

void cache_siblings_touch_locked(CacheNode *folder, const char *name)
{
	guint index;
	Sibling *sibling = find(folder->siblings, name, &index);
	if (sibling) {
		sibling->id = 0;
		sibling->attr_until = 0;
		sibling->size = -1;
	}
}

void cache_siblings_shown_locked(CacheNode *folder)
{
	if (folder->siblings)
		folder->siblings->shown_until = g_get_monotonic_time() + CACHE_LIST_LEASE_US;
}

/* --- asking ahead --- */

typedef struct {
	Cache *cache;
	CacheNode *folder; /* pinned */
	CacheNode *child;  /* pinned; NULL in a pump */
	guint serial;      /* of the listing it belongs to */
	guint index;
} Ahead;

static void pump(void *data);

static void pump_later_locked(Cache *cache, CacheNode *folder)
{
	if (folder->siblings->pumping || !cache_call_begin_locked(cache))
		return;
	folder->siblings->pumping = true;
	Ahead *ahead = g_new0(Ahead, 1);
	*ahead = (Ahead){.cache = cache,
	                 .folder = cache_node_pin_locked(folder),
	                 .serial = folder->siblings->serial};
	cache_worker_post(cache, pump, ahead);
}

static CacheSiblings *still_there(const Ahead *ahead)
{
	CacheSiblings *siblings = ahead->folder->siblings;
	return siblings && siblings->serial == ahead->serial ? siblings : NULL;
}

static void on_answer(Cache *cache, const GError *error, void *data)
{
	g_autofree Ahead *ahead = data;
	CacheNode *child = ahead->child;
	g_mutex_lock(&cache->lock);
	CacheSiblings *siblings = still_there(ahead);
	if (siblings) {
		siblings->running--;
		Sibling *sibling = &g_array_index(siblings->all, Sibling, ahead->index);
		if (!error && !child->refs && !cache_node_dirty(child) &&
		    child->r.id == sibling->id)
			sibling->attr_until = child->attr_until;
		/* A service in trouble is left alone until somebody asks again. */
		if (error && error->code != ENOENT)
			siblings->end = siblings->next;
		if (siblings->next < siblings->end)
			pump_later_locked(cache, ahead->folder);
	}
	cache_node_put_locked(cache, child);
	cache_node_put_locked(cache, ahead->folder);
	g_mutex_unlock(&cache->lock);
	cache_call_end(cache);
}

/* Is nothing to be asked about this one? */
static bool settled_locked(Cache *cache, const CacheSiblings *siblings, guint index, gint64 now)
{
	const Sibling *sibling = &g_array_index(siblings->all, Sibling, index);
	if (gss_resource_type(sibling->resource) != GSS_TYPE_FILE || sibling->attr_until > now ||
	    (sibling->size >= 0 && siblings->view_until > now))
		return true;
	const CacheNode *node =
		sibling->id ? g_hash_table_lookup(cache->nodes, &sibling->id) : NULL;
	return node && (cache_node_dirty(node) || node->attr_until > now);
}

bool cache_siblings_known_locked(Cache *cache, CacheNode *folder, const char *name)
{
	guint index;
	return find(folder->siblings, name, &index) &&
	       settled_locked(cache, folder->siblings, index, g_get_monotonic_time());
}

static void ask_locked(Cache *cache, CacheNode *folder, guint index)
{
	CacheSiblings *siblings = folder->siblings;
	Sibling *sibling = &g_array_index(siblings->all, Sibling, index);
	CacheNode *node = cache_node_find_locked(cache, folder->r.id,
	                                         gss_resource_name(sibling->resource), NULL);
	if (!node)
		return;
	cache_siblings_hand_down_locked(folder, node);
	bool ours = g_strcmp0(gss_resource_uri(sibling->resource), node->r.uri) == 0;
	if (!ours || !cache_call_begin_locked(cache)) {
		cache_node_put_locked(cache, node);
		return;
	}
	Ahead *ahead = g_new(Ahead, 1);
	*ahead = (Ahead){cache, cache_node_pin_locked(folder), node, siblings->serial, index};
	siblings->running++;
	if (cache_attr_validate_locked(cache, node, CACHE_ATTR_LEASE_US, on_answer, ahead))
		cache_ready_later(cache, on_answer, ahead, 0, NULL);
}

static void pump(void *data)
{
	g_autofree Ahead *ahead = data;
	Cache *cache = ahead->cache;
	g_mutex_lock(&cache->lock);
	CacheSiblings *siblings = still_there(ahead);
	if (siblings) {
		siblings->pumping = false;
		gint64 now = g_get_monotonic_time();
		while (siblings->running < SIBLINGS_RUNNING && siblings->next < siblings->end) {
			guint index = siblings->next++;
			if (!settled_locked(cache, siblings, index, now))
				ask_locked(cache, ahead->folder, index);
		}
	}
	cache_node_put_locked(cache, ahead->folder);
	g_mutex_unlock(&cache->lock);
	cache_call_end(cache);
}

/* --- the full view --- */

typedef struct View {
	Cache *cache;
	CacheNode *folder; /* pinned */
	guint serial;
	GSList *waiting;       /* CacheCall: lookups of other files */
	GSource *timer;        /* they wait no longer */
	guint witness;         /* index of the file with which it is compared */
	GssResource *resource; /* the witness's: tells the storage */
	guint tries;
	bool proving;      /* Cache.view_proving is ours */
	GssViewKind known; /* of the storage, when the view arrived */
	GError *error;
} View;

static CacheSiblings *viewed(const View *view)
{
	CacheSiblings *siblings = view->folder->siblings;
	return siblings && siblings->serial == view->serial ? siblings : NULL;
}

/* On the worker, as all that follows but what says otherwise. `kind`: what it came to. */
static void view_end(View *view, GssViewKind kind)
{
	Cache *cache = view->cache;
	bool believed = kind == GSS_VIEW_YES || kind == GSS_VIEW_DATES;
	g_mutex_lock(&cache->lock);
	CacheSiblings *siblings = viewed(view);
	if (siblings) {
		siblings->view = VIEW_OVER;
		siblings->asking = NULL;
		siblings->view_until = believed ? siblings->view_asked + CACHE_ATTR_LEASE_US : 0;
		siblings->dates = kind == GSS_VIEW_DATES;
		if (siblings->next < siblings->end)
			pump_later_locked(cache, view->folder);
	}
	if (view->proving)
		cache->view_proving = false;
	cache_worker_cancel(&view->timer);
	GSList *waiting = g_steal_pointer(&view->waiting);
	cache_node_put_locked(cache, view->folder);
	g_mutex_unlock(&cache->lock);
	cache_calls_run(cache, waiting, NULL);
	cache_learned_save(cache);
	gss_resource_unref(view->resource);
	g_clear_error(&view->error);
	g_free(view);
	cache_call_end(cache);
}

static void view_judge(View *view, GssViewKind kind)
{
	gss_storage_view_judge(view->cache->client, view->resource, kind);
	view_end(view, kind);
}

static const CacheNode *node_of(Cache *cache, const Sibling *sibling)
{
	return sibling->id ? g_hash_table_lookup(cache->nodes, &sibling->id) : NULL;
}

/* Is the storage being asked about the witness, whose answer can prove something? */
static bool asked_about_witness(const View *view, CacheSiblings *siblings)
{
	const Sibling *sibling = &g_array_index(siblings->all, Sibling, view->witness);
	const CacheNode *node = node_of(view->cache, sibling);
	return node && node->validate_running && sibling->size > WORD_MAX;
}

/* What a comparison with the witness says; GSS_VIEW_UNKNOWN: nothing. */
static GssViewKind compare_locked(const View *view, CacheSiblings *siblings)
{
	const Sibling *sibling = &g_array_index(siblings->all, Sibling, view->witness);
	const CacheNode *node = node_of(view->cache, sibling);
	if (!node || cache_node_dirty(node) || node->attr_until <= g_get_monotonic_time() ||
	    sibling->size <= WORD_MAX || node->r.remote.size <= WORD_MAX)
		return GSS_VIEW_UNKNOWN;
	if (node->r.remote.size != sibling->size)
		return GSS_VIEW_NO;
	gint64 mtime = node->r.remote.mtime;
	/* Where nothing else tells dates there is nothing to compare with. */
	return sibling->mtime >= 0 && (mtime < 0 || mtime == sibling->mtime) ? GSS_VIEW_DATES
	                                                                     : GSS_VIEW_YES;
}

/* Have the storage's full views agreed before? */
static bool trusted(const View *view)
{
	return view->known == GSS_VIEW_YES || view->known == GSS_VIEW_DATES;
}

static void prove(View *view);

static void on_witness(Cache *cache, const GError *error, void *data)
{
	View *view = data;
	g_mutex_lock(&cache->lock);
	CacheSiblings *siblings = viewed(view);
	GssViewKind kind = siblings ? compare_locked(view, siblings) : GSS_VIEW_LATER;
	if (kind == GSS_VIEW_UNKNOWN && trusted(view))
		kind = view->known;
	if (siblings) {
		Sibling *sibling = &g_array_index(siblings->all, Sibling, view->witness);
		const CacheNode *node = node_of(cache, sibling);
		if (node && !node->refs && !cache_node_dirty(node))
			sibling->attr_until = node->attr_until;
	}
	g_mutex_unlock(&cache->lock);
	if (kind == GSS_VIEW_YES || kind == GSS_VIEW_DATES)
		view_judge(view, kind);
	else if (kind == GSS_VIEW_LATER || (error && error->code != ENOENT))
		view_end(view, GSS_VIEW_LATER);
	else if (++view->tries < VIEW_TRIES)
		prove(view);
	else if (kind == GSS_VIEW_NO)
		view_judge(view, kind);
	else
		view_end(view, GSS_VIEW_LATER);
}

/* Asks about the next file whose size can prove something. */
static void prove(View *view)
{
	Cache *cache = view->cache;
	CacheNode *node = NULL;
	bool fresh = false;
	g_mutex_lock(&cache->lock);
	CacheSiblings *siblings = viewed(view);
	/* The first file may be asked about by whoever made us begin; to join them costs nothing.
	 */
	guint begin = siblings && !view->tries && asked_about_witness(view, siblings) ? 0 : 1;
	for (guint i = begin; siblings && !node && i < siblings->all->len; i++) {
		guint index = (view->witness + i) % siblings->all->len;
		const Sibling *sibling = &g_array_index(siblings->all, Sibling, index);
		if (sibling->size <= WORD_MAX)
			continue;
		node = cache_node_find_locked(cache, view->folder->r.id,
		                              gss_resource_name(sibling->resource), NULL);
		if (!node)
			continue;
		cache_siblings_hand_down_locked(view->folder, node);
		view->witness = index;
		fresh = cache_attr_validate_locked(cache, node, 0, on_witness, view);
		cache_node_put_locked(cache, node);
	}
	g_mutex_unlock(&cache->lock);
	if (!node) /* all are empty, or tiny */
		view_end(view, GSS_VIEW_LATER);
	else if (fresh) /* it is being changed here */
		on_witness(cache, NULL, view);
}

static void view_done(void *data)
{
	View *view = data;
	Cache *cache = view->cache;
	if (view->error) {
		view_end(view, GSS_VIEW_LATER);
		return;
	}
	view->known = gss_storage_view_kind(cache->client, view->resource);
	g_mutex_lock(&cache->lock);
	CacheSiblings *siblings = viewed(view);
	GssViewKind kind = siblings ? compare_locked(view, siblings) : GSS_VIEW_LATER;
	/* Whoever began it may have asked about a file of the folder: that answer is waited for. */
	bool asked = siblings && asked_about_witness(view, siblings);
	g_mutex_unlock(&cache->lock);
	if (kind == GSS_VIEW_LATER)
		view_end(view, kind);
	else if (trusted(view) && kind != GSS_VIEW_NO && !asked)
		view_end(view, view->known);
	else if (kind == GSS_VIEW_YES || kind == GSS_VIEW_DATES)
		view_judge(view, kind);
	else
		prove(view); /* also where a file grew since it was asked about */
}

/* On gss-net. */
static void on_viewed(const GError *error, void *data)
{
	View *view = data;
	view->error = error ? g_error_copy(error) : NULL;
	cache_worker_post(view->cache, view_done, view);
}

/* On gss-net. */
static void on_item(const char *name, const char *uri, gint64 size, gint64 mtime, void *data)
{
	View *view = data;
	guint index;
	g_mutex_lock(&view->cache->lock);
	Sibling *sibling = find(viewed(view), name, &index);
	if (sibling && g_strcmp0(gss_resource_uri(sibling->resource), uri) == 0) {
		sibling->size = size;
		sibling->mtime = mtime;
	}
	g_mutex_unlock(&view->cache->lock);
}

static void on_described(Cache *cache, const GError *error, void *data)
{
	View *view = data;
	g_autoptr(GssResource) folder = NULL;
	g_mutex_lock(&cache->lock);
	if (!error && view->folder->resource)
		folder = gss_resource_ref(view->folder->resource);
	g_mutex_unlock(&cache->lock);
	if (folder)
		gss_storage_view(cache->client, folder, cache->stop, on_item, on_viewed, view);
	else
		view_end(view, GSS_VIEW_LATER);
}

static void view_ask(void *data)
{
	View *view = data;
	Cache *cache = view->cache;
	GssViewKind kind = gss_storage_view_kind(cache->client, view->resource);
	bool worth = kind != GSS_VIEW_NO && kind != GSS_VIEW_LATER;
	g_mutex_lock(&cache->lock);
	if (kind == GSS_VIEW_UNKNOWN) { /* one folder is enough to find it out */
		worth = view->proving = !cache->view_proving;
		cache->view_proving = true;
	}
	bool known = worth && cache_folder_describe_locked(cache, view->folder, on_described, view);
	g_mutex_unlock(&cache->lock);
	if (!worth)
		view_end(view, GSS_VIEW_LATER);
	else if (known)
		on_described(cache, NULL, view);
}

static void view_start_locked(Cache *cache, CacheNode *folder, guint witness)
{
	CacheSiblings *siblings = folder->siblings;
	if (!cache_call_begin_locked(cache))
		return;
	const Sibling *sibling = &g_array_index(siblings->all, Sibling, witness);
	View *view = g_new0(View, 1);
	*view = (View){.cache = cache,
	               .folder = cache_node_pin_locked(folder),
	               .serial = siblings->serial,
	               .witness = witness,
	               .resource = gss_resource_ref(sibling->resource)};
	siblings->view = VIEW_ASKED;
	siblings->asking = view;
	siblings->view_asked = g_get_monotonic_time();
	cache_worker_post(cache, view_ask, view);
}

static gboolean on_view_late(void *data)
{
	View *view = data;
	Cache *cache = view->cache;
	g_mutex_lock(&cache->lock);
	GSList *waiting = g_steal_pointer(&view->waiting);
	cache_worker_cancel(&view->timer);
	g_mutex_unlock(&cache->lock);
	cache_calls_run(cache, waiting, NULL);
	return G_SOURCE_REMOVE;
}

bool cache_siblings_await_locked(Cache *cache, CacheNode *folder, const CacheNode *child,
                                 CacheReady ready, void *data)
{
	CacheSiblings *siblings = folder->siblings;
	View *view = siblings ? siblings->asking : NULL;
	gint64 now = g_get_monotonic_time();
	guint index;
	if (!view || child->attr_until > now || child->validate_running || child->opens ||
	    !find(siblings, child->r.name, &index))
		return false;
	gint64 rest = siblings->view_asked + VIEW_WAIT_US - now;
	if (rest <= 0)
		return false;
	if (!view->timer)
		view->timer = cache_worker_after(cache, (guint)(rest / 1000) + 1, on_view_late,
		                                 view, NULL);
	view->waiting = cache_calls_add(view->waiting, ready, data);
	return true;
}

void cache_siblings_apply_locked(Cache *cache, CacheNode *folder, CacheNode *child)
{
	CacheSiblings *siblings = folder->siblings;
	guint index;
	const Sibling *sibling = find(siblings, child->r.name, &index);
	if (!sibling || sibling->size < 0 || sibling->id != child->r.id || cache_node_dirty(child))
		return;
	/* What was proven later, or changed here since, counts more. */
	if (siblings->view_until <= g_get_monotonic_time() ||
	    child->attr_until >= siblings->view_until || child->validate_running ||
	    (child->r.generation && cache->settled_at >= siblings->view_asked))
		return;
	GssVersion version = {.size = sibling->size,
	                      .mtime = siblings->dates ? sibling->mtime : -1};
	/* Whether what is held is its beginning must be asked. */
	if (child->r.blob && !gss_version_equal(&child->r.remote, &version))
		return;
	cache_attr_apply_locked(cache, child, &version, NULL, CACHE_FROM_VIEW);
	child->attr_until = MIN(child->attr_until, siblings->view_until);
	gss_storage_view_believed(cache->client, sibling->resource, &version);
}

bool cache_siblings_want_view_locked(Cache *cache, CacheNode *folder)
{
	const CacheSiblings *siblings = folder->siblings;
	if (!siblings || !siblings->all->len)
		return true;
	const Sibling *sibling = &g_array_index(siblings->all, Sibling, 0);
	GssViewKind kind = gss_storage_view_kind(cache->client, sibling->resource);
	return kind != GSS_VIEW_NO && kind != GSS_VIEW_LATER;
}

void cache_siblings_view_locked(Cache *cache, CacheNode *folder, const char *name)
{
	CacheSiblings *siblings = folder->siblings;
	guint at;
	if (siblings && siblings->view == VIEW_UNTRIED && siblings->files >= VIEW_WORTH &&
	    siblings->shown_until >= g_get_monotonic_time() && find(siblings, name, &at))
		view_start_locked(cache, folder, at);
}

void cache_siblings_ahead_locked(Cache *cache, CacheNode *folder, const char *name)
{
	CacheSiblings *siblings = folder->siblings;
	gint64 now = g_get_monotonic_time();
	guint at;
	if (!siblings || siblings->shown_until < now || !find(siblings, name, &at))
		return;
	siblings->shown_until = now + CACHE_LIST_LEASE_US;
	/* Who goes back far, or on beyond what was asked for, is followed. */
	if (at >= siblings->next || at + 1 + SIBLINGS_AHEAD < siblings->next)
		siblings->next = at + 1;
	siblings->end = MIN(at + 1 + SIBLINGS_AHEAD, siblings->all->len);
	if (siblings->view == VIEW_ASKED && now - siblings->view_asked < VIEW_PATIENCE_US)
		return;
	while (siblings->next < siblings->end &&
	       settled_locked(cache, siblings, siblings->next, now))
		siblings->next++;
	if (siblings->next < siblings->end)
		pump_later_locked(cache, folder);
}
