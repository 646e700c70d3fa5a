#include "image_store.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE (16 * 1024 * 1024) /* copied between two looks at whether the server ends */
#define SUFFIX ".simg"

static bool is_name_character(char c)
{
	return g_ascii_islower(c) || g_ascii_isdigit(c) || c == '-' || c == '_';
}

bool gl_image_name_valid(const char *name)
{
	gsize length = strlen(name);

	if (length <= strlen(SUFFIX) || length > 255 || !g_str_has_suffix(name, SUFFIX))
		return false;
	length -= strlen(SUFFIX);
	gsize base = strcspn(name, ":");
	if (base == 0 || base + 1 == length)
		return false;
	for (gsize i = 0; i < length; i++) {
		bool tag = i > base && (g_ascii_isupper(name[i]) || name[i] == '.');
		if (i != base && !is_name_character(name[i]) && !tag)
			return false;
	}
	return true;
}

static char *folder(GlProject *project, guint cluster)
{
	return g_build_filename(gl_project_root(project), "images", gl_place_cluster(cluster),
	                        NULL);
}

char *gl_image_path(GlProject *project, guint cluster, const char *name)
{
	g_autofree char *parent = folder(project, cluster);
	return g_build_filename(parent, name, NULL);
}

static int compare(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *gl_image_list(GlProject *project, guint cluster, GError **error)
{
	g_autofree char *path = folder(project, cluster);
	g_autoptr(GDir) dir = g_dir_open(path, 0, error);
	const char *name;

	if (dir == NULL)
		return NULL;
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	while ((name = g_dir_read_name(dir)) != NULL)
		if (gl_image_name_valid(name))
			g_ptr_array_add(names, g_strdup(name));
	g_ptr_array_sort(names, compare);
	return names;
}

static bool fail(GError **error, int code)
{
	g_set_error_literal(error, G_FILE_ERROR, code, g_strerror(code));
	return false;
}

static bool copy_bytes(int from, int to, GlHalt *halt, GError **error)
{
	if (ioctl(to, FICLONE, from) == 0)
		return true;
	for (;;) {
		if (gl_halt_stopping(halt))
			return fail(error, ECANCELED);
		gssize copied = copy_file_range(from, NULL, to, NULL, PIECE, 0);
		if (copied == 0)
			return true;
		if (copied < 0 && errno != EINTR)
			return fail(error, errno);
	}
}

static bool copy_aside(GlProject *project, const char *source, GlHalt *halt, char **ret_path,
                       GError **error)
{
	int from = open(source, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (from < 0)
		return fail(error, errno);
	int to = gl_project_temporary(project, ret_path, error);
	bool copied = to >= 0 && copy_bytes(from, to, halt, error);

	close(from);
	if (to >= 0)
		close(to);
	return copied;
}

bool gl_image_copy(GlProject *project, guint cluster, const char *name, const char *source,
                   bool replace, GlHalt *halt, GError **error)
{
	g_autofree char *target = gl_image_path(project, cluster, name);
	g_autofree char *aside = NULL;
	bool done = copy_aside(project, source, halt, &aside, error);

	if (done) {
		gl_project_lock(project);
		if (replace && access(target, F_OK) != 0)
			done = fail(error, ENOENT);
		else if (renameat2(AT_FDCWD, aside, AT_FDCWD, target,
		                   replace ? 0 : RENAME_NOREPLACE) != 0)
			done = fail(error, errno);
		gl_project_unlock(project);
	}
	if (!done && aside != NULL && unlink(aside) != 0)
		g_warning("cannot delete %s: %s", aside, g_strerror(errno));
	return done;
}
