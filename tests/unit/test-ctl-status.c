/* gssctl's reading of .status and of .register, whatever is in them. */
#include "fs/ctl/log.h"
#include "fs/ctl/show.h"
#include "fs/ctl/status.h"

#include <errno.h>
#include <string.h>

#define HEAD "gssfs\t1\t0.1.0\tit4i_anselm://\t/home/ada/gss\n"

static CtlStatus *parse(const char *text)
{
	g_autoptr(GError) error = NULL;
	CtlStatus *status = ctl_status_parse(text, &error);

	g_assert_no_error(error);
	g_assert_nonnull(status);
	return status;
}

static const char whole[] = HEAD
	"session\tok\tada\tturbines\t2026-11-24T07:02:00Z\t-\n"
	"cache\tit4i_anselm://\t1024\t4096\n"
	"cache\tit4i_salomon://\t1\t2\n"
	"quarantine\t2\t6\t/home/ada/my\\011quarantine\n"
	"pending\t3\t1000\t100\t2026-11-23T07:02:10Z\t1\t2\n"
	"file\thome/my file\tuploading\t10\t20\t0\t-\t-\n"
	"file\thome/a\\011b\\012c\\134d\tfailed\t0\t20\t3\t2026-11-23T07:05:00Z\tit is \\134 bad\n"
	"file\thome/c\tconflict\t0\t1\t0\t-\ta newer one is there\n"
	"file\thome/c.conflict-a-b\tconflict\t5\t5\t0\t-\tfor a reason\n"
	"command\thome\tregister\tx.simg\tx.simg\t2026-11-23T07:00:00Z\tuploading\n";

static void test_whole(void)
{
	g_autoptr(CtlStatus) status = parse(whole);

	g_assert_cmpstr(status->version, ==, "0.1.0");
	g_assert_cmpstr(status->source, ==, "it4i_anselm://");
	g_assert_cmpstr(status->mountpoint, ==, "/home/ada/gss");
	g_assert_cmpstr(status->session.state, ==, "ok");
	g_assert_cmpstr(status->session.user, ==, "ada");
	g_assert_cmpstr(status->session.project, ==, "turbines");
	g_assert_cmpint(status->session.valid_until, ==, 1795503720);
	g_assert_null(status->session.message);
	g_assert_cmpuint(status->caches->len, ==, 2);
	const CtlCache *cache = status->caches->pdata[0];
	g_assert_cmpstr(cache->storage, ==, "it4i_anselm://");
	g_assert_cmpuint(cache->used, ==, 1024);
	g_assert_cmpuint(cache->limit, ==, 4096);
	g_assert_cmpuint(status->quarantines->len, ==, 1);
	const CtlQuarantine *quarantine = status->quarantines->pdata[0];
	g_assert_cmpuint(quarantine->files, ==, 2);
	g_assert_cmpuint(quarantine->bytes, ==, 6);
	g_assert_cmpstr(quarantine->path, ==, "/home/ada/my\tquarantine");
	g_assert_cmpuint(status->pending.files, ==, 3);
	g_assert_cmpuint(status->pending.bytes, ==, 1000);
	g_assert_cmpuint(status->pending.rate, ==, 100);
	g_assert_cmpint(status->pending.expected_end, ==, 1795417330);
	g_assert_cmpuint(status->pending.parked, ==, 1);
	g_assert_cmpuint(status->pending.removals, ==, 2);
	g_assert_cmpuint(status->files->len, ==, 4);
	const CtlFile *file = status->files->pdata[1];
	g_assert_cmpstr(file->path, ==, "home/a\tb\nc\\d");
	g_assert_cmpstr(file->state, ==, "failed");
	g_assert_cmpuint(file->total, ==, 20);
	g_assert_cmpuint(file->tries, ==, 3);
	g_assert_cmpint(file->next_try, ==, 1795417500);
	g_assert_cmpstr(file->message, ==, "it is \\ bad");
	/* A conflict copy that has arrived waits for nobody. */
	g_assert_true(ctl_file_is_parked(status->files->pdata[2]));
	g_assert_false(ctl_file_is_there(status->files->pdata[2]));
	g_assert_false(ctl_file_is_parked(status->files->pdata[3]));
	g_assert_true(ctl_file_is_there(status->files->pdata[3]));
	g_assert_cmpuint(status->commands->len, ==, 1);
	const CtlCommand *command = status->commands->pdata[0];
	g_assert_cmpstr(command->step, ==, "uploading");
}

