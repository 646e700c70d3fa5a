/* test-gss-http.c - the engine and the REST requests against a peer that misbehaves on cue. */
#include "test-gss-client.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

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

static bool cut_for_good(Peer *peer, PeerRequest *request, int fd)
{
	if (request->reused && request->number > 1)
		shutdown(peer->listener, SHUT_RDWR);
	return cut_on_reused(peer, request, fd);
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
	f.peer->file = answer_canned; /* what is no HTTP says nothing of what was sent, either */
	canned = "garbage\r\n\r\n";
	assert_update(&f, 1000, EINPROGRESS);
	assert_remove(&f, EINPROGRESS);
	f.peer->file = cut_in_download;
	assert_read(&f, EIO);
	tear_down(&f);
}

/* libcurl takes a cut on a kept connection for a sign of age, and would send again. */
static void test_no_resend(void)
{
	static const gsize lengths[] = {0, 1, 1000, 100000, LARGE};
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
	set_up(&f, cut_for_good);
	resolve(&f);
	assert_read(&f, 0);
	assert_remove(&f, EINPROGRESS);
	assert_remove(&f, EHOSTUNREACH);
	tear_down(&f);
	set_up(&f, cut_on_reused);
	resolve(&f);
	assert_read(&f, 0);
	assert_remove(&f, EINPROGRESS);
	g_assert_cmpint(g_atomic_int_get(&f.peer->files), ==, 2);
	/* Reading again harms nobody. */
	assert_read(&f, 0);
	/* The next change does not rely on another kept one. */
	assert_remove(&f, 0);
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
	/* What is read is not worked on. */
	started = g_get_monotonic_time();
	assert_read(&f, ETIMEDOUT);
	g_assert_cmpint(g_get_monotonic_time() - started, <, RESPONSE_MS * 1000);
	f.peer->file = stop_in_body;
	assert_read(&f, ETIMEDOUT);
	/* Slow is not dead. */
	f.peer->file = drip;
	assert_read(&f, 0);
	f.peer->file = sip;
	assert_update(&f, LARGE, 0);
	tear_down(&f);
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
		{"206 Partial\r\nContent-Range: bytes 10-15/100\r\nContent-Length: 6\r\n", EPROTO},
		{"206 Partial\r\nContent-Range: bytes 10-13/100\r\nContent-Length: 5\r\n", EPROTO},
		{"206 Partial\r\nContent-Range: bytes 10-14/100\r\n"
	         "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
	         EIO},
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
		{404, ENOENT, EIO},    {405, EPERM, ENOENT},
		{410, ENOENT, EIO},    {412, ESTALE, ESTALE},
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

static const char *drop;

static bool drip_endlessly(Peer *peer, PeerRequest *request, int fd)
{
	bool going_on = peer_read_body(request, fd, G_MAXSIZE) && peer_write(fd, "%s", canned);
	while (going_on && !peer->closing) {
		g_usleep(STALL_MS * 1000 / 4);
		going_on = peer_write(fd, "%s", drop);
	}
	return false;
}

/* What takes a moment anywhere else does not take for ever. */
static void test_slow_answers(void)
{
	static const char *const cases[][2] = {{"HTTP/1.1 200 OK\r\n\r\n", " "},
	                                       {"", "HTTP/1.1 102 Processing\r\n\r\n"}};
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		GssResource *resource;
		Fixture f;
		set_up(&f, answer_canned);
		f.peer->soap = drip_endlessly;
		canned = cases[i][0];
		drop = cases[i][1];
		gint64 started = g_get_monotonic_time();
		g_assert_false(sync_resolve(f.client, "x://file", &resource, &error));
		g_assert_error(error, GSS_ERROR, ETIMEDOUT);
		g_assert_cmpint(g_get_monotonic_time() - started, <, 3 * G_USEC_PER_SEC);
		tear_down(&f);
	}
}

static gint chattered; /* KiB */

