#include "storage.h"

#include "listing.h"
#include "text.h"
#include "upload.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OCTETS "application/octet-stream"

typedef struct {
	GlPlace *place;
	GlUpload *upload; /* POST and PUT of a file */
	const char *token;
	bool folder; /* POST of a folder */
} Work;

static void work_free(gpointer data)
{
	Work *work = data;
	g_clear_pointer(&work->place, gl_place_free);
	g_clear_pointer(&work->upload, gl_upload_free);
	g_free(work);
}

static void refuse(GlRequest *request, guint status, const char *why)
{
	g_autofree char *text = g_strconcat(why, "\n", NULL);
	gl_reply_text(&request->reply, status, "text/plain", text);
}

/* ---- versions ---- */

static char *make_etag(const struct stat *st)
{
	return g_strdup_printf("\"%lx-%lx-%lx.%lx\"", (unsigned long)st->st_ino,
	                       (unsigned long)st->st_size, (unsigned long)st->st_mtim.tv_sec,
	                       (unsigned long)st->st_mtim.tv_nsec);
}

static void add_version(GlRequest *request, const struct stat *st)
{
	g_autofree char *date = gl_text_http_date(st->st_mtim.tv_sec);
	g_autofree char *etag = make_etag(st);

	if (request->settings.last_modified)
		gl_reply_header(&request->reply, "Last-Modified", date);
	if (request->settings.etag)
		gl_reply_header(&request->reply, "ETag", etag);
}

static bool etag_listed(const char *list, const char *etag)
{
	g_auto(GStrv) tags = g_strsplit(list, ",", -1);

	for (guint i = 0; tags[i] != NULL; i++) {
		const char *tag = g_strstrip(tags[i]);
		if (strcmp(tag, "*") == 0 || strcmp(tag, etag) == 0)
			return true;
	}
	return false;
}

/* Whether the version that the client has in mind is the one that is there. */
static bool conditions_hold(GlRequest *request, const GlPlace *place)
{
	const char *match = gl_request_header(request, "If-Match");
	const char *since = gl_request_header(request, "If-Unmodified-Since");
	struct stat st;

	if (!request->settings.conditional || (match == NULL && since == NULL))
		return true;
	if (lstat(place->disk, &st) != 0)
		return match == NULL;
	if (match != NULL) {
		g_autofree char *etag = make_etag(&st);
		return etag_listed(match, etag);
	}
	gint64 date = gl_text_parse_http_date(since);
	return date < 0 || st.st_mtim.tv_sec <= date;
}

/* ---- ranges ---- */

typedef enum { RANGE_NONE, RANGE_PART, RANGE_OUTSIDE } Range;

/* One range of bytes; anything else is ignored, as RFC 9110 allows. */
static Range parse_range(const char *text, guint64 size, guint64 *ret_from, guint64 *ret_length)
{
	guint64 first = 0, last = size > 0 ? size - 1 : 0;

	if (text == NULL || !g_str_has_prefix(text, "bytes=") || strchr(text, ',') != NULL)
		return RANGE_NONE;
	g_auto(GStrv) ends = g_strsplit(text + 6, "-", 2);
	if (g_strv_length(ends) != 2 || (ends[0][0] == '\0' && ends[1][0] == '\0'))
		return RANGE_NONE;
	if (ends[0][0] == '\0') { /* the last bytes */
		guint64 count;
		if (!g_ascii_string_to_unsigned(ends[1], 10, 0, G_MAXUINT64, &count, NULL))
			return RANGE_NONE;
		if (count == 0 || size == 0)
			return RANGE_OUTSIDE;
		first = count >= size ? 0 : size - count;
	} else {
		if (!g_ascii_string_to_unsigned(ends[0], 10, 0, G_MAXUINT64, &first, NULL))
			return RANGE_NONE;
		if (ends[1][0] != '\0' &&
		    !g_ascii_string_to_unsigned(ends[1], 10, first, G_MAXUINT64, &last, NULL))
			return RANGE_NONE;
		if (first >= size)
			return RANGE_OUTSIDE;
		last = MIN(last, size - 1);
	}
	*ret_from = first;
	*ret_length = last - first + 1;
	return RANGE_PART;
}

