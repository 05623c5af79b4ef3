/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets made by agents of the tree's tasks. */
#include "state/ns/ns.h"
#include "state/ns/spaces_restore.h"
#include "state/sock/sock.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * Who has been born inside (spaces_births.c) could not come back from where sockets are made: he
 * goes to where he will be, and stays.  For others than of there the first task stands in.
 */
static bool may_stay(struct rtask *t, enum ns_kind kind, uint32_t id, uint32_t now)
{
	return id == now || (id && !now && id == spaces_task_id(t, kind));
}

static struct sock_maker able(const struct sock_maker *m)
{
	struct restore *r = m->task->restore;
	uint32_t net = spaces_is(r, NS_NET, m->net) ? m->net : 0;
	uint32_t mounts = spaces_of_mount(r, m->mnt_id);
	struct sock_maker mine = *m;

	if (m->task->users && (m->mounts || !may_stay(m->task, NS_NET, net, m->task->net) ||
			       (mounts && !may_stay(m->task, NS_MNT, mounts, m->task->mounts))))
		mine.task = restore_task(r, 0);
	return mine;
}

struct sock_maker sock_maker(struct restore *r, const json_t *cred)
{
	struct sock_maker m = {.task = restore_task(r, 0), .mnt_id = -1};
	json_int_t pid = json_integer_value(json_array_get(cred, 0));

	if (json_array_size(cred) != 3)
		return m;
	m.uid = (uid_t)json_integer_value(json_array_get(cred, 1));
	m.gid = (gid_t)json_integer_value(json_array_get(cred, 2));
	m.gone = (pid_t)pid;
	for (unsigned i = 0; i < r->nimages; i++) {
		if (restore_task(r, i)->nspid != pid || restore_task(r, i)->zombie)
			continue;
		m.task = restore_task(r, i);
		m.gone = 0;
	}
	return m;
}

struct sock_maker sock_maker_in(struct restore *r, uint32_t net)
{
	return (struct sock_maker){.task = restore_task(r, 0), .net = net, .mnt_id = -1};
}

/* In numbers of the task's own users; it keeps all rights there. */
static void become_inside(struct batch *b, const struct sock_maker *m)
{
	g_autoptr(GPtrArray) maps = NULL;
	uint32_t uid, gid;

	if (spaces_load_maps(m->task->restore, m->task->users, &maps) < 0) {
		err_clear(); /* it has been read before */
		return;
	}
	uid = spaces_number_inside(maps, false, m->uid);
	gid = spaces_number_inside(maps, true, m->gid);
	batch_add(b, SYS_prctl, IMM(PR_SET_SECUREBITS), IMM(SECBIT_NO_SETUID_FIXUP));
	if (gid != OVERFLOW_ID) /* or it has been born with it */
		batch_add(b, SYS_setresgid, IMM(-1), IMM(gid), IMM(-1));
	if (uid != OVERFLOW_ID)
		batch_add(b, SYS_setresuid, IMM(-1), IMM(uid), IMM(-1));
}

/* The box has been born with our ids: those of root, but for cryo --unprivileged. */
static bool is_box(const struct sock_maker *m)
{
	return m->uid == geteuid() && m->gid == getegid();
}

/* Effective ids only: capabilities come back with them (capabilities(7)). */
static void become(struct batch *b, const struct sock_maker *m)
{
	if (m->task->users)
		become_inside(b, m);
	if (m->task->users || is_box(m))
		return;
	batch_add(b, SYS_setresgid, IMM(-1), IMM(m->gid), IMM(-1));
	batch_add(b, SYS_setresuid, IMM(-1), IMM(m->uid), IMM(-1));
	/* names are reached with the rights of root (capabilities(7)) */
	batch_add(b, SYS_setfsuid, IMM(geteuid()));
	batch_add(b, SYS_setfsgid, IMM(getegid()));
}

static void be_back(struct batch *b, const struct sock_maker *m)
{
	if (m->task->users || is_box(m)) /* spaces_enter_users() */
		return;
	batch_add(b, SYS_setresuid, IMM(-1), IMM(geteuid()), IMM(-1));
	batch_add(b, SYS_setresgid, IMM(-1), IMM(getegid()), IMM(-1));
}

