/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/logs.h"
#include "engine/exit.h"
#include "engine/logfile.h"
#include "engine/options.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>

struct source {
	struct container *c;
	struct logfile file;
	bool mid[2]; /* by stream: the line that we printed last goes on */
};

struct show {
	struct engine *e;
	const struct logs_options *o;
	FILE *to[2]; /* stdout, stderr */
	struct source *v;
	unsigned n;
};

/* RFC3339Nano as Go prints it: no zeros at the end of the fraction, Z for UTC. */
static void print_stamp(FILE *to, const struct logline *l)
{
	const char *dot = memchr(l->stamp, '.', l->stamp_len);
	size_t end, zone;

	if (!dot) {
		fprintf(to, "%.*s ", (int)l->stamp_len, l->stamp);
		return;
	}
	end = (size_t)(dot - l->stamp) + 1;
	end += strspn(dot + 1, "0123456789");
	zone = end;
	while (l->stamp[end - 1] == '0')
		end--;
	if (l->stamp[end - 1] == '.')
		end--;
	fprintf(to, "%.*s", (int)end, l->stamp);
	if (l->stamp_len - zone == 6 && !strncmp(l->stamp + zone, "+00:00", 6))
		fputs("Z ", to);
	else
		fprintf(to, "%.*s ", (int)(l->stamp_len - zone), l->stamp + zone);
}

static void print(struct show *s, struct source *src)
{
	const struct logline *l = &src->file.line;
	FILE *to = s->to[l->stderr_];
	bool *mid = &src->mid[l->stderr_];

	if (!*mid) {
		if (s->n > 1 && s->o->names)
			fprintf(to, "%s ", src->c->name);
		else if (s->n > 1)
			fprintf(to, "%.12s ", src->c->id);
		if (s->o->timestamps)
			print_stamp(to, l);
	}
	fwrite(l->text, 1, l->len, to);
	if (!l->partial)
		fputc('\n', to);
	*mid = l->partial;
}

/* The source with the oldest line; 0: none has one. */
static int pick(struct show *s, struct source **ret)
{
	*ret = NULL;
	for (unsigned i = 0; i < s->n; i++) {
		struct source *src = &s->v[i];
		int r = src->file.have ? 1 : logfile_next(&src->file);

		if (r < 0)
			return r;
		if (r > 0 && (!*ret || src->file.line.time_ns < (*ret)->file.line.time_ns))
			*ret = src;
	}
	return *ret != NULL;
}

/* 1: everything up to --until was printed. */
static int drain(struct show *s)
{
	struct source *src;
	int r;

	while ((r = pick(s, &src)) > 0) {
		int64_t t = src->file.line.time_ns;

		if (s->o->until_ns && t > s->o->until_ns) {
			fflush(s->to[0]);
			return 1;
		}
		if (t >= s->o->since_ns)
			print(s, src);
		src->file.have = false;
	}
	fflush(s->to[0]);
	fflush(s->to[1]);
	if (ferror(s->to[0]))
		return err_set(EPIPE, "write the log: nobody reads it");
	return r;
}

/* 1: at least one still runs.  A container that is gone has ended. */
static int any_running(struct show *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		int r = container_reload(s->e, s->v[i].c);

		if (r == -ENOENT) {
			err_clear();
			continue;
		}
		if (r < 0)
			return r;
		if (container_is_running(s->v[i].c))
			return 1;
	}
	return 0;
}

