/* SPDX-License-Identifier: Apache-2.0 */
#include "cr/lazy_segs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define P IMAGE_PAGE_SIZE

static GArray *make(void)
{
	GArray *a = segs_new();

	segs_add(a, &(struct seg){.at = 20 * P, .end = 30 * P, .orig = 20 * P, .fd = 4});
	segs_add(a, &(struct seg){.at = 0, .end = 10 * P, .orig = 0, .fd = 3, .offset = 5 * P});
	return a;
}

static void is(const GArray *a, unsigned i, uint64_t at, uint64_t end, uint64_t orig,
	       uint64_t offset)
{
	const struct seg *s = &g_array_index(a, struct seg, i);

	assert_true(i < a->len);
	assert_int_equal(s->at, at * P);
	assert_int_equal(s->end, end * P);
	assert_int_equal(s->orig, orig * P);
	assert_int_equal(s->offset, offset * P);
}

static void test_find(void **state)
{
	g_autoptr(GArray) a = make();

	assert_int_equal(segs_find(a, 9 * P)->fd, 3);
	assert_null(segs_find(a, 10 * P));
	assert_int_equal(segs_find(a, 20 * P)->fd, 4);
	assert_null(segs_find(a, 30 * P));
}

static void test_remove(void **state)
{
	g_autoptr(GArray) a = make();

	segs_remove(a, 3 * P, 5 * P);
	is(a, 0, 0, 3, 0, 5);
	is(a, 1, 5, 10, 5, 10);
	segs_remove(a, 8 * P, 25 * P);
	is(a, 1, 5, 8, 5, 10);
	is(a, 2, 25, 30, 25, 5);
	segs_remove(a, 0, 100 * P);
	assert_int_equal(a->len, 0);
}

/* mremap(2): to a place where others were. */
static void test_move(void **state)
{
	g_autoptr(GArray) a = make();

	segs_move(a, 2 * P, 22 * P, 4 * P);
	is(a, 0, 0, 2, 0, 5);
	is(a, 1, 6, 10, 6, 11);
	is(a, 2, 20, 22, 20, 0);
	is(a, 3, 22, 26, 2, 7);
	is(a, 4, 26, 30, 26, 6);
	assert_int_equal(a->len, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_remove),
		cmocka_unit_test(test_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
