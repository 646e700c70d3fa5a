#include "control.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>

#define BODY_MAX (16 * 1024 * 1024)

static void free_body(gpointer data)
{
	g_byte_array_unref(data);
}

static void control_begin(GlRequest *request)
{
	request->state = g_byte_array_new();
	request->free_state = free_body;
}

static void control_body(GlRequest *request, const char *bytes, gsize length)
{
	GByteArray *body = request->state;

	if (body->len + length > BODY_MAX)
		gl_reply_text(&request->reply, 413, "text/plain", "too large a request\n");
	else
		g_byte_array_append(body, (const guint8 *)bytes, (guint)length);
}

static void reply_json(GlRequest *request, GString *text)
{
	g_autofree char *copy = g_string_free(text, FALSE);
	gl_reply_text(&request->reply, 200, "application/json", copy);
}

static void refuse(GlRequest *request, const GError *error)
{
	g_autofree char *text = g_strconcat(error->message, "\n", NULL);
	gl_reply_text(&request->reply, 400, "text/plain", text);
}

static void reply_state(GlRequest *request)
{
	GlServer *server = request->server;
	GString *out = g_string_new("{\"settings\":");

	gl_settings_append_json(server->settings, out);
	g_string_append(out, ",\"counters\":");
	gl_stats_append_json(server->stats, out);
	g_string_append_printf(out, ",\"faults\":%u}\n", gl_faults_pending(server->faults));
	reply_json(request, out);
}

static GHashTable *parse_query(const char *query, GError **error)
{
	if (query == NULL || *query == '\0')
		return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	return g_uri_parse_params(query, -1, "&", G_URI_PARAMS_WWW_FORM, error);
}

static bool set_form(GlServer *server, const char *text, GError **error)
{
	GHashTableIter iter;
	gpointer name, value;
	g_autoptr(GHashTable) form = parse_query(text, error);

	if (form == NULL)
		return false;
	g_hash_table_iter_init(&iter, form);
	while (g_hash_table_iter_next(&iter, &name, &value))
		if (!gl_settings_set(server->settings, name, value, error))
			return false;
	return true;
}

static bool set_lines(GlServer *server, const char *text, GError **error)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	for (guint i = 0; lines[i] != NULL; i++) {
		g_auto(GStrv) parts = g_strsplit(g_strstrip(lines[i]), "=", 2);

		if (g_strv_length(parts) == 0)
			continue;
		if (!gl_settings_set(server->settings, g_strstrip(parts[0]),
		                     parts[1] != NULL ? g_strstrip(parts[1]) : "", error))
			return false;
	}
	return true;
}

static void set(GlRequest *request, const GByteArray *body)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = g_strndup((const char *)body->data, body->len);
	bool form = strchr(text, '\n') == NULL;

	if (form ? set_form(request->server, text, &error)
	         : set_lines(request->server, text, &error))
		reply_state(request);
	else
		refuse(request, error);
}

static void add_fault(GlRequest *request, const GByteArray *body)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) bytes = g_bytes_new(body->data, body->len);
	g_autoptr(GHashTable) parameters = parse_query(request->query, &error);

	if (parameters != NULL && gl_faults_add(request->server->faults, parameters, bytes,
	                                        gl_halt_epoch(request->server->halt), &error))
		reply_state(request);
	else
		refuse(request, error);
}

static void reset(GlServer *server)
{
	gl_faults_clear(server->faults);
	gl_settings_reset(server->settings);
	gl_stats_reset(server->stats);
}

static void post(GlRequest *request, const char *what)
{
	GlServer *server = request->server;

	if (*what == '\0') {
		set(request, request->state);
		return;
	}
	if (strcmp(what, "/fault") == 0) {
		add_fault(request, request->state);
		return;
	}
	if (strcmp(what, "/release") == 0)
		gl_halt_release(server->halt);
	else if (strcmp(what, "/reset") == 0)
		reset(server);
	else if (strcmp(what, "/revoke") == 0)
		gl_sessions_revoke(server->sessions);
	else {
		gl_reply_text(&request->reply, 404, "text/plain", "see control.h\n");
		return;
	}
	reply_state(request);
}

static gint64 number(GHashTable *parameters, const char *name, gint64 otherwise)
{
	const char *text = g_hash_table_lookup(parameters, name);
	guint64 value;

	if (text != NULL && g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, &value, NULL))
		return (gint64)value;
	return otherwise;
}

static void wait_for(GlRequest *request, GHashTable *parameters)
{
	GlServer *server = request->server;
	const char *counter = g_hash_table_lookup(parameters, "counter");
	const char *timeout = g_hash_table_lookup(parameters, "timeout");
	double seconds = timeout != NULL ? g_ascii_strtod(timeout, NULL) : 10;

	if (counter == NULL || !(seconds >= 0 && seconds <= 3600)) {
		gl_reply_text(&request->reply, 400, "text/plain", "see control.h\n");
		return;
	}
	bool reached = gl_stats_wait(server->stats, server->halt, counter,
	                             number(parameters, "value", 1), (guint)(seconds * 1000));
	gl_reply_text(&request->reply, 200, "application/json",
	              reached ? "{\"reached\": true}\n" : "{\"reached\": false}\n");
}

static void get(GlRequest *request, const char *what)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GHashTable) parameters = parse_query(request->query, &error);

	if (parameters == NULL) {
		refuse(request, error);
	} else if (*what == '\0') {
		reply_state(request);
	} else if (strcmp(what, "/log") == 0) {
		GString *out = g_string_new(NULL);
		gl_stats_append_log(request->server->stats, (guint64)number(parameters, "since", 0),
		                    out);
		reply_json(request, out);
	} else if (strcmp(what, "/wait") == 0) {
		wait_for(request, parameters);
	} else {
		gl_reply_text(&request->reply, 404, "text/plain", "see control.h\n");
	}
}

static void control_end(GlRequest *request)
{
	const char *what = request->path + strlen("/_control");

	if (strcmp(request->method, "POST") == 0)
		post(request, what);
	else if (strcmp(request->method, "GET") == 0)
		get(request, what);
	else
		gl_reply_empty(&request->reply, 405);
}

const GlHandler gl_control_handler = {control_begin, control_body, control_end};
