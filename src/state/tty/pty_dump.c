/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at pseudoterminals; records of both sides are written when the first is met. */
#include "state/ns/ns.h"
#include "state/tty/pty.h"

#include "image/regfile.pb-c.h"
#include "state/fd/files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/major.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#define PTMX_MINOR 2

struct ptys_seen {
	bool frozen; /* seen in the frozen tree */
	GHashTable *by_index;
};

int64_t pty_index_of_tty_nr(uint32_t tty_nr)
{
	return major(tty_nr) == UNIX98_PTY_SLAVE_MAJOR ? (int64_t)minor(tty_nr) : -1;
}

static bool is_master(const struct fd_view *v)
{
	return major(v->st.st_rdev) == TTYAUX_MAJOR;
}

static bool is_pty(const struct fd_view *v)
{
	dev_t dev = v->st.st_rdev;

	return S_ISCHR(v->st.st_mode) && !(v->info.flags & O_PATH) &&
	       (major(dev) == UNIX98_PTY_SLAVE_MAJOR || dev == makedev(TTYAUX_MAJOR, PTMX_MINOR));
}

static int index_of(const struct fd_view *v, unsigned *ret)
{
	uint64_t n = minor(v->st.st_rdev);
	int r = is_master(v) ? fdinfo_u64(&v->info, "tty-index", 10, &n) : 0;

	*ret = (unsigned)n;
	return r;
}

static struct pty_seen *seen(GHashTable *all, unsigned index)
{
	struct pty_seen *s = g_hash_table_lookup(all, GUINT_TO_POINTER(index));

	if (!s) {
		s = g_new0(struct pty_seen, 1);
		g_hash_table_insert(all, GUINT_TO_POINTER(index), s);
	}
	return s;
}

/* hung_up_tty_ioctl(): drivers/tty/tty_io.c */
static bool is_hung_up(int fd)
{
	unsigned dev;

	return ioctl(fd, TIOCGDEV, &dev) < 0 && errno == EIO;
}

/* Is it /dev/pts/INDEX of the tree, not one of another devpts? */
static bool is_own(const struct dump *d, const struct stat *st, unsigned index)
{
	struct stat own;
	char name[32];

	snprintf(name, sizeof(name), "dev/pts/%u", index);
	return fstatat(d->root, name, &own, 0) == 0 && own.st_dev == st->st_dev &&
	       own.st_ino == st->st_ino;
}

/* The slave behind any name, /dev/tty for example. */
static void look_at_slave(const struct dump *d, GHashTable *all, struct dtask *t, int tfd)
{
	autoclose int fd = -1;
	struct pty_seen *s;
	struct stat st;
	unsigned dev;

	if (proc_getfd(&t->proc, tfd, &fd) < 0 || ioctl(fd, TIOCGDEV, &dev) < 0 ||
	    pty_index_of_tty_nr(dev) < 0)
		return;
	s = seen(all, (unsigned)pty_index_of_tty_nr(dev));
	s->slave = t;
	s->slave_tfd = tfd;
	if (d->o.orphan_masters && fstat(fd, &st) == 0 && st.st_rdev == dev)
		s->orphan = s->orphan || is_own(d, &st, (unsigned)pty_index_of_tty_nr(dev));
}

/*
 * A terminal in any devpts, whatever root directory its task has (links begin at ours), /dev/tty,
 * or a terminal that is mounted over /dev/console.  Who opens it says whether it is one.
 */
static bool may_be_slave(const char *link)
{
	const char *base = strrchr(link, '/');

	return base && (strcmp(base, "/tty") == 0 || strcmp(base, "/console") == 0 ||
			(base[1] && base[1 + strspn(base + 1, "0123456789")] == 0));
}

static void look_at(const struct dump *d, GHashTable *all, struct dtask *t, int tfd)
{
	g_autofree char *link = NULL;
	CLEANUP(fdinfo_clear) struct fdinfo info = {0};
	uint64_t index;
	char name[32];
	bool master;

	snprintf(name, sizeof(name), "fd/%d", tfd);
	if (proc_link(t->proc.dir, name, &link) < 0)
		return;
	master = g_str_has_suffix(link, "ptmx"); /* /dev/pts/ptmx, too */

	if (!master && may_be_slave(link))
		look_at_slave(d, all, t, tfd);
	if (master && fdinfo_read(t->proc.dir, tfd, &info) == 0 &&
	    fdinfo_u64(&info, "tty-index", 10, &index) == 0) {
		struct pty_seen *s = seen(all, (unsigned)index);

		s->master = t;
		s->master_tfd = tfd;
	}
}

