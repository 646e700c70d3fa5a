#include "route.h"

#include "auth.h"
#include "control.h"
#include "fileutilities.h"
#include "images.h"
#include "place.h"
#include "soap.h"
#include "storage.h"

#include <string.h>

static const char *skip_prefix(const char *path, const char *prefix)
{
	gsize length = strlen(prefix);
	return strncmp(path, prefix, length) == 0 ? path + length : NULL;
}

static bool is_storage(const char *path)
{
	const char *rest;

	if (skip_prefix(path, "/plm/objects/") != NULL)
		return true;
	for (guint i = 0; gl_place_rest(i) != NULL; i++) {
		g_autofree char *prefix = g_strconcat("/", gl_place_rest(i), "/files", NULL);
		rest = skip_prefix(path, prefix);
		if (rest != NULL && (*rest == '/' || *rest == '\0'))
			return true;
	}
	return false;
}

void gl_route_find(GlRequest *request)
{
	const char *path = request->path;
	const char *rest;

	if (is_storage(path)) {
		request->handler = &gl_storage_handler;
	} else if (strcmp(path, GL_FILEUTILITIES_PATH) == 0) {
		request->handler = &gl_soap_handler;
		request->subject = gl_fileutilities_port();
	} else if (strcmp(path, GL_AUTH_PATH) == 0) {
		request->handler = &gl_soap_handler;
		request->subject = gl_auth_port();
	} else if ((rest = skip_prefix(path, "/hpc-4-")) != NULL &&
	           (request->subject = gl_images_port(rest)) != NULL) {
		request->handler = &gl_soap_handler;
	} else if (strcmp(path, "/_control") == 0 || skip_prefix(path, "/_control/") != NULL) {
		request->handler = &gl_control_handler;
		request->private = true;
	}
}
