/* gss/client-private.h - the client as its own files see it. Fields belong to gss-net unless said
 * otherwise. */
#pragma once

#include "gss/call.h"
#include "gss/client.h"
#include "gss/http.h"
#include "gss/session.h"
#include "gss/stat-private.h"

#define GSS_NAMESPACE "http://gss.sintef.no/"
#define GSS_AUTH_NAMESPACE "http://authmanager.sintef.no/"

struct GssClient {
	GssHttp *http; /* any thread; constant, as the next four */
	char *auth_endpoint;
	char *gss_endpoint;
	bool allow_http;
	GssClientOptions options; /* for load_credentials; its strings are NULL */
	char *project;            /* of tokens; NULL: any */
	GssSession *session;
	GMutex status_lock;
	GssSessionStatus status; /* guarded by status_lock, as is the next */
	bool unreachable;        /* the last call did not get through */
	GQueue calls;            /* running GssCall, by their link */
	bool closing;
	GssStorages *storages;
};
