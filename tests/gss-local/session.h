/* session.h - users, and the tokens given out to them.
 *
 * Threads: locked inside; any thread. Tokens are never logged.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct GlSessions GlSessions;

/* Who holds a token. Copied to the caller; gl_identity_clear() it. */
typedef struct {
	char *username;
	char *project;
	char *email;
} GlIdentity;
void gl_identity_clear(GlIdentity *identity);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GlIdentity, gl_identity_clear)

GlSessions *gl_sessions_new(void);
void gl_sessions_free(GlSessions *sessions);

/* NAME:PASSWORD[:PROJECT], the project being NAME when left out. EINVAL: malformed, or a project
 * that cannot be the name of a folder. */
bool gl_sessions_add_user(GlSessions *sessions, const char *spec, GError **error);
/* The project of the user added first, or NULL. */
const char *gl_sessions_first_project(GlSessions *sessions);
/* A token of the first user that does not expire; there must be a user. */
void gl_sessions_preset(GlSessions *sessions, const char *token);

/* A fresh token, or NULL: no such user, wrong password, or not in that project. */
char *gl_sessions_login(GlSessions *sessions, const char *username, const char *password,
                        const char *project, guint life_ms);
/* False: unknown, expired or revoked; `ret` (may be NULL) is untouched then. */
bool gl_sessions_check(GlSessions *sessions, const char *token, GlIdentity *ret);
/* All tokens are dead from now on, the preset one too. */
void gl_sessions_revoke(GlSessions *sessions);
