/* gss/storage.c - the verbs of FileUtilities; see gss/storage.h. */
#include "gss/storage.h"

#include "gss/client-private.h"
#include "gss/error-private.h"
#include "gss/rest.h"
#include "gss/rpc.h"
#include "gss/uri.h"

#include <errno.h>
#include <string.h>

#define ENDPOINTS_MAX 64

/* One call of FileUtilities. */
typedef struct {
	GssCall call;
	char *uri;
	const char *operation;
	const char *argument;
	bool modifying;
	bool about_folder;
	GError *unexplained; /* while it is asked what is there */
	bool (*item)(const GssXmlNode *item, guint generation, void *data, GError **error);

	GssResource *resource;
	bool value;
	bool answered;
	GPtrArray *types;
	GPtrArray *urls;

	GssListItem list_item;
	guint listed;
	union {
		GssResourceCallback resource;
		GssBooleanCallback boolean;
		GssDoneCallback done;
		GssEndpointsCallback endpoints;
	} callback;
	void *data;
} Verb;

static void verb_clear(GssCall *call)
{
	Verb *verb = (Verb *)call;
	g_free(verb->uri);
	gss_resource_unref(verb->resource);
	g_clear_error(&verb->unexplained);
	g_clear_pointer(&verb->types, g_ptr_array_unref);
	g_clear_pointer(&verb->urls, g_ptr_array_unref);
}

/* What is there now explains why something failed. */
static void on_explained(GssResource *resource, const GError *error, void *data)
{
	Verb *verb = data;
	GError *cause = g_steal_pointer(&verb->unexplained);
	if (g_error_matches(error, GSS_ERROR, ECANCELED)) {
		g_clear_error(&cause);
		gss_call_complete(&verb->call, error);
		return;
	}
	GssType type = resource != NULL ? gss_resource_type(resource) : GSS_TYPE_FOLDER;
	bool creating = strcmp(verb->operation, "createFolder") == 0;
	if (resource != NULL && creating && type != GSS_TYPE_NOTEXIST)
		cause->code = EEXIST;
	else if (!creating && type == GSS_TYPE_NOTEXIST)
		cause->code = ENOENT;
	else if (!creating && type == GSS_TYPE_FILE)
		cause->code = ENOTDIR;
	gss_call_fail(&verb->call, cause);
}

/* Faults have no codes. Where the words of one about a folder say nothing, the service is asked
 * what is there. */
static void on_done(const GError *error, void *data)
{
	Verb *verb = data;
	if (g_error_matches(error, GSS_ERROR, EIO) && verb->about_folder) {
		verb->unexplained = g_error_copy(error);
		gss_resolve_start(&verb->call, verb->uri, on_explained, NULL, verb);
	} else {
		gss_call_complete(&verb->call, error);
	}
}

static void verb_run(GssCall *call)
{
	Verb *verb = (Verb *)call;
	GError *error = NULL;
	if (!gss_uri_check(verb->uri, &error)) {
		gss_call_fail(call, error);
		return;
	}
	gss_rpc_start(call, &(GssRpcSpec){
				    .endpoint = call->client->gss_endpoint,
				    .ns = GSS_NAMESPACE,
				    .operation = verb->operation,
				    .parameters = {{.name = verb->argument, .value = verb->uri},
	                                           {.name = "session_id"}},
				    .n_parameters = 2,
				    .subject = verb->uri,
				    .lane = verb->modifying ? GSS_LANE_LONG : GSS_LANE_SMALL,
				    .modifying = verb->modifying,
				    .patient = verb->about_folder,
				    .item = verb->item,
				    .done = on_done,
				    .data = verb,
			    });
}

static Verb *verb_new(const GssCallClass *class, GssClient *client, const char *uri,
                      GCancellable *cancellable, void *data)
{
	Verb *verb = gss_call_new(class, client, NULL, cancellable);
	verb->uri = g_strdup(uri);
	verb->data = data;
	return verb;
}

/* An answer that is missing although the call succeeded. */
static const GError *check_answer(bool answered, const Verb *verb, const GError *error,
                                  GError **made)
{
	if (error != NULL || answered)
		return error;
	g_autofree char *shown = gss_quote(verb->uri, -1, NULL);
	gss_fail(made, EPROTO, "%s: %s: the answer is empty", shown, verb->operation);
	return *made;
}

static bool resource_item(const GssXmlNode *item, guint generation, void *data, GError **error)
{
	Verb *verb = data;
	if (verb->resource != NULL)
		return gss_fail(error, EPROTO, "the answer describes two resources");
	verb->resource = gss_resource_decode(item, verb->uri, generation, NULL, error);
	return verb->resource != NULL;
}

static void resource_complete(GssCall *call, const GError *error)
{
	Verb *verb = (Verb *)call;
	g_autoptr(GError) made = NULL;
	error = check_answer(verb->resource != NULL, verb, error, &made);
	verb->callback.resource(error == NULL ? verb->resource : NULL, error, verb->data);
}

static const GssCallClass resource_class = {
	.size = sizeof(Verb),
	.run = verb_run,
	.complete = resource_complete,
	.clear = verb_clear,
};

void gss_storage_resolve(GssClient *client, const char *uri, GCancellable *cancellable,
                         GssResourceCallback callback, void *data)
{
	Verb *verb = verb_new(&resource_class, client, uri, cancellable, data);
	verb->operation = "getResourceInformation";
	verb->argument = "fileID";
	verb->item = resource_item;
	verb->callback.resource = callback;
	gss_call_submit(&verb->call);
}

void gss_storage_create_folder(GssClient *client, const char *uri, GCancellable *cancellable,
                               GssResourceCallback callback, void *data)
{
	Verb *verb = verb_new(&resource_class, client, uri, cancellable, data);
	verb->operation = "createFolder";
	verb->about_folder = true;
	verb->argument = "folderID";
	verb->modifying = true;
	verb->item = resource_item;
	verb->callback.resource = callback;
	gss_call_submit(&verb->call);
}

