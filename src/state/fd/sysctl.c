/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files below /proc/sys that each network, IPC or UTS namespace has of its own: whoever looks a
 * name up finds those of the namespaces that he is in (fs/proc/proc_sysctl.c: proc_sys_compare()).
 * They are looked up, and opened again, by a process of ours that is in the task's.
 *
 * In IMAGE_EXTRA, "namespaced_files": {"ID": {"net": 11, "ipc": 9, "uts": 10}}
 */
#include "state/extra.h"
#include "state/fd/files.h"
#include "state/fd/kind.h"

#include "base/file.h"
#include "image/regfile.pb-c.h"
#include "state/ns/ns.h"
#include "state/ns/spaces.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static const enum ns_kind kinds[] = {NS_NET, NS_IPC, NS_UTS};
#define KINDS ARRAY_SIZE(kinds)

struct look {
	int root;
	const char *name;
	uint64_t flags;
	uid_t uid; /* the root of the tree's users, whom the kernel asks for (ipc_permissions()) */
	gid_t gid;
};

static int open_there(void *arg, int *ret_fd)
{
	const struct look *l = arg;
	struct open_how how = {.flags = l->flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};

	*ret_fd = file_openat2(l->root, l->name, &how);
	if (*ret_fd < 0 && errno == EACCES && setresgid((gid_t)-1, l->gid, (gid_t)-1) == 0 &&
	    setresuid((uid_t)-1, l->uid, (uid_t)-1) == 0)
		*ret_fd = file_openat2(l->root, l->name, &how);
	return *ret_fd < 0 ? err_errno("open %s", l->name) : 0;
}

static bool is_sysctl(const struct path_view *v)
{
	struct statfs fs;

	return S_ISREG(v->st.st_mode) && strstr(v->link, "/sys/") && statfs(v->reopen, &fs) == 0 &&
	       fs.f_type == PROC_SUPER_MAGIC;
}

/* Borrowed, or in *RET_OWN. */
static int open_ns(struct dump *d, enum ns_kind kind, uint64_t ino, int *ret_own)
{
	const struct space *s = ino == d->ns[kind] ? NULL : spaces_find(d, kind, ino);

	if (s)
		return s->fd;
	return ns_open(dump_task(d, 0)->proc.dir, kind, ret_own) < 0 ? -1 : *ret_own;
}

/* Does the name lead there from the namespaces ITS, by kinds[]? */
static json_t *look_from(struct dump *d, const struct path_view *v, int root, const uint64_t *its)
{
	struct look l = {.root = root, .name = v->link, .flags = O_PATH | O_NOFOLLOW};
	int own[KINDS] = {-1, -1, -1}, ns[KINDS];
	autoclose int fd = -1;
	json_t *ret = NULL;
	struct stat st;

	for (unsigned i = 0; i < KINDS; i++)
		ns[i] = open_ns(d, kinds[i], its[i], &own[i]);
	if (ns_run(ns, KINDS, open_there, &l, &fd) == 0 && fstat(fd, &st) == 0 &&
	    st.st_dev == v->st.st_dev && st.st_ino == v->st.st_ino)
		ret = json_object();
	for (unsigned i = 0; i < KINDS; i++) {
		if (ret)
			json_object_set_new(ret, ns_infos[kinds[i]].name,
					    json_integer(spaces_id(d, kinds[i], its[i])));
		cleanup_close(&own[i]);
	}
	if (!ret)
		err_clear();
	return ret;
}

/* From another one, that the task was in when it opened the file, or got it from. */
static json_t *look_from_others(struct dump *d, const struct path_view *v, int root,
				const uint64_t *its)
{
	json_t *ret = NULL;

	for (unsigned i = 0; i < KINDS && !ret; i++) {
		uint64_t all[KINDS];

		memcpy(all, its, sizeof(all));
		all[i] = d->ns[kinds[i]];
		if (all[i] != its[i])
			ret = look_from(d, v, root, all);
		for (unsigned k = 0; k < d->spaces->len && !ret; k++) {
			const struct space *s = g_ptr_array_index(d->spaces, k);

			all[i] = s->ino;
			if (s->kind == kinds[i] && s->ino != its[i])
				ret = look_from(d, v, root, all);
		}
	}
	return ret;
}

json_t *sysctl_look(struct dump *d, const struct path_view *v, int root)
{
	uint64_t its[KINDS];
	json_t *ret;
	int pid = 0;

	if (!is_sysctl(v) || sscanf(v->reopen, "/proc/%d/", &pid) != 1)
		return NULL;
	for (unsigned i = 0; i < KINDS; i++)
		its[i] = spaces_of(d, pid)[kinds[i]];
	ret = look_from(d, v, root, its);
	return ret || !d->spaces ? ret : look_from_others(d, v, root, its);
}

void sysctl_note(struct dump *d, uint32_t id, json_t *take)
{
	extra_set(d->extra, "namespaced_files", id, take);
}

const json_t *sysctl_find(const struct restore *r, uint32_t id)
{
	return extra_get(r->extra, "namespaced_files", id);
}

int sysctl_open(struct restore *r, const RegFileEntry *e, const json_t *how, unsigned flags,
		int *ret_fd)
{
	struct look l = {.root = spaces_root_of(r, e->has_mnt_id ? e->mnt_id : -1),
			 .name = e->name,
			 .flags = flags,
			 .uid = users_outer_uid(r, 0),
			 .gid = users_outer_gid(r, 0)};
	int ns[KINDS], ret = 0;

	for (unsigned i = 0; ret == 0 && i < KINDS; i++) {
		const json_t *id = json_object_get(how, ns_infos[kinds[i]].name);

		ret = spaces_fd(r, kinds[i], (uint32_t)json_integer_value(id), &ns[i]);
	}
	return ret < 0 ? ret : ns_run(ns, KINDS, open_there, &l, ret_fd);
}
