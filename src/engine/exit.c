/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/exit.h"

#include <errno.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>
#include <time.h>

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

int exit_watch_open(struct engine *e, int *ret_fd)
{
	g_autofree char *exits = g_build_filename(e->runroot, "exits", NULL);
	g_autofree char *locks = g_build_filename(e->runroot, "locks", NULL);
	autoclose int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd < 0)
		return err_errno("inotify");
	if (inotify_add_watch(fd, exits, IN_MOVED_TO | IN_CLOSE_WRITE) < 0 ||
	    inotify_add_watch(fd, locks, IN_CLOSE_WRITE | IN_DELETE) < 0)
		return err_errno("watch %s", e->runroot);
	*ret_fd = take_fd(&fd);
	return 0;
}

int exit_watch_wait(int fd, int extra, int timeout_ms)
{
	struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = extra, .events = POLLIN}};
	char events[4096];

	if (poll(p, 2, timeout_ms) < 0 && errno != EINTR)
		return err_errno("poll");
	if (p[0].revents) /* only the fact counts, so all of them are swallowed */
		while (read(fd, events, sizeof(events)) > 0)
			;
	return 0;
}

int exit_wait_file(struct engine *e, const struct container *c, int timeout_ms)
{
	g_autofree char *path = container_exit_file(e, c);
	int64_t end = now_ms() + timeout_ms;
	autoclose int watch = -1, conmon = -1;
	struct pollfd ended;
	int r;

	if (access(path, F_OK) == 0)
		return 1;
	r = exit_watch_open(e, &watch);
	if (r < 0)
		return r;
	if (c->state.conmon_pid > 0)
		conmon = pidfd_open(c->state.conmon_pid, 0);
	ended = (struct pollfd){.fd = conmon, .events = POLLIN};
	for (;;) {
		int64_t left = timeout_ms < 0 ? -1 : end - now_ms();
		bool gone = conmon < 0 || poll(&ended, 1, 0) > 0;

		if (access(path, F_OK) == 0) /* looked at after the watch and conmon's end */
			return 1;
		if (gone || (timeout_ms >= 0 && left <= 0))
			return 0;
		r = exit_watch_wait(watch, conmon, (int)left);
		if (r < 0)
			return r;
	}
}

int exit_wait_process(const struct container *c, int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms;
	autoclose int fd = -1;
	struct pollfd p;
	int r;

	r = container_pidfd(c, &fd);
	if (r < 0) {
		err_clear();
		return 1;
	}
	p = (struct pollfd){.fd = fd, .events = POLLIN};
	do {
		int64_t left = timeout_ms < 0 ? -1 : MAX(end - now_ms(), 0);

		r = poll(&p, 1, (int)left);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? err_errno("poll") : r;
}
