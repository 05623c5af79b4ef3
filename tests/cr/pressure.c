/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/pressure: triggers are there again, so that poll(2) waits, and tells when there is some
 * pressure; a file without one has none.
 */
#include "cr.h"

#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>

static int make(const char *file, const char *trigger)
{
	int fd = open(file, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 && (errno == ENOENT || errno == EOPNOTSUPP))
		skip("no pressure stall information");
	check(fd >= 0, "%s: errno %d", file, errno);
	check(!trigger || write(fd, trigger, strlen(trigger) + 1) > 0, "%s: errno %d", trigger,
	      errno);
	return fd;
}

static short asked(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLPRI};

	check(poll(&p, 1, 0) >= 0);
	return p.revents;
}

/* Two that want one CPU. */
static void press(pid_t pids[2])
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	for (int i = 0; i < 2; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			sched_setaffinity(0, sizeof(one), &one);
			for (;;)
				;
		}
		check(pids[i] > 0);
	}
}

int main(void)
{
	int memory = make("/proc/pressure/memory", "some 900000 2000000");
	int io = make("/proc/pressure/io", "full 900000 2000000");
	int plain = make("/proc/pressure/memory", NULL);
	int cpu = make("/proc/pressure/cpu", "some 2000 2000000"), e = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = {.events = EPOLLPRI};
	char line[8] = "";
	pid_t pids[2];

	check(epoll_ctl(e, EPOLL_CTL_ADD, cpu, &ev) == 0);
	ready();
	check(!(asked(memory) & POLLERR) && !(asked(io) & POLLERR), "a trigger is gone");
	check(asked(plain) & POLLERR, "a trigger from nowhere");
	check(read(memory, line, 4) == 4 && strcmp(line, "some") == 0, "%s", line);
	check(write(memory, "some 900000 2000000", 20) < 0 && errno == EBUSY, "errno %d", errno);
	press(pids);
	check(epoll_wait(e, &ev, 1, 60000) == 1, "nobody is told");
	for (int i = 0; i < 2; i++)
		check(kill(pids[i], SIGKILL) == 0 && waitpid(pids[i], NULL, 0) == pids[i]);
	check(!(ev.events & EPOLLERR), "events %#x", ev.events);
	return ok();
}
