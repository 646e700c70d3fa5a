/* test-server.h - a gss-local of a test's own. Failures end the test. */
#pragma once

#include <glib.h>

typedef struct TestServer TestServer;

/* Starts the program `path` on an empty folder; it dies with this process. */
TestServer *test_server_new(const char *path);
void test_server_free(TestServer *server); /* ends it and removes its folder */
int test_server_port(const TestServer *server);
/* The folder with a folder for each storage. */
const char *test_server_root(const TestServer *server);
/* "http://127.0.0.1:PORT" and `path`. Free with g_free(). */
char *test_server_url(const TestServer *server, const char *path);
/* POST to its control interface: `path` begins with a slash, or is empty to change settings. */
void test_server_control(const TestServer *server, const char *path, const char *body);
/* Returns when a counter has come so far. */
void test_server_await(const TestServer *server, const char *counter, int value);
/* Removes a folder with all that is in it. */
void test_remove_tree(const char *path);
