/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define CHUNK	  65536
#define LINE_MAX_ (16 << 20) /* conmon cuts at 8 KiB and marks the parts */

static int digits(const char *s, size_t n)
{
	int v = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		v = v * 10 + (s[i] - '0');
	}
	return v;
}

/* "Z", "+hh:mm" or "-hh:mm" at S: seconds east of Greenwich. */
static int parse_zone(const char *s, size_t len, int *ret)
{
	int h, m;

	*ret = 0;
	if (len == 1 && (*s == 'Z' || *s == 'z'))
		return 0;
	if (len != 6 || (*s != '+' && *s != '-') || s[3] != ':')
		return -EINVAL;
	h = digits(s + 1, 2);
	m = digits(s + 4, 2);
	if (h < 0 || m < 0)
		return -EINVAL;
	*ret = (h * 3600 + m * 60) * (*s == '-' ? -1 : 1);
	return 0;
}

static int bad_stamp(const char *s, size_t len)
{
	return err_set(EINVAL, "\"%.*s\" is not a time", (int)MIN(len, 64), s);
}

int logline_parse_stamp(const char *s, size_t len, int64_t *ret_ns)
{
	struct tm tm = {0};
	int64_t ns = 0, unit = 100000000;
	size_t i = 19;
	int zone;

	if (len < 20 || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':')
		return bad_stamp(s, len);
	tm.tm_year = digits(s, 4) - 1900;
	tm.tm_mon = digits(s + 5, 2) - 1;
	tm.tm_mday = digits(s + 8, 2);
	tm.tm_hour = digits(s + 11, 2);
	tm.tm_min = digits(s + 14, 2);
	tm.tm_sec = digits(s + 17, 2);
	if (tm.tm_year < 0 || tm.tm_mon < 0 || tm.tm_mday < 0 || tm.tm_hour < 0 || tm.tm_min < 0 ||
	    tm.tm_sec < 0)
		return bad_stamp(s, len);
	if (s[i] == '.')
		for (i++; i < len && s[i] >= '0' && s[i] <= '9'; i++, unit /= 10)
			ns += (s[i] - '0') * unit;
	if (parse_zone(s + i, len - i, &zone) < 0)
		return bad_stamp(s, len);
	*ret_ns = ((int64_t)timegm(&tm) - zone) * 1000000000 + ns;
	return 0;
}

int logline_parse(const char *line, size_t len, struct logline *ret)
{
	const char *end = line + len, *p = memchr(line, ' ', len);
	struct logline l = {.stamp = line};

	if (!p || end - p < 10)
		return err_set(EBADMSG, "not a line of a k8s-file log");
	l.stamp_len = (size_t)(p - line);
	if (!strncmp(p, " stderr ", 8))
		l.stderr_ = true;
	else if (strncmp(p, " stdout ", 8) != 0)
		return err_set(EBADMSG, "not a line of a k8s-file log");
	p += 8;
	if (*p != 'F' && *p != 'P')
		return err_set(EBADMSG, "not a line of a k8s-file log");
	l.partial = *p == 'P';
	/* The flags may be followed by the tag of --log-opt tag and always by one blank. */
	p++;
	if (p < end && *p == ' ')
		p++;
	l.text = p;
	l.len = (size_t)(end - p);
	if (logline_parse_stamp(l.stamp, l.stamp_len, &l.time_ns) < 0)
		return -EBADMSG;
	*ret = l;
	return 0;
}

void logfile_init(struct logfile *f, const char *path)
{
	*f = (struct logfile){.path = g_strdup(path), .fd = -1, .rest = g_string_new(NULL)};
}

void logfile_clear(struct logfile *f)
{
	if (f->fd >= 0)
		close(f->fd);
	g_free(f->path);
	if (f->rest)
		g_string_free(f->rest, TRUE);
	*f = (struct logfile){.fd = -1};
}

