/* test-gss-sync.c - see test-gss-sync.h. */
#include "test-gss-sync.h"

#include <string.h>

#include "test-deadline.h"

typedef struct {
	GMutex lock;
	GCond changed;
	bool done;
	GError *error;
	GssResource *resource;
	bool value;
	GPtrArray *list;
	char *texts[2];
	gint64 numbers[2];
	GssVersion version;
	SyncBody body;
	const guint8 *bytes;
} Wait;

static void wait_init(Wait *wait)
{
	memset(wait, 0, sizeof(*wait));
	g_mutex_init(&wait->lock);
	g_cond_init(&wait->changed);
	wait->version = GSS_VERSION_INIT;
}

static void wait_done(Wait *wait, const GError *error)
{
	g_mutex_lock(&wait->lock);
	g_assert_false(wait->done);
	wait->done = true;
	if (error != NULL) {
		g_assert_true(error->domain == GSS_ERROR);
		g_assert_cmpint(error->code, >, 0);
		g_assert_true(g_utf8_validate(error->message, -1, NULL));
		wait->error = g_error_copy(error);
	}
	g_cond_signal(&wait->changed);
	g_mutex_unlock(&wait->lock);
}

static bool wait_end(Wait *wait, GError **error)
{
	g_mutex_lock(&wait->lock);
	gint64 deadline = test_deadline();
	while (!wait->done)
		g_assert_true(g_cond_wait_until(&wait->changed, &wait->lock, deadline));
	g_mutex_unlock(&wait->lock);
	g_mutex_clear(&wait->lock);
	g_cond_clear(&wait->changed);
	if (wait->error == NULL)
		return true;
	g_propagate_error(error, wait->error);
	return false;
}

static void give(char **ret, char *text)
{
	if (ret != NULL)
		*ret = text;
	else
		g_free(text);
}

static void on_login(const GssIdentity *identity, const GError *error, void *data)
{
	Wait *wait = data;
	if (identity != NULL) {
		wait->texts[0] = g_strdup(identity->username);
		wait->texts[1] = g_strdup(identity->project);
	}
	wait_done(wait, error);
}

bool sync_login(GssClient *client, char **ret_username, char **ret_project, GError **error)
{
	Wait wait;
	wait_init(&wait);
	gss_client_login(client, NULL, on_login, &wait);
	if (!wait_end(&wait, error))
		return false;
	give(ret_username, wait.texts[0]);
	give(ret_project, wait.texts[1]);
	return true;
}

static void on_resource(GssResource *resource, const GError *error, void *data)
{
	Wait *wait = data;
	g_assert_true((resource != NULL) == (error == NULL));
	if (resource != NULL)
		wait->resource = gss_resource_ref(resource);
	wait_done(wait, error);
}

bool sync_resolve(GssClient *client, const char *uri, GssResource **ret, GError **error)
{
	Wait wait;
	wait_init(&wait);
	gss_storage_resolve(client, uri, NULL, on_resource, &wait);
	if (!wait_end(&wait, error))
		return false;
	*ret = wait.resource;
	return true;
}

bool sync_create_folder(GssClient *client, const char *uri, GssResource **ret, GError **error)
{
	Wait wait;
	wait_init(&wait);
	gss_storage_create_folder(client, uri, NULL, on_resource, &wait);
	if (!wait_end(&wait, error))
		return false;
	*ret = wait.resource;
	return true;
}

static void on_boolean(bool value, const GError *error, void *data)
{
	Wait *wait = data;
	wait->value = value;
	wait_done(wait, error);
}

bool sync_contains(GssClient *client, const char *uri, bool *ret, GError **error)
{
	Wait wait;
	wait_init(&wait);
	gss_storage_contains(client, uri, NULL, on_boolean, &wait);
	if (!wait_end(&wait, error))
		return false;
	*ret = wait.value;
	return true;
}

