/* gssctl register: an image to the clusters, each in a thread: copied where it is not there yet,
 * uploaded, registered through .register. */
#include "fs/ctl/copy.h"
#include "fs/ctl/ctl.h"
#include "fs/ctl/json.h"
#include "fs/ctl/log.h"
#include "fs/ctl/progress.h"
#include "fs/ctl/scope.h"
#include "fs/ctl/show.h"
#include "fs/ctl/storages.h"
#include "fs/ctl/text.h"

#include "cache/error.h"
#include "gss/images.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define REGISTER ".register"
#define SECOND_MS 1000
#define LEAVE_US G_USEC_PER_SEC /* for the copies to end by themselves */
#define LOOK_US (G_USEC_PER_SEC / 50)

typedef enum {
	PHASE_LOOKING, /* is it there already? */
	PHASE_COPYING,
	PHASE_REGISTERING, /* the write to .register has been made; it waits for the upload first */
	PHASE_ENDED,
} Phase;

/* What is to be done on one storage, and how far it is. */
typedef struct {
	const CtlStorage *storage;
	const char *image; /* absolute */
	const char *name;  /* as which it is registered */
	const char *verb;  /* with a space behind, or "" */
	bool copies;
	char *path;   /* of the image in the mount */
	char *folder; /* whose .register is written */
	char *source; /* as it is written there */
	guint64 size; /* bytes */
	gint64 begun; /* monotonic us */
	int wake;     /* eventfd of the main thread */
	GThread *thread;
	CtlCopy copy;
	gint phase;   /* Phase; atomic. What is below belongs to the thread until it is PHASE_ENDED.
	               */
	gint64 since; /* s since the epoch: the write to .register was made */
	gint64 ended; /* monotonic us */
	GError *error;
	CtlLogLine told;
} Target;

static void target_free(void *data)
{
	Target *target = data;

	ctl_copy_clear(&target->copy);
	g_free(target->path);
	g_free(target->folder);
	g_free(target->source);
	g_clear_error(&target->error);
	ctl_log_line_clear(&target->told);
	g_free(target);
}

static Phase phase_of(const Target *target)
{
	return (Phase)g_atomic_int_get(&target->phase);
}

static void enter(Target *target, Phase phase)
{
	const guint64 one = 1;

	g_atomic_int_set(&target->phase, (gint)phase);
	/* Full means that it is readable already. */
	if (write(target->wake, &one, sizeof(one)) < 0)
		g_debug("eventfd: %s", g_strerror(errno));
}

/* --- the thread of a target --- */

static bool bring(Target *target, GError **error)
{
	g_autofree char *base = g_path_get_basename(target->path);

	if (!target->copies || ctl_copy_is_there(&target->copy, target->image, target->path))
		return true;
	enter(target, PHASE_COPYING);
	return ctl_copy_run(&target->copy, target->image, target->storage->home, base, error);
}

/* What the mount says of the command, which is more than an errno. */
static void read_log(Target *target, const char *file)
{
	g_autofree char *text = NULL;

	if (g_file_get_contents(file, &text, NULL, NULL))
		ctl_log_find(text,
		             &(CtlLogQuery){target->name, target->source, target->since,
		                            target->error != NULL},
		             &target->told);
}

static void *work(void *data)
{
	Target *target = data;
	g_autofree char *file = g_build_filename(target->folder, REGISTER, NULL);
	g_autofree char *source = g_shell_quote(target->source);
	g_autofree char *name = g_shell_quote(target->name);
	g_autofree char *line = g_strdup_printf("%s%s %s", target->verb, source, name);

	if (bring(target, &target->error)) {
		target->since = g_get_real_time() / G_USEC_PER_SEC;
		enter(target, PHASE_REGISTERING);
		ctl_channel_write(file, line, &target->error);
		read_log(target, file);
	}
	target->ended = g_get_monotonic_time();
	enter(target, PHASE_ENDED);
	return NULL;
}