static bool range_is_of_this_version(GlRequest *request, const struct stat *st)
{
	const char *condition = gl_request_header(request, "If-Range");

	if (condition == NULL || !request->settings.conditional)
		return true;
	g_autofree char *etag = make_etag(st);
	g_autofree char *date = gl_text_http_date(st->st_mtim.tv_sec);
	return strcmp(condition, etag) == 0 || strcmp(condition, date) == 0;
}

/* ---- GET and HEAD ---- */

/* The ways of not having a full view that are told by a status or the body. */
static bool refuse_view(GlRequest *request)
{
	gl_stats_count(request->server->stats, "rest.view", 1);
	switch (request->settings.view_full) {
	case GL_VIEW_GARBAGE:
		gl_reply_text(&request->reply, 200, "text/html", "<html>[{\"size\":1</html>\n");
		return true;
	case GL_VIEW_MISSING:
		refuse(request, 404, "no such view");
		return true;
	case GL_VIEW_FAILING:
		refuse(request, 500, "java.lang.NullPointerException");
		return true;
	default:
		return false;
	}
}

static void get_folder(GlRequest *request, Work *work)
{
	g_autoptr(GError) error = NULL;
	if (g_strcmp0(request->query, "view=full") == 0 && refuse_view(request))
		return;
	bool full = g_strcmp0(request->query, "view=full") == 0 &&
	            request->settings.view_full != GL_VIEW_OFF;
	GlListing *listing =
		gl_listing_new(g_steal_pointer(&work->place), gl_links_new(request, work->token),
	                       full ? GL_LISTING_JSON_FULL : GL_LISTING_JSON, &error);

	if (listing == NULL)
		refuse(request, 500, error->message);
	else
		gl_reply_stream(&request->reply, 200, "application/json", gl_listing_next, listing,
		                gl_listing_free);
}

static bool next_chunk(GString *out, void *data)
{
	char bytes[16384];
	gssize got = read(GPOINTER_TO_INT(data), bytes, sizeof(bytes));

	if (got > 0)
		g_string_append_len(out, bytes, got);
	return got > 0;
}

static void close_chunks(void *data)
{
	close(GPOINTER_TO_INT(data));
}

static void get_file(GlRequest *request, Work *work)
{
	guint64 from = 0, length;
	struct stat st;
	int fd = open(work->place->disk, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || fstat(fd, &st) != 0) {
		if (fd >= 0)
			close(fd);
		refuse(request, 404, "no such file");
		return;
	}
	length = (guint64)st.st_size;
	Range range = RANGE_NONE;
	if (request->settings.range && range_is_of_this_version(request, &st))
		range = parse_range(gl_request_header(request, "Range"), length, &from, &length);
	g_autofree char *whole = g_strdup_printf("%" G_GINT64_FORMAT, (gint64)st.st_size);
	if (range == RANGE_OUTSIDE) {
		g_autofree char *outside = g_strconcat("bytes */", whole, NULL);
		close(fd);
		gl_reply_header(&request->reply, "Content-Range", outside);
		refuse(request, 416, "outside of the file");
		return;
	}
	if (range != RANGE_PART && !request->settings.length)
		gl_reply_stream(&request->reply, 200, OCTETS, next_chunk, GINT_TO_POINTER(fd),
		                close_chunks);
	else
		gl_reply_file(&request->reply, range == RANGE_PART ? 206 : 200, OCTETS, fd, from,
		              length);
	if (range == RANGE_PART) {
		g_autofree char *part =
			g_strdup_printf("bytes %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT "/%s",
		                        from, from + length - 1, whole);
		gl_reply_header(&request->reply, "Content-Range", part);
	}
	if (request->settings.range)
		gl_reply_header(&request->reply, "Accept-Ranges", "bytes");
	add_version(request, &st);
}

