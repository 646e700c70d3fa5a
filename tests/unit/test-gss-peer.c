/* test-gss-peer.c - see test-gss-peer.h. */
#include "test-gss-peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
	Peer *peer;
	int fd;
} Connection;

bool peer_write_bytes(int fd, const void *bytes, gsize length)
{
	const char *rest = bytes;
	while (length > 0) {
		ssize_t sent = send(fd, rest, length, MSG_NOSIGNAL);
		if (sent <= 0)
			return false;
		rest += sent;
		length -= (gsize)sent;
	}
	return true;
}

bool peer_write(int fd, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	g_autofree char *text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	return peer_write_bytes(fd, text, strlen(text));
}

bool peer_read_body(PeerRequest *request, int fd, gsize most)
{
	gsize wanted = MIN(most, request->length);
	char buffer[65536];
	while (request->body->len < wanted) {
		ssize_t got = recv(fd, buffer, MIN(sizeof(buffer), wanted - request->body->len), 0);
		if (got <= 0)
			return false;
		g_string_append_len(request->body, buffer, got);
	}
	return true;
}

bool peer_answer(PeerRequest *request, int fd, const char *status, const char *headers,
                 const char *body)
{
	if (!peer_read_body(request, fd, G_MAXSIZE))
		return false;
	bool head = strcmp(request->method, "HEAD") == 0;
	return peer_write(fd, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status, headers,
	                  strlen(body), head ? "" : body);
}

void peer_reset(int fd)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 0};
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

void peer_wait_closed(int fd)
{
	char byte;
	while (recv(fd, &byte, 1, 0) > 0)
		continue;
}

bool peer_authorized(Peer *peer, const PeerRequest *request)
{
	g_autofree char *line =
		g_strdup_printf("x-auth-token: token-%d\r\n", g_atomic_int_get(&peer->token));
	return strstr(request->head, line) != NULL;
}

static bool soap_answer(PeerRequest *request, int fd, const char *status, const char *operation,
                        const char *inner)
{
	g_autofree char *body =
		g_strdup_printf("<?xml version=\"1.0\"?><S:Envelope xmlns:S=\"http://schemas."
	                        "xmlsoap.org/soap/envelope/\"><S:Body>%s%s%s%s%s%s%s</S:Body>"
	                        "</S:Envelope>",
	                        operation != NULL ? "<n:" : "", operation != NULL ? operation : "",
	                        operation != NULL ? "Response xmlns:n=\"u\">" : "", inner,
	                        operation != NULL ? "</n:" : "", operation != NULL ? operation : "",
	                        operation != NULL ? "Response>" : "");
	return peer_answer(request, fd, status, "Content-Type: text/xml\r\n", body);
}

static bool fault(PeerRequest *request, int fd, const char *message)
{
	g_autofree char *inner = g_strdup_printf(
		"<S:Fault><faultstring>server</faultstring><detail><IOException><message>%s"
		"</message></IOException></detail></S:Fault>",
		message);
	return soap_answer(request, fd, "500 Internal Server Error", NULL, inner);
}

static char *description(Peer *peer, const char *name, const char *method)
{
	return g_strdup_printf("<%s><headers><key>X-Auth-Token</key><value>token-%d</value>"
	                       "</headers><httpMethod>%s</httpMethod><supported>true</supported>"
	                       "<url>http://127.0.0.1:%d/file</url></%s>",
	                       name, g_atomic_int_get(&peer->token), method, peer->port, name);
}

static bool resolve(Peer *peer, PeerRequest *request, int fd)
{
	g_autofree char *create = description(peer, "createDescription", "POST");
	g_autofree char *remove = description(peer, "deleteDescription", "DELETE");
	g_autofree char *meta = description(peer, "metaReadDescription", "HEAD");
	g_autofree char *read = description(peer, "readDescription", "GET");
	g_autofree char *update = description(peer, "updateDescription", "PUT");
	g_autofree char *inner = g_strdup_printf(
		"<return>%s%s%s<queryForName>%s</queryForName>%s<type>%s</type>"
		"<uniqueName>%s</uniqueName>%s<visualName>file</visualName></return>",
		create, remove, meta, peer->query_for_name ? "true" : "false", read, peer->type,
		peer->query_for_name ? "x://true-name" : "x://file", update);
	g_atomic_int_inc(&peer->resolutions);
	return soap_answer(request, fd, "200 OK", "getResourceInformation", inner);
}