/* --- what is to be done --- */

static Target *target_new(const CtlStorage *storage, const CtlStorage *own, const char *image,
                          const char *name, const char *verb)
{
	Target *target = g_new0(Target, 1);
	g_autofree char *base = g_path_get_basename(image);

	*target = (Target){.storage = storage, .image = image, .name = name, .verb = verb};
	target->begun = g_get_monotonic_time();
	target->copies = own == NULL || strcmp(own->name, storage->name) != 0;
	if (target->copies) {
		target->path = g_build_filename(storage->home, base, NULL);
		target->folder = g_strdup(storage->root);
		target->source = g_strconcat(storage->home_uri, base, NULL);
	} else {
		target->path = g_strdup(image);
		target->folder = g_path_get_dirname(image);
		target->source = g_strconcat("./", base, NULL);
	}
	return target;
}

/* Where it is to be registered if nobody says: where it lies, or where alone it can be. */
static GPtrArray *default_storages(const GPtrArray *all, const CtlStorage *own, GError **error)
{
	g_autoptr(GPtrArray) chosen = NULL;

	if (own != NULL) {
		chosen = g_ptr_array_new();
		g_ptr_array_add(chosen, (void *)own);
		return g_steal_pointer(&chosen);
	}
	chosen = ctl_storages_for_images(all, error);
	if (chosen == NULL || chosen->len == 1)
		return g_steal_pointer(&chosen);
	g_autofree char *names = ctl_storages_names(chosen);
	ctl_fail(error, EINVAL, "say where: --on with some of %s", names);
	return NULL;
}

static bool check_image(const CtlPlace *place, const char *name, guint64 *ret_size, GError **error)
{
	const char *image = place->path;
	g_autofree char *base = g_path_get_basename(image);
	struct stat st;

	if (place->mount != NULL && ctl_place_is_control(place))
		return ctl_fail(error, EINVAL,
		                "%s is a record of the mount, not an image; give the file it was "
		                "made from",
		                image);
	/* In the folder, which has its own .register, it does no harm. */
	if (strchr(base, '\n') != NULL)
		return ctl_fail(error, EINVAL,
		                "%s: a name with a newline in it cannot be said in a line of "
		                "%s",
		                image, REGISTER);
	if (stat(image, &st) != 0)
		return ctl_fail(error, errno, "%s: %s", image, g_strerror(errno));
	if (!S_ISREG(st.st_mode))
		return ctl_fail(error, EINVAL, "%s is no file", image);
	if (st.st_size == 0)
		return ctl_fail(error, EINVAL, "%s is empty", image);
	*ret_size = (guint64)st.st_size;
	/* Before gigabytes are on their way. */
	g_autoptr(GError) failure = NULL;
	return gss_image_name_check(name, &failure) ||
	       ctl_fail(error, EINVAL, "%s (--as gives it another)", failure->message);
}

static GPtrArray *plan(const GPtrArray *all, const CtlPlace *place, const char *on,
                       const char *name, const char *verb, GError **error)
{
	g_autoptr(GPtrArray) targets = g_ptr_array_new_with_free_func(target_free);
	g_autoptr(GPtrArray) chosen = NULL;
	const CtlStorage *own = place->mount != NULL ? ctl_storages_of(all, place->path) : NULL;
	guint64 size = 0;

	if (!check_image(place, name, &size, error))
		return NULL;
	chosen = on != NULL ? ctl_storages_choose(all, on, error)
	                    : default_storages(all, own, error);
	for (guint i = 0; chosen != NULL && i < chosen->len; i++) {
		Target *target = target_new(chosen->pdata[i], own, place->path, name, verb);
		target->size = size;
		g_ptr_array_add(targets, target);
	}
	return chosen != NULL ? g_steal_pointer(&targets) : NULL;
}

/* --- what is seen meanwhile --- */

