/* gss/date.c - see gss/date.h. */
#include "gss/date.h"

#include <curl/curl.h>
#include <string.h>
#include <time.h>

#define NS_PER_S G_GINT64_CONSTANT(1000000000)
#define SECONDS_MAX (G_MAXINT64 / NS_PER_S)
#define MILLISECONDS_FROM G_GINT64_CONSTANT(100000000000)

static gint64 iso_date(const char *text)
{
	g_autofree char *joined = g_strdup(text);
	char *blank = strchr(joined, ' ');
	if (blank != NULL && g_ascii_isdigit(joined[0]))
		*blank = 'T';
	/* "12:00:00 +0100" and "12:00:00 UTC" are seen as well. */
	g_strdelimit(joined, " ", 'Z');
	char *zone = strchr(joined, 'Z');
	if (zone != NULL && zone[1] == '+')
		memmove(zone, zone + 1, strlen(zone));
	else if (zone != NULL && (strcmp(zone + 1, "UTC") == 0 || strcmp(zone + 1, "GMT") == 0))
		zone[1] = '\0';
	g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
	g_autoptr(GDateTime) date = g_date_time_new_from_iso8601(joined, utc);
	if (date == NULL)
		return -1;
	gint64 seconds = g_date_time_to_unix(date);
	if (seconds < 0 || seconds >= SECONDS_MAX)
		return -1;
	return seconds * NS_PER_S + g_date_time_get_microsecond(date) * G_GINT64_CONSTANT(1000);
}

gint64 gss_date_parse(const char *text)
{
	g_autofree char *trimmed = g_strstrip(g_strdup(text));
	gint64 number = -1;
	if (g_ascii_string_to_signed(trimmed, 10, 0, G_MAXINT64, &number, NULL)) {
		/* Eight digits are a day written without dashes, not a moment of 1970. */
		if (strlen(trimmed) == 8)
			return iso_date(trimmed);
		if (number >= MILLISECONDS_FROM)
			return number / 1000 < SECONDS_MAX ? number * (NS_PER_S / 1000) : -1;
		return number * NS_PER_S;
	}
	gint64 ns = g_ascii_isdigit(*trimmed) ? iso_date(trimmed) : -1;
	if (ns >= 0)
		return ns;
	time_t seconds = curl_getdate(trimmed, NULL);
	return seconds >= 0 && seconds < SECONDS_MAX ? (gint64)seconds * NS_PER_S : -1;
}

char *gss_date_http(gint64 ns)
{
	/* Not strftime: month and day names must not follow the locale. */
	static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
	                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	static const char *const days[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
	g_autoptr(GDateTime) date = g_date_time_new_from_unix_utc(ns / NS_PER_S);
	if (date == NULL)
		return NULL;
	return g_strdup_printf(
		"%s, %02d %s %04d %02d:%02d:%02d GMT", days[g_date_time_get_day_of_week(date) - 1],
		g_date_time_get_day_of_month(date), months[g_date_time_get_month(date) - 1],
		g_date_time_get_year(date), g_date_time_get_hour(date),
		g_date_time_get_minute(date), g_date_time_get_second(date));
}
