#include "options.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>

static const char usage[] =
	"Usage: gss-local --root DIR [OPTION]...\n"
	"\n"
	"A complete GSS platform on loopback, for demonstrations and tests: AuthManager,\n"
	"FileUtilities, Images for two clusters, and the storage behind them. It serves the "
	"folder\n"
	"DIR, which is made when it is missing, and whose files may be looked at and changed\n"
	"meanwhile. It listens on 127.0.0.1 only.\n"
	"\n"
	"  --root DIR                                 the folder to serve\n"
	"  --port PORT                                0 picks a free one (0)\n"
	"  --user NAME:PASSWORD[:PROJECT]             may be repeated (demo:demo:demo)\n"
	"  --token TOKEN                              a token of the first user that is valid at "
	"once\n"
	"  --ready-fd N                               write the port there when ready, and close "
	"it\n"
	"  --parent-death                             end when the thread that started us does\n"
	"  --seed N                                   of the faults by chance (1)\n"
	"  --help, --version\n"
	"\n"
	"Switches, which POST /_control with name=value changes at run time:\n";

static const char control[] =
	"\n"
	"Run-time control (no token needed):\n"
	"  GET  /_control                 switches and counters, as JSON\n"
	"  POST /_control                 name=value, joined by & or one a line\n"
	"  POST /_control/fault?QUERY     a fault for the next matching request: method, path,\n"
	"                                 operation (globs), times, skip, delay, hold, status, "
	"type,\n"
	"                                 headers, cut, process; the body is a canned answer\n"
	"  POST /_control/release         let held requests go on, or those that would be\n"
	"  POST /_control/reset           no faults, counters 0, log empty, switches as at the "
	"start\n"
	"  POST /_control/revoke          all tokens are dead\n"
	"  GET  /_control/log?since=N     the last requests, as JSON\n"
	"  GET  /_control/wait?counter=NAME&value=N&timeout=S\n"
	"                                 answers when the counter is N or more\n";

void gl_options_clear(GlOptions *options)
{
	g_clear_pointer(&options->root, g_free);
	g_clear_pointer(&options->token, g_free);
}

void gl_options_print_help(void)
{
	g_autoptr(GString) out = g_string_new(usage);

	gl_settings_append_help(out);
	g_string_append(out, control);
	g_print("%s", out->str);
}

static bool number(const char *name, const char *value, guint64 limit, guint64 *ret, GError **error)
{
	if (g_ascii_string_to_unsigned(value, 10, 0, limit, ret, NULL))
		return true;
	g_set_error(error, G_FILE_ERROR, EINVAL, "--%s cannot be %s", name, value);
	return false;
}

/* Options without a value. */
static bool take_flag(const char *name, GlOptions *ret)
{
	if (strcmp(name, "parent-death") == 0)
		ret->parent_death = true;
	else if (strcmp(name, "help") == 0)
		ret->help = true;
	else if (strcmp(name, "version") == 0)
		ret->version = true;
	else
		return false;
	return true;
}

static bool take_value(const char *name, const char *value, GlSettingsBox *settings,
                       GlSessions *sessions, GlOptions *ret, GError **error)
{
	guint64 parsed = 0;

	if (gl_settings_known(name))
		return gl_settings_set(settings, name, value, error);
	if (strcmp(name, "user") == 0)
		return gl_sessions_add_user(sessions, value, error);
	if (strcmp(name, "root") == 0) {
		g_free(ret->root);
		ret->root = g_strdup(value);
	} else if (strcmp(name, "token") == 0) {
		g_free(ret->token);
		ret->token = g_strdup(value);
	} else if (strcmp(name, "port") == 0) {
		if (!number(name, value, G_MAXUINT16, &parsed, error))
			return false;
		ret->port = (guint16)parsed;
	} else if (strcmp(name, "ready-fd") == 0) {
		if (!number(name, value, G_MAXINT, &parsed, error))
			return false;
		ret->ready_fd = (int)parsed;
	} else if (strcmp(name, "seed") == 0) {
		if (!number(name, value, G_MAXUINT32, &parsed, error))
			return false;
		ret->seed = (guint32)parsed;
	} else {
		g_set_error(error, G_FILE_ERROR, EINVAL, "there is no option --%s", name);
		return false;
	}
	return true;
}

bool gl_options_parse(int argc, char **argv, GlSettingsBox *settings, GlSessions *sessions,
                      GlOptions *ret, GError **error)
{
	ret->ready_fd = -1;
	ret->seed = 1;
	for (int i = 1; i < argc; i++) {
		const char *equals = strchr(argv[i], '=');

		if (!g_str_has_prefix(argv[i], "--")) {
			g_set_error(error, G_FILE_ERROR, EINVAL, "%s is no option", argv[i]);
			return false;
		}
		g_autofree char *name =
			equals != NULL ? g_strndup(argv[i] + 2, (gsize)(equals - argv[i] - 2))
				       : g_strdup(argv[i] + 2);
		if (equals == NULL && take_flag(name, ret))
			continue;
		if (equals == NULL && i + 1 == argc) {
			g_set_error(error, G_FILE_ERROR, EINVAL, "--%s needs a value", name);
			return false;
		}
		const char *value = equals != NULL ? equals + 1 : argv[++i];
		if (!take_value(name, value, settings, sessions, ret, error))
			return false;
	}
	if (ret->root == NULL && !ret->help && !ret->version) {
		g_set_error_literal(error, G_FILE_ERROR, EINVAL, "--root DIR is needed");
		return false;
	}
	return true;
}
