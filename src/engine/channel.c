/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream goes through a thread and a pipe: archives want a descriptor that ends, and the peer's
 * one goes on.
 */
#include "engine/channel.h"

#include "base/fd.h"
#include "base/interrupt.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define CHUNK	     CHANNEL_PIECE_MAX
#define DOCUMENT_MAX (16u << 20)

struct channel {
	int in, out;
	GThread *pump;
	int pipe, ours; /* the pump's end; the caller's */
	int failed;	/* of the pump: an errno, or 0 */
	uint64_t bytes_out;
	int patience_ms; /* -1: for ever */
	bool refused;
};

struct frame {
	char kind;
	uint32_t len;
};

struct channel *channel_new(int in, int out)
{
	struct channel *ch = g_new0(struct channel, 1);

	signal(SIGPIPE, SIG_IGN);
	*ch = (struct channel){.in = in, .out = out, .pipe = -1, .ours = -1, .patience_ms = -1};
	/* Fewer turns between us and whoever is at the other end; not every one is a pipe. */
	(void)!fcntl(in, F_SETPIPE_SZ, CHUNK);
	(void)!fcntl(out, F_SETPIPE_SZ, CHUNK);
	return ch;
}

/* Whoever still reads or writes at the other end of the pipe is to fail, not to wait. */
static void stop_pump(struct channel *ch)
{
	cleanup_close(&ch->ours);
	if (ch->pump)
		g_thread_join(g_steal_pointer(&ch->pump));
	cleanup_close(&ch->pipe);
}

void channel_free(struct channel **ch)
{
	if (!*ch)
		return;
	stop_pump(*ch);
	g_clear_pointer(ch, g_free);
}

uint64_t channel_bytes_out(const struct channel *ch)
{
	return ch->bytes_out;
}

void channel_patience(struct channel *ch, unsigned seconds, bool ours)
{
	ch->patience_ms = (int)MIN(seconds, 1000000u) * 1000;
	/* poll(2) says "writable" when one page is; a write of more would wait for the rest. */
	if (ours)
		(void)!fcntl(ch->out, F_SETFL, fcntl(ch->out, F_GETFL) | O_NONBLOCK);
}

bool channel_was_refused(const struct channel *ch)
{
	return ch->refused;
}

#define SLICE_MS 50

/* In slices: a signal may come just before poll(2). */
static int await(const struct channel *ch, int fd, short what)
{
	for (int left = ch->patience_ms;;) {
		struct pollfd p = {.fd = fd, .events = what};
		int slice = left < 0 ? SLICE_MS : MIN(left, SLICE_MS);
		int n = poll(&p, 1, slice);

		if (interrupt_check() < 0) {
			err_clear();
			return -EINTR;
		}
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0 && left >= 0) {
			left -= slice;
			if (left == 0)
				return -ETIMEDOUT;
		}
	}
}

static int put(const struct channel *ch, const void *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = write(ch->out, (const char *)data + done, len - done);
		int r = n < 0 && errno == EAGAIN ? await(ch, ch->out, POLLOUT) : 0;

		if (r < 0)
			return r;
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

static int get(const struct channel *ch, void *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		int r = await(ch, ch->in, POLLIN);
		ssize_t n = r < 0 ? 0 : read(ch->in, (char *)data + done, len - done);

		if (r < 0)
			return r;
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		done += (size_t)n;
	}
	return 0;
}

/* To our own end of a pipe. */
static int pass_on(int fd, const void *data, size_t len)
{
	const struct channel pipe = {.out = fd, .patience_ms = -1};

	return put(&pipe, data, len);
}

static int put_frame(const struct channel *ch, char kind, const void *data, uint32_t len)
{
	unsigned char head[5] = {(unsigned char)kind};
	uint32_t le = htole32(len);
	int r;

	memcpy(head + 1, &le, sizeof(le));
	r = put(ch, head, sizeof(head));
	return r < 0 ? r : put(ch, data, len);
}

static int get_head(const struct channel *ch, struct frame *ret)
{
	unsigned char head[5];
	uint32_t le;
	int r = get(ch, head, sizeof(head));

	if (r < 0)
		return r;
	memcpy(&le, head + 1, sizeof(le));
	*ret = (struct frame){(char)head[0], le32toh(le)};
	return 0;
}

static int broken(int r)
{
	if (r == -EPIPE || r == -ECONNRESET)
		return err_set(EPIPE, "the other side has closed the connection");
	if (r == -ETIMEDOUT)
		return err_set(ETIMEDOUT, "the other side does not answer");
	if (r == -EINTR)
		return err_set(EINTR, "interrupted");
	return err_set(-r, "the connection to the other side: %s", g_strerror(-r));
}

int channel_say(struct channel *ch, json_t *j)
{
	g_autofree char *text = json_dumps(j, JSON_COMPACT);
	int r;

	json_decref(j);
	r = put_frame(ch, 'J', text, (uint32_t)strlen(text));
	ch->bytes_out += strlen(text);
	return r < 0 ? broken(r) : 0;
}

void channel_complain(struct channel *ch, int r)
{
	ERR_KEEP;

	if (channel_say(ch, json_pack("{ss si}", "error", err_message(), "errno", -r)) < 0)
		err_clear();
}

