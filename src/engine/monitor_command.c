/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation (conmon 2.1, --api-version 1):
 *
 * conmon waits for a byte (or the end) on _OCI_STARTPIPE, forks, and its first process leaves.  The
 * one that stays makes the sockets in the bundle directory ("attach", "ctl", "winsz"), runs the
 * runtime, and reports on _OCI_SYNCPIPE a line of JSON: {"data": PID} or {"data": -1, "message":
 * what the runtime wrote}.  For an attached exec, _OCI_ATTACHPIPE first tells that the sockets are
 * there, the runtime waits for a second byte on the start pipe, and the last line on the attach
 * pipe is the exit code.
 *
 * Descriptors that are handed through come first, from 3 on, because that is where runc's
 * --preserve-fds wants them; the pipes follow.  conmon itself makes the pipes close-on-exec.
 */
#include "engine/monitor_command.h"
#include "base/file.h"
#include "base/log.h"
#include "base/spawn.h"
#include "engine/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define REPORT_MAX (64 << 10)

void command_clear(struct command *m)
{
	g_ptr_array_unref(m->argv);
	g_ptr_array_unref(m->env);
}

void command_add(struct command *m, const char *a, const char *b)
{
	g_ptr_array_add(m->argv, g_strdup(a));
	if (b)
		g_ptr_array_add(m->argv, g_strdup(b));
}

void command_add_path(struct command *m, const char *option, const char *dir, const char *name)
{
	g_ptr_array_add(m->argv, g_strdup(option));
	g_ptr_array_add(m->argv, g_build_filename(dir, name, NULL));
}

/* The environment is ours but for what a caller's conmon may have left in it. */
void command_init(struct command *m)
{
	static const char *const not_inherited[] = {
		"_OCI_SYNCPIPE=", "_OCI_STARTPIPE=", "_OCI_ATTACHPIPE=",
		"NOTIFY_SOCKET=", "LISTEN_FDS=",     "LISTEN_PID="};

	*m = (struct command){.argv = g_ptr_array_new_with_free_func(g_free),
			      .env = g_ptr_array_new_with_free_func(g_free)};
	for (char **p = environ; *p; p++) {
		bool keep = true;

		for (unsigned i = 0; i < ARRAY_SIZE(not_inherited); i++)
			keep &= !g_str_has_prefix(*p, not_inherited[i]);
		if (keep)
			g_ptr_array_add(m->env, g_strdup(*p));
	}
}

void command_hand_pipe(struct command *m, const char *variable, int fd)
{
	g_ptr_array_add(m->env, g_strdup_printf("%s=%u", variable, 3 + m->nfds));
	m->fds[m->nfds++] = fd;
}

int monitor_preserved(uint64_t n, int *ret)
{
	if (n > MONITOR_FDS_MAX)
		return err_set(EINVAL, "--preserve-fds: at most %d descriptors", MONITOR_FDS_MAX);
	for (int i = 0; i < (int)n; i++) {
		ret[i] = 3 + i;
		if (fcntl(ret[i], F_GETFD) < 0)
			return err_set(EBADF,
				       "file descriptor %d is not available - the preserve-fds "
				       "option requires that file descriptors must be passed",
				       ret[i]);
	}
	return 0;
}

int command_hand_fds(struct command *m, const int *fds, unsigned n)
{
	g_autofree char *number = g_strdup_printf("%u", n);

	if (n > MONITOR_FDS_MAX)
		return err_set(EINVAL, "more than %d descriptors cannot be handed through",
			       MONITOR_FDS_MAX);
	for (unsigned i = 0; i < n; i++)
		m->fds[m->nfds++] = fds[i];
	if (n) {
		command_add(m, "--runtime-opt", "--preserve-fds");
		command_add(m, "--runtime-opt", number);
	}
	return 0;
}

