/* SPDX-License-Identifier: Apache-2.0 */
/* crit, CRIU's own tool, decodes what we write. */
#include "image/image.h"

#include "base/file.h"
#include "base/spawn.h"
#include "image/cgroup.pb-c.h"
#include "image/core.pb-c.h"
#include "image/fdinfo.pb-c.h"
#include "image/fs.pb-c.h"
#include "image/ghost-file.pb-c.h"
#include "image/inventory.h"
#include "image/mm.pb-c.h"
#include "image/pages.h"
#include "image/pipe-data.pb-c.h"
#include "image/pstree.pb-c.h"
#include "image/seccomp.pb-c.h"

#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char room[] = "/tmp/crit-test-XXXXXX";
static int room_fd = -1;

static void put_core(struct image_writer *w)
{
	CoreEntry core = CORE_ENTRY__INIT;
	TaskCoreEntry tc = TASK_CORE_ENTRY__INIT;
	ThreadInfoX86 info = THREAD_INFO_X86__INIT;
	UserX86RegsEntry regs = USER_X86_REGS_ENTRY__INIT;
	UserX86FpregsEntry fp = USER_X86_FPREGS_ENTRY__INIT;
	uint32_t xmm[64] = {1, 2, 3};

	regs.ip = 0x401000;
	regs.sp = 0x7fffffffe000;
	fp.n_xmm_space = 64;
	fp.xmm_space = xmm;
	info.gpregs = &regs;
	info.fpregs = &fp;
	tc.comm = (char *)"looper";
	core.mtype = CORE_ENTRY__MARCH__X86_64;
	core.tc = &tc;
	core.thread_info = &info;
	assert_int_equal(image_write(w, IMG_CORE, 1, &core.base), 0);
}

static void put_mm(struct image_writer *w)
{
	MmEntry mm = MM_ENTRY__INIT;
	VmaEntry vma = VMA_ENTRY__INIT;
	VmaEntry *vmas[] = {&vma, &vma};
	uint64_t auxv[] = {6, 4096, 0, 0};

	vma.start = 0x400000;
	vma.end = 0x401000;
	vma.fd = -1;
	mm.n_vmas = 2;
	mm.vmas = vmas;
	mm.n_mm_saved_auxv = 4;
	mm.mm_saved_auxv = auxv;
	assert_int_equal(image_write(w, IMG_MM, 1, &mm.base), 0);
}

static void put_files(struct image_writer *w)
{
	FileEntry file = FILE_ENTRY__INIT;
	RegFileEntry reg = REG_FILE_ENTRY__INIT;
	FownEntry fown = FOWN_ENTRY__INIT;
	FsEntry fs = FS_ENTRY__INIT;
	GhostFileEntry ghost = GHOST_FILE_ENTRY__INIT;
	PipeDataEntry pipe = PIPE_DATA_ENTRY__INIT;

	reg.id = file.id = 1;
	reg.name = (char *)"/var/log/x";
	reg.fown = &fown;
	file.type = FD_TYPES__REG;
	file.reg = &reg;
	assert_int_equal(image_write(w, IMG_FILES, 0, &file.base), 0);
	assert_int_equal(image_write(w, IMG_FS, 1, &fs.base), 0);
	ghost.mode = 0100644;
	assert_int_equal(image_write(w, IMG_GHOST_FILE, 0x1f, &ghost.base), 0);
	assert_int_equal(image_write_raw(w, IMG_GHOST_FILE, 0x1f, "gone", 4), 0);
	pipe.pipe_id = 5;
	pipe.bytes = 6;
	assert_int_equal(image_write(w, IMG_PIPES_DATA, 0, &pipe.base), 0);
	assert_int_equal(image_write_raw(w, IMG_PIPES_DATA, 0, "liquid", 6), 0);
}

