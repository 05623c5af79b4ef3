/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/describe_parts.h"
#include "image/creds.pb-c.h"
#include "image/fs.pb-c.h"
#include "image/inventory.h"
#include "image/mnt.pb-c.h"

/* task_core_entry.task_state: CRIU's COMPEL_TASK_* */
static const char *state_of(uint32_t state)
{
	static const char *const names[] = {
		[1] = "running", [2] = "dead", [3] = "stopped", [6] = "zombie"};

	return state < ARRAY_SIZE(names) && names[state] ? names[state] : "?";
}

static void clear(struct describing *d)
{
	if (d->files)
		g_hash_table_unref(d->files);
}

static void add_user(json_t *j, const CoreEntry *core)
{
	const CredsEntry *c = core->thread_core ? core->thread_core->creds : NULL;

	if (!c)
		return;
	json_object_set_new(j, "uid", json_integer(c->uid));
	json_object_set_new(j, "gid", json_integer(c->gid));
}

static int add_directories(const struct describing *d, uint32_t pid, json_t *j)
{
	CLEANUP(image_record_free) FsEntry *fs = NULL;
	int r = image_load_optional(d->images, IMG_FS, pid, &fs);

	if (r != 0)
		return r < 0 ? r : 0;
	if (describe_path(d, fs->cwd_id))
		json_object_set_new(j, "directory", json_string(describe_path(d, fs->cwd_id)));
	return 0;
}

static int add_memory(const struct describing *d, uint32_t pid, json_t *j)
{
	CLEANUP(image_record_free) MmEntry *mm = NULL;
	json_t *memory = NULL;
	int r = image_load_optional(d->images, IMG_MM, pid, &mm);

	if (r != 0)
		return r < 0 ? r : 0; /* a zombie has none */
	if (describe_path(d, mm->exe_file_id))
		json_object_set_new(j, "executable",
				    json_string(describe_path(d, mm->exe_file_id)));
	json_object_set_new(j, "arguments", describe_arguments(d, pid, mm));
	r = describe_memory(d, pid, mm, &memory);
	if (r == 0)
		json_object_set_new(j, "memory", memory);
	return r;
}

static int add_descriptors(const struct describing *d, uint32_t pid, json_t *j)
{
	CLEANUP(image_record_free) TaskKobjIdsEntry *ids = NULL;
	json_t *list = NULL;
	int r = image_load_optional(d->images, IMG_IDS, pid, &ids);

	if (r != 0)
		return r < 0 ? r : 0;
	r = describe_descriptors(d, ids->files_id, &list);
	if (r == 0)
		json_object_set_new(j, "descriptors", list);
	return r;
}

static int process(const struct describing *d, const PstreeEntry *e, json_t **ret)
{
	CLEANUP(image_record_free) CoreEntry *core = NULL;
	json_t *j, *threads = json_array();
	int r = image_load_needed(d->images, IMG_CORE, e->pid, &core);

	if (r < 0 || !core->tc) {
		json_decref(threads);
		return r < 0 ? r : err_set(EBADMSG, "core-%u.img has no task", e->pid);
	}
	for (size_t i = 0; i < e->n_threads; i++)
		json_array_append_new(threads, json_integer(e->threads[i]));
	g_autofree char *comm = g_utf8_make_valid(core->tc->comm, -1);
	j = json_pack("{si si si si ss ss so}", "pid", (int)e->pid, "ppid", (int)e->ppid, "pgid",
		      (int)e->pgid, "sid", (int)e->sid, "command", comm, "state",
		      state_of(core->tc->task_state), "threads", threads);
	add_user(j, core);
	r = add_directories(d, e->pid, j);
	if (r == 0)
		r = add_memory(d, e->pid, j);
	if (r == 0)
		r = add_descriptors(d, e->pid, j);
	if (r < 0)
		json_decref(j);
	else
		*ret = j;
	return r;
}

