/* fuzz-soap.c - a SOAP answer, through the decoder and into resources whose requests are then
 * prepared. The first byte says how large the pieces are that it arrives in. */
#include "fuzz.h"

#include "gss/error.h"
#include "gss/resource-private.h"
#include "gss/soap.h"
#include "gss/uri.h"

static bool on_item(const GssXmlNode *item, void *data, GError **error)
{
	g_autoptr(GssResource) resource = gss_resource_decode(item, NULL, 1, NULL, error);
	if (resource == NULL)
		return false;
	gss_name_check(gss_resource_name(resource), NULL);
	for (guint verb = 0; verb < GSS_VERBS; verb++) {
		g_auto(GssPrepared) prepared = {0};
		g_autoptr(GError) refused = NULL;
		if (gss_resource_prepare(resource, verb, "TOKEN", verb % 2 == 0, &prepared,
		                         &refused))
			g_assert_nonnull(prepared.url.host);
		else
			g_assert_true(refused->domain == GSS_ERROR);
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	if (length == 0)
		return 0;
	gsize piece = 1 + (gsize)bytes[0] * 4;
	g_autoptr(GError) error = NULL;
	g_autoptr(GssSoapDecoder) decoder = gss_soap_decoder_new("listFiles", on_item, NULL);
	bool good = true;
	for (gsize at = 1; good && at < length; at += piece)
		good = gss_soap_decoder_feed(decoder, bytes + at, MIN(piece, length - at), &error);
	if (good)
		good = gss_soap_decoder_finish(decoder, &error);
	g_assert_true(good == (error == NULL));
	if (good)
		gss_soap_decoder_fault(decoder);
	return 0;
}
