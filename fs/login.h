/* fs/login.h - what the control files want of the session with the platform. The program hands it
 * in, so that fs/ knows nothing of gss/.
 *
 * Threads: called from any thread, never blocking; callbacks run once, on any thread.
 */
#pragma once

#include <glib.h>

typedef enum {
	FS_LOGIN_OK,
	FS_LOGIN_MISSING,  /* there are no credentials, or none that still work */
	FS_LOGIN_REJECTED, /* the platform refuses them, or they are of another project */
	FS_LOGIN_OFFLINE,  /* the platform does not answer, or was not asked yet */
} FsLoginState;

typedef struct {
	FsLoginState state;
	char *user, *project; /* NULL: not known */
	gint64 valid_until;   /* s since the epoch; 0: not known */
	char *message;        /* what is wrong, or NULL */
} FsLoginStatus;
void fs_login_status_clear(FsLoginStatus *status);

typedef void (*FsLoginDone)(const GError *error, void *data);

typedef struct {
	void (*status)(void *login, FsLoginStatus *ret);
	/* Reads the credentials afresh and logs in, also if they were refused a moment ago. */
	void (*again)(void *login, FsLoginDone done, void *data);
	void *login; /* first argument of the above */
} FsLogin;
