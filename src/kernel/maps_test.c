/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/kernel_test.h"
#include "kernel/maps.h"
#include "kernel/pagemap.h"
#include "kernel/proc.h"

#include <sys/prctl.h>

#define PAGES 64
#define PAGE  4096u

static void captured(void **state)
{
	CLEANUP_FIXTURE int dir = fixture(
		"maps", "00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/dbus-daemon\n"
			"00e03000-00e24000 rw-p 00000000 00:00 0           [heap]\n"
			"35b1a21000-35b1a22000 rw-s 00020000 fe:100 13 /a b\\012c (deleted)\n"
			"7f0000000000-7f0000001000 ---p 00000000 00:00 0 \n"
			"7f0000001000-7f0000002000 rw-p 00000000 00:00 0   [anon:stack of it]\n"
			"7fffb2c0d000-7fffb2c2e000 rw-p 00000000 00:00 0   [stack]\n"
			"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n");
	CLEANUP(maps_clear) struct maps m = {0};

	assert_ok(maps_read(dir, &m));
	assert_int_equal(m.n, 7);
	assert_int_equal(m.v[0].prot, PROT_READ | PROT_EXEC);
	assert_int_equal(m.v[0].ino, 173521);
	assert_int_equal(m.v[0].major, 8);
	assert_string_equal(m.v[0].name, "/usr/bin/dbus-daemon");
	assert_int_equal(m.v[1].special, VMA_HEAP);
	assert_string_equal(m.v[2].name, "/a b\nc");
	assert_true(m.v[2].deleted && m.v[2].shared);
	assert_int_equal(m.v[2].offset, 0x20000);
	assert_int_equal(m.v[2].minor, 0x100);
	assert_string_equal(m.v[3].name, "");
	assert_int_equal(m.v[3].prot, PROT_NONE);
	assert_int_equal(m.v[4].special, VMA_ANON_NAMED);
	assert_int_equal(m.v[5].special, VMA_STACK);
	assert_int_equal(m.v[6].special, VMA_VSYSCALL);
	assert_ptr_equal(maps_find(&m, 0x451fff), &m.v[0]);
	assert_null(maps_find(&m, 0x452000));
	assert_ptr_equal(maps_find(&m, 0xffffffffff600000), &m.v[6]);
}

/* As it is told of a process whose mappings become one meanwhile. */
static void told_twice(void **state)
{
	CLEANUP_FIXTURE int dir = fixture("maps", "10000-20000 r--p 00001000 08:02 1 /x\n"
						  "18000-30000 r--p 00009000 08:02 1 /x\n"
						  "28000-30000 rw-p 00000000 00:00 0 \n"
						  "2f000-31000 rw-p 00000000 00:00 0 \n");
	CLEANUP(maps_clear) struct maps m = {0};

	assert_ok(maps_read(dir, &m));
	assert_int_equal(m.n, 3);
	assert_int_equal(m.v[1].start, 0x20000);
	assert_int_equal(m.v[1].end, 0x30000);
	assert_int_equal(m.v[1].offset, 0x11000);
	assert_int_equal(m.v[2].start, 0x30000);
	assert_int_equal(m.v[2].offset, 0);
}

static void captured_smaps(void **state)
{
	CLEANUP_FIXTURE int dir = fixture(
		"smaps", "00400000-00452000 r-xp 00000000 08:02 1 /x\nSize:  4 kB\n"
			 "KernelPageSize:     2048 kB\nVmFlags: rd ex mr mw me ht sd \n"
			 "00500000-00501000 rw-p 00000000 00:00 0 \nVmFlags: rd wr xx gu\n");
	CLEANUP(maps_clear) struct maps m = {0};

	assert_ok(maps_read_vmflags(dir, &m));
	assert_int_equal(m.n, 2);
	assert_int_equal(m.v[0].page_bytes, 2 << 20);
	assert_true(m.v[0].vmflags ==
		    (VMF(RD) | VMF(EX) | VMF(MR) | VMF(MW) | VMF(ME) | VMF(HT) | VMF(SD)));
	assert_true(m.v[1].vmflags == (VMF(RD) | VMF(WR) | VMF(GU)));
}

static void broken(void **state)
{
	CLEANUP_FIXTURE int dir = fixture("maps", "00500000-00400000 rw-p 00000000 00:00 0 \n");
	CLEANUP_FIXTURE int other = fixture("maps", "nonsense\n");
	CLEANUP(maps_clear) struct maps m = {0};

	assert_int_equal(maps_read(dir, &m), -EBADMSG);
	assert_int_equal(maps_read(other, &m), -EBADMSG);
}

static char *area;

/* Pages 0-2 written, 4 read only, 8-9 written then protected, everything else untouched. */
static void touch(void *arg)
{
	memset(area, 1, 3 * PAGE);
	(void)*(volatile char *)(area + 4 * PAGE);
	memset(area + 8 * PAGE, 2, 2 * PAGE);
	mprotect(area + 9 * PAGE, PAGE, PROT_NONE);
	madvise(area + 20 * PAGE, PAGE, MADV_DONTFORK);
}

