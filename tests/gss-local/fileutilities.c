#include "fileutilities.h"

#include "listing.h"
#include "place.h"

#include <errno.h>
#include <gio/gio.h>
#include <sys/stat.h>

enum { URI, TOKEN };

static const GlField file_parameters[] = {{"fileID", "xs:string", false, false},
                                          {"session_id", "xs:string", false, false},
                                          {NULL, NULL, false, false}};
static const GlField folder_parameters[] = {{"folderID", "xs:string", false, false},
                                            {"session_id", "xs:string", false, false},
                                            {NULL, NULL, false, false}};
static const GlField gss_parameters[] = {{"gssID", "xs:string", false, false},
                                         {"session_id", "xs:string", false, false},
                                         {NULL, NULL, false, false}};

static const GlField resource_information[] = {
	{"createDescription", "requestDescription", false, false},
	{"deleteDescription", "requestDescription", false, false},
	{"metaReadDescription", "requestDescription", false, false},
	{"queryForName", "xs:boolean", true, false},
	{"readDescription", "requestDescription", false, false},
	{"type", "xs:string", false, false},
	{"uniqueName", "xs:string", false, false},
	{"updateDescription", "requestDescription", false, false},
	{"visualName", "xs:string", false, false},
	{NULL, NULL, false, false}};
static const GlField request_description[] = {{"headers", "httpHeaderField", false, true},
                                              {"httpMethod", "xs:string", false, false},
                                              {"sessionTokenField", "xs:string", false, false},
                                              {"supported", "xs:boolean", true, false},
                                              {"url", "xs:string", false, false},
                                              {NULL, NULL, false, false}};
static const GlField http_header_field[] = {{"key", "xs:string", false, false},
                                            {"value", "xs:string", false, false},
                                            {NULL, NULL, false, false}};
static const GlField endpoint_information[] = {{"type", "xs:string", false, false},
                                               {"url", "xs:string", false, false},
                                               {NULL, NULL, false, false}};

static const GlType types[] = {{"resourceInformation", resource_information},
                               {"requestDescription", request_description},
                               {"httpHeaderField", http_header_field},
                               {"endpointInformation", endpoint_information},
                               {NULL, NULL}};

/* What the call's URI speaks of; NULL: the fault is given. */
static GlPlace *find_place(GlCall *call)
{
	g_autoptr(GError) error = NULL;
	GlPlace *place = NULL;

	if (!gl_call_authenticate(call, call->arguments[TOKEN]))
		return NULL;
	GlProject *project =
		gl_store_project(call->request->server->store, call->identity.project, &error);
	if (project != NULL)
		place = gl_place_from_uri(project, call->arguments[URI], &error);
	if (place == NULL)
		gl_call_fault(call, "%s", error->message);
	return place;
}

static void return_resource(GlCall *call, const GlPlace *place)
{
	g_autoptr(GlLinks) links = gl_links_new(call->request, call->arguments[TOKEN]);

	gl_call_item_begin(call, call->out);
	gl_resource_append_xml(call->out, place, links, false);
	gl_call_item_end(call, call->out);
}

static void get_resource_information(GlCall *call)
{
	g_autoptr(GlPlace) place = find_place(call);

	if (place == NULL)
		return;
	if (place->type == GL_NOWHERE)
		gl_call_fault(call, "No such folder to hold %s", place->uri);
	else
		return_resource(call, place);
}

static void contains_file(GlCall *call)
{
	g_autoptr(GlPlace) place = find_place(call);

	if (place != NULL)
		gl_call_return(call, place->type == GL_FILE || place->type == GL_FOLDER ? "true"
		                                                                        : "false");
}

static void list(GlCall *call, GlListingForm form)
{
	g_autoptr(GlPlace) place = find_place(call);
	g_autoptr(GError) error = NULL;

	if (place == NULL)
		return;
	if (place->type != GL_FOLDER) {
		gl_call_fault(call, "Not a folder: %s", place->uri);
		return;
	}
	GlListing *listing =
		gl_listing_new(g_steal_pointer(&place),
	                       gl_links_new(call->request, call->arguments[TOKEN]), form, &error);
	if (listing == NULL)
		gl_call_fault(call, "%s", error->message);
	else
		gl_call_stream(call, gl_listing_next, listing, gl_listing_free);
}

