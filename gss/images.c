/* gss/images.c - see gss/images.h: the object, its WSDL, and the five calls. */
#include "gss/images.h"

#include "gss/client-private.h"
#include "gss/date.h"
#include "gss/error-private.h"
#include "gss/rpc.h"
#include "gss/uri.h"
#include "gss/url.h"
#include "gss/wsdl.h"

#include <errno.h>
#include <string.h>

struct GssImages {
	GssClient *client;
	char *wsdl_url;
	char *endpoint;
	gint pending; /* calls that were made and not yet freed; atomic */
	bool closing; /* gss-net */

	/* The WSDL; gss-net. */
	GssWsdl *wsdl;  /* NULL: not read yet */
	GQueue waiting; /* Verb, by `waiting` */
	GssWsdl *reading;
	GQueue to_fetch;     /* char, URLs */
	GHashTable *fetched; /* char, URLs that were or are to be fetched */
	GssTransfer *transfer;
	GByteArray *document;
};

typedef struct {
	GssCall call;
	GssImages *images;
	const char *operation;
	bool modifying;
	char *name;
	char *source;
	GList waiting; /* in images->waiting */
	GssWsdlRequest *request;
	GPtrArray *list; /* GssImage */
	char *text;
	union {
		GssImageListCallback list;
		GssImageCallback image;
		GssTextCallback text;
	} callback;
	void *data;
} Verb;

static void image_free(void *data)
{
	GssImage *image = data;
	g_free(image->name);
	g_free(image->last_modified);
	g_free(image);
}

/* The words of the platform: "404: Image not found", in a fault or as the returned text. The number
 * stands at the beginning or after a blank, for a name with a tag has colons too. 0: there is none.
 */
