/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User namespaces below that of the tree's root: made, each in the one above it, by a process of
 * ours; and tasks that go into them (see spaces.h).
 */
#include "state/ns/spaces_restore.h"

#include "base/fd.h"
#include "base/file.h"
#include "image/userns.pb-c.h"
#include "state/extra.h"
#include "state/ns/ns.h"
#include "state/task/task.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct making {
	int proc; /* O_PATH, of our /proc */
	const UsernsEntry *e;
	uid_t owner; /* in the namespace above */
	gid_t group;
	bool deny; /* setgroups(2) */
	int talk[2];
};

/*
 * In the child, which becomes the owner; its end is the end of TALK.  Dumpable again, so that what
 * /proc has of it is its own, and not that of a root whom nobody above knows (fs/proc/base.c:
 * task_dump_owner()).
 */
static _Noreturn void be_owner(const struct making *m)
{
	char c;
	int e = 0;

	if (syscall(SYS_setresgid, m->group, m->group, m->group) < 0 ||
	    syscall(SYS_setresuid, m->owner, m->owner, m->owner) < 0 ||
	    unshare(CLONE_NEWUSER) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0)
		e = errno;
	if (write(m->talk[1], &e, sizeof(e)) != sizeof(e))
		_exit(1);
	/* until what it has made is held by somebody else */
	_exit(read(m->talk[1], &c, 1) == 0 ? 0 : 1);
}

static int write_maps(const struct making *m, int dir)
{
	int r = m->e->n_uid_map ? users_write_map(dir, "uid_map", m->e->uid_map, m->e->n_uid_map)
				: 0;

	if (r == 0 && m->deny)
		r = file_poke_at(dir, "setgroups", "deny");
	if (r == 0 && m->e->n_gid_map)
		r = users_write_map(dir, "gid_map", m->e->gid_map, m->e->n_gid_map);
	return r;
}

static int take_it(const struct making *m, pid_t pid, int *ret_fd)
{
	autoclose int dir = -1;
	char name[16];
	int e = 0, r;

	if (read(m->talk[0], &e, sizeof(e)) != sizeof(e))
		return err_set(EIO, "its owner has died");
	errno = e;
	if (e)
		return err_errno("new user namespace of user %u", m->owner);
	snprintf(name, sizeof(name), "%d", pid);
	dir = openat(m->proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = dir < 0 ? err_errno("open /proc/%s", name) : write_maps(m, dir);
	return r < 0 ? r : ns_open(dir, NS_USER, ret_fd);
}

/* In the namespace above, where all capabilities are ours. */
static int make_below(void *arg, int *ret_fd)
{
	struct making *m = arg;
	pid_t pid;
	int r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, m->talk) < 0)
		return err_errno("socketpair");
	pid = fork();
	if (pid < 0)
		return err_errno("fork");
	if (pid == 0) {
		close(m->talk[0]);
		be_owner(m);
	}
	close(m->talk[1]);
	r = take_it(m, pid, ret_fd);
	close(m->talk[0]);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}

struct born {
	struct making m;
	pid_t pid;
};

