#include "upload.h"

#include <errno.h>
#include <gio/gio.h>
#include <unistd.h>

struct GlUpload {
	int fd;
	char *path; /* NULL once in place */
	guint64 size;
};

GlUpload *gl_upload_new(GlProject *project, GError **error)
{
	char *path = NULL;
	int fd = gl_project_temporary(project, &path, error);

	if (fd < 0)
		return NULL;
	GlUpload *upload = g_new0(GlUpload, 1);
	upload->fd = fd;
	upload->path = path;
	return upload;
}

void gl_upload_free(gpointer data)
{
	GlUpload *upload = data;

	close(upload->fd);
	if (upload->path != NULL && unlink(upload->path) != 0 && errno != ENOENT)
		g_warning("cannot delete %s: %s", upload->path, g_strerror(errno));
	g_free(upload->path);
	g_free(upload);
}

bool gl_upload_write(GlUpload *upload, const char *bytes, gsize length, GError **error)
{
	while (length > 0) {
		gssize written = write(upload->fd, bytes, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0) {
			g_set_error(error, G_FILE_ERROR, errno, "cannot write: %s",
			            g_strerror(errno));
			return false;
		}
		bytes += written;
		length -= (gsize)written;
		upload->size += (guint64)written;
	}
	return true;
}

guint64 gl_upload_size(const GlUpload *upload)
{
	return upload->size;
}

bool gl_upload_finish(GlUpload *upload, GlPlace *place, bool replace, GError **error)
{
	if (!gl_place_move_in(place, upload->path, replace, error))
		return false;
	g_clear_pointer(&upload->path, g_free);
	return true;
}