void ptys_seen_free(struct dump *d)
{
	struct ptys_seen *p = g_steal_pointer(&d->ptys);

	if (p)
		g_hash_table_unref(p->by_index);
	g_free(p);
}

int pty_find(struct dump *d, unsigned index, struct pty_seen **ret)
{
	if (d->ptys && d->ptys->frozen != d->frozen)
		ptys_seen_free(d);
	if (!d->ptys) {
		d->ptys = g_new0(struct ptys_seen, 1);
		d->ptys->frozen = d->frozen;
		d->ptys->by_index = g_hash_table_new_full(NULL, NULL, NULL, g_free);
		for (unsigned i = 0; i < d->tasks->len; i++) {
			CLEANUP(pid_list_clear) struct pid_list fds = {0};
			struct dtask *t = dump_task(d, i);

			if (t->zombie || proc_fds(t->proc.dir, &fds) < 0)
				continue;
			for (size_t k = 0; k < fds.n; k++)
				look_at(d, d->ptys->by_index, t, fds.v[k]);
		}
		err_clear();
	}
	*ret = g_hash_table_lookup(d->ptys->by_index, GUINT_TO_POINTER(index));
	return *ret && ((*ret)->master || (*ret)->orphan) ? 0 : 1;
}

static bool match(const struct dump *d, const struct fd_view *v)
{
	return is_pty(v);
}

/* Both instances of devpts and other names for a terminal would lead elsewhere. */
static int check_name(struct dump *d, const struct fd_view *v, unsigned index)
{
	if (is_master(v))
		return g_str_has_suffix(v->link, "ptmx") ? 0
							 : err_set(EOPNOTSUPP,
								   "%s is a master by an unusual "
								   "name; open /dev/ptmx instead",
								   v->link);
	if (!is_own(d, &v->st, index))
		return err_set(EOPNOTSUPP, "%s is not /dev/pts/%u of the container; close it first",
			       v->link, index);
	return 0;
}

static int check_pair(struct dump *d, const struct fd_view *v, int fd, unsigned index)
{
	struct pty_seen *s;
	int line = 0;

	if (pty_find(d, index, &s) != 0)
		return err_set(EOPNOTSUPP,
			       "%s is a terminal whose master is outside of the tree; close it, or "
			       "name it as external: tty[%llx:%llx]",
			       v->link, (unsigned long long)v->st.st_rdev,
			       (unsigned long long)v->st.st_dev);
	if (ioctl(fd, TIOCGETD, &line) == 0 && line != 0)
		return err_set(EOPNOTSUPP,
			       "%s has line discipline %d, whose state is not shown; set N_TTY "
			       "(TIOCSETD) first",
			       v->link, line);
	return check_name(d, v, index);
}

/*
 * While the tree runs terminals come and go: this one may be younger than what we have seen, or its
 * master has been closed while we looked.  Whoever is still alone when all stand still is refused
 * then.
 */
static int check(struct dump *d, const struct fd_view *v)
{
	autoclose int fd = -1;
	unsigned index;
	int r = fd_view_get(v, &fd);

	if (r == 0)
		r = index_of(v, &index);
	if (r == 0)
		r = fown_check(v);
	if (r < 0 || is_hung_up(fd))
		return r;
	r = check_pair(d, v, fd, index);
	if (r < 0 && !d->frozen) {
		err_clear();
		ptys_seen_free(d);
		r = check_pair(d, v, fd, index);
	}
	if (r < 0 && !d->frozen && is_hung_up(fd)) {
		err_clear();
		r = 0;
	}
	return r;
}

