/* The command line. */
#include "fs/options.h"

#include <errno.h>
#include <string.h>

static bool parse(const char *line, FsOptions *ret, GError **error)
{
	g_auto(GStrv) words = NULL;
	int count;

	g_assert_true(g_shell_parse_argv(line, &count, &words, NULL));
	return fs_options_parse(count, words, ret, error);
}

static void test_plain(void)
{
	g_auto(FsOptions) options = {0};
	g_autoptr(GError) error = NULL;

	g_assert_true(parse("gssfs it4i_anselm://home mnt", &options, &error));
	g_assert_no_error(error);
	g_assert_cmpstr(options.source, ==, "it4i_anselm://home");
	g_assert_cmpstr(options.mountpoint, ==, "mnt");
	g_assert_false(options.foreground);
	g_assert_cmpuint(options.umask, ==, 022);
	g_assert_false(options.umask_given);
	g_assert_cmpuint(options.register_timeout, ==, 900);
	g_assert_cmpuint(options.mount->len, ==, 0);
}

static void test_everywhere(void)
{
	g_auto(FsOptions) options = {0};
	g_autoptr(GError) error = NULL;

	g_assert_true(
		parse("gssfs -o auth=http://a/x?wsdl,ro all -oumask=077,uid=12 -f mnt -o "
	              "fsync=local,offline=cached,conflict=overwrite,cache_size=2G,allow_other",
	              &options, &error));
	g_assert_no_error(error);
	g_assert_cmpstr(options.source, ==, "all");
	g_assert_cmpstr(options.mountpoint, ==, "mnt");
	g_assert_cmpstr(options.auth, ==, "http://a/x?wsdl");
	g_assert_true(options.read_only && options.foreground && options.fsync_local &&
	              options.offline_cached);
	g_assert_true(options.allow_other);
	g_assert_true(options.conflict_given && options.conflict_overwrite);
	g_assert_cmpuint(options.umask, ==, 077);
	g_assert_true(options.umask_given);
	g_assert_cmpuint(options.uid, ==, 12);
	g_assert_cmpuint(options.cache_size, ==, G_GUINT64_CONSTANT(2) << 30);
}

/* As `mount -t fuse.gssfs` calls, and what fstab may have. */
static void test_mount(void)
{
	g_auto(FsOptions) options = {0};
	g_autoptr(GError) error = NULL;

	g_assert_true(parse("gssfs it4i_anselm:// /mnt -o "
	                    "rw,nosuid,nodev,noexec,relatime,_netdev,noauto,user,nofail,"
	                    "x-systemd.automount,comment=hello,defaults,uid=1000,noatime",
	                    &options, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(options.uid, ==, 1000);
	g_assert_false(options.read_only);
	g_ptr_array_add(options.mount, NULL);
	g_autofree char *passed = g_strjoinv(",", (char **)options.mount->pdata);
	g_assert_cmpstr(passed, ==, "rw,nosuid,nodev,noexec,noatime");
}

static void test_escaped(void)
{
	g_auto(FsOptions) options = {0};
	g_autoptr(GError) error = NULL;

	g_assert_true(
		parse("gssfs -d a:// m -o 'cache_dir=/x\\,y,drain_timeout=7'", &options, &error));
	g_assert_no_error(error);
	g_assert_cmpstr(options.cache_dir, ==, "/x,y");
	g_assert_cmpuint(options.drain_timeout, ==, 7);
	g_assert_true(options.debug && options.foreground);
}

static void test_wrong(void)
{
	static const struct {
		const char *line, *says;
	} cases[] = {
		{"gssfs", "missing"},
		{"gssfs a://", "MOUNTPOINT"},
		{"gssfs a:// m n", "too many"},
		{"gssfs a:// m -o colour=red", "colour"},
		{"gssfs a:// m -o rw,blue", "blue"},
		{"gssfs a:// m --nope", "--nope"},
		{"gssfs a:// m -o cache_size=1X", "1X"},
		{"gssfs a:// m -o cache_size=", "no size"},
		{"gssfs a:// m -o cache_size=99999999999999999999", "no size"},
		{"gssfs a:// m -o cache_size=9999999999T", "no size"},
		{"gssfs a:// m -o umask=9", "umask"},
		{"gssfs a:// m -o uid=me", "uid"},
		{"gssfs a:// m -o uid", "uid"},
		{"gssfs a:// m -o fsync=never", "never"},
		{"gssfs a:// m -o offline=maybe", "maybe"},
		{"gssfs a:// m -o conflict=mine", "mine"},
		{"gssfs a:// m -o auth=", "auth"},
		{"gssfs a:// m -o ro=1", "ro"},
		{"gssfs a:// m -o drain_timeout=-1", "drain_timeout"},
		{"gssfs a:// m -o allow_other,allow_root", "exclude"},
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_auto(FsOptions) options = {0};
		g_autoptr(GError) error = NULL;
		g_test_message("%s", cases[i].line);
		g_assert_false(parse(cases[i].line, &options, &error));
		g_assert_cmpint(error->code, ==, EINVAL);
		g_assert_nonnull(strstr(error->message, cases[i].says));
		g_assert_null(options.source);
	}
}

static void test_informs(void)
{
	g_auto(FsOptions) options = {0};

	g_assert_true(parse("gssfs --help", &options, NULL));
	g_assert_true(options.help);
	fs_options_clear(&options);
	g_assert_true(parse("gssfs -V", &options, NULL));
	g_assert_true(options.version);
}

static void test_size(void)
{
	guint64 size = 0;

	g_assert_true(fs_size_parse("512", &size, NULL) && size == 512);
	g_assert_true(fs_size_parse("3k", &size, NULL) && size == 3072);
	g_assert_true(fs_size_parse("1T", &size, NULL) && size == G_GUINT64_CONSTANT(1) << 40);
	g_assert_false(fs_size_parse("", &size, NULL));
	g_assert_false(fs_size_parse("K", &size, NULL));
	g_assert_false(fs_size_parse("-1K", &size, NULL));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/fs/options/plain", test_plain);
	g_test_add_func("/fs/options/everywhere", test_everywhere);
	g_test_add_func("/fs/options/mount", test_mount);
	g_test_add_func("/fs/options/escaped", test_escaped);
	g_test_add_func("/fs/options/wrong", test_wrong);
	g_test_add_func("/fs/options/informs", test_informs);
	g_test_add_func("/fs/options/size", test_size);
	return g_test_run();
}
