/* fs/ctl/attribute.h - the extended attributes by which a mount tells of a file: user.gss.NAME.
 *
 * Threads: any.
 */
#pragma once

#include <glib.h>

/* The value; NULL and *ret_code ENODATA: the file has none, any other errno: what went wrong
 * (`ret_code` may be NULL). Free with g_free(). */
char *ctl_attribute(const char *path, const char *name, int *ret_code);
