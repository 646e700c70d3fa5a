/* test-gss-session.c - tokens, lanes, cancelling, and the life of a client, against a scripted
 * peer. */
#include "test-gss-client.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "test-deadline.h"

static bool want_token(Peer *peer, PeerRequest *request, int fd)
{
	if (!peer_authorized(peer, request))
		return peer_answer(request, fd, "401 Unauthorized", "", "");
	return peer_answer(request, fd, "200 OK", "", "content");
}

/* Refuses before it has read the body, and closes: the answer may be lost in the reset. */
static bool refuse_early(Peer *peer, PeerRequest *request, int fd)
{
	if (peer_authorized(peer, request))
		return peer_answer(request, fd, "200 OK", "", "");
	peer_write(fd, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
	peer_reset(fd);
	return false;
}

static bool forbid(Peer *peer, PeerRequest *request, int fd)
{
	return peer_answer(request, fd, "403 Forbidden", "", "");
}

static void test_renewal(void)
{
	Fixture f;
	set_up(&f, want_token);
	resolve(&f);
	g_assert_cmpint(g_atomic_int_get(&f.peer->logins), ==, 1);
	assert_read(&f, 0);
	g_atomic_int_inc(&f.peer->token);
	assert_read(&f, 0);
	g_assert_cmpint(g_atomic_int_get(&f.peer->logins), ==, 2);
	g_assert_cmpint(g_atomic_int_get(&f.peer->resolutions), ==, 2);
	/* The resource in hand is of the token before: it is resolved, not refused, first. */
	g_atomic_int_set(&f.peer->files, 0);
	assert_read(&f, 0);
	g_assert_cmpint(g_atomic_int_get(&f.peer->files), ==, 1);
	g_assert_cmpint(g_atomic_int_get(&f.peer->logins), ==, 2);
	/* An update is repeated whole. */
	g_atomic_int_inc(&f.peer->token);
	assert_update(&f, 100000, 0);
	f.peer->file = refuse_early;
	for (guint i = 0; i < 5; i++) {
		resolve(&f);
		g_atomic_int_inc(&f.peer->token);
		assert_update(&f, LARGE, 0);
	}
	/* What stays forbidden is, after one look at the token and one more try. */
	f.peer->file = forbid;
	g_atomic_int_set(&f.peer->files, 0);
	gint logins = g_atomic_int_get(&f.peer->logins);
	assert_read(&f, EACCES);
	g_assert_cmpint(g_atomic_int_get(&f.peer->files), ==, 2);
	g_assert_cmpint(g_atomic_int_get(&f.peer->logins), ==, logins);
	tear_down(&f);
}

typedef struct {
	GMutex lock;
	GCond changed;
	guint done;
	guint failed;
	int code;
} Many;

static void count(Many *many, const GError *error)
{
	g_mutex_lock(&many->lock);
	many->done++;
	if (error != NULL) {
		many->failed++;
		many->code = error->code;
	}
	g_cond_signal(&many->changed);
	g_mutex_unlock(&many->lock);
}

static void wait_for(Many *many, guint number)
{
	g_mutex_lock(&many->lock);
	gint64 deadline = test_deadline();
	while (many->done < number)
		g_assert_true(g_cond_wait_until(&many->changed, &many->lock, deadline));
	g_mutex_unlock(&many->lock);
}

static void on_resolved(GssResource *resource, const GError *error, void *data)
{
	count(data, error);
}

static bool on_begin(const GssBody *body, void *data, GError **error)
{
	return true;
}

static bool on_body(const void *bytes, gsize length, void *data, GError **error)
{
	return true;
}

static void on_done(const GError *error, void *data)
{
	count(data, error);
}

static const GssSink sink = {.begin = on_begin, .body = on_body, .done = on_done};

static void test_single_flight(void)
{
	Fixture f;
	Many many = {0};
	set_up(&f, want_token);
	for (guint i = 0; i < 50; i++)
		gss_storage_resolve(f.client, "x://file", NULL, on_resolved, &many);
	wait_for(&many, 50);
	g_assert_cmpuint(many.failed, ==, 0);
	g_assert_cmpint(g_atomic_int_get(&f.peer->logins), ==, 1);
	resolve(&f);
	g_atomic_int_inc(&f.peer->token);
	many.done = 0;
	for (guint i = 0; i < 50; i++)
		gss_storage_read(f.client, f.resource, 0, 10, NULL, NULL, &sink, &many);
	wait_for(&many, 50);
	g_assert_cmpuint(many.failed, ==, 0);
	g_assert_cmpint(g_atomic_int_get(&f.peer->logins), ==, 2);
	tear_down(&f);
}

static bool hang(Peer *peer, PeerRequest *request, int fd)
{
	peer_wait_closed(fd);
	return false;
}

static bool stop_in_body(Peer *peer, PeerRequest *request, int fd)
{
	peer_write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort");
	peer_wait_closed(fd);
	return false;
}

static void test_lanes(void)
{
	Fixture f;
	Many many = {0};
	set_up(&f, stop_in_body);
	resolve(&f);
	g_autoptr(GCancellable) cancellable = g_cancellable_new();
	for (guint i = 0; i < 50; i++)
		gss_storage_read(f.client, f.resource, 0, 0, NULL, cancellable, &sink, &many);
	gint64 started = g_get_monotonic_time();
	resolve(&f);
	g_assert_cmpint(g_get_monotonic_time() - started, <, STALL_MS * 1000);
	g_cancellable_cancel(cancellable);
	wait_for(&many, 50);
	g_assert_cmpuint(many.failed, ==, 50);
	tear_down(&f);
}

static void test_cancel(void)
{
	Fixture f;
	Many many = {0};
	set_up(&f, hang);
	resolve(&f);
	for (guint round = 0; round < 20; round++) {
		g_autoptr(GCancellable) cancellable = g_cancellable_new();
		many.done = many.failed = 0;
		if (round == 0)
			g_cancellable_cancel(cancellable);
		gss_storage_read(f.client, f.resource, 0, 0, NULL, cancellable, &sink, &many);
		gss_storage_resolve(f.client, "x://file", cancellable, on_resolved, &many);
		g_usleep(round * 500);
		gint64 started = g_get_monotonic_time();
		g_cancellable_cancel(cancellable);
		wait_for(&many, 2);
		g_assert_cmpint(g_get_monotonic_time() - started, <, G_USEC_PER_SEC / 4);
		g_assert_cmpuint(many.failed, >=, 1); /* the resolving may have been faster */
		g_assert_cmpint(many.code, ==, ECANCELED);
	}
	/* What is under way, waits for its lane, or was just submitted ends with the client. */
	many.done = many.failed = 0;
	for (guint i = 0; i < 40; i++)
		gss_storage_read(f.client, f.resource, 0, i % 2, NULL, NULL, &sink, &many);
	g_clear_pointer(&f.client, gss_client_free);
	g_assert_cmpuint(many.done, ==, 40);
	g_assert_cmpuint(many.failed, ==, 40);
	g_assert_cmpint(many.code, ==, ECANCELED);
	tear_down(&f);
}

static bool big(Peer *peer, PeerRequest *request, int fd)
{
	g_autofree char *bytes = g_strnfill(100000, 'x');
	peer_write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n");
	for (guint i = 0; i < 100; i++) {
		if (!peer_write_bytes(fd, bytes, 100000))
			return false;
	}
	return true;
}

typedef struct {
	Many many;
	GCancellable *cancellable;
	guint pieces;
} Canceller;

static bool cancelling_body(const void *bytes, gsize length, void *data, GError **error)
{
	Canceller *canceller = data;
	canceller->pieces++;
	g_cancellable_cancel(canceller->cancellable);
	return true;
}

/* The callbacks of a sink may cancel, and are not called again. */
static void test_cancel_inside(void)
{
	static const GssSink cancelling = {
		.begin = on_begin, .body = cancelling_body, .done = on_done};
	Fixture f;
	Canceller canceller = {.cancellable = g_cancellable_new()};
	set_up(&f, big);
	resolve(&f);
	gss_storage_read(f.client, f.resource, 0, 0, NULL, canceller.cancellable, &cancelling,
	                 &canceller);
	wait_for(&canceller.many, 1);
	g_assert_cmpint(canceller.many.code, ==, ECANCELED);
	g_assert_cmpuint(canceller.pieces, ==, 1);
	g_object_unref(canceller.cancellable);
	tear_down(&f);
}

static void test_unreachable(void)
{
	g_autoptr(GError) error = NULL;
	GssResource *resource;
	/* A port that was just closed. */
	Peer *peer = peer_new(hang);
	int port = peer->port;
	peer_free(peer);
	GssClient *client = make_client(port);
	g_assert_false(sync_resolve(client, "x://file", &resource, &error));
	g_assert_error(error, GSS_ERROR, EHOSTUNREACH);
	g_clear_error(&error);
	g_assert_false(sync_resolve(client, "no uri", &resource, &error));
	g_assert_error(error, GSS_ERROR, EINVAL);
	g_clear_error(&error);
	gss_client_free(client);
	g_assert_null(gss_client_new(&(GssClientOptions){.auth_url = "http://elsewhere.org/",
	                                                 .gss_url = "https://elsewhere.org/"},
	                             &error));
	g_assert_error(error, GSS_ERROR, EINVAL);
}

static bool let_nothing_through(Peer *peer, PeerRequest *request, int fd)
{
	return peer_answer(request, fd, "503 Service Unavailable", "", "");
}

/* What a proxy could not connect to got nothing. */
static void test_proxy(void)
{
	g_autoptr(GError) error = NULL;
	GssResource *resource;
	Peer *peer = peer_new(hang);
	g_autofree char *proxy = g_strdup_printf("http://127.0.0.1:%d", peer->port);
	peer->soap = let_nothing_through;
	g_setenv("https_proxy", proxy, TRUE);
	g_unsetenv("no_proxy");
	g_unsetenv("NO_PROXY");
	GssClient *client = make_client_at("https://gss.invalid/service?wsdl");
	g_assert_false(sync_resolve(client, "x://file", &resource, &error));
	g_assert_error(error, GSS_ERROR, EHOSTUNREACH);
	g_assert_nonnull(strstr(error->message, "503"));
	gss_client_free(client);
	peer_free(peer);
	g_unsetenv("https_proxy");
}

static bool fault_with_token(Peer *peer, PeerRequest *request, int fd)
{
	if (!peer_read_body(request, fd, G_MAXSIZE))
		return false;
	if (strstr(request->body->str, "getSessionToken") != NULL)
		return peer_answer(request, fd, "200 OK", "",
		                   "<Envelope><Body><getSessionTokenResponse><return>secret-token"
		                   "</return></getSessionTokenResponse></Body></Envelope>");
	if (strstr(request->body->str, "validateSessionToken") != NULL)
		return peer_answer(request, fd, "200 OK", "",
		                   "<Envelope><Body><validateSessionTokenResponse><return>true"
		                   "</return></validateSessionTokenResponse></Body></Envelope>");
	return peer_answer(request, fd, "500 Fault", "",
	                   "<Envelope><Body><Fault><faultstring>broken: secret-token&#10;x"
	                   "</faultstring></Fault></Body></Envelope>");
}

static void test_secrets(void)
{
	g_autoptr(GError) error = NULL;
	GssResource *resource;
	Fixture f;
	set_up(&f, hang);
	f.peer->soap = fault_with_token;
	g_assert_false(sync_resolve(f.client, "x://file", &resource, &error));
	g_assert_null(strstr(error->message, "secret-token"));
	g_assert_null(strchr(error->message, '\n'));
	tear_down(&f);
}

static bool fault_with_password(Peer *peer, PeerRequest *request, int fd)
{
	return peer_answer(request, fd, "500 Fault", "",
	                   "<Envelope><Body><Fault><faultstring>no user with user/pass"
	                   "</faultstring></Fault></Body></Envelope>");
}

/* What is refused is not said. */
static void test_refused_password(void)
{
	g_autoptr(GError) error = NULL;
	GssResource *resource;
	Fixture f;
	set_up(&f, hang);
	f.peer->soap = fault_with_password;
	g_assert_false(sync_resolve(f.client, "x://file", &resource, &error));
	g_assert_error(error, GSS_ERROR, EKEYREJECTED);
	g_assert_nonnull(strstr(error->message, "no user with user/***"));
	tear_down(&f);
}

static gint skipped; /* s */

/* In place of GLib's: tests need not wait. */
gint64 g_get_monotonic_time(void)
{
	struct timespec now;
	g_assert_cmpint(clock_gettime(CLOCK_MONOTONIC, &now), ==, 0);
	return (now.tv_sec + g_atomic_int_get(&skipped)) * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

static bool refuse(Peer *peer, PeerRequest *request, int fd)
{
	g_atomic_int_inc(&peer->logins);
	return fault_with_password(peer, request, fd);
}

/* Who asks again and again with a wrong password has his account locked. */
static void test_refused_again(void)
{
	GssResource *resource;
	Fixture f;
	set_up(&f, hang);
	f.peer->soap = refuse;
	for (guint i = 0; i < 60; i++) {
		g_autoptr(GError) error = NULL;
		g_assert_false(sync_resolve(f.client, "x://file", &resource, &error));
		g_assert_error(error, GSS_ERROR, EKEYREJECTED);
		g_atomic_int_add(&skipped, 60);
	}
	g_assert_cmpint(g_atomic_int_get(&f.peer->logins), >=, 5);
	g_assert_cmpint(g_atomic_int_get(&f.peer->logins), <=, 10);
	tear_down(&f);
}

static gint ill;

static bool be_ill(Peer *peer, PeerRequest *request, int fd)
{
	if (!peer_read_body(request, fd, G_MAXSIZE))
		return false;
	if (!g_atomic_int_get(&ill) && strstr(request->body->str, "getProject") != NULL)
		return peer_answer(request, fd, "200 OK", "",
		                   "<Envelope><Body><getProjectResponse><return>p</return>"
		                   "</getProjectResponse></Body></Envelope>");
	if (g_atomic_int_get(&ill))
		return peer_answer(request, fd, "500 Fault", "",
		                   "<Envelope><Body><Fault><faultstring>no database</faultstring>"
		                   "</Fault></Body></Envelope>");
	return fault_with_token(peer, request, fd);
}

static bool load_token(GssCredentials *ret, void *data, GError **error)
{
	ret->token = g_strdup("given-token");
	return true;
}

/* A fault may be about the token, or about the service: a ready token gets another chance. */
static void test_given_token(void)
{
	static const struct {
		int ill, wait, code;
	} steps[] = {{0, 0, EIO}, {1, 0, ENOKEY}, {0, 0, ENOKEY}, {1, 600, ENOKEY}, {0, 600, EIO}};
	Peer *peer = peer_new(hang);
	g_autofree char *url = g_strdup_printf("http://127.0.0.1:%d/service?wsdl", peer->port);
	peer->soap = be_ill;
	GssClient *client = gss_client_new(&(GssClientOptions){.auth_url = url,
	                                                       .gss_url = url,
	                                                       .project = "p",
	                                                       .load_credentials = load_token},
	                                   NULL);
	for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
		g_autoptr(GError) error = NULL;
		GssResource *resource;
		g_atomic_int_set(&ill, steps[i].ill);
		g_atomic_int_add(&skipped, steps[i].wait);
		g_assert_false(sync_resolve(client, "x://file", &resource, &error));
		g_assert_error(error, GSS_ERROR, steps[i].code);
	}
	gss_client_free(client);
	peer_free(peer);
}

static gint changes;

static void on_session_changed(void *data)
{
	g_atomic_int_inc(&changes);
}

static void on_logged_in(const GssIdentity *identity, const GError *error, void *data)
{
	count(data, error);
}

static bool load_password(GssCredentials *ret, void *data, GError **error)
{
	ret->username = g_strdup("user");
	ret->project = g_strdup("p");
	ret->password = g_strdup("pass");
	return true;
}

/* A login that ends an outage is told, whatever came of the logins before it. */
static void test_back_again(void)
{
	GssSessionStatus status;
	g_autoptr(GError) error = NULL;
	GssResource *resource;
	Many many = {0};
	Peer *gone = peer_new(hang);
	g_autofree char *gss = g_strdup_printf("http://127.0.0.1:%d/service?wsdl", gone->port);
	peer_free(gone);
	Peer *peer = peer_new(hang);
	g_autofree char *auth = g_strdup_printf("http://127.0.0.1:%d/service?wsdl", peer->port);
	peer->soap = fault_with_token;
	GssClient *client =
		gss_client_new(&(GssClientOptions){.auth_url = auth,
	                                           .gss_url = gss,
	                                           .session_changed = on_session_changed,
	                                           .load_credentials = load_password},
	                       NULL);
	g_assert_false(sync_resolve(client, "x://file", &resource, &error));
	g_assert_error(error, GSS_ERROR, EHOSTUNREACH);
	gss_client_session(client, &status);
	g_assert_cmpint(status.state, ==, GSS_SESSION_OFFLINE);
	gss_session_status_clear(&status);
	gint before = g_atomic_int_get(&changes);
	gss_client_login_again(client, NULL, on_logged_in, &many);
	wait_for(&many, 1);
	gss_client_session(client, &status);
	g_assert_cmpint(status.state, ==, GSS_SESSION_OK);
	gss_session_status_clear(&status);
	g_assert_cmpint(g_atomic_int_get(&changes), >, before);
	gss_client_free(client);
	peer_free(peer);
}

static gint token_is_dead, asked_login;

static bool hang_in_resolving(Peer *peer, PeerRequest *request, int fd)
{
	if (!peer_read_body(request, fd, G_MAXSIZE))
		return false;
	if (strstr(request->body->str, "getProject") != NULL && !g_atomic_int_get(&token_is_dead))
		return peer_answer(request, fd, "200 OK", "",
		                   "<Envelope><Body><getProjectResponse><return>p</return>"
		                   "</getProjectResponse></Body></Envelope>");
	if (strstr(request->body->str, "getResourceInformation") != NULL) {
		peer_wait_closed(fd);
		return false;
	}
	if (strstr(request->body->str, "getSessionToken") != NULL)
		g_atomic_int_inc(&asked_login);
	return fault_with_token(peer, request, fd);
}

static bool load_both(GssCredentials *ret, void *data, GError **error)
{
	ret->token = g_strdup("given-token");
	return load_password(ret, data, error);
}

/* A login passes a lane that is full, also with its second question. */
static void test_login_passes(void)
{
	Many many = {0}, resolved = {0};
	Peer *peer = peer_new(hang);
	g_autofree char *url = g_strdup_printf("http://127.0.0.1:%d/service?wsdl", peer->port);
	peer->soap = hang_in_resolving;
	GssClient *client = gss_client_new(&(GssClientOptions){.auth_url = url,
	                                                       .gss_url = url,
	                                                       .project = "p",
	                                                       .small_connections = 1,
	                                                       .load_credentials = load_both},
	                                   NULL);
	gss_storage_resolve(client, "x://file", NULL, on_resolved, &resolved);
	gint64 until = g_get_monotonic_time() + 500 * G_TIME_SPAN_MILLISECOND;
	while (g_get_monotonic_time() < until)
		g_usleep(10000);
	g_atomic_int_set(&token_is_dead, 1);
	gss_client_login_again(client, NULL, on_logged_in, &many);
	until = g_get_monotonic_time() + 5 * G_USEC_PER_SEC;
	while (g_atomic_int_get(&asked_login) == 0 && g_get_monotonic_time() < until)
		g_usleep(10000);
	g_assert_cmpint(g_atomic_int_get(&asked_login), ==, 1);
	gss_client_free(client);
	wait_for(&resolved, 1);
	wait_for(&many, 1);
	peer_free(peer);
}

static bool register_with_token(Peer *peer, PeerRequest *request, int fd)
{
	if (strcmp(request->method, "GET") == 0)
		return peer_answer(request, fd, "200 OK", "",
		                   "<schema><element name='registerImage'><complexType>"
		                   "<element name='token'/><element name='name'/>"
		                   "<element name='source'/></complexType></element></schema>");
	if (!peer_read_body(request, fd, G_MAXSIZE))
		return false;
	if (strstr(request->body->str, "registerImage") == NULL)
		return fault_with_token(peer, request, fd);
	return peer_answer(request, fd, "200 OK", "", canned);
}

static void on_registered(const char *text, const GError *error, void *data)
{
	Many *many = data;
	g_assert_null(strstr(error != NULL ? error->message : text, "secret-token"));
	count(many, error);
}

/* Nor is a text that is an answer, or an error by its words. */
static void test_answer_secrets(void)
{
	static const struct {
		const char *text;
		int code;
	} cases[] = {{"ok: secret-token", 0}, {"405: taken by secret-token", EEXIST}};
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		Many many = {0};
		Fixture f;
		set_up(&f, hang);
		f.peer->soap = register_with_token;
		g_autofree char *body =
			g_strdup_printf("<Envelope><Body><registerImageResponse><return>%s</return>"
		                        "</registerImageResponse></Body></Envelope>",
		                        cases[i].text);
		canned = body;
		g_autofree char *url =
			g_strdup_printf("http://127.0.0.1:%d/Images?wsdl", f.peer->port);
		GssImages *images = gss_images_new(f.client, url, NULL);
		gss_images_register(images, "a.simg", "x://a", NULL, on_registered, &many);
		wait_for(&many, 1);
		g_assert_cmpint(many.code, ==, cases[i].code);
		gss_images_free(images);
		tear_down(&f);
	}
}

