/* The journal's nodes: one record for each file and folder. */
#include "cache/store-private.h"

#include <errno.h>

void cache_record_clear(CacheRecord *record)
{
	g_free(record->name);
	g_free(record->uri);
	g_free(record->moved_from);
	g_free(record->message);
	g_free(record->conflict);
	g_free(record->remote_hash);
	g_free(record->attempted_hash);
	gss_version_clear(&record->remote);
	cache_leftover_clear(&record->from);
	*record = (CacheRecord)CACHE_RECORD_INIT;
	record->size = -1;
}

void cache_record_copy(CacheRecord *to, const CacheRecord *from)
{
	cache_record_clear(to);
	*to = *from;
	to->name = g_strdup(from->name);
	to->uri = g_strdup(from->uri);
	to->moved_from = g_strdup(from->moved_from);
	to->message = g_strdup(from->message);
	to->conflict = g_strdup(from->conflict);
	to->remote_hash = g_strdup(from->remote_hash);
	to->attempted_hash = g_strdup(from->attempted_hash);
	to->remote = GSS_VERSION_INIT;
	to->from = CACHE_LEFTOVER_INIT;
	gss_version_copy(&to->remote, &from->remote);
	cache_leftover_copy(&to->from, &from->from);
}

static void bind_record(sqlite3_stmt *stmt, const CacheRecord *record)
{
	sqlite3_bind_int64(stmt, 2, record->parent);
	cache_sql_bind_text(stmt, 3, record->name);
	sqlite3_bind_int(stmt, 4, record->folder);
	sqlite3_bind_int(stmt, 5, record->mode);
	sqlite3_bind_int64(stmt, 6, record->atime);
	sqlite3_bind_int64(stmt, 7, record->mtime);
	sqlite3_bind_int64(stmt, 8, record->ctime);
	sqlite3_bind_int64(stmt, 9, record->size);
	cache_sql_bind_text(stmt, 10, record->uri);
	cache_sql_bind_version(stmt, 11, &record->remote);
	cache_sql_bind_text(stmt, 14, record->moved_from);
	cache_sql_bind_version(stmt, 15, &record->from.version);
	sqlite3_bind_int64(stmt, 18, record->generation);
	sqlite3_bind_int64(stmt, 19, record->published);
	sqlite3_bind_int64(stmt, 20, record->blob);
	sqlite3_bind_int(stmt, 21, record->torn);
	sqlite3_bind_int64(stmt, 22, record->attempted);
	sqlite3_bind_int(stmt, 23, record->listed);
	sqlite3_bind_int(stmt, 24, record->state);
	sqlite3_bind_int(stmt, 25, record->error);
	cache_sql_bind_text(stmt, 26, record->message);
	cache_sql_bind_text(stmt, 27, record->conflict);
	cache_sql_bind_text(stmt, 28, record->remote_hash);
	cache_sql_bind_text(stmt, 29, record->attempted_hash);
	sqlite3_bind_int64(stmt, 30, record->from.attempted);
	cache_sql_bind_text(stmt, 31, record->from.hash);
	cache_sql_bind_text(stmt, 32, record->from.attempted_hash);
}

static void column_record(sqlite3_stmt *stmt, CacheRecord *ret)
{
	ret->id = sqlite3_column_int64(stmt, 0);
	ret->parent = sqlite3_column_int64(stmt, 1);
	ret->name = cache_sql_column_text(stmt, 2);
	ret->folder = sqlite3_column_int(stmt, 3);
	ret->mode = sqlite3_column_int(stmt, 4);
	ret->atime = sqlite3_column_int64(stmt, 5);
	ret->mtime = sqlite3_column_int64(stmt, 6);
	ret->ctime = sqlite3_column_int64(stmt, 7);
	ret->size = sqlite3_column_int64(stmt, 8);
	ret->uri = cache_sql_column_text(stmt, 9);
	cache_sql_column_version(stmt, 10, &ret->remote);
	ret->moved_from = cache_sql_column_text(stmt, 13);
	cache_sql_column_version(stmt, 14, &ret->from.version);
	ret->generation = sqlite3_column_int64(stmt, 17);
	ret->published = sqlite3_column_int64(stmt, 18);
	ret->blob = sqlite3_column_int64(stmt, 19);
	ret->torn = sqlite3_column_int(stmt, 20);
	ret->attempted = sqlite3_column_int64(stmt, 21);
	ret->listed = sqlite3_column_int(stmt, 22);
	ret->state = sqlite3_column_int(stmt, 23);
	ret->error = sqlite3_column_int(stmt, 24);
	ret->message = cache_sql_column_text(stmt, 25);
	ret->conflict = cache_sql_column_text(stmt, 26);
	ret->remote_hash = cache_sql_column_text(stmt, 27);
	ret->attempted_hash = cache_sql_column_text(stmt, 28);
	ret->from.attempted = sqlite3_column_int64(stmt, 29);
	ret->from.hash = cache_sql_column_text(stmt, 30);
	ret->from.attempted_hash = cache_sql_column_text(stmt, 31);
}

