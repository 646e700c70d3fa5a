/* gss/soap.c - see gss/soap.h. */
#include "gss/soap.h"

#include "gss/error-private.h"

#include <errno.h>
#include <string.h>

#define ENVELOPE "http://schemas.xmlsoap.org/soap/envelope/"

struct GssSoapDecoder {
	GssXml *xml;
	char *response; /* name of the response element */
	GssSoapItem item;
	void *data;
	bool body;     /* <Body> was seen */
	bool answered; /* the response element was seen */
	char *fault;
};

static bool append_escaped(GString *out, const char *name, const char *value, GError **error)
{
	if (!g_utf8_validate(value, -1, NULL))
		return gss_fail(error, EINVAL, "%s is not valid UTF-8", name);
	for (const char *p = value; *p != '\0'; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);
		if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0xFFFE || c == 0xFFFF)
			return gss_fail(error, EINVAL,
			                "%s has a character that XML cannot hold "
			                "(U+%04X)",
			                name, c);
		if (c == '<')
			g_string_append(out, "&lt;");
		else if (c == '>')
			g_string_append(out, "&gt;");
		else if (c == '&')
			g_string_append(out, "&amp;");
		else if (c == '"')
			g_string_append(out, "&quot;");
		else if (c < 0x20 || (c >= 0x7f && c < 0xa0)) /* a parser may make them others */
			g_string_append_printf(out, "&#%u;", c);
		else
			g_string_append_unichar(out, c);
	}
	return true;
}

GBytes *gss_soap_encode(const char *ns, const char *operation, const GssSoapParameter *parameters,
                        guint n_parameters, const char *token, GError **error)
{
	/* Large enough from the start: growing would leave copies of the token behind. */
	gsize size = 512 + 2 * strlen(operation) + 6 * strlen(ns);
	for (guint i = 0; i < n_parameters; i++) {
		const char *value = parameters[i].value != NULL ? parameters[i].value : token;
		size += 2 * strlen(parameters[i].name) + 6 * strlen(value) + 32;
	}
	GString *out = g_string_sized_new(size);
	g_string_append(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
	                     "<soap:Envelope xmlns:soap=\"" ENVELOPE "\"><soap:Body>");
	/* A prefix cannot stand for no namespace. */
	const char *s = *ns != '\0' ? "s:" : "";
	g_string_append_printf(out, "<%s%s", s, operation);
	bool good = true;
	if (*ns != '\0') {
		g_string_append(out, " xmlns:s=\"");
		good = append_escaped(out, "namespace", ns, error);
		g_string_append_c(out, '"');
	}
	g_string_append_c(out, '>');
	for (guint i = 0; good && i < n_parameters; i++) {
		const GssSoapParameter *p = &parameters[i];
		const char *prefix = p->unqualified ? "" : s;
		g_string_append_printf(out, "<%s%s>", prefix, p->name);
		good = append_escaped(out, p->name, p->value != NULL ? p->value : token, error);
		g_string_append_printf(out, "</%s%s>", prefix, p->name);
	}
	g_string_append_printf(out, "</%s%s></soap:Body></soap:Envelope>", s, operation);
	GBytes *bytes = gss_secret_bytes(out);
	if (!good)
		g_clear_pointer(&bytes, g_bytes_unref);
	return bytes;
}

static GssXmlVerdict on_open(guint depth, const char *name, void *data, GError **error)
{
	GssSoapDecoder *decoder = data;
	g_autofree char *shown = gss_quote(name, -1, NULL);
	switch (depth) {
	case 0:
		if (strcmp(name, "Envelope") == 0)
			return GSS_XML_ENTER;
		gss_fail(error, EPROTO, "the answer is no SOAP message but <%s>", shown);
		return GSS_XML_FAIL;
	case 1:
		if (strcmp(name, "Body") != 0)
			return GSS_XML_SKIP;
		if (decoder->body) {
			gss_fail(error, EPROTO, "the SOAP answer has two bodies");
			return GSS_XML_FAIL;
		}
		decoder->body = true;
		return GSS_XML_ENTER;
	case 2:
		if (decoder->answered || decoder->fault != NULL) {
			gss_fail(error, EPROTO, "the SOAP answer has two parts, the second is <%s>",
			         shown);
			return GSS_XML_FAIL;
		}
		if (strcmp(name, "Fault") == 0)
			return GSS_XML_TREE;
		if (strcmp(name, decoder->response) == 0) {
			decoder->answered = true;
			return GSS_XML_ENTER;
		}
		gss_fail(error, EPROTO, "the SOAP answer is <%s>, not <%s>", shown,
		         decoder->response);
		return GSS_XML_FAIL;
	default:
		return decoder->item != NULL ? GSS_XML_TREE : GSS_XML_SKIP;
	}
}

/* The message of the detail (an exception of the service) says more than the faultstring. */
static char *fault_message(const GssXmlNode *fault)
{
	const GssXmlNode *detail = gss_xml_child(fault, "detail");
	if (detail == NULL)
		detail = gss_xml_child(fault, "Detail");
	const GssXmlNode *message = detail != NULL ? gss_xml_find(detail, "message") : NULL;
	const char *text = message != NULL && message->text != NULL ? message->text->str : NULL;
	if (text == NULL)
		text = gss_xml_child_text(fault, "faultstring");
	if (text == NULL) {
		const GssXmlNode *reason = gss_xml_child(fault, "Reason"); /* SOAP 1.2 */
		text = reason != NULL ? gss_xml_child_text(reason, "Text") : NULL;
	}
	return g_strdup(text != NULL ? text : "");
}

static bool on_tree(const GssXmlNode *node, void *data, GError **error)
{
	GssSoapDecoder *decoder = data;
	if (!decoder->answered) {
		decoder->fault = fault_message(node);
		return true;
	}
	return decoder->item(node, decoder->data, error);
}

GssSoapDecoder *gss_soap_decoder_new(const char *operation, GssSoapItem item, void *data)
{
	static const GssXmlHandler handler = {.open = on_open, .tree = on_tree};
	GssSoapDecoder *decoder = g_new0(GssSoapDecoder, 1);
	decoder->response = g_strconcat(operation, "Response", NULL);
	decoder->item = item;
	decoder->data = data;
	decoder->xml = gss_xml_new(&handler, decoder);
	return decoder;
}

void gss_soap_decoder_free(GssSoapDecoder *decoder)
{
	if (decoder == NULL)
		return;
	gss_xml_free(decoder->xml);
	g_free(decoder->response);
	gss_wipe(decoder->fault); /* may echo the token */
	g_free(decoder);
}

bool gss_soap_decoder_feed(GssSoapDecoder *decoder, const void *bytes, gsize length, GError **error)
{
	return gss_xml_feed(decoder->xml, bytes, length, error);
}

bool gss_soap_decoder_finish(GssSoapDecoder *decoder, GError **error)
{
	if (!gss_xml_finish(decoder->xml, error))
		return false;
	if (!decoder->answered && decoder->fault == NULL)
		return gss_fail(error, EPROTO, "the SOAP answer is empty");
	return true;
}

const char *gss_soap_decoder_fault(const GssSoapDecoder *decoder)
{
	return decoder->fault;
}
