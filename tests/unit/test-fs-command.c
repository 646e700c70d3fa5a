/* What is journaled of a command, and the outcomes that nobody heard. */
#include "fs/command-kept.h"

static const FsStorage storage, other;

static FsCommandMemo memo_of(FsVerb verb, guint64 generation, char *name)
{
	return (FsCommandMemo){.verb = verb, .source = 7, .generation = generation, .name = name};
}

static void test_memo(void)
{
	FsCommandMemo memo = memo_of(FS_VERB_UPDATE, 3, (char *)"a.simg");
	g_auto(FsCommandMemo) read = {0};

	memo.folder = (char *)"home/my\tfolder";
	memo.shown = (char *)"a \\ b";
	memo.since = 1700000000;
	memo.size = memo.old_size = -1;
	memo.failure = (char *)"it was\nrefused";
	memo.failed_at = 1700000007;
	g_autofree char *text = fs_command_memo_print(&memo);
	g_assert_true(fs_command_memo_parse(text, &read));
	g_assert_true(fs_command_memo_equal(&memo, &read));
	g_assert_cmpstr(read.folder, ==, memo.folder);
	g_assert_cmpstr(read.shown, ==, memo.shown);
	g_assert_cmpstr(read.failure, ==, memo.failure);
	g_assert_cmpint(read.failed_at, ==, memo.failed_at);
	g_assert_null(read.uri);
	g_assert_cmpint(read.since, ==, memo.since);
	g_assert_cmpint(read.old_size, ==, -1);
}

/* As it was written before a failure, and its time, were part of it. */
static void test_memo_of_before(void)
{
	g_auto(FsCommandMemo) memo = {0}, failed = {0};

	g_assert_true(fs_command_memo_parse(
		"1\treplace\t7\t3\t.\ta\ta.simg\t1700000000\t-\t-1\t0\t-1\t-\t0", &memo));
	g_assert_cmpstr(memo.name, ==, "a.simg");
	g_assert_null(memo.failure);
	g_assert_true(fs_command_memo_parse(
		"1\treplace\t7\t3\t.\ta\ta.simg\t1700000000\t-\t-1\t0\t-1\t-\t0\tit was", &failed));
	g_assert_cmpstr(failed.failure, ==, "it was");
	g_assert_cmpint(failed.failed_at, ==, 0);
}

static void test_no_memo(void)
{
	static const char *const texts[] = {
		"",
		"nonsense",
		"2\treplace\t7\t3\t.\ta\ta.simg\t1700000000\t-\t-1\t0\t-1\t-\t0",
		"1\tburn\t7\t3\t.\ta\ta.simg\t1700000000\t-\t-1\t0\t-1\t-\t0",
		"1\treplace\t7\t3\t.\ta\t-\t1700000000\t-\t-1\t0\t-1\t-\t0",
		"1\treplace\tx\t3\t.\ta\ta.simg\t1700000000\t-\t-1\t0\t-1\t-\t0",
		"1\treplace\t7\t3\t.\ta\ta.simg\t1700000000\t-\t-1\t0\t-1",
		"1\treplace\t7\t3\t.\ta\ta.simg\t1700000000\t-\t-1\t0\t-1\t-\t0\tit was\tlong ago",
	};

	for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
		FsCommandMemo memo = {0};
		g_test_message("%s", texts[i]);
		g_assert_false(fs_command_memo_parse(texts[i], &memo));
		g_assert_null(memo.name);
	}
}

static void test_kept(void)
{
	FsCommandKept *kept = fs_command_kept_new();
	const FsCommandMemo a = memo_of(FS_VERB_REGISTER, 3, (char *)"a.simg");
	const FsCommandMemo newer = memo_of(FS_VERB_REGISTER, 4, (char *)"a.simg");
	const FsCommandMemo removal = memo_of(FS_VERB_REMOVE, 3, (char *)"a.simg");

	fs_command_kept_add(kept, &storage, &a);
	g_assert_false(fs_command_kept_take(kept, &other, &a));
	g_assert_false(fs_command_kept_take(kept, &storage, &newer));
	g_assert_false(fs_command_kept_take(kept, &storage, &removal));
	g_assert_true(fs_command_kept_take(kept, &storage, &a));
	/* Once. */
	g_assert_false(fs_command_kept_take(kept, &storage, &a));
	fs_command_kept_add(kept, &storage, &a);
	fs_command_kept_drop(kept, &storage, "b.simg");
	fs_command_kept_drop(kept, &other, "a.simg");
	g_assert_true(fs_command_kept_take(kept, &storage, &a));
	fs_command_kept_add(kept, &storage, &a);
	fs_command_kept_drop(kept, &storage, "a.simg");
	g_assert_false(fs_command_kept_take(kept, &storage, &a));
	fs_command_kept_add(kept, &storage, &a);
	fs_command_kept_free(kept);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/command/memo", test_memo);
	g_test_add_func("/command/memo-of-before", test_memo_of_before);
	g_test_add_func("/command/no-memo", test_no_memo);
	g_test_add_func("/command/kept", test_kept);
	return g_test_run();
}
