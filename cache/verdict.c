/* What was learned of the storage and holds for the next mount, too; kept in the journal's meta. */
#include "cache/private.h"

#include <string.h>

#define RANGES "ranges"

static const char *const names[] = {
	[CACHE_RANGES_UNKNOWN] = NULL,
	[CACHE_RANGES_HONOURED] = "honoured",
	[CACHE_RANGES_IGNORED] = "ignored",
};

bool cache_verdict_load(Cache *cache, GError **error)
{
	g_autoptr(GError) failure = NULL;
	g_autofree char *text = cache_store_get_meta(cache->store, RANGES, &failure);
	if (failure) {
		g_propagate_error(error, g_steal_pointer(&failure));
		return false;
	}
	for (int i = CACHE_RANGES_HONOURED; i <= CACHE_RANGES_IGNORED; i++)
		if (g_strcmp0(text, names[i]) == 0)
			g_atomic_int_set(&cache->ranges, i);
	return true;
}

static void save(void *data)
{
	Cache *cache = data;
	g_autoptr(GError) error = NULL;
	const char *text = names[g_atomic_int_get(&cache->ranges)];
	if (!cache_store_set_meta(cache->store, RANGES, text, &error))
		g_warning("%s: %s", cache->path, error->message);
}

void cache_verdict_ranges(Cache *cache, CacheRanges ranges)
{
	int before = g_atomic_int_get(&cache->ranges);
	if (before == (int)ranges ||
	    !g_atomic_int_compare_and_exchange(&cache->ranges, before, (int)ranges))
		return;
	g_debug("%s: ranges are %s", cache->storage, names[ranges]);
	cache_worker_post(cache, save, cache);
}
