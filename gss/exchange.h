/* gss/exchange.h - one SOAP request and its answer, without regard to tokens.
 *
 * On gss-net only.
 */
#pragma once

#include "gss/http.h"
#include "gss/soap.h"
#include "gss/url.h"

/* What came of it: exactly one of the three cases. */
typedef struct {
	const char *fault;   /* the message of a SOAP fault, as it came; NULL: none */
	long denied;         /* 401 or 403, else 0 */
	const GError *error; /* anything else; NULL: an answer */
	const char *host;    /* that answered, or was asked */
} GssExchangeResult;

typedef struct {
	const char *endpoint;  /* copied */
	const char *operation; /* copied */
	GBytes *body;          /* a reference is taken */
	GssLane lane;
	bool urgent;
	bool modifying, patient; /* as in GssRequest */
	bool once;               /* whatever is not the service's own answer is EINPROGRESS */
	GCancellable *cancellable;
	GssSoapItem item; /* as gss_soap_decoder_new() */
	void (*done)(const GssExchangeResult *result, void *data);
	void *data;
} GssExchangeRequest;

typedef struct GssExchange GssExchange;

/* Never calls back before it returned; freed after `done`. */
GssExchange *gss_exchange_start(GssHttp *http, const GssExchangeRequest *request);
/* Ends it without a callback. Not from within its own callbacks. */
void gss_exchange_abort(GssExchange *exchange);

/* The errno of an answer's status that no request expects; `modifying` as in GssRequest. Of a SOAP
 * request it tells of the service, and of nothing that was asked for. */
int gss_status_errno(long status, bool modifying);
/* A short name of a status for messages, "" when it has none. */
const char *gss_status_text(long status);
