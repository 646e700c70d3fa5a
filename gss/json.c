#include "gss/json.h"

#include "gss/error-private.h"

#include <errno.h>

typedef enum {
	BEFORE_LIST,
	BEFORE_FIRST, /* an object or the end */
	BEFORE_NEXT,  /* an object */
	IN_OBJECT,
	AFTER_OBJECT, /* a comma or the end */
	AFTER_LIST,
} Place;

struct GssJsonList {
	GssJsonItem item;
	void *data;
	JsonParser *parser;
	GString *object;
	Place place;
	guint depth;  /* of braces and brackets, in an object */
	gsize length; /* of the object so far, bytes */
	bool in_string, escaped;
};

GssJsonList *gss_json_list_new(GssJsonItem item, void *data)
{
	GssJsonList *list = g_new0(GssJsonList, 1);
	list->item = item;
	list->data = data;
	list->parser = json_parser_new();
	list->object = g_string_new(NULL);
	return list;
}

void gss_json_list_free(GssJsonList *list)
{
	if (list == NULL)
		return;
	g_object_unref(list->parser);
	g_string_free(list->object, TRUE);
	g_free(list);
}

static bool malformed(GError **error, const char *what)
{
	return gss_fail(error, EPROTO, "malformed JSON: %s", what);
}

static bool end_object(GssJsonList *list, GError **error)
{
	g_autoptr(GError) problem = NULL;
	if (!g_utf8_validate(list->object->str, (gssize)list->object->len, NULL))
		return malformed(error, "it is no UTF-8");
	if (!json_parser_load_from_data(list->parser, list->object->str, (gssize)list->object->len,
	                                &problem))
		return malformed(error, problem->message);
	JsonNode *root = json_parser_get_root(list->parser);
	if (root == NULL || !JSON_NODE_HOLDS_OBJECT(root))
		return malformed(error, "an entry is no object");
	bool ok = list->item(json_node_get_object(root), list->data, error);
	g_string_truncate(list->object, 0);
	list->length = 0;
	list->place = AFTER_OBJECT;
	return ok;
}

/* One character that has a meaning where it stands; *keep: it is of the object's own members. */
static bool step(GssJsonList *list, char *c, bool *keep, GError **error)
{
	*keep = list->depth <= 1;
	if (list->in_string) {
		if (list->escaped)
			list->escaped = false;
		else if (*c == '\\')
			list->escaped = true;
		else if (*c == '"')
			list->in_string = false;
	} else if (*c == '"') {
		list->in_string = true;
	} else if (*c == '{' || *c == '[') {
		if (++list->depth == 2)
			*c = '0';
		else
			*keep = list->depth == 1;
		if (list->depth > GSS_JSON_DEPTH_MAX)
			return malformed(error, "it is too deep");
	} else if (*c == '}' || *c == ']') {
		list->depth--;
	}
	return true;
}

/* How many characters from here on have no meaning but their own. */
static gsize plain(const GssJsonList *list, const char *text, gsize length)
{
	const char *p = text, *end = text + length;
	if (list->escaped)
		return 0;
	if (list->in_string) {
		while (p < end && *p != '"' && *p != '\\')
			p++;
	} else {
		while (p < end && *p != '"' && *p != '{' && *p != '}' && *p != '[' && *p != ']')
			p++;
	}
	return (gsize)(p - text);
}

/* What is nested has nothing that anybody here wants, and is most of the bytes: a 0 stands for it.
 * *used: bytes, up to the end of the object if it ends here. */
static bool in_object(GssJsonList *list, const char *text, gsize length, gsize *used,
                      GError **error)
{
	for (*used = 0; *used < length;) {
		gsize run = plain(list, text + *used, length - *used);
		if (list->depth <= 1)
			g_string_append_len(list->object, text + *used, (gssize)run);
		*used += run;
		list->length += run;
		if (*used < length) {
			char c = text[(*used)++];
			bool keep;
			if (!step(list, &c, &keep, error))
				return false;
			if (keep)
				g_string_append_c(list->object, c);
			list->length++;
		}
		if (list->length > GSS_JSON_OBJECT_MAX)
			return malformed(error, "an entry is too large");
		if (list->depth == 0)
			return end_object(list, error);
	}
	return true;
}

static bool between(GssJsonList *list, char c, GError **error)
{
	if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
		return true;
	switch (list->place) {
	case BEFORE_LIST:
		list->place = BEFORE_FIRST;
		return c == '[' || malformed(error, "it is no list");
	case BEFORE_FIRST:
	case BEFORE_NEXT:
		if (c == '{') {
			gsize used;
			list->place = IN_OBJECT;
			return in_object(list, &c, 1, &used, error);
		}
		if (c != ']' || list->place == BEFORE_NEXT)
			return malformed(error, "it is no list of objects");
		break;
	case AFTER_OBJECT:
		if (c == ',') {
			list->place = BEFORE_NEXT;
			return true;
		}
		if (c != ']')
			return malformed(error, "no comma between entries");
		break;
	case AFTER_LIST:
	case IN_OBJECT:
		return malformed(error, "something follows the list");
	}
	list->place = AFTER_LIST;
	return true;
}

bool gss_json_list_feed(GssJsonList *list, const void *bytes, gsize length, GError **error)
{
	const char *text = bytes;
	for (gsize i = 0, used = 1; i < length; i += used) {
		bool inside = list->place == IN_OBJECT;
		used = 1;
		if (!(inside ? in_object(list, text + i, length - i, &used, error)
		             : between(list, text[i], error)))
			return false;
	}
	return true;
}

bool gss_json_list_finish(GssJsonList *list, GError **error)
{
	return list->place == AFTER_LIST || malformed(error, "it is not whole");
}
