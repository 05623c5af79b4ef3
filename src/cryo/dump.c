/* SPDX-License-Identifier: Apache-2.0 */
/* cryo dump, cryo dump --dry-run. */
#include "cryo/dump.h"

#include "cryo/cgprops.h"
#include "cryo/external.h"
#include "cryo/guard.h"
#include "cryo/images.h"
#include "cryo/net.h"
#include "cryo/rpc.h"
#include "cryo/session.h"
#include "cryo/stage.h"
#include "cryo/streamer.h"

#include "base/log.h"
#include "cr/cryo.h"
#include "kernel/proc.h"
#include "kernel/procstat.h"
#include "kernel/program.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define PROGRAM_TIMEOUT_MS 30000

struct job { /* what an interruption must put in order */
	struct session *s;
	struct images images;
	struct streamer streamer;
	struct externals *externals;
};

static void undo(void *arg)
{
	struct job *j = arg;

	session_report_error(j->s);
	images_drop(&j->images);
}

static int print_refusals(const struct session *s, char **lines)
{
	unsigned n = g_strv_length(lines);

	if (s->o.json) {
		json_t *list = json_array(), *all;
		char *text;

		for (unsigned i = 0; i < n; i++)
			json_array_append_new(list, json_string(lines[i]));
		all = json_pack("{s:I,s:b,s:o}", "pid", (json_int_t)s->o.tree, "possible", n == 0,
				"refused", list);
		text = json_dumps(all, JSON_INDENT(2));
		puts(text);
		free(text);
		json_decref(all);
		return n > 0;
	}
	for (unsigned i = 0; i < n; i++)
		puts(lines[i]);
	if (n == 0)
		printf("nothing would stop a dump of process %d\n", (int)s->o.tree);
	return n > 0;
}

static int dry_run(const struct session *s, const struct cryo_dump_options *o)
{
	g_auto(GStrv) lines = NULL;
	int r = cryo_dump_look(o, &lines);

	return r < 0 ? r : print_refusals(s, lines);
}

void dump_print_stats(const struct cryo_dump_stats *s)
{
	printf("Displaying dump stats:\n"
	       "Freezing time: %u us\nFrozen time: %u us\n"
	       "Memory dump time: %u us\nMemory write time: %u us\n"
	       "Memory pages scanned: %" PRIu64 " (0x%" PRIx64 ")\n"
	       "Memory pages skipped from parent: %" PRIu64 " (0x%" PRIx64 ")\n"
	       "Memory pages written: %" PRIu64 " (0x%" PRIx64 ")\n",
	       s->freezing_time, s->frozen_time, s->memdump_time, s->memwrite_time,
	       s->pages_scanned, s->pages_scanned, s->pages_skipped_parent, s->pages_skipped_parent,
	       s->pages_written, s->pages_written);
}

static enum cryo_finish finish_of(const struct options *o)
{
	if (o->leave_running)
		return CRYO_RESUME;
	return o->leave_stopped ? CRYO_STOP : CRYO_KILL;
}

/*
 * Whoever runs on does not wait for our files to be moved; the others end when all is in place, and
 * nobody objects.
 */
/* What has stayed goes to where the tree runs already; it stands still here until it has all. */
static int serve_memory(struct session *s, struct cryo_dump *d)
{
	autoclose int sock = -1;
	int r = net_accept(s, &sock);

	return r < 0 ? r : cryo_dump_serve_lazy(d, sock);
}

/* Whatever has not gone there yet. */
static int stream(struct job *j)
{
	int r = j->s->o.cpu_cap ? cryo_cpuinfo_dump(j->images.aside) : 0;

	if (r == 0)
		r = streamer_send_all(&j->streamer, j->images.aside, IMAGES_STATS);
	return r < 0 ? r : images_keep_stats(&j->images, j->s->work);
}

static int place(struct job *j)
{
	int r = images_commit(&j->images, j->s->work);

	if (r == 0 && j->s->o.auto_dedup && !j->s->o.page_server)
		r = cryo_images_dedup(j->s->images);
	if (r == 0 && j->s->o.cpu_cap)
		r = cryo_cpuinfo_dump(j->s->images);
	return r;
}

