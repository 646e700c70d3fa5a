/* gss/images.h - the Images service of one cluster.
 *
 * Namespace, element names, qualification and the order of the parameters are read from the
 * service's WSDL (and the schema it imports) at the first call; answers are matched by local name
 * in either known style (JAX-WS
 * `<return>`, spyne `<xResult>`). Threads, ownership and cancelling: see gss/client.h.
 *
 * Errors: EINVAL illegal name or source path; ENOENT no such image, or no such source; EEXIST the
 * name is taken; EINPROGRESS the answer is lost, cannot be read, or is a proxy's (408, 500, 502,
 * 504 without SOAP); EKEYEXPIRED the token is dead, and was perhaps not when the request came:
 * ask gss_images_info() before anything is sent again.
 */
#pragma once

#include "gss/client.h"

typedef struct GssImages GssImages;

/* `wsdl_url` as configured. Checks it like gss_client_new(). The client must outlive it. */
GssImages *gss_images_new(GssClient *client, const char *wsdl_url, GError **error);
/* After this no callback runs; calls under way end first with ECANCELED. Never call on gss-net. */
void gss_images_free(GssImages *images);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GssImages, gss_images_free)

typedef struct {
	char *name;
	gint64 size;         /* bytes, -1 unknown */
	gint64 mtime;        /* ns since the epoch, -1 unknown */
	char *last_modified; /* the date as the platform wrote it, "" when missing */
} GssImage;

/* `images` are pointers to GssImage, freed after the callback. */
typedef void (*GssImageListCallback)(const GPtrArray *images, const GError *error, void *data);
typedef void (*GssImageCallback)(const GssImage *image, const GError *error, void *data);
/* `text` is what the service answered, fit to be shown; never NULL on success. */
typedef void (*GssTextCallback)(const char *text, const GError *error, void *data);

void gss_images_list(GssImages *images, GCancellable *cancellable, GssImageListCallback callback,
                     void *data);
void gss_images_info(GssImages *images, const char *name, GCancellable *cancellable,
                     GssImageCallback callback, void *data);
void gss_images_register(GssImages *images, const char *name, const char *source,
                         GCancellable *cancellable, GssTextCallback callback, void *data);
void gss_images_update(GssImages *images, const char *name, const char *source,
                       GCancellable *cancellable, GssTextCallback callback, void *data);
void gss_images_delete(GssImages *images, const char *name, GCancellable *cancellable,
                       GssTextCallback callback, void *data);

/* Is this a name the platform accepts (protocol, section 6)? EINVAL, and the message says what is
 * wrong with it. */
bool gss_image_name_check(const char *name, GError **error);
