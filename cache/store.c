#include "cache/store.h"
#include "cache/crash.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>

#define SCHEMA_VERSION 2
#define LOG_PAGES_MAX 4096 /* beyond it the log is folded in whole, to begin anew */

/* clang-format off */
/* Version 1; a new journal is made as version 1 and takes the steps that follow. */
static const char schema[] =
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE node ("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT, parent INTEGER NOT NULL, name TEXT NOT NULL,"
	"  folder INTEGER NOT NULL, mode INTEGER NOT NULL,"
	"  atime INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL,"
	"  size INTEGER NOT NULL, uri TEXT,"
	"  remote_size INTEGER NOT NULL, remote_mtime INTEGER NOT NULL, remote_etag TEXT,"
	"  moved_from TEXT, from_size INTEGER NOT NULL, from_mtime INTEGER NOT NULL, from_etag TEXT,"
	"  generation INTEGER NOT NULL, published INTEGER NOT NULL, blob INTEGER NOT NULL,"
	"  torn INTEGER NOT NULL, attempted INTEGER NOT NULL, listed INTEGER NOT NULL,"
	"  state INTEGER NOT NULL, error INTEGER NOT NULL, message TEXT);"
	"CREATE UNIQUE INDEX node_name ON node (parent, name) WHERE parent >= 0;"
	"CREATE INDEX node_uri ON node (uri) WHERE uri IS NOT NULL;"
	"CREATE INDEX node_dirty ON node (id) WHERE generation != published;"
	"CREATE INDEX node_unlinked ON node (parent) WHERE parent < 0;"
	"CREATE TABLE blob (id INTEGER PRIMARY KEY AUTOINCREMENT, node INTEGER NOT NULL,"
	"  boot_id TEXT NOT NULL, durable INTEGER NOT NULL);"
	"CREATE TABLE extent (blob INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL,"
	"  PRIMARY KEY (blob, start)) WITHOUT ROWID;"
	"CREATE TABLE generation (node INTEGER NOT NULL, number INTEGER NOT NULL,"
	"  blob INTEGER NOT NULL, size INTEGER NOT NULL, PRIMARY KEY (node, number)) WITHOUT ROWID;"
	"CREATE TABLE removal (id INTEGER PRIMARY KEY AUTOINCREMENT, uri TEXT NOT NULL UNIQUE,"
	"  size INTEGER NOT NULL, mtime INTEGER NOT NULL, etag TEXT);";

/* From version n + 1 to n + 2. */
static const char *const steps[] = {
	/* conflict copies; contents that are compared; who else may have written to an old name;
	 * removals that are refused, and names that are watched */
	"ALTER TABLE node ADD COLUMN conflict TEXT;"
	"CREATE INDEX node_conflict ON node (id) WHERE conflict IS NOT NULL;"
	"ALTER TABLE node ADD COLUMN remote_hash TEXT;"
	"ALTER TABLE node ADD COLUMN attempted_hash TEXT;"
	"ALTER TABLE node ADD COLUMN from_attempted INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE node ADD COLUMN from_hash TEXT;"
	"ALTER TABLE removal ADD COLUMN attempted INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE removal ADD COLUMN hash TEXT;"
	"ALTER TABLE removal ADD COLUMN until INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE removal ADD COLUMN error INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE removal ADD COLUMN message TEXT;"
	,
};
G_STATIC_ASSERT(G_N_ELEMENTS(steps) == SCHEMA_VERSION - 1);

#define NODE_COLUMNS "id, parent, name, folder, mode, atime, mtime, ctime, size, uri," \
	" remote_size, remote_mtime, remote_etag, moved_from, from_size, from_mtime, from_etag," \
	" generation, published, blob, torn, attempted, listed, state, error, message," \
	" conflict, remote_hash, attempted_hash, from_attempted, from_hash"

typedef enum {
	BEGIN, COMMIT, ROLLBACK, GET_META, SET_META, REMOVE_META, LIST_META,
	INSERT_NODE, UPDATE_NODE, REMOVE_NODE, LOAD_NODE, FIND_NODE, FIND_URI, CHILDREN, DIRTY,
	CONFLICTS, INSERT_BLOB, MARK_BLOB, BLOB_INFO, REMOVE_BLOB, BLOBS, ORPHANS, CLEAN_BLOBS,
	ADD_EXTENT, CLEAR_EXTENTS, EXTENTS,
	INSERT_GENERATION, OLDEST_GENERATION, FIND_GENERATION, REMOVE_GENERATIONS,
	INSERT_REMOVAL, PARK_REMOVAL, REMOVE_REMOVAL, REMOVALS, N_STATEMENTS
} Statement;

static const char *const statements[N_STATEMENTS] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[GET_META] = "SELECT value FROM meta WHERE key = ?",
	[SET_META] = "INSERT OR REPLACE INTO meta VALUES (?, ?)",
	[REMOVE_META] = "DELETE FROM meta WHERE key = ?",
	[LIST_META] = "SELECT key, value FROM meta WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key",
	[INSERT_NODE] = "INSERT INTO node (" NODE_COLUMNS ") VALUES (NULL, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
		" ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26,"
		" ?27, ?28, ?29, ?30, ?31)",
	[UPDATE_NODE] = "UPDATE node SET parent = ?2, name = ?3, folder = ?4, mode = ?5, atime = ?6,"
		" mtime = ?7, ctime = ?8, size = ?9, uri = ?10, remote_size = ?11, remote_mtime = ?12,"
		" remote_etag = ?13, moved_from = ?14, from_size = ?15, from_mtime = ?16,"
		" from_etag = ?17, generation = ?18, published = ?19, blob = ?20, torn = ?21,"
		" attempted = ?22, listed = ?23, state = ?24, error = ?25, message = ?26, conflict = ?27,"
		" remote_hash = ?28, attempted_hash = ?29, from_attempted = ?30, from_hash = ?31 WHERE id = ?1",
	[REMOVE_NODE] = "DELETE FROM node WHERE id = ?",
	[LOAD_NODE] = "SELECT " NODE_COLUMNS " FROM node WHERE id = ?",
	[FIND_NODE] = "SELECT " NODE_COLUMNS " FROM node WHERE parent = ? AND name = ? AND parent >= 0",
	[FIND_URI] = "SELECT " NODE_COLUMNS " FROM node WHERE uri = ? AND parent >= 0 LIMIT 1",
	[CHILDREN] = "SELECT " NODE_COLUMNS " FROM node WHERE parent = ? ORDER BY name",
	[DIRTY] = "SELECT " NODE_COLUMNS " FROM node WHERE generation != published ORDER BY id",
	[CONFLICTS] = "SELECT " NODE_COLUMNS " FROM node WHERE conflict IS NOT NULL AND parent >= 0",
	[INSERT_BLOB] = "INSERT INTO blob VALUES (NULL, ?, ?, 0)",
	[MARK_BLOB] = "UPDATE blob SET boot_id = ?2, durable = ?3 WHERE id = ?1",
	[BLOB_INFO] = "SELECT boot_id, durable FROM blob WHERE id = ?",
	[REMOVE_BLOB] = "DELETE FROM blob WHERE id = ?",
	[BLOBS] = "SELECT id FROM blob",
	[ORPHANS] = "SELECT id FROM blob WHERE id NOT IN (SELECT blob FROM node)"
		" AND id NOT IN (SELECT blob FROM generation)",
	[CLEAN_BLOBS] = "SELECT blob, id FROM node WHERE blob != 0 AND parent >= 0"
		" AND generation = published",
	[ADD_EXTENT] = "INSERT INTO extent VALUES (?, ?, ?)",
	[CLEAR_EXTENTS] = "DELETE FROM extent WHERE blob = ?",
	[EXTENTS] = "SELECT start, end FROM extent WHERE blob = ? ORDER BY start",
	[INSERT_GENERATION] = "INSERT OR REPLACE INTO generation VALUES (?, ?, ?, ?)",
	[OLDEST_GENERATION] = "SELECT number, blob, size FROM generation WHERE node = ?"
		" ORDER BY number LIMIT 1",
	[FIND_GENERATION] = "SELECT number, blob, size FROM generation WHERE node = ?"
		" ORDER BY number DESC LIMIT 1",
	[REMOVE_GENERATIONS] = "DELETE FROM generation WHERE node = ? AND number <= ?",
	[INSERT_REMOVAL] = "INSERT OR REPLACE INTO removal (uri, size, mtime, etag, attempted, hash, until)"
		" VALUES (?, ?, ?, ?, ?, ?, ?)",
	[PARK_REMOVAL] = "UPDATE removal SET error = ?2, message = ?3 WHERE id = ?1",
	[REMOVE_REMOVAL] = "DELETE FROM removal WHERE id = ?",
	[REMOVALS] = "SELECT id, uri, size, mtime, etag, attempted, until, error, message, hash"
		" FROM removal WHERE id > ? ORDER BY id",
};
/* clang-format on */

