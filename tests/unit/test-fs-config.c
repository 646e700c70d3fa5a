/* Configuration and credentials. */
#include "fs/config.h"
#include "fs/credentials.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
	char *folder, *config, *credentials;
} Fixture;

static void unset(void)
{
	g_unsetenv("CFG_TOKEN");
	g_unsetenv("CFG_USERNAME");
	g_unsetenv("CFG_PROJECT");
	g_unsetenv("CFG_PASSWORD");
	g_unsetenv("CREDENTIALS_DIRECTORY");
}

static void set_up(Fixture *fixture, gconstpointer data)
{
	unset();
	fixture->folder = g_dir_make_tmp("gssfs-config-XXXXXX", NULL);
	fixture->config = g_build_filename(fixture->folder, "gssfs.conf", NULL);
	fixture->credentials = fs_credentials_path(fixture->config);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	unset();
	g_unlink(fixture->config);
	g_unlink(fixture->credentials);
	g_assert_cmpint(g_rmdir(fixture->folder), ==, 0);
	g_free(fixture->folder);
	g_free(fixture->config);
	g_free(fixture->credentials);
}

static void put(const char *path, const char *text, int mode)
{
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	g_assert_cmpint(chmod(path, (mode_t)mode), ==, 0);
}

static void test_defaults(Fixture *fixture, gconstpointer data)
{
	g_auto(FsConfig) config = {0};
	g_autoptr(GError) error = NULL;

	g_assert_true(fs_config_load(fixture->config, false, &config, &error));
	g_assert_no_error(error);
	g_assert_cmpstr(config.auth, ==, "https://api.hetcomp.org/authManager/AuthManager?wsdl");
	g_assert_cmpstr(config.gss, ==, "https://api.hetcomp.org/gss-0.1/FileUtilities?wsdl");
	g_assert_cmpuint(config.names->len, ==, 3);
	g_assert_cmpstr(fs_config_images(&config, "it4i_barbora"), ==,
	                "https://api.hetcomp.org/hpc-4-barbora/Images?wsdl");
	g_assert_null(fs_config_images(&config, "plm"));
	g_assert_false(fs_config_load(fixture->config, true, &config, &error));
	g_assert_cmpint(error->code, ==, ENOENT);
}

static void test_config(Fixture *fixture, gconstpointer data)
{
	g_auto(FsConfig) config = {0};
	g_autoptr(GError) error = NULL;

	put(fixture->config,
	    "# mine\n[platform]\nauth=https://a/A?wsdl\nallow_http=true\n"
	    "[mount]\nconflict=overwrite\n[storage zebra]\nimages=https://z/I?wsdl\n[storage "
	    "plm]\n",
	    0644);
	g_assert_true(fs_config_load(fixture->config, true, &config, &error));
	g_assert_no_error(error);
	g_assert_cmpstr(config.auth, ==, "https://a/A?wsdl");
	g_assert_cmpstr(config.gss, ==, "https://api.hetcomp.org/gss-0.1/FileUtilities?wsdl");
	g_assert_true(config.allow_http);
	g_assert_true(config.conflict_overwrite);
	g_assert_cmpuint(config.names->len, ==, 2);
	g_assert_cmpstr(config.names->pdata[0], ==, "zebra");
	g_assert_cmpstr(fs_config_images(&config, "zebra"), ==, "https://z/I?wsdl");
	g_assert_null(fs_config_images(&config, "plm"));
}

static void test_config_wrong(Fixture *fixture, gconstpointer data)
{
	static const char *const cases[][2] = {
		{"[plattform]\n", "plattform"},
		{"[platform]\nath=x\n", "ath"},
		{"[platform]\nallow_http=perhaps\n", "allow_http"},
		{"[mount]\nconflict=perhaps\n", "perhaps"},
		{"[mount]\nuid=1\n", "uid"},
		{"[storage a/b]\n", "a/b"},
		{"[storage ]\n", "storage"},
		{"[storage a]\nimage=x\n", "image"},
		/* What cannot be read is not the built-in value. */
		{"[platform]\nauth=https://a\\c\n", "auth"},
		{"[platform]\ngss=https://a/\xff\n", "gss"},
		{"[mount]\nconflict=\\overwrite\n", "conflict"},
		{"[storage a]\nimages=https://a\\c\n", "images"},
		{"nonsense\n", "gssfs.conf"},
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_auto(FsConfig) config = {0};
		g_autoptr(GError) error = NULL;
		put(fixture->config, cases[i][0], 0644);
		g_assert_false(fs_config_load(fixture->config, true, &config, &error));
		g_assert_cmpint(error->code, ==, EINVAL);
		g_assert_nonnull(strstr(error->message, cases[i][1]));
		g_assert_nonnull(strstr(error->message, fixture->config));
	}
}

