#include "fs/ctl/text.h"

#include <string.h>

#define ELLIPSIS "…"
#define GAP "  "

/* Letters that would make what stands after them read from right to left. */
static bool turns(gunichar c)
{
	return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e ||
	       c == 0x200f || c == 0x061c;
}

char *ctl_text_safe(const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);
	GString *safe = g_string_sized_new(strlen(valid));

	for (const char *p = valid; *p != '\0'; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);
		if (c < ' ' || (c >= 0x7f && c < 0xa0))
			g_string_append_printf(safe, "\\%03o", c);
		else if (!turns(c))
			g_string_append_unichar(safe, c);
	}
	return g_string_free(safe, FALSE);
}

char *ctl_text_size(guint64 bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes / 1024;
	guint unit = 0;

	if (bytes < 1024)
		return g_strdup_printf("%u B", (guint)bytes);
	/* What would be rounded to 1024.0 is one of the next. */
	for (; value >= 1023.95 && unit + 1 < G_N_ELEMENTS(units); unit++)
		value /= 1024;
	return g_strdup_printf("%.1f %s", value, units[unit]);
}

char *ctl_text_rate(guint64 bytes_per_s)
{
	g_autofree char *size = ctl_text_size(bytes_per_s);
	return g_strconcat(size, "/s", NULL);
}

char *ctl_text_clock(guint64 seconds)
{
	guint hours = (guint)(MIN(seconds, 1000000) / 3600);
	guint minutes = (guint)(seconds / 60 % 60);

	if (hours >= 100)
		return g_strdup("-");
	if (hours > 0)
		return g_strdup_printf("%u:%02u:%02u", hours, minutes, (guint)(seconds % 60));
	return g_strdup_printf("%u:%02u", minutes, (guint)(seconds % 60));
}

char *ctl_text_duration(guint64 seconds)
{
	if (seconds < 100)
		return g_strdup_printf("%u s", (guint)seconds);
	if (seconds < 100 * 60)
		return g_strdup_printf("%u min", (guint)((seconds + 30) / 60));
	if (seconds < 48 * 3600)
		return g_strdup_printf("%u h %u min", (guint)(seconds / 3600),
		                       (guint)(seconds / 60 % 60));
	return g_strdup_printf("%" G_GUINT64_FORMAT " days", seconds / (24 * 3600));
}

char *ctl_text_time(gint64 when, gint64 now)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(when);
	g_autoptr(GDateTime) today = g_date_time_new_from_unix_local(now);

	if (time == NULL || today == NULL)
		return g_strdup("-");
	bool same = g_date_time_get_year(time) == g_date_time_get_year(today) &&
	            g_date_time_get_day_of_year(time) == g_date_time_get_day_of_year(today);
	return g_date_time_format(time, same ? "%H:%M" : "%Y-%m-%d %H:%M");
}

char *ctl_text_number(guint64 number, const char *one, const char *many)
{
	return g_strdup_printf("%" G_GUINT64_FORMAT " %s", number, number == 1 ? one : many);
}

static guint columns_of(gunichar c)
{
	return g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
}

guint ctl_text_width(const char *text)
{
	guint width = 0;

	for (const char *p = text; *p != '\0'; p = g_utf8_next_char(p))
		width += columns_of(g_utf8_get_char(p));
	return width;
}

/* The bytes from the beginning that fit into so many columns. */
static gsize head(const char *text, guint columns)
{
	const char *p = text;

	for (guint used = 0; *p != '\0'; p = g_utf8_next_char(p)) {
		used += columns_of(g_utf8_get_char(p));
		if (used > columns)
			break;
	}
	return (gsize)(p - text);
}

/* The tail that fits. */
static const char *tail(const char *text, guint columns)
{
	guint width = ctl_text_width(text);

	for (; *text != '\0' && width > columns; text = g_utf8_next_char(text))
		width -= columns_of(g_utf8_get_char(text));
	return text;
}