struct CacheStore {
	GRecMutex
		lock; /* guards all; recursive, since a transaction holds it around single calls */
	sqlite3 *db;
	sqlite3_stmt *prepared[N_STATEMENTS];
	GMutex checkpoint_lock; /* guards `checkpointer`, a connection of its own: its fsync stalls
	                           nobody */
	sqlite3 *checkpointer;
	gint log_pages; /* atomic */
};

void cache_record_clear(CacheRecord *record)
{
	g_free(record->name);
	g_free(record->uri);
	g_free(record->moved_from);
	g_free(record->message);
	g_free(record->conflict);
	g_free(record->remote_hash);
	g_free(record->attempted_hash);
	g_free(record->from_hash);
	gss_version_clear(&record->remote);
	gss_version_clear(&record->from);
	*record = (CacheRecord){.size = -1, .remote = GSS_VERSION_INIT, .from = GSS_VERSION_INIT};
}

void cache_removal_clear(CacheRemoval *removal)
{
	g_clear_pointer(&removal->uri, g_free);
	g_clear_pointer(&removal->message, g_free);
	g_clear_pointer(&removal->hash, g_free);
	gss_version_clear(&removal->version);
}

static void removal_free(void *removal)
{
	cache_removal_clear(removal);
	g_free(removal);
}

