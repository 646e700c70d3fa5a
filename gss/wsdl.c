/* gss/wsdl.c - see gss/wsdl.h. */
#include "gss/wsdl.h"

#include "gss/error-private.h"

#include <errno.h>
#include <libxml/tree.h>
#include <string.h>

#define SCHEMA_DEPTH_MAX 8 /* of extensions and nested sequences */
#define BASES_MAX 64       /* that the types of one request extend, all together */

struct GssWsdl {
	GPtrArray *documents; /* GssXmlNode, the roots */
	GPtrArray *schemas;   /* GssXmlNode <schema>, within the documents */
};

GssWsdl *gss_wsdl_new(void)
{
	GssWsdl *wsdl = g_new0(GssWsdl, 1);
	wsdl->documents = g_ptr_array_new_with_free_func(gss_xml_node_free);
	wsdl->schemas = g_ptr_array_new();
	return wsdl;
}

void gss_wsdl_free(GssWsdl *wsdl)
{
	if (wsdl == NULL)
		return;
	g_ptr_array_unref(wsdl->schemas);
	g_ptr_array_unref(wsdl->documents);
	g_free(wsdl);
}

void gss_wsdl_request_free(GssWsdlRequest *request)
{
	if (request == NULL)
		return;
	g_free(request->ns);
	g_ptr_array_unref(request->names);
	g_array_unref(request->qualified);
	g_free(request);
}

/* Finds schemas and imports. Recursion is bounded by GSS_XML_DEPTH_MAX. */
static void collect(GssWsdl *wsdl, const GssXmlNode *node, GPtrArray *imports)
{
	if (strcmp(node->name, "schema") == 0)
		g_ptr_array_add(wsdl->schemas, (void *)node);
	if (strcmp(node->name, "import") == 0 || strcmp(node->name, "include") == 0) {
		const char *location = gss_xml_attribute(node, "schemaLocation");
		if (location == NULL)
			location = gss_xml_attribute(node, "location");
		if (location != NULL)
			g_ptr_array_add(imports, g_strdup(location));
	}
	for (guint i = 0; i < gss_xml_children(node); i++)
		collect(wsdl, node->children->pdata[i], imports);
}

bool gss_wsdl_add(GssWsdl *wsdl, GBytes *document, GPtrArray *imports, GError **error)
{
	if (wsdl->documents->len >= GSS_WSDL_DOCUMENTS_MAX)
		return gss_fail(error, EPROTO, "the WSDL has more than %d documents",
		                GSS_WSDL_DOCUMENTS_MAX);
	GssXmlNode *root = gss_xml_parse(document, error);
	if (root == NULL)
		return false;
	g_ptr_array_add(wsdl->documents, root);
	if (strcmp(root->name, "definitions") != 0 && strcmp(root->name, "schema") != 0) {
		g_autofree char *shown = gss_quote(root->name, -1, NULL);
		return gss_fail(error, EPROTO, "it is no WSDL and no schema but <%s>", shown);
	}
	collect(wsdl, root, imports);
	return true;
}

/* A QName without its prefix. */
static const char *local(const char *name)
{
	const char *colon = strrchr(name, ':');
	return colon != NULL ? colon + 1 : name;
}

static const GssXmlNode *find_named(const GssXmlNode *schema, const char *kind, const char *name)
{
	for (guint i = 0; i < gss_xml_children(schema); i++) {
		const GssXmlNode *child = schema->children->pdata[i];
		const char *own = gss_xml_attribute(child, "name");
		if (strcmp(child->name, kind) == 0 && own != NULL && strcmp(own, name) == 0)
			return child;
	}
	return NULL;
}

/* A global definition: in `first` if it is there, else in any schema. */
static const GssXmlNode *find_global(const GssWsdl *wsdl, const GssXmlNode *first, const char *kind,
                                     const char *name, const GssXmlNode **ret_schema)
{
	const GssXmlNode *found = first != NULL ? find_named(first, kind, name) : NULL;
	*ret_schema = first;
	for (guint i = 0; found == NULL && i < wsdl->schemas->len; i++) {
		*ret_schema = wsdl->schemas->pdata[i];
		found = find_named(*ret_schema, kind, name);
	}
	return found;
}

