/* The stream of a JSON list, and what is kept of what was learned of storages. */
#include "gss/json.h"
#include "gss/stat-private.h"

#include <errno.h>
#include <string.h>

static bool note(JsonObject *object, void *data, GError **error)
{
	GString *out = data;
	g_autoptr(GList) members = json_object_get_members(object);
	for (GList *l = members; l != NULL; l = l->next) {
		JsonNode *node = json_object_get_member(object, l->data);
		g_autofree char *value = json_to_string(node, FALSE);
		g_string_append_printf(out, "%s=%s,", (char *)l->data, value);
	}
	g_string_append_c(out, ';');
	return true;
}

/* What is read when the text comes in pieces of `step` bytes; NULL: it is refused. */
static char *read_list(const char *text, gsize step)
{
	g_autoptr(GString) out = g_string_new(NULL);
	g_autoptr(GssJsonList) list = gss_json_list_new(note, out);
	g_autoptr(GError) error = NULL;
	gsize length = strlen(text);
	bool ok = true;
	for (gsize at = 0; ok && at < length; at += step)
		ok = gss_json_list_feed(list, text + at, MIN(step, length - at), &error);
	ok = ok && gss_json_list_finish(list, &error);
	g_assert_true(ok || error->code == EPROTO);
	return ok ? g_strdup(out->str) : NULL;
}

static void test_lists(void)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{"[]", ""},
		{" [ \n] ", ""},
		{"[{}]", ";"},
		{"[{\"a\":1},\n {\"b\":\"x\"}]", "a=1,;b=\"x\",;"},
		{"[{\"a\":\"}]\\\"{[\",\"b\":2.5}]", "a=\"}]\\\"{[\",b=2.5,;"},
		{"[{\"a\":{\"size\":3,\"b\":[{},\"}\"]},\"c\":[1,[2]],\"d\":null}]",
	         "a=0,c=0,d=null,;"},
		{"", NULL},
		{"{}", NULL},
		{"[", NULL},
		{"[{}", NULL},
		{"[{},]", NULL},
		{"[{}{}]", NULL},
		{"[1]", NULL},
		{"[{}]x", NULL},
		{"[{\"a\":}]", NULL},
		{"[{\"a\":\"\xff\"}]", NULL},
		{"<html>", NULL},
	};
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		for (gsize step = 1; step < 40; step += 6) {
			g_autofree char *got = read_list(cases[i].text, step);
			g_assert_cmpstr(got, ==, cases[i].expected);
		}
	}
}

static void test_bounds(void)
{
	g_autofree char *deep = g_strnfill(GSS_JSON_DEPTH_MAX + 1, '[');
	g_autofree char *deep_list = g_strconcat("[{\"a\":", deep, NULL);
	g_assert_null(read_list(deep_list, 1000));
	g_autofree char *large = g_strnfill(GSS_JSON_OBJECT_MAX, 'x');
	g_autofree char *large_list = g_strconcat("[{\"a\":\"", large, "\"}]", NULL);
	g_assert_null(read_list(large_list, 1000));
	g_autofree char *nested = g_strconcat("[{\"a\":[\"", large, "\"]}]", NULL);
	g_assert_null(read_list(nested, 1000));
}

static GssResource *file_of(const char *host, const char *name)
{
	g_autofree char *text = g_strdup_printf(
		"<r><visualName>%s</visualName><uniqueName>it4i_anselm://home/%s</uniqueName>"
		"<type>FILE</type><metaReadDescription><supported>true</supported>"
		"<url>https://%s/home/f</url></metaReadDescription></r>",
		name, name, host);
	g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
	GssXmlNode *node = gss_xml_parse(bytes, NULL);
	GssResource *resource = gss_resource_decode(node, NULL, 1, NULL, NULL);
	gss_xml_node_free(node);
	g_assert_nonnull(resource);
	return resource;
}

static GssResource *file(const char *host)
{
	return file_of(host, "f");
}

