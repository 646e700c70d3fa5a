/* gss/rpc.c - see gss/rpc.h. */
#include "gss/rpc.h"

#include "gss/client-private.h"
#include "gss/error-private.h"

#include <errno.h>
#include <string.h>

typedef struct {
	GssCall *call;
	GssRpcSpec spec;
	guint generation; /* of the token it was made with last */
	gint64 started;   /* monotonic us */
	bool retried;
	GssExchange *exchange;
	GssWait *wait;
	char *fault; /* quoted; while the token is validated */
	char *host;
	int fault_errno;
} Rpc;

static bool mentions(const char *text, const char *const *words)
{
	for (; *words != NULL; words++) {
		if (strstr(text, *words) != NULL)
			return true;
	}
	return false;
}

int gss_rpc_fault_errno(const char *message, const char *subject)
{
	static const char *const denied[] = {
		"permission",     "not allowed",  "denied",       "forbidden",
		"not authorized", "unauthorized", "unauthorised", NULL};
	static const char *const missing[] = {"not found", "not exist", "n't exist", "no such",
	                                      "nonexist",  "non-exist", NULL};
	static const char *const exists[] = {"exist", NULL};
	static const char *const illegal[] = {"illegal", "invalid name", "invalid path",
	                                      "malformed", NULL};
	g_autoptr(GString) words = g_string_new(message);
	if (subject != NULL && *subject != '\0') {
		g_autofree char *base = g_path_get_basename(subject);
		g_string_replace(words, subject, " ", 0);
		if (strlen(base) > 1)
			g_string_replace(words, base, " ", 0);
	}
	g_autofree char *lower = g_ascii_strdown(words->str, -1);
	if (mentions(lower, denied))
		return EACCES;
	if (mentions(lower, missing))
		return ENOENT;
	if (mentions(lower, exists))
		return EEXIST;
	if (mentions(lower, illegal))
		return EINVAL;
	return EIO;
}

static void rpc_free(Rpc *rpc)
{
	g_free(rpc->fault);
	g_free(rpc->host);
	g_free(rpc);
}

static void abandon(void *step)
{
	Rpc *rpc = step;
	if (rpc->exchange != NULL)
		gss_exchange_abort(rpc->exchange);
	if (rpc->wait != NULL)
		gss_session_cancel(rpc->call->client->session, rpc->wait);
	if (rpc->spec.abandon != NULL)
		rpc->spec.abandon(rpc->spec.data);
	rpc_free(rpc);
}

/* Takes `error`; says what was asked for. */
static void finish(Rpc *rpc, GError *error)
{
	GssRpcSpec spec = rpc->spec;
	if (error != NULL && spec.subject != NULL) {
		g_autofree char *shown = gss_quote(spec.subject, -1, NULL);
		g_prefix_error(&error, "%s: %s: ", shown, spec.operation);
	} else {
		g_prefix_error(&error, "%s: ", spec.operation);
	}
	gss_call_set_step(rpc->call, NULL, NULL);
	rpc_free(rpc);
	spec.done(error, spec.data);
	g_clear_error(&error);
}

/* --- the words of a fault say that something is missing --- */

/* A file, or the host behind the service? */
typedef struct {
	GssCall *call;
	GssRpcSpec spec; /* what failed */
	GError *error;
	bool told, there;
} Doubt;

static void doubt_free(Doubt *doubt)
{
	g_error_free(doubt->error);
	g_free(doubt);
}

static bool on_contains(const GssXmlNode *item, guint generation, void *data, GError **error)
{
	Doubt *doubt = data;
	doubt->told = true;
	return gss_xml_boolean(gss_xml_text(item), "the answer", &doubt->there, error);
}

static void on_contained(const GError *error, void *data)
{
	Doubt *doubt = data;
	if (error != NULL || !doubt->told || doubt->there)
		doubt->error->code = EIO;
	doubt->spec.done(doubt->error, doubt->spec.data);
	doubt_free(doubt);
}

static void abandon_doubt(void *data)
{
	Doubt *doubt = data;
	if (doubt->spec.abandon != NULL)
		doubt->spec.abandon(doubt->spec.data);
	doubt_free(doubt);
}

static bool is_doubtful(const Rpc *rpc)
{
	const GssRpcSpec *spec = &rpc->spec;
	return rpc->fault_errno == ENOENT && spec->fault_errno == NULL && spec->subject != NULL &&
	       spec->item != on_contains;
}

/* Asks plainly. */
static void settle_doubt(const GError *error, void *data)
{
	Doubt *doubt = data;
	doubt->error = g_error_copy(error);
	gss_rpc_start(doubt->call,
	              &(GssRpcSpec){
			      .endpoint = doubt->spec.endpoint,
			      .ns = doubt->spec.ns,
			      .operation = "containsFile",
			      .parameters = {{.name = "fileID", .value = doubt->spec.subject},
	                                     {.name = "session_id"}},
			      .n_parameters = 2,
			      .subject = doubt->spec.subject,
			      .item = on_contains,
			      .done = on_contained,
			      .abandon = abandon_doubt,
			      .data = doubt,
		      });
}

