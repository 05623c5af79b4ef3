/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/landlock.h"

#include "kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOB_WORDS  32	       /* more than all modules together have in it */
#define THREADS_MAX (1u << 22) /* PID_MAX_LIMIT */
#define LAYERS_MAX  16	       /* LANDLOCK_MAX_NUM_LAYERS */

bool landlock_is_on(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

/* struct task_struct of who stands behind /proc/PID (fs/proc/internal.h: struct proc_inode). */
static int task_of(struct peek *k, int dir, uint64_t *ret)
{
	uint64_t file, inode, within, pid, first, links;
	int r = peek_file(k, dir, &file);

	if (r == 0)
		r = peek_u64(k, file, "file", "f_inode", &inode);
	if (r == 0)
		r = peek_at(k, 0, "proc_inode", "vfs_inode", &within);
	if (r == 0)
		r = peek_u64(k, inode - within, "proc_inode", "pid", &pid);
	if (r == 0)
		r = peek_u64(k, pid, "pid", "tasks", &first); /* PIDTYPE_PID is the first */
	if (r == 0)
		r = peek_at(k, 0, "task_struct", "pid_links", &links);
	if (r == 0)
		*ret = first - links;
	return r == 0 && !first ? err_set(EFAULT, "the process is gone") : r;
}

static int blob_of(struct peek *k, uint64_t cred, uint64_t ret[static BLOB_WORDS])
{
	uint64_t blob;
	int r = peek_u64(k, cred, "cred", "security", &blob);

	return r < 0 ? r : peek_read(k, blob, ret, BLOB_WORDS * sizeof(*ret));
}

static int blob_of_process(struct peek *k, pid_t pid, uint64_t ret[static BLOB_WORDS])
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	uint64_t task, cred;
	int r = proc_open(pid, &p);

	if (r == 0)
		r = task_of(k, p.dir, &task);
	if (r == 0)
		r = peek_u64(k, task, "task_struct", "cred", &cred);
	return r < 0 ? r : blob_of(k, cred, ret);
}

/* How many rulesets on top of each other the domain has; 0: that is none. */
static uint32_t layers_of(struct peek *k, uint64_t domain)
{
	uint32_t n = 0;

	if (domain && peek_u32(k, domain, "landlock_ruleset", "num_layers", &n) < 0)
		err_clear();
	return n <= LAYERS_MAX ? n : 0;
}

/* In a child: nothing but system calls.  It waits until it is killed. */
_Noreturn static void be_restricted(int tell)
{
	struct landlock_ruleset_attr a = {.handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE};
	int fd = (int)syscall(SYS_landlock_create_ruleset, &a, sizeof(a.handled_access_fs), 0);

	if (fd < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_landlock_restrict_self, fd, 0) < 0 || write(tell, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static void end_child(pid_t *child)
{
	if (*child <= 0)
		return;
	kill(*child, SIGKILL);
	while (waitpid(*child, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Ourselves; what a domain that we are in allows less, a restore gives back by itself. */
static int own_blob(struct peek *k, uint64_t ret[static BLOB_WORDS])
{
	return blob_of_process(k, getpid(), ret);
}

int landlock_find(struct peek *k, unsigned *ret)
{
	uint64_t ours[BLOB_WORDS], its[BLOB_WORDS];
	autoclose int from = -1, to = -1;
	CLEANUP(end_child) pid_t child = 0;
	int v[2], r;
	char told;

	*ret = LANDLOCK_NOWHERE;
	if (pipe2(v, O_CLOEXEC) < 0)
		return err_errno("pipe");
	from = v[0];
	to = v[1];
	child = fork();
	if (child == 0)
		be_restricted(to);
	cleanup_close(&to);
	if (child < 0 || read(from, &told, 1) != 1)
		return 0;
	r = own_blob(k, ours);
	if (r == 0)
		r = blob_of_process(k, child, its);
	for (unsigned i = 0; r == 0 && i < BLOB_WORDS && *ret == LANDLOCK_NOWHERE; i++)
		if (its[i] != ours[i] && layers_of(k, its[i]) == layers_of(k, ours[i]) + 1)
			*ret = i;
	return r;
}

int landlock_restricts(struct peek *k, unsigned at, int dir)
{
	uint64_t ours[BLOB_WORDS], its[BLOB_WORDS];
	uint64_t task, signal, head, node, within, cred, last = 0;
	int r = own_blob(k, ours);

	if (r == 0)
		r = task_of(k, dir, &task);
	if (r == 0)
		r = peek_u64(k, task, "task_struct", "signal", &signal);
	if (r == 0)
		r = peek_at(k, signal, "signal_struct", "thread_head", &head);
	if (r == 0)
		r = peek_at(k, 0, "task_struct", "thread_node", &within);
	if (r == 0)
		r = peek_read(k, head, &node, sizeof(node));
	for (unsigned i = 0; r == 0 && node != head && i < THREADS_MAX; i++) {
		r = peek_u64(k, node - within, "task_struct", "cred", &cred);
		if (r == 0 && cred != last) /* threads share it */
			r = blob_of(k, cred, its);
		if (r == 0 && cred != last && its[at] != ours[at] && layers_of(k, its[at]) > 0)
			return 1;
		last = cred;
		if (r == 0)
			r = peek_read(k, node, &node, sizeof(node));
	}
	return r;
}
