/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pairs anew.  They exist before processes are forked, as a controlling terminal is inherited and
 * cannot be given to others than session leaders later (drivers/tty/tty_jobctrl.c: tiocsctty()).
 *
 * The kernel gives a new master the lowest free number: masters are opened until the right one
 * comes.  Those of numbers that will be asked for are kept until then, so that thousands of
 * terminals in any order are opened once each; the others are closed again.
 */
#include "state/ns/ns.h"
#include "state/tty/pty.h"

#include "image/regfile.pb-c.h"
#include "state/fd/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

static void pty_free(void *arg)
{
	struct pty *p = arg;

	cleanup_close(&p->fd);
	cleanup_close(&p->peer);
	cleanup_close(&p->early);
	g_free(p);
}

static void info_free(void *e)
{
	tty_info_entry__free_unpacked(e, NULL);
}

void ttys_free(struct restore *r)
{
	struct ttys *t = g_steal_pointer(&r->ttys);

	if (!t)
		return;
	g_hash_table_unref(t->by_index);
	g_hash_table_unref(t->by_id);
	g_ptr_array_unref(t->infos);
	g_free(t);
}

struct pty *pty_of_index(struct ttys *t, uint32_t index)
{
	struct pty *p = g_hash_table_lookup(t->by_index, GUINT_TO_POINTER(index));

	if (p)
		return p;
	p = g_new0(struct pty, 1);
	p->index = index;
	p->fd = p->peer = p->early = -1;
	g_hash_table_insert(t->by_index, GUINT_TO_POINTER(index), p);
	return p;
}

static int add_info(struct ttys *t, TtyInfoEntry *e)
{
	struct pty *p;

	if (g_hash_table_contains(t->by_id, GUINT_TO_POINTER(e->id)))
		return err_set(EBADMSG, "tty-info.img: terminal %u is there twice", e->id);
	g_hash_table_insert(t->by_id, GUINT_TO_POINTER(e->id), e);
	if (e->type != TTY_TYPE__PTY)
		return 0;
	if (!e->pty || e->pty->index >= PTY_INDEX_MAX)
		return err_set(EBADMSG, "tty-info.img: terminal %u has no sound number", e->id);
	p = pty_of_index(t, e->pty->index);
	if (!e->termios)
		p->hung = e;
	else if (e->id & 1)
		p->master = e;
	else
		p->slave = e;
	return pty_modes_check(e);
}

int ttys_get(struct restore *r, struct ttys **ret)
{
	CLEANUP(image_close) struct image *img = NULL;
	struct ttys *t = r->ttys;
	int e;

	*ret = t;
	if (t)
		return 0;
	*ret = r->ttys = t = g_new0(struct ttys, 1);
	t->infos = g_ptr_array_new_with_free_func(info_free);
	t->by_id = g_hash_table_new(NULL, NULL);
	t->by_index = g_hash_table_new_full(NULL, NULL, NULL, pty_free);
	e = image_open(r->o.images, IMG_TTY_INFO, 0, &img);
	while (e == 0) {
		TtyInfoEntry *info = NULL;

		e = image_read(img, &info);
		if (e != 0)
			break;
		g_ptr_array_add(t->infos, info);
		e = add_info(t, info);
	}
	return e < 0 ? e : 0;
}

struct pty *pty_of_session(struct ttys *t, pid_t sid)
{
	for (unsigned i = 0; sid > 0 && i < t->infos->len; i++) {
		TtyInfoEntry *e = g_ptr_array_index(t->infos, i);

		if (e->type == TTY_TYPE__PTY && e->termios && (pid_t)e->sid == sid)
			return pty_of_index(t, e->pty->index);
	}
	return NULL;
}

/* Keeps a master that came by the way for whoever will ask for it. */
static bool keep(struct restore *r, unsigned n, int fd)
{
	struct pty *p = g_hash_table_lookup(r->ttys->by_index, GUINT_TO_POINTER(n));

	if (!p || p->made || p->early >= 0)
		return false;
	p->early = fd;
	return true;
}

static int open_index(struct restore *r, struct pty *p)
{
	g_autoptr(GArray) others = g_array_new(FALSE, FALSE, sizeof(int));
	RegFileEntry ptmx = REG_FILE_ENTRY__INIT;
	unsigned n = 0;
	int e = 0;

	ptmx.name = (char *)"/dev/ptmx";
	p->fd = take_fd(&p->early);
	while (e == 0 && p->fd < 0) {
		int fd = -1;

		e = path_open(r, &ptmx, O_RDWR, &fd);
		if (e < 0)
			break;
		if (ioctl(fd, TIOCGPTN, &n) < 0)
			e = err_errno("number of a terminal");
		if (e == 0 && n == p->index)
			p->fd = fd;
		else if (e < 0 || !keep(r, n, fd))
			g_array_append_val(others, fd);
		if (e == 0 && n > p->index)
			e = err_set(EBUSY, "terminal /dev/pts/%u exists already here", p->index);
	}
	for (unsigned i = 0; i < others->len; i++)
		close(g_array_index(others, int, i));
	return e;
}

