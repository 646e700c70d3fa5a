#include "fs/ctl/json.h"

#include <stdio.h>

struct CtlJson {
	GString *text;
	guint depth;
	bool more; /* a value came before in what is open */
};

CtlJson *ctl_json_new(void)
{
	CtlJson *json = g_new0(CtlJson, 1);
	json->text = g_string_new(NULL);
	return json;
}

void ctl_json_free(CtlJson *json)
{
	g_string_free(json->text, TRUE);
	g_free(json);
}

static void append_string(GString *text, const char *value)
{
	g_autofree char *valid = g_utf8_make_valid(value, -1);

	g_string_append_c(text, '"');
	for (const char *p = valid; *p != '\0'; p++) {
		guchar byte = (guchar)*p;
		if (byte == '"' || byte == '\\')
			g_string_append_printf(text, "\\%c", byte);
		else if (byte < ' ' || byte == 0x7f)
			g_string_append_printf(text, "\\u%04x", byte);
		else
			g_string_append_c(text, *p);
	}
	g_string_append_c(text, '"');
}

static void value_begins(CtlJson *json, const char *key)
{
	if (json->more)
		g_string_append_c(json->text, ',');
	json->more = true;
	if (key != NULL) {
		append_string(json->text, key);
		g_string_append_c(json->text, ':');
	}
}

static void begin(CtlJson *json, const char *key, char bracket)
{
	value_begins(json, key);
	g_string_append_c(json->text, bracket);
	json->more = false;
	json->depth++;
}

static void end(CtlJson *json, char bracket)
{
	g_assert(json->depth > 0);
	g_string_append_c(json->text, bracket);
	json->more = true;
	json->depth--;
}

void ctl_json_begin_object(CtlJson *json, const char *key)
{
	begin(json, key, '{');
}

void ctl_json_end_object(CtlJson *json)
{
	end(json, '}');
}

void ctl_json_begin_array(CtlJson *json, const char *key)
{
	begin(json, key, '[');
}

void ctl_json_end_array(CtlJson *json)
{
	end(json, ']');
}

void ctl_json_string(CtlJson *json, const char *key, const char *value)
{
	value_begins(json, key);
	if (value == NULL)
		g_string_append(json->text, "null");
	else
		append_string(json->text, value);
}

void ctl_json_number(CtlJson *json, const char *key, guint64 value)
{
	value_begins(json, key);
	g_string_append_printf(json->text, "%" G_GUINT64_FORMAT, value);
}

void ctl_json_bool(CtlJson *json, const char *key, bool value)
{
	value_begins(json, key);
	g_string_append(json->text, value ? "true" : "false");
}

void ctl_json_time(CtlJson *json, const char *key, gint64 value)
{
	g_autoptr(GDateTime) time = value != 0 ? g_date_time_new_from_unix_utc(value) : NULL;
	g_autofree char *text =
		time != NULL ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ") : NULL;

	ctl_json_string(json, key, text);
}

const char *ctl_json_text(CtlJson *json)
{
	g_assert(json->depth == 0);
	if (json->text->len > 0 && json->text->str[json->text->len - 1] != '\n')
		g_string_append_c(json->text, '\n');
	return json->text->str;
}

void ctl_json_print(CtlJson *json)
{
	fputs(ctl_json_text(json), stdout);
	fflush(stdout);
}
