#include "fs/line.h"

#include "cache/error.h"

#include <errno.h>
#include <string.h>

static void text_free(void *data)
{
	FsLineText *text = data;
	g_free(text->text);
	g_free(text);
}

static bool fail(GError **error, const char *message)
{
	g_set_error_literal(error, CACHE_ERROR, EINVAL, message);
	return false;
}

GPtrArray *fs_lines_split(const char *bytes, gsize length, GError **error)
{
	g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(text_free);

	if (length == 0 || bytes[length - 1] != '\n') {
		fail(error, "the last line has no newline");
		return NULL;
	}
	if (memchr(bytes, '\0', length) != NULL || !g_utf8_validate(bytes, (gssize)length, NULL)) {
		fail(error, "this is not text in UTF-8");
		return NULL;
	}
	for (gsize start = 0; start < length;) {
		const char *newline = memchr(bytes + start, '\n', length - start);
		gsize end = (gsize)(newline - bytes);
		if (end - start > FS_LINE_MAX || lines->len == FS_LINES_MAX) {
			fail(error, end - start > FS_LINE_MAX ? "a line is too long"
			                                      : "too many lines at once");
			return NULL;
		}
		FsLineText *line = g_new(FsLineText, 1);
		*line = (FsLineText){g_strndup(bytes + start, end - start), end + 1};
		g_ptr_array_add(lines, line);
		start = end + 1;
	}
	return g_steal_pointer(&lines);
}

/* Where a comment begins: at a # with nothing or a blank before it, outside of quotes; or the end.
 */
static const char *find_comment(const char *text)
{
	const char *p = text;
	bool blank = true;
	char quote = '\0';

	for (; *p != '\0' && !(*p == '#' && blank && quote == '\0'); p++) {
		blank = quote == '\0' && (*p == ' ' || *p == '\t');
		if (*p == '\\' && quote != '\'' && p[1] != '\0')
			p++;
		else if (quote != '\0')
			quote = *p == quote ? '\0' : quote;
		else if (*p == '"' || *p == '\'')
			quote = *p;
	}
	return p;
}

bool fs_line_words(const char *text, char ***ret, GError **error)
{
	g_autoptr(GError) failure = NULL;
	/* g_shell_parse_argv() takes some comments for an open quote. */
	g_autofree char *words = g_strndup(text, (gsize)(find_comment(text) - text));

	*ret = NULL;
	if (g_str_has_suffix(words, "\r"))
		return fail(error, "the line ends in a carriage return (\\015): if a name does, "
		                   "that needs quotes");
	if (g_shell_parse_argv(words, NULL, ret, &failure) ||
	    g_error_matches(failure, G_SHELL_ERROR, G_SHELL_ERROR_EMPTY_STRING))
		return true;
	return fail(error, "quotes don't match");
}
