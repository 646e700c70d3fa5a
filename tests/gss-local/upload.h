/* upload.h - a file on its way in: written aside, put into place when its last byte is there, so
 * that nobody ever sees a part of it.
 *
 * Threads: belongs to the thread of its connection.
 */
#pragma once

#include "place.h"

typedef struct GlUpload GlUpload;

GlUpload *gl_upload_new(GlProject *project, GError **error);
/* Throws the bytes away unless they are in place. */
void gl_upload_free(gpointer upload);
bool gl_upload_write(GlUpload *upload, const char *bytes, gsize length, GError **error);
guint64 gl_upload_size(const GlUpload *upload);
/* See gl_place_move_in(). */
bool gl_upload_finish(GlUpload *upload, GlPlace *place, bool replace, GError **error);
