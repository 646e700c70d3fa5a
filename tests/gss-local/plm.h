/* plm.h - the numbers of the opaque storage: plm://REPO/MODEL/NUMBER.
 *
 * On disk the objects lie as a tree of visual names; the map between numbers and places is kept in
 * memory and in an append-only file of lines "NUMBER REPO/MODEL/PATH", of which the last one about
 * a path counts. Number 1 is the root of every model. A number is never used twice; an object made
 * behind the server's back gets one when it is first listed.
 *
 * Threads: locked inside; any thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct GlPlm GlPlm;

GlPlm *gl_plm_open(const char *root, const char *ids, GError **error);
void gl_plm_close(GlPlm *plm);
const char *gl_plm_root(const GlPlm *plm);

/* The place of an object, as REPO/MODEL/PATH, or NULL: no such number. It may be gone from the disk
 * all the same. */
char *gl_plm_place(GlPlm *plm, const char *repository, const char *model, guint64 number);

/* The number of REPO/MODEL/PATH; one that has none gets the next. `renew` gives a new one in any
 * case: something was created there. 0 and error set when it cannot be written down. */
guint64 gl_plm_number(GlPlm *plm, const char *place, bool renew, GError **error);
