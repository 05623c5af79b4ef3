/* SPDX-License-Identifier: Apache-2.0 */
/* The main stack goes on growing downward. */
#include "cr.h"

static int deep(int n)
{
	volatile char frame[4096];

	frame[0] = (char)n;
	return n ? deep(n - 1) + frame[0] * 0 : 1;
}

int main(void)
{
	char page[8192];

	memset(page, 's', sizeof(page));
	ready();
	for (size_t i = 0; i < sizeof(page); i++)
		check(page[i] == 's');
	check(deep(1000) == 1);
	return ok();
}