static const char *named;

static bool name_it(Peer *peer, PeerRequest *request, int fd)
{
	peer->type = "FILE";
	return peer_answer(request, fd, "201 Created", named, "");
}

static void test_query_for_name(void)
{
	static const char *const cases[][2] = {
		{"filename: x://number/7\r\n", "x://number/7"},
		{"Filename: not a uri\r\n", "x://true-name"},
		{"", "x://true-name"},
	};
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *uri = NULL;
		Fixture f;
		named = cases[i][0];
		set_up(&f, name_it);
		f.peer->type = "NOTEXIST";
		f.peer->query_for_name = true;
		resolve(&f);
		sync_create(f.client, f.resource, "x", 1, &uri, &error);
		g_assert_no_error(error);
		g_assert_cmpstr(uri, ==, cases[i][1]);
		tear_down(&f);
	}
}

typedef struct {
	Many many;
	GssImages *images;
	bool again;
} Listing;

static void on_images(const GPtrArray *images, const GError *error, void *data)
{
	Listing *listing = data;
	bool again = listing->again;
	listing->again = false;
	count(&listing->many, error);
	if (again)
		gss_images_list(listing->images, NULL, on_images, listing);
}

/* All calls end before gss_images_free() returns, also those that callbacks make meanwhile. */
static void test_images_free(void)
{
	g_autoptr(GError) error = NULL;
	Fixture f;
	Listing listing = {0};
	set_up(&f, hang);
	f.peer->soap = hang;
	g_autofree char *url = g_strdup_printf("http://127.0.0.1:%d/Images?wsdl", f.peer->port);
	for (guint round = 0; round < 10; round++) {
		listing.many.done = listing.many.failed = 0;
		listing.again = true;
		listing.images = gss_images_new(f.client, url, &error);
		g_assert_no_error(error);
		gss_images_list(listing.images, NULL, on_images, &listing);
		gss_images_list(listing.images, NULL, on_images, &listing);
		g_usleep(round * 1000);
		gss_images_free(listing.images);
		g_assert_cmpuint(listing.many.done, ==, 3);
		g_assert_cmpuint(listing.many.failed, ==, 3);
		g_assert_cmpint(listing.many.code, ==, ECANCELED);
	}
	tear_down(&f);
}

