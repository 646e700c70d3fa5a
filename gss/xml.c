/* gss/xml.c - see gss/xml.h. SAX2 over libxml2's push parser. */
#include "gss/xml.h"

#include "gss/error-private.h"

#include <errno.h>
#include <libxml/parser.h>
#include <string.h>

#define FEED_MAX (1024 * 1024) /* xmlParseChunk counts in int */

struct GssXml {
	const GssXmlHandler *handler;
	void *data;
	GssXmlNode **whole; /* gets the tree instead of the handler; or NULL */
	xmlParserCtxtPtr parser;
	GError *error;    /* the first thing that was wrong */
	gint64 fed;       /* bytes */
	guint depth;      /* of the next element to begin */
	guint skip_depth; /* the element of this depth is skipped; G_MAXUINT: none */
	GPtrArray *open;  /* elements of the tree being built, root first; not owned but the root */
	gsize tree_bytes;
	guint tree_nodes;
	bool finished;
};

void gss_xml_node_free(void *data)
{
	GssXmlNode *node = data;
	if (node->text != NULL) {
		/* May be a token. */
		explicit_bzero(node->text->str, node->text->len);
		g_string_free(node->text, TRUE);
	}
	g_clear_pointer(&node->children, g_ptr_array_unref);
	g_strfreev(node->attributes);
	g_free(node);
}

const char *gss_xml_text(const GssXmlNode *node)
{
	return node->text != NULL ? node->text->str : "";
}

guint gss_xml_children(const GssXmlNode *node)
{
	return node->children != NULL ? node->children->len : 0;
}

const GssXmlNode *gss_xml_child(const GssXmlNode *node, const char *name)
{
	for (guint i = 0; i < gss_xml_children(node); i++) {
		const GssXmlNode *child = node->children->pdata[i];
		if (strcmp(child->name, name) == 0)
			return child;
	}
	return NULL;
}

const char *gss_xml_child_text(const GssXmlNode *node, const char *name)
{
	const GssXmlNode *child = gss_xml_child(node, name);
	return child != NULL && !child->nil ? gss_xml_text(child) : NULL;
}

const char *gss_xml_attribute(const GssXmlNode *node, const char *name)
{
	for (guint i = 0; node->attributes != NULL && node->attributes[i] != NULL; i += 2) {
		if (strcmp(node->attributes[i], name) == 0)
			return node->attributes[i + 1];
	}
	return NULL;
}

/* Recursion is bounded by GSS_XML_DEPTH_MAX. */
const GssXmlNode *gss_xml_find(const GssXmlNode *node, const char *name)
{
	for (guint i = 0; i < gss_xml_children(node); i++) {
		const GssXmlNode *child = node->children->pdata[i];
		if (strcmp(child->name, name) == 0)
			return child;
		const GssXmlNode *deeper = gss_xml_find(child, name);
		if (deeper != NULL)
			return deeper;
	}
	return NULL;
}

bool gss_xml_boolean(const char *text, const char *what, bool *ret, GError **error)
{
	g_autofree char *trimmed = g_strstrip(g_strdup(text));
	bool yes = strcmp(trimmed, "true") == 0 || strcmp(trimmed, "1") == 0;
	if (!yes && strcmp(trimmed, "false") != 0 && strcmp(trimmed, "0") != 0) {
		g_autofree char *shown = gss_quote(trimmed, -1, NULL);
		return gss_fail(error, EPROTO, "%s is “%s”, not a boolean", what, shown);
	}
	*ret = yes;
	return true;
}

/* Keeps the first error and stops the parser. */
static void stop(GssXml *xml, GError *error)
{
	if (xml->error == NULL)
		xml->error = error;
	else
		g_error_free(error);
	xmlStopParser(xml->parser);
}

static void refuse(GssXml *xml, const char *message)
{
	stop(xml, g_error_new(GSS_ERROR, EPROTO, "malformed XML: %s", message));
}

static bool grow(GssXml *xml, gsize bytes)
{
	xml->tree_bytes += bytes;
	if (xml->tree_bytes <= GSS_XML_TREE_MAX)
		return true;
	refuse(xml, "an item is too large");
	return false;
}

/* libxml2 gives attributes as five pointers each: local name, prefix, URI, value, its end. Where
 * entities are not substituted it leaves an ampersand as &#38;. */
