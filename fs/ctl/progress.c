#include "fs/ctl/progress.h"

#include "fs/ctl/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS_DEFAULT 80
#define LINES_DEFAULT 24
#define LABEL_MIN 8
#define BAR_MIN 10
#define BAR_MAX 30
#define SMOOTH_US (5.0 * G_USEC_PER_SEC) /* over this time a rate is averaged */
/* What fills the buffers on the way is no rate; nothing is told before. */
#define BEGIN_US (2.0 * G_USEC_PER_SEC)

/* How fast a row moves. */
typedef struct {
	guint64 first, done;
	gint64 begun, at; /* monotonic us */
	double rate;      /* until SMOOTH_US have passed, of all the time since it began */
} Speed;

typedef struct {
	char *label, *note, *text;
	guint64 done, total, rate;
} Row;

struct CtlProgress {
	bool visible;
	GPtrArray *rows;    /* of the frame that is made */
	GHashTable *speeds; /* key of a row -> Speed */
	guint drawn;        /* lines on the screen */
};

static void row_free(void *data)
{
	Row *row = data;
	g_free(row->label);
	g_free(row->note);
	g_free(row->text);
	g_free(row);
}

CtlProgress *ctl_progress_new(void)
{
	CtlProgress *progress = g_new0(CtlProgress, 1);
	const char *term = g_getenv("TERM");

	progress->visible = isatty(STDERR_FILENO) && term != NULL && strcmp(term, "dumb") != 0;
	progress->rows = g_ptr_array_new_with_free_func(row_free);
	progress->speeds = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	return progress;
}

void ctl_progress_free(CtlProgress *progress)
{
	g_ptr_array_unref(progress->rows);
	g_hash_table_unref(progress->speeds);
	g_free(progress);
}

bool ctl_progress_visible(const CtlProgress *progress)
{
	return progress->visible;
}

void ctl_progress_begin(CtlProgress *progress)
{
	g_ptr_array_set_size(progress->rows, 0);
}

static Row *add_row(CtlProgress *progress)
{
	Row *row = g_new0(Row, 1);
	g_ptr_array_add(progress->rows, row);
	return row;
}

static guint64 measure(CtlProgress *progress, const char *key, guint64 done)
{
	gint64 now = g_get_monotonic_time();
	Speed *speed = g_hash_table_lookup(progress->speeds, key);

	if (speed == NULL || done < speed->done) {
		/* New, or it began again. */
		speed = g_new0(Speed, 1);
		*speed = (Speed){.first = done, .done = done, .begun = now, .at = now};
		g_hash_table_replace(progress->speeds, g_strdup(key), speed);
	}
	double passed = (double)(now - speed->at), whole = (double)(now - speed->begun);
	if (passed >= G_USEC_PER_SEC / 10.0) {
		double latest = (double)(done - speed->done) * G_USEC_PER_SEC / passed;
		double kept = exp(-passed / SMOOTH_US);
		if (whole < SMOOTH_US)
			speed->rate = (double)(done - speed->first) * G_USEC_PER_SEC / whole;
		else
			speed->rate = speed->rate * kept + latest * (1 - kept);
		speed->done = done;
		speed->at = now;
	}
	return whole < BEGIN_US ? 0 : (guint64)speed->rate;
}

void ctl_progress_row(CtlProgress *progress, const char *key, const char *label, guint64 done,
                      guint64 total, const char *note)
{
	guint64 rate = measure(progress, key != NULL ? key : label, done);
	Row *row = add_row(progress);

	row->label = ctl_text_safe(label);
	row->note = note != NULL ? ctl_text_safe(note) : NULL;
	row->done = done;
	row->total = total;
	row->rate = rate;
}

void ctl_progress_rated_row(CtlProgress *progress, const char *label, guint64 done, guint64 total,
                            guint64 rate)
{
	Row *row = add_row(progress);

	row->label = ctl_text_safe(label);
	row->done = done;
	row->total = total;
	row->rate = rate;
}

void ctl_progress_text(CtlProgress *progress, const char *text)
{
	add_row(progress)->text = ctl_text_safe(text);
}

/* --- drawing --- */

static char *bar(guint64 done, guint64 total, guint width)
{
	guint full = total > 0 ? (guint)((double)MIN(done, total) / (double)total * width) : width;
	GString *text = g_string_new("[");

	for (guint i = 0; i < width; i++)
		g_string_append_c(text, i < full ? '=' : i == full && done > 0 ? '>' : ' ');
	g_string_append_c(text, ']');
	return g_string_free(text, FALSE);
}

