/* gss/rest.c - see gss/rest.h. */
#include "gss/rest.h"

#include "gss/client-private.h"
#include "gss/error-private.h"

#include <errno.h>
#include <string.h>

#define SNIPPET_MAX 1024 /* bytes of an error's body that are looked at for its message */
/* A storage that refuses a token which the authentication manager knows gets a newer one, but not
 * more often than this. */
#define RENEWAL_PAUSE (60 * G_USEC_PER_SEC)

typedef struct {
	GssCall *call;
	GssRestSpec spec; /* `resource` is owned, `headers` not used */
	char **headers;
	guint generation; /* of the token it was made with last */
	gint64 started;   /* monotonic us */
	GError *cut;      /* why an upload broke off, while the token is looked at */
	long denied;      /* 401 or 403 while the token is looked at */
	bool retried;
	bool accepted; /* the answer is a success */
	GString *snippet;
	GssTransfer *transfer;
	GssWait *wait;
} Rest;

static void rest_free(Rest *rest)
{
	gss_resource_unref(rest->spec.resource);
	g_strfreev(rest->headers);
	g_clear_error(&rest->cut);
	if (rest->snippet != NULL)
		g_string_free(rest->snippet, TRUE);
	g_free(rest);
}

static void abandon(void *step)
{
	Rest *rest = step;
	if (rest->transfer != NULL)
		gss_transfer_abort(rest->transfer);
	if (rest->wait != NULL)
		gss_session_cancel(rest->call->client->session, rest->wait);
	rest_free(rest);
}

static const char *subject(const Rest *rest)
{
	const GssResource *resource = rest->spec.resource;
	const char *address = gss_resource_address(resource);
	return address != NULL ? address : gss_resource_name(resource);
}

/* Takes `error`. `answer` belongs to a transfer that lives on until this returns. */
static void finish(Rest *rest, const GssAnswer *answer, GError *error)
{
	if (error != NULL) {
		g_autofree char *shown = gss_quote(subject(rest), -1, NULL);
		g_prefix_error(&error, "%s: ", shown);
	}
	if (rest->call->step == rest)
		gss_call_set_step(rest->call, NULL, NULL);
	rest->spec.done(answer, rest->spec.resource, error, rest->spec.data);
	rest_free(rest);
	g_clear_error(&error);
}

static void send_request(Rest *rest);

static void on_resolved(GssResource *resource, const GError *error, void *data)
{
	Rest *rest = data;
	if (error != NULL) {
		finish(rest, NULL, g_error_copy(error));
		return;
	}
	gss_call_set_step(rest->call, rest, abandon);
	gss_resource_unref(rest->spec.resource);
	rest->spec.resource = gss_resource_ref(resource);
	send_request(rest);
}

/* The step becomes the resolving; ours again when it is done. */
static void resolve(Rest *rest)
{
	gss_resolve_start(rest->call, gss_resource_address(rest->spec.resource), on_resolved,
	                  abandon, rest);
}

static void on_renewed(const GError *error, void *data)
{
	Rest *rest = data;
	rest->wait = NULL;
	if (error != NULL)
		finish(rest, NULL, g_error_copy(error));
	else if (gss_resource_address(rest->spec.resource) != NULL)
		resolve(rest);
	else
		send_request(rest);
}

static void on_validated(bool valid, const GError *error, void *data)
{
	Rest *rest = data;
	GssSession *session = rest->call->client->session;
	rest->wait = NULL;
	if (rest->cut != NULL && (valid || error != NULL)) {
		finish(rest, NULL, g_steal_pointer(&rest->cut));
		return;
	}
	g_clear_error(&rest->cut);
	if (error != NULL) {
		finish(rest, NULL, g_error_copy(error));
		return;
	}
	bool renew =
		!valid || (rest->denied == 401 && gss_session_renewable(session, RENEWAL_PAUSE));
	GssWait *wait =
		gss_session_acquire(session, renew ? rest->generation : 0, on_renewed, rest);
	if (wait != NULL)
		rest->wait = wait;
}

