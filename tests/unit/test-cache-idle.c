/* test-cache-idle.c - nodes that only the kernel remembers, against gss-local, whose path is the
 * first argument. */
#include "cache/private.h"
#include "test-cache-world.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define FILES 40
#define LIMIT 8
#define UPLOADS "/fault?method=PUT&path=/refissh*"

static gint unshown_told; /* atomic */

static GLogWriterOutput on_log(GLogLevelFlags level, const GLogField *fields, gsize count,
                               void *data)
{
	for (gsize i = 0; i < count; i++) {
		bool message = strcmp(fields[i].key, "MESSAGE") == 0;
		const char *first =
			"4 entries can't be shown and are left out: “” (name is empty), "
			"“..” (name is “..”), “a/b” (name has a slash), …";
		if (message && strstr(fields[i].value, first) != NULL)
			g_atomic_int_inc(&unshown_told);
	}
	return g_log_writer_default(level, fields, count, data);
}

static void set_up_few(Fixture *f, const void *data)
{
	set_up(f, data);
	f->cache->idle.limit = LIMIT;
}

static guint nodes(Fixture *f)
{
	g_mutex_lock(&f->cache->lock);
	guint count = g_hash_table_size(f->cache->nodes);
	g_mutex_unlock(&f->cache->lock);
	return count;
}

static guint64 lookups(Fixture *f, CacheId id)
{
	g_mutex_lock(&f->cache->lock);
	CacheNode *node = cache_node_get_locked(f->cache, id, NULL);
	guint64 refs = node ? node->refs : 0;
	if (node)
		cache_node_put_locked(f->cache, node);
	g_mutex_unlock(&f->cache->lock);
	return refs;
}

static bool in_memory(Fixture *f, CacheId id)
{
	g_mutex_lock(&f->cache->lock);
	bool found = g_hash_table_contains(f->cache->nodes, &id);
	g_mutex_unlock(&f->cache->lock);
	return found;
}

/* The worker lets them go before long. */
static void await_few(Fixture *f, guint kept)
{
	gint64 deadline = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
	while (nodes(f) > kept && g_get_monotonic_time() < deadline)
		g_usleep(1000);
	g_assert_cmpuint(nodes(f), <=, kept);
}

static char *name_of(int i)
{
	return g_strdup_printf("file-%02d", i);
}

static void make_all(Fixture *f, CacheId *ret_ids)
{
	for (int i = 0; i < FILES; i++) {
		g_autofree char *name = name_of(i), *text = g_strdup_printf("this is %d", i);
		ret_ids[i] = make(f, name, text);
	}
	drain(f);
}

static void look_at_all(Fixture *f, const CacheId *ids)
{
	for (int i = 0; i < FILES; i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *name = name_of(i);
		CacheAttr attr;
		g_assert_true(sync_lookup(f->cache, f->home, name, &attr, &error));
		g_assert_cmpuint(attr.id, ==, ids[i]);
		g_assert_cmpuint(attr.size, ==, i < 10 ? 9 : 10);
	}
}

static void test_lookups_are_kept(Fixture *f, const void *data)
{
	CacheId ids[FILES];
	make_all(f, ids);
	look_at_all(f, ids);
	await_few(f, LIMIT + LIMIT / 8 + 1); /* and home */
	g_assert_false(in_memory(f, ids[0]));
	for (int i = 0; i < FILES; i++)
		g_assert_cmpuint(lookups(f, ids[i]), ==, 2); /* made, and looked up */
	/* Forgotten one by one, in memory or not, nothing of it is left. */
	await_few(f, LIMIT + LIMIT / 8 + 1);
	for (int i = 0; i < FILES; i++)
		cache_forget(f->cache, ids[i], 1);
	for (int i = 0; i < FILES; i++)
		g_assert_cmpuint(lookups(f, ids[i]), ==, 1);
	for (int i = 0; i < FILES; i++)
		cache_forget(f->cache, ids[i], 1);
	await_few(f, 1); /* home; a question about some may still be going on */
	g_mutex_lock(&f->cache->lock);
	g_assert_cmpuint(g_hash_table_size(f->cache->idle.lookups), ==, 0);
	g_mutex_unlock(&f->cache->lock);
}