/* A later gssfs may say more. */
static void test_later_version(void)
{
	g_autoptr(CtlStatus) status = parse("gssfs\t1\t9.0\tall\t/m\tmore\n"
	                                    "novelty\twhatever\n"
	                                    "\n"
	                                    "session\tok\ta\tb\t-\t-\tmore\tand more\n"
	                                    "file\tx\tdirty\t0\t1\t0\t-\t-\tmore\n");

	g_assert_cmpstr(status->source, ==, "all");
	g_assert_cmpstr(status->session.project, ==, "b");
	g_assert_null(status->session.message);
	g_assert_cmpuint(status->files->len, ==, 1);
}

static void test_refused(void)
{
	static const char *const texts[] = {"",        "\n",       "gssfs", "gssfs\t2\tx\ty\tz\n",
	                                    "hello\n", "gssfs\t\n"};

	for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_null(ctl_status_parse(texts[i], &error));
		g_assert_cmpint(error->code, ==, EPROTO);
	}
}

/* What is cut off or nonsense is nothing, and never a crash. */
static void test_broken(void)
{
	g_autoptr(CtlStatus) status =
		parse(HEAD "session\n"
	                   "session\trejected\n"
	                   "cache\n"
	                   "pending\tx\t-1\t99999999999999999999999\tyesterday\n"
	                   "file\n"
	                   "file\tp\n"
	                   "file\t\\0\\01\\400\\x\\\tdirty\t1\n"
	                   "file\t\xff\xfe\tdirty\t1\t2\t3\t\xff\t\xff\n"
	                   "command");

	g_assert_cmpstr(status->session.state, ==, "rejected");
	g_assert_null(status->session.user);
	g_assert_cmpuint(status->pending.bytes, ==, 0);
	g_assert_cmpuint(status->pending.rate, ==, 0);
	g_assert_cmpuint(status->files->len, ==, 4);
	const CtlFile *file = status->files->pdata[1];
	g_assert_cmpstr(file->state, ==, "dirty");
	file = status->files->pdata[2];
	g_assert_cmpstr(file->path, ==, "\\0\\01\\400\\x\\");
	for (gsize length = 0; length < sizeof(whole); length++) {
		g_autofree char *part = g_strndup(whole, length);
		g_autoptr(CtlStatus) some = ctl_status_parse(part, NULL);
		g_assert_true(some != NULL || length < strlen("gssfs\t1"));
	}
}

static void test_below(void)
{
	const CtlFile file = {.path = (char *)"home/sub/f", .state = (char *)"dirty"};

	g_assert_true(ctl_file_is_below(&file, ""));
	g_assert_true(ctl_file_is_below(&file, "home"));
	g_assert_true(ctl_file_is_below(&file, "home/sub/f"));
	g_assert_false(ctl_file_is_below(&file, "home/su"));
	g_assert_false(ctl_file_is_below(&file, "home/sub/f/g"));
	g_assert_false(ctl_file_is_below(&file, "scratch"));
}

static bool every(const CtlFile *file, const void *data)
{
	return true;
}

static bool none(const CtlFile *file, const void *data)
{
	return false;
}

static void test_shown(void)
{
	const CtlMount mount = {
		.path = (char *)"/m", .source = (char *)"it4i_anselm://", .gssfs = true};
	g_autoptr(CtlStatus) status = parse(
		HEAD "session\tmissing\t-\t-\t-\t-\n"
		     "cache\tit4i_anselm://\t1536\t4096\n"
		     "pending\t4\t1048576\t1024\t-\t2\t0\n"
		     "file\thome/a\tuploading\t1\t4\t0\t-\t-\n"
		     "file\thome/b\\033[31m\tfailed\t0\t2048\t3\t-\tno such folder\n"
		     "file\thome/c\tdirty\t0\t2048\t3\t1970-01-01T00:01:40Z\tthe server is busy\n"
		     "file\thome/d\tfailed\t0\t2048\t3\t-\tit was cut off: write it anew\n");
	g_autofree char *text = ctl_show_text(&mount, status, every, NULL, 100, false, 70);

	g_assert_cmpstr(
		text, ==,
		"/m  it4i_anselm://\n"
		"  login    nobody is logged in: gssctl login\n"
		"  cache    1.5 KiB of 4.0 KiB\n"
		"  pending  2 files, 1.0 MiB left at 1.0 KiB/s; 2 files need you, see below\n"
		"\n"
		"  uploading  25 %      4 B  home/a\n"
		"  failed           2.0 KiB  home/b\\033[31m  no such folder (gssctl retry tries "
		"again)\n"
		"  dirty            2.0 KiB  home/c          next try in 30 s: the server is "
		"busy\n"
		"  failed           2.0 KiB  home/d          it was cut off: write it anew\n");
	g_autofree char *few = ctl_show_text(&mount, status, every, NULL, 1, true, 70);
	g_assert_nonnull(strstr(few, "\n"
	                             "  STATE      DONE  SIZE  FILE\n"
	                             "  uploading  25 %   4 B  home/a\n"
	                             "  ... and 3 more\n"));
	g_autofree char *elsewhere = ctl_show_text(&mount, status, none, NULL, 100, false, 70);
	g_assert_nonnull(strstr(elsewhere, "2 files need you, see gssctl status\n"));
}

