/* gss/http.c - see gss/http.h: the thread, the lanes, the time-outs. */
#include "gss/http-private.h"

#include "gss/error-private.h"

#include <errno.h>
#include <string.h>

#define POLL_MAX_MS 60000
#define LONG_CONNECTIONS 8

typedef struct {
	GssTask run;
	void *data;
} Task;

const char *gss_answer_header(const GssAnswer *answer, const char *name)
{
	return answer->headers != NULL ? g_hash_table_lookup(answer->headers, name) : NULL;
}

void gss_http_invoke(GssHttp *http, GssTask run, void *data)
{
	Task *task = g_new(Task, 1);
	*task = (Task){.run = run, .data = data};
	g_mutex_lock(&http->lock);
	g_queue_push_tail(&http->tasks, task);
	g_mutex_unlock(&http->lock);
	curl_multi_wakeup(http->multi);
}

void gss_http_counters(GssHttp *http, GssCounters *ret)
{
	g_mutex_lock(&http->lock);
	*ret = http->counters;
	g_mutex_unlock(&http->lock);
}

static guint64 easy_number(CURL *easy, CURLINFO what)
{
	curl_off_t value = 0;
	return curl_easy_getinfo(easy, what, &value) == CURLE_OK && value > 0 ? (guint64)value : 0;
}

static guint64 easy_long(CURL *easy, CURLINFO what)
{
	long value = 0;
	return curl_easy_getinfo(easy, what, &value) == CURLE_OK && value > 0 ? (guint64)value : 0;
}

/* Takes an active transfer out of the CURLM and gives its place to the next. */
static void detach(GssTransfer *transfer)
{
	GssHttp *http = transfer->http;
	CURL *easy = transfer->easy;
	transfer->sent = MAX(transfer->sent, easy_number(easy, CURLINFO_SIZE_UPLOAD_T));
	g_mutex_lock(&http->lock);
	http->counters.connections += easy_long(easy, CURLINFO_NUM_CONNECTS);
	http->counters.bytes_sent +=
		easy_number(easy, CURLINFO_SIZE_UPLOAD_T) + easy_long(easy, CURLINFO_REQUEST_SIZE);
	http->counters.bytes_received +=
		easy_number(easy, CURLINFO_SIZE_DOWNLOAD_T) + easy_long(easy, CURLINFO_HEADER_SIZE);
	g_mutex_unlock(&http->lock);
	CURLMcode code = curl_multi_remove_handle(http->multi, easy);
	if (code != CURLM_OK)
		g_error("curl_multi_remove_handle: %s", curl_multi_strerror(code));
	g_queue_unlink(&http->active, &transfer->link);
	http->lanes[transfer->request.lane].active--;
}

static void enqueue(GssTransfer *transfer)
{
	GssHttpLane *lane = &transfer->http->lanes[transfer->request.lane];
	transfer->state = GSS_TRANSFER_WAITING;
	if (transfer->request.urgent)
		g_queue_push_head_link(&lane->waiting, &transfer->link);
	else
		g_queue_push_tail_link(&lane->waiting, &transfer->link);
}

/* Tells the owner and frees the transfer; it is in no queue any more. */
static void conclude(GssTransfer *transfer, GError *error)
{
	transfer->request.done(&transfer->answer, error, transfer->request.data);
	g_clear_error(&error);
	gss_transfer_free(transfer);
}

/* It is detached: follows a redirect, or ends it. */
static void settle(GssTransfer *transfer, GError *error)
{
	if (error == NULL && transfer->redirect != NULL && gss_transfer_follow(transfer, &error))
		enqueue(transfer);
	else
		conclude(transfer, error);
}

static void activate(GssTransfer *transfer)
{
	GssHttp *http = transfer->http;
	GError *error = NULL;
	if (g_cancellable_is_cancelled(transfer->cancellable))
		error = g_error_new(GSS_ERROR, ECANCELED, "cancelled");
	if (error != NULL || !gss_transfer_prepare(transfer, &error)) {
		conclude(transfer, error);
		return;
	}
	CURLMcode code = curl_multi_add_handle(http->multi, transfer->easy);
	if (code != CURLM_OK)
		g_error("curl_multi_add_handle: %s", curl_multi_strerror(code));
	transfer->state = GSS_TRANSFER_ACTIVE;
	g_queue_push_tail_link(&http->active, &transfer->link);
	http->lanes[transfer->request.lane].active++;
	g_mutex_lock(&http->lock);
	http->counters.requests++;
	g_mutex_unlock(&http->lock);
}

