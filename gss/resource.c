/* gss/resource.c - see gss/resource.h and gss/resource-private.h. */
#include "gss/resource-private.h"

#include "gss/error-private.h"
#include "gss/uri.h"

#include <errno.h>
#include <string.h>

static void wipe(void *data)
{
	gss_wipe(data);
}

GssResource *gss_resource_ref(GssResource *resource)
{
	g_atomic_ref_count_inc(&resource->references);
	return resource;
}

void gss_resource_unref(GssResource *resource)
{
	if (resource == NULL || !g_atomic_ref_count_dec(&resource->references))
		return;
	gss_descriptions_unref(resource->descriptions);
	g_free(resource->asked);
	g_free(resource);
}

const char *gss_resource_name(const GssResource *resource)
{
	return resource->texts;
}

const char *gss_resource_uri(const GssResource *resource)
{
	return resource->uri != 0 ? resource->texts + resource->uri : NULL;
}

bool gss_resource_equal(const GssResource *a, const GssResource *b)
{
	return a->type == b->type && a->query_for_name == b->query_for_name &&
	       a->generation == b->generation && strcmp(a->texts, b->texts) == 0 &&
	       g_strcmp0(gss_resource_uri(a), gss_resource_uri(b)) == 0 &&
	       g_strcmp0(a->asked, b->asked) == 0 &&
	       gss_descriptions_equal(a->descriptions, b->descriptions);
}

const char *gss_resource_address(const GssResource *resource)
{
	return resource->asked != NULL ? resource->asked : gss_resource_uri(resource);
}

const GssDescription *gss_resource_description(const GssResource *resource, GssVerb verb)
{
	const GssDescriptions *descriptions = resource->descriptions;
	return descriptions != NULL && descriptions->of[verb].form != NULL ? &descriptions->of[verb]
	                                                                   : NULL;
}

GssType gss_resource_type(const GssResource *resource)
{
	return resource->type;
}

bool gss_resource_query_for_name(const GssResource *resource)
{
	return resource->query_for_name;
}

static bool decode_type(const char *text, GssType *ret, GError **error)
{
	if (text == NULL)
		return gss_fail(error, EPROTO, "an entry has no type");
	g_autofree char *trimmed = g_strstrip(g_strdup(text));
	if (strcmp(trimmed, "FILE") == 0)
		*ret = GSS_TYPE_FILE;
	else if (strcmp(trimmed, "FOLDER") == 0)
		*ret = GSS_TYPE_FOLDER;
	else if (strcmp(trimmed, "NOTEXIST") == 0)
		*ret = GSS_TYPE_NOTEXIST;
	else {
		g_autofree char *shown = gss_quote(trimmed, -1, NULL);
		return gss_fail(error, EPROTO, "an entry has the unknown type “%s”", shown);
	}
	return true;
}

GssResource *gss_resource_decode(const GssXmlNode *node, const char *address, guint generation,
                                 const GssResource *like, GError **error)
{
	GssType type = GSS_TYPE_NOTEXIST;
	bool query_for_name = false;
	if (!decode_type(gss_xml_child_text(node, "type"), &type, error))
		return NULL;
	const char *query = gss_xml_child_text(node, "queryForName");
	if (query != NULL && !gss_xml_boolean(query, "“queryForName”", &query_for_name, error))
		return NULL;
	const char *name = gss_xml_child_text(node, "visualName");
	const char *uri = gss_xml_child_text(node, "uniqueName");
	if (name == NULL)
		name = "";
	/* An address that may not be sent is as good as none. */
	if (uri != NULL && !gss_uri_check(uri, NULL))
		uri = NULL;
	g_autoptr(GssDescriptions) descriptions = NULL;
	if (!gss_descriptions_decode(node, name, like != NULL ? like->descriptions : NULL,
	                             &descriptions, error))
		return NULL;
	gsize name_size = strlen(name) + 1, uri_size = uri != NULL ? strlen(uri) + 1 : 0;
	if (name_size > G_MAXUINT32) {
		gss_fail(error, EPROTO, "an entry has an endless name");
		return NULL;
	}
	GssResource *resource = g_malloc0(sizeof(GssResource) + name_size + uri_size);
	g_atomic_ref_count_init(&resource->references);
	resource->generation = generation;
	resource->type = type;
	resource->query_for_name = query_for_name;
	resource->descriptions = g_steal_pointer(&descriptions);
	memcpy(resource->texts, name, name_size);
	if (uri != NULL) {
		resource->uri = (guint32)name_size;
		memcpy(resource->texts + name_size, uri, uri_size);
	}
	if (address != NULL && g_strcmp0(address, uri) != 0)
		resource->asked = g_strdup(address);
	return resource;
}

static bool is_token(const char *text)
{
	if (*text == '\0' || strlen(text) > GSS_HEADER_KEY_MAX)
		return false;
	for (const char *p = text; *p != '\0'; p++) {
		if (!g_ascii_isalnum(*p) && strchr("!#$%&'*+-.^_`|~", *p) == NULL)
			return false;
	}
	return true;
}

/* Headers that frame the message or belong to one connection are libcurl's alone. */
static bool is_framing(const char *key)
{
	static const char *const names[] = {
		"connection",
		"content-length",
		"expect",
		"host",
		"keep-alive",
		"proxy-authenticate",
		"proxy-authorization",
		"proxy-connection",
		"te",
		"trailer",
		"transfer-encoding",
		"upgrade",
	};
	for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
		if (g_ascii_strcasecmp(key, names[i]) == 0)
			return true;
	}
	return false;
}

