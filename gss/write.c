/* gss/write.c - creating, replacing and removing files; see gss/storage.h. */
#include "gss/storage.h"

#include "gss/client-private.h"
#include "gss/date.h"
#include "gss/error-private.h"
#include "gss/rest.h"
#include "gss/uri.h"

#include <errno.h>
#include <string.h>

#define LARGE (1024 * 1024) /* bytes; from here on a body takes the lane of uploads */

typedef struct {
	GssCall call;
	GssResource *resource;
	GssVerb verb;
	GssVersion expected; /* of an update */
	GssSource source;
	char *uri; /* the result */
	union {
		GssWrittenCallback written;
		GssDoneCallback done;
	} callback;
	void *data;
} Write;

static void write_clear(GssCall *call)
{
	Write *write = (Write *)call;
	gss_resource_unref(write->resource);
	gss_version_clear(&write->expected);
	g_free(write->uri);
}

/* What was created is there, but only the service knows its URI. */
static void on_named(GssResource *resource, const GError *error, void *data)
{
	Write *write = data;
	if (error != NULL && g_error_matches(error, GSS_ERROR, ECANCELED)) {
		gss_call_complete(&write->call, error);
	} else if (error != NULL) {
		gss_call_fail(&write->call,
		              g_error_new(GSS_ERROR, EINPROGRESS,
		                          "created, but its address is not known yet: %s",
		                          error->message));
	} else if (resource->type == GSS_TYPE_NOTEXIST || gss_resource_uri(resource) == NULL) {
		g_autofree char *shown = gss_quote(gss_resource_address(write->resource), -1, NULL);
		gss_call_fail(&write->call,
		              g_error_new(GSS_ERROR, EINPROGRESS,
		                          "%s: created, but the service does not name it", shown));
	} else {
		write->uri = g_strdup(gss_resource_uri(resource));
		gss_call_complete(&write->call, NULL);
	}
}

static void on_written(const GssAnswer *answer, GssResource *resource, const GError *error,
                       void *data)
{
	Write *write = data;
	if (error != NULL) {
		gss_call_complete(&write->call, error);
		return;
	}
	bool ask = write->verb == GSS_VERB_CREATE && resource->query_for_name;
	const char *uri = gss_resource_uri(resource), *address = gss_resource_address(resource);
	const char *name = gss_answer_header(answer, "filename");
	if (!ask) {
		write->uri = g_strdup(uri != NULL ? uri : address);
		gss_call_complete(&write->call, NULL);
	} else if (name != NULL && gss_uri_check(name, NULL)) {
		write->uri = g_strdup(name);
		gss_call_complete(&write->call, NULL);
	} else if (address != NULL) {
		gss_resolve_start(&write->call, address, on_named, NULL, write);
	} else {
		gss_call_fail(&write->call,
		              g_error_new(GSS_ERROR, EPROTO, "created, but nothing says where"));
	}
}

static void write_run(GssCall *call)
{
	Write *write = (Write *)call;
	g_autofree char *condition = NULL;
	/* A weak etag never matches; seconds are all that HTTP dates have. */
	if (write->expected.etag != NULL && !g_str_has_prefix(write->expected.etag, "W/")) {
		condition = g_strconcat("If-Match: ", write->expected.etag, NULL);
	} else if (write->expected.mtime >= 0) {
		g_autofree char *date = gss_date_http(write->expected.mtime);
		condition = date != NULL ? g_strconcat("If-Unmodified-Since: ", date, NULL) : NULL;
	}
	const char *headers[] = {condition, NULL};
	bool large = write->source.length >= LARGE;
	gss_rest_start(call, &(GssRestSpec){
				     .verb = write->verb,
				     .resource = write->resource,
				     .lane = large ? GSS_LANE_UPLOAD : GSS_LANE_SMALL,
				     .large = large,
				     .modifying = true,
				     .headers = headers,
				     .has_body = true,
				     .length = write->source.length,
				     .read = write->source.read,
				     .progress = write->source.progress,
				     .source_data = write->data,
				     .done = on_written,
				     .data = write,
			     });
}

static void write_complete(GssCall *call, const GError *error)
{
	Write *write = (Write *)call;
	write->callback.written(error == NULL ? write->uri : NULL, error, write->data);
}

static Write *write_new(GssVerb verb, GssClient *client, GssResource *resource,
                        GCancellable *cancellable, const GssSource *source,
                        GssWrittenCallback callback, void *data)
{
	static const GssCallClass class = {
		.size = sizeof(Write),
		.run = write_run,
		.complete = write_complete,
		.clear = write_clear,
	};
	Write *write = gss_call_new(&class, client, NULL, cancellable);
	write->verb = verb;
	write->resource = gss_resource_ref(resource);
	write->expected = GSS_VERSION_INIT;
	write->source = *source;
	write->callback.written = callback;
	write->data = data;
	return write;
}

void gss_storage_create(GssClient *client, GssResource *resource, GCancellable *cancellable,
                        const GssSource *source, GssWrittenCallback callback, void *data)
{
	Write *write =
		write_new(GSS_VERB_CREATE, client, resource, cancellable, source, callback, data);
	gss_call_submit(&write->call);
}

void gss_storage_update(GssClient *client, GssResource *resource, const GssVersion *expected,
                        GCancellable *cancellable, const GssSource *source,
                        GssWrittenCallback callback, void *data)
{
	Write *write =
		write_new(GSS_VERB_UPDATE, client, resource, cancellable, source, callback, data);
	if (expected != NULL)
		gss_version_copy(&write->expected, expected);
	gss_call_submit(&write->call);
}

/* The storage does not have it. Does the service agree? */
static void on_missing(GssResource *resource, const GError *error, void *data)
{
	Write *write = data;
	if (error != NULL || gss_resource_type(resource) == GSS_TYPE_NOTEXIST) {
		gss_call_complete(&write->call, error);
		return;
	}
	g_autofree char *shown = gss_quote(gss_resource_address(write->resource), -1, NULL);
	gss_call_fail(&write->call,
	              g_error_new(GSS_ERROR, EIO,
	                          "%s: the storage does not have it, but the service says that it "
	                          "is there",
	                          shown));
}

static void on_removed(const GssAnswer *answer, GssResource *resource, const GError *error,
                       void *data)
{
	Write *write = data;
	const char *address = gss_resource_address(write->resource);
	if (g_error_matches(error, GSS_ERROR, ENOENT) && address != NULL)
		gss_resolve_start(&write->call, address, on_missing, NULL, write);
	else
		gss_call_complete(&write->call, error);
}

static void remove_run(GssCall *call)
{
	Write *write = (Write *)call;
	/* Deletes recursively; only gss_storage_delete_folder() may do that. */
	gss_rest_start(call, &(GssRestSpec){
				     .verb = GSS_VERB_DELETE,
				     .resource = write->resource,
				     .modifying = true,
				     .done = on_removed,
				     .data = write,
			     });
}

static void remove_complete(GssCall *call, const GError *error)
{
	Write *write = (Write *)call;
	write->callback.done(error, write->data);
}

void gss_storage_remove(GssClient *client, GssResource *resource, GCancellable *cancellable,
                        GssDoneCallback callback, void *data)
{
	static const GssCallClass class = {
		.size = sizeof(Write),
		.run = remove_run,
		.complete = remove_complete,
		.clear = write_clear,
	};
	Write *write = gss_call_new(&class, client, NULL, cancellable);
	write->resource = gss_resource_ref(resource);
	write->expected = GSS_VERSION_INIT;
	write->callback.done = callback;
	write->data = data;
	gss_call_submit(&write->call);
}