static int write_born(void *arg, int *ret_fd)
{
	const struct born *b = arg;
	autoclose int dir = -1;
	char name[16];

	snprintf(name, sizeof(name), "%d", b->pid);
	dir = openat(b->m.proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? err_errno("open /proc/%s", name) : write_maps(&b->m, dir);
}

/* A group that the namespace above has. */
static int group_above(struct restore *r, uint32_t above, gid_t *ret)
{
	CLEANUP(image_record_free) UsernsEntry *e = NULL;
	int ret_code = above ? image_load_needed(r->o.images, IMG_USERNS, above, &e) : 0;

	*ret = ret_code == 0 && above && e->n_gid_map ? e->gid_map[0]->first : 0;
	return ret_code;
}

static const json_t *record_of(const struct restore *r, const struct rspace *s)
{
	return extra_get(r->extra, "user_namespaces", s->id);
}

static bool is_denied(const struct restore *r, const struct rspace *s)
{
	return json_is_true(json_object_get(record_of(r, s), "deny"));
}

static uid_t owner_of(const struct restore *r, const struct rspace *s)
{
	return (uid_t)json_integer_value(json_object_get(record_of(r, s), "owner"));
}

int spaces_make_users(struct restore *r, struct rspace *s)
{
	autoclose int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct rspace *above = spaces_get(r, NS_USER, s->owner);
	CLEANUP(image_record_free) UsernsEntry *e = NULL;
	struct making m = {.proc = proc, .owner = owner_of(r, s), .deny = is_denied(r, s)};
	autoclose int box = -1;
	int ret;

	if (s->making || proc < 0)
		return err_set(EBADMSG, "it is below itself");
	s->making = true;
	ret = above && above->fd < 0 ? spaces_make_users(r, above) : 0;
	if (ret == 0)
		ret = image_load_needed(r->o.images, IMG_USERNS, s->id, &e);
	if (ret == 0 && !above)
		ret = spaces_users_of_box(r, &box);
	if (ret == 0)
		ret = group_above(r, s->owner, &m.group);
	m.e = e;
	return ret < 0 ? ret : ns_run(above ? &above->fd : &box, 1, make_below, &m, &s->fd);
}

int spaces_born_users(struct restore *r, struct rspace *s, struct rtask *parent,
		      struct rtask *child)
{
	autoclose int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC), box = -1;
	const struct rspace *above = spaces_get(r, NS_USER, s->owner);
	CLEANUP(image_record_free) UsernsEntry *e = NULL;
	struct born b = {.m = {.proc = proc, .deny = is_denied(r, s)}, .pid = rtask_pid(child)};
	CLEANUP(batch_end) struct batch again = {0};
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	int ret = proc < 0 ? err_errno("open /proc") : proc_open(b.pid, &p);

	child->users = s->id;
	if (ret == 0)
		ret = ns_open(p.dir, NS_USER, &s->fd);
	if (ret == 0)
		ret = image_load_needed(r->o.images, IMG_USERNS, s->id, &e);
	if (ret == 0 && !above)
		ret = spaces_users_of_box(r, &box);
	b.m.e = e;
	if (ret == 0)
		ret = ns_run(above ? &above->fd : &box, 1, write_born, &b, NULL);
	if (ret < 0 || parent->users)
		return ret;
	/* whom it was for that: spaces_become_owner() */
	rtask_batch(parent, &again);
	batch_add(&again, SYS_setresuid, IMM(0), IMM(0), IMM(0));
	batch_add(&again, SYS_setresgid, IMM(0), IMM(0), IMM(0));
	batch_add(&again, SYS_setgroups, IMM(0), IMM(0));
	batch_add(&again, SYS_prctl, IMM(PR_SET_DUMPABLE), IMM(1)); /* commit_creds() */
	return batch_run(&again);
}

#define DEPTH_MAX 33 /* kernel/user_namespace.c: create_user_ns() */

static void free_maps(void *p)
{
	userns_entry__free_unpacked(p, NULL);
}

int spaces_load_maps(struct restore *r, uint32_t users, GPtrArray **ret)
{
	GPtrArray *all = *ret = g_ptr_array_new_with_free_func(free_maps);
	int ret_code = 0;

	while (ret_code == 0 && users) {
		const struct rspace *s = spaces_get(r, NS_USER, users);
		UsernsEntry *e = NULL;

		if (all->len == DEPTH_MAX)
			return err_set(EBADMSG, "user namespace %u is below itself", users);
		ret_code = image_load_needed(r->o.images, IMG_USERNS, users, &e);
		if (ret_code == 0)
			g_ptr_array_insert(all, 0, e);
		users = s ? s->owner : 0;
	}
	return ret_code;
}

static UidGidExtent **extents_of(const GPtrArray *maps, unsigned i, bool group, size_t *n)
{
	const UsernsEntry *e = g_ptr_array_index(maps, i);

	*n = group ? e->n_gid_map : e->n_uid_map;
	return group ? e->gid_map : e->uid_map;
}

static uint32_t step_in(UidGidExtent *const *v, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++)
		if (id >= v[i]->lower_first && id - v[i]->lower_first < v[i]->count)
			return v[i]->first + (id - v[i]->lower_first);
	return OVERFLOW_ID;
}

static uint32_t step_out(UidGidExtent *const *v, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++)
		if (id >= v[i]->first && id - v[i]->first < v[i]->count)
			return v[i]->lower_first + (id - v[i]->first);
	return OVERFLOW_ID;
}

uint32_t spaces_number_inside(const GPtrArray *maps, bool group, uint32_t id)
{
	for (unsigned i = 0; i < maps->len; i++) {
		size_t n;
		UidGidExtent **v = extents_of(maps, i, group, &n);

		id = step_in(v, n, id);
	}
	return id;
}

uint32_t spaces_first_number(const GPtrArray *maps, bool group)
{
	size_t n = 0;
	UidGidExtent **v = maps->len ? extents_of(maps, maps->len - 1, group, &n) : NULL;
	uint32_t id = n ? v[0]->first : 0;

	for (unsigned i = maps->len; n && i-- > 0;) {
		v = extents_of(maps, i, group, &n);
		id = step_out(v, n, id);
	}
	return id;
}

bool spaces_has_users(const struct rtask *t)
{
	return spaces_task_id(t, NS_USER) != 0;
}

/* kernel/user_namespace.c: userns_may_setgroups() */
static bool has_groups(const GPtrArray *maps)
{
	return maps->len &&
	       ((const UsernsEntry *)g_ptr_array_index(maps, maps->len - 1))->n_gid_map;
}

