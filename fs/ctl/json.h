/* fs/ctl/json.h - writes JSON (RFC 8259), for --json. Only writes: a library for the whole of it
 * would be a dependency for one option.
 *
 * A value inside an object is preceded by its key; commas and escapes are seen to here. Strings
 * that are no UTF-8 (file names may be) come with replacement characters.
 *
 * Threads: any, one object one thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct CtlJson CtlJson;

CtlJson *ctl_json_new(void);
void ctl_json_free(CtlJson *json);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlJson, ctl_json_free)

/* `key` is NULL for the outermost value and inside of arrays. */
void ctl_json_begin_object(CtlJson *json, const char *key);
void ctl_json_end_object(CtlJson *json);
void ctl_json_begin_array(CtlJson *json, const char *key);
void ctl_json_end_array(CtlJson *json);
void ctl_json_string(CtlJson *json, const char *key, const char *value); /* NULL: null */
void ctl_json_number(CtlJson *json, const char *key, guint64 value);
void ctl_json_bool(CtlJson *json, const char *key, bool value);
/* A time in seconds since the epoch, as ISO 8601 in UTC; 0: null. */
void ctl_json_time(CtlJson *json, const char *key, gint64 value);

/* The text on one line, with its newline; everything that was begun has ended. */
const char *ctl_json_text(CtlJson *json);
/* The same, to standard output. */
void ctl_json_print(CtlJson *json);