static void test_content_is_found_again(Fixture *f, const void *data)
{
	CacheId ids[FILES];
	make_all(f, ids);
	look_at_all(f, ids);
	await_few(f, LIMIT + LIMIT / 8 + 1);
	for (int i = 0; i < FILES; i++) {
		g_autofree char *name = name_of(i), *text = content(f, name);
		g_autofree char *expected = g_strdup_printf("this is %d", i);
		g_assert_cmpstr(text, ==, expected);
	}
	look_at_all(f, ids);
}

/* What is open, or not on GSS yet, stays, while all others are looked at. */
static void test_what_is_used_stays(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheId ids[FILES];
	make_all(f, ids);
	CacheFile *file = sync_open(f->cache, ids[0], O_RDWR, &error);
	g_assert_no_error(error);
	control(f, UPLOADS "&status=503&times=1000", "");
	rewrite(f, ids[1], "changed");
	for (int i = 2; i < FILES; i++)
		g_assert_cmpuint(lookups(f, ids[i]), ==, 1);
	await_few(f, LIMIT + LIMIT / 8 + 3);
	g_assert_true(in_memory(f, ids[0]));
	g_assert_true(in_memory(f, ids[1]));
	g_assert_false(in_memory(f, ids[2]));
	g_assert_true(sync_write(file, 0, "THIS", 4, &error));
	g_assert_true(cache_file_flush(file, &error));
	cache_file_release(file);
	control(f, "/reset", "");
	drain(f);
	assert_there(f, "file-00", "THIS is 0");
	assert_there(f, "file-01", "changed");
	await_few(f, LIMIT + LIMIT / 8 + 1);
}

static void list_again(Fixture *f)
{
	g_mutex_lock(&f->cache->lock);
	CacheNode *home = cache_node_get_locked(f->cache, f->home, NULL);
	home->list_until = 0;
	cache_node_put_locked(f->cache, home);
	g_mutex_unlock(&f->cache->lock);
}

/* A new listing that says the same takes nothing away: neither memory nor what is known. */
static void test_listed_anew(Fixture *f, const void *data)
{
	CacheId ids[FILES];
	make_all(f, ids);
	look_at_all(f, ids);
	await_few(f, LIMIT + LIMIT / 8 + 1);
	g_assert_false(in_memory(f, ids[0]));
	list_again(f);
	look_at_all(f, ids);
	control(f, "/fault?method=HEAD&path=/refissh*&status=503&times=1000", "");
	control(f, "/fault?method=GET&path=/refissh*&status=503&times=1000", "");
	for (int round = 0; round < 2; round++) {
		list_again(f);
		look_at_all(f, ids);
	}
}

static guint64 requests(Fixture *f)
{
	GssCounters counters;
	gss_client_counters(f->client, &counters);
	return counters.requests;
}

/* That a version is known from a view only, which told no date, is not forgotten with the node:
 * whoever is about to change the file asks first. */
static void test_viewed(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	control(f, "", "view-full=shifted");
	for (int i = 0; i < FILES; i++) {
		g_autofree char *name = name_of(i), *text = g_strnfill(100 + i, 'a');
		put_there(f, name, text);
	}
	list_again(f);
	g_free(sync_names(f->cache, f->home, &error));
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < FILES; i++) {
			g_autofree char *name = name_of(i);
			g_assert_true(sync_lookup(f->cache, f->home, name, &attr, &error));
			g_assert_cmpuint(attr.size, ==, 100 + i);
		}
	await_few(f, LIMIT + LIMIT / 8 + 1); /* and home */
	g_assert_true(sync_lookup(f->cache, f->home, "file-20", &attr, &error));
	guint64 before = requests(f);
	CacheFile *file = sync_open(f->cache, attr.id, O_WRONLY, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(requests(f), >, before);
	cache_file_release(file);
}

