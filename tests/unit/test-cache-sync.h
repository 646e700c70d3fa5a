/* test-cache-sync.h - the cache, one call at a time: for tests. Each function waits for its
 * callback. */
#pragma once

#include "cache/cache.h"

bool sync_root(Cache *cache, const char *uri, CacheId *ret, GError **error);
bool sync_lookup(Cache *cache, CacheId parent, const char *name, CacheAttr *ret, GError **error);
bool sync_getattr(Cache *cache, CacheId id, CacheAttr *ret, GError **error);
bool sync_truncate(Cache *cache, CacheId id, guint64 size, GError **error);
bool sync_mkdir(Cache *cache, CacheId parent, const char *name, CacheAttr *ret, GError **error);
bool sync_rmdir(Cache *cache, CacheId parent, const char *name, GError **error);
bool sync_unlink(Cache *cache, CacheId parent, const char *name, GError **error);
bool sync_rename(Cache *cache, CacheId parent, const char *name, CacheId new_parent,
                 const char *new_name, GError **error);
/* Names, sorted, joined by spaces; folders end in a slash. */
char *sync_names(Cache *cache, CacheId folder, GError **error);
CacheFile *sync_open(Cache *cache, CacheId id, int flags, GError **error);
CacheFile *sync_create(Cache *cache, CacheId parent, const char *name, CacheAttr *ret,
                       GError **error);
bool sync_write(CacheFile *file, guint64 offset, const void *bytes, gsize length, GError **error);
/* A string of what is there. */
char *sync_read(CacheFile *file, guint64 offset, gsize length, GError **error);
bool sync_fsync(Cache *cache, CacheId id, GError **error);
char *sync_publish(Cache *cache, CacheId id, GError **error);
bool sync_drain(Cache *cache, GError **error);
