#include "fs/status-line.h"

#include "cache/error.h"
#include "fs/line.h"

#include <errno.h>
#include <string.h>

static bool fail(GError **error, const char *message)
{
	g_set_error_literal(error, CACHE_ERROR, EINVAL, message);
	return false;
}

bool fs_status_line_parse(const char *text, FsAct *ret_act, char **ret_path, GError **error)
{
	static const struct {
		const char *word;
		FsAct act;
		guint least, most; /* words after it */
	} acts[] = {
		{"retry", FS_ACT_RETRY, 0, 1},
		{"discard", FS_ACT_DISCARD, 1, 1},
		{"login", FS_ACT_LOGIN, 0, 0},
		{"refresh", FS_ACT_REFRESH, 0, 1},
	};
	g_auto(GStrv) words = NULL;

	if (!fs_line_words(text, &words, error))
		return false;
	guint count = words != NULL ? g_strv_length(words) : 0;
	if (count == 0) {
		*ret_act = FS_ACT_NOTHING;
		*ret_path = NULL;
		return true;
	}
	for (guint i = 0; i < G_N_ELEMENTS(acts); i++) {
		if (strcmp(words[0], acts[i].word) != 0)
			continue;
		if (count - 1 < acts[i].least)
			return fail(error, "which file? Give its path");
		if (count - 1 > acts[i].most)
			return fail(error, "too many words: a path with blanks needs quotes");
		if (count == 2 && *words[1] == '\0')
			return fail(error, "the path is empty");
		*ret_act = acts[i].act;
		*ret_path = g_strdup(words[1]);
		return true;
	}
	return fail(error, "what is to be done? retry, discard, login or refresh");
}
