/* gss/http.h - the HTTP engine: one thread, `gss-net`, that owns one CURLM and all transfers.
 *
 * Lanes: each has its own queue and limit of transfers under way, so that a large body never delays
 * a small request, an upload no reader, and a registration that the platform works on for minutes
 * none of them. A few large uploads fill a line as well as many do; but for the first byte of each
 * download somebody waits, so that many of them go on side by side, however slow some are.
 *
 * Rules that hold for every transfer: TLS verified, http and https only, HTTP/1.1, no cookies, no
 * decoding of contents, no proxy to loopback. A redirect is followed only within the same scheme,
 * host and port, at most GSS_REDIRECTS_MAX times, since requests carry credentials.
 *
 * Nothing is sent twice: a request that changes something (`modifying`) is repeated by neither
 * libcurl nor this module once its last byte (without a body: its head) was handed to libcurl. That
 * outcome is EINPROGRESS.
 *
 * Time-outs: connecting; no byte moved while a body does; and from the last byte of the request to
 * the first of the answer, longer where that may be work (`modifying`, `patient`). A small question
 * that is none of these is over by that longer time; there is no other limit of the total time.
 *
 * Threads: gss_http_new(), gss_http_free(), gss_http_invoke() and gss_http_counters() from any
 * other thread (invoke also from gss-net); the rest on gss-net, where all callbacks run as well.
 */
#pragma once

#include "gss/client.h"
#include "gss/url.h"

#include <curl/curl.h>

#define GSS_REDIRECTS_MAX 5
#define GSS_HEADERS_MAX 128              /* of an answer */
#define GSS_HEADER_BYTES_MAX (64 * 1024) /* of an answer, all together */
#define GSS_DRAIN_MAX \
	(64 * 1024) /* an unwanted rest of a body up to this is read, to keep the connection */
#define GSS_DRAIN_TIME G_USEC_PER_SEC /* for that long at most */

typedef enum {
	GSS_LANE_SMALL,
	GSS_LANE_UPLOAD,   /* of large bodies; small ones are small requests */
	GSS_LANE_DOWNLOAD, /* contents, of any size */
	GSS_LANE_LONG,     /* small requests that the service works on for long */
	GSS_LANE_IMAGES,   /* registrations, on which it works for minutes */
	GSS_LANES,
} GssLane;

typedef struct GssHttp GssHttp;
typedef struct GssTransfer GssTransfer;

/* The head of an answer; belongs to the transfer. */
typedef struct {
	long status;         /* 0: there is no answer */
	bool early;          /* a success, said before the request was sent whole */
	gint64 length;       /* Content-Length, -1 unknown */
	const char *host;    /* that gave it, for messages */
	GHashTable *headers; /* lower-case name → value; the first of several */
} GssAnswer;
/* `name` in lower case. NULL when the answer has none. */
const char *gss_answer_header(const GssAnswer *answer, const char *name);

typedef enum {
	GSS_HEAD_BODY,   /* go on */
	GSS_HEAD_ENOUGH, /* the body is not wanted; the transfer succeeds */
	GSS_HEAD_FAIL,   /* error is set */
} GssHeadVerdict;

/* A request; copied, but for what is said to be taken or to stay. */
typedef struct {
	const char *method; /* GET HEAD POST PUT DELETE; static */
	const char *url;
	const GssUrl *parsed;       /* instead of `url`, by who has it already */
	const char *const *headers; /* "Key: value", NULL-terminated; may be NULL */
	GssLane lane;
	bool large;                /* its body: it gets larger buffers */
	bool urgent;               /* passes the queue of its lane */
	bool modifying;            /* changes something: see above */
	bool patient;              /* a question whose answer may take long to begin */
	const gint64 *until;       /* monotonic us, 0: none; then it is over; stays; or NULL */
	GCancellable *cancellable; /* once cancelled no callback but `done` is called */

	bool has_body;
	guint64 length; /* of the body, bytes */
	/* As GssSource.read; it may be called again from offset 0 while not all was handed over. */
	gssize (*read)(void *buffer, gsize size, guint64 offset, void *data, GError **error);
	void (*progress)(guint64 sent, void *data); /* may be NULL */
	void *source_data;

	/* May be NULL. Called once, with the head of the final answer. */
	GssHeadVerdict (*head)(const GssAnswer *answer, void *data, GError **error);
	/* May be NULL: the body is dropped. */
	bool (*body)(const void *bytes, gsize length, void *data, GError **error);
	/* The end; exactly once unless the transfer is aborted. `answer` may have a status although
	 * there is an error (a cut body). The transfer is freed afterwards. */
	void (*done)(const GssAnswer *answer, const GError *error, void *data);
	void *data;
} GssRequest;

/* Takes connection limits and time-outs from `options`. */
GssHttp *gss_http_new(const GssClientOptions *options, GError **error);
/* Runs what was invoked so far, then ends the thread. No transfer may be left. */
void gss_http_free(GssHttp *http);

typedef void (*GssTask)(void *data);
/* Runs `task` on gss-net, in the order of the calls. */
void gss_http_invoke(GssHttp *http, GssTask task, void *data);

void gss_http_counters(GssHttp *http, GssCounters *ret);

/* Queues a request. Never calls back before it returned. */
GssTransfer *gss_http_send(GssHttp *http, const GssRequest *request);
/* Ends a transfer without any further callback, and frees it. Not from within its own callbacks. */
void gss_transfer_abort(GssTransfer *transfer);
