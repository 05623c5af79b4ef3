/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream goes through a thread and a pipe: archives want a descriptor that ends, and the peer's
 * one goes on.
 */
#include "engine/channel.h"

#include "base/fd.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define CHUNK	     (1u << 20)
#define DOCUMENT_MAX (16u << 20)

struct channel {
	int in, out;
	GThread *pump;
	int pipe, ours; /* the pump's end; the caller's */
	int failed;	/* of the pump: an errno, or 0 */
	uint64_t bytes_out;
};

struct frame {
	char kind;
	uint32_t len;
};

struct channel *channel_new(int in, int out)
{
	struct channel *ch = g_new0(struct channel, 1);

	signal(SIGPIPE, SIG_IGN);
	*ch = (struct channel){.in = in, .out = out, .pipe = -1, .ours = -1};
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

static int put(int fd, const void *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = write(fd, (const char *)data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

static int get(int fd, void *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = read(fd, (char *)data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		done += (size_t)n;
	}
	return 0;
}

static int put_frame(int fd, char kind, const void *data, uint32_t len)
{
	unsigned char head[5] = {(unsigned char)kind};
	uint32_t le = htole32(len);
	int r;

	memcpy(head + 1, &le, sizeof(le));
	r = put(fd, head, sizeof(head));
	return r < 0 ? r : put(fd, data, len);
}

static int get_head(int fd, struct frame *ret)
{
	unsigned char head[5];
	uint32_t le;
	int r = get(fd, head, sizeof(head));

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
	return err_set(-r, "the connection to the other side: %s", g_strerror(-r));
}

int channel_say(struct channel *ch, json_t *j)
{
	g_autofree char *text = json_dumps(j, JSON_COMPACT);
	int r;

	json_decref(j);
	r = put_frame(ch->out, 'J', text, (uint32_t)strlen(text));
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
	int r = get_head(ch->in, &f);

	if (r < 0)
		return broken(r);
	if (f.kind != 'J' || f.len > DOCUMENT_MAX)
		return err_set(EBADMSG, "the other side talks another protocol: is it the same "
					"version of cryopod?");
	text = g_malloc(f.len + 1);
	r = get(ch->in, text, f.len);
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
			r = put_frame(ch->out, 'D', buffer, (uint32_t)n);
		if (r < 0)
			break;
		ch->bytes_out += (uint64_t)n;
	}
	if (r == 0)
		r = put_frame(ch->out, 'E', NULL, 0);
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

	while ((r = get_head(ch->in, &f)) == 0 && f.kind == 'D') {
		if (f.len > CHUNK) {
			r = -EBADMSG;
			break;
		}
		r = get(ch->in, buffer, f.len);
		if (r < 0)
			break;
		/* The reader may have had enough; what comes is taken off the wire all the same. */
		if (!unread && put(ch->pipe, buffer, f.len) < 0)
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

int channel_out_end(struct channel *ch)
{
	stop_pump(ch);
	return ch->failed < 0 ? broken(ch->failed) : 0;
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
