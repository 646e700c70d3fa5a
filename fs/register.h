/* fs/register.h - the control file .register: lines written to it register images, reading it shows
 * how, and what became of the last ones.
 *
 * How it is read and written: fs/control.h; the lines themselves: fs/register-line.h; running them:
 * fs/command.h.
 */
#pragma once

#include "fs/virtual.h"

#define FS_REGISTER_NAME ".register"

extern const FsVirtualClass fs_register_class;
