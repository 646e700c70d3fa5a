/* fs/session.h - the FUSE session: mounting, answering requests, the end.
 *
 * Threads: one (main) mounts, runs and closes; fs_session_end() from the mount's loop.
 */
#pragma once

#include "fs/mount.h"

typedef struct FsSession FsSession;

typedef struct {
	const char *source;
	const char *mountpoint; /* absolute */
	const GPtrArray *mount; /* char: options for libfuse */
	bool read_only, allow_other, allow_root;
	void (*ready)(
		void *data); /* the kernel has said hello: the mount is up; on a FUSE worker */
	void *data;
} FsSessionOptions;

/* Mounts. Requests wait until fs_session_run(). The message of an error has what libfuse and
 * fusermount3 said. */
FsSession *fs_session_mount(FsMount *mount, const FsSessionOptions *options, GError **error);
/* Answers requests until the filesystem is unmounted, or fs_session_end(). False: the connection
 * broke. */
bool fs_session_run(FsSession *session, GError **error);
/* Makes fs_session_run() return soon, whoever still uses the mount. */
void fs_session_end(FsSession *session);
/* Unmounts if that has not been done, ends what waits, closes what is open. */
void fs_session_close(FsSession *session);
/* After the mount's loop and all threads that have answered requests: libfuse keeps a pipe for each
 * of them, until they end. */
void fs_session_free(FsSession *session);
