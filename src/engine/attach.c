/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/attach.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>

#define PACKET_MAX 8192 /* conmon's CONN_SOCK_BUF_SIZE is larger, its STDIO_BUF_SIZE is this */

enum { FROM_STDOUT = 2, FROM_STDERR = 3 }; /* conmon's stdpipe_t */

struct attach {
	struct attach_options o;
	int sock, control, signals;
	sigset_t blocked;
	unsigned char keys[ATTACH_KEYS_MAX];
	unsigned nkeys, matched;
	struct termios saved;
	bool raw, in_open;
	char pending[PACKET_MAX + ATTACH_KEYS_MAX]; /* one packet that conmon could not take yet */
	size_t npending;
};

static const int forwarded[] = {SIGHUP,	 SIGINT,  SIGQUIT, SIGABRT, SIGUSR1,
				SIGUSR2, SIGALRM, SIGTERM, SIGTSTP, SIGCONT};

int attach_parse_keys(const char *text, unsigned char *ret, unsigned len)
{
	g_auto(GStrv) parts = g_strsplit(text, ",", -1);
	unsigned n = 0;

	for (char **p = parts; *p; p++, n++) {
		const char *key = g_str_has_prefix(*p, "ctrl-") ? *p + strlen("ctrl-") : *p;
		bool control = key != *p;
		unsigned char c = (unsigned char)key[0];

		if (n == len || strlen(key) != 1 ||
		    (control && !(c >= 'a' && c <= 'z') && !(c >= '@' && c <= '_')))
			return err_set(EINVAL,
				       "parsing detach keys: unknown character: '%s': use a letter "
				       "or ctrl- and one of a-z @ [ \\ ] ^ _",
				       *p);
		ret[n] = control ? c & 0x1f : c;
	}
	return (int)n;
}

static int connect_in(const char *dir, int *ret)
{
	autoclose int at = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	autoclose int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (at < 0)
		return err_errno("open %s", dir);
	if (sock < 0)
		return err_errno("socket");
	/* A path of any length fits through our own descriptor, unix(7). */
	g_snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/attach", at);
	if (connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_errno("connect to %s/attach", dir);
	*ret = take_fd(&sock);
	return 0;
}

/* "1 HEIGHT WIDTH": conmon's WIN_RESIZE_EVENT. */
static void send_size(struct attach *a)
{
	const int ours[] = {a->o.in, a->o.out, a->o.err};
	struct winsize w;
	char line[64];

	if (a->control < 0)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(ours); i++) {
		if (ours[i] < 0 || ioctl(ours[i], TIOCGWINSZ, &w) < 0)
			continue;
		g_snprintf(line, sizeof(line), "1 %u %u\n", w.ws_row, w.ws_col);
		if (write(a->control, line, strlen(line)) < 0)
			log_debug("terminal size: %s", g_strerror(errno));
		return;
	}
}

static int take_signals(struct attach *a)
{
	sigset_t set;

	sigemptyset(&set);
	if (a->o.tty)
		sigaddset(&set, SIGWINCH);
	for (unsigned i = 0; a->o.sig_proxy && i < ARRAY_SIZE(forwarded); i++)
		sigaddset(&set, forwarded[i]);
	if (sigprocmask(SIG_BLOCK, &set, &a->blocked) < 0)
		return err_errno("sigprocmask");
	a->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return a->signals < 0 ? err_errno("signalfd") : 0;
}

void attach_close(struct attach **ap)
{
	struct attach *a = *ap;

	*ap = NULL;
	if (!a)
		return;
	if (a->raw)
		tcsetattr(a->o.in, TCSADRAIN, &a->saved);
	if (a->signals >= 0) {
		struct signalfd_siginfo dropped;

		while (read(a->signals, &dropped, sizeof(dropped)) > 0)
			;
		close(a->signals);
	}
	sigprocmask(SIG_SETMASK, &a->blocked, NULL);
	if (a->sock >= 0)
		close(a->sock);
	if (a->control >= 0)
		close(a->control);
	g_free(a);
}

