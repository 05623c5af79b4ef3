/* SPDX-License-Identifier: Apache-2.0 */
/* A hundred processes in three generations, some of them dead. */
#include "cr.h"

#define FAMILIES 10
#define CHILDREN 10

static int pipes[2]; /* all wait for its end */

static void wait_and_exit(int code)
{
	pid_t me = getpid(), parent = getppid();
	char c;

	close(pipes[1]);
	if (read(pipes[0], &c, 1) != 0 || getpid() != me || getppid() != parent)
		_exit(99);
	_exit(code);
}

static int family(int number)
{
	pid_t child[CHILDREN];
	int status;
	char c;

	for (int i = 0; i < CHILDREN; i++) {
		child[i] = fork();
		if (child[i] == 0) {
			if (i % 4 == 3) /* a zombie until its parent asks */
				_exit(i + number);
			wait_and_exit(i + number);
		}
	}
	close(pipes[1]);
	if (read(pipes[0], &c, 1) != 0)
		return 98;
	for (int i = 0; i < CHILDREN; i++)
		if (waitpid(child[i], &status, 0) != child[i] || !WIFEXITED(status) ||
		    WEXITSTATUS(status) != i + number)
			return 97;
	return number;
}

int main(void)
{
	pid_t child[FAMILIES];
	int status;

	check(pipe(pipes) == 0);
	for (int i = 0; i < FAMILIES; i++) {
		child[i] = fork();
		if (child[i] == 0)
			_exit(family(i));
	}
	ready();
	close(pipes[1]);
	for (int i = 0; i < FAMILIES; i++) {
		check(waitpid(child[i], &status, 0) == child[i]);
		check(WIFEXITED(status) && WEXITSTATUS(status) == i, "family %d: %#x", i, status);
	}
	return ok();
}
