/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spawn.h"
#include "base/fd.h"
#include "base/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define CAPTURE_MAX  ((size_t)64 << 20)
#define INTERRUPT_MS 200

extern char **environ;

struct pipes {
	int in[2], out[2], err[2], status[2];
};

static void pipes_close(struct pipes *p)
{
	int *all = (int *)p;

	for (size_t i = 0; i < sizeof(*p) / sizeof(int); i++)
		if (all[i] >= 0)
			close(all[i]);
}

static void close_at(int *fd)
{
	if (*fd >= 0)
		close(take_fd(fd));
}

void spawn_result_clear(struct spawn_result *r)
{
	g_free(r->out);
	g_free(r->err);
	*r = (struct spawn_result){0};
}

int spawn_exit_code(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* In the child: everything is lifted out of the way first, so that no target is overwritten. */
static int child_fds(const struct spawn *s, const int std[3], int *from)
{
	int high = 3 + (int)s->nfds;

	for (unsigned i = 0; i < 3 + s->nfds; i++) {
		from[i] = fcntl(i < 3 ? std[i] : s->fds[i - 3], F_DUPFD_CLOEXEC, high);
		if (from[i] < 0)
			return -1;
	}
	for (unsigned i = 0; i < 3 + s->nfds; i++)
		if (dup2(from[i], (int)i) < 0)
			return -1;
	return 0;
}

static void child_signals(const struct spawn *s)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL}, ign = {.sa_handler = SIG_IGN};
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, s->unmoved && (sig == SIGINT || sig == SIGHUP) ? &ign : &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Between vfork(2) and execve(2) the memory is our parent's: nothing is allocated or changed. */
static _Noreturn void child(const struct spawn *s, const int std[3], int *from, int status,
			    pid_t parent)
{
	char **env = s->env ? (char **)s->env : environ;
	int e;

	/* Asked of the kernel first, then looked whether it was too late. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(127);
	child_signals(s);
	if (s->new_session)
		setsid();
	status = fcntl(status, F_DUPFD_CLOEXEC, 3 + (int)s->nfds);
	if (status >= 0 && child_fds(s, std, from) == 0 && (!s->dir || chdir(s->dir) == 0)) {
		/* A descriptor of ours without close-on-exec must not leak (bash -x, valgrind). */
		if (close_range(3 + s->nfds, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
			execvpe(s->argv[0], (char *const *)s->argv, env);
	}
	e = errno;
	if (write(status, &e, sizeof(e)) < 0)
		_exit(127);
	_exit(127);
}

static int pick(int wanted, int capture, int null)
{
	return wanted == SPAWN_CAPTURE ? capture : wanted == SPAWN_NULL ? null : wanted;
}

/* vfork(2), as copying our page tables takes longer than all the rest of a start. */
static pid_t fork_child(const struct spawn *s, const int std[3], int status)
{
	g_autofree int *from = g_new(int, 3 + s->nfds);
	pid_t parent = getpid(), pid;
	sigset_t all, old;
	int e;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old); /* no handler of ours runs in the child */
	pid = vfork();
	if (pid == 0)
		child(s, std, from, status, parent);
	e = errno;
	sigprocmask(SIG_SETMASK, &old, NULL);
	errno = e;
	return pid;
}

static int launch(const struct spawn *s, struct pipes *p, pid_t *ret_pid)
{
	autoclose int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int std[3], e = 0;
	pid_t pid;
	ssize_t n;

	if (null < 0)
		return err_errno("open /dev/null");
	if (pipe2(p->status, O_CLOEXEC) < 0 || (s->input && pipe2(p->in, O_CLOEXEC) < 0) ||
	    (s->out == SPAWN_CAPTURE && pipe2(p->out, O_CLOEXEC) < 0) ||
	    (s->err == SPAWN_CAPTURE && pipe2(p->err, O_CLOEXEC) < 0))
		return err_errno("create a pipe");
	std[0] = s->input ? p->in[0] : pick(s->in, -1, null);
	std[1] = pick(s->out, p->out[1], null);
	std[2] = pick(s->err, p->err[1], null);
	pid = fork_child(s, std, p->status[1]);
	if (pid < 0)
		return err_errno("fork");
	close_at(&p->status[1]);
	close_at(&p->in[0]);
	close_at(&p->out[1]);
	close_at(&p->err[1]);
	do {
		n = read(p->status[0], &e, sizeof(e));
	} while (n < 0 && errno == EINTR);
	if (n == sizeof(e)) {
		waitpid(pid, NULL, 0);
		if (e == ENOENT && !s->dir)
			return err_set(ENOENT, "%s is not installed or not in PATH", s->argv[0]);
		return err_code(e, "start %s", s->argv[0]);
	}
	*ret_pid = pid;
	return 0;
}

