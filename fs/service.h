/* fs/service.h - telling systemd (Type=notify) how things stand. Does nothing where gssfs was built
 * without libsystemd or runs outside of a service. */
#pragma once

/* "READY=1", "STOPPING=1", "STATUS=..."; see sd_notify(3). */
void fs_service_notify(const char *state);
