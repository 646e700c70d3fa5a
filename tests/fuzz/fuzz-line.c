/* fuzz-line.c - what is written to .register and .status: lines, their words, and the commands. */
#include "fuzz.h"

#include "fs/line.h"
#include "fs/register-line.h"
#include "fs/status-line.h"

#include <string.h>

static bool is_word(const char *word)
{
	return g_utf8_validate(word, -1, NULL);
}

static void parse(const char *text)
{
	g_autoptr(GError) register_error = NULL, status_error = NULL;
	g_auto(FsLine) line = {0};
	bool empty = false;
	if (fs_line_parse(text, &line, &empty, &register_error)) {
		g_assert_true(empty || (line.name && is_word(line.name)));
		g_assert_true(empty || (line.source != NULL) == (line.verb != FS_VERB_REMOVE));
		g_assert_true(!line.source || is_word(line.source));
	} else {
		g_assert_true(register_error && *register_error->message);
	}
	FsAct act = FS_ACT_NOTHING;
	g_autofree char *path = NULL;
	if (fs_status_line_parse(text, &act, &path, &status_error)) {
		g_assert_true(act != FS_ACT_DISCARD || path);
		g_assert_true((act != FS_ACT_LOGIN && act != FS_ACT_NOTHING) || !path);
	} else {
		g_assert_true(status_error && *status_error->message);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) lines = fs_lines_split((const char *)bytes, length, &error);
	if (!lines) {
		g_assert_true(error && *error->message);
		return 0;
	}
	g_assert_cmpuint(lines->len, <=, FS_LINES_MAX);
	gsize from = 0;
	for (guint i = 0; i < lines->len; i++) {
		const FsLineText *line = lines->pdata[i];
		gsize size = strlen(line->text);
		g_assert_cmpuint(size, <=, FS_LINE_MAX);
		/* Not a byte is left out, or belongs to two of them. */
		g_assert_cmpuint(line->end, ==, from + size + 1);
		g_assert_cmpint(bytes[line->end - 1], ==, '\n');
		g_assert_cmpint(memcmp(line->text, bytes + from, size), ==, 0);
		parse(line->text);
		from = line->end;
	}
	g_assert_cmpuint(from, ==, length);
	return 0;
}
