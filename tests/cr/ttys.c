/* SPDX-License-Identifier: Apache-2.0 */
/* Pseudoterminals: modes, queued data, packet mode, locked, half-closed and hung-up ones. */
#include "cr.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

struct pair {
	int master, slave;
	unsigned index;
};

static struct pair pair(bool open_slave)
{
	struct pair p = {.master = posix_openpt(O_RDWR | O_NOCTTY), .slave = -1};

	check(p.master >= 0, "errno %d", errno);
	check(ioctl(p.master, TIOCGPTN, &p.index) == 0);
	if (!open_slave)
		return p;
	check(unlockpt(p.master) == 0);
	p.slave = ioctl(p.master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	check(p.slave >= 0, "errno %d", errno);
	return p;
}

static void raw(int fd)
{
	struct termios t;

	check(tcgetattr(fd, &t) == 0);
	cfmakeraw(&t);
	check(tcsetattr(fd, TCSANOW, &t) == 0);
}

static void put(int fd, const char *text)
{
	check(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "errno %d", errno);
}

static void get(int fd, const char *text)
{
	char buf[8192];
	size_t len = strlen(text), n = 0;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (n < len) {
		ssize_t got;

		check(poll(&p, 1, 15000) == 1, "nothing to read, \"%s\" expected", text);
		got = read(fd, buf + n, sizeof(buf) - n);
		check(got > 0, "errno %d at %zu of \"%s\"", errno, n, text);
		n += (size_t)got;
	}
	buf[n] = 0;
	check(n == len && memcmp(buf, text, n) == 0, "\"%s\" instead of \"%s\"", buf, text);
}

static void nothing(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	check(poll(&p, 1, 0) == 0, "%#x", p.revents);
}

int main(void)
{
	struct pair a = pair(true), b = pair(true), c = pair(true), d = pair(true), e = pair(false),
		    f = pair(true), x = pair(true), g = pair(true), h = pair(true);
	struct winsize w = {31, 97, 5, 6}, w2;
	struct termios ta = {0}, tb = {0}, t = {0}, lock = {.c_lflag = ICANON};
	struct stat st;
	bool locked, hung;
	int on = 1, off = 0, got = -1, again;
	char buf[64], big[3001];
	struct pollfd p;
	unsigned n;
	size_t len;

	/* raw, data in both directions, another size */
	raw(a.slave);
	check(ioctl(a.master, TIOCSWINSZ, &w) == 0);
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	put(a.master, "typed\r\x03\x04 raw");
	put(a.slave, big);
	check(fcntl(a.slave, F_SETFL, O_RDWR | O_NONBLOCK) == 0);
	check(fchown(a.slave, 12, 34) == 0 && fchmod(a.slave, 0604) == 0);
	locked = ioctl(a.slave, TIOCSLCKTRMIOS, &lock) == 0;
	again = dup(a.slave);

	/* lines, an end of file, half a line */
	check(tcgetattr(b.slave, &t) == 0);
	t.c_lflag &= ~(tcflag_t)ECHO;
	t.c_cc[VINTR] = 7;
	t.c_cc[VEOF] = 5;
	check(tcsetattr(b.slave, TCSANOW, &t) == 0);
	put(b.master, "one\rtwo\nend\x05\x05half");

	/* half-closed, with last words */
	raw(c.slave);
	put(c.slave, "bye");
	close(c.slave);

	/* hung up */
	close(d.master);
	check(read(d.slave, buf, 1) == 0);

	/* hung up by somebody with the right to, its master is there */
	hung = ioctl(h.slave, TIOCVHANGUP) == 0;

	/* packet mode, exclusive, locked; e was never unlocked or opened */
	check(ioctl(f.master, TIOCPKT, &on) == 0);
	check(ioctl(f.slave, TIOCEXCL) == 0);
	check(ioctl(f.master, TIOCSPTLCK, &on) == 0);
	raw(f.slave);
	check(read(f.master, buf, sizeof(buf)) > 0);

	/* echo that nobody has read */
	put(g.master, "abc\r");
	p = (struct pollfd){.fd = g.slave, .events = POLLIN};
	check(poll(&p, 1, 15000) == 1);

	close(x.master); /* a free number between others */
	close(x.slave);
	check(tcgetattr(a.slave, &ta) == 0 && tcgetattr(b.slave, &tb) == 0);
	ready();

	check(tcgetattr(a.slave, &t) == 0 && memcmp(&t, &ta, sizeof(t)) == 0);
	check(tcgetattr(b.slave, &t) == 0 && memcmp(&t, &tb, sizeof(t)) == 0);
	check(ioctl(a.slave, TIOCGWINSZ, &w2) == 0 && memcmp(&w, &w2, sizeof(w)) == 0);
	check(fstat(a.slave, &st) == 0 && st.st_uid == 12 && st.st_gid == 34, "%u:%u", st.st_uid,
	      st.st_gid);
	check((st.st_mode & 07777) == 0604, "%#o", st.st_mode);
	memset(&lock, 0, sizeof(lock));
	check(ioctl(a.slave, TIOCGLCKTRMIOS, &lock) == 0 && !lock.c_lflag == !locked);
	check(fcntl(a.slave, F_GETFL) & O_NONBLOCK && fcntl(again, F_GETFL) & O_NONBLOCK);
	check(!(fcntl(a.master, F_GETFL) & O_NONBLOCK));
	check(ioctl(a.master, TIOCGPTN, &n) == 0 && n == a.index, "%u", n);
	snprintf(buf, sizeof(buf), "/proc/self/fd/%d", a.slave);
	len = (size_t)readlink(buf, big, 100);
	big[len] = 0;
	snprintf(buf, sizeof(buf), "/dev/pts/%u", a.index);
	check(strcmp(big, buf) == 0, "%s", big);
	memset(big, 'x', sizeof(big) - 1);
	get(a.slave, "typed\r\x03\x04 raw");
	get(a.master, big);
	nothing(a.master);
	nothing(a.slave);
	put(a.slave, "out");
	get(a.master, "out");

	got = (int)read(b.slave, buf, sizeof(buf));
	check(got == 4 && memcmp(buf, "one\n", 4) == 0, "%d", got);
	got = (int)read(b.slave, buf, sizeof(buf));
	check(got == 4 && memcmp(buf, "two\n", 4) == 0, "%d", got);
	got = (int)read(b.slave, buf, sizeof(buf));
	check(got == 3 && memcmp(buf, "end", 3) == 0, "%d", got);
	check(read(b.slave, buf, sizeof(buf)) == 0);
	nothing(b.slave);
	put(b.master, " more\r");
	got = (int)read(b.slave, buf, sizeof(buf));
	check(got == 10 && memcmp(buf, "half more\n", 10) == 0, "%d", got);
	nothing(b.master);

	p = (struct pollfd){.fd = c.master, .events = POLLIN};
	check(poll(&p, 1, 0) == 1 && p.revents & POLLHUP, "%#x", p.revents);
	get(c.master, "bye");
	check(read(c.master, buf, 1) == -1 && errno == EIO);

	check(read(d.slave, buf, 1) == 0);
	check(write(d.slave, "x", 1) == -1 && errno == EIO, "errno %d", errno);
	check(tcgetattr(d.slave, &t) == -1 && errno == EIO, "errno %d", errno);

	check(!hung || (read(h.slave, buf, 1) == 0 && write(h.slave, "x", 1) == -1 && errno == EIO),
	      "errno %d", errno);
	again = ioctl(h.master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	raw(again);
	put(again, "a new one");
	get(h.master, "a new one");

	check(ioctl(e.master, TIOCGPTLCK, &got) == 0 && got == 1);
	check(ioctl(e.master, TIOCGPTN, &n) == 0 && n == e.index);
	nothing(e.master);
	p = (struct pollfd){.fd = e.master};
	check(poll(&p, 1, 0) == 0);

	check(ioctl(f.master, TIOCGPKT, &got) == 0 && got == 1);
	check(ioctl(f.master, TIOCGPTLCK, &got) == 0 && got == 1);
	check(ioctl(f.slave, TIOCGEXCL, &got) == 0 && got == 1);
	check(ioctl(f.master, TIOCSPTLCK, &off) == 0);
	put(f.slave, "p");
	got = (int)read(f.master, buf, sizeof(buf));
	check(got == 2 && buf[0] == TIOCPKT_DATA && buf[1] == 'p', "%d %d", got, buf[0]);

	get(g.slave, "abc\n");
	get(g.master, "abc\r\n");
	return ok();
}
