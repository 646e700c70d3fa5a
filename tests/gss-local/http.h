/* http.h - requests: from libmicrohttpd to the rooms and back.
 *
 * Each connection has a thread of its own, so that injected latency, throttling and held requests
 * cost nobody else anything. A request passes through: begin (its head is there), body (zero or
 * more pieces), end; each may answer. Whoever answers early is done with: the rest of the body is
 * read and thrown away, unless the client waits for "100 Continue"; then the answer goes out at
 * once.
 *
 * A handler that does work calls gl_request_plan() first, which applies latency and faults.
 */
#pragma once

#include "reply.h"
#include "server.h"

typedef struct GlRequest GlRequest;

typedef struct {
	void (*begin)(GlRequest *request);                                 /* may be NULL */
	void (*body)(GlRequest *request, const char *bytes, gsize length); /* NULL: thrown away */
	void (*end)(GlRequest *request);
} GlHandler;

struct GlRequest {
	GlServer *server;
	struct MHD_Connection *connection;
	GlSettings settings; /* as they were when the request came */
	char *target;        /* as sent */
	char *method;
	char *path;  /* escaped, without the query */
	char *query; /* NULL: none */
	const GlHandler *handler;
	gconstpointer subject; /* what the route says */
	bool private;          /* control: not planned, counted or logged */
	bool begun;
	gint64 content_length; /* -1: none told */
	bool chunked;
	guint64 received;
	GlSent sent;
	GlReply reply;
	GlPlan plan;
	bool planned;
	guint64 number; /* in the log */
	gpointer state; /* the handler's */
	GDestroyNotify free_state;
};

/* Waits as latency and faults say. False: there is nothing to be done, the request is answered or
 * will be cut. `operation`: the SOAP operation or NULL. `storage`: error-rate applies. */
bool gl_request_plan(GlRequest *request, const char *operation, bool storage);

/* NULL: no such header. */
const char *gl_request_header(GlRequest *request, const char *name);
/* The host that URLs in answers shall name: what the client called us. Free it. */
char *gl_request_host(GlRequest *request);

struct MHD_Daemon;
/* Starts serving on 127.0.0.1; port 0 picks one, server->port is set. */
struct MHD_Daemon *gl_http_start(GlServer *server, guint16 port, GError **error);
/* gl_halt_stop() first. Returns when the last connection is closed. */
void gl_http_stop(struct MHD_Daemon *daemon);
