/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
/* cmocka wants the above first */
#include <cmocka.h>

#define BYTES  ((size_t)4 << 20)
#define PIECE  (BYTES / 64)
#define PAGES  (BYTES / 4096)
#define PIECES 60

static long faults(void)
{
	struct rusage u;

	assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
	return u.ru_minflt;
}

static void use(void *v[static PIECES])
{
	for (unsigned i = 0; i < PIECES; i++) {
		v[i] = malloc(PIECE);
		assert_non_null(v[i]);
		explicit_bzero(v[i], PIECE);
	}
}

static void what_was_prepared_takes_no_fault(void **state)
{
	void *v[PIECES];
	long before;

	(void)state;
	heap_prepare(BYTES);
	before = faults();
	use(v);
	for (unsigned i = 0; i < PIECES; i++)
		free(v[i]);
	use(v); /* freed, and kept */
	assert_true(faults() - before < (long)PAGES / 8);
	for (unsigned i = 0; i < PIECES; i++)
		free(v[i]);
}

static void too_much_is_not_made(void **state)
{
	long before = faults();

	(void)state;
	heap_prepare((size_t)1 << 40);
	assert_true(faults() - before <= (32 << 20) / 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_prepared_takes_no_fault),
		cmocka_unit_test(too_much_is_not_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
