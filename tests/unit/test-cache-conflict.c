/* test-cache-conflict.c - two versions of one file: both survive. Against gss-local, whose path is
 * the first argument. */
#include "test-cache-world.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/conflict.h"

/* The only name in home that is a conflict copy of `name`. */
static char *copy_of(Fixture *f, const char *name)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *prefix = g_strconcat(name, ".conflict-ada-", NULL);
	g_autofree char *names = sync_names(f->cache, f->home, &error);
	g_assert_no_error(error);
	g_auto(GStrv) list = g_strsplit(names, " ", -1);
	char *found = NULL;
	for (char **one = list; *one; one++)
		if (g_str_has_prefix(*one, prefix)) {
			g_assert_null(found);
			found = g_strdup(*one);
		}
	g_assert_nonnull(found);
	return found;
}

static void assert_no_copy(Fixture *f)
{
	g_autofree char *home = place(f, "");
	g_autoptr(GDir) dir = g_dir_open(home, 0, NULL);
	for (const char *name; (name = g_dir_read_name(dir));)
		g_assert_null(strstr(name, ".conflict-"));
}

static CacheState state(Fixture *f, const char *name)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	g_assert_true(sync_lookup(f->cache, f->home, name, &attr, &error));
	cache_forget(f->cache, attr.id, 1);
	return cache_state(f->cache, attr.id);
}

/* An edit of `name` here, and another there before ours is closed. */
static CacheId collide(Fixture *f, const char *name, const char *ours, const char *theirs)
{
	g_autoptr(GError) error = NULL;
	CacheId id = find(f, name);
	CacheFile *file = sync_open(f->cache, id, O_WRONLY | O_TRUNC, &error);
	g_assert_no_error(error);
	g_assert_true(sync_write(file, 0, ours, strlen(ours), &error));
	put_there(f, name, theirs);
	g_assert_true(cache_file_flush(file, &error));
	cache_file_release(file);
	return id;
}

static void assert_both(Fixture *f, const char *name, const char *ours, const char *theirs)
{
	g_autofree char *copy = copy_of(f, name);
	g_autofree char *mine = content(f, copy), *others = content(f, name);
	g_assert_cmpstr(mine, ==, ours);
	g_assert_cmpstr(others, ==, theirs);
	assert_there(f, name, theirs);
	assert_there(f, copy, ours);
}

static void test_name(void)
{
	g_autofree char *plain = cache_conflict_name("f.txt", "ada", 1700000000, 1);
	g_assert_cmpstr(plain, ==, "f.txt.conflict-ada-20231114T221320");
	g_autofree char *second = cache_conflict_name("f.txt", "ada", 1700000000, 2);
	g_assert_cmpstr(second, ==, "f.txt.conflict-ada-20231114T221320-2");
	g_autofree char *strange = cache_conflict_name("f", "a/b ü", 0, 1);
	g_assert_cmpstr(strange, ==, "f.conflict-a_b___-19700101T000000");
	/* Cut where a character ends. */
	g_autoptr(GString) name = g_string_new(NULL);
	while (name->len < 254)
		g_string_append(name, "ü");
	for (int odd = 0; odd < 2; odd++) {
		g_autofree char *cut = cache_conflict_name(name->str + odd * 2, "ada", 0, 1);
		g_assert_cmpuint(strlen(cut), <=, 255);
		g_assert_cmpuint(strlen(cut), >=, 253);
		g_assert_true(g_utf8_validate(cut, -1, NULL));
		g_assert_true(g_str_has_suffix(cut, ".conflict-ada-19700101T000000"));
		g_string_insert_c(name, 0, 'x');
		g_string_insert_c(name, 0, 'y');
	}
}

static void test_both_survive(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	put_and_restart(f, "shared", "theirs, old");
	CacheFile *open = open_file(f, find(f, "shared"), O_RDONLY);
	CacheId id = collide(f, "shared", "ours", "theirs, new and longer");
	/* Whoever waits for it learns that it is not there under its name. */
	g_assert_false(sync_fsync(f->cache, id, &error));
	g_assert_error(error, CACHE_ERROR, ESTALE);
	cache_file_release(open);
	drain(f);
	assert_both(f, "shared", "ours", "theirs, new and longer");
	/* Ours is the node it was, with what it was asked to be told. */
	g_autofree char *copy = copy_of(f, "shared");
	g_assert_cmpuint(find(f, copy), ==, id);
	g_assert_cmpuint(find(f, "shared"), !=, id);
	g_assert_cmpint(state(f, copy), ==, CACHE_STATE_CONFLICT);
	g_assert_cmpint(state(f, "shared"), ==, CACHE_STATE_CLEAN);
	g_autofree char *why = cache_state_error(f->cache, id);
	g_assert_nonnull(strstr(why, "ada"));
	g_assert_nonnull(strstr(why, "22 bytes"));
	/* It stays one after a restart, and until somebody does something about it. */
	stop_cache(f);
	start_cache(f);
	g_assert_cmpint(state(f, copy), ==, CACHE_STATE_CONFLICT);
	rewrite(f, find(f, copy), "merged");
	drain(f);
	g_assert_cmpint(state(f, copy), ==, CACHE_STATE_CLEAN);
	assert_there(f, copy, "merged");
}

