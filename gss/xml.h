/* gss/xml.h - reading XML that comes from outside, as a stream.
 *
 * A GssXml takes the document in pieces. For each element outside of a tree its owner says what to
 * do with it: go into it, build it as a small tree (handed over when it is complete, then freed, so
 * that a long list needs no more memory than its longest item), or skip it. Names are local names,
 * prefixes don't matter. Nothing is loaded, no DOCTYPE is accepted, no entity but the five of XML
 * is known, and everything has a bound; whatever breaks a rule is an EPROTO whose message says
 * what.
 *
 * Threads: one object, one thread. gss_client_new() initialises libxml2.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define GSS_XML_DEPTH_MAX 48
#define GSS_XML_ATTRIBUTES_MAX 64
#define GSS_XML_NAME_MAX 512               /* bytes, names of elements and attributes */
#define GSS_XML_TEXT_MAX (256 * 1024)      /* bytes, one text or attribute value */
#define GSS_XML_TREE_MAX (8 * 1024 * 1024) /* bytes, all names and texts of a tree */
#define GSS_XML_NODES_MAX (256 * 1024)     /* elements of a tree */
#define GSS_XML_MAX (512LL * 1024 * 1024)  /* bytes, a document */

typedef struct GssXmlNode GssXmlNode;
struct GssXmlNode {
	GString *text;       /* all text directly in it; NULL when there is none */
	GPtrArray *children; /* GssXmlNode, NULL when there are none */
	char **attributes; /* name, value, name, value, …, NULL; those without a prefix; or NULL */
	bool nil;          /* xsi:nil */
	char name[];       /* local name */
};

/* All text directly in it, "" when there is none. */
const char *gss_xml_text(const GssXmlNode *node);
/* The first child of a name, or NULL. */
const GssXmlNode *gss_xml_child(const GssXmlNode *node, const char *name);
/* The text of the first child of a name; NULL when there is none or it is nil. */
const char *gss_xml_child_text(const GssXmlNode *node, const char *name);
/* The value of an attribute, or NULL. */
const char *gss_xml_attribute(const GssXmlNode *node, const char *name);
/* The first element of a name among all descendants of `node`, in the order of the document. */
const GssXmlNode *gss_xml_find(const GssXmlNode *node, const char *name);
guint gss_xml_children(const GssXmlNode *node); /* how many */

/* xs:boolean ("true", "false", "1", "0", blanks around it); EPROTO. */
bool gss_xml_boolean(const char *text, const char *what, bool *ret, GError **error);

typedef enum {
	GSS_XML_ENTER, /* ask again for its children */
	GSS_XML_TREE,  /* build it */
	GSS_XML_SKIP,
	GSS_XML_FAIL, /* error is set */
} GssXmlVerdict;

typedef struct {
	/* An element begins; `depth` is 0 for the root. */
	GssXmlVerdict (*open)(guint depth, const char *name, void *data, GError **error);
	/* A tree is complete. False with an error ends the reading. */
	bool (*tree)(const GssXmlNode *node, void *data, GError **error);
} GssXmlHandler;

typedef struct GssXml GssXml;

/* `handler` must outlive the object. */
GssXml *gss_xml_new(const GssXmlHandler *handler, void *data);
void gss_xml_free(GssXml *xml);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GssXml, gss_xml_free)

bool gss_xml_feed(GssXml *xml, const void *bytes, gsize length, GError **error);
/* The document ends here. */
bool gss_xml_finish(GssXml *xml, GError **error);

/* The whole of a small document as a tree; free it with gss_xml_node_free(). */
GssXmlNode *gss_xml_parse(GBytes *document, GError **error);
void gss_xml_node_free(void *node);
