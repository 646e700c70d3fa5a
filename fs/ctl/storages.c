#include "fs/ctl/storages.h"

#include "fs/ctl/ctl.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define HOME "home"
#define IMAGES ".images"
#define SCHEME "://"

static void storage_free(void *data)
{
	CtlStorage *storage = data;

	g_free(storage->name);
	g_free(storage->uri);
	g_free(storage->root);
	g_free(storage->home);
	g_free(storage->home_uri);
	g_free(storage);
}

GPtrArray *ctl_storages_new(void)
{
	return g_ptr_array_new_with_free_func(storage_free);
}

/* How well a mount does for its storage. */
static int rank(const CtlStorage *storage)
{
	if (g_str_has_suffix(storage->uri, SCHEME))
		return 3;
	g_autofree char *home = g_strconcat(storage->name, SCHEME HOME "/", NULL);
	return strcmp(storage->uri, home) == 0 ? 2 : 1;
}

/* The best of this name; NULL: there is none. */
static CtlStorage *find_name(const GPtrArray *storages, const char *name)
{
	CtlStorage *best = NULL;

	for (guint i = 0; i < storages->len; i++) {
		CtlStorage *storage = storages->pdata[i];
		if (strcmp(storage->name, name) == 0 &&
		    (best == NULL || rank(storage) > rank(best)))
			best = storage;
	}
	return best;
}

static void choose(GPtrArray *chosen, CtlStorage *storage)
{
	if (!g_ptr_array_find(chosen, storage, NULL))
		g_ptr_array_add(chosen, storage);
}

/* `root` shows `uri`, which may have slashes at its end. */
static void add(GPtrArray *storages, const CtlMount *mount, const char *uri, const char *root)
{
	const char *location = strstr(uri, SCHEME);
	CtlStorage *storage;

	if (location == NULL || location == uri)
		return;
	g_autofree char *name = g_strndup(uri, (gsize)(location - uri));
	location += strlen(SCHEME);
	bool whole = *location == '\0' || strcmp(location, "/") == 0;
	storage = g_new0(CtlStorage, 1);
	storage->mount = mount;
	storage->root = g_strdup(root);
	if (whole) {
		storage->uri = g_strconcat(name, SCHEME, NULL);
		storage->home = g_build_filename(root, HOME, NULL);
		storage->home_uri = g_strconcat(storage->uri, HOME "/", NULL);
	} else {
		storage->uri = g_strconcat(uri, g_str_has_suffix(uri, "/") ? "" : "/", NULL);
		storage->home = g_strdup(root);
		storage->home_uri = g_strdup(storage->uri);
	}
	storage->name = g_steal_pointer(&name);
	g_ptr_array_add(storages, storage);
}

void ctl_storages_add(GPtrArray *storages, const CtlMount *mount, const CtlStatus *status)
{
	const char *source = status->source != NULL ? status->source : mount->source;

	if (strcmp(source, "all") != 0) {
		add(storages, mount, source, mount->path);
		return;
	}
	for (guint i = 0; i < status->caches->len; i++) {
		const CtlCache *cache = status->caches->pdata[i];
		const char *scheme = cache->storage != NULL ? strstr(cache->storage, SCHEME) : NULL;
		if (scheme == NULL)
			continue;
		g_autofree char *name = g_strndup(cache->storage, (gsize)(scheme - cache->storage));
		g_autofree char *root = g_build_filename(mount->path, name, NULL);
		add(storages, mount, cache->storage, root);
	}
}

GPtrArray *ctl_storages(const GPtrArray *channels, GError **error)
{
	g_autoptr(GPtrArray) storages = ctl_storages_new();
	guint read = 0;

	for (guint i = 0; i < channels->len; i++) {
		CtlChannel *channel = channels->pdata[i];
		g_autoptr(GError) failure = NULL;
		g_autoptr(CtlStatus) status = ctl_channel_read(channel, &failure);
		if (status != NULL) {
			ctl_storages_add(storages, ctl_channel_mount(channel), status);
			read++;
		} else if (i + 1 < channels->len || read > 0) {
			ctl_say("%s", failure->message); /* the others will do */
		} else {
			g_propagate_error(error, g_steal_pointer(&failure));
			return NULL;
		}
	}
	return g_steal_pointer(&storages);
}

char *ctl_storages_names(const GPtrArray *storages)
{
	GString *names = g_string_new(NULL);

	for (guint i = 0; i < storages->len; i++) {
		const CtlStorage *storage = storages->pdata[i];
		if (find_name(storages, storage->name) == storage)
			g_string_append_printf(names, "%s%s", names->len > 0 ? ", " : "",
			                       storage->name);
	}
	return g_string_free(names, FALSE);
}

GPtrArray *ctl_storages_choose(const GPtrArray *storages, const char *list, GError **error)
{
	g_autoptr(GPtrArray) chosen = g_ptr_array_new();
	g_auto(GStrv) names = g_strsplit(list != NULL ? list : "", ",", -1);

	for (guint i = 0; list == NULL && i < storages->len; i++)
		choose(chosen, find_name(storages, ((CtlStorage *)storages->pdata[i])->name));
	for (guint i = 0; names[i] != NULL; i++) {
		char *name = g_strstrip(names[i]);
		/* As a URI it is meant as well. */
		if (g_str_has_suffix(name, SCHEME))
			name[strlen(name) - strlen(SCHEME)] = '\0';
		if (*name == '\0')
			continue;
		CtlStorage *storage = find_name(storages, name);
		if (storage == NULL) {
			g_autofree char *known = ctl_storages_names(storages);
			ctl_fail(error, ENODEV, "%s is not mounted (mounted: %s)", name, known);
			return NULL;
		}
		choose(chosen, storage);
	}
	if (chosen->len > 0)
		return g_steal_pointer(&chosen);
	ctl_fail(error, EINVAL, "no storage was named");
	return NULL;
}

static bool has_images(const CtlStorage *storage)
{
	g_autofree char *path = g_build_filename(storage->root, IMAGES, NULL);

	/* What else is wrong with it is told when it is used. */
	return access(path, F_OK) == 0 || errno != ENOENT;
}

GPtrArray *ctl_storages_for_images(const GPtrArray *storages, GError **error)
{
	g_autoptr(GPtrArray) chosen = ctl_storages_choose(storages, NULL, error);
	guint i = 0;

	while (chosen != NULL && i < chosen->len) {
		if (has_images(chosen->pdata[i]))
			i++;
		else
			g_ptr_array_remove_index(chosen, i);
	}
	if (chosen == NULL || chosen->len > 0)
		return g_steal_pointer(&chosen);
	g_autofree char *names = ctl_storages_names(storages);
	ctl_fail(error, ENODEV, "%s: no service for images is known (images= in gssfs.conf)",
	         names);
	return NULL;
}

const CtlStorage *ctl_storages_of(const GPtrArray *storages, const char *path)
{
	const CtlStorage *best = NULL;

	for (guint i = 0; i < storages->len; i++) {
		const CtlStorage *storage = storages->pdata[i];
		gsize length = strlen(storage->root);
		if (strncmp(path, storage->root, length) == 0 &&
		    (path[length] == '/' || path[length] == '\0') &&
		    (best == NULL || length > strlen(best->root)))
			best = storage;
	}
	return best;
}
