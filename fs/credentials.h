/* fs/credentials.h - who logs in: from the environment, the credentials file, or systemd.
 *
 * Read afresh at each login, so that a changed file counts at once. The sources are, the first
 * wins: CFG_TOKEN, CFG_USERNAME, CFG_PROJECT, CFG_PASSWORD; the file `credentials` beside the
 * configuration; the credential `gssfs` that systemd hands to a service. The last two are key files
 * with one group, [credentials], of the keys token, username, project, password.
 *
 * Threads: any. Nothing here logs a secret.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
	char *token, *username, *project, *password; /* NULL: not given */
} FsCredentials;
/* Wipes and frees. */
void fs_credentials_clear(FsCredentials *credentials);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FsCredentials, fs_credentials_clear)

/* `path`: of the credentials file; it need not exist. EPERM: it must not be used, since others may
 * read it or it is not ours. EINVAL: it is malformed. */
bool fs_credentials_load(const char *path, FsCredentials *ret, GError **error);

/* Replaces the file, 0600, its folder 0700 if it has to be made; whole or not at all. EINVAL:
 * something in them cannot be kept in such a file (blanks at its ends, a line's end). */
bool fs_credentials_save(const char *path, const FsCredentials *credentials, GError **error);

/* `credentials` beside a configuration file. Free with g_free(). */
char *fs_credentials_path(const char *config_path);
