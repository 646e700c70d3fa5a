/* test-gss-http.c - the engine, the session and the REST requests against a peer that misbehaves on
 * cue. */
#include "test-gss-peer.h"
#include "test-gss-sync.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define STALL_MS 400
#define RESPONSE_MS 700
#define LARGE (6 * 1024 * 1024)

typedef struct {
	Peer *peer;
	GssClient *client;
	GssResource *resource;
} Fixture;

static bool load_credentials(GssCredentials *ret, void *data, GError **error)
{
	ret->username = g_strdup("user");
	ret->project = g_strdup("project");
	ret->password = g_strdup("pass");
	return true;
}

static GssClient *make_client(int port)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *url = g_strdup_printf("http://127.0.0.1:%d/service?wsdl", port);
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

static void set_up(Fixture *f, PeerHandler file)
{
	f->peer = peer_new(file);
	f->client = make_client(f->peer->port);
	f->resource = NULL;
}

static void resolve(Fixture *f)
{
	g_autoptr(GError) error = NULL;
	gss_resource_unref(f->resource);
	f->resource = NULL;
	sync_resolve(f->client, "x://file", &f->resource, &error);
	g_assert_no_error(error);
}

static void tear_down(Fixture *f)
{
	gss_resource_unref(f->resource);
	gss_client_free(f->client);
	peer_free(f->peer);
}

static void assert_read(Fixture *f, int code)
{
	g_autoptr(GError) error = NULL;
	g_auto(SyncBody) body = {.version = GSS_VERSION_INIT};
	if (sync_read(f->client, f->resource, 0, 0, &body, &error))
		g_assert_cmpint(code, ==, 0);
	else
		g_assert_error(error, GSS_ERROR, code);
}

static void assert_update(Fixture *f, gsize length, int code)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *bytes = g_strnfill(length, 'x');
	if (sync_update(f->client, f->resource, NULL, bytes, length, NULL, &error))
		g_assert_cmpint(code, ==, 0);
	else
		g_assert_error(error, GSS_ERROR, code);
}

static bool cut_at_once(Peer *peer, PeerRequest *request, int fd)
{
	peer_read_body(request, fd, G_MAXSIZE);
	return false;
}

static bool cut_on_reused(Peer *peer, PeerRequest *request, int fd)
{
	if (request->reused && request->number > 1) {
		peer_read_body(request, fd, G_MAXSIZE);
		return false;
	}
	return peer_answer(request, fd, "200 OK", "", "ok");
}

static bool cut_in_upload(Peer *peer, PeerRequest *request, int fd)
{
	peer_read_body(request, fd, 1000);
	peer_reset(fd);
	return false;
}

static bool cut_in_download(Peer *peer, PeerRequest *request, int fd)
{
	peer_write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort");
	return false;
}

static void test_cuts(void)
{
	static const gsize lengths[] = {1, 1000, LARGE};
	Fixture f;
	set_up(&f, cut_at_once);
	resolve(&f);
	assert_read(&f, EIO);
	for (guint i = 0; i < G_N_ELEMENTS(lengths); i++) {
		g_atomic_int_set(&f.peer->files, 0);
		assert_update(&f, lengths[i], EINPROGRESS);
		g_assert_cmpint(g_atomic_int_get(&f.peer->files), ==, 1);
	}
	g_atomic_int_set(&f.peer->files, 0);
	assert_update(&f, 0, EINPROGRESS);
	g_assert_cmpint(g_atomic_int_get(&f.peer->files), ==, 1);
	f.peer->file = cut_in_upload;
	assert_update(&f, LARGE, EIO);
	f.peer->file = cut_in_download;
	assert_read(&f, EIO);
	tear_down(&f);
}

