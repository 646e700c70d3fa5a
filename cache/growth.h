/* cache/growth.h - is a longer version of a file the one that is held, with something added?
 *
 * GSS tells no more than a size and perhaps a date, so what is held is compared with what is there
 * now: its end and its beginning, or all of it where the storage sends no less. A file that was
 * made anew, an image or an archive, differs there; a log that was appended to does not. So is what
 * came late in a body of which nobody knows whether the file was rewritten in place meanwhile: all
 * of it, for its end may be of the new version already.
 *
 * Threads: the check may be begun on any thread, its callback runs on one of the client's, exactly
 * once. No lock is held.
 */
#pragma once

#include "cache/private.h"

struct CacheGrowth {
	GssVersion version; /* of what was compared; it may be newer than the one asked about */
	guint64 offset;     /* what follows on the part that is held, read by the way: */
	GByteArray *bytes;
	bool doubtful; /* they came late */
};
void cache_growth_free(CacheGrowth *growth);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CacheGrowth, cache_growth_free)

/* `growth` is the callee's; NULL: it is another file, or nobody can tell. */
typedef void (*CacheGrowthCallback)(CacheGrowth *growth, void *data);
/* `content` holds bytes of a file of `size` bytes that is at `resource`, now of `version`. */
void cache_growth_check(Cache *cache, CacheContent *content, guint64 size, GssResource *resource,
                        const GssVersion *version, CacheGrowthCallback callback, void *data);
