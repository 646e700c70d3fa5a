/* The façade: opening, starting, stopping, closing. */
#include "cache/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cache/upload.h"

#define TAKE_OVER_MS 30000
#define WORD_MS 5000

static bool fail_errno(GError **error, const char *path, const char *what)
{
	int errnum = errno;
	g_set_error(error, CACHE_ERROR, errnum, "%s: %s: %s", path, what, g_strerror(errnum));
	return false;
}

/* A folder of its own for each (platform, project, storage), named so that a person finds it. */
static char *folder_name(const CacheOptions *options)
{
	g_autofree char *key =
		g_strjoin("\n", options->platform, options->project, options->storage, NULL);
	g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, key, -1);
	g_autofree char *readable =
		g_strdup_printf("%.64s-%.64s", options->storage, options->project);
	g_strcanon(readable, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_-.", '_');
	return g_strdup_printf("%s-%.16s", readable, hash);
}

/* --- the lock --- */

/* What a lock on a byte of the file means. */
#define HELD 0   /* its owner has the cache */
#define WANTED 1 /* its owner waits until the holder hands the cache over */

static bool lock_byte(int fd, off_t byte, short type)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
	return fcntl(fd, F_SETLK, &lock) == 0;
}

/* Of another process; 0: none. */
static pid_t owner(int fd, off_t byte)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
	return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? lock.l_pid : 0;
}

/* The lock is the kernel's, so that its holder's pid is true; the file's text only explains. */
static pid_t holder(int fd, char *text, gsize size)
{
	gssize n = pread(fd, text, size - 1, 0);
	text[MAX(n, 0)] = '\0';
	return owner(fd, HELD);
}

static void describe(int fd, const char *text)
{
	/* Only for messages: a failure changes nothing else. */
	if (pwrite(fd, text, strlen(text), 0) < 0 || ftruncate(fd, strlen(text)) < 0)
		g_debug("cannot describe the lock: %s", g_strerror(errno));
}

/* Until `pid` has ended, or has closed its file. */
static void wait_for_release(int fd, pid_t pid, struct pollfd *pidfd, struct pollfd *watch)
{
	gint64 end = g_get_monotonic_time() + TAKE_OVER_MS * G_GINT64_CONSTANT(1000);
	for (gint64 left; owner(fd, HELD) == pid && (left = end - g_get_monotonic_time()) > 0;) {
		char events[1024];
		struct pollfd fds[] = {*pidfd, *watch};
		if (poll(fds, G_N_ELEMENTS(fds), (int)(left / 1000 + 1)) > 0 && fds[1].revents &&
		    read(watch->fd, events, sizeof(events)) < 0)
			break;
	}
}

