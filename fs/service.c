#include "fs/service.h"

#ifdef HAVE_LIBSYSTEMD

#include <glib.h>
#include <systemd/sd-daemon.h>

void fs_service_notify(const char *state)
{
	int result = sd_notify(0, state);

	if (result < 0)
		g_debug("sd_notify: %s", g_strerror(-result));
}

#else

void fs_service_notify(const char *state)
{
	(void)state;
}

#endif
