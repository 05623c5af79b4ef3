/* SPDX-License-Identifier: Apache-2.0 */
/* Output of terminals that was stopped, by tcflow(3) and by ^S, with what waits; packet mode. */
#include "cr.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

#define PATIENCE_MS 10000

struct tty {
	int master, slave;
};

static struct tty make(void)
{
	struct tty t = {.master = posix_openpt(O_RDWR | O_NOCTTY)};
	struct termios m;

	check(t.master >= 0 && unlockpt(t.master) == 0);
	t.slave = ioctl(t.master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK);
	check(t.slave >= 0 && tcgetattr(t.slave, &m) == 0);
	m.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	m.c_iflag |= IXON;
	m.c_oflag &= ~(tcflag_t)OPOST;
	check(tcsetattr(t.slave, TCSANOW, &m) == 0);
	return t;
}

static int ready_for(int fd, short events, int ms)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, ms) > 0 && p.revents & events;
}

/* Exactly TEXT, which has been written. */
static void expect_text(int fd, const char *text)
{
	size_t len = strlen(text), got = 0;
	char buf[64];

	while (got < len) {
		ssize_t n;

		check(ready_for(fd, POLLIN, PATIENCE_MS), "\"%s\" does not come", text);
		n = read(fd, buf + got, len - got);
		check(n > 0, "read gave %zd", n);
		got += (size_t)n;
	}
	check(memcmp(buf, text, len) == 0, "%.*s", (int)len, buf);
}

static bool stopped(const struct tty *t)
{
	return !ready_for(t->slave, POLLOUT, 0) && write(t->slave, "lost", 4) <= 0;
}

static void typed(const struct tty *t, char key, bool stop)
{
	check(write(t->master, &key, 1) == 1);
	for (int i = 0; i < PATIENCE_MS && ready_for(t->slave, POLLOUT, 0) == stop; i++)
		usleep(1000);
}

int main(void)
{
	struct tty call = make(), key = make(), both = make(), packets = make();
	char buf[64], kind;
	int on = 1, n;

	check(write(call.slave, "before", 6) == 6 && tcflow(call.slave, TCOOFF) == 0);
	check(write(key.slave, "output", 6) == 6);
	typed(&key, 'S' & 31, true);
	check(write(key.master, "input", 5) == 5);
	typed(&both, 'S' & 31, true);
	check(tcflow(both.slave, TCOOFF) == 0);
	check(write(packets.slave, "packet", 6) == 6 &&
	      ready_for(packets.master, POLLIN, PATIENCE_MS));
	check(ioctl(packets.master, TIOCPKT, &on) == 0);
	check(write(packets.master, "typed", 5) == 5 &&
	      ready_for(packets.slave, POLLIN, PATIENCE_MS));
	check(ready_for(key.slave, POLLIN, PATIENCE_MS), "input of a stopped terminal");
	check(stopped(&call) && stopped(&key) && stopped(&both), "nothing is stopped");
	ready();
	check(stopped(&call), "what tcflow() stopped goes on");
	check(stopped(&key), "what ^S stopped goes on");
	check(stopped(&both), "what both stopped goes on");
	expect_text(call.master, "before");
	check(tcflow(call.slave, TCOON) == 0 && write(call.slave, "after", 5) == 5);
	expect_text(call.master, "after");
	expect_text(key.master, "output");
	expect_text(key.slave, "input");
	check(tcflow(key.slave, TCOON) == 0 && stopped(&key), "^S was turned into a call");
	typed(&key, 'Q' & 31, false);
	check(write(key.slave, "again", 5) == 5);
	expect_text(key.master, "again");
	check(tcflow(both.slave, TCOON) == 0 && write(both.slave, "on", 2) == 2);
	expect_text(both.master, "on");
	n = (int)read(packets.master, buf, sizeof(buf));
	kind = buf[0];
	check(n == 7 && kind == TIOCPKT_DATA && memcmp(buf + 1, "packet", 6) == 0,
	      "%d bytes of kind %d", n, kind);
	expect_text(packets.slave, "typed");
	return ok();
}