/* Says what became of the request, and does not stop talking. */
static bool chatter(Peer *peer, PeerRequest *request, int fd)
{
	g_autofree char *text = g_strnfill(1024, 'x');
	bool going_on = peer_read_body(request, fd, G_MAXSIZE) &&
	                peer_write(fd, "HTTP/1.1 201 Created\r\n\r\n");
	for (guint i = 0; going_on && i < 100 * 1024; i++) {
		g_atomic_int_inc(&chattered);
		going_on = peer_write_bytes(fd, text, 1024);
	}
	return false;
}

static bool drip_after(Peer *peer, PeerRequest *request, int fd)
{
	bool going_on = peer_read_body(request, fd, G_MAXSIZE) && peer_write(fd, "%s", canned);
	for (guint i = 0; going_on && i < 40; i++) {
		g_usleep(STALL_MS * 1000 / 4);
		going_on = peer_write(fd, "x");
	}
	return false;
}

static bool drip_redirect(Peer *peer, PeerRequest *request, int fd)
{
	return strcmp(request->path, "/file") != 0 ? peer_answer(request, fd, "200 OK", "", "ok")
	                                           : drip_after(peer, request, fd);
}

static bool say_no_more(Peer *peer, PeerRequest *request, int fd)
{
	peer_write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
	if (strcmp(request->method, "HEAD") != 0)
		peer_wait_closed(fd);
	return true;
}

/* An answer is one when all of it that is wanted has come. */
static void test_unwanted(void)
{
	g_autoptr(GError) error = NULL;
	g_auto(GssVersion) version = GSS_VERSION_INIT;
	Fixture f;
	set_up(&f, chatter);
	resolve(&f);
	assert_update(&f, 1000, 0);
	g_assert_cmpint(g_atomic_int_get(&chattered), <, 50 * 1024);
	gint64 started = g_get_monotonic_time();
	f.peer->file = drip_after;
	canned = "HTTP/1.1 201 Created\r\nContent-Length: 1000\r\n\r\n";
	assert_update(&f, 1000, 0);
	canned = "HTTP/1.1 507 Full\r\nContent-Length: 1000\r\n\r\n";
	assert_update(&f, 1000, ENOSPC);
	f.peer->file = drip_redirect;
	canned = "HTTP/1.1 307 Moved\r\nLocation: /file/x\r\nContent-Length: 1000\r\n\r\n";
	assert_update(&f, 1000, 0);
	f.peer->file = say_no_more;
	sync_stat(f.client, f.resource, &version, &error);
	g_assert_no_error(error);
	g_assert_cmpint(version.size, ==, 5000);
	g_assert_cmpint(g_get_monotonic_time() - started, <, 6 * G_USEC_PER_SEC);
	tear_down(&f);
}

static gint taken; /* bytes of a body; -1: not yet */

/* Says yes at once; takes the body slowly, for longer in all than it may stop in between. */
static bool answer_early(Peer *peer, PeerRequest *request, int fd)
{
	peer_write(fd, "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok");
	for (gsize wanted = 1; wanted <= 16; wanted++) {
		g_usleep(STALL_MS * 1000 / 8);
		peer_read_body(request, fd, request->length / 16 * wanted);
	}
	peer_read_body(request, fd, G_MAXSIZE);
	g_atomic_int_set(&taken, (int)request->body->len);
	return true;
}

static bool answer_and_stop(Peer *peer, PeerRequest *request, int fd)
{
	peer_write(fd, "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok");
	peer_read_body(request, fd, 1000);
	g_usleep(4 * STALL_MS * 1000);
	return false;
}

static bool answer_and_cut(Peer *peer, PeerRequest *request, int fd)
{
	peer_write(fd, "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok");
	peer_read_body(request, fd, 1000);
	g_usleep(STALL_MS * 1000 / 4); /* the answer is read before the cut is */
	peer_reset(fd);
	return false;
}

