/* test-gss-sync.h - the GSS client, one call at a time: for tests.
 *
 * Each function starts a call, waits for its callback on the test's thread, and returns what it
 * said.
 */
#pragma once

#include "gss/client.h"
#include "gss/error.h"
#include "gss/images.h"
#include "gss/storage.h"

bool sync_login(GssClient *client, char **ret_username, char **ret_project, GError **error);
bool sync_resolve(GssClient *client, const char *uri, GssResource **ret, GError **error);
bool sync_contains(GssClient *client, const char *uri, bool *ret, GError **error);
/* GssResource */
bool sync_list(GssClient *client, const char *uri, bool minimal, GPtrArray **ret, GError **error);
bool sync_create_folder(GssClient *client, const char *uri, GssResource **ret, GError **error);
bool sync_delete_folder(GssClient *client, const char *uri, GError **error);
bool sync_endpoints(GssClient *client, const char *uri, char **ret_first_url, GError **error);
bool sync_stat(GssClient *client, GssResource *resource, GssVersion *ret, GError **error);

typedef struct {
	guint64 offset;
	gint64 length;
	GssVersion version;
	GByteArray *bytes;
} SyncBody;
void sync_body_clear(SyncBody *body);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SyncBody, sync_body_clear)
bool sync_read(GssClient *client, GssResource *resource, guint64 offset, guint64 length,
               SyncBody *ret, GError **error);

/* `expected` and `ret_uri` may be NULL. */
bool sync_create(GssClient *client, GssResource *resource, const void *bytes, gsize length,
                 char **ret_uri, GError **error);
bool sync_update(GssClient *client, GssResource *resource, const GssVersion *expected,
                 const void *bytes, gsize length, char **ret_uri, GError **error);
bool sync_remove(GssClient *client, GssResource *resource, GError **error);

/* "name size" of each image, by name. */
bool sync_images_list(GssImages *images, char ***ret, GError **error);
bool sync_images_info(GssImages *images, const char *name, gint64 *ret_size, gint64 *ret_mtime,
                      GError **error);
bool sync_images_register(GssImages *images, const char *name, const char *source, char **ret,
                          GError **error);
bool sync_images_update(GssImages *images, const char *name, const char *source, char **ret,
                        GError **error);
bool sync_images_delete(GssImages *images, const char *name, char **ret, GError **error);
