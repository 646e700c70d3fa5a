#include "http.h"

#include "route.h"
#include "text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gio/gio.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#define CONNECTION_MEMORY (128 * 1024) /* the size of the pieces in which uploads arrive */
#define CONNECTIONS 4000
#define SMALL_SOCKET_BUFFER (64 * 1024) /* while throttled: else megabytes hide in the kernel */

const char *gl_request_header(GlRequest *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

char *gl_request_host(GlRequest *request)
{
	const char *host = gl_request_header(request, "Host");

	for (const char *c = host; c != NULL && *c != '\0'; c++)
		if (!g_ascii_isalnum(*c) && strchr(".-:[]", *c) == NULL)
			host = NULL;
	if (host != NULL && *host != '\0')
		return g_strdup(host);
	return g_strdup_printf("127.0.0.1:%u", request->server->port);
}

static void *request_new(void *data, const char *target, struct MHD_Connection *connection)
{
	GlRequest *request = g_new0(GlRequest, 1);
	const char *mark = strchr(target, '?');

	request->server = data;
	request->connection = connection;
	request->target = g_strdup(target);
	request->path = mark != NULL ? g_strndup(target, (gsize)(mark - target)) : g_strdup(target);
	request->query = mark != NULL ? g_strdup(mark + 1) : NULL;
	gl_reply_init(&request->reply);
	return request;
}

static void request_free(GlRequest *request)
{
	if (request->free_state != NULL)
		request->free_state(request->state);
	gl_plan_clear(&request->plan);
	gl_reply_clear(&request->reply);
	g_free(request->target);
	g_free(request->method);
	g_free(request->path);
	g_free(request->query);
	g_free(request);
}

static void log_request(GlRequest *request)
{
	/* The token itself is a secret; that there was one is of interest. */
	static const char *const shown[] = {"Content-Length", "Content-Type", "Transfer-Encoding",
	                                    "Range",          "If-Match",     "If-Unmodified-Since",
	                                    "If-Range",       "Expect",       "User-Agent"};
	g_autoptr(GString) headers = g_string_new(NULL);

	g_string_append_printf(headers, "\"token\":%s",
	                       gl_request_header(request, "X-Auth-Token") ? "true" : "false");
	for (gsize i = 0; i < G_N_ELEMENTS(shown); i++) {
		const char *value = gl_request_header(request, shown[i]);
		if (value == NULL)
			continue;
		g_autofree char *valid = g_utf8_make_valid(value, -1);
		g_string_append_printf(headers, ",\"%s\":", shown[i]);
		gl_text_append_json(headers, valid);
	}
	request->number = gl_stats_log_begin(request->server->stats, request->method,
	                                     request->target, headers->str);
	gl_stats_count(request->server->stats, "requests", 1);
	gl_stats_count(request->server->stats, "requests.now", 1);
}

static void throttle_socket(GlRequest *request)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	int size = SMALL_SOCKET_BUFFER;

	if (info == NULL ||
	    setsockopt(info->connect_fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) != 0 ||
	    setsockopt(info->connect_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) != 0)
		g_debug("cannot shrink the buffers of a throttled connection");
}

static void begin(GlRequest *request, const char *method)
{
	const char *length = NULL;
	guint64 value;

	request->begun = true;
	request->method = g_strdup(method);
	request->content_length = -1;
	gl_settings_get(request->server->settings, &request->settings);
	request->chunked = gl_request_header(request, "Transfer-Encoding") != NULL;
	length = gl_request_header(request, "Content-Length");
	if (length != NULL && g_ascii_string_to_unsigned(length, 10, 0, G_MAXINT64, &value, NULL))
		request->content_length = (gint64)value;
	gl_route_find(request);
	if (!request->private)
		log_request(request);
	if (request->settings.bandwidth > 0)
		throttle_socket(request);
	if (request->handler == NULL) {
		gl_reply_text(&request->reply, 404, "text/plain", "nothing is served here\n");
		return;
	}
	if (request->handler->begin != NULL)
		request->handler->begin(request);
}

