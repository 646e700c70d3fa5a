#include "fs/images-wire.h"

#include "gss/error.h"
#include "gss/images.h"

#include <errno.h>

struct FsImagesWire {
	GssClient *client;
	char *storage;
	FsImagesAddress address;
	void *data;
	FsImages face;
	GMutex lock;
	/* Guarded by lock. Services whose address has changed may still have calls under way, and
	 * end with the wire. */
	char *url;           /* of the newest */
	bool closing;        /* nothing new begins */
	GPtrArray *services; /* GssImages, the newest last */
};

/* The service to use now; lives as long as the wire. NULL with ENOTSUP, or EINVAL for a bad
 * address. */
static GssImages *current(FsImagesWire *wire, GError **error)
{
	g_autofree char *url = wire->address(wire->storage, wire->data);
	GssImages *images = NULL;

	if (url == NULL) {
		g_set_error(error, GSS_ERROR, ENOTSUP,
		            "%s has no Images service configured (option images=, or a group "
		            "[storage %s] in gssfs.conf)",
		            wire->storage, wire->storage);
		return NULL;
	}
	g_mutex_lock(&wire->lock);
	if (wire->closing) {
		g_set_error_literal(error, GSS_ERROR, ECANCELED, "gssfs is being unmounted");
	} else if (g_strcmp0(url, wire->url) == 0) {
		images = wire->services->pdata[wire->services->len - 1];
	} else {
		images = gss_images_new(wire->client, url, error);
		if (images != NULL) {
			g_ptr_array_add(wire->services, images);
			g_free(wire->url);
			wire->url = g_steal_pointer(&url);
		}
	}
	g_mutex_unlock(&wire->lock);
	return images;
}

static bool check(void *data, const char *name, GError **error)
{
	return current(data, error) != NULL && gss_image_name_check(name, error);
}

static bool exists(void *data)
{
	const FsImagesWire *wire = data;
	g_autofree char *url = wire->address(wire->storage, wire->data);

	return url != NULL;
}

typedef struct {
	FsImageCallback info;
	FsImagesDone done;
	FsImageListCallback list;
	void *data;
} Call;

static Call *call_new(FsImageCallback info, FsImagesDone done, void *data)
{
	Call *call = g_new(Call, 1);
	*call = (Call){.info = info, .done = done, .data = data};
	return call;
}

static FsImage seen_of(const GssImage *image)
{
	return (FsImage){image->name, image->size, image->last_modified, image->mtime};
}

static void on_list(const GPtrArray *images, const GError *error, void *data)
{
	g_autofree Call *call = data;
	guint count = error == NULL ? images->len : 0;
	g_autofree FsImage *seen = g_new0(FsImage, count + 1);

	for (guint i = 0; i < count; i++)
		seen[i] = seen_of(images->pdata[i]);
	call->list(seen, count, error, call->data);
}

static void list(void *data, FsImageListCallback callback, void *callback_data)
{
	g_autoptr(GError) error = NULL;
	GssImages *images = current(data, &error);

	if (images == NULL) {
		callback(NULL, 0, error, callback_data);
		return;
	}
	Call *call = call_new(NULL, NULL, callback_data);
	call->list = callback;
	gss_images_list(images, NULL, on_list, call);
}

static void on_info(const GssImage *image, const GError *error, void *data)
{
	g_autofree Call *call = data;

	if (error == NULL) {
		FsImage seen = seen_of(image);
		call->info(&seen, NULL, call->data);
	} else {
		call->info(NULL, error, call->data);
	}
}

static void on_text(const char *text, const GError *error, void *data)
{
	g_autofree Call *call = data;

	if (error == NULL)
		g_debug("the Images service says: %s", text);
	call->done(error, call->data);
}

static void info(void *data, const char *name, FsImageCallback callback, void *callback_data)
{
	g_autoptr(GError) error = NULL;
	GssImages *images = current(data, &error);

	if (images == NULL)
		callback(NULL, error, callback_data);
	else
		gss_images_info(images, name, NULL, on_info,
		                call_new(callback, NULL, callback_data));
}

static void add(void *data, const char *name, const char *source, FsImagesDone done,
                void *done_data)
{
	g_autoptr(GError) error = NULL;
	GssImages *images = current(data, &error);

	if (images == NULL)
		done(error, done_data);
	else
		gss_images_register(images, name, source, NULL, on_text,
		                    call_new(NULL, done, done_data));
}

static void replace(void *data, const char *name, const char *source, FsImagesDone done,
                    void *done_data)
{
	g_autoptr(GError) error = NULL;
	GssImages *images = current(data, &error);

	if (images == NULL)
		done(error, done_data);
	else
		gss_images_update(images, name, source, NULL, on_text,
		                  call_new(NULL, done, done_data));
}

static void delete (void *data, const char *name, FsImagesDone done, void *done_data)
{
	g_autoptr(GError) error = NULL;
	GssImages *images = current(data, &error);

	if (images == NULL)
		done(error, done_data);
	else
		gss_images_delete(images, name, NULL, on_text, call_new(NULL, done, done_data));
}

static void service_free(void *images)
{
	gss_images_free(images);
}

FsImagesWire *fs_images_wire_new(GssClient *client, const char *storage, FsImagesAddress address,
                                 void *data)
{
	FsImagesWire *wire = g_new0(FsImagesWire, 1);

	*wire = (FsImagesWire){
		.client = client,
		.storage = g_strdup(storage),
		.address = address,
		.data = data,
		.face = {.exists = exists,
	                 .list = list,
	                 .check = check,
	                 .info = info,
	                 .add = add,
	                 .replace = replace,
	                 .remove = delete,
	                 .images = wire},
		.services = g_ptr_array_new_with_free_func(service_free),
	};
	g_mutex_init(&wire->lock);
	return wire;
}

const FsImages *fs_images_wire_face(FsImagesWire *wire)
{
	return &wire->face;
}

void fs_images_wire_free(FsImagesWire *wire)
{
	g_mutex_lock(&wire->lock);
	wire->closing = true;
	g_mutex_unlock(&wire->lock);
	g_ptr_array_unref(wire->services);
	g_mutex_clear(&wire->lock);
	g_free(wire->url);
	g_free(wire->storage);
	g_free(wire);
}
