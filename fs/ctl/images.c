/* gssctl images: what is registered, by .images/; and removing it, by .register. */
#include "fs/ctl/attribute.h"
#include "fs/ctl/ctl.h"
#include "fs/ctl/json.h"
#include "fs/ctl/log.h"
#include "fs/ctl/show.h"
#include "fs/ctl/storages.h"
#include "fs/ctl/text.h"

#include "cache/error.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER ".images"
#define REGISTER ".register"

typedef struct {
	char *name;
	bool sized;
	guint64 size; /* bytes, if that is known */
	gint64 time;  /* s since the epoch; 0: not known */
} Image;

static void image_free(void *data)
{
	Image *image = data;
	g_free(image->name);
	g_free(image);
}

static int by_name(const void *a, const void *b)
{
	const Image *x = *(Image *const *)a, *y = *(Image *const *)b;
	return strcmp(x->name, y->name);
}

/* What the session lacks, which is more than an errno; NULL: nothing. */
static char *login_trouble(const CtlStorage *storage)
{
	g_autoptr(CtlChannel) channel = ctl_channel_open(storage->mount, NULL);
	g_autoptr(CtlStatus) status = channel != NULL ? ctl_channel_read(channel, NULL) : NULL;

	return status != NULL ? ctl_show_login_trouble(status) : NULL;
}

static bool fail_images(GError **error, int code, const CtlStorage *storage)
{
	if (code == ENOENT)
		return ctl_fail(error, ENODEV,
		                "%s: no service for images is known for it (images= in gssfs.conf)",
		                storage->name);
	g_autofree char *trouble = login_trouble(storage);
	return ctl_fail(error, code, "the images of %s: %s", storage->name,
	                trouble != NULL ? trouble : g_strerror(code));
}

/* NULL: it is gone since the folder was read, or errno was set. */
static Image *read_image(const char *folder, const char *name)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);
	g_autofree char *size = NULL;
	struct stat st;
	Image *image;

	if (stat(path, &st) != 0)
		return NULL;
	size = ctl_attribute(path, "image_size", NULL);
	image = g_new0(Image, 1);
	image->name = g_strdup(name);
	image->time = st.st_mtime;
	image->sized = size != NULL &&
	               g_ascii_string_to_unsigned(size, 10, 0, G_MAXUINT64, &image->size, NULL);
	return image;
}

/* Of Image, by name. */
static GPtrArray *list_images(const CtlStorage *storage, GError **error)
{
	g_autoptr(GPtrArray) images = g_ptr_array_new_with_free_func(image_free);
	g_autofree char *path = g_build_filename(storage->root, FOLDER, NULL);
	const struct dirent *entry;
	DIR *dir = opendir(path);

	if (dir == NULL) {
		fail_images(error, errno, storage);
		return NULL;
	}
	while ((errno = 0, entry = readdir(dir)) != NULL) {
		Image *image = *entry->d_name != '.' ? read_image(path, entry->d_name) : NULL;
		if (image != NULL)
			g_ptr_array_add(images, image);
	}
	int code = errno;
	closedir(dir);
	if (code != 0) {
		fail_images(error, code, storage);
		return NULL;
	}
	g_ptr_array_sort(images, by_name);
	return g_steal_pointer(&images);
}

static void image_json(CtlJson *json, const CtlStorage *storage, const Image *image)
{
	ctl_json_begin_object(json, NULL);
	ctl_json_string(json, "storage", storage->name);
	ctl_json_string(json, "name", image->name);
	if (image->sized)
		ctl_json_number(json, "size", image->size);
	else
		ctl_json_string(json, "size", NULL);
	ctl_json_time(json, "date", image->time);
	ctl_json_end_object(json);
}

static CtlTable *table_new(void)
{
	CtlTable *table = ctl_table_new("llrl");

	if (isatty(STDOUT_FILENO))
		ctl_table_head(table, "STORAGE", "IMAGE", "SIZE", "DATE");
	return table;
}

static void image_row(CtlTable *table, const CtlStorage *storage, const Image *image)
{
	gint64 now = g_get_real_time() / G_USEC_PER_SEC;
	g_autofree char *size = image->sized ? ctl_text_size(image->size) : g_strdup("-");
	g_autofree char *time = image->time > 0 ? ctl_text_time(image->time, now) : g_strdup("-");

	ctl_table_add(table, storage->name, image->name, size, time);
}

static int images_ls(const GPtrArray *storages, CtlJson *json)
{
	g_autoptr(CtlTable) table = table_new();
	int status = CTL_OK;

	for (guint i = 0; i < storages->len; i++) {
		const CtlStorage *storage = storages->pdata[i];
		g_autoptr(GError) error = NULL;
		g_autoptr(GPtrArray) images = list_images(storage, &error);
		if (images == NULL) {
			status = ctl_worse(status, ctl_complain(error));
			continue;
		}
		for (guint j = 0; j < images->len; j++) {
			if (json != NULL)
				image_json(json, storage, images->pdata[j]);
			else
				image_row(table, storage, images->pdata[j]);
		}
	}
	g_autofree char *text = ctl_table_text(table, "");
	fputs(text, stdout);
	return status;
}

