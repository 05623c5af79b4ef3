/* SPDX-License-Identifier: Apache-2.0 */
/* fanotify: marks of a file, a directory and a mount, and an ignore mask. */
#include "cr.h"

#include <poll.h>
#include <sys/fanotify.h>

static int fan;

#ifndef FAN_MARK_EVICTABLE
#define FAN_MARK_EVICTABLE 0x200 /* Linux 5.19 */
#endif

/* Has a mark of it these flags? */
static bool has_flags(const char *flags)
{
	char path[64], line[300];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fan);
	f = fopen(path, "re");
	check(f != NULL);
	while (fgets(line, sizeof(line), f))
		found = found || strstr(line, flags);
	fclose(f);
	return found;
}

/* The events of the next record; 0: there is none. */
static uint64_t next(void)
{
	struct fanotify_event_metadata m;
	ssize_t n = read(fan, &m, sizeof(m));

	if (n < 0) {
		check(errno == EAGAIN, "errno %d", errno);
		return 0;
	}
	check(n == sizeof(m));
	if (m.fd >= 0)
		close(m.fd);
	return m.mask;
}

int main(void)
{
	char dir[] = "/tmp/fanotify.XXXXXX", file[64], quiet[64];
	bool evictable, mounted;
	uint64_t got;
	int fd, q;

	check(mkdtemp(dir) != NULL);
	snprintf(file, sizeof(file), "%s/file", dir);
	snprintf(quiet, sizeof(quiet), "%s/quiet", dir);
	fd = open(file, O_RDWR | O_CREAT, 0600);
	q = open(quiet, O_RDWR | O_CREAT, 0600);
	check(fd >= 0 && q >= 0);
	fan = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_CLOEXEC, O_RDONLY | O_NOATIME);
	if (fan < 0)
		skip("fanotify is not to be had");
	check(fanotify_mark(fan, FAN_MARK_ADD, FAN_MODIFY, AT_FDCWD, file) == 0);
	check(fanotify_mark(fan, FAN_MARK_ADD | FAN_MARK_ONLYDIR,
			    FAN_CLOSE_WRITE | FAN_EVENT_ON_CHILD, AT_FDCWD, dir) == 0);
	check(fanotify_mark(fan,
			    FAN_MARK_ADD | FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY,
			    FAN_CLOSE_WRITE, AT_FDCWD, quiet) == 0);
	evictable = fanotify_mark(fan, FAN_MARK_ADD | FAN_MARK_EVICTABLE, FAN_ACCESS, AT_FDCWD,
				  "/") == 0;
	check(has_flags(" mflags:200 ") == evictable);
	if (fanotify_mark(fan, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_MODIFY, AT_FDCWD, "/dev/shm") < 0)
		check(errno == ENOENT, "errno %d", errno);
	mounted = has_flags("fanotify mnt_id:");

	ready();

	check(has_flags(" mflags:200 ") == evictable);
	check(has_flags(" event-flags:48000\n"), "flags of events");
	got = next();
	check(got == 0, "%#llx", (unsigned long long)got);
	check(has_flags("fanotify mnt_id:") == mounted);
	if (mounted) {
		int other = open("/dev/shm", O_RDWR | O_TMPFILE, 0600);

		check(other >= 0 && write(other, "x", 1) == 1, "errno %d", errno);
		got = next();
		check(got == FAN_MODIFY, "%#llx", (unsigned long long)got);
		close(other);
	}
	check(write(fd, "x", 1) == 1);
	got = next();
	check(got == FAN_MODIFY, "%#llx", (unsigned long long)got);
	close(q);
	got = next();
	check(got == 0, "%#llx", (unsigned long long)got);
	close(fd);
	got = next();
	check(got == FAN_CLOSE_WRITE, "%#llx", (unsigned long long)got);
	check(fcntl(fan, F_GETFD) == FD_CLOEXEC && fcntl(fan, F_GETFL) & O_NONBLOCK);
	unlink(file);
	unlink(quiet);
	rmdir(dir);
	return ok();
}
