/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's own /proc, seen through /proc/PID/root, lists its processes with the numbers that
 * they have inside; nothing has to enter a namespace.  A container without a pid namespace of its
 * own sees the whole host there, so only those in its cgroup count.
 */
#include "engine/top.h"
#include "base/dir.h"
#include "base/file.h"
#include "engine/options.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>

#define FILE_MAX_ (4 << 20)

struct process {
	int dir; /* /proc/PID, of the container's /proc */
	int pid, ppid, pgid, tty, nice;
	char state;
	unsigned long long utime, stime, start, vsize; /* ticks; bytes */
	long rss_pages;
	unsigned uid, euid, gid, egid;
	char *comm, *status;
};

struct top {
	int root; /* of the container */
	char *passwd, *group;
	int64_t boot_ns; /* CLOCK_BOOTTIME: now */
	long ticks;
};

static void process_clear(struct process *p)
{
	if (p->dir >= 0)
		close(p->dir);
	g_free(p->comm);
	g_free(p->status);
}

static char *slurp(int dir, const char *name, size_t *len)
{
	char *text = NULL;

	if (file_read_at(dir, name, FILE_MAX_, &text, len) < 0) {
		err_clear();
		return NULL;
	}
	return text;
}

static char *slurp_in_root(int root, const char *name)
{
	autoclose int fd = dir_open_in_root(root, name, O_RDONLY | O_NONBLOCK);
	g_autofree char *self = g_strdup_printf("/proc/self/fd/%d", fd);

	return fd < 0 ? NULL : slurp(AT_FDCWD, self, NULL);
}

/* "name:x:ID:...": the name, or the number. */
static char *name_of(const char *table, unsigned id)
{
	const char *line = table;

	while (line && *line) {
		const char *end = strchrnul(line, '\n');
		const char *a = memchr(line, ':', (size_t)(end - line));
		const char *b = a ? memchr(a + 1, ':', (size_t)(end - a - 1)) : NULL;

		if (b && isdigit((unsigned char)b[1]) && strtoul(b + 1, NULL, 10) == id)
			return g_strndup(line, (gsize)(a - line));
		line = *end ? end + 1 : end;
	}
	return g_strdup_printf("%u", id);
}

static bool parse_stat(struct process *p, char *stat)
{
	char *open = strchr(stat, '('), *close = strrchr(stat, ')');

	if (!open || !close || close < open)
		return false;
	p->pid = atoi(stat);
	p->comm = g_strndup(open + 1, (gsize)(close - open - 1));
	return sscanf(close + 1,
		      " %c %d %d %*d %d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %d %*d %*d "
		      "%llu %llu %ld",
		      &p->state, &p->ppid, &p->pgid, &p->tty, &p->utime, &p->stime, &p->nice,
		      &p->start, &p->vsize, &p->rss_pages) == 10;
}

static void parse_ids(struct process *p)
{
	const char *uid = p->status ? strstr(p->status, "\nUid:") : NULL;
	const char *gid = p->status ? strstr(p->status, "\nGid:") : NULL;

	if (uid)
		sscanf(uid + 5, " %u %u", &p->uid, &p->euid);
	if (gid)
		sscanf(gid + 5, " %u %u", &p->gid, &p->egid);
}

