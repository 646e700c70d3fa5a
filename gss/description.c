/* gss/description.c - see gss/description.h. */
#include "gss/description.h"

#include "gss/error-private.h"

#include <errno.h>
#include <string.h>

/* What URLs that were encoded by somebody have of a name. */
static char *escape(const char *name)
{
	return g_uri_escape_string(name, NULL, FALSE);
}

const char *gss_verb_name(GssVerb verb)
{
	static const char *const names[GSS_VERBS] = {
		[GSS_VERB_CREATE] = "createDescription", [GSS_VERB_READ] = "readDescription",
		[GSS_VERB_UPDATE] = "updateDescription", [GSS_VERB_DELETE] = "deleteDescription",
		[GSS_VERB_META] = "metaReadDescription",
	};
	return names[verb];
}

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

GssDescriptions *gss_descriptions_ref(GssDescriptions *descriptions)
{
	g_atomic_ref_count_inc(&descriptions->references);
	return descriptions;
}

void gss_descriptions_unref(GssDescriptions *descriptions)
{
	if (descriptions == NULL || !g_atomic_ref_count_dec(&descriptions->references))
		return;
	for (guint i = 0; i < GSS_VERBS; i++) {
		form_unref(descriptions->of[i].form);
		g_free(descriptions->of[i].head);
		g_free(descriptions->of[i].tail);
	}
	g_free(descriptions);
}

/* --- URLs --- */

/* Where the path begins: a name is not looked for in the host. */
static const char *path_of(const char *url)
{
	const char *authority = strstr(url, "://");
	authority = authority != NULL ? authority + 3 : url;
	return authority + strcspn(authority, "/?#");
}

static void split_url(GssDescription *description, const char *url, const char *name,
                      const char *escaped)
{
	if (url == NULL)
		return;
	const char *path = path_of(url), *at = NULL;
	if (*name != '\0')
		at = g_strrstr(path, name);
	if (at == NULL && *name != '\0') {
		at = g_strrstr(path, escaped);
		description->escaped = at != NULL;
	}
	description->head = at != NULL ? g_strndup(url, (gsize)(at - url)) : g_strdup(url);
	if (at != NULL)
		description->tail = g_strdup(at + strlen(description->escaped ? escaped : name));
}

static bool url_matches(const GssDescription *description, const char *url, const char *name,
                        const char *escaped)
{
	if (url == NULL || description->head == NULL)
		return url == NULL && description->head == NULL;
	if (description->tail == NULL)
		return strcmp(url, description->head) == 0;
	const char *middle = description->escaped ? escaped : name;
	gsize head = strlen(description->head), length = strlen(middle);
	return strncmp(url, description->head, head) == 0 &&
	       strncmp(url + head, middle, length) == 0 &&
	       strcmp(url + head + length, description->tail) == 0;
}

char *gss_description_url(const GssDescription *description, const char *name)
{
	if (description->head == NULL || description->tail == NULL)
		return g_strdup(description->head);
	g_autofree char *escaped = description->escaped ? escape(name) : NULL;
	return g_strconcat(description->head, escaped != NULL ? escaped : name, description->tail,
	                   NULL);
}

/* --- headers --- */

/* The next element `headers` that has a key, from *at on. */
static bool next_header(const GssXmlNode *node, guint *at, const char **ret_key,
                        const char **ret_value)
{
	while (*at < gss_xml_children(node)) {
		const GssXmlNode *child = node->children->pdata[(*at)++];
		if (child->nil || strcmp(child->name, "headers") != 0)
			continue;
		const char *value = gss_xml_child_text(child, "value");
		*ret_key = gss_xml_child_text(child, "key");
		*ret_value = value != NULL ? value : "";
		if (*ret_key != NULL)
			return true;
	}
	return false;
}

static bool form_matches(const GssForm *form, const GssXmlNode *node)
{
	if (g_strcmp0(form->method, gss_xml_child_text(node, "httpMethod")) != 0 ||
	    g_strcmp0(form->token_field, gss_xml_child_text(node, "sessionTokenField")) != 0)
		return false;
	const char *key, *value;
	guint count = 0;
	for (guint at = 0; next_header(node, &at, &key, &value); count++) {
		if (count >= form->keys->len || strcmp(form->keys->pdata[count], key) != 0 ||
		    strcmp(form->values->pdata[count], value) != 0)
			return false;
	}
	return count == form->keys->len;
}

