/* gss/rpc.h - a step of a call: a SOAP call with the session token.
 *
 * Gets a token where there is none. A fault, or 401/403, is followed by validateSessionToken: when
 * the token is dead it is renewed and the call made once more (but see `once`); when it lives the
 * fault is real. On gss-net only.
 */
#pragma once

#include "gss/call.h"
#include "gss/exchange.h"

#define GSS_RPC_PARAMETERS_MAX 4

/* Copied, but for the strings, which live as long as the call. */
typedef struct {
	const char *endpoint;
	const char *ns;
	const char *operation;
	GssSoapParameter parameters[GSS_RPC_PARAMETERS_MAX]; /* value NULL: the token */
	guint n_parameters;
	const char *subject; /* what the call is about, for messages; may be NULL */
	GssLane lane;
	bool modifying, patient; /* as in GssRequest */
	/* Not even a dead token makes it be sent again: EKEYEXPIRED. And only the service's own
	 * answer counts, all others are EINPROGRESS. */
	bool once;
	/* May be NULL. `generation` is that of the token the call was made with. */
	bool (*item)(const GssXmlNode *item, guint generation, void *data, GError **error);
	/* The errno of a fault's message, NULL: gss_rpc_fault_errno(). */
	int (*fault_errno)(const char *message, const char *subject);
	/* Always called, unless the call is cancelled; the step is over by then. */
	void (*done)(const GError *error, void *data);
	void (*abandon)(void *data); /* instead of `done` when the call is cancelled; may be NULL */
	void *data;
} GssRpcSpec;

void gss_rpc_start(GssCall *call, const GssRpcSpec *spec);

/* What the words of a fault mean: there are no error codes. Words that belong to `subject` (what
 * the call was about, may be NULL) don't count. EIO when they say nothing known. */
int gss_rpc_fault_errno(const char *message, const char *subject);
