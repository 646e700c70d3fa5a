#include "fs/register.h"

#include "fs/command.h"
#include "fs/source.h"

#include <errno.h>

typedef struct {
	FsHandle base;
	FsFolder folder;
	GMutex lock;
	GBytes *text; /* what is being read; guarded by lock, as is the next */
	int failure;  /* errno of a line after others that succeeded, not told yet */
} Register;

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
	"#\tregister SOURCE [NAME]\tthe same\n"
	"#\tupdate SOURCE [NAME]\tonly if the image exists\n"
	"#\tremove NAME\n"
	"#\n"
	"# time\toutcome\tname\tsource\tsize\tseconds\tmessage\n";

static void register_free(FsHandle *handle)
{
	Register *file = (Register *)handle;

	g_clear_pointer(&file->text, g_bytes_unref);
	g_mutex_clear(&file->lock);
	g_free(file);
}

static void register_open(FsVirtual *node, FsReply *reply, struct fuse_file_info *fi)
{
	Register *file = fs_handle_new(reply->mount, sizeof(Register), register_free);

	g_mutex_init(&file->lock);
	file->folder = node->folder;
	fs_reply_open(reply, &file->base, fi);
}

static void register_read(FsHandle *handle, FsReply *reply, guint64 offset, gsize size)
{
	Register *file = (Register *)handle;
	gsize length;

	g_mutex_lock(&file->lock);
	/* One text from its beginning to its end; from the start again, as it is now. */
	if (file->text == NULL || offset == 0) {
		GString *text = g_string_new(usage);
		fs_commands_print(reply->mount->commands, text);
		g_clear_pointer(&file->text, g_bytes_unref);
		file->text = g_string_free_to_bytes(text);
	}
	g_autoptr(GBytes) text = g_bytes_ref(file->text);
	g_mutex_unlock(&file->lock);
	const char *bytes = g_bytes_get_data(text, &length);
	gsize from = (gsize)MIN(offset, length);
	fs_reply_buf(reply, bytes + from, MIN(size, length - from));
}

/* --- writing --- */

/* A write under way. The reply holds the handle. */
typedef struct {
	FsReply *reply;
	Register *file;
	FsMount *mount;
	GPtrArray *lines; /* FsLineText */
	guint next;
	FsLine line; /* that runs now */
	gsize done;  /* bytes of the lines that have run */
} Write;

static void write_free(Write *write)
{
	fs_line_clear(&write->line);
	g_ptr_array_unref(write->lines);
	g_free(write);
}

static void write_fail(Write *write, const GError *error)
{
	if (write->done > 0) {
		g_mutex_lock(&write->file->lock);
		write->file->failure = fs_errno(error);
		g_mutex_unlock(&write->file->lock);
		fs_reply_write(write->reply, write->done);
	} else {
		fs_reply_error(write->reply, error);
	}
	write_free(write);
}

static void write_reject(Write *write, const char *shown, const char *name, const GError *error)
{
	fs_commands_reject(write->mount->commands, shown, name, error);
	write_fail(write, error);
}

static void write_step(Write *write);

static void on_command(const GError *error, void *data)
{
	Write *write = data;

	if (error != NULL) {
		write_fail(write, error);
		return;
	}
	const FsLineText *text = write->lines->pdata[write->next - 1];
	write->done = text->end;
	fs_reply_set_partial(write->reply, write->done);
	fs_line_clear(&write->line);
	write_step(write);
}

static void on_source(FsStorage *storage, const CacheAttr *attr, const GError *error, void *data)
{
	Write *write = data;

	if (error != NULL) {
		write_reject(write, write->line.source, write->line.name, error);
		return;
	}
	fs_commands_run(write->mount->commands,
	                &(FsCommandSpec){
				.verb = write->line.verb,
				.storage = storage,
				.source = attr->id,
				.shown = write->line.source,
				.name = write->line.name,
			},
	                on_command, write);
}

static void run_line(Write *write)
{
	FsStorage *storage = write->file->folder.storage;

	if (write->line.verb != FS_VERB_REMOVE) {
		fs_source_find(write->mount, &write->file->folder, write->line.source, on_source,
		               write);
		return;
	}
	if (storage == NULL && write->mount->storages->len == 1)
		storage = write->mount->storages->pdata[0];
	if (storage == NULL) {
		g_autoptr(GError) error = g_error_new_literal(
			CACHE_ERROR, EINVAL,
			"each storage has its own images: use the .register in a storage's folder");
		write_reject(write, "", write->line.name, error);
		return;
	}
	fs_commands_run(write->mount->commands,
	                &(FsCommandSpec){
				.verb = FS_VERB_REMOVE,
				.storage = storage,
				.shown = "",
				.name = write->line.name,
			},
	                on_command, write);
}

static void write_step(Write *write)
{
	g_autoptr(GError) error = NULL;
	bool empty = true;

	/* Nobody waits for the rest of an interrupted write; what runs already goes on. */
	if (fs_reply_dropped(write->reply))
		write->next = write->lines->len;
	while (empty && write->next < write->lines->len) {
		const FsLineText *text = write->lines->pdata[write->next++];
		if (!fs_line_parse(text->text, &write->line, &empty, &error)) {
			write_reject(write, text->text, "", error);
			return;
		}
	}
	if (!empty) {
		run_line(write);
		return;
	}
	const FsLineText *last = write->lines->pdata[write->lines->len - 1];
	fs_reply_write(write->reply, last->end);
	write_free(write);
}

static int take_failure(Register *file)
{
	g_mutex_lock(&file->lock);
	int failure = file->failure;
	file->failure = 0;
	g_mutex_unlock(&file->lock);
	return failure;
}

static void register_write(FsHandle *handle, FsReply *reply, GBytes *bytes)
{
	Register *file = (Register *)handle;
	g_autoptr(GError) error = NULL;
	gsize length;
	const char *text = g_bytes_get_data(bytes, &length);

	int failure = take_failure(file);
	if (failure != 0) {
		fs_reply_err(reply, failure);
		return;
	}
	GPtrArray *lines = fs_lines_split(text, length, &error);
	if (lines == NULL) {
		fs_commands_reject(reply->mount->commands, "", "", error);
		fs_reply_error(reply, error);
		return;
	}
	if (!fs_reply_wait(reply)) {
		g_ptr_array_unref(lines);
		return;
	}
	Write *write = g_new0(Write, 1);
	*write = (Write){.reply = reply, .file = file, .mount = reply->mount, .lines = lines};
	write_step(write);
}

static void register_flush(FsHandle *handle, FsReply *reply)
{
	fs_reply_err(reply, take_failure((Register *)handle));
}

const FsVirtualClass fs_register_class = {
	.name = FS_REGISTER_NAME,
	.mode = S_IFREG | 0600,
	.open = register_open,
	.read = register_read,
	.write = register_write,
	.flush = register_flush,
};
