/* fs/background.h - going to the background: fork first, before any thread, database or connection.
 *
 * The parent waits until the child says that the mount is up, or why not, over a pipe; it prints
 * what the child says and ends with the child's status. So `gssfs ... && cp ...` works, and an
 * error is seen where it was caused.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct FsBackground FsBackground;

/* Returns in the child. In the parent it returns NULL with the status to end with in `ret_status`,
 * once the child has spoken. */
FsBackground *fs_background_fork(int *ret_status);
/* The mount is up: frees the parent and leaves the terminal. `note` (may be NULL) is something the
 * user should read. */
void fs_background_ready(FsBackground *background, const char *note);
/* There will be no mount. `message` is printed. */
void fs_background_fail(FsBackground *background, const char *message, int status);
