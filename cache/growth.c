#include "cache/growth.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define TAIL_BYTES (64 * 1024)
#define HEAD_BYTES 4096
#define NEW_BYTES (256 * 1024) /* read along with the comparison */

typedef struct {
	Cache *cache;
	CacheContent *content;
	GssResource *resource;
	guint64 size;
	CacheExtents todo;  /* what is to be compared; the end of what is held comes first */
	guint64 start, end; /* what is being compared */
	guint64 pos;
	gint64 begun_at; /* monotonic us: when the answer began */
	bool first;      /* the version, and what is new, come along */
	bool differs;
	bool varied; /* not one byte over and over */
	guint8 byte;
	CacheGrowth *growth;
	CacheGrowthCallback callback;
	void *data;
} Check;

void cache_growth_free(CacheGrowth *growth)
{
	if (!growth)
		return;
	gss_version_clear(&growth->version);
	g_byte_array_unref(growth->bytes);
	g_free(growth);
}

static void check_end(Check *check, bool grown)
{
	g_autoptr(CacheGrowth) growth = check->growth;
	g_debug("%s: %s", gss_resource_uri(check->resource), grown ? "has grown" : "was replaced");
	check->callback(grown ? g_steal_pointer(&growth) : NULL, check->data);
	gss_resource_unref(check->resource);
	cache_content_put(check->content);
	cache_extents_clear(&check->todo);
	g_free(check);
}

static bool stop(Check *check, bool differs, GError **error)
{
	check->differs |= differs;
	g_set_error_literal(error, CACHE_ERROR, ECANCELED, "enough was compared");
	return false;
}

static bool on_begin(const GssBody *body, void *data, GError **error)
{
	Check *check = data;
	GssVersion *version = &check->growth->version;
	check->pos = body->offset;
	check->begun_at = g_get_monotonic_time();
	bool shorter = body->version->size >= 0 && body->version->size <= (gint64)check->size;
	if (shorter)
		return stop(check, true, error);
	if (!check->first)
		return true;
	g_auto(GssVersion) asked = GSS_VERSION_INIT;
	gss_version_copy(&asked, version);
	gss_version_copy(version, body->version);
	if (version->size < 0)
		version->size = asked.size;
	if (gss_version_equal(version, &asked))
		gss_version_add(version, &asked);
	return true;
}

/* Compares what is held of [pos, pos + length). */
static bool equal(Check *check, const guint8 *bytes, gsize length)
{
	guint8 held[16 * 1024];
	CacheContent *content = check->content;
	for (gsize done = 0, n; done < length; done += n) {
		guint64 at = check->pos + done, gap, gap_end;
		n = MIN(length - done, sizeof held);
		g_mutex_lock(&content->io);
		if (cache_extents_gap(&content->resident, at, at + n, &gap, &gap_end))
			n = (gap > at ? gap : gap_end) - at;
		else
			gap = at + n;
		g_mutex_unlock(&content->io);
		if (gap > at && (pread(content->fd, held, n, at) != (gssize)n ||
		                 memcmp(held, bytes + done, n) != 0))
			return false;
	}
	return true;
}

static bool on_body(const void *bytes, gsize length, void *data, GError **error)
{
	Check *check = data;
	gsize old = MIN(length, check->end - MIN(check->pos, check->end));
	const guint8 *p = bytes;
	if (!equal(check, p, old))
		return stop(check, true, error);
	if (old && check->pos == check->start)
		check->byte = *p;
	for (gsize i = 0; i < old && !check->varied; i++)
		check->varied = p[i] != check->byte;
	cache_extents_remove(&check->todo, check->pos, check->pos + old);
	GByteArray *added = check->growth->bytes;
	if (length > old && check->first) {
		g_byte_array_append(added, p + old, MIN(length - old, NEW_BYTES - added->len));
		check->growth->doubtful = g_get_monotonic_time() - check->begun_at > CACHE_DOUBT_US;
	}
	check->pos += length;
	bool enough = check->pos >= check->end && (!check->first || added->len >= NEW_BYTES);
	return !enough || stop(check, false, error);
}

static void compare(Check *check);

static void on_done(const GError *error, void *data)
{
	Check *check = data;
	bool ended = !error || error->code == ECANCELED;
	if (!ended || check->differs || check->pos < check->end) {
		check_end(check, false);
		return;
	}
	/* A stretch of zeros is the same in many files. */
	bool told = !check->first || check->varied || check->start == 0;
	if (!told || !cache_extents_count(&check->todo)) {
		check_end(check, told);
		return;
	}
	check->first = false;
	compare(check);
}

static void compare(Check *check)
{
	static const GssSink sink = {.begin = on_begin, .body = on_body, .done = on_done};
	CacheExtent extent = cache_extents_get(&check->todo, cache_extents_count(&check->todo) - 1);
	check->start = extent.start;
	check->end = extent.end;
	guint64 end = check->end;
	if (check->first)
		end = MIN(end + NEW_BYTES, (guint64)check->growth->version.size);
	gss_storage_read(check->cache->client, check->resource, check->start, end - check->start,
	                 NULL, check->cache->stop, &sink, check);
}

void cache_growth_check(Cache *cache, CacheContent *content, guint64 size, GssResource *resource,
                        const GssVersion *version, CacheGrowthCallback callback, void *data)
{
	Check *check = g_new0(Check, 1);
	*check = (Check){.cache = cache,
	                 .content = cache_content_ref(content),
	                 .resource = gss_resource_ref(resource),
	                 .size = size,
	                 .first = true,
	                 .growth = g_new0(CacheGrowth, 1),
	                 .callback = callback,
	                 .data = data};
	check->growth->bytes = g_byte_array_new();
	gss_version_copy(&check->growth->version, version);
	cache_extents_init(&check->todo);
	g_mutex_lock(&content->io);
	guint count = cache_extents_count(&content->resident);
	if (count) {
		CacheExtent last = cache_extents_get(&content->resident, count - 1);
		cache_extents_add(&check->todo, 0, MIN(last.end, HEAD_BYTES));
		cache_extents_add(&check->todo, last.end - MIN(last.end - last.start, TAIL_BYTES),
		                  last.end);
	}
	for (guint i = 0; i < cache_extents_count(&content->doubtful); i++) {
		CacheExtent extent = cache_extents_get(&content->doubtful, i);
		cache_extents_add(&check->todo, extent.start, extent.end);
	}
	g_mutex_unlock(&content->io);
	check->growth->offset = cache_extents_end(&check->todo);
	if (count && check->growth->offset <= size)
		compare(check);
	else
		check_end(check, false);
}
