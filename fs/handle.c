#include "fs/handle.h"

struct FsHandles {
	GMutex lock;
	GQueue open; /* FsHandle, by their links; guarded by lock */
};

FsHandles *fs_handles_new(void)
{
	FsHandles *handles = g_new0(FsHandles, 1);
	g_mutex_init(&handles->lock);
	return handles;
}

void fs_handles_free(FsHandles *handles)
{
	fs_handles_close(handles);
	g_mutex_clear(&handles->lock);
	g_free(handles);
}

void *fs_handle_new(FsMount *mount, gsize size, void (*free_func)(FsHandle *handle))
{
	FsHandle *handle = g_malloc0(size);

	g_assert(size >= sizeof(FsHandle));
	handle->mount = mount;
	handle->free = free_func;
	handle->link.data = handle;
	g_atomic_ref_count_init(&handle->references);
	return handle;
}

void fs_handle_ref(FsHandle *handle)
{
	g_atomic_ref_count_inc(&handle->references);
}

void fs_handle_unref(FsHandle *handle)
{
	if (g_atomic_ref_count_dec(&handle->references))
		handle->free(handle);
}

void fs_handle_give(FsHandle *handle)
{
	FsHandles *handles = handle->mount->handles;

	fs_handle_ref(handle);
	g_mutex_lock(&handles->lock);
	g_queue_push_tail_link(&handles->open, &handle->link);
	handle->listed = true;
	g_mutex_unlock(&handles->lock);
}

void fs_handle_release(FsHandle *handle)
{
	FsHandles *handles = handle->mount->handles;

	g_mutex_lock(&handles->lock);
	bool listed = handle->listed;
	if (listed)
		g_queue_unlink(&handles->open, &handle->link);
	handle->listed = false;
	g_mutex_unlock(&handles->lock);
	if (listed)
		fs_handle_unref(handle);
}

void fs_handles_close(FsHandles *handles)
{
	FsHandle *handle;

	do {
		g_mutex_lock(&handles->lock);
		GList *link = g_queue_pop_head_link(&handles->open);
		handle = link != NULL ? link->data : NULL;
		if (handle != NULL)
			handle->listed = false;
		g_mutex_unlock(&handles->lock);
		if (handle != NULL)
			fs_handle_unref(handle);
	} while (handle != NULL);
}