static void test_renamed(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	put_and_restart(f, "shared", "theirs, old");
	collide(f, "shared", "ours", "theirs, new and longer");
	drain(f);
	g_autofree char *copy = copy_of(f, "shared");
	g_assert_true(sync_rename(f->cache, f->home, copy, f->home, "mine", &error));
	drain(f);
	g_assert_cmpint(state(f, "mine"), ==, CACHE_STATE_CLEAN);
	assert_there(f, "mine", "ours");
	assert_gone(f, copy);
	assert_there(f, "shared", "theirs, new and longer");
}

/* Whoever has the file open writes on to ours. */
static void test_open(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	put_and_restart(f, "shared", "theirs, old");
	CacheId id = find(f, "shared");
	g_autofree char *held = content(f, "shared");
	g_assert_cmpstr(held, ==, "theirs, old");
	CacheFile *file = sync_open(f->cache, id, O_RDWR, &error);
	g_assert_true(sync_write(file, 0, "ours", 4, &error));
	put_there(f, "shared", "theirs, new and longer");
	g_assert_false(sync_fsync(f->cache, id, &error));
	g_assert_error(error, CACHE_ERROR, ESTALE);
	g_clear_error(&error);
	g_assert_true(sync_fsync(f->cache, id, &error));
	g_assert_true(sync_write(file, 11, "!", 1, &error));
	g_assert_true(cache_file_flush(file, &error));
	cache_file_release(file);
	drain(f);
	assert_both(f, "shared", "oursrs, old!", "theirs, new and longer");
	g_autofree char *copy = copy_of(f, "shared");
	g_assert_cmpint(state(f, copy), ==, CACHE_STATE_CLEAN);
}

/* It became a copy behind the back of who still has it open: the next fsync tells, once. */
static void test_told_later(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	put_and_restart(f, "shared", "theirs, old");
	CacheId id = find(f, "shared");
	CacheFile *other = open_file(f, id, O_RDONLY);
	collide(f, "shared", "ours", "theirs, new and longer");
	drain(f);
	assert_both(f, "shared", "ours", "theirs, new and longer");
	g_assert_false(sync_fsync(f->cache, id, &error));
	g_assert_error(error, CACHE_ERROR, ESTALE);
	g_clear_error(&error);
	g_assert_true(sync_fsync(f->cache, id, &error));
	g_assert_no_error(error);
	cache_file_release(other);
}

/* Of what was edited the rest is gone: neither can be made whole, and nothing is thrown away. */
static void test_part(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	put_and_restart(f, "shared", "theirs, old");
	CacheId id = find(f, "shared");
	CacheFile *file = sync_open(f->cache, id, O_RDWR, &error);
	g_assert_true(sync_write(file, 0, "ours", 4, &error));
	put_there(f, "shared", "theirs, new and longer");
	g_assert_true(cache_file_flush(file, &error));
	g_assert_false(sync_fsync(f->cache, id, &error));
	g_assert_error(error, CACHE_ERROR, ESTALE);
	cache_file_release(file);
	g_assert_true(sync_drain(f->cache, NULL));
	g_assert_cmpint(cache_state(f->cache, id), ==, CACHE_STATE_CONFLICT);
	assert_there(f, "shared", "theirs, new and longer");
	/* Written anew as a whole it is ours. */
	rewrite(f, id, "all ours");
	drain(f);
	assert_both(f, "shared", "all ours", "theirs, new and longer");
}

/* A name that somebody took while ours was on its way, also that of the copy itself. */
static void test_name_taken(Fixture *f, const void *data)
{
	control(f, "/fault?method=POST&path=*/f&hold=before", "");
	make(f, "f", "ours");
	await_counter(f, "held", 1);
	put_there(f, "f", "theirs");
	control(f, "/fault?method=POST&path=*conflict*&hold=before", "");
	control(f, "/release", "");
	await_counter(f, "held", 2);
	g_autofree char *copy = copy_of(f, "f");
	put_there(f, copy, "somebody's");
	control(f, "/release", "");
	drain(f);
	assert_there(f, "f", "theirs");
	assert_there(f, copy, "somebody's");
	g_autoptr(GError) error = NULL;
	g_autofree char *names = sync_names(f->cache, f->home, &error);
	g_auto(GStrv) list = g_strsplit(names, " ", -1);
	g_assert_cmpuint(g_strv_length(list), ==, 3);
	for (char **one = list; *one; one++)
		if (!g_str_equal(*one, "f") && !g_str_equal(*one, copy))
			assert_there(f, *one, "ours");
}

