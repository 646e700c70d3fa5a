/* place.h - what a GSS URI or a storage URL speaks of.
 *
 * Two kinds of storage: trees, whose URIs and URLs are paths, and plm, whose URIs and URLs are
 * numbers. A free name in a folder has an address on both: the folder's, "/", the name.
 *
 * Threads: pure but for the disk and the map of numbers; a place belongs to who made it.
 */
#pragma once

#include "store.h"

typedef enum {
	GL_FILE,
	GL_FOLDER,
	GL_FREE,   /* nothing there, but the folder is */
	GL_NOWHERE /* not even the folder, or it is a file */
} GlPlaceType;

typedef struct {
	GlProject *project;
	GlPlaceType type;
	char *disk;         /* where it lies, or would lie */
	char *uri;          /* the true one; of a free name its address */
	char *name;         /* visual name; "" for the root of a tree */
	GPtrArray *url;     /* unescaped segments of the URL's path */
	char *number_place; /* plm: for gl_plm_number(); NULL on trees */
	bool fixed;         /* cannot be deleted: the roots */
	bool closed;        /* folder: nothing can be made in it; free: cannot be made */
} GlPlace;
void gl_place_free(GlPlace *place);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GlPlace, gl_place_free)

/* EINVAL: not a URI of a storage served here, or an illegal name in it. A number of plm that was
 * never given out is GL_NOWHERE. */
GlPlace *gl_place_from_uri(GlProject *project, const char *uri, GError **error);
/* From the escaped path of a URL. */
GlPlace *gl_place_from_url(GlProject *project, const char *path, GError **error);
/* A name in a folder; GL_FREE when it is not there. `name` must be valid. */
GlPlace *gl_place_child(const GlPlace *folder, const char *name, GError **error);

/* The names in a folder that the platform can hold, sorted. */
GPtrArray *gl_place_list(const GlPlace *folder, GError **error);
/* Both make a free place real: it gets its type, and on plm its true URI and URL. EEXIST: somebody
 * was faster; ENOENT: the folder went away. The second moves the file `from` there; with `replace`
 * the place is a file, and ENOENT that it is gone. */
bool gl_place_make_folder(GlPlace *place, GError **error);
bool gl_place_move_in(GlPlace *place, const char *from, bool replace, GError **error);

/* The URL on `host`. */
char *gl_place_url(const GlPlace *place, const char *host, bool raw);

/* The trees: i from 0; NULL after the last. */
const char *gl_place_backend(guint i); /* it4i_anselm */
const char *gl_place_cluster(guint i); /* anselm */
const char *gl_place_rest(guint i);    /* refissh_anselm, the first segment of its URLs */