static bool fail(sqlite3 *db, GError **error)
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

static bool execute(sqlite3 *db, const char *sql, GError **error)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK || fail(db, error);
}

static sqlite3_stmt *statement(CacheStore *store, Statement which)
{
	return store->prepared[which];
}

/* Runs a statement that gives no rows, and makes it ready for the next time. */
static bool run(CacheStore *store, sqlite3_stmt *stmt, GError **error)
{
	int result = sqlite3_step(stmt);
	bool ok = result == SQLITE_DONE || result == SQLITE_ROW || fail(store->db, error);
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	if (ok && sqlite3_get_autocommit(store->db) && !sqlite3_stmt_readonly(stmt))
		CACHE_CRASH_POINT("store.changed");
	return ok;
}

static sqlite3 *connect_to(const char *path, GError **error)
{
	sqlite3 *db = NULL;
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW |
	            SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
	/* The folder is locked, nobody else opens the journal: "unix-excl" takes its file lock once and
	 * keeps the log's index in memory, where the default asks the kernel twelve times a
	 * transaction. Both of our connections share it. */
	if (sqlite3_open_v2(path, &db, flags, "unix-excl") != SQLITE_OK) {
		fail(db, error);
	} else {
		sqlite3_busy_timeout(db, 10000);
		if (execute(db,
		            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
		            "PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY;"
		            "PRAGMA journal_size_limit = 16777216;",
		            error))
			return db;
	}
	sqlite3_close(db);
	return NULL;
}

static bool user_version(sqlite3 *db, int *ret, GError **error)
{
	sqlite3_stmt *stmt = NULL;
	bool ok = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &stmt, NULL) == SQLITE_OK &&
	          sqlite3_step(stmt) == SQLITE_ROW;
	if (ok)
		*ret = sqlite3_column_int(stmt, 0);
	else
		fail(db, error);
	sqlite3_finalize(stmt);
	return ok;
}

