/* fs/entries.h - the answer to a READDIR or READDIRPLUS being filled.
 *
 * Offsets count entries from 1: what follows the entry at n has offset n. In a READDIRPLUS
 * (reply->plus) an entry may come with its attributes, which is a lookup: the kernel gets a
 * reference. Without them it looks the name up when somebody asks.
 *
 * Threads: that of whoever has the reply.
 */
#pragma once

#include "fs/reply.h"

typedef struct {
	FsReply *reply;
	char *buffer;
	gsize size, used;
	guint64 from, position;
	bool full;
	GArray *given; /* CacheId in reply->storage: references that the answer hands over */
} FsEntries;

/* Room for `size` bytes; what follows offset `from` is taken. */
void fs_entries_init(FsEntries *entries, FsReply *reply, gsize size, guint64 from);
void fs_entries_skip(FsEntries *entries, guint64 count);
/* Is the next one of that name wanted, and is there room for it? */
bool fs_entries_fits(const FsEntries *entries, const char *name);
/* The next one; nothing happens if it is not wanted, or the answer is full. */
void fs_entries_add(FsEntries *entries, const char *name, uint64_t ino, bool folder);
/* One that fits, with the attributes of `id`, of which a reference is taken over. */
void fs_entries_add_known(FsEntries *entries, const char *name, CacheId id,
                          const struct fuse_entry_param *entry);
/* Answers the reply, and frees what `entries` has. */
void fs_entries_send(FsEntries *entries);
