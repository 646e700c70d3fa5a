/* settings.h - the switches of the server: each has a command-line option of the same name and may
 * be changed at run time (control.h).
 *
 * Threads: GlSettingsBox is locked inside; a request works on the copy it took when it arrived.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

enum {
	GL_HEAD_SIZE,
	GL_HEAD_WORD,
	GL_HEAD_REFUSED,
	GL_HEAD_MISSING,
	GL_HEAD_GZIP,
	GL_HEAD_EMPTY,   /* a length of 0 */
	GL_HEAD_OTHER,   /* the same length whatever it is asked about */
	GL_HEAD_FAILING, /* 500 */
	GL_HEAD_FORBIDDEN,
};
enum {
	GL_VIEW_OFF, /* the plain listing */
	GL_VIEW_ON,
	GL_VIEW_OTHER,   /* other names, dates as numbers */
	GL_VIEW_WRONG,   /* sizes of something else */
	GL_VIEW_SHIFTED, /* dates of another time zone */
	GL_VIEW_GARBAGE, /* no JSON */
	GL_VIEW_MISSING, /* 404 */
	GL_VIEW_FAILING, /* 500 */
};
enum { GL_IMAGES_JAXWS, GL_IMAGES_SPYNE };
enum { GL_IMAGES_FAULT, GL_IMAGES_TEXT };
enum { GL_ORDER_DOCUMENTED, GL_ORDER_REVERSED };
enum { GL_URLS_ENCODED, GL_URLS_RAW };
enum { GL_FIELD_DEPRECATED, GL_FIELD_HEADER, GL_FIELD_NONE };
enum { GL_WHERE_ANY, GL_WHERE_BEFORE, GL_WHERE_DURING, GL_WHERE_AFTER };

/* All guint, for the table in settings.c. Times are milliseconds here, whatever the option's unit.
 */
typedef struct {
	guint head;
	guint range;
	guint length;
	guint images_style;
	guint images_error;
	guint images_order;
	guint urls;
	guint token_field;
	guint last_modified;
	guint etag;
	guint conditional;
	guint filename_header;
	guint view_full;
	guint chunked;
	guint extra_header;
	guint internal_host;
	guint latency;
	guint response_delay;
	guint bandwidth;
	guint error_rate;
	guint cut_rate;
	guint cut_where;
	guint token_life;
	guint register_504;
	guint register_delay;
} GlSettings;

typedef struct GlSettingsBox GlSettingsBox;

GlSettingsBox *gl_settings_new(void);
void gl_settings_free(GlSettingsBox *box);
void gl_settings_get(GlSettingsBox *box, GlSettings *ret);
/* EINVAL: no such switch, or not a value of it. */
bool gl_settings_set(GlSettingsBox *box, const char *name, const char *value, GError **error);
bool gl_settings_known(const char *name);
/* Back to the values that the command line gave: those of the moment of gl_settings_mark(). */
void gl_settings_mark(GlSettingsBox *box);
void gl_settings_reset(GlSettingsBox *box);

/* A JSON object of all switches, in the units of the options. */
void gl_settings_append_json(GlSettingsBox *box, GString *out);
/* The part of --help that speaks of them. */
void gl_settings_append_help(GString *out);
