/* gss/http-private.h - what the engine (http.c) and a transfer (transfer.c) share. */
#pragma once

#include "gss/http.h"

typedef struct {
	GQueue waiting; /* GssTransfer */
	guint active;
	guint limit;
} GssHttpLane;

struct GssHttp {
	CURLM *multi;
	GThread *thread;
	bool allow_http;
	guint connect_timeout_ms;
	gint64 stall_timeout;    /* us */
	gint64 response_timeout; /* us */
	gint64 wary_until;       /* monotonic us: changes go on fresh connections */
	GssHttpLane lanes[GSS_LANES];
	GQueue active; /* GssTransfer, by their `link` */

	GMutex lock; /* tasks, stopping, counters; held across no callback */
	GQueue tasks;
	bool stopping;
	GssCounters counters;
};

typedef enum {
	GSS_TRANSFER_WAITING, /* in its lane's queue */
	GSS_TRANSFER_ACTIVE,  /* known to the CURLM */
} GssTransferState;

/* Owns everything that one request needs. */
struct GssTransfer {
	GssHttp *http;
	GList link; /* in lane->waiting or http->active */
	GssTransferState state;
	GssRequest request; /* its pointers to strings are not used; see below */
	GssUrl url;
	struct curl_slist *headers; /* wiped when freed */
	GCancellable *cancellable;
	CURL *easy;
	char message[CURL_ERROR_SIZE];

	GssAnswer answer;
	gsize header_bytes;
	gint64 begun_at; /* monotonic us: the first byte of the request was sent; 0: not yet */
	bool final;      /* the head of the final answer was seen */
	bool enough;
	gint64 head_at;   /* monotonic us: that head was complete */
	guint64 received; /* body bytes */
	/* libcurl hands a body over in pieces of 16 KiB, the receiver gets them joined, at the
	 * latest when libcurl has nothing more at hand. */
	char *gathered;
	gsize gathered_bytes;
	guint redirects;
	char *redirect; /* where this answer leads */

	guint64 handed;  /* body bytes given to libcurl */
	guint64 sent;    /* body bytes that libcurl wrote, as far as it told */
	guint64 seen;    /* bytes that arrived, as far as it told */
	bool requested;  /* libcurl has begun to send it */
	bool refused;    /* libcurl wanted to send again what had been handed over whole */
	gint64 moved_at; /* monotonic us: a byte moved last */
	GError *error;   /* set by a callback or a time-out */
};

/* Makes the easy handle ready. False: the URL is refused (error set). */
bool gss_transfer_prepare(GssTransfer *transfer, GError **error);
/* The moment (monotonic us) at which the transfer is dead if no byte moves before. Asked in each
 * turn of the engine: it notices here that the request began. */
gint64 gss_transfer_deadline(GssTransfer *transfer);
/* The error of a transfer that missed its deadline; NULL: there is all that is wanted of it. */
GError *gss_transfer_late(GssTransfer *transfer);
/* What became of it; NULL is success. */
GError *gss_transfer_outcome(GssTransfer *transfer, CURLcode code);
/* Forgets the answer, so that the request can be sent to transfer->redirect. EPROTO. */
bool gss_transfer_follow(GssTransfer *transfer, GError **error);
/* Hands over what of the body is still gathered; false: transfer->error is set. */
bool gss_transfer_hand_over(GssTransfer *transfer);
void gss_transfer_free(GssTransfer *transfer);
