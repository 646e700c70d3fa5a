/* gss/date.h - the dates that services write. Pure functions, any thread. */
#pragma once

#include <glib.h>

/* An HTTP date, an ISO-8601 date (UTC where it names no zone), or seconds (or, above 10^11,
 * milliseconds) since the epoch. Gives ns since the epoch, -1 when it is none of these. */
gint64 gss_date_parse(const char *text);

/* The HTTP date of a time in ns since the epoch. Free with g_free(). */
char *gss_date_http(gint64 ns);
