#include "place.h"

#include "plm.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
	const char *backend;
	const char *cluster;
	const char *rest;
} trees[] = {
	{"it4i_anselm", "anselm", "refissh_anselm"},
	{"it4i_salomon", "salomon", "refissh_salomon"},
};

const char *gl_place_backend(guint i)
{
	return i < G_N_ELEMENTS(trees) ? trees[i].backend : NULL;
}

const char *gl_place_cluster(guint i)
{
	return i < G_N_ELEMENTS(trees) ? trees[i].cluster : NULL;
}

const char *gl_place_rest(guint i)
{
	return i < G_N_ELEMENTS(trees) ? trees[i].rest : NULL;
}

void gl_place_free(GlPlace *place)
{
	g_free(place->disk);
	g_free(place->uri);
	g_free(place->name);
	g_free(place->number_place);
	g_clear_pointer(&place->url, g_ptr_array_unref);
	g_free(place);
}

static GPtrArray *segments_new(const char *first, const char *second)
{
	GPtrArray *segments = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(segments, g_strdup(first));
	g_ptr_array_add(segments, g_strdup(second));
	return segments;
}

/* Files and folders only; whatever else lies there behind the server's back does not exist. */
static GlPlaceType look(const char *path)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return GL_FREE;
	return S_ISREG(st.st_mode) ? GL_FILE : S_ISDIR(st.st_mode) ? GL_FOLDER : GL_FREE;
}

static GlPlace *tree_root(GlProject *project, guint tree)
{
	GlPlace *place = g_new0(GlPlace, 1);

	place->project = project;
	place->type = GL_FOLDER;
	place->disk = g_build_filename(gl_project_root(project), trees[tree].backend, NULL);
	place->uri = g_strconcat(trees[tree].backend, "://", NULL);
	place->name = g_strdup("");
	place->url = segments_new(trees[tree].rest, "files");
	place->fixed = place->closed = true;
	return place;
}

/* The URI and URL of an object of plm, from its number. */
static bool name_by_number(GlPlace *place, bool renew, GError **error)
{
	guint64 number =
		gl_plm_number(gl_project_plm(place->project), place->number_place, renew, error);
	if (number == 0)
		return false;

	g_auto(GStrv) parts = g_strsplit(place->number_place, "/", 3);
	char *text = g_strdup_printf("%" G_GUINT64_FORMAT, number);
	g_free(place->uri);
	place->uri = g_strdup_printf("plm://%s/%s/%s", parts[0], parts[1], text);
	g_clear_pointer(&place->url, g_ptr_array_unref);
	place->url = segments_new("plm", "objects");
	g_ptr_array_add(place->url, g_strdup(parts[0]));
	g_ptr_array_add(place->url, g_strdup(parts[1]));
	g_ptr_array_add(place->url, text);
	return true;
}

static GlPlace *plm_object(GlProject *project, char *number_place, GError **error)
{
	g_autoptr(GlPlace) place = g_new0(GlPlace, 1);

	place->project = project;
	place->number_place = number_place;
	place->disk = g_build_filename(gl_plm_root(gl_project_plm(project)), number_place, NULL);
	place->name = g_path_get_basename(number_place);
	place->type = look(place->disk);
	if (place->type == GL_FREE)
		place->type = GL_NOWHERE; /* its number died with it */
	if (!name_by_number(place, false, error))
		return NULL;
	/* The root of a model stays. */
	place->fixed = g_str_has_suffix(place->uri, "/1");
	return g_steal_pointer(&place);
}

static gpointer copy_segment(gconstpointer segment, gpointer data)
{
	return g_strdup(segment);
}

GlPlace *gl_place_child(const GlPlace *folder, const char *name, GError **error)
{
	g_autoptr(GlPlace) place = g_new0(GlPlace, 1);
	bool root = !folder->number_place && g_str_has_suffix(folder->uri, "://");

	place->project = folder->project;
	place->disk = g_build_filename(folder->disk, name, NULL);
	place->uri = g_strconcat(folder->uri, root ? "" : "/", name, NULL);
	place->name = g_strdup(name);
	place->url = g_ptr_array_copy(folder->url, copy_segment, NULL);
	g_ptr_array_set_free_func(place->url, g_free);
	g_ptr_array_add(place->url, g_strdup(name));
	if (folder->number_place != NULL)
		place->number_place = g_strconcat(folder->number_place, "/", name, NULL);

	if (folder->type != GL_FOLDER) {
		place->type = GL_NOWHERE;
		return g_steal_pointer(&place);
	}
	/* The root of a tree holds home and scratch and nothing else. */
	bool known = !root || strcmp(name, "home") == 0 || strcmp(name, "scratch") == 0;
	place->type = known ? look(place->disk) : GL_FREE;
	place->fixed = root;
	place->closed = place->type == GL_FREE && folder->closed;
	if (place->number_place != NULL && place->type != GL_FREE &&
	    !name_by_number(place, false, error))
		return NULL;
	return g_steal_pointer(&place);
}

static GlPlace *descend(GlPlace *start, char **names, GError **error)
{
	g_autoptr(GlPlace) place = start;

	for (guint i = 0; names[i] != NULL; i++) {
		if (!gl_text_name_valid(names[i])) {
			g_set_error_literal(error, G_FILE_ERROR, EINVAL,
			                    "an empty or illegal name in the path");
			return NULL;
		}
		GlPlace *child = gl_place_child(place, names[i], error);
		if (child == NULL)
			return NULL;
		gl_place_free(place);
		place = child;
	}
	return g_steal_pointer(&place);
}

