#include "reply.h"

#include <string.h>
#include <unistd.h>

#define PIECE 65536
#define STREAM_MIDDLE 512 /* bytes; taken for the middle of a body of unknown length */

void gl_reply_init(GlReply *reply)
{
	*reply = (GlReply){.fd = -1};
	reply->headers = g_ptr_array_new_with_free_func(g_free);
}

static void drop_body(GlReply *reply)
{
	g_clear_pointer(&reply->bytes, g_bytes_unref);
	if (reply->fd >= 0)
		close(reply->fd);
	reply->fd = -1;
	if (reply->free_data != NULL)
		reply->free_data(reply->data);
	reply->source = NULL;
	reply->data = NULL;
	reply->free_data = NULL;
	reply->head_only = false;
	reply->offset = reply->length = 0;
}

void gl_reply_clear(GlReply *reply)
{
	drop_body(reply);
	g_clear_pointer(&reply->headers, g_ptr_array_unref);
}

void gl_reply_header(GlReply *reply, const char *name, const char *value)
{
	g_ptr_array_add(reply->headers, g_strdup(name));
	g_ptr_array_add(reply->headers, g_strdup(value));
}

static void start(GlReply *reply, guint status, const char *type)
{
	drop_body(reply);
	reply->status = status;
	if (type != NULL)
		gl_reply_header(reply, "Content-Type", type);
}

void gl_reply_empty(GlReply *reply, guint status)
{
	start(reply, status, NULL);
}

void gl_reply_text(GlReply *reply, guint status, const char *type, const char *text)
{
	start(reply, status, type);
	reply->bytes = g_bytes_new(text, strlen(text));
}

void gl_reply_bytes(GlReply *reply, guint status, const char *type, GBytes *bytes)
{
	g_bytes_ref(bytes);
	start(reply, status, type);
	reply->bytes = bytes;
}

void gl_reply_head(GlReply *reply, guint status, const char *type, guint64 length)
{
	start(reply, status, type);
	reply->head_only = true;
	reply->length = length;
}

void gl_reply_file(GlReply *reply, guint status, const char *type, int fd, guint64 offset,
                   guint64 length)
{
	start(reply, status, type);
	reply->fd = fd;
	reply->offset = offset;
	reply->length = length;
}

void gl_reply_stream(GlReply *reply, guint status, const char *type, GlReplySource source,
                     gpointer data, GDestroyNotify free_data)
{
	start(reply, status, type);
	reply->source = source;
	reply->data = data;
	reply->free_data = free_data;
}

guint gl_reply_pause(guint64 bytes, guint bandwidth)
{
	return bandwidth == 0 ? 0 : (guint)MIN(bytes * 1000 / bandwidth, G_MAXINT);
}

/* The body on its way out, where libmicrohttpd cannot send it by itself. */
typedef struct {
	GlReply body; /* only the body's part */
	GlManner manner;
	guint64 middle; /* where to cut or hold */
	GlSent *sent;
	GString *ready; /* of a source: made, not sent yet */
	gsize taken;    /* bytes of it */
	bool more;
} Pump;

static void pump_free(void *data)
{
	Pump *pump = data;
	drop_body(&pump->body);
	g_string_free(pump->ready, TRUE);
	g_free(pump);
}

static gssize pump_source(Pump *pump, char *buffer, gsize size)
{
	while (pump->taken == pump->ready->len && pump->more) {
		g_string_truncate(pump->ready, 0);
		pump->taken = 0;
		pump->more = pump->body.source(pump->ready, pump->body.data);
	}
	size = MIN(size, pump->ready->len - pump->taken);
	if (size == 0)
		return MHD_CONTENT_READER_END_OF_STREAM;
	memcpy(buffer, pump->ready->str + pump->taken, size);
	pump->taken += size;
	return (gssize)size;
}

