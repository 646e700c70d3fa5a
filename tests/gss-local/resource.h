/* resource.h - ResourceInformation: a place with the requests that may be made of it, as XML (SOAP)
 * and as JSON (GET of a folder). */
#pragma once

#include "http.h"
#include "place.h"

/* Who asks, and how things are to be spelt. Copied out of a request, so that a streamed listing may
 * outlive its call. */
typedef struct {
	char *host;
	char *token;
	GlSettings settings;
} GlLinks;
GlLinks *gl_links_new(GlRequest *request, const char *token);
void gl_links_free(GlLinks *links);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GlLinks, gl_links_free)

#define GL_EXTRA_HEADER "X-Storage-Hint"
#define GL_EXTRA_VALUE "as described"

/* The inside of the element. `minimal`: without request descriptions. */
void gl_resource_append_xml(GString *out, const GlPlace *place, const GlLinks *links, bool minimal);
/* An object. `full`: with size and date. */
void gl_resource_append_json(GString *out, const GlPlace *place, const GlLinks *links, bool full);
