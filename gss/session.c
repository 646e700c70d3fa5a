/* gss/session.c - see gss/session.h. */
#include "gss/session.h"

#include "gss/client-private.h"
#include "gss/error-private.h"

#include <errno.h>
#include <string.h>

/* The same refused credentials are not sent again for so long, which doubles each time: services
 * lock accounts, and call it a refusal when they cannot tell. */
#define REFUSED_PAUSE (30 * G_USEC_PER_SEC)
#define REFUSED_PAUSE_MAX (15 * 60 * G_USEC_PER_SEC)
/* Nor is a ready token that was found dead: what cannot be asked says so with the same fault. */
#define DEAD_PAUSE (5 * 60 * G_USEC_PER_SEC)
#define TOKEN_LIFE_S (24 * 60 * 60) /* protocol, section 2 */

struct GssWait {
	GList link;   /* in session->waiting or session->doubting */
	guint after;  /* a generation */
	gint64 since; /* monotonic us */
	bool *gone;   /* set when it was served before its owner knew it; or NULL */
	GssTokenCallback acquired;
	GssValidCallback validated;
	void *data;
};

struct GssSession {
	GssClient *client;
	char *token;
	guint generation;
	gint64 obtained_at;
	bool given;        /* the token came ready from the credentials */
	bool has_password; /* a login is possible */
	char *dead_given;  /* the ready token that was found dead */
	gint64 dead_until;
	GssExchange *login; /* under way, or NULL */
	GQueue waiting;     /* GssWait, for a token */
	char *answer;       /* what the exchange under way has brought */
	char *candidate;    /* what the login under way tries: a ready token, or the password */

	GssExchange *check; /* validateSessionToken under way, or NULL */
	guint check_generation;
	gint64 check_started;
	char *verdict;       /* text of its answer */
	gint64 validated_at; /* start of the last check that found the token alive; 0: none */
	GQueue doubting;     /* GssWait, for a check */

	char *refused; /* checksum of credentials that were refused */
	gint64 refused_until, pause;
	GError *refusal;
};

void gss_credentials_clear(GssCredentials *credentials)
{
	g_clear_pointer(&credentials->token, gss_wipe);
	g_clear_pointer(&credentials->username, g_free);
	g_clear_pointer(&credentials->project, g_free);
	g_clear_pointer(&credentials->password, gss_wipe);
}

GssSession *gss_session_new(GssClient *client)
{
	GssSession *session = g_new0(GssSession, 1);
	session->client = client;
	return session;
}

void gss_session_free(GssSession *session)
{
	if (session == NULL)
		return;
	g_assert(g_queue_is_empty(&session->waiting) && g_queue_is_empty(&session->doubting));
	g_clear_pointer(&session->login, gss_exchange_abort);
	g_clear_pointer(&session->check, gss_exchange_abort);
	gss_wipe(session->token);
	gss_wipe(session->dead_given);
	gss_wipe(session->answer);
	gss_wipe(session->candidate);
	g_free(session->verdict);
	g_free(session->refused);
	g_clear_error(&session->refusal);
	g_free(session);
}

const char *gss_session_token(const GssSession *session, guint *ret_generation)
{
	*ret_generation = session->token != NULL ? session->generation : 0;
	return session->token;
}

void gss_session_cancel(GssSession *session, GssWait *wait)
{
	GQueue *queue = wait->acquired != NULL ? &session->waiting : &session->doubting;
	g_queue_unlink(queue, &wait->link);
	g_free(wait);
}

/* --- what is told of it --- */

void gss_session_status_clear(GssSessionStatus *status)
{
	g_clear_pointer(&status->username, g_free);
	g_clear_pointer(&status->project, g_free);
	g_clear_pointer(&status->message, g_free);
}

void gss_client_session(GssClient *client, GssSessionStatus *ret)
{
	g_mutex_lock(&client->status_lock);
	*ret = client->status;
	ret->username = g_strdup(ret->username);
	ret->project = g_strdup(ret->project);
	ret->message = g_strdup(ret->message);
	if (ret->state == GSS_SESSION_OK && client->unreachable)
		ret->state = GSS_SESSION_OFFLINE;
	g_mutex_unlock(&client->status_lock);
}

static void tell(GssClient *client)
{
	if (client->options.session_changed != NULL && !client->closing)
		client->options.session_changed(client->options.data);
}

