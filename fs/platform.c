#include "fs/platform.h"

#include "fs/command.h"
#include "fs/credentials.h"
#include "fs/images-wire.h"
#include "fs/loop.h"
#include "fs/status.h"
#include "gss/client.h"
#include "gss/error.h"
#include "gss/uri.h"

#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOURCE_ALL "all"
#define WATCH_MS 100
/* How long a mount waits for the login: one that has shown all of its folders before, and another
 * whose project is known. */
#define VERDICT_KNOWN_US (G_USEC_PER_SEC / 2)
#define VERDICT_US (3 * G_USEC_PER_SEC)

/* A login, and who waits for its verdict. */
typedef struct {
	GMutex lock;
	GCond done;
	bool over; /* guarded by lock, as are the next */
	bool late; /* nobody waits: the verdict is to be acted upon when it comes */
	GError *error;
	char *project, *user;
} Login;

/* A cache and what belongs to it. */
typedef struct {
	FsPlatform *platform;
	FsStorage *storage;
	Cache *cache;
	CacheNotify notify;
	FsImagesWire *images;
	char *uri; /* of the folder that is shown */
	bool started;
} Store;

struct FsPlatform {
	const FsOptions *options;
	FsMount *mount;
	char *config_path, *credentials_path;
	char *auth, *gss; /* URLs */
	GssClient *client;
	char *project, *user; /* as configured, or as the login said; NULL unknown */
	bool ready_token;     /* a token was given: only the login tells its project */
	GPtrArray *stores;
	Login login;
	FsLogin face;
	GFileMonitor *monitor; /* of the credentials; the mount's loop's */
	gint opened;           /* atomic: the stores are all there */
	gint watching;         /* atomic: a change of the credentials is about to be looked at */
	bool journal_known;    /* all folders are known here */
	gint foreign;          /* atomic */
	/* The configuration as last read; guarded by config_lock. */
	GMutex config_lock;
	FsConfig config;
	struct timespec config_time;
};

static bool fail(GError **error, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);
static bool fail(GError **error, int code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	g_autofree char *message = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_set_error_literal(error, CACHE_ERROR, code, message);
	return false;
}

bool fs_platform_check_source(const char *source, GError **error)
{
	if (strcmp(source, SOURCE_ALL) == 0 || gss_uri_check(source, NULL))
		return true;
	return fail(error, EINVAL,
	            "“%s” is no SOURCE: give a GSS URI such as it4i_anselm://home, or all", source);
}

/* --- configuration --- */

/* The Images service that counts now. A configuration that has become unreadable leaves the last
 * one. */
static char *images_address(const char *storage, void *data)
{
	FsPlatform *platform = data;
	struct stat st;

	if (platform->options->images != NULL)
		return g_strdup(platform->options->images);
	g_mutex_lock(&platform->config_lock);
	if (stat(platform->config_path, &st) == 0 &&
	    memcmp(&st.st_mtim, &platform->config_time, sizeof(st.st_mtim)) != 0) {
		g_autoptr(GError) error = NULL;
		FsConfig config;
		platform->config_time = st.st_mtim;
		if (fs_config_load(platform->config_path, false, &config, &error)) {
			fs_config_clear(&platform->config);
			platform->config = config;
		} else {
			g_warning("%s; the configuration stays as it was", error->message);
		}
	}
	char *url = g_strdup(fs_config_images(&platform->config, storage));
	g_mutex_unlock(&platform->config_lock);
	return url;
}

static bool load_config(FsPlatform *platform, GError **error)
{
	const FsOptions *options = platform->options;
	struct stat st;

	/* Before it is read: a change meanwhile is noticed later. */
	if (stat(platform->config_path, &st) == 0)
		platform->config_time = st.st_mtim;
	if (!fs_config_load(platform->config_path, options->config != NULL, &platform->config,
	                    error))
		return false;
	platform->auth = g_strdup(options->auth != NULL ? options->auth : platform->config.auth);
	platform->gss = g_strdup(options->gss != NULL ? options->gss : platform->config.gss);
	return true;
}

