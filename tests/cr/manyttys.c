/* SPDX-License-Identifier: Apache-2.0 */
/*
 * More terminals than a shell has, whose descriptors are not in the order of their numbers, with
 * numbers left out and some that only a hung-up slave remembers: each is the one that it was.
 */
#include "cr.h"

#include <sys/ioctl.h>

#define PAIRS 40
#define FIRST 200 /* the descriptor of the first pair's master; its slave is the next one */

static unsigned numbers[PAIRS];

static bool left_out(int i)
{
	return i % 7 == 3;
}

static bool hung(int i)
{
	return i % 7 == 5;
}

static int master_of(int i)
{
	return FIRST + 2 * (i * 17 % PAIRS); /* 17 and 40 have no common divisor */
}

static void echoes(int i)
{
	char c = 0;
	unsigned n;

	check(ioctl(master_of(i), TIOCGPTN, &n) == 0 && n == numbers[i],
	      "pair %d: number %u, not %u", i, n, numbers[i]);
	check(write(master_of(i) + 1, "x", 1) == 1 && read(master_of(i), &c, 1) == 1 && c == 'x',
	      "pair %d", i);
}

int main(void)
{
	char c;

	for (int i = 0; i < PAIRS; i++) {
		int m = posix_openpt(O_RDWR | O_NOCTTY), s;

		check(m >= 0 && unlockpt(m) == 0 && ioctl(m, TIOCGPTN, &numbers[i]) == 0);
		s = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY);
		check(s >= 0 && dup2(m, master_of(i)) >= 0 && dup2(s, master_of(i) + 1) >= 0);
		close(m);
		close(s);
	}
	for (int i = 0; i < PAIRS; i++) {
		if (left_out(i) || hung(i))
			close(master_of(i));
		if (left_out(i))
			close(master_of(i) + 1);
	}
	ready();
	for (int i = 0; i < PAIRS; i++)
		if (hung(i))
			check(read(master_of(i) + 1, &c, 1) == 0, "pair %d", i);
		else if (!left_out(i))
			echoes(i);
	return ok();
}
