/* gss/storage.h - the verbs of a GSS storage: FileUtilities, and the REST requests it describes.
 *
 * Threads, ownership and cancelling: see gss/client.h. A dead token (401, 403, or a fault that
 * validateSessionToken explains) is renewed once (single-flight over all calls) and the request
 * description asked for again; the caller sees none of it.
 *
 * Errors: see gss/error.h. EINPROGRESS from create, update, remove, create_folder, delete_folder
 * means that the request was sent whole and the outcome is unknown.
 */
#pragma once

#include "gss/client.h"
#include "gss/resource.h"

typedef void (*GssResourceCallback)(GssResource *resource, const GError *error, void *data);
typedef void (*GssBooleanCallback)(bool value, const GError *error, void *data);
typedef void (*GssDoneCallback)(const GError *error, void *data);

/* getResourceInformation. A free name is a resource of GSS_TYPE_NOTEXIST, not an error. */
void gss_storage_resolve(GssClient *client, const char *uri, GCancellable *cancellable,
                         GssResourceCallback callback, void *data);

/* containsFile. */
void gss_storage_contains(GssClient *client, const char *uri, GCancellable *cancellable,
                          GssBooleanCallback callback, void *data);

/* listFiles (or listFilesMinimal: no request descriptions). The answer is parsed as a stream:
 * `item` is called for each entry as it arrives, memory does not grow with the folder. Entries
 * delivered before an error must be discarded by the caller: only done(NULL) makes the listing
 * whole. EFBIG: more than GSS_LIST_MAX entries, which nobody could keep. */
#define GSS_LIST_MAX 1000000
typedef void (*GssListItem)(GssResource *resource, void *data);
void gss_storage_list(GssClient *client, const char *uri, bool minimal, GCancellable *cancellable,
                      GssListItem item, GssDoneCallback done, void *data);

/* createFolder at an address made with gss_uri_child(). */
void gss_storage_create_folder(GssClient *client, const char *uri, GCancellable *cancellable,
                               GssResourceCallback callback, void *data);

/* deleteFolder. Deletes recursively: the caller has looked first. */
void gss_storage_delete_folder(GssClient *client, const char *uri, GCancellable *cancellable,
                               GssDoneCallback callback, void *data);

/* getDirectInteractionEndpoint. `types` and `urls` are NULL-terminated and of the same length. */
typedef void (*GssEndpointsCallback)(const char *const *types, const char *const *urls,
                                     const GError *error, void *data);
void gss_storage_endpoints(GssClient *client, const char *uri, GCancellable *cancellable,
                           GssEndpointsCallback callback, void *data);

/* The version of a file, its size proven. Learns per storage (backend and host) whether HEAD
 * (metaReadDescription) answers the file's size or the length of the word FILE, by comparing it
 * once with a GET of which only the head (or one byte, by range) is taken, and believes HEAD only
 * after it agreed for a file whose size is not 4. What HEAD refuses is asked of GET. Where
 * nothing tells a length the whole file is read, once for each date or ETag. Needs a
 * resource with descriptions (from resolve or list; a minimal one is resolved first). ENOENT when
 * the file is gone: the storage does not have it, and the service does not name it either; when it
 * still does, EIO. */
typedef void (*GssVersionCallback)(const GssVersion *version, const GError *error, void *data);
void gss_storage_stat(GssClient *client, GssResource *resource, GCancellable *cancellable,
                      GssVersionCallback callback, void *data);

/* The sizes and dates of all files of a folder by one request, which refissh documents (protocol,
 * section 5), but not the names of the two members, nor which storages have it. `item` is called
 * for each file that has a size as it arrives (mtime in ns, -1 unknown); only done(NULL) makes it
 * worth anything. Whether a storage has it is learned and remembered per storage (backend and
 * host):
 * as long as the verdict is GSS_VIEW_UNKNOWN the caller compares with what gss_storage_stat() says
 * of a file and then tells the verdict; nothing is to be believed before. */
