/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is outside of the tree and stays there: the container's stdio.  Recorded by name; at restore
 * a descriptor of that name is handed in.  The mode of a terminal is state/tty/'s.
 */
#include "state/fd/files.h"
#include "state/fd/kind.h"
#include "state/tty/tty.h"

#include "base/fd.h"
#include "image/ext-file.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

static void key_of(const struct fd_view *v, char ret[static 96])
{
	unsigned long long ino = v->st.st_ino;

	*ret = 0;
	if (S_ISFIFO(v->st.st_mode))
		snprintf(ret, 96, "pipe:[%llu]", ino);
	else if (S_ISCHR(v->st.st_mode) && tty_is_terminal(&v->st))
		snprintf(ret, 96, "tty[%llx:%llx]", (unsigned long long)v->st.st_rdev,
			 (unsigned long long)v->st.st_dev);
	else if (S_ISCHR(v->st.st_mode))
		snprintf(ret, 96, "dev[%u:%u]", major(v->st.st_rdev), minor(v->st.st_rdev));
	else if (S_ISSOCK(v->st.st_mode))
		snprintf(ret, 96, "socket:[%llu]", ino);
	else
		snprintf(ret, 96, "file[%x:%llx]", (unsigned)v->info.mnt_id, ino);
}

static const struct cryo_external *find(const struct dump *d, const char *key)
{
	for (unsigned i = 0; i < d->o.nexternals; i++)
		if (strcmp(d->o.externals[i].key, key) == 0)
			return &d->o.externals[i];
	return NULL;
}

static const char *external_name(const struct dump *d, const struct fd_view *v)
{
	char key[96];
	const struct cryo_external *x;

	key_of(v, key);
	x = find(d, key);
	if (x)
		return x->name;
	return d->o.shell_job && tty_is_shells(d, &v->st) ? CRYO_SHELL_JOB : NULL;
}

static bool match(const struct dump *d, const struct fd_view *v)
{
	return external_name(d, v) != NULL;
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *e)
{
	json_t *all = json_object_get(d->extra, "externals"), *one;
	char id[16];

	e->ext = g_new0(ExtFileEntry, 1);
	ext_file_entry__init(e->ext);
	e->ext->id = e->id;
	e->ext->fown = fown_none();
	if (!all) {
		all = json_object();
		json_object_set_new(d->extra, "externals", all);
	}
	one = json_object();
	json_object_set_new(one, "name", json_string(external_name(d, v)));
	json_object_set_new(one, "flags", json_integer(v->info.flags & ~(unsigned)O_CLOEXEC));
	snprintf(id, sizeof(id), "%u", e->id);
	json_object_set_new(all, id, one);
	if (tty_is_terminal(&v->st))
		return tty_dump(d, v, one);
	return 0;
}

static json_t *extra_of(struct restore *r, struct file *f)
{
	char id[16];

	snprintf(id, sizeof(id), "%u", f->id);
	return json_object_get(json_object_get(r->extra, "externals"), id);
}

static int load(struct restore *r, struct file *f)
{
	if (!f->entry->ext)
		return 1;
	if (!json_string_value(json_object_get(extra_of(r, f), "name")))
		return err_set(EBADMSG, "file %u is external, but %s does not name it", f->id,
			       IMAGE_EXTRA);
	return 0;
}

/* Has another description of the same thing been given out already? */
static bool is_given(struct restore *r, const struct file *me, const char *name)
{
	GHashTableIter it;
	struct file *f;

	g_hash_table_iter_init(&it, r->files);
	while (g_hash_table_iter_next(&it, NULL, (void **)&f))
		if (f != me && f->kind == &fd_external && f->state == FILE_OPEN &&
		    strcmp(json_string_value(json_object_get(extra_of(r, f), "name")), name) == 0)
			return true;
	return false;
}

/* The first description of a thing is the one that is handed in; others are opened anew. */
static int take(struct restore *r, struct file *f, int fd, const char *name, unsigned flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!is_given(r, f, name))
		f->fd = fd_dup_above(fd, 3);
	else
		f->fd = open(path, (int)(flags & (O_ACCMODE | O_NONBLOCK | O_APPEND)) | O_NOCTTY |
					   O_CLOEXEC);
	if (f->fd < 0)
		return err_errno("descriptor %d for \"%s\"", fd, name);
	if (fcntl(f->fd, F_SETFL, (int)(flags & (O_NONBLOCK | O_APPEND))) < 0)
		return err_errno("flags of \"%s\"", name);
	return 0;
}

static int open_(struct restore *r, struct file *f)
{
	json_t *x = extra_of(r, f), *tty = json_object_get(x, "tty");
	unsigned flags = (unsigned)json_integer_value(json_object_get(x, "flags"));
	const char *name = json_string_value(json_object_get(x, "name"));

	int fd = restore_inherited(r, name), ret;

	if (fd < 0)
		return err_set(ENOENT, "nothing takes the place of \"%s\" of the checkpoint", name);
	ret = take(r, f, fd, name, flags);
	if (ret < 0 || !tty)
		return ret;
	return tty_restore(f->fd, tty, strcmp(name, CRYO_SHELL_JOB) != 0);
}

static int settle(struct restore *r, struct rtask *t, struct file *f, int tfd)
{
	json_t *x = extra_of(r, f);

	return json_object_get(x, "tty") ? tty_settle(r, t, json_object_get(x, "tty"), tfd) : 0;
}

const struct fd_kind fd_external = {
	.name = "external file",
	.type = FD_TYPES__EXT,
	.match = match,
	.dump = dump,
	.load = load,
	.open = open_,
	.settle = settle,
};
