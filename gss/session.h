/* gss/session.h - the session token: where it comes from, and whether it still lives.
 *
 * One login at a time serves all who wait. A token has a generation; who found it dead asks for one
 * of a later generation, so that a hundred calls that fail together cause one login. The token
 * never leaves memory, is never logged, and is wiped when it is replaced.
 *
 * On gss-net only.
 */
#pragma once

#include "gss/client.h"
#include "gss/exchange.h"

#define GSS_TOKEN_MAX 16384 /* bytes */

typedef struct GssSession GssSession;
typedef struct GssWait GssWait;

GssSession *gss_session_new(GssClient *client);
/* Nobody waits any more. */
void gss_session_free(GssSession *session);

/* The token and generation there are now; NULL and 0 when there is none. */
const char *gss_session_token(const GssSession *session, guint *ret_generation);

/* Calls back with NULL once there is a token of a generation after `after`, or with the error of
 * the login. May call back at once, then it returns NULL. */
typedef void (*GssTokenCallback)(const GError *error, void *data);
GssWait *gss_session_acquire(GssSession *session, guint after, GssTokenCallback callback,
                             void *data);

/* Asks validateSessionToken whether the token of `generation` lives; an answer that it gave after
 * `since` (monotonic us) is as good. False also when there is a later generation by now. May call
 * back at once, then it returns NULL. */
typedef void (*GssValidCallback)(bool valid, const GError *error, void *data);
GssWait *gss_session_validate(GssSession *session, guint generation, gint64 since,
                              GssValidCallback callback, void *data);

/* Forgets the token and what was found wrong with those before it: the next login reads the
 * credentials. */
void gss_session_reset(GssSession *session);
/* The platform has answered, NULL, or has not: is it there? */
void gss_session_note_reach(GssClient *client, const GError *error);
/* Who the token is of, as the service said. */
void gss_session_note_identity(GssClient *client, const GssIdentity *identity);

void gss_session_cancel(GssSession *session, GssWait *wait);

/* Tries a login again although the same credentials were refused a moment ago. */
void gss_session_forgive(GssSession *session);
/* May a login with user name and password bring a better token than this one, got `age` us ago at
 * least? */
bool gss_session_renewable(const GssSession *session, gint64 age);
