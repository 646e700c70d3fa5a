/* gss/transfer.c - one request of the engine: its easy handle, its callbacks, what became of it. */
#include "gss/http-private.h"

#include "gss/error-private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LARGE_BUFFER (512L * 1024)
#define SMALL_BUFFER (64L * 1024)
#define LARGE_GATHER ((gsize)256 * 1024)
#define SMALL_GATHER ((gsize)64 * 1024)
#define IDLE_CONNECTION_MAX_S 30L /* older ones are likelier closed by the peer than useful */
/* When one turned out dead, the others may be, too: after a suspend, say. */
#define WARY_TIME (IDLE_CONNECTION_MAX_S * G_USEC_PER_SEC)

#define SET(easy, option, value)                                                                  \
	do {                                                                                      \
		CURLcode set_code = curl_easy_setopt(easy, option, value);                        \
		if (set_code != CURLE_OK)                                                         \
			g_error("libcurl refuses " #option ": %s", curl_easy_strerror(set_code)); \
	} while (0)

static bool is_cancelled(GssTransfer *transfer)
{
	if (!g_cancellable_is_cancelled(transfer->cancellable))
		return false;
	if (transfer->error == NULL)
		transfer->error = g_error_new(GSS_ERROR, ECANCELED, "cancelled");
	return true;
}

static void moved(GssTransfer *transfer)
{
	transfer->moved_at = g_get_monotonic_time();
}

static void forget_answer(GssTransfer *transfer)
{
	g_clear_pointer(&transfer->answer.headers, g_hash_table_unref);
	transfer->answer.status = 0;
	transfer->answer.length = -1;
	transfer->answer.host = transfer->url.host;
}

/* A success of what has not arrived is none: the rest must follow. */
static bool is_early(const GssTransfer *transfer)
{
	return transfer->final && transfer->answer.status < 300 &&
	       transfer->sent < transfer->request.length;
}

/* All is said that is wanted. */
static bool is_answered(const GssTransfer *transfer)
{
	return transfer->enough && !is_early(transfer);
}

/* Content-Length as it stands there, for HEAD as well; a chunked body has none. */
static bool read_length(GssTransfer *transfer)
{
	GssAnswer *answer = &transfer->answer;
	const char *coding = gss_answer_header(answer, "transfer-encoding");
	const char *text = gss_answer_header(answer, "content-length");
	if (coding != NULL && g_ascii_strcasecmp(coding, "identity") != 0) {
		if (g_ascii_strcasecmp(coding, "chunked") == 0)
			return true;
		return gss_fail(&transfer->error, EPROTO,
		                "%s: the answer has a Transfer-Encoding that was not asked for",
		                answer->host);
	}
	gint64 length = -1;
	if (text != NULL && (!g_ascii_isdigit(*text) ||
	                     !g_ascii_string_to_signed(text, 10, 0, G_MAXINT64, &length, NULL)))
		return gss_fail(&transfer->error, EPROTO, "%s: the answer has a bad Content-Length",
		                answer->host);
	answer->length = length;
	return true;
}

static bool check_encoding(GssTransfer *transfer)
{
	const char *encoding = gss_answer_header(&transfer->answer, "content-encoding");
	if (encoding == NULL || *encoding == '\0' || g_ascii_strcasecmp(encoding, "identity") == 0)
		return true;
	g_autofree char *shown = gss_quote(encoding, -1, NULL);
	return gss_fail(&transfer->error, EPROTO,
	                "%s: the answer has the Content-Encoding “%s”, which was not asked for",
	                transfer->answer.host, shown);
}

static bool is_redirect(long status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Keeps where a redirect leads; whether it may be followed is settled in gss_transfer_follow(). */
static bool take_redirect(GssTransfer *transfer, const char *location)
{
	const GssAnswer *answer = &transfer->answer;
	bool reading = strcmp(transfer->request.method, "GET") == 0 ||
	               strcmp(transfer->request.method, "HEAD") == 0;
	if (!reading && answer->status != 307 && answer->status != 308)
		return gss_fail(
			&transfer->error, EPROTO,
			"%s: a %s was redirected with status %ld, which changes its meaning",
			answer->host, transfer->request.method, answer->status);
	g_autofree char *encoded = gss_url_encode(location, NULL, NULL);
	CURLU *url = curl_url();
	char *target = NULL;
	if (url == NULL)
		g_error("out of memory");
	if (curl_url_set(url, CURLUPART_URL, transfer->url.url, CURLU_PATH_AS_IS) == CURLUE_OK &&
	    curl_url_set(url, CURLUPART_URL, encoded,
	                 CURLU_NON_SUPPORT_SCHEME | CURLU_PATH_AS_IS) == CURLUE_OK &&
	    curl_url_get(url, CURLUPART_URL, &target, 0) == CURLUE_OK) {
		transfer->redirect = g_strdup(target);
		curl_free(target);
	}
	curl_url_cleanup(url);
	if (transfer->redirect == NULL)
		return gss_fail(&transfer->error, EPROTO, "%s: redirected to what is no URL",
		                answer->host);
	transfer->enough = true;
	return true;
}

/* The head of the final answer is complete. */
static bool on_head(GssTransfer *transfer)
{
	GssAnswer *answer = &transfer->answer;
	transfer->final = true;
	transfer->head_at = g_get_monotonic_time();
	if (!read_length(transfer))
		return false;
	const char *location = gss_answer_header(answer, "location");
	if (is_redirect(answer->status) && location != NULL)
		return take_redirect(transfer, location);
	/* A status that says enough by itself counts more than a body that cannot be read. */
	if (answer->status < 300 || answer->status == 500) {
		if (!check_encoding(transfer))
			return false;
	} else if (gss_answer_header(answer, "content-encoding") != NULL) {
		transfer->enough = true;
	}
	if (transfer->request.head == NULL)
		return true;
	switch (transfer->request.head(answer, transfer->request.data, &transfer->error)) {
	case GSS_HEAD_BODY:
		return true;
	case GSS_HEAD_ENOUGH:
		transfer->enough = true;
		return true;
	case GSS_HEAD_FAIL:
		break;
	}
	return false;
}

static bool take_header(GssTransfer *transfer, const char *line, gsize length)
{
	GssAnswer *answer = &transfer->answer;
	const char *colon = memchr(line, ':', length);
	if (colon == NULL || colon == line || memchr(line, '\0', length) != NULL)
		return gss_fail(&transfer->error, EPROTO, "%s: the answer has a malformed header",
		                answer->host);
	if (g_hash_table_size(answer->headers) >= GSS_HEADERS_MAX)
		return gss_fail(&transfer->error, EPROTO, "%s: the answer has too many headers",
		                answer->host);
	char *name = g_ascii_strdown(line, colon - line);
	char *value = g_strstrip(g_strndup(colon + 1, (gsize)(line + length - colon - 1)));
	g_strchomp(name);
	if (g_hash_table_contains(answer->headers, name)) {
		g_free(name);
		g_free(value);
	} else {
		g_hash_table_insert(answer->headers, name, value);
	}
	return true;
}

static size_t header_callback(char *line, size_t size, size_t count, void *data)
{
	GssTransfer *transfer = data;
	size_t length = size * count;
	moved(transfer);
	if (is_cancelled(transfer))
		return 0;
	transfer->header_bytes += length;
	if (transfer->header_bytes > GSS_HEADER_BYTES_MAX) {
		gss_fail(&transfer->error, EPROTO, "%s: the headers of the answer are too large",
		         transfer->answer.host);
		return 0;
	}
	if (transfer->final)
		return length; /* a trailer */
	size_t bare = length;
	while (bare > 0 && (line[bare - 1] == '\n' || line[bare - 1] == '\r'))
		bare--;
	if (length >= 5 && strncmp(line, "HTTP/", 5) == 0) {
		forget_answer(transfer);
		transfer->answer.headers =
			g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
		return length;
	}
	if (transfer->answer.headers == NULL)
		return length;
	if (bare > 0) /* a line that begins with a blank goes on with the one before */
		return *line == ' ' || *line == '\t' || take_header(transfer, line, bare) ? length
		                                                                          : 0;
	long status = 0;
	if (curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK)
		return 0;
	transfer->answer.status = status;
	if (status < 200)
		return length; /* an interim answer */
	return on_head(transfer) ? length : 0;
}

bool gss_transfer_hand_over(GssTransfer *transfer)
{
	gsize length = transfer->gathered_bytes;
	transfer->gathered_bytes = 0;
	if (length == 0)
		return true;
	if (transfer->error != NULL || is_cancelled(transfer))
		return false;
	return transfer->request.body(transfer->gathered, length, transfer->request.data,
	                              &transfer->error);
}

static bool take_body(GssTransfer *transfer, const char *bytes, gsize length)
{
	const GssRequest *request = &transfer->request;
	bool large = request->large;
	gsize room = large ? LARGE_GATHER : SMALL_GATHER;
	bool one_piece = !large && transfer->answer.length <= CURL_MAX_WRITE_SIZE;
	if (transfer->gathered_bytes + length > room && !gss_transfer_hand_over(transfer))
		return false;
	if (one_piece || length > room)
		return request->body(bytes, length, request->data, &transfer->error);
	if (transfer->gathered == NULL)
		transfer->gathered = g_malloc(room);
	memcpy(transfer->gathered + transfer->gathered_bytes, bytes, length);
	transfer->gathered_bytes += length;
	return true;
}

static size_t write_callback(char *bytes, size_t size, size_t count, void *data)
{
	GssTransfer *transfer = data;
	size_t length = size * count;
	moved(transfer);
	if (transfer->error != NULL || is_cancelled(transfer))
		return CURL_WRITEFUNC_ERROR;
	transfer->received += length;
	if (transfer->enough) {
		/* Reading a short rest is cheaper than a new connection. */
		bool little = transfer->received <= GSS_DRAIN_MAX &&
		              transfer->answer.length <= GSS_DRAIN_MAX;
		return little || !is_answered(transfer) ? length : CURL_WRITEFUNC_ERROR;
	}
	return transfer->request.body == NULL || take_body(transfer, bytes, length)
	               ? length
	               : CURL_WRITEFUNC_ERROR;
}

static size_t read_callback(char *buffer, size_t size, size_t count, void *data)
{
	GssTransfer *transfer = data;
	GssRequest *request = &transfer->request;
	if (transfer->error != NULL || is_cancelled(transfer))
		return CURL_READFUNC_ABORT;
	gsize wanted = MIN((guint64)size * count, request->length - transfer->handed);
	if (wanted == 0)
		return 0;
	gssize got = request->read(buffer, wanted, transfer->handed, request->source_data,
	                           &transfer->error);
	if (got < 0)
		return CURL_READFUNC_ABORT;
	if (got == 0) {
		gss_fail(&transfer->error, EIO,
		         "the source ended after %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
		         " bytes",
		         transfer->handed, request->length);
		return CURL_READFUNC_ABORT;
	}
	g_assert((gsize)got <= wanted);
	transfer->handed += (guint64)got;
	if (request->progress != NULL)
		request->progress(transfer->handed, request->source_data);
	return (size_t)got;
}

/* libcurl is about to send the request again, on another connection, because a kept one turned out
 * dead. Whether the service has worked on what it got whole, nobody knows. */
static bool may_send_again(GssTransfer *transfer)
{
	const GssRequest *request = &transfer->request;
	if (request->modifying && transfer->handed >= request->length) {
		transfer->refused = true;
		transfer->http->wary_until = g_get_monotonic_time() + WARY_TIME;
	}
	return !transfer->refused;
}

static int seek_callback(void *data, curl_off_t offset, int origin)
{
	GssTransfer *transfer = data;
	const GssRequest *request = &transfer->request;
	if (!may_send_again(transfer))
		return CURL_SEEKFUNC_FAIL;
	if (origin != SEEK_SET || offset < 0 || (guint64)offset > request->length)
		return CURL_SEEKFUNC_FAIL;
	transfer->handed = (guint64)offset;
	return CURL_SEEKFUNC_OK;
}

/* Before each request, also one whose missing body needs no seeking. */
static int request_callback(void *data, char *peer, char *own, int peer_port, int own_port)
{
	GssTransfer *transfer = data;
	bool again = transfer->requested;
	transfer->requested = true;
	return !again || may_send_again(transfer) ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

static int progress_callback(void *data, curl_off_t download_total, curl_off_t downloaded,
                             curl_off_t upload_total, curl_off_t uploaded)
{
	GssTransfer *transfer = data;
	if ((guint64)downloaded != transfer->seen || (guint64)uploaded > transfer->sent)
		moved(transfer);
	transfer->seen = (guint64)downloaded;
	transfer->sent = MAX(transfer->sent, (guint64)uploaded);
	return is_cancelled(transfer) ? 1 : 0;
}

static void set_method(GssTransfer *transfer)
{
	const GssRequest *request = &transfer->request;
	CURL *easy = transfer->easy;
	if (request->has_body) {
		SET(easy, CURLOPT_UPLOAD, 1L);
		SET(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->length);
		SET(easy, CURLOPT_READFUNCTION, read_callback);
		SET(easy, CURLOPT_READDATA, transfer);
		SET(easy, CURLOPT_SEEKFUNCTION, seek_callback);
		SET(easy, CURLOPT_SEEKDATA, transfer);
		if (strcmp(request->method, "PUT") != 0)
			SET(easy, CURLOPT_CUSTOMREQUEST, request->method);
	} else if (strcmp(request->method, "HEAD") == 0) {
		SET(easy, CURLOPT_NOBODY, 1L);
	} else {
		SET(easy, CURLOPT_HTTPGET, 1L);
		if (strcmp(request->method, "GET") != 0)
			SET(easy, CURLOPT_CUSTOMREQUEST, request->method);
	}
	if (request->modifying && g_get_monotonic_time() < transfer->http->wary_until)
		SET(easy, CURLOPT_FRESH_CONNECT, 1L);
	bool large = request->large;
	SET(easy, CURLOPT_BUFFERSIZE, large ? LARGE_BUFFER : SMALL_BUFFER);
	if (large)
		SET(easy, CURLOPT_UPLOAD_BUFFERSIZE, LARGE_BUFFER);
}

static void set_rules(GssTransfer *transfer)
{
	CURL *easy = transfer->easy;
	SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	SET(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	SET(easy, CURLOPT_FOLLOWLOCATION, 0L);
	SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(easy, CURLOPT_HTTP09_ALLOWED, 0L);
	SET(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
	SET(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	SET(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	SET(easy, CURLOPT_PATH_AS_IS, 1L);
	SET(easy, CURLOPT_NOSIGNAL, 1L);
	/* An aborted transfer must not wait for the name server: nothing else would move meanwhile.
	 */
	SET(easy, CURLOPT_QUICK_EXIT, 1L);
	SET(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	SET(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(easy, CURLOPT_MAXAGE_CONN, IDLE_CONNECTION_MAX_S);
	SET(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)transfer->http->connect_timeout_ms);
	SET(easy, CURLOPT_USERAGENT, "gssfs/" GSSFS_VERSION);
	if (transfer->url.loopback)
		SET(easy, CURLOPT_PROXY, "");
}

static bool take_apart(GssTransfer *transfer, GError **error)
{
	if (transfer->url.host != NULL)
		return true;
	g_autofree char *url = g_steal_pointer(&transfer->url.url);
	return gss_url_parse(&transfer->url, url, transfer->http->allow_http, EPROTO, error);
}

bool gss_transfer_prepare(GssTransfer *transfer, GError **error)
{
	if (!take_apart(transfer, error))
		return false;
	forget_answer(transfer);
	transfer->easy = curl_easy_init();
	if (transfer->easy == NULL)
		g_error("out of memory");
	CURL *easy = transfer->easy;
	SET(easy, CURLOPT_URL, transfer->url.url);
	SET(easy, CURLOPT_PRIVATE, transfer);
	SET(easy, CURLOPT_ERRORBUFFER, transfer->message);
	SET(easy, CURLOPT_HTTPHEADER, transfer->headers);
	SET(easy, CURLOPT_PREREQFUNCTION, request_callback);
	SET(easy, CURLOPT_PREREQDATA, transfer);
	SET(easy, CURLOPT_HEADERFUNCTION, header_callback);
	SET(easy, CURLOPT_HEADERDATA, transfer);
	SET(easy, CURLOPT_WRITEFUNCTION, write_callback);
	SET(easy, CURLOPT_WRITEDATA, transfer);
	SET(easy, CURLOPT_XFERINFOFUNCTION, progress_callback);
	SET(easy, CURLOPT_XFERINFODATA, transfer);
	SET(easy, CURLOPT_NOPROGRESS, 0L);
	set_rules(transfer);
	set_method(transfer);
	moved(transfer);
	return true;
}

/* The phases of a transfer. */
typedef enum {
	CONNECTING,
	SENDING,
	RESPONDING, /* all is sent, nothing has come */
	RECEIVING,
} Phase;

static Phase phase(GssTransfer *transfer)
{
	if (transfer->final)
		return is_early(transfer) ? SENDING : RECEIVING;
	if (!transfer->requested)
		return CONNECTING;
	if (transfer->request.has_body && transfer->sent < transfer->request.length)
		return SENDING;
	return RESPONDING;
}

/* Silence after the last byte of a body is work; after a question it is a dead network. */
static gint64 response_timeout(const GssTransfer *transfer)
{
	const GssHttp *http = transfer->http;
	bool works = transfer->request.modifying || transfer->request.patient;
	return works ? http->response_timeout : MIN(http->stall_timeout, http->response_timeout);
}

/* However much moves: its answer is a small one, and no work. */
static bool is_question(const GssTransfer *transfer)
{
	const GssRequest *request = &transfer->request;
	return request->lane == GSS_LANE_SMALL && !request->modifying && !request->patient;
}

static bool is_unwanted(const GssTransfer *transfer)
{
	const gint64 *until = transfer->request.until;
	return until != NULL && *until != 0 && g_get_monotonic_time() >= *until;
}

static gint64 deadline(GssTransfer *transfer)
{
	const GssHttp *http = transfer->http;
	Phase now = phase(transfer);
	if (now != CONNECTING && transfer->begun_at == 0) {
		moved(transfer);
		transfer->begun_at = transfer->moved_at;
	}
	if (is_answered(transfer))
		return transfer->head_at + GSS_DRAIN_TIME;
	gint64 end = now != CONNECTING && is_question(transfer)
	                     ? transfer->begun_at + http->response_timeout
	                     : G_MAXINT64;
	switch (now) {
	case CONNECTING: /* libcurl's own time-out comes first */
		return transfer->moved_at + http->connect_timeout_ms * G_GINT64_CONSTANT(1000) +
		       http->stall_timeout;
	case RESPONDING:
		return MIN(end, transfer->moved_at + response_timeout(transfer));
	case SENDING:
	case RECEIVING:
		break;
	}
	return MIN(end, transfer->moved_at + http->stall_timeout);
}

gint64 gss_transfer_deadline(GssTransfer *transfer)
{
	const gint64 *until = transfer->request.until;
	gint64 end = deadline(transfer);
	return until != NULL && *until != 0 ? MIN(end, *until) : end;
}

static bool sent_whole(const GssTransfer *transfer)
{
	const GssRequest *request = &transfer->request;
	if (!transfer->requested) /* only to a proxy, if at all */
		return false;
	if (request->has_body && request->length > 0)
		return transfer->handed >= request->length && transfer->sent >= request->length;
	long request_bytes = 0;
	return transfer->easy != NULL &&
	       curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &request_bytes) ==
	               CURLE_OK &&
	       request_bytes > 0;
}

GError *gss_transfer_late(GssTransfer *transfer)
{
	const GssHttp *http = transfer->http;
	const char *host = transfer->url.host;
	double stall = (double)http->stall_timeout / G_USEC_PER_SEC;
	bool unknown = transfer->request.modifying && sent_whole(transfer);
	if (is_answered(transfer))
		return NULL;
	if (is_unwanted(transfer))
		return g_error_new(GSS_ERROR, ETIMEDOUT, "%s: its answer is not waited for", host);
	transfer->answer.early = is_early(transfer);
	switch (phase(transfer)) {
	case CONNECTING:
		return g_error_new(GSS_ERROR, ETIMEDOUT, "%s: no connection in time", host);
	case SENDING:
		return g_error_new(GSS_ERROR, ETIMEDOUT,
		                   "%s: took no byte for %g s (%" G_GUINT64_FORMAT
		                   " of %" G_GUINT64_FORMAT " were sent)",
		                   host, stall, transfer->sent, transfer->request.length);
	case RESPONDING:
		return g_error_new(GSS_ERROR, unknown ? EINPROGRESS : ETIMEDOUT,
		                   "%s: no answer within %g s", host,
		                   (double)response_timeout(transfer) / G_USEC_PER_SEC);
	case RECEIVING:
		break;
	}
	if (g_get_monotonic_time() < transfer->moved_at + http->stall_timeout)
		return g_error_new(GSS_ERROR, ETIMEDOUT, "%s: the answer does not end", host);
	return g_error_new(GSS_ERROR, unknown ? EINPROGRESS : ETIMEDOUT,
	                   "%s: the answer stopped: no byte for %g s", host, stall);
}

static int code_errno(const GssTransfer *transfer, CURLcode code)
{
	long tunnel = 0;
	bool unknown = transfer->request.modifying && sent_whole(transfer);
	if (transfer->refused)
		return EINPROGRESS;
	/* A proxy that could not connect: nothing was sent but to itself. */
	if (curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &tunnel) == CURLE_OK &&
	    tunnel >= 300)
		return unknown ? EINPROGRESS : EHOSTUNREACH;
	switch ((int)code) { /* far more codes than can come here */
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_INTERFACE_FAILED:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_PROXY:
		return unknown ? EINPROGRESS : EHOSTUNREACH;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL: /* also: an answer that is no HTTP */
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
		return unknown ? EINPROGRESS : EPROTO;
	case CURLE_ABORTED_BY_CALLBACK:
		return ECANCELED;
	case CURLE_OPERATION_TIMEDOUT:
		return unknown ? EINPROGRESS : ETIMEDOUT;
	default:
		return unknown ? EINPROGRESS : EIO;
	}
}

GError *gss_transfer_outcome(GssTransfer *transfer, CURLcode code)
{
	if (transfer->error != NULL)
		return g_steal_pointer(&transfer->error);
	transfer->answer.early = is_early(transfer);
	if (transfer->final && !transfer->answer.early && (transfer->enough || code == CURLE_OK))
		return NULL;
	const char *host = transfer->url.host;
	if (code == CURLE_OK && transfer->final) /* “Connection: close” ends the sending as well */
		return g_error_new(GSS_ERROR, EIO,
		                   "%s: answered with status %ld when %" G_GUINT64_FORMAT
		                   " of %" G_GUINT64_FORMAT " bytes were sent",
		                   host, transfer->answer.status, transfer->sent,
		                   transfer->request.length);
	if (code == CURLE_OK)
		return g_error_new(GSS_ERROR, EPROTO, "%s: the answer has no head", host);
	int number = code_errno(transfer, code);
	const char *text = transfer->refused            ? "a kept connection was closed"
	                   : *transfer->message != '\0' ? transfer->message
	                                                : curl_easy_strerror(code);
	g_autofree char *shown = gss_quote(text, -1, NULL);
	return g_error_new(
		GSS_ERROR, number, "%s: %s%s", host,
		number == EINPROGRESS ? "the request was sent, its answer is lost: " : "", shown);
}

bool gss_transfer_follow(GssTransfer *transfer, GError **error)
{
	g_auto(GssUrl) target = {0};
	const char *host = transfer->url.host;
	if (++transfer->redirects > GSS_REDIRECTS_MAX)
		return gss_fail(error, EPROTO, "%s: more than %d redirects", host,
		                GSS_REDIRECTS_MAX);
	if (!gss_url_parse(&target, transfer->redirect, transfer->http->allow_http, EPROTO,
	                   error)) {
		g_prefix_error(error, "%s: redirected: ", host);
		return false;
	}
	if (!gss_url_same_origin(&transfer->url, &target)) {
		g_autofree char *shown = gss_quote(target.host, -1, NULL);
		return gss_fail(error, EPROTO,
		                "%s: redirects to %s://%s:%s; not followed, since the request "
		                "carries credentials",
		                host, target.scheme, shown, target.port);
	}
	gss_url_clear(&transfer->url);
	transfer->url = target;
	target = (GssUrl){0};
	g_clear_pointer(&transfer->redirect, g_free);
	curl_easy_cleanup(g_steal_pointer(&transfer->easy));
	*transfer->message = '\0';
	transfer->header_bytes = 0;
	transfer->final = transfer->enough = transfer->refused = transfer->requested = false;
	transfer->begun_at = 0;
	transfer->received = transfer->handed = transfer->sent = transfer->seen = 0;
	return true;
}

void gss_transfer_free(GssTransfer *transfer)
{
	if (transfer->easy != NULL)
		curl_easy_cleanup(transfer->easy);
	for (struct curl_slist *p = transfer->headers; p != NULL; p = p->next)
		explicit_bzero(p->data, strlen(p->data));
	curl_slist_free_all(transfer->headers);
	g_clear_object(&transfer->cancellable);
	g_clear_pointer(&transfer->answer.headers, g_hash_table_unref);
	gss_url_clear(&transfer->url);
	g_free(transfer->redirect);
	g_free(transfer->gathered);
	g_clear_error(&transfer->error);
	g_free(transfer);
}