static int reopen(struct logfile *f)
{
	autoclose int fd = open(f->path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno("open %s", f->path);
	if (fstat(fd, &st) < 0)
		return err_errno("stat %s", f->path);
	if (f->fd >= 0)
		close(f->fd);
	f->fd = take_fd(&fd);
	f->ino = st.st_ino;
	f->at = 0;
	g_string_truncate(f->rest, 0);
	f->taken = 0;
	return 1;
}

/* conmon rotates by renaming a new file into place, or by cutting. */
static bool replaced(const struct logfile *f)
{
	struct stat st;

	return stat(f->path, &st) == 0 && (st.st_ino != f->ino || st.st_size < f->at);
}

/* 1: more text in REST; 0: the end. */
static int read_more(struct logfile *f)
{
	char chunk[CHUNK];
	size_t most = sizeof(chunk);
	ssize_t n;
	int r;

	if (f->fd < 0) {
		r = reopen(f);
		if (r <= 0)
			return r;
	}
	if (f->limit) {
		if (f->at >= f->limit)
			return 0;
		most = MIN(most, (size_t)(f->limit - f->at));
	}
	n = pread(f->fd, chunk, most, f->at);
	if (n < 0)
		return err_errno("read %s", f->path);
	if (n == 0) {
		if (!replaced(f))
			return 0;
		r = reopen(f);
		return r < 0 ? r : r > 0 ? read_more(f) : 0;
	}
	g_string_erase(f->rest, 0, (gssize)f->taken);
	f->taken = 0;
	g_string_append_len(f->rest, chunk, n);
	f->at += n;
	if (f->rest->len > LINE_MAX_)
		return err_set(EBADMSG, "%s: a line of more than %d bytes", f->path, LINE_MAX_);
	return 1;
}

int logfile_next(struct logfile *f)
{
	f->have = false;
	for (;;) {
		const char *start = f->rest->str + f->taken;
		size_t left = f->rest->len - f->taken;
		const char *nl = memchr(start, '\n', left);
		int r;

		if (!nl) {
			r = read_more(f);
			if (r <= 0)
				return r;
			continue;
		}
		f->taken += (gsize)(nl - start) + 1;
		r = logline_parse(start, (size_t)(nl - start), &f->line);
		if (r == 0) {
			f->have = true;
			return 1;
		}
		err_clear();
	}
}

/*
 * Backwards by blocks.  A line ends with a newline, and is a whole one of the program's if its flag
 * is F; so we look for the newline before the N-th F from the end.
 */
struct backwards {
	int fd;
	off_t at; /* start of BUF in the file */
	char buf[CHUNK];
	size_t n;
};

static int byte_at(struct backwards *b, off_t pos)
{
	if (pos < b->at || pos >= b->at + (off_t)b->n) {
		ssize_t n;

		b->at = pos >= CHUNK ? pos - CHUNK + 1 : 0;
		n = pread(b->fd, b->buf, CHUNK, b->at);
		b->n = n > 0 ? (size_t)n : 0;
		if (pos >= b->at + (off_t)b->n)
			return -1;
	}
	return (unsigned char)b->buf[pos - b->at];
}

/* The flag of the line at POS: after the second blank. */
static int flag_at(struct backwards *b, off_t pos, off_t end)
{
	int blanks = 0, c;

	for (; pos < end; pos++) {
		c = byte_at(b, pos);
		if (c < 0)
			return -1;
		if (blanks == 2)
			return c;
		blanks += c == ' ';
	}
	return -1;
}

int logfile_tail(struct logfile *f, int64_t n)
{
	g_autofree struct backwards *b = g_new0(struct backwards, 1);
	struct stat st;
	off_t line_end;
	int r = reopen(f);

	if (r <= 0)
		return r;
	if (fstat(f->fd, &st) < 0)
		return err_errno("stat %s", f->path);
	b->fd = f->fd;
	/* A line that is just being written is not one of them yet. */
	while (st.st_size > 0 && byte_at(b, st.st_size - 1) != '\n')
		st.st_size--;
	line_end = st.st_size;
	f->at = st.st_size;
	/* What is written meanwhile would be more than N lines, unless somebody follows. */
	f->limit = MAX(st.st_size, 1);
	if (n == 0)
		return 0;
	f->at = 0;
	/* POS runs over the newlines before the last one; what follows each is the start of a line.
	 */
	for (off_t pos = st.st_size - 2; pos >= -1; pos--) {
		int c = pos < 0 ? '\n' : byte_at(b, pos);

		if (c < 0)
			return err_set(EIO, "read %s backwards", f->path);
		if (c != '\n')
			continue;
		if (flag_at(b, pos + 1, line_end) == 'F' || line_end == st.st_size) {
			if (n-- == 0) {
				f->at = line_end;
				return 0;
			}
		}
		line_end = pos + 1;
	}
	return 0;
}
