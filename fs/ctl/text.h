/* fs/ctl/text.h - what people read: sizes, times, tables; harmless on a terminal whatever a server
 * or a file name says.
 *
 * Strings that are returned are to be freed with g_free(). Pure functions, any thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdio.h>

/* Control bytes as \ooo, invalid UTF-8 as replacement characters, marks that turn the direction of
 * writing removed. */
char *ctl_text_safe(const char *text);

char *ctl_text_size(guint64 bytes);           /* "12 B", "1.5 MiB" */
char *ctl_text_rate(guint64 bytes_per_s);     /* "1.5 MiB/s" */
char *ctl_text_clock(guint64 seconds);        /* "0:07", "1:02:03"; "-" from 100 hours on */
char *ctl_text_duration(guint64 seconds);     /* "7 s", "12 min", "3 h 5 min", "4 days" */
char *ctl_text_time(gint64 when, gint64 now); /* local: "14:05" today, else "2026-11-24 14:05" */
char *ctl_text_number(guint64 number, const char *one, const char *many); /* "1 file" */

/* The columns that a terminal takes for it. */
guint ctl_text_width(const char *text);
/* At most so many columns, the middle left out ("home/a…z.simg"); short texts are filled up with
 * spaces if `pad`. */
char *ctl_text_fit(const char *text, guint columns, bool pad);

/* Rows of cells, aligned. */
typedef struct CtlTable CtlTable;
/* `alignment`: a letter a column, l or r. */
CtlTable *ctl_table_new(const char *alignment);
void ctl_table_free(CtlTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlTable, ctl_table_free)
/* A row; so many strings as there are columns; NULL is empty. They are made safe. */
void ctl_table_add(CtlTable *table, ...);
/* What stands above the columns, where there is a row. */
void ctl_table_head(CtlTable *table, ...);
/* Columns without any text are left out, and the spaces at ends of lines. */
char *ctl_table_text(const CtlTable *table, const char *indent);
guint ctl_table_rows(const CtlTable *table);
