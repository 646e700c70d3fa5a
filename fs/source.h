/* fs/source.h - finding the file that a line of a control file names.
 *
 * A source is a path relative to the folder of the control file, which may contain `..` but not
 * leave the mount, or the full GSS URI of something on a storage of the mount.
 *
 * Threads: any; the callback as those of the cache.
 */
#pragma once

#include "fs/virtual.h"

/* `attr` carries a reference (cache_forget). EINVAL, ENOENT, EISDIR (unless `folders` are wanted
 * too), or what the cache says. The virtual root is storage NULL, without an attribute. */
typedef void (*FsSourceCallback)(FsStorage *storage, const CacheAttr *attr, const GError *error,
                                 void *data);
void fs_source_find(FsMount *mount, const FsFolder *folder, const char *source, bool folders,
                    FsSourceCallback callback, void *data);