static int finish(struct job *j, struct cryo_dump *d)
{
	enum cryo_finish how = finish_of(&j->s->o);
	bool later = how == CRYO_KILL || stage_any(j->s);
	int r = later ? 0 : cryo_dump_finish(d, how);

	if (!j->s->o.lazy_pages)
		guard_end();
	if (r == 0)
		r = j->s->o.stream ? stream(j) : place(j);
	if (r == 0 && j->s->o.lazy_pages)
		r = serve_memory(j->s, d);
	guard_end();
	if (r == 0)
		r = stage_tell(j->s, "post-dump", (pid_t)j->s->o.tree, -1);
	if (r == 0 && later)
		r = cryo_dump_finish(d, how);
	return r;
}

#define TRIES	    40
#define PATIENCE_US (1000 * 1000)

/*
 * What stands in the way and passes by itself, as an answer of the kernel that is about to be read
 * from a netlink socket: the tree goes on, and is looked at again.
 */
static int write_patiently(struct job *j, const struct cryo_dump_options *o, struct cryo_dump **ret)
{
	int64_t end = g_get_monotonic_time() + PATIENCE_US;
	int r = -EAGAIN;

	for (unsigned i = 0; r == -EAGAIN && i < TRIES; i++) {
		CLEANUP(cryo_dump_drop) struct cryo_dump *d = NULL;

		if (i && g_get_monotonic_time() > end)
			break;
		if (j->streamer.names && j->streamer.names->len) /* once there, there for good */
			break;
		if (i) {
			log_debug("dump: try %u: %s", i, err_message());
			err_clear();
			g_usleep(MIN(200u * i, 20000));
		}
		r = cryo_dump_new(o, &d);
		if (r == 0 && cryo_dump_threads(d) >= IMAGES_MANY)
			images_spread(&j->images);
		if (r == 0)
			r = cryo_dump_write(d, j->images.aside);
		if (r == 0)
			*ret = g_steal_pointer(&d);
	}
	return r;
}

/* In words that callers of CRIU look for. */
static int tell_before(struct session *s, pid_t pid)
{
	int r = stage_tell(s, "pre-dump", pid, -1);

	return r < 0 ? err_wrap(r, "Pre dump script failed") : 0;
}

/* Callers of the RPC may know of more that stays outside. */
static int query_files(struct job *j, struct cryo_dump_options *o)
{
	g_auto(GStrv) words = NULL;
	int r = j->s->notify >= 0 ? rpc_query_files(j->s->notify, &words) : 0;

	if (r == 0)
		r = externals_add(words, j->externals);
	o->externals = j->externals->v;
	o->nexternals = j->externals->n;
	return r;
}

static int write_all(struct job *j, struct cryo_dump_options *o)
{
	CLEANUP(cryo_dump_drop) struct cryo_dump *d = NULL;
	int r = tell_before(j->s, o->pid);

	if (r == 0)
		r = query_files(j, o);
	if (r == 0)
		r = write_patiently(j, o, &d);
	if (r == 0)
		r = finish(j, d);
	if (r == 0 && j->s->o.display_stats)
		dump_print_stats(cryo_dump_stats(d));
	return r;
}

/* Whoever is frozen saves nothing. */
static int check_outside(pid_t root)
{
	pid_t pid = getpid();

	while (pid > 0) {
		CLEANUP(proc_close) struct proc p = PROC_NONE;
		struct procstat st;

		if (pid == root) /* words that callers of CRIU look for */
			return err_set(EINVAL,
				       "The criu itself is within dumped tree: process %d is its "
				       "root; call it from outside",
				       root);
		if (proc_open(pid, &p) < 0 || procstat_read(p.dir, &st) < 0) {
			err_clear();
			return 0;
		}
		pid = st.ppid;
	}
	return 0;
}

int dump_check_tree(const struct options *o)
{
	int r;

	if (o->tree < 1)
		return err_set(EINVAL, "which tree? use --tree PID");
	r = check_outside((pid_t)o->tree);
	if (r == 0)
		program_await((pid_t)o->tree, PROGRAM_TIMEOUT_MS);
	return r;
}

static int check_options(const struct options *o)
{
	if (o->leave_running && o->leave_stopped)
		return err_set(EINVAL, "--leave-running and --leave-stopped exclude each other");
	if (o->lazy_pages && (o->leave_running || o->leave_stopped || o->page_server))
		return err_set(EINVAL,
			       "--lazy-pages excludes --leave-running, --leave-stopped and "
			       "--page-server: the tree ends when another place has its memory");
	if (o->stream && (o->lazy_pages || o->page_server || o->prev_images_dir))
		return err_set(EINVAL, "--stream excludes --lazy-pages, --page-server and "
				       "--prev-images-dir: all images are in the stream");
	if (o->lazy_pages && !o->port && o->ps_socket < 0)
		return err_set(EINVAL, "--lazy-pages needs --port, or --ps-socket");
	return dump_check_tree(o);
}

