/* gss/json.h - reading a JSON list of objects that comes from outside, as a stream.
 *
 * The list is taken apart here, each object is read by json-glib and freed again: memory does not
 * grow with the list. Of an object the simple members count; one that is an object or a list itself
 * is passed over and shows as 0. Size and depth are bounded; whatever breaks a rule is an EPROTO.
 *
 * Threads: one object, one thread.
 */
#pragma once

#include <json-glib/json-glib.h>
#include <stdbool.h>

#define GSS_JSON_OBJECT_MAX (256 * 1024) /* bytes */
#define GSS_JSON_DEPTH_MAX 64

/* `object` ends with the call. False with an error ends the reading. */
typedef bool (*GssJsonItem)(JsonObject *object, void *data, GError **error);

typedef struct GssJsonList GssJsonList;

GssJsonList *gss_json_list_new(GssJsonItem item, void *data);
void gss_json_list_free(GssJsonList *list);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GssJsonList, gss_json_list_free)

bool gss_json_list_feed(GssJsonList *list, const void *bytes, gsize length, GError **error);
/* The document ends here. */
bool gss_json_list_finish(GssJsonList *list, GError **error);
