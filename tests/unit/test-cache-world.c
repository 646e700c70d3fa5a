/* test-cache-world.c - see test-cache-world.h. */
#include "test-cache-world.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>

#include "cache/private.h"

static const char *server_path;

void intercept_journal(gssize (*write)(int fd, const void *bytes, gsize length, off_t offset))
{
	static const char *const names[] = {"pwrite", "pwrite64"};
	g_assert_cmpint(sqlite3_initialize(), ==, SQLITE_OK);
	sqlite3_vfs *vfs = sqlite3_vfs_find("unix-excl");
	for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
		g_assert_cmpint(vfs->xSetSystemCall(vfs, names[i], (sqlite3_syscall_ptr)write), ==,
		                SQLITE_OK);
}

void world_init(const char *path)
{
	server_path = path;
}

static bool load_credentials(GssCredentials *ret, void *data, GError **error)
{
	ret->username = g_strdup("demo");
	ret->project = g_strdup("demo");
	ret->password = g_strdup("demo");
	return true;
}

void control(Fixture *f, const char *path, const char *body)
{
	test_server_control(f->server, path, body);
}

void await_counter(Fixture *f, const char *name, int value)
{
	test_server_await(f->server, name, value);
}

static size_t append(char *bytes, size_t size, size_t count, void *data)
{
	g_string_append_len(data, bytes, size * count);
	return size * count;
}

int counter(Fixture *f, const char *name)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autofree char *url = test_server_url(f->server, "/_control");
	g_autofree char *key = g_strdup_printf("\"%s\":", name);
	CURL *easy = curl_easy_init();
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, append);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, text);
	g_assert_cmpint(curl_easy_perform(easy), ==, CURLE_OK);
	curl_easy_cleanup(easy);
	const char *found = strstr(text->str, key);
	return found ? atoi(found + strlen(key)) : 0;
}

void answer_nowhere(Fixture *f, const char *name, const char *parameters)
{
	g_autofree char *fault =
		g_strconcat("/fault?operation=getResourceInformation&status=200&type=text/xml",
	                    parameters, NULL);
	g_autofree char *answer = g_strdup_printf(
		"<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>"
		"<g:getResourceInformationResponse xmlns:g=\"http://gss.sintef.no/\"><return>"
		"<createDescription><httpMethod>POST</httpMethod><supported>true</supported>"
		"<url>http://127.0.0.1:1/%s</url></createDescription>"
		"<queryForName>false</queryForName><type>NOTEXIST</type>"
		"<uniqueName>it4i_anselm://home/%s</uniqueName><visualName>%s</visualName>"
		"</return></g:getResourceInformationResponse></e:Body></e:Envelope>",
		name, name, name);
	control(f, fault, answer);
}

void start_cache(Fixture *f)
{
	g_autoptr(GError) error = NULL;
	f->cache = cache_open(&(CacheOptions){.dir = f->dir,
	                                      .size_limit = f->limit,
	                                      .user = "ada",
	                                      .overwrite = f->overwrite,
	                                      .platform = "http://test",
	                                      .project = "demo",
	                                      .storage = "it4i_anselm",
	                                      .mountpoint = "/nowhere",
	                                      .file_mode = 0644,
	                                      .folder_mode = 0755},
	                      &error);
	g_assert_no_error(error);
	cache_start(f->cache, f->client, NULL);
	g_assert_true(sync_root(f->cache, "it4i_anselm://home", &f->home, &error));
	g_assert_no_error(error);
}

void stop_cache(Fixture *f)
{
	cache_stop(f->cache);
	cache_close(f->cache);
}

static void run_command(const char *const *argv)
{
	int status = -1;
	g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
	                           NULL, &status, NULL));
	g_assert_cmpint(status, ==, 0);
}

void kill_cache(Fixture *f, CacheFile *open)
{
	g_autofree char *kept = g_strconcat(f->dir, ".kept", NULL);
	/* One moment: a blob and its record must not be of two. */
	g_mutex_lock(&f->cache->lock);
	run_command((const char *[]){"cp", "-a", f->dir, kept, NULL});
	g_mutex_unlock(&f->cache->lock);
	/* What the one that goes on to its end does must not be seen at GSS. */
	control(f, "/fault?path=/refissh*&method=DELETE&status=503&times=100000", "");
	control(f, "/fault?path=/refissh*&method=P*&status=503&times=100000", "");
	if (open)
		cache_file_release(open);
	stop_cache(f);
	control(f, "/reset", "");
	run_command((const char *[]){"rm", "-r", f->dir, NULL});
	run_command((const char *[]){"mv", kept, f->dir, NULL});
	start_cache(f);
}

void set_up(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	f->dir = g_dir_make_tmp("gss-cache-XXXXXX", NULL);
	f->server = test_server_new(server_path);
	g_autofree char *auth = test_server_url(f->server, "/authManager/AuthManager?wsdl");
	g_autofree char *gss = test_server_url(f->server, "/gss-0.1/FileUtilities?wsdl");
	f->client = gss_client_new(&(GssClientOptions){.auth_url = auth,
	                                               .gss_url = gss,
	                                               .load_credentials = load_credentials},
	                           &error);
	g_assert_no_error(error);
	start_cache(f);
}

