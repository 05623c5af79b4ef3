/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cannot be saved: each is refused by name, all at once, and we go on.  Lines before "ready"
 * that begin with "expect: " are what the runner wants to find in the error.
 */
#include "cr.h"

#include <sys/file.h>
#include <sys/socket.h>

static void expect(const char *text)
{
	say("expect: ");
	say(text);
	say("\n");
}

int main(void)
{
	char lock[] = "/tmp/refuses.XXXXXX";
	int fd;

	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (fd >= 0)
		expect("anon_inode:[userfaultfd]: userfaultfd cannot be saved");
	if (socket(AF_VSOCK, SOCK_STREAM, 0) >= 0)
		expect("vsock sockets cannot be saved");
	fd = (int)syscall(SYS_memfd_secret, 0);
	if (fd >= 0 && ftruncate(fd, 4096) == 0 &&
	    mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED)
		expect("is secret memory, which cannot be saved");
	if (socket(AF_XDP, SOCK_RAW, 0) >= 0)
		expect("XDP sockets cannot be saved");
	fd = mkstemp(lock);
	check(fd >= 0 && flock(fd, LOCK_EX) == 0 && unlink(lock) == 0);
	expect("is locked; use --file-locks to keep file locks");

	ready();

	check(flock(fd, LOCK_UN) == 0);
	return ok();
}