static void own_maps_and_flags(void **state)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	CLEANUP(maps_clear) struct maps m = {0}, s = {0};
	const struct vma *v;
	bool stack = false, vdso = false;

	CLEANUP_CHILD struct child c = child_start(touch, NULL);

	assert_ok(proc_open(c.pid, &p));
	assert_ok(maps_read(p.dir, &m));
	assert_ok(maps_read_vmflags(p.dir, &s));
	assert_int_equal(m.n, s.n);
	for (size_t i = 0; i < s.n; i++) {
		assert_int_equal(m.v[i].start, s.v[i].start);
		assert_string_equal(m.v[i].name, s.v[i].name);
		stack |= s.v[i].special == VMA_STACK && s.v[i].vmflags & VMF(GD);
		vdso |= s.v[i].special == VMA_VDSO;
	}
	assert_true(stack && vdso);
	v = maps_find(&s, (uintptr_t)area + 20 * PAGE);
	assert_non_null(v);
	assert_true(v->vmflags & VMF(DC));
	assert_int_equal(vma_len(v), PAGE);
	v = maps_find(&s, (uintptr_t)area + 9 * PAGE);
	assert_int_equal(v->prot, PROT_NONE);
	v = maps_find(&s, (uintptr_t)captured);
	if (geteuid() == 0) {
		autoclose int fd = -1;
		struct stat st;

		assert_ok(vma_open(p.dir, v, O_RDONLY, &fd));
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_ino, v->ino);
	}
}

static void expect(struct pagemap *pm, const struct page_filter *f, const unsigned *pages)
{
	struct page_run run;
	unsigned i;
	int r;

	pagemap_begin(pm, (uintptr_t)area, (uintptr_t)area + PAGES * PAGE, f);
	for (i = 0; (r = pagemap_next(pm, &run)) > 0; i += 2) {
		assert_int_equal((run.start - (uintptr_t)area) / PAGE, pages[i]);
		assert_int_equal((run.end - (uintptr_t)area) / PAGE, pages[i + 1]);
	}
	assert_ok(r);
	assert_int_equal(pages[i], 99);
}

static void both_ways_agree(void **state)
{
	static const unsigned private[] = {0, 3, 8, 10, 99};
	static const unsigned zero[] = {4, 5, 99};
	static const struct page_filter is_zero = {.all = PAGE_PFNZERO};
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	CLEANUP(pagemap_close) struct pagemap pm = PAGEMAP_NONE;
	CLEANUP_CHILD struct child c = child_start(touch, NULL);

	if (geteuid() != 0)
		skip(); /* frame numbers, without which there is no telling of zero pages */
	assert_ok(proc_open(c.pid, &p));
	assert_ok(pagemap_open(&pm, p.dir));
	if (pm.scan) {
		expect(&pm, &PAGES_PRIVATE, private);
		expect(&pm, &is_zero, zero);
	}
	pagemap_force_read(&pm);
	expect(&pm, &PAGES_PRIVATE, private);
	expect(&pm, &is_zero, zero);
}

/* More runs than a buffer holds, and runs longer than a buffer's reach. */
static void many_runs(void **state)
{
	const size_t pages = 10000;
	char *many = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CLEANUP(pagemap_close) struct pagemap pm = PAGEMAP_NONE;
	autoclose int self = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(many != MAP_FAILED);
	madvise(many, pages * PAGE, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < 4000; i += 2)
		many[i * PAGE] = 1;
	for (size_t i = 4001; i < pages; i++)
		many[i * PAGE] = 1;
	assert_ok(pagemap_open(&pm, self));
	for (int way = 0; way < 2; way++) {
		uint64_t found = 0, runs = 0, last = 0;
		struct page_run run;
		int r;

		pagemap_begin(&pm, (uintptr_t)many, (uintptr_t)many + pages * PAGE, &PAGES_PRIVATE);
		while ((r = pagemap_next(&pm, &run)) > 0) {
			assert_true(run.start >= last && run.end > run.start);
			last = run.end;
			found += (run.end - run.start) / PAGE;
			runs++;
		}
		assert_ok(r);
		assert_int_equal(found, 2000 + pages - 4001);
		assert_int_equal(runs, 2001);
		pagemap_force_read(&pm);
	}
	munmap(many, pages * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(captured),	      cmocka_unit_test(captured_smaps),
		cmocka_unit_test(told_twice),	      cmocka_unit_test(broken),
		cmocka_unit_test(own_maps_and_flags), cmocka_unit_test(both_ways_agree),
		cmocka_unit_test(many_runs),
	};

	area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	madvise(area, PAGES * PAGE, MADV_NOHUGEPAGE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
