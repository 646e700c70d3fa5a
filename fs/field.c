#include "fs/field.h"

#include <stdbool.h>

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
	g_autofree char *valid = g_utf8_make_valid(text, -1);
	for (const char *p = valid; *p != '\0'; p++) {
		guchar byte = (guchar)*p;
		if (byte < ' ' || byte == 0x7f || byte == '\\')
			g_string_append_printf(line, "\\%03o", byte);
		else
			g_string_append_c(line, *p);
	}
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
