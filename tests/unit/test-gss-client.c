/* test-gss-client.c - see test-gss-client.h. */
#include "test-gss-client.h"

static bool load_credentials(GssCredentials *ret, void *data, GError **error)
{
	ret->username = g_strdup("user");
	ret->project = g_strdup("project");
	ret->password = g_strdup("pass");
	return true;
}

GssClient *make_client(int port)
{
	g_autofree char *url = g_strdup_printf("http://127.0.0.1:%d/service?wsdl", port);
	return make_client_at(url);
}

GssClient *make_client_at(const char *url)
{
	g_autoptr(GError) error = NULL;
	GssClient *client =
		gss_client_new(&(GssClientOptions){.auth_url = url,
	                                           .gss_url = url,
	                                           .connect_timeout_ms = 2000,
	                                           .stall_timeout_ms = STALL_MS,
	                                           .response_timeout_ms = RESPONSE_MS,
	                                           .load_credentials = load_credentials},
	                       &error);
	g_assert_no_error(error);
	return client;
}

void set_up(Fixture *f, PeerHandler file)
{
	f->peer = peer_new(file);
	f->client = make_client(f->peer->port);
	f->resource = NULL;
}

void resolve(Fixture *f)
{
	g_autoptr(GError) error = NULL;
	gss_resource_unref(f->resource);
	f->resource = NULL;
	sync_resolve(f->client, "x://file", &f->resource, &error);
	g_assert_no_error(error);
}

void tear_down(Fixture *f)
{
	gss_resource_unref(f->resource);
	gss_client_free(f->client);
	peer_free(f->peer);
}

void assert_read(Fixture *f, int code)
{
	g_autoptr(GError) error = NULL;
	g_auto(SyncBody) body = {.version = GSS_VERSION_INIT};
	if (sync_read(f->client, f->resource, 0, 0, &body, &error))
		g_assert_cmpint(code, ==, 0);
	else
		g_assert_error(error, GSS_ERROR, code);
}

void assert_update(Fixture *f, gsize length, int code)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *bytes = g_strnfill(length, 'x');
	if (sync_update(f->client, f->resource, NULL, bytes, length, NULL, &error))
		g_assert_cmpint(code, ==, 0);
	else
		g_assert_error(error, GSS_ERROR, code);
}

void assert_remove(Fixture *f, int code)
{
	g_autoptr(GError) error = NULL;
	if (sync_remove(f->client, f->resource, &error))
		g_assert_cmpint(code, ==, 0);
	else
		g_assert_error(error, GSS_ERROR, code);
}

const char *canned;

bool answer_canned(Peer *peer, PeerRequest *request, int fd)
{
	peer_read_body(request, fd, G_MAXSIZE);
	peer_write(fd, "%s", canned);
	return false;
}