static ssize_t pump_read(void *data, uint64_t position, char *buffer, size_t size)
{
	Pump *pump = data;
	gssize got;

	if (position >= pump->middle && pump->manner.cut)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (position >= pump->middle && pump->manner.hold) {
		pump->manner.hold = false;
		guint64 ticket = gl_halt_ticket(pump->manner.halt);
		gl_stats_count(pump->manner.stats, "held", 1);
		if (!gl_halt_hold(pump->manner.halt, ticket, pump->manner.epoch))
			return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	if (position < pump->middle)
		size = MIN(size, pump->middle - position);
	/* Ten pieces a second, that the rate looks smooth to whoever watches it. */
	if (pump->manner.bandwidth > 0)
		size = MIN(size, MAX(pump->manner.bandwidth / 10, 1));

	if (pump->body.source != NULL) {
		got = pump_source(pump, buffer, size);
	} else if (pump->body.fd >= 0) {
		got = pread(pump->body.fd, buffer, size, (off_t)(pump->body.offset + position));
	} else {
		memcpy(buffer, (const char *)g_bytes_get_data(pump->body.bytes, NULL) + position,
		       size);
		got = (gssize)size;
	}
	if (got == MHD_CONTENT_READER_END_OF_STREAM && !pump->manner.cut)
		return got;
	if (got <= 0)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (!gl_halt_sleep(pump->manner.halt, gl_reply_pause((guint64)got, pump->manner.bandwidth)))
		return MHD_CONTENT_READER_END_WITH_ERROR;
	pump->sent->all += (guint64)got;
	if (pump->manner.stats != NULL) {
		pump->sent->counted += (guint64)got;
		gl_stats_count(pump->manner.stats, "bytes.sent", got);
	}
	return got;
}

static struct MHD_Response *pumped(GlReply *reply, const GlManner *manner, GlSent *sent)
{
	Pump *pump = g_new0(Pump, 1);
	guint64 length = reply->bytes != NULL ? g_bytes_get_size(reply->bytes) : reply->length;

	if (reply->source != NULL)
		length = MHD_SIZE_UNKNOWN;
	pump->body = *reply;
	pump->body.headers = NULL;
	pump->manner = *manner;
	pump->middle = reply->source != NULL ? STREAM_MIDDLE : length / 2;
	pump->sent = sent;
	pump->ready = g_string_new(NULL);
	pump->more = true;

	/* The body is the pump's now. */
	reply->bytes = NULL;
	reply->fd = -1;
	reply->source = NULL;
	reply->free_data = NULL;
	struct MHD_Response *response =
		MHD_create_response_from_callback(length, PIECE, pump_read, pump, pump_free);
	if (response == NULL)
		pump_free(pump);
	return response;
}

static ssize_t no_body(void *data, uint64_t position, char *buffer, size_t size)
{
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *make_response(GlReply *reply, const GlManner *manner, GlSent *sent)
{
	struct MHD_Response *response;
	bool special = manner->bandwidth > 0 || manner->cut || manner->hold;
	gsize size = 0;

	if (reply->head_only)
		return MHD_create_response_from_callback(reply->length, 1, no_body, NULL, NULL);
	if (reply->source != NULL || (special && (reply->fd >= 0 || reply->bytes != NULL)))
		return pumped(reply, manner, sent);
	if (reply->fd >= 0 && reply->length > 0) {
		response = MHD_create_response_from_fd_at_offset64(reply->length, reply->fd,
		                                                   reply->offset);
		if (response != NULL) {
			reply->fd = -1;
			sent->all += reply->length;
		}
		return response;
	}
	const void *data = reply->bytes != NULL ? g_bytes_get_data(reply->bytes, &size) : NULL;
	sent->all += size;
	return MHD_create_response_from_buffer(size, (void *)data, MHD_RESPMEM_MUST_COPY);
}

enum MHD_Result gl_reply_queue(GlReply *reply, struct MHD_Connection *connection,
                               const GlManner *manner, GlSent *sent)
{
	guint64 size = reply->bytes != NULL ? g_bytes_get_size(reply->bytes) : reply->length;

	/* A body that is too short to be cut in its middle is cut before it begins. */
	if (manner->cut && (reply->head_only || (reply->source == NULL && size < 2)))
		return MHD_NO;
	struct MHD_Response *response = make_response(reply, manner, sent);
	if (response == NULL)
		return MHD_NO;
	enum MHD_Result result = MHD_YES;
	for (guint i = 0; result == MHD_YES && i + 1 < reply->headers->len; i += 2)
		result = MHD_add_response_header(response, g_ptr_array_index(reply->headers, i),
		                                 g_ptr_array_index(reply->headers, i + 1));
	if (result == MHD_YES)
		result = MHD_queue_response(connection, reply->status, response);
	MHD_destroy_response(response);
	return result;
}