static GssSessionState state_of(const GError *error)
{
	switch (error != NULL ? error->code : 0) {
	case 0:
		return GSS_SESSION_OK;
	case ENOKEY:
		return GSS_SESSION_MISSING;
	case EKEYREJECTED:
	case EACCES:
	case EPERM:
	case EINVAL:
		return GSS_SESSION_REJECTED;
	default:
		return GSS_SESSION_OFFLINE;
	}
}

/* The outcome of a login. */
static void note_login(GssSession *session, const GError *error)
{
	GssClient *client = session->client;
	GssSessionStatus *status = &client->status;

	g_mutex_lock(&client->status_lock);
	GssSessionState before = status->state;
	status->state = state_of(error);
	g_free(status->message);
	status->message = error != NULL ? g_strdup(error->message) : NULL;
	status->valid_until = error == NULL && !session->given
	                              ? g_get_real_time() / G_USEC_PER_SEC + TOKEN_LIFE_S
	                              : 0;
	/* Also where the state is the same, but was not shown: see gss_client_session(). */
	bool changed = before != status->state || (error == NULL && client->unreachable);
	if (error == NULL)
		client->unreachable = false;
	g_mutex_unlock(&client->status_lock);
	if (changed)
		tell(client);
}

void gss_session_note_reach(GssClient *client, const GError *error)
{
	bool unreachable = error != NULL && error->code == EHOSTUNREACH;

	/* Of all other errors it is not known whose they are. */
	if (error != NULL && !unreachable)
		return;
	g_mutex_lock(&client->status_lock);
	bool changed = client->unreachable != unreachable && client->status.state == GSS_SESSION_OK;
	client->unreachable = unreachable;
	if (changed) {
		g_free(client->status.message);
		client->status.message = unreachable ? g_strdup(error->message) : NULL;
	}
	g_mutex_unlock(&client->status_lock);
	if (changed)
		tell(client);
}

static void note_user(GssClient *client, const char *username, const char *project)
{
	g_mutex_lock(&client->status_lock);
	if (username != NULL && *username != '\0') {
		g_free(client->status.username);
		client->status.username = g_strdup(username);
	}
	if (project != NULL && *project != '\0') {
		g_free(client->status.project);
		client->status.project = g_strdup(project);
	}
	g_mutex_unlock(&client->status_lock);
}

void gss_session_note_identity(GssClient *client, const GssIdentity *identity)
{
	note_user(client, identity->username, identity->project);
}

void gss_session_reset(GssSession *session)
{
	gss_session_forgive(session);
	/* Those who wait for it are served by the next. */
	g_clear_pointer(&session->login, gss_exchange_abort);
	g_clear_pointer(&session->candidate, gss_wipe);
	g_clear_pointer(&session->dead_given, gss_wipe);
	g_clear_pointer(&session->token, gss_wipe);
}

void gss_session_forgive(GssSession *session)
{
	g_clear_pointer(&session->refused, g_free);
	g_clear_error(&session->refusal);
}

bool gss_session_renewable(const GssSession *session, gint64 age)
{
	return session->has_password && g_get_monotonic_time() - session->obtained_at >= age;
}

/* Answers all who wait for a token now; their callbacks may let others wait, or no longer wait. */
static void serve_waiting(GssSession *session, const GError *error)
{
	note_login(session, error);
	guint count = session->waiting.length;
	while (count-- > 0 && !g_queue_is_empty(&session->waiting)) {
		GssWait *wait = session->waiting.head->data;
		g_queue_unlink(&session->waiting, &wait->link);
		if (wait->gone != NULL)
			*wait->gone = true;
		wait->acquired(error, wait->data);
		g_free(wait);
	}
}

/* It is remembered, so that it is not taken up again. Takes `token`. */
static void note_dead(GssSession *session, char *token)
{
	gss_wipe(session->dead_given);
	session->dead_given = token;
	session->dead_until = g_get_monotonic_time() + DEAD_PAUSE;
}

/* The token is dead. */
static void drop_token(GssSession *session)
{
	char *token = g_steal_pointer(&session->token);
	if (token != NULL && session->given)
		note_dead(session, token);
	else
		gss_wipe(token);
}

static void take_token(GssSession *session, const char *token, bool given)
{
	gss_wipe(session->token);
	session->token = g_strdup(token);
	session->generation++;
	session->obtained_at = g_get_monotonic_time();
	session->validated_at = given ? 0 : session->obtained_at;
	session->given = given;
}

