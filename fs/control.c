#include "fs/control.h"

#include "fs/line.h"

#include <errno.h>

static void control_free(FsHandle *handle)
{
	FsControl *control = (FsControl *)handle;

	if (control->class->free != NULL)
		control->class->free(control);
	g_clear_pointer(&control->text, g_bytes_unref);
	g_mutex_clear(&control->lock);
	g_free(control);
}

void *fs_control_new(FsMount *mount, gsize size, const FsControlClass *class, const FsVirtual *node)
{
	FsControl *control = fs_handle_new(mount, size, control_free);

	g_mutex_init(&control->lock);
	control->class = class;
	control->folder = node->folder;
	return control;
}

void fs_control_read(FsHandle *handle, FsReply *reply, guint64 offset, gsize size)
{
	FsControl *control = (FsControl *)handle;
	gsize length;

	g_mutex_lock(&control->lock);
	/* One text from its beginning to its end; from the start again, as it is now. */
	if (control->text == NULL || offset == 0) {
		g_clear_pointer(&control->text, g_bytes_unref);
		control->text = g_string_free_to_bytes(control->class->show(control));
	}
	g_autoptr(GBytes) text = g_bytes_ref(control->text);
	g_mutex_unlock(&control->lock);
	const char *bytes = g_bytes_get_data(text, &length);
	gsize from = (gsize)MIN(offset, length);
	fs_reply_buf(reply, bytes + from, MIN(size, length - from));
}

/* A write under way. The reply holds the handle. */
typedef struct {
	FsReply *reply;
	FsControl *control;
	GPtrArray *lines; /* FsLineText */
	guint next;
	gsize done;    /* bytes of the lines that have run */
	gint state;    /* of the line that runs; atomic */
	GError *error; /* of that line, once it has ended */
	bool heard;    /* of it */
} Write;

/* A line that ends at once is followed by the next in the loop of run_lines(), not by recursion. */
enum {
	RUNNING, /* the loop is still in its call */
	WAITING, /* the loop has left: the line's end goes on with it */
	ENDED,
};

static void write_end(Write *write)
{
	const GError *error = write->error;

	if (error != NULL && write->done > 0 && write->heard) {
		g_mutex_lock(&write->control->lock);
		write->control->failure = fs_errno(error);
		g_mutex_unlock(&write->control->lock);
	}
	if (error == NULL || write->done > 0)
		fs_reply_write(write->reply, write->done);
	else
		fs_reply_error(write->reply, error);
	g_clear_error(&write->error);
	g_ptr_array_unref(write->lines);
	g_free(write);
}

static void run_lines(Write *write);

static bool on_line(const GError *error, void *data)
{
	Write *write = data;

	if (error != NULL) {
		write->error = g_error_copy(error);
	} else {
		const FsLineText *text = write->lines->pdata[write->next - 1];
		write->done = text->end;
	}
	int err = error != NULL && write->done == 0 ? fs_errno(error) : 0;
	bool heard = fs_reply_set_outcome(write->reply, write->done, err);
	write->heard = heard;
	if (!g_atomic_int_compare_and_exchange(&write->state, RUNNING, ENDED))
		run_lines(write);
	return heard;
}

bool fs_control_waits(void *data)
{
	const Write *write = data;

	return !fs_reply_dropped(write->reply);
}

static void run_lines(Write *write)
{
	/* Nobody waits for the rest of an interrupted write; what runs already goes on. */
	while (write->error == NULL && write->next < write->lines->len &&
	       !fs_reply_dropped(write->reply)) {
		const FsLineText *text = write->lines->pdata[write->next++];
		g_atomic_int_set(&write->state, RUNNING);
		write->control->class->run(write->control, text->text, on_line, write);
		if (g_atomic_int_compare_and_exchange(&write->state, RUNNING, WAITING))
			return;
	}
	write_end(write);
}

static int take_failure(FsControl *control)
{
	g_mutex_lock(&control->lock);
	int failure = control->failure;
	control->failure = 0;
	g_mutex_unlock(&control->lock);
	return failure;
}

void fs_control_write(FsHandle *handle, FsReply *reply, GBytes *bytes)
{
	FsControl *control = (FsControl *)handle;
	g_autoptr(GError) error = NULL;
	gsize length;
	const char *text = g_bytes_get_data(bytes, &length);

	int failure = control->class->run != NULL ? take_failure(control) : EPERM;
	if (failure != 0) {
		fs_reply_err(reply, failure);
		return;
	}
	GPtrArray *lines = fs_lines_split(text, length, &error);
	if (lines == NULL) {
		if (control->class->refused != NULL)
			control->class->refused(control, error);
		fs_reply_error(reply, error);
		return;
	}
	reply->any_signal = true;
	if (!fs_reply_wait(reply)) {
		g_ptr_array_unref(lines);
		return;
	}
	Write *write = g_new0(Write, 1);
	*write = (Write){.reply = reply, .control = control, .lines = lines};
	run_lines(write);
}

void fs_control_flush(FsHandle *handle, FsReply *reply)
{
	fs_reply_err(reply, take_failure((FsControl *)handle));
}