/* The request was refused: because of the token, or of a description that went stale with it? */
static void retry(Rest *rest, long status)
{
	rest->retried = true;
	rest->denied = status;
	GssWait *wait = gss_session_validate(rest->call->client->session, rest->generation,
	                                     rest->started, on_validated, rest);
	if (wait != NULL)
		rest->wait = wait;
}

static GssHeadVerdict on_head(const GssAnswer *answer, void *data, GError **error)
{
	Rest *rest = data;
	rest->accepted = answer->status >= 200 && answer->status < 300;
	if (rest->accepted && rest->spec.head != NULL)
		return rest->spec.head(answer, rest->spec.data, error);
	if (rest->accepted)
		return rest->spec.body != NULL ? GSS_HEAD_BODY : GSS_HEAD_ENOUGH;
	/* Only a plain text is a message for people. */
	const char *type = gss_answer_header(answer, "content-type");
	if (type != NULL && g_ascii_strncasecmp(type, "text/plain", 10) == 0 &&
	    answer->length <= GSS_DRAIN_MAX) {
		rest->snippet = g_string_new(NULL);
		return GSS_HEAD_BODY;
	}
	return GSS_HEAD_ENOUGH;
}

static bool on_body(const void *bytes, gsize length, void *data, GError **error)
{
	Rest *rest = data;
	if (rest->accepted)
		return rest->spec.body == NULL ||
		       rest->spec.body(bytes, length, rest->spec.data, error);
	gsize room = SNIPPET_MAX - MIN(rest->snippet->len, SNIPPET_MAX);
	g_string_append_len(rest->snippet, bytes, (gssize)MIN(length, room));
	return true;
}

/* What a status means depends on what was tried (protocol, section 5). */
static int verb_errno(const Rest *rest, long status)
{
	GssVerb verb = rest->spec.verb;
	bool writing = verb == GSS_VERB_CREATE || verb == GSS_VERB_UPDATE;
	if (status == 405 && writing)
		return verb == GSS_VERB_CREATE ? EEXIST : ENOENT;
	/* No answer of a storage: there is none. */
	if ((status == 404 || status == 410) && writing)
		return EIO;
	return gss_status_errno(status, rest->spec.modifying);
}

static GError *status_error(const Rest *rest, const GssAnswer *answer)
{
	guint generation = 0;
	g_autoptr(GPtrArray) secrets = g_ptr_array_new();
	const GssDescription *description =
		gss_resource_description(rest->spec.resource, rest->spec.verb);
	const GPtrArray *values = description != NULL ? description->form->values : NULL;
	const char *token = gss_session_token(rest->call->client->session, &generation);
	if (token != NULL)
		g_ptr_array_add(secrets, (void *)token);
	for (guint i = 0; values != NULL && i < values->len; i++) {
		/* A short value is no token, and masking it would spoil the message. */
		if (strlen(values->pdata[i]) >= 8)
			g_ptr_array_add(secrets, values->pdata[i]);
	}
	g_ptr_array_add(secrets, NULL);
	g_autofree char *said = rest->snippet != NULL
	                                ? gss_quote(rest->snippet->str, (gssize)rest->snippet->len,
	                                            (const char *const *)secrets->pdata)
	                                : g_strdup("");
	return g_error_new(GSS_ERROR, verb_errno(rest, answer->status), "%s: status %ld%s%s%s",
	                   answer->host, answer->status, gss_status_text(answer->status),
	                   *said != '\0' ? ": " : "", said);
}

static void on_done(const GssAnswer *answer, const GError *error, void *data)
{
	Rest *rest = data;
	bool denied = answer->status == 401 || answer->status == 403;
	rest->transfer = NULL;
	/* The status says what became of a change, whatever happens to the rest of the answer. */
	bool told = rest->spec.modifying && rest->accepted && !answer->early;
	bool cancelled = g_error_matches(error, GSS_ERROR, ECANCELED);
	/* A service that refuses an upload early may close before its 401 could be read. */
	bool cut = answer->status == 0 && rest->spec.has_body &&
	           g_error_matches(error, GSS_ERROR, EIO);
	if ((denied || cut) && !rest->retried && !cancelled) {
		rest->cut = cut ? g_error_copy(error) : NULL;
		retry(rest, answer->status);
	} else if (answer->status >= 300 && !cancelled &&
	           (error == NULL || !g_error_matches(error, GSS_ERROR, EPROTO))) {
		finish(rest, answer, status_error(rest, answer));
	} else if (error != NULL && !(told && !cancelled)) {
		finish(rest, answer->status != 0 ? answer : NULL, g_error_copy(error));
	} else {
		finish(rest, answer, NULL);
	}
}

