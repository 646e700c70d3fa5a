/* gss/resource-private.h - how a resource is made, and its request descriptions. */
#pragma once

#include "gss/resource.h"
#include "gss/url.h"
#include "gss/xml.h"

#define GSS_DESCRIPTION_HEADERS_MAX 64
#define GSS_HEADER_KEY_MAX 256
#define GSS_HEADER_VALUE_MAX 16384

typedef enum {
	GSS_VERB_CREATE,
	GSS_VERB_READ,
	GSS_VERB_UPDATE,
	GSS_VERB_DELETE,
	GSS_VERB_META,
	GSS_VERBS,
} GssVerb;

/* What the descriptions of a thousand files in one folder have in common; they share it. */
typedef struct {
	gatomicrefcount references;
	char *method;      /* or NULL */
	char *token_field; /* or NULL */
	GPtrArray *keys;   /* char, as many as values; never NULL */
	GPtrArray *values; /* char, wiped when freed */
} GssForm;

/* A RequestDescription as it came. Nothing of it is trusted before gss_resource_prepare(). */
typedef struct {
	GssForm *form; /* NULL: there is no description */
	char *url;     /* GRefString, or NULL */
	bool supported;
} GssDescription;

struct GssResource {
	gatomicrefcount references;
	char *name;
	char *uri;     /* GRefString, or NULL; the same */
	char *address; /* what to ask for when the descriptions went stale; NULL: unknown */
	GssType type;
	bool query_for_name;
	bool described;   /* there is at least one description */
	guint generation; /* of the token that the descriptions carry */
	GssDescription descriptions[GSS_VERBS];
};

/* From a ResourceInformation element. `address`: what was asked for, NULL: its own URI. `like`:
 * another one of the same answer, with which it shares what is the same; may be NULL. EPROTO. */
GssResource *gss_resource_decode(const GssXmlNode *node, const char *address, guint generation,
                                 const GssResource *like, GError **error);

/* A description checked and ready to be sent. */
typedef struct {
	GssUrl url;
	const char *method; /* static string */
	GPtrArray *headers; /* "Key: value", wiped when freed */
} GssPrepared;
void gss_prepared_clear(GssPrepared *prepared);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GssPrepared, gss_prepared_clear)

/* Follows the description of `verb`. EPERM: not supported; EPROTO: it may not be followed (method,
 * URL, headers), the message says why. */
bool gss_resource_prepare(const GssResource *resource, GssVerb verb, const char *token,
                          bool allow_http, GssPrepared *ret, GError **error);
