/* gss/call.c - see gss/call.h. */
#include "gss/call.h"

#include "gss/client-private.h"
#include "gss/error-private.h"

#include <errno.h>

static GssCall *call_ref(GssCall *call)
{
	g_atomic_ref_count_inc(&call->references);
	return call;
}

static void call_unref(GssCall *call)
{
	if (!g_atomic_ref_count_dec(&call->references))
		return;
	if (call->class->clear != NULL)
		call->class->clear(call);
	g_clear_object(&call->cancellable);
	g_free(call);
}

gpointer gss_call_new(const GssCallClass *class, GssClient *client, const void *owner,
                      GCancellable *cancellable)
{
	GssCall *call = g_malloc0(class->size);
	call->class = class;
	g_atomic_ref_count_init(&call->references);
	call->client = client;
	call->owner = owner;
	if (cancellable != NULL)
		call->cancellable = g_object_ref(cancellable);
	call->link.data = call;
	return call;
}

void gss_call_set_step(GssCall *call, void *step, void (*abandon)(void *step))
{
	call->step = step;
	call->abandon = abandon;
}

void gss_call_complete(GssCall *call, const GError *error)
{
	g_assert(call->running);
	call->running = false;
	if (call->step != NULL) {
		void *step = g_steal_pointer(&call->step);
		call->abandon(step);
	}
	/* Not g_cancellable_disconnect(): it waits for other handlers, which may wait for us. The
	 * handler's own reference keeps the call alive as long as it may run. */
	if (call->handler != 0)
		g_signal_handler_disconnect(call->cancellable, call->handler);
	g_queue_unlink(&call->client->calls, &call->link);
	call->class->complete(call, error);
	call_unref(call);
}

void gss_call_fail(GssCall *call, GError *error)
{
	gss_call_complete(call, error);
	g_error_free(error);
}

static void cancel(GssCall *call)
{
	gss_call_fail(call, g_error_new(GSS_ERROR, ECANCELED, "cancelled"));
}

static void cancel_task(void *data)
{
	GssCall *call = data;
	if (call->running)
		cancel(call);
	call_unref(call);
}

/* On the thread that cancels, with no lock of ours. */
static void on_cancelled(GCancellable *cancellable, GssCall *call)
{
	gss_http_invoke(call->client->http, cancel_task, call_ref(call));
}

static void unref_closure(void *data, GClosure *closure)
{
	call_unref(data);
}

static void start_task(void *data)
{
	GssCall *call = data;
	GssClient *client = call->client;
	call->running = true;
	call->started = g_get_monotonic_time();
	g_queue_push_tail_link(&client->calls, &call->link);
	if (call->cancellable != NULL)
		call->handler = g_signal_connect_data(call->cancellable, "cancelled",
		                                      G_CALLBACK(on_cancelled), call_ref(call),
		                                      unref_closure, 0);
	if (client->closing || g_cancellable_is_cancelled(call->cancellable))
		cancel(call);
	else
		call->class->run(call);
}

void gss_call_submit(GssCall *call)
{
	gss_http_invoke(call->client->http, start_task, call);
}

void gss_call_cancel_all(GssClient *client, const void *owner)
{
	GList *link = client->calls.head;
	while (link != NULL) {
		GssCall *call = link->data;
		if (owner != NULL && call->owner != owner) {
			link = link->next;
			continue;
		}
		cancel(call);
		link = client->calls.head; /* the callback may have changed the queue */
	}
}
