/* SPDX-License-Identifier: Apache-2.0 */
/* F_SETOWN, F_SETOWN_EX, F_SETSIG, O_ASYNC and F_NOTIFY: who gets which signal, by whose right. */
#include "cr.h"

static volatile sig_atomic_t got, from;

static void handler(int sig, siginfo_t *si, void *context)
{
	got = sig;
	from = si->si_fd;
}

static int wait_usr1(void)
{
	return got == SIGUSR1 ? 0 : 1;
}

static int make(void)
{
	struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};

	return sigaction(SIGUSR1, &a, NULL);
}

/* A directory that tells of changes, also of the second; one that tells of the first only. */
static void changes(char *name, int always, int once)
{
	unlink(name);
	check(got == SIGRTMIN + 3 && from == always, "signal %d of %d", (int)got, (int)from);
	got = from = 0;
	check(close(open(name, O_CREAT | O_RDWR, 0600)) == 0);
	check(got == 0, "signal %d of %d", (int)got, (int)from); /* not wanted by the first */
	unlink(name);
	check(got == SIGRTMIN + 3 && from == always, "signal %d of %d", (int)got, (int)from);
	got = from = 0;
	check(fcntl(always, F_NOTIFY, 0) == 0 && fcntl(once, F_GETOWN) == getpid());
}

static void asks(int fd, unsigned mask)
{
	check(fd >= 0 && fcntl(fd, F_NOTIFY, mask) == 0, "errno %d", errno);
	check(fcntl(fd, F_SETSIG, SIGRTMIN + 3) == 0);
}

int main(void)
{
	char dir[] = "/tmp/fowns.XXXXXX", name[64];
	int always, once;
	struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	struct f_owner_ex owner = {0};
	uid_t uids[2];
	struct child c;
	int p[2], q[2], o[2];

	check(sigaction(SIGRTMIN + 3, &a, NULL) == 0);
	check(pipe(p) == 0 && pipe(q) == 0 && pipe(o) == 0);
	check(fcntl(p[0], F_SETOWN, getpid()) == 0 && fcntl(p[0], F_SETSIG, SIGRTMIN + 3) == 0);
	check(fcntl(p[0], F_SETFL, O_NONBLOCK | O_ASYNC) == 0);
	check(write(q[1], "old", 3) == 3);
	c = child_start(make, wait_usr1);
	owner = (struct f_owner_ex){.type = F_OWNER_PID, .pid = c.pid};
	check(fcntl(q[0], F_SETOWN_EX, &owner) == 0 && fcntl(q[0], F_SETSIG, SIGUSR1) == 0);
	check(fcntl(q[0], F_SETFL, O_ASYNC) == 0);
	check(setresuid(1234, 5678, 0) == 0 && fcntl(o[0], F_SETOWN, -getpgrp()) == 0);
	check(setresuid(0, 0, 0) == 0);

	check(mkdtemp(dir));
	snprintf(name, sizeof(name), "%s/file", dir);
	check(close(open(name, O_CREAT | O_RDWR, 0600)) == 0);
	always = open(dir, O_RDONLY | O_CLOEXEC);
	once = open(dir, O_RDONLY | O_CLOEXEC);
	asks(always, DN_DELETE | DN_MULTISHOT);
	asks(once, DN_ATTRIB);
	ready();

	check(got == 0, "signal %d", (int)got);
	check(fcntl(p[0], F_GETOWN) == getpid());
	check(fcntl(p[0], F_GETFL) == (O_NONBLOCK | O_ASYNC), "%#x", fcntl(p[0], F_GETFL));
	check(write(p[1], "x", 1) == 1);
	check(got == SIGRTMIN + 3 && from == p[0], "signal %d of %d", (int)got, (int)from);
	check(fcntl(q[0], F_GETOWN_EX, &owner) == 0 && owner.type == F_OWNER_PID);
	check(owner.pid == c.pid, "%d", owner.pid);
	check(write(q[1], "new", 3) == 3);
	child_go(&c);
	check(fcntl(o[0], F_GETOWN_EX, &owner) == 0 && owner.type == F_OWNER_PGRP);
	check(owner.pid == getpgrp(), "%d", owner.pid);
	check(fcntl(o[0], 17 /* F_GETOWNER_UIDS */, uids) == 0);
	check(uids[0] == 1234 && uids[1] == 5678, "%u %u", uids[0], uids[1]);
	got = from = 0;
	check(chmod(name, 0644) == 0 && got == SIGRTMIN + 3 && from == once, "signal %d of %d",
	      (int)got, (int)from);
	got = 0;
	check(chmod(name, 0600) == 0 && got == 0, "signal %d", (int)got);
	changes(name, always, once);
	rmdir(dir);
	return ok();
}
