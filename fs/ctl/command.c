/* gssctl retry, discard and refresh: a line each to .status. */
#include "fs/ctl/attribute.h"
#include "fs/ctl/channel.h"
#include "fs/ctl/ctl.h"
#include "fs/ctl/text.h"

#include "cache/error.h"

#include <errno.h>
#include <string.h>

/* Gives the command to the mount a path is in; "" is all of it. */
static int command_path(const GPtrArray *mounts, const char *verb, const char *path)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(CtlPlace) place = ctl_mounts_find(mounts, path, &error);

	if (place == NULL)
		return ctl_complain(error);
	if (ctl_channel_command(place->mount, verb,
	                        *place->relative != '\0' ? place->relative : NULL, &error))
		return CTL_OK;
	/* Why it is no use to try again is told as why it has failed. */
	g_autofree char *reason =
		strcmp(verb, "retry") == 0 ? ctl_attribute(place->path, "error", NULL) : NULL;
	if (error->code == ENODATA && strcmp(verb, "discard") == 0)
		ctl_say("%s: nothing to drop: GSS has all of it", path);
	else
		ctl_say("%s: %s", path, reason != NULL ? reason : error->message);
	return error->code == ENOENT ? CTL_NOINPUT : CTL_FAILED;
}

/* To all mounts that are ours. */
static int command_all(const GPtrArray *mounts, const char *verb)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) channels = ctl_channels(mounts, &error);
	int status = CTL_OK;

	if (channels == NULL)
		return ctl_complain(error);
	for (guint i = 0; i < channels->len; i++) {
		const CtlMount *mount = ctl_channel_mount(channels->pdata[i]);
		g_autoptr(GError) failure = NULL;
		if (ctl_channel_command(mount, verb, NULL, &failure))
			continue;
		ctl_say("%s: %s", mount->path, failure->message);
		status = CTL_FAILED;
	}
	return status;
}

static int run(const CtlVerb *verb, char **words)
{
	g_autoptr(GError) error = NULL;
	int status = CTL_OK;

	if (!ctl_options(verb, NULL, &words))
		return CTL_USAGE;
	g_autoptr(GPtrArray) mounts = ctl_mounts(&error);
	if (mounts == NULL)
		return ctl_complain(error);
	if (words[1] == NULL)
		return command_all(mounts, verb->name);
	for (char **path = words + 1; *path != NULL; path++)
		status = ctl_worse(status, command_path(mounts, verb->name, *path));
	return status;
}

static int retry_run(const char *name, char **words)
{
	return run(&ctl_verb_retry, words);
}

const CtlVerb ctl_verb_retry = {
	.name = "retry",
	.arguments = "[PATH…]",
	.summary = "Tries at once to upload what failed or waits; everything, or these paths.",
	.details = "It does not wait for the outcome: gssctl flush does.",
	.run = retry_run,
};

static int refresh_run(const char *name, char **words)
{
	return run(&ctl_verb_refresh, words);
}

const CtlVerb ctl_verb_refresh = {
	.name = "refresh",
	.arguments = "[PATH…]",
	.summary = "Forgets what is held of attributes and listings, so that GSS is asked anew.",
	.details = "Nothing that is not uploaded yet is touched.",
	.run = refresh_run,
};

static int discard_run(const char *name, char **words)
{
	gboolean yes = FALSE;
	const GOptionEntry entries[] = {
		{"yes", 'y', 0, G_OPTION_ARG_NONE, &yes, "Do not ask", NULL},
		G_OPTION_ENTRY_NULL,
	};
	g_autoptr(GError) error = NULL;
	int status = CTL_OK;

	if (!ctl_options(&ctl_verb_discard, entries, &words))
		return CTL_USAGE;
	if (words[1] == NULL) {
		ctl_say("say of which files the local changes are to be dropped");
		return CTL_USAGE;
	}
	g_autoptr(GPtrArray) mounts = ctl_mounts(&error);
	if (mounts == NULL)
		return ctl_complain(error);
	for (char **path = words + 1; *path != NULL; path++) {
		if (!yes && !ctl_confirm("Drop what is not on GSS of %s, for ever?", *path))
			return ctl_worse(status, CTL_FAILED);
		status = ctl_worse(status, command_path(mounts, "discard", *path));
	}
	return status;
}

const CtlVerb ctl_verb_discard = {
	.name = "discard",
	.arguments = "PATH…",
	.summary = "Drops local changes that are not on GSS; the file is again what GSS has.",
	.details = "A file that GSS never had is gone. On a terminal it asks first; elsewhere it "
		   "needs --yes.",
	.run = discard_run,
};