static bool load_credentials(GssCredentials *ret, void *data, GError **error)
{
	const FsPlatform *platform = data;
	g_auto(FsCredentials) found = {0};

	if (!fs_credentials_load(platform->credentials_path, &found, error))
		return false;
	*ret = (GssCredentials){
		.token = g_steal_pointer(&found.token),
		.username = g_steal_pointer(&found.username),
		.project = g_steal_pointer(&found.project),
		.password = g_steal_pointer(&found.password),
	};
	return true;
}

/* --- the session, as the control files want it --- */

/* On the mount's loop. */
static void on_session(void *data)
{
	const FsPlatform *platform = data;
	g_auto(GssSessionStatus) status = {0};

	if (!g_atomic_int_get(&platform->opened))
		return;
	gss_client_session(platform->client, &status);
	for (guint i = 0; status.state == GSS_SESSION_OK && i < platform->stores->len; i++) {
		const Store *store = platform->stores->pdata[i];
		if (store->cache != NULL)
			cache_resume(store->cache);
	}
	if (status.state == GSS_SESSION_OK)
		fs_commands_wake(platform->mount->commands);
	fs_status_changed(platform->mount);
}

static void on_session_changed(void *data)
{
	FsPlatform *platform = data;

	fs_loop_after(platform->mount->loop, 0, on_session, platform);
}

static void login_status(void *data, FsLoginStatus *ret)
{
	static const FsLoginState states[] = {
		[GSS_SESSION_OFFLINE] = FS_LOGIN_OFFLINE,
		[GSS_SESSION_OK] = FS_LOGIN_OK,
		[GSS_SESSION_MISSING] = FS_LOGIN_MISSING,
		[GSS_SESSION_REJECTED] = FS_LOGIN_REJECTED,
	};
	const FsPlatform *platform = data;
	GssSessionStatus status;

	gss_client_session(platform->client, &status);
	*ret = (FsLoginStatus){states[status.state], status.username, status.project,
	                       status.valid_until, status.message};
}

typedef struct {
	FsPlatform *platform;
	FsLoginDone done; /* NULL: nobody waits */
	void *data;
} Again;

static void on_again(const GssIdentity *identity, const GError *error, void *data)
{
	g_autofree Again *again = data;

	if (error == NULL)
		g_message("logged in as %s, project %s", identity->username, identity->project);
	else if (error->code != ECANCELED)
		g_message("not logged in: %s", error->message);
	if (error == NULL)
		on_session_changed(again->platform);
	if (again->done != NULL)
		again->done(error, again->data);
}

static void login_again(void *data, FsLoginDone done, void *done_data)
{
	FsPlatform *platform = data;
	Again *again = g_new(Again, 1);

	*again = (Again){platform, done, done_data};
	gss_client_login_again(platform->client, NULL, on_again, again);
}

/* The credentials have changed. Those that work are not given up for that: a mistake in the new
 * ones should not stop what goes on. */
static void look_at_credentials(void *data)
{
	FsPlatform *platform = data;
	g_auto(GssSessionStatus) status = {0};

	g_atomic_int_set(&platform->watching, 0);
	gss_client_session(platform->client, &status);
	if (status.state != GSS_SESSION_OK)
		login_again(platform, NULL, NULL);
}

static void on_credentials_changed(GFileMonitor *monitor, GFile *file, GFile *other,
                                   GFileMonitorEvent event, FsPlatform *platform)
{
	/* Once for all that an editor does to it. */
	if (g_atomic_int_compare_and_exchange(&platform->watching, 0, 1))
		fs_loop_after(platform->mount->loop, WATCH_MS, look_at_credentials, platform);
}

