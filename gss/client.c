/* gss/client.c - see gss/client.h. */
#include "gss/client-private.h"

#include "gss/error-private.h"
#include "gss/rpc.h"
#include "gss/url.h"

#include <errno.h>
#include <libxml/parser.h>

GssClient *gss_client_new(const GssClientOptions *options, GError **error)
{
	g_auto(GssUrl) auth = {0};
	g_auto(GssUrl) gss = {0};
	g_autofree char *auth_url = gss_url_encode(options->auth_url, NULL, NULL);
	g_autofree char *gss_url = gss_url_encode(options->gss_url, NULL, NULL);
	if (!gss_url_parse(&auth, auth_url, options->allow_http, EINVAL, error) ||
	    !gss_url_parse(&gss, gss_url, options->allow_http, EINVAL, error))
		return NULL;
	xmlInitParser();
	GssClient *client = g_new0(GssClient, 1);
	client->options = *options;
	client->options.auth_url = NULL;
	client->options.gss_url = NULL;
	client->options.project = NULL;
	client->project = g_strdup(options->project);
	g_mutex_init(&client->status_lock);
	client->allow_http = options->allow_http;
	client->auth_endpoint = gss_url_endpoint(auth_url);
	client->gss_endpoint = gss_url_endpoint(gss_url);
	client->session = gss_session_new(client);
	client->storages = gss_storages_new();
	client->http = gss_http_new(options, error);
	if (client->http == NULL) {
		gss_session_free(client->session);
		gss_storages_free(client->storages);
		g_free(client->auth_endpoint);
		g_free(client->gss_endpoint);
		g_free(client->project);
		g_mutex_clear(&client->status_lock);
		g_free(client);
		return NULL;
	}
	return client;
}

static void close_task(void *data)
{
	GssClient *client = data;
	client->closing = true;
	gss_call_cancel_all(client, NULL);
	g_clear_pointer(&client->session, gss_session_free);
}

void gss_client_free(GssClient *client)
{
	if (client == NULL)
		return;
	gss_http_invoke(client->http, close_task, client);
	gss_http_free(client->http);
	gss_storages_free(client->storages);
	g_free(client->auth_endpoint);
	g_free(client->gss_endpoint);
	g_free(client->project);
	gss_session_status_clear(&client->status);
	g_mutex_clear(&client->status_lock);
	g_free(client);
}

typedef struct {
	GssClient *client;
	char *project;
} Binding;

static void bind_task(void *data)
{
	g_autofree Binding *binding = data;
	g_free(binding->client->project);
	binding->client->project = binding->project;
}

void gss_client_set_project(GssClient *client, const char *project)
{
	Binding *binding = g_new(Binding, 1);
	*binding = (Binding){client, g_strdup(project)};
	gss_http_invoke(client->http, bind_task, binding);
}

void gss_client_counters(GssClient *client, GssCounters *ret)
{
	gss_http_counters(client->http, ret);
}

/* Logging in: a live token, then who we are. */
typedef struct {
	GssCall call;
	GssLoginCallback callback;
	void *data;
	GssWait *wait;
	guint generation;
	bool again;
	bool renewed;
	guint asked; /* how many of `questions` were answered */
	char *answers[3];
} Login;

static const char *const questions[] = {"getUsername", "getProject", "getEmail"};

static void ask(Login *login);

static void login_abandon(void *step)
{
	Login *login = step;
	gss_session_cancel(login->call.client->session, g_steal_pointer(&login->wait));
}

static void login_wait(Login *login, GssWait *wait)
{
	if (wait == NULL)
		return;
	login->wait = wait;
	gss_call_set_step(&login->call, login, login_abandon);
}

static bool on_answer(const GssXmlNode *item, guint generation, void *data, GError **error)
{
	Login *login = data;
	if (login->answers[login->asked] == NULL)
		login->answers[login->asked] = g_strdup(gss_xml_text(item));
	return true;
}

static void on_answered(const GError *error, void *data)
{
	Login *login = data;
	if (error != NULL && login->asked < 2) {
		gss_call_complete(&login->call, error);
		return;
	}
	login->asked++;
	ask(login);
}

static void ask(Login *login)
{
	if (login->asked == G_N_ELEMENTS(questions)) {
		gss_call_complete(&login->call, NULL);
		return;
	}
	gss_rpc_start(&login->call, &(GssRpcSpec){
					    .endpoint = login->call.client->auth_endpoint,
					    .ns = GSS_AUTH_NAMESPACE,
					    .operation = questions[login->asked],
					    .parameters = {{.name = "sessionToken"}},
					    .n_parameters = 1,
					    .item = on_answer,
					    .done = on_answered,
					    .data = login,
				    });
}

static void on_login_token(const GError *error, void *data);

static void on_login_valid(bool valid, const GError *error, void *data)
{
	Login *login = data;
	GssSession *session = login->call.client->session;
	login->wait = NULL;
	gss_call_set_step(&login->call, NULL, NULL);
	if (error != NULL) {
		gss_call_complete(&login->call, error);
	} else if (valid) {
		ask(login);
	} else if (login->renewed) {
		gss_call_fail(&login->call,
		              g_error_new(GSS_ERROR, EKEYREJECTED,
		                          "the authentication manager does not accept the session "
		                          "token that it gave"));
	} else {
		login->renewed = true;
		login_wait(login,
		           gss_session_acquire(session, login->generation, on_login_token, login));
	}
}

static void on_login_token(const GError *error, void *data)
{
	Login *login = data;
	GssSession *session = login->call.client->session;
	login->wait = NULL;
	gss_call_set_step(&login->call, NULL, NULL);
	if (error != NULL) {
		gss_call_complete(&login->call, error);
		return;
	}
	gss_session_token(session, &login->generation);
	login_wait(login, gss_session_validate(session, login->generation, login->call.started,
	                                       on_login_valid, login));
}

static void login_run(GssCall *call)
{
	Login *login = (Login *)call;
	if (login->again)
		gss_session_reset(call->client->session);
	else
		gss_session_forgive(call->client->session);
	login_wait(login, gss_session_acquire(call->client->session, 0, on_login_token, login));
}

static void login_complete(GssCall *call, const GError *error)
{
	Login *login = (Login *)call;
	GssIdentity identity = {
		.username = login->answers[0] != NULL ? login->answers[0] : "",
		.project = login->answers[1] != NULL ? login->answers[1] : "",
		.email = login->answers[2] != NULL ? login->answers[2] : "",
	};
	if (error == NULL)
		gss_session_note_identity(call->client, &identity);
	login->callback(error == NULL ? &identity : NULL, error, login->data);
}

static void login_clear(GssCall *call)
{
	Login *login = (Login *)call;
	for (guint i = 0; i < G_N_ELEMENTS(login->answers); i++)
		g_free(login->answers[i]);
}

static void submit_login(GssClient *client, bool again, GCancellable *cancellable,
                         GssLoginCallback callback, void *data)
{
	static const GssCallClass class = {
		.size = sizeof(Login),
		.run = login_run,
		.complete = login_complete,
		.clear = login_clear,
	};
	Login *login = gss_call_new(&class, client, NULL, cancellable);
	login->again = again;
	login->callback = callback;
	login->data = data;
	gss_call_submit(&login->call);
}

void gss_client_login(GssClient *client, GCancellable *cancellable, GssLoginCallback callback,
                      void *data)
{
	submit_login(client, false, cancellable, callback, data);
}

void gss_client_login_again(GssClient *client, GCancellable *cancellable, GssLoginCallback callback,
                            void *data)
{
	submit_login(client, true, cancellable, callback, data);
}
