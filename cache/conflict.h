/* cache/conflict.h - two versions of one file: somebody changed it on GSS after an edit of it began
 * here. Both survive: theirs keeps the name, ours goes on, as the node it is, under the name of a
 * conflict copy; both in one transaction, before a byte of ours is sent there.
 *
 * A conflict copy that was uploaded is clean: nothing of it is pending. That it is one stays in its
 * record (CacheRecord.conflict) and is shown as its state, until somebody renames it, writes to it,
 * or removes it.
 *
 * A size alone decides nothing. Where dates and ETags don't tell, contents do: small ones, up to
 * CACHE_COMPARE_BYTES, whenever there is a doubt; larger ones when what is there may have come from
 * here. What stays in doubt is somebody else's.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#define CACHE_COMPARE_BYTES (1024 * 1024)

/* NAME.conflict-USER-YYYYMMDDTHHMMSS[-NUMBER], of at most 255 bytes; `when` in s since the epoch,
 * UTC; `number` from 2 on is shown. What `user` has beyond letters, digits, ".", "_" and "-"
 * becomes "_". Free with g_free(). */
char *cache_conflict_name(const char *name, const char *user, gint64 when, guint number);
