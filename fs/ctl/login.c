/* gssctl login: asks who one is, writes the credentials file, has the running mounts go on with it.
 */
#include "fs/ctl/channel.h"
#include "fs/ctl/ctl.h"
#include "fs/ctl/text.h"

#include "cache/error.h"
#include "fs/config.h"
#include "fs/credentials.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <termios.h>
#include <unistd.h>

#define ANSWER_MAX 4096 /* bytes */

/* How the terminal is while a secret is typed, and otherwise. */
typedef struct {
	struct termios before, hidden;
} Hidden;

static volatile sig_atomic_t stopped;

static void on_stop(int number)
{
	stopped = 1;
}

/* Ctrl-Z: whoever gets the terminal meanwhile sees what he types. */
static void rest(const Hidden *hidden)
{
	stopped = 0;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &hidden->before);
	raise(SIGSTOP);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &hidden->hidden);
}

/* One byte of standard input: 1; 0: its end; -1: it cannot be read, or a signal came, were it just
 * before the wait. `hidden` NULL: it is shown. */
static ssize_t read_byte(const Hidden *hidden, char *byte)
{
	while (ctl_interrupted() == 0) {
		if (stopped && hidden != NULL)
			rest(hidden);
		struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
		                       {.fd = ctl_interrupts(), .events = POLLIN}};
		if (poll(fds, G_N_ELEMENTS(fds), -1) < 0 && errno != EINTR)
			return -1;
		if (fds[0].revents == 0 || ctl_interrupted() != 0)
			continue;
		ssize_t got = read(STDIN_FILENO, byte, 1);
		if (got >= 0 || errno != EINTR)
			return got;
	}
	return -1;
}

/* A line of standard input without its end; NULL: there is none, it is too long, or a signal came.
 * Not through stdio, whose buffer would keep the secret. */
static char *read_line(const Hidden *hidden)
{
	char *line = g_malloc0(ANSWER_MAX + 1);
	gsize length = 0;

	for (;;) {
		char byte;
		ssize_t got = read_byte(hidden, &byte);
		if (got == 1 && byte != '\n' && length < ANSWER_MAX && byte != '\0') {
			line[length++] = byte;
			continue;
		}
		if ((got == 1 && byte == '\n') || (got == 0 && length > 0)) {
			if (length > 0 && line[length - 1] == '\r')
				line[length - 1] = '\0';
			return line;
		}
		explicit_bzero(line, ANSWER_MAX);
		g_free(line);
		return NULL;
	}
}

static char *read_hidden(void)
{
	const struct sigaction action = {.sa_handler = on_stop};
	struct sigaction before;
	Hidden terminal;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &terminal.before) != 0)
		return read_line(NULL);
	terminal.hidden = terminal.before;
	terminal.hidden.c_lflag &= ~(tcflag_t)ECHO;
	terminal.hidden.c_lflag |= ECHONL;
	bool handled = sigaction(SIGTSTP, &action, &before) == 0;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal.hidden);
	char *line = read_line(&terminal);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal.before);
	if (handled)
		sigaction(SIGTSTP, &before, NULL);
	/* The question's line ends in any case. */
	if (line == NULL)
		fputc('\n', stderr);
	return line;
}

/* NULL: nothing was answered. */
static char *ask(const char *question, const char *proposal, bool hidden)
{
	if (isatty(STDIN_FILENO)) {
		g_autofree char *safe = proposal != NULL ? ctl_text_safe(proposal) : NULL;
		fprintf(stderr, "%s%s%s%s: ", question, safe != NULL ? " [" : "",
		        safe != NULL ? safe : "", safe != NULL ? "]" : "");
		fflush(stderr);
	}
	char *answer = hidden ? read_hidden() : read_line(NULL);
	if (answer != NULL && !hidden)
		g_strstrip(answer);
	if (answer != NULL && *answer == '\0') {
		g_free(answer);
		return g_strdup(proposal);
	}
	return answer;
}

typedef struct {
	gboolean by_token, quiet;
	char *user, *project, *config;
	char **only; /* mounts */
} Options;

