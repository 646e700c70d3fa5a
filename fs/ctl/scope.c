#include "fs/ctl/scope.h"

#include "cache/error.h"
#include "fs/ctl/ctl.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static void scope_free(void *data)
{
	CtlScope *scope = data;

	ctl_channel_close(scope->channel);
	g_ptr_array_unref(scope->paths);
	g_free(scope);
}

static CtlScope *add_scope(GPtrArray *scopes, CtlChannel *channel)
{
	CtlScope *scope = g_new(CtlScope, 1);

	scope->channel = channel;
	scope->paths = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(scopes, scope);
	return scope;
}

static CtlScope *scope_of(GPtrArray *scopes, const CtlMount *mount, GError **error)
{
	for (guint i = 0; i < scopes->len; i++) {
		CtlScope *scope = scopes->pdata[i];
		if (ctl_channel_mount(scope->channel) == mount)
			return scope;
	}
	CtlChannel *channel = ctl_channel_open(mount, error);
	return channel != NULL ? add_scope(scopes, channel) : NULL;
}

static bool add_path(GPtrArray *scopes, const GPtrArray *mounts, const char *path, GError **error)
{
	g_autoptr(CtlPlace) place = ctl_mounts_find(mounts, path, error);
	struct stat st;

	if (place == NULL)
		return false;
	CtlScope *scope = scope_of(scopes, place->mount, error);
	if (scope == NULL)
		return false;
	/* The root answers always. */
	if (*place->relative != '\0' && lstat(place->path, &st) != 0)
		return ctl_fail(error, errno, "%s: %s", path, g_strerror(errno));
	g_ptr_array_add(scope->paths, g_steal_pointer(&place->relative));
	return true;
}

GPtrArray *ctl_scopes(const GPtrArray *mounts, char *const *paths, GError **error)
{
	g_autoptr(GPtrArray) scopes = g_ptr_array_new_with_free_func(scope_free);

	for (; *paths != NULL; paths++) {
		if (!add_path(scopes, mounts, *paths, error))
			return NULL;
	}
	if (scopes->len > 0)
		return g_steal_pointer(&scopes);
	g_autoptr(GPtrArray) channels = ctl_channels(mounts, error);
	if (channels == NULL)
		return NULL;
	while (channels->len > 0) {
		CtlScope *scope = add_scope(scopes, g_ptr_array_steal_index(channels, 0));
		g_ptr_array_add(scope->paths, g_strdup(""));
	}
	return g_steal_pointer(&scopes);
}

bool ctl_scope_has(const CtlScope *scope, const CtlFile *file)
{
	for (guint i = 0; i < scope->paths->len; i++) {
		if (ctl_file_is_below(file, scope->paths->pdata[i]))
			return true;
	}
	return false;
}

bool ctl_scope_is_all(const CtlScope *scope)
{
	for (guint i = 0; i < scope->paths->len; i++) {
		if (*(const char *)scope->paths->pdata[i] == '\0')
			return true;
	}
	return false;
}

void ctl_scopes_wait(const GPtrArray *scopes, int timeout_ms)
{
	g_autoptr(GPtrArray) channels = g_ptr_array_new();

	for (guint i = 0; i < scopes->len; i++)
		g_ptr_array_add(channels, ((CtlScope *)scopes->pdata[i])->channel);
	ctl_channels_wait(channels, -1, timeout_ms);
}

char *ctl_scope_path(const CtlScope *scope, const CtlFile *file)
{
	/* What is not below the mount is told by its URI. */
	if (strstr(file->path, "://") != NULL)
		return g_strdup(file->path);
	return g_build_filename(ctl_channel_mount(scope->channel)->path, file->path, NULL);
}
