/* gss/error.c - see gss/error.h and gss/error-private.h. */
#include "gss/error-private.h"

#include <stdarg.h>
#include <string.h>

/* clang-format off */
G_DEFINE_QUARK(gss-error-quark, gss_error)
/* clang-format on */

bool gss_fail(GError **error, int code, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	GError *made = g_error_new_valist(GSS_ERROR, code, format, arguments);
	va_end(arguments);
	g_propagate_error(error, made);
	return false;
}

static void mask(GString *text, const char *const *secrets)
{
	for (gsize i = 0; secrets != NULL && secrets[i] != NULL; i++) {
		if (strlen(secrets[i]) >= 4)
			g_string_replace(text, secrets[i], "***", 0);
	}
}

char *gss_quote(const char *text, gssize length, const char *const *secrets)
{
	/* Masked before it is cut: half a token is a secret too. */
	g_autofree char *valid = g_utf8_make_valid(text, length);
	g_autoptr(GString) whole = g_string_new(valid);
	mask(whole, secrets);

	g_autoptr(GString) shown = g_string_new(NULL);
	bool blank = false;
	glong count = 0;
	for (const char *p = whole->str; *p != '\0'; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);
		if (g_unichar_isspace(c) || g_unichar_iscntrl(c) ||
		    g_unichar_type(c) == G_UNICODE_FORMAT) {
			blank = shown->len > 0;
			continue;
		}
		if (count >= GSS_QUOTE_MAX) {
			g_string_append(shown, "…");
			break;
		}
		if (blank) {
			g_string_append_c(shown, ' ');
			count++;
		}
		blank = false;
		g_string_append_unichar(shown, c);
		count++;
	}
	return g_string_free(g_steal_pointer(&shown), FALSE);
}

void gss_wipe(char *secret)
{
	if (secret != NULL)
		explicit_bzero(secret, strlen(secret));
	g_free(secret);
}

static void wipe_string(void *data)
{
	GString *text = data;
	explicit_bzero(text->str, text->allocated_len);
	g_string_free(text, TRUE);
}

GBytes *gss_secret_bytes(GString *text)
{
	return g_bytes_new_with_free_func(text->str, text->len, wipe_string, text);
}
