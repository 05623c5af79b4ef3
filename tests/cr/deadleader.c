/* SPDX-License-Identifier: Apache-2.0 */
/* A process whose first thread has ended. */
#include "cr.h"

#include <pthread.h>

static int to_parent;

static void *thread(void *arg)
{
	/* main() is over when its state says so */
	for (;;) {
		char text[512], *p;
		int fd = open("/proc/self/stat", O_RDONLY);
		ssize_t n = read(fd, text, sizeof(text) - 1);

		close(fd);
		text[n > 0 ? n : 0] = 0;
		p = strrchr(text, ')');
		if (p && p[2] == 'Z')
			break;
		usleep(1000);
	}
	if (write(to_parent, "r", 1) != 1)
		_exit(1);
	pause();
	return NULL;
}

int main(void)
{
	int fd[2];
	pthread_t t;
	pid_t pid;
	char c;

	check(pipe(fd) == 0);
	pid = fork();
	if (pid == 0) {
		to_parent = fd[1];
		pthread_create(&t, NULL, thread, NULL);
		pthread_exit(NULL);
	}
	check(read(fd[0], &c, 1) == 1);
	ready();
	check(kill(pid, 0) == 0);
	return ok();
}
