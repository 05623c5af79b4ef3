/* SPDX-License-Identifier: Apache-2.0 */
#include "base/background.h"
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#define FDS_MAX 8

static _Noreturn void child(const int *fds, unsigned n, background_fn fn, void *arg)
{
	int high[FDS_MAX], null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (unsigned i = 0; i < n; i++) {
		high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3 + FDS_MAX);
		if (high[i] < 0)
			_exit(1);
	}
	for (int i = 0; i < 3; i++)
		if (dup2(null, i) < 0)
			_exit(1);
	for (unsigned i = 0; i < n; i++)
		if (dup2(high[i], 3 + (int)i) < 0)
			_exit(1);
	if (close_range(3 + n, ~0U, 0) < 0)
		_exit(1);
	setsid();
	fn(arg);
	_exit(0);
}

int background_run(const int *fds, unsigned n, background_fn fn, void *arg)
{
	pid_t pid;

	if (n > FDS_MAX)
		return -E2BIG;
	pid = fork();
	if (pid == 0)
		child(fds, n, fn, arg);
	return pid < 0 ? -errno : 0;
}
