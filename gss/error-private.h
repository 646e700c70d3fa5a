/* gss/error-private.h - making errors, and making foreign text fit to be shown.
 *
 * Pure functions, any thread.
 */
#pragma once

#include "gss/error.h"

#include <stdbool.h>

#define GSS_QUOTE_MAX 300 /* characters of a service's message that are shown */

/* Sets `error` (may be NULL) and returns false, so that a caller can `return gss_fail(...)`. */
bool gss_fail(GError **error, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* A copy of foreign text that may be shown and logged: valid UTF-8, control characters and runs of
 * blanks made one space, at most GSS_QUOTE_MAX characters, and every occurrence of a string of
 * `secrets` (NULL-terminated, may be NULL; strings under 4 bytes are left alone) replaced by "***".
 */
char *gss_quote(const char *text, gssize length, const char *const *secrets);

/* Overwrites a secret, then frees it. NULL is allowed. */
void gss_wipe(char *secret);

/* Bytes that hold a secret: `text` is taken over and wiped before it is freed. */
GBytes *gss_secret_bytes(GString *text);
