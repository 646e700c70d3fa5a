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
	guint64 start,
		end; /* what is to be compared: the end of what is held, then its beginning */
	guint64 pos;
	bool beginning;
	bool differs;
	bool varied; /* not one byte over and over */
	guint8 first;
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
	bool shorter = body->version->size >= 0 && body->version->size <= (gint64)check->size;
	if (shorter)
		return stop(check, true, error);
	if (check->beginning)
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
		check->first = *p;
	for (gsize i = 0; i < old && !check->varied; i++)
		check->varied = p[i] != check->first;
	GByteArray *added = check->growth->bytes;
	if (length > old && !check->beginning)
		g_byte_array_append(added, p + old, MIN(length - old, NEW_BYTES - added->len));
	check->pos += length;
	bool enough = check->pos >= check->end && (check->beginning || added->len >= NEW_BYTES);
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
	bool told = check->varied || check->start == 0;
	bool more = !check->beginning && check->start > HEAD_BYTES;
	if (!told || !more) {
		check_end(check, told || check->beginning);
		return;
	}
	check->beginning = true;
	check->start = 0;
	check->end = HEAD_BYTES;
	compare(check);
}

static void compare(Check *check)
{
	static const GssSink sink = {.begin = on_begin, .body = on_body, .done = on_done};
	guint64 end = check->beginning
	                      ? check->end
	                      : MIN(check->end + NEW_BYTES, (guint64)check->growth->version.size);
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
	                 .growth = g_new0(CacheGrowth, 1),
	                 .callback = callback,
	                 .data = data};
	check->growth->bytes = g_byte_array_new();
	gss_version_copy(&check->growth->version, version);
	g_mutex_lock(&content->io);
	guint count = cache_extents_count(&content->resident);
	if (count) {
		CacheExtent last = cache_extents_get(&content->resident, count - 1);
		check->end = last.end;
		check->start = last.end - MIN(last.end - last.start, TAIL_BYTES);
	}
	g_mutex_unlock(&content->io);
	check->growth->offset = check->end;
	if (count && check->end <= size)
		compare(check);
	else
		check_end(check, false);
}
