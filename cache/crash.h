/* cache/crash.h - named places at which a test kills the process.
 *
 * In a build with -Dcrash_points=true the environment variable GSSFS_CRASH says what is to happen:
 *
 *   NAME[:N]    the N-th pass (the first) of the point NAME is the process's end, by SIGKILL
 *   *[:N]       the N-th pass of any point is
 *   list:FILE   each pass is noted in FILE, one line "NAME N", before the process goes on
 *
 * In all other builds a point is nothing at all. A point stands between two steps of which a crash
 * may leave the one without the other; its name is "room.step", and says what has just been done.
 * Any thread, any lock held. tests/crash/ tries them all.
 */
#pragma once

#ifdef GSSFS_CRASH_POINTS
void cache_crash_point(const char *name);
#define CACHE_CRASH_POINT(name) cache_crash_point(name)
#else
#define CACHE_CRASH_POINT(name) ((void)0)
#endif
