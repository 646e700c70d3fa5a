#include "fs/ctl/attribute.h"

#include <errno.h>
#include <sys/xattr.h>

#define VALUE_MAX (64 * 1024) /* bytes; the kernel has no longer ones */

char *ctl_attribute(const char *path, const char *name, int *ret_code)
{
	g_autofree char *whole = g_strconcat("user.gss.", name, NULL);
	g_autofree char *value = g_malloc(VALUE_MAX + 1);

	ssize_t length = lgetxattr(path, whole, value, VALUE_MAX);
	if (length < 0) {
		/* A file system without any has none of ours. */
		if (ret_code != NULL)
			*ret_code = errno == ENOTSUP ? ENODATA : errno;
		return NULL;
	}
	value[length] = '\0';
	return g_strdup(value);
}
