/* fs/register.h - the control file .register: lines written to it register images, reading it shows
 * how, and what became of the last ones.
 *
 * A write() carries whole lines, which run in order, and returns when the platform has answered. A
 * line that fails ends the write: the lines before it are told as a short write, and the next write
 * (or close) gets the error. The lines themselves: fs/register-line.h; running them: fs/command.h.
 */
#pragma once

#include "fs/virtual.h"

#define FS_REGISTER_NAME ".register"

extern const FsVirtualClass fs_register_class;