/* The migration path: each older version gets its step here, in one transaction with the new
 * number. */
static bool migrate(sqlite3 *db, GError **error)
{
	int version;
	if (!user_version(db, &version, error))
		return false;
	if (version == SCHEMA_VERSION)
		return true;
	if (version < 0 || version > SCHEMA_VERSION) {
		g_set_error(error, CACHE_ERROR, EPROTO,
		            "journal: schema version %d is newer than this program (%d): use the "
		            "newer gssfs",
		            version, SCHEMA_VERSION);
		return false;
	}
	g_autofree char *number = g_strdup_printf("PRAGMA user_version = %d", SCHEMA_VERSION);
	bool ok = execute(db, "BEGIN IMMEDIATE", error) &&
	          (version > 0 || execute(db, schema, error));
	for (int i = MAX(version, 1) - 1; ok && i < SCHEMA_VERSION - 1; i++)
		ok = execute(db, steps[i], error);
	if (ok && execute(db, number, error) && execute(db, "COMMIT", error))
		return true;
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return false;
}

static bool check(sqlite3 *db, GError **error)
{
	sqlite3_stmt *stmt = NULL;
	bool ok = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &stmt, NULL) == SQLITE_OK &&
	          sqlite3_step(stmt) == SQLITE_ROW;
	if (!ok)
		fail(db, error);
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

CacheStore *cache_store_open(const char *path, GError **error)
{
	g_autoptr(CacheStore) store = g_new0(CacheStore, 1);
	g_rec_mutex_init(&store->lock);
	g_mutex_init(&store->checkpoint_lock);
	store->db = connect_to(path, error);
	if (!store->db || !check(store->db, error) || !migrate(store->db, error))
		return NULL;
	sqlite3_wal_hook(store->db, on_commit, store);
	store->checkpointer = connect_to(path, error);
	if (!store->checkpointer)
		return NULL;
	for (int i = 0; i < N_STATEMENTS; i++)
		if (sqlite3_prepare_v3(store->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
		                       &store->prepared[i], NULL) != SQLITE_OK) {
			fail(store->db, error);
			return NULL;
		}
	return g_steal_pointer(&store);
}

