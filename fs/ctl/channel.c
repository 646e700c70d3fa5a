#include "fs/ctl/channel.h"

#include "cache/error.h"
#include "fs/ctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define STATUS_FILE ".status"
#define STATUS_MAX (256 * 1024 * 1024) /* bytes; a million files are less */
#define CHUNK (64 * 1024)

struct CtlChannel {
	const CtlMount *mount;
	int fd;
};

static bool explain(GError **error, int code, const CtlMount *mount)
{
	const char *path = mount->path;

	switch (code) {
	case ENOTCONN:
	case ECONNABORTED:
		return ctl_fail(
			error, ENOTCONN,
			"the mount at %s is dead, its process is gone: gssctl umount it and "
			"mount it again; nothing that was closed is lost",
			path);
	case EACCES:
	case EPERM:
		return ctl_fail(error, EACCES, "the mount at %s is somebody else's", path);
	case ENOENT:
		return ctl_fail(error, ENODEV,
		                "the mount at %s has no " STATUS_FILE
		                ": its gssfs is older than this gssctl; mount it again",
		                path);
	default:
		return ctl_fail(error, code, "%s/" STATUS_FILE ": %s", path, g_strerror(code));
	}
}

CtlChannel *ctl_channel_open(const CtlMount *mount, GError **error)
{
	g_autofree char *path = g_build_filename(mount->path, STATUS_FILE, NULL);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0) {
		explain(error, errno, mount);
		return NULL;
	}
	CtlChannel *channel = g_new(CtlChannel, 1);
	*channel = (CtlChannel){.mount = mount, .fd = fd};
	return channel;
}

void ctl_channel_close(CtlChannel *channel)
{
	close(channel->fd);
	g_free(channel);
}

const CtlMount *ctl_channel_mount(const CtlChannel *channel)
{
	return channel->mount;
}

CtlStatus *ctl_channel_read(CtlChannel *channel, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	ssize_t got = 1;

	while (got > 0 && text->len < STATUS_MAX) {
		gsize before = text->len;
		g_string_set_size(text, before + CHUNK);
		do {
			got = pread(channel->fd, text->str + before, CHUNK, (off_t)before);
		} while (got < 0 && errno == EINTR && ctl_interrupted() == 0);
		g_string_truncate(text, before + (got > 0 ? (gsize)got : 0));
	}
	if (got < 0) {
		explain(error, errno, channel->mount);
		return NULL;
	}
	return ctl_status_parse(text->str, error);
}

void ctl_channels_wait(const GPtrArray *channels, int wake, int timeout_ms)
{
	g_autofree struct pollfd *fds = g_new0(struct pollfd, channels->len + 2);
	nfds_t count = 0;

	for (; count < channels->len; count++) {
		const CtlChannel *channel = channels->pdata[count];
		fds[count] = (struct pollfd){.fd = channel->fd, .events = POLLPRI};
	}
	fds[count++] = (struct pollfd){.fd = ctl_interrupts(), .events = POLLIN};
	fds[count++] = (struct pollfd){.fd = wake, .events = POLLIN};
	/* Whatever it says, the state is looked at afresh. */
	if (poll(fds, count, timeout_ms) < 0 && errno != EINTR)
		g_usleep(G_USEC_PER_SEC);
}

bool ctl_channel_write(const char *file, const char *line, GError **error)
{
	g_autofree char *whole = g_strconcat(line, "\n", NULL);
	gsize length = strlen(whole);
	ssize_t put;

	if (strchr(line, '\n') != NULL)
		return ctl_fail(error, EINVAL,
		                "a name with a newline in it cannot be said in a line of %s", file);
	int fd = open(file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return ctl_fail(error, errno, "%s: %s", file, g_strerror(errno));
	/* An equal command joins the one that goes on. */
	do {
		put = write(fd, whole, length);
	} while (put < 0 && errno == EINTR && ctl_interrupted() == 0);
	int code = put < 0 ? errno : (gsize)put == length ? 0 : EIO;
	if (close(fd) != 0 && code == 0)
		code = errno;
	/* That is no answer: a registration, which is journaled, does not end with it. */
	if (put < 0 && (code == ENOTCONN || code == ECONNABORTED))
		return ctl_fail(error, code,
		                "the mount ended before it answered; what was begun goes on behind "
		                "it, or with the next mount, whose .register tells the outcome");
	return code == 0 || ctl_fail(error, code, "%s", g_strerror(code));
}

bool ctl_channel_command(const CtlMount *mount, const char *verb, const char *argument,
                         GError **error)
{
	g_autofree char *file = g_build_filename(mount->path, STATUS_FILE, NULL);
	g_autofree char *quoted = argument != NULL ? g_shell_quote(argument) : NULL;
	g_autofree char *line =
		quoted != NULL ? g_strconcat(verb, " ", quoted, NULL) : g_strdup(verb);

	return ctl_channel_write(file, line, error);
}

GPtrArray *ctl_channels(const GPtrArray *mounts, GError **error)
{
	g_autoptr(GPtrArray) channels =
		g_ptr_array_new_with_free_func((GDestroyNotify)ctl_channel_close);

	for (guint i = 0; i < mounts->len; i++) {
		const CtlMount *mount = mounts->pdata[i];
		g_autoptr(GError) failure = NULL;
		CtlChannel *channel = mount->ours ? ctl_channel_open(mount, &failure) : NULL;
		if (channel != NULL)
			g_ptr_array_add(channels, channel);
		else if (mount->ours)
			ctl_say("%s", failure->message);
	}
	if (channels->len > 0)
		return g_steal_pointer(&channels);
	ctl_fail(error, ENODEV, "no GSS storage is mounted here: gssfs it4i_anselm:// ~/gss");
	return NULL;
}
