#include "fs/drain.h"

#include "fs/command.h"
#include "fs/service.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TERMINAL_S 1
#define LOG_S 10
#define BAR_WIDTH 24
#define COLUMNS_DEFAULT 80

struct FsDrain {
	FsMount *mount;
	FsStop *stop;
	/* Guarded by the lock of `stop`, as is the cache of a storage that may leave. */
	guint waiting; /* caches and commands not through */
	bool left;     /* something was, to another mount */
	guint64 total; /* bytes that were left at its begin */
	gint64 begun;  /* monotonic us */
};

static void on_part(void *data)
{
	FsDrain *drain = data;

	fs_stop_lock(drain->stop);
	drain->waiting--;
	fs_stop_wake_locked(drain->stop);
	fs_stop_unlock(drain->stop);
}

static void on_cache(const GError *error, void *data)
{
	on_part(data);
}

static void count(const FsDrain *drain, CachePending *ret)
{
	const FsMount *mount = drain->mount;

	*ret = (CachePending){0};
	fs_stop_lock(drain->stop);
	for (guint i = 0; i < mount->storages->len; i++) {
		const FsStorage *storage = mount->storages->pdata[i];
		CachePending one;
		if (storage->cache == NULL)
			continue;
		cache_pending(storage->cache, &one);
		ret->files += one.files;
		ret->parked += one.parked;
		ret->bytes_total += one.bytes_total;
		ret->bytes_done += one.bytes_done;
		ret->removals += one.removals;
		ret->refused += one.refused;
	}
	fs_stop_unlock(drain->stop);
}

static guint64 bytes_left(const FsDrain *drain)
{
	CachePending pending;

	count(drain, &pending);
	return pending.bytes_total - MIN(pending.bytes_done, pending.bytes_total);
}

FsDrain *fs_drain_start(FsMount *mount, FsStop *stop)
{
	FsDrain *drain = g_new0(FsDrain, 1);

	*drain = (FsDrain){
		.mount = mount,
		.stop = stop,
		.waiting = mount->storages->len + 1,
		.begun = g_get_monotonic_time(),
	};
	drain->total = bytes_left(drain);
	for (guint i = 0; i < mount->storages->len; i++) {
		FsStorage *storage = mount->storages->pdata[i];
		cache_set_draining(storage->cache);
		cache_drain(storage->cache, on_cache, drain);
	}
	fs_commands_drain(mount->commands, on_part, drain);
	return drain;
}

void fs_drain_leave(FsDrain *drain, FsStorage *storage)
{
	CachePending pending;

	/* The drain does not end before it is known whether something was left. */
	fs_stop_lock(drain->stop);
	drain->waiting++;
	fs_stop_unlock(drain->stop);
	bool any = fs_commands_leave(drain->mount->commands, storage);
	fs_stop_lock(drain->stop);
	cache_pending(storage->cache, &pending);
	drain->left = drain->left || any || pending.files > 0 || pending.removals > 0 ||
	              pending.refused > 0;
	storage->cache = NULL;
	fs_stop_unlock(drain->stop);
	on_part(drain);
}

static char *describe(const FsDrain *drain)
{
	GString *text = g_string_new(NULL);
	guint commands = fs_commands_pending(drain->mount->commands);
	CachePending pending;

	count(drain, &pending);
	guint64 files = pending.files - pending.parked;
	if (files > 0) {
		g_autofree char *done = g_format_size(pending.bytes_done);
		g_autofree char *total = g_format_size(pending.bytes_total);
		g_string_append_printf(text,
		                       "%" G_GUINT64_FORMAT " file%s to upload, %s of %s done",
		                       files, files == 1 ? "" : "s", done, total);
	}
	if (pending.removals > 0)
		g_string_append_printf(text, "%s%" G_GUINT64_FORMAT " to remove",
		                       text->len > 0 ? "; " : "", pending.removals);
	if (commands > 0)
		g_string_append_printf(text, "%s%u registration%s under way",
		                       text->len > 0 ? "; " : "", commands,
		                       commands == 1 ? "" : "s");
	return g_string_free(text, FALSE);
}

static guint columns(void)
{
	struct winsize size;
	bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;

	/* In the last column some terminals begin a new line. */
	return (known ? size.ws_col : COLUMNS_DEFAULT) - 1;
}