static void list_files(GlCall *call)
{
	list(call, GL_LISTING_FULL);
}

static void list_files_minimal(GlCall *call)
{
	list(call, GL_LISTING_MINIMAL);
}

static void create_folder(GlCall *call)
{
	g_autoptr(GlPlace) place = find_place(call);
	g_autoptr(GError) error = NULL;

	if (place == NULL)
		return;
	if (place->type != GL_FREE || place->closed) {
		gl_call_fault(call, "Cannot create folder %s: %s", place->uri,
		              place->type == GL_FREE      ? "not allowed here"
		              : place->type == GL_NOWHERE ? "no such parent folder"
		                                          : "it exists");
		return;
	}
	if (!gl_place_make_folder(place, &error))
		gl_call_fault(call, "Cannot create folder %s: %s", place->uri, error->message);
	else
		return_resource(call, place);
}

static void delete_folder(GlCall *call)
{
	g_autoptr(GlPlace) place = find_place(call);
	g_autoptr(GError) error = NULL;

	if (place == NULL)
		return;
	if (place->type != GL_FOLDER || place->fixed)
		gl_call_fault(call, "Cannot delete folder %s: %s", place->uri,
		              place->fixed ? "not allowed" : "no such folder");
	else if (!gl_project_remove(place->project, place->disk, &error))
		gl_call_fault(call, "Cannot delete folder %s: %s", place->uri, error->message);
	else
		gl_call_return(call, "true");
}

static void get_endpoint(GlCall *call)
{
	g_autoptr(GlPlace) place = find_place(call);

	if (place == NULL)
		return;
	g_autofree char *host = gl_request_host(call->request);
	g_autofree char *soap = g_strdup_printf("http://%s" GL_FILEUTILITIES_PATH, host);
	g_autofree char *rest =
		g_strdup_printf("http://%s/%s/%s/", host, (char *)g_ptr_array_index(place->url, 0),
	                        (char *)g_ptr_array_index(place->url, 1));

	gl_call_item_begin(call, call->out);
	gl_call_field(call, call->out, "type", "SOAP");
	gl_call_field(call, call->out, "url", soap);
	gl_call_item_end(call, call->out);
	gl_call_item_begin(call, call->out);
	gl_call_field(call, call->out, "type", "REST");
	gl_call_field(call, call->out, "url", rest);
	gl_call_item_end(call, call->out);
}

#define RESOURCE                                          \
	{                                                 \
		NULL, "resourceInformation", false, false \
	}
#define RESOURCES                                        \
	{                                                \
		NULL, "resourceInformation", false, true \
	}
#define BOOLEAN                                 \
	{                                       \
		NULL, "xs:boolean", true, false \
	}

static const GlOperation operations[] = {
	{"getResourceInformation", file_parameters, RESOURCE, get_resource_information},
	{"containsFile", file_parameters, BOOLEAN, contains_file},
	{"listFiles", file_parameters, RESOURCES, list_files},
	{"listFilesMinimal", file_parameters, RESOURCES, list_files_minimal},
	{"createFolder", folder_parameters, RESOURCE, create_folder},
	{"deleteFolder", folder_parameters, BOOLEAN, delete_folder},
	{"getDirectInteractionEndpoint",
         gss_parameters,
         {NULL, "endpointInformation", false, true},
         get_endpoint},
	{NULL, NULL, {NULL, NULL, false, false}, NULL}};

static const GlService service = {.name = "FileUtilities",
                                  .prefix = "gss",
                                  .target = "http://gss.sintef.no/",
                                  .form = GL_FORM_QUALIFIED_REQUESTS,
                                  .types = types,
                                  .operations = operations};

static const GlService *the_service(const GlSettings *settings)
{
	return &service;
}

const GlPort *gl_fileutilities_port(void)
{
	static const GlPort port = {GL_FILEUTILITIES_PATH, the_service, 0};
	return &port;
}