static void options_clear(Options *options)
{
	g_free(options->user);
	g_free(options->project);
	g_free(options->config);
	g_strfreev(options->only);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

static bool ask_all(const Options *options, const FsCredentials *before, FsCredentials *ret)
{
	const char *user = options->user, *project = options->project;

	if (options->by_token) {
		ret->token = ask("Session token", NULL, true);
		return ret->token != NULL;
	}
	ret->username = user != NULL ? g_strdup(user) : ask("User", before->username, false);
	if (ret->username == NULL)
		return false;
	ret->project = project != NULL ? g_strdup(project) : ask("Project", before->project, false);
	if (ret->project == NULL)
		return false;
	ret->password = ask("Password", NULL, true);
	return ret->password != NULL;
}

/* --- the running mounts --- */

/* The environment of a mount wins over the file; then it is another login than was given. */
static bool is_another(const CtlStatus *status, const FsCredentials *given)
{
	return given->username != NULL && status->session.user != NULL &&
	       (strcmp(status->session.user, given->username) != 0 ||
	        g_strcmp0(status->session.project, given->project) != 0);
}

static int tell_mount(CtlChannel *channel, const FsCredentials *given)
{
	const CtlMount *mount = ctl_channel_mount(channel);
	g_autoptr(GError) error = NULL, unread = NULL;
	bool ok = ctl_channel_command(mount, "login", NULL, &error);
	g_autoptr(CtlStatus) status = ctl_channel_read(channel, &unread);
	const char *message =
		status != NULL && status->session.message != NULL ? status->session.message : NULL;

	if (!ok && ctl_interrupted() != 0)
		return CTL_SIGNAL + ctl_interrupted();
	/* To one that is read only nothing can be told; it reads the file itself when it has to. */
	if (!ok && error->code == EROFS)
		return CTL_OK;
	if (!ok) {
		ctl_say("%s: %s", mount->path, message != NULL ? message : error->message);
		return error->code == EHOSTUNREACH || error->code == ETIMEDOUT || error->code == EIO
		               ? CTL_TEMPFAIL
		               : CTL_NOPERM;
	}
	if (status != NULL && is_another(status, given)) {
		ctl_say("%s: goes on as %s in %s, since CFG_… of its environment win over the "
		        "file; "
		        "mount it again without them",
		        mount->path, status->session.user,
		        status->session.project != NULL ? status->session.project : "?");
		return CTL_FAILED;
	}
	if (isatty(STDERR_FILENO)) {
		gint64 now = g_get_real_time() / G_USEC_PER_SEC;
		gint64 until = status != NULL ? status->session.valid_until : 0;
		g_autofree char *time = until > 0 ? ctl_text_time(until, now) : NULL;
		ctl_say("%s: logged in%s%s", mount->path, time != NULL ? ", until " : "",
		        time != NULL ? time : "");
	}
	return CTL_OK;
}

/* Ctrl-C is what counts, whatever was wrong before it. */
static int worse(int a, int b)
{
	return b > CTL_SIGNAL ? b : ctl_worse(a, b);
}

static int tell_mounts(const GPtrArray *mounts, const FsCredentials *given)
{
	int result = CTL_OK;

	for (guint i = 0; i < mounts->len && result < CTL_SIGNAL; i++) {
		const CtlMount *mount = mounts->pdata[i];
		g_autoptr(CtlChannel) channel = mount->ours ? ctl_channel_open(mount, NULL) : NULL;
		/* A dead one has nothing to be told. */
		if (channel != NULL)
			result = worse(result, tell_mount(channel, given));
	}
	return result;
}

/* Asks and writes. */
static int keep(const Options *options, FsCredentials *ret_given)
{
	g_autofree char *config = options->config != NULL
	                                  ? g_canonicalize_filename(options->config, NULL)
	                                  : fs_config_default_path();
	g_autofree char *path = fs_credentials_path(config);
	g_auto(FsCredentials) before = {0};
	g_autoptr(GError) error = NULL;

	/* Only for what is proposed; a file that must not be used is replaced. */
	if (!fs_credentials_load(path, &before, NULL))
		g_debug("%s cannot be used as it is", path);
	ctl_interrupts();
	if (!ask_all(options, &before, ret_given)) {
		if (ctl_interrupted() != 0)
			return CTL_SIGNAL + ctl_interrupted();
		ctl_say("%s", options->by_token
		                      ? "a token is needed"
		                      : "user, project and password are needed, each on a line");
		return CTL_USAGE;
	}
	if (!fs_credentials_save(path, ret_given, &error)) {
		ctl_say("%s", error->message);
		return error->code == EINVAL ? CTL_USAGE : CTL_IOERR;
	}
	if (isatty(STDERR_FILENO))
		ctl_say("kept in %s, for you alone to read", path);
	return CTL_OK;
}

static int login_run(const char *name, char **words)
{
	g_auto(Options) options = {0};
	const GOptionEntry entries[] = {
		{"user", 'u', 0, G_OPTION_ARG_STRING, &options.user, "Who, instead of asking",
	         "USER"},
		{"project", 'p', 0, G_OPTION_ARG_STRING, &options.project, "Of which project",
	         "PROJECT"},
		{"token", 't', 0, G_OPTION_ARG_NONE, &options.by_token,
	         "Ask for a session token instead", NULL},
		{"config", 0, 0, G_OPTION_ARG_FILENAME, &options.config,
	         "The configuration of the mounts, beside which credentials lies", "FILE"},
		CTL_MOUNT_ENTRY(options.only),
		{"no-mounts", 0, 0, G_OPTION_ARG_NONE, &options.quiet,
	         "Write the file, and tell no mount", NULL},
		G_OPTION_ENTRY_NULL,
	};
	g_auto(FsCredentials) given = {0};
	g_autoptr(GError) error = NULL;
	const struct rlimit none = {0, 0};

	/* No core file with a password in it. */
	if (setrlimit(RLIMIT_CORE, &none) != 0)
		g_debug("setrlimit: %s", g_strerror(errno));
	if (!ctl_options(&ctl_verb_login, entries, &words))
		return CTL_USAGE;
	if (words[1] != NULL) {
		ctl_say("login takes no arguments (see gssctl login --help): a secret is never "
		        "one");
		return CTL_USAGE;
	}
	g_autoptr(GPtrArray) mounts = ctl_mounts(&error);
	if (mounts == NULL || !ctl_mounts_only(mounts, options.only, &error))
		return ctl_complain(error);
	int status = keep(&options, &given);
	return status == CTL_OK && !options.quiet ? tell_mounts(mounts, &given) : status;
}

const CtlVerb ctl_verb_login = {
	.name = "login",
	.arguments = NULL,
	.summary = "Asks who you are, and has mounts use it from now on.",
	.details = "User, project and password are asked for, or read from standard input, a line "
		   "each. They are\n"
		   "kept in ~/.config/gssfs/credentials, which only you can read. Running mounts "
		   "log in at once;\n"
		   "exit status 77 if the platform refuses.",
	.run = login_run,
};
