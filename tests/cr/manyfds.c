/* SPDX-License-Identifier: Apache-2.0 */
/* Many descriptors: eventfds, files and duplicates of them; 3 * argv[1], or as many as we may. */
#include "cr.h"

#include <sys/eventfd.h>
#include <sys/param.h>
#include <sys/resource.h>

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 10000, first = 10;
	struct rlimit l = {(rlim_t)(3 * n + 100), (rlim_t)(3 * n + 100)};
	char path[] = "/tmp/manyfds.XXXXXX";
	uint64_t count;
	int seed;

	if (setrlimit(RLIMIT_NOFILE, &l) < 0) {
		check(getrlimit(RLIMIT_NOFILE, &l) == 0);
		n = MIN(n, (int)(l.rlim_max - 100) / 3);
		l.rlim_cur = l.rlim_max;
		check(setrlimit(RLIMIT_NOFILE, &l) == 0);
	}
	seed = mkstemp(path);
	check(seed >= 0);
	for (int i = 0; i < n; i++) {
		int e = eventfd((unsigned)i + 1, EFD_NONBLOCK);
		int f = open(path, O_RDWR);

		check(e >= 0 && f >= 0 && lseek(f, i, SEEK_SET) == i, "errno %d", errno);
		check(fcntl(e, F_DUPFD, first + 3 * i) == first + 3 * i);
		check(fcntl(f, F_DUPFD_CLOEXEC, first + 3 * i) == first + 3 * i + 1);
		check(fcntl(e, F_DUPFD, first + 3 * i) == first + 3 * i + 2);
		close(e);
		close(f);
	}

	ready();

	for (int i = 0; i < n; i++) {
		check(read(first + 3 * i + 2, &count, 8) == 8 && count == (uint64_t)i + 1, "%d", i);
		check(read(first + 3 * i, &count, 8) < 0 && errno == EAGAIN, "%d", i);
		check(lseek(first + 3 * i + 1, 0, SEEK_CUR) == i, "%d", i);
		check(fcntl(first + 3 * i + 1, F_GETFD) == FD_CLOEXEC);
	}
	unlink(path);
	return ok();
}
