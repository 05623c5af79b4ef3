/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terminals that are devices of the machine: virtual consoles, serial lines, the console.  They are
 * opened again by their names, without becoming anybody's controlling terminal, and get their modes
 * back (the console is another terminal's alias, whose modes are not the tree's).  In IMAGE_EXTRA:
 * "terminals": {"FILE ID": {"tty": ...}}.
 */
#include "state/tty/tty.h"

#include "image/regfile.pb-c.h"
#include "state/fd/files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/major.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#define CONSOLE_MINOR 1 /* of TTYAUX_MAJOR; 0 is /dev/tty, 2 /dev/ptmx */

static bool is_console(const struct stat *st)
{
	return major(st->st_rdev) == TTYAUX_MAJOR && minor(st->st_rdev) == CONSOLE_MINOR;
}

static bool match(const struct dump *d, const struct fd_view *v)
{
	if (!S_ISCHR(v->st.st_mode) || v->info.flags & O_PATH)
		return false;
	return is_console(&v->st) ||
	       (major(v->st.st_rdev) == TTY_MAJOR && minor(v->st.st_rdev) > 0);
}

static int check(struct dump *d, const struct fd_view *v)
{
	char reopen[64];
	struct path_view p = fd_view_named(v, reopen);
	int r = fown_check(v);

	return r < 0 ? r : path_check(d, &p);
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *f)
{
	json_t *all = json_object_get(d->extra, "terminals"), *one = json_object();
	char reopen[64], key[16];
	struct path_view p = fd_view_named(v, reopen);
	int r = fd_dump_named(d, v, &p, f->id, &f->reg);

	if (!all)
		json_object_set_new(d->extra, "terminals", all = json_object());
	snprintf(key, sizeof(key), "%u", f->id);
	json_object_set_new(all, key, one);
	if (r == 0 && !is_console(&v->st))
		r = tty_dump(d, v, one);
	return r;
}

static json_t *record(const struct restore *r, const struct file *f)
{
	char key[16];

	snprintf(key, sizeof(key), "%u", f->id);
	return json_object_get(json_object_get(r->extra, "terminals"), key);
}

static int load(struct restore *r, struct file *f)
{
	return f->entry->reg && record(r, f) ? 0 : 1;
}

static int open_(struct restore *r, struct file *f)
{
	const RegFileEntry *e = f->entry->reg;
	json_t *tty = json_object_get(record(r, f), "tty");
	int ret = path_open(r, e, e->flags | O_NOCTTY, &f->fd);

	if (ret == 0 && tty)
		ret = tty_restore(f->fd, tty, false);
	return ret < 0 ? ret : fown_restore(r, f, e->fown, e->flags);
}

const struct fd_kind fd_ttydev = {
	.name = "terminal of the machine",
	.type = FD_TYPES__REG,
	.match = match,
	.check = check,
	.dump = dump,
	.load = load,
	.open = open_,
};