/* Asks a holder that only drains to leave the rest to us: of its caches those that are wanted. */
static void take_over(const char *path, int fd, pid_t pid)
{
	struct pollfd pidfd = {.fd = syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
	struct pollfd watch = {.fd = inotify_init1(IN_CLOEXEC), .events = POLLIN};
	if (watch.fd >= 0 && inotify_add_watch(watch.fd, path, IN_CLOSE_WRITE) >= 0 &&
	    lock_byte(fd, WANTED, F_WRLCK) && pidfd.fd >= 0 &&
	    syscall(SYS_pidfd_send_signal, pidfd.fd, SIGUSR1, NULL, 0) == 0)
		wait_for_release(fd, pid, &pidfd, &watch);
	lock_byte(fd, WANTED, F_UNLCK);
	if (watch.fd >= 0)
		close(watch.fd);
	if (pidfd.fd >= 0)
		close(pidfd.fd);
}

bool cache_is_wanted(const Cache *cache)
{
	return owner(cache->lock_fd, WANTED) != 0;
}

static bool is_mounted(const char *path)
{
	g_autofree char *table = NULL;
	if (!g_file_get_contents("/proc/self/mountinfo", &table, NULL, NULL))
		return true;
	g_auto(GStrv) lines = g_strsplit(table, "\n", -1);
	bool found = false;
	for (char **line = lines; *line && !found; line++) {
		g_auto(GStrv) fields = g_strsplit(*line, " ", 6);
		if (g_strv_length(fields) < 6)
			continue;
		g_autofree char *mounted = g_strcompress(fields[4]); /* octal escapes */
		found = g_str_equal(mounted, path);
	}
	return found;
}

/* A holder whose mount is gone is about to say that it drains: waits for it to write that. */
static bool wait_for_word(const char *lock_path, int fd, char *text, gsize size)
{
	static const char prefix[] = "mounted at ";
	if (!g_str_has_prefix(text, prefix) || is_mounted(text + strlen(prefix)))
		return false;
	int watch = inotify_init1(IN_CLOEXEC);
	if (watch < 0)
		return false;
	struct pollfd poll_fd = {.fd = watch, .events = POLLIN};
	bool watching = inotify_add_watch(watch, lock_path, IN_MODIFY | IN_CLOSE_WRITE) >= 0;
	/* It may have been written before the watch was set. */
	holder(fd, text, size);
	if (watching && !g_str_has_prefix(text, "draining"))
		poll(&poll_fd, 1, WORD_MS);
	close(watch);
	return true;
}

static bool acquire(Cache *cache, const char *mountpoint, GError **error)
{
	g_autofree char *path = g_build_filename(cache->path, "lock", NULL);
	cache->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (cache->lock_fd < 0)
		return fail_errno(error, path, "cannot open the lock");
	for (int tries = 0; !lock_byte(cache->lock_fd, HELD, F_WRLCK); tries++) {
		char text[512];
		if (errno != EACCES && errno != EAGAIN)
			return fail_errno(error, path, "cannot lock the cache");
		pid_t pid = holder(cache->lock_fd, text, sizeof text);
		if (pid && tries == 0 && wait_for_word(path, cache->lock_fd, text, sizeof text))
			pid = holder(cache->lock_fd, text, sizeof text);
		if (pid && g_str_has_prefix(text, "draining") && tries == 0) {
			g_message("%s: taking over from the draining process %d", cache->path,
			          (int)pid);
			take_over(path, cache->lock_fd, pid);
			continue;
		}
		if (!pid && tries < 3)
			continue; /* it has just ended */
		g_set_error(error, CACHE_ERROR, EBUSY,
		            "%s is in use by process %d (%s): unmount that first", cache->path,
		            (int)pid, text);
		return false;
	}
	g_autofree char *text = g_strdup_printf("mounted at %s", mountpoint ? mountpoint : "?");
	describe(cache->lock_fd, text);
	return true;
}

void cache_set_draining(Cache *cache)
{
	describe(cache->lock_fd, "draining");
	/* The kernel does not say that it forgets what it knew of a file system that is gone. */
	g_mutex_lock(&cache->lock);
	g_autoptr(GList) nodes = g_hash_table_get_values(cache->nodes);
	for (GList *l = nodes; l; l = l->next)
		cache_node_pin_locked(l->data);
	for (GList *l = nodes; l; l = l->next) {
		((CacheNode *)l->data)->refs = 0;
		cache_node_put_locked(cache, l->data);
	}
	cache_idle_forget_all_locked(cache);
	GSList *waiters = cache_space_stop_locked(cache);
	g_mutex_unlock(&cache->lock);
	g_autoptr(GError) error =
		g_error_new_literal(CACHE_ERROR, ECANCELED, "gssfs is being unmounted");
	cache_calls_run(cache, waiters, error);
}

/* --- the journal --- */

static bool bind_meta(Cache *cache, const char *key, const char *value, GError **error)
{
	g_autoptr(GError) failure = NULL;
	g_autofree char *old = cache_store_get_meta(cache->store, key, &failure);
	if (failure) {
		g_propagate_error(error, g_steal_pointer(&failure));
		return false;
	}
	if (!old)
		return cache_store_set_meta(cache->store, key, value, error);
	if (g_str_equal(old, value))
		return true;
	g_set_error(error, CACHE_ERROR, EINVAL, "%s belongs to the %s %s, not to %s", cache->path,
	            key, old, value);
	return false;
}

static bool on_given_up(CacheBlobId id, void *data)
{
	Cache *cache = data;
	g_autoptr(GError) error = NULL;
	bool gone = cache_blob_remove(&cache->blobs, id, &error);
	if (!gone)
		g_warning("%s: %s", cache->path, error->message);
	return gone;
}

static bool open_store(Cache *cache, const char *path, GError **error)
{
	g_autoptr(GError) failure = NULL;
	cache->store = cache_store_open(path, &failure);
	if (!cache->store && failure->code == ENOSPC && cache_space_for_journal(cache, true)) {
		g_clear_error(&failure);
		cache->store = cache_store_open(path, &failure);
	}
	if (!cache->store) {
		g_propagate_error(error, g_steal_pointer(&failure));
		return false;
	}
	cache_store_set_room(cache->store, cache_space_for_journal, cache);
	cache_store_set_given_up(cache->store, on_given_up, cache);
	return true;
}

/* The journal is this cache's, and what was left in it is seen to. */
static bool recover(Cache *cache, GError **error)
{
	CACHE_CRASH_POINT("recovery.opened");
	return bind_meta(cache, "platform", cache->platform, error) &&
	       bind_meta(cache, "project", cache->project, error) &&
	       bind_meta(cache, "storage", cache->storage, error) &&
	       cache_verdict_load(cache, error) && cache_recover(cache, error);
}

static void forget_nodes(Cache *cache)
{
	GHashTableIter iter;
	void *node;
	g_hash_table_iter_init(&iter, cache->nodes);
	while (g_hash_table_iter_next(&iter, NULL, &node)) {
		cache_siblings_clear_locked(cache, node);
		cache_node_free(node);
	}
	g_hash_table_remove_all(cache->nodes);
	g_hash_table_remove_all(cache->nameless);
	g_hash_table_remove_all(cache->dirty);
	g_hash_table_remove_all(cache->awaited);
}

/* --- a damaged journal --- */

/* A new one is made under the one name, is complete under the other, and only then takes the place
 * of the damaged one: a kill on the way costs nothing. */
#define UNFINISHED "journal.unfinished"
#define COMPLETE "journal.complete"

static const char *const journal_suffixes[] = {"", "-wal", "-shm"};

static bool remove_unfinished(Cache *cache, GError **error)
{
	g_autofree char *path = g_build_filename(cache->path, UNFINISHED, NULL);
	for (gsize i = 0; i < G_N_ELEMENTS(journal_suffixes); i++) {
		g_autofree char *name = g_strconcat(path, journal_suffixes[i], NULL);
		if (unlink(name) < 0 && errno != ENOENT)
			return fail_errno(error, name, "cannot remove it");
	}
	return true;
}

/* Where nothing is yet: a clock that was set back tells a second twice. */
static char *aside_path(Cache *cache, gint64 when)
{
	bool taken = true;
	char *path = NULL;
	while (taken) {
		g_autofree char *name =
			g_strdup_printf("journal-%" G_GINT64_FORMAT ".sqlite", when++);
		g_free(path);
		path = g_build_filename(cache->path, "quarantine", name, NULL);
		taken = false;
		for (gsize i = 0; i < G_N_ELEMENTS(journal_suffixes); i++) {
			g_autofree char *part = g_strconcat(path, journal_suffixes[i], NULL);
			taken |= access(part, F_OK) == 0;
		}
	}
	return path;
}

static bool set_journal_aside(Cache *cache, const char *path, GError **error)
{
	g_autofree char *target = aside_path(cache, g_get_real_time() / G_USEC_PER_SEC);
	for (gsize i = 0; i < G_N_ELEMENTS(journal_suffixes); i++) {
		g_autofree char *from = g_strconcat(path, journal_suffixes[i], NULL);
		g_autofree char *to = g_strconcat(target, journal_suffixes[i], NULL);
		if (rename(from, to) < 0 && errno != ENOENT)
			return fail_errno(error, from, "cannot set the damaged journal aside");
		CACHE_CRASH_POINT("salvage.set_aside");
	}
	g_autofree char *name = g_path_get_basename(target);
	g_warning("%s: the journal is damaged: it was moved to quarantine/%s", cache->path, name);
	return true;
}

/* Into it goes what can be read of the damaged one. */
static bool build_anew(Cache *cache, const char *damaged, GError **error)
{
	g_autofree char *path = g_build_filename(cache->path, UNFINISHED, NULL);
	g_autofree char *log = g_strconcat(path, "-wal", NULL);
	g_autofree char *complete = g_build_filename(cache->path, COMPLETE, NULL);
	bool ok = remove_unfinished(cache, error) && open_store(cache, path, error) &&
	          cache_salvage(cache, damaged, error) &&
	          cache_store_checkpoint(cache->store, error);
	g_clear_pointer(&cache->store, cache_store_close);
	CACHE_CRASH_POINT("salvage.built");
	if (!ok)
		return false;
	if (access(log, F_OK) == 0) {
		g_set_error(error, CACHE_ERROR, EIO, "%s: cannot be folded in", log);
		return false;
	}
	return rename(path, complete) == 0 ||
	       fail_errno(error, path, "cannot rename the new journal");
}

/* Also what a kill interrupted. */
static bool install_new(Cache *cache, const char *path, GError **error)
{
	g_autofree char *complete = g_build_filename(cache->path, COMPLETE, NULL);
	if (access(complete, F_OK) < 0)
		return errno == ENOENT || fail_errno(error, complete, "cannot be looked at");
	CACHE_CRASH_POINT("salvage.complete");
	if (!set_journal_aside(cache, path, error))
		return false;
	return rename(complete, path) == 0 ||
	       fail_errno(error, complete, "cannot rename the new journal");
}

static bool begin_anew(Cache *cache, const char *path, GError **error)
{
	g_mutex_lock(&cache->lock);
	forget_nodes(cache);
	g_hash_table_remove_all(cache->hidden);
	cache_removal_clear_locked(cache);
	cache->removals_seen = 0;
	g_mutex_unlock(&cache->lock);
	g_clear_pointer(&cache->store, cache_store_close);
	return build_anew(cache, path, error) && install_new(cache, path, error) &&
	       open_store(cache, path, error) && recover(cache, error);
}

static bool open_journal(Cache *cache, GError **error)
{
	g_autofree char *path = g_build_filename(cache->path, "journal.sqlite", NULL);
	g_autoptr(GError) failure = NULL;
	if (!install_new(cache, path, error) || !remove_unfinished(cache, error))
		return false;
	if (open_store(cache, path, &failure) && recover(cache, &failure))
		return true;
	if (failure->code == EUCLEAN)
		return begin_anew(cache, path, error);
	g_propagate_error(error, g_steal_pointer(&failure));
	return false;
}

static bool read_boot_id(Cache *cache, GError **error)
{
	if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &cache->boot_id, NULL, NULL)) {
		g_set_error_literal(error, CACHE_ERROR, EIO, "cannot read the kernel's boot_id");
		return false;
	}
	g_strstrip(cache->boot_id);
	return true;
}

