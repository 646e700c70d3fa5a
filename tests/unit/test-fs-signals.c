/* Which signals of a caller end its wait. */
#include "fs/signals.h"

#include <signal.h>
#include <unistd.h>

#define BIT(number) (G_GUINT64_CONSTANT(1) << ((number)-1))

static bool ends(guint64 own, guint64 shared, guint64 blocked, guint64 ignored, guint64 caught,
                 bool any)
{
	g_autofree char *status = g_strdup_printf(
		"Name:\tcat\nSigQ:\t0/1\nSigPnd:\t%016" G_GINT64_MODIFIER
		"x\nShdPnd:\t%016" G_GINT64_MODIFIER "x\nSigBlk:\t%016" G_GINT64_MODIFIER
		"x\nSigIgn:\t%016" G_GINT64_MODIFIER "x\nSigCgt:\t%016" G_GINT64_MODIFIER
		"x\nCapInh:\t0\n",
		own, shared, blocked, ignored, caught);
	return fs_signals_end_wait(status, any);
}

static void test_fatal(void)
{
	g_assert_true(ends(BIT(SIGKILL), 0, 0, 0, 0, false));
	g_assert_true(ends(0, BIT(SIGINT), 0, 0, 0, false));
	g_assert_true(ends(0, BIT(SIGALRM), 0, 0, 0, false));
	g_assert_true(ends(0, BIT(SIGRTMAX), 0, 0, 0, false));
	/* Blocked or ignored it is not what woke the caller. */
	g_assert_false(ends(0, BIT(SIGINT), BIT(SIGINT), 0, 0, false));
	g_assert_false(ends(0, BIT(SIGHUP), 0, BIT(SIGHUP), 0, false));
	g_assert_true(ends(0, BIT(SIGHUP) | BIT(SIGTERM), 0, BIT(SIGHUP), 0, false));
}

static void test_caught(void)
{
	g_assert_true(ends(0, BIT(SIGINT), 0, 0, BIT(SIGINT), false));
	g_assert_true(ends(BIT(SIGTERM), 0, 0, 0, BIT(SIGTERM), false));
	g_assert_false(ends(0, BIT(SIGALRM), 0, 0, BIT(SIGALRM), false));
	g_assert_false(ends(BIT(SIGURG), 0, 0, 0, BIT(SIGURG), false));
	g_assert_true(ends(0, BIT(SIGALRM), 0, 0, BIT(SIGALRM), true));
}

static void test_harmless(void)
{
	g_assert_false(ends(0, 0, 0, 0, 0, true));
	g_assert_false(ends(0, BIT(SIGCHLD) | BIT(SIGWINCH) | BIT(SIGTSTP), 0, 0, 0, false));
}

static void test_unknown(void)
{
	g_assert_true(fs_signals_end_wait("", false));
	g_assert_true(fs_signals_end_wait("SigPnd:\t0\n", false));
	g_assert_true(fs_signals_pending(0, false));
	g_assert_false(fs_signals_pending(getpid(), false));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/fs/signals/fatal", test_fatal);
	g_test_add_func("/fs/signals/caught", test_caught);
	g_test_add_func("/fs/signals/harmless", test_harmless);
	g_test_add_func("/fs/signals/unknown", test_unknown);
	return g_test_run();
}