static bool boolean_item(const GssXmlNode *item, guint generation, void *data, GError **error)
{
	Verb *verb = data;
	verb->answered = true;
	return gss_xml_boolean(gss_xml_text(item), "the answer", &verb->value, error);
}

static void boolean_complete(GssCall *call, const GError *error)
{
	Verb *verb = (Verb *)call;
	g_autoptr(GError) made = NULL;
	error = check_answer(verb->answered, verb, error, &made);
	verb->callback.boolean(error == NULL && verb->value, error, verb->data);
}

void gss_storage_contains(GssClient *client, const char *uri, GCancellable *cancellable,
                          GssBooleanCallback callback, void *data)
{
	static const GssCallClass class = {
		.size = sizeof(Verb),
		.run = verb_run,
		.complete = boolean_complete,
		.clear = verb_clear,
	};
	Verb *verb = verb_new(&class, client, uri, cancellable, data);
	verb->operation = "containsFile";
	verb->argument = "fileID";
	verb->item = boolean_item;
	verb->callback.boolean = callback;
	gss_call_submit(&verb->call);
}

static void delete_complete(GssCall *call, const GError *error)
{
	Verb *verb = (Verb *)call;
	g_autoptr(GError) made = NULL;
	error = check_answer(verb->answered, verb, error, &made);
	if (error == NULL && !verb->value) {
		g_autofree char *shown = gss_quote(verb->uri, -1, NULL);
		gss_fail(&made, EIO, "%s: the service did not delete the folder", shown);
		error = made;
	}
	verb->callback.done(error, verb->data);
}

void gss_storage_delete_folder(GssClient *client, const char *uri, GCancellable *cancellable,
                               GssDoneCallback callback, void *data)
{
	static const GssCallClass class = {
		.size = sizeof(Verb),
		.run = verb_run,
		.complete = delete_complete,
		.clear = verb_clear,
	};
	Verb *verb = verb_new(&class, client, uri, cancellable, data);
	verb->operation = "deleteFolder";
	verb->about_folder = true;
	verb->argument = "folderID";
	verb->modifying = true;
	verb->item = boolean_item;
	verb->callback.done = callback;
	gss_call_submit(&verb->call);
}

static bool list_item(const GssXmlNode *item, guint generation, void *data, GError **error)
{
	Verb *verb = data;
	if (item->nil)
		return true;
	if (g_cancellable_is_cancelled(verb->call.cancellable))
		return gss_fail(error, ECANCELED, "cancelled");
	if (verb->listed++ >= GSS_LIST_MAX)
		return gss_fail(error, EFBIG, "%s: the folder has more than %d entries", verb->uri,
		                GSS_LIST_MAX);
	GssResource *resource = gss_resource_decode(item, NULL, generation, verb->resource, error);
	if (resource == NULL)
		return false;
	gss_resource_unref(verb->resource);
	verb->resource = resource; /* the next one may be like it */
	verb->list_item(resource, verb->data);
	return true;
}

static void list_complete(GssCall *call, const GError *error)
{
	Verb *verb = (Verb *)call;
	verb->callback.done(error, verb->data);
}

void gss_storage_list(GssClient *client, const char *uri, bool minimal, GCancellable *cancellable,
                      GssListItem item, GssDoneCallback done, void *data)
{
	static const GssCallClass class = {
		.size = sizeof(Verb),
		.run = verb_run,
		.complete = list_complete,
		.clear = verb_clear,
	};
	Verb *verb = verb_new(&class, client, uri, cancellable, data);
	verb->operation = minimal ? "listFilesMinimal" : "listFiles";
	verb->about_folder = true;
	verb->argument = "fileID";
	verb->item = list_item;
	verb->list_item = item;
	verb->callback.done = done;
	gss_call_submit(&verb->call);
}

static bool endpoint_item(const GssXmlNode *item, guint generation, void *data, GError **error)
{
	Verb *verb = data;
	if (item->nil)
		return true;
	const char *type = gss_xml_child_text(item, "type");
	const char *url = gss_xml_child_text(item, "url");
	if (verb->types->len >= ENDPOINTS_MAX)
		return gss_fail(error, EPROTO, "more than %d endpoints", ENDPOINTS_MAX);
	g_ptr_array_add(verb->types, g_strdup(type != NULL ? type : ""));
	g_ptr_array_add(verb->urls, g_strdup(url != NULL ? url : ""));
	return true;
}

static void endpoints_complete(GssCall *call, const GError *error)
{
	Verb *verb = (Verb *)call;
	g_ptr_array_add(verb->types, NULL);
	g_ptr_array_add(verb->urls, NULL);
	verb->callback.endpoints(error == NULL ? (const char *const *)verb->types->pdata : NULL,
	                         error == NULL ? (const char *const *)verb->urls->pdata : NULL,
	                         error, verb->data);
}

void gss_storage_endpoints(GssClient *client, const char *uri, GCancellable *cancellable,
                           GssEndpointsCallback callback, void *data)
{
	static const GssCallClass class = {
		.size = sizeof(Verb),
		.run = verb_run,
		.complete = endpoints_complete,
		.clear = verb_clear,
	};
	Verb *verb = verb_new(&class, client, uri, cancellable, data);
	verb->operation = "getDirectInteractionEndpoint";
	verb->argument = "gssID";
	verb->types = g_ptr_array_new_with_free_func(g_free);
	verb->urls = g_ptr_array_new_with_free_func(g_free);
	verb->item = endpoint_item;
	verb->callback.endpoints = callback;
	gss_call_submit(&verb->call);
}