/* On the mount's loop, where the changes are told. */
static void watch_credentials(void *data)
{
	FsPlatform *platform = data;
	g_autoptr(GFile) file = g_file_new_for_path(platform->credentials_path);
	g_autoptr(GError) error = NULL;

	platform->monitor = g_file_monitor_file(file, G_FILE_MONITOR_WATCH_MOVES, NULL, &error);
	if (platform->monitor == NULL)
		g_message("%s is not watched: %s", platform->credentials_path, error->message);
	else
		g_signal_connect(platform->monitor, "changed", G_CALLBACK(on_credentials_changed),
		                 platform);
}

static void offer_login(FsPlatform *platform)
{
	platform->face = (FsLogin){login_status, login_again, platform};
	platform->mount->login = &platform->face;
	g_atomic_int_set(&platform->opened, 1);
	fs_loop_after(platform->mount->loop, 0, watch_credentials, platform);
	on_session_changed(platform);
}

static bool start_client(FsPlatform *platform, GError **error)
{
	g_auto(FsCredentials) credentials = {0};

	if (!fs_credentials_load(platform->credentials_path, &credentials, error))
		return false;
	platform->project = g_strdup(credentials.project);
	platform->user = g_strdup(credentials.username);
	platform->ready_token = credentials.token != NULL;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		return fail(error, EIO, "libcurl cannot be initialised");
	platform->client = gss_client_new(
		&(GssClientOptions){
			.auth_url = platform->auth,
			.gss_url = platform->gss,
			.allow_http = platform->options->allow_http || platform->config.allow_http,
			.load_credentials = load_credentials,
			.session_changed = on_session_changed,
			.data = platform,
			.project = platform->project,
		},
		error);
	return platform->client != NULL;
}

/* --- logging in --- */

static bool start_stores(FsPlatform *platform);

/* No credentials at all are no rejection; a token without a password to follow it is one. */
static bool is_rejected(const FsPlatform *platform, const GError *error)
{
	switch (error->code) {
	case EKEYREJECTED:
	case EACCES:
	case EPERM:
		return true;
	case ENOKEY:
		return platform->ready_token;
	default:
		return false;
	}
}

/* What the login found; false with the error of a verdict against this mount. */
static bool judge(FsPlatform *platform, const Login *login, GError **error)
{
	if (login->error != NULL && is_rejected(platform, login->error))
		return fail(error, login->error->code,
		            "%s; check CFG_TOKEN, CFG_USERNAME, CFG_PROJECT, CFG_PASSWORD and %s",
		            login->error->message, platform->credentials_path);
	if (login->error == NULL && platform->project != NULL && *login->project != '\0' &&
	    strcmp(login->project, platform->project) != 0)
		return fail(error, EKEYREJECTED,
		            "the token is of the project “%s”, but “%s” is configured "
		            "(CFG_PROJECT); what is cached for one project must not go to another",
		            login->project, platform->project);
	return true;
}

/* The verdict came when the mount was up. On the mount's loop. */
static void act_late(void *data)
{
	FsPlatform *platform = data;
	g_autoptr(GError) error = NULL;

	if (!judge(platform, &platform->login, &error)) {
		g_critical("%s; unmounting", error->message);
		g_atomic_int_set(&platform->foreign, 1);
		if (kill(getpid(), SIGTERM) != 0)
			g_critical("kill: %s", g_strerror(errno));
		return;
	}
	if (platform->login.error != NULL)
		g_message("not logged in: %s", platform->login.error->message);
	else
		g_message("logged in as %s, project %s", platform->login.user,
		          platform->login.project);
	start_stores(platform);
}

static void on_login(const GssIdentity *identity, const GError *error, void *data)
{
	FsPlatform *platform = data;
	Login *login = &platform->login;

	g_mutex_lock(&login->lock);
	if (error != NULL) {
		login->error = g_error_copy(error);
	} else {
		login->project = g_strdup(identity->project);
		login->user = g_strdup(identity->username);
	}
	login->over = true;
	bool late = login->late;
	g_cond_broadcast(&login->done);
	g_mutex_unlock(&login->lock);
	if (late && (error == NULL || error->code != ECANCELED))
		fs_loop_after(platform->mount->loop, 0, act_late, platform);
}

