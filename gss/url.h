/* gss/url.h - http(s) URLs: configured ones, and those that services hand out.
 *
 * Pure functions, any thread. `code` is the errno of a refusal: EINVAL for what the user
 * configured, EPROTO for what a service said.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define GSS_URL_MAX 16384 /* bytes; longer ones are refused */

/* A URL taken apart; all strings lower case where that has no meaning, port never empty. */
typedef struct {
	char *url; /* fit to be sent */
	char *scheme;
	char *host; /* IPv6 in brackets */
	char *port;
	bool loopback;
} GssUrl;
void gss_url_clear(GssUrl *url);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GssUrl, gss_url_clear)

/* Takes `text` apart. Refuses all schemes but https, and http where the host is not this machine
 * unless `allow_http`; user names and passwords in it; control characters. */
bool gss_url_parse(GssUrl *ret, const char *text, bool allow_http, int code, GError **error);

void gss_url_copy(GssUrl *to, const GssUrl *from);
bool gss_url_same_origin(const GssUrl *a, const GssUrl *b);

/* Encodes what may not stand in a URL and leaves %XX alone; '#' is encoded too, since an address of
 * a request has no fragment. Control characters only where `location` has some, and never in the
 * host: gss_url_parse() refuses them.
 *
 * A URL that came raw is ambiguous where a name has '?' or '%': it is told from an encoded one by
 * the resource it belongs to. When it ends with `location` (the GSS URI after "://", may be NULL)
 * letter by letter, although that has characters which an encoded URL cannot have there (or `name`,
 * what the resource is called, has a %XX of its own), then it is raw, and all of the location is
 * encoded. */
char *gss_url_encode(const char *text, const char *location, const char *name);

/* The SOAP endpoint of a WSDL URL: the same without its query. */
char *gss_url_endpoint(const char *wsdl_url);

/* Where the schema (or WSDL part) `location`, named by the document at `wsdl_url`, is fetched:
 * relative to it; from the host of `wsdl_url` in any case, since `location` often names an internal
 * host. NULL when it is no URL. */
char *gss_url_import(const char *wsdl_url, const char *location);
