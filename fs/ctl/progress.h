/* fs/ctl/progress.h - bars on a terminal, of what is on its way: drawn on standard error, over the
 * ones before. Without a terminal nothing is drawn.
 *
 * Threads: one.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct CtlProgress CtlProgress;

CtlProgress *ctl_progress_new(void);
/* Leaves what was drawn last; see ctl_progress_clear(). */
void ctl_progress_free(CtlProgress *progress);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlProgress, ctl_progress_free)
bool ctl_progress_visible(const CtlProgress *progress);
/* How many rows besides a few others the screen has room for. */
guint ctl_progress_room(const CtlProgress *progress);

/* A frame: begin, rows, draw. A row is known again by its key (NULL: its label), which is how its
 * rate is measured; it is told once the row has been there for some seconds.
 * `note`: instead of rate and time, what there is to say of it; NULL: none. */
void ctl_progress_begin(CtlProgress *progress);
void ctl_progress_row(CtlProgress *progress, const char *key, const char *label, guint64 done,
                      guint64 total, const char *note);
/* A row with a rate (bytes a second, 0: not known) that is known already. */
void ctl_progress_rated_row(CtlProgress *progress, const char *label, guint64 done, guint64 total,
                            guint64 rate);
/* A line of text in its place among the rows. */
void ctl_progress_text(CtlProgress *progress, const char *text);
void ctl_progress_draw(CtlProgress *progress);
/* Takes what was drawn off the screen. */
void ctl_progress_clear(CtlProgress *progress);

/* One row, at most so many columns wide; pure. `rate` 0: not known. Free with g_free(). */
char *ctl_progress_line(const char *label, guint label_columns, guint64 done, guint64 total,
                        guint64 rate, const char *note, guint columns);
