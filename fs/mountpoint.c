#include "fs/mountpoint.h"

#include "cache/error.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FUSE_CONF "/etc/fuse.conf"
#define FUSE_DEVICE "/dev/fuse"

static bool fail(GError **error, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);
static bool fail(GError **error, int code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	g_autofree char *message = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_set_error_literal(error, CACHE_ERROR, code, message);
	return false;
}

static bool fail_stat(const char *path, int code, GError **error)
{
	if (code == ENOENT)
		return fail(error, code, "mountpoint %s does not exist: mkdir -p it", path);
	if (code == ENOTCONN)
		return fail(error, code,
		            "the mount at %s is dead, its process is gone: fusermount3 -u %s", path,
		            path);
	return fail(error, code, "mountpoint %s: %s", path, g_strerror(code));
}

/* Is something mounted there? */
static bool is_mounted(const char *path, const struct stat *st)
{
	g_autofree char *above = g_path_get_dirname(path);
	struct stat parent;

	return stat(above, &parent) == 0 && parent.st_dev != st->st_dev;
}

static bool check_empty(const char *path, const struct stat *st, GError **error)
{
	DIR *folder = opendir(path);
	const struct dirent *entry;
	bool empty = true;

	if (folder == NULL)
		return fail_stat(path, errno, error);
	while (empty && (entry = readdir(folder)) != NULL)
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	closedir(folder);
	if (empty)
		return true;
	if (is_mounted(path, st))
		return fail(
			error, EBUSY,
			"something is mounted at %s already: fusermount3 -u %s, or take another "
			"folder",
			path, path);
	return fail(error, ENOTEMPTY,
	            "mountpoint %s is not empty, the mount would hide what is in it: take an empty "
	            "folder",
	            path);
}

static bool check_device(GError **error)
{
	if (access(FUSE_DEVICE, R_OK | W_OK) == 0)
		return true;
	/* libfuse opens it itself before it turns to fusermount3. */
	if (errno == EACCES || errno == EPERM)
		return fail(error, errno,
		            "you may not open " FUSE_DEVICE
		            ", which is for everybody elsewhere (mode "
		            "0666): root can chmod it");
	return fail(error, ENODEV,
	            FUSE_DEVICE " is missing: the kernel has no FUSE (modprobe fuse), or this "
	                        "container may not use it (docker: --device /dev/fuse --cap-add "
	                        "SYS_ADMIN)");
}

static bool others_allowed(void)
{
	g_autofree char *text = NULL;

	if (!g_file_get_contents(FUSE_CONF, &text, NULL, NULL))
		return false;
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (guint i = 0; lines[i] != NULL; i++) {
		if (strcmp(g_strstrip(lines[i]), "user_allow_other") == 0)
			return true;
	}
	return false;
}

/* What fusermount3 would refuse a user who isn't root. */
static bool check_user(const char *path, const struct stat *st, const FsOptions *options,
                       GError **error)
{
	g_autofree char *program = g_find_program_in_path("fusermount3");

	if (geteuid() == 0)
		return true;
	if (program == NULL)
		return fail(error, ENOENT,
		            "fusermount3 is missing: install fuse3 (apt-get install fuse3)");
	if (access(path, W_OK) != 0 || ((st->st_mode & S_ISVTX) && st->st_uid != geteuid()))
		return fail(error, EACCES, "mountpoint %s must be a folder that you may write to",
		            path);
	if ((options->allow_other || options->allow_root) && !others_allowed())
		return fail(error, EPERM,
		            "%s is not permitted: a line user_allow_other in " FUSE_CONF
		            " allows it to users",
		            options->allow_other ? "allow_other" : "allow_root");
	return true;
}

bool fs_mountpoint_check(const char *path, const FsOptions *options, GError **error)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return fail_stat(path, errno, error);
	if (!S_ISDIR(st.st_mode))
		return fail(error, ENOTDIR, "mountpoint %s is not a folder", path);
	return check_empty(path, &st, error) && check_device(error) &&
	       check_user(path, &st, options, error);
}
