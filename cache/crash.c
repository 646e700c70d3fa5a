#include "cache/crash.h"

#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Global on purpose: a process has one end. */
static struct {
	GMutex lock;
	GHashTable *passes; /* name -> how often */
	char *name;         /* where it ends; NULL: nowhere */
	guint64 last;       /* at which pass */
	int list_fd;
} crash = {.list_fd = -1};

static bool prepare(void)
{
	static gsize once;
	if (g_once_init_enter(&once)) {
		const char *text = g_getenv("GSSFS_CRASH");
		crash.passes = g_hash_table_new(g_str_hash, g_str_equal);
		if (text && g_str_has_prefix(text, "list:")) {
			crash.list_fd =
				open(text + 5, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
			if (crash.list_fd < 0)
				g_error("GSSFS_CRASH: %s cannot be written", text + 5);
		} else if (text && *text) {
			char **parts = g_strsplit(text, ":", 2);
			crash.last = 1;
			if (parts[1] && !g_ascii_string_to_unsigned(parts[1], 10, 1, G_MAXUINT64,
			                                            &crash.last, NULL))
				g_error("GSSFS_CRASH: %s is no number", parts[1]);
			crash.name = g_strdup(parts[0]);
			g_strfreev(parts);
		}
		g_once_init_leave(&once, 1);
	}
	return crash.name || crash.list_fd >= 0;
}

static guint64 count_locked(const char *name)
{
	guint64 n = GPOINTER_TO_SIZE(g_hash_table_lookup(crash.passes, name)) + 1;
	g_hash_table_insert(crash.passes, (void *)name, GSIZE_TO_POINTER(n));
	return n;
}

void cache_crash_point(const char *name)
{
	if (!prepare())
		return;
	bool any = crash.name && strcmp(crash.name, "*") == 0;
	if (crash.name && !any && strcmp(crash.name, name) != 0)
		return;
	g_mutex_lock(&crash.lock);
	guint64 n = count_locked(any ? "*" : name);
	if (crash.name && n == crash.last) {
		fprintf(stderr, "crash point %s\n", name);
		kill(getpid(), SIGKILL);
		pause(); /* no step further in this thread */
	}
	if (crash.list_fd >= 0)
		dprintf(crash.list_fd, "%s %" G_GUINT64_FORMAT "\n", name, n);
	g_mutex_unlock(&crash.lock);
}
