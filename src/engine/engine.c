/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing.  A command that only looks costs two small reads (boot ID and marker), one
 * mkdir per root and one SQLite open; everything else is found out when it is needed.
 */
#include "engine/engine.h"
#include "base/file.h"
#include "base/log.h"
#include "engine/container.h"
#include "engine/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

int64_t engine_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

void engine_random_id(char ret[ENGINE_ID_LEN + 1])
{
	unsigned char raw[ENGINE_ID_LEN / 2];
	bool only_digits;

	/* The 12 digits that people type must not look like a number: Podman has this rule, too. */
	do {
		if (getrandom(raw, sizeof(raw), 0) != sizeof(raw))
			g_error("getrandom: %s", g_strerror(errno));
		for (unsigned i = 0; i < sizeof(raw); i++)
			g_snprintf(ret + 2 * i, 3, "%02x", raw[i]);
		only_digits = strspn(ret, "0123456789") >= 12;
	} while (only_digits);
}

/* Absolute without touching the disk, so that a root which does not exist yet is fine. */
/* An empty one is none, as with Podman, and not the current directory. */
static char *absolute(const char *path, const char *otherwise)
{
	return g_canonicalize_filename(path && *path ? path : otherwise, NULL);
}

static char *read_line(int dir, const char *name)
{
	char *text = NULL;

	if (file_read_at(dir, name, 4096, &text, NULL) < 0) {
		err_clear();
		return g_strdup("");
	}
	return g_strchomp(text);
}

static const char *const run_dirs[] = {"containers", "exits", "locks", "runtime", "netns"};
static const char *const root_dirs[] = {"blobs", "overlay", "overlay-containers", "volumes"};

static int make_dirs(const char *top, const char *const *names, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		g_autofree char *path = g_build_filename(top, names[i], NULL);
		int r = file_mkdirs(path, 0700);

		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * What a record says about processes, mounts and namespaces is about another boot, or about a run
 * root that is gone.  A process that verifiably still runs (same boot, same start time) keeps its
 * state: somebody removed the run root under it, and `rm -f` must find it.  Addresses stay, so that
 * a checkpoint comes back with them.
 */
static int refresh_one(struct engine *e, struct container *c, bool same_boot)
{
	struct container_state *s = &c->state;
	bool ran = container_is_running(c) || s->status == CONTAINER_STOPPED ||
		   s->status == CONTAINER_INITIALIZED;

	if (same_boot && s->pid > 0 && s->pid_start &&
	    container_pid_start(s->pid) == s->pid_start && container_is_running(c))
		return 0;
	if (ran) {
		if (container_is_running(c)) {
			s->exit_code = -1;
			s->finished_ns = engine_now_ns();
		}
		s->status = s->started_ns ? CONTAINER_EXITED : CONTAINER_CREATED;
	}
	s->pid = 0;
	s->pid_start = 0;
	s->conmon_pid = 0;
	s->mounts = 0;
	container_forget_checkpoint(s);
	g_clear_pointer(&s->netns, g_free);
	return container_save(e, c);
}

static int refresh_all(struct engine *e, bool same_boot)
{
	CLEANUP(container_array_free) GPtrArray *all = NULL;
	CLEANUP(store_rollback) struct store_tx tx = {0};
	int r;

	r = container_list(e, &all);
	if (r < 0)
		return r;
	r = store_begin(e, &tx);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < all->len; i++) {
		r = refresh_one(e, all->pdata[i], same_boot);
		if (r < 0)
			return r;
	}
	if (!same_boot) {
		r = store_exec(e, "DELETE FROM exec_sessions", "");
		if (r < 0)
			return r;
	}
	return store_commit(&tx);
}

static int database_boot(struct engine *e, const char *boot, bool *ret_same)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q = store_prepare(e, "SELECT value FROM meta WHERE key='boot'");
	int r = store_step(e, q);

	if (r < 0)
		return r;
	*ret_same = r > 0 && !strcmp(store_text(q, 0), boot);
	return 0;
}

