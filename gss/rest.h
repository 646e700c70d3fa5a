/* gss/rest.h - a step of a call: one request that a resource describes. Files only: EISDIR for
 * folders, unless the step is for them.
 *
 * Resolves the resource first where its descriptions are missing (a minimal listing) or carry a
 * token of an earlier generation. After 401 or 403 the token is validated (and renewed when it is
 * dead), the resource resolved anew, and the request made once more. On gss-net only.
 */
#pragma once

#include "gss/call.h"
#include "gss/http.h"
#include "gss/resource-private.h"

typedef struct {
	GssVerb verb;
	GssResource *resource; /* a reference is taken */
	bool folder;           /* for folders too */
	const char *method;    /* instead of the described one; NULL: as described */
	const char *query;     /* added to the URL; static, may be NULL */
	GssLane lane;
	bool large, modifying, patient; /* as in GssRequest, and the next */
	const gint64 *until;
	const char *const *headers; /* "Key: value", further ones; copied; may be NULL */
	bool has_body;
	guint64 length;
	gssize (*read)(void *buffer, gsize size, guint64 offset, void *data, GError **error);
	void (*progress)(guint64 sent, void *data);
	void *source_data;
	/* For answers of status 2xx alone; as in GssRequest, may be NULL. */
	GssHeadVerdict (*head)(const GssAnswer *answer, void *data, GError **error);
	bool (*body)(const void *bytes, gsize length, void *data, GError **error);
	/* `answer` NULL: there was none. `resource` is the one that was used last. Always called,
	 * unless the call is cancelled; the step is over by then. */
	void (*done)(const GssAnswer *answer, GssResource *resource, const GError *error,
	             void *data);
	void *data; /* the call itself, or what it owns */
} GssRestSpec;

void gss_rest_start(GssCall *call, const GssRestSpec *spec);

/* Starts getResourceInformation for `uri` as a step of `call`. Either `done` is called, or, when
 * the call is cancelled, `abandon` (may be NULL). */
typedef void (*GssResolved)(GssResource *resource, const GError *error, void *data);
void gss_resolve_start(GssCall *call, const char *uri, GssResolved done,
                       void (*abandon)(void *data), void *data);
