/* fs/ctl/scope.h - what a verb was asked about: paths, gathered by the mount they are in.
 *
 * Threads: one.
 */
#pragma once

#include "fs/ctl/channel.h"

typedef struct {
	CtlChannel *channel;
	GPtrArray *paths; /* relative to the mount (char); "" stands for all of it */
} CtlScope;

/* Without paths: all mounts that are ours. The mounts must outlive them. ENOENT: no such file;
 * EXDEV: in no mount; ENODEV: nothing is mounted; as ctl_channel_open(). Of CtlScope;
 * g_ptr_array_unref().
 */
GPtrArray *ctl_scopes(const GPtrArray *mounts, char *const *paths, GError **error);

bool ctl_scope_has(const CtlScope *scope, const CtlFile *file);
bool ctl_scope_is_all(const CtlScope *scope); /* the whole mount */
/* As ctl_channels_wait(), for the channels of the scopes. */
void ctl_scopes_wait(const GPtrArray *scopes, int timeout_ms);
/* Where a file of the scope is: absolute. Free with g_free(). */
char *ctl_scope_path(const CtlScope *scope, const CtlFile *file);
