/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of /proc/pressure with a trigger: whoever has written "some 200000 2000000" into one is
 * told by EPOLLPRI when that long was waited for memory, CPUs or I/O (kernel/sched/psi.c:
 * psi_write()). Without its trigger the file has an error for poll(2), always, so that programs as
 * systemd and its daemons would never sleep again.  Nothing shows what was written: it is read from
 * the kernel's memory.  In IMAGE_EXTRA "pressure": {"FILE ID": "some 200000 2000000"}.
 */
#include "state/extra.h"
#include "state/fd/files.h"
#include "state/fd/kind.h"

#include "image/regfile.pb-c.h"
#include "kernel/peek.h"
#include "state/ns/spaces.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define KEY	  "pressure"
#define NS_PER_US 1000
#define TEXT_MAX  48

/* For reading only it is like any other file. */
static bool match(const struct dump *d, const struct fd_view *v)
{
	static const char *const names[] = {"/pressure/cpu", "/pressure/io", "/pressure/irq",
					    "/pressure/memory"};
	const struct mount_entry *m = spaces_mount(d, v->info.mnt_id);
	bool found = false;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		found = found || g_str_has_suffix(v->link, names[i]);
	return found && m && strcmp(m->fstype, "proc") == 0 && !(v->info.flags & O_PATH) &&
	       (v->info.flags & O_ACCMODE) != O_RDONLY;
}

/* Takes an event that the program was to be told of, so it is asked last: psi_trigger_poll(). */
static bool has_trigger(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLPRI};

	return poll(&p, 1, 0) == 0 || !(p.revents & POLLERR);
}

static int check(struct dump *d, const struct fd_view *v)
{
	autoclose int fd = -1;
	struct peek *k;
	int r = fd_regular.check(d, v);

	if (r < 0 || dump_peek(d, &k)) /* now, as it takes a while */
		return r;
	r = fd_view_get(v, &fd);
	if (r == 0 && has_trigger(fd))
		r = err_set(EOPNOTSUPP,
			    "%s: its trigger cannot be saved, as this kernel does not let it be "
			    "read; close it",
			    v->link);
	return r;
}

/* 1: it has none. */
static int read_trigger(struct peek *k, const struct fd_view *v, char ret[static TEXT_MAX])
{
	autoclose int fd = -1;
	uint64_t at, threshold, window;
	uint32_t state;
	int r = fd_view_get(v, &fd);

	if (r == 0)
		r = peek_file(k, fd, &at);
	if (r == 0)
		r = peek_u64(k, at, "file", "private_data", &at);
	if (r == 0)
		r = peek_u64(k, at, "seq_file", "private", &at);
	if (r < 0 || at == 0)
		return r < 0 ? r : 1;
	r = peek_u32(k, at, "psi_trigger", "state", &state);
	if (r == 0)
		r = peek_u64(k, at, "psi_trigger", "threshold", &threshold);
	if (r == 0)
		r = peek_u64(k, at, "psi_trigger", "win.size", &window);
	if (r < 0)
		return r;
	/* enum psi_states: some, full of each; of interrupts there is "full" alone */
	snprintf(ret, TEXT_MAX, "%s %u %u",
		 state & 1 || g_str_has_suffix(v->link, "/irq") ? "full" : "some",
		 (unsigned)(threshold / NS_PER_US), (unsigned)(window / NS_PER_US));
	return 0;
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *f)
{
	char text[TEXT_MAX];
	struct peek *k;
	int r = fd_regular.dump(d, v, f);

	if (r < 0 || !dump_peek(d, &k))
		return r;
	r = read_trigger(k, v, text);
	if (r != 0)
		return r < 0 ? err_wrap(r, "%s: its trigger", v->link) : 0;
	extra_set(d->extra, KEY, f->id, json_string(text));
	return 0;
}

static const char *trigger_of(const struct restore *r, const struct file *f)
{
	return json_string_value(extra_get(r->extra, KEY, f->id));
}

static int load(struct restore *r, struct file *f)
{
	const char *text = f->entry->reg ? trigger_of(r, f) : NULL;
	unsigned threshold, window;

	if (!text)
		return 1;
	if (strlen(text) >= TEXT_MAX || (sscanf(text, "some %u %u", &threshold, &window) != 2 &&
					 sscanf(text, "full %u %u", &threshold, &window) != 2))
		return err_set(EBADMSG, "file %u: \"%s\" is no trigger", f->id, text);
	return fd_regular.load(r, f);
}

static int open_(struct restore *r, struct file *f)
{
	const char *text = trigger_of(r, f);
	int ret = fd_regular.open(r, f);

	if (ret == 0 && write(f->fd, text, strlen(text) + 1) < 0)
		ret = err_errno("%s: trigger \"%s\"", f->entry->reg->name, text);
	return ret;
}

const struct fd_kind fd_pressure = {
	.name = "trigger of pressure",
	.type = FD_TYPES__REG,
	.match = match,
	.check = check,
	.dump = dump,
	.load = load,
	.open = open_,
};
