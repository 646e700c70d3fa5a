#include "fs/entries.h"

void fs_entries_init(FsEntries *entries, FsReply *reply, gsize size, guint64 from)
{
	*entries =
		(FsEntries){.reply = reply, .buffer = g_malloc(size), .size = size, .from = from};
}

void fs_entries_skip(FsEntries *entries, guint64 count)
{
	entries->position += count;
}

static gsize put(FsEntries *entries, const char *name, const struct fuse_entry_param *entry,
                 guint64 offset)
{
	fuse_req_t req = entries->reply->req;
	char *at = entries->buffer + entries->used;
	gsize room = entries->size - entries->used;

	return entries->reply->plus
	               ? fuse_add_direntry_plus(req, at, room, name, entry, (off_t)offset)
	               : fuse_add_direntry(req, at, room, name, &entry->attr, (off_t)offset);
}

/* The size of an entry of that name. */
static gsize measure(const FsEntries *entries, const char *name)
{
	fuse_req_t req = entries->reply->req;

	return entries->reply->plus ? fuse_add_direntry_plus(req, NULL, 0, name, NULL, 0)
	                            : fuse_add_direntry(req, NULL, 0, name, NULL, 0);
}

bool fs_entries_fits(const FsEntries *entries, const char *name)
{
	return !entries->full && entries->position >= entries->from &&
	       measure(entries, name) <= entries->size - entries->used;
}

static void add(FsEntries *entries, const char *name, const struct fuse_entry_param *entry)
{
	if (entries->full || entries->position++ < entries->from)
		return;
	gsize need = put(entries, name, entry, entries->position);
	if (need > entries->size - entries->used)
		entries->full = true;
	else
		entries->used += need;
}

void fs_entries_add(FsEntries *entries, const char *name, uint64_t ino, bool folder)
{
	/* Without entry.ino it is no lookup. */
	const struct fuse_entry_param entry = {
		.attr = {.st_ino = ino, .st_mode = folder ? S_IFDIR : S_IFREG},
	};

	add(entries, name, &entry);
}

void fs_entries_add_known(FsEntries *entries, const char *name, CacheId id,
                          const struct fuse_entry_param *entry)
{
	if (entries->given == NULL)
		entries->given = g_array_new(FALSE, FALSE, sizeof(CacheId));
	g_array_append_val(entries->given, id);
	add(entries, name, entry);
}

void fs_entries_send(FsEntries *entries)
{
	const FsStorage *storage = entries->reply->storage;
	bool taken = fs_reply_buf(entries->reply, entries->buffer, entries->used);

	for (guint i = 0; !taken && entries->given != NULL && i < entries->given->len; i++)
		cache_forget(storage->cache, g_array_index(entries->given, CacheId, i), 1);
	g_clear_pointer(&entries->given, g_array_unref);
	g_clear_pointer(&entries->buffer, g_free);
}