static void on_item(GssResource *resource, void *data)
{
	Wait *wait = data;
	g_ptr_array_add(wait->list, gss_resource_ref(resource));
}

static void on_done(const GError *error, void *data)
{
	wait_done(data, error);
}

static void unref_resource(void *resource)
{
	gss_resource_unref(resource);
}

bool sync_list(GssClient *client, const char *uri, bool minimal, GPtrArray **ret, GError **error)
{
	Wait wait;
	wait_init(&wait);
	wait.list = g_ptr_array_new_with_free_func(unref_resource);
	gss_storage_list(client, uri, minimal, NULL, on_item, on_done, &wait);
	if (!wait_end(&wait, error)) {
		g_ptr_array_unref(wait.list);
		return false;
	}
	*ret = wait.list;
	return true;
}

bool sync_delete_folder(GssClient *client, const char *uri, GError **error)
{
	Wait wait;
	wait_init(&wait);
	gss_storage_delete_folder(client, uri, NULL, on_done, &wait);
	return wait_end(&wait, error);
}

static void on_endpoints(const char *const *types, const char *const *urls, const GError *error,
                         void *data)
{
	Wait *wait = data;
	if (error == NULL)
		wait->texts[0] = g_strdup(urls[0]);
	wait_done(wait, error);
}

bool sync_endpoints(GssClient *client, const char *uri, char **ret_first_url, GError **error)
{
	Wait wait;
	wait_init(&wait);
	gss_storage_endpoints(client, uri, NULL, on_endpoints, &wait);
	if (!wait_end(&wait, error))
		return false;
	give(ret_first_url, wait.texts[0]);
	return true;
}

static void on_version(const GssVersion *version, const GError *error, void *data)
{
	Wait *wait = data;
	if (version != NULL)
		gss_version_copy(&wait->version, version);
	wait_done(wait, error);
}

bool sync_stat(GssClient *client, GssResource *resource, GssVersion *ret, GError **error)
{
	Wait wait;
	wait_init(&wait);
	gss_storage_stat(client, resource, NULL, on_version, &wait);
	if (!wait_end(&wait, error))
		return false;
	gss_version_clear(ret);
	*ret = wait.version;
	return true;
}

void sync_body_clear(SyncBody *body)
{
	gss_version_clear(&body->version);
	g_clear_pointer(&body->bytes, g_byte_array_unref);
}

static bool on_begin(const GssBody *body, void *data, GError **error)
{
	Wait *wait = data;
	g_assert_null(wait->body.bytes);
	wait->body.offset = body->offset;
	wait->body.length = body->length;
	gss_version_copy(&wait->body.version, body->version);
	wait->body.bytes = g_byte_array_new();
	return true;
}

static bool on_body(const void *bytes, gsize length, void *data, GError **error)
{
	Wait *wait = data;
	g_byte_array_append(wait->body.bytes, bytes, (guint)length);
	return true;
}

bool sync_read(GssClient *client, GssResource *resource, guint64 offset, guint64 length,
               SyncBody *ret, GError **error)
{
	static const GssSink sink = {.begin = on_begin, .body = on_body, .done = on_done};
	Wait wait;
	wait_init(&wait);
	wait.body.version = GSS_VERSION_INIT;
	gss_storage_read(client, resource, offset, length, NULL, NULL, &sink, &wait);
	if (!wait_end(&wait, error)) {
		sync_body_clear(&wait.body);
		return false;
	}
	sync_body_clear(ret);
	*ret = wait.body;
	return true;
}

static gssize on_read(void *buffer, gsize size, guint64 offset, void *data, GError **error)
{
	Wait *wait = data;
	memcpy(buffer, wait->bytes + offset, size);
	return (gssize)size;
}

static void on_written(const char *uri, const GError *error, void *data)
{
	Wait *wait = data;
	wait->texts[0] = g_strdup(uri);
	wait_done(wait, error);
}