static void end_leases(Fixture *f)
{
	GHashTableIter iter;
	void *node;
	g_mutex_lock(&f->cache->lock);
	g_hash_table_iter_init(&iter, f->cache->nodes);
	while (g_hash_table_iter_next(&iter, NULL, &node))
		((CacheNode *)node)->list_until = 0;
	g_mutex_unlock(&f->cache->lock);
}

static double processor_time(void)
{
	struct timespec time;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Folders stay as long as what was listed is true, which is waited for in peace. */
static void test_listed_folders(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	for (int i = 0; i < FILES; i++) {
		g_autofree char *name = name_of(i);
		g_assert_true(sync_mkdir(f->cache, f->home, name, &attr, &error));
		g_free(sync_names(f->cache, attr.id, &error));
		g_assert_no_error(error);
	}
	double before = processor_time();
	g_usleep(G_USEC_PER_SEC / 2);
	g_assert_cmpfloat(processor_time() - before, <, 0.2);
	g_assert_cmpuint(nodes(f), >=, FILES);
	end_leases(f);
	await_few(f, LIMIT + LIMIT / 8 + 1); /* and home */
	for (int i = 0; i < FILES; i++) {
		g_autofree char *name = name_of(i);
		g_assert_true(sync_lookup(f->cache, f->home, name, &attr, &error));
		g_autofree char *list = sync_names(f->cache, attr.id, &error);
		g_assert_cmpstr(list, ==, "");
	}
}

/* Said once, however often the folder comes and goes. */
static void test_unshown(Fixture *f, const void *data)
{
	static const char envelope[] =
		"<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>"
		"<g:listFilesResponse xmlns:g=\"http://gss.sintef.no/\">%s"
		"</g:listFilesResponse></e:Body></e:Envelope>";
	static const char *const names[] = {"..", "a/b", "a/c", "", "good"};
	g_autoptr(GError) error = NULL;
	g_autoptr(GString) entries = g_string_new(NULL);
	CacheAttr attr;
	for (guint i = 0; i < G_N_ELEMENTS(names); i++)
		g_string_append_printf(entries,
		                       "<return><visualName>%s</visualName><uniqueName>"
		                       "it4i_anselm://home/bad/%u</uniqueName><type>FILE</type>"
		                       "</return>",
		                       names[i], i);
	g_autofree char *body = g_strdup_printf(envelope, entries->str);
	g_assert_true(sync_mkdir(f->cache, f->home, "bad", &attr, &error));
	int before = g_atomic_int_get(&unshown_told);
	for (int round = 0; round < 2; round++) {
		cache_forget(f->cache, attr.id, 1);
		await_few(f, 1); /* home */
		g_assert_false(in_memory(f, attr.id));
		g_assert_true(sync_lookup(f->cache, f->home, "bad", &attr, &error));
		control(f, "/fault?operation=listFiles&status=200&type=text/xml&times=1", body);
		g_autofree char *list = sync_names(f->cache, attr.id, &error);
		g_assert_no_error(error);
		g_assert_cmpstr(list, ==, "good");
	}
	g_assert_cmpint(g_atomic_int_get(&unshown_told) - before, ==, 1);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_writer_func(on_log, NULL, NULL);
	g_log_set_always_fatal(G_LOG_FATAL_MASK); /* a warning is an outcome here, not a failure */
	curl_global_init(CURL_GLOBAL_DEFAULT);
	world_init(argv[1]);
#define ADD_FEW(name, function) \
	g_test_add("/cache/idle/" name, Fixture, NULL, set_up_few, function, tear_down)
	ADD_FEW("lookups-are-kept", test_lookups_are_kept);
	ADD_FEW("content-is-found-again", test_content_is_found_again);
	ADD_FEW("what-is-used-stays", test_what_is_used_stays);
	ADD_FEW("listed-anew", test_listed_anew);
	ADD_FEW("listed-folders", test_listed_folders);
	ADD_FEW("viewed", test_viewed);
	ADD_FEW("unshown", test_unshown);
	return g_test_run();
}
