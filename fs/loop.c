#include "fs/loop.h"

#include <glib-unix.h>

struct FsLoop {
	GMainContext *context;
	GMainLoop *main;
	GThread *thread; /* NULL: stopped */
};

typedef struct {
	FsLoopFunc func;
	void *data;
} Call;

static gpointer run(gpointer data)
{
	FsLoop *loop = data;

	g_main_context_push_thread_default(loop->context);
	g_main_loop_run(loop->main);
	g_main_context_pop_thread_default(loop->context);
	return NULL;
}

FsLoop *fs_loop_new(void)
{
	FsLoop *loop = g_new0(FsLoop, 1);

	loop->context = g_main_context_new();
	loop->main = g_main_loop_new(loop->context, FALSE);
	loop->thread = g_thread_new("fs-loop", run, loop);
	return loop;
}

static gboolean on_quit(gpointer data)
{
	g_main_loop_quit(data);
	return G_SOURCE_REMOVE;
}

static void attach(FsLoop *loop, GSource *source, GSourceFunc func, gpointer data)
{
	g_source_set_callback(source, func, data, data == loop->main ? NULL : g_free);
	g_source_attach(source, loop->context);
	g_source_unref(source);
}

void fs_loop_stop(FsLoop *loop)
{
	if (loop->thread == NULL)
		return;
	/* As a source: a quit before the thread entered its loop would be lost. */
	attach(loop, g_idle_source_new(), on_quit, loop->main);
	g_thread_join(g_steal_pointer(&loop->thread));
}

void fs_loop_free(FsLoop *loop)
{
	fs_loop_stop(loop);
	g_main_loop_unref(loop->main);
	g_main_context_unref(loop->context);
	g_free(loop);
}

static gboolean on_once(gpointer data)
{
	Call *call = data;
	call->func(call->data);
	return G_SOURCE_REMOVE;
}

static gboolean on_each(gpointer data)
{
	Call *call = data;
	call->func(call->data);
	return G_SOURCE_CONTINUE;
}

static Call *call_new(FsLoopFunc func, void *data)
{
	Call *call = g_new(Call, 1);
	*call = (Call){func, data};
	return call;
}

void fs_loop_after(FsLoop *loop, guint ms, FsLoopFunc func, void *data)
{
	attach(loop, g_timeout_source_new(ms), on_once, call_new(func, data));
}

void fs_loop_signal(FsLoop *loop, int signum, FsLoopFunc func, void *data)
{
	attach(loop, g_unix_signal_source_new(signum), on_each, call_new(func, data));
}