/* --- life --- */

Cache *cache_open(const CacheOptions *options, GError **error)
{
	Cache *cache = g_new0(Cache, 1);
	g_autofree char *name = folder_name(options);
	g_mutex_init(&cache->lock);
	g_cond_init(&cache->calls_done);
	cache->path = g_build_filename(options->dir, name, NULL);
	cache->platform = g_strdup(options->platform);
	cache->project = g_strdup(options->project);
	cache->storage = g_strdup(options->storage);
	cache->user = g_strdup(options->user ? options->user : "");
	cache->room.limit = options->size_limit;
	cache->room.reserve = options->reserve;
	cache->fsync_local = options->fsync_local;
	cache->offline_cached = options->offline_cached;
	cache->overwrite = options->overwrite;
	cache->read_only = options->read_only;
	cache->file_mode = options->file_mode;
	cache->folder_mode = options->folder_mode;
	cache->patience = CACHE_PROGRESS_DEADLINE_US;
	cache->op_patience = CACHE_NAMESPACE_DEADLINE_MS;
	cache->lock_fd = -1;
	cache->blobs.dir = cache->blobs.quarantine = -1;
	cache->nodes = g_hash_table_new(g_int64_hash, g_int64_equal);
	cache->nameless = g_hash_table_new(NULL, NULL);
	cache_idle_init(cache);
	cache->hidden = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	cache->gone = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	cache->unshown = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	cache->dirty = g_hash_table_new(NULL, NULL);
	cache->settling = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	cache->awaited = g_hash_table_new(g_str_hash, g_str_equal);
	cache->kept = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	cache->sending = g_hash_table_new(g_str_hash, g_str_equal);
	cache->looking = g_hash_table_new(NULL, NULL);
	cache->stop = g_cancellable_new();
	cache->worker = cache_worker_new(cache);
	cache->sums = g_thread_pool_new(cache_sum_run, cache, 2, FALSE, NULL);
	bool ok = true;
	if (g_mkdir_with_parents(cache->path, 0700) < 0)
		ok = fail_errno(error, cache->path, "cannot make the cache's folder");
	ok = ok && acquire(cache, options->mountpoint, error) && read_boot_id(cache, error) &&
	     cache_blobs_open(&cache->blobs, cache->path, error) &&
	     cache_space_init(cache, error) && open_journal(cache, error) &&
	     cache_space_open(cache, error);
	if (cache->store)
		cache->syncer = cache_syncer_new(cache);
	CACHE_CRASH_POINT("recovery.ended");
	if (ok)
		return cache;
	cache_close(cache);
	return NULL;
}

