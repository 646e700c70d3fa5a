/* gss/view.c - gss_storage_view(): one request for the sizes and dates of a folder; see
 * gss/storage.h. */
#include "gss/storage.h"

#include "gss/client-private.h"
#include "gss/date.h"
#include "gss/error-private.h"
#include "gss/json.h"
#include "gss/rest.h"
#include "gss/uri.h"

#include <errno.h>
#include <string.h>

#define BYTES_MAX (256 * 1024 * 1024)   /* what comes after is not looked at */
#define EXACT_DOUBLE 9007199254740992.0 /* 2^53 */

typedef struct {
	GssCall call;
	GssResource *folder;
	GssJsonList *list;
	guint64 received;
	bool enough; /* we ended it */
	guint files, sized;
	GssViewItem item;
	GssDoneCallback done;
	void *data;
} View;

/* --- the two members whose names nobody documents --- */

/* 0: not one of them; the highest is the likeliest. */
static guint rank_size(const char *name)
{
	if (strcmp(name, "size") == 0)
		return 4;
	if (strstr(name, "size") != NULL)
		return strstr(name, "file") != NULL ? 3 : 2;
	return strstr(name, "length") != NULL ? 1 : 0;
}

static guint rank_date(const char *name)
{
	if (strstr(name, "modif") != NULL)
		return 3;
	if (strstr(name, "mtime") != NULL)
		return 2;
	return strstr(name, "date") != NULL ? 1 : 0;
}

/* A number from 0 on; -1: it is none. */
static gint64 number(JsonNode *node)
{
	if (!JSON_NODE_HOLDS_VALUE(node))
		return -1;
	GType type = json_node_get_value_type(node);
	if (type == G_TYPE_INT64)
		return MAX(json_node_get_int(node), -1);
	if (type != G_TYPE_DOUBLE)
		return -1;
	double value = json_node_get_double(node);
	return value >= 0 && value < EXACT_DOUBLE ? (gint64)value : -1;
}

/* ns since the epoch, of whole seconds, since Last-Modified has no others; -1: it is none. */
static gint64 date(JsonNode *node)
{
	gint64 value = number(node);
	g_autofree char *text = NULL;
	if (value >= 0)
		text = g_strdup_printf("%" G_GINT64_FORMAT, value);
	else if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING)
		text = json_node_dup_string(node);
	gint64 ns = text != NULL && strlen(text) < 100 ? gss_date_parse(text) : -1;
	return ns >= 0 ? ns - ns % G_GINT64_CONSTANT(1000000000) : -1;
}

static void find_version(JsonObject *object, gint64 *ret_size, gint64 *ret_mtime)
{
	guint best_size = 0, best_date = 0;
	JsonObjectIter iter;
	const char *member;
	JsonNode *node;
	json_object_iter_init(&iter, object);
	while (json_object_iter_next(&iter, &member, &node)) {
		g_autofree char *name = g_ascii_strdown(member, -1);
		guint rank = rank_size(name);
		gint64 value = rank > best_size ? number(node) : -1;
		if (value >= 0) {
			best_size = rank;
			*ret_size = value;
		}
		rank = rank_date(name);
		value = rank > best_date ? date(node) : -1;
		if (value >= 0) {
			best_date = rank;
			*ret_mtime = value;
		}
	}
}

static const char *text_member(JsonObject *object, const char *name)
{
	JsonNode *node = json_object_get_member(object, name);
	return node != NULL && JSON_NODE_HOLDS_VALUE(node) &&
	                       json_node_get_value_type(node) == G_TYPE_STRING
	               ? json_node_get_string(node)
	               : NULL;
}