/* Waits for the verdict until `until` (monotonic us); false: there is none yet, and it will be
 * acted upon late. */
static bool wait_login(FsPlatform *platform, gint64 until)
{
	Login *login = &platform->login;

	g_mutex_lock(&login->lock);
	while (!login->over && g_cond_wait_until(&login->done, &login->lock, until))
		;
	bool over = login->over;
	g_mutex_unlock(&login->lock);
	return over;
}

/* Without the project there is not even a cache to look into; with it the verdict is waited for
 * last, in settle_login(). */
static bool login(FsPlatform *platform, GError **error)
{
	const Login *login = &platform->login;

	gss_client_login(platform->client, NULL, on_login, platform);
	if (platform->project != NULL)
		return true;
	wait_login(platform, G_MAXINT64);
	if (!judge(platform, login, error))
		return false;
	if (login->error != NULL)
		return fail(
			error, login->error->code, "%s%s", login->error->message,
			platform->ready_token
				? "; with CFG_PROJECT set, what is cached of that project can be "
				  "mounted without the service"
				: "");
	if (*login->project == '\0')
		return fail(
			error, EPROTO,
			"the authentication manager does not tell the project of this token: set "
			"CFG_PROJECT");
	platform->project = g_strdup(login->project);
	gss_client_set_project(platform->client, platform->project);
	return true;
}

/* --- the storages --- */

static void store_free(void *data)
{
	Store *store = data;

	if (store->cache != NULL)
		cache_close(store->cache);
	g_free(store->uri);
	g_free(store);
}

static char *default_cache_dir(void)
{
	/* Not ~/.cache, which people and programs wipe: bytes that are not uploaded yet live here.
	 */
	return g_build_filename(g_get_user_state_dir(), "gssfs", NULL);
}

static bool open_store(FsPlatform *platform, const char *name, const char *uri, GError **error)
{
	const FsOptions *options = platform->options;
	g_autofree char *dir = options->cache_dir != NULL
	                               ? g_canonicalize_filename(options->cache_dir, NULL)
	                               : default_cache_dir();
	g_autofree char *mountpoint = g_canonicalize_filename(options->mountpoint, NULL);
	const CacheOptions cache = {
		.dir = dir,
		.mountpoint = mountpoint,
		.platform = platform->gss,
		.project = platform->project,
		.storage = name,
		.user = platform->user != NULL ? platform->user : "",
		.size_limit = options->cache_size,
		.reserve = options->cache_reserve,
		.fsync_local = options->fsync_local,
		.offline_cached = options->offline_cached,
		.overwrite = options->conflict_given ? options->conflict_overwrite
	                                             : platform->config.conflict_overwrite,
		.read_only = options->read_only,
		.file_mode = 0666 & ~options->umask,
		.folder_mode = 0777 & ~options->umask,
	};
	Store *store = g_new0(Store, 1);

	*store = (Store){.platform = platform, .uri = g_strdup(uri)};
	g_ptr_array_add(platform->stores, store);
	if (g_mkdir_with_parents(dir, 0700) != 0)
		return fail(error, errno, "cannot make the cache folder %s: %s", dir,
		            g_strerror(errno));
	store->cache = cache_open(&cache, error);
	if (store->cache == NULL) {
		g_prefix_error(error, "the cache of %s in %s: ", name, dir);
		return false;
	}
	store->images = fs_images_wire_new(platform->client, name, images_address, platform);
	store->storage = fs_mount_add(platform->mount, name, store->cache,
	                              fs_images_wire_face(store->images));
	return true;
}

