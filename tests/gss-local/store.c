#include "store.h"

#include "plm.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <gio/gio.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct GlProject {
	char *root;
	char *state;
	GlPlm *plm;
	pthread_mutex_t names;
	gint serial; /* atomic; numbers the folders being deleted */
};

struct GlStore {
	char *root;
	char *first;
	pthread_mutex_t lock; /* protects projects */
	GHashTable *projects; /* name -> GlProject */
};

static bool fail(GError **error, const char *what, const char *path)
{
	int code = errno;
	g_set_error(error, G_FILE_ERROR, code, "%s %s: %s", what, path, g_strerror(code));
	return false;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
	return remove(path);
}

static bool remove_tree(const char *path, GError **error)
{
	if (nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
		return fail(error, "cannot delete", path);
	return true;
}

static void project_free(gpointer data)
{
	GlProject *project = data;
	g_clear_pointer(&project->plm, gl_plm_close);
	pthread_mutex_destroy(&project->names);
	g_free(project->root);
	g_free(project->state);
	g_free(project);
}

static bool make_folders(const char *root, GError **error)
{
	static const char *const folders[] = {"it4i_anselm/home",  "it4i_anselm/scratch",
	                                      "it4i_salomon/home", "it4i_salomon/scratch",
	                                      "plm/demo/model",    "images/anselm",
	                                      "images/salomon",    ".gss-local/tmp"};

	for (gsize i = 0; i < G_N_ELEMENTS(folders); i++) {
		g_autofree char *path = g_build_filename(root, folders[i], NULL);
		if (g_mkdir_with_parents(path, 0755) != 0)
			return fail(error, "cannot make the folder", path);
	}
	return true;
}

static GlProject *project_open(const char *root, GError **error)
{
	GlProject *project = g_new0(GlProject, 1);
	g_autofree char *ids = g_build_filename(root, ".gss-local", "plm.ids", NULL);
	g_autofree char *objects = g_build_filename(root, "plm", NULL);

	pthread_mutex_init(&project->names, NULL);
	project->root = g_strdup(root);
	project->state = g_build_filename(root, ".gss-local", "tmp", NULL);
	if (!remove_tree(project->state, error) || !make_folders(root, error) ||
	    (project->plm = gl_plm_open(objects, ids, error)) == NULL) {
		project_free(project);
		return NULL;
	}
	return project;
}

GlStore *gl_store_open(const char *root, const char *first_project, GError **error)
{
	GlStore *store = g_new0(GlStore, 1);

	pthread_mutex_init(&store->lock, NULL);
	store->root = g_canonicalize_filename(root, NULL);
	store->first = g_strdup(first_project);
	store->projects = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, project_free);
	if (gl_store_project(store, first_project, error) == NULL) {
		gl_store_close(store);
		return NULL;
	}
	return store;
}

void gl_store_close(GlStore *store)
{
	g_hash_table_unref(store->projects);
	pthread_mutex_destroy(&store->lock);
	g_free(store->root);
	g_free(store->first);
	g_free(store);
}

GlProject *gl_store_project(GlStore *store, const char *name, GError **error)
{
	pthread_mutex_lock(&store->lock);
	GlProject *project = g_hash_table_lookup(store->projects, name);
	if (project == NULL) {
		g_autofree char *root =
			g_str_equal(name, store->first)
				? g_strdup(store->root)
				: g_build_filename(store->root, "projects", name, NULL);
		project = project_open(root, error);
		if (project != NULL)
			g_hash_table_insert(store->projects, g_strdup(name), project);
	}
	pthread_mutex_unlock(&store->lock);
	return project;
}

const char *gl_project_root(const GlProject *project)
{
	return project->root;
}

GlPlm *gl_project_plm(const GlProject *project)
{
	return project->plm;
}

void gl_project_lock(GlProject *project)
{
	pthread_mutex_lock(&project->names);
}

void gl_project_unlock(GlProject *project)
{
	pthread_mutex_unlock(&project->names);
}

int gl_project_temporary(GlProject *project, char **ret_path, GError **error)
{
	g_autofree char *path = g_build_filename(project->state, "upload-XXXXXX", NULL);
	int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0644);

	if (fd < 0) {
		fail(error, "cannot make the file", path);
		return -1;
	}
	*ret_path = g_steal_pointer(&path);
	return fd;
}

bool gl_project_remove(GlProject *project, const char *path, GError **error)
{
	g_autofree char *grave = g_strdup_printf("%s/deleted-%d", project->state,
	                                         g_atomic_int_add(&project->serial, 1));

	gl_project_lock(project);
	int result = rename(path, grave);
	int code = errno;
	gl_project_unlock(project);
	errno = code;
	if (result != 0)
		return fail(error, "cannot delete", path);
	return remove_tree(grave, error);
}
