/* Which mounts there are, where paths lie in them, and which storages they show: on folders of
 * plain files, which gssctl cannot tell from a mount. */
#include "fs/ctl/channel.h"
#include "fs/ctl/copy.h"
#include "fs/ctl/mounts.h"
#include "fs/ctl/scope.h"
#include "fs/ctl/storages.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATUS                                                                  \
	"gssfs\t1\t0\tit4i_anselm://\t/m\nfile\thome/f\tdirty\t0\t1\t0\t-\t-\n" \
	"file\tscratch/g\tdirty\t0\t1\t0\t-\t-\n"

typedef struct {
	char *folder; /* without symbolic links */
	GPtrArray *mounts;
} World;

static void put(const World *world, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(world->folder, name, NULL);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static char *at(const World *world, const char *name)
{
	return g_build_filename(world->folder, name, NULL);
}

static void set_up(World *world, const void *data)
{
	static const char *const folders[] = {"gss", "gss/home", "gss/home/other", "gss/scratch",
	                                      "out side"};
	g_autofree char *made = g_dir_make_tmp("test-ctl-XXXXXX", NULL);

	world->folder = realpath(made, NULL);
	for (guint i = 0; i < G_N_ELEMENTS(folders); i++) {
		g_autofree char *path = at(world, folders[i]);
		g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
	}
	put(world, "gss/.status", STATUS);
	put(world, "gss/home/f", "f");
	put(world, "gss/home/other/g", "g");
	put(world, "out side/image", "an image");
	g_autofree char *text =
		g_strdup_printf("21 1 8:1 / / rw - ext4 /dev/sda rw\n"
	                        "30 21 0:40 / %s/gss rw,nosuid shared:3 master:1 - fuse.gssfs "
	                        "it4i_anselm:// rw,user_id=%u,group_id=0\n"
	                        "31 30 0:41 / %s/gss/home/other rw - tmpfs tmpfs rw\n",
	                        world->folder, (guint)geteuid(), world->folder);
	world->mounts = ctl_mounts_parse(text);
}

static void tear_down(World *world, const void *data)
{
	g_autofree char *command = g_strdup_printf("rm -rf '%s'", world->folder);
	g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
	g_ptr_array_unref(world->mounts);
	free(world->folder);
}

static void test_mountinfo(void)
{
	g_autoptr(GPtrArray) mounts =
		ctl_mounts_parse("22 1 8:1 / / rw - ext4 /dev/sda rw\n"
	                         "not a line\n"
	                         "\n"
	                         "30 22 0:40 / /home/a\\040b/gss rw shared:3 - fuse.gssfs "
	                         "it4i_anselm://home\\011x rw\n"
	                         "31 22 0:41 / /hidden rw - fuse.gssfs plm://a rw\n"
	                         "32 22 0:42 / /hidden rw - tmpfs none rw\n"
	                         "33 22 0:40 /sub /bound rw - fuse.gssfs it4i_anselm://home rw\n"
	                         "34 22 0:43 / /cut rw -\n"
	                         "35 22 0:43 / /cut rw - fuse.gssfs\n"
	                         "36 22 0:44 / /other rw - fuse.sshfs gssfs rw");

	g_assert_cmpuint(mounts->len, ==, 5);
	const CtlMount *mount = mounts->pdata[1];
	g_assert_cmpstr(mount->path, ==, "/home/a b/gss");
	g_assert_cmpstr(mount->source, ==, "it4i_anselm://home\tx");
	g_assert_true(mount->gssfs);
	for (guint i = 0; i < mounts->len; i++)
		g_assert_cmpint(((CtlMount *)mounts->pdata[i])->gssfs, ==, i == 1);
	g_assert_false(mount->ours);
}

static void is_at(const World *world, const char *name, const char *relative)
{
	g_autofree char *path = at(world, name);
	g_autoptr(GError) error = NULL;
	g_autoptr(CtlPlace) place = ctl_mounts_find(world->mounts, path, &error);

	g_assert_no_error(error);
	g_assert_cmpstr(place->relative, ==, relative);
	g_assert_cmpstr(place->mount->source, ==, "it4i_anselm://");
}

static void is_nowhere(const World *world, const char *name, int code)
{
	g_autofree char *path = at(world, name);
	g_autoptr(GError) error = NULL;

	g_assert_null(ctl_mounts_find(world->mounts, path, &error));
	g_assert_cmpint(error->code, ==, code);
}

static void test_places(World *world, const void *data)
{
	g_autofree char *link = at(world, "link"), *target = at(world, "gss/home");

	g_assert_cmpint(symlink(target, link), ==, 0);
	is_at(world, "gss", "");
	is_at(world, "gss/", "");
	is_at(world, "gss/home/f", "home/f");
	is_at(world, "gss/./home/../home/f", "home/f");
	is_at(world, "gss/home/not yet", "home/not yet");
	is_at(world, "link/f", "home/f");
	is_nowhere(world, "out side", EXDEV);
	is_nowhere(world, "gss/home/other/g", EXDEV);
	is_nowhere(world, "gssx", EXDEV);
	is_nowhere(world, "gss/no/such", ENOENT);
	is_nowhere(world, "gss/home/f/g", ENOTDIR);
}

static void test_only(World *world, const void *data)
{
	g_autofree char *inside = at(world, "gss/home"), *outside = at(world, "out side");
	char *nothing[] = {NULL}, *some[] = {inside, NULL}, *wrong[] = {outside, NULL};
	const CtlMount *mount = world->mounts->pdata[1];
	g_autoptr(GError) error = NULL;

	g_assert_true(mount->ours);
	g_assert_true(ctl_mounts_only(world->mounts, nothing, NULL));
	g_assert_false(mount->ours);
	g_assert_true(ctl_mounts_only(world->mounts, some, NULL));
	g_assert_true(mount->ours);
	g_assert_false(ctl_mounts_only(world->mounts, wrong, &error));
	g_assert_cmpint(error->code, ==, EXDEV);
}

static void test_scopes(World *world, const void *data)
{
	g_autofree char *home = at(world, "gss/home"), *root = at(world, "gss");
	g_autofree char *missing = at(world, "gss/home/missing");
	char *part[] = {home, NULL}, *all[] = {root, home, NULL}, *none[] = {missing, NULL};
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) scopes = ctl_scopes(world->mounts, part, NULL);
	const CtlScope *scope = scopes->pdata[0];
	g_autoptr(CtlStatus) status = ctl_channel_read(scope->channel, NULL);

	g_assert_false(ctl_scope_is_all(scope));
	g_assert_true(ctl_scope_has(scope, status->files->pdata[0]));
	g_assert_false(ctl_scope_has(scope, status->files->pdata[1]));
	/* It is read afresh. */
	put(world, "gss/.status", "gssfs\t1\t0\tall\t/m\n");
	g_autoptr(GPtrArray) both = ctl_scopes(world->mounts, all, NULL);
	g_assert_cmpuint(both->len, ==, 1);
	g_assert_true(ctl_scope_is_all(both->pdata[0]));
	g_autoptr(CtlStatus) later = ctl_channel_read(((CtlScope *)both->pdata[0])->channel, NULL);
	g_assert_cmpuint(later->files->len, ==, 0);
	g_assert_null(ctl_scopes(world->mounts, none, &error));
	g_assert_cmpint(error->code, ==, ENOENT);
}

