/* wsdl.h - the WSDL and the schema of a service, written from its tables. */
#pragma once

#include "soap.h"

/* `base` is the URL of the endpoint; for the WSDL also that of the schema it imports, with ?xsd=1.
 * In the spyne dialect the WSDL holds the schema itself. */
char *gl_wsdl_write(const GlService *service, const GlSettings *settings, const char *base);
char *gl_wsdl_write_schema(const GlService *service, const GlSettings *settings);
