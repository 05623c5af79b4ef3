/* SPDX-License-Identifier: Apache-2.0 */
/* cryo restore. */
#include "cryo/external.h"
#include "cryo/guard.h"
#include "cryo/images.h"
#include "cryo/lazypages.h"
#include "cryo/lsm.h"
#include "cryo/session.h"
#include "cryo/stage.h"
#include "cryo/streamer.h"

#include "base/file.h"
#include "base/log.h"
#include "cr/cryo.h"
#include "kernel/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* The terminal that a shell job gets: ours. */
static void add_terminal(struct inherits *i, int *opened)
{
	struct cryo_inherit t = {.name = CRYO_SHELL_JOB, .fd = -1};

	for (int fd = 0; t.fd < 0 && fd < 3; fd++)
		if (isatty(fd))
			t.fd = fd;
	if (t.fd < 0)
		t.fd = *opened = open("/dev/tty", O_RDWR | O_CLOEXEC);
	if (t.fd >= 0)
		g_array_append_val(i->v, t);
}

/* Clocks of another boot need a time namespace; without one they jump. */
static bool shift_clocks(bool wanted)
{
	int r = wanted ? probe_has_name("time-namespace") : 0;

	if (wanted && r != 1)
		log_warn("clocks since boot jump: %s", err_message());
	if (r < 0)
		err_clear();
	return r == 1;
}

static int check_options(const struct options *o)
{
	if (o->exec_cmd && (o->detached || o->words->len < 2))
		return err_set(EINVAL, "--exec-cmd wants a command after --, and excludes "
				       "--restore-detached");
	if (o->stream && o->lazy_pages)
		return err_set(EINVAL, "--stream excludes --lazy-pages");
	if (o->sibling && !o->detached)
		return err_set(EINVAL,
			       "--restore-sibling only makes sense with --restore-detached");
	return 0;
}

