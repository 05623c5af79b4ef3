/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"
#include "agent/stub.h"
#include "base/dir.h"
#include "base/file.h"
#include "base/log.h"
#include "engine/ckfiles.h"
#include "engine/digest.h"
#include "engine/exec_store.h"
#include "engine/monitor.h"
#include "engine/sessions.h"
#include "engine/spec.h"
#include "kernel/ns.h"
#include "kernel/proc.h"
#include "kernel/procstatus.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define SMALL_FILE    ((size_t)1 << 20)
#define ATTEMPTS      5
#define TERMINALS_MAX 256

struct job {
	struct engine *e;
	struct container *c;
	struct sessions_box *ret;
	json_t *process;   /* of the stub */
	json_t *terminals; /* may be NULL */
	struct proc init;
	int pid_ns;
};

static void job_clear(struct job *j)
{
	json_decref(j->process);
	json_decref(j->terminals);
	proc_close(&j->init);
	if (j->pid_ns >= 0)
		close(j->pid_ns);
}

void sessions_box_clear(struct sessions_box *b)
{
	for (unsigned i = 0; b->boxes && i < b->boxes->len; i++)
		close(g_array_index(b->boxes, struct cryo_guest_box, i).sock);
	g_clear_pointer(&b->boxes, g_array_unref);
	g_clear_pointer(&b->inherits, g_array_unref);
	g_clear_pointer(&b->text, g_ptr_array_unref);
	g_clear_pointer(&b->pids, g_array_unref);
	g_clear_pointer(&b->ids, g_ptr_array_unref);
}

static const char *own(struct sessions_box *b, char *text)
{
	g_ptr_array_add(b->text, text);
	return text;
}

static void add_inherits(struct sessions_box *b, const char *name)
{
	static const struct {
		const char *which;
		int fd;
	} all[] = {{"stdout", 1}, {"stderr", 2}, {"tty", 0}};

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		struct cryo_inherit h = {
			.name = own(b, g_strdup_printf("%s.%s", name, all[i].which)),
			.fd = all[i].fd,
			.in_stub = true,
			.guest = name,
		};

		g_array_append_val(b->inherits, h);
	}
}

/* devpts gives the lowest free number (fs/devpts/inode.c: devpts_new_index()): those below are
 * taken meanwhile. */
static void hold_terminals(const struct job *j, unsigned want, GArray *held)
{
	autoclose int root = -1;
	unsigned n = 0;

	if (proc_open_link(j->init.dir, "root", O_PATH | O_DIRECTORY, &root) < 0)
		return;
	while (held->len < TERMINALS_MAX) {
		autoclose int fd = dir_open_in_root(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY);

		if (fd < 0 || ioctl(fd, TIOCGPTN, &n) < 0 || n >= want)
			break;
		g_array_append_val(held, fd);
		fd = -1;
	}
}

static void let_terminals_go(GArray *held)
{
	for (unsigned i = 0; i < held->len; i++)
		close(g_array_index(held, int, i));
	g_array_unref(held);
}

static int write_process(const struct job *j, const char *dir, bool tty, char **ret)
{
	g_autofree char *exits = g_build_filename(dir, "exit", NULL);
	autoclose int fd = -1;
	int r = file_remove_tree_at(AT_FDCWD, dir);

	if (r == 0)
		r = file_mkdirs(exits, 0700);
	if (r < 0)
		return r;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno("open %s", dir);
	json_object_set_new(j->process, "terminal", json_boolean(tty));
	*ret = g_build_filename(dir, "process.json", NULL);
	return spec_write(j->process, fd, "process.json");
}

static int number_of(pid_t pid, pid_t *ret)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	CLEANUP(procstatus_clear) struct procstatus st = {0};
	int r = proc_open(pid, &p);

	if (r == 0)
		r = procstatus_read(p.dir, &st);
	*ret = r == 0 ? pid_chain_inner(&st.nspid) : 0;
	return r;
}

/* conmon, the runtime, the stub.  1: the stub has another number than NSPID, and is gone again. */
static int launch(struct job *j, const char *id, pid_t nspid, int *ret_sock, pid_t *ret_pid)
{
	g_autofree char *run = container_run_dir(j->e, j->c), *file = NULL;
	g_autofree char *dir = g_build_filename(run, "exec", id, NULL);
	const json_t *tty = json_object_get(j->terminals, id);
	CLEANUP(monitor_session_clear) struct monitor_session m = MONITOR_SESSION_NONE;
	autoclose int stub = -1, theirs = -1, ours = -1;
	g_autoptr(GArray) held = g_array_new(FALSE, FALSE, sizeof(int));
	pid_t number;
	int r = write_process(j, dir, tty != NULL, &file);

	if (r == 0)
		r = stub_memfd(&stub);
	if (r == 0)
		r = stub_socketpair(&ours, &theirs);
	if (r < 0)
		return r;

	const int fds[] = {stub, theirs};
	const struct monitor_exec x = {
		.session = id,
		.dir = dir,
		.process = file,
		.tty = tty != NULL,
		.fds = fds,
		.nfds = 2,
	};

	if (tty)
		hold_terminals(j, (unsigned)json_integer_value(tty), held);
	r = monitor_exec_begin(j->e, j->c, &x, &m);
	if (r == 0)
		r = ns_next_pid(j->pid_ns, nspid);
	if (r == 0)
		r = monitor_exec_go(j->e, j->c, &m, ret_pid);
	let_terminals_go(g_steal_pointer(&held));
	if (r == 0)
		r = number_of(*ret_pid, &number);
	if (r < 0)
		return r;
	if (number != nspid) {
		kill(*ret_pid, SIGKILL);
		return 1;
	}
	*ret_sock = take_fd(&ours);
	return 0;
}

