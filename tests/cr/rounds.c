/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that changes between rounds of pre-dumps in every way: pages written, given back, moved
 * with their mapping to a place where others were in the round before, mappings that grow and
 * shrink, huge pages, copies of file pages, children, programs executed.  What there must be is
 * computed once more from the beginning.
 */
#include "cr.h"

#define P     4096
#define SLOTS 48
#define MAX   16 /* pages of a slot */
#define OPS   150
#define HUGE_ (UINT64_C(2) << 20)

struct model {
	uint32_t seed;
	struct {
		int pages; /* 0: not mapped */
		bool readonly;
		uint32_t v[MAX];
	} s[SLOTS];
	uint32_t huge[1024], shared[64], file[8];
};

static char *base, *huge, *shared, *file;

static uint32_t next(struct model *m)
{
	m->seed = m->seed * 1664525 + 1013904223;
	return m->seed >> 8;
}

static char *slot(int i)
{
	return base + (size_t)i * 2 * MAX * P;
}

static void put(char *page, uint32_t v)
{
	memcpy(page + 64, &v, 4);
	memcpy(page + P - 4, &v, 4);
}

static bool holds(const char *page, uint32_t v)
{
	uint32_t a, b;

	memcpy(&a, page + 64, 4);
	memcpy(&b, page + P - 4, 4);
	return a == v && b == v;
}

static void op_write(struct model *m, bool real, int i)
{
	int p = (int)(next(m) % MAX);
	uint32_t v = next(m);

	if (!m->s[i].pages || m->s[i].readonly)
		return;
	p %= m->s[i].pages;
	m->s[i].v[p] = v;
	if (real)
		put(slot(i) + p * P, v);
}

static void op_drop(struct model *m, bool real, int i)
{
	int p = (int)(next(m) % MAX);

	if (!m->s[i].pages)
		return;
	p %= m->s[i].pages;
	m->s[i].v[p] = 0;
	if (real)
		check(madvise(slot(i) + p * P, P, MADV_DONTNEED) == 0);
}

static void op_map(struct model *m, bool real, int i)
{
	int n = (int)(next(m) % MAX) + 1;

	if (m->s[i].pages) {
		if (real)
			check(munmap(slot(i), (size_t)m->s[i].pages * P) == 0);
		memset(&m->s[i], 0, sizeof(m->s[i]));
		if (n % 2)
			return;
	}
	m->s[i].pages = n;
	if (real)
		check(mmap(slot(i), (size_t)n * P, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
			   0) == (void *)slot(i));
}

static void op_move(struct model *m, bool real, int i)
{
	int to = (int)(next(m) % SLOTS);

	if (!m->s[i].pages || to == i)
		return;
	if (real)
		check(mremap(slot(i), (size_t)m->s[i].pages * P, (size_t)m->s[i].pages * P,
			     MREMAP_MAYMOVE | MREMAP_FIXED, slot(to)) == (void *)slot(to));
	/* whatever was there is gone, but only as far as the new one reaches */
	if (real && m->s[to].pages > m->s[i].pages)
		check(munmap(slot(to) + m->s[i].pages * P,
			     (size_t)(m->s[to].pages - m->s[i].pages) * P) == 0);
	m->s[to] = m->s[i];
	memset(&m->s[i], 0, sizeof(m->s[i]));
}

static void op_resize(struct model *m, bool real, int i)
{
	int n = (int)(next(m) % MAX) + 1;

	if (!m->s[i].pages)
		return;
	if (real)
		check(mremap(slot(i), (size_t)m->s[i].pages * P, (size_t)n * P, 0) ==
		      (void *)slot(i));
	for (int p = n; p < m->s[i].pages; p++)
		m->s[i].v[p] = 0;
	m->s[i].pages = n;
}

static void op_protect(struct model *m, bool real, int i)
{
	if (!m->s[i].pages)
		return;
	m->s[i].readonly = !m->s[i].readonly;
	if (real)
		check(mprotect(slot(i), (size_t)m->s[i].pages * P,
			       m->s[i].readonly ? PROT_READ : PROT_READ | PROT_WRITE) == 0);
}

static void op_huge(struct model *m, bool real, int i)
{
	uint32_t p = next(m) % 1024, v = next(m);

	m->huge[p] = v;
	if (real)
		put(huge + (size_t)p * P, v);
}

static void op_shared(struct model *m, bool real, int i)
{
	uint32_t p = next(m) % 64, v = next(m);

	m->shared[p] = v;
	if (real)
		put(shared + (size_t)p * P, v);
}

static void op_file(struct model *m, bool real, int i)
{
	uint32_t p = next(m) % 8, v = next(m);

	m->file[p] = v % 3 ? v : 0; /* 0: the file's page again */
	if (!real)
		return;
	if (v % 3)
		put(file + (size_t)p * P, v);
	else
		check(madvise(file + (size_t)p * P, P, MADV_DONTNEED) == 0);
	if (v % 5 == 0)
		(void)*(volatile char *)(file + (size_t)p * P);
}