static bool take_attributes(GssXml *xml, GssXmlNode *node, int count, const xmlChar **raw)
{
	if (count > GSS_XML_ATTRIBUTES_MAX) {
		refuse(xml, "too many attributes");
		return false;
	}
	g_autoptr(GStrvBuilder) kept = g_strv_builder_new();
	bool any = false;
	for (int i = 0; i < count; i++, raw += 5) {
		const char *name = (const char *)raw[0];
		gsize length = (gsize)(raw[4] - raw[3]);
		if (length > GSS_XML_TEXT_MAX || strlen(name) > GSS_XML_NAME_MAX) {
			refuse(xml, "an attribute is too long");
			return false;
		}
		g_autoptr(GString) value = g_string_new_len((const char *)raw[3], (gssize)length);
		g_string_replace(value, "&#38;", "&", 0);
		if (raw[1] != NULL) {
			if (strcmp(name, "nil") == 0)
				node->nil = strcmp(value->str, "true") == 0 ||
				            strcmp(value->str, "1") == 0;
			continue;
		}
		if (!grow(xml, length + strlen(name)))
			return false;
		g_strv_builder_add(kept, name);
		g_strv_builder_add(kept, value->str);
		any = true;
	}
	if (any)
		node->attributes = g_strv_builder_end(kept);
	return true;
}

static void build(GssXml *xml, const char *name, int count, const xmlChar **attributes)
{
	if (++xml->tree_nodes > GSS_XML_NODES_MAX) {
		refuse(xml, "an item has too many elements");
		return;
	}
	gsize length = strlen(name);
	GssXmlNode *node = g_malloc0(sizeof(GssXmlNode) + length + 1);
	memcpy(node->name, name, length);
	if (xml->open->len > 0) {
		GssXmlNode *parent = xml->open->pdata[xml->open->len - 1];
		if (parent->children == NULL)
			parent->children = g_ptr_array_new_with_free_func(gss_xml_node_free);
		g_ptr_array_add(parent->children, node);
	}
	g_ptr_array_add(xml->open, node);
	if (grow(xml, length))
		take_attributes(xml, node, count, attributes);
}

static void on_start(void *data, const xmlChar *local_name, const xmlChar *prefix,
                     const xmlChar *uri, int n_namespaces, const xmlChar **namespaces,
                     int n_attributes, int n_defaulted, const xmlChar **attributes)
{
	GssXml *xml = data;
	const char *name = (const char *)local_name;
	if (xml->error != NULL)
		return;
	guint depth = xml->depth++;
	if (depth >= GSS_XML_DEPTH_MAX) {
		refuse(xml, "it is nested too deeply");
		return;
	}
	if (strlen(name) > GSS_XML_NAME_MAX) {
		refuse(xml, "the name of an element is too long");
		return;
	}
	if (xml->skip_depth != G_MAXUINT)
		return;
	if (xml->open->len > 0) {
		build(xml, name, n_attributes, attributes);
		return;
	}
	GError *error = NULL;
	switch (xml->handler->open(depth, name, xml->data, &error)) {
	case GSS_XML_ENTER:
		break;
	case GSS_XML_TREE:
		xml->tree_bytes = 0;
		xml->tree_nodes = 0;
		build(xml, name, n_attributes, attributes);
		break;
	case GSS_XML_SKIP:
		xml->skip_depth = depth;
		break;
	case GSS_XML_FAIL:
		stop(xml, error);
		break;
	}
}

static void on_end(void *data, const xmlChar *local_name, const xmlChar *prefix, const xmlChar *uri)
{
	GssXml *xml = data;
	if (xml->error != NULL)
		return;
	guint depth = --xml->depth;
	if (xml->skip_depth == depth)
		xml->skip_depth = G_MAXUINT;
	if (xml->open->len == 0)
		return;
	GssXmlNode *node = xml->open->pdata[xml->open->len - 1];
	g_ptr_array_set_size(xml->open, (gint)xml->open->len - 1);
	if (xml->open->len > 0)
		return;
	GError *error = NULL;
	bool going_on = true;
	if (xml->whole != NULL) {
		*xml->whole = node;
	} else {
		going_on = xml->handler->tree(node, xml->data, &error);
		gss_xml_node_free(node);
	}
	if (!going_on)
		stop(xml, error);
}

static void on_text(void *data, const xmlChar *text, int length)
{
	GssXml *xml = data;
	if (xml->error != NULL || xml->open->len == 0)
		return;
	GssXmlNode *node = xml->open->pdata[xml->open->len - 1];
	if ((node->text != NULL ? node->text->len : 0) + (gsize)length > GSS_XML_TEXT_MAX) {
		refuse(xml, "a text is too long");
		return;
	}
	if (!grow(xml, (gsize)length))
		return;
	if (node->text == NULL)
		node->text = g_string_new_len((const char *)text, length);
	else
		g_string_append_len(node->text, (const char *)text, length);
}

static void on_doctype(void *data, const xmlChar *name, const xmlChar *external,
                       const xmlChar *system)
{
	refuse(data, "it has a DOCTYPE, which is not accepted");
}

static void on_reference(void *data, const xmlChar *name)
{
	refuse(data, "it has an entity of its own, which is not accepted");
}

static void on_error(void *data, xmlErrorPtr problem)
{
	GssXml *xml = data;
	if (problem->level != XML_ERR_FATAL || xml->error != NULL)
		return;
	g_autofree char *shown = gss_quote(
		problem->message != NULL ? problem->message : "not well-formed", -1, NULL);
	xml->error =
		g_error_new(GSS_ERROR, EPROTO, "malformed XML: %s (line %d)", shown, problem->line);
}

