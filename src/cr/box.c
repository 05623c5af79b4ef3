/* SPDX-License-Identifier: Apache-2.0 */
/* A box without an OCI runtime: a forked root task that becomes the stub. */
#include "cr/cryo.h"

#include "agent/agent.h"
#include "agent/stub.h"
#include "base/fd.h"
#include "base/log.h"
#include "cr/records.h"
#include "image/inventory.h"
#include "image/pidns.pb-c.h"
#include "image/pstree.pb-c.h"
#include "kernel/procmisc.h"
#include "state/ns/cgroups.h"
#include "state/ns/mnt.h"
#include "state/ns/net.h"
#include "state/ns/ns.h"
#include "state/ns/nsids.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PATIENCE_US (500 * 1000) /* for a number that nobody alive has */

int cryo_stub_open(void)
{
	int fd, r = stub_memfd(&fd);

	return r < 0 ? r : fd;
}

static int make_mounts(const struct cryo_box_options *o, struct mnt_plan *plan)
{
	if (plan)
		return mnt_plan_make(plan);
	/* mounts made in the box stay there */
	if (o->namespaces & CLONE_NEWNS && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_errno("make all mounts private");
	return 0;
}

static int enter(const struct cryo_box_options *o, struct mnt_plan *plan)
{
	int r;

	/* the root of a new user namespace: what it makes belongs to that */
	if (o->namespaces & CLONE_NEWUSER &&
	    (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, 0, 0, 0) < 0 ||
	     syscall(SYS_setresuid, 0, 0, 0) < 0))
		return err_errno("become root of the user namespace");
	/* the control groups that it is in by now are the root of what it sees */
	if (o->namespaces & CLONE_NEWCGROUP && unshare(CLONE_NEWCGROUP) < 0)
		return err_errno("new cgroup namespace");
	r = make_mounts(o, plan);
	if (r < 0)
		return r;
	if (o->root && !(plan && mnt_plan_has_root(plan)) &&
	    (chdir(o->root) < 0 || chroot(".") < 0))
		return err_errno("enter %s", o->root);
	if (o->mount_proc &&
	    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return err_errno("mount /proc");
	return !o->shell_job && setsid() < 0 ? err_errno("setsid") : 0;
}

/*
 * Whoever is not root, but has capabilities by its program's file (cryo --unprivileged), would lose
 * them in executing the stub, were they not ambient (security/commoncap.c:
 * cap_bprm_creds_from_file()).
 */
static int keep_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (geteuid() == 0)
		return 0;
	if (syscall(SYS_capget, &head, data) < 0)
		return err_errno("capget");
	data[0].inheritable = data[0].permitted;
	data[1].inheritable = data[1].permitted;
	if (syscall(SYS_capset, &head, data) < 0)
		return err_errno("capset");
	for (unsigned cap = 0; cap < 64; cap++)
		if (data[cap / 32].permitted & 1u << cap % 32 &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return err_errno("keep capability %u", cap);
	return 0;
}

/* Why the task did not get as far as the stub. */
struct report {
	int result;
	char story[1024];
};

static _Noreturn void child(const struct cryo_box_options *o, struct mnt_plan *plan, int stub,
			    int sock, int talk)
{
	/* before /proc is another one */
	int label = o->lsm_exec ? open("/proc/thread-self/attr/exec", O_WRONLY | O_CLOEXEC) : -1;
	struct report rep = {0};
	char go;

	if (read(talk, &go, 1) != 1)
		_exit(109);
	rep.result = enter(o, plan);
	for (int i = 0; rep.result == 0 && o->stdio && i < 3; i++)
		if (dup2(o->stdio[i], i) < 0)
			rep.result = err_errno("descriptor %d", i);
	if (rep.result == 0 && o->lsm_exec &&
	    write(label, o->lsm_exec, strlen(o->lsm_exec)) != (ssize_t)strlen(o->lsm_exec))
		rep.result = err_errno("security profile %s", o->lsm_exec);
	if (rep.result == 0)
		rep.result = keep_capabilities();
	if (rep.result == 0)
		rep.result = stub_exec(stub, sock);
	g_strlcpy(rep.story, err_message(), sizeof(rep.story));
	if (write(talk, &rep, sizeof(rep)) < 0)
		_exit(111);
	_exit(110);
}

static int make_network(const struct cryo_box_options *o, const struct nsids *ids, pid_t pid)
{
	struct net_options n = {.images = o->images,
				.id = ids->v[NS_NET],
				.root = ids->v[NS_NET],
				.ns = -1,
				.externals = o->externals,
				.nexternals = o->nexternals,
				.weak_sysctls = o->weak_sysctls};
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	json_t *extra = NULL;
	int r = records_load_extra(o->images, &extra);

	if (r == 0)
		r = proc_open(pid, &p);
	if (r == 0)
		r = ns_open(p.dir, NS_NET, &n.ns);
	if (r == 0)
		r = net_restore_devices(&n, extra);
	/* 1: it is completed with the others, state/ns/spaces_make.c */
	if (r == 0)
		r = net_restore_rest(&n, extra);
	r = MIN(r, 0);
	cleanup_close(&n.ns);
	json_decref(extra);
	return r;
}

/* The task does what it has to, up to the stub, whose execution closes TALK. */
/* FLAGS: what is new. */
static int let_enter(const struct cryo_box_options *o, uint64_t flags, pid_t pid, int talk)
{
	struct report rep;
	ssize_t n;
	struct nsids ids;
	int r = o->records ? nsids_load(o->images, o->pid, &ids) : 0;

	if (r == 0 && o->records && o->namespaces & CLONE_NEWUSER)
		r = users_restore(o->images, ids.v[NS_USER], pid);
	if (r == 0 && o->prepare)
		r = o->prepare(o->prepare_arg, pid);
	if (r == 0 && o->records && !o->empty_net && flags & CLONE_NEWNET)
		r = make_network(o, &ids, pid);
	if (r < 0)
		return r;
	if (write(talk, "", 1) != 1)
		return err_errno("start the first task");
	do
		n = read(talk, &rep, sizeof(rep));
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != ECONNRESET)
		return err_errno("start the first task");
	return n == sizeof(rep) ? err_adopt(rep.result, rep.story) : 0;
}