/* A line on the terminal over the last one: how far it is, how fast, and how to leave. */
static void draw(const FsDrain *drain, const char *text)
{
	guint64 left = bytes_left(drain), done = drain->total - MIN(left, drain->total);
	double part = drain->total > 0 ? (double)done / (double)drain->total : 0;
	double seconds = (double)(g_get_monotonic_time() - drain->begun) / G_USEC_PER_SEC;
	guint full = (guint)(part * BAR_WIDTH);
	char bar[BAR_WIDTH + 1];
	GString *line = g_string_new("gssfs: unmounted; ");

	memset(bar, ' ', BAR_WIDTH);
	memset(bar, '=', full);
	bar[BAR_WIDTH] = '\0';
	if (full > 0 && full < BAR_WIDTH)
		bar[full] = '>';
	if (drain->total > 0)
		g_string_append_printf(line, "[%s] %3u %%  ", bar, (guint)(part * 100));
	if (done > 0 && seconds > 0) {
		guint64 rate = (guint64)((double)done / seconds);
		g_autofree char *speed = g_format_size(rate);
		guint64 rest = rate > 0 ? left / rate : 0;
		g_string_append_printf(line, "%s/s  %u:%02u  ", speed, (guint)(rest / 60),
		                       (guint)(rest % 60));
	}
	g_string_append_printf(line, "%s (Ctrl-C twice: leave it)", text);
	glong room = columns();
	if (g_utf8_strlen(line->str, -1) > room)
		*g_utf8_offset_to_pointer(line->str, room) = '\0';
	fprintf(stderr, "\r\033[K%s", line->str);
	g_string_free(line, TRUE);
}

static void show(const FsDrain *drain, bool terminal)
{
	g_autofree char *text = describe(drain);
	g_autofree char *status = g_strdup_printf("STATUS=Unmounted; %s", text);

	if (*text == '\0')
		return;
	fs_service_notify(status);
	if (terminal)
		draw(drain, text);
	else
		g_message("unmounted; %s", text);
}

static bool report(const FsDrain *drain)
{
	g_autofree char *left = describe(drain);
	CachePending pending;

	count(drain, &pending);
	if (*left != '\0')
		g_message("left for the next mount: %s", left);
	if (pending.parked > 0)
		g_warning("%" G_GUINT64_FORMAT
		          " file%s could not be uploaded and need%s you: mount "
		          "again and see the attribute user.gss.error",
		          pending.parked, pending.parked == 1 ? "" : "s",
		          pending.parked == 1 ? "s" : "");
	if (pending.refused > 0)
		g_warning("%" G_GUINT64_FORMAT
		          " file%s that %s renamed or removed here could not be "
		          "removed from GSS; the next mount tries again",
		          pending.refused, pending.refused == 1 ? "" : "s",
		          pending.refused == 1 ? "was" : "were");
	return *left == '\0' && pending.parked == 0 && pending.refused == 0 && !drain->left;
}

bool fs_drain_wait(FsDrain *drain, guint timeout)
{
	bool terminal = isatty(STDERR_FILENO);
	gint64 end = timeout > 0 ? g_get_monotonic_time() + timeout * G_USEC_PER_SEC : G_MAXINT64;
	gint64 next = g_get_monotonic_time() + TERMINAL_S * G_USEC_PER_SEC;
	bool shown = false;

	fs_stop_lock(drain->stop);
	while (drain->waiting > 0 && fs_stop_count_locked(drain->stop) < FS_STOP_LEAVE &&
	       g_get_monotonic_time() < end) {
		fs_stop_wait_until_locked(drain->stop, MIN(next, end));
		if (drain->waiting == 0 || g_get_monotonic_time() < next)
			continue;
		fs_stop_unlock(drain->stop);
		show(drain, terminal);
		shown = true;
		next = g_get_monotonic_time() + (terminal ? TERMINAL_S : LOG_S) * G_USEC_PER_SEC;
		fs_stop_lock(drain->stop);
	}
	fs_stop_unlock(drain->stop);
	if (shown && terminal)
		fputc('\n', stderr);
	return report(drain);
}

void fs_drain_free(FsDrain *drain)
{
	g_free(drain);
}