static void test_commands(World *world, const void *data)
{
	g_autofree char *file = at(world, "gss/.status");
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL, newline = NULL;

	put(world, "gss/.status", "");
	g_assert_true(ctl_channel_command(world->mounts->pdata[1], "retry", "it's a\tfile", NULL));
	g_assert_false(ctl_channel_command(world->mounts->pdata[1], "retry", "a\nb", &newline));
	g_assert_cmpint(newline->code, ==, EINVAL);
	g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "retry 'it'\\''s a\tfile'\n");
	g_assert_cmpint(g_remove(file), ==, 0);
	g_assert_null(ctl_channel_open(world->mounts->pdata[1], &error));
	g_assert_cmpint(error->code, ==, ENODEV);
}

static GPtrArray *storages_of(const char *source, const char *more)
{
	static const CtlMount mount = {.path = (char *)"/m", .source = (char *)"?", .gssfs = true};
	GPtrArray *storages = ctl_storages_new();
	g_autofree char *text = g_strdup_printf("gssfs\t1\t0\t%s\t/m\n%s", source, more);
	g_autoptr(CtlStatus) status = ctl_status_parse(text, NULL);

	ctl_storages_add(storages, &mount, status);
	return storages;
}

static void is_storage(const GPtrArray *storages, guint index, const char *name, const char *root,
                       const char *home, const char *home_uri)
{
	const CtlStorage *storage = storages->pdata[index];

	g_assert_cmpstr(storage->name, ==, name);
	g_assert_cmpstr(storage->root, ==, root);
	g_assert_cmpstr(storage->home, ==, home);
	g_assert_cmpstr(storage->home_uri, ==, home_uri);
}