static int load_mounts(const struct cryo_box_options *o, json_t *extra, struct mnt_plan **ret)
{
	/* another CRIU takes our root directory where none is given */
	const struct mnt_options m = {.root = o->root ?: (o->others ? "/" : NULL),
				      .externals = o->externals,
				      .nexternals = o->nexternals,
				      .extra = extra,
				      .images = o->images};

	struct nsids ids;
	int r = o->mounts ? nsids_load(o->images, o->pid, &ids) : 0;

	return r == 0 && o->mounts ? mnt_plan_load(&m, ids.v[NS_MNT], ret) : r;
}

/*
 * Our own thread is in the namespaces while it forks: the child is born there, also into a new user
 * namespace, from which it could not enter them.
 */
struct joins {
	unsigned n, flags[8];
	int ours[8];
};

static void end_joins(struct joins *j)
{
	for (unsigned i = 0; i < j->n; i++) {
		if (setns(j->ours[i], (int)j->flags[i]) < 0)
			abort(); /* nothing that we do from here on would be where it should be */
		close(j->ours[i]);
	}
}

static int join(struct joins *j, unsigned flag, int fd)
{
	g_autofree char *path = NULL;

	for (unsigned k = 0; k < NS_COUNT; k++)
		if ((unsigned)ns_infos[k].flag == flag)
			path = g_strdup_printf("/proc/self/ns/%s", ns_infos[k].name);
	if (j->n == ARRAY_SIZE(j->ours) || !path)
		return err_set(EINVAL, "this namespace cannot be joined");
	j->ours[j->n] = open(path, O_RDONLY | O_CLOEXEC);
	if (j->ours[j->n] < 0)
		return err_errno("open %s", path);
	if (setns(fd, (int)flag) < 0) {
		int r = err_errno("enter a namespace to be joined");

		close(j->ours[j->n]);
		return r;
	}
	j->flags[j->n++] = flag;
	return 0;
}

static int find_inherit(const struct cryo_box_options *o, const char *key, int *ret)
{
	for (unsigned i = 0; i < o->ninherits; i++)
		if (strcmp(o->inherits[i].name, key) == 0) {
			*ret = o->inherits[i].fd;
			return 0;
		}
	return err_set(EINVAL, "namespace %s is external; use --inherit-fd fd[N]:%s", key, key);
}

