/* gss-local - the GSS platform in one process on loopback: the backend of the demo, the peer of the
 * tests. It is written from the protocol's documents alone and shares no code with the client, so
 * that each checks the other.
 *
 * How the house is built: http.c takes requests from libmicrohttpd, a thread each connection, and
 * hands them to the room that route.c names: soap.c (for auth.c, fileutilities.c, images.c; their
 * WSDLs come from wsdl.c), storage.c, control.c. place.c knows what a URI or URL speaks of, store.c
 * the folder, plm.c the numbers of the opaque storage. faults.c plans what goes wrong, halt.c ends
 * every wait, stats.c counts and remembers.
 */
#include "auth.h"
#include "fileutilities.h"
#include "http.h"
#include "options.h"
#include "place.h"

#include <errno.h>
#include <libxml/parser.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define END_WITHIN_US (800 * 1000)

static bool fail(const GError *error)
{
	fprintf(stderr, "gss-local: %s\n", error->message);
	return false;
}

/* A connection each thread, a descriptor or two each connection. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		g_debug("cannot raise the limit of open files: %s", g_strerror(errno));
}

static bool follow_parent(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent) {
		fprintf(stderr, "gss-local: the process that started us is gone\n");
		return false;
	}
	return true;
}

static void print_service(const GlServer *server, const char *kind, const char *path)
{
	printf("  %-15s http://127.0.0.1:%u%s?wsdl\n", kind, server->port, path);
}

static void announce(const GlServer *server, const GlOptions *options, bool own_users)
{
	g_autofree char *root = g_canonicalize_filename(options->root, NULL);

	printf("gss-local: listening on http://127.0.0.1:%u\n", server->port);
	print_service(server, "AuthManager", GL_AUTH_PATH);
	print_service(server, "FileUtilities", GL_FILEUTILITIES_PATH);
	for (guint i = 0; gl_place_cluster(i) != NULL; i++) {
		g_autofree char *path = g_strdup_printf("/hpc-4-%s/Images", gl_place_cluster(i));
		print_service(server, "Images", path);
	}
	printf("  %-15s %s\n", "login",
	       own_users ? "as given with --user" : "user demo, password demo, project demo");
	for (guint i = 0; gl_place_backend(i) != NULL; i++)
		printf("  %-15s %s://home and %s://scratch\n", "storage", gl_place_backend(i),
		       gl_place_backend(i));
	printf("  %-15s plm://demo/model/1\n", "storage");
	printf("  %-15s %s\n", "folder", root);
	fflush(stdout);
}

static bool tell_port(int fd, guint16 port)
{
	g_autofree char *text = g_strdup_printf("%u\n", port);
	gsize length = strlen(text);

	if (write(fd, text, length) != (gssize)length || close(fd) != 0) {
		fprintf(stderr, "gss-local: cannot write to descriptor %d: %s\n", fd,
		        g_strerror(errno));
		return false;
	}
	return true;
}

/* Ends the process when the orderly way takes too long: a thread may sit in the kernel. */
static gpointer guard_end(gpointer data)
{
	g_usleep(END_WITHIN_US);
	_exit(0);
	return NULL;
}

static bool serve(GlServer *server, const GlOptions *options, bool own_users,
                  const sigset_t *signals)
{
	g_autoptr(GError) error = NULL;
	int received;

	struct MHD_Daemon *daemon = gl_http_start(server, options->port, &error);
	if (daemon == NULL)
		return fail(error);
	announce(server, options, own_users);
	bool told = options->ready_fd < 0 || tell_port(options->ready_fd, server->port);
	if (told && sigwait(signals, &received) != 0)
		told = false;
	g_thread_unref(g_thread_new("guard", guard_end, NULL));
	gl_halt_stop(server->halt);
	gl_http_stop(daemon);
	gl_halt_drain(server->halt);
	return told;
}

static bool open_and_serve(GlServer *server, GlOptions *options, const sigset_t *signals)
{
	g_autoptr(GError) error = NULL;
	bool own_users = gl_sessions_first_project(server->sessions) != NULL;

	if (!own_users && !gl_sessions_add_user(server->sessions, "demo:demo:demo", &error))
		return fail(error);
	if (options->token != NULL)
		gl_sessions_preset(server->sessions, options->token);
	gl_settings_mark(server->settings);
	server->store =
		gl_store_open(options->root, gl_sessions_first_project(server->sessions), &error);
	if (server->store == NULL)
		return fail(error);
	server->faults = gl_faults_new(options->seed);
	bool served = serve(server, options, own_users, signals);
	gl_faults_free(server->faults);
	gl_store_close(server->store);
	return served;
}

static int run(int argc, char **argv, GlServer *server, const sigset_t *signals, pid_t parent)
{
	g_autoptr(GError) error = NULL;
	g_auto(GlOptions) options = {0};

	if (!gl_options_parse(argc, argv, server->settings, server->sessions, &options, &error)) {
		fail(error);
		fprintf(stderr, "gss-local: see gss-local --help\n");
		return 2;
	}
	if (options.help) {
		gl_options_print_help();
		return 0;
	}
	if (options.version) {
		printf("gss-local %s\n", GSSFS_VERSION);
		return 0;
	}
	if (options.parent_death && !follow_parent(parent))
		return 1;
	return open_and_serve(server, &options, signals) ? 0 : 1;
}

int main(int argc, char **argv)
{
	GlServer server = {0};
	pid_t parent = getppid();
	sigset_t signals;

	/* Before any thread: all of them inherit it, and only serve() takes the signal. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return 1;
	raise_descriptors();
	xmlInitParser();
	server.halt = gl_halt_new();
	server.settings = gl_settings_new();
	server.sessions = gl_sessions_new();
	server.stats = gl_stats_new();

	int status = run(argc, argv, &server, &signals, parent);

	gl_stats_free(server.stats);
	gl_sessions_free(server.sessions);
	gl_settings_free(server.settings);
	gl_halt_free(server.halt);
	xmlCleanupParser();
	return status;
}
