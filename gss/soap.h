/* gss/soap.h - SOAP 1.1, document/literal wrapped: requests to bytes, bytes to answers.
 *
 * Pure: no network, no clock. Source: the published WSDL and XSD files of the platform. Requests
 * follow the namespaces they are given; answers are matched by local name.
 */
#pragma once

#include "gss/xml.h"

/* One argument of a call, in the order of the schema. */
typedef struct {
	const char *name;
	const char *value; /* NULL: the session token goes here */
	bool unqualified;  /* form="unqualified" */
} GssSoapParameter;

/* The request `operation` of the namespace `ns` with `token` at its place. The bytes are wiped when
 * they are freed. EINVAL when a value has characters that XML cannot hold. */
GBytes *gss_soap_encode(const char *ns, const char *operation, const GssSoapParameter *parameters,
                        guint n_parameters, const char *token, GError **error);

/* Gets each child of the response element; `item` belongs to the decoder. */
typedef bool (*GssSoapItem)(const GssXmlNode *item, void *data, GError **error);

typedef struct GssSoapDecoder GssSoapDecoder;

/* Reads the answer to `operation`: <operationResponse>, or a fault. `item` may be NULL. */
GssSoapDecoder *gss_soap_decoder_new(const char *operation, GssSoapItem item, void *data);
void gss_soap_decoder_free(GssSoapDecoder *decoder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GssSoapDecoder, gss_soap_decoder_free)

/* False: EPROTO, or what `item` said. */
bool gss_soap_decoder_feed(GssSoapDecoder *decoder, const void *bytes, gsize length,
                           GError **error);
bool gss_soap_decoder_finish(GssSoapDecoder *decoder, GError **error);

/* The message of the fault as it came (never shown unquoted), NULL when the answer was none. */
const char *gss_soap_decoder_fault(const GssSoapDecoder *decoder);
