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
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/spawn.h"
#include "cr/cryo.h"
#include "cr/step.h"
#include "faults.h"
#include "flavour.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define NAMESPACES  (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC)
#define PATIENCE_MS 20000

struct run {
	int in[2], out[2]; /* the program's stdin and stdout */
	char keys[2][64];
	pid_t pid;    /* its pid 1, as we see it; our child */
	pid_t server; /* of its memory; 0: none */
	GString *said;
	char *dir; /* images */
	unsigned generation;
	bool tcp; /* connections are kept */
	bool ext_unix, floor;
	GPtrArray *expected; /* words of the refusal */
	const char *cryo;    /* the program; NULL: by libcryo */
	pid_t peer;
	const struct flavour *flavour;
	char *root; /* of a flavour */
};

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

static int expect(struct run *r, const char *word)
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
		return expect(r, word);
	}
	return strcmp(buf, word) == 0 ? 0 : err_set(EPROTO, "%s", buf);
}

static int images_dir(struct run *r, int *ret_fd)
{
	g_autofree char *name = g_strdup_printf("%s/%u", r->dir, r->generation++);

	if (mkdir(name, 0700) < 0)
		return err_errno("mkdir %s", name);
	*ret_fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? err_errno("open %s", name) : 0;
}

#define ROUNDS	 2 /* of programs that know nothing of it */
#define CHANGING 4 /* mode rounds: the program changes its memory before each but the first */

/* Rounds of memory before; *RET_PARENT is the last one's directory. */
static int predump(struct run *r, bool changing, char **ret_parent, int *ret_fd)
{
	g_autofree char *parent = NULL;
	autoclose int parent_fd = -1;
	int e = 0;

	for (int i = 0; e == 0 && i < (changing ? CHANGING : ROUNDS); i++) {
		struct cryo_dump_options o = {
			.pid = r->pid, .parent = parent, .parent_dir = parent_fd};
		g_autofree char *mine = g_strdup_printf("../%u", r->generation);
		struct cryo_dump_stats stats;
		autoclose int dir = -1;

		e = images_dir(r, &dir);
		if (e == 0)
			e = cryo_predump(&o, dir, &stats);
		if (e == 0)
			printf("pre-dump: frozen %u us, pages %" G_GUINT64_FORMAT
			       ", unchanged %" G_GUINT64_FORMAT "\n",
			       stats.frozen_time, stats.pages_written, stats.pages_skipped_parent);
		if (e == 0 && changing)
			e = fd_write_full(r->in[1], "r", 1);
		if (e == 0 && changing)
			e = expect(r, "ready");
		g_free(parent);
		parent = g_steal_pointer(&mine);
		cleanup_close(&parent_fd);
		parent_fd = take_fd(&dir);
	}
	*ret_parent = g_steal_pointer(&parent);
	*ret_fd = take_fd(&parent_fd);
	return e < 0 ? err_wrap(e, "pre-dump") : 0;
}

static int dump(struct run *r, int dir, enum cryo_finish how, const char *parent, int parent_dir)
{
	const struct cryo_external externals[] = {{r->keys[0], "stdin"}, {r->keys[1], "stdout"}};
	const struct cryo_dump_options o = {
		.pid = r->pid,
		.externals = externals,
		.nexternals = 2,
		.leave_running = how == CRYO_RESUME,
		.tcp_established = r->tcp,
		.ext_unix_sk = r->ext_unix,
		.snapshot = how == CRYO_RESUME,
		.file_locks = r->expected->len == 0,
		.parent = parent,
		.parent_dir = parent_dir,
	};
	CLEANUP(cryo_dump_drop) struct cryo_dump *d = NULL;
	int e = cryo_dump_new(&o, &d);

	if (e == 0)
		e = cryo_dump_write(d, dir);
	if (e == 0)
		e = step_begin("run", "commit");
	if (e == 0)
		e = cryo_dump_finish(d, how);
	if (e < 0)
		return err_wrap(e, "dump");
	printf("freezing %u us, frozen %u us, pages %" G_GUINT64_FORMAT "\n",
	       cryo_dump_stats(d)->freezing_time, cryo_dump_stats(d)->frozen_time,
	       cryo_dump_stats(d)->pages_written);
	/* who is parent and tracer at once has reaped it already */
	if (how == CRYO_KILL && waitpid(r->pid, NULL, 0) != r->pid && errno != ECHILD)
		return err_errno("waiting for process %d", r->pid);
	return 0;
}

