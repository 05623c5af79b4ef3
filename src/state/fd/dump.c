/* SPDX-License-Identifier: Apache-2.0 */
#include "state/fd/files.h"
#include "state/fd/kind.h"

#include "kernel/kcmp.h"

#include <errno.h>
#include <fcntl.h>

struct files_dump {
	struct kcmp_set *set; /* of descriptions, by kcmp(2): its ids count from 1 */
	GArray *ids;	      /* file id of description i + 1 */
	uint32_t next;
	GHashTable *named, *once, *ghosts; /* string -> number */
};

int files_dump_begin(struct dump *d)
{
	struct files_dump *f = g_new0(struct files_dump, 1);

	f->set = kcmp_set_new(KCMP_FILE);
	f->ids = g_array_new(FALSE, TRUE, sizeof(uint32_t));
	f->next = 1;
	f->named = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	f->once = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	f->ghosts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	d->files = f;
	return 0;
}

void files_dump_end(struct dump *d)
{
	struct files_dump *f = g_steal_pointer(&d->files);

	if (!f)
		return;
	kcmp_set_drop(&f->set);
	g_array_unref(f->ids);
	g_hash_table_unref(f->named);
	g_hash_table_unref(f->once);
	g_hash_table_unref(f->ghosts);
	g_free(f);
}

uint32_t files_new_id(struct dump *d)
{
	return d->files->next++;
}

static char *named_key(const struct path_view *v)
{
	return g_strdup_printf("%llx:%llx:%o:%s", (unsigned long long)v->st.st_dev,
			       (unsigned long long)v->st.st_ino, v->flags, v->link);
}

bool files_known(struct dump *d, const struct path_view *v, uint32_t *ret_id)
{
	g_autofree char *key = named_key(v);
	void *id = g_hash_table_lookup(d->files->named, key);

	*ret_id = GPOINTER_TO_UINT(id);
	return id != NULL;
}

void files_remember(struct dump *d, const struct path_view *v, uint32_t id)
{
	g_hash_table_insert(d->files->named, named_key(v), GUINT_TO_POINTER(id));
}

bool dump_once(struct dump *d, const char *kind, uint64_t number)
{
	return g_hash_table_add(d->files->once,
				g_strdup_printf("%s %llu", kind, (unsigned long long)number));
}

uint32_t files_ghost_id(struct dump *d, const struct stat *st)
{
	char *key = g_strdup_printf("%llx:%llx", (unsigned long long)st->st_dev,
				    (unsigned long long)st->st_ino);
	uint32_t id = GPOINTER_TO_UINT(g_hash_table_lookup(d->files->ghosts, key));

	if (id) {
		g_free(key);
		return id;
	}
	id = g_hash_table_size(d->files->ghosts) + 1;
	g_hash_table_insert(d->files->ghosts, key, GUINT_TO_POINTER(id));
	return id;
}

static int unknown(const struct fd_view *v)
{
	const char *what = S_ISSOCK(v->st.st_mode) ? "sockets" : "files of this kind";

	return err_set(EOPNOTSUPP, "%s: %s cannot be saved", v->link, what);
}

static int check_one(struct dump *d, struct dtask *t, int tfd)
{
	CLEANUP(fd_view_clear) struct fd_view v = {0};
	const struct fd_kind *k;
	int r = fd_view_read(t, tfd, &v);

	if (r < 0)
		return r == -ENOENT ? 0 : r; /* closed while we were looking */
	k = fd_kind_of(d, &v);
	if (!k)
		return unknown(&v);
	return k->check ? k->check(d, &v) : 0;
}

int files_check(struct dump *d, struct dtask *t)
{
	CLEANUP(pid_list_clear) struct pid_list fds = {0};
	int r = proc_fds(t->proc.dir, &fds);

	if (r < 0)
		return r;
	for (size_t i = 0; i < fds.n; i++) {
		r = check_one(d, t, fds.v[i]);
		if (r < 0)
			r = dump_refuse(d, dtask_wrap(t, err_wrap(r, "fd %d", fds.v[i])));
		if (r < 0)
			return r;
	}
	return 0;
}

static int dump_description(struct dump *d, const struct fd_view *v, uint32_t id, FdTypes *type)
{
	const struct fd_kind *k = fd_kind_of(d, v);
	FileEntry *e;
	int r;

	if (!k)
		return unknown(v);
	e = g_new0(FileEntry, 1);
	file_entry__init(e);
	e->id = id;
	e->type = *type = k->type;
	r = k->dump(d, v, e);
	if (r == 0)
		r = image_write(&d->w, IMG_FILES, 0, &e->base);
	file_entry__free_unpacked(e, NULL);
	return r;
}

static int dump_one(struct dump *d, struct dtask *t, int tfd)
{
	CLEANUP(fd_view_clear) struct fd_view v = {0};
	FdinfoEntry e = FDINFO_ENTRY__INIT;
	const struct fd_kind *k;
	uint32_t known, id;
	int r;

	r = fd_view_read(t, tfd, &v);
	if (r < 0)
		return r;
	r = kcmp_set_add(d->files->set, t->proc.pid, tfd,
			 v.st.st_ino ^ (uint64_t)v.st.st_dev << 40 ^ v.info.pos << 20, &known);
	if (r < 0)
		return r;
	if (r == 1) {
		id = files_new_id(d);
		g_array_set_size(d->files->ids, known);
		g_array_index(d->files->ids, uint32_t, known - 1) = id;
		r = dump_description(d, &v, id, &e.type);
		if (r < 0)
			return r;
	} else {
		id = g_array_index(d->files->ids, uint32_t, known - 1);
		k = fd_kind_of(d, &v);
		e.type = k ? k->type : FD_TYPES__UND;
	}
	e.id = id;
	e.fd = (uint32_t)tfd;
	e.flags = v.info.flags & O_CLOEXEC ? FD_CLOEXEC : 0;
	return image_write(&d->w, IMG_FDINFO, t->index + 1, &e.base);
}

int files_dump(struct dump *d, struct dtask *t)
{
	CLEANUP(pid_list_clear) struct pid_list fds = {0};
	int r = proc_fds(t->proc.dir, &fds);

	if (r == 0)
		r = image_touch(&d->w, IMG_FDINFO, t->index + 1);
	for (size_t i = 0; r == 0 && i < fds.n; i++) {
		r = dump_one(d, t, fds.v[i]);
		if (r < 0)
			r = err_wrap(r, "fd %d", fds.v[i]);
	}
	return r;
}
