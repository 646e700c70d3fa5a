/* gss/resolve.c - getResourceInformation as a step; see gss/rest.h. */
#include "gss/rest.h"

#include "gss/client-private.h"
#include "gss/error-private.h"
#include "gss/rpc.h"

#include <errno.h>

typedef struct {
	char *uri;
	GssResource *resource;
	GssResolved done;
	void (*abandon)(void *data);
	void *data;
} Resolve;

/* The data of the RPC, which is the step; freed when that ends. */
static void resolve_free(Resolve *resolve)
{
	g_free(resolve->uri);
	gss_resource_unref(resolve->resource);
	g_free(resolve);
}

static bool on_item(const GssXmlNode *item, guint generation, void *data, GError **error)
{
	Resolve *resolve = data;
	if (resolve->resource != NULL)
		return gss_fail(error, EPROTO, "the answer describes two resources");
	resolve->resource = gss_resource_decode(item, resolve->uri, generation, NULL, error);
	return resolve->resource != NULL;
}

static void on_abandon(void *data)
{
	Resolve *resolve = data;
	if (resolve->abandon != NULL)
		resolve->abandon(resolve->data);
	resolve_free(resolve);
}

static void on_done(const GError *error, void *data)
{
	Resolve *resolve = data;
	g_autoptr(GError) empty = NULL;
	if (error == NULL && resolve->resource == NULL) {
		g_autofree char *shown = gss_quote(resolve->uri, -1, NULL);
		empty = g_error_new(GSS_ERROR, EPROTO, "%s: the answer describes nothing", shown);
		error = empty;
	}
	resolve->done(error == NULL ? resolve->resource : NULL, error, resolve->data);
	resolve_free(resolve);
}

void gss_resolve_start(GssCall *call, const char *uri, GssResolved done,
                       void (*abandon)(void *data), void *data)
{
	Resolve *resolve = g_new0(Resolve, 1);
	resolve->uri = g_strdup(uri);
	resolve->done = done;
	resolve->abandon = abandon;
	resolve->data = data;
	gss_rpc_start(call, &(GssRpcSpec){
				    .endpoint = call->client->gss_endpoint,
				    .ns = GSS_NAMESPACE,
				    .operation = "getResourceInformation",
				    .parameters = {{.name = "fileID", .value = resolve->uri},
	                                           {.name = "session_id"}},
				    .n_parameters = 2,
				    .subject = resolve->uri,
				    .item = on_item,
				    .done = on_done,
				    .abandon = on_abandon,
				    .data = resolve,
			    });
}
