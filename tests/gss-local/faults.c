#include "faults.h"

#include <errno.h>
#include <gio/gio.h>
#include <pthread.h>
#include <string.h>

typedef struct {
	GPatternSpec *method;
	GPatternSpec *path;
	GPatternSpec *operation; /* NULL: any request, SOAP or not */
	guint skip;
	guint times;
	GlPlan plan;
} Fault;

struct GlFaults {
	pthread_mutex_t lock;
	GQueue queue; /* of Fault, in the order of their arrival */
	GRand *chance;
};

void gl_plan_clear(GlPlan *plan)
{
	g_clear_pointer(&plan->body, g_bytes_unref);
	g_clear_pointer(&plan->type, g_free);
	g_clear_pointer(&plan->headers, g_strfreev);
}

static void fault_free(gpointer data)
{
	Fault *fault = data;
	g_clear_pointer(&fault->method, g_pattern_spec_free);
	g_clear_pointer(&fault->path, g_pattern_spec_free);
	g_clear_pointer(&fault->operation, g_pattern_spec_free);
	gl_plan_clear(&fault->plan);
	g_free(fault);
}

GlFaults *gl_faults_new(guint32 seed)
{
	GlFaults *faults = g_new0(GlFaults, 1);
	pthread_mutex_init(&faults->lock, NULL);
	g_queue_init(&faults->queue);
	faults->chance = g_rand_new_with_seed(seed);
	return faults;
}

void gl_faults_free(GlFaults *faults)
{
	gl_faults_clear(faults);
	g_rand_free(faults->chance);
	pthread_mutex_destroy(&faults->lock);
	g_free(faults);
}

void gl_faults_clear(GlFaults *faults)
{
	pthread_mutex_lock(&faults->lock);
	g_queue_clear_full(&faults->queue, fault_free);
	pthread_mutex_unlock(&faults->lock);
}

guint gl_faults_pending(GlFaults *faults)
{
	guint pending = 0;

	pthread_mutex_lock(&faults->lock);
	for (GList *l = faults->queue.head; l != NULL; l = l->next)
		pending += ((Fault *)l->data)->times;
	pthread_mutex_unlock(&faults->lock);
	return pending;
}

static bool number(GHashTable *parameters, const char *name, guint limit, guint *value,
                   GError **error)
{
	const char *text = g_hash_table_lookup(parameters, name);
	guint64 parsed;

	if (text == NULL)
		return true;
	if (!g_ascii_string_to_unsigned(text, 10, 0, limit, &parsed, error))
		return false;
	*value = (guint)parsed;
	return true;
}

static bool parse_when(GHashTable *parameters, const char *name, GlWhen *ret, GError **error)
{
	const char *text = g_hash_table_lookup(parameters, name);

	if (text == NULL)
		return true;
	if (strcmp(text, "before") == 0)
		*ret = GL_BEFORE;
	else if (strcmp(text, "during") == 0)
		*ret = GL_DURING;
	else if (strcmp(text, "after") == 0)
		*ret = GL_AFTER;
	else {
		g_set_error(error, G_FILE_ERROR, EINVAL, "%s is before, during or after, not %s",
		            name, text);
		return false;
	}
	return true;
}

static bool check_names(GHashTable *parameters, GError **error)
{
	static const char *const known[] = {"method", "path",    "operation", "times", "skip",
	                                    "status", "cut",     "delay",     "hold",  "process",
	                                    "type",   "headers", "body",      NULL};
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, parameters);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		if (!g_strv_contains(known, key)) {
			g_set_error(error, G_FILE_ERROR, EINVAL, "a fault has no parameter %s",
			            (const char *)key);
			return false;
		}
	}
	return true;
}

static bool flag(GHashTable *parameters, const char *name)
{
	const char *text = g_hash_table_lookup(parameters, name);
	return text != NULL && (strcmp(text, "1") == 0 || strcmp(text, "on") == 0);
}

static GPatternSpec *pattern(GHashTable *parameters, const char *name, const char *otherwise)
{
	const char *text = g_hash_table_lookup(parameters, name);

	if (text == NULL)
		text = otherwise;
	return text == NULL ? NULL : g_pattern_spec_new(text);
}

