/* fs/config.h - gssfs.conf: where the platform and its services are.
 *
 *	[platform]
 *	auth=URL of the AuthManager's WSDL
 *	gss=URL of the FileUtilities' WSDL
 *	allow_http=false
 *
 *	[mount]
 *	conflict=copy
 *
 *	[storage it4i_anselm]
 *	images=URL of the cluster's Images WSDL
 *
 * What is missing is as it was last published by the platform. A file that names a storage replaces
 *the built-in list of storages.
 *
 * Threads: any, one object one thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
	char *auth, *gss;
	bool allow_http;
	bool conflict_overwrite;
	GHashTable *storages; /* name (char) -> images URL (char, "" for none) */
	GPtrArray *names; /* of the storages, in the order of the file; borrowed from the table */
} FsConfig;
void fs_config_clear(FsConfig *config);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FsConfig, fs_config_clear)

/* ~/.config/gssfs/gssfs.conf, or where XDG_CONFIG_HOME says. Free with g_free(). */
char *fs_config_default_path(void);

/* Reads a configuration; a file that does not exist is an empty one, unless `required`. ENOENT,
 * EACCES, EINVAL: the message names the file and what is wrong. */
bool fs_config_load(const char *path, bool required, FsConfig *ret, GError **error);

/* The Images service of a storage; NULL: none. */
const char *fs_config_images(const FsConfig *config, const char *storage);