static void test_learned(void)
{
	GssStorages *storages = gss_storages_new();
	g_autoptr(GssResource) one = file("one:8443");
	g_autoptr(GssResource) two = file("two");
	guint serial = gss_storages_serial(storages);
	gss_storages_compared(storages, one, 5000, 5000);
	gss_storages_judge_view(storages, one, GSS_VIEW_DATES);
	gss_storages_compared(storages, two, 4, 5000);
	g_assert_cmpuint(gss_storages_serial(storages), !=, serial);
	g_autofree char *text = gss_storages_export(storages, "it4i_anselm");
	g_autofree char *other = gss_storages_export(storages, "it4i");
	g_assert_cmpstr(other, ==, "");
	gss_storages_free(storages);

	storages = gss_storages_new();
	gss_storages_import(storages, "it4i_anselm", text);
	g_assert_cmpint(gss_storages_kind(storages, one), ==, GSS_HEAD_SIZE);
	g_assert_cmpint(gss_storages_view_kind(storages, one), ==, GSS_VIEW_DATES);
	g_assert_cmpint(gss_storages_kind(storages, two), ==, GSS_HEAD_WORD);
	g_assert_cmpint(gss_storages_view_kind(storages, two), ==, GSS_VIEW_UNKNOWN);
	/* Whatever the journal holds: garbage teaches nothing, and an old refusal is forgotten. */
	gss_storages_import(storages, "it4i_anselm", "two 99 0 0 0\none:8443\n\n 1 2 3\n");
	gss_storages_import(storages, "it4i_anselm", "two 2 1000 3 1000\n");
	g_assert_cmpint(gss_storages_kind(storages, two), ==, GSS_HEAD_UNKNOWN);
	g_assert_cmpint(gss_storages_view_kind(storages, two), ==, GSS_VIEW_UNKNOWN);
	gss_storages_free(storages);
}

/* That HEAD tells sizes is proven again after a week, unless GETs went on agreeing with it. */
static void test_aged(void)
{
	GssStorages *storages = gss_storages_new();
	g_autoptr(GssResource) one = file("one");
	GssVersion version = {.size = 100, .mtime = 7};
	gint64 now = g_get_real_time() / G_USEC_PER_SEC;
	gss_storages_import(storages, "it4i_anselm", "one 1 1000 0 0\n");
	g_assert_cmpint(gss_storages_kind(storages, one), ==, GSS_HEAD_UNKNOWN);
	g_autofree char *aged = g_strdup_printf("one 1 %" G_GINT64_FORMAT " 0 0\n",
	                                        now - 6 * 24 * 3600 - 12 * 3600);
	gss_storages_import(storages, "it4i_anselm", aged);
	g_assert_cmpint(gss_storages_kind(storages, one), ==, GSS_HEAD_SIZE);
	guint serial = gss_storages_serial(storages);
	for (guint i = 0; i < 2; i++) {
		gss_storages_believed(storages, one, &version, false);
		gss_storages_proved(storages, one, &version);
		g_assert_cmpuint(gss_storages_serial(storages), ==, serial + 1);
	}
	g_autofree char *text = gss_storages_export(storages, "it4i_anselm");
	g_auto(GStrv) words = g_strsplit(text, " ", 4);
	g_assert_cmpint(g_ascii_strtoll(words[2], NULL, 10), >=, now);
	gss_storages_free(storages);
}

/* A HEAD that was known to answer sizes may be believed as far as it can't be a word. */
static void test_words(void)
{
	GssStorages *storages = gss_storages_new();
	g_autoptr(GssResource) one = file("one");
	GssVersion none = GSS_VERSION_INIT;
	GssVersion large = {.size = 13, .mtime = -1};
	GssVersion word = {.size = 4, .mtime = -1};
	GssVersion small = {.size = 4, .mtime = 7};
	GssVersion tagged = {.size = 4, .mtime = 7, .etag = (char *)"x"};
	GssVersion other = {.size = 4, .mtime = 7, .etag = (char *)"y"};
	g_assert_false(gss_storages_believable(storages, one, &large));
	gss_storages_compared(storages, one, 5000, 5000);
	g_assert_false(gss_storages_believable(storages, one, &none));
	g_assert_true(gss_storages_believable(storages, one, &large));
	g_assert_false(gss_storages_believable(storages, one, &small));
	gss_storages_proved(storages, one, &tagged);
	g_assert_true(gss_storages_believable(storages, one, &small));
	g_assert_true(gss_storages_believable(storages, one, &tagged));
	g_assert_false(gss_storages_believable(storages, one, &other));
	g_assert_false(gss_storages_believable(storages, one, &word));
	gss_storages_proved(storages, one, &large);
	g_assert_false(gss_storages_believable(storages, one, &small));
	gss_storages_doubt_head(storages, one);
	g_assert_cmpint(gss_storages_kind(storages, one), ==, GSS_HEAD_UNKNOWN);
	/* What was learned meanwhile stays. */
	gss_storages_compared(storages, one, 4, 5000);
	gss_storages_doubt_head(storages, one);
	g_assert_cmpint(gss_storages_kind(storages, one), ==, GSS_HEAD_WORD);
	gss_storages_free(storages);
}

