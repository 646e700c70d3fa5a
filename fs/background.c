#include "fs/background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct FsBackground {
	int fd; /* to the parent */
};

static void print(const char *text)
{
	fprintf(stderr, "gssfs: %s\n", text);
}

/* What the child writes: the status as one byte, then text. */
static int parent(int fd, pid_t child)
{
	g_autoptr(GByteArray) said = g_byte_array_new();
	guint8 buffer[4096];
	ssize_t got;
	int status;

	while ((got = read(fd, buffer, sizeof(buffer))) > 0 || (got < 0 && errno == EINTR)) {
		if (got > 0)
			g_byte_array_append(said, buffer, (guint)got);
	}
	close(fd);
	if (said->len > 0) {
		g_byte_array_append(said, (const guint8 *)"", 1);
		if (said->data[1] != '\0')
			print((const char *)said->data + 1);
		return said->data[0];
	}
	if (waitpid(child, &status, 0) == child && WIFSIGNALED(status))
		fprintf(stderr, "gssfs: ended by signal %d before the mount was up\n",
		        WTERMSIG(status));
	else
		print("ended before the mount was up");
	return EXIT_FAILURE;
}

FsBackground *fs_background_fork(int *ret_status)
{
	int ends[2];

	*ret_status = EXIT_FAILURE;
	if (pipe2(ends, O_CLOEXEC) != 0) {
		print(g_strerror(errno));
		return NULL;
	}
	pid_t child = fork();
	if (child < 0) {
		fprintf(stderr, "gssfs: cannot fork: %s\n", g_strerror(errno));
		close(ends[0]);
		close(ends[1]);
		return NULL;
	}
	if (child > 0) {
		close(ends[1]);
		*ret_status = parent(ends[0], child);
		return NULL;
	}
	close(ends[0]);
	FsBackground *background = g_new(FsBackground, 1);
	background->fd = ends[1];
	return background;
}

/* The parent may be gone, which changes nothing. */
static void say(FsBackground *background, int status, const char *text)
{
	g_autofree char *said = g_strdup_printf("%c%s", 'x', text != NULL ? text : "");
	gsize length = strlen(said);
	gsize done = 0;

	said[0] = (char)status;
	while (done < length) {
		ssize_t put = write(background->fd, said + done, length - done);
		if (put < 0 && errno != EINTR)
			break;
		done += put > 0 ? (gsize)put : 0;
	}
	close(background->fd);
	g_free(background);
}

void fs_background_ready(FsBackground *background, const char *note)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* Until now Ctrl-C is for both. */
	if (setsid() < 0)
		g_debug("setsid: %s", g_strerror(errno));
	if (chdir("/") != 0)
		g_debug("chdir: %s", g_strerror(errno));
	for (int fd = 0; null >= 0 && fd < 3; fd++) {
		if (dup2(null, fd) < 0)
			g_debug("dup2: %s", g_strerror(errno));
	}
	if (null > 2)
		close(null);
	say(background, EXIT_SUCCESS, note);
}

void fs_background_fail(FsBackground *background, const char *message, int status)
{
	say(background, status, message);
}
