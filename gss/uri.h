/* gss/uri.h - GSS URIs and names. Pure functions, any thread.
 *
 * A GSS URI is `<backend>://<location>` and otherwise opaque: on `plm` storages the location says
 * nothing about the place of the object (protocol, section 3). Nothing but gss_uri_child() puts
 * URIs together, and what it makes is only ever an address to create or ask for a name under,
 * never assumed to be the URI of what is created.
 *
 * Names and URIs may have any character that XML 1.0 can carry, as they go through SOAP: of the
 * control characters below U+0020 TAB, line feed and carriage return, and all from U+007F on. Who
 * shows them, or writes them in lines, has to escape them.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define GSS_URI_MAX 8192 /* bytes; a longer URI from outside is refused */
#define GSS_NAME_MAX 255 /* bytes, as NAME_MAX */

/* Is this a URI that may be sent: backend of [A-Za-z0-9_.+-], "://", UTF-8 without what XML cannot
 * carry, at most GSS_URI_MAX bytes. EINVAL otherwise, the message names what is wrong. */
bool gss_uri_check(const char *uri, GError **error);

/* The backend ("it4i_anselm"), or NULL when there is none. Free with g_free(). */
char *gss_uri_backend(const char *uri);

/* The creation address of a name in a folder: parent + "/" + name ("/" only where the parent does
 * not end in one; `it4i_anselm://` + `home` is `it4i_anselm://home`). */
char *gss_uri_child(const char *parent, const char *name);

/* May a name be sent to the platform and be shown as a directory entry? EINVAL for empty, ".",
 * "..", '/', what XML cannot carry and invalid UTF-8; ENAMETOOLONG over GSS_NAME_MAX. */
bool gss_name_check(const char *name, GError **error);