static bool answer_and_close(Peer *peer, PeerRequest *request, int fd)
{
	peer_write(fd, "HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
	peer_read_body(request, fd, G_MAXSIZE);
	return false;
}

/* A success that comes first ends no upload, and is none when the rest could not be sent. */
static void test_early(void)
{
	Fixture f;
	set_up(&f, answer_early);
	resolve(&f);
	g_atomic_int_set(&taken, -1);
	assert_update(&f, 4 * LARGE, 0);
	while (g_atomic_int_get(&taken) < 0)
		g_usleep(1000);
	g_assert_cmpint(g_atomic_int_get(&taken), ==, 4 * LARGE);
	f.peer->file = answer_and_stop;
	assert_update(&f, 4 * LARGE, ETIMEDOUT);
	f.peer->file = answer_and_cut;
	assert_update(&f, 4 * LARGE, EIO);
	f.peer->file = answer_and_close;
	assert_update(&f, 4 * LARGE, EIO);
	tear_down(&f);
}

static bool trail(Peer *peer, PeerRequest *request, int fd)
{
	bool going_on = peer_write(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	                               "2\r\nab\r\n0\r\n");
	for (guint i = 0; going_on && i < 100 * 1000; i++)
		going_on = peer_write(fd, "X-%u: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n", i);
	peer_write(fd, "\r\n");
	return false;
}

static void test_trailers(void)
{
	Fixture f;
	set_up(&f, trail);
	resolve(&f);
	assert_read(&f, EPROTO);
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

static bool have_no_content(Peer *peer, PeerRequest *request, int fd)
{
	if (strcmp(request->method, "HEAD") != 0)
		return peer_write(fd, "HTTP/1.1 204 No\r\n\r\n");
	return peer_write(fd, "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n", canned);
}

/* A GET that answers 204 may be about an empty file, but not where HEAD tells a size. */
static void test_no_content(void)
{
	static const struct {
		const char *length;
		int code;
	} cases[] = {{"0", 0}, {"4", 0}, {"5000", EPROTO}};
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_auto(GssVersion) version = GSS_VERSION_INIT;
		Fixture f;
		set_up(&f, have_no_content);
		canned = cases[i].length;
		resolve(&f);
		if (sync_stat(f.client, f.resource, &version, &error))
			g_assert_cmpint(version.size, ==, cases[i].code == 0 ? 0 : -1);
		else
			g_assert_error(error, GSS_ERROR, cases[i].code);
		tear_down(&f);
	}
}

static bool list_endlessly(Peer *peer, PeerRequest *request, int fd)
{
	g_autoptr(GString) entries = g_string_new(NULL);
	bool going_on =
		peer_read_body(request, fd, G_MAXSIZE) &&
		peer_write(fd, "HTTP/1.1 200 OK\r\n\r\n<E:Envelope xmlns:E=\"http://schemas."
	                       "xmlsoap.org/soap/envelope/\"><E:Body>"
	                       "<n:listFilesResponse xmlns:n=\"u\">");
	for (guint i = 0; i < 1000; i++)
		g_string_append(entries, "<r><type>FILE</type><visualName>x</visualName></r>");
	for (guint i = 0; going_on && i < 2 * GSS_LIST_MAX / 1000; i++)
		going_on = peer_write_bytes(fd, entries->str, entries->len);
	return false;
}

static void test_endless_listing(void)
{
	Fixture f;
	set_up(&f, answer_canned);
	resolve(&f);
	f.peer->soap = list_endlessly;
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) list = NULL;
	g_assert_false(sync_list(f.client, "x://folder", false, &list, &error));
	g_assert_error(error, GSS_ERROR, EFBIG);
	g_assert_nonnull(strstr(error->message, "more than 1000000 entries"));
	tear_down(&f);
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
	g_test_add_func("/gss/http/slow-answers", test_slow_answers);
	g_test_add_func("/gss/http/unwanted", test_unwanted);
	g_test_add_func("/gss/http/early", test_early);
	g_test_add_func("/gss/http/trailers", test_trailers);
	g_test_add_func("/gss/http/redirect", test_redirect);
	g_test_add_func("/gss/http/no-content", test_no_content);
	g_test_add_func("/gss/http/endless-listing", test_endless_listing);
	int result = g_test_run();
	curl_global_cleanup();
	return result;
}
