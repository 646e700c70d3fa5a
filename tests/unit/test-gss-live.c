/* test-gss-live.c - every verb of the GSS client against gss-local, whose path is the first
 * argument. */
#include "gss/uri.h"
#include "test-gss-sync.h"
#include "test-server.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const char *server_path;

typedef struct {
	TestServer *server;
	GssClient *client;
	GssImages *images;
	GssCredentials credentials;
} Fixture;

#define g_assert_errno(error, number) g_assert_error(error, GSS_ERROR, number)

static bool load_credentials(GssCredentials *ret, void *data, GError **error)
{
	const Fixture *f = data;
	ret->token = g_strdup(f->credentials.token);
	ret->username = g_strdup(f->credentials.username);
	ret->project = g_strdup(f->credentials.project);
	ret->password = g_strdup(f->credentials.password);
	return true;
}

static void control(Fixture *f, const char *path, const char *body)
{
	test_server_control(f->server, path, body);
}

static void make_client(Fixture *f)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *auth = test_server_url(f->server, "/authManager/AuthManager?wsdl");
	g_autofree char *gss = test_server_url(f->server, "/gss-0.1/FileUtilities?wsdl");
	g_autofree char *images = test_server_url(f->server, "/hpc-4-anselm/Images?wsdl");
	f->client = gss_client_new(&(GssClientOptions){.auth_url = auth,
	                                               .gss_url = gss,
	                                               .response_timeout_ms = 20000,
	                                               .load_credentials = load_credentials,
	                                               .data = f},
	                           &error);
	g_assert_no_error(error);
	f->images = gss_images_new(f->client, images, &error);
	g_assert_no_error(error);
}

static void set_up(Fixture *f, const void *data)
{
	f->server = test_server_new(server_path);
	f->credentials = (GssCredentials){.username = g_strdup("demo"),
	                                  .project = g_strdup("demo"),
	                                  .password = g_strdup("demo")};
	make_client(f);
}

static void tear_down(Fixture *f, const void *data)
{
	gss_images_free(f->images);
	gss_client_free(f->client);
	test_server_free(f->server);
	gss_credentials_clear(&f->credentials);
}

/* Creates the file `uri` with the bytes of `text`. */
static char *make_file(Fixture *f, const char *uri, const char *text, gsize length)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GssResource) resource = NULL;
	char *made = NULL;
	sync_resolve(f->client, uri, &resource, &error);
	g_assert_no_error(error);
	g_assert_cmpint(gss_resource_type(resource), ==, GSS_TYPE_NOTEXIST);
	sync_create(f->client, resource, text, length, &made, &error);
	g_assert_no_error(error);
	return made;
}

static void assert_content(Fixture *f, const char *uri, const char *text, gsize length)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GssResource) resource = NULL;
	g_auto(SyncBody) body = {.version = GSS_VERSION_INIT};
	g_auto(GssVersion) version = GSS_VERSION_INIT;
	sync_resolve(f->client, uri, &resource, &error);
	g_assert_no_error(error);
	g_assert_cmpint(gss_resource_type(resource), ==, GSS_TYPE_FILE);
	g_assert_cmpstr(gss_resource_uri(resource), ==, uri);
	sync_read(f->client, resource, 0, 0, &body, &error);
	g_assert_no_error(error);
	g_assert_cmpmem(body.bytes->data, body.bytes->len, text, length);
	g_assert_cmpint(body.version.size, ==, (gint64)length);
	sync_stat(f->client, resource, &version, &error);
	g_assert_no_error(error);
	g_assert_cmpint(version.size, ==, (gint64)length);
}

