#include "fs/config.h"

#include "cache/error.h"

#include <errno.h>
#include <string.h>

#define PLATFORM "platform"
#define MOUNT "mount"
#define STORAGE_PREFIX "storage "
#define BASE "https://api.hetcomp.org"

/* The last public addresses. */
static const struct {
	const char *name, *images;
} published[] = {
	{"it4i_anselm", BASE "/hpc-4-anselm/Images?wsdl"},
	{"it4i_salomon", BASE "/hpc-4-salomon/Images?wsdl"},
	{"it4i_barbora", BASE "/hpc-4-barbora/Images?wsdl"},
};

void fs_config_clear(FsConfig *config)
{
	g_clear_pointer(&config->auth, g_free);
	g_clear_pointer(&config->gss, g_free);
	g_clear_pointer(&config->names, g_ptr_array_unref);
	g_clear_pointer(&config->storages, g_hash_table_unref);
}

char *fs_config_default_path(void)
{
	return g_build_filename(g_get_user_config_dir(), "gssfs", "gssfs.conf", NULL);
}

static void add_storage(FsConfig *config, const char *name, const char *images)
{
	char *key = g_strdup(name);

	/* A group cannot occur twice, a key file makes them one. */
	g_hash_table_insert(config->storages, key, g_strdup(images));
	g_ptr_array_add(config->names, key);
}

static bool fail(GError **error, const char *path, const char *message, const char *what)
{
	g_set_error(error, CACHE_ERROR, EINVAL, "%s: %s “%s”", path, message, what);
	return false;
}

/* *ret stays where the file has no such key; what cannot be read is not taken for that. */
static bool take(GKeyFile *file, const char *path, const char *group, const char *key, char **ret,
                 GError **error)
{
	g_autoptr(GError) failure = NULL;
	g_autofree char *value = g_key_file_get_string(file, group, key, &failure);

	if (g_error_matches(failure, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_KEY_NOT_FOUND))
		return true;
	/* There may be a value, from which something is missing. */
	if (failure != NULL)
		return fail(error, path,
		            "not in UTF-8, or a backslash that is not written twice:", key);
	g_free(*ret);
	*ret = g_steal_pointer(&value);
	return true;
}

/* Typing errors are told, not ignored. */
static bool check_keys(GKeyFile *file, const char *path, const char *group,
                       const char *const *known, GError **error)
{
	g_auto(GStrv) keys = g_key_file_get_keys(file, group, NULL, NULL);

	for (guint i = 0; keys != NULL && keys[i] != NULL; i++) {
		if (!g_strv_contains(known, keys[i])) {
			g_autofree char *what = g_strdup_printf("%s (in [%s])", keys[i], group);
			return fail(error, path, "unknown key", what);
		}
	}
	return true;
}

static bool read_platform(GKeyFile *file, const char *path, FsConfig *config, GError **error)
{
	static const char *const known[] = {"auth", "gss", "allow_http", NULL};
	g_autoptr(GError) failure = NULL;

	if (!take(file, path, PLATFORM, "auth", &config->auth, error) ||
	    !take(file, path, PLATFORM, "gss", &config->gss, error))
		return false;
	config->allow_http = g_key_file_get_boolean(file, PLATFORM, "allow_http", &failure);
	if (g_error_matches(failure, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE))
		return fail(error, path, "neither true nor false:", "allow_http");
	return check_keys(file, path, PLATFORM, known, error);
}

static bool read_mount(GKeyFile *file, const char *path, FsConfig *config, GError **error)
{
	static const char *const known[] = {"conflict", NULL};
	g_autofree char *conflict = NULL;

	if (!take(file, path, MOUNT, "conflict", &conflict, error))
		return false;
	config->conflict_overwrite = g_strcmp0(conflict, "overwrite") == 0;
	if (conflict != NULL && !config->conflict_overwrite && strcmp(conflict, "copy") != 0)
		return fail(error, path, "conflict= is neither copy nor overwrite:", conflict);
	return check_keys(file, path, MOUNT, known, error);
}

static bool read_storage(GKeyFile *file, const char *path, const char *group, FsConfig *config,
                         GError **error)
{
	static const char *const known[] = {"images", NULL};
	g_autofree char *name = g_strstrip(g_strdup(group + strlen(STORAGE_PREFIX)));
	g_autofree char *images = g_strdup("");

	if (*name == '\0' || strchr(name, '/') != NULL || strchr(name, ':') != NULL ||
	    *name == '.' || g_hash_table_contains(config->storages, name))
		return fail(error, path, "this is no name for a storage:", group);
	if (!take(file, path, group, "images", &images, error))
		return false;
	add_storage(config, name, images);
	return check_keys(file, path, group, known, error);
}

static bool read_file(GKeyFile *file, const char *path, FsConfig *config, GError **error)
{
	g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);

	for (guint i = 0; groups[i] != NULL; i++) {
		bool ok;
		if (strcmp(groups[i], PLATFORM) == 0)
			ok = read_platform(file, path, config, error);
		else if (strcmp(groups[i], MOUNT) == 0)
			ok = read_mount(file, path, config, error);
		else if (g_str_has_prefix(groups[i], STORAGE_PREFIX))
			ok = read_storage(file, path, groups[i], config, error);
		else
			ok = fail(error, path, "unknown group", groups[i]);
		if (!ok)
			return false;
	}
	return true;
}

static bool load_key_file(GKeyFile *file, const char *path, bool required, GError **error)
{
	g_autoptr(GError) failure = NULL;

	if (g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &failure))
		return true;
	if (g_error_matches(failure, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
		if (!required)
			return true;
		g_set_error(error, CACHE_ERROR, ENOENT, "%s: there is no such file", path);
	} else {
		bool access = g_error_matches(failure, G_FILE_ERROR, G_FILE_ERROR_ACCES);
		g_set_error(error, CACHE_ERROR, access ? EACCES : EINVAL, "%s: %s", path,
		            failure->message);
	}
	return false;
}

bool fs_config_load(const char *path, bool required, FsConfig *ret, GError **error)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_auto(FsConfig) config = {
		.auth = g_strdup(BASE "/authManager/AuthManager?wsdl"),
		.gss = g_strdup(BASE "/gss-0.1/FileUtilities?wsdl"),
		.storages = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
		.names = g_ptr_array_new(),
	};

	if (!load_key_file(file, path, required, error) || !read_file(file, path, &config, error))
		return false;
	bool named = config.names->len > 0;
	for (guint i = 0; !named && i < G_N_ELEMENTS(published); i++)
		add_storage(&config, published[i].name, published[i].images);
	*ret = config;
	config = (FsConfig){0};
	return true;
}

const char *fs_config_images(const FsConfig *config, const char *storage)
{
	const char *images = g_hash_table_lookup(config->storages, storage);
	return images != NULL && *images != '\0' ? images : NULL;
}