char *ctl_text_fit(const char *text, guint columns, bool pad)
{
	guint width = ctl_text_width(text);
	GString *fit = g_string_new(NULL);

	if (width <= columns || columns < 3) {
		g_string_append_len(fit, text, (gssize)head(text, columns));
	} else {
		/* The end of a path says more than its beginning. */
		guint front = (columns - 1) / 3;
		g_string_append_len(fit, text, (gssize)head(text, front));
		g_string_append(fit, ELLIPSIS);
		g_string_append(fit, tail(text, columns - 1 - front));
	}
	for (width = ctl_text_width(fit->str); pad && width < columns; width++)
		g_string_append_c(fit, ' ');
	return g_string_free(fit, FALSE);
}

/* --- tables --- */

struct CtlTable {
	char *alignment;
	guint columns;
	char **head;      /* NULL: none */
	GPtrArray *cells; /* char, row by row */
};

CtlTable *ctl_table_new(const char *alignment)
{
	CtlTable *table = g_new0(CtlTable, 1);
	table->alignment = g_strdup(alignment);
	table->columns = (guint)strlen(alignment);
	table->cells = g_ptr_array_new_with_free_func(g_free);
	return table;
}

void ctl_table_free(CtlTable *table)
{
	g_free(table->alignment);
	g_strfreev(table->head);
	g_ptr_array_unref(table->cells);
	g_free(table);
}

void ctl_table_add(CtlTable *table, ...)
{
	va_list arguments;

	va_start(arguments, table);
	for (guint i = 0; i < table->columns; i++) {
		const char *cell = va_arg(arguments, const char *);
		g_ptr_array_add(table->cells, ctl_text_safe(cell != NULL ? cell : ""));
	}
	va_end(arguments);
}

guint ctl_table_rows(const CtlTable *table)
{
	return table->cells->len / table->columns;
}

void ctl_table_head(CtlTable *table, ...)
{
	va_list arguments;

	g_strfreev(table->head);
	table->head = g_new0(char *, table->columns + 1);
	va_start(arguments, table);
	for (guint i = 0; i < table->columns; i++)
		table->head[i] = g_strdup(va_arg(arguments, const char *));
	va_end(arguments);
}

/* 0: the column has no text. */
static guint column_width(const CtlTable *table, guint column)
{
	guint width = 0;

	for (guint i = column; i < table->cells->len; i += table->columns)
		width = MAX(width, ctl_text_width(table->cells->pdata[i]));
	return width > 0 && table->head != NULL ? MAX(width, ctl_text_width(table->head[column]))
	                                        : width;
}

static void append_row(const CtlTable *table, const guint *widths, char *const *cells,
                       GString *text)
{
	bool first = true;

	for (guint c = 0; c < table->columns; c++) {
		const char *cell = cells[c];
		if (widths[c] == 0)
			continue;
		guint fill = widths[c] - ctl_text_width(cell);
		g_string_append(text, first ? "" : GAP);
		first = false;
		if (table->alignment[c] == 'r')
			g_string_append_printf(text, "%*s%s", (int)fill, "", cell);
		else
			g_string_append_printf(text, "%s%*s", cell, (int)fill, "");
	}
	while (text->len > 0 && text->str[text->len - 1] == ' ')
		g_string_truncate(text, text->len - 1);
	g_string_append_c(text, '\n');
}

char *ctl_table_text(const CtlTable *table, const char *indent)
{
	g_autofree guint *widths = g_new(guint, table->columns);
	GString *text = g_string_new(NULL);

	for (guint c = 0; c < table->columns; c++)
		widths[c] = column_width(table, c);
	if (table->head != NULL && table->cells->len > 0) {
		g_string_append(text, indent);
		append_row(table, widths, table->head, text);
	}
	for (guint i = 0; i < table->cells->len; i += table->columns) {
		g_string_append(text, indent);
		append_row(table, widths, (char *const *)table->cells->pdata + i, text);
	}
	return g_string_free(text, FALSE);
}