static void test_login(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *user = NULL;
	g_autofree char *project = NULL;
	sync_login(f->client, &user, &project, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(user, ==, "demo");
	g_assert_cmpstr(project, ==, "demo");
}

static void test_login_refused(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_free(f->credentials.password);
	f->credentials.password = g_strdup("not-the-password");
	g_assert_false(sync_login(f->client, NULL, NULL, &error));
	g_assert_errno(error, EKEYREJECTED);
	g_assert_null(strstr(error->message, "not-the-password"));
	g_clear_error(&error);
	gss_credentials_clear(&f->credentials);
	g_assert_false(sync_login(f->client, NULL, NULL, &error));
	g_assert_errno(error, ENOKEY);
	g_clear_error(&error);
	f->credentials.token = g_strdup("no-such-token");
	g_assert_false(sync_login(f->client, NULL, NULL, &error));
	g_assert_errno(error, ENOKEY);
	g_assert_nonnull(strstr(error->message, "expired"));
}

static void test_folders(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GssResource) folder = NULL;
	g_autoptr(GPtrArray) list = NULL;
	g_autofree char *url = NULL;
	bool there = false;
	sync_create_folder(f->client, "it4i_anselm://home/a folder", &folder, &error);
	g_assert_no_error(error);
	g_assert_cmpint(gss_resource_type(folder), ==, GSS_TYPE_FOLDER);
	sync_contains(f->client, "it4i_anselm://home/a folder", &there, &error);
	g_assert_no_error(error);
	g_assert_true(there);
	g_free(make_file(f, "it4i_anselm://home/a folder/x", "1234", 4));
	sync_list(f->client, "it4i_anselm://home/a folder", true, &list, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(list->len, ==, 1);
	g_assert_cmpstr(gss_resource_name(list->pdata[0]), ==, "x");
	/* A minimal entry resolves itself. */
	g_auto(GssVersion) version = GSS_VERSION_INIT;
	sync_stat(f->client, list->pdata[0], &version, &error);
	g_assert_no_error(error);
	g_assert_cmpint(version.size, ==, 4);
	g_clear_pointer(&list, g_ptr_array_unref);
	sync_list(f->client, "it4i_anselm://", false, &list, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(list->len, ==, 2);
	sync_delete_folder(f->client, "it4i_anselm://home/a folder", &error);
	g_assert_no_error(error);
	sync_contains(f->client, "it4i_anselm://home/a folder", &there, &error);
	g_assert_no_error(error);
	g_assert_false(there);
	g_assert_false(sync_list(f->client, "it4i_anselm://home/none", true, &list, &error));
	g_assert_errno(error, ENOENT);
	g_clear_error(&error);
	sync_endpoints(f->client, "it4i_anselm://home", &url, &error);
	g_assert_no_error(error);
	g_assert_nonnull(strstr(url, "://"));
}

static void test_names(Fixture *f, const void *data)
{
	static const char *const names[] = {
		"plain",  "with space",   "100%",   "%41.txt",     "a#b",         "what?",
		"a&b<c>", "ünïcödé",      "😀.bin",  "plus+plus",   "semi;colon",  "a=b,c",
		"[x]",    "quo\"te'",     "~",      "back\\slash", "x|y^z`{}",    ".hidden",
		"tab\t",  "\ntwo\nlines", "cr\r\n", "del\x7f",     "nel\xc2\x85", "csi\xc2\x9b",
	};
	for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *uri = gss_uri_child("it4i_anselm://home", names[i]);
		g_autofree char *made = make_file(f, uri, names[i], strlen(names[i]));
		g_assert_cmpstr(made, ==, uri);
		g_autofree char *path = g_build_filename(test_server_root(f->server), "it4i_anselm",
		                                         "home", names[i], NULL);
		if (!g_file_test(path, G_FILE_TEST_IS_REGULAR))
			g_test_message("%s is not where it is looked for", path);
	}
	for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(GssResource) resource = NULL;
		g_autofree char *uri = gss_uri_child("it4i_anselm://home", names[i]);
		assert_content(f, uri, names[i], strlen(names[i]));
		sync_resolve(f->client, uri, &resource, &error);
		g_assert_no_error(error);
		g_assert_cmpstr(gss_resource_name(resource), ==, names[i]);
		sync_remove(f->client, resource, &error);
		g_assert_no_error(error);
		sync_remove(f->client, resource, &error); /* gone is gone */
		g_assert_no_error(error);
	}
}

static void test_names_raw(Fixture *f, const void *data)
{
	control(f, "", "urls=raw");
	test_names(f, data);
}

