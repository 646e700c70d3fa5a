#include "fs/ctl/mounts.h"

#include "fs/ctl/ctl.h"
#include "fs/ctl/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOUNTINFO "/proc/self/mountinfo"
#define TYPE "fuse.gssfs"
#define USER "user_id="

static void mount_free(void *data)
{
	CtlMount *mount = data;
	g_free(mount->path);
	g_free(mount->source);
	g_free(mount);
}

void ctl_place_free(CtlPlace *place)
{
	g_free(place->path);
	g_free(place->relative);
	g_free(place);
}

/* The kernel tells whose a mount of FUSE is. */
static bool is_ours(const char *options)
{
	g_auto(GStrv) words = g_strsplit(options, ",", -1);
	guint64 user = G_MAXUINT64;

	for (guint i = 0; words[i] != NULL; i++) {
		if (g_str_has_prefix(words[i], USER))
			g_ascii_string_to_unsigned(words[i] + strlen(USER), 10, 0, G_MAXUINT32,
			                           &user, NULL);
	}
	return user == geteuid();
}

/* "36 35 98:0 /root /mountpoint rw,noatime shared:1 - fuse.gssfs it4i_anselm:// rw"; the optional
 * fields end with the dash. NULL: the line is of another shape. */
static CtlMount *parse_line(const char *line)
{
	g_auto(GStrv) words = g_strsplit(line, " ", -1);
	guint count = g_strv_length(words);
	guint dash = 6;

	while (dash < count && strcmp(words[dash], "-") != 0)
		dash++;
	if (dash + 2 >= count)
		return NULL;
	CtlMount *mount = g_new0(CtlMount, 1);
	mount->path = ctl_unescape(words[4]);
	mount->source = ctl_unescape(words[dash + 2]);
	/* A folder of a mount that is bound elsewhere has no control file of the root. */
	mount->gssfs = strcmp(words[dash + 1], TYPE) == 0 && strcmp(words[3], "/") == 0;
	mount->ours = mount->gssfs && dash + 3 < count && is_ours(words[dash + 3]);
	return mount;
}

GPtrArray *ctl_mounts_parse(const char *text)
{
	GPtrArray *mounts = g_ptr_array_new_with_free_func(mount_free);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	for (guint i = 0; lines[i] != NULL; i++) {
		CtlMount *mount = parse_line(lines[i]);
		if (mount == NULL)
			continue;
		/* The later is on top. */
		for (guint j = 0; j < mounts->len; j++) {
			const CtlMount *below = mounts->pdata[j];
			if (strcmp(below->path, mount->path) == 0)
				g_ptr_array_remove_index(mounts, j--);
		}
		g_ptr_array_add(mounts, mount);
	}
	return mounts;
}

GPtrArray *ctl_mounts(GError **error)
{
	g_autofree char *text = NULL;
	g_autoptr(GError) failure = NULL;

	if (!g_file_get_contents(MOUNTINFO, &text, NULL, &failure)) {
		ctl_fail(error, EIO, "%s", failure->message);
		return NULL;
	}
	return ctl_mounts_parse(text);
}

/* Absolute and without symbolic links; of what does not exist (yet) the folder is. NULL: errno. */
static char *resolve(const char *path)
{
	char *real = realpath(path, NULL);

	if (real != NULL) {
		char *copy = g_strdup(real);
		free(real);
		return copy;
	}
	/* A dead mount has only its name; it must be possible to speak of it. */
	if (errno == ENOTCONN)
		return g_canonicalize_filename(path, NULL);
	if (errno != ENOENT)
		return NULL;
	g_autofree char *folder = g_path_get_dirname(path);
	g_autofree char *name = g_path_get_basename(path);
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "/") == 0 ||
	    *path == '\0')
		return NULL;
	real = realpath(folder, NULL);
	if (real == NULL)
		return NULL;
	char *whole = g_build_filename(real, name, NULL);
	free(real);
	return whole;
}

/* What `path` is below `mount`; NULL: it is not. */
static const char *below(const CtlMount *mount, const char *path)
{
	gsize length = strlen(mount->path);

	if (strcmp(mount->path, "/") == 0)
		return path + 1;
	if (strncmp(path, mount->path, length) != 0 ||
	    (path[length] != '/' && path[length] != '\0'))
		return NULL;
	return path[length] == '/' ? path + length + 1 : path + length;
}

CtlPlace *ctl_mounts_place(const GPtrArray *mounts, const char *path, GError **error)
{
	CtlPlace *place;
	const CtlMount *best = NULL;
	char *real = resolve(path);

	if (real == NULL) {
		ctl_fail(error, errno, "%s: %s", path, g_strerror(errno));
		return NULL;
	}
	for (guint i = 0; i < mounts->len; i++) {
		const CtlMount *mount = mounts->pdata[i];
		if (below(mount, real) != NULL &&
		    (best == NULL || strlen(mount->path) >= strlen(best->path)))
			best = mount;
	}
	if (best != NULL && !best->gssfs)
		best = NULL;
	place = g_new0(CtlPlace, 1);
	place->mount = best;
	place->relative = g_strdup(best != NULL ? below(best, real) : NULL);
	place->path = real;
	return place;
}

CtlPlace *ctl_mounts_find(const GPtrArray *mounts, const char *path, GError **error)
{
	CtlPlace *place = ctl_mounts_place(mounts, path, error);

	if (place == NULL || place->mount != NULL)
		return place;
	ctl_place_free(place);
	ctl_fail(error, EXDEV, "%s is in no gssfs mount (gssctl status lists them)", path);
	return NULL;
}

bool ctl_mounts_only(GPtrArray *mounts, char *const *paths, GError **error)
{
	g_autoptr(GPtrArray) chosen = g_ptr_array_new();

	if (paths == NULL)
		return true;
	for (; *paths != NULL; paths++) {
		g_autoptr(CtlPlace) place = ctl_mounts_find(mounts, *paths, error);
		if (place == NULL)
			return false;
		g_ptr_array_add(chosen, (void *)place->mount);
	}
	for (guint i = 0; i < mounts->len; i++) {
		CtlMount *mount = mounts->pdata[i];
		mount->ours = g_ptr_array_find(chosen, mount, NULL);
	}
	return true;
}

bool ctl_place_is_control(const CtlPlace *place)
{
	static const char *const names[] = {".register", ".status", ".images", NULL};
	g_auto(GStrv) parts = g_strsplit(place->relative, "/", -1);

	for (guint i = 0; parts[i] != NULL; i++) {
		if (g_strv_contains(names, parts[i]))
			return true;
	}
	return false;
}
