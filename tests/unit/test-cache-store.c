/* test-cache-store.c - the journal. */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cache/store.h"

typedef struct {
	char *dir, *path;
	CacheStore *store;
} Fixture;

static void set_up(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	f->dir = g_dir_make_tmp("gss-store-XXXXXX", NULL);
	f->path = g_build_filename(f->dir, "journal.sqlite", NULL);
	f->store = cache_store_open(f->path, &error);
	g_assert_no_error(error);
}

static void tear_down(Fixture *f, const void *data)
{
	g_clear_pointer(&f->store, cache_store_close);
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	for (gsize i = 0; i < G_N_ELEMENTS(suffixes); i++) {
		g_autofree char *file = g_strconcat(f->path, suffixes[i], NULL);
		unlink(file);
	}
	rmdir(f->dir);
	g_free(f->dir);
	g_free(f->path);
}

static CacheRecord sample(gint64 parent, const char *name)
{
	return (CacheRecord){.parent = parent,
	                     .name = g_strdup(name),
	                     .mode = 0640,
	                     .atime = 1,
	                     .mtime = -2,
	                     .ctime = G_MAXINT64,
	                     .size = 42,
	                     .uri = g_strdup("a://b/c"),
	                     .remote = {.size = 7, .mtime = 8, .etag = g_strdup("\"e\"")},
	                     .moved_from = g_strdup("a://old"),
	                     .from = {.version = {.size = 1, .mtime = -1},
	                              .hash = g_strdup("f"),
	                              .attempted = 11,
	                              .attempted_hash = g_strdup("t")},
	                     .generation = 5,
	                     .published = 4,
	                     .torn = true,
	                     .attempted = true,
	                     .state = CACHE_STATE_FAILED,
	                     .error = ENOSPC,
	                     .message = g_strdup("why"),
	                     .conflict = g_strdup("since"),
	                     .remote_hash = g_strdup("r"),
	                     .attempted_hash = g_strdup("a")};
}

static void test_record(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_auto(CacheRecord) record = sample(9, "nämé 100%"), back = {0};
	g_assert_true(cache_store_insert(f->store, &record, &error));
	/* As the next start finds it. */
	cache_store_close(f->store);
	f->store = cache_store_open(f->path, &error);
	g_assert_no_error(error);
	g_assert_true(cache_store_find(f->store, 9, "nämé 100%", &back, &error));
	g_assert_cmpuint(back.id, ==, record.id);
	g_assert_cmpint(back.mtime, ==, -2);
	g_assert_cmpint(back.ctime, ==, G_MAXINT64);
	g_assert_cmpint(back.size, ==, 42);
	g_assert_cmpstr(back.uri, ==, "a://b/c");
	g_assert_true(gss_version_equal(&back.remote, &record.remote));
	g_assert_cmpstr(back.moved_from, ==, "a://old");
	g_assert_cmpint(back.from.version.size, ==, 1);
	g_assert_null(back.from.version.etag);
	g_assert_cmpuint(back.generation, ==, 5);
	g_assert_true(back.torn && back.attempted && !back.listed);
	g_assert_cmpint(back.state, ==, CACHE_STATE_FAILED);
	g_assert_cmpint(back.error, ==, ENOSPC);
	g_assert_cmpstr(back.message, ==, "why");
	g_assert_cmpstr(back.conflict, ==, "since");
	g_assert_cmpstr(back.remote_hash, ==, "r");
	g_assert_cmpstr(back.attempted_hash, ==, "a");
	g_assert_cmpuint(back.from.attempted, ==, 11);
	g_assert_cmpstr(back.from.hash, ==, "f");
	g_assert_cmpstr(back.from.attempted_hash, ==, "t");
}

static void test_names(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_auto(CacheRecord) first = sample(9, "a"), second = sample(9, "a"), none = {0};
	g_assert_true(cache_store_insert(f->store, &first, &error));
	g_assert_false(cache_store_insert(f->store, &second, &error));
	g_assert_error(error, CACHE_ERROR, EEXIST);
	g_clear_error(&error);
	/* Without a name any number may be, and ids are not used again. */
	first.parent = CACHE_PARENT_UNLINKED;
	g_assert_true(cache_store_update(f->store, &first, &error));
	g_assert_true(cache_store_insert(f->store, &second, &error));
	second.parent = CACHE_PARENT_UNLINKED;
	g_assert_true(cache_store_update(f->store, &second, &error));
	CacheId last = second.id;
	g_assert_true(cache_store_remove(f->store, last, &error));
	second.parent = 9;
	g_assert_true(cache_store_insert(f->store, &second, &error));
	g_assert_cmpuint(second.id, >, last);
	g_assert_false(cache_store_find(f->store, 9, "b", &none, &error));
	g_assert_error(error, CACHE_ERROR, ENOENT);
}

