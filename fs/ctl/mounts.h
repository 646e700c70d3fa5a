/* fs/ctl/mounts.h - which gssfs mounts there are, and in which of them a path lies.
 *
 * Threads: any.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
	char *path;   /* absolute */
	char *source; /* "it4i_anselm://home", "all"; or of another file system, whatever it says */
	bool gssfs;
	bool ours; /* mounted by this user */
} CtlMount;

/* The mounts of a mountinfo text (proc(5)), of every type; what another hides is left out. Of
 * CtlMount, to be freed with g_ptr_array_unref(). */
GPtrArray *ctl_mounts_parse(const char *text);
/* Those of this process. */
GPtrArray *ctl_mounts(GError **error);
/* From now on only those in which these paths lie are ours; NULL: as it was. As ctl_mounts_find().
 */
bool ctl_mounts_only(GPtrArray *mounts, char *const *paths, GError **error);

/* Where a path is. */
typedef struct {
	const CtlMount *mount; /* borrowed from the list */
	char *path;            /* absolute, without symbolic links */
	char *relative;        /* the same below the mount, "" is its root */
} CtlPlace;
void ctl_place_free(CtlPlace *place);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlPlace, ctl_place_free)

/* The path need not exist, the folder it is in must. EXDEV: it is in no gssfs. */
CtlPlace *ctl_mounts_find(const GPtrArray *mounts, const char *path, GError **error);
/* The same for a path that may be outside: `mount` is NULL then. ENOENT, ...: there is none. */
CtlPlace *ctl_mounts_place(const GPtrArray *mounts, const char *path, GError **error);
/* Is it one of the mount's control files, or below one, and not on GSS? */
bool ctl_place_is_control(const CtlPlace *place);
