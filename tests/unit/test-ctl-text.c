/* What gssctl shows to people and to programs. */
#include "fs/ctl/ctl.h"
#include "fs/ctl/json.h"
#include "fs/ctl/progress.h"
#include "fs/ctl/text.h"

#include <string.h>

static void is(char *text, const char *expected)
{
	g_assert_cmpstr(text, ==, expected);
	g_free(text);
}

static void test_numbers(void)
{
	is(ctl_text_size(0), "0 B");
	is(ctl_text_size(1023), "1023 B");
	is(ctl_text_size(1024), "1.0 KiB");
	is(ctl_text_size(1024 * 1024 - 1), "1.0 MiB");
	is(ctl_text_size(260 * 1024 * 1024), "260.0 MiB");
	is(ctl_text_size(G_MAXUINT64), "16.0 EiB");
	is(ctl_text_rate(1536), "1.5 KiB/s");
	is(ctl_text_clock(0), "0:00");
	is(ctl_text_clock(3599), "59:59");
	is(ctl_text_clock(3661), "1:01:01");
	is(ctl_text_clock(G_MAXUINT64), "-");
	is(ctl_text_duration(7), "7 s");
	is(ctl_text_duration(90 * 60), "90 min");
	is(ctl_text_duration(2 * 3600 + 300), "2 h 5 min");
	is(ctl_text_duration(72 * 3600), "3 days");
	is(ctl_text_number(1, "file", "files"), "1 file");
	is(ctl_text_number(0, "file", "files"), "0 files");
}

/* Names of files are a stranger's. */
static void test_safe(void)
{
	is(ctl_text_safe("Grüße 你好"), "Grüße 你好");
	is(ctl_text_safe("a\033[2Jb\n\t\x7f"), "a\\033[2Jb\\012\\011\\177");
	is(ctl_text_safe("\xc2\x9b"
	                 "31m"),
	   "\\23331m");
	is(ctl_text_safe("a\xff"), "a\xef\xbf\xbd");
	is(ctl_text_safe("\u202egmis.\u2066"), "gmis.");
}

static void test_fit(void)
{
	g_assert_cmpuint(ctl_text_width("Grüße"), ==, 5);
	g_assert_cmpuint(ctl_text_width("你好"), ==, 4);
	is(ctl_text_fit("short", 8, false), "short");
	is(ctl_text_fit("short", 8, true), "short   ");
	is(ctl_text_fit("home/sub/waiter.simg", 12, false), "hom…ter.simg");
	is(ctl_text_fit("你好你好你好", 7, true), "你…你好");
	is(ctl_text_fit("abc", 0, true), "");
	for (guint columns = 0; columns < 30; columns++) {
		g_autofree char *fit = ctl_text_fit("home/你好/waiter Grüße.simg", columns, true);
		g_assert_cmpuint(ctl_text_width(fit), ==, columns);
	}
}

static void test_table(void)
{
	g_autoptr(CtlTable) table = ctl_table_new("lrll");

	ctl_table_add(table, "a", "1 B", NULL, "x");
	ctl_table_add(table, "你好", "10.0 MiB", "", NULL);
	is(ctl_table_text(table, " "), " a          1 B  x\n 你好  10.0 MiB\n");
	g_assert_cmpuint(ctl_table_rows(table), ==, 2);
}

static void test_bars(void)
{
	const guint64 mib = 1024 * 1024;

	is(ctl_progress_line("home/w.simg", 12, 45 * mib, 100 * mib, mib, NULL, 79),
	   "home/w.simg   [=========>           ]   45 %   100.0 MiB     1.0 MiB/s     0:56");
	is(ctl_progress_line("home/w.simg", 12, 0, 100 * mib, 0, NULL, 79),
	   "home/w.simg   [                     ]    0 %   100.0 MiB             -        -");
	is(ctl_progress_line("empty", 8, 0, 0, 0, NULL, 79),
	   "empty     [=========================]  100 %         0 B             -        -");
	is(ctl_progress_line("w", 8, 50, 100, 0, "again in 3 s: busy", 79),
	   "w         [============>            ]   50 %       100 B  again in 3 s: busy");
	for (guint columns = 4; columns < 200; columns++) {
		g_autofree char *line = ctl_progress_line("home/waiter.simg", 12, 5, 10, 1,
		                                          "a long note that tells a lot", columns);
		g_autofree char *bar =
			ctl_progress_line("home/waiter.simg", 12, 5, 10, 1, NULL, columns);
		g_assert_cmpuint(ctl_text_width(line), <=, columns);
		g_assert_cmpuint(ctl_text_width(bar), <=, columns);
	}
}

static void test_json(void)
{
	g_autoptr(CtlJson) json = ctl_json_new();

	ctl_json_begin_array(json, NULL);
	ctl_json_begin_object(json, NULL);
	ctl_json_string(json, "te\"xt", "a\\\n\x01ü\xff");
	ctl_json_string(json, "none", NULL);
	ctl_json_number(json, "number", G_MAXUINT64);
	ctl_json_time(json, "time", 1795417200);
	ctl_json_time(json, "no time", 0);
	ctl_json_begin_array(json, "empty");
	ctl_json_end_array(json);
	ctl_json_end_object(json);
	ctl_json_bool(json, NULL, true);
	ctl_json_end_array(json);
	g_assert_cmpstr(ctl_json_text(json), ==,
	                "[{\"te\\\"xt\":\"a\\\\\\u000a\\u0001ü\xef\xbf\xbd\",\"none\":null,"
	                "\"number\":18446744073709551615,\"time\":\"2026-11-23T07:00:00Z\","
	                "\"no time\":null,\"empty\":[]},true]\n");
}

static void test_exit_statuses(void)
{
	g_assert_cmpint(ctl_worse(CTL_OK, CTL_OK), ==, CTL_OK);
	g_assert_cmpint(ctl_worse(CTL_FAILED, CTL_OK), ==, CTL_FAILED);
	g_assert_cmpint(ctl_worse(CTL_FAILED, CTL_NOPERM), ==, CTL_NOPERM);
	g_assert_cmpint(ctl_worse(CTL_NOINPUT, CTL_NOPERM), ==, CTL_NOINPUT);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ctl/text/numbers", test_numbers);
	g_test_add_func("/ctl/text/safe", test_safe);
	g_test_add_func("/ctl/text/fit", test_fit);
	g_test_add_func("/ctl/text/table", test_table);
	g_test_add_func("/ctl/progress", test_bars);
	g_test_add_func("/ctl/json", test_json);
	g_test_add_func("/ctl/exit-statuses", test_exit_statuses);
	return g_test_run();
}
