/* SPDX-License-Identifier: Apache-2.0 */
#include "cryo/streamer.h"

#include "cryo/stage.h"
#include "streamer.pb-c.h"

#include "base/dir.h"
#include "base/fd.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define NAMES	   "cryo.names"
#define NAMES_MAX  (16u << 20)
#define ANSWER_MAX 64
#define PIPE_BYTES (1 << 20)
#define PIECE	   ((size_t)1 << 30)

static int ask(struct streamer *t, const char *name)
{
	StreamerRequest q = STREAMER_REQUEST__INIT;
	g_autofree uint8_t *buf = NULL;
	uint32_t len;

	q.filename = (char *)name;
	len = (uint32_t)streamer_request__get_packed_size(&q);
	buf = g_malloc(sizeof(len) + len);
	memcpy(buf, &len, sizeof(len));
	streamer_request__pack(&q, buf + sizeof(len));
	return fd_write_full(t->sock, buf, sizeof(len) + len);
}

/* > 0: it has the file. */
static int read_answer(struct streamer *t)
{
	uint8_t buf[ANSWER_MAX];
	StreamerReply *answer;
	uint32_t len;
	int r = fd_read_full(t->sock, &len, sizeof(len));

	if (r == 0 && len > sizeof(buf))
		return err_set(EPROTO, "an answer of %u bytes", len);
	if (r == 0)
		r = fd_read_full(t->sock, buf, len);
	if (r < 0)
		return r;
	answer = streamer_reply__unpack(NULL, len, buf);
	if (!answer)
		return err_set(EPROTO, "an answer that cannot be read");
	r = answer->exists;
	streamer_reply__free_unpacked(answer, NULL);
	return r;
}

/* The end OURS of a new pipe stays here, the other one goes there. */
static int share_pipe(struct streamer *t, unsigned ours, int *ret)
{
	autoclose int a = -1, b = -1;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno("pipe2");
	a = fds[ours];
	b = fds[1 - ours];
	if (fcntl(a, F_SETPIPE_SZ, PIPE_BYTES) < 0) /* as large as we may */
		errno = 0;
	r = fd_send(t->sock, "", 1, &b, 1);
	if (r == 0)
		*ret = take_fd(&a);
	return r;
}

static int begin_file(struct streamer *t, const char *name)
{
	int r = ask(t, name);

	if (r == 0)
		r = share_pipe(t, 1, &t->pipe);
	if (r == 0)
		g_ptr_array_add(t->names, g_strdup(name));
	return r < 0 ? err_wrap(r, "streamer: %s", name) : 0;
}

static void drop_file(struct streamer *t)
{
	cleanup_close(&t->pipe);
	t->pipe = -1;
}

/*
 * Nobody answers, and what lies in a pipe is lost with its reader: a tree ends only when all has
 * been taken.
 */
static int end_file(struct streamer *t)
{
	struct pollfd p = {.fd = t->pipe};
	int left = 1, r = 0;

	for (unsigned us = 20; r == 0 && left; us = MIN(2 * us, 5000)) {
		if (ioctl(t->pipe, FIONREAD, &left) < 0)
			r = err_errno("FIONREAD");
		else if (left && poll(&p, 1, 0) == 1 && p.revents & POLLERR)
			r = err_set(EPIPE, "streamer: it has gone, with %d bytes unread", left);
		else if (left)
			g_usleep(us);
	}
	drop_file(t);
	return r;
}

static int begin_pages(void *arg, const char *name, uint64_t bytes)
{
	return begin_file(arg, name);
}

static int pages_data(void *arg, const void *buf, size_t len)
{
	const struct streamer *t = arg;
	int r = fd_write_full(t->pipe, buf, len);

	return r < 0 ? err_wrap(r, "streamer") : 0;
}

static int end_pages(void *arg)
{
	return end_file(arg);
}

static int send_content(struct streamer *t, int fd)
{
	ssize_t n;

	do
		n = sendfile(t->pipe, fd, NULL, PIECE);
	while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? err_errno("streamer: send it") : 0;
}

