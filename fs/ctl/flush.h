/* fs/ctl/flush.h - waiting until everything is on GSS, by what .status tells; never by fsync(),
 * under which the kernel holds the file's lock.
 *
 * Threads: one.
 */
#pragma once

#include "fs/ctl/scope.h"

typedef struct {
	guint timeout;       /* seconds, 0: none */
	const char *leaving; /* what Ctrl-C leaves going on, as it is said then */
} CtlFlush;

/* Waits, with bars on a terminal, and says what did not arrive. CTL_OK: everything is there;
 * CTL_FAILED: some wait for a person, and nothing else is pending; CTL_TEMPFAIL: the time is over;
 * CTL_SIGNAL + n: interrupted, which changes nothing; or what reading failed with. `left`, if not
 * NULL, gets the paths (char) of what has not arrived. */
int ctl_flush(const GPtrArray *scopes, const CtlFlush *how, GPtrArray *left);