static bool is_qualified(const GssXmlNode *schema, const GssXmlNode *element)
{
	const char *form = gss_xml_attribute(element, "form");
	if (gss_xml_attribute(element, "ref") != NULL)
		return true; /* a global element */
	if (form == NULL)
		form = gss_xml_attribute(schema, "elementFormDefault");
	return g_strcmp0(form, "qualified") == 0;
}

static bool is_name(const char *name)
{
	return strlen(name) <= GSS_XML_NAME_MAX && xmlValidateNCName(BAD_CAST name, 0) == 0;
}

static bool add_parameter(GssWsdlRequest *request, const GssXmlNode *schema,
                          const GssXmlNode *element, GError **error)
{
	const char *name = gss_xml_attribute(element, "name");
	if (name == NULL)
		name = gss_xml_attribute(element, "ref");
	if (name == NULL || !is_name(local(name)))
		return gss_fail(error, EPROTO, "its schema has an element with a bad name");
	if (request->names->len >= GSS_WSDL_PARAMETERS_MAX)
		return gss_fail(error, EPROTO, "its schema has a request with too many elements");
	bool qualified = is_qualified(schema, element);
	g_ptr_array_add(request->names, g_strdup(local(name)));
	g_array_append_val(request->qualified, qualified);
	return true;
}

/* Takes the elements of a type in their order, those of the type it extends first. */
static bool add_type(const GssWsdl *wsdl, const GssXmlNode *schema, const GssXmlNode *type,
                     guint depth, guint *bases, GssWsdlRequest *request, GError **error)
{
	if (depth > SCHEMA_DEPTH_MAX || *bases > BASES_MAX)
		return gss_fail(error, EPROTO, "its schema is nested too deeply");
	for (guint i = 0; i < gss_xml_children(type); i++) {
		const GssXmlNode *child = type->children->pdata[i];
		const char *base = gss_xml_attribute(child, "base");
		if (strcmp(child->name, "element") == 0) {
			if (!add_parameter(request, schema, child, error))
				return false;
			continue;
		}
		if (strcmp(child->name, "sequence") != 0 && strcmp(child->name, "all") != 0 &&
		    strcmp(child->name, "complexContent") != 0 &&
		    strcmp(child->name, "extension") != 0)
			continue;
		if (base != NULL) {
			const GssXmlNode *base_schema;
			const GssXmlNode *parent =
				find_global(wsdl, schema, "complexType", local(base), &base_schema);
			++*bases;
			if (parent != NULL &&
			    !add_type(wsdl, base_schema, parent, depth + 1, bases, request, error))
				return false;
		}
		if (!add_type(wsdl, schema, child, depth + 1, bases, request, error))
			return false;
	}
	return true;
}

GssWsdlRequest *gss_wsdl_request(const GssWsdl *wsdl, const char *operation, GError **error)
{
	const GssXmlNode *schema;
	guint bases = 0;
	const GssXmlNode *element = find_global(wsdl, NULL, "element", operation, &schema);
	if (element == NULL) {
		gss_fail(error, EPROTO, "the WSDL does not describe %s", operation);
		return NULL;
	}
	const char *ns = gss_xml_attribute(schema, "targetNamespace");
	g_autoptr(GssWsdlRequest) request = g_new0(GssWsdlRequest, 1);
	request->ns = g_strdup(ns != NULL ? ns : "");
	request->names = g_ptr_array_new_with_free_func(g_free);
	request->qualified = g_array_new(FALSE, FALSE, sizeof(bool));
	const char *named = gss_xml_attribute(element, "type");
	const GssXmlNode *type = gss_xml_child(element, "complexType");
	if (named != NULL)
		type = find_global(wsdl, schema, "complexType", local(named), &schema);
	if (type == NULL) {
		gss_fail(error, EPROTO, "the WSDL does not describe the parameters of %s",
		         operation);
		return NULL;
	}
	if (!add_type(wsdl, schema, type, 0, &bases, request, error))
		return NULL;
	return g_steal_pointer(&request);
}
