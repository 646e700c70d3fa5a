/* fs/images-wire.h - the Images service of a storage, as the control files want it (fs/images.h),
 * made of gss/images.h.
 *
 * Its address is looked up at each use, so that a changed configuration counts at once.
 */
#pragma once

#include "fs/images.h"
#include "gss/client.h"

typedef struct FsImagesWire FsImagesWire;

/* Gives the address that counts now, to be freed with g_free(); NULL: there is none. Any thread. */
typedef char *(*FsImagesAddress)(const char *storage, void *data);

FsImagesWire *fs_images_wire_new(GssClient *client, const char *storage, FsImagesAddress address,
                                 void *data);
/* What fs_mount_add() wants; as long as the wire. */
const FsImages *fs_images_wire_face(FsImagesWire *wire);
/* Ends what is under way (ECANCELED). Not on a thread of the client. */
void fs_images_wire_free(FsImagesWire *wire);
