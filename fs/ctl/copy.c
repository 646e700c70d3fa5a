#include "fs/ctl/copy.h"

#include "cache/error.h"
#include "fs/ctl/attribute.h"
#include "fs/ctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK (1024 * 1024)

guint64 ctl_copy_done(const CtlCopy *copy)
{
	return __atomic_load_n(&copy->done, __ATOMIC_RELAXED);
}

void ctl_copy_clear(CtlCopy *copy)
{
	g_clear_pointer(&copy->passing, g_free);
}

void ctl_copy_abandon(CtlCopy *copy)
{
	const char *passing = g_atomic_pointer_get(&copy->passing);

	/* ENOENT: it has its own name, which it gets when it is whole. */
	if (passing != NULL && unlink(passing) != 0 && errno != ENOENT)
		ctl_say("%s: %s", passing, g_strerror(errno));
}

static bool fail_path(GError **error, int code, const char *path)
{
	return ctl_fail(error, code, "%s: %s", path, g_strerror(code));
}

/* The next block; -1: errno. */
static ssize_t read_block(CtlCopy *copy, int fd, char *block)
{
	ssize_t got;

	do {
		if (g_atomic_int_get(&copy->cancel)) {
			errno = ECANCELED;
			return -1;
		}
		got = read(fd, block, BLOCK);
	} while (got < 0 && errno == EINTR);
	if (got > 0)
		__atomic_add_fetch(&copy->done, (guint64)got, __ATOMIC_RELAXED);
	return got;
}

static bool write_block(const CtlCopy *copy, int fd, const char *block, gsize length)
{
	while (length > 0) {
		ssize_t put = write(fd, block, length);
		if (g_atomic_int_get(&copy->cancel)) {
			errno = ECANCELED;
			return false;
		}
		if (put < 0 && errno != EINTR)
			return false;
		block += put > 0 ? put : 0;
		length -= put > 0 ? (gsize)put : 0;
	}
	return true;
}

static bool copy_blocks(CtlCopy *copy, int in, const char *from, int out, const char *to,
                        GError **error)
{
	g_autofree char *block = g_malloc(BLOCK);
	ssize_t got;

	while ((got = read_block(copy, in, block)) > 0) {
		if (!write_block(copy, out, block, (gsize)got))
			return fail_path(error, errno, to);
	}
	return got == 0 || fail_path(error, errno, from);
}

bool ctl_copy_run(CtlCopy *copy, const char *from, const char *folder, const char *name,
                  GError **error)
{
	g_autofree char *to = g_build_filename(folder, name, NULL);
	g_autofree char *passing = g_build_filename(folder, ".gssctl-XXXXXX", NULL);
	struct stat st;
	bool ok = false;

	__atomic_store_n(&copy->done, 0, __ATOMIC_RELAXED);
	int in = open(from, O_RDONLY | O_CLOEXEC);
	if (in < 0 || fstat(in, &st) != 0) {
		fail_path(error, errno, from);
		if (in >= 0)
			close(in);
		return false;
	}
	int out = g_mkstemp_full(passing, O_WRONLY | O_CLOEXEC, (int)(st.st_mode & 0777) | 0600);
	if (out < 0) {
		fail_path(error, errno, to);
		close(in);
		return false;
	}
	g_atomic_pointer_set(&copy->passing, g_strdup(passing));
	/* It gets its name before the close, with which its upload begins. */
	if (copy_blocks(copy, in, from, out, to, error))
		ok = rename(passing, to) == 0 || fail_path(error, errno, to);
	if (!ok && unlink(passing) != 0)
		g_debug("%s: %s", passing, g_strerror(errno));
	close(in);
	if (close(out) != 0 && ok)
		ok = fail_path(error, errno, to);
	return ok;
}

bool ctl_copy_is_there(CtlCopy *copy, const char *from, const char *to)
{
	g_autofree char *known = ctl_attribute(to, "sha256", NULL);
	g_autofree char *state = ctl_attribute(to, "state", NULL);
	g_autofree char *block = g_malloc(BLOCK);
	g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
	struct stat ours, theirs;
	ssize_t got;

	if (known == NULL || g_strcmp0(state, "clean") != 0 || stat(from, &ours) != 0 ||
	    stat(to, &theirs) != 0 || ours.st_size != theirs.st_size)
		return false;
	int in = open(from, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return false;
	while ((got = read_block(copy, in, block)) > 0)
		g_checksum_update(checksum, (const guchar *)block, got);
	close(in);
	return got == 0 && g_ascii_strcasecmp(g_checksum_get_string(checksum), known) == 0;
}