/* What images say to be external. */
static int join_externals(const struct cryo_box_options *o, struct joins *j)
{
	CLEANUP(image_record_free) NetnsEntry *net = NULL;
	CLEANUP(image_record_free) PidnsEntry *pids = NULL;
	struct nsids ids;
	int r = nsids_load(o->images, o->pid, &ids), fd = -1;

	if (r == 0)
		r = image_load_optional(o->images, IMG_NETNS, ids.v[NS_NET], &net);
	if (r >= 0)
		r = image_load_optional(o->images, IMG_PIDNS, ids.v[NS_PID], &pids);
	r = r > 0 ? 0 : r;
	if (r == 0 && net && net->ext_key) {
		r = find_inherit(o, net->ext_key, &fd);
		r = r < 0 ? r : join(j, CLONE_NEWNET, fd);
	}
	if (r == 0 && pids && pids->ext_key) {
		r = find_inherit(o, pids->ext_key, &fd);
		r = r < 0 ? r : join(j, CLONE_NEWPID, fd);
	}
	return r;
}

static int begin_joins(const struct cryo_box_options *o, struct joins *j)
{
	int r = o->records ? join_externals(o, j) : 0;

	for (unsigned i = 0; r == 0 && i < o->njoins; i++)
		r = join(j, o->joins[i].flag, o->joins[i].fd);
	if (r < 0)
		end_joins(j);
	return r;
}

/*
 * Whoever saw the old root's end may call before its number is free: release_task()
 * (kernel/exit.c) takes it out of /proc first, and gives the number back (free_pids()) later; or
 * its parent is about to wait for it.
 */
static long fork_patiently(struct clone_args *a, pid_t number)
{
	gint64 end = g_get_monotonic_time() + PATIENCE_US;
	long pid = syscall(SYS_clone3, a, sizeof(*a));

	if (pid < 0 && errno == EEXIST && number && !proc_number_held(number))
		log_info(
			"number %d is not free yet, but nobody lives that has it: it is waited for",
			number);
	while (pid < 0 && errno == EEXIST && number && !proc_number_held(number) &&
	       g_get_monotonic_time() < end) {
		g_usleep(1000);
		pid = syscall(SYS_clone3, a, sizeof(*a));
	}
	return pid;
}

static int fork_box(const struct cryo_box_options *o, struct mnt_plan *plan, struct cryo_box *ret)
{
	/* with CLONE_PARENT the exit signal is ours: kernel/fork.c, copy_process() */
	struct clone_args a = {.flags = (o->namespaces & ~(unsigned)CLONE_NEWCGROUP) |
					(o->sibling ? CLONE_PARENT : 0),
			       .exit_signal = o->sibling ? 0 : SIGCHLD};
	autoclose int stub = -1, ours = -1, low = -1, theirs = -1, talk = -1, talker = -1;
	struct joins joins = {0};
	int r, sv[2];
	long pid;

	r = stub_memfd(&stub);
	if (r < 0)
		return r;
	r = stub_socketpair(&ours, &low);
	if (r < 0)
		return r;
	/* beyond what dup2() to 0-2 may overwrite */
	theirs = fd_dup_above(low, 10);
	if (theirs < 0)
		return theirs;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return err_errno("socketpair");
	talk = sv[0];
	talker = fd_dup_above(sv[1], 10);
	close(sv[1]);
	if (talker < 0)
		return talker;
	if (o->pid) {
		a.set_tid = (uint64_t)(uintptr_t)&o->pid;
		a.set_tid_size = 1;
	}
	r = begin_joins(o, &joins);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < joins.n; i++)
		a.flags &= ~(uint64_t)joins.flags[i];
	pid = fork_patiently(&a, o->pid);
	if (pid != 0)
		end_joins(&joins);
	if (pid < 0 && errno == EEXIST && o->pid)
		return proc_number_taken(o->pid);
	if (pid < 0)
		return err_errno("fork of the first task%s", o->pid ? " with its number" : "");
	if (pid == 0)
		child(o, plan, stub, theirs, talker);
	close(take_fd(&talker));
	*ret = (struct cryo_box){.pid = (pid_t)pid, .sock = take_fd(&ours), .child = !o->sibling};
	r = let_enter(o, a.flags, (pid_t)pid, talk);
	if (r < 0) {
		ERR_KEEP;

		cryo_box_drop(ret);
	}
	return r;
}

