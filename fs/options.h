/* fs/options.h - the command line of gssfs: made like sshfs and the mount.fuse helpers.
 *
 *	gssfs [-f] [-d] [-o OPTION,...] SOURCE MOUNTPOINT
 *
 * Threads: none yet.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct {
	char *source, *mountpoint; /* as given */
	bool foreground, debug, help, version;
	/* Where the platform is; NULL: as configured. */
	char *auth, *gss, *images;
	bool allow_http;
	char *config;       /* path of the configuration file, NULL: the usual one */
	char *cache_dir;    /* NULL: the usual one */
	guint64 cache_size, cache_reserve; /* bytes, 0: by the disk's size */
	bool fsync_local, offline_cached, read_only;
	bool conflict_given, conflict_overwrite; /* not given: as configured */
	bool allow_other, allow_root;
	uid_t uid;
	gid_t gid;
	bool umask_given;
	mode_t umask;
	guint drain_timeout;    /* s, 0: none */
	guint register_timeout; /* s */
	GPtrArray *mount;       /* char: mount options that are passed on to libfuse */
} FsOptions;
void fs_options_clear(FsOptions *options);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FsOptions, fs_options_clear)

/* EINVAL, the message says what is wrong. */
bool fs_options_parse(int argc, char **argv, FsOptions *ret, GError **error);
void fs_options_print_help(void);

/* "512M": bytes; suffixes K, M, G, T of 1024. EINVAL. */
bool fs_size_parse(const char *text, guint64 *ret, GError **error);
