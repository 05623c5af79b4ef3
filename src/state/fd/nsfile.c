/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespace files, /proc/PID/ns/...: those of the namespaces that the tree is in, which at restore
 * are those of the box.  fs/nsfs.c: ns_get_name()
 */
#include "state/fd/kind.h"
#include "state/ns/ns.h"

#include "image/ns.pb-c.h"
#include "kernel/fsmagic.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* "net:[4026531840]" */
static int kind_of(const char *link, uint64_t *ret_ino)
{
	const char *colon = strchr(link, ':');

	if (!colon || !g_str_has_prefix(colon, ":[") || link[0] == '/')
		return -1;
	*ret_ino = g_ascii_strtoull(colon + 2, NULL, 10);
	for (int i = 0; i < NS_COUNT; i++)
		if (strlen(ns_infos[i].name) == (size_t)(colon - link) &&
		    memcmp(ns_infos[i].name, link, (size_t)(colon - link)) == 0)
			return i;
	return -1;
}

static bool match(const struct dump *d, const struct fd_view *v)
{
	uint64_t ino;

	return S_ISREG(v->st.st_mode) && kind_of(v->link, &ino) >= 0;
}

static int check(struct dump *d, const struct fd_view *v)
{
	uint64_t ino;
	int kind = kind_of(v->link, &ino);

	if (d->ns[kind] != ino)
		return err_set(EOPNOTSUPP,
			       "%s is not the namespace that the tree is in (%s:[%" PRIu64
			       "]); close it",
			       v->link, ns_infos[kind].name, d->ns[kind]);
	return 0;
}

/* CRIU's numbers of namespaces, as in the tasks' ids. */
static const uint32_t numbers[NS_COUNT] = {
	[NS_USER] = NSID_USER,	   [NS_MNT] = NSID_MNT,	  [NS_UTS] = NSID_UTS,
	[NS_IPC] = NSID_IPC,	   [NS_PID] = NSID_PID,	  [NS_NET] = NSID_NET,
	[NS_CGROUP] = NSID_CGROUP, [NS_TIME] = NSID_TIME,
};

static int dump(struct dump *d, const struct fd_view *v, FileEntry *f)
{
	uint64_t ino;
	int kind = kind_of(v->link, &ino), r = check(d, v);

	f->nsf = g_new0(NsFileEntry, 1);
	ns_file_entry__init(f->nsf);
	f->nsf->id = f->id;
	f->nsf->ns_id = numbers[kind];
	f->nsf->ns_cflag = (uint32_t)ns_infos[kind].flag;
	f->nsf->flags = v->info.flags & ~(unsigned)O_CLOEXEC;
	return r;
}

static int load(struct restore *r, struct file *f)
{
	return f->entry->nsf ? 0 : 1;
}

static int open_(struct restore *r, struct file *f)
{
	const NsFileEntry *e = f->entry->nsf;
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	int ret;

	for (int i = 0; i < NS_COUNT; i++) {
		char name[32];

		if ((uint32_t)ns_infos[i].flag != e->ns_cflag)
			continue;
		ret = proc_open(rtask_pid(restore_task(r, 0)), &p);
		if (ret < 0)
			return ret;
		snprintf(name, sizeof(name), "ns/%s", ns_infos[i].name);
		return proc_open_link(p.dir, name, (int)(e->flags & O_PATH) | O_RDONLY | O_CLOEXEC,
				      &f->fd);
	}
	return err_set(EBADMSG, "namespace file %u: kind %#x", f->id, e->ns_cflag);
}

const struct fd_kind fd_nsfile = {
	.name = "namespace file",
	.type = FD_TYPES__NS,
	.match = match,
	.check = check,
	.dump = dump,
	.load = load,
	.open = open_,
};
