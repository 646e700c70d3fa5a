/* cache/extent.h - a set of byte ranges: which parts of a file's content are held locally.
 *
 * Ranges are half-open, sorted, disjoint and merged. Pure; the owner locks.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
	guint64 start, end;
} CacheExtent;

typedef struct {
	GArray *array; /* of CacheExtent */
} CacheExtents;

void cache_extents_init(CacheExtents *extents);
void cache_extents_clear(CacheExtents *extents); /* frees; init again before use */
void cache_extents_add(CacheExtents *extents, guint64 start, guint64 end);
void cache_extents_remove(CacheExtents *extents, guint64 start, guint64 end);
bool cache_extents_contain(const CacheExtents *extents, guint64 start, guint64 end);
/* The first gap that begins in [from, limit): [*ret_start, *ret_end), cut at limit. */
bool cache_extents_gap(const CacheExtents *extents, guint64 from, guint64 limit, guint64 *ret_start,
                       guint64 *ret_end);
guint64 cache_extents_end(const CacheExtents *extents); /* of the last; 0: there is none */
guint cache_extents_count(const CacheExtents *extents);
CacheExtent cache_extents_get(const CacheExtents *extents, guint index);
