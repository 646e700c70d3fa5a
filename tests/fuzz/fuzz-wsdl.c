/* fuzz-wsdl.c - a WSDL, what it imports, and a request made of what it says. */
#include "fuzz.h"

#include "gss/url.h"
#include "gss/wsdl.h"

static void encode(const GssWsdlRequest *request)
{
	GssSoapParameter parameters[GSS_WSDL_PARAMETERS_MAX] = {0};
	for (guint i = 0; i < request->names->len; i++)
		parameters[i] = (GssSoapParameter){
			.name = request->names->pdata[i],
			.value = "a&b",
			.unqualified = !g_array_index(request->qualified, bool, i)};
	g_autoptr(GBytes) body = gss_soap_encode(request->ns, "registerImage", parameters,
	                                         request->names->len, "TOKEN", NULL);
	if (body == NULL)
		return;
	/* Whatever the names were: what is sent is XML. */
	GssXmlNode *root = gss_xml_parse(body, NULL);
	g_assert_nonnull(root);
	gss_xml_node_free(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	g_autoptr(GPtrArray) imports = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GssWsdl) wsdl = gss_wsdl_new();
	g_autoptr(GBytes) document = g_bytes_new(bytes, length);
	if (!gss_wsdl_add(wsdl, document, imports, NULL))
		return 0;
	for (guint i = 0; i < imports->len; i++)
		g_free(gss_url_import("https://api.example.org/images/Images?wsdl",
		                      imports->pdata[i]));
	g_autoptr(GssWsdlRequest) request = gss_wsdl_request(wsdl, "registerImage", NULL);
	if (request != NULL)
		encode(request);
	return 0;
}