int command_add_runtime(struct command *m, struct engine *e, struct container *c, const char *log)
{
	g_autofree char *root = runtime_root(e, c);
	const char *path;
	int r = runtime_path(e, c, &path);

	if (r < 0)
		return r;
	r = file_mkdirs(root, 0700);
	if (r < 0)
		return r;
	command_add(m, "-r", path);
	command_add(m, "--runtime-arg", "--root");
	command_add(m, "--runtime-arg", root);
	command_add(m, "--runtime-arg", "--log");
	command_add(m, "--runtime-arg", log);
	command_add(m, "--runtime-arg", "--log-format");
	command_add(m, "--runtime-arg", "json");
	return 0;
}

void command_add_exit(struct command *m, struct engine *e, const char *const *args)
{
	command_add(m, "--exit-command", e->self);
	command_add(m, "--exit-command-arg", "--root");
	command_add(m, "--exit-command-arg", e->root);
	command_add(m, "--exit-command-arg", "--runroot");
	command_add(m, "--exit-command-arg", e->runroot);
	for (; *args; args++)
		command_add(m, "--exit-command-arg", *args);
}

/* One line of JSON, read byte by byte: what follows is somebody else's.  0 at the end. */
int command_read_report(int fd, json_t **ret)
{
	g_autoptr(GString) line = g_string_new(NULL);
	char byte = 0;

	while (byte != '\n') {
		ssize_t n = read(fd, &byte, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno("read conmon's report");
		if (n == 0 || line->len > REPORT_MAX)
			return 0;
		g_string_append_c(line, byte);
	}
	log_debug("conmon reports %s", line->str);
	*ret = json_loads(line->str, 0, NULL);
	return *ret ? 1 : 0;
}

/* Starts conmon, lets it go on, and reaps the process that it leaves behind at once. */
int command_launch(struct command *m, int start, char **ret_stderr)
{
	autoclose int errors = memfd_create("conmon-stderr", MFD_CLOEXEC);
	struct spawn s = {.in = SPAWN_NULL, .out = SPAWN_NULL, .new_session = true};
	g_autofree char *shown = NULL;
	int status = 0, r;
	pid_t pid;

	if (errors < 0)
		return err_errno("memfd_create");
	g_ptr_array_add(m->argv, NULL);
	g_ptr_array_add(m->env, NULL);
	s.argv = (const char *const *)m->argv->pdata;
	s.env = (const char *const *)m->env->pdata;
	s.err = errors;
	s.fds = m->fds;
	s.nfds = m->nfds;
	s.dir = m->dir; /* conmon notes an OOM kill in its working directory */
	shown = g_strjoinv(" ", (char **)m->argv->pdata);
	log_debug("%s", shown);
	r = spawn_start(&s, &pid);
	if (r < 0)
		return r;
	command_go(start);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno("wait for conmon");
	if (lseek(errors, 0, SEEK_SET) == 0) {
		char text[4096];
		ssize_t n = read(errors, text, sizeof(text) - 1);

		text[MAX(n, 0)] = '\0';
		*ret_stderr = g_strdup(g_strchomp(text));
	}
	if (status != 0)
		return err_set(EIO, "conmon left with exit status %d: %s", spawn_exit_code(status),
			       *ret_stderr ? *ret_stderr : "");
	return 0;
}

int command_start_pipe(int *ret_read, int *ret_write)
{
	int p[2];

	/* A socket, so that a dead conmon is EPIPE and not SIGPIPE. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p) < 0)
		return err_errno("create a socket pair");
	*ret_read = p[0];
	*ret_write = p[1];
	return 0;
}

void command_go(int start)
{
	if (send(start, "", 1, MSG_NOSIGNAL) < 0)
		log_debug("conmon does not listen: %s", g_strerror(errno));
}

int command_pipe(int *ret_read, int *ret_write)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_errno("create a pipe");
	*ret_read = p[0];
	*ret_write = p[1];
	return 0;
}

pid_t command_read_pid(const char *dir, const char *name)
{
	g_autofree char *path = g_build_filename(dir, name, NULL), *text = NULL;

	if (file_read_at(AT_FDCWD, path, 64, &text, NULL) < 0) {
		err_clear();
		return 0;
	}
	return atoi(text);
}
