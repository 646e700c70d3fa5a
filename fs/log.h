/* fs/log.h - where messages go: to stderr in the foreground; to the journal, or else syslog, in the
 * background. What is logged is structured (GLib), so that the journal gets fields.
 *
 * Threads: fs_log_start() before there are any; after that logging works on all.
 */
#pragma once

/* Messages have the prefix "gssfs: ". Once only. */
void fs_log_start(void);
/* Also what only a developer wants to know. */
void fs_log_debug(void);
/* From now on nobody reads stderr. */
void fs_log_background(void);