static void test_rollback(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_auto(CacheRecord) record = sample(9, "a"), none = {0};
	g_assert_true(cache_store_begin(f->store, &error));
	g_assert_true(cache_store_insert(f->store, &record, &error));
	g_assert_true(cache_store_end(f->store, false, &error));
	g_assert_false(cache_store_find(f->store, 9, "a", &none, &error));
	g_assert_error(error, CACHE_ERROR, ENOENT);
}

static void test_extents(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheExtents extents, back;
	cache_extents_init(&extents);
	cache_extents_init(&back);
	cache_extents_add(&extents, 0, 10);
	cache_extents_add(&extents, 20, G_GUINT64_CONSTANT(1) << 40);
	CacheBlobId blob = cache_store_insert_blob(f->store, 1, "boot", &error);
	g_assert_cmpuint(blob, >, 0);
	g_assert_true(cache_store_save_extents(f->store, blob, &extents, &error));
	g_assert_true(cache_store_load_extents(f->store, blob, &back, &error));
	g_assert_cmpuint(cache_extents_count(&back), ==, 2);
	g_assert_cmpuint(cache_extents_get(&back, 1).end, ==, G_GUINT64_CONSTANT(1) << 40);
	/* No node has it: recovery would ask. */
	g_autoptr(GArray) orphans = cache_store_orphans(f->store, &error);
	g_assert_cmpuint(orphans->len, ==, 1);
	g_autofree char *boot = NULL;
	bool durable;
	g_assert_true(cache_store_mark_blob(f->store, blob, "other", true, &error));
	g_assert_true(cache_store_blob_info(f->store, blob, &boot, &durable, &error));
	g_assert_cmpstr(boot, ==, "other");
	g_assert_true(durable);
	g_assert_true(cache_store_remove_blob(f->store, blob, &error));
	g_assert_false(cache_store_blob_info(f->store, blob, &boot, &durable, &error));
	g_assert_error(error, CACHE_ERROR, ENOENT);
	cache_extents_clear(&extents);
	cache_extents_clear(&back);
}

static bool note_given_up(CacheBlobId id, void *data)
{
	*(CacheBlobId *)data = id;
	return true;
}

/* A blob goes with the transaction that gives it up, and stays if that fails. */
static void test_given_up(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheBlobId told = 0, blob = cache_store_insert_blob(f->store, 7, "boot", &error);
	CacheGeneration sealed = {7, 1, blob, 3}, found;
	cache_store_set_given_up(f->store, note_given_up, &told);
	g_assert_true(cache_store_insert_generation(f->store, &sealed, &error));
	for (int commit = 0; commit < 2; commit++) {
		g_assert_true(cache_store_begin(f->store, &error));
		g_assert_true(cache_store_give_up_blob(f->store, blob, &error));
		g_assert_cmpint(told, ==, 0);
		g_assert_true(cache_store_end(f->store, commit, &error));
		g_assert_cmpint(told, ==, commit ? blob : 0);
		g_assert_cmpint(cache_store_blob_node(f->store, blob, &error), ==, commit ? 0 : 7);
		g_assert_no_error(error);
		g_assert_true(cache_store_find_generation(f->store, 7, &found, NULL) == !commit);
	}
	/* Recovery knows it until the next transaction has forgotten it, for good. */
	for (int commit = 0; commit < 2; commit++) {
		g_autoptr(GArray) orphans = cache_store_orphans(f->store, &error);
		g_assert_cmpuint(orphans->len, ==, 1);
		told = 0;
		g_assert_true(cache_store_begin(f->store, &error));
		g_assert_true(cache_store_end(f->store, commit, &error));
		g_assert_cmpint(told, ==, 0);
	}
	g_autoptr(GArray) orphans = cache_store_orphans(f->store, &error);
	g_assert_cmpuint(orphans->len, ==, 0);
}

