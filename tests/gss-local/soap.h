/* soap.h - SOAP 1.1, document/literal wrapped: requests to calls, results to answers.
 *
 * A service is described by tables, from which both its WSDL (wsdl.h) and the reading of its
 * requests follow. Requests are read strictly (namespace, qualification, order, unknown elements):
 * this is the peer of the client's tests.
 *
 * Errors are faults, HTTP 500, whose detail is an IOException with a message (not so in the spyne
 * dialect, which has no detail).
 */
#pragma once

#include "http.h"

typedef struct GlCall GlCall;

typedef enum {
	GL_FORM_QUALIFIED_REQUESTS, /* children of requests qualified, of responses not */
	GL_FORM_UNQUALIFIED,        /* neither */
	GL_FORM_SPYNE, /* all; results named after the operation, lists in an array type */
} GlForm;

typedef struct {
	const char *name;
	const char *type; /* "xs:...", else a type of the service */
	bool required;
	bool many;
} GlField;

typedef struct {
	const char *name;
	const GlField *fields; /* to name NULL */
} GlType;

typedef struct {
	const char *name;
	const GlField *parameters; /* strings, in the documented order, to name NULL */
	GlField result;            /* name unused */
	void (*run)(GlCall *call);
} GlOperation;

typedef struct {
	const char *name;   /* FileUtilities */
	const char *prefix; /* of its counters */
	const char *target; /* namespace */
	GlForm form;
	const GlType *types; /* to name NULL; in the order in which they may be declared */
	const GlOperation *operations; /* to name NULL */
} GlService;

/* What a path serves. */
typedef struct {
	const char *path;
	/* The service as the settings have it at this moment. */
	const GlService *(*service)(const GlSettings *settings);
	guint index; /* Images: of the cluster */
} GlPort;

struct GlCall {
	GlRequest *request;
	const GlPort *port;
	const GlService *service;
	const GlOperation *operation;
	const char *arguments[4]; /* in the documented order; "" when left out */
	GString *out;             /* the answer so far */
	GlIdentity identity;      /* set by gl_call_authenticate() */
	bool answered;
};

/* `subject` of the route is a GlPort. */
extern const GlHandler gl_soap_handler;

/* The parameters of an operation in the order that the schema demands now; `ret` has room for 4.
 * Returns their number. */
guint gl_soap_order(const GlService *service, const GlOperation *operation,
                    const GlSettings *settings, guint ret[4]);

/* Checks the token; false: the fault is given. */
bool gl_call_authenticate(GlCall *call, const char *token);
/* Ends the call. */
void gl_call_fault(GlCall *call, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* The result of a call that returns a simple value. */
void gl_call_return(GlCall *call, const char *value);
/* One element of a result that is a structure, or one entry of a list of them; in between, fields.
 */
void gl_call_item_begin(GlCall *call, GString *out);
void gl_call_item_end(GlCall *call, GString *out);
void gl_call_field(GlCall *call, GString *out, const char *name, const char *value);
/* The rest of the answer comes piece by piece. Nothing else may be done with the call then; the
 * source must not use it. Takes `data`. */
void gl_call_stream(GlCall *call, GlReplySource source, gpointer data, GDestroyNotify free_data);