static void head(GlRequest *request, Work *work)
{
	bool word = request->settings.head == GL_HEAD_WORD;
	struct stat st;

	if (request->settings.head == GL_HEAD_REFUSED) {
		gl_reply_empty(&request->reply, 405);
	} else if (request->settings.head == GL_HEAD_MISSING) {
		gl_reply_head(&request->reply, 404, NULL, 0);
	} else if (request->settings.head == GL_HEAD_GZIP && work->place->type == GL_FILE) {
		gl_reply_head(&request->reply, 200, OCTETS, 20);
		gl_reply_header(&request->reply, "Content-Encoding", "gzip");
	} else if (request->settings.head == GL_HEAD_EMPTY && work->place->type == GL_FILE) {
		gl_reply_head(&request->reply, 200, OCTETS, 0);
	} else if (request->settings.head == GL_HEAD_OTHER && work->place->type == GL_FILE) {
		gl_reply_head(&request->reply, 200, "application/json", 47);
	} else if (request->settings.head == GL_HEAD_FAILING) {
		gl_reply_head(&request->reply, 500, NULL, 0);
	} else if (request->settings.head == GL_HEAD_FORBIDDEN) {
		gl_reply_head(&request->reply, 403, NULL, 0);
	} else if (work->place->type == GL_FOLDER) {
		gl_reply_empty(&request->reply, 204);
	} else if (work->place->type != GL_FILE || lstat(work->place->disk, &st) != 0) {
		gl_reply_head(&request->reply, 404, word ? "text/plain" : NULL,
		              word ? strlen("NOTEXIST") : 0);
	} else if (word) {
		gl_reply_head(&request->reply, 200, "text/plain", strlen("FILE"));
	} else {
		gl_reply_head(&request->reply, 200, OCTETS, (guint64)st.st_size);
		if (request->settings.range)
			gl_reply_header(&request->reply, "Accept-Ranges", "bytes");
		add_version(request, &st);
	}
}

static void get(GlRequest *request, Work *work)
{
	if (work->place->type == GL_FOLDER)
		get_folder(request, work);
	else if (work->place->type == GL_FILE)
		get_file(request, work);
	else
		refuse(request, 404, "no such file");
}

/* ---- DELETE ---- */

static void delete (GlRequest *request, Work *work)
{
	g_autoptr(GError) error = NULL;
	GlPlace *place = work->place;

	if (place->type != GL_FILE && place->type != GL_FOLDER)
		refuse(request, 404, "no such file");
	else if (place->fixed)
		refuse(request, 405, "this folder stays");
	else if (!conditions_hold(request, place))
		refuse(request, 412, "there is another version");
	else if (gl_project_remove(place->project, place->disk, &error))
		gl_reply_empty(&request->reply, 204);
	else
		refuse(request, error->code == ENOENT ? 404 : 500, error->message);
}

/* ---- POST and PUT ---- */

/* What can be said before the body is read. */
static bool may_write(GlRequest *request, const Work *work)
{
	bool put = strcmp(request->method, "PUT") == 0;
	const GlPlace *place = work->place;

	if (request->chunked && !request->settings.chunked)
		refuse(request, 411, "Content-Length is needed");
	else if (!request->chunked && request->content_length < 0 && !work->folder)
		refuse(request, 411, "Content-Length is needed");
	else if (put && place->type != GL_FILE)
		refuse(request, 405, "there is no such file to replace");
	else if (!put && (place->type != GL_FREE || place->closed))
		refuse(request, 405, "it exists, or cannot be made here");
	else if (put && !conditions_hold(request, place))
		refuse(request, 412, "there is another version");
	return request->reply.status == 0;
}

