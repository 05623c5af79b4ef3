/* SPDX-License-Identifier: Apache-2.0 */
#include "cr/records.h"
#include "cr/cryo.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "image/inventory.h"
#include "state/fd/files.h"
#include "state/mem/mem.h"
#include "state/mem/track.h"
#include "state/ns/ns.h"
#include "state/sock/socks.h"
#include "state/task/task.h"
#include "state/task/traced.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXTRA_MAX   (256u << 20)
#define THREADS_MAX 65536

/* Others know one root only: for them a guest is a child of the first process. */
static uint32_t parent_number(const struct dump *d, const struct dtask *t)
{
	if (t->guest)
		return (uint32_t)dump_task(d, 0)->nspid;
	return t->parent < 0 ? 0 : (uint32_t)dump_task(d, (unsigned)t->parent)->nspid;
}

static void note_guests(struct dump *d)
{
	json_t *all = json_object();

	for (unsigned i = 0; i < d->tasks->len; i++) {
		const struct dtask *t = dump_task(d, i);
		char pid[16];

		snprintf(pid, sizeof(pid), "%d", t->nspid);
		if (t->guest)
			json_object_set_new(all, pid, json_string(t->guest));
	}
	if (json_object_size(all))
		json_object_set(d->extra, "guests", all);
	json_decref(all);
}

static int dump_pstree(struct dump *d)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++) {
		struct dtask *t = dump_task(d, i);
		PstreeEntry e = PSTREE_ENTRY__INIT;
		g_autofree uint32_t *threads = g_new(uint32_t, t->nthreads + 1);

		threads[0] = (uint32_t)t->nspid;
		for (unsigned k = 0; k < t->nthreads; k++)
			threads[k + t->leader_dead] = (uint32_t)t->threads[k].nstid;
		e.pid = (uint32_t)t->nspid;
		e.ppid = parent_number(d, t);
		e.pgid = (uint32_t)t->nspgid;
		e.sid = (uint32_t)t->nssid;
		e.n_threads = MAX(t->nthreads + t->leader_dead, 1);
		e.threads = threads;
		r = image_write(&d->w, IMG_PSTREE, 0, &e.base);
	}
	return r;
}

static int dump_extra(struct dump *d)
{
	char *text = json_dumps(d->extra, JSON_COMPACT);
	int r = image_write_raw(&d->w, IMG_EXTRA, 0, text, strlen(text));

	free(text);
	return r;
}

int records_look_before(struct dump *d)
{
	int r;

	if (!d->o.parent)
		return 0;
	if (faccessat(d->o.parent_dir, "inventory.img", R_OK, 0) < 0)
		return err_errno("images before this dump (%s): inventory.img", d->o.parent);
	json_decref(d->parent_extra);
	r = records_load_extra(d->o.parent_dir, &d->parent_extra);
	return r < 0 ? err_wrap(r, "images before this dump (%s)", d->o.parent) : track_look(d);
}

int records_dump_tree(struct dump *d)
{
	int r = dump_pstree(d);

	note_guests(d);
	return r < 0 ? r : records_dump_inventory(d);
}

/*
 * The inventory's ids are those of whoever dumps: where a task's differs, that namespace is the
 * tree's own.
 */
static int our_ids(struct dump *d, TaskKobjIdsEntry *e)
{
	uint32_t *const ids[NS_COUNT] = {
		[NS_USER] = &e->user_ns_id,	[NS_MNT] = &e->mnt_ns_id,
		[NS_UTS] = &e->uts_ns_id,	[NS_IPC] = &e->ipc_ns_id,
		[NS_PID] = &e->pid_ns_id,	[NS_NET] = &e->net_ns_id,
		[NS_CGROUP] = &e->cgroup_ns_id, [NS_TIME] = &e->time_ns_id,
	};
	CLEANUP(proc_close) struct proc self = PROC_NONE;
	uint64_t ours[NS_COUNT];
	int r = proc_open(getpid(), &self);

	if (r == 0)
		r = ns_ids(self.dir, ours);
	for (unsigned k = 0; r == 0 && k < NS_COUNT; k++)
		if (ours[k] != d->ns[k])
			*ids[k] += NSID_OTHERS;
	return r;
}

