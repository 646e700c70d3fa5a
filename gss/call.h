/* gss/call.h - a call: one public operation, from its submission to its only callback.
 *
 * A call is made on any thread and then lives on gss-net. It takes one step at a time (a SOAP call,
 * a REST request, waiting for a token); cancelling abandons the step and completes the call with
 * ECANCELED. The types of the verbs embed GssCall as their first member.
 */
#pragma once

#include "gss/client.h"

typedef struct GssCall GssCall;

typedef struct {
	gsize size;
	/* The first step; on gss-net. */
	void (*run)(GssCall *call);
	/* Hands the outcome to the caller. `error` NULL: success, the result lies in the call. */
	void (*complete)(GssCall *call, const GError *error);
	/* Frees what the type owns; may be NULL. Any thread. */
	void (*clear)(GssCall *call);
} GssCallClass;

struct GssCall {
	const GssCallClass *class;
	gatomicrefcount references;
	GssClient *client;
	const void *owner; /* of a group of calls that is cancelled at once; or NULL */
	GCancellable *cancellable;
	gulong handler;
	GList link; /* in client->calls while it runs */
	bool running;
	gint64 started; /* monotonic us */
	/* The step under way, NULL: none. */
	void *step;
	void (*abandon)(void *step);
};

/* A zeroed call of class->size bytes. */
gpointer gss_call_new(const GssCallClass *class, GssClient *client, const void *owner,
                      GCancellable *cancellable);
/* Hands the call to gss-net; the caller's reference goes with it. */
void gss_call_submit(GssCall *call);
/* Completes a running call. Nothing of it may be touched afterwards. */
void gss_call_complete(GssCall *call, const GError *error);
/* The same with an error that is freed. */
void gss_call_fail(GssCall *call, GError *error);

void gss_call_set_step(GssCall *call, void *step, void (*abandon)(void *step));

/* Cancels all running calls of `owner`, NULL: all calls. */
void gss_call_cancel_all(GssClient *client, const void *owner);
