#include "cache/blob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/crash.h"
#include "cache/error.h"

#define NAME_SIZE 17

static void blob_name(CacheBlobId id, char name[static NAME_SIZE])
{
	g_snprintf(name, NAME_SIZE, "%016" G_GINT64_MODIFIER "x", id);
}

static bool fail(GError **error, const CacheBlobs *blobs, const char *what, const char *name)
{
	int errnum = errno;
	g_set_error(error, CACHE_ERROR, errnum, "%s/%s: %s: %s", blobs->path, name, what,
	            g_strerror(errnum));
	return false;
}

static int open_folder(const CacheBlobs *blobs, const char *name, GError **error)
{
	g_autofree char *path = g_build_filename(blobs->path, name, NULL);
	if (mkdir(path, 0700) < 0 && errno != EEXIST) {
		fail(error, blobs, "cannot make the folder", name);
		return -1;
	}
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		fail(error, blobs, "cannot open the folder", name);
	return fd;
}

bool cache_blobs_open(CacheBlobs *blobs, const char *cache_path, GError **error)
{
	*blobs = (CacheBlobs){.path = g_strdup(cache_path), .dir = -1, .quarantine = -1};
	blobs->dir = open_folder(blobs, "blobs", error);
	if (blobs->dir >= 0)
		blobs->quarantine = open_folder(blobs, "quarantine", error);
	if (blobs->quarantine >= 0)
		return true;
	cache_blobs_close(blobs);
	return false;
}

void cache_blobs_close(CacheBlobs *blobs)
{
	if (blobs->dir >= 0)
		close(blobs->dir);
	if (blobs->quarantine >= 0)
		close(blobs->quarantine);
	blobs->dir = blobs->quarantine = -1;
	g_clear_pointer(&blobs->path, g_free);
}

static int open_blob(const CacheBlobs *blobs, CacheBlobId id, int flags, GError **error)
{
	char name[NAME_SIZE];
	blob_name(id, name);
	int fd = openat(blobs->dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	if (fd < 0)
		fail(error, blobs, "cannot open the blob", name);
	return fd;
}

int cache_blob_create(const CacheBlobs *blobs, CacheBlobId id, GError **error)
{
	int fd = open_blob(blobs, id, O_CREAT | O_EXCL, error);
	CACHE_CRASH_POINT("blob.created");
	return fd;
}

int cache_blob_open(const CacheBlobs *blobs, CacheBlobId id, GError **error)
{
	return open_blob(blobs, id, 0, error);
}

bool cache_blob_stat(const CacheBlobs *blobs, CacheBlobId id, struct stat *ret)
{
	char name[NAME_SIZE];
	blob_name(id, name);
	return fstatat(blobs->dir, name, ret, AT_SYMLINK_NOFOLLOW) == 0;
}

static guint64 bytes_of(const struct stat *st)
{
	return (guint64)st->st_blocks * 512;
}

bool cache_blob_remove(CacheBlobs *blobs, CacheBlobId id, GError **error)
{
	char name[NAME_SIZE];
	struct stat st;
	blob_name(id, name);
	guint64 bytes = cache_blob_stat(blobs, id, &st) ? bytes_of(&st) : 0;
	if (unlinkat(blobs->dir, name, 0) < 0 && errno != ENOENT)
		return fail(error, blobs, "cannot remove the blob", name);
	blobs->used -= (gint64)bytes;
	CACHE_CRASH_POINT("blob.removed");
	return true;
}

guint64 cache_blob_measure(CacheBlobs *blobs, int fd, guint64 known)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return known;
	blobs->used += (gint64)bytes_of(&st) - (gint64)known;
	return bytes_of(&st);
}

void cache_blobs_measure(CacheBlobs *blobs, const GArray *ids)
{
	gint64 used = 0;
	for (guint i = 0; i < ids->len; i++) {
		struct stat st;
		if (cache_blob_stat(blobs, g_array_index(ids, CacheBlobId, i), &st))
			used += bytes_of(&st);
	}
	blobs->used = used;
}