static void test_folder(Fixture *f, const void *data)
{
	control(f, "", "error-rate=100");
	make(f, "f", "ours");
	g_autofree char *folder = place(f, "f");
	g_assert_cmpint(mkdir(folder, 0755), ==, 0);
	control(f, "", "error-rate=0");
	drain(f);
	g_autofree char *copy = copy_of(f, "f");
	assert_there(f, copy, "ours");
	CacheAttr attr;
	g_assert_true(sync_lookup(f->cache, f->home, "f", &attr, NULL));
	g_assert_true(attr.folder);
}

/* A rename onto what somebody changes: theirs stays, ours is kept, and its old name goes. */
static void test_rename_onto(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	put_there(f, "a", "ours");
	put_and_restart(f, "b", "theirs, old");
	find(f, "a");
	find(f, "b");
	control(f, "", "error-rate=100");
	g_assert_true(sync_rename(f->cache, f->home, "a", f->home, "b", &error));
	put_there(f, "b", "theirs, new and longer");
	control(f, "", "error-rate=0");
	drain(f);
	assert_both(f, "b", "ours", "theirs, new and longer");
	assert_gone(f, "a");
}

static void test_overwrite(Fixture *f, const void *data)
{
	put_there(f, "shared", "theirs, old");
	stop_cache(f);
	f->overwrite = true;
	start_cache(f);
	collide(f, "shared", "ours", "theirs, new and longer");
	drain(f);
	assert_there(f, "shared", "ours");
	assert_no_copy(f);
}

/* The same content on both sides is no conflict. */
static void test_identical(Fixture *f, const void *data)
{
	put_and_restart(f, "shared", "old");
	collide(f, "shared", "the same", "the same");
	drain(f);
	assert_there(f, "shared", "the same");
	g_assert_cmpint(state(f, "shared"), ==, CACHE_STATE_CLEAN);
	assert_no_copy(f);
}

/* Where size is all there is, contents of the same size are compared: with what was read... */
static void test_same_size_read(Fixture *f, const void *data)
{
	control(f, "", "last-modified=off");
	put_and_restart(f, "shared", "version 1");
	g_autofree char *text = content(f, "shared");
	g_assert_cmpstr(text, ==, "version 1");
	collide(f, "shared", "ours", "version 2");
	drain(f);
	assert_both(f, "shared", "ours", "version 2");
}

/* ... and with what was uploaded, also if it is not held any more. */
static void test_same_size_uploaded(Fixture *f, const void *data)
{
	control(f, "", "last-modified=off");
	CacheId id = make(f, "shared", "version 1");
	drain(f);
	rewrite(f, id, "version 2");
	drain(f);
	assert_there(f, "shared", "version 2");
	assert_no_copy(f);
	stop_cache(f);
	start_cache(f);
	collide(f, "shared", "version 4", "version 3");
	drain(f);
	assert_both(f, "shared", "version 4", "version 3");
}

/* A try whose outcome is unknown, and then somebody else's of the same size. */
static void test_same_size_after_a_lost_answer(Fixture *f, const void *data)
{
	control(f, "/fault?method=POST&path=*/f&cut=before", "");
	make(f, "f", "ours");
	await_counter(f, "rest.POST", 1);
	put_there(f, "f", "them");
	control(f, "/reset", "");
	drain(f);
	assert_both(f, "f", "ours", "them");
}

static void replace_after_the_look(Fixture *f)
{
	control(f, "/fault?method=PUT&path=*/shared&hold=before", "");
	rewrite(f, find(f, "shared"), "ours");
	await_counter(f, "held", 1);
	put_there(f, "shared", "theirs, new and longer");
	control(f, "/release", "");
	drain(f);
}

/* Changed between the look and the request, and the storage honours conditions. */
static void test_condition(Fixture *f, const void *data)
{
	control(f, "", "etag=on&conditional=on");
	put_and_restart(f, "shared", "theirs, old");
	replace_after_the_look(f);
	assert_both(f, "shared", "ours", "theirs, new and longer");
}

