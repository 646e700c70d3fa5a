#include "images.h"

#include "image_store.h"
#include "text.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TOKEN, NAME, SOURCE };

#define ILLEGAL "400: Image name or source file path illegal"
#define NO_IMAGE "404: Image not found"
#define NO_SOURCE "404: Image source file not found"
#define EXISTS "405: Image name already exists, use updateImage"
#define MISSING "405: Image name does not exist, use registerImage"

/* An error in the manner of the dialect, of a call that returns text. */
static void report(GlCall *call, const char *text)
{
	if (call->request->settings.images_error == GL_IMAGES_TEXT &&
	    strcmp(call->operation->result.type, "xs:string") == 0)
		gl_call_return(call, text);
	else
		gl_call_fault(call, "%s", text);
}

/* NULL: the fault is given. */
static GlProject *enter(GlCall *call)
{
	g_autoptr(GError) error = NULL;

	if (!gl_call_authenticate(call, call->arguments[TOKEN]))
		return NULL;
	GlProject *project =
		gl_store_project(call->request->server->store, call->identity.project, &error);
	if (project == NULL)
		gl_call_fault(call, "500: %s", error->message);
	return project;
}

static bool append_image(GlCall *call, GlProject *project, const char *name)
{
	g_autofree char *path = gl_image_path(project, call->port->index, name);
	struct stat st;

	if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return false;
	g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT, (gint64)st.st_size);
	g_autofree char *date = gl_text_iso_date(st.st_mtim.tv_sec);
	gl_call_item_begin(call, call->out);
	gl_call_field(call, call->out, "name", name);
	gl_call_field(call, call->out, "size", size);
	gl_call_field(call, call->out, "lastModified", date);
	gl_call_item_end(call, call->out);
	return true;
}

static void list_images(GlCall *call)
{
	g_autoptr(GError) error = NULL;
	GlProject *project = enter(call);

	if (project == NULL)
		return;
	g_autoptr(GPtrArray) names = gl_image_list(project, call->port->index, &error);
	if (names == NULL) {
		gl_call_fault(call, "500: %s", error->message);
		return;
	}
	/* One that was deleted meanwhile is not in the list. */
	for (guint i = 0; i < names->len; i++)
		append_image(call, project, g_ptr_array_index(names, i));
}

static void get_image_info(GlCall *call)
{
	GlProject *project = enter(call);

	if (project == NULL)
		return;
	if (!gl_image_name_valid(call->arguments[NAME]))
		report(call, ILLEGAL);
	else if (!append_image(call, project, call->arguments[NAME]))
		report(call, NO_IMAGE);
}

static void delete_image(GlCall *call)
{
	GlProject *project = enter(call);

	if (project == NULL)
		return;
	if (!gl_image_name_valid(call->arguments[NAME])) {
		report(call, ILLEGAL);
		return;
	}
	g_autofree char *path = gl_image_path(project, call->port->index, call->arguments[NAME]);
	if (unlink(path) != 0)
		report(call, NO_IMAGE);
	else
		gl_call_return(call, "Image deleted");
}

/* A registration, which may outlive its call. */
typedef struct {
	GlServer *server;
	GlProject *project;
	guint cluster;
	char *name;
	char *source;
	bool replace;
	guint delay_ms;
} Job;

static void job_free(Job *job)
{
	g_free(job->name);
	g_free(job->source);
	g_free(job);
}

static const char *job_run(Job *job)
{
	g_autoptr(GError) error = NULL;

	if (!gl_halt_sleep(job->server->halt, job->delay_ms))
		return "500: the service is being stopped";
	if (gl_image_copy(job->project, job->cluster, job->name, job->source, job->replace,
	                  job->server->halt, &error)) {
		gl_stats_count(job->server->stats, "images.registered", 1);
		return NULL;
	}
	if (error->code == EEXIST)
		return EXISTS;
	if (error->code == ENOENT)
		return job->replace ? MISSING : NO_SOURCE;
	g_warning("registering %s failed: %s", job->name, error->message);
	return "500: the image could not be copied";
}

static gpointer job_thread(gpointer data)
{
	Job *job = data;
	GlHalt *halt = job->server->halt;
	const char *problem = job_run(job);

	if (problem != NULL)
		g_debug("registration in the background: %s", problem);
	job_free(job);
	gl_halt_leave(halt);
	return NULL;
}

