/* SPDX-License-Identifier: Apache-2.0 */
/* What is queued between both sides of a pseudoterminal, read while everybody stands still. */
#include "state/tty/pty.h"

#include "base/fd.h"
#include "image/image.h"

#include <fcntl.h>
#include <sys/ioctl.h>

static int write_queue(struct dump *d, uint32_t id, const GByteArray *q)
{
	TtyDataEntry e = TTY_DATA_ENTRY__INIT;

	if (q->len == 0)
		return 0;
	e.tty_id = id;
	e.data.data = q->data;
	e.data.len = q->len;
	return image_write(&d->w, IMG_TTY_DATA, 0, &e.base);
}

/* A slave of our own, if anybody has one open. */
static int own_slave(const struct pty_seen *s, int master, int *ret)
{
	int locked = 0, on = 1, off = 0;

	if (!s->slave)
		return 0;
	ioctl(master, TIOCGPTLCK, &locked);
	if (locked)
		ioctl(master, TIOCSPTLCK, &off);
	*ret = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (locked)
		ioctl(master, TIOCSPTLCK, &on);
	return *ret < 0 ? err_errno("open the slave of a terminal") : 0;
}

/* MASTER is not in packet mode. */
static int dump_plain(struct dump *d, const struct pty_seen *s, unsigned index, int master,
		      json_t *extra)
{
	g_autoptr(GByteArray) out = g_byte_array_new(), in = g_byte_array_new();
	json_t *eof = json_array();
	autoclose int slave = -1;
	enum pty_flow how = PTY_FLOWS;
	int r = own_slave(s, master, &slave), e;

	if (r == 0 && slave >= 0)
		r = pty_flow_start(master, slave, out, &how);
	if (r == 0 && slave >= 0)
		r = pty_queue_of_slave(master, slave, in, eof);
	if (r == 0)
		r = pty_queue_of_master(master, slave, out);
	e = pty_flow_stop(master, slave, how);
	if (r == 0)
		r = e;
	if (how != PTY_FLOWS)
		json_object_set_new(extra, "stopped", pty_flow_json(how));
	if (r == 0)
		r = write_queue(d, PTY_INFO_SLAVE(index), in);
	if (r == 0)
		r = write_queue(d, PTY_INFO_MASTER(index), out);
	if (json_array_size(eof))
		json_object_set(extra, "eof", eof);
	json_decref(eof);
	return r;
}

/* In packet mode each read(2) of the master has a byte about the slave before the data. */
int pty_queues_dump(struct dump *d, const struct pty_seen *s, unsigned index, int master,
		    bool packets, json_t *extra)
{
	int on = 1, off = 0, r;

	if (packets && ioctl(master, TIOCPKT, &off) < 0)
		return err_errno("packet mode of a terminal");
	r = dump_plain(d, s, index, master, extra);
	if (packets && ioctl(master, TIOCPKT, &on) < 0 && r == 0)
		r = err_errno("packet mode of a terminal");
	return r;
}