static const CtlFile *find_file(const CtlStatus *status, const char *relative)
{
	for (guint i = 0; i < status->files->len; i++) {
		const CtlFile *file = status->files->pdata[i];
		if (strcmp(file->path, relative) == 0)
			return file;
	}
	return NULL;
}

/* Of the command under way, which may have joined one with another spelling of its source. */
static const char *step_of(const CtlStatus *status, const Target *target)
{
	for (guint i = 0; i < status->commands->len; i++) {
		const CtlCommand *command = status->commands->pdata[i];
		if (g_strcmp0(command->name, target->name) == 0 &&
		    g_strcmp0(command->storage, target->storage->name) == 0 &&
		    command->step != NULL)
			return command->step;
	}
	return "registering";
}

/* Why the upload does not move; NULL: it does. */
static char *why_waiting(const CtlStatus *status, const CtlFile *file)
{
	char *why = ctl_show_trouble(file);

	why = why != NULL ? why : ctl_show_login_trouble(status);
	return why != NULL ? why : ctl_show_wait(file, g_get_real_time() / G_USEC_PER_SEC);
}

static void add_row(CtlProgress *progress, const Target *target, CtlStatus *const status)
{
	const char *mount = target->storage->mount->path;
	const char *relative = target->path + strlen(mount);
	g_autofree char *label = g_strdup_printf("%s %s", target->storage->name, target->name);
	Phase phase = phase_of(target);

	while (*relative == '/')
		relative++;
	const CtlFile *file = status != NULL ? find_file(status, relative) : NULL;
	if (phase <= PHASE_COPYING) {
		g_autofree char *copying =
			g_strconcat(label, phase == PHASE_COPYING ? " (copy)" : "", NULL);
		ctl_progress_row(progress, NULL, copying, ctl_copy_done(&target->copy),
		                 target->size, phase == PHASE_COPYING ? NULL : "checking");
	} else if (phase == PHASE_ENDED) {
		ctl_progress_row(progress, NULL, label, target->size, target->size,
		                 target->error == NULL ? "done" : "failed");
	} else if (file != NULL && strcmp(file->state, "clean") != 0) {
		g_autofree char *why = why_waiting(status, file);
		ctl_progress_row(progress, NULL, label, file->done, file->total, why);
	} else {
		ctl_progress_row(progress, NULL, label, target->size, target->size,
		                 status != NULL ? step_of(status, target) : "registering");
	}
}

/* A mount that ended leaves the channels: poll() would tell of nothing else. */
static CtlStatus *read_status(GPtrArray *channels, const CtlMount *mount)
{
	for (guint i = 0; i < channels->len; i++) {
		if (ctl_channel_mount(channels->pdata[i]) != mount)
			continue;
		CtlStatus *status = ctl_channel_read(channels->pdata[i], NULL);
		if (status == NULL && ctl_interrupted() == 0)
			g_ptr_array_remove_index(channels, i);
		return status;
	}
	return NULL;
}

static void draw(CtlProgress *progress, const GPtrArray *targets, GPtrArray *channels)
{
	if (!ctl_progress_visible(progress))
		return;
	ctl_progress_begin(progress);
	for (guint i = 0; i < targets->len; i++) {
		const Target *target = targets->pdata[i];
		g_autoptr(CtlStatus) status = read_status(channels, target->storage->mount);
		add_row(progress, target, status);
	}
	ctl_progress_draw(progress);
}

/* --- the outcome --- */

static const char *outcome_of(const Target *target)
{
	if (target->error != NULL)
		return "failed";
	return target->told.outcome != NULL ? target->told.outcome : "registered";
}

static const char *message_of(const Target *target)
{
	if (target->error == NULL)
		return NULL;
	return target->told.message != NULL ? target->told.message : target->error->message;
}

