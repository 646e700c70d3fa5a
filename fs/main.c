/* gssfs - mounts GSS storage as a local folder. The life of the process: options, background,
 * platform, session, drain. */
#include "fs/background.h"
#include "fs/drain.h"
#include "fs/log.h"
#include "fs/mountpoint.h"
#include "fs/options.h"
#include "fs/platform.h"
#include "fs/service.h"
#include "fs/session.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fs/fuse.h"

#define EXIT_USAGE 2
#define EXIT_REFUSED 77 /* as gssctl's; systemd must not try it again and again */

typedef struct {
	const FsOptions *options;
	char *mountpoint, *config_path; /* absolute */
	FsBackground *background;       /* NULL: in the foreground, or ready */
	char *note;                     /* for the user, once the mount is up */
} Program;

/* Or what is opened first takes the place of one that is closed, and gets what is printed there. */
static bool open_standard_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	return fd >= 0 && close(fd) == 0;
}

/* mount(8) takes HOME away where a user mounts by fstab, and mount.fuse3 says /root instead. */
static void find_home(void)
{
	const char *home = g_getenv("HOME");

	if (home == NULL || access(home, W_OK | X_OK) == 0 || errno != EACCES)
		return;
	const struct passwd *user = getpwuid(getuid());
	if (user != NULL)
		g_setenv("HOME", user->pw_dir, TRUE);
}

static void limit_resources(void)
{
	struct rlimit none = {0, 0};
	struct rlimit files;

	/* No core dumps, which would have the token in them; crash handlers honour the limit. Not
	 * PR_SET_DUMPABLE, which takes /proc/self away from us and from our own user's tools. */
	if (setrlimit(RLIMIT_CORE, &none) != 0)
		g_debug("setrlimit: %s", g_strerror(errno));
	/* One for each blob in use. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &files) != 0)
			g_debug("setrlimit: %s", g_strerror(errno));
	}
	/* A heap for each thread keeps what each of them freed: a third more for large folders. */
	mallopt(M_ARENA_MAX, 2);
}

/* On a FUSE worker: the kernel has said hello. */
static void on_ready(void *data)
{
	Program *program = data;

	if (program->background != NULL) {
		fs_log_background();
		fs_background_ready(g_steal_pointer(&program->background), program->note);
	}
	if (program->note != NULL)
		g_message("%s", program->note);
	g_message("%s is mounted at %s", program->options->source, program->mountpoint);
	fs_service_notify("READY=1");
}

static int report(Program *program, const GError *error)
{
	int status = error->code == EKEYREJECTED ? EXIT_REFUSED : EXIT_FAILURE;

	if (program->background != NULL)
		fs_background_fail(g_steal_pointer(&program->background), error->message, status);
	else
		g_critical("%s", error->message);
	return status;
}

/* The storages of a drain that another mount wants leave it. */
typedef struct {
	FsPlatform *platform;
	FsDrain *drain;
} Leaving;

static void on_leave(FsStorage *storage, void *data)
{
	fs_drain_leave(((Leaving *)data)->drain, storage);
}

static bool on_successor(void *data)
{
	return fs_platform_hand_over(((Leaving *)data)->platform, on_leave, data);
}

/* The session's end: what is left goes to GSS. */
static int finish(Program *program, FsMount *mount, FsPlatform *platform, FsSession *session,
                  FsStop *stop, const GError *error)
{
	Leaving leaving = {.platform = platform};
	bool clean = false, foreign = fs_platform_is_foreign(platform);

	if (error != NULL)
		g_warning("%s", error->message);
	fs_stop_session_over(stop);
	fs_session_close(session);
	fs_service_notify("STOPPING=1");
	if (!foreign) {
		leaving.drain = fs_drain_start(mount, stop);
		fs_stop_on_successor(stop, on_successor, &leaving);
		clean = fs_drain_wait(leaving.drain, program->options->drain_timeout);
	}
	fs_mount_stop(mount);
	fs_platform_close(platform);
	fs_session_free(session);
	if (leaving.drain != NULL)
		fs_drain_free(leaving.drain);
	fs_stop_free(stop);
	if (foreign)
		return EXIT_REFUSED;
	return clean && error == NULL ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run_session(Program *program, FsMount *mount)
{
	const FsOptions *options = program->options;
	g_autoptr(GError) error = NULL;
	const FsSessionOptions session_options = {
		.source = options->source,
		.mountpoint = program->mountpoint,
		.mount = options->mount,
		.read_only = options->read_only,
		.allow_other = options->allow_other,
		.allow_root = options->allow_root,
		.ready = on_ready,
		.data = program,
	};

	FsPlatform *platform =
		fs_platform_open(options, program->config_path, mount, &program->note, &error);
	if (platform == NULL)
		return report(program, error);
	FsSession *session = fs_session_mount(mount, &session_options, &error);
	if (session == NULL) {
		fs_mount_stop(mount);
		fs_platform_close(platform);
		return report(program, error);
	}
	FsStop *stop = fs_stop_new(mount, session);
	fs_session_run(session, &error);
	return finish(program, mount, platform, session, stop, error);
}

static int run(Program *program)
{
	const FsOptions *options = program->options;
	const FsMountOptions mount_options = {
		.owner = getuid(),
		.uid = options->uid,
		.gid = options->gid,
		.umask = options->umask_given ? options->umask : 0,
		.all = g_str_equal(options->source, "all"),
		.register_timeout = options->register_timeout,
		.source = options->source,
		.mountpoint = program->mountpoint,
	};

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* EFBIG is told to whoever writes */
	FsMount *mount = fs_mount_new(&mount_options);
	int status = run_session(program, mount);
	fs_mount_free(mount);
	curl_global_cleanup();
	return status;
}

/* What can be said before anything is started, and from where everything is absolute. */
static bool prepare(Program *program, GError **error)
{
	const FsOptions *options = program->options;

	program->mountpoint = g_canonicalize_filename(options->mountpoint, NULL);
	program->config_path = options->config != NULL
	                               ? g_canonicalize_filename(options->config, NULL)
	                               : fs_config_default_path();
	return fs_platform_check_source(options->source, error) &&
	       fs_mountpoint_check(program->mountpoint, options, error);
}

static int print_version(void)
{
	printf("gssfs %s (libfuse %s)\n", GSSFS_VERSION, fuse_pkgversion());
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	g_auto(FsOptions) options = {0};
	g_autoptr(GError) error = NULL;
	int status = EXIT_SUCCESS;

	if (!open_standard_streams())
		return EXIT_FAILURE;
	find_home();
	fs_log_start();
	if (!fs_options_parse(argc, argv, &options, &error)) {
		fprintf(stderr, "gssfs: %s\nSee: gssfs --help\n", error->message);
		return EXIT_USAGE;
	}
	if (options.help) {
		fs_options_print_help();
		return EXIT_SUCCESS;
	}
	if (options.version)
		return print_version();
	if (options.debug)
		fs_log_debug();
	Program program = {.options = &options};
	limit_resources();
	if (!prepare(&program, &error))
		status = report(&program, error);
	else if (options.foreground || (program.background = fs_background_fork(&status)) != NULL)
		status = run(&program);
	g_free(program.mountpoint);
	g_free(program.config_path);
	g_free(program.note);
	return status;
}
