/* The journal's blobs, the extents that they hold, and the generations that are sealed in them. */
#include "cache/store-private.h"

#include <errno.h>

CacheBlobId cache_store_insert_blob(CacheStore *store, CacheId node, const char *boot_id,
                                    GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = cache_sql_statement(store, CACHE_SQL_INSERT_BLOB);
	sqlite3_bind_int64(stmt, 1, node);
	cache_sql_bind_text(stmt, 2, boot_id);
	CacheBlobId id =
		cache_sql_run(store, stmt, error) ? sqlite3_last_insert_rowid(store->db) : 0;
	g_rec_mutex_unlock(&store->lock);
	return id;
}

bool cache_store_restore_blob(CacheStore *store, CacheBlobId id, CacheId node, const char *boot_id,
                              bool durable, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = cache_sql_statement(store, CACHE_SQL_RESTORE_BLOB);
	sqlite3_bind_int64(stmt, 1, id);
	sqlite3_bind_int64(stmt, 2, node);
	cache_sql_bind_text(stmt, 3, boot_id);
	sqlite3_bind_int(stmt, 4, durable);
	bool ok = cache_sql_run(store, stmt, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_mark_blob(CacheStore *store, CacheBlobId id, const char *boot_id, bool durable,
                           GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = cache_sql_statement(store, CACHE_SQL_MARK_BLOB);
	sqlite3_bind_int64(stmt, 1, id);
	cache_sql_bind_text(stmt, 2, boot_id);
	sqlite3_bind_int(stmt, 3, durable);
	bool ok = cache_sql_run(store, stmt, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

/* The outputs may be NULL. */
static bool blob_info(CacheStore *store, CacheBlobId id, char **ret_boot_id, bool *ret_durable,
                      CacheId *ret_node, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = cache_sql_statement(store, CACHE_SQL_BLOB_INFO);
	sqlite3_bind_int64(stmt, 1, id);
	int result = sqlite3_step(stmt);
	bool ok = result == SQLITE_ROW;
	if (ok && ret_boot_id)
		*ret_boot_id = cache_sql_column_text(stmt, 0);
	if (ok && ret_durable)
		*ret_durable = sqlite3_column_int(stmt, 1);
	if (ok && ret_node)
		*ret_node = sqlite3_column_int64(stmt, 2);
	if (result == SQLITE_DONE)
		g_set_error(error, CACHE_ERROR, ENOENT, "journal: no such blob");
	else if (!ok)
		cache_sql_fail(store->db, error);
	sqlite3_reset(stmt);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_blob_info(CacheStore *store, CacheBlobId id, char **ret_boot_id, bool *ret_durable,
                           GError **error)
{
	return blob_info(store, id, ret_boot_id, ret_durable, NULL, error);
}

CacheId cache_store_blob_node(CacheStore *store, CacheBlobId id, GError **error)
{
	CacheId node = 0;
	return blob_info(store, id, NULL, NULL, &node, error) ? node : 0;
}

bool cache_store_disown_blob(CacheStore *store, CacheBlobId id, GError **error)
{
	return cache_sql_run_with(store, CACHE_SQL_CLEAR_EXTENTS, id, 0, error) &&
	       cache_sql_run_with(store, CACHE_SQL_GIVE_UP_GENERATIONS, id, 0, error) &&
	       cache_sql_run_with(store, CACHE_SQL_GIVE_UP_BLOB, id, 0, error);
}

bool cache_store_give_up_blob(CacheStore *store, CacheBlobId id, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	bool ok = cache_store_disown_blob(store, id, error);
	if (ok)
		g_array_append_val(store->given_up, id);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_remove_blob(CacheStore *store, CacheBlobId id, GError **error)
{
	return cache_sql_run_with(store, CACHE_SQL_CLEAR_EXTENTS, id, 0, error) &&
	       cache_sql_run_with(store, CACHE_SQL_REMOVE_BLOB, id, 0, error);
}

static GArray *list_blobs(CacheStore *store, CacheStatement which, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(CacheBlobId));
	sqlite3_stmt *stmt = cache_sql_statement(store, which);
	int result;
	while ((result = sqlite3_step(stmt)) == SQLITE_ROW) {
		CacheBlobId id = sqlite3_column_int64(stmt, 0);
		g_array_append_val(ids, id);
	}
	bool ok = result == SQLITE_DONE || cache_sql_fail(store->db, error);
	sqlite3_reset(stmt);
	g_rec_mutex_unlock(&store->lock);
	return ok ? g_steal_pointer(&ids) : NULL;
}

GArray *cache_store_blobs(CacheStore *store, GError **error)
{
	return list_blobs(store, CACHE_SQL_BLOBS, error);
}

GArray *cache_store_orphans(CacheStore *store, GError **error)
{
	return list_blobs(store, CACHE_SQL_ORPHANS, error);
}

bool cache_store_clean_blobs(CacheStore *store, CacheBlobFunc func, void *data, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = cache_sql_statement(store, CACHE_SQL_CLEAN_BLOBS);
	int result;
	bool more = true;
	while (more && (result = sqlite3_step(stmt)) == SQLITE_ROW)
		more = func(sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1), data);
	bool ok = !more || result == SQLITE_DONE || cache_sql_fail(store->db, error);
	sqlite3_reset(stmt);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_save_extents(CacheStore *store, CacheBlobId id, const CacheExtents *extents,
                              GError **error)
{
	g_rec_mutex_lock(&store->lock);
	bool ok = cache_sql_run_with(store, CACHE_SQL_CLEAR_EXTENTS, id, 0, error);
	for (guint i = 0; ok && i < cache_extents_count(extents); i++) {
		CacheExtent extent = cache_extents_get(extents, i);
		sqlite3_stmt *stmt = cache_sql_statement(store, CACHE_SQL_ADD_EXTENT);
		sqlite3_bind_int64(stmt, 1, id);
		sqlite3_bind_int64(stmt, 2, extent.start);
		sqlite3_bind_int64(stmt, 3, extent.end);
		ok = cache_sql_run(store, stmt, error);
	}
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_load_extents(CacheStore *store, CacheBlobId id, CacheExtents *extents,
                              GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = cache_sql_statement(store, CACHE_SQL_EXTENTS);
	sqlite3_bind_int64(stmt, 1, id);
	int result;
	while ((result = sqlite3_step(stmt)) == SQLITE_ROW)
		cache_extents_add(extents, sqlite3_column_int64(stmt, 0),
		                  sqlite3_column_int64(stmt, 1));
	bool ok = result == SQLITE_DONE || cache_sql_fail(store->db, error);
	sqlite3_reset(stmt);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_insert_generation(CacheStore *store, const CacheGeneration *generation,
                                   GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = cache_sql_statement(store, CACHE_SQL_INSERT_GENERATION);
	sqlite3_bind_int64(stmt, 1, generation->node);
	sqlite3_bind_int64(stmt, 2, generation->number);
	sqlite3_bind_int64(stmt, 3, generation->blob);
	sqlite3_bind_int64(stmt, 4, generation->size);
	bool ok = cache_sql_run(store, stmt, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

static bool find_generation(CacheStore *store, CacheStatement which, CacheId node,
                            CacheGeneration *ret, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = cache_sql_statement(store, which);
	sqlite3_bind_int64(stmt, 1, node);
	int result = sqlite3_step(stmt);
	bool ok = result == SQLITE_ROW;
	if (ok)
		*ret = (CacheGeneration){.node = node,
		                         .number = sqlite3_column_int64(stmt, 0),
		                         .blob = sqlite3_column_int64(stmt, 1),
		                         .size = sqlite3_column_int64(stmt, 2)};
	else if (result == SQLITE_DONE)
		g_set_error(error, CACHE_ERROR, ENOENT, "journal: no sealed generation");
	else
		cache_sql_fail(store->db, error);
	sqlite3_reset(stmt);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_oldest_generation(CacheStore *store, CacheId node, CacheGeneration *ret,
                                   GError **error)
{
	return find_generation(store, CACHE_SQL_OLDEST_GENERATION, node, ret, error);
}

bool cache_store_find_generation(CacheStore *store, CacheId node, CacheGeneration *ret,
                                 GError **error)
{
	return find_generation(store, CACHE_SQL_FIND_GENERATION, node, ret, error);
}

bool cache_store_remove_generations(CacheStore *store, CacheId node, guint64 up_to, GError **error)
{
	return cache_sql_run_with(store, CACHE_SQL_REMOVE_GENERATIONS, node, up_to, error);
}