/* A constant that is no word; and a file that grows, which is none. */
static void test_constant(void)
{
	GssStorages *storages = gss_storages_new();
	g_autoptr(GssResource) one = file_of("h", "one");
	g_autoptr(GssResource) two = file_of("h", "two");
	gss_storages_compared(storages, one, 47, 5000);
	gss_storages_compared(storages, one, 5000, 5010);
	g_assert_cmpint(gss_storages_kind(storages, one), ==, GSS_HEAD_UNKNOWN);
	gss_storages_compared(storages, two, 4, 4); /* says nothing */
	gss_storages_compared(storages, two, 47, 6000);
	g_assert_cmpint(gss_storages_kind(storages, one), ==, GSS_HEAD_WORD);
	gss_storages_free(storages);

	storages = gss_storages_new();
	gss_storages_compared(storages, one, 5000, 5010);
	gss_storages_compared(storages, two, 6000, 6000);
	gss_storages_compared(storages, two, 6000, 6010);
	g_assert_cmpint(gss_storages_kind(storages, one), ==, GSS_HEAD_SIZE);
	gss_storages_free(storages);
}

/* A GET takes back what it refutes, and nothing else. */
static void test_refuted(void)
{
	GssStorages *storages = gss_storages_new();
	g_autoptr(GssResource) one = file("one");
	GssVersion believed = {.size = 100, .mtime = 7};
	GssVersion newer = {.size = 120, .mtime = 9};
	GssVersion proven = {.size = 120, .mtime = 7};
	gss_storages_compared(storages, one, 5000, 5000);
	gss_storages_judge_view(storages, one, GSS_VIEW_YES);
	gss_storages_believed(storages, one, &believed, true);
	gss_storages_proved(storages, one, &newer);
	g_assert_cmpint(gss_storages_view_kind(storages, one), ==, GSS_VIEW_YES);
	gss_storages_believed(storages, one, &believed, true);
	gss_storages_proved(storages, one, &proven);
	g_assert_cmpint(gss_storages_view_kind(storages, one), ==, GSS_VIEW_UNKNOWN);
	g_assert_cmpint(gss_storages_kind(storages, one), ==, GSS_HEAD_SIZE);
	gss_storages_believed(storages, one, &believed, false);
	gss_storages_proved(storages, one, &proven);
	g_assert_cmpint(gss_storages_kind(storages, one), ==, GSS_HEAD_UNKNOWN);
	/* What has no date and no ETag may be of any version. */
	GssVersion bare = {.size = 100, .mtime = -1};
	proven.etag = (char *)"x";
	gss_storages_compared(storages, one, 5000, 5000);
	gss_storages_believed(storages, one, &bare, false);
	gss_storages_proved(storages, one, &proven);
	g_assert_cmpint(gss_storages_kind(storages, one), ==, GSS_HEAD_UNKNOWN);
	gss_storages_pause_view(storages, one);
	g_assert_cmpint(gss_storages_view_kind(storages, one), ==, GSS_VIEW_LATER);
	gss_storages_free(storages);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/gss/json/lists", test_lists);
	g_test_add_func("/gss/json/bounds", test_bounds);
	g_test_add_func("/gss/storages/learned", test_learned);
	g_test_add_func("/gss/storages/aged", test_aged);
	g_test_add_func("/gss/storages/words", test_words);
	g_test_add_func("/gss/storages/constant", test_constant);
	g_test_add_func("/gss/storages/refuted", test_refuted);
	return g_test_run();
}
