#include "soap.h"

#include "text.h"
#include "wsdl.h"

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <string.h>

#define ENVELOPE "http://schemas.xmlsoap.org/soap/envelope/"
#define XML_TYPE "text/xml; charset=utf-8"
#define REQUEST_MAX (1024 * 1024)

/* ---- writing ---- */

static bool is_spyne(const GlCall *call)
{
	return call->service->form == GL_FORM_SPYNE;
}

static void open_envelope(const GlCall *call, GString *out)
{
	g_string_append(out, "<?xml version='1.0' encoding='UTF-8'?>");
	if (is_spyne(call))
		g_string_append_printf(out,
		                       "\n<soap11env:Envelope xmlns:soap11env=\"" ENVELOPE
		                       "\" xmlns:tns=\"%s\"><soap11env:Body>",
		                       call->service->target);
	else
		g_string_append(out, "<S:Envelope xmlns:S=\"" ENVELOPE "\"><S:Body>");
}

static void close_envelope(const GlCall *call, GString *out)
{
	g_string_append(out, is_spyne(call) ? "</soap11env:Body></soap11env:Envelope>"
	                                    : "</S:Body></S:Envelope>");
}

static void open_response(const GlCall *call, GString *out)
{
	const char *name = call->operation->name;

	open_envelope(call, out);
	if (!is_spyne(call)) {
		g_string_append_printf(out, "<ns2:%sResponse xmlns:ns2=\"%s\">", name,
		                       call->service->target);
		return;
	}
	g_string_append_printf(out, "<tns:%sResponse>", name);
	if (call->operation->result.many)
		g_string_append_printf(out, "<tns:%sResult>", name);
}

static void close_response(const GlCall *call, GString *out)
{
	const char *name = call->operation->name;

	if (is_spyne(call) && call->operation->result.many)
		g_string_append_printf(out, "</tns:%sResult>", name);
	g_string_append_printf(out, is_spyne(call) ? "</tns:%sResponse>" : "</ns2:%sResponse>",
	                       name);
	close_envelope(call, out);
}

/* The element around one result. */
static void append_tag(const GlCall *call, GString *out, const char *slash)
{
	if (!is_spyne(call))
		g_string_append_printf(out, "<%sreturn>", slash);
	else if (call->operation->result.many)
		g_string_append_printf(out, "<%stns:%s>", slash, call->operation->result.type);
	else
		g_string_append_printf(out, "<%stns:%sResult>", slash, call->operation->name);
}

void gl_call_item_begin(GlCall *call, GString *out)
{
	append_tag(call, out, "");
}

void gl_call_item_end(GlCall *call, GString *out)
{
	append_tag(call, out, "/");
}

void gl_call_field(GlCall *call, GString *out, const char *name, const char *value)
{
	const char *prefix = is_spyne(call) ? "tns:" : "";

	g_string_append_printf(out, "<%s%s>", prefix, name);
	gl_text_append_xml(out, value);
	g_string_append_printf(out, "</%s%s>", prefix, name);
}

void gl_call_return(GlCall *call, const char *value)
{
	gl_call_item_begin(call, call->out);
	gl_text_append_xml(call->out, value);
	gl_call_item_end(call, call->out);
}

static void reply_xml(GlCall *call, guint status, GString *text)
{
	g_autoptr(GBytes) bytes = g_string_free_to_bytes(text);

	gl_reply_bytes(&call->request->reply, status, XML_TYPE, bytes);
	call->answered = true;
}

void gl_call_fault(GlCall *call, const char *format, ...)
{
	GString *out = g_string_new(NULL);
	va_list arguments;

	va_start(arguments, format);
	g_autofree char *message = g_strdup_vprintf(format, arguments);
	va_end(arguments);

	open_envelope(call, out);
	if (is_spyne(call)) {
		g_string_append(out, "<soap11env:Fault><faultcode>soap11env:Server</faultcode>"
		                     "<faultstring>");
		gl_text_append_xml(out, message);
		g_string_append(out, "</faultstring><faultactor></faultactor></soap11env:Fault>");
	} else {
		g_string_append(out, "<S:Fault><faultcode>S:Server</faultcode><faultstring>");
		gl_text_append_xml(out, message);
		g_string_append_printf(out,
		                       "</faultstring><detail><ns2:IOException xmlns:ns2=\"%s\">"
		                       "<message>",
		                       call->service->target);
		gl_text_append_xml(out, message);
		g_string_append(out, "</message></ns2:IOException></detail></S:Fault>");
	}
	close_envelope(call, out);
	reply_xml(call, 500, out);
}

/* A streamed answer: what is around the pieces of the source. */
typedef struct {
	GString *opening;
	GString *closing;
	GlReplySource source;
	gpointer data;
	GDestroyNotify free_data;
} Stream;

