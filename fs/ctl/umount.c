/* gssctl umount: everything to GSS first, then the unmount. */
#include "fs/ctl/ctl.h"
#include "fs/ctl/flush.h"

#include "cache/error.h"

#include <errno.h>
#include <string.h>

/* Whoever looks at it in passing (a file manager, another gssctl) is through in a moment. */
#define BUSY_US (3 * G_USEC_PER_SEC)
#define PAUSE_US (G_USEC_PER_SEC / 10)

static bool try_unmount(const char *path, GError **error)
{
	char *argv[] = {g_strdup("fusermount3"), g_strdup("-u"), g_strdup("--"), g_strdup(path),
	                NULL};
	g_autofree char *said = NULL;
	g_autoptr(GError) failure = NULL;
	int status = 0;
	bool ok;

	bool ran = g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL,
	                        NULL, NULL, NULL, &said, &status, &failure);
	if (!ran)
		ok = ctl_fail(error, EIO, "fusermount3 (package fuse3): %s", failure->message);
	else if (g_spawn_check_wait_status(status, NULL))
		ok = true;
	else if (strstr(g_strchomp(said), "busy") != NULL)
		ok = ctl_fail(
			error, EBUSY,
			"%s is in use: a program has a file of it open, or works in it, or another "
			"gssctl looks at it (fuser -m %s tells which)",
			path, path);
	else
		ok = ctl_fail(error, EIO, "%s", *said != '\0' ? said : "fusermount3 failed");
	for (guint i = 0; argv[i] != NULL; i++)
		g_free(argv[i]);
	return ok;
}

static bool unmount(const char *path, GError **error)
{
	gint64 until = g_get_monotonic_time() + BUSY_US;

	for (;;) {
		g_autoptr(GError) failure = NULL;
		if (try_unmount(path, &failure))
			return true;
		if (failure->code != EBUSY || g_get_monotonic_time() > until ||
		    ctl_interrupted() != 0) {
			g_propagate_error(error, g_steal_pointer(&failure));
			return false;
		}
		g_usleep(PAUSE_US);
	}
}

/* The mount itself must have been named, so that no folder stands for what is around it. */
static CtlPlace *find(const GPtrArray *mounts, const char *path, GError **error)
{
	g_autoptr(CtlPlace) place = ctl_mounts_find(mounts, path, error);

	if (place == NULL)
		return NULL;
	if (*place->relative == '\0')
		return g_steal_pointer(&place);
	ctl_fail(error, EINVAL, "%s is a part of the mount at %s: name that", path,
	         place->mount->path);
	return NULL;
}

static int flush_mount(const GPtrArray *mounts, const CtlPlace *place, int timeout)
{
	char *paths[] = {place->path, NULL};
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) scopes = ctl_scopes(mounts, paths, &error);
	const CtlFlush how = {
		.timeout = timeout,
		.commands = true,
		.leaving = "it stays mounted, uploads and registrations go on",
	};

	if (scopes != NULL)
		return ctl_flush(scopes, &how, NULL);
	/* A dead mount has nothing to wait for; what it left is uploaded at the next. */
	return error->code == ENOTCONN || error->code == ENODEV ? CTL_OK : ctl_complain(error);
}

static int umount_run(const char *name, char **words)
{
	gboolean now = FALSE;
	int timeout = CTL_FLUSH_FOREVER;
	const GOptionEntry entries[] = {
		{"now", 'n', 0, G_OPTION_ARG_NONE, &now,
	         "Do not wait: the rest is uploaded behind, or after the next mount", NULL},
		{"timeout", 't', 0, G_OPTION_ARG_INT, &timeout,
	         "Wait so long at most; 0 only looks", "SECONDS"},
		G_OPTION_ENTRY_NULL,
	};
	g_autoptr(GError) error = NULL;

	if (!ctl_options(&ctl_verb_umount, entries, &words) || !ctl_flush_check(timeout))
		return CTL_USAGE;
	if (words[1] == NULL || words[2] != NULL) {
		ctl_say("say which mount, and only one (see gssctl umount --help)");
		return CTL_USAGE;
	}
	g_autoptr(GPtrArray) mounts = ctl_mounts(&error);
	g_autoptr(CtlPlace) place = mounts != NULL ? find(mounts, words[1], &error) : NULL;
	if (place == NULL)
		return ctl_complain(error);
	int status = now ? CTL_OK : flush_mount(mounts, place, timeout);
	if (status != CTL_OK) {
		if (status < CTL_SIGNAL)
			ctl_say("%s stays mounted; --now unmounts it nevertheless, nothing is lost "
			        "by it",
			        place->path);
		return status;
	}
	if (unmount(place->mount->path, &error))
		return CTL_OK;
	status = ctl_complain(error);
	return ctl_interrupted() != 0 ? CTL_SIGNAL + ctl_interrupted() : status;
}

const CtlVerb ctl_verb_umount = {
	.name = "umount",
	.arguments = "MOUNT",
	.summary = "Waits until everything is on GSS and registered, then unmounts.",
	.details =
		"What has not arrived keeps it mounted. Ctrl-C ends the waiting, not the uploads.",
	.run = umount_run,
};
