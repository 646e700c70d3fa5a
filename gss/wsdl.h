/* gss/wsdl.h - what a WSDL and its schemas say about the requests of a service.
 *
 * Pure: documents are fed in by the caller, who also fetches what they import. Matched by local
 * names. A global element names an operation's request; its children, in their order, are the
 * parameters.
 */
#pragma once

#include "gss/soap.h"

#define GSS_WSDL_DOCUMENTS_MAX 16
#define GSS_WSDL_DOCUMENT_MAX (4 * 1024 * 1024) /* bytes */
#define GSS_WSDL_PARAMETERS_MAX 16

typedef struct GssWsdl GssWsdl;

GssWsdl *gss_wsdl_new(void);
void gss_wsdl_free(GssWsdl *wsdl);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GssWsdl, gss_wsdl_free)

/* Reads one document: a WSDL or a schema, and keeps what it says. `imports` gets the locations that
 * it refers to (char, as they stand). EPROTO. */
bool gss_wsdl_add(GssWsdl *wsdl, GBytes *document, GPtrArray *imports, GError **error);

typedef struct {
	char *ns;          /* of the request element */
	GPtrArray *names;  /* char, of the parameters */
	GArray *qualified; /* bool, one a parameter */
} GssWsdlRequest;
void gss_wsdl_request_free(GssWsdlRequest *request);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GssWsdlRequest, gss_wsdl_request_free)

/* The request of `operation`. EPROTO when the documents don't describe it. */
GssWsdlRequest *gss_wsdl_request(const GssWsdl *wsdl, const char *operation, GError **error);