static void finish_write(GlRequest *request, Work *work)
{
	g_autoptr(GError) error = NULL;
	GlPlace *place = work->place;
	bool put = strcmp(request->method, "PUT") == 0;

	if (request->content_length >= 0 && !work->folder &&
	    gl_upload_size(work->upload) != (guint64)request->content_length) {
		refuse(request, 400, "the body is not complete");
		return;
	}
	/* Somebody may have written while the body came. */
	if (put && !conditions_hold(request, place)) {
		refuse(request, 412, "there is another version");
		return;
	}
	bool done = work->folder ? gl_place_make_folder(place, &error)
	                         : gl_upload_finish(work->upload, place, put, &error);
	if (!done) {
		refuse(request, error->code == EEXIST || error->code == ENOENT ? 405 : 500,
		       error->message);
		return;
	}
	if (place->number_place != NULL && !put && request->settings.filename_header)
		gl_reply_header(&request->reply, "filename", place->uri);
	gl_reply_empty(&request->reply, 201);
}

/* ---- the handler ---- */

static GlProject *authorize(GlRequest *request, Work *work)
{
	g_auto(GlIdentity) identity = {0};
	g_autoptr(GError) error = NULL;
	const char *extra = gl_request_header(request, GL_EXTRA_HEADER);

	work->token = gl_request_header(request, "X-Auth-Token");
	if (work->token == NULL) {
		gl_reply_header(&request->reply, "WWW-Authenticate", "X-Auth-Token");
		refuse(request, 401, "X-Auth-Token is missing");
		return NULL;
	}
	if (!gl_sessions_check(request->server->sessions, work->token, &identity)) {
		refuse(request, 403, "Session token validation failed");
		return NULL;
	}
	if (request->settings.extra_header && g_strcmp0(extra, GL_EXTRA_VALUE) != 0) {
		refuse(request, 400, "a header of the description is missing");
		return NULL;
	}
	GlProject *project = gl_store_project(request->server->store, identity.project, &error);
	if (project == NULL)
		refuse(request, 500, error->message);
	return project;
}

static void storage_begin(GlRequest *request)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *counter = g_strconcat("rest.", request->method, NULL);
	bool write = strcmp(request->method, "POST") == 0 || strcmp(request->method, "PUT") == 0;
	Work *work = g_new0(Work, 1);

	request->state = work;
	request->free_state = work_free;
	gl_stats_count(request->server->stats, counter, 1);
	if (!gl_request_plan(request, NULL, true))
		return;
	GlProject *project = authorize(request, work);
	if (project == NULL)
		return;
	work->place = gl_place_from_url(project, request->path, &error);
	if (work->place == NULL) {
		refuse(request, 400, error->message);
		return;
	}
	if (!write)
		return;
	work->folder =
		strcmp(request->method, "POST") == 0 &&
		g_strcmp0(gl_request_header(request, "Content-Type"), "application/directory") == 0;
	if (!may_write(request, work) || work->folder)
		return;
	work->upload = gl_upload_new(project, &error);
	if (work->upload == NULL)
		refuse(request, 500, error->message);
}

static void storage_body(GlRequest *request, const char *bytes, gsize length)
{
	g_autoptr(GError) error = NULL;
	Work *work = request->state;

	if (work->upload != NULL && !gl_upload_write(work->upload, bytes, length, &error))
		refuse(request, error->code == ENOSPC ? 507 : 500, error->message);
}

static void storage_end(GlRequest *request)
{
	Work *work = request->state;

	if (work->upload != NULL || work->folder)
		finish_write(request, work);
	else if (strcmp(request->method, "GET") == 0)
		get(request, work);
	else if (strcmp(request->method, "HEAD") == 0)
		head(request, work);
	else if (strcmp(request->method, "DELETE") == 0)
		delete (request, work);
	else
		refuse(request, 405, "there is no such request");
}

const GlHandler gl_storage_handler = {storage_begin, storage_body, storage_end};
