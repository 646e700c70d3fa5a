#include "text.h"

#include <string.h>
#include <time.h>

bool gl_text_name_valid(const char *name)
{
	gsize length = strlen(name);

	if (length == 0 || length > 255 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	for (const char *c = name; *c != '\0'; c++)
		if (((guchar)*c < 0x20 && strchr("\t\n\r", *c) == NULL) || *c == '/')
			return false;
	return g_utf8_validate(name, (gssize)length, NULL);
}

char *gl_text_escape_segment(const char *name, bool raw)
{
	if (!raw)
		return g_uri_escape_string(name, NULL, FALSE);

	GString *out = g_string_new(NULL);
	for (const char *c = name; *c != '\0'; c++) {
		if (strchr("%?#", *c) != NULL)
			g_string_append_printf(out, "%%%02X", (guchar)*c);
		else
			g_string_append_c(out, *c);
	}
	return g_string_free(out, FALSE);
}

void gl_text_append_xml(GString *out, const char *text)
{
	/* Most have nothing to escape, and listings consist of them. */
	bool plain = strpbrk(text, "&<>\"'") == NULL;
	for (const char *c = text; plain && *c != '\0'; c++)
		plain = (guchar)*c >= 0x20 && (guchar)*c < 0x7f;
	g_autofree char *escaped = plain ? NULL : g_markup_escape_text(text, -1);
	g_auto(GStrv) lines = plain ? NULL : g_strsplit(escaped, "\r", -1);
	g_autofree char *joined = plain ? NULL : g_strjoinv("&#13;", lines);
	g_string_append(out, plain ? text : joined);
}

void gl_text_append_json(GString *out, const char *text)
{
	g_string_append_c(out, '"');
	const char *from = text;
	for (const char *c = text; *c != '\0'; c++) {
		bool control = (guchar)*c < 0x20;
		if (!control && *c != '"' && *c != '\\')
			continue;
		g_string_append_len(out, from, c - from);
		from = c + 1;
		g_string_append_printf(out, control ? "\\u%04x" : "\\%c", (guchar)*c);
	}
	g_string_append(out, from);
	g_string_append_c(out, '"');
}

/* The process never leaves the C locale, so the names of days and months are the English ones. */
char *gl_text_http_date(gint64 seconds)
{
	time_t when = (time_t)seconds;
	struct tm parts;
	char buffer[64] = "";

	if (gmtime_r(&when, &parts) == NULL ||
	    strftime(buffer, sizeof(buffer), "%a, %d %b %Y %H:%M:%S GMT", &parts) == 0)
		buffer[0] = '\0';
	return g_strdup(buffer);
}

char *gl_text_iso_date(gint64 seconds)
{
	time_t when = (time_t)seconds;
	struct tm parts;
	char buffer[64] = "";

	if (gmtime_r(&when, &parts) == NULL ||
	    strftime(buffer, sizeof(buffer), "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
		buffer[0] = '\0';
	return g_strdup(buffer);
}

gint64 gl_text_parse_http_date(const char *text)
{
	struct tm parts = {0};
	const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &parts);

	if (end == NULL || *end != '\0')
		return -1;
	return timegm(&parts);
}
