#include "fs/session.h"

#include "fs/handle.h"
#include "fs/loop.h"
#include "fs/notify.h"
#include "fs/ops.h"
#include "fs/reply.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Workers touch memory and the local disk only; each has a buffer of the size of a request. */
#define WORKERS_MAX 8
#define KICK_MS 50
#define KICK_SIGNAL SIGUSR2 /* SIGUSR1 is for fs/stop.h */

struct FsSession {
	FsMount *mount;
	struct fuse_session *fuse;
	void (*ready)(void *data);
	void *data;
	pthread_t runner;
	gint running; /* atomic */
};

/* libfuse hands out one user data, which is the mount; it knows the way back. */
static void on_init(void *data, struct fuse_conn_info *conn)
{
	FsMount *mount = data;
	FsSession *session = mount->session;

	fs_ops_negotiate(conn);
	session->ready(session->data);
}

static void on_fuse_log(enum fuse_log_level level, const char *format, va_list arguments)
	G_GNUC_PRINTF(2, 0);
static void on_fuse_log(enum fuse_log_level level, const char *format, va_list arguments)
{
	g_autofree char *text = g_strdup_vprintf(format, arguments);

	g_strchomp(text);
	if (level <= FUSE_LOG_ERR)
		g_warning("%s", text);
	else
		g_debug("%s", text);
}

/* An option of libfuse's, in which commas part. */
static void add_option(struct fuse_args *args, const char *name, const char *value)
{
	g_autoptr(GString) text = g_string_new("-o");

	g_string_append(text, name);
	if (value != NULL)
		g_string_append_c(text, '=');
	for (const char *p = value; p != NULL && *p != '\0'; p++) {
		if (*p == ',' || *p == '\\')
			g_string_append_c(text, '\\');
		g_string_append_c(text, *p);
	}
	if (fuse_opt_add_arg(args, text->str) != 0)
		g_error("out of memory");
}

static void add_options(struct fuse_args *args, const FsSessionOptions *options)
{
	if (fuse_opt_add_arg(args, "gssfs") != 0)
		g_error("out of memory");
	add_option(args, "fsname", options->source);
	add_option(args, "subtype", "gssfs");
	add_option(args, "default_permissions", NULL);
	if (options->read_only)
		add_option(args, "ro", NULL);
	if (options->allow_other)
		add_option(args, "allow_other", NULL);
	if (options->allow_root)
		add_option(args, "allow_root", NULL);
	for (guint i = 0; i < options->mount->len; i++)
		add_option(args, options->mount->pdata[i], NULL);
}

/* --- what libfuse and fusermount3 print --- */

typedef struct {
	int file, saved;
} Capture;

static Capture capture_begin(void)
{
	Capture capture = {
		.file = memfd_create("stderr", MFD_CLOEXEC),
		.saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3),
	};

	if (capture.file >= 0 && capture.saved >= 0 && dup2(capture.file, STDERR_FILENO) < 0)
		g_debug("dup2: %s", g_strerror(errno));
	return capture;
}

/* What was printed; never NULL. */
static char *capture_end(Capture *capture)
{
	char text[2048];
	ssize_t length = -1;

	if (capture->saved >= 0) {
		if (dup2(capture->saved, STDERR_FILENO) < 0)
			g_debug("dup2: %s", g_strerror(errno));
		close(capture->saved);
	}
	if (capture->file >= 0) {
		length = pread(capture->file, text, sizeof(text), 0);
		close(capture->file);
	}
	return g_strndup(text, length > 0 ? (gsize)length : 0);
}

/* One line of ours from what others printed. */
static void set_mount_error(GError **error, const char *mountpoint, char *said)
{
	const char *remedy = "";

	if (strstr(said, "user_allow_other") != NULL)
		remedy = "; root can allow that there";
	else if (strstr(said, "exec") != NULL || strstr(said, "No such file") != NULL)
		remedy = "; is fuse3 installed (apt-get install fuse3)?";
	else if (strstr(said, "not permitted") != NULL)
		remedy = "; mounting needs root, or the set-user-ID program fusermount3, and a "
			 "container may forbid both";
	g_strstrip(g_strdelimit(said, "\n", ' '));
	g_set_error(error, CACHE_ERROR, EIO, "cannot mount at %s: %s%s", mountpoint,
	            *said != '\0' ? said : "libfuse does not say why", remedy);
}

FsSession *fs_session_mount(FsMount *mount, const FsSessionOptions *options, GError **error)
{
	struct fuse_lowlevel_ops ops = fs_ops;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	FsSession *session = g_new0(FsSession, 1);

	*session = (FsSession){.mount = mount, .ready = options->ready, .data = options->data};
	mount->session = session;
	ops.init = on_init;
	fuse_set_log_func(on_fuse_log);
	add_options(&args, options);
	Capture capture = capture_begin();
	session->fuse = fuse_session_new(&args, &ops, sizeof(ops), mount);
	bool mounted = session->fuse != NULL &&
	               fuse_session_mount(session->fuse, options->mountpoint) == 0;
	g_autofree char *said = capture_end(&capture);
	fuse_opt_free_args(&args);
	if (mounted) {
		if (*said != '\0')
			g_message("%s", g_strchomp(said));
		return session;
	}
	set_mount_error(error, options->mountpoint, said);
	if (session->fuse != NULL)
		fuse_session_destroy(session->fuse);
	mount->session = NULL;
	g_free(session);
	return NULL;
}

/* --- running --- */

static void on_kick(int signum)
{
	/* Only to interrupt sem_wait() in libfuse's loop. */
}

bool fs_session_run(FsSession *session, GError **error)
{
	struct sigaction kick = {.sa_handler = on_kick}; /* no SA_RESTART */
	struct fuse_loop_config *config = fuse_loop_cfg_create();

	sigaction(KICK_SIGNAL, &kick, NULL);
	session->runner = pthread_self();
	g_atomic_int_set(&session->running, 1);
	fs_notifier_start(session->mount->notifier, session->fuse);
	fuse_loop_cfg_set_clone_fd(config, 1);
	fuse_loop_cfg_set_max_threads(config, WORKERS_MAX);
	int result = fuse_session_loop_mt(session->fuse, config);
	g_atomic_int_set(&session->running, 0);
	fuse_loop_cfg_destroy(config);
	if (result >= 0)
		return true;
	g_set_error(error, CACHE_ERROR, -result, "the connection to the kernel broke: %s",
	            g_strerror(-result));
	return false;
}

/* The loop sleeps in a semaphore and looks at the flag only when a signal interrupts that; one that
 * comes just before it sleeps is lost, hence again. */
static void kick(void *data)
{
	FsSession *session = data;

	if (!g_atomic_int_get(&session->running))
		return;
	pthread_kill(session->runner, KICK_SIGNAL);
	fs_loop_after(session->mount->loop, KICK_MS, kick, session);
}

void fs_session_end(FsSession *session)
{
	/* While there are workers: a notification may wait for a page whose read waits for us. From
	 * now on all requests are answered at once. */
	fs_replies_abort(session->mount->replies);
	fs_notifier_stop(session->mount->notifier);
	fuse_session_exit(session->fuse);
	kick(session);
}

void fs_session_close(FsSession *session)
{
	FsMount *mount = session->mount;

	fs_replies_abort(mount->replies);
	fuse_session_unmount(session->fuse);
	fs_notifier_stop(mount->notifier);
	fs_handles_close(mount->handles);
}

void fs_session_free(FsSession *session)
{
	fuse_session_destroy(session->fuse);
	session->mount->session = NULL;
	g_free(session);
}
