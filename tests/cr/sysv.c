/* SPDX-License-Identifier: Apache-2.0 */
/* System V IPC: segments attached, detached, removed and partly unmapped; messages; semaphores. */
#include "cr.h"

#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#define P     4096
#define PAGES 40

static int a, b, c, e;
static char *pa, *pb, *pe;

static int child_verify(void)
{
	struct shmid_ds d;

	if (strcmp(pa, "attached") != 0 || strcmp(pb, "removed") != 0)
		return 10;
	strcpy(pa + P, "from the child");
	return shmctl(a, IPC_STAT, &d) == 0 && d.shm_nattch == 2 ? 0 : 11;
}

static void put(int q, long type, const char *text)
{
	struct {
		long type;
		char text[100];
	} m = {.type = type};

	strcpy(m.text, text);
	check(msgsnd(q, &m, strlen(text), 0) == 0, "errno %d", errno);
}

static void get(int q, long type, const char *text)
{
	struct {
		long type;
		char text[100];
	} m = {0};
	ssize_t n = msgrcv(q, &m, sizeof(m.text), 0, IPC_NOWAIT);

	check(n == (ssize_t)strlen(text) && m.type == type && memcmp(m.text, text, (size_t)n) == 0,
	      "%zd %ld %s", n, m.type, m.text);
}

static void setting(const char *name, const char *value, char *ret)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/kernel/%s", name);
	fd = open(path, value ? O_WRONLY : O_RDONLY);

	check(fd >= 0, "errno %d", errno);
	if (value)
		check(write(fd, value, strlen(value)) > 0, "errno %d", errno);
	else
		ret[read(fd, ret, 15)] = 0;
	close(fd);
}

int main(void)
{
	struct shmid_ds d;
	struct semid_ds sd;
	struct msqid_ds md;
	struct child child;
	const char *const next[][2] = {
		{"msg_next_id", "2000"}, {"sem_next_id", "0"}, {"shm_next_id", "70070"}};
	unsigned short v[3] = {7, 0, 32000}, got[3];
	char text[16], vec[PAGES];
	int q, s;

	for (int i = 0; i < 5; i++) /* numbers that do not begin at 0 */
		check(shmctl(shmget(IPC_PRIVATE, P, 0600), IPC_RMID, NULL) == 0);
	a = shmget(0x1234, PAGES * P + 100, IPC_CREAT | 0640);
	b = shmget(IPC_PRIVATE, P, 0600);
	c = shmget(0x5678, 3 * P, IPC_CREAT | 0600);
	e = shmget(IPC_PRIVATE, 10 * P, 0600);
	check(a >= 0 && b >= 0 && c >= 0 && e >= 0, "errno %d", errno);
	pa = shmat(a, NULL, 0);
	pb = shmat(b, NULL, 0);
	pe = shmat(c, NULL, 0);
	check(pa != (void *)-1 && pb != (void *)-1 && pe != (void *)-1);
	strcpy(pa, "attached");
	strcpy(pa + 30 * P, "far");
	strcpy(pb, "removed");
	strcpy(pe, "detached");
	check(shmdt(pe) == 0);
	pe = shmat(e, NULL, 0);
	for (int i = 0; i < 10; i++)
		pe[i * P] = (char)('a' + i);
	check(munmap(pe + 3 * P, P) == 0 && munmap(pe + 8 * P, 2 * P) == 0);
	check(mprotect(pe + P, P, PROT_READ) == 0);
	check(shmctl(b, IPC_RMID, NULL) == 0);
	check(shmctl(a, IPC_STAT, &d) == 0);
	d.shm_perm.uid = 1000;
	d.shm_perm.gid = 1001;
	check(shmctl(a, IPC_SET, &d) == 0);
	child = child_start(NULL, child_verify);

	q = msgget(0x99, IPC_CREAT | 0620);
	put(q, 3, "first");
	put(q, 5, "");
	put(q, 4, "a longer message");
	check(msgctl(q, IPC_STAT, &md) == 0);
	md.msg_qbytes = 5000;
	check(msgctl(q, IPC_SET, &md) == 0);
	s = semget(0x77, 3, IPC_CREAT | 0604);
	check(semctl(s, 0, SETALL, v) == 0 && semctl(s, 0, IPC_STAT, &sd) == 0);
	sd.sem_perm.uid = 1002;
	sd.sem_perm.gid = 1003;
	check(semctl(s, 0, IPC_SET, &sd) == 0);
	setting("msgmni", "1234", NULL);
	for (int i = 0; i < 3; i++) /* what is made next, after the restore */
		setting(next[i][0], next[i][1], NULL);
	ready();

	check(strcmp(pa, "attached") == 0 && strcmp(pa + 30 * P, "far") == 0);
	check(mincore(pa, PAGES * P, (unsigned char *)vec) == 0 && vec[30] & 1 && !(vec[20] & 1));
	check(mincore(pe + 3 * P, P, (unsigned char *)vec) == -1 && errno == ENOMEM);
	check(mincore(pe + 8 * P, P, (unsigned char *)vec) == -1 && errno == ENOMEM);
	check(strcmp(pb, "removed") == 0);
	check(shmctl(b, IPC_STAT, &d) == 0 && d.shm_perm.mode & 01000 && d.shm_nattch == 2);
	child_go(&child);
	check(strcmp(pa + P, "from the child") == 0);
	check(shmget(0x1234, 0, 0) == a && shmget(0x5678, 0, 0) == c);
	check(shmctl(a, IPC_STAT, &d) == 0 && d.shm_nattch == 1 && d.shm_perm.uid == 1000 &&
	      d.shm_perm.gid == 1001 && d.shm_perm.mode == 0640 && d.shm_segsz == PAGES * P + 100);
	check(shmdt(pa) == 0);
	check(shmdt(pb) == 0 && shmctl(b, IPC_STAT, &d) == -1 && errno == EINVAL);
	pb = shmat(c, NULL, SHM_RDONLY);
	check(pb != (void *)-1 && strcmp(pb, "detached") == 0);
	for (int i = 0; i < 8; i++)
		check(i == 3 || pe[i * P] == 'a' + i, "page %d", i);
	check(pe[P] == 'b' && read(open("/dev/zero", O_RDONLY), pe + P, 1) == -1);

	check(msgctl(q, IPC_STAT, &md) == 0 && md.msg_qbytes == 5000 && md.msg_qnum == 3);
	get(q, 3, "first");
	get(q, 5, "");
	get(q, 4, "a longer message");
	check(semget(0x77, 3, 0) == s && semctl(s, 0, GETALL, got) == 0 &&
	      memcmp(v, got, sizeof(v)) == 0);
	check(semctl(s, 0, IPC_STAT, &sd) == 0 && (sd.sem_perm.mode & 0777) == 0604 &&
	      sd.sem_perm.uid == 1002 && sd.sem_perm.gid == 1003);
	setting("msgmni", NULL, text);
	check(strcmp(text, "1234\n") == 0, "%s", text);
	for (int i = 0; i < 3; i++) {
		setting(next[i][0], NULL, text);
		check(atoi(text) == atoi(next[i][1]), "%s: %s", next[i][0], text);
	}
	check(shmget(IPC_PRIVATE, P, 0600) == 70070);
	return ok();
}