int records_dump_inventory(struct dump *d)
{
	InventoryEntry e;
	int r = dump_extra(d);

	if (r < 0)
		return r;
	if (d->o.parent && symlinkat(d->o.parent, d->dir, "parent") < 0)
		return err_errno("link to the images before this dump");
	inventory_init(&e);
	e.root_ids = task_ids_new(dump_task(d, 0));
	r = our_ids(d, e.root_ids);
	e.has_tcp_close = e.tcp_close = d->o.tcp_close;
	e.has_allow_uprobes = e.allow_uprobes = d->uprobes;
	if (r == 0)
		r = image_write(&d->w, IMG_INVENTORY, 0, &e.base);
	task_kobj_ids_entry__free_unpacked(e.root_ids, NULL);
	return r;
}

int records_dump_stats(struct dump *d)
{
	DumpStatsEntry e = DUMP_STATS_ENTRY__INIT;

	e.freezing_time = d->stats.freezing_time;
	e.frozen_time = d->stats.frozen_time;
	e.memdump_time = d->stats.memdump_time;
	e.memwrite_time = d->stats.memwrite_time;
	e.pages_scanned = d->stats.pages_scanned;
	e.pages_written = d->stats.pages_written;
	e.pages_lazy = d->stats.pages_lazy;
	e.pages_skipped_parent = d->stats.pages_skipped_parent;
	/* optional, but whoever adds them up looks for them without asking */
	e.has_shpages_scanned = e.has_shpages_written = e.has_shpages_skipped_parent = true;
	e.shpages_scanned = d->stats.shpages_scanned;
	e.shpages_written = d->stats.shpages_written;
	e.shpages_skipped_parent = d->stats.shpages_skipped_parent;
	return stats_write_dump(d->dir, &e);
}

void records_restore_stats(const struct restore *r)
{
	RestoreStatsEntry e = RESTORE_STATS_ENTRY__INIT;

	e.forking_time = r->stats.forking_time;
	e.restore_time = r->stats.restore_time;
	e.has_pages_restored = true;
	e.pages_restored = r->stats.pages_restored;
	if (stats_write_restore(r->o.work ? r->o.work : r->o.images, &e) < 0)
		log_info("stats-restore: %s", err_message());
}

static int find_parent(struct restore *r, pid_t ppid)
{
	for (unsigned i = 0; i < r->tasks->len; i++)
		if (restore_task(r, i)->nspid == ppid)
			return (int)i;
	return -1;
}

/* The process is a guest that has a stub: its root is there already. */
static bool take_guest(struct restore *r, struct rtask *t)
{
	char pid[16];
	const char *name;

	snprintf(pid, sizeof(pid), "%d", t->nspid);
	name = json_string_value(json_object_get(json_object_get(r->extra, "guests"), pid));
	for (unsigned i = 0; name && i < r->o.nguests; i++)
		if (strcmp(r->guests[i].name, name) == 0 && !r->guests[i].task) {
			r->guests[i].task = t;
			return true;
		}
	return false;
}

static int add_task(struct restore *r, const PstreeEntry *e)
{
	struct rtask *t;

	if (e->pid == 0 || e->pid > INT32_MAX || e->n_threads == 0 || e->n_threads > THREADS_MAX ||
	    e->threads[0] != e->pid)
		return err_set(EBADMSG, "pstree.img: process %u with %zu threads", e->pid,
			       e->n_threads);
	t = g_new0(struct rtask, 1);
	g_ptr_array_add(r->tasks, t);
	t->restore = r;
	t->nspid = (pid_t)e->pid;
	t->nspgid = (pid_t)e->pgid;
	t->nssid = (pid_t)e->sid;
	t->parent = r->tasks->len == 1 ? -1 : find_parent(r, (pid_t)e->ppid);
	if (r->tasks->len > 1 && t->parent < 0)
		return err_set(EBADMSG, "pstree.img: process %u has parent %u, which is not there",
			       e->pid, e->ppid);
	if (t->parent == 0 && take_guest(r, t))
		t->parent = -1;
	t->nthreads = (unsigned)e->n_threads;
	t->threads = g_new0(struct rthread, t->nthreads);
	for (unsigned i = 0; i < t->nthreads; i++) {
		t->threads[i].task = t;
		t->threads[i].nstid = (pid_t)e->threads[i];
	}
	return 0;
}

