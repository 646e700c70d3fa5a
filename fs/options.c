#include "fs/options.h"

#include "cache/error.h"
#include "fs/fuse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REGISTER_TIMEOUT_S (15 * 60)

void fs_options_clear(FsOptions *options)
{
	g_clear_pointer(&options->source, g_free);
	g_clear_pointer(&options->mountpoint, g_free);
	g_clear_pointer(&options->auth, g_free);
	g_clear_pointer(&options->gss, g_free);
	g_clear_pointer(&options->images, g_free);
	g_clear_pointer(&options->config, g_free);
	g_clear_pointer(&options->cache_dir, g_free);
	g_clear_pointer(&options->mount, g_ptr_array_unref);
}

static bool fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static bool fail(GError **error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	g_autofree char *message = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_set_error_literal(error, CACHE_ERROR, EINVAL, message);
	return false;
}

bool fs_size_parse(const char *text, guint64 *ret, GError **error)
{
	static const char units[] = "KMGT";
	g_autofree char *digits = g_strdup(text);
	gsize length = strlen(digits);
	guint shift = 0;
	guint64 value;

	const char *unit = length > 0 ? strchr(units, g_ascii_toupper(digits[length - 1])) : NULL;
	if (unit != NULL) {
		shift = 10 * (guint)(unit - units + 1);
		digits[length - 1] = '\0';
	}
	if (!g_ascii_string_to_unsigned(digits, 10, 0, G_MAXINT64 >> shift, &value, NULL))
		return fail(error, "“%s” is no size: give bytes, or a number with K, M, G or T",
		            text);
	*ret = value << shift;
	return true;
}

static bool parse_number(const char *name, const char *text, guint base, guint64 limit,
                         guint64 *ret, GError **error)
{
	if (g_ascii_string_to_unsigned(text, base, 0, limit, ret, NULL))
		return true;
	return fail(error, "option %s: “%s” is no %snumber from 0 to %" G_GUINT64_FORMAT, name,
	            text, base == 8 ? "octal " : "", limit);
}

/* Options with a text as value. */
static char **text_field(FsOptions *options, const char *name)
{
	if (strcmp(name, "auth") == 0)
		return &options->auth;
	if (strcmp(name, "gss") == 0)
		return &options->gss;
	if (strcmp(name, "images") == 0)
		return &options->images;
	if (strcmp(name, "config") == 0)
		return &options->config;
	if (strcmp(name, "cache_dir") == 0)
		return &options->cache_dir;
	return NULL;
}

static bool *switch_field(FsOptions *options, const char *name)
{
	if (strcmp(name, "allow_http") == 0)
		return &options->allow_http;
	if (strcmp(name, "allow_other") == 0)
		return &options->allow_other;
	if (strcmp(name, "allow_root") == 0)
		return &options->allow_root;
	if (strcmp(name, "debug") == 0)
		return &options->debug;
	return NULL;
}

/* Options of mount(8) and fstab that mean nothing here, or nothing beyond what is done anyway. */
static bool is_ignored(const char *name)
{
	static const char *const names[] = {
		"default_permissions",
		"auto",
		"noauto",
		"user",
		"nouser",
		"users",
		"nousers",
		"owner",
		"noowner",
		"group",
		"nogroup",
		"defaults",
		"_netdev",
		"nofail",
		"comment",
		"relatime",
		"strictatime",
		"lazytime",
		"nolazytime",
		"noiversion",
		"fsname",
		"subtype",
		"silent",
		"loud",
		"_rnetdev",
		"X-mount.mkdir",
		NULL,
	};
	return g_strv_contains(names, name) || g_str_has_prefix(name, "x-") ||
	       g_str_has_prefix(name, "X-");
}

/* Options that libfuse, or the kernel through it, takes. */
static bool is_passed_on(const char *name)
{
	static const char *const names[] = {
		"rw",         "suid",          "nosuid",     "dev",          "nodev",   "exec",
		"noexec",     "async",         "sync",       "dirsync",      "atime",   "noatime",
		"nodiratime", "nostrictatime", "norelatime", "auto_unmount", "context", "fscontext",
		"defcontext", "rootcontext",   "max_read",   NULL,
	};
	return g_strv_contains(names, name);
}

static bool set_numbers(FsOptions *options, const char *name, const char *value, bool *ret_known,
                        GError **error)
{
	guint64 number = 0;

	*ret_known = true;
	if (strcmp(name, "uid") == 0 || strcmp(name, "gid") == 0) {
		if (!parse_number(name, value, 10, G_MAXUINT32 - 1, &number, error))
			return false;
		if (*name == 'u')
			options->uid = (uid_t)number;
		else
			options->gid = (gid_t)number;
	} else if (strcmp(name, "umask") == 0) {
		if (!parse_number(name, value, 8, 0777, &number, error))
			return false;
		options->umask = (mode_t)number;
		options->umask_given = true;
	} else if (strcmp(name, "drain_timeout") == 0 || strcmp(name, "register_timeout") == 0) {
		if (!parse_number(name, value, 10, G_MAXINT32, &number, error))
			return false;
		*(*name == 'd' ? &options->drain_timeout : &options->register_timeout) =
			(guint)number;
	} else {
		*ret_known = false;
	}
	return true;
}