/* Before anything is made: a pidfile that cannot be written is no surprise at the end. */
static int open_pidfile(const struct session *s, int *ret)
{
	if (!s->o.pidfile)
		return 0;
	*ret = openat(s->work, s->o.pidfile, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	return *ret < 0 ? err_errno("pidfile %s", s->o.pidfile) : 0;
}

struct commit {
	struct session *s;
	int pidfile; /* -1 */
	pid_t pid;
	bool own_net;
};

/* The tree is made and held: whoever is told of it may find it. */
static int commit_tree(void *arg)
{
	const struct commit *c = arg;
	int r = 0;

	if (c->pidfile >= 0 && dprintf(c->pidfile, "%d", c->pid) < 0)
		return err_errno("pidfile");
	r = stage_tell(c->s, "post-restore", c->pid, -1);
	if (r == 0 && c->own_net)
		r = stage_tell(c->s, "network-unlock", c->pid, -1);
	return r < 0 ? r : stage_tell(c->s, "pre-resume", c->pid, -1);
}

static int send_master(void *arg, int fd)
{
	const struct commit *c = arg;

	return stage_tell(c->s, "orphan-pts-master", c->pid, fd);
}

/* none: they must be there; ignore: it stays in ours. */
static int enter_cgroups(const struct session *s, pid_t pid)
{
	const char *mode = s->o.manage_cgroups;

	if (!mode || strcmp(mode, "ignore") == 0)
		return 0;
	return cryo_box_cgroups(session_source(s), pid, *mode ? mode : "soft", s->o.cgroup_roots,
				s->cgroup_yard);
}

/* The task is there and does nothing yet: what it sees of control groups begins where it is. */
static int prepare(void *arg, pid_t pid)
{
	const struct session *s = arg;
	int r = enter_cgroups(s, pid);

	return r < 0 ? r : stage_tell(arg, "setup-namespaces", pid, -1);
}

static void print_stats(const struct cryo_restore_stats *s)
{
	printf("Displaying restore stats:\n"
	       "Pages compared: %" PRIu64 " (0x%" PRIx64 ")\n"
	       "Pages skipped COW: %" PRIu64 " (0x%" PRIx64 ")\n"
	       "Pages restored: %" PRIu64 " (0x%" PRIx64 ")\n"
	       "Restore time: %u us\nForking time: %u us\n",
	       s->pages_compared, s->pages_compared, s->pages_skipped_cow, s->pages_skipped_cow,
	       s->pages_restored, s->pages_restored, s->restore_time, s->forking_time);
}

/* The job has the terminal: ^C and ^\ are for it. */
static int wait_for(pid_t pid)
{
	int status;
	pid_t r;

	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	do
		r = waitpid(pid, &status, 0);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return err_errno("waiting for process %d", pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The parent of the tree is this program from now on. */
static int become(const struct options *o)
{
	g_ptr_array_add(o->words, NULL);
	execvp(g_ptr_array_index(o->words, 1), (char **)&g_ptr_array_index(o->words, 1));
	return err_errno("execute %s", (char *)g_ptr_array_index(o->words, 1));
}

/* "user:FILE[,UID,GID]": the one that we are in ourselves, in which the tree is born anyway. */
static int check_user(const char *file)
{
	g_auto(GStrv) parts = g_strsplit(file, ",", 3);
	struct stat that, own;

	for (unsigned i = 1; parts[0] && parts[i]; i++)
		if (!*parts[i] || parts[i][strspn(parts[i], "0123456789")])
			return err_set(EINVAL, "option --join-ns: \"%s\" is not a number",
				       parts[i]);
	if (!parts[0] || stat(parts[0], &that) < 0 || stat("/proc/self/ns/user", &own) < 0)
		return err_errno("option --join-ns: %s", file);
	if (that.st_dev == own.st_dev && that.st_ino == own.st_ino)
		return 0;
	return err_set(EOPNOTSUPP,
		       "option --join-ns: %s is another user namespace than cryo's; run cryo in it",
		       parts[0]);
}

/* "NS:FILE" or "NS:PID" */
static int add_join(GArray *joins, const char *word)
{
	static const struct {
		const char *name;
		unsigned flag;
	} kinds[] = {{"net", CLONE_NEWNET},
		     {"uts", CLONE_NEWUTS},
		     {"ipc", CLONE_NEWIPC},
		     {"time", CLONE_NEWTIME},
		     {"pid", CLONE_NEWPID}};
	g_auto(GStrv) parts = g_strsplit(word, ":", 2);
	g_autofree char *path = NULL;
	struct cryo_join one = {0};

	if (strcmp(parts[0], "user") == 0 && parts[1])
		return check_user(parts[1]);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(parts[0], kinds[i].name) == 0)
			one.flag = kinds[i].flag;
	if (!one.flag || !parts[1] || !*parts[1])
		return err_set(
			one.flag ? EINVAL : EOPNOTSUPP,
			"option --join-ns: \"%s\" is not net, uts, ipc, time or pid with a file or "
			"a process",
			word);
	path = parts[1][strspn(parts[1], "0123456789")]
		       ? g_strdup(parts[1])
		       : g_strdup_printf("/proc/%s/ns/%s", parts[1], parts[0]);
	one.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (one.fd < 0)
		return err_errno("option --join-ns: %s", path);
	g_array_append_val(joins, one);
	return 0;
}

static void joins_clear(GArray **joins)
{
	for (unsigned i = 0; *joins && i < (*joins)->len; i++)
		close(g_array_index(*joins, struct cryo_join, i).fd);
	g_clear_pointer(joins, g_array_unref);
}

static int joins_parse(const struct options *o, GArray **ret)
{
	int r = 0;

	*ret = g_array_new(FALSE, TRUE, sizeof(struct cryo_join));
	for (char **w = o->join_ns; r == 0 && w && *w; w++)
		r = add_join(*ret, *w);
	return r;
}

/* What cryo has by its file is not its caller's, and no image can give it. */
static uint64_t cap_ceiling(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (geteuid() == 0)
		return ~UINT64_C(0);
	if (syscall(SYS_capget, &head, data) < 0)
		return 0;
	return data[0].inheritable | (uint64_t)data[1].inheritable << 32;
}

/* What the tree is asked to be; what its box tells of it is added later. */
static struct cryo_restore_options tree_options(const struct session *s, const struct inherits *in,
						const struct externals *x, struct commit *commit)
{
	return (struct cryo_restore_options){
		.images = session_source(s),
		.inherits = (const struct cryo_inherit *)(void *)in->v->data,
		.ninherits = in->v->len,
		.externals = x->v,
		.nexternals = x->n,
		.cap_ceiling = cap_ceiling(),
		.leave_stopped = s->o.leave_stopped,
		.tcp_established = s->o.tcp_established,
		.tcp_close = s->o.tcp_close,
		.no_netlock = g_strcmp0(s->o.network_lock, "skip") == 0,
		.shell_job = s->o.shell_job,
		.allow_uprobes = s->o.allow_uprobes,
		.work = s->work,
		.check_modes = !s->o.other_modes,
		.check_sizes = s->o.file_validation != NULL,
		.manage_cgroups = s->o.manage_cgroups && strcmp(s->o.manage_cgroups, "ignore") != 0,
		.cgroup_roots = s->o.cgroup_roots,
		.cgroup_yard = s->cgroup_yard,
		.weak_sysctls = s->o.weak_sysctls,
		.lazy = s->o.lazy_pages,
		.commit = commit_tree,
		.commit_arg = commit,
		.orphan_master = s->o.orphan_pts_master && s->notify >= 0 ? send_master : NULL,
	};
}

/* The box that the images want, BO, with what the command line says of it. */
static void box_options(const struct session *s, const struct cryo_restore_options *o,
			const GArray *joins, const char *label, struct cryo_box_options *bo)
{
	/* a root that leads a session is no job, whatever is said */
	bo->shell_job = bo->shell_job && s->o.shell_job;
	bo->sibling = s->o.sibling;
	bo->root = s->o.root;
	bo->externals = o->externals;
	bo->nexternals = o->nexternals;
	bo->empty_net = s->o.empty_ns;
	bo->weak_sysctls = s->o.weak_sysctls;
	bo->inherits = o->inherits;
	bo->ninherits = o->ninherits;
	bo->lsm_exec = label;
	bo->joins = (const struct cryo_join *)(void *)joins->data;
	bo->njoins = joins->len;
}

/* The clocks of a time namespace that is joined are what they are there. */
static bool own_clocks(const GArray *joins, bool saved)
{
	for (unsigned i = 0; i < joins->len; i++)
		if (g_array_index(joins, struct cryo_join, i).flag == CLONE_NEWTIME)
			return false;
	return shift_clocks(saved);
}

static int make(struct session *s, const struct inherits *in, const struct externals *x,
		const GArray *joins, int pidfile, struct cryo_restored *done)
{
	struct commit commit = {.s = s, .pidfile = pidfile};
	struct cryo_restore_options o = tree_options(s, in, x, &commit);
	struct cryo_box_options bo;
	struct cryo_box box = CRYO_BOX_NONE;
	g_autofree char *label = NULL;
	autoclose int lazy = -1;
	int r = s->o.cpu_cap ? cryo_cpuinfo_check(session_source(s), s->o.cpu_cap) : 0;

	if (r == 0)
		r = lsm_parse(&s->o, &label);
	if (r == 0 && s->o.lazy_pages)
		r = lazy_pages_connect(s, &lazy);
	o.lazy_sock = lazy;
	if (r == 0)
		r = cryo_images_box(session_source(s), &bo, &o.time_namespace);
	if (r < 0)
		return r;
	o.time_namespace = own_clocks(joins, o.time_namespace);
	box_options(s, &o, joins, label, &bo);
	bo.prepare = prepare;
	bo.prepare_arg = s;
	o.mounts_made = bo.mounts;
	o.network_made = bo.namespaces & CLONE_NEWNET && !bo.empty_net;
	r = stage_tell(s, "pre-restore", 0, -1);
	if (r == 0)
		r = cryo_box_fork(&bo, &box);
	if (r == 0)
		r = stage_tell(s, "post-setup-namespaces", box.pid, -1);
	commit.own_net = bo.namespaces & CLONE_NEWNET;
	if (r < 0) {
		cryo_box_drop(&box);
		return r;
	}
	commit.pid = box.pid;
	return cryo_restore(&o, &box, done);
}

/* The images are read in no order that a stream could keep. */
static int fetch_images(struct session *s, struct images *aside)
{
	CLEANUP(streamer_close) struct streamer t = STREAMER_NONE;
	int r = streamer_connect(s, STREAMER_SERVE, &t);

	if (r == 0)
		r = images_begin(aside, s->images);
	if (r == 0)
		r = streamer_fetch_all(&t, aside->aside);
	s->source = aside->aside;
	return r;
}

static int restore(struct session *s)
{
	CLEANUP(inherits_clear) struct inherits in = {0};
	CLEANUP(externals_clear) struct externals x = {0};
	CLEANUP(joins_clear) GArray *joins = NULL;
	CLEANUP(images_drop) struct images aside = IMAGES_NONE;
	autoclose int tty = -1, pidfile = -1;
	struct cryo_restored done;
	int r = check_options(&s->o);

	if (r == 0)
		r = inherits_parse(s->o.inherit_fds, &in);
	if (r == 0)
		r = externals_parse(&s->o, &x);
	if (r == 0)
		r = joins_parse(&s->o, &joins);
	if (r == 0)
		r = open_pidfile(s, &pidfile);
	if (r < 0)
		return r;
	if (s->o.shell_job)
		add_terminal(&in, &tty);
	guard_restore();
	r = s->o.stream ? fetch_images(s, &aside) : 0;
	if (r == 0)
		r = make(s, &in, &x, joins, pidfile, &done);
	guard_restore_end();
	s->source = -1;
	images_drop(&aside);
	if (r < 0) {
		session_say(s, "Restoring FAILED.");
		return r;
	}
	s->restored = done.pid;
	if (s->o.auto_dedup && !s->o.lazy_pages && !s->o.stream &&
	    cryo_images_forget(s->images) < 0)
		log_warn("%s", err_message());
	if (stage_tell(s, "post-resume", done.pid, -1) < 0)
		log_warn("%s", err_message());
	session_say(s, "Restore finished successfully. Tasks resumed.");
	if (s->o.display_stats)
		print_stats(&done.stats);
	fflush(stdout);
	session_ready(s);
	if (s->o.exec_cmd)
		return become(&s->o);
	return s->o.detached ? 0 : wait_for(done.pid);
}

const struct action action_restore = {
	.name = "restore",
	.log = "restore.log",
	.needs_images = true,
	.brief = "Make a tree again from its images",
	.run = restore,
};