/* A token stands in headers and in XML. */
static bool token_check(const char *token, GError **error)
{
	if (*token == '\0')
		return gss_fail(error, EKEYREJECTED, "the session token is empty");
	if (strlen(token) > GSS_TOKEN_MAX)
		return gss_fail(error, EPROTO, "the session token is too long");
	for (const char *p = token; *p != '\0'; p++) {
		if (*p < 0x20 || *p > 0x7e)
			return gss_fail(error, EPROTO,
			                "the session token has characters that no token has");
	}
	return true;
}

static bool keep_text(char **kept, const GssXmlNode *item)
{
	if (*kept == NULL)
		*kept = g_strstrip(g_strdup(gss_xml_text(item)));
	return true;
}

static bool on_login_item(const GssXmlNode *item, void *data, GError **error)
{
	GssSession *session = data;
	return keep_text(&session->answer, item);
}

static void refuse_login(GssSession *session, const GError *error)
{
	g_clear_error(&session->refusal);
	session->refusal = g_error_copy(error);
	session->pause =
		session->pause == 0 ? REFUSED_PAUSE : MIN(2 * session->pause, REFUSED_PAUSE_MAX);
	session->refused_until = g_get_monotonic_time() + session->pause;
	serve_waiting(session, error);
}

/* These are tried now, and may be refused. Takes `sum`. */
static void note_trial(GssSession *session, char *sum)
{
	if (g_strcmp0(sum, session->refused) != 0)
		session->pause = 0;
	g_free(session->refused);
	session->refused = sum;
}

static bool is_refused(const GssSession *session, const char *sum)
{
	return session->refusal != NULL && g_strcmp0(sum, session->refused) == 0 &&
	       g_get_monotonic_time() < session->refused_until;
}

static void on_login_done(const GssExchangeResult *result, void *data)
{
	GssSession *session = data;
	g_autoptr(GError) error = NULL;
	char *token = g_steal_pointer(&session->answer);

	session->login = NULL;
	if (result->fault != NULL || result->denied != 0) {
		const char *secrets[] = {session->candidate, NULL};
		g_autofree char *shown =
			gss_quote(result->fault != NULL ? result->fault : "", -1, secrets);
		error = g_error_new(GSS_ERROR, EKEYREJECTED,
		                    "the authentication manager (%s) refused user name, password "
		                    "or project%s%s",
		                    result->host, *shown != '\0' ? ": " : "", shown);
	} else if (result->error != NULL) {
		error = g_error_copy(result->error);
		g_prefix_error(&error, "logging in: ");
	} else if (token_check(token != NULL ? token : "", &error)) {
		g_clear_pointer(&session->refused, g_free);
		take_token(session, token, false);
	} else {
		g_prefix_error(&error, "logging in at %s: ", result->host);
	}
	gss_wipe(token);
	g_clear_pointer(&session->candidate, gss_wipe);
	if (g_error_matches(error, GSS_ERROR, EKEYREJECTED))
		refuse_login(session, error);
	else {
		if (error != NULL)
			g_clear_pointer(&session->refused, g_free);
		serve_waiting(session, error);
	}
}

static bool is_set(const char *text)
{
	return text != NULL && *text != '\0';
}

static char *checksum(const GssCredentials *credentials)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	const char *parts[] = {credentials->username, credentials->project, credentials->password};
	for (guint i = 0; i < G_N_ELEMENTS(parts); i++)
		g_checksum_update(sum, (const guchar *)parts[i], (gssize)strlen(parts[i]) + 1);
	return g_strdup(g_checksum_get_string(sum));
}

static void login_with_password(GssSession *session, const GssCredentials *credentials)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *sum = checksum(credentials);
	const char *wanted = session->client->project;
	if (wanted != NULL && strcmp(credentials->project, wanted) != 0) {
		gss_fail(&error, EKEYREJECTED,
		         "the credentials are of the project “%s”, but this mount is of “%s”: what "
		         "is kept for one project must not go to another",
		         credentials->project, wanted);
		serve_waiting(session, error);
		return;
	}
	if (is_refused(session, sum)) {
		g_autoptr(GError) again = g_error_copy(session->refusal);
		serve_waiting(session, again);
		return;
	}
	const GssSoapParameter parameters[] = {
		{.name = "username", .value = credentials->username},
		{.name = "password", .value = credentials->password},
		{.name = "project", .value = credentials->project},
	};
	g_autoptr(GBytes) body = gss_soap_encode(GSS_AUTH_NAMESPACE, "getSessionToken", parameters,
	                                         G_N_ELEMENTS(parameters), NULL, &error);
	if (body == NULL) {
		error->code = EKEYREJECTED; /* no name or password can be like that */
		serve_waiting(session, error);
		return;
	}
	note_trial(session, g_steal_pointer(&sum));
	gss_wipe(session->candidate);
	session->candidate = g_strdup(credentials->password);
	g_clear_pointer(&session->answer, gss_wipe);
	session->login = gss_exchange_start(session->client->http,
	                                    &(GssExchangeRequest){
						    .endpoint = session->client->auth_endpoint,
						    .operation = "getSessionToken",
						    .body = body,
						    .urgent = true,
						    .item = on_login_item,
						    .done = on_login_done,
						    .data = session,
					    });
}

