/* SPDX-License-Identifier: Apache-2.0 */
/* System calls without a C library, for code that runs inside other processes. */
#pragma once

#include <asm/unistd.h>
#include <stdint.h>

static inline int64_t raw_syscall6(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
				   uint64_t e, uint64_t f)
{
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;
	register uint64_t r9 __asm__("r9") = f;
	int64_t ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

#define raw_syscall_(nr, a, b, c, d, e, f, ...)                                                    \
	raw_syscall6(nr, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d),               \
		     (uint64_t)(e), (uint64_t)(f))
/* raw_syscall(__NR_close, fd): up to six arguments; -errno as it comes. */
#define raw_syscall(nr, ...) raw_syscall_(nr, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