typedef enum {
	GSS_VIEW_UNKNOWN,
	GSS_VIEW_YES,   /* its sizes agreed */
	GSS_VIEW_DATES, /* its dates too */
	GSS_VIEW_NO,    /* there is none, or it is wrong */
	GSS_VIEW_LATER, /* it failed a moment ago: not to be tried now */
} GssViewKind;
typedef void (*GssViewItem)(const char *name, const char *uri, gint64 size, gint64 mtime,
                            void *data);
void gss_storage_view(GssClient *client, GssResource *folder, GCancellable *cancellable,
                      GssViewItem item, GssDoneCallback done, void *data);
/* Any thread, at once. `resource`: something on that storage, with descriptions. */
GssViewKind gss_storage_view_kind(GssClient *client, const GssResource *resource);
void gss_storage_view_judge(GssClient *client, const GssResource *resource, GssViewKind kind);
/* A file's size was believed because of a view: a GET that contradicts it takes the verdict back.
 */
void gss_storage_view_believed(GssClient *client, const GssResource *file,
                               const GssVersion *version);

/* What was learned of the storages of one backend (HEAD, view), as a text to be kept for the next
 * process; contains no secret. The serial changes when there is something new. Any thread. */
guint gss_storage_learned_serial(GssClient *client);
char *gss_storage_learned(GssClient *client, const char *backend);
void gss_storage_learn(GssClient *client, const char *backend, const char *text);

/* What the head of an answer says of the body that follows. */
typedef struct {
	bool partial; /* 206: the range that was asked for; false: 200, the whole file, whatever was
	                 asked */
	guint64 offset;            /* of the first byte; 0 when not partial */
	gint64 length;             /* -1 unknown */
	const GssVersion *version; /* of the file; its size is -1 when unknown */
} GssBody;

/* Reading. `begin` is called once, when the answer's head is there; `body` for consecutive pieces.
 * Both return false with an error to end the transfer; the error is handed to `done`. A body
 * shorter than announced is an error (EIO). Content-Encoding is never asked for; one that comes
 * anyway is an error (EPROTO). */
typedef struct {
	bool (*begin)(const GssBody *body, void *data, GError **error);
	bool (*body)(const void *bytes, gsize length, void *data, GError **error);
	void (*done)(const GError *error, void *data);
} GssSink;
/* length 0: to the end of the file. offset 0 and length 0 sends no Range at all. An offset at or
 * past the end (416) is ERANGE. `expected` (may be NULL): the version of which a range is wanted,
 * sent as If-Range where its ETag is a strong one, so that another one comes as a whole; what came,
 * `begin` compares. */
void gss_storage_read(GssClient *client, GssResource *resource, guint64 offset, guint64 length,
                      const GssVersion *expected, GCancellable *cancellable, const GssSink *sink,
                      void *data);

/* Writing a whole body of `length` bytes, with Content-Length. `read` fills up to `size` bytes from
 * `offset` (as pread; 0 is a premature end and fails the transfer) and is called on gss-net; it
 * returns -1 with an error to end the transfer. `progress` (may be NULL) gets the bytes handed over
 * so far. */
typedef struct {
	guint64 length;
	gssize (*read)(void *buffer, gsize size, guint64 offset, void *data, GError **error);
	void (*progress)(guint64 sent, void *data);
} GssSource;
/* On success `uri` is the true URI of the file: the address asked for, or what `queryForName` gave.
 */
typedef void (*GssWrittenCallback)(const char *uri, const GError *error, void *data);

/* createDescription of a GSS_TYPE_NOTEXIST resource. EEXIST: 405, somebody was faster (or the
 * parent is gone). */
void gss_storage_create(GssClient *client, GssResource *resource, GCancellable *cancellable,
                        const GssSource *source, GssWrittenCallback callback, void *data);
/* updateDescription. ENOENT: 405, it is gone. `expected` (may be NULL) goes along as If-Match, or
 * If-Unmodified-Since, where it has validators; ESTALE when the storage refuses. */
void gss_storage_update(GssClient *client, GssResource *resource, const GssVersion *expected,
                        GCancellable *cancellable, const GssSource *source,
                        GssWrittenCallback callback, void *data);

/* deleteDescription of a file. A 404 is success where the service does not name it either: it is
 * gone; else EIO. */
void gss_storage_remove(GssClient *client, GssResource *resource, GCancellable *cancellable,
                        GssDoneCallback callback, void *data);