#define META_LEARNED "learned"

/* A journal that fails costs a few questions more. */
static void learn(Cache *cache, GssClient *client)
{
	g_autofree char *text = cache_store_get_meta(cache->store, META_LEARNED, NULL);
	if (text)
		gss_storage_learn(client, cache->storage, text);
	cache->learned = gss_storage_learned_serial(client);
}

void cache_learned_save(Cache *cache)
{
	guint serial = gss_storage_learned_serial(cache->client);
	if (serial == cache->learned)
		return;
	cache->learned = serial;
	g_autofree char *text = gss_storage_learned(cache->client, cache->storage);
	g_autoptr(GError) error = NULL;
	if (!cache_store_set_meta(cache->store, META_LEARNED, text, &error))
		g_warning("%s: %s", cache->path, error->message);
}

void cache_start(Cache *cache, GssClient *client, const CacheNotify *notify)
{
	learn(cache, client);
	g_mutex_lock(&cache->lock);
	CACHE_CRASH_POINT("start.begun");
	cache->client = client;
	if (notify)
		cache->notify = *notify;
	GHashTableIter iter;
	void *node;
	g_hash_table_iter_init(&iter, cache->dirty);
	while (g_hash_table_iter_next(&iter, &node, NULL))
		cache_queue_consider_locked(cache, node);
	cache_evict_soon_locked(cache);
	g_mutex_unlock(&cache->lock);
	cache_removal_run(cache);
}