void cache_store_close(CacheStore *store)
{
	for (int i = 0; i < N_STATEMENTS; i++)
		sqlite3_finalize(store->prepared[i]);
	sqlite3_close(store->checkpointer);
	sqlite3_close(store->db);
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
	if (result == SQLITE_OK && cache_store_log_is_long(store)) {
		/* Who writes without a pause never lets the log come to an end, and begin anew: the
		 * little that came meanwhile is folded in while nobody writes. */
		g_rec_mutex_lock(&store->lock);
		result = sqlite3_wal_checkpoint_v2(store->checkpointer, NULL,
		                                   SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
		g_atomic_int_set(&store->log_pages, 0);
		g_rec_mutex_unlock(&store->lock);
	}
	bool ok = result == SQLITE_OK || fail(store->checkpointer, error);
	CACHE_CRASH_POINT("store.checkpointed");
	g_mutex_unlock(&store->checkpoint_lock);
	return ok;
}

bool cache_store_begin(CacheStore *store, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	if (run(store, statement(store, BEGIN), error))
		return true;
	g_rec_mutex_unlock(&store->lock);
	return false;
}

bool cache_store_end(CacheStore *store, bool commit, GError **error)
{
	if (commit)
		CACHE_CRASH_POINT("store.ending");
	bool ok = !commit || run(store, statement(store, COMMIT), error);
	if (commit && ok)
		CACHE_CRASH_POINT("store.committed");
	/* A full disk may have rolled back already; then ROLLBACK has nothing to do. */
	if ((!commit || !ok) && !sqlite3_get_autocommit(store->db))
		run(store, statement(store, ROLLBACK), NULL);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

static void bind_text(sqlite3_stmt *stmt, int index, const char *text)
{
	if (text)
		sqlite3_bind_text(stmt, index, text, -1, SQLITE_STATIC);
	else
		sqlite3_bind_null(stmt, index);
}

static void bind_version(sqlite3_stmt *stmt, int index, const GssVersion *version)
{
	sqlite3_bind_int64(stmt, index, version->size);
	sqlite3_bind_int64(stmt, index + 1, version->mtime);
	bind_text(stmt, index + 2, version->etag);
}

static char *column_text(sqlite3_stmt *stmt, int index)
{
	return g_strdup((const char *)sqlite3_column_text(stmt, index));
}

static void column_version(sqlite3_stmt *stmt, int index, GssVersion *ret)
{
	ret->size = sqlite3_column_int64(stmt, index);
	ret->mtime = sqlite3_column_int64(stmt, index + 1);
	ret->etag = column_text(stmt, index + 2);
}

char *cache_store_get_meta(CacheStore *store, const char *key, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = statement(store, GET_META);
	bind_text(stmt, 1, key);
	char *value = NULL;
	int result = sqlite3_step(stmt);
	if (result == SQLITE_ROW)
		value = column_text(stmt, 0);
	else if (result != SQLITE_DONE)
		fail(store->db, error);
	sqlite3_reset(stmt);
	g_rec_mutex_unlock(&store->lock);
	return value;
}

bool cache_store_set_meta(CacheStore *store, const char *key, const char *value, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = statement(store, SET_META);
	bind_text(stmt, 1, key);
	bind_text(stmt, 2, value);
	bool ok = run(store, stmt, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_remove_meta(CacheStore *store, const char *key, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = statement(store, REMOVE_META);
	bind_text(stmt, 1, key);
	bool ok = run(store, stmt, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

GPtrArray *cache_store_list_meta(CacheStore *store, const char *prefix, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func(g_free);
	sqlite3_stmt *stmt = statement(store, LIST_META);
	bind_text(stmt, 1, prefix);
	int result;
	while ((result = sqlite3_step(stmt)) == SQLITE_ROW) {
		g_ptr_array_add(pairs, column_text(stmt, 0));
		g_ptr_array_add(pairs, column_text(stmt, 1));
	}
	bool ok = result == SQLITE_DONE || fail(store->db, error);
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	g_rec_mutex_unlock(&store->lock);
	return ok ? g_steal_pointer(&pairs) : NULL;
}

static void bind_record(sqlite3_stmt *stmt, const CacheRecord *record)
{
	sqlite3_bind_int64(stmt, 2, record->parent);
	bind_text(stmt, 3, record->name);
	sqlite3_bind_int(stmt, 4, record->folder);
	sqlite3_bind_int(stmt, 5, record->mode);
	sqlite3_bind_int64(stmt, 6, record->atime);
	sqlite3_bind_int64(stmt, 7, record->mtime);
	sqlite3_bind_int64(stmt, 8, record->ctime);
	sqlite3_bind_int64(stmt, 9, record->size);
	bind_text(stmt, 10, record->uri);
	bind_version(stmt, 11, &record->remote);
	bind_text(stmt, 14, record->moved_from);
	bind_version(stmt, 15, &record->from);
	sqlite3_bind_int64(stmt, 18, record->generation);
	sqlite3_bind_int64(stmt, 19, record->published);
	sqlite3_bind_int64(stmt, 20, record->blob);
	sqlite3_bind_int(stmt, 21, record->torn);
	sqlite3_bind_int64(stmt, 22, record->attempted);
	sqlite3_bind_int(stmt, 23, record->listed);
	sqlite3_bind_int(stmt, 24, record->state);
	sqlite3_bind_int(stmt, 25, record->error);
	bind_text(stmt, 26, record->message);
	bind_text(stmt, 27, record->conflict);
	bind_text(stmt, 28, record->remote_hash);
	bind_text(stmt, 29, record->attempted_hash);
	sqlite3_bind_int64(stmt, 30, record->from_attempted);
	bind_text(stmt, 31, record->from_hash);
}

static void column_record(sqlite3_stmt *stmt, CacheRecord *ret)
{
	ret->id = sqlite3_column_int64(stmt, 0);
	ret->parent = sqlite3_column_int64(stmt, 1);
	ret->name = column_text(stmt, 2);
	ret->folder = sqlite3_column_int(stmt, 3);
	ret->mode = sqlite3_column_int(stmt, 4);
	ret->atime = sqlite3_column_int64(stmt, 5);
	ret->mtime = sqlite3_column_int64(stmt, 6);
	ret->ctime = sqlite3_column_int64(stmt, 7);
	ret->size = sqlite3_column_int64(stmt, 8);
	ret->uri = column_text(stmt, 9);
	column_version(stmt, 10, &ret->remote);
	ret->moved_from = column_text(stmt, 13);
	column_version(stmt, 14, &ret->from);
	ret->generation = sqlite3_column_int64(stmt, 17);
	ret->published = sqlite3_column_int64(stmt, 18);
	ret->blob = sqlite3_column_int64(stmt, 19);
	ret->torn = sqlite3_column_int(stmt, 20);
	ret->attempted = sqlite3_column_int64(stmt, 21);
	ret->listed = sqlite3_column_int(stmt, 22);
	ret->state = sqlite3_column_int(stmt, 23);
	ret->error = sqlite3_column_int(stmt, 24);
	ret->message = column_text(stmt, 25);
	ret->conflict = column_text(stmt, 26);
	ret->remote_hash = column_text(stmt, 27);
	ret->attempted_hash = column_text(stmt, 28);
	ret->from_attempted = sqlite3_column_int64(stmt, 29);
	ret->from_hash = column_text(stmt, 30);
}

bool cache_store_insert(CacheStore *store, CacheRecord *record, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = statement(store, INSERT_NODE);
	bind_record(stmt, record);
	bool ok = run(store, stmt, error);
	if (ok)
		record->id = sqlite3_last_insert_rowid(store->db);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_update(CacheStore *store, const CacheRecord *record, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = statement(store, UPDATE_NODE);
	sqlite3_bind_int64(stmt, 1, record->id);
	bind_record(stmt, record);
	bool ok = run(store, stmt, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

/* Binds up to two integers and runs. */
static bool run_with(CacheStore *store, Statement which, gint64 first, gint64 second,
                     GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = statement(store, which);
	sqlite3_bind_int64(stmt, 1, first);
	if (sqlite3_bind_parameter_count(stmt) > 1)
		sqlite3_bind_int64(stmt, 2, second);
	bool ok = run(store, stmt, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_remove(CacheStore *store, CacheId id, GError **error)
{
	return run_with(store, REMOVE_NODE, id, 0, error);
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
		fail(store->db, error);
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return ok;
}

bool cache_store_load(CacheStore *store, CacheId id, CacheRecord *ret, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = statement(store, LOAD_NODE);
	sqlite3_bind_int64(stmt, 1, id);
	bool ok = fetch_record(store, stmt, ret, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_find(CacheStore *store, gint64 parent, const char *name, CacheRecord *ret,
                      GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = statement(store, FIND_NODE);
	sqlite3_bind_int64(stmt, 1, parent);
	bind_text(stmt, 2, name);
	bool ok = fetch_record(store, stmt, ret, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_find_uri(CacheStore *store, const char *uri, CacheRecord *ret, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = statement(store, FIND_URI);
	bind_text(stmt, 1, uri);
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
		CacheRecord record = {.remote = GSS_VERSION_INIT, .from = GSS_VERSION_INIT};
		column_record(stmt, &record);
		more = func(&record, data);
		cache_record_clear(&record);
	}
	bool ok = !more || result == SQLITE_DONE || fail(store->db, error);
	sqlite3_reset(stmt);
	return ok;
}

bool cache_store_children(CacheStore *store, gint64 parent, CacheRecordFunc func, void *data,
                          GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = statement(store, CHILDREN);
	sqlite3_bind_int64(stmt, 1, parent);
	bool ok = each_record(store, stmt, func, data, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_dirty(CacheStore *store, CacheRecordFunc func, void *data, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	bool ok = each_record(store, statement(store, DIRTY), func, data, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_conflicts(CacheStore *store, CacheRecordFunc func, void *data, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	bool ok = each_record(store, statement(store, CONFLICTS), func, data, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

CacheBlobId cache_store_insert_blob(CacheStore *store, CacheId node, const char *boot_id,
                                    GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = statement(store, INSERT_BLOB);
	sqlite3_bind_int64(stmt, 1, node);
	bind_text(stmt, 2, boot_id);
	CacheBlobId id = run(store, stmt, error) ? sqlite3_last_insert_rowid(store->db) : 0;
	g_rec_mutex_unlock(&store->lock);
	return id;
}

bool cache_store_mark_blob(CacheStore *store, CacheBlobId id, const char *boot_id, bool durable,
                           GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = statement(store, MARK_BLOB);
	sqlite3_bind_int64(stmt, 1, id);
	bind_text(stmt, 2, boot_id);
	sqlite3_bind_int(stmt, 3, durable);
	bool ok = run(store, stmt, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_blob_info(CacheStore *store, CacheBlobId id, char **ret_boot_id, bool *ret_durable,
                           GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = statement(store, BLOB_INFO);
	sqlite3_bind_int64(stmt, 1, id);
	int result = sqlite3_step(stmt);
	bool ok = result == SQLITE_ROW;
	if (ok) {
		*ret_boot_id = column_text(stmt, 0);
		*ret_durable = sqlite3_column_int(stmt, 1);
	} else if (result == SQLITE_DONE) {
		g_set_error(error, CACHE_ERROR, ENOENT, "journal: no such blob");
	} else {
		fail(store->db, error);
	}
	sqlite3_reset(stmt);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_remove_blob(CacheStore *store, CacheBlobId id, GError **error)
{
	return run_with(store, CLEAR_EXTENTS, id, 0, error) &&
	       run_with(store, REMOVE_BLOB, id, 0, error);
}

static GArray *list_blobs(CacheStore *store, Statement which, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(CacheBlobId));
	sqlite3_stmt *stmt = statement(store, which);
	int result;
	while ((result = sqlite3_step(stmt)) == SQLITE_ROW) {
		CacheBlobId id = sqlite3_column_int64(stmt, 0);
		g_array_append_val(ids, id);
	}
	bool ok = result == SQLITE_DONE || fail(store->db, error);
	sqlite3_reset(stmt);
	g_rec_mutex_unlock(&store->lock);
	return ok ? g_steal_pointer(&ids) : NULL;
}

GArray *cache_store_blobs(CacheStore *store, GError **error)
{
	return list_blobs(store, BLOBS, error);
}

GArray *cache_store_orphans(CacheStore *store, GError **error)
{
	return list_blobs(store, ORPHANS, error);
}

bool cache_store_clean_blobs(CacheStore *store, CacheBlobFunc func, void *data, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = statement(store, CLEAN_BLOBS);
	int result;
	bool more = true;
	while (more && (result = sqlite3_step(stmt)) == SQLITE_ROW)
		more = func(sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1), data);
	bool ok = !more || result == SQLITE_DONE || fail(store->db, error);
	sqlite3_reset(stmt);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_save_extents(CacheStore *store, CacheBlobId id, const CacheExtents *extents,
                              GError **error)
{
	g_rec_mutex_lock(&store->lock);
	bool ok = run_with(store, CLEAR_EXTENTS, id, 0, error);
	for (guint i = 0; ok && i < cache_extents_count(extents); i++) {
		CacheExtent extent = cache_extents_get(extents, i);
		sqlite3_stmt *stmt = statement(store, ADD_EXTENT);
		sqlite3_bind_int64(stmt, 1, id);
		sqlite3_bind_int64(stmt, 2, extent.start);
		sqlite3_bind_int64(stmt, 3, extent.end);
		ok = run(store, stmt, error);
	}
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_load_extents(CacheStore *store, CacheBlobId id, CacheExtents *extents,
                              GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = statement(store, EXTENTS);
	sqlite3_bind_int64(stmt, 1, id);
	int result;
	while ((result = sqlite3_step(stmt)) == SQLITE_ROW)
		cache_extents_add(extents, sqlite3_column_int64(stmt, 0),
		                  sqlite3_column_int64(stmt, 1));
	bool ok = result == SQLITE_DONE || fail(store->db, error);
	sqlite3_reset(stmt);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_insert_generation(CacheStore *store, const CacheGeneration *generation,
                                   GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = statement(store, INSERT_GENERATION);
	sqlite3_bind_int64(stmt, 1, generation->node);
	sqlite3_bind_int64(stmt, 2, generation->number);
	sqlite3_bind_int64(stmt, 3, generation->blob);
	sqlite3_bind_int64(stmt, 4, generation->size);
	bool ok = run(store, stmt, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

static bool find_generation(CacheStore *store, Statement which, CacheId node, CacheGeneration *ret,
                            GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = statement(store, which);
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
		fail(store->db, error);
	sqlite3_reset(stmt);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_oldest_generation(CacheStore *store, CacheId node, CacheGeneration *ret,
                                   GError **error)
{
	return find_generation(store, OLDEST_GENERATION, node, ret, error);
}

bool cache_store_find_generation(CacheStore *store, CacheId node, CacheGeneration *ret,
                                 GError **error)
{
	return find_generation(store, FIND_GENERATION, node, ret, error);
}

bool cache_store_remove_generations(CacheStore *store, CacheId node, guint64 up_to, GError **error)
{
	return run_with(store, REMOVE_GENERATIONS, node, up_to, error);
}

bool cache_store_insert_removal(CacheStore *store, const char *uri, const GssVersion *version,
                                guint64 attempted, const char *hash, gint64 until,
                                GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = statement(store, INSERT_REMOVAL);
	bind_text(stmt, 1, uri);
	bind_version(stmt, 2, version);
	sqlite3_bind_int64(stmt, 5, attempted);
	bind_text(stmt, 6, hash);
	sqlite3_bind_int64(stmt, 7, until);
	bool ok = run(store, stmt, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_park_removal(CacheStore *store, gint64 id, int code, const char *message,
                              GError **error)
{
	g_rec_mutex_lock(&store->lock);
	sqlite3_stmt *stmt = statement(store, PARK_REMOVAL);
	sqlite3_bind_int64(stmt, 1, id);
	sqlite3_bind_int(stmt, 2, code);
	bind_text(stmt, 3, message);
	bool ok = run(store, stmt, error);
	g_rec_mutex_unlock(&store->lock);
	return ok;
}

bool cache_store_remove_removal(CacheStore *store, gint64 id, GError **error)
{
	return run_with(store, REMOVE_REMOVAL, id, 0, error);
}

GPtrArray *cache_store_removals(CacheStore *store, gint64 after, GError **error)
{
	g_rec_mutex_lock(&store->lock);
	g_autoptr(GPtrArray) removals = g_ptr_array_new_with_free_func(removal_free);
	sqlite3_stmt *stmt = statement(store, REMOVALS);
	sqlite3_bind_int64(stmt, 1, after);
	int result;
	while ((result = sqlite3_step(stmt)) == SQLITE_ROW) {
		CacheRemoval *removal = g_new0(CacheRemoval, 1);
		removal->id = sqlite3_column_int64(stmt, 0);
		removal->uri = column_text(stmt, 1);
		column_version(stmt, 2, &removal->version);
		removal->attempted = sqlite3_column_int64(stmt, 5);
		removal->until = sqlite3_column_int64(stmt, 6);
		removal->error = sqlite3_column_int(stmt, 7);
		removal->message = column_text(stmt, 8);
		removal->hash = column_text(stmt, 9);
		g_ptr_array_add(removals, removal);
	}
	bool ok = result == SQLITE_DONE || fail(store->db, error);
	sqlite3_reset(stmt);
	g_rec_mutex_unlock(&store->lock);
	return ok ? g_steal_pointer(&removals) : NULL;
}