static bool open_stores(FsPlatform *platform, GError **error)
{
	const char *source = platform->options->source;

	if (strcmp(source, SOURCE_ALL) != 0) {
		g_autofree char *name = gss_uri_backend(source);
		return open_store(platform, name, source, error);
	}
	if (platform->config.names->len > FS_STORAGES_MAX)
		return fail(error, EINVAL, "too many storages are configured");
	for (guint i = 0; i < platform->config.names->len; i++) {
		const char *name = platform->config.names->pdata[i];
		g_autofree char *uri = g_strconcat(name, "://", NULL);
		if (!open_store(platform, name, uri, error))
			return false;
	}
	return true;
}

static bool start_stores(FsPlatform *platform)
{
	for (guint i = 0; i < platform->stores->len; i++) {
		Store *store = platform->stores->pdata[i];
		if (store->started)
			continue;
		store->notify = fs_mount_cache_notify(store->storage);
		cache_start(store->cache, platform->client, &store->notify);
		store->started = true;
		fs_commands_resume(platform->mount->commands, store->storage);
	}
	return true;
}

/* --- the folders to show --- */

typedef struct {
	GMutex lock;
	GCond done;
	bool over, known;
	CacheId id;
	GError *error;
} Root;

static void on_root(CacheId id, bool known, const GError *error, void *data)
{
	Root *root = data;

	g_mutex_lock(&root->lock);
	root->id = id;
	root->known = known;
	root->error = error != NULL ? g_error_copy(error) : NULL;
	root->over = true;
	g_cond_signal(&root->done);
	g_mutex_unlock(&root->lock);
}

static bool find_root(Store *store, bool *ret_known, GError **error)
{
	Root root = {0};

	g_mutex_init(&root.lock);
	g_cond_init(&root.done);
	cache_root(store->cache, store->uri, on_root, &root);
	g_mutex_lock(&root.lock);
	while (!root.over)
		g_cond_wait(&root.done, &root.lock);
	g_mutex_unlock(&root.lock);
	g_mutex_clear(&root.lock);
	g_cond_clear(&root.done);
	store->storage->root = root.id;
	*ret_known = root.known;
	if (root.error == NULL)
		return true;
	int code = root.error->code;
	bool unreachable = code == EHOSTUNREACH || code == ETIMEDOUT || code == EAGAIN;
	fail(error, code, "%s%s", root.error->message,
	     unreachable
	             ? "; it has never been mounted from here, so that it cannot be shown without "
	               "the service"
	             : "");
	g_error_free(root.error);
	return false;
}

/* With `all`, what can't be reached is left out as long as something is left to show. */
static bool find_roots(FsPlatform *platform, GError **error)
{
	guint shown = 0;

	platform->journal_known = true;
	for (guint i = 0; i < platform->stores->len; i++) {
		g_autoptr(GError) failure = NULL;
		Store *store = platform->stores->pdata[i];
		bool known = false;
		if (find_root(store, &known, &failure)) {
			platform->journal_known = platform->journal_known && known;
			shown++;
		} else if (!platform->mount->options.all) {
			g_propagate_error(error, g_steal_pointer(&failure));
			return false;
		} else {
			g_message("%s", failure->message);
			if (shown == 0 && i + 1 == platform->stores->len) {
				g_propagate_error(error, g_steal_pointer(&failure));
				return false;
			}
		}
	}
	return true;
}

/* The last question before the mount: is it one without the network? */
static bool settle_login(FsPlatform *platform, char **ret_note, GError **error)
{
	Login *login = &platform->login;
	gint64 wait = platform->journal_known ? VERDICT_KNOWN_US : VERDICT_US;

	wait_login(platform, g_get_monotonic_time() + wait);
	g_mutex_lock(&login->lock);
	bool over = login->over;
	login->late = !over;
	g_mutex_unlock(&login->lock);
	if (over && !judge(platform, login, error))
		return false;
	*ret_note = NULL;
	if (!over)
		*ret_note =
			g_strdup("the service does not answer yet; mounted without it, from what "
		                 "is cached here. Changes are uploaded when it answers");
	else if (login->error != NULL)
		*ret_note = g_strdup_printf("%s. Mounted without the service, from what is cached "
		                            "here; changes are uploaded when that is cured",
		                            login->error->message);
	return true;
}