/* Namespaces that the task is in for a moment: all are in the root's yet. */
struct visit {
	unsigned n;
	int fds[4]; /* there, back */
	int flags[2];
	struct arg tfds;
};

static int add_place(struct visit *v, const struct sock_maker *m, enum ns_kind kind, uint32_t id)
{
	int ret = spaces_fd(m->task->restore, kind, id, &v->fds[2 * v->n]);

	if (ret == 0)
		ret = spaces_fd(m->task->restore, kind, 0, &v->fds[2 * v->n + 1]);
	v->flags[v->n++] = ns_infos[kind].flag;
	return ret;
}

/* For ever. */
static int move(struct batch *b, struct rtask *t, enum ns_kind kind, uint32_t id, uint32_t *now)
{
	int fd, ret = id == *now ? 0 : spaces_fd(t->restore, kind, id, &fd);
	struct arg tfd;

	if (ret < 0 || id == *now)
		return ret;
	tfd = batch_recv_fds(b, &fd, 1, NULL);
	batch_add(b, SYS_setns, batch_int_at(b, tfd, 0), IMM(ns_infos[kind].flag));
	batch_add(b, SYS_close, batch_int_at(b, tfd, 0));
	*now = id;
	return batch_run(b);
}

static int go_inside(struct batch *b, const struct sock_maker *m)
{
	uint32_t mounts = spaces_of_mount(m->task->restore, m->mnt_id);
	int ret = 0;

	if (spaces_is(m->task->restore, NS_NET, m->net))
		ret = move(b, m->task, NS_NET, m->net, &m->task->net);
	if (ret == 0 && mounts)
		ret = move(b, m->task, NS_MNT, mounts, &m->task->mounts);
	return ret;
}

static int begin(struct batch *b, const struct sock_maker *m, struct visit *v)
{
	uint32_t mounts = spaces_of_mount(m->task->restore, m->mnt_id);
	int ret = 0;

	*v = (struct visit){0};
	rtask_batch(m->task, b);
	if (m->task->users) {
		ret = go_inside(b, m);
		batch_room(b, 40, 6000);
		return ret;
	}
	batch_room(b, 40, 6000);
	if (spaces_is(m->task->restore, NS_NET, m->net))
		ret = add_place(v, m, NS_NET, m->net);
	if (ret == 0 && (mounts || m->mounts))
		ret = add_place(v, m, NS_MNT, mounts);
	if (ret == 0 && m->mounts)
		v->fds[2 * (v->n - 1)] = *m->mounts;
	if (ret == 0 && v->n)
		v->tfds = batch_recv_fds(b, v->fds, 2 * v->n, NULL);
	for (unsigned i = 0; ret == 0 && i < v->n; i++)
		batch_add(b, SYS_setns, batch_int_at(b, v->tfds, 8 * i), IMM(v->flags[i]));
	return ret;
}

