/* gss/read.c - gss_storage_read(); see gss/storage.h. */
#include "gss/storage.h"

#include "gss/client-private.h"
#include "gss/error-private.h"
#include "gss/rest.h"
#include "gss/stat-private.h"

#include <errno.h>

#define LARGE (1024 * 1024) /* bytes; from here on a body gets large buffers */

typedef struct {
	GssCall call;
	GssResource *resource;
	guint64 offset;
	guint64 length; /* 0: to the end */
	char *etag;     /* strong, of the version wanted; or NULL */
	GssSink sink;
	void *data;
	gint64 expected; /* bytes of the body, -1 unknown */
	guint64 received;
} Read;

static bool partial(const Read *read, const GssAnswer *answer, gint64 *ret_size, GError **error)
{
	const char *text = gss_answer_header(answer, "content-range");
	gint64 first = -1;
	gint64 last = -1;
	gint64 size = -1;
	bool asked = read->offset > 0 || read->length > 0;
	if (!asked)
		return gss_fail(error, EPROTO,
		                "%s: a part was sent although the whole was asked for",
		                answer->host);
	if (text == NULL || !gss_content_range(text, &first, &last, &size) || first < 0) {
		g_autofree char *shown = gss_quote(text != NULL ? text : "", -1, NULL);
		return gss_fail(error, EPROTO, "%s: bad Content-Range “%s”", answer->host, shown);
	}
	if ((guint64)first != read->offset ||
	    (read->length > 0 && (guint64)last - (guint64)first >= read->length))
		return gss_fail(error, EPROTO, "%s: another range was sent than asked for",
		                answer->host);
	gint64 length = last - first + 1;
	if (answer->length >= 0 && answer->length != length)
		return gss_fail(error, EPROTO, "%s: Content-Range and Content-Length disagree",
		                answer->host);
	*ret_size = size;
	return true;
}

static GssHeadVerdict on_head(const GssAnswer *answer, void *data, GError **error)
{
	Read *read = data;
	g_auto(GssVersion) version = GSS_VERSION_INIT;
	GssBody body = {.partial = answer->status == 206, .version = &version};
	read->expected = answer->length;
	if (body.partial) {
		gint64 first;
		gint64 last;
		if (!partial(read, answer, &version.size, error))
			return GSS_HEAD_FAIL;
		gss_content_range(gss_answer_header(answer, "content-range"), &first, &last,
		                  &version.size);
		body.offset = read->offset;
		read->expected = last - first + 1;
	} else if (answer->status == 204) {
		version.size = read->expected = 0;
	} else {
		version.size = answer->length;
	}
	gss_version_from_answer(&version, answer);
	if (answer->status != 204) /* not documented, so no proof that a file is empty */
		gss_storages_proved(read->call.client->storages, read->resource, &version);
	body.length = read->expected;
	if (!read->sink.begin(&body, read->data, error))
		return GSS_HEAD_FAIL;
	return GSS_HEAD_BODY;
}

static bool on_body(const void *bytes, gsize length, void *data, GError **error)
{
	Read *read = data;
	read->received += length;
	if (read->expected >= 0 && read->received > (guint64)read->expected)
		return gss_fail(error, EPROTO, "more bytes were sent than announced");
	return read->sink.body(bytes, length, read->data, error);
}

static void on_done(const GssAnswer *answer, GssResource *resource, const GError *error, void *data)
{
	Read *read = data;
	if (error == NULL && read->expected >= 0 && read->received < (guint64)read->expected)
		gss_call_fail(&read->call,
		              g_error_new(GSS_ERROR, EIO,
		                          "%s: the body ended after %" G_GUINT64_FORMAT
		                          " of %" G_GINT64_FORMAT " bytes",
		                          answer->host, read->received, read->expected));
	else
		gss_call_complete(&read->call, error);
}

static void read_run(GssCall *call)
{
	Read *read = (Read *)call;
	g_autofree char *range = NULL;
	if (read->length > 0)
		range = g_strdup_printf("Range: bytes=%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT,
		                        read->offset, read->offset + (read->length - 1));
	else if (read->offset > 0)
		range = g_strdup_printf("Range: bytes=%" G_GUINT64_FORMAT "-", read->offset);
	g_autofree char *condition = range != NULL && read->etag != NULL
	                                     ? g_strconcat("If-Range: ", read->etag, NULL)
	                                     : NULL;
	const char *headers[] = {range, condition, NULL};
	gss_rest_start(call, &(GssRestSpec){
				     .verb = GSS_VERB_READ,
				     .resource = read->resource,
				     .lane = GSS_LANE_DOWNLOAD,
				     .large = read->length == 0 || read->length >= LARGE,
				     .headers = headers,
				     .head = on_head,
				     .body = on_body,
				     .done = on_done,
				     .data = read,
			     });
}

static void read_complete(GssCall *call, const GError *error)
{
	Read *read = (Read *)call;
	read->sink.done(error, read->data);
}

static void read_clear(GssCall *call)
{
	Read *read = (Read *)call;
	gss_resource_unref(read->resource);
	g_free(read->etag);
}

/* "..." and not W/"..."; nothing that would end a header line. */
static bool is_strong(const char *etag)
{
	if (etag == NULL || *etag != '"')
		return false;
	for (const char *p = etag; *p != '\0'; p++)
		if (g_ascii_iscntrl(*p))
			return false;
	return true;
}

void gss_storage_read(GssClient *client, GssResource *resource, guint64 offset, guint64 length,
                      const GssVersion *expected, GCancellable *cancellable, const GssSink *sink,
                      void *data)
{
	static const GssCallClass class = {
		.size = sizeof(Read),
		.run = read_run,
		.complete = read_complete,
		.clear = read_clear,
	};
	Read *read = gss_call_new(&class, client, NULL, cancellable);
	read->resource = gss_resource_ref(resource);
	read->offset = offset;
	read->length = MIN(length, G_MAXUINT64 - offset);
	if (expected != NULL && is_strong(expected->etag))
		read->etag = g_strdup(expected->etag);
	read->expected = -1;
	read->sink = *sink;
	read->data = data;
	gss_call_submit(&read->call);
}
