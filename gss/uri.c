/* gss/uri.c - see gss/uri.h. */
#include "gss/uri.h"

#include "gss/error-private.h"

#include <errno.h>
#include <string.h>

/* Whatever XML 1.0 can carry. */
static bool text_check(const char *text, const char *what, GError **error)
{
	if (!g_utf8_validate(text, -1, NULL))
		return gss_fail(error, EINVAL, "%s is not valid UTF-8", what);
	for (const char *p = text; *p != '\0'; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);
		if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0xFFFE || c == 0xFFFF)
			return gss_fail(error, EINVAL,
			                "%s has a character that cannot be sent "
			                "(U+%04X)",
			                what, c);
	}
	return true;
}

/* The length of the backend, 0 when `uri` does not begin with `<backend>://`. */
static gsize backend_length(const char *uri)
{
	gsize length = strspn(uri, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	                           "_.+-");
	return strncmp(uri + length, "://", 3) == 0 ? length : 0;
}

bool gss_uri_check(const char *uri, GError **error)
{
	if (strlen(uri) > GSS_URI_MAX)
		return gss_fail(error, EINVAL, "GSS URI is longer than %d bytes", GSS_URI_MAX);
	if (backend_length(uri) == 0) {
		g_autofree char *shown = gss_quote(uri, -1, NULL);
		return gss_fail(error, EINVAL, "“%s” is no GSS URI (storage://place)", shown);
	}
	return text_check(uri, "GSS URI", error);
}

char *gss_uri_backend(const char *uri)
{
	gsize length = backend_length(uri);
	return length > 0 ? g_strndup(uri, length) : NULL;
}

char *gss_uri_child(const char *parent, const char *name)
{
	return g_strconcat(parent, g_str_has_suffix(parent, "/") ? "" : "/", name, NULL);
}

bool gss_name_check(const char *name, GError **error)
{
	if (*name == '\0')
		return gss_fail(error, EINVAL, "name is empty");
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return gss_fail(error, EINVAL, "name is “%s”", name);
	if (strlen(name) > GSS_NAME_MAX)
		return gss_fail(error, ENAMETOOLONG, "name is longer than %d bytes", GSS_NAME_MAX);
	if (strchr(name, '/') != NULL)
		return gss_fail(error, EINVAL, "name has a slash");
	return text_check(name, "name", error);
}
