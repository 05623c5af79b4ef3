/* SPDX-License-Identifier: Apache-2.0 */
/* Open namespace files of the namespaces that we are in. */
#include "cr.h"

int main(void)
{
	static const char *const names[] = {"net", "uts",  "ipc",    "pid",
					    "mnt", "user", "cgroup", "time"};
	char path[64], before[64], now[64];
	int fds[8];
	ssize_t n, m;

	for (int i = 0; i < 8; i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		fds[i] = open(path, O_RDONLY | O_CLOEXEC);
		check(fds[i] >= 0, "%s", path);
	}

	ready();

	for (int i = 0; i < 8; i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[i]);
		n = readlink(path, before, sizeof(before) - 1);
		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		m = readlink(path, now, sizeof(now) - 1);
		check(n > 0 && n == m && memcmp(before, now, (size_t)n) == 0, "%s", names[i]);
		check(fcntl(fds[i], F_GETFD) == FD_CLOEXEC);
	}
	return ok();
}
