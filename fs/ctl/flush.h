/* fs/ctl/flush.h - waiting until everything is on GSS, by what .status tells; never by fsync(),
 * under which the kernel holds the file's lock.
 *
 * Threads: one.
 */
#pragma once

#include "fs/ctl/scope.h"

#define CTL_FLUSH_FOREVER G_MININT

typedef struct {
	int timeout;         /* seconds, CTL_FLUSH_FOREVER; 0: it only looks */
	bool commands;       /* registrations under way are waited for as well */
	const char *leaving; /* what Ctrl-C leaves going on, as it is said then */
} CtlFlush;

/* Waits, with bars on a terminal, and says what did not arrive. CTL_OK: everything is there;
 * CTL_FAILED: some wait for a person, and nothing else is pending; CTL_TEMPFAIL: the time is over;
 * CTL_SIGNAL + n: interrupted, which changes nothing. A mount that cannot be read is said, and
 * counts in the status; the others are waited for all the same. `left`, if not NULL, gets the paths
 * (char) of what has not arrived. */
int ctl_flush(const GPtrArray *scopes, const CtlFlush *how, GPtrArray *left);
/* Is it a time to wait? If not, that was said. */
bool ctl_flush_check(int timeout);
