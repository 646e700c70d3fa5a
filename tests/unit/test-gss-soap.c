/* test-gss-soap.c - requests against the published schemas, answers in every known and unknown
 * shape. */
#include "gss/error.h"
#include "gss/soap.h"
#include "gss/wsdl.h"

#include <errno.h>
#include <libxml/parser.h>
#include <libxml/xmlschemas.h>
#include <libxml/xmlschemastypes.h>
#include <string.h>

#define GSS "http://gss.sintef.no/"
#define AUTH "http://authmanager.sintef.no/"

static const char *protocol_dir;

static void silent(void *data, const char *format, ...)
{
}

/* Validates the first child of the body against the schema `file`; false when there is no such
 * file. */
static bool validate(const char *file, GBytes *request)
{
	g_autofree char *path = g_build_filename(protocol_dir, file, NULL);
	if (!g_file_test(path, G_FILE_TEST_EXISTS))
		return false;
	xmlSchemaParserCtxtPtr parser = xmlSchemaNewParserCtxt(path);
	xmlSchemaPtr schema = xmlSchemaParse(parser);
	xmlSchemaFreeParserCtxt(parser);
	g_assert_nonnull(schema);
	gsize length;
	const char *bytes = g_bytes_get_data(request, &length);
	xmlDocPtr document = xmlReadMemory(bytes, (int)length, NULL, NULL, XML_PARSE_NONET);
	g_assert_nonnull(document);
	xmlNodePtr body = xmlFirstElementChild(xmlDocGetRootElement(document));
	xmlDocPtr inner = xmlNewDoc(BAD_CAST "1.0");
	xmlDocSetRootElement(inner, xmlDocCopyNode(xmlFirstElementChild(body), inner, 1));
	xmlSchemaValidCtxtPtr valid = xmlSchemaNewValidCtxt(schema);
	int result = xmlSchemaValidateDoc(valid, inner);
	xmlSchemaFreeValidCtxt(valid);
	xmlFreeDoc(inner);
	xmlFreeDoc(document);
	xmlSchemaFree(schema);
	if (result != 0)
		g_test_message("%.*s", (int)length, bytes);
	g_assert_cmpint(result, ==, 0);
	return true;
}

static void test_encode(void)
{
	static const struct {
		const char *file;
		const char *ns;
		const char *operation;
		const char *arguments[4];
	} calls[] = {
		{"FileUtilities.xsd", GSS, "getResourceInformation", {"fileID", "session_id"}},
		{"FileUtilities.xsd", GSS, "containsFile", {"fileID", "session_id"}},
		{"FileUtilities.xsd", GSS, "listFiles", {"fileID", "session_id"}},
		{"FileUtilities.xsd", GSS, "listFilesMinimal", {"fileID", "session_id"}},
		{"FileUtilities.xsd", GSS, "createFolder", {"folderID", "session_id"}},
		{"FileUtilities.xsd", GSS, "deleteFolder", {"folderID", "session_id"}},
		{"FileUtilities.xsd", GSS, "getDirectInteractionEndpoint", {"gssID", "session_id"}},
		{"AuthManager.xsd", AUTH, "getSessionToken", {"username", "password", "project"}},
		{"AuthManager.xsd", AUTH, "validateSessionToken", {"sessionToken"}},
		{"AuthManager.xsd", AUTH, "getUsername", {"sessionToken"}},
		{"AuthManager.xsd", AUTH, "getProject", {"sessionToken"}},
		{"AuthManager.xsd", AUTH, "getEmail", {"sessionToken"}},
	};
	bool any = false;
	for (guint i = 0; i < G_N_ELEMENTS(calls); i++) {
		g_autoptr(GError) error = NULL;
		GssSoapParameter parameters[4] = {0};
		guint count = 0;
		for (; calls[i].arguments[count] != NULL; count++)
			parameters[count] = (GssSoapParameter){.name = calls[i].arguments[count],
			                                       .value = "a<&>\"'\r\n ü😀]]>"};
		g_autoptr(GBytes) request = gss_soap_encode(calls[i].ns, calls[i].operation,
		                                            parameters, count, "token", &error);
		g_assert_no_error(error);
		any |= validate(calls[i].file, request);
		/* And what was put in comes out. */
		GssXmlNode *root = gss_xml_parse(request, &error);
		g_assert_no_error(error);
		const GssXmlNode *first = gss_xml_find(root, calls[i].arguments[0]);
		g_assert_cmpstr(gss_xml_text(first), ==, parameters[0].value);
		gss_xml_node_free(root);
	}
	if (!any)
		g_test_skip("no schemas to validate against");
}

