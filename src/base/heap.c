/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/*
 * Larger ones are mapped on their own and given back by free(3), and so is what is free at the
 * heap's end: malloc/malloc.c: DEFAULT_MMAP_THRESHOLD_MAX.
 */
#define THRESHOLD ((size_t)32 << 20)
#define REST	  ((size_t)64 << 10) /* of the allocator's own */

void heap_prepare(size_t bytes)
{
	void *p;

	/* for all threads: other heaps would begin with new memory */
	if (!mallopt(M_ARENA_MAX, 1) || !mallopt(M_MMAP_THRESHOLD, (int)THRESHOLD) ||
	    !mallopt(M_TRIM_THRESHOLD, 2 * THRESHOLD))
		return;
	bytes = MIN(bytes, THRESHOLD - REST);
	p = malloc(bytes);
	if (!p)
		return;
	explicit_bzero(p, bytes); /* one that is not left out */
	free(p);
}