/* Whose controlling terminal it is, in the tree's own numbers. */
static void find_session(struct dump *d, unsigned index, TtyInfoEntry *e)
{
	for (unsigned i = 0; i < d->tasks->len; i++) {
		struct dtask *t = dump_task(d, i);

		if (t->zombie || pty_index_of_tty_nr(t->stat.tty_nr) != (int64_t)index)
			continue;
		e->sid = (uint32_t)t->nssid;
		for (unsigned k = 0; k < d->tasks->len; k++)
			if (dump_task(d, k)->stat.pgid == t->stat.tty_pgrp)
				e->pgrp = (uint32_t)dump_task(d, k)->nspgid;
		return;
	}
}

/* What CRIU's records do not say. */
static json_t *extra_of(struct dump *d, unsigned index)
{
	json_t *all = json_object_get(d->extra, "ttys"), *x = json_object();
	char name[32];
	struct stat st;

	if (!all)
		json_object_set_new(d->extra, "ttys", all = json_object());
	snprintf(name, sizeof(name), "dev/pts/%u", index);
	if (fstatat(d->root, name, &st, 0) == 0)
		json_object_set_new(x, "mode", json_integer(st.st_mode & 07777));
	snprintf(name, sizeof(name), "%u", index);
	json_object_set_new(all, name, x);
	return x;
}

static void fill_side(TtyInfoEntry *e, TtyPtyEntry *p, const struct fd_view *v, int fd)
{
	int on = 0;

	e->type = TTY_TYPE__PTY;
	e->pty = p;
	ioctl(fd, TIOCGEXCL, &on);
	e->exclusive = on != 0;
	pty_modes_read(fd, e);
}

static int dump_side(struct dump *d, TtyInfoEntry *e)
{
	int r = image_write(&d->w, IMG_TTY_INFO, 0, &e->base);

	pty_modes_free(e);
	return r;
}

/* The records of both sides, the queues. */
static int dump_pair(struct dump *d, const struct fd_view *v, unsigned index, struct pty_seen *s)
{
	TtyInfoEntry m = TTY_INFO_ENTRY__INIT, e = TTY_INFO_ENTRY__INIT;
	TtyPtyEntry p = TTY_PTY_ENTRY__INIT;
	autoclose int master = -1, slave = -1;
	json_t *extra = extra_of(d, index);
	int on = 0, r = 0;
	struct stat st;
	char name[32];

	if (s->master)
		r = proc_getfd(&s->master->proc, s->master_tfd, &master);
	if (r == 0 && s->slave)
		r = proc_getfd(&s->slave->proc, s->slave_tfd, &slave);
	if (r < 0)
		return r;
	p.index = index;
	m.id = PTY_INFO_MASTER(index);
	e.id = PTY_INFO_SLAVE(index);
	ioctl(master, TIOCGPTLCK, &on);
	m.locked = on != 0;
	on = 0;
	ioctl(master, TIOCGPKT, &on);
	m.packet_mode = on != 0;
	m.rdev = (uint32_t)makedev(TTYAUX_MAJOR, PTMX_MINOR);
	if (s->master)
		fill_side(&m, &p, v, master);
	e.locked = m.locked;
	e.rdev = (uint32_t)makedev(UNIX98_PTY_SLAVE_MAJOR, index);
	fill_side(&e, &p, v, slave >= 0 ? slave : master);
	e.exclusive = e.exclusive && slave >= 0;
	find_session(d, index, &e);
	snprintf(name, sizeof(name), "dev/pts/%u", index);
	if (fstatat(d->root, name, &st, 0) == 0) {
		e.has_uid = e.has_gid = e.has_dev = true;
		e.uid = users_uid(d, st.st_uid);
		e.gid = users_gid(d, st.st_gid);
		e.dev = (uint32_t)st.st_dev;
	}
	if (!s->slave) { /* TTY_OTHER_CLOSED is only there when one was open */
		struct pollfd q = {.fd = master};

		if (poll(&q, 1, 0) == 0)
			json_object_set_new(extra, "unopened", json_true());
	}
	if (s->master)
		r = dump_side(d, &m);
	if (r == 0)
		r = dump_side(d, &e);
	/* what an orphan has written is its reader's, what was typed is lost with the master */
	return r < 0 || !s->master ? r : pty_queues_dump(d, s, index, master, m.packet_mode, extra);
}