/* Feeds and collects at once, so that neither side can block the other for ever. */
static int exchange(const struct spawn *s, pid_t pid, struct pipes *p, GString *out, GString *err)
{
	const char *in = s->input;
	size_t left = s->input_len;
	char buf[65536];

	if (p->in[1] >= 0)
		fcntl(p->in[1], F_SETFL, O_NONBLOCK);
	while (p->out[0] >= 0 || p->err[0] >= 0 || p->in[1] >= 0) {
		struct pollfd f[3] = {{.fd = p->in[1], .events = POLLOUT},
				      {.fd = p->out[0], .events = POLLIN},
				      {.fd = p->err[0], .events = POLLIN}};

		int ready = poll(f, 3, s->interruptible ? INTERRUPT_MS : -1);

		if (ready < 0 && errno != EINTR)
			return err_errno("poll");
		if (ready <= 0 && s->interruptible && interrupt_check() < 0) {
			err_clear();
			kill(pid, SIGTERM); /* and what it says is read to its end */
		}
		if (ready <= 0)
			continue;
		if (f[0].revents) {
			ssize_t n = left ? write(p->in[1], in, left) : 0;

			if (n > 0) {
				in += n;
				left -= (size_t)n;
			}
			if (!left || (n < 0 && errno != EAGAIN && errno != EINTR))
				close_at(&p->in[1]); /* EPIPE: it does not want more */
		}
		for (int i = 1; i < 3; i++) {
			int *fd = i == 1 ? &p->out[0] : &p->err[0];
			GString *to = i == 1 ? out : err;
			ssize_t n;

			if (!f[i].revents)
				continue;
			n = read(*fd, buf, sizeof(buf));
			if (n > 0 && to->len + (size_t)n <= CAPTURE_MAX)
				g_string_append_len(to, buf, n);
			else if (n == 0 || (n < 0 && errno != EINTR))
				close_at(fd);
		}
	}
	return 0;
}

int spawn_run(const struct spawn *s, struct spawn_result *ret)
{
	CLEANUP(pipes_close) struct pipes p = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
	g_autoptr(GString) out = g_string_new(NULL);
	g_autoptr(GString) err = g_string_new(NULL);
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
	pid_t pid;
	int r, status;

	r = launch(s, &p, &pid);
	if (r < 0)
		return r;
	sigaction(SIGPIPE, &ignore, &old);
	r = exchange(s, pid, &p, out, err);
	sigaction(SIGPIPE, &old, NULL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno("wait for %s", s->argv[0]);
	if (r < 0)
		return r;
	ret->status = status;
	ret->out_len = out->len;
	ret->err_len = err->len;
	ret->out = g_string_free(g_steal_pointer(&out), FALSE);
	ret->err = g_string_free(g_steal_pointer(&err), FALSE);
	return 0;
}

int spawn_start(const struct spawn *s, pid_t *ret_pid)
{
	CLEANUP(pipes_close) struct pipes p = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};

	if (s->input || s->out == SPAWN_CAPTURE || s->err == SPAWN_CAPTURE)
		return err_set(EINVAL, "start %s: nobody would read what is captured", s->argv[0]);
	return launch(s, &p, ret_pid);
}

static const char *last_line(char *text)
{
	char *nl;

	g_strchomp(text);
	nl = strrchr(text, '\n');
	return nl ? nl + 1 : text;
}

int spawn_check(const struct spawn *s, char **ret_out, size_t *ret_len)
{
	struct spawn with = *s;
	CLEANUP(spawn_result_clear) struct spawn_result res = {0};
	int r;

	with.out = SPAWN_CAPTURE;
	with.err = SPAWN_CAPTURE;
	r = spawn_run(&with, &res);
	if (r < 0)
		return r;
	if (res.status != 0) {
		const char *why = last_line(res.err);

		if (*why)
			return err_set(EIO, "%s: %s", s->argv[0], why);
		return err_set(EIO, "%s: exit status %d", s->argv[0], spawn_exit_code(res.status));
	}
	if (ret_len)
		*ret_len = res.out_len;
	if (ret_out)
		*ret_out = g_steal_pointer(&res.out);
	return 0;
}
