/* gss/url.c - see gss/url.h. */
#include "gss/url.h"

#include "gss/error-private.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <string.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(CURLU, curl_url_cleanup)

void gss_url_clear(GssUrl *url)
{
	g_clear_pointer(&url->url, g_free);
	g_clear_pointer(&url->scheme, g_free);
	g_clear_pointer(&url->host, g_free);
	g_clear_pointer(&url->port, g_free);
}

static char *part(CURLU *parsed, CURLUPart which, unsigned int flags)
{
	char *text = NULL;
	if (curl_url_get(parsed, which, &text, flags) != CURLUE_OK)
		return NULL;
	char *copy = g_strdup(text);
	curl_free(text);
	return copy;
}

static bool is_loopback(const char *host)
{
	/* libcurl gives localhost the loopback addresses without asking a name server. */
	if (g_ascii_strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
		return true;
	struct in_addr address;
	return inet_pton(AF_INET, host, &address) == 1 && (ntohl(address.s_addr) >> 24) == 127;
}

static bool has_control(const char *text)
{
	for (const guchar *p = (const guchar *)text; *p != '\0'; p++) {
		if (*p < 0x20 || *p == 0x7f)
			return true;
	}
	return false;
}

/* For messages: without what may be a secret, before the host and after the path. */
static char *show(const char *text)
{
	const char *query = text + strcspn(text, "?#");
	const char *authority = g_strstr_len(text, query - text, "://");
	authority = authority != NULL ? authority + 3 : text;
	const char *host = g_strrstr_len(authority, query - authority, "@");
	g_autoptr(GString) shown = g_string_new_len(text, authority - text);
	if (host != NULL)
		g_string_append(shown, "…");
	else
		host = authority;
	g_string_append_len(shown, host, query - host);
	if (*query != '\0')
		g_string_append_printf(shown, "%c…", *query);
	return gss_quote(shown->str, (gssize)shown->len, NULL);
}

static bool refuse(const char *text, int code, const char *why, GError **error)
{
	g_autofree char *shown = show(text);
	return gss_fail(error, code, "URL “%s” %s", shown, why);
}

bool gss_url_parse(GssUrl *ret, const char *text, bool allow_http, int code, GError **error)
{
	if (strlen(text) > GSS_URL_MAX)
		return gss_fail(error, code, "URL is longer than %d bytes", GSS_URL_MAX);
	if (has_control(text))
		return refuse(text, code, "has a control character", error);
	g_autoptr(CURLU) parsed = curl_url();
	if (parsed == NULL)
		g_error("out of memory");
	CURLUcode result = curl_url_set(parsed, CURLUPART_URL, text,
	                                CURLU_NON_SUPPORT_SCHEME | CURLU_PATH_AS_IS);
	if (result != CURLUE_OK) {
		g_autofree char *shown = show(text);
		return gss_fail(error, code, "“%s” is no URL: %s", shown,
		                curl_url_strerror(result));
	}
	const char *authority = strstr(text, "://");
	g_autofree char *scheme = part(parsed, CURLUPART_SCHEME, 0);
	if (scheme == NULL || authority == NULL ||
	    (g_ascii_strcasecmp(scheme, "https") != 0 && g_ascii_strcasecmp(scheme, "http") != 0))
		return refuse(text, code, "is neither https nor http", error);
	g_autofree char *user = part(parsed, CURLUPART_USER, 0);
	g_autofree char *password = part(parsed, CURLUPART_PASSWORD, 0);
	if (user != NULL || password != NULL)
		return gss_fail(error, code, "a %s URL has a user name or password in it", scheme);
	g_autofree char *host = part(parsed, CURLUPART_HOST, 0);
	g_autofree char *port = part(parsed, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	/* libcurl takes one slash too many or too few for a slip of the pen. */
	if (authority[3] == '/' || host == NULL || *host == '\0' || port == NULL)
		return refuse(text, code, "names no host", error);
	bool loopback = is_loopback(host);
	if (g_ascii_strcasecmp(scheme, "http") == 0 && !loopback && !allow_http)
		return refuse(text, code,
		              "would send secrets without encryption (http to another machine); "
		              "use https, or allow_http",
		              error);
	gss_url_clear(ret);
	*ret = (GssUrl){.url = g_strdup(text),
	                .scheme = g_ascii_strdown(scheme, -1),
	                .host = g_ascii_strdown(host, -1),
	                .port = g_steal_pointer(&port),
	                .loopback = loopback};
	return true;
}

void gss_url_copy(GssUrl *to, const GssUrl *from)
{
	gss_url_clear(to);
	*to = (GssUrl){.url = g_strdup(from->url),
	               .scheme = g_strdup(from->scheme),
	               .host = g_strdup(from->host),
	               .port = g_strdup(from->port),
	               .loopback = from->loopback};
}

bool gss_url_same_origin(const GssUrl *a, const GssUrl *b)
{
	return strcmp(a->scheme, b->scheme) == 0 && strcmp(a->host, b->host) == 0 &&
	       strcmp(a->port, b->port) == 0;
}

static bool is_escape(const char *p)
{
	return p[0] == '%' && g_ascii_isxdigit(p[1]) && g_ascii_isxdigit(p[2]);
}

static bool is_unreserved(guchar c)
{
	return g_ascii_isalnum(c) || (c != '\0' && strchr("-._~", c) != NULL);
}

/* May stand in the path or query of a URL as it is. */
static bool is_legal(const char *p)
{
	guchar c = (guchar)*p;
	return is_unreserved(c) || strchr("!$&'()*+,;=:@/?", c) != NULL || is_escape(p);
}

static bool came_raw(const char *text, const char *location, const char *name)
{
	if (location == NULL || *location == '\0' || !g_str_has_suffix(text, location))
		return false;
	for (const char *p = location; *p != '\0'; p++) {
		if (!is_legal(p) || *p == '?')
			return true;
	}
	if (name == NULL || !g_str_has_suffix(location, name))
		return false;
	for (const char *p = name; *p != '\0'; p++) {
		if (is_escape(p))
			return true;
	}
	return false;
}

char *gss_url_encode(const char *text, const char *location, const char *name)
{
	gsize length = strlen(text);
	gsize raw_from = came_raw(text, location, name) ? length - strlen(location) : length;
	const char *authority = strstr(text, "://");
	authority = authority != NULL ? authority + 3 : text;
	gsize path_from = (gsize)(authority - text) + strcspn(authority, "/?#");

	/* Where none are expected they stay, so that gss_url_parse() refuses them. */
	bool controls = location != NULL && has_control(location);

	GString *encoded = g_string_sized_new(length + 32);
	for (gsize i = 0; i < length; i++) {
		guchar c = (guchar)text[i];
		bool keep = true;
		if (i >= raw_from && i >= path_from)
			keep = is_unreserved(c) || c == '/';
		else if (i >= path_from)
			keep = is_legal(text + i) || (!controls && (c < 0x20 || c == 0x7f));
		if (keep)
			g_string_append_c(encoded, (char)c);
		else
			g_string_append_printf(encoded, "%%%02X", c);
	}
	return g_string_free(encoded, FALSE);
}

char *gss_url_endpoint(const char *wsdl_url)
{
	return g_strndup(wsdl_url, strcspn(wsdl_url, "?#"));
}

char *gss_url_import(const char *wsdl_url, const char *location)
{
	g_autoptr(CURLU) own = curl_url();
	g_autoptr(CURLU) named = curl_url();
	if (own == NULL || named == NULL)
		g_error("out of memory");
	if (has_control(location) || curl_url_set(own, CURLUPART_URL, wsdl_url, 0) != CURLUE_OK ||
	    curl_url_set(named, CURLUPART_URL, wsdl_url, 0) != CURLUE_OK ||
	    /* An absolute location replaces, a relative one is resolved. */
	    curl_url_set(named, CURLUPART_URL, location, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
		return NULL;
	g_autofree char *own_host = part(own, CURLUPART_HOST, 0);
	g_autofree char *own_port = part(own, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	g_autofree char *named_scheme = part(named, CURLUPART_SCHEME, 0);
	g_autofree char *named_host = part(named, CURLUPART_HOST, 0);
	g_autofree char *named_port = part(named, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	g_autofree char *own_scheme = part(own, CURLUPART_SCHEME, 0);
	if (g_strcmp0(own_host, named_host) == 0 && g_strcmp0(own_port, named_port) == 0 &&
	    g_strcmp0(own_scheme, named_scheme) == 0)
		return part(named, CURLUPART_URL, 0);

	/* An internal address: its query at our own address; without one, its file beside ours. */
	g_autofree char *query = part(named, CURLUPART_QUERY, 0);
	g_autofree char *path = part(named, CURLUPART_PATH, 0);
	g_autofree char *base = path != NULL ? g_path_get_basename(path) : NULL;
	if (query == NULL && base == NULL)
		return NULL;
	g_autofree char *relative =
		query != NULL ? g_strconcat("?", query, NULL) : g_strconcat("./", base, NULL);
	g_autofree char *endpoint = gss_url_endpoint(wsdl_url);
	if (query != NULL)
		return g_strconcat(endpoint, relative, NULL);
	if (curl_url_set(own, CURLUPART_URL, relative, 0) != CURLUE_OK)
		return NULL;
	return part(own, CURLUPART_URL, 0);
}
