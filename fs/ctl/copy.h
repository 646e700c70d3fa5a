/* fs/ctl/copy.h - bringing a file into a mount: whole, or not at all.
 *
 * Threads: any; the counter is read by others meanwhile.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
	guint64 done;  /* bytes; atomic */
	gint cancel;   /* set by others to end it with ECANCELED, between blocks; atomic */
	char *passing; /* its passing name, once there is one; atomic */
} CtlCopy;
void ctl_copy_clear(CtlCopy *copy);

guint64 ctl_copy_done(const CtlCopy *copy);

/* Copies `from` to `folder`/`name`, under a passing name until it is complete, so that neither an
 * interrupt nor an error leaves a part of it under its own. Errors are those of the system calls.
 */
bool ctl_copy_run(CtlCopy *copy, const char *from, const char *folder, const char *name,
                  GError **error);

/* For another thread, before the process ends: whatever ctl_copy_run() hangs in (the kernel does
 * not interrupt a read that fills its cache), nothing of an unfinished copy stays. */
void ctl_copy_abandon(CtlCopy *copy);

/* Is `to` on GSS with the very content of `from`? Only if that can be told without reading `to`. */
bool ctl_copy_is_there(CtlCopy *copy, const char *from, const char *to);
