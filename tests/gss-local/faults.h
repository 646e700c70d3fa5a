/* faults.h - what is to go wrong with a request.
 *
 * A plan is made for each request: from the one-shot faults that a test has lined up, else by
 * chance from the switches error-rate and cut-rate.
 *
 * Threads: locked inside; any thread.
 */
#pragma once

#include "settings.h"

typedef struct GlFaults GlFaults;

/* Before the work; in the middle of the body of an upload, else of the answer; after the work and
 * before the answer. */
typedef enum { GL_NEVER, GL_BEFORE, GL_DURING, GL_AFTER } GlWhen;

typedef struct {
	guint delay;    /* milliseconds before the work */
	GlWhen hold;    /* wait there until somebody says go */
	guint64 epoch;  /* for that, see halt.h */
	GlWhen cut;     /* the connection */
	guint status;   /* 0: as it comes */
	bool process;   /* do the work although the answer is replaced */
	GBytes *body;   /* of the answer, NULL: as it comes (with a status: empty) */
	char *type;     /* its Content-Type */
	char **headers; /* "Name: value", NULL: none */
} GlPlan;
void gl_plan_clear(GlPlan *plan);

GlFaults *gl_faults_new(guint32 seed);
void gl_faults_free(GlFaults *faults);

/* Lines up a fault, described by the parameters (see control.h): method, path, operation (globs),
 * times, skip, and what happens. `body` (may be NULL) is the canned answer. EINVAL. */
bool gl_faults_add(GlFaults *faults, GHashTable *parameters, GBytes *body, guint64 epoch,
                   GError **error);
void gl_faults_clear(GlFaults *faults);
/* How often lined-up faults may still strike. */
guint gl_faults_pending(GlFaults *faults);

/* The plan for a request. `operation` is the SOAP operation or NULL, `storage` says that error-rate
 * applies. True when a one-shot fault struck. */
bool gl_faults_plan(GlFaults *faults, const GlSettings *settings, const char *method,
                    const char *path, const char *operation, bool storage, GlPlan *ret);