static void wake(void *data)
{
	GMutex *lock = ((void **)data)[0];
	GCond *cond = ((void **)data)[1];
	bool *done = ((void **)data)[2];
	g_mutex_lock(lock);
	*done = true;
	g_cond_signal(cond);
	g_mutex_unlock(lock);
}

/* What came last of downloads is journaled. */
static void save_contents(Cache *cache)
{
	GSList *contents = NULL;
	GHashTableIter iter;
	void *value;
	g_mutex_lock(&cache->lock);
	g_hash_table_iter_init(&iter, cache->nodes);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		CacheNode *node = value;
		if (node->content && node->content->saving)
			contents = g_slist_prepend(contents, cache_content_ref(node->content));
	}
	g_mutex_unlock(&cache->lock);
	for (GSList *l = contents; l; l = l->next) {
		CacheContent *content = l->data;
		g_mutex_lock(&cache->lock);
		GSource *timer = g_steal_pointer(&content->saving);
		g_mutex_unlock(&cache->lock);
		cache_worker_cancel(&timer); /* gives back its reference, which wants the lock */
		cache_content_save_now(content);
		cache_content_put(content);
	}
	g_slist_free(contents);
}

/* Everything that was posted to the worker has run. */
static void settle(Cache *cache)
{
	GMutex lock;
	GCond cond;
	bool done = false;
	void *data[] = {&lock, &cond, &done};
	g_mutex_init(&lock);
	g_cond_init(&cond);
	cache_worker_post(cache, wake, data);
	g_mutex_lock(&lock);
	while (!done)
		g_cond_wait(&cond, &lock);
	g_mutex_unlock(&lock);
	g_cond_clear(&cond);
	g_mutex_clear(&lock);
}

