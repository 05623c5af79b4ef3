/* SPDX-License-Identifier: Apache-2.0 */
#include "cryo/session.h"
#include "cryo/images.h"

#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int log_fd = -1;
static struct timespec started;

/* "(00.001234) Error (cryo): ...": tools that read CRIU's logs look for such lines. */
static void print(enum log_level level, const char *text)
{
	static const char *const words[] = {
		[LOG_WARN] = "Warn  (cryo): ", [LOG_ERROR] = "Error (cryo): "};
	g_autofree char *line = NULL;
	struct timespec now;
	int64_t us;

	if (log_fd < 0)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	us = (now.tv_sec - started.tv_sec) * 1000000 + (now.tv_nsec - started.tv_nsec) / 1000;
	line = g_strdup_printf("(%02d.%06d) %s%s\n", (int)(us / 1000000), (int)(us % 1000000),
			       words[level] ?: "", text);
	/* one write, so that lines of several processes do not mix */
	if (write(log_fd, line, strlen(line)) < 0)
		return; /* a full disk: the log is what can be missed */
}

static int open_dir(const char *path, const char *what, int *ret)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_errno("%s %s", what, path);
	*ret = fd;
	return 0;
}

static int open_dirs(struct session *s)
{
	int r = open_dir(s->o.images_dir ?: ".", "images directory", &s->images);

	if (r < 0 || !s->o.work_dir) {
		s->work = s->images;
		return r;
	}
	return open_dir(s->o.work_dir, "work directory", &s->work);
}

static int open_log(struct session *s, const char *name)
{
	if (s->log_stderr) /* and no line twice */
		s->log = fd_dup_above(STDERR_FILENO, 3);
	else if (!name)
		return 0;
	else if (strcmp(name, "-") == 0)
		s->log = fd_dup_above(STDOUT_FILENO, 3);
	else
		s->log = openat(s->work >= 0 ? s->work : AT_FDCWD, name,
				O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (s->log < 0)
		return err_errno("log file %s", name);
	log_fd = s->log;
	return 0;
}

static enum log_level level_of(int64_t verbosity)
{
	static const enum log_level levels[] = {LOG_ERROR, LOG_ERROR, LOG_WARN, LOG_INFO};

	if (verbosity < 0)
		return LOG_WARN;
	return verbosity < (int64_t)ARRAY_SIZE(levels) ? levels[verbosity] : LOG_DEBUG;
}

/* As CRIU has it, from the work directory. */
static int open_yard(struct session *s)
{
	const char *given = s->o.cgroup_yard;
	g_autofree char *path = NULL;
	char *real;

	if (!given || s->work < 0)
		return 0;
	path = *given == '/' ? g_strdup(given)
			     : g_strdup_printf("/proc/self/fd/%d/%s", s->work, given);
	real = realpath(path, NULL);
	if (!real)
		return err_errno("option --cgroup-yard %s", given);
	s->cgroup_yard = g_strdup(real);
	free(real);
	return 0;
}

static void close_what_is_not_wanted(const struct session *s)
{
	for (char **one = s->o.closed; one && *one; one++) {
		char *end;
		long fd = strtol(*one, &end, 10);

		if (end == *one || *end || fd < 0 || fd > INT32_MAX || close((int)fd) < 0)
			log_warn("--close %s: that is no descriptor of ours", *one);
	}
}

int session_open(struct session *s, const struct action *a)
{
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &started);
	log_threshold = level_of(s->o.verbosity);
	log_printer = print;
	close_what_is_not_wanted(s);
	if (a->needs_images || s->o.images_dir || s->o.work_dir)
		r = open_dirs(s);
	if (r == 0)
		r = open_yard(s);
	if (r == 0 && s->o.prev_images_dir && s->images >= 0)
		r = images_previous(s->images, s->o.prev_images_dir, &s->previous);
	return r < 0 ? r : open_log(s, s->o.log_file ?: s->log_name ?: a->log);
}

void session_close(struct session *s)
{
	options_clear(&s->o);
	g_clear_pointer(&s->cgroup_yard, g_free);
	g_clear_pointer(&s->previous, g_free);
	cleanup_close(&s->log);
	log_fd = -1;
	if (s->work != s->images)
		cleanup_close(&s->work);
	cleanup_close(&s->images);
}

/* One line, whatever is in the names that images have; terminals are not told anything by them. */
void session_report_error(struct session *s)
{
	g_autofree char *text = g_strdup(err_message());

	for (char *c = text; *c; c++)
		if (g_ascii_iscntrl(*c))
			*c = '?';
	print(LOG_ERROR, text);
	if (!s->log_stderr)
		fprintf(stderr, "Error: %s\n", text);
}

void session_say(struct session *s, const char *text)
{
	print(LOG_INFO, text);
}

void session_ready(struct session *s)
{
	if (s->o.status_fd < 0)
		return;
	if (write((int)s->o.status_fd, "", 1) != 1)
		log_warn("--status-fd %d: %s", (int)s->o.status_fd, strerror(errno));
	close((int)s->o.status_fd);
	s->o.status_fd = -1;
}
