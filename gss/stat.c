/* gss/stat.c - gss_storage_stat(): the proven version of a file; see gss/storage.h.
 *
 * HEAD alone where it is known to answer sizes; a GET of one byte where it is known not to, or not
 * offered; both at once, and a comparison, where neither is known.
 *
 * What HEAD was known for may end on any day: an error of it, or a length that may be that of a
 * word, is no answer. GET has the last word, also on whether there is a file at all, and about that
 * only together with the service.
 */
#include "gss/stat-private.h"

#include "gss/client-private.h"
#include "gss/error-private.h"
#include "gss/rest.h"
#include "gss/storage.h"

#include <errno.h>
#include <string.h>

/* Where a storage neither honours ranges nor says a length, files are read to their end: those up
 * to this as any question, longer ones once more as a download. */
#define COUNT_MAX (8 * 1024 * 1024)

/* How long a HEAD is waited for once the GET beside it has told all: some servers never answer. */
#define HEAD_PATIENCE G_USEC_PER_SEC

/* The HEAD beside a GET: a call of its own. */
typedef struct {
	GssCall call;
	GssResource *resource;
	gint64 length;
	gint64 until;      /* monotonic us; 0: not known yet */
	struct Stat *stat; /* NULL: it does not wait any more */
} Head;

typedef struct Stat {
	GssCall call;
	GssResource *resource;
	GssVersion version;
	Head *head; /* under way */
	bool proven;
	bool no_content; /* by a 204, which is no documented answer: not against what HEAD tells */
	bool compare;    /* a HEAD was made, its verdict is open */
	bool doubted;    /* a HEAD that is known to answer sizes was not believed */
	gint64 head_length; /* what it said, -1 nothing */
	GError *missing;    /* while the service is asked whether it knows of that */
	bool plain;         /* the GET is made without a range */
	bool counting, long_count;
	gint64 counted;
	GssVersionCallback callback;
	void *data;
} Stat;

static void probe(Stat *stat);

static void keep_resource(Stat *stat, GssResource *resource)
{
	gss_resource_ref(resource);
	gss_resource_unref(stat->resource);
	stat->resource = resource;
}

/* Complete, once GET and HEAD have both answered? */
static void settle(Stat *stat)
{
	GssStorages *storages = stat->call.client->storages;
	if (!stat->proven || stat->head != NULL)
		return;
	if (stat->no_content && stat->head_length > GSS_WORD_MAX) {
		gss_call_fail(&stat->call, g_error_new(GSS_ERROR, EPROTO,
		                                       "HEAD tells %" G_GINT64_FORMAT
		                                       " bytes, and GET has no content",
		                                       stat->head_length));
		return;
	}
	if (stat->compare)
		gss_storages_compared(storages, stat->resource, stat->head_length,
		                      stat->version.size);
	if (stat->doubted && stat->head_length != stat->version.size)
		gss_storages_doubt_head(storages, stat->resource);
	gss_storages_proved(storages, stat->resource, &stat->version);
	if (stat->counting)
		gss_storages_keep_count(storages, stat->resource, &stat->version);
	gss_call_complete(&stat->call, NULL);
}

static void prove(Stat *stat, gint64 size)
{
	stat->version.size = size;
	stat->proven = true;
	/* It was sent with the GET, and is for the next time. */
	if (stat->head != NULL)
		stat->head->until = g_get_monotonic_time() + HEAD_PATIENCE;
	settle(stat);
}

static GssHeadVerdict on_probe_head(const GssAnswer *answer, void *data, GError **error)
{
	Stat *stat = data;
	gss_version_from_answer(&stat->version, answer);
	stat->counting = answer->status == 200 && answer->length < 0;
	stat->counted = 0;
	if (!stat->counting)
		return GSS_HEAD_ENOUGH;
	gint64 size =
		gss_storages_counted(stat->call.client->storages, stat->resource, &stat->version);
	stat->counted = MAX(size, 0);
	return size >= 0 ? GSS_HEAD_ENOUGH : GSS_HEAD_BODY;
}