static int load_tree(struct restore *r)
{
	g_autoptr(GPtrArray) all = NULL;
	int ret = image_load_all(r->o.images, IMG_PSTREE, 0, &all);

	for (unsigned i = 0; ret == 0 && i < all->len; i++)
		ret = add_task(r, g_ptr_array_index(all, i));
	r->nimages = r->tasks->len;
	if (ret == 0 && r->nimages == 0)
		return err_set(EBADMSG, "pstree.img: there is no process");
	return ret;
}

int records_load_extra(int images, json_t **ret)
{
	g_autofree char *text = NULL;
	json_error_t e;
	size_t len;
	int r = file_read_at(images, IMAGE_EXTRA, EXTRA_MAX, &text, &len);

	*ret = NULL;
	if (r == -ENOENT) { /* written by CRIU */
		err_clear();
		return 0;
	}
	if (r < 0)
		return r;
	*ret = json_loadb(text, len, 0, &e);
	if (json_is_object(*ret))
		return 0;
	json_decref(*ret);
	*ret = NULL;
	return err_set(EBADMSG, "%s: line %d: %s", IMAGE_EXTRA, e.line, e.text);
}

int cryo_images_guests(int images, json_t **ret)
{
	json_t *extra = NULL;
	int r = records_load_extra(images, &extra);

	*ret = json_incref(json_object_get(extra, "guests"));
	json_decref(extra);
	return r;
}

static int load_task(struct restore *r, struct rtask *t)
{
	int ret = t->zombie ? 0 : mem_load(r, t);

	return ret < 0 || t->zombie ? ret : fs_load(r, t);
}

int records_load(struct restore *r)
{
	CLEANUP(image_record_free) InventoryEntry *inventory = NULL;
	int ret = inventory_load(r->o.images, &inventory);

	if (ret == 0)
		ret = records_load_extra(r->o.images, &r->extra);
	if (ret == 0 && inventory->has_tcp_close && inventory->tcp_close)
		r->o.tcp_close = true; /* their streams are not there */
	if (ret == 0 && inventory->has_allow_uprobes && inventory->allow_uprobes &&
	    !r->o.allow_uprobes)
		ret = err_set(EOPNOTSUPP,
			      "there are breakpoints of uprobes in the tree's programs; "
			      "use --allow-uprobes when the same ones are here");
	if (ret == 0)
		ret = load_tree(r);
	for (unsigned i = 0; ret == 0 && i < r->nimages; i++)
		ret = core_load(r, restore_task(r, i));
	if (ret == 0)
		ret = sharing_load(r);
	for (unsigned i = 0; ret == 0 && i < r->nimages; i++)
		ret = load_task(r, restore_task(r, i));
	if (ret == 0)
		ret = traced_load(r);
	if (ret == 0)
		ret = nsids_load(r->o.images, restore_task(r, 0)->nspid, &r->nsids);
	if (ret == 0)
		ret = users_load(r);
	if (ret == 0)
		ret = seccomp_load(r);
	return ret < 0 ? ret : files_load(r);
}

int cryo_images_unlock(int images, const char *netns)
{
	json_t *extra = NULL;
	autoclose int ns = open(netns, O_RDONLY | O_CLOEXEC);
	int r = ns < 0 ? err_errno("open %s", netns) : 0;

	if (r == 0 && images >= 0)
		r = records_load_extra(images, &extra);
	if (r == 0)
		socks_forget(extra, ns);
	json_decref(extra);
	return r;
}

int cryo_images_hold(int images, const char *netns)
{
	json_t *extra = NULL;
	autoclose int ns = open(netns, O_RDONLY | O_CLOEXEC);
	int r = ns < 0 ? err_errno("open %s", netns) : records_load_extra(images, &extra);

	if (r == 0)
		r = socks_hold(extra, ns);
	json_decref(extra);
	return r;
}