#define FILE_TEXT \
	"[credentials]\nusername=alice\nproject=experiment\npassword=secret\ntoken=filetoken\n"

static void test_credentials(Fixture *fixture, gconstpointer data)
{
	g_auto(FsCredentials) found = {0};
	g_autoptr(GError) error = NULL;

	g_assert_true(fs_credentials_load(fixture->credentials, &found, &error));
	g_assert_no_error(error);
	g_assert_null(found.token);
	g_assert_null(found.password);
	put(fixture->credentials, FILE_TEXT, 0600);
	g_assert_true(fs_credentials_load(fixture->credentials, &found, &error));
	g_assert_no_error(error);
	g_assert_cmpstr(found.username, ==, "alice");
	g_assert_cmpstr(found.project, ==, "experiment");
	g_assert_cmpstr(found.password, ==, "secret");
	g_assert_cmpstr(found.token, ==, "filetoken");
}

static void test_environment(Fixture *fixture, gconstpointer data)
{
	g_auto(FsCredentials) found = {0};

	put(fixture->credentials, FILE_TEXT, 0600);
	g_setenv("CFG_PROJECT", "other", TRUE);
	g_setenv("CFG_TOKEN", "", TRUE);
	g_assert_true(fs_credentials_load(fixture->credentials, &found, NULL));
	g_assert_cmpstr(found.project, ==, "other");
	g_assert_cmpstr(found.password, ==, "secret");
	g_assert_cmpstr(found.token, ==, "filetoken");
	fs_credentials_clear(&found);
	/* Another user: neither the file's token nor its password may be used for him. */
	g_setenv("CFG_USERNAME", "bob", TRUE);
	g_assert_true(fs_credentials_load(fixture->credentials, &found, NULL));
	g_assert_cmpstr(found.username, ==, "bob");
	g_assert_null(found.password);
	g_assert_null(found.token);
	fs_credentials_clear(&found);
	g_setenv("CFG_TOKEN", "mine", TRUE);
	g_assert_true(fs_credentials_load(fixture->credentials, &found, NULL));
	g_assert_cmpstr(found.token, ==, "mine");
}

static void refused(const char *path, int code)
{
	g_auto(FsCredentials) found = {0};
	g_autoptr(GError) error = NULL;

	g_assert_false(fs_credentials_load(path, &found, &error));
	g_assert_cmpint(error->code, ==, code);
	g_assert_null(strstr(error->message, "secret"));
	g_assert_null(found.password);
}

static void test_unsafe(Fixture *fixture, gconstpointer data)
{
	g_autofree char *target = g_build_filename(fixture->folder, "target", NULL);

	put(fixture->credentials, FILE_TEXT, 0640);
	refused(fixture->credentials, EPERM);
	put(fixture->credentials, FILE_TEXT, 0604);
	refused(fixture->credentials, EPERM);
	put(fixture->credentials, "password=secret\n", 0600);
	refused(fixture->credentials, EINVAL);
	put(fixture->credentials, "[credentials]\nusername=a\nproject=b\npassword=secret\\1\n",
	    0600);
	refused(fixture->credentials, EINVAL);
	put(fixture->credentials, "[credentials]\ntoken=secret\xff\n", 0600);
	refused(fixture->credentials, EINVAL);
	g_assert_cmpint(g_unlink(fixture->credentials), ==, 0);
	put(target, FILE_TEXT, 0600);
	g_assert_cmpint(symlink(target, fixture->credentials), ==, 0);
	refused(fixture->credentials, EPERM);
	g_assert_cmpint(g_unlink(fixture->credentials), ==, 0);
	g_assert_cmpint(g_unlink(target), ==, 0);
	g_assert_cmpint(g_mkdir(fixture->credentials, 0700), ==, 0);
	refused(fixture->credentials, EPERM);
	g_assert_cmpint(g_rmdir(fixture->credentials), ==, 0);
	g_assert_cmpint(mkfifo(fixture->credentials, 0600), ==, 0);
	refused(fixture->credentials, EPERM);
	if (geteuid() == 0) {
		g_unlink(fixture->credentials);
		put(fixture->credentials, FILE_TEXT, 0600);
		g_assert_cmpint(chown(fixture->credentials, 12345, 12345), ==, 0);
		refused(fixture->credentials, EPERM);
	}
}