/* The marker goes last: whoever is killed on the way leaves the work to the next command. */
static int new_boot(struct engine *e, int rundir, const char *boot)
{
	autoclose int lock = openat(rundir, "boot.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	g_autofree char *marker = NULL;
	bool same_boot = false;
	int r;

	if (lock < 0 || flock(lock, LOCK_EX) < 0)
		return err_errno("lock %s/boot.lock", e->runroot);
	marker = read_line(rundir, "boot");
	if (!strcmp(marker, boot))
		return 0; /* another command was faster */
	log_debug("run root %s is new to this boot: refreshing all containers", e->runroot);
	r = make_dirs(e->runroot, run_dirs, ARRAY_SIZE(run_dirs));
	if (r < 0)
		return r;
	r = database_boot(e, boot, &same_boot);
	if (r < 0)
		return r;
	r = refresh_all(e, same_boot);
	if (r < 0)
		return r;
	r = store_exec(e, "INSERT OR REPLACE INTO meta(key, value) VALUES('boot', ?)", "s", boot);
	if (r < 0)
		return r;
	return file_replace_at(rundir, "boot", boot, strlen(boot), 0600);
}

static int check_boot(struct engine *e)
{
	autoclose int rundir = open(e->runroot, O_PATH | O_DIRECTORY | O_CLOEXEC);
	g_autofree char *boot = NULL, *marker = NULL;
	int r;

	if (rundir < 0)
		return err_errno("open %s", e->runroot);
	boot = read_line(AT_FDCWD, "/proc/sys/kernel/random/boot_id");
	if (!*boot)
		return err_set(ENOENT,
			       "/proc/sys/kernel/random/boot_id cannot be read: mount /proc");
	marker = read_line(rundir, "boot");
	if (strcmp(marker, boot) != 0) {
		r = new_boot(e, rundir, boot);
		if (r < 0)
			return err_wrap(r, "refresh after a reboot");
	}
	return 0;
}

static char *own_path(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n < 0)
		return g_strdup("/usr/local/bin/cryopod");
	path[n] = '\0';
	return g_strdup(path);
}

static int open_roots(struct engine *e)
{
	g_autofree char *db = g_build_filename(e->root, "db.sqlite", NULL);
	struct stat st;
	int r;

	r = file_mkdirs(e->runroot, 0700);
	if (r < 0)
		return r;
	if (stat(db, &st) < 0) {
		r = file_mkdirs(e->root, 0700);
		if (r == 0)
			r = make_dirs(e->root, root_dirs, ARRAY_SIZE(root_dirs));
		if (r < 0)
			return r;
	}
	r = store_open(e);
	if (r < 0)
		return r;
	return check_boot(e);
}

int engine_open(const struct engine_options *o, struct engine **ret)
{
	CLEANUP(engine_closep) struct engine *e = g_new0(struct engine, 1);
	int r;

	e->root = absolute(o->root, ENGINE_ROOT);
	e->runroot = absolute(o->runroot, ENGINE_RUNROOT);
	e->runtime_wanted = g_strdup(o->runtime);
	e->conmon_wanted = g_strdup(o->conmon);
	e->self = own_path();
	r = open_roots(e);
	if (r < 0)
		return r;
	*ret = g_steal_pointer(&e);
	return 0;
}

void engine_close(struct engine *e)
{
	if (!e)
		return;
	store_close(e);
	g_free(e->root);
	g_free(e->runroot);
	g_free(e->self);
	g_free(e->runtime_wanted);
	g_free(e->conmon_wanted);
	g_free(e->runtime_name);
	g_free(e->runtime_path);
	g_free(e->conmon_path);
	g_free(e);
}

void engine_closep(struct engine **e)
{
	engine_close(*e);
}

char *engine_find_program(const char *name)
{
	g_autofree char *found = g_find_program_in_path(name);

	return found ? absolute(found, "") : g_strdup("");
}

/* crun refuses hosts that mix cgroup v1 and v2; only a pure v2 host has this file at the top. */
static bool pure_cgroup2(void)
{
	return access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
}

int engine_runtime(struct engine *e)
{
	const char *const by_host[2][2] = {{"runc", "crun"}, {"crun", "runc"}};
	const char *const *choice = by_host[pure_cgroup2()];
	g_autofree char *path = NULL;

	if (e->runtime_path)
		return 0;
	if (e->runtime_wanted) {
		path = engine_find_program(e->runtime_wanted);
		if (!*path)
			return err_set(ENOENT,
				       "OCI runtime \"%s\" is not installed or not in PATH: "
				       "install it or name another one with --runtime",
				       e->runtime_wanted);
	}
	for (unsigned i = 0; !path && i < 2; i++) {
		path = engine_find_program(choice[i]);
		if (!*path)
			g_clear_pointer(&path, g_free);
	}
	if (!path)
		return err_set(ENOENT, "no OCI runtime found: install runc or crun, or name one "
				       "with --runtime");
	e->runtime_name = g_path_get_basename(path);
	e->runtime_path = g_steal_pointer(&path);
	return 0;
}

int engine_conmon(struct engine *e)
{
	const char *name = e->conmon_wanted ? e->conmon_wanted : "conmon";
	g_autofree char *path = NULL;

	if (e->conmon_path)
		return 0;
	path = engine_find_program(name);
	if (!*path) {
		e->exit_hint = 125;
		return err_set(ENOENT,
			       "%s is not installed or not in PATH: install the package conmon",
			       name);
	}
	e->conmon_path = g_steal_pointer(&path);
	return 0;
}