/* The first that waits in the lane. */
static bool may_begin(const GssHttpLane *lane)
{
	const GList *link = lane->waiting.head;
	return link != NULL &&
	       (lane->active < lane->limit || ((const GssTransfer *)link->data)->request.urgent);
}

static void fill_lanes(GssHttp *http)
{
	for (guint i = 0; i < GSS_LANES; i++) {
		GssHttpLane *lane = &http->lanes[i];
		while (may_begin(lane)) {
			GssTransfer *first = lane->waiting.head->data;
			g_queue_unlink(&lane->waiting, &first->link);
			activate(first);
		}
	}
}

static void run_tasks(GssHttp *http)
{
	GQueue tasks = G_QUEUE_INIT;
	g_mutex_lock(&http->lock);
	tasks = http->tasks;
	g_queue_init(&http->tasks);
	g_mutex_unlock(&http->lock);
	for (Task *task; (task = g_queue_pop_head(&tasks)) != NULL; g_free(task))
		task->run(task->data);
}

static void finish_transfers(GssHttp *http)
{
	CURLMsg *message;
	int left;
	while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
		if (message->msg != CURLMSG_DONE)
			continue;
		CURLcode code = message->data.result;
		char *private = NULL;
		if (curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private) != CURLE_OK)
			g_error("a transfer without its owner");
		GssTransfer *transfer = (GssTransfer *)private;
		detach(transfer);
		settle(transfer, gss_transfer_outcome(transfer, code));
	}
}

/* Bodies that libcurl has given all it has of. */
static void hand_over_bodies(GssHttp *http)
{
	GList *link = http->active.head;
	while (link != NULL) {
		GssTransfer *transfer = link->data;
		bool waiting = transfer->gathered_bytes > 0;
		if (!gss_transfer_hand_over(transfer)) {
			detach(transfer);
			conclude(transfer, g_steal_pointer(&transfer->error));
		}
		/* A callback may have ended others: start again. */
		link = waiting ? http->active.head : link->next;
	}
}

/* Ends what missed its deadline. Gives the time to the next one, in ms. */
static int check_deadlines(GssHttp *http)
{
	gint64 now = g_get_monotonic_time();
	gint64 next = now + POLL_MAX_MS * G_GINT64_CONSTANT(1000);
	GList *link = http->active.head;
	while (link != NULL) {
		GssTransfer *transfer = link->data;
		gint64 deadline = gss_transfer_deadline(transfer);
		if (deadline <= now) {
			detach(transfer);
			settle(transfer, gss_transfer_late(transfer));
			/* A callback may have ended others: start again. */
			link = http->active.head;
			continue;
		}
		next = MIN(next, deadline);
		link = link->next;
	}
	return (int)((next - now + 999) / 1000);
}

static bool idle(GssHttp *http, bool *ret_stopping)
{
	g_mutex_lock(&http->lock);
	bool empty = g_queue_is_empty(&http->tasks);
	*ret_stopping = http->stopping;
	g_mutex_unlock(&http->lock);
	for (guint i = 0; empty && i < GSS_LANES; i++)
		empty = !may_begin(&http->lanes[i]);
	return empty;
}

static void *engine(void *data)
{
	GssHttp *http = data;
	for (;;) {
		run_tasks(http);
		fill_lanes(http);
		int running = 0;
		CURLMcode code = curl_multi_perform(http->multi, &running);
		if (code != CURLM_OK)
			g_error("curl_multi_perform: %s", curl_multi_strerror(code));
		hand_over_bodies(http);
		finish_transfers(http);
		int timeout_ms = check_deadlines(http);
		bool stopping = false;
		bool nothing_to_do = idle(http, &stopping);
		if (nothing_to_do && stopping && g_queue_is_empty(&http->active))
			return NULL;
		code = curl_multi_poll(http->multi, NULL, 0, nothing_to_do ? timeout_ms : 0, NULL);
		if (code != CURLM_OK)
			g_error("curl_multi_poll: %s", curl_multi_strerror(code));
	}
}