static bool small_gss(Peer *peer, PeerRequest *request, int fd)
{
	if (!peer_read_body(request, fd, G_MAXSIZE))
		return false;
	g_autofree char *token = g_strdup_printf(">token-%d<", g_atomic_int_get(&peer->token));
	bool valid = strstr(request->body->str, token) != NULL;
	if (strstr(request->body->str, "getSessionToken") != NULL) {
		g_atomic_int_inc(&peer->logins);
		g_atomic_int_inc(&peer->token);
		g_autofree char *inner = g_strdup_printf("<return>token-%d</return>",
		                                         g_atomic_int_get(&peer->token));
		return soap_answer(request, fd, "200 OK", "getSessionToken", inner);
	}
	if (strstr(request->body->str, "validateSessionToken") != NULL) {
		g_atomic_int_inc(&peer->validations);
		return soap_answer(request, fd, "200 OK", "validateSessionToken",
		                   valid ? "<return>true</return>" : "<return>false</return>");
	}
	if (!valid)
		return fault(request, fd, "Session is not valid");
	if (strstr(request->body->str, "getResourceInformation") != NULL)
		return resolve(peer, request, fd);
	return fault(request, fd, "no such operation");
}

static void request_clear(PeerRequest *request)
{
	g_free(request->method);
	g_free(request->path);
	g_free(request->head);
	if (request->body != NULL)
		g_string_free(request->body, TRUE);
}

/* Reads a head; what follows it goes into the body. False: the connection ended. */
static bool read_head(PeerRequest *request, int fd)
{
	g_autoptr(GString) text = g_string_new(NULL);
	char byte;
	while (!g_str_has_suffix(text->str, "\r\n\r\n")) {
		if (text->len > 100000 || recv(fd, &byte, 1, 0) <= 0)
			return false;
		g_string_append_c(text, byte);
	}
	g_auto(GStrv) words = g_strsplit(text->str, " ", 3);
	if (g_strv_length(words) < 3)
		return false;
	request->method = g_strdup(words[0]);
	request->path = g_strdup(words[1]);
	request->head = g_ascii_strdown(text->str, -1);
	request->body = g_string_new(NULL);
	const char *length = strstr(request->head, "\r\ncontent-length: ");
	request->length = length != NULL ? strtoull(length + 18, NULL, 10) : 0;
	return true;
}

static bool serve(Peer *peer, int fd, bool reused)
{
	PeerRequest request = {.reused = reused};
	bool staying = read_head(&request, fd);
	if (staying && g_str_has_prefix(request.path, "/file")) {
		request.number = (guint)g_atomic_int_add(&peer->files, 1) + 1;
		staying = peer->file(peer, &request, fd);
	} else if (staying) {
		staying = (peer->soap != NULL ? peer->soap : small_gss)(peer, &request, fd);
	}
	request_clear(&request);
	return staying;
}

static void *worker(void *data)
{
	Connection *connection = data;
	Peer *peer = connection->peer;
	int fd = connection->fd;
	for (bool reused = false; serve(peer, fd, reused); reused = true)
		continue;
	g_mutex_lock(&peer->lock);
	for (guint i = 0; i < peer->sockets->len; i++) {
		if (g_array_index(peer->sockets, int, i) == fd) {
			g_array_remove_index_fast(peer->sockets, i);
			break;
		}
	}
	close(fd);
	g_mutex_unlock(&peer->lock);
	g_free(connection);
	return NULL;
}

static void *listener(void *data)
{
	Peer *peer = data;
	int fd;
	while ((fd = accept(peer->listener, NULL, NULL)) >= 0) {
		Connection *connection = g_new(Connection, 1);
		*connection = (Connection){.peer = peer, .fd = fd};
		g_mutex_lock(&peer->lock);
		g_atomic_int_inc(&peer->connections);
		g_array_append_val(peer->sockets, fd);
		if (peer->closing)
			shutdown(fd, SHUT_RDWR);
		g_ptr_array_add(peer->workers, g_thread_new("peer", worker, connection));
		g_mutex_unlock(&peer->lock);
	}
	return NULL;
}

Peer *peer_new(PeerHandler file)
{
	Peer *peer = g_new0(Peer, 1);
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	peer->file = file;
	peer->type = "FILE";
	peer->workers = g_ptr_array_new();
	peer->sockets = g_array_new(FALSE, FALSE, sizeof(int));
	g_mutex_init(&peer->lock);
	peer->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(peer->listener, >=, 0);
	g_assert_cmpint(bind(peer->listener, (struct sockaddr *)&address, size), ==, 0);
	g_assert_cmpint(listen(peer->listener, 64), ==, 0);
	g_assert_cmpint(getsockname(peer->listener, (struct sockaddr *)&address, &size), ==, 0);
	peer->port = ntohs(address.sin_port);
	peer->thread = g_thread_new("listener", listener, peer);
	return peer;
}

void peer_free(Peer *peer)
{
	g_mutex_lock(&peer->lock);
	peer->closing = true;
	for (guint i = 0; i < peer->sockets->len; i++)
		shutdown(g_array_index(peer->sockets, int, i), SHUT_RDWR);
	g_mutex_unlock(&peer->lock);
	shutdown(peer->listener, SHUT_RDWR);
	g_thread_join(peer->thread);
	for (guint i = 0; i < peer->workers->len; i++)
		g_thread_join(peer->workers->pdata[i]);
	close(peer->listener);
	g_ptr_array_unref(peer->workers);
	g_array_unref(peer->sockets);
	g_mutex_clear(&peer->lock);
	g_free(peer);
}
