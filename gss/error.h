/* gss/error.h - the error domain of the GSS client.
 *
 * Every GError of this folder has the domain GSS_ERROR and a positive errno as its code. The
 * codes mean:
 *
 *   ENOENT        the service says that the resource, image or source is not there
 *   EEXIST        405 on a creating request, or an image of that name exists
 *   EINVAL        the service calls a name or path illegal; or the caller's argument is
 *   EACCES        403 (or a fault) that stays after the token was renewed
 *   EPERM         the description says "supported = false" or is absent
 *   ENOKEY        there are no credentials to log in with: wait for some
 *   EKEYREJECTED  the authentication manager refused user name, password, project or token
 *   EKEYEXPIRED   the token has died under a request that must not be sent again without asking
 *                 (gss/images.h); the next request renews it
 *   EPROTO        a malformed answer; the message says what was wrong with it
 *   EHOSTUNREACH  nothing was sent: name not resolved, no route, connection refused, no trust
 *   ETIMEDOUT     a time-out before the whole request was sent, or while an answer's body moved
 *   EINPROGRESS   the request was sent whole and its answer is lost (connection cut, time-out,
 *                 504): the outcome is unknown; ask, never send again first
 *   EAGAIN        429, 502, 503: worth another try
 *   EIO           any other answer (5xx, unexplained faults, a cut body)
 *   ENOSPC, EFBIG 507, 413
 *   ESTALE        412: a condition that was sent (If-Match, If-Unmodified-Since) does not hold
 *   ENOTDIR       a folder was expected, it is a file; EISDIR: the other way round
 *   ERANGE        416: there is nothing at this offset
 *   ECANCELED     the caller cancelled
 */
#pragma once

#include <glib.h>

#define GSS_ERROR gss_error_quark()
GQuark gss_error_quark(void);
