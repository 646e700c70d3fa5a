/* listing.h - the entries of a folder as a stream, so that a folder of any size costs its names
 * only. */
#pragma once

#include "resource.h"

typedef enum {
	GL_LISTING_FULL,
	GL_LISTING_MINIMAL,
	GL_LISTING_JSON,
	GL_LISTING_JSON_FULL
} GlListingForm;

typedef struct GlListing GlListing;

/* Takes the place, which is a folder, and the links, also on failure. */
GlListing *gl_listing_new(GlPlace *folder, GlLinks *links, GlListingForm form, GError **error);
void gl_listing_free(gpointer listing);
/* A GlReplySource: some entries at a time; for SOAP one <return> each, for JSON the whole array. */
bool gl_listing_next(GString *out, gpointer listing);
