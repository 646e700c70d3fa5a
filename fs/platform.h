/* fs/platform.h - puts the parts together: configuration and credentials, the client (gss/), a
 * cache a storage, the Images services; and takes them apart.
 *
 * Threads: one (main), and the mount's loop; the client and the caches have their own.
 */
#pragma once

#include "fs/config.h"
#include "fs/mount.h"
#include "fs/options.h"

typedef struct FsPlatform FsPlatform;

/* Logs in, opens the caches, finds the folders to show, and adds the storages to `mount`.
 * `config_path` is absolute. What is known in the journals can be mounted without the network: then
 * `ret_note` says so, to be freed with g_free(), else it is NULL. The message of an error says what
 * to do. */
FsPlatform *fs_platform_open(const FsOptions *options, const char *config_path, FsMount *mount,
                             char **ret_note, GError **error);
/* The login came too late to stop the mount and is of another project: nothing may be uploaded. */
bool fs_platform_is_foreign(FsPlatform *platform);
/* On the mount's loop, after the session: another mount wants some of the caches. They are closed,
 * and `leave` called for their storages, once they and the Images services have stopped. False: it
 * wants them all. */
typedef void (*FsPlatformLeave)(FsStorage *storage, void *data);
bool fs_platform_hand_over(FsPlatform *platform, FsPlatformLeave leave, void *data);
/* Ends all that is under way. The mount must have been stopped (fs_mount_stop). */
void fs_platform_close(FsPlatform *platform);

/* Is this a SOURCE: `all`, or a GSS URI? */
bool fs_platform_check_source(const char *source, GError **error);