static bool long_list(Peer *peer, PeerRequest *request, int fd)
{
	if (!peer_read_body(request, fd, G_MAXSIZE))
		return false;
	if (strstr(request->body->str, "getSessionToken") != NULL)
		return peer_answer(request, fd, "200 OK", "",
		                   "<Envelope><Body><getSessionTokenResponse><return>secret-token"
		                   "</return></getSessionTokenResponse></Body></Envelope>");
	g_autoptr(GString) body = g_string_new("<Envelope><Body><listFilesResponse>");
	for (guint i = 0; i < 10000; i++)
		g_string_append_printf(body,
		                       "<return><type>FILE</type><uniqueName>x://%u</uniqueName>"
		                       "<visualName>%u</visualName></return>",
		                       i, i);
	g_string_append(body, canned);
	g_string_append(body, "</listFilesResponse></Body></Envelope>");
	return peer_answer(request, fd, "200 OK", "", body->str);
}

static void test_list(void)
{
	static const struct {
		const char *last;
		int code;
	} cases[] = {
		{"", 0},
		{"<return><type>FILE</type><visualName>..</visualName></return>", 0},
		{"<return><visualName>x</visualName></return>", EPROTO},
		{"<return><type>LINK</type></return>", EPROTO},
		{"<return><type>FILE</type><queryForName>2</queryForName></return>", EPROTO},
		{"<return>", EPROTO},
	};
	Fixture f;
	set_up(&f, hang);
	f.peer->soap = long_list;
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(GPtrArray) list = NULL;
		canned = cases[i].last;
		if (sync_list(f.client, "x://folder", false, &list, &error))
			g_assert_cmpuint(list->len, ==, i == 0 ? 10000 : 10001);
		else
			g_assert_error(error, GSS_ERROR, EPROTO);
		g_assert_true((error == NULL) == (cases[i].code == 0));
	}
	tear_down(&f);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_assert_cmpint(curl_global_init(CURL_GLOBAL_DEFAULT), ==, CURLE_OK);
	g_test_add_func("/gss/session/renewal", test_renewal);
	g_test_add_func("/gss/session/single-flight", test_single_flight);
	g_test_add_func("/gss/session/lanes", test_lanes);
	g_test_add_func("/gss/session/cancel", test_cancel);
	g_test_add_func("/gss/session/cancel-inside", test_cancel_inside);
	g_test_add_func("/gss/session/unreachable", test_unreachable);
	g_test_add_func("/gss/session/proxy", test_proxy);
	g_test_add_func("/gss/session/secrets", test_secrets);
	g_test_add_func("/gss/session/refused-password", test_refused_password);
	g_test_add_func("/gss/session/refused-again", test_refused_again);
	g_test_add_func("/gss/session/given-token", test_given_token);
	g_test_add_func("/gss/session/back-again", test_back_again);
	g_test_add_func("/gss/session/login-passes", test_login_passes);
	g_test_add_func("/gss/session/answer-secrets", test_answer_secrets);
	g_test_add_func("/gss/session/query-for-name", test_query_for_name);
	g_test_add_func("/gss/session/images-free", test_images_free);
	g_test_add_func("/gss/session/list", test_list);
	int result = g_test_run();
	curl_global_cleanup();
	return result;
}
