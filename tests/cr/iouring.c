/* SPDX-License-Identifier: Apache-2.0 */
/* Rings of io_uring in which nothing is under way. */
#include "uring.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/epoll.h>

#define DEEP                                                                                       \
	70001 /* more requests than any ring has places, and not a multiple of their number        \
	       */

/* Every shape, after as many requests. */
static const struct shape {
	unsigned n, flags, cq;
	bool needed;
} shapes[] = {
	{8, 0, 0, true},
	{1, 0, 0, true},
	{256, IORING_SETUP_CQSIZE, 2048, true},
	{16, IORING_SETUP_SQE128 | IORING_SETUP_CQE32, 0, true},
	{16, IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, 0, false},
	{16, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, 0, false},
	{16, IORING_SETUP_SUBMIT_ALL | SETUP_NO_SQARRAY, 0, false},
	{16, IORING_SETUP_SQPOLL, 0, true},
};
#define SHAPES ARRAY_SIZE(shapes)

static struct ring rings[SHAPES], shared, silent, noisy, disabled, numbered;
static bool there[SHAPES];
static int many;

static void make_shapes(void)
{
	for (unsigned i = 0; i < SHAPES; i++) {
		struct io_uring_params p = {.flags = shapes[i].flags, .cq_entries = shapes[i].cq};

		there[i] = ring_new(&rings[i], shapes[i].n, p);
		check(there[i] || !shapes[i].needed, "shape %u, errno %d", i, errno);
		if (there[i])
			ring_turn(&rings[i], shapes[i].flags & IORING_SETUP_SQPOLL ? 777 : DEEP);
	}
	/* completions that nobody has taken, requests that are not submitted */
	ring_next(&rings[0], IORING_OP_NOP, -1);
	ring_submit(&rings[0]);
	ring_next(&rings[0], IORING_OP_NOP, -1);
}

static void verify_shapes(void)
{
	check(ring_take(&rings[0]).user_data == DEEP + 1);
	ring_submit(&rings[0]);
	check(ring_take(&rings[0]).user_data == DEEP + 2);
	for (unsigned i = 0; i < SHAPES; i++)
		if (there[i])
			ring_turn(&rings[i], 1000);
}

/* More requests than completions, and fewer. */
static void make_uneven(void)
{
	check(ring_new(&silent, 8, (struct io_uring_params){0}) &&
		      ring_new(&noisy, 8, (struct io_uring_params){0}),
	      "errno %d", errno);
	for (unsigned i = 0; i < 21; i++) {
		ring_next(&silent, IORING_OP_NOP, -1)->flags = IOSQE_CQE_SKIP_SUCCESS;
		ring_submit(&silent);
	}
	for (unsigned i = 0; i < 1003; i++) {
		struct io_uring_sqe *e = ring_next(&silent, IORING_OP_MSG_RING, noisy.fd);

		e->flags = IOSQE_CQE_SKIP_SUCCESS;
		e->off = 4711;
		ring_submit(&silent);
		check(ring_take(&noisy).user_data == 4711);
	}
}

static void verify_uneven(void)
{
	ring_turn(&silent, 100);
	ring_turn(&noisy, 100);
}

/* One that cannot be used yet, and one that has a number of its own. */
static void make_others(void)
{
	struct io_uring_rsrc_update u = {.offset = 5};

	check(ring_new(&disabled, 8, (struct io_uring_params){.flags = IORING_SETUP_R_DISABLED}));
	check(ring_new(&numbered, 8, (struct io_uring_params){0}));
	ring_turn(&numbered, 20);
	u.data = (uint64_t)numbered.fd;
	check(syscall(SYS_io_uring_register, numbered.fd, IORING_REGISTER_RING_FDS, &u, 1) == 1,
	      "errno %d", errno);
	many = epoll_create1(EPOLL_CLOEXEC);
	check(epoll_ctl(many, EPOLL_CTL_ADD, numbered.fd,
			&(struct epoll_event){.events = EPOLLIN, .data.u32 = 77}) == 0);
}

static void verify_others(void)
{
	struct epoll_event ev;
	static bool enabled;

	check(syscall(SYS_io_uring_enter, disabled.fd, 0, 0, 0, NULL, 0) == 0 ||
		      (!enabled && errno == EBADFD),
	      "errno %d", errno);
	check(enabled || syscall(SYS_io_uring_register, disabled.fd, IORING_REGISTER_ENABLE_RINGS,
				 NULL, 0) == 0,
	      "errno %d", errno);
	enabled = true;
	ring_turn(&disabled, 10);
	check(epoll_wait(many, &ev, 1, 0) == 0);
	ring_next(&numbered, IORING_OP_NOP, -1);
	__atomic_store_n(ring_at(&numbered, numbered.p.sq_off.tail), numbered.tail,
			 __ATOMIC_RELEASE);
	check(syscall(SYS_io_uring_enter, 5, 1, 0, IORING_ENTER_REGISTERED_RING, NULL, 0) == 1,
	      "errno %d", errno);
	check(epoll_wait(many, &ev, 1, 10000) == 1 && ev.data.u32 == 77, "errno %d", errno);
	ring_take(&numbered);
}