/* libcurl takes a cut on a kept connection for a sign of age, and would send again. */
static void test_no_resend(void)
{
	static const gsize lengths[] = {1, 1000, 100000, LARGE};
	for (guint i = 0; i < G_N_ELEMENTS(lengths); i++) {
		Fixture f;
		set_up(&f, cut_on_reused);
		resolve(&f);
		assert_read(&f, 0);
		g_assert_cmpint(g_atomic_int_get(&f.peer->files), ==, 1);
		assert_update(&f, lengths[i], EINPROGRESS);
		g_assert_cmpint(g_atomic_int_get(&f.peer->files), ==, 2);
		tear_down(&f);
	}
	Fixture f;
	set_up(&f, cut_on_reused);
	resolve(&f);
	assert_read(&f, 0);
	/* Nothing to send: not on a kept connection at all. */
	assert_update(&f, 0, 0);
	g_assert_cmpint(g_atomic_int_get(&f.peer->files), ==, 2);
	/* Reading again harms nobody. */
	assert_read(&f, 0);
	tear_down(&f);
}

static bool swallow_nothing(Peer *peer, PeerRequest *request, int fd)
{
	peer_read_body(request, fd, 1000);
	g_usleep(4 * STALL_MS * 1000);
	return false;
}

static bool never_answer(Peer *peer, PeerRequest *request, int fd)
{
	peer_read_body(request, fd, G_MAXSIZE);
	peer_wait_closed(fd);
	return false;
}

static bool stop_in_body(Peer *peer, PeerRequest *request, int fd)
{
	peer_write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort");
	peer_wait_closed(fd);
	return false;
}

static bool drip(Peer *peer, PeerRequest *request, int fd)
{
	peer_write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
	for (guint i = 0; i < 10; i++) {
		g_usleep(STALL_MS * 1000 / 4);
		peer_write(fd, "x");
	}
	return true;
}

static bool sip(Peer *peer, PeerRequest *request, int fd)
{
	int small = 65536;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	for (gsize wanted = 0; wanted < request->length; wanted += request->length / 10) {
		g_usleep(STALL_MS * 1000 / 4);
		peer_read_body(request, fd, wanted);
	}
	return peer_answer(request, fd, "200 OK", "", "");
}

static void test_timeouts(void)
{
	Fixture f;
	set_up(&f, swallow_nothing);
	resolve(&f);
	gint64 started = g_get_monotonic_time();
	assert_update(&f, 4 * LARGE, ETIMEDOUT);
	g_assert_cmpint(g_get_monotonic_time() - started, <, 3 * G_USEC_PER_SEC);
	f.peer->file = never_answer;
	assert_update(&f, 1000, EINPROGRESS);
	assert_update(&f, 0, EINPROGRESS);
	assert_read(&f, ETIMEDOUT);
	f.peer->file = stop_in_body;
	assert_read(&f, ETIMEDOUT);
	/* Slow is not dead. */
	f.peer->file = drip;
	assert_read(&f, 0);
	f.peer->file = sip;
	assert_update(&f, LARGE, 0);
	tear_down(&f);
}

static const char *canned;

static bool answer_canned(Peer *peer, PeerRequest *request, int fd)
{
	peer_read_body(request, fd, G_MAXSIZE);
	peer_write(fd, "%s", canned);
	return false;
}

