/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modes of a pseudoterminal: termios(3), what of it is locked, the window's size.  Asked through
 * the master the kernel answers for the slave (drivers/tty/tty_ioctl.c: tty_mode_ioctl()).
 */
#include "state/tty/pty.h"

#include <asm/termbits.h>
#include <errno.h>
#include <sys/ioctl.h>

#define IMAGE_CC 32u /* as CRIU; the kernel has 19 */

static TermiosEntry *message(const struct termios2 *t)
{
	TermiosEntry *e = g_new0(TermiosEntry, 1);

	termios_entry__init(e);
	e->c_iflag = t->c_iflag;
	e->c_oflag = t->c_oflag;
	e->c_cflag = t->c_cflag;
	e->c_lflag = t->c_lflag;
	e->c_line = t->c_line;
	e->c_ispeed = t->c_ispeed;
	e->c_ospeed = t->c_ospeed;
	e->n_c_cc = IMAGE_CC;
	e->c_cc = g_new0(uint32_t, IMAGE_CC);
	for (unsigned i = 0; i < NCCS; i++)
		e->c_cc[i] = t->c_cc[i];
	return e;
}

static struct termios2 modes_of(const TermiosEntry *e)
{
	struct termios2 t = {.c_iflag = e->c_iflag,
			     .c_oflag = e->c_oflag,
			     .c_cflag = e->c_cflag,
			     .c_lflag = e->c_lflag,
			     .c_line = (cc_t)e->c_line,
			     .c_ispeed = e->c_ispeed,
			     .c_ospeed = e->c_ospeed};

	for (unsigned i = 0; i < NCCS && i < e->n_c_cc; i++)
		t.c_cc[i] = (cc_t)e->c_cc[i];
	return t;
}

void pty_modes_read(int fd, TtyInfoEntry *e)
{
	struct termios2 t = {0};
	struct termios locked = {0};
	struct winsize w = {0};

	if (ioctl(fd, TCGETS2, &t) == 0)
		e->termios = message(&t);
	if (ioctl(fd, TIOCGLCKTRMIOS, &locked) == 0) {
		t = (struct termios2){.c_iflag = locked.c_iflag,
				      .c_oflag = locked.c_oflag,
				      .c_cflag = locked.c_cflag,
				      .c_lflag = locked.c_lflag,
				      .c_line = locked.c_line};
		for (unsigned i = 0; i < NCCS; i++)
			t.c_cc[i] = locked.c_cc[i];
		e->termios_locked = message(&t);
	}
	if (ioctl(fd, TIOCGWINSZ, &w) == 0) {
		e->winsize = g_new0(WinsizeEntry, 1);
		winsize_entry__init(e->winsize);
		e->winsize->ws_row = w.ws_row;
		e->winsize->ws_col = w.ws_col;
		e->winsize->ws_xpixel = w.ws_xpixel;
		e->winsize->ws_ypixel = w.ws_ypixel;
	}
}

void pty_modes_free(TtyInfoEntry *e)
{
	if (e->termios)
		termios_entry__free_unpacked(e->termios, NULL);
	if (e->termios_locked)
		termios_entry__free_unpacked(e->termios_locked, NULL);
	if (e->winsize)
		winsize_entry__free_unpacked(e->winsize, NULL);
	e->termios = e->termios_locked = NULL;
	e->winsize = NULL;
}

int pty_modes_check(const TtyInfoEntry *e)
{
	if (e->termios && e->termios->n_c_cc < NCCS)
		return err_set(EBADMSG, "tty-info.img: terminal %u has %zu characters", e->id,
			       e->termios->n_c_cc);
	return 0;
}

int pty_modes_write(int fd, const TtyInfoEntry *e)
{
	struct termios2 t;
	struct termios locked = {0};

	if (e->winsize) {
		struct winsize w = {(unsigned short)e->winsize->ws_row,
				    (unsigned short)e->winsize->ws_col,
				    (unsigned short)e->winsize->ws_xpixel,
				    (unsigned short)e->winsize->ws_ypixel};

		if (ioctl(fd, TIOCSWINSZ, &w) < 0)
			return err_errno("size of terminal %u", e->id);
	}
	if (e->termios) {
		t = modes_of(e->termios);
		if (ioctl(fd, TCSETS2, &t) < 0)
			return err_errno("modes of terminal %u", e->id);
	}
	if (e->termios_locked) {
		t = modes_of(e->termios_locked);
		locked.c_iflag = t.c_iflag;
		locked.c_oflag = t.c_oflag;
		locked.c_cflag = t.c_cflag;
		locked.c_lflag = t.c_lflag;
		locked.c_line = t.c_line;
		for (unsigned i = 0; i < NCCS; i++)
			locked.c_cc[i] = t.c_cc[i];
		if (ioctl(fd, TIOCSLCKTRMIOS, &locked) < 0)
			return err_errno("locked modes of terminal %u", e->id);
	}
	return 0;
}