/* Directories, so that a rotated or late log is seen, too. */
static int watch_logs(struct show *s, int *ret)
{
	autoclose int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd < 0)
		return err_errno("inotify");
	for (unsigned i = 0; i < s->n; i++) {
		g_autofree char *dir = g_path_get_dirname(s->v[i].file.path);

		if (inotify_add_watch(fd, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
			return err_errno("watch %s", dir);
	}
	*ret = take_fd(&fd);
	return 0;
}

static int until_timeout(const struct show *s)
{
	int64_t left_ns;

	if (!s->o->until_ns)
		return 2000; /* a conmon that was killed wakes nobody */
	left_ns = s->o->until_ns - engine_now_ns();
	return (int)CLAMP(left_ns / 1000000, 0, 2000);
}

static int follow(struct show *s)
{
	autoclose int logs = -1, changes = -1;
	int r = watch_logs(s, &logs);

	if (r == 0)
		r = exit_watch_open(s->e, &changes);
	if (r < 0)
		return r;
	for (;;) {
		/* Asked before reading: what was written before the end is then all read. */
		int running = any_running(s);

		if (running < 0)
			return running;
		r = drain(s);
		if (r != 0 || !running)
			return r < 0 ? r : 0;
		if (s->o->until_ns && engine_now_ns() >= s->o->until_ns)
			return 0;
		/* Output is frequent, changes are rare: only the latter are worth a look at states.
		 */
		for (bool quiet = true; quiet;) {
			struct pollfd p[2] = {{.fd = logs, .events = POLLIN},
					      {.fd = changes, .events = POLLIN}};
			int timeout = until_timeout(s);

			r = poll(p, 2, timeout);
			if (r < 0 && errno != EINTR)
				return err_errno("poll");
			if (p[1].revents || r <= 0)
				quiet = false;
			if (p[0].revents) {
				r = exit_watch_wait(logs, -1, 0);
				if (r == 0)
					r = drain(s);
				if (r != 0)
					return r < 0 ? r : 0;
			}
		}
		r = exit_watch_wait(changes, -1, 0);
		if (r < 0)
			return r;
	}
}

static int open_sources(struct show *s, struct container *const *c)
{
	for (unsigned i = 0; i < s->n; i++) {
		g_autofree char *path = container_log_path(s->e, c[i]);
		const struct container_options *o;
		int r = container_options(c[i], &o);

		if (r < 0)
			return r;
		s->v[i].c = c[i];
		logfile_init(&s->v[i].file, path);
		if (o->log_driver && !strcmp(o->log_driver, "none"))
			return err_set(EINVAL,
				       "this container is using the 'none' log driver, cannot read "
				       "logs: this container is not logging output");
		if (s->o->tail >= 0)
			r = logfile_tail(&s->v[i].file, s->o->tail);
		if (r < 0)
			return r;
	}
	return 0;
}

int logs_show(struct engine *e, struct container *const *c, unsigned n,
	      const struct logs_options *o, FILE *out, FILE *err)
{
	g_autofree struct source *v = g_new0(struct source, n);
	struct show s = {.e = e, .o = o, .to = {out, err}, .v = v, .n = n};
	int r = open_sources(&s, c);

	if (r == 0)
		r = drain(&s);
	for (unsigned i = 0; i < n; i++)
		v[i].file.limit = 0;
	if (r == 0 && o->follow)
		r = follow(&s);
	for (unsigned i = 0; i < n; i++)
		logfile_clear(&v[i].file);
	fflush(out);
	return r < 0 ? r : 0;
}

/* Go's durations: "1h10m", "1.5s", "300ms". */
static bool parse_duration(const char *text, double *ret_ns)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
	double total = 0;

	if (!*text)
		return false;
	while (*text) {
		double factor = 0, v;
		size_t len;
		char *end;

		if (!strchr("0123456789.", *text))
			return false;
		v = g_ascii_strtod(text, &end);
		len = strcspn(end, "0123456789.");
		for (unsigned i = 0; i < ARRAY_SIZE(units); i++)
			if (strlen(units[i].unit) == len && !strncmp(end, units[i].unit, len))
				factor = units[i].ns;
		if (factor == 0)
			return false;
		total += v * factor;
		text = end + len;
	}
	*ret_ns = total;
	return true;
}

/* Local time, as precise as it was given. */
static bool parse_local(const char *text, int64_t *ret_ns)
{
	static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};

	for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
		struct tm tm = {.tm_isdst = -1};
		const char *end = strptime(text, forms[i], &tm);

		if (end && !*end) {
			*ret_ns = (int64_t)mktime(&tm) * 1000000000;
			return true;
		}
	}
	return false;
}

static int parse_time(const char *text, bool since, int64_t *ret_ns)
{
	double v;
	char *end;

	if (parse_duration(text, &v)) {
		*ret_ns = engine_now_ns() + (int64_t)(since ? -v : v);
		return 0;
	}
	if (parse_local(text, ret_ns) || logline_parse_stamp(text, strlen(text), ret_ns) == 0)
		return 0;
	err_clear();
	v = g_ascii_strtod(text, &end);
	if (end != text && !*end && isfinite(v)) {
		*ret_ns = (int64_t)(v * 1e9);
		return 0;
	}
	return err_set(EINVAL,
		       "unable to interpret time value \"%s\": use a time such as "
		       "2026-11-21T07:00:00Z, seconds since 1970, or a duration such as 10m",
		       text);
}

int logs_parse_time(const char *text, int64_t *ret_ns)
{
	return parse_time(text, true, ret_ns);
}

int logs_parse_until(const char *text, int64_t *ret_ns)
{
	return parse_time(text, false, ret_ns);
}