static bool set_option(FsOptions *options, const char *text, GError **error)
{
	const char *equals = strchr(text, '=');
	g_autofree char *name =
		equals != NULL ? g_strndup(text, (gsize)(equals - text)) : g_strdup(text);
	const char *value = equals != NULL ? equals + 1 : NULL;
	char **field = text_field(options, name);
	bool *toggle = switch_field(options, name);
	bool known = false;

	if (is_ignored(name))
		return true;
	if (toggle != NULL && value == NULL) {
		*toggle = true;
		return true;
	}
	if (strcmp(name, "ro") == 0 && value == NULL) {
		options->read_only = true;
		return true;
	}
	if (is_passed_on(name)) {
		g_ptr_array_add(options->mount, g_strdup(text));
		return true;
	}
	if (field != NULL && value != NULL && *value != '\0') {
		g_free(*field);
		*field = g_strdup(value);
		return true;
	}
	if (strcmp(name, "offline") == 0 && value != NULL) {
		options->offline_cached = strcmp(value, "cached") == 0;
		return options->offline_cached || strcmp(value, "fail") == 0 ||
		       fail(error, "option offline: “%s” is neither cached nor fail", value);
	}
	if (strcmp(name, "fsync") == 0 && value != NULL) {
		options->fsync_local = strcmp(value, "local") == 0;
		return options->fsync_local || strcmp(value, "remote") == 0 ||
		       fail(error, "option fsync: “%s” is neither remote nor local", value);
	}
	if (strcmp(name, "conflict") == 0 && value != NULL) {
		options->conflict_given = true;
		options->conflict_overwrite = strcmp(value, "overwrite") == 0;
		return options->conflict_overwrite || strcmp(value, "copy") == 0 ||
		       fail(error, "option conflict: “%s” is neither copy nor overwrite", value);
	}
	if (strcmp(name, "cache_reserve") == 0 && value != NULL)
		return fs_size_parse(value, &options->cache_reserve, error);
	if (strcmp(name, "cache_size") == 0 && value != NULL)
		return fs_size_parse(value, &options->cache_size, error);
	if (value != NULL && !set_numbers(options, name, value, &known, error))
		return false;
	return known || fail(error, "unknown option -o %s", name);
}

typedef struct {
	FsOptions *options;
	GError *error;
} Parse;

enum { KEY_FOREGROUND, KEY_DEBUG, KEY_HELP, KEY_VERSION, KEY_SINGLE };

static int add_word(Parse *parse, const char *word)
{
	FsOptions *options = parse->options;

	if (options->source == NULL)
		options->source = g_strdup(word);
	else if (options->mountpoint == NULL)
		options->mountpoint = g_strdup(word);
	else
		return fail(&parse->error, "too many arguments: “%s”", word) ? 0 : -1;
	return 0;
}

static int on_argument(void *data, const char *text, int key, struct fuse_args *args)
{
	Parse *parse = data;

	switch (key) {
	case FUSE_OPT_KEY_NONOPT:
		return add_word(parse, text);
	case KEY_FOREGROUND:
		parse->options->foreground = true;
		return 0;
	case KEY_DEBUG:
		parse->options->debug = true;
		return 0;
	case KEY_HELP:
		parse->options->help = true;
		return 0;
	case KEY_VERSION:
		parse->options->version = true;
		return 0;
	case KEY_SINGLE: /* several threads always: one would not be answered while it waits */
		return 0;
	case FUSE_OPT_KEY_OPT:
	default:
		if (*text == '-')
			return fail(&parse->error, "unknown option %s", text) ? 0 : -1;
		return set_option(parse->options, text, &parse->error) ? 0 : -1;
	}
}