static void test_storages(void)
{
	g_autoptr(GPtrArray) whole = storages_of("it4i_anselm://", "");
	g_autoptr(GPtrArray) home = storages_of("it4i_anselm://home/", "");
	g_autoptr(GPtrArray) deep = storages_of("it4i_anselm://home/a b", "");
	g_autoptr(GPtrArray) all = storages_of("all", "cache\tit4i_anselm://\t0\t0\n"
	                                              "cache\tit4i_salomon://\t0\t0\n");
	g_autoptr(GPtrArray) nothing = storages_of("nonsense", "");
	g_autoptr(GError) error = NULL;

	is_storage(whole, 0, "it4i_anselm", "/m", "/m/home", "it4i_anselm://home/");
	is_storage(home, 0, "it4i_anselm", "/m", "/m", "it4i_anselm://home/");
	is_storage(deep, 0, "it4i_anselm", "/m", "/m", "it4i_anselm://home/a b/");
	is_storage(all, 1, "it4i_salomon", "/m/it4i_salomon", "/m/it4i_salomon/home",
	           "it4i_salomon://home/");
	g_assert_cmpuint(nothing->len, ==, 0);
	g_assert_true(ctl_storages_of(all, "/m/it4i_salomon/home/x") == all->pdata[1]);
	g_assert_null(ctl_storages_of(all, "/m/it4i_salomonx"));

	g_autoptr(GPtrArray) one = ctl_storages_choose(all, "it4i_salomon, it4i_salomon://", NULL);
	g_assert_cmpuint(one->len, ==, 1);
	g_assert_null(ctl_storages_choose(all, "it4i_salomon,it4i_barbora", &error));
	g_assert_cmpint(error->code, ==, ENODEV);
	g_assert_cmpstr(error->message, ==,
	                "it4i_barbora is not mounted (mounted: it4i_anselm, it4i_salomon)");
	/* Of several parts of one, the one that shows the most. */
	g_ptr_array_add(deep, g_ptr_array_steal_index(home, 0));
	g_ptr_array_add(deep, g_ptr_array_steal_index(whole, 0));
	g_autoptr(GPtrArray) best = ctl_storages_choose(deep, NULL, NULL);
	g_assert_cmpuint(best->len, ==, 1);
	g_assert_cmpstr(((CtlStorage *)best->pdata[0])->uri, ==, "it4i_anselm://");
}

static void test_copy(World *world, const void *data)
{
	g_autofree char *from = at(world, "out side/image"), *home = at(world, "gss/home");
	g_autofree char *to = at(world, "gss/home/image"), *missing = at(world, "missing");
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL, cancelled = NULL;
	CtlCopy copy = {0}, given_up = {.cancel = 1};
	struct stat st;

	ctl_copy_abandon(&copy);
	g_assert_cmpint(g_chmod(from, 0755), ==, 0);
	g_assert_true(ctl_copy_run(&copy, from, home, "image", NULL));
	g_assert_true(g_file_get_contents(to, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "an image");
	g_assert_cmpuint(ctl_copy_done(&copy), ==, strlen("an image"));
	g_assert_cmpint(stat(to, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 0700, ==, 0700);
	/* Without the attribute nobody knows. */
	g_assert_false(ctl_copy_is_there(&copy, from, to));
	ctl_copy_abandon(&copy);
	g_assert_true(g_file_test(to, G_FILE_TEST_EXISTS));
	ctl_copy_clear(&copy);

	put(world, "out side/image", "another");
	g_assert_false(ctl_copy_run(&given_up, from, home, "image", &cancelled));
	g_assert_cmpint(cancelled->code, ==, ECANCELED);
	g_assert_false(ctl_copy_run(&copy, missing, home, "image", &error));
	g_assert_cmpint(error->code, ==, ENOENT);
	g_clear_pointer(&text, g_free);
	g_assert_true(g_file_get_contents(to, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "an image");
	ctl_copy_clear(&copy);
	ctl_copy_clear(&given_up);
	g_autoptr(GDir) dir = g_dir_open(home, 0, NULL);
	const char *name;
	while ((name = g_dir_read_name(dir)) != NULL)
		g_assert_false(g_str_has_prefix(name, "."));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ctl/mounts/mountinfo", test_mountinfo);
	g_test_add("/ctl/mounts/places", World, NULL, set_up, test_places, tear_down);
	g_test_add("/ctl/mounts/only", World, NULL, set_up, test_only, tear_down);
	g_test_add("/ctl/mounts/scopes", World, NULL, set_up, test_scopes, tear_down);
	g_test_add("/ctl/mounts/commands", World, NULL, set_up, test_commands, tear_down);
	g_test_add_func("/ctl/storages", test_storages);
	g_test_add("/ctl/copy", World, NULL, set_up, test_copy, tear_down);
	return g_test_run();
}