/* One image wherever it is. */
static int images_info(const GPtrArray *storages, const char *name, CtlJson *json)
{
	g_autoptr(CtlTable) table = table_new();
	int status = CTL_OK;
	guint found = 0;

	if (strchr(name, '/') != NULL) {
		ctl_say("%s is not the name of an image", name);
		return CTL_USAGE;
	}
	for (guint i = 0; i < storages->len; i++) {
		const CtlStorage *storage = storages->pdata[i];
		g_autofree char *folder = g_build_filename(storage->root, FOLDER, NULL);
		Image *image = read_image(folder, name);
		if (image == NULL && errno != ENOENT) {
			g_autoptr(GError) error = NULL;
			fail_images(&error, errno, storage);
			status = ctl_worse(status, ctl_complain(error));
		}
		if (image == NULL)
			continue;
		found++;
		if (json != NULL)
			image_json(json, storage, image);
		else
			image_row(table, storage, image);
		image_free(image);
	}
	g_autofree char *text = ctl_table_text(table, "");
	fputs(text, stdout);
	if (found > 0 || status != CTL_OK)
		return status;
	g_autofree char *names = ctl_storages_names(storages);
	ctl_say("%s is not registered with %s", name, names);
	return CTL_NOINPUT;
}

/* What the mount says of the removal, which is more than an errno. */
static void complain_removal(const CtlStorage *storage, const char *name, const char *file,
                             gint64 since, const GError *error)
{
	g_autofree char *text = NULL;
	g_auto(CtlLogLine) told = {0};

	if (error->code == ENOENT) {
		ctl_say("%s is not registered with %s", name, storage->name);
		return;
	}
	if (g_file_get_contents(file, &text, NULL, NULL))
		ctl_log_find(text, &(CtlLogQuery){name, NULL, since, true}, &told);
	ctl_say("%s, %s: %s", storage->name, name,
	        told.message != NULL ? told.message : error->message);
}

/* From one storage, or from those that were named: nobody shall lose an image of another cluster.
 */
static int images_rm(const GPtrArray *storages, const char *name, bool yes)
{
	g_autofree char *quoted = g_shell_quote(name);
	g_autofree char *line = g_strconcat("remove ", quoted, NULL);
	g_autofree char *names = ctl_storages_names(storages);
	int status = CTL_OK;

	if (!yes &&
	    !ctl_confirm("Remove the image %s from %s, for everybody of the project?", name, names))
		return CTL_FAILED;
	for (guint i = 0; i < storages->len; i++) {
		const CtlStorage *storage = storages->pdata[i];
		g_autofree char *file = g_build_filename(storage->root, REGISTER, NULL);
		gint64 since = g_get_real_time() / G_USEC_PER_SEC;
		g_autoptr(GError) error = NULL;
		if (ctl_channel_write(file, line, &error))
			continue;
		complain_removal(storage, name, file, since, error);
		status = error->code == ENOENT ? ctl_worse(status, CTL_NOINPUT) : CTL_FAILED;
	}
	return status;
}

static int dispatch(const GPtrArray *storages, const char *on, char **words, bool yes,
                    CtlJson *json)
{
	const char *what = words[1] != NULL ? words[1] : "ls";
	const char *name = words[1] != NULL ? words[2] : NULL;
	guint count = g_strv_length(words);

	if (strcmp(what, "ls") == 0 && count <= 2)
		return images_ls(storages, json);
	if (strcmp(what, "info") == 0 && count == 3)
		return images_info(storages, name, json);
	if (strcmp(what, "rm") == 0 && count == 3) {
		if (storages->len == 1 || on != NULL)
			return images_rm(storages, name, yes);
		g_autofree char *names = ctl_storages_names(storages);
		ctl_say("say from which storage: --on with some of %s", names);
		return CTL_USAGE;
	}
	ctl_say("ls, info NAME or rm NAME is what can be done (see gssctl images --help)");
	return CTL_USAGE;
}

static int images_run(const char *name, char **words)
{
	gboolean yes = FALSE, as_json = FALSE;
	g_autofree char *on = NULL;
	g_auto(GStrv) only = NULL;
	const GOptionEntry entries[] = {
		{"on", 0, 0, G_OPTION_ARG_STRING, &on, "Only of these, parted by commas",
	         "STORAGES"},
		CTL_MOUNT_ENTRY(only),
		{"yes", 'y', 0, G_OPTION_ARG_NONE, &yes, "Do not ask before rm", NULL},
		{"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "Write JSON: an array of images", NULL},
		G_OPTION_ENTRY_NULL,
	};
	g_autoptr(GError) error = NULL;

	if (!ctl_options(&ctl_verb_images, entries, &words))
		return CTL_USAGE;
	g_autoptr(GPtrArray) mounts = ctl_mounts(&error);
	g_autoptr(GPtrArray) channels = mounts != NULL && ctl_mounts_only(mounts, only, &error)
	                                        ? ctl_channels(mounts, &error)
	                                        : NULL;
	g_autoptr(GPtrArray) all = channels != NULL ? ctl_storages(channels, &error) : NULL;
	g_autoptr(GPtrArray) storages = NULL;
	if (all != NULL)
		storages = on != NULL ? ctl_storages_choose(all, on, &error)
		                      : ctl_storages_for_images(all, &error);
	if (storages == NULL)
		return ctl_complain(error);
	if (!as_json)
		return dispatch(storages, on, words, yes, NULL);
	g_autoptr(CtlJson) json = ctl_json_new();
	ctl_json_begin_array(json, NULL);
	int status = dispatch(storages, on, words, yes, json);
	ctl_json_end_array(json);
	if (status != CTL_USAGE)
		ctl_json_print(json);
	return status;
}

const CtlVerb ctl_verb_images = {
	.name = "images",
	.arguments = "[ls|info NAME|rm NAME]",
	.summary = "Lists the images that are registered, tells of one, or removes one.",
	.details =
		"Without --on those of all mounted storages that have images are listed. rm asks "
		"first; elsewhere\n"
		"than on a terminal it needs --yes.",
	.run = images_run,
};
