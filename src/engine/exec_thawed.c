/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/exec_thawed.h"
#include "agent/batch.h"
#include "agent/stub.h"
#include "base/dir.h"
#include "base/file.h"
#include "cr/cryo.h"
#include "engine/spec.h"
#include "kernel/ns.h"
#include "kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define FILTER_FILE "seccomp.bpf"
#define FILTER_MAX  (sizeof(struct sock_filter) * BPF_MAXINSNS)

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

void exec_thawed_clear(struct exec_thawed *x)
{
	json_decref(x->process);
	g_free(x->path);
	g_free(x->filter);
	for (unsigned i = 0; i < ARRAY_SIZE(x->fds); i++)
		if (x->fds[i] >= 0)
			close(x->fds[i]);
	if (x->sock >= 0)
		close(x->sock);
	if (x->time_ns >= 0)
		close(x->time_ns);
	*x = EXEC_THAWED_NONE;
}

int exec_thawed_keep_filter(struct engine *e, struct container *c, int images, const char *floor,
			    size_t len)
{
	g_autofree char *run = container_run_dir(e, c), *first = NULL;
	autoclose int dir = open(run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (dir < 0)
		return err_errno("open %s", run);
	if (!floor)
		r = cryo_images_first_filter(images, &first, &len);
	return r < 0 ? r : file_write_at(dir, FILTER_FILE, floor ?: first ?: "", len, 0600);
}

static int read_filter(struct engine *e, struct container *c, struct exec_thawed *x)
{
	g_autofree char *path = container_run_dir(e, c);
	autoclose int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (dir < 0)
		return err_errno("open %s", path);
	r = file_read_at(dir, FILTER_FILE, FILTER_MAX, &x->filter, &x->filter_len);
	if (r < 0)
		return err_wrap(r, "seccomp filter of %s", c->name);
	if (x->filter_len % sizeof(struct sock_filter))
		return err_set(EBADMSG, "%s/" FILTER_FILE " is damaged", path);
	return 0;
}

/* The time namespace, unless it is the one that everybody is in. */
static int open_time_ns(const struct proc *p, int *ret)
{
	autoclose int self = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t theirs, ours;
	int r;

	if (self < 0)
		return err_errno("open /proc/self");
	r = ns_id(p->dir, NS_TIME, &theirs);
	if (r == 0)
		r = ns_id(self, NS_TIME, &ours);
	if (r < 0 || theirs == ours)
		return r;
	return ns_open(p->dir, NS_TIME, ret);
}

/* 0: a program; 1: there is none; 2: it cannot be executed. */
static int try_program(int root, const char *path)
{
	autoclose int fd = dir_open_in_root(root, path, O_PATH);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return errno == EACCES ? 2 : 1;
	return S_ISREG(st.st_mode) && (st.st_mode & 0111) ? 0 : 2;
}

static const char *env_path(const json_t *process)
{
	const json_t *v;
	size_t i;

	json_array_foreach(json_object_get(process, "env"), i,
			   v) if (g_str_has_prefix(json_string_value(v) ?: "",
						   "PATH=")) return json_string_value(v) +
		strlen("PATH=");
	return "";
}

/* As execvp(3) would find it, with the runtime's words when it does not. */
static int find_program(struct engine *e, struct container *c, const struct proc *p,
			struct exec_thawed *x)
{
	const char *name =
		json_string_value(json_array_get(json_object_get(x->process, "args"), 0));
	const char *cwd = json_string_value(json_object_get(x->process, "cwd")) ?: "/";
	g_auto(GStrv) dirs = g_strsplit(env_path(x->process), ":", -1);
	autoclose int root = -1;
	int found = 1, r = proc_open_link(p->dir, "root", O_PATH | O_DIRECTORY, &root);

	if (r < 0)
		return r;
	if (!name)
		return err_set(EINVAL, "exec: no command");
	if (strchr(name, '/')) {
		x->path = *name == '/' ? g_strdup(name) : g_strdup_printf("%s/%s", cwd, name);
		found = try_program(root, x->path);
	} else {
		for (char **d = dirs; *d && found; d++) {
			g_free(x->path);
			x->path = g_strdup_printf("%s/%s", **d ? *d : ".", name);
			found = try_program(root, x->path);
		}
	}
	if (!found)
		return 0;
	e->exit_hint = found == 1 ? 127 : 126;
	if (found == 2)
		return err_set(EACCES,
			       "%s: %s exec failed: unable to start container process: exec: "
			       "\"%s\": permission denied: OCI permission denied",
			       container_text(c, "runtime"), container_text(c, "runtime"), name);
	return err_set(ENOENT,
		       "%s: %s exec failed: unable to start container process: exec: \"%s\": %s: "
		       "OCI runtime attempted to invoke a command that was not found",
		       container_text(c, "runtime"), container_text(c, "runtime"), name,
		       strchr(name, '/') ? "stat: no such file or directory"
					 : "executable file not found in $PATH");
}

int exec_thawed_prepare(struct engine *e, struct container *c, json_t *process,
			struct exec_thawed *x)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	int r;

	x->process = json_deep_copy(process);
	r = proc_open(c->state.pid, &p);
	if (r == 0)
		r = find_program(e, c, &p, x);
	if (r == 0)
		r = open_time_ns(&p, &x->time_ns);
	if (r == 0)
		r = read_filter(e, c, x);
	if (r == 0)
		r = stub_memfd(&x->fds[0]);
	if (r == 0)
		r = stub_socketpair(&x->sock, &x->fds[1]);
	if (r < 0)
		return r;
	x->nfds = 2;
	spec_process_for_stub(process);
	return 0;
}