static int dump_hung(struct dump *d, const struct fd_view *v, unsigned index)
{
	TtyInfoEntry e = TTY_INFO_ENTRY__INIT;
	TtyPtyEntry p = TTY_PTY_ENTRY__INIT;

	p.index = index;
	e.id = PTY_INFO_HUNG(index);
	e.type = TTY_TYPE__PTY;
	e.pty = &p;
	e.rdev = (uint32_t)v->st.st_rdev;
	return image_write(&d->w, IMG_TTY_INFO, 0, &e.base);
}

/* CRIU looks up the name of a terminal in a record of its own. */
static int dump_name(struct dump *d, const struct fd_view *v, uint32_t *ret_id)
{
	FileEntry e = FILE_ENTRY__INIT;
	RegFileEntry reg = REG_FILE_ENTRY__INIT;
	int r;

	e.id = reg.id = *ret_id = files_new_id(d);
	e.type = FD_TYPES__REG;
	e.reg = &reg;
	reg.name = v->link;
	reg.flags = v->info.flags & ~(unsigned)O_CLOEXEC;
	reg.fown = fown_none();
	reg.has_mode = true;
	reg.mode = v->st.st_mode;
	r = image_write(&d->w, IMG_FILES, 0, &e.base);
	fown_entry__free_unpacked(reg.fown, NULL);
	return r;
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *e)
{
	autoclose int fd = -1;
	struct pty_seen *s = NULL;
	unsigned index;
	bool hung;
	int r = check(d, v);

	if (r == 0)
		r = fd_view_get(v, &fd);
	if (r == 0)
		r = index_of(v, &index);
	if (r < 0)
		return r;
	hung = is_hung_up(fd);
	e->tty = g_new0(TtyFileEntry, 1);
	tty_file_entry__init(e->tty);
	e->tty->id = e->id;
	e->tty->flags = v->info.flags & ~(unsigned)O_CLOEXEC;
	e->tty->tty_info_id = hung	     ? PTY_INFO_HUNG(index)
			      : is_master(v) ? PTY_INFO_MASTER(index)
					     : PTY_INFO_SLAVE(index);
	e->tty->has_regf_id = true;
	r = dump_name(d, v, &e->tty->regf_id);
	if (r == 0 && hung && dump_once(d, "pty hung", index))
		r = dump_hung(d, v, index);
	if (r == 0 && !hung && dump_once(d, "pty", index))
		r = pty_find(d, index, &s) == 0 ? dump_pair(d, v, index, s)
						: err_set(ESTALE, "%s has gone", v->link);
	return r < 0 ? r : fown_dump(v, &e->tty->fown);
}

static const struct dtask *leader_of(struct dump *d, const struct dtask *t)
{
	for (unsigned i = 0; i < d->tasks->len; i++)
		if (dump_task(d, i)->nspid == t->nssid)
			return dump_task(d, i);
	return NULL;
}

int tty_session_check(struct dump *d, struct dtask *t)
{
	int64_t index = pty_index_of_tty_nr(t->stat.tty_nr);
	struct pty_seen *s;
	char key[32];

	if (t->nspid != t->nssid || index < 0 || pty_find(d, (unsigned)index, &s) == 0)
		return 0;
	if (d->o.shell_job && t == dump_task(d, 0)) /* it gets that of whoever restores */
		return 0;
	snprintf(key, sizeof(key), "tty[%x:", t->stat.tty_nr);
	for (unsigned i = 0; i < d->o.nexternals; i++)
		if (g_str_has_prefix(d->o.externals[i].key, key))
			return 0;
	return err_set(EOPNOTSUPP,
		       "its controlling terminal /dev/pts/%u comes from outside of the tree; "
		       "name it as external (%s...]) or start it by setsid(1)",
		       (unsigned)index, key);
}

int tty_session_dump(struct dump *d, struct dtask *t)
{
	const struct dtask *leader = leader_of(d, t);

	if (t->stat.tty_nr == 0 && leader && !leader->zombie &&
	    pty_index_of_tty_nr(leader->stat.tty_nr) >= 0)
		json_object_set_new(t->extra, "notty", json_true());
	return 0;
}

const struct fd_kind fd_pty = {
	.name = "terminal",
	.type = FD_TYPES__TTY,
	.match = match,
	.check = check,
	.dump = dump,
	.load = pty_load,
	.open = pty_open,
	.finish = pty_finish,
};