static void test_encode_refused(void)
{
	static const char *const values[] = {"a\x01", "\xff", "\xef\xbf\xbe"};
	for (guint i = 0; i < G_N_ELEMENTS(values); i++) {
		g_autoptr(GError) error = NULL;
		GssSoapParameter parameter = {.name = "x", .value = values[i]};
		g_assert_null(gss_soap_encode(GSS, "op", &parameter, 1, "t", &error));
		g_assert_error(error, GSS_ERROR, EINVAL);
	}
}

typedef struct {
	guint count;
	GString *texts;
} Seen;

static bool on_item(const GssXmlNode *item, void *data, GError **error)
{
	Seen *seen = data;
	seen->count++;
	const char *inner = gss_xml_child_text(item, "v");
	g_string_append_printf(seen->texts, "%s%s;", item->nil ? "nil" : gss_xml_text(item),
	                       inner != NULL ? inner : "");
	return true;
}

/* Decodes `xml` in pieces of `piece` bytes; the texts of the items, or NULL. */
static char *decode(const char *xml, gsize length, gsize piece, char **ret_fault, GError **error)
{
	g_autoptr(GString) texts = g_string_new(NULL);
	Seen seen = {.texts = texts};
	g_autoptr(GssSoapDecoder) decoder = gss_soap_decoder_new("op", on_item, &seen);
	bool good = true;
	for (gsize at = 0; good && at < length; at += piece)
		good = gss_soap_decoder_feed(decoder, xml + at, MIN(piece, length - at), error);
	if (!good || !gss_soap_decoder_finish(decoder, error))
		return NULL;
	if (ret_fault != NULL)
		*ret_fault = g_strdup(gss_soap_decoder_fault(decoder));
	return g_strdup(texts->str);
}

#define ENVELOPE(body)                                                                    \
	"<S:Envelope xmlns:S=\"http://schemas.xmlsoap.org/soap/envelope/\"><S:Body>" body \
	"</S:Body></S:Envelope>"
#define ANSWER(body) ENVELOPE("<opResponse>" body "</opResponse>")

static void test_decode(void)
{
	static const char *const cases[][2] = {
		{ANSWER("<return>a</return><return>b</return>"), "a;b;"},
		{ANSWER(""), ""},
		{ENVELOPE("<opResponse/>"), ""},
		{ENVELOPE("<n:opResponse xmlns:n='urn:x'><n:return>a</n:return></n:opResponse>"),
	         "a;"},
		{"<?xml version='1.0'?>\n<!-- c --><e:Envelope xmlns:e='u'> <e:Header><x><y/></x>"
	         "</e:Header> <e:Body> <opResponse> <return> a </return> </opResponse> </e:Body> "
	         "</e:Envelope>\n",
	         " a ;"},
		{ANSWER("<return><![CDATA[a<b&c]]>d</return>"), "a<b&cd;"},
		{ANSWER("<return>&#65;&#x1F600;&lt;&amp;&gt;&quot;&apos;</return>"), "A😀<&>\"';"},
		{ANSWER("<return>x<v>y</v><w/>z</return>"), "xzy;"},
		{ANSWER("<return xmlns:i='u' i:nil='true'/>"), "nil;"},
		{ANSWER("<return>a<!-- no -->b<?pi x?></return>"), "ab;"},
		{"<?xml version='1.0' encoding='ISO-8859-1'?>" ANSWER("<return>\xfc</return>"),
	         "ü;"},
	};
	static const gsize pieces[] = {1, 2, 7, 100, 100000};
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		for (guint p = 0; p < G_N_ELEMENTS(pieces); p++) {
			g_autoptr(GError) error = NULL;
			g_autofree char *fault = NULL;
			g_autofree char *texts =
				decode(cases[i][0], strlen(cases[i][0]), pieces[p], &fault, &error);
			g_assert_no_error(error);
			g_assert_null(fault);
			g_assert_cmpstr(texts, ==, cases[i][1]);
		}
	}
}