static uint64_t cap_set(const struct exec_thawed *x, const char *which)
{
	return spec_capability_mask(
		json_object_get(json_object_get(x->process, "capabilities"), which));
}

/* The highest capability that the running kernel knows. */
static int caps_last(void)
{
	int cap = 0;

	while (cap < 63 && prctl(PR_CAPBSET_READ, cap + 1, 0, 0, 0) >= 0)
		cap++;
	return cap;
}

static void join_time_ns(struct batch *b, const struct exec_thawed *x)
{
	struct arg place;

	if (x->time_ns < 0)
		return;
	batch_room(b, 3, 1024);
	place = batch_recv_fds(b, &x->time_ns, 1, NULL);
	batch_add(b, SYS_setns, batch_int_at(b, place, 0), IMM(CLONE_NEWTIME));
	batch_close_fds(b);
}

static void install_filter(struct batch *b, const struct exec_thawed *x)
{
	struct sock_fprog prog = {
		.len = (unsigned short)(x->filter_len / sizeof(struct sock_filter))};
	struct arg code;

	if (!x->filter_len)
		return;
	batch_room(b, 1, x->filter_len + sizeof(prog) + 64);
	code = batch_in(b, x->filter, x->filter_len);
	prog.filter = (void *)(uintptr_t)batch_addr(b, code);
	batch_add(b, SYS_seccomp, IMM(SECCOMP_SET_MODE_FILTER), IMM(0),
		  batch_in(b, &prog, sizeof(prog)));
}

static void drop_bounding(struct batch *b, uint64_t keep)
{
	for (int cap = 0; cap <= caps_last(); cap++)
		if (!(keep & (UINT64_C(1) << cap)))
			batch_add(b, SYS_prctl, IMM(PR_CAPBSET_DROP), IMM(cap), IMM(0), IMM(0),
				  IMM(0));
}

static void set_ids(struct batch *b, const struct exec_thawed *x)
{
	const json_t *user = json_object_get(x->process, "user");
	const json_t *more = json_object_get(user, "additionalGids");
	uint64_t uid = (uint64_t)json_integer_value(json_object_get(user, "uid"));
	uint64_t gid = (uint64_t)json_integer_value(json_object_get(user, "gid"));
	const json_t *mask = json_object_get(user, "umask");
	size_t n = json_array_size(more);
	g_autofree uint32_t *gids = g_new0(uint32_t, n + 1);

	for (size_t i = 0; i < n; i++)
		gids[i] = (uint32_t)json_integer_value(json_array_get(more, i));
	if (mask)
		batch_add(b, SYS_umask, IMM(json_integer_value(mask)));
	batch_add(b, SYS_prctl, IMM(PR_SET_KEEPCAPS), IMM(1), IMM(0), IMM(0), IMM(0));
	batch_add(b, SYS_setgroups, IMM(n), batch_in(b, gids, n * sizeof(*gids) + 4));
	batch_add(b, SYS_setresgid, IMM(gid), IMM(gid), IMM(gid));
	batch_add(b, SYS_setresuid, IMM(uid), IMM(uid), IMM(uid));
	batch_add(b, SYS_prctl, IMM(PR_SET_KEEPCAPS), IMM(0), IMM(0), IMM(0), IMM(0));
}

static void set_caps(struct batch *b, const struct exec_thawed *x)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	uint64_t e = cap_set(x, "effective"), p = cap_set(x, "permitted"),
		 i = cap_set(x, "inheritable"), a = cap_set(x, "ambient");
	struct __user_cap_data_struct data[2] = {
		{(uint32_t)e, (uint32_t)p, (uint32_t)i},
		{(uint32_t)(e >> 32), (uint32_t)(p >> 32), (uint32_t)(i >> 32)},
	};

	batch_add(b, SYS_capset, batch_in(b, &header, sizeof(header)),
		  batch_in(b, data, sizeof(data)));
	batch_add(b, SYS_prctl, IMM(PR_CAP_AMBIENT), IMM(PR_CAP_AMBIENT_CLEAR_ALL), IMM(0), IMM(0),
		  IMM(0));
	for (int cap = 0; cap <= caps_last(); cap++)
		if (a & (UINT64_C(1) << cap))
			batch_add(b, SYS_prctl, IMM(PR_CAP_AMBIENT), IMM(PR_CAP_AMBIENT_RAISE),
				  IMM(cap), IMM(0), IMM(0));
}

