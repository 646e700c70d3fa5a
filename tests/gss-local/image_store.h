/* image_store.h - the registered images of a cluster: DIR/images/CLUSTER/NAME, copies of their
 * sources.
 *
 * Threads: any; names change atomically.
 */
#pragma once

#include "halt.h"
#include "place.h"

/* Ending in .simg, before that lowercase letters, digits, - and _, and perhaps a colon and a tag,
 * in which capitals and dots may occur too. */
bool gl_image_name_valid(const char *name);

char *gl_image_path(GlProject *project, guint cluster, const char *name);
/* The registered names, sorted. */
GPtrArray *gl_image_list(GlProject *project, guint cluster, GError **error);

/* Copies `source` (a path) to the name. EEXIST, ENOENT: it is there already, or (`replace`) not
 * there; ECANCELED: the server ended. */
bool gl_image_copy(GlProject *project, guint cluster, const char *name, const char *source,
                   bool replace, GlHalt *halt, GError **error);
