/* The lines of .register. */
#include "fs/register-line.h"

#include <errno.h>
#include <string.h>

static void good(const char *text, FsVerb verb, const char *source, const char *name)
{
	g_auto(FsLine) line = {0};
	g_autoptr(GError) error = NULL;
	bool empty = true;

	g_assert_true(fs_line_parse(text, &line, &empty, &error));
	g_assert_no_error(error);
	g_assert_false(empty);
	g_assert_cmpint(line.verb, ==, verb);
	g_assert_cmpstr(line.source, ==, source);
	g_assert_cmpstr(line.name, ==, name);
}

static void test_good(void)
{
	good("waiter.simg", FS_VERB_REPLACE, "waiter.simg", "waiter.simg");
	good("  sub/waiter.simg  ", FS_VERB_REPLACE, "sub/waiter.simg", "waiter.simg");
	good("a.simg b:v1.simg", FS_VERB_REPLACE, "a.simg", "b:v1.simg");
	good("'my image.simg' my.simg # why", FS_VERB_REPLACE, "my image.simg", "my.simg");
	good("a.simg #", FS_VERB_REPLACE, "a.simg", "a.simg");
	good("a.simg\t# c", FS_VERB_REPLACE, "a.simg", "a.simg");
	good("a.simg # it's \"", FS_VERB_REPLACE, "a.simg", "a.simg");
	good("a.simg\t#\t", FS_VERB_REPLACE, "a.simg", "a.simg");
	good("a#1 b.simg", FS_VERB_REPLACE, "a#1", "b.simg");
	good("'a #1' b.simg", FS_VERB_REPLACE, "a #1", "b.simg");
	good("\"a\\\" #1\" b.simg", FS_VERB_REPLACE, "a\" #1", "b.simg");
	good("'a\\' b.simg # c", FS_VERB_REPLACE, "a\\", "b.simg");
	good("my\\ image.simg my.simg", FS_VERB_REPLACE, "my image.simg", "my.simg");
	good("it4i_anselm://home/x.simg", FS_VERB_REPLACE, "it4i_anselm://home/x.simg", "x.simg");
	good("register a.simg", FS_VERB_REGISTER, "a.simg", "a.simg");
	good("register a.simg b.simg", FS_VERB_REGISTER, "a.simg", "b.simg");
	good("update a.simg", FS_VERB_UPDATE, "a.simg", "a.simg");
	good("remove b.simg", FS_VERB_REMOVE, NULL, "b.simg");
	good("./register b.simg", FS_VERB_REPLACE, "./register", "b.simg");
	/* One word is a source, whatever it is. */
	good("remove", FS_VERB_REPLACE, "remove", "remove");
}

static void test_empty(void)
{
	static const char *const lines[] = {"", "   ", "\t", "# a comment", "  # 'one"};

	for (guint i = 0; i < G_N_ELEMENTS(lines); i++) {
		g_auto(FsLine) line = {0};
		bool empty = false;
		g_assert_true(fs_line_parse(lines[i], &line, &empty, NULL));
		g_assert_true(empty);
	}
}

static void test_wrong(void)
{
	static const char *const lines[] = {
		"a b c", "register a b c", "remove a b", "'unbalanced", "sub/",
		"''",    "a ''",           "back\\",
	};

	for (guint i = 0; i < G_N_ELEMENTS(lines); i++) {
		g_auto(FsLine) line = {0};
		g_autoptr(GError) error = NULL;
		bool empty;
		g_test_message("%s", lines[i]);
		g_assert_false(fs_line_parse(lines[i], &line, &empty, &error));
		g_assert_cmpint(error->code, ==, EINVAL);
		g_assert_null(line.name);
	}
}

/* As files from Windows have it. */
static void test_carriage_return(void)
{
	static const char *const lines[] = {"w.simg\r", "remove w.simg\r", "\r", "'w\r' w.simg\r"};
	g_auto(FsLine) quoted = {0}, comment = {0};
	bool empty;

	for (guint i = 0; i < G_N_ELEMENTS(lines); i++) {
		g_auto(FsLine) line = {0};
		g_autoptr(GError) error = NULL;
		g_assert_false(fs_line_parse(lines[i], &line, &empty, &error));
		g_assert_nonnull(strstr(error->message, "carriage return"));
	}
	g_assert_true(fs_line_parse("'w\r' 'w.simg\r'", &quoted, &empty, NULL));
	g_assert_cmpstr(quoted.name, ==, "w.simg\r");
	g_assert_true(fs_line_parse("# nothing\r", &comment, &empty, NULL));
	g_assert_true(empty);
}

static void test_split(void)
{
	static const char text[] = "one\n\nthree\n";
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) lines = fs_lines_split(text, strlen(text), &error);

	g_assert_no_error(error);
	g_assert_cmpuint(lines->len, ==, 3);
	const FsLineText *first = lines->pdata[0], *last = lines->pdata[2];
	g_assert_cmpstr(first->text, ==, "one");
	g_assert_cmpuint(first->end, ==, 4);
	g_assert_cmpstr(last->text, ==, "three");
	g_assert_cmpuint(last->end, ==, strlen(text));
}

static void not_split(const char *text, gsize length)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(fs_lines_split(text, length, &error));
	g_assert_cmpint(error->code, ==, EINVAL);
}

static void test_split_wrong(void)
{
	g_autofree char *many = g_strnfill(FS_LINES_MAX + 1, '\n');
	g_autofree char *wide = g_strnfill(FS_LINE_MAX + 2, 'a');
	g_autoptr(GPtrArray) most = fs_lines_split(many, FS_LINES_MAX, NULL);

	g_assert_cmpuint(most->len, ==, FS_LINES_MAX);
	not_split("", 0);
	not_split("no newline", 10);
	not_split("one\ntwo", 7);
	not_split("a\0b\n", 4);
	not_split("bad \xff\n", 6);
	not_split(many, FS_LINES_MAX + 1);
	wide[FS_LINE_MAX + 1] = '\n';
	not_split(wide, FS_LINE_MAX + 2);
	g_autoptr(GPtrArray) widest = fs_lines_split(wide + 1, FS_LINE_MAX + 1, NULL);
	g_assert_nonnull(widest);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/fs/register-line/good", test_good);
	g_test_add_func("/fs/register-line/empty", test_empty);
	g_test_add_func("/fs/register-line/wrong", test_wrong);
	g_test_add_func("/fs/register-line/carriage-return", test_carriage_return);
	g_test_add_func("/fs/register-line/split", test_split);
	g_test_add_func("/fs/register-line/split-wrong", test_split_wrong);
	return g_test_run();
}
