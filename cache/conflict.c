/* Conflict copies, and what of contents is remembered to know one version from another. */
#include "cache/conflict.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cache/crash.h"
#include "cache/private.h"
#include "cache/sum.h"
#include "cache/upload.h"
#include "gss/uri.h"

#define MARK ".conflict-"
#define USER_MAX 32
#define NUMBER_MAX 1000

char *cache_conflict_name(const char *name, const char *user, gint64 when, guint number)
{
	g_autofree char *who = g_strndup(user && *user ? user : "somebody", USER_MAX);
	g_strcanon(who, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._-", '_');
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(when);
	g_autofree char *date = time ? g_date_time_format(time, "%Y%m%dT%H%M%S") : NULL;
	g_autoptr(GString) tail = g_string_new(MARK);
	g_string_append_printf(tail, "%s-%s", who, date ? date : "0");
	if (number > 1)
		g_string_append_printf(tail, "-%u", number);
	gsize keep = MIN(strlen(name), GSS_NAME_MAX - tail->len);
	/* Never a part of a character. */
	while (keep > 0 && ((guchar)name[keep] & 0xc0) == 0x80)
		keep--;
	return g_strdup_printf("%.*s%s", (int)keep, name, tail->str);
}

void cache_conflict_note_base_locked(CacheNode *node)
{
	CacheRecord *r = &node->r;
	/* Where there are validators they tell versions apart, and cost nothing. */
	if (r->remote_hash || !r->uri || cache_node_dirty(node) || r->remote.size < 0 ||
	    r->remote.size > CACHE_COMPARE_BYTES || r->remote.mtime >= 0 || r->remote.etag ||
	    !node->content || !cache_content_whole(node->content, r->remote.size))
		return;
	r->remote_hash = cache_sum_blob(node->content->fd, r->remote.size, NULL);
}

/* A name that is free here; whether it is on GSS as well shows when it is sent. */
static char *free_name(Cache *cache, const CacheRecord *r, GError **error)
{
	g_autofree char *stem = g_strdup(r->name);
	/* A conflict copy whose name is taken on GSS is still one of the same file. */
	char *mark = r->conflict ? g_strrstr(stem, MARK) : NULL;
	if (mark && mark != stem)
		*mark = '\0';
	gint64 now = g_get_real_time() / G_USEC_PER_SEC;
	const char *user = *cache->user ? cache->user : g_get_user_name();
	for (guint number = 1; number < NUMBER_MAX; number++) {
		g_autofree char *name = cache_conflict_name(stem, user, now, number);
		g_auto(CacheRecord) taken = CACHE_RECORD_INIT;
		g_autoptr(GError) none = NULL;
		if (g_str_equal(name, r->name) ||
		    cache_store_find(cache->store, r->parent, name, &taken, &none))
			continue;
		if (none->code == ENOENT)
			return g_steal_pointer(&name);
		g_propagate_error(error, g_steal_pointer(&none));
		return NULL;
	}
	g_set_error(error, CACHE_ERROR, EAGAIN, "%s: no name is free for a conflict copy", r->name);
	return NULL;
}

static char *describe(const Cache *cache, const CacheJob *job, const char *name)
{
	const GssVersion *version = &job->result;
	g_autoptr(GString) theirs = g_string_new(NULL);
	if (gss_resource_type(job->resource) == GSS_TYPE_FOLDER)
		g_string_append(theirs, "a folder");
	else
		g_string_append_printf(theirs, "%" G_GINT64_FORMAT " bytes", version->size);
	g_autoptr(GDateTime) time =
		version->mtime >= 0 ? g_date_time_new_from_unix_utc(version->mtime / 1000000000)
				    : NULL;
	g_autofree char *date = time ? g_date_time_format(time, "%Y-%m-%d %H:%M:%S UTC") : NULL;
	if (date)
		g_string_append_printf(theirs, " of %s", date);
	return g_strdup_printf("%s: somebody else %s it on GSS (%s) after the edit by %s had "
	                       "begun: theirs has the name, this is ours",
	                       name, job->base.size >= 0 ? "changed" : "made", theirs->str,
	                       *cache->user ? cache->user : g_get_user_name());
}

/* The record of what has our name on GSS. */
static void describe_theirs(const Cache *cache, const CacheJob *job, const CacheRecord *ours,
                            CacheRecord *ret)
{
	bool folder = gss_resource_type(job->resource) == GSS_TYPE_FOLDER;
	const char *uri = gss_resource_uri(job->resource);
	cache_record_init(ret, ours->parent, ours->name, folder,
	                  folder ? cache->folder_mode : cache->file_mode);
	ret->uri = g_strdup(uri ? uri : job->address);
	if (folder)
		return;
	ret->size = job->result.size;
	gss_version_copy(&ret->remote, &job->result);
	if (job->result.mtime >= 0)
		ret->mtime = ret->ctime = job->result.mtime;
}

/* What the new record or the old one has for itself. */
static void release(CacheRecord *record, bool moved)
{
	g_free(record->name);
	g_free(record->conflict);
	g_free(record->uri);
	g_free(record->remote_hash);
	g_free(record->attempted_hash);
	g_free(record->message);
	gss_version_clear(&record->remote);
	if (moved) {
		g_free(record->moved_from);
		cache_leftover_clear(&record->from);
	}
}

bool cache_conflict_part_locked(Cache *cache, CacheJob *job, GError **error)
{
	CacheNode *node = job->node;
	CacheRecord *r = &node->r, before = *r;
	g_autofree char *name = free_name(cache, r, error);
	if (!name || !cache_store_begin(cache->store, error))
		return false;
	g_auto(CacheRecord) theirs = CACHE_RECORD_INIT;
	describe_theirs(cache, job, r, &theirs);
	/* What a rename was to remove is theirs by now: it stays. */
	bool back = r->moved_from && g_str_equal(r->moved_from, theirs.uri);
	r->name = g_strdup(name);
	r->conflict = describe(cache, job, before.name);
	r->uri = r->remote_hash = r->attempted_hash = r->message = NULL;
	r->remote = GSS_VERSION_INIT;
	r->attempted = 0;
	r->state = CACHE_STATE_DIRTY;
	r->error = 0;
	if (back) {
		r->moved_from = NULL;
		r->from = CACHE_LEFTOVER_INIT;
	}
	CACHE_CRASH_POINT("conflict.parting");
	bool ok = cache_node_save_locked(cache, node, error) &&
	          cache_store_insert(cache->store, &theirs, error);
	ok = cache_store_end(cache->store, ok, ok ? error : NULL) && ok;
	release(ok ? &before : r, back);
	if (!ok) {
		*r = before;
		return false;
	}
	if (back)
		g_hash_table_remove(cache->hidden, theirs.uri);
	CACHE_CRASH_POINT("conflict.parted");
	g_warning("%s; it is uploaded as %s", r->conflict, r->name);
	cache_node_set_resource(node, NULL);
	node->aborts = node->tries = 0;
	CacheId parent = r->parent;
	CacheNode *folder = g_hash_table_lookup(cache->nodes, &parent);
	if (folder) {
		cache_folder_touch_locked(folder, job->name);
		cache_folder_touch_locked(folder, r->name);
	}
	return true;
}
