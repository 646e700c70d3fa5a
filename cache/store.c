/* The journal: its connections, its transactions, its meta data. */
#include "cache/store-private.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define LOG_PAGES_MAX 4096 /* beyond it the log is folded in whole, to begin anew */

bool cache_sql_fail(sqlite3 *db, GError **error)
{
	int errnum = EIO;
	switch (sqlite3_errcode(db)) {
	case SQLITE_FULL:
		errnum = ENOSPC;
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		errnum = EUCLEAN;
		break;
	case SQLITE_CONSTRAINT:
		errnum = EEXIST;
		break;
	case SQLITE_NOMEM:
		errnum = ENOMEM;
		break;
	default:
		break;
	}
	g_set_error(error, CACHE_ERROR, errnum, "journal: %s", sqlite3_errmsg(db));
	return false;
}

bool cache_sql_execute(sqlite3 *db, const char *sql, GError **error)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK || cache_sql_fail(db, error);
}

sqlite3_stmt *cache_sql_statement(CacheStore *store, CacheStatement which)
{
	return store->prepared[which];
}

void cache_store_set_room(CacheStore *store, CacheStoreRoom room, void *data)
{
	store->room = room;
	store->room_data = data;
}

void cache_store_set_given_up(CacheStore *store, CacheStoreGivenUp given_up, void *data)
{
	store->on_given_up = given_up;
	store->given_up_data = data;
}

static bool make_room(CacheStore *store, bool full)
{
	return store->room && store->room(store->room_data, full);
}

/* Runs a statement that gives no rows, and makes it ready for the next time. */
bool cache_sql_run(CacheStore *store, sqlite3_stmt *stmt, GError **error)
{
	bool alone = sqlite3_get_autocommit(store->db);
	int result = sqlite3_step(stmt);
	/* A transaction is lost as a whole: the room is for its next try. */
	if (result == SQLITE_FULL && make_room(store, true) && alone) {
		sqlite3_reset(stmt);
		result = sqlite3_step(stmt);
	}
	bool ok = result == SQLITE_DONE || result == SQLITE_ROW || cache_sql_fail(store->db, error);
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	if (ok && sqlite3_get_autocommit(store->db) && !sqlite3_stmt_readonly(stmt))
		CACHE_CRASH_POINT("store.changed");
	return ok;
}

