/* gss/description.h - request descriptions: how the service wants a resource read, made, replaced
 * or removed.
 *
 * GssDescriptions is what one resource has of them: at most one a verb, as they came; nothing is
 * trusted before gss_resource_prepare(). Those of the files in one folder differ in the name of the
 * file only. So a URL is kept as what stands before and behind the name, and resources for which
 * that gives, letter by letter, what the service said have one GssDescriptions together.
 *
 * Immutable after it was made, counted by reference, any thread. Holds the session token: memory
 * only, wiped when freed.
 */
#pragma once

#include "gss/xml.h"

#define GSS_DESCRIPTION_HEADERS_MAX 64

typedef enum {
	GSS_VERB_CREATE,
	GSS_VERB_READ,
	GSS_VERB_UPDATE,
	GSS_VERB_DELETE,
	GSS_VERB_META,
	GSS_VERBS,
} GssVerb;
const char *gss_verb_name(GssVerb verb); /* of the element */

/* What the descriptions of one resource mostly have in common. */
typedef struct {
	gatomicrefcount references;
	char *method;      /* or NULL */
	char *token_field; /* or NULL */
	GPtrArray *keys;   /* char, as many as values; never NULL */
	GPtrArray *values; /* char, wiped when freed */
} GssForm;

typedef struct {
	GssForm *form; /* NULL: there is no description of this verb */
	char *head;    /* of the URL, up to the name, with scheme and host at least; NULL: no URL */
	char *tail;    /* what follows the name; NULL: the name does not occur, head is all */
	bool escaped;  /* the name stands there as URLs have it */
	bool supported;
} GssDescription;

typedef struct {
	gatomicrefcount references;
	GssDescription of[GSS_VERBS];
} GssDescriptions;

/* Those of the ResourceInformation element `node`, whose visualName is `name`; or another reference
 * to `like` (may be NULL) if that says the same. *ret NULL: it has none. EPROTO. */
bool gss_descriptions_decode(const GssXmlNode *node, const char *name, GssDescriptions *like,
                             GssDescriptions **ret, GError **error);
GssDescriptions *gss_descriptions_ref(GssDescriptions *descriptions);
void gss_descriptions_unref(GssDescriptions *descriptions); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GssDescriptions, gss_descriptions_unref)

bool gss_descriptions_equal(const GssDescriptions *a, const GssDescriptions *b);

/* The URL for the resource of that name; NULL when it has none. */
char *gss_description_url(const GssDescription *description, const char *name);
