/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs one of the programs beside it in a box of its own (pid and mount namespace), dumps it when
 *it says "ready", restores it into a new box, and lets it verify: see cr.h.
 *
 *	run MODE PROGRAM [ARGS...]
 *
 * MODE: plain; running (dumped, resumed, verifies itself: nothing is restored); back
 * (dumped, resumed, ended, and restored to where it was); twice; predump (its
 * memory is saved in rounds before); rounds (it changes its memory between them); lazy (its memory
 *comes after it); faults (each step of a dump fails once; the last dump does not); refused (cannot
 *be dumped, for the reasons that the program names in lines "expect: ..." before it is ready, and
 *goes on as if nothing had happened); look (only by cryo dump --dry-run, which has nothing to say).
 * --tcp-established, first of all, keeps TCP connections; --floor restores where io_uring and
 * userfaultfd are forbidden.
 * --ext-unix-sk lets unix sockets have peers outside.
 * --peer after it: PROGRAM runs outside of the tree as well, with the one argument "peer"; what it
 * says in its first line is an argument of the program.  It must end with 0.
 * --cryo PROGRAM before it: without a box, as a plain tree, by the command.  Refused is then what
 * --dry-run says; it and look do not disturb the program: it is not even woken up.
 * --flavour NAME after that: with namespaces and a root directory of its own, see flavour.c.
 * --keep DIR before it leaves the images there.  Exit status: the program's; 77 for a skip.
 */
#include "run.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Terminals of our own: a tree gets their numbers back, which somebody else could have by then. */
static int own_terminals(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_errno("mount namespace");
	if (mount("devpts", "/dev/pts", "devpts", 0, "mode=620,ptmxmode=666,gid=5") < 0)
		return err_errno("mount /dev/pts");
	return 0;
}

static int start(struct run *r, char **argv)
{
	struct clone_args a = {.flags = r->cryo ? 0 : NAMESPACES, .exit_signal = SIGCHLD};
	long pid;

	if (r->flavour) {
		int e = flavour_root(r->dir, argv[0], &r->root);

		return e < 0 ? e
			     : flavour_start(r->flavour, r->root, argv, r->in[0], r->out[1],
					     &r->pid);
	}
	pid = syscall(SYS_clone3, &a, sizeof(a));
	if (pid < 0)
		return err_errno("clone3");
	if (pid == 0) {
		if (!r->cryo && (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
				 mount("proc", "/proc", "proc", 0, NULL) < 0))
			_exit(110);
		if (setsid() < 0)
			_exit(110);
		dup2(r->in[0], 0);
		dup2(r->out[1], 1);
		dup2(r->out[1], 2);
		close_range(3, ~0u, 0);
		execv(argv[0], argv);
		_exit(111);
	}
	r->pid = (pid_t)pid;
	return 0;
}

static int key_of(int fd, char key[static 64])
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno("fstat");
	snprintf(key, 64, "pipe:[%lu]", (unsigned long)st.st_ino);
	return 0;
}

/* Reads one more line of the program; "" at the end of file. */
static int line(struct run *r, char *buf, size_t len)
{
	struct pollfd p = {.fd = r->out[0], .events = POLLIN};
	char c;

	for (size_t n = 0; n + 1 < len;) {
		if (poll(&p, 1, PATIENCE_MS) <= 0)
			return err_set(ETIMEDOUT, "the program says nothing");
		if (read(r->out[0], &c, 1) != 1)
			return err_set(EPIPE, "the program has gone without a word");
		if (c == '\n') {
			buf[n] = 0;
			return 0;
		}
		buf[n++] = c;
		buf[n] = 0;
	}
	return err_set(EMSGSIZE, "the program talks too much");
}