static bool stream_next(GString *out, gpointer data)
{
	Stream *stream = data;

	if (stream->opening != NULL) {
		g_string_append_len(out, stream->opening->str, (gssize)stream->opening->len);
		g_string_free(g_steal_pointer(&stream->opening), TRUE);
		return true;
	}
	if (stream->source(out, stream->data))
		return true;
	g_string_append_len(out, stream->closing->str, (gssize)stream->closing->len);
	return false;
}

static void stream_free(gpointer data)
{
	Stream *stream = data;

	if (stream->opening != NULL)
		g_string_free(stream->opening, TRUE);
	g_string_free(stream->closing, TRUE);
	stream->free_data(stream->data);
	g_free(stream);
}

void gl_call_stream(GlCall *call, GlReplySource source, gpointer data, GDestroyNotify free_data)
{
	Stream *stream = g_new0(Stream, 1);

	stream->opening = g_string_new(NULL);
	stream->closing = g_string_new(NULL);
	open_response(call, stream->opening);
	close_response(call, stream->closing);
	stream->source = source;
	stream->data = data;
	stream->free_data = free_data;
	gl_reply_stream(&call->request->reply, 200, XML_TYPE, stream_next, stream, stream_free);
	call->answered = true;
}

bool gl_call_authenticate(GlCall *call, const char *token)
{
	if (gl_sessions_check(call->request->server->sessions, token, &call->identity))
		return true;
	gl_call_fault(call, "Session token validation failed");
	return false;
}

/* ---- reading ---- */

guint gl_soap_order(const GlService *service, const GlOperation *operation,
                    const GlSettings *settings, guint ret[4])
{
	guint count = 0;

	while (operation->parameters[count].name != NULL)
		count++;
	g_assert(count <= 4);
	/* Only the order of Images is not known from documents. */
	bool reversed = service->form != GL_FORM_QUALIFIED_REQUESTS &&
	                settings->images_order == GL_ORDER_REVERSED;
	for (guint i = 0; i < count; i++)
		ret[i] = reversed ? count - 1 - i : i;
	return count;
}

static bool is_element(const xmlNode *node, const char *space, const char *name)
{
	const char *found = node->ns != NULL ? (const char *)node->ns->href : NULL;

	return g_strcmp0(found, space) == 0 &&
	       (name == NULL || strcmp((const char *)node->name, name) == 0);
}

/* The call's element, or NULL: no SOAP 1.1 envelope around exactly one. */
static xmlNode *find_call(xmlDoc *document)
{
	xmlNode *node = xmlDocGetRootElement(document);

	if (node == NULL || !is_element(node, ENVELOPE, "Envelope"))
		return NULL;
	node = xmlFirstElementChild(node);
	if (node != NULL && is_element(node, ENVELOPE, "Header"))
		node = xmlNextElementSibling(node);
	if (node == NULL || !is_element(node, ENVELOPE, "Body") ||
	    xmlNextElementSibling(node) != NULL)
		return NULL;
	node = xmlFirstElementChild(node);
	return node != NULL && xmlNextElementSibling(node) == NULL ? node : NULL;
}

static const GlOperation *find_operation(const GlService *service, const xmlNode *node)
{
	for (const GlOperation *o = service->operations; o->name != NULL; o++)
		if (is_element(node, service->target, o->name))
			return o;
	return NULL;
}

/* Fills in call->arguments with copies. A mistake is a fault; false. */
static bool read_arguments(GlCall *call, xmlNode *node, GPtrArray *copies)
{
	const char *space =
		call->service->form == GL_FORM_UNQUALIFIED ? NULL : call->service->target;
	guint order[4];
	guint count =
		gl_soap_order(call->service, call->operation, &call->request->settings, order);
	guint next = 0;

	for (guint i = 0; i < G_N_ELEMENTS(call->arguments); i++)
		call->arguments[i] = "";
	for (xmlNode *child = xmlFirstElementChild(node); child != NULL;
	     child = xmlNextElementSibling(child)) {
		/* Each may be left out (minOccurs=0), but those that come keep the order. */
		while (next < count &&
		       !is_element(child, space, call->operation->parameters[order[next]].name))
			next++;
		if (next == count || xmlFirstElementChild(child) != NULL) {
			gl_call_fault(call,
			              "element %s of %s is unknown, misplaced, repeated, wrongly "
			              "qualified, or not simple",
			              (const char *)child->name, call->operation->name);
			return false;
		}
		xmlChar *content = xmlNodeGetContent(child);
		char *copy = g_strdup(content != NULL ? (const char *)content : "");
		xmlFree(content);
		g_ptr_array_add(copies, copy);
		call->arguments[order[next++]] = copy;
	}
	return true;
}

