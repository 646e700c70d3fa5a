/* reply.h - the answer to a request, before it is handed to libmicrohttpd: what the handlers fill
 * in, and what the faults may still change or throttle.
 *
 * Threads: a reply belongs to the thread of its connection.
 */
#pragma once

#include "stats.h"

#include <microhttpd.h>

/* Appends the next piece of a long body; false when that was the last. */
typedef bool (*GlReplySource)(GString *out, gpointer data);

typedef struct {
	guint status;       /* 0: not answered yet */
	GPtrArray *headers; /* name, value, name, value, ... */
	bool head_only;     /* HEAD: `length` is only told */
	GBytes *bytes;
	int fd; /* -1: none */
	guint64 offset;
	guint64 length; /* of the part of the file */
	GlReplySource source;
	gpointer data;
	GDestroyNotify free_data;
} GlReply;

void gl_reply_init(GlReply *reply);
/* Ready for another answer. */
void gl_reply_clear(GlReply *reply);

void gl_reply_header(GlReply *reply, const char *name, const char *value);
/* Exactly one of these; they replace what was there. `type` may be NULL. */
void gl_reply_empty(GlReply *reply, guint status);
void gl_reply_text(GlReply *reply, guint status, const char *type, const char *text);
void gl_reply_bytes(GlReply *reply, guint status, const char *type, GBytes *bytes);
void gl_reply_head(GlReply *reply, guint status, const char *type, guint64 length);
/* Takes the descriptor. */
void gl_reply_file(GlReply *reply, guint status, const char *type, int fd, guint64 offset,
                   guint64 length);
/* Takes `data`. The length is not known, the body goes out in chunks. */
void gl_reply_stream(GlReply *reply, guint status, const char *type, GlReplySource source,
                     gpointer data, GDestroyNotify free_data);

/* How a body goes out. */
typedef struct {
	GlHalt *halt;
	GlStats *stats;
	guint bandwidth; /* bytes a second, 0: unlimited */
	bool cut;        /* break the connection in the middle of the body */
	bool hold;       /* wait there for gl_halt_release() */
	guint64 epoch;   /* for that */
} GlManner;

/* Bytes of a body. */
typedef struct {
	guint64 all;     /* those that are out when the request is completed */
	guint64 counted; /* those that were counted (bytes.sent) while they went out */
} GlSent;

/* Hands the answer over. The body bytes that go out are added to `sent`, which must live until the
 * request is completed. */
enum MHD_Result gl_reply_queue(GlReply *reply, struct MHD_Connection *connection,
                               const GlManner *manner, GlSent *sent);

/* How long `bytes` take at `bandwidth`, in milliseconds. */
guint gl_reply_pause(guint64 bytes, guint bandwidth);