/* Instead of who waits for it. */
static void doubt(Rpc *rpc)
{
	Doubt *doubt = g_new0(Doubt, 1);
	doubt->call = rpc->call;
	doubt->spec = rpc->spec;
	rpc->spec.done = settle_doubt;
	rpc->spec.data = doubt;
}

static void get_token(Rpc *rpc, guint after);

static bool on_item(const GssXmlNode *item, void *data, GError **error)
{
	Rpc *rpc = data;
	return rpc->spec.item(item, rpc->generation, rpc->spec.data, error);
}

static void on_validated(bool valid, const GError *error, void *data)
{
	Rpc *rpc = data;
	rpc->wait = NULL;
	if (rpc->spec.once && !valid) {
		/* It may have died while the service was at work. */
		finish(rpc, g_error_new(GSS_ERROR, EKEYEXPIRED,
		                        "%s: %s; the session token is not valid any more",
		                        rpc->host, error != NULL ? error->message : rpc->fault));
	} else if (error != NULL) {
		finish(rpc, g_error_copy(error));
	} else if (!valid && !rpc->retried) {
		rpc->retried = true;
		get_token(rpc, rpc->generation);
	} else if (!valid) {
		finish(rpc,
		       g_error_new(GSS_ERROR, EACCES,
		                   "%s: the new session token was refused as well", rpc->host));
	} else {
		if (is_doubtful(rpc))
			doubt(rpc);
		finish(rpc, g_error_new(GSS_ERROR, rpc->fault_errno, "%s: %s", rpc->host,
		                        *rpc->fault != '\0' ? rpc->fault : "unexplained fault"));
	}
}

/* Storages and the Images service are not the platform: what they say is no news of it, and the
 * other way round. */
static void note_reach(const Rpc *rpc, const GssExchangeResult *result)
{
	GssClient *client = rpc->call->client;
	const char *endpoint = rpc->spec.endpoint;
	if (endpoint == client->gss_endpoint || endpoint == client->auth_endpoint)
		gss_session_note_reach(client, result->error);
}

static void on_done(const GssExchangeResult *result, void *data)
{
	Rpc *rpc = data;
	GssSession *session = rpc->call->client->session;
	rpc->exchange = NULL;
	note_reach(rpc, result);
	if (result->fault == NULL && result->denied == 0) {
		finish(rpc, result->error != NULL ? g_error_copy(result->error) : NULL);
		return;
	}
	guint now = 0;
	const char *secrets[] = {gss_session_token(session, &now), NULL};
	g_free(rpc->fault);
	g_free(rpc->host);
	rpc->host = g_strdup(result->host);
	if (result->fault != NULL) {
		rpc->fault = gss_quote(result->fault, -1, secrets);
		int (*meaning)(const char *, const char *) =
			rpc->spec.fault_errno != NULL ? rpc->spec.fault_errno : gss_rpc_fault_errno;
		rpc->fault_errno = meaning(result->fault, rpc->spec.subject);
	} else {
		rpc->fault = g_strdup_printf("status %ld%s", result->denied,
		                             gss_status_text(result->denied));
		rpc->fault_errno = EACCES;
	}
	GssWait *wait =
		gss_session_validate(session, rpc->generation, rpc->started, on_validated, rpc);
	if (wait != NULL)
		rpc->wait = wait;
}

static void on_token(const GError *error, void *data)
{
	Rpc *rpc = data;
	const GssRpcSpec *spec = &rpc->spec;
	GssClient *client = rpc->call->client;
	g_autoptr(GError) problem = NULL;
	rpc->wait = NULL;
	if (error != NULL) {
		finish(rpc, g_error_copy(error));
		return;
	}
	const char *token = gss_session_token(client->session, &rpc->generation);
	g_autoptr(GBytes) body = gss_soap_encode(spec->ns, spec->operation, spec->parameters,
	                                         spec->n_parameters, token, &problem);
	if (body == NULL) {
		finish(rpc, g_steal_pointer(&problem));
		return;
	}
	rpc->started = g_get_monotonic_time();
	rpc->exchange = gss_exchange_start(client->http,
	                                   &(GssExchangeRequest){
						   .endpoint = spec->endpoint,
						   .operation = spec->operation,
						   .body = body,
						   .lane = spec->lane,
						   .modifying = spec->modifying,
						   .patient = spec->patient,
						   .once = spec->once,
						   .cancellable = rpc->call->cancellable,
						   .item = spec->item != NULL ? on_item : NULL,
						   .done = on_done,
						   .data = rpc,
					   });
}

static void get_token(Rpc *rpc, guint after)
{
	GssWait *wait = gss_session_acquire(rpc->call->client->session, after, on_token, rpc);
	if (wait != NULL)
		rpc->wait = wait;
}

void gss_rpc_start(GssCall *call, const GssRpcSpec *spec)
{
	Rpc *rpc = g_new0(Rpc, 1);
	rpc->call = call;
	rpc->spec = *spec;
	gss_call_set_step(call, rpc, abandon);
	get_token(rpc, 0);
}
