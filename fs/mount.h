/* fs/mount.h - one mount: the storages it shows, whose it is, and the rooms that its handlers
 * share.
 *
 * Inode numbers are arithmetic, there is no inode table: the kernel's lookups are counted by the
 * caches themselves (cache_forget), and of virtual nodes in fs/virtual.c.
 *
 *   1                        the mount's root: a folder of the one storage, or the virtual root
 * that shows all storages as folders (SOURCE `all`) (index + 1) << 48 | id   the node `id` of the
 * storage `index` 1 << 63 | number         a virtual node
 *
 * Threads: the fields are constant once the session runs; the rooms behind pointers are locked
 * inside. FUSE workers and the threads of the caches use a mount at the same time.
 */
#pragma once

#include "cache/cache.h"
#include "fs/images.h"
#include "fs/login.h"

#include <stdint.h>

typedef struct FsMount FsMount;
typedef struct FsStorage FsStorage;
typedef struct FsReplies FsReplies;     /* fs/reply.h */
typedef struct FsHandles FsHandles;     /* fs/handle.h */
typedef struct FsVirtuals FsVirtuals;   /* fs/virtual.h */
typedef struct FsNotifier FsNotifier;   /* fs/notify.h */
typedef struct FsLoop FsLoop;           /* fs/loop.h */
typedef struct FsCommands FsCommands;   /* fs/command.h */
typedef struct FsSession FsSession;     /* fs/session.h */
typedef struct FsImageList FsImageList; /* fs/images-dir.h */
typedef struct FsStatus FsStatus;       /* fs/status.h */

#define FS_ROOT_INO 1
#define FS_STORAGES_MAX 1024
/* Seconds for which the kernel may believe what it was told; what changes here is told to it. */
#define FS_ENTRY_TIMEOUT 1.0
#define FS_ATTR_TIMEOUT 1.0
/* A missing name is not remembered by the kernel: the cache answers from its listing as fast, and a
 * file that a teammate or a job just made is seen at once. */
#define FS_NEGATIVE_TIMEOUT 0.0

struct FsStorage {
	FsMount *mount;
	guint index; /* in mount->storages */
	char *name;
	Cache *cache;           /* the caller's; after the session also NULL, see fs/drain.h */
	CacheId root;           /* the folder that is shown; 0: none could be found */
	const FsImages *images; /* the caller's; NULL: the storage has no Images service */
	FsImageList *image_list;
	gint leaving; /* atomic: its cache goes to another mount */
};

typedef struct {
	uid_t owner; /* who mounted */
	uid_t uid;   /* of all files */
	gid_t gid;
	mode_t umask;           /* taken from all permission bits */
	bool all;               /* the root shows the storages */
	guint register_timeout; /* s a registration may take */
	const char *source; /* as it was given; and the absolute path: live as long as the mount */
	const char *mountpoint;
} FsMountOptions;

struct FsMount {
	FsMountOptions options;
	GPtrArray *storages; /* FsStorage */
	struct timespec started;
	FsLoop *loop;
	FsReplies *replies;
	FsHandles *handles;
	FsVirtuals *virtuals;
	FsNotifier *notifier;
	FsCommands *commands;
	FsStatus *status;
	const FsLogin *login; /* the caller's; NULL: none yet */
	gint stopping;        /* atomic */
	FsSession *session;   /* NULL: not mounted */
};

/* Starts the mount's own threads. */
FsMount *fs_mount_new(const FsMountOptions *options);
/* Before the session runs. `name` is copied. */
FsStorage *fs_mount_add(FsMount *mount, const char *name, Cache *cache, const FsImages *images);
/* Ends timers and the notifier. After it the mount starts nothing any more; called before the
 * caches and the Images services end. */
void fs_mount_stop(FsMount *mount);
/* It was called, or the storage is leaving: what ends now is cut off. */
bool fs_storage_is_stopping(const FsStorage *storage);
/* After they have ended: no callback comes any more. */
void fs_mount_free(FsMount *mount);

FsStorage *fs_mount_find(const FsMount *mount, const char *name);
/* The storage and node of an inode number; NULL for the virtual root and virtual nodes. */
FsStorage *fs_mount_resolve(const FsMount *mount, uint64_t ino, CacheId *ret_id);
uint64_t fs_mount_ino(const FsStorage *storage, CacheId id);
bool fs_ino_is_virtual(uint64_t ino);

/* What the cache of a storage must tell the kernel through; valid until fs_mount_stop(). */
CacheNotify fs_mount_cache_notify(FsStorage *storage);
