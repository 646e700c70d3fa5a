#include "fs/register-line.h"

#include "cache/error.h"

#include <errno.h>
#include <string.h>

void fs_line_clear(FsLine *line)
{
	g_clear_pointer(&line->source, g_free);
	g_clear_pointer(&line->name, g_free);
}

static const char *const verb_names[] = {
	[FS_VERB_REPLACE] = "replace",
	[FS_VERB_REGISTER] = "register",
	[FS_VERB_UPDATE] = "update",
	[FS_VERB_REMOVE] = "remove",
};

const char *fs_verb_name(FsVerb verb)
{
	return verb_names[verb];
}

bool fs_verb_parse(const char *name, FsVerb *ret)
{
	for (guint i = 0; i < G_N_ELEMENTS(verb_names); i++) {
		if (strcmp(verb_names[i], name) == 0) {
			*ret = (FsVerb)i;
			return true;
		}
	}
	return false;
}

static bool fail(GError **error, const char *message)
{
	g_set_error_literal(error, CACHE_ERROR, EINVAL, message);
	return false;
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
	g_auto(FsLine) line = {.verb = FS_VERB_REPLACE};
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
	g_auto(GStrv) words = NULL;

	*ret_empty = false;
	if (!fs_line_words(text, &words, error))
		return false;
	*ret_empty = words == NULL;
	return words == NULL || take_words(words, g_strv_length(words), ret, error);
}
