/* fs/handle.h - what fi->fh points to: a thing that a process has open.
 *
 * A handle is one reference of the kernel's, which RELEASE gives back, and one of each request that
 * uses it and outlives its handler. The kernel need not send RELEASE when a mount ends: the session
 * closes what is left (fs_handles_close).
 *
 * Threads: any.
 */
#pragma once

#include "fs/mount.h"

typedef struct FsHandle FsHandle;
struct FsHandle { /* first member of every kind of handle */
	FsMount *mount;
	void (*free)(FsHandle *handle);
	gatomicrefcount references;
	GList link;  /* in the mount's list, while the kernel has it */
	bool listed; /* guarded by the lock of the list */
};

FsHandles *fs_handles_new(void);
void fs_handles_free(FsHandles *handles);

/* A zeroed handle of `size` bytes with one reference, the caller's. */
void *fs_handle_new(FsMount *mount, gsize size, void (*free)(FsHandle *handle));
void fs_handle_ref(FsHandle *handle);
void fs_handle_unref(FsHandle *handle);
/* The kernel is about to get it: takes the kernel's reference. */
void fs_handle_give(FsHandle *handle);
/* RELEASE, or nobody will ever send it: gives the kernel's reference back, unless that was done. */
void fs_handle_release(FsHandle *handle);
/* The session is over: releases all. */
void fs_handles_close(FsHandles *handles);
