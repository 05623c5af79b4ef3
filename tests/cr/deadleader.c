/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes whose first thread has ended before others: memory, descriptors, children and signals
 * are those of the threads, its name and exit code those of the first one.
 */
#include "cr.h"

#include <pthread.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>

static int to_parent, from_parent, pair[2];
static pid_t orphan;
static int leader_code;

/* main() is over when its state says so. */
static char leader_state(char name[16])
{
	char text[512] = "", *p, path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", getpid());
	fd = open(path, O_RDONLY);
	check(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	p = strrchr(text, ')');
	*p = 0;
	snprintf(name, 16, "%s", strchr(text, '(') + 1);
	leader_code = atoi(strrchr(p + 2, ' '));
	return p[2];
}

static void await_leader(void)
{
	char name[16];

	while (leader_state(name) != 'Z')
		usleep(1000);
	check(strcmp(name, "first") == 0, "name %s", name);
}

static void *other(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

/* Ends the way pthread_exit() in main() does, with a code. */
static void end_thread(int code)
{
	syscall(SYS_exit, code);
}

static void *speaker(void *arg)
{
	int status, *memory = malloc(sizeof(int));
	char name[16], c;

	*memory = 77;
	await_leader();
	check(write(to_parent, "r", 1) == 1 && read(from_parent, &c, 1) == 1);
	await_leader();
	check(leader_code == 7 << 8 && *memory == 77, "code %#x", leader_code);
	check(prctl(PR_GET_NAME, name) == 0 && strcmp(name, "second") == 0, "name %s", name);
	check(personality(0xffffffff) == ADDR_NO_RANDOMIZE);
	check(write(pair[0], "x", 1) == 1 && read(pair[1], &c, 1) == 1 && c == 'x');
	check(kill(orphan, SIGKILL) == 0);
	check(waitpid(orphan, &status, 0) == orphan && WTERMSIG(status) == SIGKILL);
	end_thread(3);
	return NULL;
}

static pid_t start(bool threads, int fd[2], pid_t *ret_orphan)
{
	int up[2], down[2];
	pthread_t t;
	pid_t pid;
	char c;

	check(pipe(up) == 0 && pipe(down) == 0);
	pid = fork();
	if (pid > 0) {
		close(up[1]);
		close(down[0]);
		check(read(up[0], ret_orphan, sizeof(pid_t)) == sizeof(pid_t));
		check(read(up[0], &c, 1) == 1 && c == 'r', "child did not get ready");
		fd[0] = up[0];
		fd[1] = down[1];
		return pid;
	}
	to_parent = up[1];
	from_parent = down[0];
	orphan = fork();
	if (orphan == 0) {
		prctl(PR_SET_PDEATHSIG, SIGUSR1); /* of the thread that has forked it */
		signal(SIGUSR1, SIG_IGN);
		for (;;)
			pause();
	}
	check(write(to_parent, &orphan, sizeof(orphan)) == sizeof(orphan));
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	check(!threads || setuid(1234) == 0);
	prctl(PR_SET_NAME, "second");
	check(personality(ADDR_NO_RANDOMIZE) >= 0);
	check(pthread_create(&t, NULL, speaker, NULL) == 0);
	for (int i = 0; threads && i < 3; i++)
		check(pthread_create(&t, NULL, other, NULL) == 0);
	prctl(PR_SET_NAME, "first");
	end_thread(7);
	return 0;
}

int main(void)
{
	int one[2], many[2], status;
	pid_t first, second, pid = start(false, one, &first), more = start(true, many, &second);

	/* the other one is stopped, as a whole, and has another user */
	check(kill(more, SIGSTOP) == 0 && waitpid(more, &status, WUNTRACED) == more);
	ready();
	check(write(one[1], "g", 1) == 1);
	check(waitpid(pid, &status, 0) == pid, "errno %d", errno);
	/* since 5.17 the last one's: kernel/exit.c, synchronize_group_exit() */
	check(WIFEXITED(status) && (WEXITSTATUS(status) == 3 || WEXITSTATUS(status) == 7),
	      "status %#x", status);

	check(waitpid(more, &status, WUNTRACED | WNOHANG) == 0, "told again: %#x", status);
	check(kill(more, SIGCONT) == 0 && waitpid(more, &status, WCONTINUED) == more);
	check(kill(more, SIGTERM) == 0 && waitpid(more, &status, 0) == more);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "status %#x", status);
	check(kill(second, SIGKILL) == 0 && kill(first, SIGKILL) < 0);
	return ok();
}
