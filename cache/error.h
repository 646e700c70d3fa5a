/* cache/error.h - the error domain of the cache: codes are positive errnos, as in GSS_ERROR, whose
 * errors are passed through. fs/ answers the kernel with the code, in one place. */
#pragma once

#include <glib.h>

#define CACHE_ERROR cache_error_quark()
GQuark cache_error_quark(void);