bool fs_options_parse(int argc, char **argv, FsOptions *ret, GError **error)
{
	static const struct fuse_opt keys[] = {
		FUSE_OPT_KEY("-f", KEY_FOREGROUND),
		FUSE_OPT_KEY("-d", KEY_DEBUG),
		FUSE_OPT_KEY("--debug", KEY_DEBUG),
		FUSE_OPT_KEY("-h", KEY_HELP),
		FUSE_OPT_KEY("--help", KEY_HELP),
		FUSE_OPT_KEY("-V", KEY_VERSION),
		FUSE_OPT_KEY("--version", KEY_VERSION),
		FUSE_OPT_KEY("-s", KEY_SINGLE),
		FUSE_OPT_END,
	};
	g_auto(FsOptions) options = {
		.uid = getuid(),
		.gid = getgid(),
		.umask = 022,
		.register_timeout = REGISTER_TIMEOUT_S,
		.mount = g_ptr_array_new_with_free_func(g_free),
	};
	Parse parse = {.options = &options};
	struct fuse_args args = FUSE_ARGS_INIT(argc, argv);

	int result = fuse_opt_parse(&args, &parse, keys, on_argument);
	fuse_opt_free_args(&args);
	if (parse.error != NULL) {
		g_propagate_error(error, parse.error);
		return false;
	}
	if (result != 0)
		return fail(error, "the options cannot be understood");
	bool informs = options.help || options.version;
	if (!informs && options.source == NULL)
		return fail(error, "SOURCE and MOUNTPOINT are missing");
	if (!informs && options.mountpoint == NULL)
		return fail(error, "MOUNTPOINT is missing");
	if (options.allow_other && options.allow_root)
		return fail(error, "allow_other and allow_root exclude each other");
	if (options.debug)
		options.foreground = true;
	*ret = options;
	options = (FsOptions){0};
	return true;
}

static const char help[] =
	"Usage: gssfs [OPTIONS] SOURCE MOUNTPOINT\n"
	"\n"
	"Mounts GSS storage as a local folder. Copying a file in takes as long as the local\n"
	"disk needs; the upload follows in the background.\n"
	"\n"
	"SOURCE is a GSS URI of a storage or folder, such as it4i_anselm:// or\n"
	"it4i_anselm://home, or `all`: every configured storage as a folder of its name.\n"
	"\n"
	"Unmount with: fusermount3 -u MOUNTPOINT. What is not uploaded by then is uploaded by\n"
	"the process that stays behind, or by the next mount. gssctl shows what is on its way,\n"
	"waits for it, registers images, and unmounts when everything is there.\n"
	"\n"
	"Options:\n"
	"  -f                     stay in the foreground\n"
	"  -d                     the same, and say what happens\n"
	"  -h, --help             print this\n"
	"  -V, --version          print the version\n"
	"  -o OPTION[,OPTION...]  mount options:\n"
	"\n"
	"  auth=URL               WSDL of the authentication manager\n"
	"  gss=URL                WSDL of GSS (FileUtilities)\n"
	"  images=URL             WSDL of the Images service of the storage's cluster\n"
	"  allow_http             allow http:// to other hosts than this one\n"
	"  config=FILE            configuration (default ~/.config/gssfs/gssfs.conf);\n"
	"                         `credentials` lies beside it\n"
	"  cache_dir=DIR          the cache (default ~/.local/state/gssfs); what is not yet\n"
	"                         uploaded exists only there\n"
	"  cache_size=SIZE        how much of the disk the contents may take, with K, M, G or\n"
	"                         T (default: a quarter of it); no file can be larger\n"
	"  cache_reserve=SIZE     how much of the disk stays free (default: a twentieth, at\n"
	"                         most 2G)\n"
	"  offline=fail|cached    while GSS is out of reach listings fail (default), or what is\n"
	"                         known from before is shown\n"
	"  fsync=remote|local     fsync waits until GSS has the file (default), or the local\n"
	"                         disk\n"
	"  conflict=copy|overwrite\n"
	"                         when somebody else changed a file on GSS meanwhile: keep both,\n"
	"                         yours as NAME.conflict-USER-TIME (default), or replace theirs\n"
	"  ro                     read only\n"
	"  uid=N gid=N umask=M    whose the files appear to be, and permission bits to take\n"
	"                         away (octal)\n"
	"  allow_other            let other users in; needs user_allow_other in\n"
	"                         /etc/fuse.conf unless root mounts\n"
	"  allow_root             let root in; the same\n"
	"  drain_timeout=SECONDS  after the unmount, stop uploading after this time\n"
	"                         (default 0: never)\n"
	"  register_timeout=SECONDS\n"
	"                         how long to ask for the outcome of a registration whose\n"
	"                         answer was lost (default 900)\n"
	"\n"
	"Options that mount(8) and fstab pass are understood as well.\n"
	"\n"
	"Environment: CFG_TOKEN, or CFG_USERNAME, CFG_PROJECT and CFG_PASSWORD. These win over\n"
	"~/.config/gssfs/credentials, a file that must belong to you with mode 0600:\n"
	"\n"
	"  [credentials]\n"
	"  username=...\n"
	"  project=...\n"
	"  password=...\n"
	"\n"
	"Exit status: 0 mounted, or (with -f) ended with everything uploaded; 1 not mounted, or\n"
	"something is left to upload; 2 wrong usage; 77 the login was refused.\n";

void fs_options_print_help(void)
{
	fputs(help, stdout);
}
