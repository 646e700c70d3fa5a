/* cache/sibling.h - what the last listing of a folder said of its children, and their sizes, asked
 * ahead.
 *
 * GSS tells names without sizes, and who asks for the size of one file of a folder that was just
 * listed will ask for those of the others (ls -l, rsync, make). So the first answer of that kind
 * starts questions about the files that follow in the order of the listing, SIBLINGS_RUNNING at a
 * time and at most SIBLINGS_AHEAD files ahead of whoever asks. Listing alone asks nothing.
 *
 * Where the storage has it, one request for the full view of the folder comes first and makes the
 * others needless (gss_storage_view()). It is believed once it agreed with what was proven of a
 * file, and its sizes are taken over name by name, when they are looked up.
 *
 * Nodes that nobody uses are not in memory; how long their attributes are true is kept here until
 * they are looked up.
 *
 * Threads: any, Cache.lock held. Memory: bounded for each folder and for all of them together.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct Cache Cache;
typedef struct CacheNode CacheNode;
typedef struct CacheSiblings CacheSiblings;
typedef struct GssResource GssResource;
typedef void (*CacheReady)(Cache *cache, const GError *error, void *data);

/* After a listing: what it said of the children that are shown, by name and each once; takes over
 * the GPtrArray of GssResource. */
void cache_siblings_set_locked(Cache *cache, CacheNode *folder, GPtrArray *resources);
/* What the last listing said, a new reference, if `resource`, of a new one, says the same; else
 * another reference to that. So two listings of one folder take the memory of one. */
GssResource *cache_siblings_same_locked(CacheNode *folder, GssResource *resource);
/* Forgets it; also before the folder's node is freed. */
void cache_siblings_clear_locked(Cache *cache, CacheNode *folder);

/* The child, if it is in memory and easily found; a look into the journal less. Not pinned. */
CacheNode *cache_siblings_node_locked(Cache *cache, gint64 parent, const char *name);
/* A child was found: it gets what is known of it here. */
void cache_siblings_hand_down_locked(CacheNode *folder, CacheNode *child);
/* The same for what the full view of the folder says of its version. */
void cache_siblings_apply_locked(Cache *cache, CacheNode *folder, CacheNode *child);
/* Its attributes are not known, but what is asked for may tell those of all: `ready` is called when
 * it has, or takes too long. False: there is nothing to wait for. */
bool cache_siblings_await_locked(Cache *cache, CacheNode *folder, const CacheNode *child,
                                 CacheReady ready, void *data);
/* Can a lookup of the child `name` be answered without a question? */
bool cache_siblings_known_locked(Cache *cache, CacheNode *folder, const char *name);
/* The child goes from memory: what is known of it stays here. */
void cache_siblings_take_back_locked(Cache *cache, const CacheNode *child);
/* The name was changed locally: what was asked about it before is not true any more. */
void cache_siblings_touch_locked(CacheNode *folder, const char *name);

/* A program has read the folder. */
void cache_siblings_shown_locked(CacheNode *folder);
/* A program asks for attributes of the child `name` that must be fetched: is there a way to get
 * those of all? */
void cache_siblings_view_locked(Cache *cache, CacheNode *folder, const char *name);
/* May a full view of the folder be asked for before long? */
bool cache_siblings_want_view_locked(Cache *cache, CacheNode *folder);
/* A program has been told the attributes of the child `name`: the next ones are asked for. */
void cache_siblings_ahead_locked(Cache *cache, CacheNode *folder, const char *name);