/* Its memory comes when it is wanted, from a child of ours; *RET_CHILD is to be waited for. */
static int serve_memory(int dir, int *ret_sock, pid_t *ret_child)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno("socketpair");
	*ret_child = fork();
	if (*ret_child == 0) {
		const struct cryo_lazy_options o = {
			.images = dir, .sock = pair[1], .page_server = -1};
		int e;

		close(pair[0]);
		e = cryo_lazy_pages(&o);
		if (e < 0)
			printf("Error: memory: %s\n", err_message());
		fflush(stdout);
		_exit(e < 0);
	}
	close(pair[1]);
	*ret_sock = pair[0];
	return *ret_child < 0 ? err_errno("fork") : 0;
}

/* The local configuration forbids what the images may have. */
static const struct sock_filter floor_filter[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 1, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static int restore(struct run *r, int dir, bool lazy)
{
	autoclose int sock = -1;
	const int stdio[3] = {r->in[0], r->out[1], r->out[1]};
	const struct cryo_box_options bo = {
		.namespaces = NAMESPACES, .mount_proc = true, .stdio = stdio};
	const struct cryo_inherit inherits[] = {
		{.name = "stdin", .fd = 0, .in_stub = true},
		{.name = "stdout", .fd = 1, .in_stub = true},
	};
	struct cryo_restore_options o = {
		.images = dir,
		.inherits = inherits,
		.ninherits = 2,
		.cap_ceiling = ~UINT64_C(0),
		.time_namespace = true,
		.tcp_established = r->tcp,
		.floor = r->floor ? floor_filter : NULL,
		.floor_len = r->floor ? sizeof(floor_filter) : 0,
	};
	struct cryo_box box = CRYO_BOX_NONE;
	struct cryo_restored done;
	int e = lazy ? serve_memory(dir, &sock, &r->server) : 0;

	o.lazy = lazy;
	o.lazy_sock = sock;
	if (e == 0)
		e = cryo_box_fork(&bo, &box);

	if (e == 0)
		e = cryo_restore(&o, &box, &done);
	if (e < 0)
		return err_wrap(e, "restore");
	r->pid = done.pid;
	printf("forked in %u us, restored in %u us\n", done.stats.forking_time,
	       done.stats.restore_time);
	return 0;
}

static int command(struct run *r, const char *const *argv)
{
	const int fds[] = {r->in[0], r->out[1]};
	const struct spawn s = {
		.argv = argv, .in = SPAWN_NULL, .err = SPAWN_CAPTURE, .fds = fds, .nfds = 2};

	return spawn_check(&s, NULL, NULL);
}

/* CR_CRIT, a program and its first argument, says whether crit has nothing to add to them. */
static int check_images(struct run *r)
{
	g_autofree char *dir = g_strdup_printf("%s/%u", r->dir, r->generation - 1);
	g_auto(GStrv) words = g_strsplit(getenv("CR_CRIT") ?: "", " ", 2);
	const char *const argv[] = {words[0], words[0] ? words[1] : NULL, dir, NULL};

	return words[0] ? err_wrap(command(r, argv), "images") : 0;
}

/*
 * All that /proc tells of the program, which stands still; how often it was woken up, too.  Whoever
 * reads its memory makes pages of files present.
 */
static int picture(pid_t pid, char **ret)
{
	g_autofree char *script =
		g_strdup_printf("cd /proc/%d && grep -v -e ^VmHWM -e ^VmRSS -e ^RssFile -e ^VmPTE "
				"-e ^SigQ status && "
				"cat maps limits && cut -d' ' -f 1-9 stat && "
				"for i in fd/*; do readlink $i; cat fdinfo/${i#fd/}; done; ls task",
				pid);
	const char *const argv[] = {"sh", "-c", script, NULL};
	const struct spawn s = {.argv = argv, .in = SPAWN_NULL, .err = SPAWN_CAPTURE};

	return spawn_check(&s, ret, NULL);
}

static int say_all(const struct run *r, const char *text)
{
	for (unsigned i = 0; i < r->expected->len; i++)
		if (!strstr(text, g_ptr_array_index(r->expected, i)))
			return err_set(EPROTO, "it does not say \"%s\": %s",
				       (char *)g_ptr_array_index(r->expected, i), text);
	return 0;
}

static int compare(const char *before, const char *after)
{
	g_auto(GStrv) was = g_strsplit(before, "\n", -1), is = g_strsplit(after, "\n", -1);

	for (unsigned i = 0; was[i]; i++)
		if (g_strcmp0(was[i], is[i]) != 0)
			return err_set(EPROTO, "the program is another one: \"%s\" was \"%s\"",
				       is[i] ?: "", was[i]);
	return 0;
}

/* Whoever has said a word is not asleep yet. */
static int settle(pid_t pid, char **ret)
{
	g_autofree char *before = NULL;
	int e = picture(pid, &before);

	for (unsigned i = 0; e == 0; i++) {
		g_usleep(10000);
		e = picture(pid, ret);
		if (e == 0 && (strcmp(before, *ret) == 0 || i == PATIENCE_MS / 10))
			return 0;
		g_free(before);
		before = e == 0 ? g_steal_pointer(ret) : NULL;
	}
	return e;
}

/* POSSIBLE: nothing is to stop a dump. */
static int look(struct run *r, bool possible)
{
	g_autofree char *pid = g_strdup_printf("%d", r->pid), *before = NULL, *after = NULL;
	const int fds[] = {r->in[0], r->out[1]};
	const char *const argv[] = {r->cryo, "dump", "--dry-run", "-D", r->dir, "-t", pid, NULL};
	const struct spawn s = {.argv = argv,
				.in = SPAWN_NULL,
				.out = SPAWN_CAPTURE,
				.err = SPAWN_CAPTURE,
				.fds = fds,
				.nfds = 2};
	CLEANUP(spawn_result_clear) struct spawn_result done = {0};
	int e = settle(r->pid, &before);

	if (e == 0)
		e = spawn_run(&s, &done);
	if (e == 0)
		e = picture(r->pid, &after);
	if (e < 0)
		return e;
	printf("look: %s%s", done.out, done.err);
	if (spawn_exit_code(done.status) != !possible)
		return err_set(EPROTO, "it ended with status %d", spawn_exit_code(done.status));
	e = say_all(r, done.out);
	return e < 0 ? e : compare(before, after);
}

/* A child of ours again: its parent is that of cryo. */
static int by_command(struct run *r)
{
	g_autofree char *dir = g_strdup_printf("%s/%u", r->dir, r->generation++);
	g_autofree char *pid = g_strdup_printf("%d", r->pid), *now = NULL;
	g_autofree char *in = g_strconcat("fd[3]:", r->keys[0], NULL);
	g_autofree char *out = g_strconcat("fd[4]:", r->keys[1], NULL);
	const char *rooted = r->root ? "--root" : NULL;
	const char *tcp = r->tcp ? "--tcp-established" : "--no-tcp-established";
	const char *const to_dump[] = {r->cryo, "dump", "-v4", "-D",   dir,	"-t",
				       pid,	"-l",	tcp,   rooted, r->root, NULL};
	const char *const to_restore[] = {
		r->cryo,	"restore", "-v4",	   "-D", dir,	      "-d",  "-S", "-l",
		"--inherit-fd", in,	   "--inherit-fd", out,	 "--pidfile", "pid", tcp,  rooted,
		r->root,	NULL};
	int e;

	/* as runtimes have it: who is mapped cannot get at the root by its path */
	if (chmod(r->dir, 0700) < 0 || mkdir(dir, 0700) < 0)
		return err_errno("mkdir %s", dir);
	e = command(r, to_dump);
	if (e < 0)
		return err_wrap(e, "dump");
	if (waitpid(r->pid, NULL, 0) != r->pid)
		return err_errno("waiting for process %d", r->pid);
	e = check_images(r);
	if (e < 0)
		return e;
	e = command(r, to_restore);
	if (e < 0)
		return err_wrap(e, "restore");
	g_free(pid);
	pid = g_build_filename(dir, "pid", NULL);
	e = file_read_at(AT_FDCWD, pid, 64, &now, NULL);
	if (e == 0)
		r->pid = atoi(now);
	return e;
}

/* *RET_DIR: the images of the dump that did not fail. */
static int dump_with_faults(struct run *r, int *ret_dir)
{
	for (unsigned i = 1;; i++) {
		autoclose int dir = -1;
		int e = images_dir(r, &dir);

		if (e < 0)
			return e;
		faults_arm(i);
		e = dump(r, dir, CRYO_KILL, NULL, -1);
		if (!faults_struck()) {
			faults_arm(0);
			*ret_dir = take_fd(&dir);
			return e;
		}
		if (e == 0)
			return err_set(EPROTO, "fault %u was not noticed", i);
		printf("%s\n", err_message());
		err_clear();
	}
}

static int cycle(struct run *r, const char *mode)
{
	bool back = strcmp(mode, "back") == 0;
	enum cryo_finish how = back || strcmp(mode, "running") == 0 ? CRYO_RESUME : CRYO_KILL;
	autoclose int dir = -1, parent_dir = -1;
	g_autofree char *parent = NULL;
	int e;

	if (r->cryo)
		return strcmp(mode, "look") == 0      ? look(r, true)
		       : strcmp(mode, "refused") == 0 ? look(r, false)
						      : by_command(r);
	if (strcmp(mode, "predump") == 0 || strcmp(mode, "rounds") == 0) {
		e = predump(r, mode[0] == 'r', &parent, &parent_dir);
		if (e < 0)
			return e;
	}
	if (strcmp(mode, "faults") == 0) {
		e = dump_with_faults(r, &dir);
		return e < 0 ? e : restore(r, dir, false);
	}
	e = images_dir(r, &dir);
	if (e == 0)
		e = dump(r, dir, how, parent, parent_dir);
	if (e == 0 && strcmp(mode, "plain") == 0)
		e = check_images(r);
	if (strcmp(mode, "refused") == 0) {
		if (e != -EOPNOTSUPP)
			return e < 0 ? e : err_set(EPROTO, "it was not refused");
		printf("refused: %s\n", err_message());
		return say_all(r, err_message());
	}
	if (e == 0 && back && (kill(r->pid, SIGKILL) < 0 || waitpid(r->pid, NULL, 0) != r->pid))
		e = err_errno("end process %d", r->pid);
	if (e == 0 && (how == CRYO_KILL || back))
		e = restore(r, dir, strcmp(mode, "lazy") == 0);
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
		e = expect(r, "ready");
	for (int i = 0; e == 0 && i < n; i++)
		e = cycle(r, mode);
	if (e == 0)
		e = fd_write_full(r->in[1], "g", 1);
	if (e == 0)
		e = expect(r, "ok");
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
	if (!keep && file_remove_tree_at(AT_FDCWD, r.dir) < 0)
		printf("Error: %s\n", err_message());
	return e < 0;
}
