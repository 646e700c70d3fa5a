/* test-server.c - see test-server.h. */
#include "test-server.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <ftw.h>
#include <gio/gio.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct TestServer {
	GSubprocess *process;
	char *root;
	int port;
};

TestServer *test_server_new(const char *path)
{
	g_autoptr(GError) error = NULL;
	TestServer *server = g_new0(TestServer, 1);
	int ends[2];
	char text[16] = "";
	server->root = g_dir_make_tmp("gss-root-XXXXXX", &error);
	g_assert_no_error(error);
	g_assert_true(pipe2(ends, O_CLOEXEC) == 0);
	g_autoptr(GSubprocessLauncher) launcher =
		g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_SILENCE);
	g_subprocess_launcher_take_fd(launcher, ends[1], 3);
	server->process = g_subprocess_launcher_spawn(launcher, &error, path, "--root",
	                                              server->root, "--port", "0", "--ready-fd",
	                                              "3", "--parent-death", NULL);
	g_assert_no_error(error);
	g_clear_object(&launcher); /* closes our copy of the writing end */
	gsize filled = 0;
	ssize_t got;
	while (filled < sizeof text - 1 &&
	       (got = read(ends[0], text + filled, sizeof text - 1 - filled)) > 0)
		filled += (gsize)got;
	close(ends[0]);
	server->port = atoi(text);
	g_assert_cmpint(server->port, >, 0);
	return server;
}

void test_server_free(TestServer *server)
{
	g_subprocess_force_exit(server->process);
	g_subprocess_wait(server->process, NULL, NULL);
	g_object_unref(server->process);
	test_remove_tree(server->root);
	g_free(server->root);
	g_free(server);
}

int test_server_port(const TestServer *server)
{
	return server->port;
}

const char *test_server_root(const TestServer *server)
{
	return server->root;
}

char *test_server_url(const TestServer *server, const char *path)
{
	return g_strdup_printf("http://127.0.0.1:%d%s", server->port, path);
}

static size_t append(char *bytes, size_t size, size_t count, void *data)
{
	g_string_append_len(data, bytes, size * count);
	return size * count;
}

/* GET without a body. Returns the answer. */
static char *request(const TestServer *server, const char *path, const char *body)
{
	CURL *easy = curl_easy_init();
	GString *answer = g_string_new(NULL);
	g_autofree char *url = test_server_url(server, path);
	long status = 0;
	curl_easy_setopt(easy, CURLOPT_URL, url);
	if (body)
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, append);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer);
	g_assert_cmpint(curl_easy_perform(easy), ==, CURLE_OK);
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	g_assert_cmpint(status, <, 300);
	curl_easy_cleanup(easy);
	return g_string_free(answer, FALSE);
}

void test_server_control(const TestServer *server, const char *path, const char *body)
{
	g_autofree char *full = g_strconcat("/_control", path, NULL);
	g_free(request(server, full, body));
}

void test_server_await(const TestServer *server, const char *counter, int value)
{
	g_autofree char *path =
		g_strdup_printf("/_control/wait?counter=%s&value=%d&timeout=20", counter, value);
	g_autofree char *answer = request(server, path, NULL);
	g_assert_cmpstr(answer, ==, "{\"reached\": true}\n");
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	return remove(path);
}

void test_remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