char *ctl_progress_line(const char *label, guint label_columns, guint64 done, guint64 total,
                        guint64 rate, const char *note, guint columns)
{
	guint percent = total > 0 ? (guint)((double)MIN(done, total) * 100 / (double)total) : 100;
	g_autofree char *size = ctl_text_size(total);
	g_autofree char *speed = rate > 0 ? ctl_text_rate(rate) : g_strdup("-");
	g_autofree char *left = rate > 0 && done < total ? ctl_text_clock((total - done) / rate + 1)
	                                                 : g_strdup("-");
	g_autofree char *name = ctl_text_fit(label, label_columns, true);
	g_autofree char *numbers = g_strdup_printf("%3u %%  %10s", percent, size);
	g_autofree char *moves = g_strdup_printf("%12s  %7s", speed, left);
	guint fixed = label_columns + 2 + ctl_text_width(numbers) + 2;
	guint used = fixed + ctl_text_width(moves);
	g_autofree char *drawn = NULL;

	/* Bars of the same length, whatever stands behind them. */
	if (used + 4 + BAR_MIN <= columns) {
		guint width = MIN(columns - used - 4, BAR_MAX);
		g_autofree char *plain = bar(done, total, width);
		drawn = g_strconcat(plain, "  ", NULL);
		fixed += width + 4;
	}
	g_autofree char *rest =
		note != NULL ? ctl_text_fit(note, columns > fixed ? columns - fixed : 0, false)
			     : g_steal_pointer(&moves);
	g_autofree char *line =
		g_strconcat(name, "  ", drawn != NULL ? drawn : "", numbers, "  ", rest, NULL);
	return ctl_text_fit(line, columns, false);
}

static void screen(guint *columns, guint *lines)
{
	struct winsize size;

	*columns = COLUMNS_DEFAULT;
	*lines = LINES_DEFAULT;
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
		*columns = size.ws_col;
		*lines = size.ws_row > 0 ? size.ws_row : LINES_DEFAULT;
	}
	/* In the last column some terminals begin a new line. */
	*columns -= *columns > 1 ? 1 : 0;
}

guint ctl_progress_room(const CtlProgress *progress)
{
	guint columns, lines;

	screen(&columns, &lines);
	return lines > 18 ? lines - 14 : 4;
}

static void erase(const CtlProgress *progress, GString *text)
{
	if (progress->drawn > 0)
		g_string_append_printf(text, "\033[%uA", progress->drawn);
	g_string_append(text, "\r\033[J");
}

static guint label_width(const CtlProgress *progress, guint columns)
{
	guint width = LABEL_MIN;

	for (guint i = 0; i < progress->rows->len; i++) {
		const Row *row = progress->rows->pdata[i];
		width = MAX(width, row->label != NULL ? ctl_text_width(row->label) : 0);
	}
	return MIN(width, MAX(columns / 3, LABEL_MIN));
}

void ctl_progress_draw(CtlProgress *progress)
{
	g_autoptr(GString) text = g_string_new(NULL);
	guint columns, lines;

	if (!progress->visible)
		return;
	screen(&columns, &lines);
	erase(progress, text);
	guint labels = label_width(progress, columns);
	/* What would scroll away could not be drawn over; the last row is the total. */
	guint room = MAX(lines, 4) - 2;
	guint first = progress->rows->len > room ? progress->rows->len - room : 0;
	for (guint i = first; i < progress->rows->len; i++) {
		const Row *row = progress->rows->pdata[i];
		g_autofree char *line =
			row->text != NULL
				? ctl_text_fit(row->text, columns, false)
				: ctl_progress_line(row->label, labels, row->done, row->total,
		                                    row->rate, row->note, columns);
		g_string_append_printf(text, "%s\n", line);
	}
	progress->drawn = progress->rows->len - first;
	fputs(text->str, stderr);
	fflush(stderr);
}

void ctl_progress_clear(CtlProgress *progress)
{
	g_autoptr(GString) text = g_string_new(NULL);

	if (!progress->visible || progress->drawn == 0)
		return;
	erase(progress, text);
	fputs(text->str, stderr);
	fflush(stderr);
	progress->drawn = 0;
}