static void test_content(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GssResource) resource = NULL;
	g_auto(SyncBody) body = {.version = GSS_VERSION_INIT};
	gsize length = 5 * 1024 * 1024 + 7;
	g_autofree char *bytes = g_malloc(length);
	for (gsize i = 0; i < length; i++)
		bytes[i] = (char)(i * 31 + i / 251);
	const char *uri = "it4i_anselm://home/large";
	g_free(make_file(f, uri, bytes, length));
	assert_content(f, uri, bytes, length);
	sync_resolve(f->client, uri, &resource, &error);
	g_assert_no_error(error);
	sync_read(f->client, resource, 1000, 5000, &body, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(body.offset, ==, 1000);
	g_assert_cmpmem(body.bytes->data, body.bytes->len, bytes + 1000, 5000);
	g_assert_cmpint(body.version.size, ==, (gint64)length);
	sync_read(f->client, resource, length - 3, 0, &body, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(body.bytes->len, ==, 3);
	g_assert_false(sync_read(f->client, resource, length, 10, &body, &error));
	g_assert_errno(error, ERANGE);
	g_clear_error(&error);
	control(f, "", "range=off");
	sync_read(f->client, resource, 1000, 5000, &body, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(body.offset, ==, 0);
	g_assert_cmpuint(body.bytes->len, ==, length);
	/* Replaced, also by nothing. */
	sync_update(f->client, resource, NULL, "new", 3, NULL, &error);
	g_assert_no_error(error);
	assert_content(f, uri, "new", 3);
	sync_update(f->client, resource, NULL, "", 0, NULL, &error);
	g_assert_no_error(error);
	assert_content(f, uri, "", 0);
	control(f, "", "range=on");
	assert_content(f, uri, "", 0);
	/* It exists; and then it does not. */
	g_assert_false(sync_create(f->client, resource, "x", 1, NULL, &error));
	g_assert_errno(error, EEXIST);
	g_clear_error(&error);
	sync_remove(f->client, resource, &error);
	g_assert_no_error(error);
	g_assert_false(sync_update(f->client, resource, NULL, "x", 1, NULL, &error));
	g_assert_errno(error, ENOENT);
	g_clear_error(&error);
	g_assert_false(sync_read(f->client, resource, 0, 0, &body, &error));
	g_assert_errno(error, ENOENT);
}

static void test_stat(Fixture *f, const void *data)
{
	static const char *const modes[] = {"head=size&range=on", "head=word&range=on",
	                                    "head=word&range=off", "head=size&etag=on"};
	static const gsize lengths[] = {0, 1, 4, 5, 12, 13, 1000, 100000, 4};
	g_autofree char *bytes = g_strnfill(100000, 'x');
	for (guint m = 0; m < G_N_ELEMENTS(modes); m++) {
		control(f, "", modes[m]);
		gss_images_free(f->images);
		gss_client_free(f->client);
		make_client(f);
		for (guint i = 0; i < G_N_ELEMENTS(lengths); i++) {
			g_autoptr(GError) error = NULL;
			g_autoptr(GssResource) resource = NULL;
			g_auto(GssVersion) version = GSS_VERSION_INIT;
			g_autofree char *uri =
				g_strdup_printf("it4i_anselm://home/stat-%u-%u", m, i);
			g_free(make_file(f, uri, bytes, lengths[i]));
			sync_resolve(f->client, uri, &resource, &error);
			g_assert_no_error(error);
			sync_stat(f->client, resource, &version, &error);
			g_assert_no_error(error);
			g_assert_cmpint(version.size, ==, (gint64)lengths[i]);
			g_assert_cmpint(version.mtime, >, 0);
			g_assert_true((version.etag != NULL) == (m == 3));
			GssCounters before;
			GssCounters after;
			gss_client_counters(f->client, &before);
			sync_stat(f->client, resource, &version, &error);
			g_assert_no_error(error);
			gss_client_counters(f->client, &after);
			if (i > 6) /* the verdict is in */
				g_assert_cmpuint(after.requests - before.requests, ==, 1);
		}
	}
	g_autoptr(GError) error = NULL;
	g_autoptr(GssResource) folder = NULL;
	g_auto(GssVersion) version = GSS_VERSION_INIT;
	sync_resolve(f->client, "it4i_anselm://home", &folder, &error);
	g_assert_no_error(error);
	g_assert_false(sync_stat(f->client, folder, &version, &error));
	g_assert_errno(error, EISDIR);
}

static void test_renewal(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GssResource) resource = NULL;
	g_autoptr(GPtrArray) list = NULL;
	g_auto(SyncBody) body = {.version = GSS_VERSION_INIT};
	const char *uri = "it4i_anselm://home/renew";
	g_free(make_file(f, uri, "0123456789", 10));
	sync_resolve(f->client, uri, &resource, &error);
	g_assert_no_error(error);
	for (guint i = 0; i < 3; i++) {
		control(f, "/revoke", "");
		sync_read(f->client, resource, 0, 0, &body, &error);
		g_assert_no_error(error);
		g_assert_cmpuint(body.bytes->len, ==, 10);
	}
	control(f, "/revoke", "");
	sync_update(f->client, resource, NULL, "abc", 3, NULL, &error);
	g_assert_no_error(error);
	control(f, "/revoke", "");
	sync_list(f->client, "it4i_anselm://home", false, &list, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(list->len, ==, 1);
	control(f, "/revoke", "");
	assert_content(f, uri, "abc", 3);
	/* Without a password it ends here. */
	gss_credentials_clear(&f->credentials);
	control(f, "/revoke", "");
	g_assert_false(sync_read(f->client, resource, 0, 0, &body, &error));
	g_assert_errno(error, ENOKEY);
	g_clear_error(&error);
	f->credentials = (GssCredentials){.username = g_strdup("demo"),
	                                  .project = g_strdup("demo"),
	                                  .password = g_strdup("demo")};
	sync_read(f->client, resource, 0, 0, &body, &error);
	g_assert_no_error(error);
}

static void test_opaque(Fixture *f, const void *data)
{
	for (guint header = 0; header < 2; header++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(GPtrArray) list = NULL;
		g_autoptr(GssResource) folder = NULL;
		control(f, "", header ? "filename-header=on" : "filename-header=off");
		g_autofree char *name = g_strdup_printf("plm://demo/model/1/ü part %u", header);
		g_autofree char *made = make_file(f, name, "plm!", 4);
		g_assert_cmpstr(made, !=, name);
		assert_content(f, made, "plm!", 4);
		sync_list(f->client, "plm://demo/model/1", false, &list, &error);
		g_assert_no_error(error);
		g_assert_cmpuint(list->len, ==, header == 0 ? 1 : 3);
		if (header == 1)
			continue;
		sync_create_folder(f->client, "plm://demo/model/1/assembly", &folder, &error);
		g_assert_no_error(error);
		g_assert_cmpstr(gss_resource_uri(folder), !=, "plm://demo/model/1/assembly");
		g_autofree char *inside = gss_uri_child(gss_resource_uri(folder), "x");
		g_free(make_file(f, inside, "x", 1));
	}
}

static void test_images(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	gint64 size = 0;
	gint64 mtime = 0;
	const char *source = "it4i_anselm://home/waiter.simg";
	control(f, "", data);
	g_free(make_file(f, source, "squash", 6));
	for (guint round = 0; round < 2; round++) {
		g_auto(GStrv) list = NULL;
		g_autofree char *text = NULL;
		sync_images_register(f->images, "waiter:v1.0.simg", source, &text, &error);
		g_assert_no_error(error);
		g_assert_false(
			sync_images_register(f->images, "waiter:v1.0.simg", source, NULL, &error));
		g_assert_errno(error, EEXIST);
		g_clear_error(&error);
		sync_images_list(f->images, &list, &error);
		g_assert_no_error(error);
		g_assert_cmpuint(g_strv_length(list), ==, 1);
		g_assert_cmpstr(list[0], ==, "waiter:v1.0.simg 6");
		sync_images_info(f->images, "waiter:v1.0.simg", &size, &mtime, &error);
		g_assert_no_error(error);
		g_assert_cmpint(size, ==, 6);
		g_assert_cmpint(mtime, >, 0);
		sync_images_update(f->images, "waiter:v1.0.simg", source, NULL, &error);
		g_assert_no_error(error);
		/* Not sent again by itself; the question that follows renews the token. */
		control(f, "/revoke", "");
		g_assert_false(sync_images_delete(f->images, "waiter:v1.0.simg", NULL, &error));
		g_assert_errno(error, EKEYEXPIRED);
		g_clear_error(&error);
		sync_images_info(f->images, "waiter:v1.0.simg", &size, &mtime, &error);
		g_assert_no_error(error);
		sync_images_delete(f->images, "waiter:v1.0.simg", NULL, &error);
		g_assert_no_error(error);
	}
	g_assert_false(sync_images_delete(f->images, "waiter.simg", NULL, &error));
	g_assert_errno(error, ENOENT);
	g_clear_error(&error);
	g_assert_false(sync_images_update(f->images, "waiter.simg", source, NULL, &error));
	g_assert_errno(error, ENOENT);
	g_clear_error(&error);
	g_assert_false(sync_images_info(f->images, "waiter.simg", &size, &mtime, &error));
	g_assert_errno(error, ENOENT);
	g_clear_error(&error);
	g_assert_false(sync_images_register(f->images, "waiter.simg", "it4i_anselm://home/none",
	                                    NULL, &error));
	g_assert_errno(error, ENOENT);
	g_clear_error(&error);
	g_assert_false(sync_images_register(f->images, "Waiter.simg", source, NULL, &error));
	g_assert_errno(error, EINVAL);
}

static void test_images_504(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	const char *source = "it4i_anselm://home/waiter.simg";
	g_free(make_file(f, source, "squash", 6));
	control(f, "", "register-504=on");
	g_assert_false(sync_images_register(f->images, "waiter.simg", source, NULL, &error));
	g_assert_errno(error, EINPROGRESS);
}

static void test_variants(Fixture *f, const void *data)
{
	control(f, "", "token-field=header");
	g_free(make_file(f, "it4i_anselm://home/one", "1", 1));
	assert_content(f, "it4i_anselm://home/one", "1", 1);
	control(f, "", "token-field=none&extra-header=on");
	g_free(make_file(f, "it4i_anselm://home/two", "22", 2));
	assert_content(f, "it4i_anselm://home/two", "22", 2);
}

static void test_conditions(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GssResource) resource = NULL;
	g_auto(GssVersion) version = GSS_VERSION_INIT;
	const char *uri = "it4i_anselm://home/shared";
	control(f, "", "etag=on&conditional=on");
	g_free(make_file(f, uri, "first", 5));
	sync_resolve(f->client, uri, &resource, &error);
	g_assert_no_error(error);
	sync_stat(f->client, resource, &version, &error);
	g_assert_no_error(error);
	sync_update(f->client, resource, &version, "second!", 7, NULL, &error);
	g_assert_no_error(error);
	g_assert_false(sync_update(f->client, resource, &version, "third", 5, NULL, &error));
	g_assert_errno(error, ESTALE);
	assert_content(f, uri, "second!", 7);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	if (argc < 2)
		g_error("usage: test-gss-live GSS-LOCAL");
	server_path = argv[1];
	g_assert_cmpint(curl_global_init(CURL_GLOBAL_DEFAULT), ==, CURLE_OK);
#define ADD(name, data, function) \
	g_test_add("/gss/live/" name, Fixture, data, set_up, function, tear_down)
	ADD("login", NULL, test_login);
	ADD("login-refused", NULL, test_login_refused);
	ADD("folders", NULL, test_folders);
	ADD("names", NULL, test_names);
	ADD("names-raw", NULL, test_names_raw);
	ADD("content", NULL, test_content);
	ADD("stat", NULL, test_stat);
	ADD("renewal", NULL, test_renewal);
	ADD("opaque", NULL, test_opaque);
	ADD("images", "images-style=jaxws", test_images);
	ADD("images-spyne", "images-style=spyne", test_images);
	ADD("images-text", "images-style=spyne&images-error=text", test_images);
	ADD("images-reversed", "images-order=reversed&internal-host=on", test_images);
	ADD("images-504", NULL, test_images_504);
	ADD("variants", NULL, test_variants);
	ADD("conditions", NULL, test_conditions);
	int result = g_test_run();
	curl_global_cleanup();
	return result;
}
