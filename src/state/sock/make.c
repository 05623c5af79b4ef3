/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets made by agents of the tree's tasks. */
#include "state/sock/sock.h"

#include <errno.h>
#include <sys/syscall.h>

struct sock_maker sock_maker(struct restore *r, const json_t *cred)
{
	struct sock_maker m = {.task = restore_task(r, 0)};
	json_int_t pid = json_integer_value(json_array_get(cred, 0));

	if (json_array_size(cred) != 3)
		return m;
	m.uid = (uid_t)json_integer_value(json_array_get(cred, 1));
	m.gid = (gid_t)json_integer_value(json_array_get(cred, 2));
	for (unsigned i = 0; i < r->nimages; i++)
		if (restore_task(r, i)->nspid == pid && !restore_task(r, i)->zombie)
			m.task = restore_task(r, i);
	return m;
}

/* Effective ids only: capabilities come back with them (capabilities(7)). */
static void become(struct batch *b, const struct sock_maker *m)
{
	if (!m->uid && !m->gid)
		return;
	batch_add(b, SYS_setresgid, IMM(-1), IMM(m->gid), IMM(-1));
	batch_add(b, SYS_setresuid, IMM(-1), IMM(m->uid), IMM(-1));
}

static void be_back(struct batch *b, const struct sock_maker *m)
{
	if (!m->uid && !m->gid)
		return;
	batch_add(b, SYS_setresuid, IMM(-1), IMM(0), IMM(-1));
	batch_add(b, SYS_setresgid, IMM(-1), IMM(0), IMM(-1));
}

static void begin(struct batch *b, const struct sock_maker *m)
{
	rtask_batch(m->task, b);
	batch_room(b, 16, 1024);
}

/* From the task to us. */
static int fetch(struct batch *b, const struct sock_maker *m, const int *tfds, unsigned n,
		 int *ret_fds)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	int r = proc_open(rtask_pid(m->task), &p);

	for (unsigned i = 0; r == 0 && i < n; i++)
		r = proc_getfd(&p, tfds[i], &ret_fds[i]);
	for (unsigned i = 0; i < n; i++)
		batch_add(b, SYS_close, IMM(tfds[i]));
	return r < 0 ? r : batch_run(b);
}

int sock_make(const struct sock_maker *m, int family, int type, int protocol, int *ret_fd)
{
	CLEANUP(batch_end) struct batch b = {0};
	int op, ret, tfd;

	begin(&b, m);
	op = batch_add(&b, SYS_socket, IMM(family), IMM(type | SOCK_CLOEXEC), IMM(protocol));
	batch_may_fail(&b, op);
	ret = batch_run(&b);
	if (ret < 0)
		return ret;
	tfd = (int)batch_result(&b, op);
	if (tfd < 0)
		return err_code(tfd, "socket(%d, %d, %d)", family, type, protocol);
	return fetch(&b, m, &tfd, 1, ret_fd);
}

int sock_make_pair(const struct sock_maker *m, int type, int ret_fds[2])
{
	CLEANUP(batch_end) struct batch b = {0};
	int tfds[2], ret;

	begin(&b, m);
	become(&b, m);
	batch_add(&b, SYS_socketpair, IMM(AF_UNIX), IMM(type | SOCK_CLOEXEC), IMM(0),
		  batch_out(&b, tfds, sizeof(tfds)));
	be_back(&b, m);
	ret = batch_run(&b);
	return ret < 0 ? ret : fetch(&b, m, tfds, 2, ret_fds);
}

struct call {
	const char *dir;
	int fd;
	uint32_t nr;
	const void *addr; /* NULL: ARG instead */
	socklen_t len;
	long arg;
};

static int run_call(const struct sock_maker *m, const struct call *c)
{
	CLEANUP(batch_end) struct batch b = {0};
	struct arg fd;
	int op, ret;

	begin(&b, m);
	fd = batch_recv_fds(&b, &c->fd, 1, NULL);
	if (c->dir)
		batch_add(&b, SYS_chdir, batch_str(&b, c->dir));
	become(&b, m);
	if (c->addr)
		op = batch_add(&b, c->nr, batch_int_at(&b, fd, 0), batch_in(&b, c->addr, c->len),
			       IMM(c->len));
	else
		op = batch_add(&b, c->nr, batch_int_at(&b, fd, 0), IMM(c->arg));
	batch_may_fail(&b, op);
	be_back(&b, m);
	if (c->dir)
		batch_add(&b, SYS_chdir, batch_str(&b, "/"));
	batch_add(&b, SYS_close, batch_int_at(&b, fd, 0));
	ret = batch_run(&b);
	if (ret == 0 && batch_result(&b, op) < 0) {
		char name[24];

		ret = err_code((int)batch_result(&b, op), "%s", syscall_name(c->nr, name));
	}
	return ret;
}

int sock_bind_by(const struct sock_maker *m, const char *dir, int fd, const void *addr,
		 socklen_t len)
{
	return run_call(
		m, &(struct call){.dir = dir, .fd = fd, .nr = SYS_bind, .addr = addr, .len = len});
}

int sock_listen_by(const struct sock_maker *m, int fd, int backlog)
{
	return run_call(m, &(struct call){.fd = fd, .nr = SYS_listen, .arg = backlog});
}

int sock_connect_by(const struct sock_maker *m, const char *dir, int fd, const void *addr,
		    socklen_t len)
{
	struct sock_maker root = {.task = m->task};
	struct call c = {.dir = dir, .fd = fd, .nr = SYS_connect, .addr = addr, .len = len};
	int r = run_call(m, &c);

	if (r != -EACCES)
		return r;
	err_clear(); /* it was allowed once: what the name's modes are now does not matter */
	return run_call(&root, &c);
}