bool sync_create(GssClient *client, GssResource *resource, const void *bytes, gsize length,
                 char **ret_uri, GError **error)
{
	Wait wait;
	wait_init(&wait);
	wait.bytes = bytes;
	gss_storage_create(client, resource, NULL, &(GssSource){.length = length, .read = on_read},
	                   on_written, &wait);
	if (!wait_end(&wait, error))
		return false;
	give(ret_uri, wait.texts[0]);
	return true;
}

bool sync_update(GssClient *client, GssResource *resource, const GssVersion *expected,
                 const void *bytes, gsize length, char **ret_uri, GError **error)
{
	Wait wait;
	wait_init(&wait);
	wait.bytes = bytes;
	gss_storage_update(client, resource, expected, NULL,
	                   &(GssSource){.length = length, .read = on_read}, on_written, &wait);
	if (!wait_end(&wait, error))
		return false;
	give(ret_uri, wait.texts[0]);
	return true;
}

bool sync_remove(GssClient *client, GssResource *resource, GError **error)
{
	Wait wait;
	wait_init(&wait);
	gss_storage_remove(client, resource, NULL, on_done, &wait);
	return wait_end(&wait, error);
}

static void on_images(const GPtrArray *images, const GError *error, void *data)
{
	Wait *wait = data;
	wait->list = g_ptr_array_new();
	for (guint i = 0; images != NULL && i < images->len; i++) {
		const GssImage *image = images->pdata[i];
		g_ptr_array_add(wait->list,
		                g_strdup_printf("%s %" G_GINT64_FORMAT, image->name, image->size));
	}
	wait_done(wait, error);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool sync_images_list(GssImages *images, char ***ret, GError **error)
{
	Wait wait;
	wait_init(&wait);
	gss_images_list(images, NULL, on_images, &wait);
	bool good = wait_end(&wait, error);
	if (good) {
		g_ptr_array_sort(wait.list, compare);
		g_ptr_array_add(wait.list, NULL);
		*ret = (char **)g_ptr_array_free(wait.list, FALSE);
	} else {
		g_ptr_array_unref(wait.list);
	}
	return good;
}

static void on_image(const GssImage *image, const GError *error, void *data)
{
	Wait *wait = data;
	if (image != NULL) {
		wait->numbers[0] = image->size;
		wait->numbers[1] = image->mtime;
	}
	wait_done(wait, error);
}

bool sync_images_info(GssImages *images, const char *name, gint64 *ret_size, gint64 *ret_mtime,
                      GError **error)
{
	Wait wait;
	wait_init(&wait);
	gss_images_info(images, name, NULL, on_image, &wait);
	if (!wait_end(&wait, error))
		return false;
	*ret_size = wait.numbers[0];
	*ret_mtime = wait.numbers[1];
	return true;
}

static void on_text(const char *text, const GError *error, void *data)
{
	Wait *wait = data;
	g_assert_true((text != NULL) == (error == NULL));
	wait->texts[0] = g_strdup(text);
	wait_done(wait, error);
}

static bool end_text(Wait *wait, char **ret, GError **error)
{
	if (!wait_end(wait, error))
		return false;
	give(ret, wait->texts[0]);
	return true;
}

bool sync_images_register(GssImages *images, const char *name, const char *source, char **ret,
                          GError **error)
{
	Wait wait;
	wait_init(&wait);
	gss_images_register(images, name, source, NULL, on_text, &wait);
	return end_text(&wait, ret, error);
}

bool sync_images_update(GssImages *images, const char *name, const char *source, char **ret,
                        GError **error)
{
	Wait wait;
	wait_init(&wait);
	gss_images_update(images, name, source, NULL, on_text, &wait);
	return end_text(&wait, ret, error);
}

bool sync_images_delete(GssImages *images, const char *name, char **ret, GError **error)
{
	Wait wait;
	wait_init(&wait);
	gss_images_delete(images, name, NULL, on_text, &wait);
	return end_text(&wait, ret, error);
}