static bool on_entry(JsonObject *object, void *data, GError **error)
{
	View *view = data;
	const char *name = text_member(object, "visualName");
	const char *uri = text_member(object, "uniqueName");
	const char *type = text_member(object, "type");
	if (name == NULL || uri == NULL || g_strcmp0(type, "FILE") != 0)
		return true;
	gint64 size = -1;
	gint64 mtime = -1;
	find_version(object, &size, &mtime);
	view->files++;
	view->sized += size >= 0;
	if (size >= 0)
		view->item(name, uri, size, mtime, view->data);
	return true;
}

/* --- the request --- */

static bool on_body(const void *bytes, gsize length, void *data, GError **error)
{
	View *view = data;
	view->received += length;
	view->enough = view->received > BYTES_MAX;
	if (view->enough)
		return gss_fail(error, EFBIG, "the listing is too long");
	return gss_json_list_feed(view->list, bytes, length, error);
}

/* Does this answer say something about the storage, or about the moment only? */
static bool final(const GError *error)
{
	return error->code == EPERM || error->code == EINVAL || error->code == EPROTO;
}

static void on_answer(const GssAnswer *answer, GssResource *resource, const GError *error,
                      void *data)
{
	View *view = data;
	GssStorages *storages = view->call.client->storages;
	g_autoptr(GError) problem = NULL;
	gss_resource_ref(resource);
	gss_resource_unref(view->folder);
	view->folder = resource;
	if (view->enough)
		error = NULL;
	else if (error == NULL && !gss_json_list_finish(view->list, &problem))
		error = problem;
	if (error == NULL && view->sized == 0 && view->files > 0)
		error = problem = g_error_new(GSS_ERROR, EPROTO, "it tells no sizes");
	if (error != NULL && final(error))
		gss_storages_judge_view(storages, view->folder, GSS_VIEW_NO);
	else if (error != NULL)
		gss_storages_pause_view(storages, view->folder);
	if (error != NULL)
		g_debug("%s has no full view: %s", gss_resource_name(view->folder), error->message);
	gss_call_complete(&view->call, error);
}

static void view_run(GssCall *call)
{
	View *view = (View *)call;
	gss_rest_start(call, &(GssRestSpec){
				     .verb = GSS_VERB_META,
				     .resource = view->folder,
				     .folder = true,
				     .method = "GET",
				     .query = "view=full",
				     .patient = true,
				     .body = on_body,
				     .done = on_answer,
				     .data = view,
			     });
}

static void view_complete(GssCall *call, const GError *error)
{
	View *view = (View *)call;
	view->done(error, view->data);
}

static void view_clear(GssCall *call)
{
	View *view = (View *)call;
	gss_resource_unref(view->folder);
	gss_json_list_free(view->list);
}

void gss_storage_view(GssClient *client, GssResource *folder, GCancellable *cancellable,
                      GssViewItem item, GssDoneCallback done, void *data)
{
	static const GssCallClass class = {
		.size = sizeof(View),
		.run = view_run,
		.complete = view_complete,
		.clear = view_clear,
	};
	View *view = gss_call_new(&class, client, NULL, cancellable);
	view->folder = gss_resource_ref(folder);
	view->list = gss_json_list_new(on_entry, view);
	view->item = item;
	view->done = done;
	view->data = data;
	gss_call_submit(&view->call);
}

GssViewKind gss_storage_view_kind(GssClient *client, const GssResource *resource)
{
	return gss_storages_view_kind(client->storages, resource);
}

void gss_storage_view_judge(GssClient *client, const GssResource *resource, GssViewKind kind)
{
	gss_storages_judge_view(client->storages, resource, kind);
}

guint gss_storage_learned_serial(GssClient *client)
{
	return gss_storages_serial(client->storages);
}

char *gss_storage_learned(GssClient *client, const char *backend)
{
	return gss_storages_export(client->storages, backend);
}

void gss_storage_learn(GssClient *client, const char *backend, const char *text)
{
	gss_storages_import(client->storages, backend, text);
}

void gss_storage_view_believed(GssClient *client, const GssResource *file,
                               const GssVersion *version)
{
	gss_storages_believed(client->storages, file, version, true);
}