static GssForm *decode_form(const GssXmlNode *node, GError **error)
{
	g_autoptr(GssForm) form = g_new0(GssForm, 1);
	g_atomic_ref_count_init(&form->references);
	form->method = g_strdup(gss_xml_child_text(node, "httpMethod"));
	form->token_field = g_strdup(gss_xml_child_text(node, "sessionTokenField"));
	form->keys = g_ptr_array_new_with_free_func(g_free);
	form->values = g_ptr_array_new_with_free_func(wipe);
	const char *key, *value;
	for (guint at = 0; next_header(node, &at, &key, &value);) {
		if (form->keys->len >= GSS_DESCRIPTION_HEADERS_MAX) {
			gss_fail(error, EPROTO, "a request description has more than %d headers",
			         GSS_DESCRIPTION_HEADERS_MAX);
			return NULL;
		}
		g_ptr_array_add(form->keys, g_strdup(key));
		g_ptr_array_add(form->values, g_strdup(value));
	}
	return g_steal_pointer(&form);
}

static bool forms_equal(const GssForm *a, const GssForm *b)
{
	if (a == b || a == NULL || b == NULL)
		return a == b;
	bool equal = g_strcmp0(a->method, b->method) == 0 &&
	             g_strcmp0(a->token_field, b->token_field) == 0 && a->keys->len == b->keys->len;
	for (guint i = 0; equal && i < a->keys->len; i++)
		equal = strcmp(a->keys->pdata[i], b->keys->pdata[i]) == 0 &&
		        strcmp(a->values->pdata[i], b->values->pdata[i]) == 0;
	return equal;
}

/* --- all of a resource --- */

bool gss_descriptions_equal(const GssDescriptions *a, const GssDescriptions *b)
{
	bool equal = a == b || (a != NULL && b != NULL);
	for (guint i = 0; equal && a != b && i < GSS_VERBS; i++) {
		const GssDescription *x = &a->of[i], *y = &b->of[i];
		equal = x->supported == y->supported && x->escaped == y->escaped &&
		        g_strcmp0(x->head, y->head) == 0 && g_strcmp0(x->tail, y->tail) == 0 &&
		        forms_equal(x->form, y->form);
	}
	return equal;
}

static const GssXmlNode *element_of(const GssXmlNode *node, GssVerb verb)
{
	const GssXmlNode *child = gss_xml_child(node, gss_verb_name(verb));
	return child != NULL && !child->nil ? child : NULL;
}

static bool supported(const GssXmlNode *node, bool *ret, GError **error)
{
	const char *text = gss_xml_child_text(node, "supported");
	*ret = false;
	return text == NULL || gss_xml_boolean(text, "“supported”", ret, error);
}

static bool matches(const GssDescriptions *like, const GssXmlNode *node, const char *name,
                    const char *escaped)
{
	for (guint i = 0; i < GSS_VERBS; i++) {
		const GssDescription *description = &like->of[i];
		const GssXmlNode *child = element_of(node, i);
		bool yes;
		if (child == NULL && description->form == NULL)
			continue;
		if (child == NULL || description->form == NULL || !supported(child, &yes, NULL) ||
		    yes != description->supported || !form_matches(description->form, child) ||
		    !url_matches(description, gss_xml_child_text(child, "url"), name, escaped))
			return false;
	}
	return true;
}

/* One that another verb has, or that is made. */
static GssForm *find_form(const GssDescriptions *descriptions, const GssDescriptions *like,
                          const GssXmlNode *node, GError **error)
{
	const GssDescriptions *const both[] = {descriptions, like};
	for (guint i = 0; i < G_N_ELEMENTS(both); i++) {
		for (guint k = 0; both[i] != NULL && k < GSS_VERBS; k++) {
			GssForm *form = both[i]->of[k].form;
			if (form != NULL && form_matches(form, node)) {
				g_atomic_ref_count_inc(&form->references);
				return form;
			}
		}
	}
	return decode_form(node, error);
}

bool gss_descriptions_decode(const GssXmlNode *node, const char *name, GssDescriptions *like,
                             GssDescriptions **ret, GError **error)
{
	g_autofree char *escaped = escape(name);
	*ret = NULL;
	if (like != NULL && matches(like, node, name, escaped)) {
		*ret = gss_descriptions_ref(like);
		return true;
	}
	g_autoptr(GssDescriptions) made = g_new0(GssDescriptions, 1);
	g_atomic_ref_count_init(&made->references);
	bool any = false;
	for (guint i = 0; i < GSS_VERBS; i++) {
		const GssXmlNode *child = element_of(node, i);
		GssDescription *description = &made->of[i];
		if (child == NULL)
			continue;
		any = true;
		if (!supported(child, &description->supported, error)) {
			g_prefix_error(error, "%s: ", gss_verb_name(i));
			return false;
		}
		description->form = find_form(made, like, child, error);
		if (description->form == NULL)
			return false;
		split_url(description, gss_xml_child_text(child, "url"), name, escaped);
	}
	if (any)
		*ret = g_steal_pointer(&made);
	return true;
}