/* What libxml2 does not report to the parser (errors of the character encoding) would go to stderr.
 */
static void on_stray_error(void *data, xmlErrorPtr problem)
{
	GssXml *xml = data;
	if (problem->level >= XML_ERR_ERROR && xml->error == NULL)
		xml->error = g_error_new(GSS_ERROR, EPROTO,
		                         "malformed XML: its characters cannot be read");
}

static void on_stray_text(void *data, const char *format, ...)
{
	GssXml *xml = data;
	if (xml->error == NULL)
		xml->error = g_error_new(GSS_ERROR, EPROTO,
		                         "malformed XML: its characters cannot be read");
}

/* Those handlers belong to the thread; its own are put back. */
static int parse_chunk(GssXml *xml, const char *bytes, gsize length, bool last)
{
	xmlStructuredErrorFunc structured = xmlStructuredError;
	void *structured_data = xmlStructuredErrorContext;
	xmlGenericErrorFunc generic = xmlGenericError;
	void *generic_data = xmlGenericErrorContext;
	xmlSetStructuredErrorFunc(xml, on_stray_error);
	xmlSetGenericErrorFunc(xml, on_stray_text);
	int code = xmlParseChunk(xml->parser, bytes, (int)length, last);
	xmlSetStructuredErrorFunc(structured_data, structured);
	xmlSetGenericErrorFunc(generic_data, generic);
	return code;
}

static xmlEntityPtr no_entity(void *data, const xmlChar *name)
{
	return NULL;
}

GssXml *gss_xml_new(const GssXmlHandler *handler, void *data)
{
	GssXml *xml = g_new0(GssXml, 1);
	xml->handler = handler;
	xml->data = data;
	xml->skip_depth = G_MAXUINT;
	xml->open = g_ptr_array_new();
	xmlSAXHandler sax = {
		.initialized = XML_SAX2_MAGIC,
		.startElementNs = on_start,
		.endElementNs = on_end,
		.characters = on_text,
		.ignorableWhitespace = on_text,
		.cdataBlock = on_text,
		.internalSubset = on_doctype,
		.reference = on_reference,
		.getEntity = no_entity,
		.serror = on_error,
	};
	xml->parser = xmlCreatePushParserCtxt(&sax, xml, NULL, 0, NULL);
	if (xml->parser == NULL)
		g_error("out of memory");
	xmlCtxtUseOptions(xml->parser, XML_PARSE_NONET);
	return xml;
}

void gss_xml_free(GssXml *xml)
{
	if (xml == NULL)
		return;
	xmlFreeParserCtxt(xml->parser);
	if (xml->open->len > 0)
		gss_xml_node_free(xml->open->pdata[0]);
	g_ptr_array_unref(xml->open);
	g_clear_error(&xml->error);
	g_free(xml);
}

/* The parser stopped, or went on: has anything been wrong? */
static bool outcome(GssXml *xml, int code, GError **error)
{
	if (xml->error == NULL && code != XML_ERR_OK && xml->parser->wellFormed == 0)
		xml->error =
			g_error_new(GSS_ERROR, EPROTO, "malformed XML (libxml2 error %d)", code);
	if (xml->error == NULL)
		return true;
	if (error != NULL)
		*error = g_error_copy(xml->error);
	return false;
}

bool gss_xml_feed(GssXml *xml, const void *bytes, gsize length, GError **error)
{
	g_return_val_if_fail(!xml->finished, false);
	const char *rest = bytes;
	int code = XML_ERR_OK;
	xml->fed += (gint64)length;
	if (xml->fed > GSS_XML_MAX && xml->error == NULL)
		refuse(xml, "the answer is too large");
	while (length > 0 && xml->error == NULL && code == XML_ERR_OK) {
		gsize piece = MIN(length, FEED_MAX);
		code = parse_chunk(xml, rest, piece, false);
		rest += piece;
		length -= piece;
	}
	return outcome(xml, code, error);
}

bool gss_xml_finish(GssXml *xml, GError **error)
{
	xml->finished = true;
	int code = XML_ERR_OK;
	if (xml->error == NULL)
		code = parse_chunk(xml, NULL, 0, true);
	return outcome(xml, code, error);
}

static GssXmlVerdict build_all(guint depth, const char *name, void *data, GError **error)
{
	return GSS_XML_TREE;
}

GssXmlNode *gss_xml_parse(GBytes *document, GError **error)
{
	static const GssXmlHandler handler = {.open = build_all};
	GssXmlNode *root = NULL;
	g_autoptr(GssXml) xml = gss_xml_new(&handler, NULL);
	gsize length;
	const void *bytes = g_bytes_get_data(document, &length);
	xml->whole = &root;
	if (gss_xml_feed(xml, bytes, length, error) && gss_xml_finish(xml, error))
		return root;
	if (root != NULL)
		gss_xml_node_free(root);
	return NULL;
}
