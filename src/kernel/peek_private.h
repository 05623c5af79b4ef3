/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernel/btf.h"
#include "kernel/peek.h"

struct peek {
	int map, program;
	struct window *window;
	uint64_t task; /* struct task_struct of the thread that has opened it */
	struct btf *btf;
	uint64_t memory, pages; /* peek_page.c: where all memory and its struct pages begin */
	unsigned page_size;	/* of struct page */
};
