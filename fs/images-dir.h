/* fs/images-dir.h - the folder .images in the root of a storage: a read-only file for each image
 * that is registered with the storage's cluster.
 *
 * A file is named as the image and dated as the platform says. Its content is the image's record,
 * a line each, fields as fs/field.h says:
 *
 *   name  of the image
 *   size  in bytes
 *   date  of its last change, as the platform wrote it
 *
 * and its attribute user.gss.image_size the image's size. Opening the folder asks the service once;
 * what it said serves the lookups of the next seconds. Nothing can be changed here: an `rm -rf`
 * must not deregister a team's images, only `remove NAME` in .register does.
 *
 * Threads: any.
 */
#pragma once

#include "fs/virtual.h"

#define FS_IMAGES_NAME ".images"

extern const FsVirtualClass fs_images_dir_class;

typedef struct FsImageList FsImageList; /* what a storage's service said last */

FsImageList *fs_image_list_new(void);
void fs_image_list_free(FsImageList *list);
/* Something was registered or removed: it is not to be believed any more. */
void fs_image_list_forget(FsImageList *list);
/* Does the storage have an Images service now? */
bool fs_images_dir_exists(const FsStorage *storage);