static void test_malformed(void)
{
	static const struct {
		const char *answer;
		int code;
	} cases[] = {
		{"garbage\r\n\r\n", EPROTO},
		{"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n", EPROTO},
		{"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", EPROTO},
		{"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n", EPROTO},
		{"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab",
	         EPROTO},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab", EPROTO},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", EIO},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", EIO},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", 0},
		{"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 2\r\n\r\nab", 0},
		{"HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-1/2\r\nContent-Length: "
	         "2\r\n\r\nab",
	         EPROTO},
		{"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/x\r\n\r\n", EPROTO},
		{"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.org/x\r\n\r\n", EPROTO},
		{"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n", EPROTO},
		{"HTTP/1.1 302 Found\r\nLocation: /file?again\r\n\r\n", EPROTO},
		{"HTTP/1.1 302 Found\r\n\r\n", EIO},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", 0},
		{"", EIO},
	};
	Fixture f;
	set_up(&f, answer_canned);
	resolve(&f);
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		canned = cases[i].answer;
		g_test_message("%s", canned);
		assert_read(&f, cases[i].code);
	}
	g_autoptr(GString) many = g_string_new("HTTP/1.1 200 OK\r\n");
	for (guint i = 0; i < 1000; i++)
		g_string_append_printf(many, "X-%u: y\r\n", i);
	g_string_append(many, "Content-Length: 2\r\n\r\nab");
	canned = many->str;
	assert_read(&f, EPROTO);
	g_autofree char *filler = g_strnfill(70000, 'x');
	g_autofree char *large =
		g_strdup_printf("HTTP/1.1 200 OK\r\nX: %s\r\nContent-Length: 2\r\n\r\nab", filler);
	canned = large;
	assert_read(&f, EPROTO);
	tear_down(&f);
}

static void test_ranges(void)
{
	static const struct {
		const char *head;
		int code;
	} cases[] = {
		{"206 Partial\r\nContent-Range: bytes 10-14/100\r\nContent-Length: 5\r\n", 0},
		{"206 Partial\r\nContent-Range: bytes 10-14/*\r\nContent-Length: 5\r\n", 0},
		{"206 Partial\r\nContent-Range: bytes 11-15/100\r\nContent-Length: 5\r\n", EPROTO},
		{"206 Partial\r\nContent-Range: bytes 10-15/100\r\nContent-Length: 5\r\n", EPROTO},
		{"206 Partial\r\nContent-Range: bytes 10-13/100\r\nContent-Length: 5\r\n", EPROTO},
		{"206 Partial\r\nContent-Length: 5\r\n", EPROTO},
		{"206 Partial\r\nContent-Range: rubbish\r\nContent-Length: 5\r\n", EPROTO},
		{"206 Partial\r\nContent-Range: bytes */100\r\nContent-Length: 5\r\n", EPROTO},
		{"416 No\r\nContent-Range: bytes */5\r\nContent-Length: 0\r\n", ERANGE},
	};
	Fixture f;
	set_up(&f, answer_canned);
	resolve(&f);
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_auto(SyncBody) body = {.version = GSS_VERSION_INIT};
		g_autofree char *answer = g_strdup_printf("HTTP/1.1 %s\r\nabcde", cases[i].head);
		canned = answer;
		if (sync_read(f.client, f.resource, 10, 5, &body, &error)) {
			g_assert_cmpint(cases[i].code, ==, 0);
			g_assert_cmpuint(body.offset, ==, 10);
			g_assert_cmpmem(body.bytes->data, body.bytes->len, "abcde", 5);
		} else {
			g_assert_error(error, GSS_ERROR, cases[i].code);
		}
	}
	tear_down(&f);
}

static void test_statuses(void)
{
	static const struct {
		int status;
		int read;
		int update;
	} cases[] = {
		{200, 0, 0},           {201, 0, 0},
		{204, 0, 0},           {400, EINVAL, EINVAL},
		{404, ENOENT, ENOENT}, {405, EPERM, ENOENT},
		{410, ENOENT, ENOENT}, {412, ESTALE, ESTALE},
		{413, EFBIG, EFBIG},   {429, EAGAIN, EAGAIN},
		{500, EIO, EIO},       {502, EAGAIN, EAGAIN},
		{503, EAGAIN, EAGAIN}, {504, EAGAIN, EINPROGRESS},
		{507, ENOSPC, ENOSPC}, {599, EIO, EIO},
	};
	Fixture f;
	set_up(&f, answer_canned);
	resolve(&f);
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *answer = g_strdup_printf(
			"HTTP/1.1 %d Status\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
			cases[i].status);
		canned = answer;
		assert_read(&f, cases[i].read);
		assert_update(&f, 10, cases[i].update);
	}
	/* The status of a change says enough; the rest of the answer may be lost. */
	canned = "HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: 100\r\n\r\ncut";
	assert_update(&f, 10, 0);
	tear_down(&f);
}