static void put_seccomp(struct image_writer *w)
{
	SeccompEntry e = SECCOMP_ENTRY__INIT;
	SeccompFilter f = SECCOMP_FILTER__INIT, *list[] = {&f};

	f.filter.data = (uint8_t *)"\0\0\0\0\0\0\0\0";
	f.filter.len = 8;
	e.n_seccomp_filters = 1;
	e.seccomp_filters = list;
	assert_int_equal(image_write(w, IMG_SECCOMP, 0, &e.base), 0);
}

static void put_pages(struct image_writer *w)
{
	CLEANUP(pages_writer_drop) struct pages_writer p = PAGES_WRITER_NONE;

	assert_int_equal(pages_create(&p, w, IMG_PAGEMAP, 1, 1), 0);
	assert_int_equal(pages_add(&p, 0x400000, 3, PE_PRESENT, NULL), 0);
	assert_int_equal(pages_finish(&p), 0);
}

static int make(void **state)
{
	CLEANUP(image_writer_drop) struct image_writer w;
	DumpStatsEntry dump = DUMP_STATS_ENTRY__INIT;
	RestoreStatsEntry restore = RESTORE_STATS_ENTRY__INIT;
	PstreeEntry tree = PSTREE_ENTRY__INIT;
	InventoryEntry inv;
	TaskKobjIdsEntry ids = TASK_KOBJ_IDS_ENTRY__INIT;

	assert_non_null(mkdtemp(room));
	room_fd = open(room, O_DIRECTORY | O_CLOEXEC);
	image_writer_init(&w, room_fd);
	inventory_init(&inv);
	inv.root_ids = &ids;
	assert_int_equal(image_write(&w, IMG_INVENTORY, 0, &inv.base), 0);
	tree.pid = 1;
	assert_int_equal(image_write(&w, IMG_PSTREE, 0, &tree.base), 0);
	put_core(&w);
	put_mm(&w);
	put_files(&w);
	put_seccomp(&w);
	put_pages(&w);
	assert_int_equal(image_touch(&w, IMG_TTY_INFO, 0), 0);
	assert_int_equal(image_writer_finish(&w), 0);
	dump.frozen_time = 4711;
	assert_int_equal(stats_write_dump(room_fd, &dump), 0);
	assert_int_equal(stats_write_restore(room_fd, &restore), 0);
	return 0;
}

static int drop(void **state)
{
	close(room_fd);
	return file_remove_tree_at(AT_FDCWD, room);
}

static json_t *decode(const char *name)
{
	g_autofree char *path = g_build_filename(room, name, NULL), *out = NULL;
	const char *const argv[] = {"crit", "decode", "-i", path, NULL};
	const struct spawn s = {.argv = argv, .in = SPAWN_NULL, .err = SPAWN_CAPTURE};
	json_t *doc;

	if (spawn_check(&s, &out, NULL) < 0)
		fail_msg("%s: %s", name, err_message());
	doc = json_loads(out, 0, NULL);
	assert_non_null(doc);
	return doc;
}

static void test_decode(void **state)
{
	static const struct {
		const char *name;
		unsigned entries;
	} files[] = {
		{"inventory.img", 1},	  {"pstree.img", 1},	 {"core-1.img", 1},
		{"mm-1.img", 1},	  {"files.img", 1},	 {"fs-1.img", 1},
		{"ghost-file-1f.img", 1}, {"pipes-data.img", 1}, {"seccomp.img", 1},
		{"pagemap-1.img", 2},	  {"tty-info.img", 0},	 {"stats-dump", 1},
		{"stats-restore", 1},
	};
	g_autofree char *crit = g_find_program_in_path("crit");

	if (!crit) {
		print_message("crit is not installed (Debian package criu)\n");
		skip();
	}
	for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
		json_t *doc = decode(files[i].name);

		assert_int_equal(json_array_size(json_object_get(doc, "entries")),
				 files[i].entries);
		json_decref(doc);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_decode)};

	return cmocka_run_group_tests(tests, make, drop);
}
