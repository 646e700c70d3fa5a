/* fs/control.h - what control files have in common: they are read as one text, made when it is read
 * from its beginning, and written in whole lines, each a command.
 *
 * The lines of one write() run in order. The write returns when all have ended; one that fails ends
 * it: the lines before it are told as a short write, and the next write (or close) gets the error.
 * What was begun goes on when nobody waits any more (an interrupt, the end of the mount).
 *
 * Threads: any.
 */
#pragma once

#include "fs/virtual.h"

typedef struct FsControl FsControl;

/* True: who waits has heard of it, or will; false: a signal had ended the wait before. */
typedef bool (*FsControlDone)(const GError *error, void *data);

typedef struct {
	/* The text as it is now. */
	GString *(*show)(FsControl *control);
	/* Runs one line; `done` is called once, at once or later, on any thread. NULL: read only.
	 */
	void (*run)(FsControl *control, const char *line, FsControlDone done, void *data);
	/* A write was refused as a whole; may be NULL. */
	void (*refused)(FsControl *control, const GError *error);
	void (*free)(FsControl *control); /* may be NULL */
} FsControlClass;

/* Does somebody still wait for the line that was run with this `data`? Until its end. */
bool fs_control_waits(void *data);

/* A control file that somebody has open. */
struct FsControl {
	FsHandle base;
	const FsControlClass *class;
	FsFolder folder; /* where it was looked up */
	GMutex lock;
	GBytes *text; /* what is being read; guarded by lock, as is the next */
	int failure;  /* errno of a line after others that succeeded, not told yet */
};

/* A handle of `size` bytes, whose first member is FsControl. */
void *fs_control_new(FsMount *mount, gsize size, const FsControlClass *class,
                     const FsVirtual *node);
/* Operations for FsVirtualClass. */
void fs_control_read(FsHandle *handle, FsReply *reply, guint64 offset, gsize size);
void fs_control_write(FsHandle *handle, FsReply *reply, GBytes *bytes);
void fs_control_flush(FsHandle *handle, FsReply *reply);
