#include "fs/field.h"

#include <stdbool.h>
#include <string.h>

/* The bytes of a control character at the begin of valid UTF-8; 0: it is none. */
static guint control(const char *p)
{
	const guchar *bytes = (const guchar *)p;

	if (bytes[0] < ' ' || bytes[0] == 0x7f)
		return 1;
	return bytes[0] == 0xc2 && bytes[1] < 0xa0 ? 2 : 0;
}

void fs_field_escape(GString *line, const char *text, const char *also)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);
	guint left = 0;

	for (const char *p = valid; *p != '\0'; p++) {
		left = left > 0 ? left - 1 : 0;
		left = left > 0 ? left : control(p);
		if (left > 0 || strchr(also, *p) != NULL)
			g_string_append_printf(line, "\\%03o", (guchar)*p);
		else
			g_string_append_c(line, *p);
	}
}

static void part(GString *line)
{
	if (line->len > 0 && line->str[line->len - 1] != '\n')
		g_string_append_c(line, '\t');
}

void fs_field_text(GString *line, const char *text)
{
	part(line);
	if (text == NULL || *text == '\0') {
		g_string_append_c(line, '-');
		return;
	}
	fs_field_escape(line, text, "\\");
}

void fs_field_number(GString *line, guint64 number)
{
	part(line);
	g_string_append_printf(line, "%" G_GUINT64_FORMAT, number);
}

void fs_field_time(GString *line, gint64 seconds)
{
	g_autoptr(GDateTime) time = seconds > 0 ? g_date_time_new_from_unix_utc(seconds) : NULL;
	g_autofree char *shown =
		time != NULL ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ") : NULL;

	fs_field_text(line, shown);
}

static bool is_octal(const char *p)
{
	for (guint i = 0; i < 3; i++) {
		if (p[i] < '0' || p[i] > (i == 0 ? '3' : '7'))
			return false;
	}
	return true;
}

char *fs_field_unescape(const char *field)
{
	GString *text = g_string_new(NULL);

	for (const char *p = field; *p != '\0'; p++) {
		if (*p == '\\' && is_octal(p + 1)) {
			g_string_append_c(
				text, (char)((p[1] - '0') * 64 + (p[2] - '0') * 8 + (p[3] - '0')));
			p += 3;
		} else {
			g_string_append_c(text, *p);
		}
	}
	return g_string_free(text, FALSE);
}
