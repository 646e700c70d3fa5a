/* gss/resource-private.h - how a resource is made, and its descriptions followed. */
#pragma once

#include "gss/description.h"
#include "gss/resource.h"
#include "gss/url.h"

#define GSS_HEADER_KEY_MAX 256
#define GSS_HEADER_VALUE_MAX 16384

struct GssResource {
	gatomicrefcount references;
	guint generation;              /* of the token that the descriptions carry */
	GssDescriptions *descriptions; /* NULL: it has none */
	char *asked;                   /* what was asked for; NULL: its own URI */
	guint32 uri;                   /* where in texts; 0: none */
	guint8 type;                   /* GssType */
	bool query_for_name;
	char texts[]; /* the name, and the URI */
};

/* What to ask for when the descriptions went stale; NULL: unknown. */
const char *gss_resource_address(const GssResource *resource);
/* NULL: it has none for this verb. */
const GssDescription *gss_resource_description(const GssResource *resource, GssVerb verb);

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
