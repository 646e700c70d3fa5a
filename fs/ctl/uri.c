/* gssctl uri and gssctl path: between a file and its address on GSS. */
#include "fs/ctl/attribute.h"
#include "fs/ctl/ctl.h"
#include "fs/ctl/mounts.h"
#include "fs/ctl/storages.h"
#include "fs/ctl/text.h"

#include "cache/error.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* So many entries are looked at where a URI does not tell the place. */
#define SEARCH_MAX 20000

static int print_uri(const GPtrArray *mounts, const char *path)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(CtlPlace) place = ctl_mounts_find(mounts, path, &error);
	int code = 0;

	if (place == NULL)
		return ctl_complain(error);
	if (ctl_place_is_control(place)) {
		ctl_say("%s is a control file of the mount, and nowhere on GSS", path);
		return CTL_NOINPUT;
	}
	g_autofree char *uri = ctl_attribute(place->path, "uri", &code);
	if (uri == NULL && code == ENODATA) {
		ctl_say("%s has no URI yet: it is not on GSS (gssctl flush waits for it)", path);
		return CTL_FAILED;
	}
	if (uri == NULL) {
		ctl_say("%s: %s", path, g_strerror(code));
		return code == ENOENT ? CTL_NOINPUT : CTL_IOERR;
	}
	printf("%s\n", uri);
	return CTL_OK;
}

static int uri_run(const char *name, char **words)
{
	g_autoptr(GError) error = NULL;
	int status = CTL_OK;

	if (!ctl_options(&ctl_verb_uri, NULL, &words))
		return CTL_USAGE;
	if (words[1] == NULL) {
		ctl_say("say of which file (see gssctl uri --help)");
		return CTL_USAGE;
	}
	g_autoptr(GPtrArray) mounts = ctl_mounts(&error);
	if (mounts == NULL)
		return ctl_complain(error);
	for (char **path = words + 1; *path != NULL; path++)
		status = ctl_worse(status, print_uri(mounts, *path));
	return status;
}

const CtlVerb ctl_verb_uri = {
	.name = "uri",
	.arguments = "PATH…",
	.summary = "Prints the GSS URI of a file or folder, a line each.",
	.run = uri_run,
};

/* --- the other way --- */

static bool is_at(const char *path, const char *uri)
{
	g_autofree char *found = ctl_attribute(path, "uri", NULL);
	return found != NULL && strcmp(found, uri) == 0;
}

/* On a storage whose URIs tell no place, the one below `folder` that has this. Breadth first, for
 * what people look for lies near the top. */
static char *search(const char *folder, const char *uri, guint *budget)
{
	g_autoptr(GPtrArray) folders = g_ptr_array_new_with_free_func(g_free);

	g_ptr_array_add(folders, g_strdup(folder));
	for (guint next = 0; next < folders->len; next++) {
		DIR *dir = opendir(folders->pdata[next]);
		const struct dirent *entry;
		while (dir != NULL && *budget > 0 && (entry = readdir(dir)) != NULL) {
			if (*entry->d_name == '.')
				continue;
			(*budget)--;
			g_autofree char *path =
				g_build_filename(folders->pdata[next], entry->d_name, NULL);
			if (is_at(path, uri)) {
				closedir(dir);
				return g_steal_pointer(&path);
			}
			if (entry->d_type == DT_DIR)
				g_ptr_array_add(folders, g_steal_pointer(&path));
		}
		if (dir != NULL)
			closedir(dir);
	}
	return NULL;
}

/* Where a URI is in a storage; NULL: nowhere. */
static char *find_in(const CtlStorage *storage, const char *uri)
{
	struct stat st;
	guint budget = SEARCH_MAX;
	g_autofree char *root_uri = g_strdup(storage->uri);

	if (g_str_has_suffix(root_uri, "/") && !g_str_has_suffix(root_uri, "://"))
		root_uri[strlen(root_uri) - 1] = '\0';
	if (strcmp(uri, root_uri) == 0)
		return g_strdup(storage->root);
	if (g_str_has_prefix(uri, storage->uri)) {
		g_autofree char *path =
			g_build_filename(storage->root, uri + strlen(storage->uri), NULL);
		/* One that is not uploaded yet has no URI to compare with. */
		g_autofree char *found = ctl_attribute(path, "uri", NULL);
		if (lstat(path, &st) == 0 && (found == NULL || strcmp(found, uri) == 0))
			return g_steal_pointer(&path);
	}
	/* Trees tell the place, so that it is not there; what else shows none might be anywhere. */
	return g_str_has_prefix(storage->name, "it4i") ? NULL : search(storage->root, uri, &budget);
}

static int print_path(const GPtrArray *storages, const char *uri)
{
	const char *scheme = strstr(uri, "://");
	bool mounted = false;

	if (scheme == NULL || scheme == uri) {
		ctl_say("%s is no GSS URI, such as it4i_anselm://home/waiter.simg", uri);
		return CTL_USAGE;
	}
	g_autofree char *name = g_strndup(uri, (gsize)(scheme - uri));
	g_autofree char *plain = g_strdup(uri);
	while (g_str_has_suffix(plain, "/") && !g_str_has_suffix(plain, "://"))
		plain[strlen(plain) - 1] = '\0';
	for (guint i = 0; i < storages->len; i++) {
		const CtlStorage *storage = storages->pdata[i];
		if (strcmp(storage->name, name) != 0)
			continue;
		mounted = true;
		g_autofree char *path = find_in(storage, plain);
		if (path != NULL) {
			printf("%s\n", path);
			return CTL_OK;
		}
	}
	if (mounted)
		ctl_say("%s: no such file", uri);
	else
		ctl_say("%s: %s is not mounted", uri, name);
	return CTL_NOINPUT;
}

static int path_run(const char *name, char **words)
{
	g_auto(GStrv) only = NULL;
	const GOptionEntry entries[] = {
		CTL_MOUNT_ENTRY(only),
		G_OPTION_ENTRY_NULL,
	};
	g_autoptr(GError) error = NULL;
	int status = CTL_OK;

	if (!ctl_options(&ctl_verb_path, entries, &words))
		return CTL_USAGE;
	if (words[1] == NULL) {
		ctl_say("say of which URI (see gssctl path --help)");
		return CTL_USAGE;
	}
	g_autoptr(GPtrArray) mounts = ctl_mounts(&error);
	g_autoptr(GPtrArray) channels = mounts != NULL && ctl_mounts_only(mounts, only, &error)
	                                        ? ctl_channels(mounts, &error)
	                                        : NULL;
	g_autoptr(GPtrArray) storages = channels != NULL ? ctl_storages(channels, &error) : NULL;
	if (storages == NULL)
		return ctl_complain(error);
	for (char **uri = words + 1; *uri != NULL; uri++)
		status = ctl_worse(status, print_path(storages, *uri));
	return status;
}

const CtlVerb ctl_verb_path = {
	.name = "path",
	.arguments = "URI…",
	.summary = "Prints where a GSS URI is mounted, a line each.",
	.run = path_run,
};
