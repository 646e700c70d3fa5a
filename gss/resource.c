/* gss/resource.c - see gss/resource.h and gss/resource-private.h. */
#include "gss/resource-private.h"

#include "gss/error-private.h"
#include "gss/uri.h"

#include <errno.h>
#include <string.h>

static const char *const element_names[GSS_VERBS] = {
	[GSS_VERB_CREATE] = "createDescription", [GSS_VERB_READ] = "readDescription",
	[GSS_VERB_UPDATE] = "updateDescription", [GSS_VERB_DELETE] = "deleteDescription",
	[GSS_VERB_META] = "metaReadDescription",
};

static void wipe(void *data)
{
	gss_wipe(data);
}

static void form_unref(GssForm *form)
{
	if (form == NULL || !g_atomic_ref_count_dec(&form->references))
		return;
	g_free(form->method);
	g_free(form->token_field);
	g_ptr_array_unref(form->keys);
	g_ptr_array_unref(form->values);
	g_free(form);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GssForm, form_unref)

static bool same_texts(const GPtrArray *a, const GPtrArray *b)
{
	bool same = a->len == b->len;
	for (guint i = 0; same && i < a->len; i++)
		same = strcmp(a->pdata[i], b->pdata[i]) == 0;
	return same;
}

static bool same_form(const GssForm *a, const GssForm *b)
{
	return g_strcmp0(a->method, b->method) == 0 &&
	       g_strcmp0(a->token_field, b->token_field) == 0 && same_texts(a->keys, b->keys) &&
	       same_texts(a->values, b->values);
}

static void description_clear(GssDescription *description)
{
	form_unref(description->form);
	g_clear_pointer(&description->url, g_ref_string_release);
}

/* Takes form and URL of another description, if they are the same. */
static void share(GssDescription *description, const GssDescription *other)
{
	if (other->form != NULL && other->form != description->form &&
	    same_form(other->form, description->form)) {
		g_atomic_ref_count_inc(&other->form->references);
		form_unref(description->form);
		description->form = other->form;
	}
	if (other->url != NULL && g_strcmp0(other->url, description->url) == 0) {
		char *url = g_ref_string_acquire(other->url);
		g_ref_string_release(description->url);
		description->url = url;
	}
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
	g_free(resource->name);
	g_clear_pointer(&resource->uri, g_ref_string_release);
	g_clear_pointer(&resource->address, g_ref_string_release);
	for (guint i = 0; i < GSS_VERBS; i++)
		description_clear(&resource->descriptions[i]);
	g_free(resource);
}

const char *gss_resource_name(const GssResource *resource)
{
	return resource->name;
}

const char *gss_resource_uri(const GssResource *resource)
{
	return resource->uri;
}

GssType gss_resource_type(const GssResource *resource)
{
	return resource->type;
}

bool gss_resource_query_for_name(const GssResource *resource)
{
	return resource->query_for_name;
}

static bool decode_header(GssForm *form, const GssXmlNode *node, GError **error)
{
	if (node->nil)
		return true;
	const char *key = gss_xml_child_text(node, "key");
	const char *value = gss_xml_child_text(node, "value");
	if (key == NULL)
		return true;
	if (form->keys->len >= GSS_DESCRIPTION_HEADERS_MAX)
		return gss_fail(error, EPROTO, "a request description has more than %d headers",
		                GSS_DESCRIPTION_HEADERS_MAX);
	g_ptr_array_add(form->keys, g_strdup(key));
	g_ptr_array_add(form->values, g_strdup(value != NULL ? value : ""));
	return true;
}

