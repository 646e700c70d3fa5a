/* fs/status.h - the control file .status in the root of the mount: what is on its way, and commands
 * about it.
 *
 * Reading gives one line a record; fields as fs/field.h says, the first is the record's kind. A
 * reader skips kinds that it does not know and fields beyond those that it does.
 *
 *   gssfs    1 (this format), version of gssfs, SOURCE, mount point
 *   session  ok | missing | rejected | offline, user, project, valid until, message
 *   cache    URI of the storage, bytes of the disk used, limit in bytes  (one a storage)
 *   quarantine  files, bytes, path of the folder  (one a storage where something was set aside that
 *            could not be trusted; it stays until a person takes it away)
 *   pending  files, bytes left, bytes a second, expected end, parked files, removals
 *   file     path, state as user.gss.state, bytes done, bytes of the file, tries that failed,
 *            next try, message  (one a file that is not clean; the path is relative to the mount,
 *            and a GSS URI where the mount does not show the file)
 *   command  folder (of the .register), replace | register | update | remove, source, name of the
 *            image, since, step, storage  (one a registration under way; its steps: fs/command.h)
 *
 * Writing gives commands (fs/status-line.h), whose failure is the write's: ENOENT, EINVAL; of
 * `discard` EBUSY (open for writing) and ENODATA (there is nothing that GSS does not have); of
 * `retry PATH` EIO (it was not written to its end); of `login` what the login said: EKEYREJECTED,
 * ENOKEY, EHOSTUNREACH. `retry` does not wait for the upload.
 *
 * poll() as for files in sysfs: POLLPRI and POLLERR when something changed since this handle last
 * read from 0.
 *
 * Threads: any.
 */
#pragma once

#include "fs/virtual.h"

#define FS_STATUS_NAME ".status"

extern const FsVirtualClass fs_status_class;

FsStatus *fs_status_new(void);
void fs_status_free(FsStatus *status);
/* Something that it shows has changed. */
void fs_status_changed(FsMount *mount);
