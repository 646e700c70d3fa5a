/* The journal's removals: deletions that are still to be made. */
#include "cache/store-private.h"

void cache_leftover_clear(CacheLeftover *left)
{
	gss_version_clear(&left->version);
	g_free(left->hash);
	g_free(left->attempted_hash);
	*left = CACHE_LEFTOVER_INIT;
}

void cache_leftover_copy(CacheLeftover *to, const CacheLeftover *from)
{
	CacheLeftover copy = CACHE_LEFTOVER_INIT;
	gss_version_copy(&copy.version, &from->version);
	copy.hash = g_strdup(from->hash);
	copy.attempted = from->attempted;
	copy.attempted_hash = g_strdup(from->attempted_hash);
	cache_leftover_clear(to);
	*to = copy;
}

void cache_removal_clear(CacheRemoval *removal)
{
	g_clear_pointer(&removal->uri, g_free);
	g_clear_pointer(&removal->message, g_free);
	cache_leftover_clear(&removal->left);
}

static void removal_free(void *removal)
{
	cache_removal_clear(removal);
	g_free(removal);
}

bool cache_store_insert_removal(CacheStore *store, const char *uri, const CacheLeftover *left,
                                gint64 until, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = cache_sql_statement(store, CACHE_SQL_INSERT_REMOVAL);
	cache_sql_bind_text(stmt, 1, uri);
	cache_sql_bind_version(stmt, 2, &left->version);
	sqlite3_bind_int64(stmt, 5, left->attempted);
	cache_sql_bind_text(stmt, 6, left->hash);
	cache_sql_bind_text(stmt, 7, left->attempted_hash);
	sqlite3_bind_int64(stmt, 8, until);
	bool ok = cache_sql_run(store, stmt, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_park_removal(CacheStore *store, gint64 id, int code, const char *message,
                              GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = cache_sql_statement(store, CACHE_SQL_PARK_REMOVAL);
	sqlite3_bind_int64(stmt, 1, id);
	sqlite3_bind_int(stmt, 2, code);
	cache_sql_bind_text(stmt, 3, message);
	bool ok = cache_sql_run(store, stmt, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_remove_removal(CacheStore *store, gint64 id, GError **error)
{
	return cache_sql_run_with(store, CACHE_SQL_REMOVE_REMOVAL, id, 0, error);
}

GPtrArray *cache_store_removals(CacheStore *store, gint64 after, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	g_autoptr(GPtrArray) removals = g_ptr_array_new_with_free_func(removal_free);
	sqlite3_stmt *stmt = cache_sql_statement(store, CACHE_SQL_REMOVALS);
	sqlite3_bind_int64(stmt, 1, after);
	int result;
	while ((result = sqlite3_step(stmt)) == SQLITE_ROW) {
		CacheRemoval *removal = g_new0(CacheRemoval, 1);
		removal->id = sqlite3_column_int64(stmt, 0);
		removal->uri = cache_sql_column_text(stmt, 1);
		cache_sql_column_version(stmt, 2, &removal->left.version);
		removal->left.attempted = sqlite3_column_int64(stmt, 5);
		removal->until = sqlite3_column_int64(stmt, 6);
		removal->error = sqlite3_column_int(stmt, 7);
		removal->message = cache_sql_column_text(stmt, 8);
		removal->left.hash = cache_sql_column_text(stmt, 9);
		removal->left.attempted_hash = cache_sql_column_text(stmt, 10);
		g_ptr_array_add(removals, removal);
	}
	bool ok = result == SQLITE_DONE || cache_sql_fail(store->db, error);
	sqlite3_reset(stmt);
	g_rec_mutex_unlock(&store->lock);
	return ok ? g_steal_pointer(&removals) : NULL;
}