static gint64 timeout_us(guint ms, guint ms_default)
{
	return (gint64)(ms != 0 ? ms : ms_default) * 1000;
}

GssHttp *gss_http_new(const GssClientOptions *options, GError **error)
{
	CURLM *multi = curl_multi_init();
	if (multi == NULL) {
		gss_fail(error, ENOMEM, "libcurl cannot start");
		return NULL;
	}
	GssHttp *http = g_new0(GssHttp, 1);
	http->multi = multi;
	g_mutex_init(&http->lock);
	g_queue_init(&http->tasks);
	g_queue_init(&http->active);
	http->allow_http = options->allow_http;
	http->connect_timeout_ms =
		options->connect_timeout_ms != 0 ? options->connect_timeout_ms : 10000;
	http->stall_timeout = timeout_us(options->stall_timeout_ms, 60 * 1000);
	http->response_timeout = timeout_us(options->response_timeout_ms, 15 * 60 * 1000);
	guint small = options->small_connections != 0 ? options->small_connections : 32;
	guint uploads = options->upload_connections != 0 ? options->upload_connections : 4;
	guint downloads = options->download_connections != 0 ? options->download_connections : 32;
	http->lanes[GSS_LANE_SMALL].limit = small;
	http->lanes[GSS_LANE_UPLOAD].limit = uploads;
	http->lanes[GSS_LANE_DOWNLOAD].limit = downloads;
	http->lanes[GSS_LANE_LONG].limit = LONG_CONNECTIONS;
	http->lanes[GSS_LANE_IMAGES].limit = LONG_CONNECTIONS;
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS,
	                  (long)(small + uploads + downloads + 2 * LONG_CONNECTIONS));
	curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	g_autoptr(GError) problem = NULL;
	http->thread = g_thread_try_new("gss-net", engine, http, &problem);
	if (http->thread == NULL) {
		gss_fail(error, EAGAIN, "no thread for the network: %s", problem->message);
		curl_multi_cleanup(multi);
		g_mutex_clear(&http->lock);
		g_free(http);
		return NULL;
	}
	return http;
}

void gss_http_free(GssHttp *http)
{
	if (http == NULL)
		return;
	g_mutex_lock(&http->lock);
	http->stopping = true;
	g_mutex_unlock(&http->lock);
	curl_multi_wakeup(http->multi);
	g_thread_join(http->thread);
	curl_multi_cleanup(http->multi);
	g_mutex_clear(&http->lock);
	g_free(http);
}

GssTransfer *gss_http_send(GssHttp *http, const GssRequest *request)
{
	GssTransfer *transfer = g_new0(GssTransfer, 1);
	transfer->http = http;
	transfer->link.data = transfer;
	transfer->request = *request;
	if (request->parsed != NULL)
		gss_url_copy(&transfer->url, request->parsed);
	else
		transfer->url.url = g_strdup(request->url);
	if (request->cancellable != NULL)
		transfer->cancellable = g_object_ref(request->cancellable);
	for (guint i = 0; request->headers != NULL && request->headers[i] != NULL; i++) {
		struct curl_slist *longer =
			curl_slist_append(transfer->headers, request->headers[i]);
		if (longer == NULL)
			g_error("out of memory");
		transfer->headers = longer;
	}
	/* The caller's memory: not to be looked at again. */
	transfer->request.url = NULL;
	transfer->request.parsed = NULL;
	transfer->request.headers = NULL;
	transfer->request.cancellable = NULL;
	enqueue(transfer);
	return transfer;
}

void gss_transfer_abort(GssTransfer *transfer)
{
	if (transfer->state == GSS_TRANSFER_ACTIVE)
		detach(transfer);
	else
		g_queue_unlink(&transfer->http->lanes[transfer->request.lane].waiting,
		               &transfer->link);
	gss_transfer_free(transfer);
}