static bool add_header(GPtrArray *headers, const char *key, const char *value, GError **error)
{
	if (!is_token(key)) {
		g_autofree char *shown = gss_quote(key, -1, NULL);
		return gss_fail(error, EPROTO, "“%s” is no name of a header", shown);
	}
	if (is_framing(key))
		return gss_fail(error, EPROTO, "it sets the header %s, which is not its to set",
		                key);
	if (strlen(value) > GSS_HEADER_VALUE_MAX)
		return gss_fail(error, EPROTO, "the header %s is too long", key);
	for (const guchar *p = (const guchar *)value; *p != '\0'; p++) {
		if ((*p < 0x20 && *p != '\t') || *p == 0x7f)
			return gss_fail(error, EPROTO,
			                "the header %s has a line break or control character", key);
	}
	/* To libcurl "Key:" means no such header, "Key;" an empty one. */
	bool empty = value[strspn(value, " \t")] == '\0';
	g_ptr_array_add(headers,
	                empty ? g_strconcat(key, ";", NULL) : g_strconcat(key, ": ", value, NULL));
	return true;
}

static bool collect_headers(const GssDescription *description, const char *token,
                            GPtrArray *headers, GError **error)
{
	const GssForm *form = description->form;
	const char *field = form->token_field;
	bool names_header =
		field != NULL && is_token(field) && g_ascii_strcasecmp(field, "deprecated") != 0;
	for (guint i = 0; i < form->keys->len; i++) {
		const char *key = form->keys->pdata[i];
		if (names_header && g_ascii_strcasecmp(key, field) == 0)
			continue; /* filled below */
		if (!add_header(headers, key, form->values->pdata[i], error))
			return false;
	}
	return !names_header || add_header(headers, field, token, error);
}

static const char *known_method(const char *text)
{
	static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE"};
	for (guint i = 0; text != NULL && i < G_N_ELEMENTS(methods); i++) {
		if (strcmp(text, methods[i]) == 0)
			return methods[i];
	}
	return NULL;
}

void gss_prepared_clear(GssPrepared *prepared)
{
	gss_url_clear(&prepared->url);
	g_clear_pointer(&prepared->headers, g_ptr_array_unref);
}

/* What may be followed; NULL with EPERM otherwise. */
static const GssDescription *supported(const GssResource *resource, GssVerb verb, GError **error)
{
	static const char *const refusals[GSS_VERBS] = {
		[GSS_VERB_CREATE] = "takes no new files there",
		[GSS_VERB_READ] = "lets nobody read it",
		[GSS_VERB_UPDATE] = "lets nobody replace it",
		[GSS_VERB_DELETE] = "lets nobody remove it",
		[GSS_VERB_META] = "tells nothing of it",
	};
	const GssDescription *description = gss_resource_description(resource, verb);
	if (description != NULL && description->supported)
		return description;
	gss_fail(error, EPERM, "the storage %s (no %s)", refusals[verb], gss_verb_name(verb));
	return NULL;
}

bool gss_resource_creatable(const GssResource *resource, GError **error)
{
	return supported(resource, GSS_VERB_CREATE, error) != NULL;
}

bool gss_resource_prepare(const GssResource *resource, GssVerb verb, const char *token,
                          bool allow_http, GssPrepared *ret, GError **error)
{
	const GssDescription *description = supported(resource, verb, error);
	const char *what = gss_verb_name(verb);
	if (description == NULL)
		return false;
	g_auto(GssPrepared) prepared = {.headers = g_ptr_array_new_with_free_func(wipe)};
	prepared.method = known_method(description->form->method);
	if (prepared.method == NULL) {
		const char *told = description->form->method;
		const char *method = told != NULL ? told : "";
		g_autofree char *shown = gss_quote(method, -1, NULL);
		return gss_fail(error, EPROTO, "%s: “%s” is no method that may be used", what,
		                shown);
	}
	g_autofree char *came = gss_description_url(description, resource->texts);
	if (came == NULL || strlen(came) > GSS_URL_MAX)
		return gss_fail(error, EPROTO, "%s: it has no URL, or a too long one", what);
	const char *uri = gss_resource_uri(resource);
	const char *location = uri != NULL ? uri : gss_resource_address(resource);
	if (location != NULL)
		location = strstr(location, "://") + 3;
	g_autofree char *url = gss_url_encode(came, location, resource->texts);
	if (!gss_url_parse(&prepared.url, url, allow_http, EPROTO, error) ||
	    !collect_headers(description, token, prepared.headers, error)) {
		g_prefix_error(error, "%s: ", what);
		return false;
	}
	*ret = prepared;
	prepared = (GssPrepared){0};
	return true;
}

void gss_version_clear(GssVersion *version)
{
	g_free(version->etag);
	*version = GSS_VERSION_INIT;
}

void gss_version_copy(GssVersion *to, const GssVersion *from)
{
	if (to == from)
		return;
	char *etag = g_strdup(from->etag);
	gss_version_clear(to);
	*to = (GssVersion){.size = from->size, .mtime = from->mtime, .etag = etag};
}

void gss_version_add(GssVersion *known, const GssVersion *version)
{
	if (known->mtime < 0)
		known->mtime = version->mtime;
	if (!known->etag)
		known->etag = g_strdup(version->etag);
}

bool gss_version_equal(const GssVersion *a, const GssVersion *b)
{
	if (a->size < 0 || a->size != b->size)
		return false;
	if (a->mtime >= 0 && b->mtime >= 0 && a->mtime != b->mtime)
		return false;
	return a->etag == NULL || b->etag == NULL || strcmp(a->etag, b->etag) == 0;
}

bool gss_version_validated(const GssVersion *a, const GssVersion *b)
{
	return (a->mtime >= 0 && b->mtime >= 0) || (a->etag != NULL && b->etag != NULL);
}
