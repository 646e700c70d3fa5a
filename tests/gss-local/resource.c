#include "resource.h"

#include "text.h"

#include <string.h>
#include <sys/stat.h>

GlLinks *gl_links_new(GlRequest *request, const char *token)
{
	GlLinks *links = g_new0(GlLinks, 1);
	links->host = gl_request_host(request);
	links->token = g_strdup(token);
	links->settings = request->settings;
	return links;
}

void gl_links_free(GlLinks *links)
{
	g_free(links->host);
	g_free(links->token);
	g_free(links);
}

/* One writer for both notations: members of structures, in XML or JSON. */
typedef struct {
	GString *out;
	bool json;
	bool comma; /* JSON: the next member follows another */
} Writer;

static void name_member(Writer *w, const char *name)
{
	if (w->json)
		g_string_append(w->out, w->comma ? ",\"" : "\"");
	else
		g_string_append_c(w->out, '<');
	g_string_append(w->out, name);
	g_string_append(w->out, w->json ? "\":" : ">");
	w->comma = true;
}

static void end_member(Writer *w, const char *name)
{
	if (w->json)
		return;
	g_string_append(w->out, "</");
	g_string_append(w->out, name);
	g_string_append_c(w->out, '>');
}

static void put_text(Writer *w, const char *name, const char *value)
{
	name_member(w, name);
	if (w->json)
		gl_text_append_json(w->out, value);
	else
		gl_text_append_xml(w->out, value);
	end_member(w, name);
}

static void put_bool(Writer *w, const char *name, bool value)
{
	name_member(w, name);
	g_string_append(w->out, value ? "true" : "false");
	end_member(w, name);
}

static void open_struct(Writer *w, const char *name)
{
	name_member(w, name);
	if (w->json)
		g_string_append_c(w->out, '{');
	w->comma = false;
}

static void close_struct(Writer *w, const char *name)
{
	if (w->json)
		g_string_append_c(w->out, '}');
	end_member(w, name);
	w->comma = true;
}

static void put_header(Writer *w, bool first, const char *key, const char *value)
{
	if (w->json)
		g_string_append(w->out, first ? "{" : ",{");
	else
		g_string_append(w->out, "<headers>");
	w->comma = false;
	put_text(w, "key", key);
	put_text(w, "value", value);
	g_string_append(w->out, w->json ? "}" : "</headers>");
}

static void put_headers(Writer *w, const GlLinks *links)
{
	bool token = links->settings.token_field != GL_FIELD_HEADER;

	if (w->json)
		g_string_append_printf(w->out, "%s\"headers\":[", w->comma ? "," : "");
	if (token)
		put_header(w, true, "X-Auth-Token", links->token);
	if (links->settings.extra_header)
		put_header(w, !token, GL_EXTRA_HEADER, GL_EXTRA_VALUE);
	if (w->json)
		g_string_append_c(w->out, ']');
	w->comma = true;
}

static void put_description(Writer *w, const char *name, const char *method, const char *url,
                            const GlLinks *links)
{
	open_struct(w, name);
	put_headers(w, links);
	put_text(w, "httpMethod", method);
	if (links->settings.token_field == GL_FIELD_HEADER)
		put_text(w, "sessionTokenField", "X-Auth-Token");
	else if (links->settings.token_field == GL_FIELD_DEPRECATED)
		/* Seen in any case of letters. */
		put_text(w, "sessionTokenField",
		         strcmp(method, "GET") == 0 ? "deprecated" : "Deprecated");
	put_bool(w, "supported", true);
	put_text(w, "url", url);
	close_struct(w, name);
}

static void put_unsupported(Writer *w, const char *name)
{
	open_struct(w, name);
	put_bool(w, "supported", false);
	close_struct(w, name);
}

/* The order is the schema's. What cannot be done is partly said and partly left out: both are
 * legal. */
static void put_resource(Writer *w, const GlPlace *place, const GlLinks *links, bool minimal)
{
	bool there = place->type == GL_FILE || place->type == GL_FOLDER;
	bool describe = !minimal;
	bool free_name = place->type == GL_FREE;
	bool raw = links->settings.urls == GL_URLS_RAW;
	g_autofree char *url = describe ? gl_place_url(place, links->host, raw) : NULL;

	if (describe && free_name && !place->closed)
		put_description(w, "createDescription", "POST", url, links);
	else if (describe && free_name)
		put_unsupported(w, "createDescription");
	if (describe && there && !place->fixed)
		put_description(w, "deleteDescription", "DELETE", url, links);
	else if (describe && there)
		put_unsupported(w, "deleteDescription");
	if (describe && there)
		put_description(w, "metaReadDescription", "HEAD", url, links);
	put_bool(w, "queryForName", free_name && place->number_place != NULL);
	if (describe && there)
		put_description(w, "readDescription", "GET", url, links);
	put_text(w, "type",
	         place->type == GL_FILE     ? "FILE"
	         : place->type == GL_FOLDER ? "FOLDER"
	                                    : "NOTEXIST");
	put_text(w, "uniqueName", place->uri);
	if (describe && place->type == GL_FILE)
		put_description(w, "updateDescription", "PUT", url, links);
	else if (describe && place->type == GL_FOLDER)
		put_unsupported(w, "updateDescription");
	put_text(w, "visualName", place->name);
}

void gl_resource_append_xml(GString *out, const GlPlace *place, const GlLinks *links, bool minimal)
{
	Writer w = {.out = out};
	put_resource(&w, place, links, minimal);
}

void gl_resource_append_json(GString *out, const GlPlace *place, const GlLinks *links, bool full)
{
	Writer w = {.out = out, .json = true};
	struct stat st;

	g_string_append_c(out, '{');
	put_resource(&w, place, links, false);
	if (full && lstat(place->disk, &st) == 0) {
		bool other = links->settings.view_full == GL_VIEW_OTHER;
		bool wrong = links->settings.view_full == GL_VIEW_WRONG;
		bool shifted = links->settings.view_full == GL_VIEW_SHIFTED;
		gint64 seconds = st.st_mtim.tv_sec + (shifted ? 7200 : 0);
		g_autofree char *date = gl_text_iso_date(seconds);
		g_string_append_printf(out, ",\"%s\":%" G_GINT64_FORMAT,
		                       other ? "ContentLength" : "size",
		                       (gint64)st.st_size + (wrong ? 1000 : 0));
		if (other)
			g_string_append_printf(out, ",\"mTime\":%" G_GINT64_FORMAT, seconds * 1000);
		else
			put_text(&w, "lastModified", date);
	}
	g_string_append_c(out, '}');
}