static void test_damage(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_clear_pointer(&f->store, cache_store_close);
	g_assert_true(
		g_file_set_contents(f->path, "this is not a database, whatever it says", -1, NULL));
	f->store = cache_store_open(f->path, &error);
	g_assert_null(f->store);
	g_assert_error(error, CACHE_ERROR, EUCLEAN);
}

static void test_removals(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheLeftover left = {.version = {.size = 3, .mtime = 4},
	                      .hash = (char *)"h",
	                      .attempted = 7,
	                      .attempted_hash = (char *)"t"};
	g_assert_true(cache_store_insert_removal(f->store, "a://x", &left, 9, &error));
	g_assert_true(cache_store_insert_removal(f->store, "a://x", &left, 9, &error));
	g_autoptr(GPtrArray) list = cache_store_removals(f->store, 0, &error);
	g_assert_cmpuint(list->len, ==, 1);
	CacheRemoval *removal = g_ptr_array_index(list, 0);
	g_assert_cmpstr(removal->uri, ==, "a://x");
	g_assert_cmpint(removal->left.version.size, ==, 3);
	g_assert_cmpuint(removal->left.attempted, ==, 7);
	g_assert_cmpint(removal->until, ==, 9);
	g_assert_cmpstr(removal->left.hash, ==, "h");
	g_assert_cmpstr(removal->left.attempted_hash, ==, "t");
	g_assert_cmpint(removal->error, ==, 0);
	g_assert_true(cache_store_park_removal(f->store, removal->id, EACCES, "forbidden", &error));
	g_autoptr(GPtrArray) parked = cache_store_removals(f->store, 0, &error);
	CacheRemoval *told = g_ptr_array_index(parked, 0);
	g_assert_cmpint(told->error, ==, EACCES);
	g_assert_cmpstr(told->message, ==, "forbidden");
	g_assert_true(cache_store_remove_removal(f->store, removal->id, &error));
	g_autoptr(GPtrArray) none = cache_store_removals(f->store, 0, &error);
	g_assert_cmpuint(none->len, ==, 0);
}

static void test_meta_list(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_assert_true(cache_store_set_meta(f->store, "memo/b", "2", &error));
	g_assert_true(cache_store_set_meta(f->store, "memo/a", "1", &error));
	g_assert_true(cache_store_set_meta(f->store, "other", "3", &error));
	g_autoptr(GPtrArray) pairs = cache_store_list_meta(f->store, "memo/", &error);
	g_assert_no_error(error);
	g_assert_cmpuint(pairs->len, ==, 4);
	g_assert_cmpstr(pairs->pdata[0], ==, "memo/a");
	g_assert_cmpstr(pairs->pdata[3], ==, "2");
	g_assert_true(cache_store_remove_meta(f->store, "memo/a", &error));
	g_autoptr(GPtrArray) left = cache_store_list_meta(f->store, "memo/", &error);
	g_assert_cmpuint(left->len, ==, 2);
}