static void play(struct model *m, bool real)
{
	static void (*const ops[])(struct model *, bool, int) = {
		op_write, op_write, op_write,  op_write,  op_write,  op_drop,
		op_map,	  op_map,   op_resize, op_move,	  op_resize, op_protect,
		op_huge,  op_huge,  op_shared, op_shared, op_file,   op_file,
	};

	for (int i = 0; i < OPS; i++) {
		uint32_t op = next(m) % ARRAY_SIZE(ops);
		int s = (int)(next(m) % SLOTS);

		ops[op](m, real, s);
	}
}

#define FILE_VALUE 0x66696c65u

static int verify(const struct model *m, bool with_shared)
{
	for (int i = 0; i < SLOTS; i++)
		for (int p = 0; p < m->s[i].pages; p++)
			if (!holds(slot(i) + p * P, m->s[i].v[p]))
				return 1 + i;
	for (int p = 0; p < 1024; p++)
		if (!holds(huge + (size_t)p * P, m->huge[p]))
			return 100;
	for (int p = 0; with_shared && p < 64; p++)
		if (!holds(shared + (size_t)p * P, m->shared[p]))
			return 101;
	for (int p = 0; p < 8; p++)
		if (!holds(file + (size_t)p * P, m->file[p] ? m->file[p] : FILE_VALUE))
			return 102;
	return 0;
}

static void replay(struct model *m, int rounds)
{
	memset(m, 0, sizeof(*m));
	m->seed = 12345;
	while (rounds-- > 0)
		play(m, false);
}

/* A child goes its own way from where it was born. */
static int born_at;

static int child_verify(void)
{
	static struct model m;

	replay(&m, born_at);
	if (m.s[0].pages && !m.s[0].readonly) {
		m.s[0].v[0] = 0xc0de;
	}
	return verify(&m, false);
}

static int child_make(void)
{
	static struct model m;

	replay(&m, born_at);
	if (m.s[0].pages && !m.s[0].readonly)
		put(slot(0), 0xc0de);
	return 0;
}

/* Another program in the place of the one that was followed. */
static int executed(void)
{
	char *p = mmap(NULL, 8 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char b;

	for (int i = 0; i < 8; i++)
		put(p + (size_t)i * P, 77 + (uint32_t)i);
	if (write(4, "r", 1) != 1 || read(3, &b, 1) != 1)
		return 3;
	for (int i = 0; i < 8; i++)
		if (!holds(p + (size_t)i * P, 77 + (uint32_t)i))
			return 4;
	return 0;
}

static int to_exec[2], from_exec[2];

static pid_t start_waiting(void)
{
	pid_t pid = fork();
	char b;

	if (pid == 0) {
		if (read(to_exec[0], &b, 1) != 1) /* then it executes the program */
			_exit(9);
		dup2(to_exec[0], 203);
		dup2(from_exec[1], 204);
		dup2(203, 3);
		dup2(204, 4);
		execl("/proc/self/exe", "rounds", "child", NULL);
		_exit(8);
	}
	return pid;
}

static void make_all(void)
{
	char name[] = "/tmp/cr-rounds-XXXXXX";
	int fd = mkstemp(name);
	char page[P] = {0};

	check(fd >= 0);
	unlink(name);
	put(page, FILE_VALUE);
	for (int i = 0; i < 8; i++)
		check(write(fd, page, P) == P);
	file = mmap(NULL, 8 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	base = mmap((void *)0x300000000000, SLOTS * 2 * MAX * P, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	check(base != MAP_FAILED && file != MAP_FAILED);
	munmap(base, SLOTS * 2 * MAX * P);
	huge = mmap((void *)0x310000000000, 2 * HUGE_, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	check(huge != MAP_FAILED);
	madvise(huge, 2 * HUGE_, MADV_HUGEPAGE);
	shared = mmap(NULL, 64 * P, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(shared != MAP_FAILED);
}

int main(int argc, char **argv)
{
	static struct model m, again;
	struct child child = {0};
	int round = 0, status;
	char b = 'r';
	pid_t other;

	if (argc > 1)
		return executed();
	check(pipe(to_exec) == 0 && pipe(from_exec) == 0);
	make_all();
	m.seed = 12345;
	other = start_waiting();
	for (; b == 'r'; round++) {
		play(&m, true);
		if (round == 1) {
			born_at = round + 1;
			child = child_start(child_make, child_verify);
			check(write(to_exec[1], "x", 1) == 1);
			check(read(from_exec[0], &b, 1) == 1);
		}
		say("ready\n");
		check(read(0, &b, 1) == 1, "errno %d", errno);
	}
	replay(&again, round);
	check(memcmp(&again, &m, sizeof(m)) == 0, "the model itself");
	status = verify(&again, true);
	check(status == 0, "where: %d after %d rounds", status, round);
	play(&again, true);
	check(verify(&again, true) == 0, "after the restore");
	if (child.pid)
		child_go(&child);
	if (round > 1) {
		check(write(to_exec[1], "g", 1) == 1);
		check(waitpid(other, &status, 0) == other);
		check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "executed: %#x", status);
	}
	return ok();
}
