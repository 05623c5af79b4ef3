/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that userfaultfd(2) watches: for pages that are missing, and for what is written. */
#include "cr.h"

#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>

#define PAGE  4096
#define PAGES 2048 /* of which some would make a huge page */
#define DEEP  600

struct watched {
	int fd;
	char *mem;
	unsigned told; /* faults that were read */
};

static struct watched missing, shared, protected, remote;
static pthread_t waiter, served[3];

static bool watched_new(struct watched *w, int flags, uint64_t features, int sharing, uint64_t mode)
{
	struct uffdio_api api = {.api = UFFD_API, .features = features};
	struct uffdio_register g = {.mode = mode};

	w->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | flags);
	if (w->fd < 0 && errno == EPERM)
		w->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY | flags);
	if (w->fd < 0)
		return false;
	w->mem = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
	madvise(w->mem, PAGES * PAGE, MADV_HUGEPAGE);
	g.range.start = (uintptr_t)w->mem;
	g.range.len = PAGES * PAGE;
	check(ioctl(w->fd, UFFDIO_API, &api) == 0 && ioctl(w->fd, UFFDIO_REGISTER, &g) == 0,
	      "errno %d", errno);
	return true;
}

static void give(const struct watched *w, unsigned page, char fill)
{
	static char buf[PAGE];
	struct uffdio_copy c = {
		.dst = (uintptr_t)w->mem + page * PAGE, .src = (uintptr_t)buf, .len = PAGE};

	memset(buf, fill, sizeof(buf));
	check(ioctl(w->fd, UFFDIO_COPY, &c) == 0 || errno == EEXIST, "errno %d", errno);
}

static void protect(const struct watched *w, unsigned page, unsigned n, uint64_t mode)
{
	struct uffdio_writeprotect p = {.range = {(uintptr_t)w->mem + page * PAGE, n * PAGE},
					.mode = mode};

	check(ioctl(w->fd, UFFDIO_WRITEPROTECT, &p) == 0, "errno %d", errno);
}

/* Answers one fault, whatever it is. */
static unsigned answer(struct watched *w)
{
	struct uffd_msg m;
	unsigned page;

	check(poll(&(struct pollfd){.fd = w->fd, .events = POLLIN}, 1, -1) == 1);
	check(read(w->fd, &m, sizeof(m)) == sizeof(m), "errno %d", errno);
	check(m.event == UFFD_EVENT_PAGEFAULT, "event %d", m.event);
	page = (unsigned)((m.arg.pagefault.address - (uintptr_t)w->mem) / PAGE);
	w->told++;
	if (m.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP)
		protect(w, page, 1, 0);
	else
		give(w, page, (char)('A' + page));
	return page;
}

static void *touch(void *at)
{
	return (void *)(intptr_t) * (volatile char *)at;
}

static void *overwrite(void *at)
{
	*(volatile char *)at = 'w';
	return NULL;
}

static char touched(pthread_t t)
{
	void *got;

	check(pthread_join(t, &got) == 0);
	return (char)(intptr_t)got;
}

static bool has_fault(const struct watched *w)
{
	return poll(&(struct pollfd){.fd = w->fd, .events = POLLIN}, 1, 0) == 1;
}

/* Another process answers for us. */
static int serve(void)
{
	return answer(&remote) == 9 ? 0 : 1;
}

static void make(void)
{
	struct uffdio_zeropage zero = {.range = {0, PAGE}};

	give(&missing, 0, 'x');
	give(&missing, DEEP, 'z');
	zero.range.start = (uintptr_t)missing.mem + PAGE;
	check(ioctl(missing.fd, UFFDIO_ZEROPAGE, &zero) == 0, "errno %d", errno);
	give(&shared, 0, 'y');
	for (unsigned i = 0; i < 8; i++)
	protected.mem[i * PAGE] = (char)('a' + i);
	protect(&protected, 2, 3, UFFDIO_WRITEPROTECT_MODE_WP);
	/* it waits for a page now, which is given later */
	check(pthread_create(&waiter, NULL, touch, missing.mem + 5 * PAGE) == 0);
	check(poll(&(struct pollfd){.fd = missing.fd, .events = POLLIN}, 1, -1) == 1);
}

static void verify_missing(void)
{
	check(answer(&missing) == 5 && touched(waiter) == 'A' + 5);
	check(missing.mem[0] == 'x' && missing.mem[1 * PAGE] == 0 && !has_fault(&missing));
	check(pthread_create(&served[0], NULL, touch, missing.mem + 2 * PAGE) == 0);
	check(answer(&missing) == 2 && touched(served[0]) == 'A' + 2);
	check(missing.mem[DEEP * PAGE] == 'z' && !has_fault(&missing));
	check(pthread_create(&served[0], NULL, touch, missing.mem + (DEEP + 1) * PAGE) == 0);
	check(answer(&missing) == DEEP + 1 && touched(served[0]) == (char)('A' + DEEP + 1));
	check(shared.mem[0] == 'y' && !has_fault(&shared));
	check(pthread_create(&served[1], NULL, touch, shared.mem + 3 * PAGE) == 0);
	check(answer(&shared) == 3 && touched(served[1]) == 'A' + 3);
}

static void verify_protected(void)
{
	for (unsigned i = 0; i < 8; i++)
		check(protected.mem[i * PAGE] == (char)('a' + i), "page %u", i);
	protected.mem[1 * PAGE] = 'w';
	protected.mem[5 * PAGE] = 'w';
	check(!has_fault(&protected));
	check(pthread_create(&served[2], NULL, overwrite, protected.mem + 3 * PAGE) == 0);
	check(answer(&protected) == 3);
	touched(served[2]);
	check(protected.mem[3 * PAGE] == 'w');
}

int main(void)
{
	struct child c;
	pthread_t t;

	if (!watched_new(&missing, O_NONBLOCK, 0, MAP_PRIVATE, UFFDIO_REGISTER_MODE_MISSING))
		skip("the kernel has no userfaultfd, or forbids it");
	check(watched_new(&shared, O_NONBLOCK | UFFD_USER_MODE_ONLY, 0, MAP_SHARED,
			  UFFDIO_REGISTER_MODE_MISSING));
	check(watched_new(&protected, O_NONBLOCK, UFFD_FEATURE_PAGEFAULT_FLAG_WP, MAP_PRIVATE,
			  UFFDIO_REGISTER_MODE_WP));
	check(watched_new(&remote, O_NONBLOCK, 0, MAP_PRIVATE, UFFDIO_REGISTER_MODE_MISSING));
	c = child_start(NULL, serve);
	make();
	ready();
	verify_missing();
	verify_protected();
	check(pthread_create(&t, NULL, touch, remote.mem + 9 * PAGE) == 0);
	child_go(&c);
	check(touched(t) == 'A' + 9);
	return ok();
}
