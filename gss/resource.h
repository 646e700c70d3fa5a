/* gss/resource.h - what GSS says of one file, folder or free name.
 *
 * GssResource is immutable after it was made, counted by reference, and may be used from any
 * thread. It carries the request descriptions, whose headers hold the session token: it lives in
 * memory only and is never written anywhere.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef enum {
	GSS_TYPE_NOTEXIST, /* a name that is free; may carry a create description */
	GSS_TYPE_FILE,
	GSS_TYPE_FOLDER,
} GssType;

typedef struct GssResource GssResource;

GssResource *gss_resource_ref(GssResource *resource);
void gss_resource_unref(GssResource *resource);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GssResource, gss_resource_unref)

/* visualName as it came, never NULL; "" when missing. A listing may name things that a file system
 * can't show: check with gss_name_check(). */
const char *gss_resource_name(const GssResource *resource);
/* uniqueName; NULL when the service did not say. */
const char *gss_resource_uri(const GssResource *resource);
GssType gss_resource_type(const GssResource *resource);
/* The true URI is known only after the resource was created (protocol, section 4). */
bool gss_resource_query_for_name(const GssResource *resource);

/* Does the storage take a new file of this free name? EPERM. */
bool gss_resource_creatable(const GssResource *resource, GError **error);

/* Is there no difference between what the service said of the one and of the other? */
bool gss_resource_equal(const GssResource *a, const GssResource *b);

/* What is known of one version of a file. `size` is proven or -1; the others as the storage gives
 * them: mtime in ns since the epoch or -1 (Last-Modified has a resolution of one second), etag
 * NULL when there is none. */
typedef struct {
	gint64 size;
	gint64 mtime;
	char *etag;
} GssVersion;

#define GSS_VERSION_INIT ((GssVersion){.size = -1, .mtime = -1, .etag = NULL})
void gss_version_clear(GssVersion *version); /* frees etag, resets to GSS_VERSION_INIT */
void gss_version_copy(GssVersion *to, const GssVersion *from); /* clears `to` first */
/* Takes over what `known`, which is the same version, does not tell. */
void gss_version_add(GssVersion *known, const GssVersion *version);
/* Do all fields that both sides know agree (and both know the size)? */
bool gss_version_equal(const GssVersion *a, const GssVersion *b);
/* Is there more than their sizes to compare: have both a date, or both an ETag? */
bool gss_version_validated(const GssVersion *a, const GssVersion *b);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GssVersion, gss_version_clear)
