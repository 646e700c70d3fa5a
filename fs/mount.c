#include "fs/mount.h"

#include "fs/command.h"
#include "fs/handle.h"
#include "fs/images-dir.h"
#include "fs/loop.h"
#include "fs/notify.h"
#include "fs/reply.h"
#include "fs/status.h"
#include "fs/virtual.h"

#include <string.h>

#define INDEX_SHIFT 48
#define ID_MASK ((G_GUINT64_CONSTANT(1) << INDEX_SHIFT) - 1)

G_STATIC_ASSERT(FS_STORAGES_MAX < (1 << (63 - INDEX_SHIFT)) - 1);

static void storage_free(void *data)
{
	FsStorage *storage = data;

	fs_image_list_free(storage->image_list);
	g_free(storage->name);
	g_free(storage);
}

FsMount *fs_mount_new(const FsMountOptions *options)
{
	FsMount *mount = g_new0(FsMount, 1);

	mount->options = *options;
	mount->storages = g_ptr_array_new_with_free_func(storage_free);
	clock_gettime(CLOCK_REALTIME, &mount->started);
	mount->loop = fs_loop_new();
	mount->replies = fs_replies_new();
	mount->handles = fs_handles_new();
	mount->virtuals = fs_virtuals_new();
	mount->notifier = fs_notifier_new();
	mount->status = fs_status_new();
	mount->commands = fs_commands_new(mount);
	return mount;
}

FsStorage *fs_mount_add(FsMount *mount, const char *name, Cache *cache, const FsImages *images)
{
	FsStorage *storage = g_new0(FsStorage, 1);

	g_assert(mount->storages->len < FS_STORAGES_MAX);
	*storage = (FsStorage){
		.mount = mount,
		.index = mount->storages->len,
		.name = g_strdup(name),
		.cache = cache,
		.images = images,
		.image_list = fs_image_list_new(),
	};
	g_ptr_array_add(mount->storages, storage);
	return storage;
}

bool fs_storage_is_stopping(const FsStorage *storage)
{
	return g_atomic_int_get(&storage->leaving) || g_atomic_int_get(&storage->mount->stopping);
}

void fs_mount_stop(FsMount *mount)
{
	g_atomic_int_set(&mount->stopping, 1);
	fs_notifier_stop(mount->notifier);
	fs_loop_stop(mount->loop);
}

void fs_mount_free(FsMount *mount)
{
	fs_commands_free(mount->commands);
	fs_notifier_free(mount->notifier);
	fs_virtuals_free(mount->virtuals);
	fs_handles_free(mount->handles);
	fs_replies_free(mount->replies);
	fs_status_free(mount->status);
	fs_loop_free(mount->loop);
	g_ptr_array_unref(mount->storages);
	g_free(mount);
}

FsStorage *fs_mount_find(const FsMount *mount, const char *name)
{
	for (guint i = 0; i < mount->storages->len; i++) {
		FsStorage *storage = mount->storages->pdata[i];
		if (storage->root != 0 && strcmp(storage->name, name) == 0)
			return storage;
	}
	return NULL;
}

bool fs_ino_is_virtual(uint64_t ino)
{
	return ino & FS_VIRTUAL_BIT;
}

FsStorage *fs_mount_resolve(const FsMount *mount, uint64_t ino, CacheId *ret_id)
{
	if (fs_ino_is_virtual(ino))
		return NULL;
	if (ino == FS_ROOT_INO) {
		if (mount->options.all)
			return NULL;
		FsStorage *storage = mount->storages->pdata[0];
		*ret_id = storage->root;
		return storage;
	}
	guint64 index = (ino >> INDEX_SHIFT) - 1;
	if (index >= mount->storages->len)
		return NULL;
	*ret_id = ino & ID_MASK;
	return mount->storages->pdata[index];
}

uint64_t fs_mount_ino(const FsStorage *storage, CacheId id)
{
	if (id == storage->root && !storage->mount->options.all)
		return FS_ROOT_INO;
	return ((guint64)storage->index + 1) << INDEX_SHIFT | (id & ID_MASK);
}

static void on_content(CacheId id, guint64 offset, void *data)
{
	FsStorage *storage = data;
	fs_notifier_content(storage->mount->notifier, fs_mount_ino(storage, id), offset);
}

static void on_attributes(CacheId id, void *data)
{
	FsStorage *storage = data;
	fs_notifier_attributes(storage->mount->notifier, fs_mount_ino(storage, id));
}

static void on_settled(CacheId id, void (*ready)(void *request), void *request, void *data)
{
	const FsStorage *storage = data;
	fs_notifier_settled(storage->mount->notifier, fs_mount_ino(storage, id), ready, request);
}

static void on_entry(CacheId parent, const char *name, void *data)
{
	FsStorage *storage = data;
	fs_notifier_entry(storage->mount->notifier, fs_mount_ino(storage, parent), name);
}

static void on_status(void *data)
{
	const FsStorage *storage = data;
	fs_status_changed(storage->mount);
}

CacheNotify fs_mount_cache_notify(FsStorage *storage)
{
	return (CacheNotify){.content = on_content,
	                     .attributes = on_attributes,
	                     .settled = on_settled,
	                     .entry = on_entry,
	                     .status = on_status,
	                     .data = storage};
}
