/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Freezes that fall between vfork(2) and execve(2): they are waited out, whether the first thread
 * or another one of the parent waits there, and neither parent nor child notices.
 */
#include "cr.h"

#include <poll.h>
#include <pthread.h>
#include <spawn.h>

#define WINDOW_MS 120

extern char **environ;
static int tell;

static pid_t spawn(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		struct timespec t = {.tv_nsec = WINDOW_MS * 1000000L};

		if (write(tell, "v", 1) != 1)
			_exit(2);
		syscall(SYS_nanosleep, &t, NULL);
		execl("/proc/self/exe", "cr-vforks", "child", NULL);
		_exit(3);
	}
	return pid;
}

static void end(pid_t pid)
{
	int status;

	check(pid > 0 && waitpid(pid, &status, 0) == pid, "errno %d", errno);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 7, "status %#x", status);
}

static void *spawner(void *arg)
{
	end(spawn());
	return NULL;
}

/* Again and again, as a shell or a server does. */
static void spawn_many(int until, bool ignored)
{
	static char name[] = "cr-vforks", arg[] = "child";
	char *argv[] = {name, arg, NULL};

	for (;;) {
		struct pollfd p = {.fd = until, .events = POLLIN};
		pid_t pid;

		check(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ) == 0);
		if (ignored) { /* gone without a trace */
			check(waitpid(pid, NULL, 0) < 0 && errno == ECHILD);
		} else {
			end(pid);
		}
		if (poll(&p, 1, 0) == 1)
			return;
	}
}

static int parent(int how, int until)
{
	pthread_t t;
	char c;

	if (how == 3)
		signal(SIGCHLD, SIG_IGN);
	if (how >= 2)
		spawn_many(until, how == 3);
	else if (how == 0)
		end(spawn());
	else
		check(pthread_create(&t, NULL, spawner, NULL) == 0 && pthread_join(t, NULL) == 0);
	return read(until, &c, 1) == 1 ? 0 : 4;
}

int main(int argc, char **argv)
{
	int up[2], down[2], status;
	pid_t pid[4];
	char c;

	if (argc > 1)
		return 7;
	check(pipe(up) == 0 && pipe(down) == 0);
	tell = up[1];
	for (int how = 0; how < 4; how++) {
		pid[how] = fork();
		if (pid[how] == 0) {
			_exit(parent(how, down[0]));
		}
		if (how < 2)
			check(read(up[0], &c, 1) == 1);
	}
	ready();
	check(write(down[1], "eeee", 4) == 4);
	for (int how = 0; how < 4; how++) {
		check(waitpid(pid[how], &status, 0) == pid[how]);
		check(status == 0, "%d: status %#x", how, status);
	}
	return ok();
}