static const char *subject_of(const GlCall *call)
{
	for (guint i = 0; call->operation->parameters[i].name != NULL; i++) {
		g_autofree char *name = g_ascii_strdown(call->operation->parameters[i].name, -1);
		if (!strstr(name, "session") && !strstr(name, "token") && !strstr(name, "password"))
			return call->arguments[i];
	}
	return NULL;
}

static void run_call(GlCall *call, xmlNode *node)
{
	GlRequest *request = call->request;
	g_autoptr(GPtrArray) copies = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *counter =
		g_strdup_printf("%s.%s", call->service->prefix, call->operation->name);

	gl_stats_count(request->server->stats, counter, 1);
	if (!read_arguments(call, node, copies)) {
		gl_stats_count(request->server->stats, "malformed", 1);
		return;
	}
	gl_stats_log_call(request->server->stats, request->number, call->operation->name,
	                  subject_of(call));
	if (!gl_request_plan(request, call->operation->name, false))
		return;
	call->out = g_string_new(NULL);
	open_response(call, call->out);
	call->operation->run(call);
	if (!call->answered) {
		close_response(call, call->out);
		reply_xml(call, 200, g_steal_pointer(&call->out));
	}
	if (call->out != NULL)
		g_string_free(call->out, TRUE);
	gl_identity_clear(&call->identity);
}

static void dispatch(GlRequest *request, const GByteArray *text)
{
	const GlPort *port = request->subject;
	GlCall call = {.request = request, .port = port};
	xmlNode *node = NULL;

	call.service = port->service(&request->settings);
	xmlDoc *document = xmlReadMemory(
		(const char *)text->data, (int)text->len, "request.xml", NULL,
		XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA);
	/* A DOCTYPE has no place in SOAP. */
	if (document != NULL && xmlGetIntSubset(document) == NULL)
		node = find_call(document);
	call.operation = node != NULL ? find_operation(call.service, node) : NULL;
	if (call.operation != NULL) {
		run_call(&call, node);
	} else {
		gl_stats_count(request->server->stats, "malformed", 1);
		gl_call_fault(&call, node != NULL ? "Cannot find dispatch method for this element"
		                                  : "this is not a SOAP 1.1 call");
	}
	xmlFreeDoc(document);
}

/* ---- serving ---- */

static void free_text(gpointer data)
{
	g_byte_array_unref(data);
}

static void soap_begin(GlRequest *request)
{
	const char *type = gl_request_header(request, "Content-Type");

	request->state = g_byte_array_new();
	request->free_state = free_text;
	if (strcmp(request->method, "POST") != 0)
		return;
	if (type == NULL || g_ascii_strncasecmp(type, "text/xml", 8) != 0)
		gl_reply_text(&request->reply, 415, "text/plain", "SOAP 1.1 is text/xml\n");
	else if (request->content_length > REQUEST_MAX)
		gl_reply_text(&request->reply, 413, "text/plain", "too large a request\n");
}

static void soap_body(GlRequest *request, const char *bytes, gsize length)
{
	GByteArray *text = request->state;

	if (text->len + length > REQUEST_MAX)
		gl_reply_text(&request->reply, 413, "text/plain", "too large a request\n");
	else
		g_byte_array_append(text, (const guint8 *)bytes, (guint)length);
}

static void serve_description(GlRequest *request)
{
	const GlPort *port = request->subject;
	const GlService *service = port->service(&request->settings);
	g_autofree char *host = request->settings.internal_host ? g_strdup("internal.invalid:443")
	                                                        : gl_request_host(request);
	g_autofree char *base = g_strdup_printf("http://%s%s", host, port->path);
	g_autofree char *text = NULL;

	gl_stats_count(request->server->stats, "wsdl", 1);
	if (!gl_request_plan(request, NULL, false))
		return;
	if (g_strcmp0(request->query, "xsd=1") == 0)
		text = gl_wsdl_write_schema(service, &request->settings);
	else if (request->query != NULL && g_ascii_strcasecmp(request->query, "wsdl") == 0)
		text = gl_wsdl_write(service, &request->settings, base);
	if (text != NULL)
		gl_reply_text(&request->reply, 200, XML_TYPE, text);
	else
		gl_reply_text(&request->reply, 404, "text/plain", "ask for ?wsdl\n");
}

static void soap_end(GlRequest *request)
{
	if (strcmp(request->method, "POST") == 0)
		dispatch(request, request->state);
	else if (strcmp(request->method, "GET") == 0)
		serve_description(request);
	else
		gl_reply_empty(&request->reply, 405);
}

const GlHandler gl_soap_handler = {soap_begin, soap_body, soap_end};
