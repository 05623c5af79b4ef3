/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX message queues: attributes, owner, messages with their priorities, small and large; closed
 * ones, removed ones, one that is removed and made again; who wants a signal.
 */
#include "cr.h"

#include <mqueue.h>
#include <sys/sem.h>

#define LARGE 8000

static char large[LARGE];

static mqd_t make(const char *name, int flags, long max, long size)
{
	struct mq_attr a = {.mq_maxmsg = max, .mq_msgsize = size};
	mqd_t q = mq_open(name, O_CREAT | O_EXCL | flags, 0640, &a);

	if (q < 0 && errno == ENOSYS)
		skip("the kernel has no POSIX message queues");
	check(q >= 0, "%s: errno %d", name, errno);
	return q;
}

static void take(mqd_t q, const char *text, size_t len, unsigned priority)
{
	static char b[LARGE + 1];
	unsigned p = 0;
	ssize_t n = mq_receive(q, b, sizeof(b), &p);

	check(n == (ssize_t)len && !memcmp(b, text, len) && p == priority,
	      "%zd bytes of priority %u, errno %d", n, p, errno);
}

static void put(mqd_t q, const char *text, unsigned priority)
{
	check(mq_send(q, text, strlen(text), priority) == 0, "errno %d", errno);
}

static int told;

static void on_told(int sig, siginfo_t *si, void *uc)
{
	told = si->si_code == SI_MESGQ ? si->si_value.sival_int : -1;
}

static void no_more(mqd_t q)
{
	static char b[LARGE + 1];

	check(mq_receive(q, b, sizeof(b), NULL) == -1 && errno == EAGAIN, "errno %d", errno);
}

int main(void)
{
	const struct sigaction sa = {.sa_sigaction = on_told, .sa_flags = SA_SIGINFO};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL,
			      .sigev_signo = SIGUSR1,
			      .sigev_value = {.sival_int = 77}};
	mqd_t q, closed, gone, again, reader, writer, notified;
	struct mq_attr a;
	struct stat st;
	int semaphore;

	for (size_t i = 0; i < LARGE; i++)
		large[i] = (char)(i * 13 + i / 256);
	sigaction(SIGUSR1, &sa, NULL);
	semaphore = semget(IPC_PRIVATE, 1, 0600); /* is made before them */
	q = make("/cr-one", O_RDWR | O_NONBLOCK, 10, LARGE);
	put(q, "low", 1);
	put(q, "high, first", 31000);
	put(q, "middle", 5);
	put(q, "high, second", 31000);
	check(mq_send(q, large, LARGE, 0) == 0);
	check(mq_send(q, "", 0, 5) == 0);
	check(fchown(q, 12, 34) == 0);
	closed = make("/cr-closed", O_WRONLY, 3, 100);
	put(closed, "closed", 2);
	mq_close(closed);
	gone = make("/cr-again", O_RDWR | O_NONBLOCK, 4, 16);
	put(gone, "gone", 3);
	check(mq_unlink("/cr-again") == 0);
	again = make("/cr-again", O_RDWR | O_NONBLOCK, 5, 32);
	put(again, "again", 4);
	writer = make("/cr-told", O_WRONLY, 5, 32);
	reader = mq_open("/cr-told", O_RDONLY);
	notified = dup(reader);
	check(reader >= 0 && notified >= 0 && mq_notify(notified, &ev) == 0);

	ready();

	check(mq_getattr(q, &a) == 0 && a.mq_maxmsg == 10 && a.mq_msgsize == LARGE &&
	      a.mq_curmsgs == 6 && a.mq_flags == O_NONBLOCK);
	check(fstat(q, &st) == 0 && st.st_uid == 12 && st.st_gid == 34 &&
	      (st.st_mode & 0777) == 0640);
	take(q, "high, first", 11, 31000);
	take(q, "high, second", 12, 31000);
	take(q, "middle", 6, 5);
	take(q, "", 0, 5);
	take(q, "low", 3, 1);
	take(q, large, LARGE, 0);
	no_more(q);
	closed = mq_open("/cr-closed", O_RDONLY | O_NONBLOCK);
	check(closed >= 0, "errno %d", errno);
	take(closed, "closed", 6, 2);
	no_more(closed);
	check(mq_getattr(closed, &a) == 0 && a.mq_maxmsg == 3 && a.mq_msgsize == 100);
	take(gone, "gone", 4, 3);
	no_more(gone);
	take(again, "again", 5, 4);
	no_more(again);
	put(gone, "apart", 0);
	no_more(again);
	check(mq_send(reader, "x", 1, 0) == -1 && errno == EBADF);
	check(told == 0);
	put(writer, "now", 0);
	check(told == 77, "told %d", told);
	check(mq_unlink("/cr-one") == 0 && mq_unlink("/cr-closed") == 0 &&
	      mq_unlink("/cr-again") == 0 && mq_unlink("/cr-told") == 0);
	check(semctl(semaphore, 0, IPC_RMID) == 0);
	return ok();
}
