/* fs/mountpoint.h - what can be said about a mountpoint, and about mounting, before trying it.
 *
 * Every error says what to do about it.
 */
#pragma once

#include "fs/options.h"

/* `path` is absolute. ENOENT, ENOTDIR, ENOTEMPTY, ENOTCONN (a dead mount is there), EACCES, ENODEV
 * (no /dev/fuse), EPERM (allow_other). */
bool fs_mountpoint_check(const char *path, const FsOptions *options, GError **error);