int channel_hear(struct channel *ch, json_t **ret)
{
	g_autofree char *text = NULL;
	struct frame f;
	json_t *j;
	int r = get_head(ch, &f);

	if (r < 0)
		return broken(r);
	if (f.kind != 'J' || f.len > DOCUMENT_MAX)
		return err_set(EBADMSG, "the other side talks another protocol: is it the same "
					"version of cryopod?");
	text = g_malloc(f.len + 1);
	r = get(ch, text, f.len);
	if (r < 0)
		return broken(r);
	j = json_loadb(text, f.len, 0, NULL);
	if (!json_is_object(j)) {
		json_decref(j);
		return err_set(EBADMSG, "the other side sent a document that is not JSON");
	}
	if (json_object_get(j, "error")) {
		const char *why = json_string_value(json_object_get(j, "error"));
		int code = (int)json_integer_value(json_object_get(j, "errno"));

		r = err_set(code > 0 ? code : EIO, "there: %s", why ? why : "it failed");
		ch->refused = true;
		json_decref(j);
		return r;
	}
	*ret = j;
	return 0;
}

static int make_pipe(struct channel *ch, int *pump_end, int *our_end, bool pump_reads)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_errno("make a pipe");
	(void)!fcntl(p[0], F_SETPIPE_SZ, CHUNK);
	*pump_end = p[pump_reads ? 0 : 1];
	*our_end = p[pump_reads ? 1 : 0];
	ch->failed = 0;
	return 0;
}

static void *pump_out(void *arg)
{
	struct channel *ch = arg;
	g_autofree char *buffer = g_malloc(CHUNK);
	ssize_t n;
	int r = 0;

	while ((n = read(ch->pipe, buffer, CHUNK)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			r = -errno;
		else if (r == 0)
			r = put_frame(ch, 'D', buffer, (uint32_t)n);
		if (r < 0)
			break;
		ch->bytes_out += (uint64_t)n;
	}
	if (r == 0)
		r = put_frame(ch, 'E', NULL, 0);
	ch->failed = r;
	close(take_fd(&ch->pipe)); /* who still writes gets EPIPE */
	return NULL;
}

static void *pump_in(void *arg)
{
	struct channel *ch = arg;
	g_autofree char *buffer = g_malloc(CHUNK);
	struct frame f;
	bool unread = false;
	int r;

	while ((r = get_head(ch, &f)) == 0 && f.kind == 'D') {
		if (f.len > CHUNK) {
			r = -EBADMSG;
			break;
		}
		r = get(ch, buffer, f.len);
		if (r < 0)
			break;
		/* The reader may have had enough; what comes is taken off the wire all the same. */
		if (!unread && pass_on(ch->pipe, buffer, f.len) < 0)
			unread = true;
	}
	ch->failed = r < 0 ? r : f.kind == 'E' ? 0 : -EBADMSG;
	close(take_fd(&ch->pipe));
	return NULL;
}

int channel_out_begin(struct channel *ch, int *ret_fd)
{
	int r = make_pipe(ch, &ch->pipe, &ch->ours, true);

	if (r < 0)
		return r;
	ch->pump = g_thread_new("send", pump_out, ch);
	*ret_fd = ch->ours;
	return 0;
}

int channel_out_end(struct channel *ch, int r)
{
	stop_pump(ch);
	return ch->failed < 0 ? broken(ch->failed) : r;
}

int channel_in_begin(struct channel *ch, int *ret_fd)
{
	int r = make_pipe(ch, &ch->pipe, &ch->ours, false);

	if (r < 0)
		return r;
	ch->pump = g_thread_new("receive", pump_in, ch);
	*ret_fd = ch->ours;
	return 0;
}

int channel_in_end(struct channel *ch)
{
	char rest[4096];

	/* A reader of an archive stops at its end mark; the padding behind it is nobody's. */
	while (ch->ours >= 0 && read(ch->ours, rest, sizeof(rest)) > 0)
		;
	stop_pump(ch);
	return ch->failed < 0 ? broken(ch->failed) : 0;
}

#define PIECES_MAX 8

int channel_put(struct channel *ch, const struct iovec *v, unsigned n)
{
	unsigned char head[5] = {'D'};
	struct iovec all[PIECES_MAX + 1] = {{head, sizeof(head)}}, *at = all;
	size_t len = 0;
	uint32_t le;

	for (unsigned i = 0; i < n && n <= PIECES_MAX; i++) {
		all[i + 1] = v[i];
		len += v[i].iov_len;
	}
	if (n > PIECES_MAX || len > CHUNK)
		return err_set(E2BIG, "a piece of %zu bytes", len);
	le = htole32((uint32_t)len);
	memcpy(head + 1, &le, sizeof(le));
	ch->bytes_out += len;
	for (size_t left = len + sizeof(head); left > 0;) {
		ssize_t done = writev(ch->out, at, (int)(all + n + 1 - at));

		if (done < 0 && errno == EAGAIN) {
			int r = await(ch, ch->out, POLLOUT);

			if (r < 0)
				return broken(r);
			continue;
		}
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return broken(-errno);
		left -= (size_t)done;
		for (; left && (size_t)done >= at->iov_len; at++)
			done -= (ssize_t)at->iov_len;
		at->iov_base = (char *)at->iov_base + done;
		at->iov_len -= (size_t)done;
	}
	return 0;
}

int channel_put_end(struct channel *ch)
{
	int r = put_frame(ch, 'E', NULL, 0);

	return r < 0 ? broken(r) : 0;
}

int channel_take(struct channel *ch, void *buf, size_t max, size_t *ret_len)
{
	struct frame f;
	int r = get_head(ch, &f);

	if (r == 0 && f.kind == 'E')
		return 0;
	if (r == 0 && (f.kind != 'D' || f.len > max))
		r = -EBADMSG;
	if (r == 0)
		r = get(ch, buf, f.len);
	*ret_len = r == 0 ? f.len : 0;
	return r < 0 ? broken(r) : 1;
}
