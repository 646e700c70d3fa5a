#include "fs/credentials.h"

#include "cache/error.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (64 * 1024)
#define GROUP "credentials"

static void wipe(char *secret)
{
	if (secret != NULL)
		explicit_bzero(secret, strlen(secret));
	g_free(secret);
}

void fs_credentials_clear(FsCredentials *credentials)
{
	g_clear_pointer(&credentials->token, wipe);
	g_clear_pointer(&credentials->username, g_free);
	g_clear_pointer(&credentials->project, g_free);
	g_clear_pointer(&credentials->password, wipe);
}

char *fs_credentials_path(const char *config_path)
{
	g_autofree char *folder = g_path_get_dirname(config_path);
	return g_build_filename(folder, "credentials", NULL);
}

static bool fail(GError **error, int code, const char *path, const char *message)
{
	g_set_error(error, CACHE_ERROR, code, "%s: %s", path, message);
	return false;
}

static bool check_file(const char *path, const struct stat *st, GError **error)
{
	if (!S_ISREG(st->st_mode))
		return fail(error, EPERM, path, "credentials are read from a regular file only");
	if (st->st_uid != geteuid())
		return fail(error, EPERM, path,
		            "this file belongs to somebody else, so that it is not used");
	if ((st->st_mode & 077) != 0)
		return fail(error, EPERM, path,
		            "others may read this file, so that it is not used: chmod 600 it, and "
		            "consider a new password");
	if (st->st_size > FILE_MAX)
		return fail(error, EINVAL, path, "too large for a file of credentials");
	return true;
}

/* The checked file's text. *ret is NULL when there is no file. */
static bool read_text(const char *path, bool ours, char **ret, GError **error)
{
	struct stat st;
	gsize length = 0;

	*ret = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return true;
	if (fd < 0)
		return fail(error, errno == ELOOP ? EPERM : errno, path,
		            errno == ELOOP ? "a symbolic link is not followed for credentials"
		                           : g_strerror(errno));
	bool ok = fstat(fd, &st) == 0 || fail(error, errno, path, g_strerror(errno));
	/* systemd guards its own. */
	ok = ok && (!ours || check_file(path, &st, error));
	char *text = ok ? g_malloc0(FILE_MAX + 1) : NULL;
	while (ok && length < FILE_MAX) {
		ssize_t got = read(fd, text + length, FILE_MAX - length);
		if (got == 0)
			break;
		if (got < 0 && errno != EINTR)
			ok = fail(error, errno, path, g_strerror(errno));
		length += got > 0 ? (gsize)got : 0;
	}
	close(fd);
	if (ok)
		*ret = text;
	else
		wipe(text);
	return ok;
}

/* What cannot be read is not taken for missing: nobody would know why the login fails. */
static bool take(GKeyFile *file, const char *path, const char *key, char **ret, GError **error)
{
	g_autoptr(GError) failure = NULL;
	char *value = g_key_file_get_string(file, GROUP, key, &failure);
	bool unreadable =
		g_error_matches(failure, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE) ||
		g_error_matches(failure, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_UNKNOWN_ENCODING);

	if (unreadable) {
		g_autofree char *what = g_strconcat(
			key, " is not in UTF-8, or has a backslash that is not written twice",
			NULL);
		wipe(value); /* there may be one, from which something is missing */
		return fail(error, EINVAL, path, what);
	}
	if (value != NULL && *g_strstrip(value) == '\0')
		g_clear_pointer(&value, g_free);
	*ret = value;
	return true;
}

static bool load_file(const char *path, bool ours, FsCredentials *ret, GError **error)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_auto(FsCredentials) found = {0};
	char *text;

	if (!read_text(path, ours, &text, error))
		return false;
	if (text == NULL)
		return true;
	/* The parser's message might quote a line, and so a secret. */
	bool ok = g_key_file_load_from_data(file, text, strlen(text), G_KEY_FILE_NONE, NULL) ||
	          fail(error, EINVAL, path, "this is no key file with a group [credentials]");
	wipe(text);
	if (!ok || !take(file, path, "token", &found.token, error) ||
	    !take(file, path, "username", &found.username, error) ||
	    !take(file, path, "project", &found.project, error) ||
	    !take(file, path, "password", &found.password, error))
		return false;
	*ret = found;
	found = (FsCredentials){0};
	return true;
}

static char *environment(const char *name)
{
	const char *value = g_getenv(name);
	return value != NULL && *value != '\0' ? g_strdup(value) : NULL;
}

