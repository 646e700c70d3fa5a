/* gss/image-name.c - gss_image_name_check(); see gss/images.h. */
#include "gss/images.h"

#include "gss/error-private.h"

#include <errno.h>
#include <string.h>

#define SUFFIX ".simg"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define NAME_MAX_BYTES 255

bool gss_image_name_check(const char *name, GError **error)
{
	g_autofree char *shown = gss_quote(name, -1, NULL);
	gsize length = strlen(name);
	if (length > NAME_MAX_BYTES)
		return gss_fail(error, EINVAL, "the image name is longer than %d bytes",
		                NAME_MAX_BYTES);
	if (!g_str_has_suffix(name, SUFFIX))
		return gss_fail(error, EINVAL, "the image name “%s” does not end in " SUFFIX,
		                shown);
	g_autofree char *base = g_strndup(name, length - strlen(SUFFIX));
	char *tag = strchr(base, ':');
	if (tag != NULL)
		*tag++ = '\0';
	if (*base == '\0')
		return gss_fail(error, EINVAL, "the image name “%s” has nothing before %s", shown,
		                tag != NULL ? "its tag" : SUFFIX);
	if (base[strspn(base, LOWER DIGITS "-_")] != '\0')
		return gss_fail(error, EINVAL,
		                "the image name “%s” may have only lowercase letters, digits, - "
		                "and _ before %s",
		                shown, tag != NULL ? "its tag" : SUFFIX);
	if (tag != NULL && *tag == '\0')
		return gss_fail(error, EINVAL, "the image name “%s” has an empty tag", shown);
	if (tag != NULL && tag[strspn(tag, LOWER UPPER DIGITS "-_.")] != '\0')
		return gss_fail(error, EINVAL,
		                "the tag of the image name “%s” may have only letters, digits, -, "
		                "_ and dots",
		                shown);
	return true;
}
