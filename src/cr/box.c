/* SPDX-License-Identifier: Apache-2.0 */
/* A box without an OCI runtime: a forked root task that becomes the stub. */
#include "cr/cryo.h"

#include "agent/agent.h"
#include "agent/stub.h"
#include "base/fd.h"
#include "cr/records.h"
#include "image/inventory.h"
#include "image/pstree.pb-c.h"
#include "kernel/procmisc.h"
#include "state/ns/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

int cryo_stub_open(void)
{
	int fd, r = stub_memfd(&fd);

	return r < 0 ? r : fd;
}

/* Mounts made in the box stay there. */
static int enter(const struct cryo_box_options *o)
{
	if (o->namespaces & CLONE_NEWNS && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	if (o->root && (chdir(o->root) < 0 || chroot(".") < 0))
		return -1;
	if (o->mount_proc &&
	    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return -1;
	return !o->shell_job && setsid() < 0 ? -1 : 0;
}

static void child(const struct cryo_box_options *o, int stub, int sock)
{
	if (enter(o) < 0)
		_exit(110);
	for (int i = 0; o->stdio && i < 3; i++)
		if (dup2(o->stdio[i], i) < 0)
			_exit(111);
	stub_exec(stub, sock);
	_exit(112);
}

int cryo_box_fork(const struct cryo_box_options *o, struct cryo_box *ret)
{
	/* with CLONE_PARENT the exit signal is ours: kernel/fork.c, copy_process() */
	struct clone_args a = {.flags = o->namespaces | (o->sibling ? CLONE_PARENT : 0),
			       .exit_signal = o->sibling ? 0 : SIGCHLD};
	autoclose int stub = -1, ours = -1, low = -1, theirs = -1;
	int r;
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
	if (o->pid) {
		a.set_tid = (uint64_t)(uintptr_t)&o->pid;
		a.set_tid_size = 1;
	}
	pid = syscall(SYS_clone3, &a, sizeof(a));
	if (pid < 0 && errno == EEXIST && o->pid)
		return proc_number_taken(o->pid);
	if (pid < 0)
		return err_errno("fork of the first task%s", o->pid ? " with its number" : "");
	if (pid == 0)
		child(o, stub, theirs);
	*ret = (struct cryo_box){.pid = (pid_t)pid, .sock = take_fd(&ours), .child = !o->sibling};
	return 0;
}

/* Without IMAGE_EXTRA: did the root share all namespaces with whoever dumped it? */
static int check_shared(int images, const PstreeEntry *root)
{
	CLEANUP(image_record_free) InventoryEntry *inventory = NULL;
	CLEANUP(image_record_free) CoreEntry *core = NULL;
	const TaskKobjIdsEntry *ours, *its;
	int r = inventory_load(images, &inventory);

	if (r == 0)
		r = image_load_needed(images, IMG_CORE, root->pid, &core);
	if (r < 0)
		return r;
	ours = inventory->root_ids;
	its = core->ids;
	if (!ours || !its)
		return 0;
#define CHECK_SHARED(kind)                                                                         \
	if (ours->has_##kind##_ns_id && its->has_##kind##_ns_id &&                                 \
	    ours->kind##_ns_id != its->kind##_ns_id)                                               \
	return err_set(EOPNOTSUPP, "the tree had a " #kind " namespace of its own")
	CHECK_SHARED(pid);
	CHECK_SHARED(net);
	CHECK_SHARED(ipc);
	CHECK_SHARED(uts);
	CHECK_SHARED(mnt);
	CHECK_SHARED(user);
	CHECK_SHARED(cgroup);
	return 0;
}

int cryo_images_box(int images, struct cryo_box_options *ret, bool *ret_clocks)
{
	CLEANUP(image_close) struct image *tree = NULL;
	CLEANUP(image_record_free) PstreeEntry *root = NULL;
	struct box_record box;
	json_t *extra = NULL;
	int r = image_open_needed(images, IMG_PSTREE, 0, &tree);

	if (r == 0)
		r = image_read(tree, &root);
	if (r == 1)
		return err_set(EBADMSG, "pstree.img: there is no process");
	if (r == 0)
		r = records_load_extra(images, &extra);
	if (r == 0)
		r = box_load(extra, &box);
	if (r == 0 && !extra)
		r = check_shared(images, root);
	json_decref(extra);
	if (r < 0)
		return r;
	*ret_clocks = box.other_boot || box.namespaces & CLONE_NEWTIME;
	*ret = (struct cryo_box_options){
		.namespaces = box.namespaces & ~(unsigned)CLONE_NEWTIME,
		.pid = (pid_t)root->pid,
		.mount_proc = box.proc,
	};
	return 0;
}

int cryo_box_cgroups(int images, const struct cryo_box *box, bool make)
{
	json_t *extra = NULL;
	int r = records_load_extra(images, &extra);

	if (r == 0)
		r = box_enter_cgroups(extra, box->pid, make);
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