static void test_decode_faults(void)
{
	static const char *const cases[][2] = {
		{"<S:Fault><faultcode>x</faultcode><faultstring>boo</faultstring></S:Fault>",
	         "boo"},
		{"<S:Fault><faultstring>boo</faultstring><detail><n:IOException xmlns:n='u'>"
	         "<message>why</message></n:IOException></detail></S:Fault>",
	         "why"},
		{"<S:Fault><faultstring>boo</faultstring><detail><E/></detail></S:Fault>", "boo"},
		{"<S:Fault><faultstring>boo</faultstring><detail><E><message/></E></detail></"
	         "S:Fault>",
	         "boo"},
		{"<S:Fault><Code/><Reason><Text>soap 1.2</Text></Reason></S:Fault>", "soap 1.2"},
		{"<S:Fault/>", ""},
	};
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *fault = NULL;
		g_autofree char *xml = g_strdup_printf(ENVELOPE("%s"), cases[i][0]);
		g_autofree char *texts = decode(xml, strlen(xml), 11, &fault, &error);
		g_assert_no_error(error);
		g_assert_cmpstr(texts, ==, "");
		g_assert_cmpstr(fault, ==, cases[i][1]);
	}
}

static void test_decode_refused(void)
{
	static const char *const cases[] = {
		"",
		" ",
		"hello",
		"<html><body>Bad gateway</body></html>",
		"{\"json\": 1}",
		"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]>" ANSWER(
			"<return>&b;</return>"),
		"<!DOCTYPE a SYSTEM 'http://127.0.0.1:1/x.dtd'>" ANSWER(""),
		ANSWER("<return>&unknown;</return>"),
		ANSWER("<return>a</wrong>"),
		ANSWER("<return>&#1;</return>"),
		ANSWER("<return>\x01</return>"),
		ANSWER("<return>\xff\xfe</return>"),
		"<?xml version='1.0' encoding='UTF-16'?>" ANSWER(""),
		"<?xml version='1.0' encoding='no-such'?>" ANSWER("<return>\xfc</return>"),
		ENVELOPE("<otherResponse/>"),
		ENVELOPE("<op/>"),
		ENVELOPE(""),
		ENVELOPE("<opResponse/><opResponse/>"),
		ENVELOPE("<opResponse/><S:Fault/>"),
		"<S:Envelope xmlns:S='u'></S:Envelope>",
		"<S:Envelope xmlns:S='u'><S:Body><opResponse/></S:Body><S:Body/></S:Envelope>",
		ANSWER("") "<trailing/>",
		ANSWER("") "trailing",
	};
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *texts = decode(cases[i], strlen(cases[i]), 13, NULL, &error);
		if (texts != NULL)
			g_test_message("accepted: %s", cases[i]);
		g_assert_null(texts);
		g_assert_error(error, GSS_ERROR, EPROTO);
	}
	/* Cut anywhere it is refused, and nothing crashes. */
	const char *whole = ANSWER("<return a='1'>a&amp;<![CDATA[b]]></return>");
	for (gsize length = 0; length < strlen(whole); length++) {
		g_autoptr(GError) error = NULL;
		g_assert_null(decode(whole, length, 5, NULL, &error));
		g_assert_error(error, GSS_ERROR, EPROTO);
	}
}

static void test_decode_bounds(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GString) deep = g_string_new("<S:Envelope xmlns:S='u'><S:Body><opResponse>");
	for (guint i = 0; i < 100000; i++)
		g_string_append(deep, "<a>");
	g_assert_null(decode(deep->str, deep->len, 4096, NULL, &error));
	g_assert_error(error, GSS_ERROR, EPROTO);
	g_clear_error(&error);

	g_autofree char *filler = g_strnfill(GSS_XML_TEXT_MAX + 1, 'x');
	g_autofree char *text = g_strdup_printf(ANSWER("<return>%s</return>"), filler);
	g_assert_null(decode(text, strlen(text), 4096, NULL, &error));
	g_assert_error(error, GSS_ERROR, EPROTO);
	g_clear_error(&error);
	g_autofree char *attribute = g_strdup_printf(ANSWER("<return a='%s'/>"), filler);
	g_assert_null(decode(attribute, strlen(attribute), 4096, NULL, &error));
	g_assert_error(error, GSS_ERROR, EPROTO);
	g_clear_error(&error);
	g_autofree char *name = g_strdup_printf(ANSWER("<%s/>"), filler);
	g_assert_null(decode(name, strlen(name), 4096, NULL, &error));
	g_assert_error(error, GSS_ERROR, EPROTO);
	g_clear_error(&error);

	g_autoptr(GString) many = g_string_new("<S:Envelope xmlns:S='u'><S:Body><opResponse><r>");
	for (guint i = 0; i <= GSS_XML_NODES_MAX; i++)
		g_string_append(many, "<a/>");
	g_assert_null(decode(many->str, many->len, 65536, NULL, &error));
	g_assert_error(error, GSS_ERROR, EPROTO);
	g_clear_error(&error);

	/* A long listing is one item after the other. */
	g_autoptr(GString) list = g_string_new("<S:Envelope xmlns:S='u'><S:Body><opResponse>");
	for (guint i = 0; i < 10000; i++)
		g_string_append(list, "<return><v>x</v></return>");
	g_string_append(list, "</opResponse></S:Body></S:Envelope>");
	g_autofree char *texts = decode(list->str, list->len, 65536, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(strlen(texts), ==, 20000);
}

