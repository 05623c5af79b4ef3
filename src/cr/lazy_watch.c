/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two of us: one takes what the restore sends and only watches; the other one, its child, serves
 * (lazy.c).  When the child dies before the end, the processes are killed by the first one.
 */
#include "cr/lazy.h"

#include "base/fd.h"
#include "kernel/proc.h"
#include "state/mem/lazy.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

static void kill_all(const GArray *tasks)
{
	for (unsigned i = 0; i < tasks->len; i++)
		if (proc_signal(&g_array_index(tasks, struct proc, i), SIGKILL) < 0)
			err_clear();
}

static void close_proc(void *p)
{
	proc_close(p);
}

/*
 * Our copies of the descriptors keep a process waiting whose server has died, until it is killed.
 * The server says when one has all: whoever still had its descriptor would be asked for the rest.
 */
struct watch {
	int from, to; /* the restore, the server; -1: done */
	GArray *tasks, *uffds;
};

/* What the restore sends goes on to the server. */
static int pass_on(struct watch *w)
{
	struct proc p = PROC_NONE;
	struct lazy_task t;
	int uffd = -1, r;
	unsigned n = 0;
	ssize_t got = fd_recv(w->from, &t, sizeof(t), &uffd, 1, &n);

	if (got != sizeof(t))
		return got < 0 ? (int)got : err_set(EPIPE, "the restore has failed");
	if (n) {
		g_array_append_val(w->uffds, uffd);
		if (proc_open(t.pid, &p) == 0)
			g_array_append_val(w->tasks, p);
		err_clear();
	} else {
		w->from = -1;
	}
	r = fd_send(w->to, &t, sizeof(t), &uffd, n);
	return r;
}

static int watch(struct watch *w)
{
	int r = 0;

	while (r == 0 && w->to >= 0) {
		struct pollfd p[2] = {{w->from, POLLIN, 0}, {w->to, POLLIN, 0}};
		uint32_t has_all;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return err_errno("poll");
		if (p[1].revents) {
			if (recv(w->to, &has_all, sizeof(has_all), MSG_WAITALL) != sizeof(has_all))
				w->to = -1;
			else if (has_all < w->uffds->len)
				cleanup_close(&g_array_index(w->uffds, int, has_all)),
					g_array_index(w->uffds, int, has_all) = -1;
		}
		if (p[0].revents && w->to >= 0)
			r = pass_on(w);
	}
	return r;
}

static int wait_for(pid_t child, int story)
{
	char text[512];
	ssize_t n = read(story, text, sizeof(text) - 1);
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno("wait for the server of pages");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	text[MAX(n, 0)] = 0;
	return n > 0 ? err_adopt(EIO, text)
		     : err_set(EIO,
			       "the server of pages has died: the processes that had not got all "
			       "of their memory are killed");
}

static void close_int(void *p)
{
	cleanup_close(p);
}

int cryo_lazy_pages(const struct cryo_lazy_options *o)
{
	g_autoptr(GArray) tasks = g_array_new(FALSE, FALSE, sizeof(struct proc));
	g_autoptr(GArray) uffds = g_array_new(FALSE, FALSE, sizeof(int));
	struct watch w = {.from = o->sock, .tasks = tasks, .uffds = uffds};
	int pair[2], story[2], r, waited;
	pid_t child;

	g_array_set_clear_func(tasks, close_proc);
	g_array_set_clear_func(uffds, close_int);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
	    pipe2(story, O_CLOEXEC) < 0)
		return err_errno("make a connection");
	child = fork();
	if (child < 0)
		return err_errno("fork");
	if (child == 0) {
		close(pair[0]);
		close(o->sock);
		r = lazy_serve(o, pair[1]);
		if (r < 0 && write(story[1], err_message(), strlen(err_message())) < 0)
			_exit(2);
		_exit(r < 0);
	}
	close(pair[1]);
	close(story[1]);
	w.to = pair[0];
	r = watch(&w);
	close(pair[0]);
	waited = wait_for(child, story[0]);
	close(story[0]);
	if (waited < 0)
		kill_all(tasks);
	return r < 0 ? r : waited;
}