/* With the remedy, once. */
static void test_login_trouble(void)
{
	static const char *const all[][2] = {
		{"missing\t-\t-\t-\t-", "nobody is logged in: gssctl login"},
		{"missing\t-\t-\t-\tno credentials: give some (gssctl login)",
	         "nobody is logged in, no credentials: give some (gssctl login)"},
		{"rejected\t-\t-\t-\tno such user",
	         "the login was refused, no such user: gssctl login"},
	};

	for (guint i = 0; i < G_N_ELEMENTS(all); i++) {
		g_autofree char *line = g_strconcat(HEAD "session\t", all[i][0], "\n", NULL);
		g_autoptr(CtlStatus) status = parse(line);
		g_autofree char *shown = ctl_show_login_trouble(status);
		g_assert_cmpstr(shown, ==, all[i][1]);
	}
}

static void test_log(void)
{
	static const char text[] =
		"# Write a line to register an image:\n"
		"# time\toutcome\tname\tsource\tsize\tseconds\tmessage\n"
		"# 2026-11-23T07:00:00Z\tregistered\tw.simg\t./w.simg\t12\t3\t-\n"
		"# 2026-11-23T07:10:00Z\tfailed\tw.simg\t./w.simg\t-\t1\tno such\\011file\n"
		"# 2026-11-23T07:11:00Z\tregistered\tw.simg\t../w.simg\t12\t3\t-\n"
		"# 2026-11-23T07:12:00Z\tupdated\tw.simg\tw.simg\t12\t60.5\t-\n"
		"# 2026-11-23T07:12:00Z\trunning\tw.simg\t./w.simg\t12\t90.5\t-\n"
		"# \t\t\n#\n";
	const gint64 at = 1795417200;
	const CtlLogQuery failed = {"w.simg", "./w.simg", at, true};
	const CtlLogQuery same = {"w.simg", "./w.simg", at, false};
	/* What joined another one is told how that ended: it began earlier, and may be spelled
	 * otherwise. */
	const CtlLogQuery joined = {"w.simg", "./w.simg", at + 720 + 61, false};
	const CtlLogQuery late[] = {
		{"w.simg", "./w.simg", at + 720 + 62, false},
		{"w.simg", "./w.simg", at + 603, true},
		{"v.simg", "./w.simg", 0, false},
	};
	g_auto(CtlLogLine) line = {0}, registered = {0}, updated = {0}, none = {0};

	g_assert_true(ctl_log_find(text, &failed, &line));
	g_assert_cmpstr(line.outcome, ==, "failed");
	g_assert_cmpstr(line.message, ==, "no such\tfile");
	g_assert_true(ctl_log_find(text, &same, &registered));
	g_assert_cmpstr(registered.time, ==, "2026-11-23T07:00:00Z");
	g_assert_true(ctl_log_find(text, &joined, &updated));
	g_assert_cmpstr(updated.outcome, ==, "updated");
	for (guint i = 0; i < G_N_ELEMENTS(late); i++)
		g_assert_false(ctl_log_find(text, &late[i], &none));
	g_assert_false(ctl_log_find("", &same, &none));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ctl/status/whole", test_whole);
	g_test_add_func("/ctl/status/later-version", test_later_version);
	g_test_add_func("/ctl/status/refused", test_refused);
	g_test_add_func("/ctl/status/broken", test_broken);
	g_test_add_func("/ctl/status/below", test_below);
	g_test_add_func("/ctl/status/shown", test_shown);
	g_test_add_func("/ctl/status/login-trouble", test_login_trouble);
	g_test_add_func("/ctl/log", test_log);
	return g_test_run();
}