/* What can be refused at once; NULL when nothing. `ret_source` is the source's path. */
static const char *check(GlCall *call, GlProject *project, bool replace, char **ret_source)
{
	const char *name = call->arguments[NAME];
	g_autofree char *prefix = g_strconcat(gl_place_backend(call->port->index), "://", NULL);

	/* The source lies on the same cluster. */
	if (!gl_image_name_valid(name) || !g_str_has_prefix(call->arguments[SOURCE], prefix))
		return ILLEGAL;
	g_autoptr(GlPlace) place = gl_place_from_uri(project, call->arguments[SOURCE], NULL);
	if (place == NULL)
		return ILLEGAL;
	if (place->type != GL_FILE)
		return NO_SOURCE;
	g_autofree char *path = gl_image_path(project, call->port->index, name);
	bool there = access(path, F_OK) == 0;
	if (there != replace)
		return there ? EXISTS : MISSING;
	*ret_source = g_strdup(place->disk);
	return NULL;
}

static void copy_image(GlCall *call, bool replace)
{
	const GlSettings *settings = &call->request->settings;
	GlProject *project = enter(call);
	char *source = NULL;

	if (project == NULL)
		return;
	const char *problem = check(call, project, replace, &source);
	if (problem != NULL) {
		report(call, problem);
		return;
	}
	Job *job = g_new0(Job, 1);
	job->server = call->request->server;
	job->project = project;
	job->cluster = call->port->index;
	job->name = g_strdup(call->arguments[NAME]);
	job->source = source;
	job->replace = replace;
	job->delay_ms = settings->register_delay;
	if (settings->register_504) {
		gl_halt_enter(job->server->halt);
		g_thread_unref(g_thread_new("register", job_thread, job));
		gl_reply_text(&call->request->reply, 504, "text/html",
		              "<html><body><h1>504 Gateway Time-out</h1></body></html>\n");
		call->answered = true;
		return;
	}
	problem = job_run(job);
	job_free(job);
	if (problem != NULL)
		report(call, problem);
	else
		gl_call_return(call, replace ? "Image updated" : "Image registered");
}

static void register_image(GlCall *call)
{
	copy_image(call, false);
}

static void update_image(GlCall *call)
{
	copy_image(call, true);
}

static const GlField list_parameters[] = {{"token", "xs:string", false, false},
                                          {NULL, NULL, false, false}};
static const GlField name_parameters[] = {{"token", "xs:string", false, false},
                                          {"image_name", "xs:string", false, false},
                                          {NULL, NULL, false, false}};
static const GlField copy_parameters[] = {{"token", "xs:string", false, false},
                                          {"image_name", "xs:string", false, false},
                                          {"image_source", "xs:string", false, false},
                                          {NULL, NULL, false, false}};

static const GlField image_fields[] = {{"name", "xs:string", false, false},
                                       {"size", "xs:long", false, false},
                                       {"lastModified", "xs:string", false, false},
                                       {NULL, NULL, false, false}};
static const GlType types[] = {{"imageInfo", image_fields}, {NULL, NULL}};

#define TEXT                                    \
	{                                       \
		NULL, "xs:string", false, false \
	}

static const GlOperation operations[] = {
	{"listImages", list_parameters, {NULL, "imageInfo", false, true}, list_images},
	{"getImageInfo", name_parameters, {NULL, "imageInfo", false, false}, get_image_info},
	{"registerImage", copy_parameters, TEXT, register_image},
	{"updateImage", copy_parameters, TEXT, update_image},
	{"deleteImage", name_parameters, TEXT, delete_image},
	{NULL, NULL, {NULL, NULL, false, false}, NULL}};

/* The real namespace is not known, hence two that nobody would guess. */
static const GlService jaxws = {.name = "Images",
                                .prefix = "images",
                                .target = "http://images.hpc.example.org/",
                                .form = GL_FORM_UNQUALIFIED,
                                .types = types,
                                .operations = operations};
static const GlService spyne = {.name = "Images",
                                .prefix = "images",
                                .target = "hpc.images.service",
                                .form = GL_FORM_SPYNE,
                                .types = types,
                                .operations = operations};

static const GlService *the_service(const GlSettings *settings)
{
	return settings->images_style == GL_IMAGES_SPYNE ? &spyne : &jaxws;
}

static const GlPort ports[] = {{"/hpc-4-anselm/Images", the_service, 0},
                               {"/hpc-4-salomon/Images", the_service, 1}};

const GlPort *gl_images_port(const char *path)
{
	for (guint i = 0; i < G_N_ELEMENTS(ports); i++)
		if (strcmp(ports[i].path + strlen("/hpc-4-"), path) == 0)
			return &ports[i];
	return NULL;
}
