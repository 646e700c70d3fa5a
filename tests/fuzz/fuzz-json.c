/* fuzz-json.c - the full view of a folder, in pieces. */
#include "fuzz.h"

#include "gss/json.h"

static bool take(JsonObject *object, void *data, GError **error)
{
	guint *count = data;
	*count += json_object_get_size(object);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	guint whole = 0, pieces = 0;
	g_autoptr(GssJsonList) list = gss_json_list_new(take, &whole);
	g_autoptr(GssJsonList) slow = gss_json_list_new(take, &pieces);
	bool ok = gss_json_list_feed(list, bytes, length, NULL) && gss_json_list_finish(list, NULL);
	bool same = true;
	for (size_t i = 0; same && i < length; i++)
		same = gss_json_list_feed(slow, bytes + i, 1, NULL);
	same = same && gss_json_list_finish(slow, NULL);
	g_assert_cmpint(ok, ==, same);
	g_assert_cmpuint(whole, ==, pieces);
	return 0;
}
