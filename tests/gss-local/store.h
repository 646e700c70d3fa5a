/* store.h - the served folder.
 *
 *   DIR/it4i_anselm/{home,scratch}/...   the tree storages, ordinary files
 *   DIR/it4i_salomon/{home,scratch}/...
 *   DIR/plm/REPO/MODEL/...               the opaque storage, by visual names (demo/model is made)
 *   DIR/images/CLUSTER/NAME              registered images
 *   DIR/.gss-local/                      uploads under way, folders being deleted, plm.ids
 *   DIR/projects/PROJECT/...             the same for every project but the first user's
 *
 * Everything may be looked at and changed behind the server's back. One server a folder.
 *
 * Threads: locked inside; any thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct GlStore GlStore;
typedef struct GlProject GlProject;
typedef struct GlPlm GlPlm;

/* Makes what is missing, and throws away uploads that an earlier server left half-done. */
GlStore *gl_store_open(const char *root, const char *first_project, GError **error);
void gl_store_close(GlStore *store);

/* The project's part; lives as long as the store. */
GlProject *gl_store_project(GlStore *store, const char *name, GError **error);
const char *gl_project_root(const GlProject *project);
GlPlm *gl_project_plm(const GlProject *project);

/* The names of a folder change under this lock, so that "is it there" and "make it" are one step.
 * Held for moments only, never while bytes move. */
void gl_project_lock(GlProject *project);
void gl_project_unlock(GlProject *project);

/* A new file for an upload or copy, to be renamed into place. Returns its descriptor
 * (close-on-exec) or -1; `ret_path` is its path. */
int gl_project_temporary(GlProject *project, char **ret_path, GError **error);

/* Deletes a file, or a folder with everything in it: for others it is gone at once. */
bool gl_project_remove(GlProject *project, const char *path, GError **error);