#define SCHEMA(attributes, body)                                                  \
	"<definitions xmlns='http://schemas.xmlsoap.org/wsdl/'><types>"           \
	"<xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema' xmlns:t='urn:i' " \
	"targetNamespace='urn:i' " attributes ">" body "</xs:schema></types></definitions>"

static GssWsdl *read_wsdl(const char *text, GPtrArray *imports, GError **error)
{
	g_autoptr(GssWsdl) wsdl = gss_wsdl_new();
	g_autoptr(GBytes) bytes = g_bytes_new_static(text, strlen(text));
	return gss_wsdl_add(wsdl, bytes, imports, error) ? g_steal_pointer(&wsdl) : NULL;
}

static void test_wsdl(void)
{
	static const struct {
		const char *text;
		const char *expected; /* "ns: name+ name-", + qualified */
	} cases[] = {
		{SCHEMA("", "<xs:element name='op' type='t:op'/><xs:complexType name='op'>"
	                    "<xs:sequence><xs:element name='a' type='xs:string'/>"
	                    "<xs:element name='b' form='qualified' type='xs:string'/>"
	                    "</xs:sequence></xs:complexType>"),
	         "urn:i: a- b+"},
		{SCHEMA("elementFormDefault='qualified'",
	                "<xs:complexType name='op'><xs:sequence><xs:element name='b'/>"
	                "<xs:element name='a' form='unqualified'/></xs:sequence></xs:complexType>"
	                "<xs:element name='op' type='t:op'/>"),
	         "urn:i: b+ a-"},
		{SCHEMA("", "<xs:element name='op'><xs:complexType><xs:sequence>"
	                    "<xs:element ref='t:a'/></xs:sequence></xs:complexType></xs:element>"),
	         "urn:i: a+"},
		{SCHEMA("", "<xs:element name='op' type='t:two'/><xs:complexType name='one'>"
	                    "<xs:sequence><xs:element name='a'/></xs:sequence></xs:complexType>"
	                    "<xs:complexType name='two'><xs:complexContent>"
	                    "<xs:extension base='t:one'><xs:sequence><xs:element name='b'/>"
	                    "</xs:sequence></xs:extension></xs:complexContent></xs:complexType>"),
	         "urn:i: a- b-"},
		{SCHEMA("", "<xs:element name='op'><xs:complexType/></xs:element>"), "urn:i:"},
		{SCHEMA("", "<xs:element name='op' type='t:op'/><xs:complexType name='op'>"
	                    "<xs:complexContent><xs:extension base='t:op'/></xs:complexContent>"
	                    "</xs:complexType>"),
	         NULL},
		{SCHEMA("", "<xs:element name='op' type='t:none'/>"), NULL},
		{SCHEMA("", "<xs:element name='other'/>"), NULL},
		{SCHEMA("", "<xs:element name='op'><xs:complexType><xs:sequence>"
	                    "<xs:element name='a b&gt;'/></xs:sequence></xs:complexType>"
	                    "</xs:element>"),
	         NULL},
	};
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(GPtrArray) imports = g_ptr_array_new_with_free_func(g_free);
		g_autoptr(GssWsdl) wsdl = read_wsdl(cases[i].text, imports, &error);
		g_assert_no_error(error);
		g_autoptr(GssWsdlRequest) request = gss_wsdl_request(wsdl, "op", &error);
		if (cases[i].expected == NULL) {
			g_assert_error(error, GSS_ERROR, EPROTO);
			continue;
		}
		g_assert_no_error(error);
		g_autoptr(GString) text = g_string_new(request->ns);
		g_string_append_c(text, ':');
		for (guint p = 0; p < request->names->len; p++)
			g_string_append_printf(text, " %s%c", (char *)request->names->pdata[p],
			                       g_array_index(request->qualified, bool, p) ? '+'
			                                                                  : '-');
		g_assert_cmpstr(text->str, ==, cases[i].expected);
	}
}