static int processes(const struct describing *d, json_t *list)
{
	CLEANUP(image_close) struct image *img = NULL;
	CLEANUP(image_record_free) PstreeEntry *e = NULL;
	int r = image_open_needed(d->images, IMG_PSTREE, 0, &img);

	while (r == 0 && (r = image_read(img, &e)) == 0) {
		json_t *j = NULL;

		r = process(d, e, &j);
		if (r == 0)
			json_array_append_new(list, j);
	}
	return r < 0 ? r : 0;
}

static const char *fs_name(const MntEntry *m)
{
	static const struct {
		uint32_t type;
		const char *name;
	} names[] = {{1, "proc"},    {2, "sysfs"},   {3, "devtmpfs"}, {5, "tmpfs"},   {6, "devpts"},
		     {12, "cgroup"}, {14, "mqueue"}, {17, "overlay"}, {23, "cgroup2"}};

	if (m->fsname)
		return m->fsname;
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].type == m->fstype)
			return names[i].name;
	return m->ext_mount ? "external" : "?";
}

/* Those of the root's mount namespace, if it was dumped. */
static int mounts(const struct describing *d, json_t *list)
{
	CLEANUP(image_record_free) InventoryEntry *inventory = NULL;
	CLEANUP(image_close) struct image *img = NULL;
	CLEANUP(image_record_free) MntEntry *m = NULL;
	int r = inventory_load(d->images, &inventory);

	if (r < 0)
		return r;
	if (!inventory->root_ids || !inventory->root_ids->has_mnt_ns_id)
		return 0;
	r = image_open(d->images, IMG_MNTS, inventory->root_ids->mnt_ns_id, &img);
	while (r == 0 && (r = image_read(img, &m)) == 0)
		json_array_append_new(
			list, json_pack("{ss ss ss ss}", "mountpoint",
					*m->mountpoint == '.' ? m->mountpoint + 1 : m->mountpoint,
					"type", fs_name(m), "source", m->source, "root", m->root));
	return r < 0 ? r : 0;
}

/* What all address spaces have in the image, and the shared objects once each. */
static json_t *memory_total(const json_t *list)
{
	json_int_t pages = 0, size = 0;
	const json_t *j;
	size_t i;

	json_array_foreach(list, i, j)
	{
		const json_t *m = json_object_get(j, "memory");

		pages += json_integer_value(json_object_get(m, "pages"));
		size += json_integer_value(json_object_get(m, "size"));
	}
	return json_pack("{sI sI}", "pages", pages, "size", size);
}

static int statistics(const struct describing *d, json_t *to)
{
	CLEANUP(image_record_free) StatsEntry *s = NULL;
	int r = stats_load(d->images, IMG_STATS_DUMP, &s);

	if (r == -ENOENT) {
		err_clear();
		return 0;
	}
	if (r < 0 || !s->dump)
		return r;
	json_object_set_new(to, "statistics",
			    json_pack("{sI sI sI sI sI sI}", "freezing_time",
				      (json_int_t)s->dump->freezing_time, "frozen_time",
				      (json_int_t)s->dump->frozen_time, "memdump_time",
				      (json_int_t)s->dump->memdump_time, "memwrite_time",
				      (json_int_t)s->dump->memwrite_time, "pages_scanned",
				      (json_int_t)s->dump->pages_scanned, "pages_written",
				      (json_int_t)s->dump->pages_written));
	return 0;
}

int describe_images(int images, json_t **ret)
{
	CLEANUP(clear) struct describing d = {.images = images};
	json_t *list = json_array(), *at = json_array(), *j;
	int r = describe_load_files(&d);

	if (r == 0)
		r = processes(&d, list);
	if (r == 0)
		r = mounts(&d, at);
	j = json_pack("{so so so so}", "processes", list, "memory", memory_total(list), "sockets",
		      d.files ? describe_sockets(&d) : json_array(), "mounts", at);
	if (r == 0)
		r = statistics(&d, j);
	if (r < 0)
		json_decref(j);
	else
		*ret = j;
	return r;
}