int run_expect(struct run *r, const char *word)
{
	char buf[600];
	int e = line(r, buf, sizeof(buf));

	if (e < 0)
		return e;
	if (strncmp(buf, "skip:", 5) == 0) {
		printf("%s\n", buf);
		if (r->root)
			flavour_root_end(r->root);
		if (file_remove_tree_at(AT_FDCWD, r->dir) < 0)
			printf("%s\n", err_message());
		exit(77);
	}
	if (g_str_has_prefix(buf, "expect: ")) {
		g_ptr_array_add(r->expected, g_strdup(buf + strlen("expect: ")));
		return run_expect(r, word);
	}
	return strcmp(buf, word) == 0 ? 0 : err_set(EPROTO, "%s", buf);
}

int run_says_all(const struct run *r, const char *text)
{
	for (unsigned i = 0; i < r->expected->len; i++)
		if (!strstr(text, g_ptr_array_index(r->expected, i)))
			return err_set(EPROTO, "it does not say \"%s\": %s",
				       (char *)g_ptr_array_index(r->expected, i), text);
	return 0;
}

static int cycle(struct run *r, const char *mode)
{
	bool back = strcmp(mode, "back") == 0;
	enum cryo_finish how = back || strcmp(mode, "running") == 0 ? CRYO_RESUME : CRYO_KILL;
	autoclose int dir = -1, parent_dir = -1;
	g_autofree char *parent = NULL;
	int e;

	if (r->cryo)
		return strcmp(mode, "look") == 0      ? run_look(r, true)
		       : strcmp(mode, "refused") == 0 ? run_look(r, false)
						      : run_by_command(r);
	if (strcmp(mode, "predump") == 0 || strcmp(mode, "rounds") == 0) {
		e = run_predump(r, mode[0] == 'r', &parent, &parent_dir);
		if (e < 0)
			return e;
	}
	if (strcmp(mode, "faults") == 0) {
		e = run_dump_with_faults(r, &dir);
		return e < 0 ? e : run_restore(r, dir, false);
	}
	e = run_images_dir(r, &dir);
	if (e == 0)
		e = run_dump(r, dir, how, parent, parent_dir);
	if (strcmp(mode, "refused") == 0) {
		if (e != -EOPNOTSUPP)
			return e < 0 ? e : err_set(EPROTO, "it was not refused");
		printf("refused: %s\n", err_message());
		return run_says_all(r, err_message());
	}
	if (e == 0 && back && (kill(r->pid, SIGKILL) < 0 || waitpid(r->pid, NULL, 0) != r->pid))
		e = err_errno("end process %d", r->pid);
	if (e == 0 && (how == CRYO_KILL || back))
		e = run_restore(r, dir, strcmp(mode, "lazy") == 0);
	return e;
}

/* Returns its first line; the program's. */
static int start_peer(struct run *r, char *program, char **ret)
{
	char *argv[] = {program, (char *)"peer", NULL};
	int out[2];
	char b[128];
	ssize_t n;

	if (pipe2(out, O_CLOEXEC) < 0)
		return err_errno("pipe");
	r->peer = fork();
	if (r->peer < 0)
		return err_errno("fork");
	if (r->peer == 0) {
		dup2(out[1], 1);
		execv(program, argv);
		_exit(111);
	}
	close(out[1]);
	n = read(out[0], b, sizeof(b) - 1);
	if (n <= 0)
		return err_set(EPIPE, "the peer says nothing");
	b[n] = 0;
	*ret = g_strdup(g_strchomp(b));
	return 0;
}

static int end_peer(struct run *r)
{
	int status;

	if (!r->peer)
		return 0;
	if (waitpid(r->peer, &status, 0) != r->peer)
		return err_errno("waiting for the peer");
	r->peer = 0;
	return status ? err_set(EPROTO, "the peer ended with %#x", status) : 0;
}