static void test_wsdl_imports(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) imports = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GssWsdl) wsdl =
		read_wsdl("<definitions><types><schema><import namespace='urn:i' "
	                  "schemaLocation='https://inner/x?xsd=1&amp;y=2'/></schema><schema>"
	                  "<include schemaLocation='b.xsd'/></schema></types>"
	                  "<import location='c.wsdl'/></definitions>",
	                  imports, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(imports->len, ==, 3);
	g_assert_cmpstr(imports->pdata[0], ==, "https://inner/x?xsd=1&y=2");
	const char *text = "<schema targetNamespace='urn:i'><element "
			   "name='op'><complexType/></element></schema>";
	g_autoptr(GBytes) schema = g_bytes_new_static(text, strlen(text));
	g_assert_true(gss_wsdl_add(wsdl, schema, imports, &error));
	g_autoptr(GssWsdlRequest) request = gss_wsdl_request(wsdl, "op", &error);
	g_assert_no_error(error);
	g_assert_cmpstr(request->ns, ==, "urn:i");
	g_assert_null(read_wsdl("<html/>", imports, &error));
	g_assert_error(error, GSS_ERROR, EPROTO);
	g_clear_error(&error);
	g_assert_null(read_wsdl("<!DOCTYPE x><definitions/>", imports, &error));
	g_assert_error(error, GSS_ERROR, EPROTO);
	g_clear_error(&error);
	for (guint i = 0; i < GSS_WSDL_DOCUMENTS_MAX; i++)
		gss_wsdl_add(wsdl, schema, imports, NULL);
	g_assert_false(gss_wsdl_add(wsdl, schema, imports, &error));
	g_assert_error(error, GSS_ERROR, EPROTO);
}

/* Types that extend each other many times over: a few kilobytes, and no end in sight. */
static void test_wsdl_bounds(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) imports = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GString) text = g_string_new("<schema><element name='op' type='t0'/>");
	for (guint i = 0; i < 8; i++) {
		g_string_append_printf(text, "<complexType name='t%u'>", i);
		for (guint k = 0; k < 50; k++)
			g_string_append_printf(text, "<extension base='t%u'/>", i + 1);
		g_string_append(text, "</complexType>");
	}
	g_string_append(text, "<complexType name='t8'/></schema>");
	g_autoptr(GssWsdl) wsdl = read_wsdl(text->str, imports, &error);
	g_assert_no_error(error);
	g_assert_null(gss_wsdl_request(wsdl, "op", &error));
	g_assert_error(error, GSS_ERROR, EPROTO);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	protocol_dir = g_getenv("GSSFS_PROTOCOL_DIR");
	if (protocol_dir == NULL)
		protocol_dir = PROTOCOL_DIR;
	xmlInitParser();
	xmlSetGenericErrorFunc(NULL, silent);
	g_test_add_func("/gss/soap/encode", test_encode);
	g_test_add_func("/gss/soap/encode-refused", test_encode_refused);
	g_test_add_func("/gss/soap/decode", test_decode);
	g_test_add_func("/gss/soap/decode-faults", test_decode_faults);
	g_test_add_func("/gss/soap/decode-refused", test_decode_refused);
	g_test_add_func("/gss/soap/decode-bounds", test_decode_bounds);
	g_test_add_func("/gss/soap/wsdl", test_wsdl);
	g_test_add_func("/gss/soap/wsdl-imports", test_wsdl_imports);
	g_test_add_func("/gss/soap/wsdl-bounds", test_wsdl_bounds);
	int result = g_test_run();
	xmlSchemaCleanupTypes();
	xmlCleanupParser();
	return result;
}