static bool decode_description(const GssXmlNode *node, const char *what, GssDescription *ret,
                               GError **error)
{
	const char *supported = gss_xml_child_text(node, "supported");
	bool yes = false;
	if (supported != NULL && !gss_xml_boolean(supported, "“supported”", &yes, error)) {
		g_prefix_error(error, "%s: ", what);
		return false;
	}
	g_autoptr(GssForm) form = g_new0(GssForm, 1);
	g_atomic_ref_count_init(&form->references);
	form->method = g_strdup(gss_xml_child_text(node, "httpMethod"));
	form->token_field = g_strdup(gss_xml_child_text(node, "sessionTokenField"));
	form->keys = g_ptr_array_new_with_free_func(g_free);
	form->values = g_ptr_array_new_with_free_func(wipe);
	for (guint i = 0; i < gss_xml_children(node); i++) {
		const GssXmlNode *child = node->children->pdata[i];
		if (strcmp(child->name, "headers") == 0 && !decode_header(form, child, error))
			return false;
	}
	const char *url = gss_xml_child_text(node, "url");
	*ret = (GssDescription){.form = g_steal_pointer(&form),
	                        .url = url != NULL ? g_ref_string_new(url) : NULL,
	                        .supported = yes};
	return true;
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
	g_autoptr(GssResource) resource = g_new0(GssResource, 1);
	g_atomic_ref_count_init(&resource->references);
	const char *name = gss_xml_child_text(node, "visualName");
	resource->name = g_strdup(name != NULL ? name : "");
	/* An address that may not be sent is as good as none. */
	const char *uri = gss_xml_child_text(node, "uniqueName");
	if (uri != NULL && gss_uri_check(uri, NULL))
		resource->uri = g_ref_string_new(uri);
	if (address != NULL)
		resource->address = g_ref_string_new(address);
	else if (resource->uri != NULL)
		resource->address = g_ref_string_acquire(resource->uri);
	resource->generation = generation;
	if (!decode_type(gss_xml_child_text(node, "type"), &resource->type, error))
		return NULL;
	const char *query = gss_xml_child_text(node, "queryForName");
	if (query != NULL &&
	    !gss_xml_boolean(query, "“queryForName”", &resource->query_for_name, error))
		return NULL;
	for (guint i = 0; i < GSS_VERBS; i++) {
		const GssXmlNode *child = gss_xml_child(node, element_names[i]);
		if (child == NULL || child->nil)
			continue;
		GssDescription *description = &resource->descriptions[i];
		if (!decode_description(child, element_names[i], description, error))
			return NULL;
		for (guint k = 0; k < i; k++)
			share(description, &resource->descriptions[k]);
		if (like != NULL)
			share(description, &like->descriptions[i]);
		resource->described = true;
	}
	return g_steal_pointer(&resource);
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
	g_autofree char *shown = gss_quote(key, -1, NULL);
	if (!is_token(key))
		return gss_fail(error, EPROTO, "“%s” is no name of a header", shown);
	if (is_framing(key))
		return gss_fail(error, EPROTO, "it sets the header %s, which is not its to set",
		                shown);
	if (strlen(value) > GSS_HEADER_VALUE_MAX)
		return gss_fail(error, EPROTO, "the header %s is too long", shown);
	for (const guchar *p = (const guchar *)value; *p != '\0'; p++) {
		if ((*p < 0x20 && *p != '\t') || *p == 0x7f)
			return gss_fail(error, EPROTO,
			                "the header %s has a line break or control character",
			                shown);
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

bool gss_resource_prepare(const GssResource *resource, GssVerb verb, const char *token,
                          bool allow_http, GssPrepared *ret, GError **error)
{
	const GssDescription *description = &resource->descriptions[verb];
	const char *what = element_names[verb];
	if (description->form == NULL || !description->supported)
		return gss_fail(error, EPERM, "the storage does not support this (%s)", what);
	g_auto(GssPrepared) prepared = {.headers = g_ptr_array_new_with_free_func(wipe)};
	prepared.method = known_method(description->form->method);
	if (prepared.method == NULL) {
		const char *told = description->form->method;
		const char *method = told != NULL ? told : "";
		g_autofree char *shown = gss_quote(method, -1, NULL);
		return gss_fail(error, EPROTO, "%s: “%s” is no method that may be used", what,
		                shown);
	}
	if (description->url == NULL || strlen(description->url) > GSS_URL_MAX)
		return gss_fail(error, EPROTO, "%s: it has no URL, or a too long one", what);
	const char *location = resource->uri != NULL ? resource->uri : resource->address;
	if (location != NULL)
		location = strstr(location, "://") + 3;
	g_autofree char *url = gss_url_encode(description->url, location, resource->name);
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

bool gss_version_equal(const GssVersion *a, const GssVersion *b)
{
	if (a->size < 0 || a->size != b->size)
		return false;
	if (a->mtime >= 0 && b->mtime >= 0 && a->mtime != b->mtime)
		return false;
	return a->etag == NULL || b->etag == NULL || strcmp(a->etag, b->etag) == 0;
}
