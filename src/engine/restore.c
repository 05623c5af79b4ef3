/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/restore.h"
#include "agent/agent.h"
#include "agent/stub.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "cr/step.h"
#include "engine/box.h"
#include "engine/ckfiles.h"
#include "engine/cknamed.h"
#include "engine/cksave.h"
#include "engine/events.h"
#include "engine/exec_thawed.h"
#include "engine/exported.h"
#include "engine/lifecycle.h"
#include "engine/monitor.h"
#include "engine/network.h"
#include "engine/rootfs.h"
#include "engine/runtime.h"
#include "engine/sessions.h"
#include "engine/thaw_bundle.h"
#include "engine/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct job {
	struct engine *e;
	struct container *c;
	const struct restore_options *o;
	int dir, images, rootfs; /* ROOTFS: that of a checkpoint with a name, or -1 */
	json_t *network;	 /* what the container was connected to, or NULL */
	struct cklog log;
	struct restore_late late;
	struct cryo_box box;
	struct sessions_box sessions;
	struct thaw_limits limits;
};
#define JOB_NONE                                                                                   \
	((struct job){                                                                             \
		.dir = -1, .images = -1, .rootfs = -1, .log = CKLOG_NONE, .box = CRYO_BOX_NONE})

static void job_clear(struct job *j)
{
	ERR_KEEP;

	cklog_close(&j->log);
	json_decref(j->network);
	thaw_limits_clear(&j->limits);
	sessions_box_clear(&j->sessions);
	if (j->box.sock >= 0)
		close(j->box.sock);
	if (j->images >= 0 && !j->o->await)
		close(j->images);
	if (j->rootfs >= 0)
		close(j->rootfs);
	if (j->dir >= 0)
		close(j->dir);
	*j = JOB_NONE;
}

