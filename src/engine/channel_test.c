/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/channel.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct ends {
	int here[2], there[2]; /* pipes: to us, from us */
	struct channel *a, *b;
};

static void make(struct ends *e)
{
	assert_int_equal(pipe2(e->here, O_CLOEXEC), 0);
	assert_int_equal(pipe2(e->there, O_CLOEXEC), 0);
	e->a = channel_new(e->here[0], e->there[1]);
	e->b = channel_new(e->there[0], e->here[1]);
}

static void end(struct ends *e)
{
	channel_free(&e->a);
	channel_free(&e->b);
	for (int i = 0; i < 2; i++) {
		cleanup_close(&e->here[i]);
		cleanup_close(&e->there[i]);
	}
}

static void test_pieces(void **state)
{
	static char big[300000], back[sizeof(big)];
	const struct iovec v[] = {{(void *)"abc", 3}, {(void *)"", 0}, {big, sizeof(big)}};
	struct ends e;
	json_t *j;
	size_t len;

	make(&e);
	memset(big, 'x', sizeof(big));
	assert_int_equal(channel_put(e.a, v, 2), 0);
	assert_int_equal(channel_put(e.a, v + 2, 1), 0);
	assert_int_equal(channel_put_end(e.a), 0);
	assert_int_equal(channel_say(e.a, json_pack("{si}", "n", 7)), 0);
	assert_int_equal(channel_take(e.b, back, sizeof(back), &len), 1);
	assert_int_equal(len, 3);
	assert_memory_equal(back, "abc", 3);
	assert_int_equal(channel_take(e.b, back, sizeof(back), &len), 1);
	assert_int_equal(len, sizeof(big));
	assert_memory_equal(back, big, sizeof(big));
	assert_int_equal(channel_take(e.b, back, sizeof(back), &len), 0);
	assert_int_equal(channel_hear(e.b, &j), 0);
	assert_int_equal(json_integer_value(json_object_get(j, "n")), 7);
	json_decref(j);
	end(&e);
}

/* A piece that is larger than there is room for, and nonsense. */
static void test_nonsense(void **state)
{
	struct iovec v = {(void *)"abcdefgh", 8};
	struct ends e;
	char back[4];
	size_t len;

	make(&e);
	assert_int_equal(channel_put(e.a, &v, 1), 0);
	assert_int_equal(channel_take(e.b, back, sizeof(back), &len), -EBADMSG);
	end(&e);
	make(&e);
	assert_int_equal(write(e.there[1], "QQQQQQQQ", 8), 8);
	assert_int_equal(channel_take(e.b, back, sizeof(back), &len), -EBADMSG);
	end(&e);
}

/* Nobody says anything, nobody takes anything; the other side is gone; it has complained. */
static void test_patience(void **state)
{
	static char big[CHANNEL_PIECE_MAX];
	const struct iovec v = {big, sizeof(big)};
	struct ends e;
	json_t *j = NULL;
	int r = 0;

	make(&e);
	channel_patience(e.a, 0, true);
	assert_int_equal(channel_hear(e.a, &j), -ETIMEDOUT);
	for (int i = 0; r == 0 && i < 8; i++)
		r = channel_put(e.a, &v, 1);
	assert_int_equal(r, -ETIMEDOUT);
	end(&e);
	make(&e);
	assert_false(channel_was_refused(e.a));
	r = err_set(ENOSPC, "no room");
	channel_complain(e.b, r);
	assert_int_equal(channel_hear(e.a, &j), -ENOSPC);
	assert_string_equal(err_message(), "there: no room");
	assert_true(channel_was_refused(e.a));
	close(e.here[1]);
	e.here[1] = -1;
	assert_int_equal(channel_hear(e.a, &j), -EPIPE);
	end(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_patience),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