static int fork_with_mounts(const struct cryo_box_options *o, json_t *extra, struct cryo_box *ret)
{
	CLEANUP(mnt_plan_free) struct mnt_plan *plan = NULL;
	int r = load_mounts(o, extra, &plan);

	return r < 0 ? r : fork_box(o, plan, ret);
}

int cryo_box_fork(const struct cryo_box_options *o, struct cryo_box *ret)
{
	json_t *extra = NULL;
	int r = o->records ? records_load_extra(o->images, &extra) : 0;

	if (r == 0)
		r = fork_with_mounts(o, extra, ret);
	json_decref(extra);
	return r;
}

/* Of images that another CRIU has written. */
static int box_of_others(int images, pid_t root, struct box_record *ret)
{
	struct nsids ids;
	int r = nsids_load(images, root, &ids);

	ret->namespaces = ids.own;
	ret->mounts = ids.own & CLONE_NEWNS;
	return r;
}

int cryo_images_box(int images, struct cryo_box_options *ret, bool *ret_clocks)
{
	CLEANUP(image_close) struct image *tree = NULL;
	CLEANUP(image_record_free) PstreeEntry *root = NULL;
	struct box_record box;
	json_t *extra = NULL;
	bool ours;
	int r = image_open_needed(images, IMG_PSTREE, 0, &tree);

	if (r == 0)
		r = image_read(tree, &root);
	if (r == 1)
		return err_set(EBADMSG, "pstree.img: there is no process");
	if (r == 0)
		r = records_load_extra(images, &extra);
	if (r == 0)
		r = box_load(extra, &box);
	/* A container's: its own engine has a box for it, but who asks here is another's runtime.
	 */
	if (r == 0 && !box.namespaces)
		r = box_of_others(images, (pid_t)root->pid, &box);
	ours = extra != NULL;
	json_decref(extra);
	if (r < 0)
		return r;
	*ret_clocks = box.other_boot || box.namespaces & CLONE_NEWTIME;
	*ret = (struct cryo_box_options){
		.namespaces = box.namespaces & ~(unsigned)CLONE_NEWTIME,
		.pid = (pid_t)root->pid,
		.mounts = box.mounts,
		.shell_job = root->sid != root->pid,
		.others = !ours,
		.records = true,
		.images = images,
	};
	return 0;
}

static int root_set(int images, uint32_t *ret)
{
	CLEANUP(image_close) struct image *tree = NULL;
	CLEANUP(image_record_free) PstreeEntry *root = NULL;
	CLEANUP(image_record_free) CoreEntry *core = NULL;
	int r = image_open_needed(images, IMG_PSTREE, 0, &tree);

	if (r == 0)
		r = image_read(tree, &root);
	if (r == 1)
		return err_set(EBADMSG, "pstree.img: there is no process");
	if (r == 0)
		r = image_load_needed(images, IMG_CORE, root->pid, &core);
	if (r == 0)
		*ret = core->tc && core->tc->has_cg_set ? core->tc->cg_set : 0;
	return r;
}

int cryo_box_cgroups(int images, pid_t pid, const char *mode, char *const *roots, const char *yard)
{
	static const char *const modes[] = {"none", "props", "soft", "full", "strict", NULL};
	CLEANUP(cgroups_clear) struct cgroups c = {0};
	enum cgroups_mode m = CGROUPS_SOFT;
	json_t *extra = NULL;
	uint32_t set = 0;
	int r;

	for (unsigned i = 0; modes[i]; i++)
		if (strcmp(modes[i], mode) == 0)
			m = (enum cgroups_mode)i;
	r = cgroups_load(images, m, roots, &c);
	c.yard = yard;
	if (r == 0)
		r = cgroups_make(&c);
	if (r == 0)
		r = root_set(images, &set);
	if (r == 0)
		r = cgroups_enter(&c, set, pid);
	if (r <= 0)
		return r;
	/* saved without --manage-cgroups: where the root was is known all the same */
	r = records_load_extra(images, &extra);
	if (r == 0)
		r = box_enter_cgroups(extra, pid, m != CGROUPS_NONE, roots);
	json_decref(extra);
	return r;
}

void cryo_box_drop(struct cryo_box *box)
{
	/* the stub has blocked all signals but this one */
	if (box->pid > 0)
		kill(box->pid, SIGKILL);
	if (box->pid > 0 && box->child)
		waitpid(box->pid, NULL, __WALL);
	cleanup_close(&box->sock);
	*box = CRYO_BOX_NONE;
}