void tear_down(Fixture *f, const void *data)
{
	stop_cache(f);
	gss_client_free(f->client);
	test_server_free(f->server);
	test_remove_tree(f->dir);
	g_free(f->dir);
}

/* --- what the server's folder holds --- */

char *place(Fixture *f, const char *path)
{
	return g_build_filename(test_server_root(f->server), "it4i_anselm", "home", path, NULL);
}

void assert_there(Fixture *f, const char *path, const char *expected)
{
	g_autofree char *file = place(f, path), *text = NULL;
	g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, expected);
}

void assert_gone(Fixture *f, const char *path)
{
	g_autofree char *file = place(f, path);
	g_assert_false(g_file_test(file, G_FILE_TEST_EXISTS));
}

void await_there(Fixture *f, const char *name, bool there)
{
	g_autofree char *path = place(f, name);
	gint64 deadline = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;
	while (g_file_test(path, G_FILE_TEST_EXISTS) != there && g_get_monotonic_time() < deadline)
		g_usleep(10000);
	g_assert_cmpint(g_file_test(path, G_FILE_TEST_EXISTS), ==, there);
}

void put_there(Fixture *f, const char *path, const char *text)
{
	g_autofree char *file = place(f, path);
	g_assert_true(g_file_set_contents(file, text, -1, NULL));
}

void put_and_restart(Fixture *f, const char *path, const char *text)
{
	put_there(f, path, text);
	stop_cache(f);
	start_cache(f);
}

/* --- what a program does --- */

CacheId make(Fixture *f, const char *name, const char *text)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	CacheFile *file = sync_create(f->cache, f->home, name, &attr, &error);
	g_assert_no_error(error);
	g_assert_true(sync_write(file, 0, text, strlen(text), &error));
	g_assert_true(cache_file_flush(file, &error));
	cache_file_release(file);
	return attr.id;
}

void rewrite(Fixture *f, CacheId id, const char *text)
{
	g_autoptr(GError) error = NULL;
	CacheFile *file = sync_open(f->cache, id, O_WRONLY | O_TRUNC, &error);
	g_assert_no_error(error);
	g_assert_true(sync_write(file, 0, text, strlen(text), &error));
	g_assert_true(cache_file_flush(file, &error));
	cache_file_release(file);
}

CacheId find(Fixture *f, const char *name)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	g_assert_true(sync_lookup(f->cache, f->home, name, &attr, &error));
	g_assert_no_error(error);
	return attr.id;
}

CacheFile *open_file(Fixture *f, CacheId id, int flags)
{
	g_autoptr(GError) error = NULL;
	CacheFile *file = sync_open(f->cache, id, flags, &error);
	g_assert_no_error(error);
	return file;
}

void put(CacheFile *file, guint64 offset, const char *text)
{
	g_autoptr(GError) error = NULL;
	g_assert_true(sync_write(file, offset, text, strlen(text), &error));
	g_assert_no_error(error);
}

void close_file(CacheFile *file)
{
	g_autoptr(GError) error = NULL;
	g_assert_true(cache_file_flush(file, &error));
	g_assert_no_error(error);
	cache_file_release(file);
}

void move(Fixture *f, const char *from, const char *to)
{
	g_autoptr(GError) error = NULL;
	g_assert_true(sync_rename(f->cache, f->home, from, f->home, to, &error));
	g_assert_no_error(error);
}

void delete (Fixture *f, const char *name)
{
	g_autoptr(GError) error = NULL;
	g_assert_true(sync_unlink(f->cache, f->home, name, &error));
	g_assert_no_error(error);
}

void assert_names(Fixture *f, const char *expected)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *names = sync_names(f->cache, f->home, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(names, ==, expected);
}

void assert_read(CacheFile *file, const char *expected)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = sync_read(file, 0, strlen(expected) + 10, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(text, ==, expected);
}

void await_error(Fixture *f, CacheId id)
{
	gint64 deadline = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;
	g_autofree char *why = NULL;
	while (!(why = cache_state_error(f->cache, id)) && g_get_monotonic_time() < deadline)
		g_usleep(10000);
	g_assert_nonnull(why);
}

char *content(Fixture *f, const char *name)
{
	g_autoptr(GError) error = NULL;
	CacheAttr attr;
	g_assert_true(sync_lookup(f->cache, f->home, name, &attr, &error));
	CacheFile *file = sync_open(f->cache, attr.id, O_RDONLY, &error);
	g_assert_no_error(error);
	char *text = sync_read(file, 0, attr.size + 10, &error);
	g_assert_no_error(error);
	cache_file_release(file);
	return text;
}

void drain(Fixture *f)
{
	g_autoptr(GError) error = NULL;
	g_assert_true(sync_drain(f->cache, &error));
	CachePending pending;
	cache_pending(f->cache, &pending);
	g_assert_cmpint(pending.files, ==, 0);
	g_assert_cmpint(pending.removals, ==, 0);
}