/* --- of which project is a ready token? --- */

static void login(GssSession *session);

/* The same token is not asked about again and again. */
static void refuse_token(GssSession *session, const char *token, const GError *error)
{
	note_trial(session, g_compute_checksum_for_string(G_CHECKSUM_SHA256, token, -1));
	refuse_login(session, error);
}

static void on_project(const GssExchangeResult *result, void *data)
{
	GssSession *session = data;
	const char *wanted = session->client->project;
	g_autofree char *project = g_steal_pointer(&session->answer);
	g_autoptr(GError) error = NULL;
	char *token = g_steal_pointer(&session->candidate);

	session->login = NULL;
	if (result->fault != NULL || result->denied != 0) {
		/* Dead; if there is a password it is used now. */
		note_dead(session, token);
		login(session);
		return;
	}
	if (result->error != NULL) {
		error = g_error_copy(result->error);
		g_prefix_error(&error, "asking for the project of the session token: ");
		serve_waiting(session, error);
	} else if (is_set(project) && wanted != NULL && strcmp(project, wanted) != 0) {
		g_autofree char *shown = gss_quote(project, -1, NULL);
		gss_fail(&error, EKEYREJECTED,
		         "the token is of the project %s, but this mount is of “%s”: what is kept "
		         "for one project must not go to another",
		         shown, wanted);
		refuse_token(session, token, error);
	} else {
		take_token(session, token, true);
		serve_waiting(session, NULL);
	}
	gss_wipe(token);
}

static void ask_project(GssSession *session, const char *token)
{
	const GssSoapParameter parameter = {.name = "sessionToken"};
	g_autoptr(GError) error = NULL;
	g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, token, -1);

	if (is_refused(session, sum)) {
		g_autoptr(GError) again = g_error_copy(session->refusal);
		serve_waiting(session, again);
		return;
	}
	g_autoptr(GBytes) body =
		gss_soap_encode(GSS_AUTH_NAMESPACE, "getProject", &parameter, 1, token, &error);
	g_assert(body != NULL); /* token_check() let it pass */
	gss_wipe(session->candidate);
	session->candidate = g_strdup(token);
	g_clear_pointer(&session->answer, gss_wipe);
	session->login = gss_exchange_start(session->client->http,
	                                    &(GssExchangeRequest){
						    .endpoint = session->client->auth_endpoint,
						    .operation = "getProject",
						    .body = body,
						    .urgent = true,
						    .item = on_login_item,
						    .done = on_project,
						    .data = session,
					    });
}

/* Gets a token, by whatever the credentials hold now, and answers all who wait. */
static void login(GssSession *session)
{
	const GssClientOptions *options = &session->client->options;
	g_auto(GssCredentials) credentials = {0};
	g_autoptr(GError) error = NULL;
	drop_token(session);
	if (!options->load_credentials(&credentials, options->data, &error)) {
		if (error == NULL)
			gss_fail(&error, ENOKEY, "no credentials");
		error->code = ENOKEY; /* none that can be used, until somebody mends them */
		serve_waiting(session, error);
		return;
	}
	session->has_password = is_set(credentials.username) && is_set(credentials.project) &&
	                        is_set(credentials.password);
	note_user(session->client, credentials.username, credentials.project);
	bool dead = is_set(credentials.token) &&
	            g_strcmp0(credentials.token, session->dead_given) == 0 &&
	            g_get_monotonic_time() < session->dead_until;
	if (is_set(credentials.token) && !dead) {
		bool fine = token_check(credentials.token, &error);
		if (fine && session->client->project != NULL) {
			ask_project(session, credentials.token);
			return;
		}
		if (fine) {
			take_token(session, credentials.token, true);
		} else {
			error->code = EKEYREJECTED;
			g_prefix_error(&error, "the token given (CFG_TOKEN): ");
		}
		serve_waiting(session, error);
	} else if (session->has_password) {
		login_with_password(session, &credentials);
	} else {
		gss_fail(&error, ENOKEY, "%s",
		         dead ? "the session token (CFG_TOKEN) has expired or is not valid, and "
		                "there is no password to get a new one with: give a new token, "
		                "or user name, project and password (gssctl login)"
		              : "no credentials: give CFG_TOKEN, or CFG_USERNAME, CFG_PROJECT and "
		                "CFG_PASSWORD (or use gssctl login)");
		serve_waiting(session, error);
	}
}

