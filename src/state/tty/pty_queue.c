/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queued data of a pseudoterminal.  There is no way to look at it without taking it, so what was
 * read is written again at once; nobody else runs meanwhile.
 *
 * What the slave reads has been through the line discipline already (drivers/tty/n_tty.c): it is
 * written again with all processing off, except that lines are still lines.
 */
#include "state/tty/pty.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>

#define QUEUE_MAX    (1u << 20)
#define WORKER_MS    1000 /* the kernel's worker moves what was written to the reader's side */
#define PARTIAL_US   5000
#define POLL_STEP_US 100

int pty_queue_take(int fd, GByteArray *ret)
{
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		uint8_t buf[4096];
		ssize_t n;

		if (poll(&p, 1, 0) <= 0 || !(p.revents & POLLIN))
			return 0;
		n = read(fd, buf, sizeof(buf));
		if (n < 0 && (errno == EIO || errno == EAGAIN))
			return 0;
		if (n < 0)
			return err_errno("read what is queued in a terminal");
		if (n == 0)
			return 0;
		g_byte_array_append(ret, buf, (guint)n);
		if (ret->len > QUEUE_MAX)
			return err_set(EFBIG, "more than %u bytes are queued in a terminal",
				       QUEUE_MAX);
	}
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
	while (len > 0) {
		struct pollfd p = {.fd = fd, .events = POLLOUT};
		ssize_t n;

		if (poll(&p, 1, WORKER_MS) <= 0)
			return err_set(EAGAIN, "a terminal does not take %zu bytes", len);
		n = write(fd, data, len);
		if (n < 0 && errno != EAGAIN)
			return err_errno("write what was queued in a terminal");
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int modes(int fd, struct termios2 *ret)
{
	return ioctl(fd, TCGETS2, ret) < 0 ? err_errno("modes of a terminal") : 0;
}

static int set_modes(int fd, const struct termios2 *t)
{
	return ioctl(fd, TCSETS2, t) < 0 ? err_errno("modes of a terminal") : 0;
}

int pty_queue_to_master(int slave, const uint8_t *data, size_t len)
{
	struct termios2 was, plain;
	int r = len ? modes(slave, &was) : 0;

	if (len == 0 || r < 0)
		return r;
	plain = was;
	plain.c_oflag &= ~(tcflag_t)OPOST;
	r = set_modes(slave, &plain);
	if (r == 0)
		r = write_all(slave, data, len);
	return set_modes(slave, &was) < 0 ? -EIO : r;
}

int pty_queue_of_master(int master, int slave, GByteArray *ret)
{
	autoclose int own = -1;
	int r = pty_queue_take(master, ret);

	if (r < 0 || ret->len == 0)
		return r;
	if (slave < 0) {
		own = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
		if (own < 0)
			return err_errno("open the slave of a terminal");
		slave = own;
	}
	return pty_queue_to_master(slave, ret->data, ret->len);
}

/* Lines are kept, nothing else is done to what is written. */
static struct termios2 without_processing(const struct termios2 *t)
{
	struct termios2 q = *t;

	q.c_iflag &= IUTF8;
	q.c_lflag &= ICANON;
	for (unsigned i = 0; i < NCCS; i++)
		if (i != VEOF && i != VEOL && i != VEOL2 && i != VMIN && i != VTIME)
			q.c_cc[i] = 0;
	return q;
}

/* Modes must not change before the kernel's worker has looked at every byte. */
static void wait_for_worker(int slave, bool lines, int bytes)
{
	int n = 0;

	if (lines) { /* a half line is not counted: tty_ioctl(4), TIOCINQ */
		struct pollfd p = {.fd = slave, .events = POLLIN};

		poll(&p, 1, 0);
		g_usleep(PARTIAL_US);
		return;
	}
	for (unsigned i = 0; i < WORKER_MS * 1000 / POLL_STEP_US; i++) {
		if (ioctl(slave, TIOCINQ, &n) < 0 || n >= MIN(bytes, 4095))
			return;
		g_usleep(POLL_STEP_US);
	}
}

/* Writes DATA with an end of file at each offset of EOF_. */
static int write_lines(int master, const uint8_t *data, size_t len, json_t *eof, cc_t veof)
{
	size_t at = 0, i;
	json_t *offset;
	int r = 0;

	json_array_foreach(eof, i, offset)
	{
		json_int_t to = json_integer_value(offset);

		if (to < (json_int_t)at || to > (json_int_t)len)
			return err_set(EBADMSG, "%s: an end of file at %lld of %zu bytes",
				       IMAGE_EXTRA, (long long)to, len);
		r = write_all(master, data + at, (size_t)to - at);
		if (r == 0)
			r = write_all(master, &veof, 1);
		if (r < 0)
			return r;
		at = (size_t)to;
	}
	return write_all(master, data + at, len - at);
}

int pty_queue_to_slave(int master, int slave, const uint8_t *data, size_t len, json_t *eof)
{
	struct termios2 was, quiet;
	int r;

	if (len == 0 && json_array_size(eof) == 0)
		return 0;
	r = modes(slave, &was);
	if (r < 0)
		return r;
	quiet = without_processing(&was);
	if (json_array_size(eof) && quiet.c_cc[VEOF] == 0)
		quiet.c_cc[VEOF] = 4;
	r = set_modes(slave, &quiet);
	if (r == 0)
		r = write_lines(master, data, len, eof, quiet.c_cc[VEOF]);
	wait_for_worker(slave, was.c_lflag & ICANON, (int)len);
	return set_modes(slave, &was) < 0 ? -EIO : r;
}

static bool ends_line(uint8_t c, const struct termios2 *t)
{
	return c == '\n' || (c && (c == t->c_cc[VEOL] || c == t->c_cc[VEOL2]));
}

/* Line by line: one that ends otherwise was ended by an end of file. */
static int read_lines(int slave, const struct termios2 *t, GByteArray *ret, json_t *eof)
{
	for (;;) {
		uint8_t buf[4096];
		ssize_t n = read(slave, buf, sizeof(buf)); /* O_NONBLOCK */

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return err_errno("read what is queued in a terminal");
		g_byte_array_append(ret, buf, (guint)n);
		if (n == 0 || (!ends_line(buf[n - 1], t) && (size_t)n < sizeof(buf)))
			json_array_append_new(eof, json_integer(ret->len));
		if (ret->len > QUEUE_MAX || json_array_size(eof) > QUEUE_MAX)
			return err_set(EFBIG, "too much is queued in a terminal");
	}
}

int pty_queue_of_slave(int master, int slave, GByteArray *ret, json_t *ret_eof)
{
	struct termios2 was, raw;
	int r = modes(slave, &was);

	if (r < 0)
		return r;
	raw = was;
	raw.c_lflag &= ~(tcflag_t)ICANON;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (was.c_lflag & ICANON)
		r = read_lines(slave, &was, ret, ret_eof);
	if (r == 0) /* what is left is a half line, or all of it */
		r = set_modes(slave, &raw);
	if (r == 0)
		r = pty_queue_take(slave, ret);
	if (set_modes(slave, &was) < 0)
		return -EIO;
	return r < 0 ? r : pty_queue_to_slave(master, slave, ret->data, ret->len, ret_eof);
}
