/* fs/images.h - what the control files want of a storage's Images service. The program hands it in,
 * so that fs/ knows nothing of gss/.
 *
 * Threads: called from any thread, never blocking; callbacks run once, on any thread, and must not
 * block. Errors carry a positive errno as their code; these matter here:
 *
 *   ENOENT       no image of that name (info), or no such image or source
 *   EEXIST       an image of that name exists
 *   EINPROGRESS  the request was sent and its answer is lost: ask before anything is sent again
 *   EKEYEXPIRED  the login was over, before the request or while it was worked on: the same
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
	const char *name;
	gint64 size;      /* bytes, -1 unknown */
	const char *date; /* of its last change, as the platform writes it; "" unknown */
	gint64 mtime;     /* the same in ns since the epoch, -1 unknown */
} FsImage;

typedef void (*FsImageCallback)(const FsImage *image, const GError *error, void *data);
typedef void (*FsImageListCallback)(const FsImage *images, guint count, const GError *error,
                                    void *data);
typedef void (*FsImagesDone)(const GError *error, void *data);

typedef struct {
	/* Is a service configured now? */
	bool (*exists)(void *images);
	/* All there are, in one call. */
	void (*list)(void *images, FsImageListCallback callback, void *data);
	/* Before anything is sent: is this a name that the platform takes (EINVAL), is there a
	 * service (ENOTSUP)? The message says why not. */
	bool (*check)(void *images, const char *name, GError **error);
	void (*info)(void *images, const char *name, FsImageCallback callback, void *data);
	/* `source` is a GSS URI. */
	void (*add)(void *images, const char *name, const char *source, FsImagesDone done,
	            void *data);
	void (*replace)(void *images, const char *name, const char *source, FsImagesDone done,
	                void *data);
	void (*remove)(void *images, const char *name, FsImagesDone done, void *data);
	void *images; /* first argument of the above */
} FsImages;
