/* The journal's tables, the path from older ones, and its statements. */
#include "cache/store-private.h"

#include <errno.h>

#define SCHEMA_VERSION 3

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
	/* the sum of what was there, beside the one of what may have come since */
	"ALTER TABLE node ADD COLUMN from_attempted_hash TEXT;"
	"ALTER TABLE removal ADD COLUMN attempted_hash TEXT;"
	"UPDATE node SET from_attempted_hash = from_hash, from_hash = NULL WHERE from_attempted != 0;"
	"UPDATE removal SET attempted_hash = hash, hash = NULL WHERE attempted != 0;"
	,
};
G_STATIC_ASSERT(G_N_ELEMENTS(steps) == SCHEMA_VERSION - 1);

#define NODE_COLUMNS "id, parent, name, folder, mode, atime, mtime, ctime, size, uri," \
	" remote_size, remote_mtime, remote_etag, moved_from, from_size, from_mtime, from_etag," \
	" generation, published, blob, torn, attempted, listed, state, error, message," \
	" conflict, remote_hash, attempted_hash, from_attempted, from_hash, from_attempted_hash"

static const char *const statements[CACHE_SQL_COUNT] = {
	[CACHE_SQL_BEGIN] = "BEGIN IMMEDIATE",
	[CACHE_SQL_COMMIT] = "COMMIT",
	[CACHE_SQL_ROLLBACK] = "ROLLBACK",
	[CACHE_SQL_GET_META] = "SELECT value FROM meta WHERE key = ?",
	[CACHE_SQL_SET_META] = "INSERT OR REPLACE INTO meta VALUES (?, ?)",
	[CACHE_SQL_REMOVE_META] = "DELETE FROM meta WHERE key = ?",
	[CACHE_SQL_LIST_META] = "SELECT key, value FROM meta WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key",
	[CACHE_SQL_INSERT_NODE] = "INSERT INTO node (" NODE_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
		" ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26,"
		" ?27, ?28, ?29, ?30, ?31, ?32)",
	[CACHE_SQL_UPDATE_NODE] = "UPDATE node SET parent = ?2, name = ?3, folder = ?4, mode = ?5, atime = ?6,"
		" mtime = ?7, ctime = ?8, size = ?9, uri = ?10, remote_size = ?11, remote_mtime = ?12,"
		" remote_etag = ?13, moved_from = ?14, from_size = ?15, from_mtime = ?16,"
		" from_etag = ?17, generation = ?18, published = ?19, blob = ?20, torn = ?21,"
		" attempted = ?22, listed = ?23, state = ?24, error = ?25, message = ?26, conflict = ?27,"
		" remote_hash = ?28, attempted_hash = ?29, from_attempted = ?30, from_hash = ?31,"
		" from_attempted_hash = ?32 WHERE id = ?1",
	[CACHE_SQL_REMOVE_NODE] = "DELETE FROM node WHERE id = ?",
	[CACHE_SQL_LOAD_NODE] = "SELECT " NODE_COLUMNS " FROM node WHERE id = ?",
	[CACHE_SQL_FIND_NODE] = "SELECT " NODE_COLUMNS " FROM node WHERE parent = ? AND name = ? AND parent >= 0",
	[CACHE_SQL_FIND_URI] = "SELECT " NODE_COLUMNS " FROM node WHERE uri = ? AND parent >= 0 LIMIT 1",
	/* The conditions that choose nothing choose a partial index. */
	[CACHE_SQL_CHILDREN] = "SELECT " NODE_COLUMNS " FROM node WHERE parent = ? AND parent >= 0"
		" ORDER BY name",
	[CACHE_SQL_NAMELESS] = "SELECT " NODE_COLUMNS " FROM node WHERE parent = ? AND parent < 0",
	[CACHE_SQL_DIRTY] = "SELECT " NODE_COLUMNS " FROM node WHERE generation != published ORDER BY id",
	[CACHE_SQL_CONFLICTS] = "SELECT " NODE_COLUMNS " FROM node WHERE conflict IS NOT NULL AND parent >= 0",
	[CACHE_SQL_INSERT_BLOB] = "INSERT INTO blob VALUES (NULL, ?, ?, 0)",
	[CACHE_SQL_RESTORE_BLOB] = "INSERT INTO blob VALUES (?, ?, ?, ?)",
	[CACHE_SQL_MARK_BLOB] = "UPDATE blob SET boot_id = ?2, durable = ?3 WHERE id = ?1",
	[CACHE_SQL_BLOB_INFO] = "SELECT boot_id, durable, node FROM blob WHERE id = ?",
	[CACHE_SQL_REMOVE_BLOB] = "DELETE FROM blob WHERE id = ?",
	/* No node has the id 0. */
	[CACHE_SQL_GIVE_UP_BLOB] = "UPDATE blob SET node = 0 WHERE id = ?",
	[CACHE_SQL_GIVE_UP_GENERATIONS] = "DELETE FROM generation"
		" WHERE node = (SELECT node FROM blob WHERE id = ?1) AND blob = ?1",
	[CACHE_SQL_BLOBS] = "SELECT id FROM blob",
	[CACHE_SQL_ORPHANS] = "SELECT id FROM blob WHERE id NOT IN (SELECT blob FROM node)"
		" AND id NOT IN (SELECT blob FROM generation)",
	[CACHE_SQL_CLEAN_BLOBS] = "SELECT blob, id FROM node WHERE blob != 0 AND parent >= 0"
		" AND generation = published",
	[CACHE_SQL_ADD_EXTENT] = "INSERT INTO extent VALUES (?, ?, ?)",
	[CACHE_SQL_CLEAR_EXTENTS] = "DELETE FROM extent WHERE blob = ?",
	[CACHE_SQL_EXTENTS] = "SELECT start, end FROM extent WHERE blob = ? ORDER BY start",
	[CACHE_SQL_INSERT_GENERATION] = "INSERT OR REPLACE INTO generation VALUES (?, ?, ?, ?)",
	[CACHE_SQL_OLDEST_GENERATION] = "SELECT number, blob, size FROM generation WHERE node = ?"
		" ORDER BY number LIMIT 1",
	[CACHE_SQL_FIND_GENERATION] = "SELECT number, blob, size FROM generation WHERE node = ?"
		" ORDER BY number DESC LIMIT 1",
	[CACHE_SQL_REMOVE_GENERATIONS] = "DELETE FROM generation WHERE node = ? AND number <= ?",
	[CACHE_SQL_INSERT_REMOVAL] = "INSERT OR REPLACE INTO removal (uri, size, mtime, etag, attempted, hash,"
		" attempted_hash, until) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
	[CACHE_SQL_PARK_REMOVAL] = "UPDATE removal SET error = ?2, message = ?3 WHERE id = ?1",
	[CACHE_SQL_REMOVE_REMOVAL] = "DELETE FROM removal WHERE id = ?",
	[CACHE_SQL_REMOVALS] = "SELECT id, uri, size, mtime, etag, attempted, until, error, message, hash,"
		" attempted_hash"
		" FROM removal WHERE id > ? ORDER BY id",
};
/* clang-format on */