static bool read_process(int proc, const char *name, struct process *p)
{
	g_autofree char *stat = NULL;

	*p = (struct process){.dir = openat(proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
	if (p->dir < 0)
		return false;
	stat = slurp(p->dir, "stat", NULL);
	p->status = slurp(p->dir, "status", NULL);
	if (!stat || !parse_stat(p, stat))
		return false; /* it has ended meanwhile */
	parse_ids(p);
	return true;
}

/* A field of /proc/PID/status. */
static char *status_field(const struct process *p, const char *key)
{
	g_autofree char *start = g_strdup_printf("\n%s:", key);
	const char *at = p->status ? strstr(p->status, start) : NULL;

	if (!at)
		return g_strdup("?");
	at += strlen(start);
	at += strspn(at, " \t");
	return g_strndup(at, strcspn(at, "\n"));
}

static double run_seconds(const struct top *t, const struct process *p)
{
	double v = (double)t->boot_ns / 1e9 - (double)p->start / (double)t->ticks;

	return v > 0 ? v : 0;
}

/* Go's time.Duration. */
static char *duration(double s)
{
	g_autofree char *text = NULL;
	char *dot;

	if (s < 1e-9)
		return g_strdup("0s");
	if (s < 1)
		return g_strdup_printf("%gms", (double)(long)(s * 1e6) / 1e3);
	text = g_strdup_printf("%.6f", s >= 60 ? s - 60 * (double)(long)(s / 60) : s);
	dot = text + strlen(text) - 1;
	while (*dot == '0')
		*dot-- = '\0';
	if (*dot == '.')
		*dot = '\0';
	if (s < 60)
		return g_strdup_printf("%ss", text);
	if (s < 3600)
		return g_strdup_printf("%ldm%ss", (long)s / 60, text);
	return g_strdup_printf("%ldh%ldm%ss", (long)s / 3600, (long)s / 60 % 60, text);
}

static char *get_args(const struct top *t, const struct process *p)
{
	size_t len = 0;
	char *line = slurp(p->dir, "cmdline", &len);

	if (!line || !len) {
		g_free(line);
		return g_strdup_printf("[%s]", p->comm);
	}
	for (size_t i = 0; i + 1 < len; i++)
		if (!line[i])
			line[i] = ' ';
	return line;
}

static char *get_user(const struct top *t, const struct process *p)
{
	return name_of(t->passwd, p->euid);
}

static char *get_ruser(const struct top *t, const struct process *p)
{
	return name_of(t->passwd, p->uid);
}

static char *get_group(const struct top *t, const struct process *p)
{
	return name_of(t->group, p->egid);
}

static char *get_rgroup(const struct top *t, const struct process *p)
{
	return name_of(t->group, p->gid);
}

static char *get_pid(const struct top *t, const struct process *p)
{
	return g_strdup_printf("%d", p->pid);
}

static char *get_ppid(const struct top *t, const struct process *p)
{
	return g_strdup_printf("%d", p->ppid);
}

static char *get_pgid(const struct top *t, const struct process *p)
{
	return g_strdup_printf("%d", p->pgid);
}

static char *get_nice(const struct top *t, const struct process *p)
{
	return g_strdup_printf("%d", p->nice);
}

static char *get_state(const struct top *t, const struct process *p)
{
	return g_strdup_printf("%c", p->state);
}

static char *get_comm(const struct top *t, const struct process *p)
{
	return g_strdup(p->comm);
}

static char *get_pcpu(const struct top *t, const struct process *p)
{
	double ran = run_seconds(t, p);
	double cpu = (double)(p->utime + p->stime) / (double)t->ticks;

	return g_strdup_printf("%.3f", ran > 0 ? cpu / ran * 100 : 0.0);
}

static char *get_etime(const struct top *t, const struct process *p)
{
	return duration(run_seconds(t, p));
}

static char *get_time(const struct top *t, const struct process *p)
{
	return duration((double)(p->utime + p->stime) / (double)t->ticks);
}

/* Majors: 136-143 pts, 4 tty and ttyS; Documentation/admin-guide/devices.txt. */
static char *get_tty(const struct top *t, const struct process *p)
{
	unsigned maj = major((dev_t)p->tty), min = minor((dev_t)p->tty);

	if (maj >= 136 && maj <= 143)
		return g_strdup_printf("pts/%u", min + (maj - 136) * 256);
	if (maj == 4)
		return min < 64 ? g_strdup_printf("tty%u", min)
				: g_strdup_printf("ttyS%u", min - 64);
	return g_strdup("?");
}

static char *get_vsz(const struct top *t, const struct process *p)
{
	return g_strdup_printf("%llu", p->vsize / 1024);
}

static char *get_rss(const struct top *t, const struct process *p)
{
	return g_strdup_printf("%ld", p->rss_pages * (sysconf(_SC_PAGESIZE) / 1024));
}

static char *get_stime(const struct top *t, const struct process *p)
{
	time_t when = time(NULL) - (time_t)run_seconds(t, p);
	char text[64];
	struct tm tm;

	localtime_r(&when, &tm);
	strftime(text, sizeof(text), "%a %b %e %H:%M:%S %Y", &tm);
	return g_strdup(text);
}

#define STATUS_GETTER(fn, key)                                                                     \
	static char *fn(const struct top *t, const struct process *p)                              \
	{                                                                                          \
		return status_field(p, key);                                                       \
	}
STATUS_GETTER(get_capamb, "CapAmb")
STATUS_GETTER(get_capbnd, "CapBnd")
STATUS_GETTER(get_capeff, "CapEff")
STATUS_GETTER(get_capinh, "CapInh")
STATUS_GETTER(get_capprm, "CapPrm")
STATUS_GETTER(get_groups, "Groups")

static char *get_seccomp(const struct top *t, const struct process *p)
{
	static const char *const modes[] = {"disabled", "strict", "filter"};
	g_autofree char *mode = status_field(p, "Seccomp");

	return g_strdup(*mode >= '0' && *mode <= '2' ? modes[*mode - '0'] : "?");
}

struct descriptor {
	const char *name, *code, *header; /* CODE: that of ps(1) */
	char *(*get)(const struct top *t, const struct process *p);
};

static const struct descriptor descriptors[] = {
	{"user", "%U", "USER", get_user},
	{"pid", "%p", "PID", get_pid},
	{"ppid", "%P", "PPID", get_ppid},
	{"pcpu", "%C", "%CPU", get_pcpu},
	{"etime", "%t", "ELAPSED", get_etime},
	{"tty", "%y", "TTY", get_tty},
	{"time", "%x", "TIME", get_time},
	{"args", "%a", "COMMAND", get_args},
	{"comm", "%c", "COMMAND", get_comm},
	{"group", "%G", "GROUP", get_group},
	{"rgroup", "%g", "RGROUP", get_rgroup},
	{"ruser", "%u", "RUSER", get_ruser},
	{"nice", "%n", "NI", get_nice},
	{"pgid", "%r", "PGID", get_pgid},
	{"vsz", "%z", "VSZ", get_vsz},
	{"rss", NULL, "RSS", get_rss},
	{"state", NULL, "STATE", get_state},
	{"stime", NULL, "STIME", get_stime},
	{"seccomp", NULL, "SECCOMP", get_seccomp},
	{"groups", NULL, "GROUPS", get_groups},
	{"capamb", NULL, "AMBIENT CAPS", get_capamb},
	{"capbnd", NULL, "BOUNDING CAPS", get_capbnd},
	{"capeff", NULL, "EFFECTIVE CAPS", get_capeff},
	{"capinh", NULL, "INHERITED CAPS", get_capinh},
	{"capprm", NULL, "PERMITTED CAPS", get_capprm},
};
#define DEFAULT_COLUMNS 8 /* the first ones */

static int find(const char *name, const struct descriptor **ret)
{
	for (unsigned i = 0; i < ARRAY_SIZE(descriptors); i++) {
		const struct descriptor *d = &descriptors[i];

		if (!strcasecmp(d->name, name) || (d->code && !strcmp(d->code, name))) {
			*ret = d;
			return 0;
		}
	}
	return err_set(EINVAL,
		       "'%s': unknown descriptor: use user, pid, ppid, pcpu, etime, tty, "
		       "time, args, comm, group, nice, pgid, vsz, rss, state, seccomp ...",
		       name);
}

/* Names may be joined by commas or blanks: "pid,user". */
static int choose(const char *const *names, GPtrArray *to)
{
	if (!names || !*names)
		for (unsigned i = 0; i < DEFAULT_COLUMNS; i++)
			g_ptr_array_add(to, (void *)&descriptors[i]);
	for (; names && *names; names++) {
		g_auto(GStrv) parts = g_strsplit_set(*names, ", ", -1);

		for (char **p = parts; *p; p++) {
			const struct descriptor *d = NULL;
			int r = **p ? find(*p, &d) : 1;

			if (r < 0)
				return r;
			if (r == 0)
				g_ptr_array_add(to, (void *)d);
		}
	}
	return 0;
}

static void add_row(GPtrArray *rows, const GPtrArray *columns, const struct top *t,
		    const struct process *p)
{
	char **row = g_new0(char *, columns->len + 1);

	for (unsigned i = 0; i < columns->len; i++) {
		const struct descriptor *d = columns->pdata[i];

		row[i] = p ? d->get(t, p) : g_strdup(d->header);
	}
	g_ptr_array_add(rows, row);
}

/* The cgroup of a process, without what the container has made below its own. */
static bool same_cgroup(const char *mine, const struct process *p)
{
	g_autofree char *theirs = slurp(p->dir, "cgroup", NULL);

	return theirs && mine && g_str_has_prefix(theirs, mine);
}

static int by_pid(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static int list_pids(int proc, GArray *ret)
{
	DIR *d = fdopendir(fcntl(proc, F_DUPFD_CLOEXEC, 3));
	struct dirent *de;

	if (!d)
		return err_errno("list the container's processes");
	while ((de = readdir(d))) {
		int pid = atoi(de->d_name);

		if (pid > 0)
			g_array_append_val(ret, pid);
	}
	closedir(d);
	g_array_sort(ret, by_pid);
	return 0;
}

static int rows_of(struct top *t, int proc, const char *cgroup, const GPtrArray *columns,
		   GPtrArray *rows)
{
	g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(int));
	int r = list_pids(proc, pids);

	for (unsigned i = 0; r == 0 && i < pids->len; i++) {
		CLEANUP(process_clear) struct process p = {.dir = -1};
		char name[16];

		g_snprintf(name, sizeof(name), "%d", g_array_index(pids, int, i));
		if (read_process(proc, name, &p) && (!cgroup || same_cgroup(cgroup, &p)))
			add_row(rows, columns, t, &p);
	}
	return r;
}

static int open_places(struct container *c, struct top *t, int *ret_proc, char **ret_cgroup)
{
	g_autofree char *root = g_strdup_printf("/proc/%d/root", c->state.pid);
	g_autofree char *cgroup = g_strdup_printf("/proc/%d/cgroup", c->state.pid);
	const struct container_options *o;
	bool shared;
	int r = container_options(c, &o);

	if (r < 0)
		return r;
	shared = o->pid && strcmp(o->pid, "private") != 0;
	t->root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->root < 0)
		return err_errno("open %s", root);
	*ret_proc =
		shared ? open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
		       : openat(t->root, "proc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*ret_proc < 0)
		return err_errno("open /proc of container %s", c->name);
	if (shared)
		*ret_cgroup = slurp(AT_FDCWD, cgroup, NULL);
	t->passwd = slurp_in_root(t->root, "etc/passwd");
	t->group = slurp_in_root(t->root, "etc/group");
	return 0;
}

int container_top(struct engine *e, struct container *c, const char *const *names, GPtrArray **ret)
{
	g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
	g_autoptr(GPtrArray) columns = g_ptr_array_new();
	struct top t = {.root = -1, .ticks = sysconf(_SC_CLK_TCK)};
	g_autofree char *cgroup = NULL, *passwd = NULL, *group = NULL;
	autoclose int proc = -1, root = -1;
	struct timespec now;
	int r = container_reload(e, c);

	if (r < 0)
		return r;
	if (!container_is_running(c))
		return err_set(EINVAL, "top can only be used on running containers");
	r = choose(names, columns);
	if (r < 0)
		return r;
	clock_gettime(CLOCK_BOOTTIME, &now);
	t.boot_ns = now.tv_sec * 1000000000LL + now.tv_nsec;
	r = open_places(c, &t, &proc, &cgroup);
	root = t.root;
	passwd = t.passwd;
	group = t.group;
	if (r < 0)
		return r;
	add_row(rows, columns, &t, NULL);
	r = rows_of(&t, proc, cgroup, columns, rows);
	if (r < 0)
		return r;
	*ret = g_steal_pointer(&rows);
	return 0;
}