/* The same, by dates. */
static void test_condition_by_date(Fixture *f, const void *data)
{
	const struct timespec past[2] = {{.tv_sec = 1500000000}, {.tv_sec = 1500000000}};
	g_autofree char *path = place(f, "shared");
	control(f, "", "etag=off&conditional=on");
	put_there(f, "shared", "theirs, old");
	g_assert_cmpint(utimensat(AT_FDCWD, path, past, 0), ==, 0); /* they have seconds only */
	stop_cache(f);
	start_cache(f);
	replace_after_the_look(f);
	assert_both(f, "shared", "ours", "theirs, new and longer");
}

/* What the journal has after each step is where the next start goes on: no third copy. */
static void test_killed(Fixture *f, const void *data)
{
	put_and_restart(f, "shared", "theirs, old");
	find(f, "shared");
	/* Before anything was found out. */
	control(f, "", "error-rate=100");
	collide(f, "shared", "ours", "theirs, new and longer");
	stop_cache(f);
	control(f, "", "error-rate=0");
	/* Parted, the copy not sent. */
	control(f, "/fault?method=POST&path=*conflict*&status=503&times=1000", "");
	start_cache(f);
	await_counter(f, "faults", 1);
	g_autofree char *copy = copy_of(f, "shared");
	g_autofree char *theirs = content(f, "shared");
	g_assert_cmpstr(theirs, ==, "theirs, new and longer");
	stop_cache(f);
	assert_gone(f, copy);
	/* Arrived, and the answer lost. */
	control(f, "/reset", "");
	control(f, "/fault?method=POST&path=*conflict*&hold=after", "");
	start_cache(f);
	await_counter(f, "held", 1);
	stop_cache(f);
	control(f, "/release", "");
	control(f, "/reset", "");
	start_cache(f);
	drain(f);
	g_autofree char *same = copy_of(f, "shared");
	g_assert_cmpstr(same, ==, copy);
	assert_both(f, "shared", "ours", "theirs, new and longer");
	g_assert_cmpint(state(f, copy), ==, CACHE_STATE_CONFLICT);
}

static void replace_before_the_answer(Fixture *f, const char *ours, const char *theirs)
{
	control(f, "/fault?method=POST&path=*/f&hold=after", "");
	make(f, "f", ours);
	await_counter(f, "held", 1);
	put_there(f, "f", theirs);
	control(f, "/release", "");
	drain(f);
}

/* Less arrived than was sent: a failed try, and no conflict. */
static void test_cut_short(Fixture *f, const void *data)
{
	replace_before_the_answer(f, "all of it", "all");
	assert_there(f, "f", "all of it");
	assert_no_copy(f);
}

/* More is there than was sent: somebody else's, which the service does not make of ours. */
static void test_longer_than_sent(Fixture *f, const void *data)
{
	replace_before_the_answer(f, "ours", "theirs, and longer");
	assert_both(f, "f", "ours", "theirs, and longer");
}

/* GSS says that it was changed, and shows what was there before: it is asked again, but not at
 * once, again and again. */
static void test_condition_that_always_fails(Fixture *f, const void *data)
{
	control(f, "", "etag=on&conditional=on");
	CacheId id = make(f, "f", "first");
	drain(f);
	control(f, "/fault?method=PUT&path=*/f&status=412&times=1000", "");
	rewrite(f, id, "second");
	await_error(f, id);
	g_assert_cmpint(counter(f, "rest.PUT"), ==, 1);
	control(f, "/reset", "");
	drain(f);
	assert_there(f, "f", "second");
	assert_no_copy(f);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_assert_cmpint(argc, >, 1);
	g_log_set_always_fatal(G_LOG_FATAL_MASK); /* a warning is an outcome here, not a failure */
	curl_global_init(CURL_GLOBAL_DEFAULT);
	world_init(argv[1]);
	g_test_add_func("/cache/conflict/name", test_name);
	ADD("conflict/both-survive", test_both_survive);
	ADD("conflict/renamed", test_renamed);
	ADD("conflict/open", test_open);
	ADD("conflict/told-later", test_told_later);
	ADD("conflict/part", test_part);
	ADD("conflict/name-taken", test_name_taken);
	ADD("conflict/folder", test_folder);
	ADD("conflict/rename-onto", test_rename_onto);
	ADD("conflict/overwrite", test_overwrite);
	ADD("conflict/identical", test_identical);
	ADD("conflict/same-size-read", test_same_size_read);
	ADD("conflict/same-size-uploaded", test_same_size_uploaded);
	ADD("conflict/same-size-after-a-lost-answer", test_same_size_after_a_lost_answer);
	ADD("conflict/condition", test_condition);
	ADD("conflict/condition-by-date", test_condition_by_date);
	ADD("conflict/killed", test_killed);
	ADD("conflict/cut-short", test_cut_short);
	ADD("conflict/longer-than-sent", test_longer_than_sent);
	ADD("conflict/condition-that-always-fails", test_condition_that_always_fails);
	return g_test_run();
}
