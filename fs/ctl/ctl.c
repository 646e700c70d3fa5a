#include "fs/ctl/ctl.h"

#include "cache/error.h"
#include "fs/ctl/text.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool ctl_fail(GError **error, int code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	g_autofree char *message = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_set_error_literal(error, CACHE_ERROR, code, message);
	return false;
}

void ctl_say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	g_autofree char *message = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_autofree char *safe = ctl_text_safe(message);
	fflush(stdout);
	fprintf(stderr, "gssctl: %s\n", safe);
}

int ctl_complain(const GError *error)
{
	ctl_say("%s", error->message);
	switch (error->code) {
	case EINVAL:
		return CTL_USAGE;
	case ENOENT:
	case ENOTDIR:
	case EXDEV: /* in no mount */
		return CTL_NOINPUT;
	case ENODEV:
	case ENOTCONN:
	case EPROTO:
	case EHOSTUNREACH:
		return CTL_UNAVAILABLE;
	case ETIMEDOUT:
	case EAGAIN:
	case EBUSY:
		return CTL_TEMPFAIL;
	case EACCES:
	case EPERM:
	case EKEYREJECTED:
	case EKEYEXPIRED:
	case ENOKEY:
		return CTL_NOPERM;
	default:
		return CTL_IOERR;
	}
}

int ctl_worse(int a, int b)
{
	return a == CTL_OK || (a == CTL_FAILED && b != CTL_OK) ? b : a;
}

bool ctl_options(const CtlVerb *verb, const GOptionEntry *entries, char ***words)
{
	g_autofree char *usage = g_strconcat(verb->arguments != NULL ? verb->arguments : "", "\n\n",
	                                     verb->summary, NULL);
	g_autoptr(GOptionContext) context = g_option_context_new(usage);
	g_autofree char *name = g_strconcat("gssctl ", verb->name, NULL);
	g_autoptr(GError) error = NULL;

	g_free((*words)[0]);
	(*words)[0] = g_strdup(name);
	g_set_prgname(name); /* for the usage line */
	if (entries != NULL)
		g_option_context_add_main_entries(context, entries, NULL);
	g_option_context_set_description(context, verb->details);
	if (g_option_context_parse_strv(context, words, &error)) {
		/* What ended the options is no argument. */
		char **end = *words + 1;
		while (*end != NULL && strcmp(*end, "--") != 0)
			end++;
		if (*end != NULL) {
			g_free(*end);
			memmove(end, end + 1, g_strv_length(end) * sizeof(char *));
		}
		return true;
	}
	ctl_say("%s (see %s --help)", error->message, name);
	return false;
}

bool ctl_confirm(const char *format, ...)
{
	va_list arguments;
	char answer[16];

	va_start(arguments, format);
	g_autofree char *question = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
		ctl_say("nobody can be asked here: give --yes");
		return false;
	}
	g_autofree char *safe = ctl_text_safe(question);
	fprintf(stderr, "%s [y/N] ", safe);
	if (fgets(answer, sizeof(answer), stdin) == NULL) {
		fputc('\n', stderr);
		return false;
	}
	g_strstrip(answer);
	return g_ascii_strcasecmp(answer, "y") == 0 || g_ascii_strcasecmp(answer, "yes") == 0;
}

/* --- signals --- */

static volatile sig_atomic_t interrupted;
static int interrupt_fd = -1;

static void on_signal(int number)
{
	static const guint64 one = 1;
	int saved = errno;

	interrupted = number;
	/* Full means that it is readable already. */
	if (write(interrupt_fd, &one, sizeof(one)) < 0)
		errno = saved;
	errno = saved;
}

int ctl_interrupts(void)
{
	/* SA_RESETHAND: the second one kills. No SA_RESTART: waits end. */
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	if (interrupt_fd >= 0)
		return interrupt_fd;
	interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (interrupt_fd < 0)
		return -1;
	for (guint i = 0; i < 4; i++) {
		static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
		struct sigaction before;
		/* What the caller has ignored (nohup) stays so. */
		if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
	}
	return interrupt_fd;
}

int ctl_interrupted(void)
{
	return interrupted;
}