static bool open_all(FsPlatform *platform, char **ret_note, GError **error)
{
	if (!load_config(platform, error) || !start_client(platform, error) ||
	    !login(platform, error) || !open_stores(platform, error))
		return false;
	/* Whatever the login says: no token of another project is ever used (gss/client.h). */
	start_stores(platform);
	return find_roots(platform, error) && settle_login(platform, ret_note, error);
}

FsPlatform *fs_platform_open(const FsOptions *options, const char *config_path, FsMount *mount,
                             char **ret_note, GError **error)
{
	FsPlatform *platform = g_new0(FsPlatform, 1);

	*platform = (FsPlatform){
		.options = options,
		.mount = mount,
		.config_path = g_strdup(config_path),
		.credentials_path = fs_credentials_path(config_path),
		.stores = g_ptr_array_new_with_free_func(store_free),
	};
	g_mutex_init(&platform->config_lock);
	g_mutex_init(&platform->login.lock);
	g_cond_init(&platform->login.done);
	if (open_all(platform, ret_note, error)) {
		offer_login(platform);
		return platform;
	}
	fs_mount_stop(mount);
	fs_platform_close(platform);
	return NULL;
}

bool fs_platform_is_foreign(FsPlatform *platform)
{
	return g_atomic_int_get(&platform->foreign);
}

static bool is_wanted(const Store *store)
{
	return store->cache != NULL && cache_is_wanted(store->cache);
}

static void hand_over(Store *store, FsPlatformLeave leave, void *data)
{
	FsStorage *storage = store->storage;

	g_message("%s: another mount goes on with it", storage->name);
	g_atomic_int_set(&storage->leaving, 1);
	cache_stop(store->cache);
	g_clear_pointer(&store->images, fs_images_wire_free);
	leave(storage, data);
	g_clear_pointer(&store->cache, cache_close);
}

bool fs_platform_hand_over(FsPlatform *platform, FsPlatformLeave leave, void *data)
{
	guint wanted = 0, rest = 0;

	for (guint i = 0; i < platform->stores->len; i++) {
		const Store *store = platform->stores->pdata[i];
		wanted += is_wanted(store);
		rest += store->cache != NULL && !is_wanted(store);
	}
	for (guint i = 0; wanted > 0 && rest > 0 && i < platform->stores->len; i++) {
		Store *store = platform->stores->pdata[i];
		if (is_wanted(store))
			hand_over(store, leave, data);
	}
	return wanted > 0 && rest > 0;
}

void fs_platform_close(FsPlatform *platform)
{
	/* Commands go from the one to the other: none may begin anything after its end. */
	for (guint i = 0; i < platform->stores->len; i++) {
		const Store *store = platform->stores->pdata[i];
		if (store->started && store->cache != NULL)
			cache_stop(store->cache);
	}
	for (guint i = 0; i < platform->stores->len; i++) {
		Store *store = platform->stores->pdata[i];
		if (store->images != NULL)
			fs_images_wire_free(store->images);
	}
	g_ptr_array_unref(platform->stores);
	if (platform->client != NULL)
		gss_client_free(platform->client);
	fs_config_clear(&platform->config);
	g_clear_object(&platform->monitor);
	g_clear_error(&platform->login.error);
	g_free(platform->login.project);
	g_free(platform->login.user);
	g_mutex_clear(&platform->config_lock);
	g_mutex_clear(&platform->login.lock);
	g_cond_clear(&platform->login.done);
	g_free(platform->config_path);
	g_free(platform->credentials_path);
	g_free(platform->auth);
	g_free(platform->gss);
	g_free(platform->project);
	g_free(platform->user);
	g_free(platform);
}