static bool is_empty(const FsCredentials *credentials)
{
	return credentials->token == NULL && credentials->username == NULL &&
	       credentials->project == NULL && credentials->password == NULL;
}

static void override(char **value, char **by)
{
	if (*by != NULL) {
		wipe(*value);
		*value = g_steal_pointer(by);
	}
}

bool fs_credentials_load(const char *path, FsCredentials *ret, GError **error)
{
	const char *service = g_getenv("CREDENTIALS_DIRECTORY");
	g_auto(FsCredentials) found = {0};
	g_auto(FsCredentials) given = {
		.token = environment("CFG_TOKEN"),
		.username = environment("CFG_USERNAME"),
		.project = environment("CFG_PROJECT"),
		.password = environment("CFG_PASSWORD"),
	};

	if (!load_file(path, true, &found, error))
		return false;
	if (is_empty(&found) && service != NULL) {
		g_autofree char *handed = g_build_filename(service, "gssfs", NULL);
		if (!load_file(handed, false, &found, error))
			return false;
	}
	/* A token of the file must not stand in for a login that the environment asks for, nor a
	 * password of the file go with another user's name. */
	if (given.token == NULL && (given.username != NULL || given.password != NULL))
		g_clear_pointer(&found.token, wipe);
	if (given.username != NULL && g_strcmp0(given.username, found.username) != 0)
		g_clear_pointer(&found.password, wipe);
	override(&found.token, &given.token);
	override(&found.username, &given.username);
	override(&found.project, &given.project);
	override(&found.password, &given.password);
	*ret = found;
	found = (FsCredentials){0};
	return true;
}

/* --- writing --- */

static void put(GKeyFile *file, const char *key, const char *value)
{
	if (value != NULL)
		g_key_file_set_string(file, GROUP, key, value);
}

static char *make_text(const FsCredentials *credentials)
{
	g_autoptr(GKeyFile) file = g_key_file_new();

	put(file, "token", credentials->token);
	put(file, "username", credentials->username);
	put(file, "project", credentials->project);
	put(file, "password", credentials->password);
	return g_key_file_to_data(file, NULL, NULL);
}

static bool is_same(const FsCredentials *a, const FsCredentials *b)
{
	return g_strcmp0(a->token, b->token) == 0 && g_strcmp0(a->username, b->username) == 0 &&
	       g_strcmp0(a->project, b->project) == 0 && g_strcmp0(a->password, b->password) == 0;
}

static bool write_text(int fd, const char *text)
{
	gsize left = strlen(text);

	while (left > 0) {
		ssize_t done = write(fd, text, left);
		if (done < 0 && errno != EINTR)
			return false;
		text += done > 0 ? done : 0;
		left -= done > 0 ? (gsize)done : 0;
	}
	return fsync(fd) == 0;
}

/* What will be read is what was given, or it is not kept: a password that lost a blank would be
 * refused by the platform, and nobody would know why. */
static bool reads_back(const char *passing, const char *path, const FsCredentials *credentials,
                       GError **error)
{
	g_auto(FsCredentials) again = {0};
	g_autoptr(GError) failure = NULL;

	return (load_file(passing, true, &again, &failure) && is_same(&again, credentials)) ||
	       fail(error, failure != NULL && failure->code != EINVAL ? failure->code : EINVAL,
	            path,
	            "what was given cannot be kept there: it is no text, or begins or ends with a "
	            "blank");
}

static bool sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

bool fs_credentials_save(const char *path, const FsCredentials *credentials, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(path);
	g_autofree char *passing = g_strconcat(path, ".XXXXXX", NULL);

	if (g_mkdir_with_parents(folder, 0700) != 0)
		return fail(error, errno, folder, g_strerror(errno));
	int fd = g_mkstemp_full(passing, O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail(error, errno, path, g_strerror(errno));
	char *text = make_text(credentials);
	bool ok = write_text(fd, text) || fail(error, errno, path, g_strerror(errno));
	wipe(text);
	if (close(fd) != 0 && ok)
		ok = fail(error, errno, path, g_strerror(errno));
	ok = ok && reads_back(passing, path, credentials, error);
	ok = ok && ((rename(passing, path) == 0 && sync_folder(folder)) ||
	            fail(error, errno, path, g_strerror(errno)));
	if (!ok && unlink(passing) != 0)
		g_debug("%s: %s", passing, g_strerror(errno));
	return ok;
}
