#include "fs/register.h"

#include "fs/command.h"
#include "fs/control.h"
#include "fs/register-line.h"
#include "fs/source.h"

#include <errno.h>

static const char usage[] =
	"# Write a line to register an image with this storage's cluster:\n"
	"#\n"
	"#\techo SOURCE [NAME] > .register\n"
	"#\n"
	"# SOURCE is an image in this folder, a path from here, or a full GSS URI.\n"
	"# NAME is what it is registered as, by default the file name of SOURCE. An image of\n"
	"# that name is replaced. An upload still under way is waited for. The write returns\n"
	"# when the platform has answered, and fails if the platform did. Also:\n"
	"#\n"
	"#\tregister SOURCE [NAME]\tonly if there is no image of that name\n"
	"#\tupdate SOURCE [NAME]\tonly if there is one\n"
	"#\tremove NAME\n"
	"#\n"
	"# time\toutcome\tname\tsource\tsize\tseconds\tmessage\n";

static GString *show(FsControl *control)
{
	GString *text = g_string_new(usage);

	fs_commands_print(control->base.mount->commands, control->folder.storage, text);
	return text;
}

/* A line under way. What it wants stays valid until its end: the write holds the handle. */
typedef struct {
	FsControl *control;
	FsLine line;
	FsControlDone done;
	void *data;
} Run;

static bool run_end(Run *run, const GError *error)
{
	bool heard = run->done(error, run->data);

	fs_line_clear(&run->line);
	g_free(run);
	return heard;
}

static void run_reject(Run *run, const GError *error)
{
	const char *shown = run->line.source != NULL ? run->line.source : "";

	fs_commands_reject(run->control->base.mount->commands, run->control->folder.storage, shown,
	                   run->line.name, error);
	run_end(run, error);
}

static bool on_command(const GError *error, void *data)
{
	return run_end(data, error);
}

static bool is_waited_for(void *data)
{
	return fs_control_waits(((Run *)data)->data);
}

static void start(Run *run, FsStorage *storage, CacheId source)
{
	fs_commands_run(run->control->base.mount->commands,
	                &(FsCommandSpec){
				.verb = run->line.verb,
				.storage = storage,
				.folder = run->control->folder,
				.source = source,
				.shown = run->line.source != NULL ? run->line.source : "",
				.name = run->line.name,
			},
	                &(FsCommandWaiter){on_command, is_waited_for, run});
}

static void on_source(FsStorage *storage, const CacheAttr *attr, const GError *error, void *data)
{
	Run *run = data;
	const FsStorage *own = run->control->folder.storage;

	if (error != NULL) {
		run_reject(run, error);
	} else if (own != NULL && storage != own) {
		g_autoptr(GError) foreign = g_error_new(
			CACHE_ERROR, EINVAL,
			"%s is on %s, but here images are registered with the cluster of %s, "
			"which takes them from its own storage: copy it there first, or use the "
			".register of %s",
			run->line.source, storage->name, own->name, storage->name);
		cache_forget(storage->cache, attr->id, 1);
		run_reject(run, foreign);
	} else {
		start(run, storage, attr->id);
	}
}

static void run(FsControl *control, const char *text, FsControlDone done, void *data)
{
	FsMount *mount = control->base.mount;
	FsStorage *storage = control->folder.storage;
	g_auto(FsLine) line = {0};
	g_autoptr(GError) error = NULL;
	bool empty;

	if (!fs_line_parse(text, &line, &empty, &error)) {
		fs_commands_reject(mount->commands, storage, text, "", error);
		done(error, data);
		return;
	}
	if (empty) {
		done(NULL, data);
		return;
	}
	if (storage == NULL && mount->storages->len == 1)
		storage = mount->storages->pdata[0];
	Run *run = g_new(Run, 1);
	*run = (Run){.control = control, .line = line, .done = done, .data = data};
	line = (FsLine){0};
	if (storage == NULL && run->line.verb == FS_VERB_REMOVE)
		g_set_error_literal(
			&error, CACHE_ERROR, EINVAL,
			"each storage has its own images: use the .register in a storage's folder");
	/* Before anything is sent for it. */
	if (error != NULL ||
	    (storage != NULL && !fs_command_check(storage, run->line.name, &error)))
		run_reject(run, error);
	else if (run->line.verb == FS_VERB_REMOVE)
		start(run, storage, 0);
	else
		fs_source_find(mount, &control->folder, run->line.source, false, on_source, run);
}

static void refused(FsControl *control, const GError *error)
{
	fs_commands_reject(control->base.mount->commands, control->folder.storage, "", "", error);
}

static void register_open(FsVirtual *node, FsReply *reply, struct fuse_file_info *fi)
{
	static const FsControlClass class = {.show = show, .run = run, .refused = refused};
	FsControl *control = fs_control_new(reply->mount, sizeof(FsControl), &class, node);

	fs_reply_open(reply, &control->base, fi);
}

const FsVirtualClass fs_register_class = {
	.name = FS_REGISTER_NAME,
	.mode = S_IFREG | 0600,
	.open = register_open,
	.read = fs_control_read,
	.write = fs_control_write,
	.flush = fs_control_flush,
};
