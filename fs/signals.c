#include "fs/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BIT(number) (G_GUINT64_CONSTANT(1) << ((number)-1))

/* What a program catches to end in an orderly way. */
#define ASKS_TO_END (BIT(SIGHUP) | BIT(SIGINT) | BIT(SIGQUIT) | BIT(SIGTERM))
/* Their default is not to end the process. */
#define HARMLESS                                                                                   \
	(BIT(SIGCHLD) | BIT(SIGCONT) | BIT(SIGURG) | BIT(SIGWINCH) | BIT(SIGSTOP) | BIT(SIGTSTP) | \
	 BIT(SIGTTIN) | BIT(SIGTTOU))

/* False: there is no such line. */
static bool mask(const char *status, const char *name, guint64 *ret)
{
	const char *at = strstr(status, name);

	if (at == NULL)
		return false;
	*ret = g_ascii_strtoull(at + strlen(name), NULL, 16);
	return true;
}

bool fs_signals_end_wait(const char *status, bool any)
{
	guint64 own, shared, blocked, ignored, caught;

	if (!mask(status, "\nSigPnd:", &own) || !mask(status, "\nShdPnd:", &shared) ||
	    !mask(status, "\nSigBlk:", &blocked) || !mask(status, "\nSigIgn:", &ignored) ||
	    !mask(status, "\nSigCgt:", &caught))
		return true;
	guint64 due = (own | shared) & ~blocked & ~ignored;
	return (due & caught & (any ? ~G_GUINT64_CONSTANT(0) : ASKS_TO_END)) != 0 ||
	       (due & ~caught & ~HARMLESS) != 0;
}

bool fs_signals_pending(pid_t thread, bool any)
{
	char path[64], status[4096];
	gsize filled = 0;
	ssize_t got;

	/* The kernel shows 0 for a caller outside of our PID namespace. */
	if (thread <= 0)
		return true;
	g_snprintf(path, sizeof(path), "/proc/%d/status", (int)thread);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return true;
	while (filled < sizeof(status) - 1 &&
	       ((got = read(fd, status + filled, sizeof(status) - 1 - filled)) > 0 ||
	        (got < 0 && errno == EINTR)))
		filled += got > 0 ? (gsize)got : 0;
	status[filled] = '\0';
	close(fd);
	return fs_signals_end_wait(status, any);
}