static void print_results(const GPtrArray *targets, bool as_json)
{
	g_autoptr(CtlTable) table = ctl_table_new("lllrrl");
	g_autoptr(CtlJson) json = ctl_json_new();

	if (isatty(STDOUT_FILENO))
		ctl_table_head(table, "STORAGE", "OUTCOME", "IMAGE", "SIZE", "TIME", "");
	ctl_json_begin_array(json, NULL);
	for (guint i = 0; i < targets->len; i++) {
		const Target *target = targets->pdata[i];
		guint64 passed = (guint64)(target->ended - target->begun) / G_USEC_PER_SEC;
		g_autofree char *size = ctl_text_size(target->size);
		g_autofree char *time = ctl_text_duration(passed);
		ctl_table_add(table, target->storage->name, outcome_of(target), target->name, size,
		              time, message_of(target));
		ctl_json_begin_object(json, NULL);
		ctl_json_string(json, "storage", target->storage->name);
		ctl_json_string(json, "outcome", outcome_of(target));
		ctl_json_string(json, "name", target->name);
		ctl_json_string(json, "path", target->path);
		ctl_json_number(json, "size", target->size);
		ctl_json_number(json, "seconds", passed);
		ctl_json_string(json, "message", message_of(target));
		ctl_json_end_object(json);
	}
	ctl_json_end_array(json);
	g_autofree char *text = ctl_table_text(table, "");
	fputs(as_json ? ctl_json_text(json) : text, stdout);
}

static bool all_ended(const GPtrArray *targets)
{
	for (guint i = 0; i < targets->len; i++) {
		if (phase_of(targets->pdata[i]) != PHASE_ENDED)
			return false;
	}
	return true;
}

/* True: nothing of a copy that was not complete is left. */
static bool end_copy(Target *target, gint64 until)
{
	while (phase_of(target) < PHASE_REGISTERING && g_get_monotonic_time() < until)
		g_usleep(LOOK_US);
	if (phase_of(target) >= PHASE_REGISTERING)
		return phase_of(target) == PHASE_ENDED && target->error != NULL &&
		       target->error->code == ECANCELED;
	ctl_copy_abandon(&target->copy);
	return true;
}

/* Copies end, and nothing of them stays; registrations go on without us. */
static void leave(const GPtrArray *targets)
{
	gint64 until = g_get_monotonic_time() + LEAVE_US;

	for (guint i = 0; i < targets->len; i++)
		g_atomic_int_set(&((Target *)targets->pdata[i])->copy.cancel, 1);
	for (guint i = 0; i < targets->len; i++) {
		Target *target = targets->pdata[i];
		if (end_copy(target, until))
			ctl_say("%s: the copy was ended, nothing of it is left",
			        target->storage->name);
		else if (phase_of(target) == PHASE_REGISTERING)
			ctl_say("%s: the registration goes on (gssctl status shows it)",
			        target->storage->name);
	}
	fflush(stdout);
	/* Threads are in system calls, which end with the process alone. */
	_exit(CTL_SIGNAL + ctl_interrupted());
}