/* A vector of strings in the arena; everything must be one filling of it. */
static struct arg strings(struct batch *b, const json_t *list)
{
	size_t n = json_array_size(list);
	g_autofree uint64_t *v = g_new0(uint64_t, n + 1);

	for (size_t i = 0; i < n; i++) {
		struct arg s = batch_str(b, json_string_value(json_array_get(list, i)) ?: "");

		v[i] = batch_addr(b, s);
	}
	return batch_in(b, v, (n + 1) * sizeof(*v));
}

static size_t strings_bytes(const json_t *list)
{
	size_t bytes = 64;
	const json_t *v;
	size_t i;

	json_array_foreach(list, i, v) bytes += json_string_length(v) + 1 + 16 + sizeof(uint64_t);
	return bytes;
}

/*
 * A runtime written in Go has its soft limit of descriptors raised to the hard one as it starts
 * (src/os/rlimit.go), and whether that comes before or after the limits are set is a race.
 */
static void set_descriptor_limit(struct batch *b, const struct exec_thawed *x)
{
	const json_t *l;
	size_t i;

	json_array_foreach(json_object_get(x->process, "rlimits"), i, l)
	{
		const char *type = json_string_value(json_object_get(l, "type"));
		struct rlimit r = {
			.rlim_cur = (rlim_t)json_integer_value(json_object_get(l, "soft")),
			.rlim_max = (rlim_t)json_integer_value(json_object_get(l, "hard"))};

		if (g_strcmp0(type, "RLIMIT_NOFILE"))
			continue;
		batch_may_fail(b, batch_add(b, SYS_prlimit64, IMM(0), IMM(RLIMIT_NOFILE),
					    batch_in(b, &r, sizeof(r)), IMM(0)));
	}
}

static int run(struct agent *a, const struct exec_thawed *x)
{
	const json_t *args = json_object_get(x->process, "args"),
		     *env = json_object_get(x->process, "env");
	const char *cwd = json_string_value(json_object_get(x->process, "cwd")) ?: "/";
	bool nnp = json_is_true(json_object_get(x->process, "noNewPrivileges"));
	CLEANUP(batch_end) struct batch b;
	sigset_t none;
	struct arg argv, envp;

	batch_begin(&b, a, 0);
	join_time_ns(&b, x);
	set_descriptor_limit(&b, x);
	if (nnp)
		batch_add(&b, SYS_prctl, IMM(PR_SET_NO_NEW_PRIVS), IMM(1), IMM(0), IMM(0), IMM(0));
	else
		install_filter(&b, x);
	drop_bounding(&b, cap_set(x, "bounding"));
	set_ids(&b, x);
	batch_add(&b, SYS_chdir, batch_str(&b, cwd));
	set_caps(&b, x);
	if (nnp)
		install_filter(&b, x);
	batch_watch_exec(&b);
	sigemptyset(&none);
	batch_room(&b, 3, strings_bytes(args) + strings_bytes(env) + strlen(x->path) + 256);
	argv = strings(&b, args);
	envp = strings(&b, env);
	/* The stub's own file and socket are not the program's. */
	batch_add(&b, SYS_close_range, IMM(STUB_FD), IMM(~0U), IMM(CLOSE_RANGE_CLOEXEC));
	batch_add(&b, SYS_rt_sigprocmask, IMM(SIG_SETMASK), batch_in(&b, &none, 8), IMM(0), IMM(8));
	batch_add(&b, SYS_execve, batch_str(&b, x->path), argv, envp);
	return batch_run_exec(&b);
}

int exec_thawed_serve(struct engine *e, struct exec_thawed *x)
{
	CLEANUP(stub_clear) struct stub stub = STUB_NONE;
	CLEANUP(agent_free) struct agent *a = NULL;
	size_t strings = strings_bytes(json_object_get(x->process, "args")) +
			 strings_bytes(json_object_get(x->process, "env"));
	const struct agent_plan plan = {
		.big = 1,
		.sizes.big_arena = (uint32_t)(strings + x->filter_len + 65536),
		.exec = true,
	};
	int r;

	/* Nobody but the stub may hold its end, or its death would not be noticed. */
	close(take_fd(&x->fds[0]));
	close(take_fd(&x->fds[1]));
	x->nfds = 0;
	r = stub_await(x->sock, 10000, &stub);
	if (r == 0)
		r = agent_adopt(&stub, &plan, &a);
	if (r == 0)
		r = run(a, x);
	if (r == -EACCES || r == -ENOEXEC)
		e->exit_hint = 126;
	return r < 0 ? err_wrap(r, "exec") : 0;
}
