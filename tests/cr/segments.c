/* SPDX-License-Identifier: Apache-2.0 */
/* Segments of its own: of the address space (modify_ldt(2)) and of each thread
 * (set_thread_area(2)). */
#include "cr.h"

#include <asm/ldt.h>
#include <pthread.h>
#include <setjmp.h>

#define BASE UINT64_C(0x20000000)
#define PAGE 4096
#define NR32_SET                                                                                   \
	243 /* set_thread_area(2) and get_thread_area(2) are calls of 32-bit programs only */
#define NR32_GET 244
#define ALL	 (LDT_ENTRIES * LDT_ENTRY_SIZE)

static const struct user_desc table[] = {
	{.entry_number = 0, .base_addr = BASE, .limit = 0xfff, .seg_32bit = 1},
	{.entry_number = 5,
	 .base_addr = BASE + PAGE,
	 .limit = 0xabcde,
	 .useable = 1,
	 .limit_in_pages = 1},
	{.entry_number = 7, .contents = 2, .limit = 5, .read_exec_only = 1, .seg_32bit = 1},
	{.entry_number = 9, .contents = 3, .limit = 5, .seg_not_present = 1},
	{.entry_number = 1000, .base_addr = 0xfedcb000, .contents = 1, .limit = 1},
};
static struct user_desc *low; /* where a 32-bit call finds it */
static pthread_barrier_t barrier;
static sigjmp_buf no_calls;
static char *before;

static void not_here(int sig)
{
	siglongjmp(no_calls, 1);
}

static int call32(int nr, struct user_desc *u)
{
	int r;

	*low = *u;
	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(nr), "b"(low)
			 : "memory", "r8", "r9", "r10", "r11");
	*u = *low;
	return r;
}

/* The byte at OFFSET of what gs means. */
static char through_gs(uint64_t offset)
{
	char c;

	__asm__ volatile("movb %%gs:(%1), %0" : "=q"(c) : "r"(offset));
	return c;
}

static void set_gs(unsigned short selector)
{
	__asm__ volatile("mov %0, %%gs" ::"r"(selector));
}

static unsigned short get_gs(void)
{
	unsigned short s;

	__asm__ volatile("mov %%gs, %0" : "=r"(s));
	return s;
}

static int make_tls(uint64_t base)
{
	struct user_desc u = {.entry_number = -1u,
			      .base_addr = (unsigned)base,
			      .limit = 0xfffff,
			      .seg_32bit = 1,
			      .limit_in_pages = 1,
			      .useable = 1};
	int r = call32(NR32_SET, &u);

	check(r == 0, "%d", r);
	return (int)u.entry_number;
}

static void verify_tls(int number, uint64_t base)
{
	struct user_desc u = {.entry_number = (unsigned)number};

	check(call32(NR32_GET, &u) == 0);
	check(u.base_addr == base && u.limit == 0xfffff && u.limit_in_pages && u.useable,
	      "%#x, %#x", u.base_addr, u.limit);
}

/* Its gs is a segment of its own, as a thread of a 32-bit program has it. */
static void *run(void *arg)
{
	int second, first = make_tls(BASE + 3 * PAGE);

	second = make_tls(BASE);
	check(second == first + 1, "%d, %d", first, second);
	set_gs((unsigned short)(first << 3 | 3));
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	check(get_gs() == (first << 3 | 3) && through_gs(4) == 'd', "%#x", get_gs());
	set_gs(0);
	verify_tls(first, BASE + 3 * PAGE);
	verify_tls(second, BASE);
	return NULL;
}

static char *read_table(void)
{
	char *all = malloc(ALL);

	check(syscall(SYS_modify_ldt, 0, all, ALL) == ALL, "errno %d", errno);
	return all;
}

static int same_table(void)
{
	return memcmp(read_table(), before, ALL) ? 1 : 0;
}

int main(void)
{
	char *mem = mmap((void *)BASE, 8 * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	struct child c;
	pthread_t t;
	int mine;

	check(mem == (void *)BASE, "errno %d", errno);
	for (int i = 0; i < 4; i++)
		mem[i * PAGE + 4] = (char)('a' + i);
	low = (void *)(mem + 7 * PAGE);
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
		if (syscall(SYS_modify_ldt, 0x11, &table[i], sizeof(table[i])) != 0)
			skip("the kernel has no modify_ldt(2)");
	before = read_table();
	c = child_start(NULL, same_table);
	signal(SIGSEGV, not_here);
	if (sigsetjmp(no_calls, 1))
		skip("the kernel has no calls of 32-bit programs");
	mine = make_tls(BASE + 2 * PAGE);
	signal(SIGSEGV, SIG_DFL);
	check(pthread_barrier_init(&barrier, NULL, 2) == 0 &&
	      pthread_create(&t, NULL, run, NULL) == 0);
	pthread_barrier_wait(&barrier);
	set_gs(5 << 3 | 7); /* of the table */
	ready();
	check(get_gs() == (5 << 3 | 7) && through_gs(4) == 'b', "%#x", get_gs());
	check(same_table() == 0);
	set_gs((unsigned short)(mine << 3 | 3));
	check(through_gs(4) == 'c');
	set_gs(0);
	verify_tls(mine, BASE + 2 * PAGE);
	pthread_barrier_wait(&barrier);
	check(pthread_join(t, NULL) == 0);
	child_go(&c);
	return ok();
}