int attach_open(const char *dir, const struct attach_options *o, struct attach **ret)
{
	const char *keys = o->detach_keys ? o->detach_keys : "ctrl-p,ctrl-q";
	CLEANUP(attach_close) struct attach *a = g_new0(struct attach, 1);
	int r;

	a->o = *o;
	a->sock = a->control = a->signals = -1;
	a->in_open = o->in >= 0;
	sigprocmask(SIG_BLOCK, NULL, &a->blocked);
	if (*keys) {
		r = attach_parse_keys(keys, a->keys, ATTACH_KEYS_MAX);
		if (r < 0)
			return r;
		a->nkeys = o->tty ? (unsigned)r : 0;
	}
	r = connect_in(dir, &a->sock);
	if (r < 0)
		return r;
	if (o->tty) {
		g_autofree char *control = g_build_filename(dir, "ctl", NULL);

		a->control = open(control, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	}
	r = take_signals(a);
	if (r < 0)
		return r;
	send_size(a);
	*ret = g_steal_pointer(&a);
	return 0;
}

static void terminal_raw(struct attach *a)
{
	struct termios raw;

	if (!a->o.tty || !a->in_open || tcgetattr(a->o.in, &a->saved) < 0)
		return;
	raw = a->saved;
	cfmakeraw(&raw);
	a->raw = tcsetattr(a->o.in, TCSADRAIN, &raw) == 0;
}

/* Our own end may be non-blocking: somebody else's doing, so wait. */
static int write_out(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = {.fd = fd, .events = POLLOUT};

			poll(&p, 1, -1);
		} else if (n < 0 && errno != EINTR) {
			return err_errno("write the container's output");
		} else if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* 1: the other side has closed. */
static int from_container(struct attach *a)
{
	char packet[PACKET_MAX + 2];
	ssize_t n = recv(a->sock, packet, sizeof(packet), 0);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : 1;
	if (n == 0)
		return 1;
	if (packet[0] == FROM_STDOUT && a->o.out >= 0)
		return write_out(a->o.out, packet + 1, (size_t)n - 1);
	if (packet[0] == FROM_STDERR && a->o.err >= 0)
		return write_out(a->o.err, packet + 1, (size_t)n - 1);
	return 0;
}

/* Non-blocking: conmon may itself be waiting for us to take output. */
static int flush(struct attach *a)
{
	ssize_t n;

	if (!a->npending)
		return 0;
	n = send(a->sock, a->pending, a->npending, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	a->npending = 0;
	if (n < 0) {
		a->in_open = false;
		log_debug("stdin of the container: %s", g_strerror(errno));
	}
	return 0;
}

/* Copies to pending; keys that may become the detach sequence are held back.  1: complete. */
static int filter_keys(struct attach *a, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)data[i];

		if (a->nkeys && c == a->keys[a->matched]) {
			if (++a->matched == a->nkeys)
				return 1;
			continue;
		}
		memcpy(a->pending + a->npending, a->keys, a->matched);
		a->npending += a->matched;
		a->matched = a->nkeys && c == a->keys[0];
		if (!a->matched)
			a->pending[a->npending++] = (char)c;
	}
	return 0;
}

/* 1: the user wants to leave. */
static int from_user(struct attach *a)
{
	char data[PACKET_MAX / 2];
	ssize_t n = read(a->o.in, data, sizeof(data));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0) {
		a->in_open = false;
		shutdown(a->sock, SHUT_WR);
		return 0;
	}
	if (filter_keys(a, data, (size_t)n))
		return 1;
	return flush(a);
}

static void on_signals(struct attach *a, void (*signal)(void *, int), void *data)
{
	struct signalfd_siginfo si;

	while (read(a->signals, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGWINCH)
			send_size(a);
		else if (signal)
			signal(data, (int)si.ssi_signo);
	}
}

int attach_run(struct attach *a, void (*signal)(void *, int), void *data)
{
	int r = 0;

	terminal_raw(a);
	for (;;) {
		bool take = a->in_open && !a->npending;
		struct pollfd p[3] = {
			{.fd = a->sock, .events = POLLIN | (a->npending ? POLLOUT : 0)},
			{.fd = a->signals, .events = POLLIN},
			{.fd = take ? a->o.in : -1, .events = POLLIN},
		};

		if (poll(p, 3, -1) < 0 && errno != EINTR)
			return err_errno("poll");
		if (p[1].revents)
			on_signals(a, signal, data);
		if (p[0].revents & POLLOUT)
			r = flush(a);
		if (r == 0 && (p[0].revents & (POLLIN | POLLHUP | POLLERR))) {
			r = from_container(a);
			if (r != 0)
				return r < 0 ? r : 0;
		}
		if (r == 0 && p[2].revents)
			r = from_user(a);
		if (r != 0)
			return r;
	}
}