/* REPO, MODEL, NUMBER and perhaps a name. */
static GlPlace *plm_from_segments(GlProject *project, char **segments, GError **error)
{
	GlPlm *plm = gl_project_plm(project);
	guint count = g_strv_length(segments);
	guint64 number = 0;

	for (guint i = 0; i < MIN(count, 2); i++)
		if (!gl_text_name_valid(segments[i]))
			count = 0;
	if (count < 3 || count > 4 ||
	    !g_ascii_string_to_unsigned(segments[2], 10, 1, G_MAXUINT64, &number, NULL)) {
		g_set_error_literal(error, G_FILE_ERROR, EINVAL,
		                    "an object is named plm://REPOSITORY/MODEL/NUMBER");
		return NULL;
	}
	char *known = gl_plm_place(plm, segments[0], segments[1], number);
	if (known == NULL) {
		GlPlace *nowhere = g_new0(GlPlace, 1);
		g_autofree char *joined = g_strjoinv("/", segments);

		nowhere->project = project;
		nowhere->type = GL_NOWHERE;
		nowhere->disk = g_strdup("");
		nowhere->uri = g_strconcat("plm://", joined, NULL);
		nowhere->name = g_strdup(segments[count - 1]);
		nowhere->url = segments_new("plm", "objects");
		return nowhere;
	}
	GlPlace *object = plm_object(project, known, error);
	return object == NULL ? NULL : descend(object, segments + 3, error);
}

GlPlace *gl_place_from_uri(GlProject *project, const char *uri, GError **error)
{
	const char *location = strstr(uri, "://");

	if (location != NULL) {
		g_autofree char *backend = g_strndup(uri, (gsize)(location - uri));

		location += 3;
		g_auto(GStrv) names = g_strsplit(location, "/", -1);
		if (strcmp(backend, "plm") == 0)
			return plm_from_segments(project, names, error);
		for (guint i = 0; i < G_N_ELEMENTS(trees); i++)
			if (strcmp(backend, trees[i].backend) == 0)
				return descend(tree_root(project, i), names, error);
	}
	g_set_error(error, G_FILE_ERROR, EINVAL, "no storage is known for %s", uri);
	return NULL;
}

GlPlace *gl_place_from_url(GlProject *project, const char *path, GError **error)
{
	g_auto(GStrv) segments = g_strsplit(path, "/", -1);
	guint count = g_strv_length(segments);

	for (guint i = 1; i < count; i++) {
		char *plain = g_uri_unescape_segment(segments[i], NULL, NULL);
		if (plain == NULL) {
			g_set_error_literal(error, G_FILE_ERROR, EINVAL, "malformed URL");
			return NULL;
		}
		g_free(segments[i]);
		segments[i] = plain;
	}
	if (count >= 3 && strcmp(segments[1], "plm") == 0 && strcmp(segments[2], "objects") == 0)
		return plm_from_segments(project, segments + 3, error);
	for (guint i = 0; count >= 3 && i < G_N_ELEMENTS(trees); i++) {
		if (strcmp(segments[1], trees[i].rest) != 0 || strcmp(segments[2], "files") != 0)
			continue;
		/* The URL of the root may end in a slash. */
		bool root = count == 4 && segments[3][0] == '\0';
		return descend(tree_root(project, i), segments + (root ? 4 : 3), error);
	}
	g_set_error_literal(error, G_FILE_ERROR, EINVAL, "no storage is served there");
	return NULL;
}

static int compare(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *gl_place_list(const GlPlace *folder, GError **error)
{
	g_autoptr(GDir) dir = g_dir_open(folder->disk, 0, error);
	const char *name;

	if (dir == NULL)
		return NULL;
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	while ((name = g_dir_read_name(dir)) != NULL)
		if (gl_text_name_valid(name))
			g_ptr_array_add(names, g_strdup(name));
	g_ptr_array_sort(names, compare);
	return names;
}

static bool fail(GError **error, int code)
{
	g_set_error_literal(error, G_FILE_ERROR, code, g_strerror(code));
	return false;
}

/* plm: a number for what is about to be made; it dies unused when that fails. */
static bool take_number(GlPlace *place, GError **error)
{
	return place->number_place == NULL || name_by_number(place, true, error);
}

bool gl_place_make_folder(GlPlace *place, GError **error)
{
	bool made = false;

	gl_project_lock(place->project);
	if (look(place->disk) != GL_FREE)
		fail(error, EEXIST);
	else if (take_number(place, error))
		made = mkdir(place->disk, 0755) == 0 || fail(error, errno);
	gl_project_unlock(place->project);
	if (made)
		place->type = GL_FOLDER;
	return made;
}

bool gl_place_move_in(GlPlace *place, const char *from, bool replace, GError **error)
{
	bool moved = false;

	gl_project_lock(place->project);
	GlPlaceType found = look(place->disk);
	if (replace && found != GL_FILE)
		fail(error, ENOENT);
	else if (!replace && found != GL_FREE)
		fail(error, EEXIST);
	else if (replace || take_number(place, error))
		moved = renameat2(AT_FDCWD, from, AT_FDCWD, place->disk,
		                  replace ? 0 : RENAME_NOREPLACE) == 0 ||
		        fail(error, errno);
	gl_project_unlock(place->project);
	if (moved)
		place->type = GL_FILE;
	return moved;
}

char *gl_place_url(const GlPlace *place, const char *host, bool raw)
{
	GString *url = g_string_new("http://");

	g_string_append(url, host);
	for (guint i = 0; i < place->url->len; i++) {
		g_autofree char *segment =
			gl_text_escape_segment(g_ptr_array_index(place->url, i), raw);
		g_string_append_c(url, '/');
		g_string_append(url, segment);
	}
	return g_string_free(url, FALSE);
}