static struct cryo_dump_options options_of(struct session *s)
{
	return (struct cryo_dump_options){
		.pid = (pid_t)s->o.tree,
		.cgroups = &s->o.freeze_cgroup,
		.ncgroups = s->o.freeze_cgroup ? 1 : 0,
		.shell_job = s->o.shell_job,
		.standalone = true,
		.ghost_limit = s->o.ghost_limit,
		.leave_running = s->o.leave_running || s->o.leave_stopped,
		.track_mem = s->o.track_mem,
		.tcp_established = s->o.tcp_established,
		.tcp_close = s->o.tcp_close,
		.no_netlock = g_strcmp0(s->o.network_lock, "skip") == 0,
		.lock_net = true,
		.skip_in_flight = s->o.skip_in_flight,
		.ext_unix_sk = s->o.ext_unix_sk && !s->o.ext_unix_sk[0],
		.snapshot = s->o.leave_running,
		.lazy = s->o.lazy_pages,
		.link_remap = s->o.link_remap,
		.file_locks = s->o.file_locks,
		.allow_uprobes = s->o.allow_uprobes,
		.orphan_masters = s->o.orphan_pts_master,
		.new_root = s->o.root,
		.external_sharing = s->o.external_sharing,
		.external_masters = s->o.external_masters,
		.skipped_mounts = (const char *const *)s->o.skipped_mounts,
		.nskipped_mounts = s->o.skipped_mounts ? g_strv_length(s->o.skipped_mounts) : 0,
		.cgroup_controllers = s->o.cgroup_controllers,
		.cgroup_yard = s->cgroup_yard,
		.empty_net = s->o.empty_ns,
		.manage_cgroups = s->o.manage_cgroups && strcmp(s->o.manage_cgroups, "ignore") != 0,
		.stage = stage_tell,
		.stage_arg = s,
	};
}

static int dump(struct session *s)
{
	CLEANUP(cgprops_clear) struct cryo_cgroup_props props = {0};
	CLEANUP(externals_clear) struct externals x = {0};
	g_autofree char *enabled = s->o.enabled_fs ? g_strjoinv(",", s->o.enabled_fs) : NULL;
	struct job j = {.s = s, .images = IMAGES_NONE, .streamer = STREAMER_NONE, .externals = &x};
	autoclose int parent = -1, server = -1;
	struct cryo_dump_options o = options_of(s);
	int r = check_options(&s->o);

	if (r == 0)
		r = externals_parse(&s->o, &x);
	if (r == 0)
		r = cgprops_parse(&s->o, &props);
	if (r == 0 && s->o.ext_unix_sk && s->o.ext_unix_sk[0])
		r = externals_add_unix(s->o.ext_unix_sk, &x);
	if (r == 0 && s->rpc_sock >= 0)
		r = externals_add_service(s->rpc_sock, &x);
	if (r < 0)
		return r;
	o.enabled_fs = enabled;
	o.cgroup_props = &props;
	o.externals = x.v;
	o.nexternals = x.n;
	r = parent_open(s, &o, &parent);
	if (r < 0)
		return r;
	if (s->o.dry_run)
		return dry_run(s, &o);
	r = pages_elsewhere(s, &o, &server);
	if (r == 0 && s->o.stream)
		r = streamer_connect(s, STREAMER_CAPTURE, &j.streamer);
	if (r == 0 && s->o.stream)
		o.pages_stream = &j.streamer.pages;
	if (r == 0)
		r = images_begin(&j.images, s->images);
	j.images.pages_stay = s->o.page_server;
	if (r == 0)
		r = guard_begin(s->o.timeout_s, undo, &j);
	if (r == 0)
		r = write_all(&j, &o);
	guard_end();
	streamer_close(&j.streamer);
	images_drop(&j.images);
	if (r < 0) {
		session_say(s, "Dumping FAILED.");
		return r;
	}
	session_say(s, "Dumping finished successfully");
	session_ready(s);
	return 0;
}

const struct action action_dump = {
	.name = "dump",
	.log = "dump.log",
	.needs_images = true,
	.brief = "Save a tree and end it",
	.run = dump,
};
