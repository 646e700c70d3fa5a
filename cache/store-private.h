/* cache/store-private.h - what the files of the journal share: its connection and statements.
 *
 * Threads: CacheStore.lock guards all; who binds, steps and resets a statement holds it meanwhile.
 */
#pragma once

#include <sqlite3.h>

#include "cache/crash.h"
#include "cache/store.h"

/* clang-format off */
typedef enum {
	CACHE_SQL_BEGIN, CACHE_SQL_COMMIT, CACHE_SQL_ROLLBACK, CACHE_SQL_GET_META,
	CACHE_SQL_SET_META, CACHE_SQL_REMOVE_META, CACHE_SQL_LIST_META, CACHE_SQL_INSERT_NODE,
	CACHE_SQL_UPDATE_NODE, CACHE_SQL_REMOVE_NODE, CACHE_SQL_LOAD_NODE, CACHE_SQL_FIND_NODE,
	CACHE_SQL_FIND_URI, CACHE_SQL_CHILDREN, CACHE_SQL_NAMELESS, CACHE_SQL_DIRTY, CACHE_SQL_CONFLICTS,
	CACHE_SQL_INSERT_BLOB, CACHE_SQL_RESTORE_BLOB, CACHE_SQL_MARK_BLOB, CACHE_SQL_BLOB_INFO, CACHE_SQL_REMOVE_BLOB,
	CACHE_SQL_GIVE_UP_BLOB, CACHE_SQL_GIVE_UP_GENERATIONS,
	CACHE_SQL_BLOBS, CACHE_SQL_ORPHANS, CACHE_SQL_CLEAN_BLOBS, CACHE_SQL_ADD_EXTENT,
	CACHE_SQL_CLEAR_EXTENTS, CACHE_SQL_EXTENTS, CACHE_SQL_INSERT_GENERATION,
	CACHE_SQL_OLDEST_GENERATION, CACHE_SQL_FIND_GENERATION, CACHE_SQL_REMOVE_GENERATIONS,
	CACHE_SQL_INSERT_REMOVAL, CACHE_SQL_PARK_REMOVAL, CACHE_SQL_REMOVE_REMOVAL,
	CACHE_SQL_REMOVALS, CACHE_SQL_COUNT
} CacheStatement;
/* clang-format on */

struct CacheStore {
	GRecMutex
		lock; /* guards all; recursive, since a transaction holds it around single calls */
	sqlite3 *db;
	sqlite3_stmt *prepared[CACHE_SQL_COUNT];
	GMutex checkpoint_lock; /* guards `checkpointer`, a connection of its own: its fsync stalls
	                           nobody */
	sqlite3 *checkpointer;
	gint log_pages;      /* atomic */
	CacheStoreRoom room; /* NULL: nobody; as the next, constant once it is in use */
	void *room_data;
	GArray *given_up;              /* CacheBlobId: in the transaction under way */
	GArray *gone;                  /* CacheBlobId: their files are; the next forgets them */
	CacheStoreGivenUp on_given_up; /* NULL: nobody; as the next, constant once it is in use */
	void *given_up_data;
};

/* Brings a journal to the schema of this program (cache/schema.c). EPROTO: it is newer. */
bool cache_schema_migrate(sqlite3 *db, GError **error);
bool cache_schema_is_current(sqlite3 *db);
const char *cache_schema_statement(CacheStatement which);

/* (cache/store.c) */
bool cache_sql_fail(sqlite3 *db, GError **error); /* what SQLite said last; false */
bool cache_sql_execute(sqlite3 *db, const char *sql, GError **error);
sqlite3_stmt *cache_sql_statement(CacheStore *store, CacheStatement which);
/* Runs a statement that gives no rows, and makes it ready for the next time. */
bool cache_sql_run(CacheStore *store, sqlite3_stmt *stmt, GError **error);
/* Binds up to two integers and runs; takes the lock. */
bool cache_sql_run_with(CacheStore *store, CacheStatement which, gint64 first, gint64 second,
                        GError **error);
/* Text stays the caller's, until the statement has run. */
void cache_sql_bind_text(sqlite3_stmt *stmt, int index, const char *text);
void cache_sql_bind_version(sqlite3_stmt *stmt, int index, const GssVersion *version);
char *cache_sql_column_text(sqlite3_stmt *stmt, int index);
void cache_sql_column_version(sqlite3_stmt *stmt, int index, GssVersion *ret);