static int stated_number(const char *text)
{
	for (const char *p = text; *p != '\0'; p++) {
		bool begins =
			p == text || g_ascii_isspace(p[-1]) || strchr("([\"'>", p[-1]) != NULL;
		if (begins && (*p == '4' || *p == '5') && g_ascii_isdigit(p[1]) &&
		    g_ascii_isdigit(p[2]) && p[3] == ':' && (p[4] == '\0' || g_ascii_isspace(p[4])))
			return (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
	}
	return 0;
}

static int number_errno(int number, bool taken)
{
	if (number == 405)
		return taken ? EEXIST : ENOENT;
	return gss_status_errno(number, true);
}

static int register_errno(const char *message, const char *subject)
{
	int number = stated_number(message);
	return number != 0 ? number_errno(number, true) : gss_rpc_fault_errno(message, subject);
}

static int other_errno(const char *message, const char *subject)
{
	int number = stated_number(message);
	return number != 0 ? number_errno(number, false) : gss_rpc_fault_errno(message, subject);
}

static void verb_clear(GssCall *call)
{
	Verb *verb = (Verb *)call;
	g_atomic_int_add(&verb->images->pending, -1);
	g_free(verb->name);
	g_free(verb->source);
	g_free(verb->text);
	gss_wsdl_request_free(verb->request);
	g_clear_pointer(&verb->list, g_ptr_array_unref);
}

/* Which argument does an element of the request stand for? */
static bool match_parameter(const Verb *verb, const char *name, const char **ret)
{
	g_autofree char *lower = g_ascii_strdown(name, -1);
	if (strstr(lower, "token") != NULL || strstr(lower, "session") != NULL)
		*ret = NULL;
	else if (verb->source != NULL &&
	         (strstr(lower, "source") != NULL || strstr(lower, "uri") != NULL ||
	          strstr(lower, "path") != NULL || strstr(lower, "file") != NULL))
		*ret = verb->source;
	else if (verb->name != NULL && strstr(lower, "name") != NULL)
		*ret = verb->name;
	else
		return false;
	return true;
}

/* By their names; or, where these say nothing, by their order: token, name, source. */
static bool fill_parameters(const Verb *verb, GssRpcSpec *spec, GError **error)
{
	const char *ordered[] = {NULL, verb->name, verb->source};
	guint count = verb->source != NULL ? 3 : verb->name != NULL ? 2 : 1;
	const GssWsdlRequest *request = verb->request;
	if (request->names->len != count)
		return gss_fail(error, EPROTO, "the WSDL gives %s %u parameters, %u are known",
		                verb->operation, request->names->len, count);
	bool named = true;
	guint used = 0;
	for (guint i = 0; i < count; i++) {
		const char *value = NULL;
		named = named && match_parameter(verb, request->names->pdata[i], &value);
		used |= value == NULL ? 1 : value == verb->name ? 2 : 4;
		spec->parameters[i].value = value;
	}
	named = named && used == (1u << count) - 1;
	for (guint i = 0; i < count; i++) {
		GssSoapParameter *parameter = &spec->parameters[i];
		parameter->name = request->names->pdata[i];
		parameter->unqualified = !g_array_index(request->qualified, bool, i);
		if (!named)
			parameter->value = ordered[i];
	}
	spec->n_parameters = count;
	return true;
}

static GssImage *decode_image(const GssXmlNode *node)
{
	const char *name = gss_xml_child_text(node, "name");
	const char *size = gss_xml_child_text(node, "size");
	const char *date = gss_xml_child_text(node, "lastModified");
	if (date == NULL)
		date = gss_xml_child_text(node, "last_modified");
	GssImage *image = g_new0(GssImage, 1);
	image->name = g_strdup(name != NULL ? name : "");
	image->last_modified = g_strdup(date != NULL ? date : "");
	image->mtime = gss_date_parse(image->last_modified);
	g_autofree char *digits = g_strstrip(g_strdup(size != NULL ? size : ""));
	if (!g_ascii_string_to_signed(digits, 10, 0, G_MAXINT64, &image->size, NULL))
		image->size = -1;
	return image;
}

/* JAX-WS repeats <return>, spyne has one result with the images in it: an image is what has a name.
 * Recursion is bounded by GSS_XML_DEPTH_MAX. */
static void collect_images(const GssXmlNode *node, GPtrArray *list)
{
	if (gss_xml_child(node, "name") != NULL) {
		g_ptr_array_add(list, decode_image(node));
		return;
	}
	for (guint i = 0; i < gss_xml_children(node); i++)
		collect_images(node->children->pdata[i], list);
}

static bool on_item(const GssXmlNode *item, guint generation, void *data, GError **error)
{
	Verb *verb = data;
	if (verb->list != NULL)
		collect_images(item, verb->list);
	if (verb->text == NULL && gss_xml_children(item) == 0 && *gss_xml_text(item) != '\0')
		verb->text = g_strdup(gss_xml_text(item));
	return true;
}

/* The returned text, fit to be shown. */
static char *shown_text(const Verb *verb)
{
	guint generation = 0;
	const char *secrets[] = {gss_session_token(verb->call.client->session, &generation), NULL};
	return gss_quote(verb->text != NULL ? verb->text : "", -1, secrets);
}

/* Some versions say in the returned text what others say in a fault. */
static GError *text_error(const Verb *verb)
{
	int number = verb->text != NULL ? stated_number(verb->text) : 0;
	if (number == 0)
		return NULL;
	g_autofree char *shown = shown_text(verb);
	bool taken = strcmp(verb->operation, "registerImage") == 0;
	return g_error_new(GSS_ERROR, number_errno(number, taken), "%s: %s: %s",
	                   verb->name != NULL ? verb->name : "images", verb->operation, shown);
}

static void on_done(const GError *error, void *data)
{
	Verb *verb = data;
	GssImages *images = verb->images;
	/* A service that changed its style may be understood after its WSDL was read anew. */
	if (g_error_matches(error, GSS_ERROR, EPROTO))
		g_clear_pointer(&images->wsdl, gss_wsdl_free);
	GError *said = error == NULL ? text_error(verb) : NULL;
	gss_call_complete(&verb->call, said != NULL ? said : error);
	g_clear_error(&said);
}

static void send_verb(Verb *verb)
{
	GError *error = NULL;
	bool registers = strcmp(verb->operation, "registerImage") == 0;
	GssRpcSpec spec = {
		.endpoint = verb->images->endpoint,
		.operation = verb->operation,
		.subject = verb->name,
		.lane = verb->modifying ? GSS_LANE_IMAGES : GSS_LANE_SMALL,
		.modifying = verb->modifying,
		.once = verb->modifying,
		.item = on_item,
		.fault_errno = registers ? register_errno : other_errno,
		.done = on_done,
		.data = verb,
	};
	verb->request = gss_wsdl_request(verb->images->wsdl, verb->operation, &error);
	if (verb->request == NULL || !fill_parameters(verb, &spec, &error)) {
		g_prefix_error(&error, "%s: ", verb->images->wsdl_url);
		g_clear_pointer(&verb->images->wsdl, gss_wsdl_free);
		gss_call_fail(&verb->call, error);
		return;
	}
	spec.ns = verb->request->ns;
	gss_rpc_start(&verb->call, &spec);
}

/* Ends the reading of the WSDL; the calls that waited go on or fail. */
static void reading_done(GssImages *images, GError *error)
{
	if (error == NULL)
		images->wsdl = g_steal_pointer(&images->reading);
	g_clear_pointer(&images->reading, gss_wsdl_free);
	g_clear_pointer(&images->fetched, g_hash_table_unref);
	g_queue_clear_full(&images->to_fetch, g_free);
	g_prefix_error(&error, "%s: ", images->wsdl_url);
	guint count = images->waiting.length;
	while (count-- > 0 && !g_queue_is_empty(&images->waiting)) {
		Verb *verb = images->waiting.head->data;
		g_queue_unlink(&images->waiting, &verb->waiting);
		gss_call_set_step(&verb->call, NULL, NULL);
		if (error != NULL)
			gss_call_complete(&verb->call, error);
		else if (images->wsdl != NULL)
			send_verb(verb);
		else /* the WSDL turned out useless to a call before */
			gss_call_fail(&verb->call,
			              g_error_new(GSS_ERROR, EPROTO, "%s: it is of no use",
			                          images->wsdl_url));
	}
	g_clear_error(&error);
}

static void fetch_next(GssImages *images);

static bool on_document_bytes(const void *bytes, gsize length, void *data, GError **error)
{
	GssImages *images = data;
	if (images->document->len + length > GSS_WSDL_DOCUMENT_MAX)
		return gss_fail(error, EPROTO, "the WSDL is too large");
	g_byte_array_append(images->document, bytes, (guint)length);
	return true;
}

static void queue_document(GssImages *images, char *url)
{
	if (!g_hash_table_add(images->fetched, g_strdup(url)))
		g_free(url);
	else
		g_queue_push_tail(&images->to_fetch, url);
}

static void on_document(const GssAnswer *answer, const GError *error, void *data)
{
	GssImages *images = data;
	g_autoptr(GBytes) document = g_byte_array_free_to_bytes(images->document);
	g_autoptr(GPtrArray) imports = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *url = g_queue_pop_head(&images->to_fetch);
	GError *problem = NULL;
	images->document = NULL;
	images->transfer = NULL;
	if (error != NULL) {
		problem = g_error_copy(error);
	} else if (answer->status < 200 || answer->status >= 300) {
		problem = g_error_new(GSS_ERROR, gss_status_errno(answer->status, false),
		                      "%s: status %ld%s", answer->host, answer->status,
		                      gss_status_text(answer->status));
		/* A service that is not there is no image that is not there. */
		if (problem->code == ENOENT)
			problem->code = EIO;
	} else {
		gss_wsdl_add(images->reading, document, imports, &problem);
	}
	for (guint i = 0; problem == NULL && i < imports->len; i++) {
		char *target = gss_url_import(url, imports->pdata[i]);
		if (target != NULL)
			queue_document(images, target);
	}
	if (problem != NULL || g_queue_is_empty(&images->to_fetch))
		reading_done(images, problem);
	else
		fetch_next(images);
}

static void fetch_next(GssImages *images)
{
	static const char *const headers[] = {"Accept-Encoding: identity", NULL};
	images->document = g_byte_array_new();
	images->transfer =
		gss_http_send(images->client->http, &(GssRequest){
							    .method = "GET",
							    .url = images->to_fetch.head->data,
							    .headers = headers,
							    .body = on_document_bytes,
							    .done = on_document,
							    .data = images,
						    });
}

static void stop_waiting(void *step)
{
	Verb *verb = step;
	g_queue_unlink(&verb->images->waiting, &verb->waiting);
}

static void verb_run(GssCall *call)
{
	Verb *verb = (Verb *)call;
	GssImages *images = verb->images;
	GError *error = NULL;
	if (images->closing) {
		gss_call_fail(call, g_error_new(GSS_ERROR, ECANCELED, "cancelled"));
		return;
	}
	if ((verb->name != NULL && !gss_image_name_check(verb->name, &error)) ||
	    (verb->source != NULL && !gss_uri_check(verb->source, &error))) {
		gss_call_fail(call, error);
		return;
	}
	if (images->wsdl != NULL) {
		send_verb(verb);
		return;
	}
	g_queue_push_tail_link(&images->waiting, &verb->waiting);
	gss_call_set_step(call, verb, stop_waiting);
	if (images->reading != NULL)
		return;
	images->reading = gss_wsdl_new();
	images->fetched = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	queue_document(images, g_strdup(images->wsdl_url));
	fetch_next(images);
}

GssImages *gss_images_new(GssClient *client, const char *wsdl_url, GError **error)
{
	g_auto(GssUrl) url = {0};
	g_autofree char *encoded = gss_url_encode(wsdl_url, NULL, NULL);
	if (!gss_url_parse(&url, encoded, client->allow_http, EINVAL, error))
		return NULL;
	GssImages *images = g_new0(GssImages, 1);
	images->client = client;
	images->wsdl_url = g_steal_pointer(&encoded);
	images->endpoint = gss_url_endpoint(images->wsdl_url);
	g_queue_init(&images->waiting);
	g_queue_init(&images->to_fetch);
	return images;
}

typedef struct {
	GssImages *images;
	GMutex lock;
	GCond ended;
	bool done;
} Closing;

/* Callbacks may have made further calls, whose tasks come after this one: then once more. */
static void close_task(void *data)
{
	Closing *closing = data;
	GssImages *images = closing->images;
	images->closing = true;
	gss_call_cancel_all(images->client, images);
	g_clear_pointer(&images->transfer, gss_transfer_abort);
	g_clear_pointer(&images->document, g_byte_array_unref);
	if (g_atomic_int_get(&images->pending) > 0) {
		gss_http_invoke(images->client->http, close_task, closing);
		return;
	}
	g_mutex_lock(&closing->lock);
	closing->done = true;
	g_cond_signal(&closing->ended);
	g_mutex_unlock(&closing->lock);
}

void gss_images_free(GssImages *images)
{
	if (images == NULL)
		return;
	Closing closing = {.images = images};
	g_mutex_init(&closing.lock);
	g_cond_init(&closing.ended);
	gss_http_invoke(images->client->http, close_task, &closing);
	g_mutex_lock(&closing.lock);
	while (!closing.done)
		g_cond_wait(&closing.ended, &closing.lock);
	g_mutex_unlock(&closing.lock);
	g_cond_clear(&closing.ended);
	g_mutex_clear(&closing.lock);
	gss_wsdl_free(images->wsdl);
	gss_wsdl_free(images->reading);
	g_clear_pointer(&images->fetched, g_hash_table_unref);
	g_queue_clear_full(&images->to_fetch, g_free);
	g_free(images->wsdl_url);
	g_free(images->endpoint);
	g_free(images);
}

static Verb *verb_new(const GssCallClass *class, GssImages *images, const char *operation,
                      const char *name, const char *source, GCancellable *cancellable, void *data)
{
	Verb *verb = gss_call_new(class, images->client, images, cancellable);
	g_atomic_int_inc(&images->pending);
	verb->images = images;
	verb->operation = operation;
	verb->name = g_strdup(name);
	verb->source = g_strdup(source);
	verb->waiting.data = verb;
	verb->data = data;
	return verb;
}

static void list_complete(GssCall *call, const GError *error)
{
	Verb *verb = (Verb *)call;
	verb->callback.list(error == NULL ? verb->list : NULL, error, verb->data);
}

void gss_images_list(GssImages *images, GCancellable *cancellable, GssImageListCallback callback,
                     void *data)
{
	static const GssCallClass class = {
		.size = sizeof(Verb),
		.run = verb_run,
		.complete = list_complete,
		.clear = verb_clear,
	};
	Verb *verb = verb_new(&class, images, "listImages", NULL, NULL, cancellable, data);
	verb->list = g_ptr_array_new_with_free_func(image_free);
	verb->callback.list = callback;
	gss_call_submit(&verb->call);
}

static void info_complete(GssCall *call, const GError *error)
{
	Verb *verb = (Verb *)call;
	g_autoptr(GError) missing = NULL;
	if (error == NULL && verb->list->len == 0) {
		missing = g_error_new(GSS_ERROR, ENOENT, "%s: the service knows no such image",
		                      verb->name);
		error = missing;
	}
	verb->callback.image(error == NULL ? verb->list->pdata[0] : NULL, error, verb->data);
}

void gss_images_info(GssImages *images, const char *name, GCancellable *cancellable,
                     GssImageCallback callback, void *data)
{
	static const GssCallClass class = {
		.size = sizeof(Verb),
		.run = verb_run,
		.complete = info_complete,
		.clear = verb_clear,
	};
	Verb *verb = verb_new(&class, images, "getImageInfo", name, NULL, cancellable, data);
	verb->list = g_ptr_array_new_with_free_func(image_free);
	verb->callback.image = callback;
	gss_call_submit(&verb->call);
}

static void text_complete(GssCall *call, const GError *error)
{
	Verb *verb = (Verb *)call;
	g_autofree char *shown = error == NULL ? shown_text(verb) : NULL;
	verb->callback.text(shown, error, verb->data);
}

static void start_text(GssImages *images, const char *operation, const char *name,
                       const char *source, GCancellable *cancellable, GssTextCallback callback,
                       void *data)
{
	static const GssCallClass class = {
		.size = sizeof(Verb),
		.run = verb_run,
		.complete = text_complete,
		.clear = verb_clear,
	};
	Verb *verb = verb_new(&class, images, operation, name, source, cancellable, data);
	verb->modifying = true;
	verb->callback.text = callback;
	gss_call_submit(&verb->call);
}

void gss_images_register(GssImages *images, const char *name, const char *source,
                         GCancellable *cancellable, GssTextCallback callback, void *data)
{
	start_text(images, "registerImage", name, source, cancellable, callback, data);
}

void gss_images_update(GssImages *images, const char *name, const char *source,
                       GCancellable *cancellable, GssTextCallback callback, void *data)
{
	start_text(images, "updateImage", name, source, cancellable, callback, data);
}

void gss_images_delete(GssImages *images, const char *name, GCancellable *cancellable,
                       GssTextCallback callback, void *data)
{
	start_text(images, "deleteImage", name, NULL, cancellable, callback, data);
}