static bool user_version(sqlite3 *db, int *ret, GError **error)
{
	sqlite3_stmt *stmt = NULL;
	bool ok = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &stmt, NULL) == SQLITE_OK &&
	          sqlite3_step(stmt) == SQLITE_ROW;
	if (ok)
		*ret = sqlite3_column_int(stmt, 0);
	else
		cache_sql_fail(db, error);
	sqlite3_finalize(stmt);
	return ok;
}

bool cache_schema_is_current(sqlite3 *db)
{
	int version;
	return user_version(db, &version, NULL) && version == SCHEMA_VERSION;
}

/* The migration path: each older version gets its step here, in one transaction with the new
 * number. */
bool cache_schema_migrate(sqlite3 *db, GError **error)
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
	bool ok = cache_sql_execute(db, "BEGIN IMMEDIATE", error) &&
	          (version > 0 || cache_sql_execute(db, schema, error));
	for (int i = MAX(version, 1) - 1; ok && i < SCHEMA_VERSION - 1; i++)
		ok = cache_sql_execute(db, steps[i], error);
	if (ok && cache_sql_execute(db, number, error) && cache_sql_execute(db, "COMMIT", error))
		return true;
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return false;
}

const char *cache_schema_statement(CacheStatement which)
{
	return statements[which];
}
