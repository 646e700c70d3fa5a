/* gss/exchange.c - see gss/exchange.h. */
#include "gss/exchange.h"

#include "gss/error-private.h"

#include <errno.h>
#include <string.h>

#define ERROR_BODY_MAX (64 * 1024) /* of an answer that is no success, what is looked at */

struct GssExchange {
	GssExchangeRequest request;
	char *host;
	GssSoapDecoder *decoder;
	GssTransfer *transfer;
	guint64 received;
	GError *malformed; /* what the decoder said of an answer that is no success */
};

int gss_status_errno(long status, bool modifying)
{
	switch (status) {
	case 400:
	case 414:
		return EINVAL;
	case 401:
	case 403:
		return EACCES;
	case 404:
	case 410:
		return ENOENT;
	case 405:
	case 501:
		return EPERM;
	case 409:
		return EEXIST;
	case 412:
		return ESTALE;
	case 413:
		return EFBIG;
	case 416:
		return ERANGE;
	case 429:
	case 502:
	case 503:
		return EAGAIN;
	case 504:
		return modifying ? EINPROGRESS : EAGAIN;
	case 507:
		return ENOSPC;
	default:
		return EIO;
	}
}

/* That there is no such service, say, does not mean that there is no such file. */
static int soap_errno(long status, bool modifying)
{
	int code = gss_status_errno(status, modifying);
	return code == EAGAIN || code == EINPROGRESS ? code : EIO;
}

const char *gss_status_text(long status)
{
	switch (status) {
	case 400:
		return " (bad request)";
	case 401:
		return " (not authenticated)";
	case 403:
		return " (forbidden)";
	case 404:
		return " (not found)";
	case 405:
		return " (method not allowed)";
	case 412:
		return " (it has changed meanwhile)";
	case 413:
		return " (too large)";
	case 429:
		return " (too many requests)";
	case 500:
		return " (internal error)";
	case 502:
		return " (bad gateway)";
	case 503:
		return " (service unavailable)";
	case 504:
		return " (gateway time-out)";
	case 507:
		return " (no space left)";
	default:
		return "";
	}
}

static void exchange_free(GssExchange *exchange)
{
	g_bytes_unref(exchange->request.body);
	g_free(exchange->host);
	gss_soap_decoder_free(exchange->decoder);
	g_clear_error(&exchange->malformed);
	g_free(exchange);
}

static gssize on_read(void *buffer, gsize size, guint64 offset, void *data, GError **error)
{
	GssExchange *exchange = data;
	gsize length;
	const char *bytes = g_bytes_get_data(exchange->request.body, &length);
	gsize count = MIN(size, length - (gsize)offset);
	memcpy(buffer, bytes + offset, count);
	return (gssize)count;
}

static GssHeadVerdict on_head(const GssAnswer *answer, void *data, GError **error)
{
	GssExchange *exchange = data;
	g_free(exchange->host);
	exchange->host = g_strdup(answer->host);
	return GSS_HEAD_BODY;
}

static bool on_body(const void *bytes, gsize length, void *data, GError **error)
{
	GssExchange *exchange = data;
	exchange->received += length;
	/* Whether an error's body is SOAP or the page of some proxy is seen when it ends. */
	if (exchange->malformed != NULL)
		return true;
	return gss_soap_decoder_feed(exchange->decoder, bytes, length, &exchange->malformed) ||
	       exchange->received <= ERROR_BODY_MAX ||
	       gss_fail(error, exchange->malformed->code, "%s: %s", exchange->host,
	                exchange->malformed->message);
}

/* A proxy says so when it lost the service, which may have got the request and work on it; not 503,
 * which says that it was not given to any. */
static bool is_lost(const GssAnswer *answer)
{
	switch (answer->status) {
	case 408:
	case 500:
	case 502:
		return true;
	default: /* a success that cannot be read, or a head that has no end */
		return answer->headers != NULL && answer->status < 300;
	}
}

static void on_done(const GssAnswer *answer, const GError *error, void *data)
{
	GssExchange *exchange = data;
	g_autoptr(GError) made = NULL;
	GssExchangeResult result = {.host = exchange->host};
	bool ok = answer->status >= 200 && answer->status < 300;

	exchange->transfer = NULL;
	if (error == NULL && exchange->malformed == NULL)
		gss_soap_decoder_finish(exchange->decoder, &exchange->malformed);
	if (error == NULL && exchange->malformed == NULL)
		result.fault = gss_soap_decoder_fault(exchange->decoder);
	if (result.fault != NULL) {
		/* told below */
	} else if (answer->status == 401 || answer->status == 403) {
		result.denied = answer->status;
	} else if (g_error_matches(error, GSS_ERROR, EPROTO)) {
		made = g_error_copy(error);
	} else if (error != NULL) {
		result.error = error;
	} else if (!ok) {
		made = g_error_new(GSS_ERROR,
		                   soap_errno(answer->status, exchange->request.modifying),
		                   "%s: status %ld%s", exchange->host, answer->status,
		                   gss_status_text(answer->status));
	} else if (exchange->malformed != NULL) {
		/* An item's own error keeps its code; its message is prefixed with the host. */
		made = g_error_copy(exchange->malformed);
		g_prefix_error(&made, "%s: ", exchange->host);
	}
	if (made != NULL && exchange->request.once && is_lost(answer)) {
		g_prefix_error(&made, "the request was sent, its answer is lost: ");
		made->code = EINPROGRESS;
	}
	if (made != NULL)
		result.error = made;
	exchange->request.done(&result, exchange->request.data);
	exchange_free(exchange);
}

GssExchange *gss_exchange_start(GssHttp *http, const GssExchangeRequest *request)
{
	static const char *const headers[] = {
		"Content-Type: text/xml; charset=utf-8",
		"SOAPAction: \"\"",
		"Accept: text/xml",
		"Accept-Encoding: identity",
		"Expect:",
		NULL,
	};
	GssExchange *exchange = g_new0(GssExchange, 1);
	exchange->request = *request;
	g_bytes_ref(request->body);
	exchange->request.endpoint = NULL;
	exchange->request.operation = NULL;
	exchange->request.cancellable = NULL;
	g_auto(GssUrl) url = {0};
	if (gss_url_parse(&url, request->endpoint, true, EINVAL, NULL))
		exchange->host = g_strdup(url.host);
	exchange->decoder = gss_soap_decoder_new(request->operation, request->item, request->data);
	exchange->transfer =
		gss_http_send(http, &(GssRequest){.method = "POST",
	                                          .url = request->endpoint,
	                                          .headers = headers,
	                                          .lane = request->lane,
	                                          .urgent = request->urgent,
	                                          .modifying = request->modifying,
	                                          .patient = request->patient,
	                                          .cancellable = request->cancellable,
	                                          .has_body = true,
	                                          .length = g_bytes_get_size(request->body),
	                                          .read = on_read,
	                                          .source_data = exchange,
	                                          .head = on_head,
	                                          .body = on_body,
	                                          .done = on_done,
	                                          .data = exchange});
	return exchange;
}

void gss_exchange_abort(GssExchange *exchange)
{
	gss_transfer_abort(exchange->transfer);
	exchange_free(exchange);
}