/* False: the server ended meanwhile. */
static bool hold_here(GlRequest *request, GlWhen when)
{
	if (request->plan.hold != when)
		return true;
	request->plan.hold = GL_NEVER;
	guint64 ticket = gl_halt_ticket(request->server->halt);
	gl_stats_count(request->server->stats, "held", 1);
	return gl_halt_hold(request->server->halt, ticket, request->plan.epoch);
}

bool gl_request_plan(GlRequest *request, const char *operation, bool storage)
{
	GlServer *server = request->server;
	GlPlan *plan = &request->plan;

	if (request->private)
		return true;
	request->planned = true;
	if (gl_faults_plan(server->faults, &request->settings, request->method, request->path,
	                   operation, storage, plan))
		gl_stats_count(server->stats, "faults", 1);
	else if (plan->cut != GL_NEVER)
		gl_stats_count(server->stats, "chance.cuts", 1);
	else if (plan->status != 0)
		gl_stats_count(server->stats, "chance.errors", 1);

	if (!hold_here(request, GL_BEFORE))
		plan->cut = GL_BEFORE;
	if (request->settings.latency + plan->delay > 0 &&
	    !gl_halt_sleep(server->halt, request->settings.latency + plan->delay))
		plan->cut = GL_BEFORE;
	if (plan->cut == GL_BEFORE)
		return false;
	if ((plan->status != 0 || plan->body != NULL) && !plan->process) {
		/* The real text of it is put in at the end. */
		gl_reply_empty(&request->reply, plan->status != 0 ? plan->status : 200);
		return false;
	}
	return true;
}

/* Puts the canned answer in the place of the real one. */
static void replace_reply(GlRequest *request)
{
	GlPlan *plan = &request->plan;
	guint status = plan->status != 0 ? plan->status : request->reply.status;

	gl_reply_clear(&request->reply);
	gl_reply_init(&request->reply);
	for (guint i = 0; plan->headers != NULL && plan->headers[i] != NULL; i++) {
		g_auto(GStrv) parts = g_strsplit(plan->headers[i], ":", 2);
		if (g_strv_length(parts) == 2)
			gl_reply_header(&request->reply, g_strstrip(parts[0]),
			                g_strstrip(parts[1]));
	}
	if (plan->body != NULL)
		gl_reply_bytes(&request->reply, status, plan->type, plan->body);
	else
		gl_reply_empty(&request->reply, status);
}

static enum MHD_Result answer(GlRequest *request)
{
	GlPlan *plan = &request->plan;
	GlManner manner = {.halt = request->server->halt,
	                   .stats = request->private ? NULL : request->server->stats,
	                   .bandwidth = request->private ? 0 : request->settings.bandwidth,
	                   .cut = plan->cut == GL_DURING,
	                   .hold = plan->hold == GL_DURING,
	                   .epoch = plan->epoch};

	if (plan->status != 0 || plan->body != NULL || plan->headers != NULL)
		replace_reply(request);
	if (plan->cut == GL_AFTER)
		return MHD_NO;
	return gl_reply_queue(&request->reply, request->connection, &manner, &request->sent);
}

static bool is_middle_of_upload(const GlRequest *request)
{
	return request->planned && request->content_length > 0 &&
	       request->received >= (guint64)request->content_length / 2;
}

/* All of it is taken at once, though slowly: what one leaves to libmicrohttpd it offers again only
 * when more has come from the network. */
static enum MHD_Result take_body(GlRequest *request, const char *bytes, size_t *length)
{
	guint bandwidth = request->private ? 0 : request->settings.bandwidth;

