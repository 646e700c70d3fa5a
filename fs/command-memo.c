#include "fs/command-memo.h"

#include "fs/field.h"

#include <string.h>

#define FORMAT "1"

enum {
	F_FORMAT,
	F_VERB,
	F_SOURCE,
	F_GENERATION,
	F_FOLDER,
	F_SHOWN,
	F_NAME,
	F_SINCE,
	F_URI,
	F_SIZE,
	F_EXISTED,
	F_OLD_SIZE,
	F_OLD_DATE,
	F_SENT_AT,
	F_COUNT,
	F_FAILURE = F_COUNT, /* not in the first version, nor in the second the next */
	F_FAILED_AT,
};

void fs_command_memo_clear(FsCommandMemo *memo)
{
	g_free(memo->folder);
	g_free(memo->shown);
	g_free(memo->name);
	g_free(memo->uri);
	g_free(memo->old_date);
	g_free(memo->failure);
	*memo = (FsCommandMemo){0};
}

static void number(GString *line, gint64 value)
{
	g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, value);
	fs_field_text(line, text);
}

bool fs_command_memo_equal(const FsCommandMemo *a, const FsCommandMemo *b)
{
	return a->verb == b->verb && a->source == b->source && a->generation == b->generation &&
	       strcmp(a->name, b->name) == 0;
}

char *fs_command_memo_print(const FsCommandMemo *memo)
{
	GString *line = g_string_new(NULL);

	fs_field_text(line, FORMAT);
	fs_field_text(line, fs_verb_name(memo->verb));
	number(line, (gint64)memo->source);
	number(line, (gint64)memo->generation);
	fs_field_text(line, memo->folder);
	fs_field_text(line, memo->shown);
	fs_field_text(line, memo->name);
	number(line, memo->since);
	fs_field_text(line, memo->uri);
	number(line, memo->size);
	number(line, memo->existed);
	number(line, memo->old_size);
	fs_field_text(line, memo->old_date);
	number(line, memo->sent_at);
	fs_field_text(line, memo->failure);
	number(line, memo->failed_at);
	return g_string_free(line, FALSE);
}

static char *text_of(const char *field)
{
	return strcmp(field, "-") == 0 ? NULL : fs_field_unescape(field);
}

static bool number_of(const char *field, gint64 *ret)
{
	return g_ascii_string_to_signed(field, 10, G_MININT64, G_MAXINT64, ret, NULL);
}

bool fs_command_memo_parse(const char *text, FsCommandMemo *ret)
{
	g_auto(GStrv) fields = g_strsplit(text, "\t", -1);
	gint64 source, generation, existed;
	FsVerb verb;

	guint count = g_strv_length(fields);

	if (count < F_COUNT || strcmp(fields[F_FORMAT], FORMAT) != 0 ||
	    !fs_verb_parse(fields[F_VERB], &verb) || strcmp(fields[F_NAME], "-") == 0)
		return false;
	g_auto(FsCommandMemo) memo = {
		.verb = verb,
		.folder = text_of(fields[F_FOLDER]),
		.shown = text_of(fields[F_SHOWN]),
		.name = text_of(fields[F_NAME]),
		.uri = text_of(fields[F_URI]),
		.old_date = text_of(fields[F_OLD_DATE]),
		.failure = count > F_FAILURE ? text_of(fields[F_FAILURE]) : NULL,
	};
	if (!number_of(fields[F_SOURCE], &source) ||
	    !number_of(fields[F_GENERATION], &generation) ||
	    !number_of(fields[F_SINCE], &memo.since) || !number_of(fields[F_SIZE], &memo.size) ||
	    !number_of(fields[F_EXISTED], &existed) ||
	    !number_of(fields[F_OLD_SIZE], &memo.old_size) ||
	    !number_of(fields[F_SENT_AT], &memo.sent_at) ||
	    (count > F_FAILED_AT && !number_of(fields[F_FAILED_AT], &memo.failed_at)))
		return false;
	memo.source = (CacheId)source;
	memo.generation = (guint64)generation;
	memo.existed = existed != 0;
	if (memo.folder == NULL)
		memo.folder = g_strdup(".");
	if (memo.shown == NULL)
		memo.shown = g_strdup("");
	*ret = memo;
	memo = (FsCommandMemo){0};
	return true;
}