bool cache_store_insert(CacheStore *store, CacheRecord *record, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = cache_sql_statement(store, CACHE_SQL_INSERT_NODE);
	bind_record(stmt, record);
	bool ok = cache_sql_run(store, stmt, error);
	if (ok)
		record->id = sqlite3_last_insert_rowid(store->db);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_restore(CacheStore *store, const CacheRecord *record, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = cache_sql_statement(store, CACHE_SQL_INSERT_NODE);
	sqlite3_bind_int64(stmt, 1, record->id);
	bind_record(stmt, record);
	bool ok = cache_sql_run(store, stmt, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_update(CacheStore *store, const CacheRecord *record, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = cache_sql_statement(store, CACHE_SQL_UPDATE_NODE);
	sqlite3_bind_int64(stmt, 1, record->id);
	bind_record(stmt, record);
	bool ok = cache_sql_run(store, stmt, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_remove(CacheStore *store, CacheId id, GError **error)
{
	return cache_sql_run_with(store, CACHE_SQL_REMOVE_NODE, id, 0, error);
}

/* Steps a query of which one row is wanted; ENOENT for none. */
static bool fetch_record(CacheStore *store, sqlite3_stmt *stmt, CacheRecord *ret, GError **error)
{
	int result = sqlite3_step(stmt);
	bool ok = result == SQLITE_ROW;
	if (ok)
		column_record(stmt, ret);
	else if (result == SQLITE_DONE)
		g_set_error(error, CACHE_ERROR, ENOENT, "no such file or folder");
	else
		cache_sql_fail(store->db, error);
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return ok;
}

bool cache_store_load(CacheStore *store, CacheId id, CacheRecord *ret, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = cache_sql_statement(store, CACHE_SQL_LOAD_NODE);
	sqlite3_bind_int64(stmt, 1, id);
	bool ok = fetch_record(store, stmt, ret, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_find(CacheStore *store, gint64 parent, const char *name, CacheRecord *ret,
                      GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = cache_sql_statement(store, CACHE_SQL_FIND_NODE);
	sqlite3_bind_int64(stmt, 1, parent);
	cache_sql_bind_text(stmt, 2, name);
	bool ok = fetch_record(store, stmt, ret, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_find_uri(CacheStore *store, const char *uri, CacheRecord *ret, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = cache_sql_statement(store, CACHE_SQL_FIND_URI);
	cache_sql_bind_text(stmt, 1, uri);
	bool ok = fetch_record(store, stmt, ret, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

static bool each_record(CacheStore *store, sqlite3_stmt *stmt, CacheRecordFunc func, void *data,
                        GError **error)
{
	int result;
	bool more = true;
	while (more && (result = sqlite3_step(stmt)) == SQLITE_ROW) {
		CacheRecord record = CACHE_RECORD_INIT;
		column_record(stmt, &record);
		more = func(&record, data);
		cache_record_clear(&record);
	}
	bool ok = !more || result == SQLITE_DONE || cache_sql_fail(store->db, error);
	sqlite3_reset(stmt);
	return ok;
}

bool cache_store_children(CacheStore *store, gint64 parent, CacheRecordFunc func, void *data,
                          GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt =
		cache_sql_statement(store, parent < 0 ? CACHE_SQL_NAMELESS : CACHE_SQL_CHILDREN);
	sqlite3_bind_int64(stmt, 1, parent);
	bool ok = each_record(store, stmt, func, data, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_dirty(CacheStore *store, CacheRecordFunc func, void *data, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	bool ok =
		each_record(store, cache_sql_statement(store, CACHE_SQL_DIRTY), func, data, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_conflicts(CacheStore *store, CacheRecordFunc func, void *data, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	bool ok = each_record(store, cache_sql_statement(store, CACHE_SQL_CONFLICTS), func, data,
	                      error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}
