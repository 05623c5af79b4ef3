/* SPDX-License-Identifier: Apache-2.0 */
#include "state/tty/tty.h"

#include "state/tty/pty.h"

#include <asm/termbits.h>
#include <errno.h>
#include <linux/major.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

bool tty_is_terminal(const struct stat *st)
{
	unsigned m = major(st->st_rdev);

	return S_ISCHR(st->st_mode) &&
	       (m == TTY_MAJOR || m == TTYAUX_MAJOR ||
		(m >= UNIX98_PTY_MASTER_MAJOR && m < UNIX98_PTY_SLAVE_MAJOR + 8));
}

/* Who has it as controlling terminal: any process of the tree tells. */
static void find_session(struct dump *d, uint64_t rdev, pid_t *sid, pid_t *pgrp)
{
	*sid = *pgrp = 0;
	for (unsigned i = 0; i < d->tasks->len; i++) {
		struct dtask *t = dump_task(d, i);

		if (t->zombie || t->stat.tty_nr != rdev)
			continue;
		*sid = t->nssid;
		for (unsigned k = 0; k < d->tasks->len; k++)
			if (dump_task(d, k)->stat.pgid == t->stat.tty_pgrp)
				*pgrp = dump_task(d, k)->nspgid;
		return;
	}
}

bool tty_is_shells(const struct dump *d, const struct stat *st)
{
	const struct dtask *root = dump_task(d, 0);
	int64_t index = pty_index_of_tty_nr((uint32_t)st->st_rdev);
	struct pty_seen *s;

	if (!S_ISCHR(st->st_mode) || (index < 0 && major(st->st_rdev) != TTY_MAJOR))
		return false;
	if (root->stat.tty_nr == st->st_rdev)
		return true;
	/* a job without a controlling terminal: one that it was given; pty_find() only remembers */
	return root->stat.tty_nr == 0 &&
	       (index < 0 || pty_find((struct dump *)d, (unsigned)index, &s) == 1);
}

int tty_dump(struct dump *d, const struct fd_view *v, json_t *x)
{
	struct termios2 t;
	struct winsize w;
	autoclose int fd = -1;
	pid_t sid, pgrp;
	json_t *o, *cc;
	int r = fd_view_get(v, &fd);

	if (r < 0)
		return r;
	if (ioctl(fd, TCGETS2, &t) < 0 || ioctl(fd, TIOCGWINSZ, &w) < 0)
		return err_errno("modes of terminal %s", v->link);
	find_session(d, v->st.st_rdev, &sid, &pgrp);
	cc = json_array();
	for (unsigned i = 0; i < sizeof(t.c_cc); i++)
		json_array_append_new(cc, json_integer(t.c_cc[i]));
	o = json_pack("{s:[I,I,I,I,I,I,I],s:o,s:[i,i,i,i],s:i,s:i}", "modes", (json_int_t)t.c_iflag,
		      (json_int_t)t.c_oflag, (json_int_t)t.c_cflag, (json_int_t)t.c_lflag,
		      (json_int_t)t.c_line, (json_int_t)t.c_ispeed, (json_int_t)t.c_ospeed, "cc",
		      cc, "size", w.ws_row, w.ws_col, w.ws_xpixel, w.ws_ypixel, "sid", sid, "pgrp",
		      pgrp);
	json_object_set_new(x, "tty", o);
	return 0;
}

int tty_restore(int fd, json_t *tty, bool with_size)
{
	json_int_t m[7];
	struct termios2 t = {0};
	struct winsize w = {0};
	json_t *cc = json_object_get(tty, "cc");
	int size[4];

	if (json_unpack(tty, "{s:[I,I,I,I,I,I,I],s:[i,i,i,i]}", "modes", &m[0], &m[1], &m[2], &m[3],
			&m[4], &m[5], &m[6], "size", &size[0], &size[1], &size[2], &size[3]) < 0 ||
	    json_array_size(cc) != sizeof(t.c_cc))
		return err_set(EBADMSG, "%s: a terminal's modes are malformed", IMAGE_EXTRA);
	t.c_iflag = (tcflag_t)m[0];
	t.c_oflag = (tcflag_t)m[1];
	t.c_cflag = (tcflag_t)m[2];
	t.c_lflag = (tcflag_t)m[3];
	t.c_line = (cc_t)m[4];
	t.c_ispeed = (speed_t)m[5];
	t.c_ospeed = (speed_t)m[6];
	for (unsigned i = 0; i < sizeof(t.c_cc); i++)
		t.c_cc[i] = (cc_t)json_integer_value(json_array_get(cc, i));
	w.ws_row = (unsigned short)size[0];
	w.ws_col = (unsigned short)size[1];
	w.ws_xpixel = (unsigned short)size[2];
	w.ws_ypixel = (unsigned short)size[3];
	if (ioctl(fd, TCSETS2, &t) < 0 || (with_size && ioctl(fd, TIOCSWINSZ, &w) < 0))
		return err_errno("modes of the terminal");
	return 0;
}

/* The root puts itself into the foreground, all signals blocked: no SIGTTOU. */
static int settle_job(struct rtask *t, pid_t pgrp, int tfd)
{
	CLEANUP(batch_end) struct batch b = {0};

	rtask_batch(t, &b);
	/* not when the terminal is another than that of the session */
	batch_may_fail(&b, batch_add(&b, SYS_ioctl, IMM(tfd), IMM(TIOCSPGRP),
				     batch_in(&b, &pgrp, sizeof(pgrp))));
	return batch_run(&b);
}

int tty_settle(struct restore *r, struct rtask *t, json_t *tty, int tfd)
{
	pid_t sid = (pid_t)json_integer_value(json_object_get(tty, "sid"));
	pid_t pgrp = (pid_t)json_integer_value(json_object_get(tty, "pgrp"));
	CLEANUP(batch_end) struct batch b = {0};

	if (r->o.shell_job && t->parent < 0 && t->nspid != sid)
		return pgrp ? settle_job(t, pgrp, tfd) : 0;
	if (sid == 0 || t->nspid != sid)
		return 0;
	rtask_batch(t, &b);
	/*
	 * The OCI runtime has done it for the first task; tiocsctty() says 0 then, too.  Another
	 * session takes it away from that one.
	 */
	batch_add(&b, SYS_ioctl, IMM(tfd), IMM(TIOCSCTTY), IMM(1));
	if (pgrp != 0)
		batch_add(&b, SYS_ioctl, IMM(tfd), IMM(TIOCSPGRP),
			  batch_in(&b, &pgrp, sizeof(pgrp)));
	return batch_run(&b);
}