static int open_named(struct job *j)
{
	autoclose int dir = -1;
	int r = cknamed_open(j->e, j->c, j->o->named->dir, j->o->named->name, &dir);

	if (r < 0)
		return r;
	if (j->c->state.mounts > 0)
		return err_set(EBUSY,
			       "container %s is mounted, its files cannot be exchanged: unmount it",
			       j->c->name);
	j->images = openat(dir, CK_IMAGES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	j->rootfs = openat(dir, CKNAMED_ROOTFS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (j->images < 0 || j->rootfs < 0)
		return err_errno("open checkpoint %s", j->o->named->name);
	r = ck_read_network(dir, &j->network);
	return r < 0 ? r : ck_open_static(j->e, j->c, &j->dir);
}

static int check_state(struct job *j)
{
	g_autofree char *dir = container_static_dir(j->e, j->c);
	struct stat st;
	int r;

	if (j->c->state.status != CONTAINER_CREATED && j->c->state.status != CONTAINER_EXITED &&
	    j->c->state.status != CONTAINER_STOPPED)
		return err_set(EINVAL,
			       "container %s is running or paused, cannot restore: container state "
			       "improper",
			       j->c->id);
	if (j->o->named)
		return open_named(j);
	r = ck_open_static(j->e, j->c, &j->dir);
	if (j->o->await)
		return r;
	if (r == 0 && fstatat(j->dir, CK_INVENTORY, &st, 0) < 0)
		r = exported_fetch(j->e, j->c, j->dir);
	if (r < 0 && r != -ENOENT)
		return err_wrap(r, "the checkpoint of this container cannot be read");
	if (r == -ENOENT && exported_is_noted(j->dir))
		return err_wrap(r, "a complete checkpoint for this container cannot be found, "
				   "cannot restore");
	if (r == -ENOENT || r == 1)
		return err_set(ENOENT,
			       "a complete checkpoint for this container cannot be found, cannot "
			       "restore: stat %s/" CK_INVENTORY ": no such file or directory",
			       dir);
	if (r < 0)
		return r;
	j->images = openat(j->dir, CK_IMAGES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return j->images < 0 ? err_errno("open %s/" CK_IMAGES, dir)
			     : ck_read_network(j->dir, &j->network);
}

static int drop_addresses(struct job *j)
{
	int r = 0;

	if (j->o->ignore_static_ip || j->o->ignore_static_mac)
		r = network_teardown(j->e, j->c->id);
	if (r == 0 && j->o->ignore_static_ip)
		r = network_release_ip(j->e, j->c->id);
	if (r == 0 && j->o->ignore_static_mac)
		r = network_release_mac(j->e, j->c->id);
	if (r == 0 && j->o->ignore_static_ip)
		r = container_drop_option(j->c, "ip");
	if (r == 0 && j->o->ignore_static_mac)
		r = container_drop_option(j->c, "mac_address");
	return r;
}

/* Those of the checkpoint, where they are not the container's any more. */
static int take_addresses(struct job *j)
{
	CLEANUP(network_choice_clear) struct network_choice choice = {0};
	const struct container_options *o;
	g_autofree char *ip = NULL;
	const char *mac, *network;
	int r = container_options(j->c, &o);

	if (r == 0)
		r = network_choice_parse(o->network, &choice);
	if (r < 0 || choice.mode != NETWORK_BRIDGE || !j->network)
		return r;
	ip = o->ip || j->o->ignore_static_ip ? NULL : network_first_ip(j->network);
	mac = o->mac_address || j->o->ignore_static_mac ? NULL : network_first_mac(j->network);
	if (!ip && !mac)
		return 0;
	network = choice.arg ?: NETWORK_DEFAULT;
	r = network_adopt(j->e, j->c->id, network, ip, mac);
	if (r == -EADDRINUSE) {
		g_autofree char *why = g_strdup(err_message());

		return err_set(EADDRINUSE, "%s: --ignore-static-ip restores with another", why);
	}
	if (r == 1)
		log_warn("container %s: address %s does not fit network %s: it gets another",
			 j->c->name, ip, network);
	return r < 0 ? r : 0;
}

/* Runs until the stub waits for us at the other end of j->box.sock. */
static int make_box(struct job *j, const char *bundle)
{
	autoclose int stub = -1, theirs = -1;
	int r = stub_memfd(&stub);

	if (r == 0)
		r = stub_socketpair(&j->box.sock, &theirs);
	if (r < 0)
		return r;

	const int fds[] = {stub, theirs};
	const struct monitor_options m = {.bundle = bundle, .fds = fds, .nfds = 2};

	r = monitor_create(j->e, j->c, &m);
	if (r < 0)
		return r;
	j->box.pid = j->c->state.pid;
	r = box_record(j->e, j->c);
	if (r == 0)
		r = runtime_start(j->e, j->c);
	if (r == 0 && j->o->await) {
		r = j->o->await(j->o->await_arg, j->c, &j->box, &j->late);
		j->images = j->late.images;
	}
	if (r == 0)
		r = step_begin("box", "sessions");
	return r < 0 ? r : sessions_make_boxes(j->e, j->c, j->images, &j->sessions);
}

/*
 * Everything is there but held: from here on the container runs.  Were it let go before the record
 * says so, a crash between the two would thaw the same checkpoint beside it once more.
 */
static int record(void *arg)
{
	struct job *j = arg;
	struct container_state *s = &j->c->state;
	const struct thaw_limits *l = &j->limits;
	int r = exec_thawed_keep_filter(j->e, j->c, j->images, l->floor, l->floor_len);

	if (r == 0)
		r = sessions_record(j->e, j->c, &j->sessions);
	if (r == 0 && j->o->ready)
		r = j->o->ready(j->o->ready_arg);
	if (r == 0)
		r = step_begin("box", "record");
	if (r < 0)
		return r;
	interrupt_commit();
	s->thawed = true;
	s->checkpointed = false;
	s->restored = true;
	s->checkpointed_ns = 0;
	s->restored_ns = engine_now_ns();
	g_clear_pointer(&s->restore_log, g_free);
	if (j->o->keep) {
		s->restore_log = ck_path(j->e, j->c, CK_RESTORE_LOG);
	} else {
		g_clear_pointer(&s->checkpoint_path, g_free);
		g_clear_pointer(&s->checkpoint_log, g_free);
	}
	if (j->o->ignore_static_ip || j->o->ignore_static_mac)
		r = container_save_config(j->e, j->c); /* for the next start, too */
	if (r == 0 && j->o->named)
		r = rootfs_swap_commit(j->e, j->c->id);
	if (r == 0)
		r = container_set_running(j->e, j->c, s->pid, true);
	return r < 0 ? r : step_begin("box", "recorded");
}

/* What PID and its children have in memory by now. */
static uint64_t resident(pid_t pid, unsigned depth)
{
	g_autofree char *statm = g_strdup_printf("/proc/%d/statm", pid), *text = NULL;
	g_autofree char *children = g_strdup_printf("/proc/%d/task/%d/children", pid, pid);
	g_autofree char *list = NULL;
	g_auto(GStrv) pids = NULL;
	uint64_t sum = 0;

	if (file_read_at(AT_FDCWD, statm, 4096, &text, NULL) == 0 && strchr(text, ' '))
		sum = strtoull(strchr(text, ' '), NULL, 10) * (uint64_t)getpagesize();
	if (file_read_at(AT_FDCWD, children, 1 << 16, &list, NULL) == 0 && depth < 32)
		pids = g_strsplit(list, " ", -1);
	for (char **p = pids; p && *p; p++)
		if (atoi(*p) > 0)
			sum += resident(atoi(*p), depth + 1);
	err_clear();
	return sum;
}

static uint64_t thawed_bytes(void *arg)
{
	return resident(*(const pid_t *)arg, 0);
}

static void descriptors_clear(char *(*v)[3])
{
	for (unsigned i = 0; i < 3; i++)
		g_free((*v)[i]);
}

static int thaw(struct job *j, struct restore_report *ret)
{
	const GArray *boxes = j->sessions.boxes, *inherits = j->sessions.inherits;
	CLEANUP(descriptors_clear) char *were[3] = {0};

	ck_read_descriptors(j->images, were);
	box_add_inherits(j->sessions.inherits, were);

	const struct cryo_restore_options o = {
		.images = j->images,
		.inherits = (const struct cryo_inherit *)(void *)inherits->data,
		.ninherits = inherits->len,
		.guests = (const struct cryo_guest_box *)(void *)boxes->data,
		.nguests = boxes->len,
		.cap_ceiling = j->limits.caps,
		.no_new_privs = j->limits.no_new_privs,
		.floor = j->limits.floor,
		.floor_len = j->limits.floor_len,
		.time_namespace = true,
		.tcp_established = j->o->tcp_established,
		.tcp_close = j->o->tcp_close,
		.hostname_was = j->o->hostname_was,
		.stage = j->late.stage,
		.commit = record,
		.commit_arg = j,
	};
	g_autofree char *what = g_strdup_printf("restore %s", j->c->name);
	CLEANUP(progress_end) struct progress *progress = progress_begin(what);
	struct cryo_restored done;
	pid_t pid = j->box.pid;
	int r;

	if (!j->o->await) {
		progress_total(progress, ck_pages_bytes(j->images, false));
		progress_ask(progress, thawed_bytes, &pid);
	}
	r = cryo_restore(&o, &j->box, &done);

	j->box.sock = -1; /* cryo_restore() closes it */
	if (r == 0 && j->o->running)
		j->o->running(j->o->ready_arg);
	if (r == 0)
		ret->cryo = done.stats;
	return r;
}

/* Nothing of the half-built container stays; the checkpoint does. */
static void take_down(struct job *j)
{
	ERR_KEEP;
	struct container_state *s = &j->c->state;

	if (s->pid > 0 && runtime_kill(j->e, j->c, SIGKILL, true) < 0)
		err_clear();
	if (s->conmon_pid > 0 && ck_wait_exit(j->e, j->c) < 0)
		err_clear();
	if (container_release(j->e, j->c, RELEASE_KEEP_NETWORK) < 0)
		err_clear();
	if (j->o->named && rootfs_swap_undo(j->e, j->c->id) < 0)
		err_clear();
	s->status = CONTAINER_EXITED;
	s->pid = s->conmon_pid = 0;
	s->thawed = false;
	g_free(s->restore_log);
	s->restore_log = ck_path(j->e, j->c, CK_RESTORE_LOG);
	if (container_save(j->e, j->c) < 0)
		err_clear();
}

/* Archives have /dev/shm apart; in images it is one of the tree's file systems. */
static int fill_shm(struct job *j)
{
	autoclose int tar = openat(j->images, CK_SHM, O_RDONLY | O_CLOEXEC), shm = -1;

	if (tar < 0)
		return errno == ENOENT ? 0 : err_errno("open " CK_SHM);
	shm = openat(j->dir, "shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (shm < 0)
		return errno == ENOENT ? 0 : err_errno("open shm");
	return unpack_tree_file(tar, CK_SHM, shm);
}

/* Nothing that peers send meanwhile may be answered: there are no sockets yet. */
static int hold_peers(void *arg, const char *netns)
{
	const struct job *j = arg;

	return j->o->tcp_established ? cryo_images_hold(j->images, netns) : 0;
}

static int build(struct job *j, struct restore_report *ret)
{
	const struct network_hook made = {hold_peers, j};
	g_autofree char *bundle = NULL, *exit_file = container_exit_file(j->e, j->c);
	int64_t from;
	int r;

	r = drop_addresses(j);
	if (r == 0)
		r = take_addresses(j);
	if (r == 0)
		r = step_begin("box", "prepare");
	if (r == 0)
		r = container_prepare(j->e, j->c, &made);
	if (r == 0 && j->o->fresh)
		r = container_write_spec(j->e, j->c);
	if (r == 0 && !j->o->await) /* it comes with the images */
		r = fill_shm(j);
	if (r == 0)
		r = step_begin("box", "bundle");
	if (r == 0)
		r = thaw_bundle_write(j->e, j->c, j->o->doubted, &j->limits, &bundle);
	if (r < 0)
		return r;
	unlink(exit_file);
	from = g_get_monotonic_time();
	r = step_begin("box", "create");
	if (r == 0)
		r = make_box(j, bundle);
	if (r == 0)
		r = step_begin("box", "thaw");
	if (r == 0)
		r = thaw(j, ret);
	ret->runtime_us = (uint64_t)(g_get_monotonic_time() - from);
	return r;
}

/* First the record, then the files: a crash between leaves a checkpoint, never half of one. */
static int consume(struct job *j)
{
	static const char *const consumed[] = {CK_IMAGES,   CK_PRE_IMAGES, CK_RESTORE_LOG,
					       CK_DUMP_LOG, CK_STATS_DUMP, CK_STATS_RESTORE,
					       CK_NETWORK,  CK_EXPORTED};
	int r = step_begin("box", "consume");

	if (r < 0)
		return r;
	cklog_close(&j->log);
	if (j->o->named) {
		if (rootfs_swap_done(j->e, j->c->id) < 0)
			log_warn("container %s: %s", j->c->name, err_message());
		return 0;
	}
	if (j->o->keep && ck_copy(j->images, CK_STATS_RESTORE, j->dir) < 0)
		err_clear();
	for (size_t i = 0; !j->o->keep && i < ARRAY_SIZE(consumed); i++)
		ck_remove(j->dir, consumed[i]);
	return 0;
}

static int settle(struct job *j)
{
	int r = consume(j);

	if (r == 0 || !j->o->await)
		return r;
	/* It runs, and nowhere else is there one of it any more. */
	log_warn("container %s: %s", j->c->name, err_message());
	err_clear();
	return 0;
}

static int swap_rootfs(struct job *j)
{
	int r = container_release(j->e, j->c, RELEASE_KEEP_NETWORK);

	return r < 0 ? r : rootfs_swap(j->e, j->c->id, j->rootfs);
}

static int restore_locked(struct job *j, struct restore_report *ret)
{
	int r = check_state(j);

	if (r == 0)
		r = cklog_open(&j->log, j->dir, CK_RESTORE_LOG);
	if (r < 0)
		return r;
	if (j->c->state.status == CONTAINER_STOPPED)
		r = container_release(j->e, j->c, RELEASE_KEEP_NETWORK);
	if (r == 0 && j->o->named)
		r = swap_rootfs(j);
	if (r == 0)
		r = build(j, ret);
	if (r == 0)
		r = settle(j);
	if (r < 0) {
		take_down(j);
		return r;
	}
	event_container(j->e, j->c, "restore");
	return 0;
}

int container_restore(struct engine *e, struct container *c, const struct restore_options *o,
		      struct restore_report *ret)
{
	CLEANUP(interrupt_end) struct interrupt interrupt __attribute__((unused)) = {0};
	CLEANUP(job_clear) struct job j = JOB_NONE;
	int r = container_lock(e, c);

	if (r < 0)
		return r;
	interrupt = interrupt_begin();
	j.e = e;
	j.c = c;
	j.o = o;
	*ret = (struct restore_report){0};
	r = restore_locked(&j, ret);
	container_unlock(c);
	return r;
}

bool container_has_checkpoint(struct engine *e, const struct container *c)
{
	g_autofree char *inventory = ck_path(e, c, CK_INVENTORY);

	return access(inventory, F_OK) == 0 || exported_is_there(e, c);
}
