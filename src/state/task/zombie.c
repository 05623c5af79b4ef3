/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A zombie has its name and its status (core.c), its users and groups, and nothing else.
 *
 * crit's explorers (crit x DIR fds, mems, rss) look for the files of every process in pstree.img: a
 * zombie's say that it has no descriptors and no memory (one mapping of no bytes: crit knows none
 * without).  Directories and program have to be some that are there, so they are its parent's.  A
 * restore reads none of them.
 */
#include "state/ns/ns.h"
#include "state/ns/spaces.h"
#include "state/task/task.h"

#include "image/fs.pb-c.h"
#include "image/pagemap.pb-c.h"

static int dump_memory(struct dump *d, const struct dtask *t, const struct dtask *parent)
{
	MmEntry mm = MM_ENTRY__INIT;
	VmaEntry nothing = VMA_ENTRY__INIT, *vmas[] = {&nothing};
	PagemapHead head = PAGEMAP_HEAD__INIT;
	int r;

	mm.exe_file_id = parent->mm->exe_file_id;
	mm.n_vmas = 1;
	mm.vmas = vmas;
	head.pages_id = d->next_pages_id++;
	r = image_write(&d->w, IMG_MM, (uint64_t)t->nspid, &mm.base);
	return r < 0 ? r : image_write(&d->w, IMG_PAGEMAP, (uint64_t)t->nspid, &head.base);
}

int zombie_dump(struct dump *d, struct dtask *t)
{
	const struct dtask *parent = t->parent < 0 ? NULL : dump_task(d, (unsigned)t->parent);
	FsEntry fs = FS_ENTRY__INIT;
	TaskKobjIdsEntry *ids;
	int r;

	if (!parent || !parent->mm) /* of a guest's session: its parent is elsewhere */
		return 0;
	fs.cwd_id = parent->cwd_id;
	fs.root_id = parent->root_id;
	ids = task_ids_new(t);
	r = image_write(&d->w, IMG_IDS, (uint64_t)t->nspid, &ids->base);
	if (r == 0)
		r = image_touch(&d->w, IMG_FDINFO, ids->files_id);
	task_kobj_ids_entry__free_unpacked(ids, NULL);
	if (r == 0)
		r = image_write(&d->w, IMG_FS, (uint64_t)t->nspid, &fs.base);
	return r < 0 ? r : dump_memory(d, t, parent);
}

void zombie_ids_dump(struct dtask *t)
{
	const struct procstatus *s = &t->status;
	json_t *ids = json_array();

	for (unsigned i = 0; i < 3; i++)
		json_array_append_new(ids, json_integer(users_uid(t->dump, s->uid[i])));
	for (unsigned i = 0; i < 3; i++)
		json_array_append_new(ids, json_integer(users_gid(t->dump, s->gid[i])));
	json_object_set_new(t->extra, "ids", ids);
}

void zombie_ids_restore(struct rtask *t, struct batch *b)
{
	const json_t *ids = json_object_get(t->extra, "ids");
	g_autoptr(GPtrArray) maps = NULL;
	uint64_t v[6];

	if (json_array_size(ids) != ARRAY_SIZE(v))
		return;
	if (spaces_load_maps(t->restore, t->users, &maps) < 0) {
		err_clear();
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
		uint32_t id = (uint32_t)json_integer_value(json_array_get(ids, i));

		id = spaces_number_inside(maps, i >= 3, id);
		v[i] = id == OVERFLOW_ID && t->users ? (uint64_t)-1 : id; /* as it is */
	}
	batch_add(b, SYS_setresgid, IMM(v[3]), IMM(v[4]), IMM(v[5]));
	batch_add(b, SYS_setresuid, IMM(v[0]), IMM(v[1]), IMM(v[2]));
}