int pty_open_slave(struct pty *p, unsigned flags, int *ret_fd)
{
	flags &= O_ACCMODE | O_NONBLOCK | O_APPEND;
	*ret_fd = ioctl(p->fd, TIOCGPTPEER, flags | O_NOCTTY | O_CLOEXEC);
	return *ret_fd < 0 ? err_errno("open /dev/pts/%u", p->index) : 0;
}

/*
 * Descriptions that were hung up: opened, then the terminal is hung up, before anybody else opens
 * it.  vhangup(2) for any terminal is for CAP_SYS_ADMIN.
 */
static int make_hung(struct restore *r, struct pty *p)
{
	GHashTableIter it;
	struct file *f;
	int ret = 0;

	g_hash_table_iter_init(&it, r->files);
	while (g_hash_table_iter_next(&it, NULL, (void **)&f)) {
		if (f->kind != &fd_pty || f->entry->tty->tty_info_id != p->hung->id)
			continue;
		ret = pty_open_slave(p, f->entry->tty->flags, &f->fd);
		if (ret < 0)
			return ret;
		if (ioctl(f->fd, TIOCVHANGUP) < 0)
			return err_errno("hang up /dev/pts/%u", p->index);
	}
	return 0;
}

static json_t *extra_of(struct restore *r, uint32_t index)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", index);
	return json_object_get(json_object_get(r->extra, "ttys"), name);
}

static int fill_queues(struct restore *r, struct pty *p, json_t *eof)
{
	CLEANUP(image_close) struct image *img = NULL;
	CLEANUP(image_record_free) TtyDataEntry *e = NULL;
	bool lines = json_array_size(eof) > 0;
	int ret = image_open(r->o.images, IMG_TTY_DATA, 0, &img);

	while (ret == 0 && (ret = image_read(img, &e)) == 0) {
		if (p->master && e->tty_id == p->master->id)
			ret = pty_queue_to_master(p->peer, e->data.data, e->data.len);
		else if (p->slave && e->tty_id == p->slave->id) {
			ret = pty_queue_to_slave(p->fd, p->peer, e->data.data, e->data.len, eof);
			lines = false;
		}
	}
	if (ret >= 0 && lines) /* nothing but ends of file */
		ret = pty_queue_to_slave(p->fd, p->peer, NULL, 0, eof);
	return ret < 0 ? ret : 0;
}

/* What can be said only of a slave that is open. */
static int settle_slave(struct restore *r, struct pty *p, json_t *extra)
{
	const TtyInfoEntry *e = p->slave;
	json_t *mode = json_object_get(extra, "mode");
	int ret = pty_open_slave(p, O_RDWR | O_NONBLOCK, &p->peer);

	if (ret < 0)
		return ret;
	if (e->has_uid && e->has_gid &&
	    fchown(p->peer, users_outer_uid(r, e->uid), users_outer_gid(r, e->gid)) < 0)
		return err_errno("owner of /dev/pts/%u", p->index);
	if (mode && fchmod(p->peer, (mode_t)json_integer_value(mode) & 07777) < 0)
		return err_errno("mode of /dev/pts/%u", p->index);
	if (e->exclusive && ioctl(p->peer, TIOCEXCL) < 0)
		return err_errno("/dev/pts/%u for one alone", p->index);
	ret = fill_queues(r, p, json_object_get(extra, "eof"));
	return ret < 0 ? ret
		       : pty_flow_stop(p->fd, p->peer,
				       pty_flow_load(json_object_get(extra, "stopped")));
}

int pty_check(struct restore *r, const struct pty *p)
{
	if (p->master || (p->slave && r->o.orphan_master))
		return 0;
	return err_set(EOPNOTSUPP,
		       "the master of terminal /dev/pts/%u is not in the checkpoint, and whoever "
		       "restores does not take it (RPC: orphan_pts_master)",
		       p->index);
}

int pty_make(struct restore *r, struct pty *p)
{
	json_t *extra = extra_of(r, p->index);
	int off = 0, ret;

	if (p->made)
		return 0;
	p->made = true;
	ret = open_index(r, p);
	if (ret < 0)
		return ret;
	if (ioctl(p->fd, TIOCSPTLCK, &off) < 0)
		return err_errno("unlock /dev/pts/%u", p->index);
	if (p->hung)
		ret = make_hung(r, p);
	if (ret < 0 || (!p->master && !p->slave)) {
		cleanup_close(&p->fd); /* that hangs its slave up */
		p->fd = -1;
		return ret;
	}
	if (p->master && p->master->exclusive && ioctl(p->fd, TIOCEXCL) < 0)
		return err_errno("the master of /dev/pts/%u for one alone", p->index);
	ret = pty_modes_write(p->fd, p->slave ? p->slave : p->master);
	if (ret == 0 && p->slave && !json_is_true(json_object_get(extra, "unopened")))
		ret = settle_slave(r, p, extra);
	if (ret == 0)
		ret = pty_check(r, p);
	return ret < 0 || p->master ? ret : r->o.orphan_master(r->o.commit_arg, p->fd);
}
