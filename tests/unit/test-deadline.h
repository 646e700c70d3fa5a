/* test-deadline.h - a wait that does not end fails, and says where: who is killed by the program
 * that runs the tests says nothing. */
#pragma once

#include <glib.h>

/* Monotonic us; longer than anything takes that a test waits for. */
static inline gint64 test_deadline(void)
{
	return g_get_monotonic_time() + 90 * G_USEC_PER_SEC;
}
