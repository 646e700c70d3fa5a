/* fs/virtual.h - nodes that are no file of GSS: control files such as .register.
 *
 * A virtual node is made by a LOOKUP, each time anew, so that the kernel's lock of one inode never
 * makes one user of a control file wait for another; FORGET ends it. Programs see the same inode
 * number each time: cp, tar and rsync take another one for another file. What it does is in its
 * class.
 *
 * The virtual root of SOURCE `all` is not among them: it has no state, fs/dir.c and fs/attr.c
 * show it.
 *
 * Threads: any.
 */
#pragma once

#include "fs/reply.h"

#define FS_VIRTUAL_BIT (G_GUINT64_CONSTANT(1) << 63)

/* A folder of the mount: a node of a storage, or the virtual root (storage NULL). */
typedef struct {
	FsStorage *storage;
	CacheId id;
} FsFolder;

typedef struct FsVirtual FsVirtual;

/* All functions answer the reply they are given. */
typedef struct {
	const char *name;
	mode_t mode; /* with type; without a bit for writing nothing of it can be changed */
	const char *xattr_name; /* NULL: none */
	/* Gives a handle to the kernel; the access check was made. */
	void (*open)(FsVirtual *node, FsReply *reply, struct fuse_file_info *fi);
	void (*read)(FsHandle *handle, FsReply *reply, guint64 offset, gsize size);
	void (*write)(FsHandle *handle, FsReply *reply, GBytes *bytes);
	void (*flush)(FsHandle *handle, FsReply *reply);
	/* Takes `on` (may be NULL) over: whom to wake when there is something new. NULL: always
	 * ready. */
	void (*poll)(FsHandle *handle, FsReply *reply, struct fuse_pollhandle *on);
	/* Of a folder. */
	void (*lookup)(const FsVirtual *node, const char *name, FsReply *reply);
	void (*opendir)(const FsVirtual *node, FsReply *reply, struct fuse_file_info *fi);
	void (*readdir)(FsHandle *handle, FsReply *reply, guint64 offset, gsize size);
	/* What is more to tell than of every node; each may be NULL. */
	void (*attr)(const FsVirtual *node, struct stat *ret);
	char *(*xattr)(const FsVirtual *node, const char *name);
	void (*free)(void *data);
} FsVirtualClass;

struct FsVirtual {
	const FsVirtualClass *class;
	uint64_t ino;    /* by which the kernel knows it */
	uint64_t st_ino; /* which programs see: fs_virtual_ino() */
	FsFolder folder; /* where it was looked up */
	void *data;      /* the class's, constant */
	struct timespec time;
	guint64 lookups; /* guarded by the lock of FsVirtuals */
};

FsVirtuals *fs_virtuals_new(void);
void fs_virtuals_free(FsVirtuals *virtuals);

/* The class of a virtual node of that name in that folder; NULL: there is none. */
const FsVirtualClass *fs_virtual_class(const FsMount *mount, const FsFolder *folder,
                                       const char *name);
/* Those that are listed in the folder, by number; NULL: no more. */
const FsVirtualClass *fs_virtual_listed(const FsMount *mount, const FsFolder *folder, guint index);

/* The inode number that is shown of what has this path in the folder. */
uint64_t fs_virtual_ino(const FsFolder *folder, const char *path);

/* LOOKUP of a control file: answers with a new node. */
void fs_virtual_lookup(const FsVirtualClass *class, const FsFolder *folder, FsReply *reply);
/* The same for a node at `path` in the folder with data of its own, which it takes over. */
void fs_virtual_answer(const FsVirtualClass *class, const FsFolder *folder, const char *path,
                       void *data, FsReply *reply);
/* LOOKUP in a virtual folder. */
void fs_virtual_child(FsReply *reply, uint64_t parent, const char *name);
void fs_virtual_forget(FsMount *mount, uint64_t ino, guint64 count);

/* The operations on a virtual inode; they answer. */
void fs_virtual_getattr(FsReply *reply, uint64_t ino);
void fs_virtual_setattr(FsReply *reply, uint64_t ino, const struct stat *attr, int set);
void fs_virtual_getxattr(FsReply *reply, uint64_t ino, const char *name, gsize size);
void fs_virtual_listxattr(FsReply *reply, uint64_t ino, gsize size);
void fs_virtual_opendir(FsReply *reply, uint64_t ino, struct fuse_file_info *fi);
void fs_virtual_readdir(FsReply *reply, uint64_t ino, FsHandle *handle, guint64 offset, gsize size);
void fs_virtual_open(FsReply *reply, uint64_t ino, struct fuse_file_info *fi);
void fs_virtual_read(FsReply *reply, uint64_t ino, FsHandle *handle, guint64 offset, gsize size);
void fs_virtual_write(FsReply *reply, uint64_t ino, FsHandle *handle, struct fuse_bufvec *data);
void fs_virtual_poll(FsReply *reply, uint64_t ino, FsHandle *handle, struct fuse_pollhandle *on);
void fs_virtual_flush(FsReply *reply, uint64_t ino, FsHandle *handle);