/* Of T, where it is by now. */
static int take_users(struct restore *r, const struct rtask *t, const struct rtask *whose,
		      const uid_t *owner, struct batch *b)
{
	const struct rspace *now = spaces_get(r, NS_USER, t->users);
	g_autoptr(GPtrArray) maps = NULL;
	struct users u = {.owner = owner};
	int ret = spaces_load_maps(r, t->users, &maps);

	u.maps = maps;
	u.deny = now && (is_denied(r, now) || !has_groups(maps));
	if (ret == 0)
		creds_take_users(&whose->threads[0], &u, b);
	return ret;
}

/* What comes with the child is the owner's, and so is the child; its groups it may get never after.
 */
int spaces_become_owner(struct restore *r, const struct rspace *s, struct rtask *parent,
			struct rtask *child)
{
	CLEANUP(batch_end) struct batch b = {0};
	uid_t owner = owner_of(r, s);
	int ret;

	if (s->fd >= 0 || s->owner != parent->users || child->helper || child->zombie)
		return err_set(EOPNOTSUPP, "its user namespace cannot be made with it");
	rtask_batch(parent, &b);
	ret = parent->users ? 0 : take_users(r, parent, child, &owner, &b);
	return ret < 0 ? ret : batch_run(&b);
}

/* Made by whoever comes first to the users that it belongs to. */
static int enter_cgroups(struct restore *r, struct rtask *t, struct batch *b)
{
	const struct rspace *s = spaces_get(r, NS_CGROUP, spaces_task_id(t, NS_CGROUP));

	return s && s->owner && s->owner == t->users ? spaces_enter_cgroups(r, t, b) : 0;
}

static int enter(struct rtask *t, const struct rspace *s, struct batch *b)
{
	int tfd, ret;

	batch_recv_fds(b, &s->fd, 1, &tfd);
	ret = batch_run(b);
	if (ret < 0)
		return ret;
	batch_add(b, SYS_setns, IMM(tfd), IMM(CLONE_NEWUSER));
	batch_add(b, SYS_close, IMM(tfd));
	t->users = s->id;
	return batch_run(b);
}

int spaces_enter_users(struct restore *r, struct rtask *t)
{
	const struct rspace *s = spaces_get(r, NS_USER, spaces_task_id(t, NS_USER));
	CLEANUP(batch_end) struct batch b = {0};
	int ret;

	if (!s)
		return 0;
	rtask_batch(t, &b);
	ret = take_users(r, t, t, NULL, &b);
	if (ret == 0 && t->users != s->id)
		ret = enter_cgroups(r, t, &b);
	if (ret == 0 && t->users != s->id)
		ret = enter(t, s, &b);
	if (ret == 0)
		ret = batch_run(&b);
	return ret < 0 ? ret : enter_cgroups(r, t, &b);
}

/* The pid namespace that FD shows, and those above it, up to the root's. */
static int open_levels(int fd, int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		fds[i] = i ? ns_parent(fds[i - 1]) : fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (fds[i] < 0)
			return err_errno("pid namespace above");
	}
	return 0;
}

/* kernel/pid.c: alloc_pid(): CAP_CHECKPOINT_RESTORE in what each of them belongs to. */
static int count_free(int users, const int *fds, unsigned n, unsigned *ret)
{
	uint64_t ino;
	int r = ns_ino(users, &ino);

	for (*ret = 0; r == 0 && *ret < n; (*ret)++) {
		autoclose int owner = -1;

		r = ns_above(fds[*ret], &owner);
		if (r == 0)
			r = ns_is_within(owner, ino);
		if (r <= 0)
			return r;
		r = 0;
	}
	return MIN(r, 0);
}

int spaces_choose(struct restore *r, const struct rtask *t, const struct rtask *child,
		  bool new_pids, const pid_t *tids, unsigned *ntids)
{
	const struct rspace *s = spaces_get(r, NS_USER, t->users);
	uint32_t pids = child ? t->forks : spaces_task_id(t, NS_PID);
	const struct rspace *into = spaces_get(r, NS_PID, pids);
	int fds[LEVELS_MAX + 1], fd, ret;
	unsigned first, n, own = 0;

	if (!s || !*ntids || *ntids > ARRAY_SIZE(fds))
		return 0;
	if (into && into->fd < 0) { /* unshare(2) */
		new_pids = true;
		pids = spaces_task_id(t, NS_PID);
	}
	first = new_pids ? 1 : 0;
	n = *ntids - first;
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = -1;
	ret = spaces_fd(r, NS_PID, pids, &fd);
	if (ret == 0)
		ret = open_levels(fd, fds, n);
	if (ret == 0)
		ret = count_free(s->fd, fds, n, &own);
	/* innermost first: who goes there takes a number further out as well */
	for (unsigned i = own; ret == 0 && i < n; i++)
		ret = ns_next_pid(fds[i], tids[first + i]);
	for (unsigned i = 0; i < n; i++)
		cleanup_close(&fds[i]);
	*ntids = first + own;
	return ret;
}