/*
 * A container that was imported beside the one where the session was born has one of its own; so
 * has one whose images somebody has made up: what is no ID would be a path.
 */
static char *free_id(struct engine *e, const struct container *c, const char *id)
{
	char other[ENGINE_ID_LEN + 1];

	if (digest_is_hex(id, ENGINE_ID_LEN, ENGINE_ID_LEN) && !exec_is_others(e, id, c))
		return g_strdup(id);
	engine_random_id(other);
	return g_strdup(other);
}

static int make_box(struct job *j, pid_t nspid, const char *name)
{
	struct cryo_guest_box box = {.name = own(j->ret, g_strdup(name)), .sock = -1};
	char *id = free_id(j->e, j->c, name);
	pid_t pid = 0;
	int r = 1;

	g_ptr_array_add(j->ret->ids, id);
	for (unsigned i = 0; r == 1 && i < ATTEMPTS; i++)
		r = launch(j, id, nspid, &box.sock, &pid);
	if (r == 1)
		return err_set(EBUSY, "process %d of exec session %.12s cannot get its number",
			       nspid, name);
	if (r < 0)
		return err_wrap(r, "exec session %.12s", name);
	g_array_append_val(j->ret->boxes, box);
	g_array_append_val(j->ret->pids, pid);
	add_inherits(j->ret, box.name);
	return 0;
}

static int read_terminals(int images, json_t **ret)
{
	g_autofree char *text = NULL;
	int r = file_read_at(images, CK_SESSIONS, SMALL_FILE, &text, NULL);

	if (r == -ENOENT) {
		err_clear();
		return 0;
	}
	if (r == 0)
		*ret = json_loads(text, 0, NULL);
	return r;
}

static int prepare(struct job *j, int images)
{
	g_autofree char *own_dir = container_static_dir(j->e, j->c);
	autoclose int dir = open(own_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	json_t *spec = NULL;
	int r = dir < 0 ? err_errno("open %s", own_dir) : spec_read(dir, "config.json", &spec);

	if (r < 0)
		return r;
	j->process = json_deep_copy(json_object_get(spec, "process"));
	json_object_del(j->process, "consoleSize");
	spec_process_for_stub(j->process);
	json_decref(spec);
	r = read_terminals(images, &j->terminals);
	if (r == 0)
		r = proc_open(j->c->state.pid, &j->init);
	return r < 0 ? r : ns_open(j->init.dir, NS_PID, &j->pid_ns);
}

#define GUESTS_MAX 4096

/* {"number": "name"}, from images that may be anybody's. */
static int check_guests(const json_t *guests)
{
	const char *pid;
	json_t *name;

	if (guests && (!json_is_object(guests) || json_object_size(guests) > GUESTS_MAX))
		return err_set(EBADMSG, "the sessions in the images are no list of sessions");
	json_object_foreach((json_t *)guests, pid, name)
	{
		if (!json_is_string(name) || atoi(pid) <= 0)
			return err_set(EBADMSG, "session %.20s in the images has no name", pid);
	}
	return 0;
}

int sessions_make_boxes(struct engine *e, struct container *c, int images, struct sessions_box *ret)
{
	CLEANUP(job_clear)
	struct job j = {.e = e, .c = c, .ret = ret, .init = PROC_NONE, .pid_ns = -1};
	json_t *guests = NULL, *name;
	const char *pid;
	int r = cryo_images_guests(images, &guests);

	*ret = (struct sessions_box){
		.boxes = g_array_new(FALSE, FALSE, sizeof(struct cryo_guest_box)),
		.inherits = g_array_new(FALSE, FALSE, sizeof(struct cryo_inherit)),
		.text = g_ptr_array_new_with_free_func(g_free),
		.pids = g_array_new(FALSE, FALSE, sizeof(pid_t)),
		.ids = g_ptr_array_new_with_free_func(g_free),
	};
	if (r == 0)
		r = check_guests(guests);
	if (r == 0 && json_object_size(guests))
		r = prepare(&j, images);
	json_object_foreach(guests, pid, name) if (r == 0) r =
		make_box(&j, (pid_t)atoi(pid), json_string_value(name));
	json_decref(guests);
	return r;
}

int sessions_record(struct engine *e, struct container *c, const struct sessions_box *b)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < b->boxes->len; i++) {
		const char *id = b->ids->pdata[i];

		r = exec_record_delete(e, id);
		if (r == 0)
			r = exec_record_insert(e, id, c);
		if (r == 0)
			r = exec_record_started(e, id, g_array_index(b->pids, pid_t, i));
	}
	return r;
}
