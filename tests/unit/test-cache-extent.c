/* test-cache-extent.c - the set of ranges, against a plain bitmap. */
#include <string.h>

#include "cache/extent.h"

#define SIZE 200

static void assert_same(const CacheExtents *extents, const bool *map)
{
	guint64 last = 0;
	for (guint i = 0; i < cache_extents_count(extents); i++) {
		CacheExtent e = cache_extents_get(extents, i);
		g_assert_cmpuint(e.start, <, e.end);
		/* Sorted, disjoint, and never two where one would do. */
		g_assert_true(i == 0 || e.start > last);
		last = e.end;
	}
	for (guint64 i = 0; i < SIZE; i++)
		g_assert_cmpint(cache_extents_contain(extents, i, i + 1), ==, map[i]);
}

static void test_random(void)
{
	CacheExtents extents;
	bool map[SIZE] = {false};
	cache_extents_init(&extents);
	for (int round = 0; round < 20000; round++) {
		guint64 start = g_test_rand_int_range(0, SIZE);
		guint64 length = g_test_rand_int_range(0, 30);
		guint64 end = MIN(start + length, SIZE);
		bool add = g_test_rand_bit();
		(add ? cache_extents_add : cache_extents_remove)(&extents, start, end);
		for (guint64 i = start; i < end; i++)
			map[i] = add;
		assert_same(&extents, map);
	}
	cache_extents_clear(&extents);
}

static void test_gap(void)
{
	CacheExtents extents;
	guint64 start, end;
	cache_extents_init(&extents);
	g_assert_true(cache_extents_gap(&extents, 3, 9, &start, &end));
	g_assert_cmpuint(start, ==, 3);
	g_assert_cmpuint(end, ==, 9);
	cache_extents_add(&extents, 0, 10);
	cache_extents_add(&extents, 20, 30);
	g_assert_true(cache_extents_gap(&extents, 5, 25, &start, &end));
	g_assert_cmpuint(start, ==, 10);
	g_assert_cmpuint(end, ==, 20);
	g_assert_true(cache_extents_gap(&extents, 5, 15, &start, &end));
	g_assert_cmpuint(end, ==, 15);
	g_assert_false(cache_extents_gap(&extents, 20, 30, &start, &end));
	g_assert_false(cache_extents_gap(&extents, 7, 7, &start, &end));
	g_assert_true(cache_extents_contain(&extents, 40, 40));
	cache_extents_clear(&extents);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/extent/random", test_random);
	g_test_add_func("/extent/gap", test_gap);
	return g_test_run();
}