static bool on_probe_body(const void *bytes, gsize length, void *data, GError **error)
{
	Stat *stat = data;
	stat->counted += (gint64)length;
	if (stat->counted > COUNT_MAX && !stat->long_count)
		return gss_fail(error, EPROTO, "too much to be counted here");
	return true;
}

/* The storage does not have it. Does the service agree? */
static void on_named(GssResource *resource, const GError *error, void *data)
{
	Stat *stat = data;
	g_autoptr(GError) missing = g_steal_pointer(&stat->missing);
	if (error != NULL || gss_resource_type(resource) == GSS_TYPE_NOTEXIST)
		gss_call_complete(&stat->call, error != NULL ? error : missing);
	else
		gss_call_fail(&stat->call, g_error_new(GSS_ERROR, EIO,
		                                       "%s; but the service says that it is there",
		                                       missing->message));
}

static void on_probed(const GssAnswer *answer, GssResource *resource, const GError *error,
                      void *data)
{
	Stat *stat = data;
	gint64 first = -1;
	gint64 last = -1;
	gint64 size = -1;
	keep_resource(stat, resource);
	const char *range = answer != NULL ? gss_answer_header(answer, "content-range") : NULL;
	bool ranged = range != NULL && gss_content_range(range, &first, &last, &size);
	if (g_error_matches(error, GSS_ERROR, ERANGE)) {
		/* An empty file has no first byte; its date comes with the whole of it. */
		if (stat->plain) {
			gss_call_complete(&stat->call, error);
		} else {
			stat->plain = true;
			probe(stat);
		}
	} else if (g_error_matches(error, GSS_ERROR, ENOENT) && answer != NULL &&
	           gss_resource_address(resource) != NULL) {
		stat->missing = g_error_copy(error);
		gss_resolve_start(&stat->call, gss_resource_address(resource), on_named, NULL,
		                  stat);
	} else if (g_error_matches(error, GSS_ERROR, EPROTO) && stat->counting &&
	           stat->counted > COUNT_MAX && !stat->long_count) {
		stat->long_count = true;
		probe(stat);
	} else if (error != NULL) {
		gss_call_complete(&stat->call, error);
	} else if (answer->status == 206 && ranged && first == 0 && size >= 0) {
		prove(stat, size);
	} else if (answer->status == 206 && !stat->plain) {
		stat->plain = true; /* a range of an unknown whole */
		probe(stat);
	} else if (answer->status == 204) {
		stat->no_content = true;
		prove(stat, 0);
	} else if (answer->status == 200) {
		prove(stat, stat->counting ? stat->counted : answer->length);
	} else {
		gss_call_fail(&stat->call, g_error_new(GSS_ERROR, EPROTO,
		                                       "%s: status %ld where a file was asked for",
		                                       answer->host, answer->status));
	}
}

static void probe(Stat *stat)
{
	static const char *const range[] = {"Range: bytes=0-0", NULL};
	gss_rest_start(&stat->call,
	               &(GssRestSpec){
			       .verb = GSS_VERB_READ,
			       .resource = stat->resource,
			       .lane = stat->long_count ? GSS_LANE_DOWNLOAD : GSS_LANE_SMALL,
			       .large = stat->long_count,
			       .headers = stat->plain ? NULL : range,
			       .head = on_probe_head,
			       .body = on_probe_body,
			       .done = on_probed,
			       .data = stat,
		       });
}

/* Is it one of a HEAD that cannot be used, so that a GET may fare better? */
static bool useless(const GError *error)
{
	static const int codes[] = {EPERM, EACCES, ENOENT, EINVAL, EIO, EPROTO};
	bool odd = false;
	for (guint i = 0; i < G_N_ELEMENTS(codes); i++)
		odd |= g_error_matches(error, GSS_ERROR, codes[i]);
	return odd;
}

