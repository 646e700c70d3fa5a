/* fs/ctl/show.h - a mount's state as people and as programs read it.
 *
 * Pure functions, any thread; strings that are returned are to be freed with g_free().
 */
#pragma once

#include "fs/ctl/json.h"
#include "fs/ctl/mounts.h"
#include "fs/ctl/status.h"

/* What is to be shown of the files: those for which it is true. */
typedef bool (*CtlFileFilter)(const CtlFile *file, const void *data);

/* Some lines; at most so many files; with headings of the tables, if wanted. `now` in seconds since
 * the epoch. */
char *ctl_show_text(const CtlMount *mount, const CtlStatus *status, CtlFileFilter filter,
                    const void *data, guint files_max, bool heads, gint64 now);
/* An object, into an open array. */
void ctl_show_json(CtlJson *json, const CtlMount *mount, const CtlStatus *status,
                   CtlFileFilter filter, const void *data);
void ctl_show_file_json(CtlJson *json, const CtlFile *file);

/* What the session lacks so that nothing can be uploaded, with the remedy; NULL: nothing. */
char *ctl_show_login_trouble(const CtlStatus *status);
/* A file's error and what can be done, for one that is parked; NULL: nothing is wrong. */
char *ctl_show_trouble(const CtlFile *file);
/* What the upload of one that is not parked waits for; NULL: it moves. */
char *ctl_show_wait(const CtlFile *file, gint64 now);
