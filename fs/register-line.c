#include "fs/register-line.h"

#include "cache/error.h"

#include <errno.h>
#include <string.h>

void fs_line_clear(FsLine *line)
{
	g_clear_pointer(&line->source, g_free);
	g_clear_pointer(&line->name, g_free);
}

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

/* The name by which an image is registered when none is given. */
static char *default_name(const char *source)
{
	const char *slash = strrchr(source, '/');
	return g_strdup(slash != NULL ? slash + 1 : source);
}

static bool take_words(char **words, guint count, FsLine *ret, GError **error)
{
	static const struct {
		const char *word;
		FsVerb verb;
	} verbs[] = {
		{"register", FS_VERB_REGISTER},
		{"update", FS_VERB_UPDATE},
		{"remove", FS_VERB_REMOVE},
	};
	g_auto(FsLine) line = {.verb = FS_VERB_REGISTER};
	guint first = 0;

	for (guint i = 0; count > 1 && i < G_N_ELEMENTS(verbs); i++) {
		if (strcmp(words[0], verbs[i].word) == 0) {
			line.verb = verbs[i].verb;
			first = 1;
		}
	}
	guint left = count - first;
	if (left > (line.verb == FS_VERB_REMOVE ? 1 : 2))
		return fail(error, "too many words: a name with blanks needs quotes");
	if (line.verb == FS_VERB_REMOVE) {
		line.name = g_strdup(words[first]);
	} else {
		line.source = g_strdup(words[first]);
		line.name = left == 2 ? g_strdup(words[first + 1]) : default_name(line.source);
		if (*line.source == '\0')
			return fail(error, "the source is empty");
	}
	if (*line.name == '\0')
		return fail(error, "the name of the image is empty");
	*ret = line;
	line = (FsLine){0};
	return true;
}

bool fs_line_parse(const char *text, FsLine *ret, bool *ret_empty, GError **error)
{
	g_autoptr(GError) failure = NULL;
	g_auto(GStrv) words = NULL;
	int count;

	*ret_empty = false;
	/* g_shell_parse_argv() takes a comment without words for an open quote. */
	text += strspn(text, " \t");
	if (*text == '#') {
		*ret_empty = true;
		return true;
	}
	if (g_shell_parse_argv(text, &count, &words, &failure))
		return take_words(words, (guint)count, ret, error);
	if (g_error_matches(failure, G_SHELL_ERROR, G_SHELL_ERROR_EMPTY_STRING)) {
		*ret_empty = true;
		return true;
	}
	return fail(error, "quotes don't match");
}