	while (*length > 0) {
		/* Ten pieces a second, that the rate is smooth. */
		gsize piece = bandwidth > 0 ? MIN(*length, MAX(bandwidth / 10, 1)) : *length;

		request->received += piece;
		if (!request->private)
			gl_stats_count(request->server->stats, "bytes.received", (gint64)piece);
		if (is_middle_of_upload(request) && request->plan.cut == GL_DURING)
			return MHD_NO;
		if (is_middle_of_upload(request) && !hold_here(request, GL_DURING))
			return MHD_NO;
		if (request->reply.status == 0 && request->handler->body != NULL)
			request->handler->body(request, bytes, piece);
		if (!gl_halt_sleep(request->server->halt, gl_reply_pause(piece, bandwidth)))
			return MHD_NO;
		bytes += piece;
		*length -= piece;
	}
	return MHD_YES;
}

static enum MHD_Result access_handler(void *data, struct MHD_Connection *connection,
                                      const char *url, const char *method, const char *version,
                                      const char *upload, size_t *upload_size, void **context)
{
	GlRequest *request = *context;

	if (!request->begun) {
		begin(request, method);
		if (request->plan.cut == GL_BEFORE)
			return MHD_NO;
		/* A client that waits for "100 Continue" is told now, before it sends anything. */
		if (request->reply.status != 0 && gl_request_header(request, "Expect") != NULL)
			return answer(request);
		return MHD_YES;
	}
	if (*upload_size > 0)
		return take_body(request, upload, upload_size);

	if (request->reply.status == 0)
		request->handler->end(request);
	if (request->plan.cut == GL_BEFORE)
		return MHD_NO;
	if (request->reply.status == 0)
		gl_reply_empty(&request->reply, 500);
	if (request->received > 0 && !request->private &&
	    !gl_halt_sleep(request->server->halt, request->settings.response_delay))
		return MHD_NO;
	if (!hold_here(request, GL_AFTER))
		return MHD_NO;
	return answer(request);
}

static void completed(void *data, struct MHD_Connection *connection, void **context,
                      enum MHD_RequestTerminationCode code)
{
	GlRequest *request = *context;

	if (request == NULL)
		return;
	*context = NULL;
	if (request->begun && !request->private) {
		GlStats *stats = request->server->stats;
		bool whole = code == MHD_REQUEST_TERMINATED_COMPLETED_OK;

		gl_stats_log_end(stats, request->number, whole ? request->reply.status : 0,
		                 request->received, whole ? request->sent.all : 0);
		gl_stats_count(stats, "bytes.sent",
		               whole ? (gint64)(request->sent.all - request->sent.counted) : 0);
		if (!whole)
			gl_stats_count(stats, "broken", 1);
		gl_stats_count(stats, "requests.now", -1);
	}
	request_free(request);
}

static void connection_changed(void *data, struct MHD_Connection *connection, void **context,
                               enum MHD_ConnectionNotificationCode code)
{
	GlServer *server = data;

	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		gl_stats_count(server->stats, "connections", 1);
	gl_stats_count(server->stats, "connections.now",
	               code == MHD_CONNECTION_NOTIFY_STARTED ? 1 : -1);
}

/* The path is unescaped by place.c, segment by segment, not by libmicrohttpd. */
static size_t leave_escaped(void *data, struct MHD_Connection *connection, char *text)
{
	return strlen(text);
}

struct MHD_Daemon *gl_http_start(GlServer *server, guint16 port, GError **error)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_port = htons(port),
	                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	struct MHD_Daemon *daemon = MHD_start_daemon(
		MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
			MHD_USE_ITC,
		port, NULL, NULL, access_handler, server, MHD_OPTION_SOCK_ADDR, &address,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned int)CONNECTIONS,
		MHD_OPTION_LISTEN_BACKLOG_SIZE, (unsigned int)1024, MHD_OPTION_URI_LOG_CALLBACK,
		request_new, server, MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL,
		MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_NOTIFY_CONNECTION,
		connection_changed, server, MHD_OPTION_END);
	if (daemon == NULL) {
		g_set_error(error, G_FILE_ERROR, errno, "cannot listen on 127.0.0.1:%u: %s", port,
		            g_strerror(errno));
		return NULL;
	}
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
	server->port = info != NULL ? info->port : port;
	return daemon;
}

void gl_http_stop(struct MHD_Daemon *daemon)
{
	MHD_stop_daemon(daemon);
}
