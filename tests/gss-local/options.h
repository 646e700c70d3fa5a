/* options.h - the command line. The switches of settings.h are options too, and go straight into
 * the box. */
#pragma once

#include "session.h"
#include "settings.h"

typedef struct {
	char *root;
	guint16 port;
	int ready_fd; /* -1: none */
	char *token;  /* NULL: none */
	guint32 seed;
	bool parent_death;
	bool help;
	bool version;
} GlOptions;
void gl_options_clear(GlOptions *options);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GlOptions, gl_options_clear)

/* Users named go into `sessions`. EINVAL. */
bool gl_options_parse(int argc, char **argv, GlSettingsBox *settings, GlSessions *sessions,
                      GlOptions *ret, GError **error);
void gl_options_print_help(void);