static void test_service(Fixture *fixture, gconstpointer data)
{
	g_autofree char *handed = g_build_filename(fixture->folder, "gssfs", NULL);
	g_auto(FsCredentials) found = {0};

	put(handed, FILE_TEXT, 0440);
	g_setenv("CREDENTIALS_DIRECTORY", fixture->folder, TRUE);
	g_assert_true(fs_credentials_load(fixture->credentials, &found, NULL));
	g_assert_cmpstr(found.username, ==, "alice");
	fs_credentials_clear(&found);
	put(fixture->credentials, "[credentials]\nusername=carol\n", 0600);
	g_assert_true(fs_credentials_load(fixture->credentials, &found, NULL));
	g_assert_cmpstr(found.username, ==, "carol");
	g_assert_null(found.password);
	g_assert_cmpint(g_unlink(handed), ==, 0);
}

static void save(const Fixture *fixture, const FsCredentials *given)
{
	g_auto(FsCredentials) found = {0};
	g_autoptr(GError) error = NULL;
	struct stat st;

	g_assert_true(fs_credentials_save(fixture->credentials, given, &error));
	g_assert_no_error(error);
	g_assert_cmpint(stat(fixture->credentials, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 07777, ==, 0600);
	g_assert_true(fs_credentials_load(fixture->credentials, &found, &error));
	g_assert_no_error(error);
	g_assert_cmpstr(found.username, ==, given->username);
	g_assert_cmpstr(found.project, ==, given->project);
	g_assert_cmpstr(found.password, ==, given->password);
	g_assert_cmpstr(found.token, ==, given->token);
}

static void test_save(Fixture *fixture, gconstpointer data)
{
	static const char *const lost[] = {" s3cret", "s3cret ", "s3cret\xff"};
	g_autofree char *before = NULL, *after = NULL;

	/* What is there already, and who may read it, does not count. */
	put(fixture->credentials, FILE_TEXT, 0644);
	save(fixture, &(FsCredentials){
			      .username = (char *)"ada",
			      .project = (char *)"tur;bines",
			      .password = (char *)"p=a#s\\s [x] ;\twort ü\\",
		      });
	save(fixture, &(FsCredentials){.token = (char *)"abc-def=="});
	g_assert_true(g_file_get_contents(fixture->credentials, &before, NULL, NULL));
	for (guint i = 0; i < G_N_ELEMENTS(lost); i++) {
		g_autoptr(GError) error = NULL;
		const FsCredentials given = {.username = (char *)"a", .password = (char *)lost[i]};
		g_assert_false(fs_credentials_save(fixture->credentials, &given, &error));
		g_assert_cmpint(error->code, ==, EINVAL);
		g_assert_null(strstr(error->message, "s3cret"));
	}
	g_assert_true(g_file_get_contents(fixture->credentials, &after, NULL, NULL));
	g_assert_cmpstr(before, ==, after);
	/* Nothing of a failed attempt stays beside it. */
	g_autoptr(GDir) dir = g_dir_open(fixture->folder, 0, NULL);
	const char *name;
	while ((name = g_dir_read_name(dir)) != NULL)
		g_assert_false(g_str_has_prefix(name, "credentials."));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(path, func) g_test_add(path, Fixture, NULL, set_up, func, tear_down)
	ADD("/fs/config/defaults", test_defaults);
	ADD("/fs/config/read", test_config);
	ADD("/fs/config/wrong", test_config_wrong);
	ADD("/fs/credentials/file", test_credentials);
	ADD("/fs/credentials/environment", test_environment);
	ADD("/fs/credentials/unsafe", test_unsafe);
	ADD("/fs/credentials/service", test_service);
	ADD("/fs/credentials/save", test_save);
	return g_test_run();
}