void cache_stop(Cache *cache)
{
	g_autoptr(GError) error =
		g_error_new_literal(CACHE_ERROR, ECANCELED, "gssfs is being unmounted");
	GSList *publishers = NULL, *contents = NULL, *cancel = NULL;
	g_mutex_lock(&cache->lock);
	CACHE_CRASH_POINT("stop.begun");
	cache->stopping = true;
	cache_worker_cancel(&cache->idle.timer);
	cache_worker_cancel(&cache->evict_timer);
	cache_worker_cancel(&cache->flush_timer);
	cache_worker_cancel(&cache->room.ballast_timer);
	cache_worker_cancel(&cache->burst.timer);
	cache_worker_cancel(&cache->removal_timer);
	cache_worker_cancel(&cache->pause.timer);
	cache_worker_cancel(&cache->status_timer);
	GHashTableIter iter;
	void *value;
	g_hash_table_iter_init(&iter, cache->nodes);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		CacheNode *node = value;
		cache_worker_cancel(&node->retry);
		if (node->job)
			g_cancellable_cancel(node->job->cancellable);
		if (node->content)
			contents = g_slist_prepend(contents, cache_content_ref(node->content));
		if (node->job && node->job->content != node->content)
			contents = g_slist_prepend(contents, cache_content_ref(node->job->content));
		publishers =
			g_slist_concat(publishers, cache_publishers_take_locked(node, G_MAXUINT64));
	}
	/* Also those of contents that no node has any more. */
	for (GList *l = cache->transfers.head; l; l = l->next) {
		const CacheTransfer *transfer = l->data;
		cancel = g_slist_prepend(cancel, g_object_ref(transfer->cancellable));
	}
	GSList *calls = g_slist_concat(g_steal_pointer(&cache->drainers),
	                               g_steal_pointer(&cache->removal_waiters));
	calls = g_slist_concat(cache_space_stop_locked(cache), calls);
	g_mutex_unlock(&cache->lock);
	g_cancellable_cancel(cache->stop);
	cache_publishers_run(publishers, NULL, error);
	cache_calls_run(cache, calls, error);
	for (GSList *l = contents; l; l = l->next) {
		cache_fetch_stop(cache, l->data, error);
		cache_content_put(l->data);
	}
	g_slist_free(contents);
	for (GSList *l = cancel; l; l = l->next)
		g_cancellable_cancel(l->data);
	g_slist_free_full(cancel, g_object_unref);
	g_mutex_lock(&cache->lock);
	while (cache->calls)
		g_cond_wait(&cache->calls_done, &cache->lock);
	cache_attr_save_locked(cache);
	cache_change_flush_closed_locked(cache);
	g_mutex_unlock(&cache->lock);
	CACHE_CRASH_POINT("stop.ended");
	settle(cache);
	save_contents(cache);
}

void cache_close(Cache *cache)
{
	CACHE_CRASH_POINT("close.begun");
	/* The worker first: it gives the syncer its last work. */
	if (cache->worker) {
		if (cache->removals)
			cache_removal_clear_locked(cache);
		settle(cache);
	}
	g_thread_pool_free(cache->sums, FALSE, TRUE);
	for (int lane = 0; lane < 2; lane++)
		g_queue_clear(&cache->ready[lane]);
	if (cache->syncer)
		cache_syncer_free(cache->syncer);
	cache_worker_free(cache->worker);
	forget_nodes(cache);
	g_hash_table_unref(cache->nodes);
	g_hash_table_unref(cache->nameless);
	cache_idle_clear(cache);
	g_hash_table_unref(cache->hidden);
	g_hash_table_unref(cache->gone);
	g_hash_table_unref(cache->unshown);
	g_hash_table_unref(cache->dirty);
	g_hash_table_unref(cache->settling);
	g_hash_table_unref(cache->awaited);
	g_hash_table_unref(cache->kept);
	g_hash_table_unref(cache->sending);
	g_hash_table_unref(cache->looking);
	g_clear_pointer(&cache->removals, g_hash_table_unref);
	CACHE_CRASH_POINT("close.synced");
	g_clear_pointer(&cache->store, cache_store_close);
	if (cache->blobs.path)
		cache_blobs_close(&cache->blobs);
	if (cache->lock_fd >= 0)
		close(cache->lock_fd);
	g_object_unref(cache->stop);
	g_cond_clear(&cache->calls_done);
	g_mutex_clear(&cache->lock);
	g_free(cache->path);
	g_free(cache->platform);
	g_free(cache->project);
	g_free(cache->storage);
	g_free(cache->user);
	g_free(cache->boot_id);
	g_free(cache);
}