static int go(struct run *r, const char *mode, char **argv)
{
	int e, status, n = strcmp(mode, "twice") == 0 ? 2 : 1;

	if (pipe2(r->in, O_CLOEXEC) < 0 || pipe2(r->out, O_CLOEXEC) < 0)
		return err_errno("pipe");
	e = key_of(r->in[0], r->keys[0]);
	if (e == 0)
		e = key_of(r->out[0], r->keys[1]);
	if (e == 0)
		e = start(r, argv);
	if (e == 0)
		e = run_expect(r, "ready");
	for (int i = 0; e == 0 && i < n; i++)
		e = cycle(r, mode);
	if (e == 0)
		e = fd_write_full(r->in[1], "g", 1);
	if (e == 0)
		e = run_expect(r, "ok");
	if (e < 0)
		return e;
	if (waitpid(r->pid, &status, 0) != r->pid)
		return err_errno("waiting for process %d", r->pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return err_set(EPROTO, "the program ended with %#x", status);
	if (r->server && (waitpid(r->server, &status, 0) != r->server || status))
		return err_set(EPROTO, "the server of its memory ended with %#x", status);
	return end_peer(r);
}

int main(int argc, char **argv)
{
	struct run r = {.in = {-1, -1}, .out = {-1, -1}, .expected = g_ptr_array_new()};
	char tmp[] = "/tmp/cryopod-cr-XXXXXX";
	char *said = NULL, *with_peer[3];
	bool keep, peer;
	int e;

	if (argc > 1 && strcmp(argv[1], "--tcp-established") == 0) {
		r.tcp = true;
		argv++;
		argc--;
	}
	if (argc > 1 && strcmp(argv[1], "--ext-unix-sk") == 0) {
		r.ext_unix = true;
		argv++;
		argc--;
	}
	if (argc > 1 && strcmp(argv[1], "--floor") == 0) {
		r.floor = true;
		argv++;
		argc--;
	}
	if (argc > 2 && strcmp(argv[1], "--cryo") == 0) {
		r.cryo = argv[2];
		argv += 2;
		argc -= 2;
	}
	peer = argc > 2 && strcmp(argv[1], "--peer") == 0;
	if (peer) {
		argv++;
		argc--;
	}
	if (argc > 2 && strcmp(argv[1], "--flavour") == 0) {
		r.flavour = flavour_find(argv[2]);
		if (!r.flavour || !r.cryo) {
			fprintf(stderr, "run: no such flavour, or no --cryo before it\n");
			return 2;
		}
		argv += 2;
		argc -= 2;
	}
	keep = argc > 2 && strcmp(argv[1], "--keep") == 0;
	if (keep) {
		r.dir = argv[2];
		argv += 2;
		argc -= 2;
	} else {
		r.dir = mkdtemp(tmp);
	}
	if (argc < 3 || !r.dir) {
		fprintf(stderr,
			"usage: run [--keep DIR] plain|running|twice|predump PROGRAM [ARGS...]\n");
		return 2;
	}
	if (getuid() != 0) {
		printf("skip: needs root\n");
		return 77;
	}
	if (getenv("CRYO_DEBUG"))
		log_threshold = LOG_DEBUG;
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	e = own_terminals();
	if (e == 0 && peer)
		e = start_peer(&r, argv[2], &said);
	with_peer[0] = argv[2];
	with_peer[1] = said;
	with_peer[2] = NULL;
	if (e == 0)
		e = go(&r, argv[1], peer ? with_peer : argv + 2);
	if (e < 0)
		printf("Error: %s\n", err_message());
	if (e < 0 && r.pid > 0)
		kill(r.pid, SIGKILL);
	if (e < 0 && r.peer > 0)
		kill(r.peer, SIGKILL);
	if (r.root)
		flavour_root_end(r.root);
	if (e == 0 && run_keep_sets(&r, argv[argc - 1], argv[1]) < 0) {
		printf("Error: %s\n", err_message());
		e = -1;
	}
	if (!keep && file_remove_tree_at(AT_FDCWD, r.dir) < 0)
		printf("Error: %s\n", err_message());
	return e < 0;
}
