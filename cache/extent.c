#include "cache/extent.h"

void cache_extents_init(CacheExtents *extents)
{
	extents->array = g_array_new(FALSE, FALSE, sizeof(CacheExtent));
}

void cache_extents_clear(CacheExtents *extents)
{
	g_clear_pointer(&extents->array, g_array_unref);
}

guint64 cache_extents_end(const CacheExtents *extents)
{
	guint count = cache_extents_count(extents);
	return count ? cache_extents_get(extents, count - 1).end : 0;
}

guint cache_extents_count(const CacheExtents *extents)
{
	return extents->array->len;
}

CacheExtent cache_extents_get(const CacheExtents *extents, guint index)
{
	return g_array_index(extents->array, CacheExtent, index);
}

/* Index of the first extent that ends at or after `offset`. */
static guint first_reaching(const CacheExtents *extents, guint64 offset)
{
	guint low = 0, high = extents->array->len;
	while (low < high) {
		guint middle = low + (high - low) / 2;
		if (cache_extents_get(extents, middle).end < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void cache_extents_add(CacheExtents *extents, guint64 start, guint64 end)
{
	if (start >= end)
		return;
	guint first = first_reaching(extents, start), last = first;
	CacheExtent merged = {start, end};
	for (; last < extents->array->len; last++) {
		CacheExtent e = cache_extents_get(extents, last);
		if (e.start > end)
			break;
		merged.start = MIN(merged.start, e.start);
		merged.end = MAX(merged.end, e.end);
	}
	if (last == first) {
		g_array_insert_val(extents->array, first, merged);
		return;
	}
	g_array_index(extents->array, CacheExtent, first) = merged;
	if (last - first > 1)
		g_array_remove_range(extents->array, first + 1, last - first - 1);
}

void cache_extents_remove(CacheExtents *extents, guint64 start, guint64 end)
{
	if (start >= end)
		return;
	for (guint i = first_reaching(extents, start); i < extents->array->len;) {
		CacheExtent *e = &g_array_index(extents->array, CacheExtent, i);
		if (e->start >= end)
			break;
		CacheExtent left = {e->start, MIN(e->end, start)},
			    right = {MAX(e->start, end), e->end};
		bool keep_left = left.start < left.end, keep_right = right.start < right.end;
		if (keep_left && keep_right) {
			*e = left;
			g_array_insert_val(extents->array, i + 1, right);
			break;
		}
		if (keep_left || keep_right) {
			*e = keep_left ? left : right;
			i++;
		} else {
			g_array_remove_index(extents->array, i);
		}
	}
}

bool cache_extents_contain(const CacheExtents *extents, guint64 start, guint64 end)
{
	guint64 gap_start, gap_end;
	return !cache_extents_gap(extents, start, end, &gap_start, &gap_end);
}

bool cache_extents_gap(const CacheExtents *extents, guint64 from, guint64 limit, guint64 *ret_start,
                       guint64 *ret_end)
{
	for (guint i = first_reaching(extents, from); from < limit && i < extents->array->len;
	     i++) {
		CacheExtent e = cache_extents_get(extents, i);
		if (e.start > from) {
			*ret_start = from;
			*ret_end = MIN(e.start, limit);
			return true;
		}
		from = MAX(from, e.end);
	}
	if (from >= limit)
		return false;
	*ret_start = from;
	*ret_end = limit;
	return true;
}
