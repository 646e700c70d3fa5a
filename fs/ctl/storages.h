/* fs/ctl/storages.h - the storages that are mounted, each with the folder that shows it.
 *
 * Threads: one.
 */
#pragma once

#include "fs/ctl/channel.h"

typedef struct {
	char *name; /* "it4i_anselm" */
	const CtlMount *mount;
	char *uri;  /* of `root`, with a slash at its end if it is no storage's root */
	char *root; /* absolute: the folder that shows `uri` */
	char *home; /* where images are copied to: home/, or `root` itself if that lies deeper */
	char *home_uri; /* of `home`, with a slash at its end */
} CtlStorage;

/* What the channels' mounts show (CtlStorage); of some storage there may be several parts. EPROTO,
 * ...: as ctl_channel_read(). */
GPtrArray *ctl_storages(const GPtrArray *channels, GError **error);
/* The storages of one mount; pure. */
void ctl_storages_add(GPtrArray *storages, const CtlMount *mount, const CtlStatus *status);
GPtrArray *ctl_storages_new(void);

/* The names in a list with commas; NULL: all; each once, as the mount that shows the most of it.
 * ENODEV: one of them is not mounted, and the message says which are. Of CtlStorage, borrowed. */
GPtrArray *ctl_storages_choose(const GPtrArray *storages, const char *list, GError **error);
/* Those at which images are looked for where nobody says: all, without those that have no service
 * for them. ENODEV: none has one. Borrowed. */
GPtrArray *ctl_storages_for_images(const GPtrArray *storages, GError **error);
/* In which of them a path (absolute) lies; NULL: in none. */
const CtlStorage *ctl_storages_of(const GPtrArray *storages, const char *path);
/* "it4i_anselm, it4i_salomon". Free with g_free(). */
char *ctl_storages_names(const GPtrArray *storages);
