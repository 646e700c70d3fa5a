/* test-cache-world.c - see test-cache-world.h. */
#include "test-cache-world.h"

#include <fcntl.h>
#include <string.h>

static const char *server_path;

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
