/* SPDX-License-Identifier: Apache-2.0 */
/* FIFOs: content, both ends, read and write at once, deleted, in a child, hung up or not. */
#include "cr.h"

#include <poll.h>

static int w;

static int verify_child(void)
{
	return write(w, "child", 5) == 5 ? 0 : 10;
}

static void make(char *path)
{
	int fd = mkstemp(path);

	check(fd >= 0 && close(fd) == 0 && unlink(path) == 0);
	check(mkfifo(path, 0600) == 0, "errno %d", errno);
}

static int events(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	check(poll(&p, 1, 0) >= 0);
	return p.revents;
}

int main(void)
{
	char path[] = "/tmp/fifo.XXXXXX", gone[] = "/tmp/fifogone.XXXXXX";
	char lonely[] = "/tmp/fifolonely.XXXXXX", hung[] = "/tmp/fifohung.XXXXXX", buf[64];
	int r, rw, dr, dw, lr, hr, hw;
	struct stat st;
	struct child c;

	make(path);
	r = open(path, O_RDONLY | O_NONBLOCK);
	w = open(path, O_WRONLY);
	check(r >= 0 && w >= 0 && write(w, "data in it", 10) == 10);
	c = child_start(NULL, verify_child);
	make(gone);
	rw = open(gone, O_RDWR);
	dr = open(gone, O_RDONLY | O_NONBLOCK);
	dw = open(gone, O_WRONLY | O_NONBLOCK);
	check(rw >= 0 && dr >= 0 && dw >= 0 && write(dw, "ghost", 5) == 5 && unlink(gone) == 0);
	make(lonely);
	lr = open(lonely, O_RDONLY | O_NONBLOCK);
	make(hung);
	hr = open(hung, O_RDONLY | O_NONBLOCK);
	hw = open(hung, O_WRONLY);
	check(write(hw, "last", 4) == 4);
	close(hw);
	check(events(lr) == 0 && events(hr) == (POLLIN | POLLHUP));

	ready();

	child_go(&c);
	check(read(r, buf, sizeof(buf)) == 15 && memcmp(buf, "data in itchild", 15) == 0);
	check(fcntl(r, F_GETFL) & O_NONBLOCK && !(fcntl(w, F_GETFL) & O_NONBLOCK));
	check(read(r, buf, 1) < 0 && errno == EAGAIN);
	close(w);
	check(read(r, buf, 1) == 0, "a writer is left");
	check(read(rw, buf, sizeof(buf)) == 5 && memcmp(buf, "ghost", 5) == 0);
	check(fstat(rw, &st) == 0 && st.st_nlink == 0 && access(gone, F_OK) < 0);
	check(write(rw, "again", 5) == 5 && read(dr, buf, sizeof(buf)) == 5);
	check(events(lr) == 0, "%#x", events(lr));
	check(events(hr) == (POLLIN | POLLHUP), "%#x", events(hr));
	check(read(hr, buf, sizeof(buf)) == 4 && read(hr, buf, 1) == 0);
	unlink(path);
	unlink(lonely);
	unlink(hung);
	return ok();
}