bool gl_faults_add(GlFaults *faults, GHashTable *parameters, GBytes *body, guint64 epoch,
                   GError **error)
{
	Fault *fault = g_new0(Fault, 1);
	GlPlan *plan = &fault->plan;
	const char *text = g_hash_table_lookup(parameters, "body");

	fault->times = 1;
	plan->epoch = epoch;
	if (!check_names(parameters, error) ||
	    !number(parameters, "times", G_MAXINT, &fault->times, error) ||
	    !number(parameters, "skip", G_MAXINT, &fault->skip, error) ||
	    !number(parameters, "delay", 3600000, &plan->delay, error) ||
	    !number(parameters, "status", 599, &plan->status, error) ||
	    !parse_when(parameters, "cut", &plan->cut, error) ||
	    !parse_when(parameters, "hold", &plan->hold, error)) {
		fault_free(fault);
		return false;
	}
	if (plan->status != 0 && plan->status < 200) {
		g_set_error_literal(error, G_FILE_ERROR, EINVAL, "a status is 200 to 599");
		fault_free(fault);
		return false;
	}
	fault->method = pattern(parameters, "method", "*");
	fault->path = pattern(parameters, "path", "*");
	fault->operation = pattern(parameters, "operation", NULL);
	plan->process = flag(parameters, "process");
	if (body != NULL && g_bytes_get_size(body) > 0)
		plan->body = g_bytes_ref(body);
	else if (text != NULL)
		plan->body = g_bytes_new(text, strlen(text));
	plan->type = g_strdup(g_hash_table_lookup(parameters, "type"));
	text = g_hash_table_lookup(parameters, "headers");
	if (text != NULL)
		plan->headers = g_strsplit(text, "\n", -1);

	pthread_mutex_lock(&faults->lock);
	g_queue_push_tail(&faults->queue, fault);
	pthread_mutex_unlock(&faults->lock);
	return true;
}

static void copy_plan(const GlPlan *from, GlPlan *ret)
{
	*ret = *from;
	ret->body = from->body != NULL ? g_bytes_ref(from->body) : NULL;
	ret->type = g_strdup(from->type);
	ret->headers = g_strdupv(from->headers);
}

/* Called with the lock held. The first fault that matches strikes; each one that matches but still
 * skips is counted down. */
static bool strike(GlFaults *faults, const char *method, const char *path, const char *operation,
                   GlPlan *ret)
{
	for (GList *l = faults->queue.head; l != NULL; l = l->next) {
		Fault *fault = l->data;

		if (!g_pattern_spec_match_string(fault->method, method) ||
		    !g_pattern_spec_match_string(fault->path, path))
			continue;
		if (fault->operation != NULL &&
		    (operation == NULL ||
		     !g_pattern_spec_match_string(fault->operation, operation)))
			continue;
		if (fault->skip > 0) {
			fault->skip--;
			continue;
		}
		if (fault->times == 0)
			continue;
		copy_plan(&fault->plan, ret);
		if (--fault->times == 0) {
			fault_free(fault);
			g_queue_delete_link(&faults->queue, l);
		}
		return true;
	}
	return false;
}

/* Called with the lock held. */
static void by_chance(GlFaults *faults, const GlSettings *settings, bool storage, GlPlan *ret)
{
	if (settings->cut_rate > 0 &&
	    (guint)g_rand_int_range(faults->chance, 0, 100) < settings->cut_rate) {
		guint where = settings->cut_where;

		if (where == GL_WHERE_ANY)
			where = (guint)g_rand_int_range(faults->chance, GL_WHERE_BEFORE,
			                                GL_WHERE_AFTER + 1);
		ret->cut = where == GL_WHERE_BEFORE   ? GL_BEFORE
		           : where == GL_WHERE_DURING ? GL_DURING
		                                      : GL_AFTER;
	} else if (storage && settings->error_rate > 0 &&
	           (guint)g_rand_int_range(faults->chance, 0, 100) < settings->error_rate) {
		ret->status = 503;
	}
}

bool gl_faults_plan(GlFaults *faults, const GlSettings *settings, const char *method,
                    const char *path, const char *operation, bool storage, GlPlan *ret)
{
	*ret = (GlPlan){0};
	pthread_mutex_lock(&faults->lock);
	bool struck = strike(faults, method, path, operation, ret);
	if (!struck)
		by_chance(faults, settings, storage, ret);
	pthread_mutex_unlock(&faults->lock);
	return struck;
}