static void go_home(struct batch *b, const struct visit *v)
{
	for (unsigned i = 0; i < v->n; i++) {
		batch_add(b, SYS_setns, batch_int_at(b, v->tfds, 8 * i + 4), IMM(v->flags[i]));
		batch_add(b, SYS_close, batch_int_at(b, v->tfds, 8 * i));
		batch_add(b, SYS_close, batch_int_at(b, v->tfds, 8 * i + 4));
	}
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

int sock_make(const struct sock_maker *maker, int family, int type, int protocol, int *ret_fd)
{
	const struct sock_maker mine = able(maker), *m = &mine;
	CLEANUP(batch_end) struct batch b = {0};
	struct visit v;
	int op, tfd, ret = begin(&b, m, &v);

	if (ret < 0)
		return ret;
	op = batch_add(&b, SYS_socket, IMM(family), IMM(type | SOCK_CLOEXEC), IMM(protocol));
	batch_may_fail(&b, op);
	go_home(&b, &v);
	ret = batch_run(&b);
	if (ret < 0)
		return ret;
	tfd = (int)batch_result(&b, op);
	if (tfd < 0)
		return err_code(tfd, "socket(%d, %d, %d)", family, type, protocol);
	return fetch(&b, m, &tfd, 1, ret_fd);
}

/* 1: nobody who is gone, or that one cannot be: its number is taken, or may not be chosen. */
static int run_gone(const struct sock_maker *m, const struct sock_call *c, int ret_fds[2])
{
	if (m->gone <= 0)
		return 1;
	if (sock_call_gone(m, c, ret_fds) == 0)
		return 0;
	log_debug("%s: the first process in its place", err_message());
	err_clear();
	return 1;
}

int sock_make_pair(const struct sock_maker *maker, int type, int ret_fds[2])
{
	const struct sock_maker mine = able(maker), *m = &mine;
	CLEANUP(batch_end) struct batch b = {0};
	struct visit v;
	const struct sock_call pair = {.nr = SYS_socketpair, .fd = -1, .arg = type};
	int gone = run_gone(m, &pair, ret_fds);
	int tfds[2], ret = gone == 1 ? begin(&b, m, &v) : gone;

	if (ret < 0 || gone != 1)
		return ret;
	become(&b, m);
	batch_add(&b, SYS_socketpair, IMM(AF_UNIX), IMM(type | SOCK_CLOEXEC), IMM(0),
		  batch_out(&b, tfds, sizeof(tfds)));
	be_back(&b, m);
	go_home(&b, &v);
	ret = batch_run(&b);
	return ret < 0 ? ret : fetch(&b, m, tfds, 2, ret_fds);
}

bool sock_call_has_root(const struct sock_call *c)
{
	return c->dir && c->addr && ((const struct sockaddr_un *)c->addr)->sun_path[0] == '/';
}

static int run_call(const struct sock_maker *maker, const struct sock_call *c)
{
	const struct sock_maker mine = able(maker), *m = &mine;
	int gone = run_gone(m, c, NULL);
	CLEANUP(batch_end) struct batch b = {0};
	struct visit v;
	bool jail = sock_call_has_root(c);
	struct arg fd;
	int op, home = -1, ret = gone == 1 ? begin(&b, m, &v) : gone;

	if (ret < 0 || gone != 1)
		return ret;
	fd = batch_recv_fds(&b, &c->fd, 1, NULL);
	if (jail)
		home = batch_add(&b, SYS_openat, IMM(AT_FDCWD), batch_str(&b, "/"),
				 IMM(O_PATH | O_DIRECTORY | O_CLOEXEC));
	if (c->dir)
		batch_add(&b, SYS_chdir, batch_str(&b, c->dir));
	if (jail)
		batch_add(&b, SYS_chroot, batch_str(&b, "."));
	become(&b, m);
	if (c->addr)
		op = batch_add(&b, c->nr, batch_int_at(&b, fd, 0), batch_in(&b, c->addr, c->len),
			       IMM(c->len));
	else
		op = batch_add(&b, c->nr, batch_int_at(&b, fd, 0), IMM(c->arg));
	batch_may_fail(&b, op);
	be_back(&b, m);
	if (jail) {
		batch_add(&b, SYS_fchdir, RES(home));
		batch_add(&b, SYS_chroot, batch_str(&b, "."));
		batch_add(&b, SYS_close, RES(home));
	}
	go_home(&b, &v);
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
	return run_call(m, &(struct sock_call){
				   .dir = dir, .fd = fd, .nr = SYS_bind, .addr = addr, .len = len});
}

int sock_listen_by(const struct sock_maker *m, int fd, int backlog)
{
	return run_call(m, &(struct sock_call){.fd = fd, .nr = SYS_listen, .arg = backlog});
}

int sock_connect_by(const struct sock_maker *m, const char *dir, int fd, const void *addr,
		    socklen_t len)
{
	struct sock_maker root = {
		.task = m->task, .net = m->net, .mnt_id = m->mnt_id, .mounts = m->mounts};
	struct sock_call c = {.dir = dir, .fd = fd, .nr = SYS_connect, .addr = addr, .len = len};
	int r = run_call(m, &c);

	if (r != -EACCES)
		return r;
	err_clear(); /* it was allowed once: what the name's modes are now does not matter */
	return run_call(&root, &c);
}