/* A journal as version 1 left it. */
static const char version_1[] =
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE node ("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT, parent INTEGER NOT NULL, name TEXT NOT NULL,"
	"  folder INTEGER NOT NULL, mode INTEGER NOT NULL,"
	"  atime INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL,"
	"  size INTEGER NOT NULL, uri TEXT,"
	"  remote_size INTEGER NOT NULL, remote_mtime INTEGER NOT NULL, remote_etag TEXT,"
	"  moved_from TEXT, from_size INTEGER NOT NULL, from_mtime INTEGER NOT NULL, from_etag "
	"TEXT,"
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
	"  blob INTEGER NOT NULL, size INTEGER NOT NULL, PRIMARY KEY (node, number)) WITHOUT "
	"ROWID;"
	"CREATE TABLE removal (id INTEGER PRIMARY KEY AUTOINCREMENT, uri TEXT NOT NULL UNIQUE,"
	"  size INTEGER NOT NULL, mtime INTEGER NOT NULL, etag TEXT);"
	"INSERT INTO node VALUES (5, 9, 'kept', 0, 420, 1, 2, 3, 42, 'a://x', 7, 8, NULL,"
	"  'a://old', 1, -1, NULL, 6, 4, 3, 0, 1, 0, 3, 28, 'why');"
	"INSERT INTO removal VALUES (1, 'a://y', 3, 4, NULL);"
	"PRAGMA user_version = 1;";

static void test_migration(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_auto(CacheRecord) back = {0};
	sqlite3 *db = NULL;
	g_clear_pointer(&f->store, cache_store_close);
	g_assert_cmpint(unlink(f->path), ==, 0);
	g_assert_cmpint(sqlite3_open(f->path, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(db, version_1, NULL, NULL, NULL), ==, SQLITE_OK);
	sqlite3_close(db);
	/* And what was migrated is as good as new. */
	for (int i = 0; i < 2; i++) {
		f->store = cache_store_open(f->path, &error);
		g_assert_no_error(error);
		cache_record_clear(&back);
		g_assert_true(cache_store_find(f->store, 9, "kept", &back, &error));
		g_assert_cmpuint(back.generation, ==, 6);
		g_assert_cmpint(back.state, ==, CACHE_STATE_FAILED);
		g_assert_null(back.conflict);
		g_autoptr(GPtrArray) list = cache_store_removals(f->store, 0, &error);
		g_assert_cmpuint(list->len, ==, 1);
		CacheRemoval *removal = g_ptr_array_index(list, 0);
		g_assert_cmpint(removal->error, ==, 0);
		g_assert_cmpint(removal->until, ==, 0);
		g_clear_pointer(&f->store, cache_store_close);
	}
	/* One from the future is left alone. */
	g_assert_cmpint(sqlite3_open(f->path, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(db, "PRAGMA user_version = 1000", NULL, NULL, NULL), ==,
	                SQLITE_OK);
	sqlite3_close(db);
	g_assert_null(cache_store_open(f->path, &error));
	g_assert_error(error, CACHE_ERROR, EPROTO);
}

/* Version 2 had one place for two sums. */
static void test_migration_of_sums(Fixture *f, const void *data)
{
	static const char back_to_2[] = "ALTER TABLE node DROP COLUMN from_attempted_hash;"
					"ALTER TABLE removal DROP COLUMN attempted_hash;"
					"UPDATE node SET from_attempted = 0 WHERE name = 'known';"
					"INSERT INTO removal (uri, size, mtime, attempted, hash) "
	                                "VALUES ('a://s', 1, -1, 2, 'x'),"
					"  ('a://t', 1, -1, 0, 'x');"
					"PRAGMA user_version = 2;";
	g_autoptr(GError) error = NULL;
	g_auto(CacheRecord) known = sample(9, "known"), sent = sample(9, "sent"), back = {0};
	sqlite3 *db = NULL;
	g_assert_true(cache_store_insert(f->store, &known, &error));
	g_assert_true(cache_store_insert(f->store, &sent, &error));
	g_clear_pointer(&f->store, cache_store_close);
	g_assert_cmpint(sqlite3_open(f->path, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(db, back_to_2, NULL, NULL, NULL), ==, SQLITE_OK);
	sqlite3_close(db);
	f->store = cache_store_open(f->path, &error);
	g_assert_no_error(error);
	g_assert_true(cache_store_find(f->store, 9, "known", &back, &error));
	g_assert_cmpstr(back.from.hash, ==, "f");
	g_assert_null(back.from.attempted_hash);
	cache_record_clear(&back);
	g_assert_true(cache_store_find(f->store, 9, "sent", &back, &error));
	g_assert_null(back.from.hash);
	g_assert_cmpstr(back.from.attempted_hash, ==, "f");
	g_autoptr(GPtrArray) list = cache_store_removals(f->store, 0, &error);
	g_assert_cmpuint(list->len, ==, 2);
	const CacheRemoval *first = list->pdata[0], *second = list->pdata[1];
	g_assert_null(first->left.hash);
	g_assert_cmpstr(first->left.attempted_hash, ==, "x");
	g_assert_cmpstr(second->left.hash, ==, "x");
	g_assert_null(second->left.attempted_hash);
}

#define ADD(name, function) g_test_add("/store/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("record", test_record);
	ADD("names", test_names);
	ADD("rollback", test_rollback);
	ADD("extents", test_extents);
	ADD("given-up", test_given_up);
	ADD("damage", test_damage);
	ADD("removals", test_removals);
	ADD("meta-list", test_meta_list);
	ADD("migration", test_migration);
	ADD("migration-of-sums", test_migration_of_sums);
	return g_test_run();
}
