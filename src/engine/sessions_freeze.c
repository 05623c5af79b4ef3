/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "base/log.h"
#include "engine/ckfiles.h"
#include "engine/exec_store.h"
#include "engine/sessions.h"
#include "engine/spec.h"
#include "kernel/fdinfo.h"
#include "kernel/proc.h"
#include "kernel/procstat.h"
#include "kernel/procstatus.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define PTS_MAJOR	  136
#define CONMON_TIMEOUT_MS 5000

void sessions_clear(struct sessions *s)
{
	for (unsigned i = 0; s->conmons && i < s->conmons->len; i++)
		proc_close(&g_array_index(s->conmons, struct proc, i));
	g_clear_pointer(&s->guests, g_array_unref);
	g_clear_pointer(&s->externals, g_array_unref);
	g_clear_pointer(&s->conmons, g_array_unref);
	g_clear_pointer(&s->text, g_ptr_array_unref);
	json_decref(s->terminals);
	*s = SESSIONS_NONE;
}

static const char *own(struct sessions *s, char *text)
{
	g_ptr_array_add(s->text, text);
	return text;
}

static void add_external(struct sessions *s, const char *id, const char *which, char *key)
{
	struct cryo_external x = {
		.key = own(s, key),
		.name = own(s, g_strdup_printf("%s.%s", id, which)),
	};

	g_array_append_val(s->externals, x);
}

/* The terminal's other side is conmon's: the number is the same, the device is the container's. */
static int add_terminal(struct sessions *s, const struct container *c, const char *id,
			uint64_t index)
{
	g_autofree char *pts = g_strdup_printf("/proc/%d/root/dev/pts", c->state.pid);
	struct stat st;

	if (stat(pts, &st) < 0)
		return err_errno("look at %s", pts);
	add_external(s, id, "tty",
		     g_strdup_printf("tty[%lx:%lx]",
				     (unsigned long)makedev(PTS_MAJOR, (unsigned)index),
				     (unsigned long)st.st_dev));
	json_object_set_new(s->terminals, id, json_integer((json_int_t)index));
	return 0;
}

/*
 * What conmon reads from: stdout, then stderr, in the order in which it has made them; or the
 * master of a terminal.  Its other pipes are to us, and written.
 */
static int read_conmon(struct sessions *s, const struct container *c, const char *id,
		       const struct proc *conmon)
{
	static const char *const names[] = {"stdout", "stderr"};
	CLEANUP(pid_list_clear) struct pid_list fds = {0};
	unsigned pipes = 0;
	int r = proc_fds(conmon->dir, &fds);

	for (size_t i = 0; r == 0 && i < fds.n; i++) {
		g_autofree char *name = g_strdup_printf("fd/%d", fds.v[i]), *link = NULL;
		CLEANUP(fdinfo_clear) struct fdinfo info = {0};
		uint64_t index;

		r = proc_link(conmon->dir, name, &link);
		if (r == 0)
			r = fdinfo_read(conmon->dir, fds.v[i], &info);
		if (r < 0)
			break;
		if (g_str_has_prefix(link, "pipe:[") && (info.flags & O_ACCMODE) == O_RDONLY &&
		    pipes < ARRAY_SIZE(names))
			add_external(s, id, names[pipes++], g_steal_pointer(&link));
		else if (fdinfo_get(&info, "tty-index") &&
			 fdinfo_u64(&info, "tty-index", 10, &index) == 0)
			r = add_terminal(s, c, id, index);
	}
	return r;
}

static int check_caps(const struct container *c, const json_t *spec, const char *id,
		      const struct proc *p)
{
	CLEANUP(procstatus_clear) struct procstatus st = {0};
	uint64_t ceiling = spec_capability_ceiling(spec);
	int r = procstatus_read(p->dir, &st);

	if (r < 0 || !((st.cap_bnd | st.cap_prm) & ~ceiling))
		return r;
	return err_set(EOPNOTSUPP,
		       "exec session %.12s (process %d) has capabilities that the container has "
		       "not, as by --privileged, and could not get them again: end it first "
		       "(exec %s kill %d)",
		       id, pid_chain_inner(&st.nspid), c->name, pid_chain_inner(&st.nspid));
}

/* 1: it has just ended. */
static int read_session(struct sessions *s, const struct container *c, const json_t *spec,
			const struct exec_live *x)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE, conmon = PROC_NONE;
	struct procstat st;
	struct cryo_guest g = {.pid = x->pid};
	int r = proc_open(x->pid, &p);

	if (r == 0)
		r = procstat_read(p.dir, &st);
	if (r == 0)
		r = check_caps(c, spec, x->id, &p);
	if (r == 0)
		r = proc_open(st.ppid, &conmon);
	if (r < 0)
		return r == -ESRCH ? 1 : r;
	r = read_conmon(s, c, x->id, &conmon);
	if (r < 0)
		return r == -ESRCH || r == -ENOENT ? 1 : r;
	g.name = own(s, g_strdup(x->id));
	g_array_append_val(s->guests, g);
	g_array_append_val(s->conmons, conmon);
	conmon = PROC_NONE;
	return 0;
}

int sessions_read(struct engine *e, struct container *c, int dir, struct sessions *ret)
{
	g_autoptr(GArray) live = NULL;
	json_t *spec = NULL;
	int r = exec_live(e, c, &live);

	if (r == 0 && live->len)
		r = spec_read(dir, "config.json", &spec);

	*ret = (struct sessions){
		.guests = g_array_new(FALSE, FALSE, sizeof(struct cryo_guest)),
		.externals = g_array_new(FALSE, FALSE, sizeof(struct cryo_external)),
		.text = g_ptr_array_new_with_free_func(g_free),
		.conmons = g_array_new(FALSE, FALSE, sizeof(struct proc)),
		.terminals = json_object(),
	};
	for (unsigned i = 0; r >= 0 && i < live->len; i++)
		r = read_session(ret, c, spec, &g_array_index(live, struct exec_live, i));
	json_decref(spec);
	if (r > 0)
		err_clear();
	return r < 0 ? r : 0;
}

int sessions_write(const struct sessions *s, int images)
{
	g_autofree char *text = json_dumps(s->terminals, JSON_COMPACT);

	if (!s->guests->len)
		return 0;
	return file_write_at(images, CK_SESSIONS, text, strlen(text), 0600);
}

int sessions_end(struct engine *e, struct container *c, const struct sessions *s)
{
	g_autofree char *run = container_run_dir(e, c);
	int r = 0;

	for (unsigned i = 0; r == 0 && i < s->guests->len; i++) {
		const char *id = g_array_index(s->guests, struct cryo_guest, i).name;
		const struct proc *conmon = &g_array_index(s->conmons, struct proc, i);
		g_autofree char *dir = g_build_filename(run, "exec", id, NULL);

		if (proc_wait_end(conmon, CONMON_TIMEOUT_MS) != 1)
			log_debug("conmon (%d) of exec session %s stays", conmon->pid, id);
		r = exec_record_delete(e, id);
		if (r == 0)
			r = file_remove_tree_at(AT_FDCWD, dir);
	}
	return r;
}