static void on_meta(const GssAnswer *answer, GssResource *resource, const GError *error, void *data)
{
	Stat *stat = data;
	GssStorages *storages = stat->call.client->storages;
	keep_resource(stat, resource);
	if (error != NULL && !useless(error)) {
		gss_call_complete(&stat->call, error);
		return;
	}
	if (error == NULL) {
		gss_version_from_answer(&stat->version, answer);
		stat->version.size = answer->length;
		if (gss_storages_believable(storages, resource, &stat->version)) {
			gss_storages_believed(storages, resource, &stat->version, false);
			gss_call_complete(&stat->call, NULL);
			return;
		}
	}
	stat->doubted = true;
	stat->head_length = stat->version.size;
	stat->plain = stat->head_length == 0; /* an empty file has no first byte */
	probe(stat);
}

/* --- both at once --- */

static void on_head(const GssAnswer *answer, GssResource *resource, const GError *error, void *data)
{
	Head *head = data;
	head->length = error == NULL ? answer->length : -1;
	gss_call_complete(&head->call, error);
}

static void head_run(GssCall *call)
{
	Head *head = (Head *)call;
	gss_rest_start(call, &(GssRestSpec){
				     .verb = GSS_VERB_META,
				     .resource = head->resource,
				     .until = &head->until,
				     .done = on_head,
				     .data = head,
			     });
}

static void head_complete(GssCall *call, const GError *error)
{
	Head *head = (Head *)call;
	Stat *stat = head->stat;
	if (stat == NULL)
		return;
	stat->head = NULL;
	/* An internal error, or a broken network, says nothing of the storage. */
	stat->compare = error == NULL || (useless(error) && error->code != EIO);
	stat->head_length = head->length;
	settle(stat);
}

static void head_clear(GssCall *call)
{
	gss_resource_unref(((Head *)call)->resource);
}

static void head_start(Stat *stat)
{
	static const GssCallClass class = {
		.size = sizeof(Head),
		.run = head_run,
		.complete = head_complete,
		.clear = head_clear,
	};
	Head *head =
		gss_call_new(&class, stat->call.client, stat->call.owner, stat->call.cancellable);
	head->resource = gss_resource_ref(stat->resource);
	head->length = -1;
	head->stat = stat;
	stat->head = head;
	gss_call_submit(&head->call);
}

static void stat_run(GssCall *call)
{
	Stat *stat = (Stat *)call;
	GssHeadKind kind = gss_storages_kind(call->client->storages, stat->resource);
	if (kind == GSS_HEAD_UNKNOWN)
		head_start(stat);
	if (kind != GSS_HEAD_SIZE) {
		probe(stat);
		return;
	}
	gss_rest_start(call, &(GssRestSpec){
				     .verb = GSS_VERB_META,
				     .resource = stat->resource,
				     .done = on_meta,
				     .data = stat,
			     });
}

static void stat_complete(GssCall *call, const GError *error)
{
	Stat *stat = (Stat *)call;
	if (stat->head != NULL)
		stat->head->stat = NULL;
	stat->callback(error == NULL ? &stat->version : NULL, error, stat->data);
}

static void stat_clear(GssCall *call)
{
	Stat *stat = (Stat *)call;
	gss_resource_unref(stat->resource);
	gss_version_clear(&stat->version);
	g_clear_error(&stat->missing);
}

void gss_storage_stat(GssClient *client, GssResource *resource, GCancellable *cancellable,
                      GssVersionCallback callback, void *data)
{
	static const GssCallClass class = {
		.size = sizeof(Stat),
		.run = stat_run,
		.complete = stat_complete,
		.clear = stat_clear,
	};
	Stat *stat = gss_call_new(&class, client, NULL, cancellable);
	stat->resource = gss_resource_ref(resource);
	stat->version = GSS_VERSION_INIT;
	stat->callback = callback;
	stat->data = data;
	gss_call_submit(&stat->call);
}