GssWait *gss_session_acquire(GssSession *session, guint after, GssTokenCallback callback,
                             void *data)
{
	if (session->token != NULL && session->generation > after) {
		callback(NULL, data);
		return NULL;
	}
	GssWait *wait = g_new0(GssWait, 1);
	wait->link.data = wait;
	wait->after = after;
	wait->acquired = callback;
	wait->data = data;
	g_queue_push_tail_link(&session->waiting, &wait->link);
	if (session->login != NULL)
		return wait;
	/* Where no request is needed login() answers at once. */
	bool gone = false;
	wait->gone = &gone;
	login(session);
	if (gone)
		return NULL;
	wait->gone = NULL;
	return wait;
}

static bool on_check_item(const GssXmlNode *item, void *data, GError **error)
{
	GssSession *session = data;
	return keep_text(&session->verdict, item);
}

static void check(GssSession *session);

static void serve_doubting(GssSession *session, bool valid, const GError *error)
{
	guint count = session->doubting.length;
	guint generation = session->check_generation;
	gint64 started = session->check_started;
	while (count-- > 0 && !g_queue_is_empty(&session->doubting)) {
		GssWait *wait = session->doubting.head->data;
		g_queue_unlink(&session->doubting, &wait->link);
		if (error == NULL && valid && wait->after == generation && wait->since > started) {
			/* Asked after this check had begun: it proves nothing to him. */
			g_queue_push_tail_link(&session->doubting, &wait->link);
			continue;
		}
		wait->validated(valid && wait->after == generation, error, wait->data);
		g_free(wait);
	}
	if (session->check != NULL || g_queue_is_empty(&session->doubting))
		return;
	if (session->token != NULL)
		check(session);
	else
		serve_doubting(session, false, NULL);
}

static void on_check_done(const GssExchangeResult *result, void *data)
{
	GssSession *session = data;
	g_autoptr(GError) error = NULL;
	g_autofree char *text = g_steal_pointer(&session->verdict);
	bool valid = false;

	session->check = NULL;
	if (result->error != NULL) {
		error = g_error_copy(result->error);
	} else if (result->fault == NULL && result->denied == 0 &&
	           !gss_xml_boolean(text != NULL ? text : "", "the answer", &valid, &error)) {
		g_prefix_error(&error, "%s: ", result->host);
	}
	g_prefix_error(&error, "validating the session token: ");
	if (valid)
		session->validated_at = session->check_started;
	else if (error == NULL && session->generation == session->check_generation)
		drop_token(session);
	serve_doubting(session, valid, error);
}

static void check(GssSession *session)
{
	g_autoptr(GError) error = NULL;
	session->check_generation = session->generation;
	session->check_started = g_get_monotonic_time();
	const GssSoapParameter parameter = {.name = "sessionToken"};
	g_autoptr(GBytes) body = gss_soap_encode(GSS_AUTH_NAMESPACE, "validateSessionToken",
	                                         &parameter, 1, session->token, &error);
	g_assert(body != NULL); /* token_check() let it pass */
	g_clear_pointer(&session->verdict, g_free);
	session->check = gss_exchange_start(session->client->http,
	                                    &(GssExchangeRequest){
						    .endpoint = session->client->auth_endpoint,
						    .operation = "validateSessionToken",
						    .body = body,
						    .urgent = true,
						    .item = on_check_item,
						    .done = on_check_done,
						    .data = session,
					    });
}

GssWait *gss_session_validate(GssSession *session, guint generation, gint64 since,
                              GssValidCallback callback, void *data)
{
	bool current = session->token != NULL && session->generation == generation;
	if (!current || session->validated_at > since) {
		callback(current, NULL, data);
		return NULL;
	}
	GssWait *wait = g_new0(GssWait, 1);
	wait->link.data = wait;
	wait->after = generation;
	wait->since = since;
	wait->validated = callback;
	wait->data = data;
	g_queue_push_tail_link(&session->doubting, &wait->link);
	if (session->check == NULL)
		check(session);
	return wait;
}