bool cache_blob_share(int from, int to)
{
	return ioctl(to, FICLONE, from) == 0;
}

bool cache_blob_copy(int from, int to, guint64 length, GError **error)
{
	/* Holes stay holes: only what lseek() calls data is copied. */
	off_t position = 0;
	while ((guint64)position < length) {
		off_t data = lseek(from, position, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break;
		off_t hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
		if (hole < 0)
			goto failed;
		off_t in = data, out = data;
		while (in < hole && (guint64)in < length) {
			gssize n = copy_file_range(from, &in, to, &out,
			                           MIN((guint64)hole, length) - (guint64)in, 0);
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				goto failed;
			if (n == 0)
				break;
		}
		position = hole;
	}
	/* A hole at the end is part of the length. */
	if (ftruncate(to, length) == 0)
		return true;
failed:;
	int errnum = errno;
	g_set_error(error, CACHE_ERROR, errnum, "cannot copy a blob: %s", g_strerror(errnum));
	return false;
}

static bool set_aside(const CacheBlobs *blobs, const char *name, const char *label, GError **error)
{
	g_autofree char *clean = g_strdup(label && *label ? label : "unknown");
	for (char *c = clean; *c; c++)
		if (*c == '/' || g_ascii_iscntrl(*c))
			*c = '_';
	g_autofree char *target = g_strdup_printf("%s-%.200s", name, clean);
	if (renameat2(blobs->dir, name, blobs->quarantine, target, RENAME_NOREPLACE) == 0)
		return true;
	if (errno == EEXIST || errno == ENAMETOOLONG) {
		g_autofree char *other =
			g_strdup_printf("%s-%" G_GINT64_FORMAT, name, g_get_real_time());
		if (renameat2(blobs->dir, name, blobs->quarantine, other, RENAME_NOREPLACE) == 0)
			return true;
	}
	return fail(error, blobs, "cannot quarantine the blob", name);
}

bool cache_blob_quarantine(const CacheBlobs *blobs, CacheBlobId id, const char *label,
                           GError **error)
{
	char name[NAME_SIZE];
	blob_name(id, name);
	bool ok = set_aside(blobs, name, label, error);
	CACHE_CRASH_POINT("blob.quarantined");
	return ok;
}

GArray *cache_blobs_list(const CacheBlobs *blobs, GError **error)
{
	int fd = openat(blobs->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		fail(error, blobs, "cannot list the folder", "blobs");
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(CacheBlobId));
	struct dirent *entry;
	while ((errno = 0, entry = readdir(dir))) {
		if (g_str_equal(entry->d_name, ".") || g_str_equal(entry->d_name, ".."))
			continue;
		char *end, name[NAME_SIZE];
		CacheBlobId id = g_ascii_strtoull(entry->d_name, &end, 16);
		blob_name(id, name);
		if (id && g_str_equal(name, entry->d_name)) {
			g_array_append_val(ids, id);
			continue;
		}
		if (!set_aside(blobs, entry->d_name, "foreign", error))
			break;
		g_warning("%s: %s is none of its blobs and was moved to quarantine/", blobs->path,
		          entry->d_name);
	}
	bool ok = errno == 0 && !entry;
	if (!ok && error && !*error)
		fail(error, blobs, "cannot list the folder", "blobs");
	closedir(dir);
	return ok ? g_steal_pointer(&ids) : NULL;
}

void cache_blobs_quarantined(const CacheBlobs *blobs, guint *ret_files, guint64 *ret_bytes)
{
	int fd = openat(blobs->quarantine, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	*ret_files = 0;
	*ret_bytes = 0;
	if (!dir && fd >= 0)
		close(fd);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		struct stat st;
		if (g_str_equal(entry->d_name, ".") || g_str_equal(entry->d_name, "..") ||
		    fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		*ret_files += 1;
		*ret_bytes += S_ISREG(st.st_mode) ? (guint64)st.st_size : 0;
	}
	if (dir)
		closedir(dir);
}