/* Of a thread: nobody else may submit to it. */
static struct ring own;
static pthread_barrier_t barrier;
static bool has_own;

static void *run(void *arg)
{
	has_own = ring_new(&own, 8,
			   (struct io_uring_params){.flags = IORING_SETUP_SINGLE_ISSUER |
							     IORING_SETUP_DEFER_TASKRUN});
	if (has_own)
		ring_turn(&own, 123);
	for (;;) {
		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
		if (has_own)
			ring_turn(&own, 100);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

/* Who waits for a completion is not told of our visit. */
static struct ring awaited;
static volatile bool has_waited;

static void *wait_for_it(void *arg)
{
	long r = syscall(SYS_io_uring_enter, awaited.fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);

	check(r == 0, "%ld, errno %d", r, errno);
	ring_take(&awaited);
	has_waited = true;
	return NULL;
}

static void make_waiter(pthread_t *ret)
{
	char path[64], text[64] = "";

	check(ring_new(&awaited, 8, (struct io_uring_params){0}));
	check(pthread_create(ret, NULL, wait_for_it, NULL) == 0);
	/* our only other thread that is in this system call */
	while (strncmp(text, "426 ", 4) != 0) {
		struct dirent *e;
		DIR *dir = opendir("/proc/self/task");

		while (strncmp(text, "426 ", 4) != 0 && (e = readdir(dir)) != NULL) {
			int fd;

			snprintf(path, sizeof(path), "/proc/self/task/%.20s/syscall", e->d_name);
			fd = open(path, O_RDONLY | O_CLOEXEC);
			if (fd >= 0) {
				read(fd, text, sizeof(text) - 1);
				close(fd);
			}
		}
		closedir(dir);
	}
}

/* What a thread that polls may: not more than we. */
static void verify_thread(void)
{
	char mine[64], name[64], line[4096];
	bool found = false;
	struct dirent *e;
	DIR *dir = opendir("/proc/self/task");

	snprintf(mine, sizeof(mine), "CapEff:\t%s\n", status_line("CapEff"));
	while ((e = readdir(dir)) != NULL) {
		bool polls = false, same = false;
		FILE *f;

		snprintf(name, sizeof(name), "/proc/self/task/%.20s/status", e->d_name);
		f = fopen(name, "re");
		while (f && fgets(line, sizeof(line), f)) {
			polls = polls || strncmp(line, "Name:\tiou-sqp", 13) == 0;
			same = same || strcmp(line, mine) == 0;
		}
		if (f)
			fclose(f);
		check(!polls || same, "thread %s", e->d_name);
		found = found || polls;
	}
	closedir(dir);
	check(found, "no thread polls");
}

static int use_shared(void)
{
	ring_turn(&shared, 50);
	return fcntl(shared.fd + 100, F_GETFD) == FD_CLOEXEC ? 0 : 1;
}

static struct ring limited;

/* How many workers it may have at once; 0 leaves what is set, and that is told. */
static void workers(unsigned *limits)
{
	check(syscall(SYS_io_uring_register, limited.fd, IORING_REGISTER_IOWQ_MAX_WORKERS, limits,
		      2) == 0,
	      "errno %d", errno);
}

static void make_limited(void)
{
	check(ring_new(&limited, 4, (struct io_uring_params){0}));
	workers((unsigned[]){3, 5});
}

static void verify_limited(void)
{
	unsigned now[2] = {0, 0};

	workers(now);
	check(now[0] == 3 && now[1] == 5, "%u and %u workers", now[0], now[1]);
}

int main(void)
{
	pthread_t thread, waiter;
	struct child c;

	if (!ring_new(&shared, 8, (struct io_uring_params){0}))
		skip("the kernel has no io_uring, or forbids it");
	ring_turn(&shared, 40);
	check(dup3(shared.fd, shared.fd + 100, O_CLOEXEC) >= 0);
	c = child_start(NULL, use_shared);
	make_shapes();
	make_limited();
	make_uneven();
	make_others();
	make_waiter(&waiter);
	check(pthread_barrier_init(&barrier, NULL, 2) == 0 &&
	      pthread_create(&thread, NULL, run, NULL) == 0);
	pthread_barrier_wait(&barrier);
	ready();
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	verify_shapes();
	verify_limited();
	verify_thread();
	verify_uneven();
	verify_others();
	check(!has_waited);
	ring_next(&awaited, IORING_OP_NOP, -1);
	ring_submit(&awaited);
	check(pthread_join(waiter, NULL) == 0);
	/* the other has turned it on: what both see is one */
	child_go(&c);
	shared.tail = shared.taken = shared.user_data = 90;
	ring_turn(&shared, 5);
	return ok();
}