static char **all_headers(const GssPrepared *prepared, char **further)
{
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	bool has_encoding = false;
	for (guint i = 0; i < prepared->headers->len; i++) {
		const char *header = prepared->headers->pdata[i];
		has_encoding |= g_ascii_strncasecmp(header, "accept-encoding:", 16) == 0;
		g_strv_builder_add(builder, header);
	}
	for (; further != NULL && *further != NULL; further++)
		g_strv_builder_add(builder, *further);
	if (!has_encoding)
		g_strv_builder_add(builder, "Accept-Encoding: identity");
	g_strv_builder_add(builder, "Expect:");
	return g_strv_builder_end(builder);
}

/* The descriptions are fresh. */
static void send_request(Rest *rest)
{
	const GssRestSpec *spec = &rest->spec;
	GssClient *client = rest->call->client;
	const GssResource *resource = spec->resource;
	g_auto(GssPrepared) prepared = {0};
	GError *error = NULL;
	if (spec->verb != GSS_VERB_CREATE && resource->type == GSS_TYPE_NOTEXIST)
		error = g_error_new(GSS_ERROR, ENOENT, "it does not exist");
	else if (spec->verb == GSS_VERB_CREATE && resource->type != GSS_TYPE_NOTEXIST)
		error = g_error_new(GSS_ERROR, EEXIST, "it exists");
	else if (resource->type == GSS_TYPE_FOLDER && !spec->folder) /* DELETE is recursive */
		error = g_error_new(GSS_ERROR, EISDIR, "it is a folder");
	const char *token = gss_session_token(client->session, &rest->generation);
	if (error != NULL || !gss_resource_prepare(resource, spec->verb, token != NULL ? token : "",
	                                           client->allow_http, &prepared, &error)) {
		finish(rest, NULL, error);
		return;
	}
	if (rest->snippet != NULL) {
		g_string_free(rest->snippet, TRUE);
		rest->snippet = NULL;
	}
	if (spec->query != NULL) {
		g_autofree char *bare = g_steal_pointer(&prepared.url.url);
		prepared.url.url =
			g_strconcat(bare, strchr(bare, '?') ? "&" : "?", spec->query, NULL);
	}
	g_auto(GStrv) headers = all_headers(&prepared, rest->headers);
	rest->accepted = false;
	rest->started = g_get_monotonic_time();
	rest->transfer = gss_http_send(
		client->http,
		&(GssRequest){
			.method = spec->method != NULL ? spec->method : prepared.method,
			.parsed = &prepared.url,
			.headers = (const char *const *)headers,
			.lane = spec->lane,
			.large = spec->large,
			.modifying = spec->modifying,
			.patient = spec->patient,
			.until = spec->until,
			.cancellable = rest->call->cancellable,
			.has_body = spec->has_body,
			.length = spec->length,
			.read = spec->read,
			.progress = spec->progress,
			.source_data = spec->source_data,
			.head = on_head,
			.body = on_body,
			.done = on_done,
			.data = rest,
		});
	for (char **p = headers; *p != NULL; p++)
		explicit_bzero(*p, strlen(*p));
}

static void check_freshness(Rest *rest)
{
	const GssResource *resource = rest->spec.resource;
	guint generation = 0;
	gss_session_token(rest->call->client->session, &generation);
	bool fresh = resource->descriptions != NULL && resource->generation == generation;
	if (!fresh && gss_resource_address(resource) != NULL)
		resolve(rest);
	else
		send_request(rest);
}

void gss_rest_start(GssCall *call, const GssRestSpec *spec)
{
	Rest *rest = g_new0(Rest, 1);
	rest->call = call;
	rest->spec = *spec;
	gss_resource_ref(spec->resource);
	rest->headers = g_strdupv((char **)spec->headers);
	rest->spec.headers = NULL;
	gss_call_set_step(call, rest, abandon);
	check_freshness(rest);
}