static int send_file(struct streamer *t, int dir, const char *name)
{
	autoclose int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno("open %s", name);
	if (!S_ISREG(st.st_mode))
		return 0;
	r = begin_file(t, name);
	if (r == 0)
		r = send_content(t, fd);
	if (r == 0)
		r = end_file(t);
	drop_file(t);
	return r < 0 ? err_wrap(r, "%s", name) : 0;
}

int streamer_send_all(struct streamer *t, int dir, const char *name)
{
	g_autoptr(GPtrArray) files = NULL;
	g_autoptr(GString) list = g_string_new(NULL);
	int r = dir_names(dir, &files);

	for (unsigned i = 0; r == 0 && i < files->len; i++)
		if (strcmp(g_ptr_array_index(files, i), name) != 0)
			r = send_file(t, dir, g_ptr_array_index(files, i));
	if (r < 0)
		return r;
	for (unsigned i = 0; i < t->names->len; i++)
		g_string_append_printf(list, "%s\n", (char *)g_ptr_array_index(t->names, i));
	r = begin_file(t, NAMES);
	if (r == 0)
		r = fd_write_full(t->pipe, list->str, list->len);
	if (r == 0)
		r = end_file(t);
	drop_file(t);
	return r < 0 ? err_wrap(r, "streamer: %s", NAMES) : 0;
}

static int receive(struct streamer *t, int to)
{
	ssize_t n;

	do
		n = splice(t->pipe, NULL, to, NULL, PIECE, 0);
	while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? err_errno("receive it") : 0;
}

/* -ENOENT: it has no such file. */
static int fetch(struct streamer *t, int dir, const char *name)
{
	autoclose int to = -1;
	int r = ask(t, name);

	if (r == 0)
		r = read_answer(t);
	if (r == 0)
		return err_set(ENOENT, "streamer: it has no %s", name);
	if (r > 0)
		r = share_pipe(t, 0, &t->pipe);
	if (r == 0) {
		to = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		r = to < 0 ? err_errno("make it") : receive(t, to);
	}
	drop_file(t);
	return r < 0 ? err_wrap(r, "streamer: %s", name) : 0;
}

int streamer_fetch_all(struct streamer *t, int dir)
{
	g_autofree char *list = NULL;
	g_auto(GStrv) names = NULL;
	int r = fetch(t, dir, NAMES);

	if (r == -ENOENT)
		return err_wrap(r, "only a stream that cryo has captured can be restored");
	if (r == 0)
		r = file_read_at(dir, NAMES, NAMES_MAX, &list, NULL);
	if (r < 0)
		return r;
	names = g_strsplit(list, "\n", -1);
	for (unsigned i = 0; r == 0 && names[i]; i++)
		if (names[i][0] == '.' || strchr(names[i], '/'))
			r = err_set(EINVAL, "%s: \"%s\" is no name of an image", NAMES, names[i]);
		else if (names[i][0])
			r = fetch(t, dir, names[i]);
	return r;
}

int streamer_connect(struct session *s, const char *socket_name, struct streamer *t)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	autoclose int sock = -1;
	int r = stage_tell(s, "pre-stream", 0, -1);

	if (r < 0)
		return r;
	/* through the directory's descriptor: a path may be longer than an address */
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", s->images, socket_name);
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return err_errno("socket");
	if (connect(sock, (const struct sockaddr *)&a, sizeof(a)) < 0)
		return err_errno("--stream: connect to %s in the images directory (start "
				 "criu-image-streamer there)",
				 socket_name);
	/* a streamer that has gone is an error of write(2), and the tree runs on */
	t->on_broken_pipe = signal(SIGPIPE, SIG_IGN);
	t->pages = (struct cryo_pages_stream){begin_pages, pages_data, end_pages, t};
	t->names = g_ptr_array_new_with_free_func(g_free);
	t->sock = take_fd(&sock);
	return 0;
}

void streamer_close(struct streamer *t)
{
	g_clear_pointer(&t->names, g_ptr_array_unref);
	if (t->sock >= 0)
		signal(SIGPIPE, t->on_broken_pipe);
	cleanup_close(&t->pipe);
	cleanup_close(&t->sock);
	*t = STREAMER_NONE;
}