static bool redirect_here(Peer *peer, PeerRequest *request, int fd)
{
	if (strcmp(request->path, "/file") == 0)
		return peer_answer(request, fd, "307 Moved", "Location: /file/there%20it%20is\r\n",
		                   "");
	bool right = strcmp(request->path, "/file/there%20it%20is") == 0 &&
	             peer_authorized(peer, request);
	bool whole =
		peer_read_body(request, fd, G_MAXSIZE) && request->body->len == request->length;
	return peer_answer(request, fd, right && whole ? "200 OK" : "500 No", "", "");
}

static void test_redirect(void)
{
	Fixture f;
	set_up(&f, redirect_here);
	resolve(&f);
	assert_read(&f, 0);
	assert_update(&f, 1000, 0);
	f.peer->file = answer_canned;
	canned = "HTTP/1.1 302 Found\r\nLocation: /file/x\r\nContent-Length: 0\r\n\r\n";
	assert_update(&f, 1000, EPROTO);
	tear_down(&f);
}

static bool want_token(Peer *peer, PeerRequest *request, int fd)
{
	if (!peer_authorized(peer, request))
		return peer_answer(request, fd, "401 Unauthorized", "", "");
	return peer_answer(request, fd, "200 OK", "", "content");
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
	while (many->done < number)
		g_cond_wait(&many->changed, &many->lock);
	g_mutex_unlock(&many->lock);
}

static void on_resolved(GssResource *resource, const GError *error, void *data)
{
	count(data, error);
}

static bool on_begin(guint64 offset, gint64 length, const GssVersion *version, void *data,
                     GError **error)
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
		gss_storage_read(f.client, f.resource, 0, 10, NULL, &sink, &many);
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

static void test_lanes(void)
{
	Fixture f;
	Many many = {0};
	set_up(&f, stop_in_body);
	resolve(&f);
	g_autoptr(GCancellable) cancellable = g_cancellable_new();
	for (guint i = 0; i < 50; i++)
		gss_storage_read(f.client, f.resource, 0, 0, cancellable, &sink, &many);
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
		gss_storage_read(f.client, f.resource, 0, 0, cancellable, &sink, &many);
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
		gss_storage_read(f.client, f.resource, 0, i % 2, NULL, &sink, &many);
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
	gss_storage_read(f.client, f.resource, 0, 0, canceller.cancellable, &cancelling,
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

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_assert_cmpint(curl_global_init(CURL_GLOBAL_DEFAULT), ==, CURLE_OK);
	g_test_add_func("/gss/http/cuts", test_cuts);
	g_test_add_func("/gss/http/no-resend", test_no_resend);
	g_test_add_func("/gss/http/timeouts", test_timeouts);
	g_test_add_func("/gss/http/malformed", test_malformed);
	g_test_add_func("/gss/http/ranges", test_ranges);
	g_test_add_func("/gss/http/statuses", test_statuses);
	g_test_add_func("/gss/http/redirect", test_redirect);
	g_test_add_func("/gss/http/renewal", test_renewal);
	g_test_add_func("/gss/http/single-flight", test_single_flight);
	g_test_add_func("/gss/http/lanes", test_lanes);
	g_test_add_func("/gss/http/cancel", test_cancel);
	g_test_add_func("/gss/http/cancel-inside", test_cancel_inside);
	g_test_add_func("/gss/http/unreachable", test_unreachable);
	g_test_add_func("/gss/http/secrets", test_secrets);
	g_test_add_func("/gss/http/query-for-name", test_query_for_name);
	int result = g_test_run();
	curl_global_cleanup();
	return result;
}