static void start(const GPtrArray *targets, int wake)
{
	sigset_t block, before;

	/* Signals are the main thread's. */
	sigfillset(&block);
	pthread_sigmask(SIG_BLOCK, &block, &before);
	for (guint i = 0; i < targets->len; i++) {
		Target *target = targets->pdata[i];
		target->wake = wake;
		target->thread = g_thread_new("register", work, target);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int run_targets(const GPtrArray *targets, GPtrArray *channels, bool as_json)
{
	g_autoptr(CtlProgress) progress = ctl_progress_new();
	int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int status = CTL_OK;
	guint64 count;

	if (wake < 0) {
		ctl_say("%s", g_strerror(errno));
		return CTL_IOERR;
	}
	ctl_interrupts();
	start(targets, wake);
	while (!all_ended(targets)) {
		draw(progress, targets, channels);
		/* The bars are of interest, not that the status changed. */
		g_autoptr(GPtrArray) none = g_ptr_array_new();
		ctl_channels_wait(ctl_progress_visible(progress) ? channels : none, wake,
		                  ctl_progress_visible(progress) ? SECOND_MS : -1);
		if (read(wake, &count, sizeof(count)) < 0)
			count = 0;
		if (ctl_interrupted() != 0) {
			ctl_progress_clear(progress);
			leave(targets);
		}
	}
	ctl_progress_clear(progress);
	for (guint i = 0; i < targets->len; i++) {
		const Target *target = targets->pdata[i];
		g_thread_join(target->thread);
		status = target->error != NULL ? CTL_FAILED : status;
	}
	close(wake);
	print_results(targets, as_json);
	return status;
}

/* What is open in a mount keeps it from being unmounted. */
static void release_others(GPtrArray *channels, const GPtrArray *targets)
{
	for (guint i = channels->len; i-- > 0;) {
		const CtlMount *mount = ctl_channel_mount(channels->pdata[i]);
		bool used = false;
		for (guint j = 0; j < targets->len; j++) {
			const Target *target = targets->pdata[j];
			used = used || target->storage->mount == mount;
		}
		if (!used)
			g_ptr_array_remove_index(channels, i);
	}
}

static int register_run(const char *verb, char **words)
{
	gboolean as_json = FALSE, only_new = FALSE, only_update = FALSE;
	g_autofree char *as = NULL, *on = NULL;
	g_auto(GStrv) only = NULL;
	const GOptionEntry entries[] = {
		{"as", 0, 0, G_OPTION_ARG_STRING, &as, "The name of the image (that of the file)",
	         "NAME"},
		{"on", 0, 0, G_OPTION_ARG_STRING, &on,
	         "Where, parted by commas: it4i_anselm,it4i_salomon (where it lies)", "STORAGES"},
		CTL_MOUNT_ENTRY(only),
		{"new", 0, 0, G_OPTION_ARG_NONE, &only_new,
	         "Only if there is no image of that name", NULL},
		{"update", 0, 0, G_OPTION_ARG_NONE, &only_update, "Only if there is one", NULL},
		{"json", 0, 0, G_OPTION_ARG_NONE, &as_json,
	         "Write JSON: an array, an object a storage", NULL},
		G_OPTION_ENTRY_NULL,
	};
	g_autoptr(GError) error = NULL;

	if (!ctl_options(&ctl_verb_register, entries, &words))
		return CTL_USAGE;
	if (words[1] == NULL || words[2] != NULL || (only_new && only_update)) {
		ctl_say("say which image, and only one (see gssctl register --help)");
		return CTL_USAGE;
	}
	g_autofree char *base = g_path_get_basename(words[1]);
	g_autoptr(GPtrArray) mounts = ctl_mounts(&error);
	g_autoptr(CtlPlace) place =
		mounts != NULL ? ctl_mounts_place(mounts, words[1], &error) : NULL;
	g_autoptr(GPtrArray) channels = place != NULL && ctl_mounts_only(mounts, only, &error)
	                                        ? ctl_channels(mounts, &error)
	                                        : NULL;
	g_autoptr(GPtrArray) all = channels != NULL ? ctl_storages(channels, &error) : NULL;
	g_autoptr(GPtrArray) targets = all != NULL ? plan(all, place, on, as != NULL ? as : base,
	                                                  only_new      ? "register "
	                                                  : only_update ? "update "
	                                                                : "",
	                                                  &error)
	                                           : NULL;
	if (targets == NULL)
		return ctl_complain(error);
	release_others(channels, targets);
	return run_targets(targets, channels, as_json);
}

const CtlVerb ctl_verb_register = {
	.name = "register",
	.arguments = "IMAGE",
	.summary = "Registers an image with its cluster or with several; one of that name is "
		   "replaced.",
	.details = "An image that lies elsewhere is copied into the storage's home first, over a "
		   "file of its\n"
		   "name. The command ends when every cluster has it: exit status 0, or 1 if one "
		   "failed.\n"
		   "Ctrl-C ends a copy that is under way, and otherwise only the waiting.",
	.run = register_run,
};