/* Binds up to two integers and runs. */
bool cache_sql_run_with(CacheStore *store, CacheStatement which, gint64 first, gint64 second,
                        GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = cache_sql_statement(store, which);
	sqlite3_bind_int64(stmt, 1, first);
	if (sqlite3_bind_parameter_count(stmt) > 1)
		sqlite3_bind_int64(stmt, 2, second);
	bool ok = cache_sql_run(store, stmt, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

static sqlite3 *connect_to(const char *path, GError **error)
{
	sqlite3 *db = NULL;
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW |
	            SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
	/* The folder is locked, nobody else opens the journal: "unix-excl" takes its file lock once
	 * and keeps the log's index in memory, where the default asks the kernel twelve times a
	 * transaction. Both of our connections share it. */
	if (sqlite3_open_v2(path, &db, flags, "unix-excl") != SQLITE_OK) {
		cache_sql_fail(db, error);
	} else {
		sqlite3_busy_timeout(db, 10000);
		if (cache_sql_execute(db,
		                      "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
		                      "PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY;"
		                      "PRAGMA journal_size_limit = 16777216;",
		                      error))
			return db;
	}
	sqlite3_close(db);
	return NULL;
}

static bool check(sqlite3 *db, GError **error)
{
	sqlite3_stmt *stmt = NULL;
	bool ok = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &stmt, NULL) == SQLITE_OK &&
	          sqlite3_step(stmt) == SQLITE_ROW;
	if (!ok)
		cache_sql_fail(db, error);
	else if (g_strcmp0((const char *)sqlite3_column_text(stmt, 0), "ok") != 0) {
		g_set_error(error, CACHE_ERROR, EUCLEAN, "journal: damaged: %s",
		            sqlite3_column_text(stmt, 0));
		ok = false;
	}
	sqlite3_finalize(stmt);
	return ok;
}

static int on_commit(void *data, sqlite3 *db, const char *name, int pages)
{
	CacheStore *store = data;
	g_atomic_int_set(&store->log_pages, pages);
	return SQLITE_OK;
}

static CacheStore *store_new(void)
{
	CacheStore *store = g_new0(CacheStore, 1);
	g_rec_mutex_init(&store->lock);
	g_mutex_init(&store->checkpoint_lock);
	store->given_up = g_array_new(FALSE, FALSE, sizeof(CacheBlobId));
	store->gone = g_array_new(FALSE, FALSE, sizeof(CacheBlobId));
	return store;
}

static bool prepare(CacheStore *store, GError **error)
{
	for (int i = 0; i < CACHE_SQL_COUNT; i++)
		if (sqlite3_prepare_v3(store->db, cache_schema_statement(i), -1,
		                       SQLITE_PREPARE_PERSISTENT, &store->prepared[i],
		                       NULL) != SQLITE_OK)
			return cache_sql_fail(store->db, error);
	return true;
}

CacheStore *cache_store_open(const char *path, GError **error)
{
	g_autoptr(CacheStore) store = store_new();
	store->db = connect_to(path, error);
	if (!store->db || !check(store->db, error) || !cache_schema_migrate(store->db, error))
		return NULL;
	sqlite3_wal_hook(store->db, on_commit, store);
	store->checkpointer = connect_to(path, error);
	if (!store->checkpointer || !prepare(store, error))
		return NULL;
	return g_steal_pointer(&store);
}

CacheStore *cache_store_open_damaged(const char *path)
{
	g_autoptr(CacheStore) store = store_new();
	int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX |
	            SQLITE_OPEN_PRIVATECACHE;
	if (sqlite3_open_v2(path, &store->db, flags, "unix-excl") != SQLITE_OK ||
	    !cache_schema_is_current(store->db) || !prepare(store, NULL))
		return NULL;
	return g_steal_pointer(&store);
}

void cache_store_close(CacheStore *store)
{
	for (int i = 0; i < CACHE_SQL_COUNT; i++)
		sqlite3_finalize(store->prepared[i]);
	sqlite3_close(store->checkpointer);
	sqlite3_close(store->db);
	g_array_unref(store->given_up);
	g_array_unref(store->gone);
	g_mutex_clear(&store->checkpoint_lock);
	g_rec_mutex_clear(&store->lock);
	g_free(store);
}

bool cache_store_log_is_long(CacheStore *store)
{
	return g_atomic_int_get(&store->log_pages) > LOG_PAGES_MAX;
}

bool cache_store_checkpoint(CacheStore *store, GError **error)
{
	g_mutex_lock(&store->checkpoint_lock);
	int result = sqlite3_wal_checkpoint_v2(store->checkpointer, NULL, SQLITE_CHECKPOINT_PASSIVE,
	                                       NULL, NULL);
	if (result == SQLITE_FULL && make_room(store, true))
		result = sqlite3_wal_checkpoint_v2(store->checkpointer, NULL,
		                                   SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	if (result == SQLITE_OK && cache_store_log_is_long(store)) {
		/* Who writes without a pause never lets the log come to an end, and begin anew: the
		 * little that came meanwhile is folded in while nobody writes. */
		g_rec_mutex_lock(&store->lock);
		result = sqlite3_wal_checkpoint_v2(store->checkpointer, NULL,
		                                   SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
		g_atomic_int_set(&store->log_pages, 0);
		g_rec_mutex_unlock(&store->lock);
	}
	bool ok = result == SQLITE_OK || cache_sql_fail(store->checkpointer, error);
	CACHE_CRASH_POINT("store.checkpointed");
	g_mutex_unlock(&store->checkpoint_lock);
	return ok;
}

bool cache_store_sync(CacheStore *store, GError **error)
{
	const char *path = sqlite3_filename_wal(sqlite3_db_filename(store->db, "main"));
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), errnum = 0;
	if (fd < 0 || fdatasync(fd) < 0)
		errnum = errno;
	if (fd >= 0)
		close(fd);
	if (errnum)
		g_set_error(error, CACHE_ERROR, errnum, "cannot bring the journal to the disk: %s",
		            g_strerror(errnum));
	CACHE_CRASH_POINT("store.synced");
	return !errnum;
}

bool cache_store_begin(CacheStore *store, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	make_room(store, false);
	if (cache_sql_run(store, cache_sql_statement(store, CACHE_SQL_BEGIN), error))
		return true;
	g_rec_mutex_unlock(&store->lock);
	return false;
}

/* The rows of blobs whose files are gone, which need no transaction of their own. */
static bool forget_gone(CacheStore *store, GError **error)
{
	bool ok = true;
	for (guint i = 0; ok && i < store->gone->len; i++)
		ok = cache_sql_run_with(store, CACHE_SQL_REMOVE_BLOB,
		                        g_array_index(store->gone, CacheBlobId, i), 0, error);
	return ok;
}

/* To be called with the lock, which it gives back. */
static void end_given_up(CacheStore *store, bool committed)
{
	g_autoptr(GArray) given_up = NULL;
	if (store->given_up->len) {
		given_up = store->given_up;
		store->given_up = g_array_new(FALSE, FALSE, sizeof(CacheBlobId));
	}
	g_rec_mutex_unlock(&store->lock);
	for (guint i = 0; committed && given_up && store->on_given_up && i < given_up->len; i++) {
		CacheBlobId id = g_array_index(given_up, CacheBlobId, i);
		if (!store->on_given_up(id, store->given_up_data))
			continue;
		g_rec_mutex_lock(&store->lock);
		g_array_append_val(store->gone, id);
		g_rec_mutex_unlock(&store->lock);
	}
}

bool cache_store_end(CacheStore *store, bool commit, GError **error)
{
	if (commit)
		CACHE_CRASH_POINT("store.ending");
	bool ok = !commit ||
	          (forget_gone(store, error) &&
	           cache_sql_run(store, cache_sql_statement(store, CACHE_SQL_COMMIT), error));
	if (commit && ok) {
		CACHE_CRASH_POINT("store.committed");
		g_array_set_size(store->gone, 0);
	}
	/* A full disk may have rolled back already; then ROLLBACK has nothing to do. */
	if ((!commit || !ok) && !sqlite3_get_autocommit(store->db))
		cache_sql_run(store, cache_sql_statement(store, CACHE_SQL_ROLLBACK), NULL);
	end_given_up(store, commit && ok);
	return ok;
}

void cache_sql_bind_text(sqlite3_stmt *stmt, int index, const char *text)
{
	if (text)
		sqlite3_bind_text(stmt, index, text, -1, SQLITE_STATIC);
	else
		sqlite3_bind_null(stmt, index);
}

void cache_sql_bind_version(sqlite3_stmt *stmt, int index, const GssVersion *version)
{
	sqlite3_bind_int64(stmt, index, version->size);
	sqlite3_bind_int64(stmt, index + 1, version->mtime);
	cache_sql_bind_text(stmt, index + 2, version->etag);
}

char *cache_sql_column_text(sqlite3_stmt *stmt, int index)
{
	return g_strdup((const char *)sqlite3_column_text(stmt, index));
}

void cache_sql_column_version(sqlite3_stmt *stmt, int index, GssVersion *ret)
{
	ret->size = sqlite3_column_int64(stmt, index);
	ret->mtime = sqlite3_column_int64(stmt, index + 1);
	ret->etag = cache_sql_column_text(stmt, index + 2);
}

char *cache_store_get_meta(CacheStore *store, const char *key, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = cache_sql_statement(store, CACHE_SQL_GET_META);
	cache_sql_bind_text(stmt, 1, key);
	char *value = NULL;
	int result = sqlite3_step(stmt);
	if (result == SQLITE_ROW)
		value = cache_sql_column_text(stmt, 0);
	else if (result != SQLITE_DONE)
		cache_sql_fail(store->db, error);
	sqlite3_reset(stmt);
	g_rec_mutex_unlock(&store->lock);
	return value;
}

bool cache_store_set_meta(CacheStore *store, const char *key, const char *value, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = cache_sql_statement(store, CACHE_SQL_SET_META);
	cache_sql_bind_text(stmt, 1, key);
	cache_sql_bind_text(stmt, 2, value);
	bool ok = cache_sql_run(store, stmt, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_remove_meta(CacheStore *store, const char *key, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = cache_sql_statement(store, CACHE_SQL_REMOVE_META);
	cache_sql_bind_text(stmt, 1, key);
	bool ok = cache_sql_run(store, stmt, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

GPtrArray *cache_store_list_meta(CacheStore *store, const char *prefix, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func(g_free);
	sqlite3_stmt *stmt = cache_sql_statement(store, CACHE_SQL_LIST_META);
	cache_sql_bind_text(stmt, 1, prefix);
	int result;
	while ((result = sqlite3_step(stmt)) == SQLITE_ROW) {
		g_ptr_array_add(pairs, cache_sql_column_text(stmt, 0));
		g_ptr_array_add(pairs, cache_sql_column_text(stmt, 1));
	}
	bool ok = result == SQLITE_DONE || cache_sql_fail(store->db, error);
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	g_rec_mutex_unlock(&store->lock);
	return ok ? g_steal_pointer(&pairs) : NULL;
}
