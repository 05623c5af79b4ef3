/* SPDX-License-Identifier: Apache-2.0 */
#include "image/image.h"

#include "base/file.h"
#include "image/cgroup.pb-c.h"
#include "image/core.pb-c.h"
#include "image/fdinfo.pb-c.h"
#include "image/inventory.h"
#include "image/mm.pb-c.h"
#include "image/pages.h"
#include "image/pipe-data.pb-c.h"
#include "image/pstree.pb-c.h"
#include "image/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

struct room {
	char path[64];
	int fd;
};

static int room_make(void **state)
{
	struct room *t = g_new0(struct room, 1);

	strcpy(t->path, "/tmp/image-test-XXXXXX");
	assert_non_null(mkdtemp(t->path));
	t->fd = open(t->path, O_DIRECTORY | O_CLOEXEC);
	assert_true(t->fd >= 0);
	*state = t;
	return 0;
}

static int room_drop(void **state)
{
	struct room *t = *state;

	close(t->fd);
	assert_int_equal(file_remove_tree_at(AT_FDCWD, t->path), 0);
	g_free(t);
	return 0;
}

static void write_core(struct image_writer *w, uint32_t pid)
{
	CoreEntry core = CORE_ENTRY__INIT;
	TaskCoreEntry tc = TASK_CORE_ENTRY__INIT;
	ThreadCoreEntry thread = THREAD_CORE_ENTRY__INIT;

	core.mtype = CORE_ENTRY__MARCH__X86_64;
	tc.comm = (char *)"looper";
	tc.task_state = 1;
	thread.has_sched_nice = true;
	thread.sched_nice = -5;
	core.tc = &tc;
	core.thread_core = &thread;
	assert_int_equal(image_write(w, IMG_CORE, pid, &core.base), 0);
}

static void write_tree(int dir, unsigned tasks)
{
	CLEANUP(image_writer_drop) struct image_writer w;
	InventoryEntry inv;
	TaskKobjIdsEntry ids = TASK_KOBJ_IDS_ENTRY__INIT;

	image_writer_init(&w, dir);
	inventory_init(&inv);
	inv.root_ids = &ids;
	assert_int_equal(image_write(&w, IMG_INVENTORY, 0, &inv.base), 0);
	for (unsigned i = 0; i < tasks; i++) {
		PstreeEntry e = PSTREE_ENTRY__INIT;
		uint32_t tid = i + 1;

		e.pid = e.pgid = e.sid = tid;
		e.n_threads = 1;
		e.threads = &tid;
		assert_int_equal(image_write(&w, IMG_PSTREE, 0, &e.base), 0);
		write_core(&w, tid);
	}
	assert_int_equal(image_writer_finish(&w), 0);
}

static void write_files(int dir)
{
	CLEANUP(image_writer_drop) struct image_writer w;

	image_writer_init(&w, dir);
	for (unsigned i = 1; i <= 3; i++) {
		FileEntry e = FILE_ENTRY__INIT;
		RegFileEntry reg = REG_FILE_ENTRY__INIT;
		FownEntry fown = FOWN_ENTRY__INIT;
		FdinfoEntry fd = FDINFO_ENTRY__INIT;

		reg.id = e.id = fd.id = i;
		reg.name = (char *)"/etc/passwd";
		reg.fown = &fown;
		e.type = fd.type = FD_TYPES__REG;
		e.reg = &reg;
		fd.fd = i;
		assert_int_equal(image_write(&w, IMG_FILES, 0, &e.base), 0);
		assert_int_equal(image_write(&w, IMG_FDINFO, 1, &fd.base), 0);
	}
	assert_int_equal(image_writer_finish(&w), 0);
}

static void write_pipes(int dir, const char *data, size_t len)
{
	CLEANUP(image_writer_drop) struct image_writer w;
	PipeDataEntry e = PIPE_DATA_ENTRY__INIT;

	image_writer_init(&w, dir);
	for (e.pipe_id = 7; e.pipe_id < 10; e.pipe_id++) {
		e.bytes = len;
		assert_int_equal(image_write(&w, IMG_PIPES_DATA, 0, &e.base), 0);
		assert_int_equal(image_write_raw(&w, IMG_PIPES_DATA, 0, data, len), 0);
	}
	assert_int_equal(image_writer_finish(&w), 0);
}

static void write_pages(int dir)
{
	CLEANUP(image_writer_drop) struct image_writer w;
	CLEANUP(pages_writer_drop) struct pages_writer p = PAGES_WRITER_NONE;
	uint64_t at;

	image_writer_init(&w, dir);
	assert_int_equal(pages_create(&p, &w, IMG_PAGEMAP, 1, 1), 0);
	assert_int_equal(pages_add(&p, 0x10000, 2, PE_PRESENT, &at), 0);
	assert_int_equal(at, 0);
	assert_int_equal(pages_add(&p, 0x12000, 1, PE_PRESENT, &at), 0);
	assert_int_equal(at, 0x2000);
	assert_int_equal(pages_add(&p, 0x20000, 4, PE_PRESENT | PE_LAZY, &at), 0);
	assert_int_equal(at, 0x3000);
	assert_int_equal(pages_add(&p, 0x1000, 1, PE_PRESENT, NULL), -EINVAL);
	assert_int_equal(pages_finish(&p), 0);
	assert_int_equal(image_writer_finish(&w), 0);
}

static void test_records(void **state)
{
	struct room *t = *state;
	CLEANUP(image_record_free) CoreEntry *core = NULL;
	CLEANUP(image_record_free) InventoryEntry *inv = NULL;
	g_autoptr(GPtrArray) tree = NULL, none = NULL;

	write_tree(t->fd, 3000);
	assert_int_equal(inventory_load(t->fd, &inv), 0);
	assert_true(inv->fdinfo_per_id && inv->dump_uptime > 0);
	assert_int_equal(image_load_all(t->fd, IMG_PSTREE, 0, &tree), 0);
	assert_int_equal(tree->len, 3000);
	assert_int_equal(((PstreeEntry *)tree->pdata[2999])->threads[0], 3000);
	assert_int_equal(image_load_needed(t->fd, IMG_CORE, 17, &core), 0);
	assert_string_equal(core->tc->comm, "looper");
	assert_int_equal(core->thread_core->sched_nice, -5);
	assert_int_equal(image_load_needed(t->fd, IMG_CORE, 4000, &core), -ENOENT);
	assert_string_equal(err_message(), "open image core-4000.img: no such file or directory");
	assert_int_equal(image_load_all(t->fd, IMG_FILES, 0, &none), 0);
	assert_int_equal(none->len, 0);
}

static void test_payload(void **state)
{
	struct room *t = *state;

	for (size_t len = 1; len < 1u << 20; len = len * 7 + 3) {
		g_autofree char *data = g_malloc(len), *back = g_malloc(len);
		CLEANUP(image_close) struct image *img = NULL;
		CLEANUP(image_record_free) PipeDataEntry *e = NULL;
		unsigned n = 0;

		memset(data, 0x40 + len % 16, len);
		write_pipes(t->fd, data, len);
		assert_int_equal(image_open(t->fd, IMG_PIPES_DATA, 0, &img), 0);
		while (image_read(img, &e) == 0) {
			assert_int_equal(e->pipe_id, 7 + n++);
			assert_int_equal(image_read_raw(img, back, e->bytes), 0);
			assert_memory_equal(data, back, len);
		}
		assert_int_equal(n, 3);
	}
}

static void test_pages(void **state)
{
	struct room *t = *state;
	CLEANUP(page_set_clear) struct page_set s = {}, none = {};

	write_pages(t->fd);
	assert_int_equal(pages_open(t->fd, IMG_PAGEMAP, 1, &s), 0);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.nr_pages, 7);
	assert_int_equal(s.runs[0].nr_pages, 3);
	assert_int_equal(s.runs[1].vaddr, 0x20000);
	assert_int_equal(s.runs[1].offset, 0x3000);
	assert_int_equal(pages_open(t->fd, IMG_PAGEMAP, 2, &none), 1);
	assert_int_equal(unlinkat(t->fd, "pages-1.img", 0), 0);
	assert_int_equal(pages_open(t->fd, IMG_PAGEMAP, 1, &none), -ENOENT);
}

static void test_parent(void **state)
{
	struct room *t = *state;
	CLEANUP(image_writer_drop) struct image_writer w;
	CLEANUP(pages_writer_drop) struct pages_writer p = PAGES_WRITER_NONE;
	CLEANUP(page_set_clear) struct page_set s = {}, bad = {};
	autoclose int child = -1;
	uint64_t end;

	write_pages(t->fd);
	assert_int_equal(mkdirat(t->fd, "2", 0700), 0);
	assert_int_equal(symlinkat("..", t->fd, "2/parent"), 0);
	child = openat(t->fd, "2", O_DIRECTORY | O_CLOEXEC);
	image_writer_init(&w, child);
	assert_int_equal(pages_create(&p, &w, IMG_PAGEMAP, 1, 1), 0);
	assert_int_equal(pages_add(&p, 0x11000, 2, PE_PARENT, NULL), 0);
	assert_int_equal(pages_add(&p, 0x20000, 1, PE_PRESENT, NULL), 0);
	assert_int_equal(pages_add(&p, 0x21000, 3, PE_PARENT, NULL), 0);
	assert_int_equal(pages_finish(&p), 0);
	assert_int_equal(image_writer_finish(&w), 0);
	assert_int_equal(pages_open(child, IMG_PAGEMAP, 1, &s), 0);
	assert_int_equal(s.n, 3);
	assert_int_equal(s.nfds, 2);
	assert_int_equal(s.runs[0].offset, 0x1000);
	assert_int_equal(s.runs[1].fd, s.fds[0]);
	assert_int_equal(s.runs[2].fd, s.fds[1]);
	assert_int_equal(s.runs[2].offset, 0x4000);
	/* 11-13 and 20-24 */
	end = 0x30000;
	assert_true(page_set_has(&s, 0x11000, &end));
	assert_int_equal(end, 0x13000);
	end = 0x30000;
	assert_false(page_set_has(&s, 0x13000, &end));
	assert_int_equal(end, 0x20000);
	end = 0x22000;
	assert_true(page_set_has(&s, 0x20000, &end));
	assert_int_equal(end, 0x22000);
	end = 0x30000;
	assert_false(page_set_has(&s, 0x24000, &end));
	assert_int_equal(end, 0x30000);
	/* a parent that is its own ancestor */
	assert_int_equal(symlinkat(".", t->fd, "parent"), 0);
	assert_int_equal(pages_open(child, IMG_PAGEMAP, 1, &bad), -ELOOP);
}

/* Headers of both lengths, told apart by the first. */
static void test_wire(void **state)
{
	static const struct wire_header all[] = {
		{.cmd = WIRE_OPEN2, .dst = 42 << 8 | 1},
		{.cmd = WIRE_GET, .nr_pages = 3, .vaddr = 0x7f0000001000, .dst = 42},
	};

	for (unsigned i = 0; i < 4; i++) {
		struct wire from = {.old = i & 1}, to = {0};
		struct wire_header h;
		char content[5];
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		from.sock = pair[0];
		to.sock = pair[1];
		assert_int_equal(wire_send(&from, &all[i / 2], "hello", 5), 0);
		assert_int_equal(wire_recv(&to, &h), 0);
		assert_int_equal(to.old, from.old);
		assert_int_equal(h.cmd, all[i / 2].cmd);
		assert_int_equal(h.nr_pages, all[i / 2].nr_pages);
		assert_int_equal(h.vaddr, all[i / 2].vaddr);
		assert_int_equal(h.dst, all[i / 2].dst);
		assert_int_equal(wire_recv_bytes(&to, content, 5), 0);
		assert_memory_equal(content, "hello", 5);
		close(pair[0]);
		assert_int_equal(wire_recv(&to, &h), 1);
		close(pair[1]);
	}
}

/* Nesting that would overflow the stack, and two bytes that become a struct each. */
static void test_bombs(void **state)
{
	g_autoptr(GByteArray) deep = g_byte_array_new();
	CLEANUP(image_record_free) ProtobufCMessage *msg = NULL;

	for (unsigned i = 0; i < 40; i++) { /* field 2, children: what is there already */
		uint8_t head[6] = {2 << 3 | 2};
		unsigned n = 1;

		for (uint32_t len = deep->len; n == 1 || len; len >>= 7)
			head[n++] = (len & 0x7f) | (len > 0x7f ? 0x80 : 0);
		g_byte_array_prepend(deep, head, n);
	}
	assert_int_equal(image_unpack(&cgroup_dir_entry__descriptor, deep->data, deep->len,
				      "cgroup.img", &msg),
			 -EBADMSG);
	assert_string_equal(err_message(), "cgroup.img: messages nest too deep");
	g_byte_array_set_size(deep, 32u << 20);
	for (unsigned i = 0; i < deep->len; i += 2) { /* mm_entry.vmas, empty */
		deep->data[i] = 14 << 3 | 2;
		deep->data[i + 1] = 0;
	}
	assert_int_equal(
		image_unpack(&mm_entry__descriptor, deep->data, deep->len, "mm-1.img", &msg),
		-EBADMSG);
	assert_string_equal(err_message(), "mm-1.img: message is too large");
}

static void load_everything(int dir)
{
	static const enum image_kind kinds[] = {IMG_INVENTORY, IMG_PSTREE, IMG_CORE,
						IMG_FILES,     IMG_FDINFO, IMG_PIPES_DATA};
	CLEANUP(page_set_clear) struct page_set s = {};

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		g_autoptr(GPtrArray) all = NULL;
		int r = image_load_all(dir, kinds[i], 1, &all);

		assert_true(r == 0 || r == -EBADMSG);
		if (r < 0)
			assert_non_null(strstr(err_message(), ".img"));
	}
	if (pages_open(dir, IMG_PAGEMAP, 1, &s) < 0)
		assert_non_null(strstr(err_message(), ".img"));
}

/* Any damage is an answer or an error, never a crash; run it under ASan as well. */
static void test_damage(void **state)
{
	static const char *const names[] = {"inventory.img", "pstree.img",   "core-1.img",
					    "files.img",     "fdinfo-1.img", "pipes-data.img",
					    "pagemap-1.img"};
	struct room *t = *state;
	g_autoptr(GRand) rand = g_rand_new_with_seed(20240229);

	write_tree(t->fd, 5);
	write_files(t->fd);
	write_pipes(t->fd, "some bytes in a pipe", 20);
	write_pages(t->fd);
	for (unsigned i = 0; i < 1500; i++) {
		const char *name = names[i % ARRAY_SIZE(names)];
		g_autofree char *good = NULL, *bad = NULL;
		autoclose int fd = openat(t->fd, name, O_WRONLY | O_CLOEXEC);
		size_t len, cut;

		assert_int_equal(file_read_at(t->fd, name, 1 << 20, &good, &len), 0);
		bad = g_memdup2(good, len);
		for (unsigned n = g_rand_int_range(rand, 0, 5); n; n--)
			bad[g_rand_int_range(rand, 0, len)] ^= 1 << g_rand_int_range(rand, 0, 8);
		cut = g_rand_boolean(rand) ? g_rand_int_range(rand, 0, len) : len;
		assert_int_equal(pwrite(fd, bad, len, 0), len);
		assert_int_equal(ftruncate(fd, cut), 0);
		load_everything(t->fd);
		assert_int_equal(pwrite(fd, good, len, 0), len);
	}
}

static void test_names(void **state)
{
	char name[IMAGE_NAME_MAX];

	image_name(IMG_GHOST_FILE, 0x1f, name);
	assert_string_equal(name, "ghost-file-1f.img");
	image_name(IMG_SHMEM_PAGEMAP, 1234567890123, name);
	assert_string_equal(name, "pagemap-shmem-1234567890123.img");
	image_name(IMG_TMPFS, 5, name);
	assert_string_equal(name, "tmpfs-5.tar.gz.img");
	for (unsigned k = 0; k < IMG_KINDS; k++)
		assert_true(image_file(k)->head == IMAGE_HEAD_NONE || image_file(k)->record);
}

/* Made before: written as any other, removed if nothing came. */
static void test_expected(void **state)
{
	const struct room *t = *state;
	CLEANUP(image_writer_drop) struct image_writer w;
	CLEANUP(image_record_free) CoreEntry *core = NULL;
	char name[IMAGE_NAME_MAX];
	struct stat st;
	int fd;

	image_writer_init(&w, t->fd);
	for (unsigned i = 1; i <= 300; i++) /* more than are left open */
		assert_int_equal(image_expect(&w, IMG_CORE, i), 0);
	assert_int_equal(image_expect(&w, IMG_CORE, 1), 0);
	assert_int_equal(image_expect(&w, IMG_TMPFS_DEV, 7), 0);
	for (unsigned i = 1; i <= 300; i++) {
		image_name(IMG_CORE, i, name);
		assert_int_equal(fstatat(t->fd, name, &st, 0), 0);
		if (i % 3)
			write_core(&w, i);
	}
	assert_int_equal(image_write_fd(&w, IMG_TMPFS_DEV, 7, &fd), 0);
	assert_int_equal(write(fd, "tar", 3), 3);
	close(fd);
	assert_int_equal(image_writer_finish(&w), 0);
	for (unsigned i = 1; i <= 300; i++) {
		image_name(IMG_CORE, i, name);
		assert_int_equal(fstatat(t->fd, name, &st, 0), i % 3 ? 0 : -1);
		if (i % 3)
			assert_int_equal(image_load_needed(t->fd, IMG_CORE, i, &core), 0);
	}
	image_name(IMG_TMPFS_DEV, 7, name);
	assert_int_equal(fstatat(t->fd, name, &st, 0), 0);
	assert_int_equal(st.st_size, 3);
}

/* Pages whose file is there before: cut to what came, removed if nobody took it. */
static void test_prepared(void **state)
{
	const struct room *t = *state;
	CLEANUP(image_writer_drop) struct image_writer w;
	CLEANUP(pages_writer_drop) struct pages_writer p = PAGES_WRITER_NONE;
	CLEANUP(page_set_clear) struct page_set s = {0};
	char page[IMAGE_PAGE_SIZE], back[IMAGE_PAGE_SIZE];
	uint64_t at;
	struct stat st;

	memset(page, 'p', sizeof(page));
	image_writer_init(&w, t->fd);
	assert_int_equal(pages_expect(&w, 1, 300 << 10, true), 0);
	assert_int_equal(pages_expect(&w, 2, 0, true), 0);
	assert_int_equal(fstatat(t->fd, "pages-1.img", &st, 0), 0);
	assert_true(st.st_size >= 300 << 10);
	assert_int_equal(pages_create(&p, &w, IMG_PAGEMAP, 1, 1), 0);
	assert_int_equal(pages_prepared_bytes(&p), 300 << 10);
	assert_int_equal(pages_add(&p, 0x1000, 1, PE_PRESENT, &at), 0);
	assert_int_equal(pwrite(p.fd, page, sizeof(page), (off_t)at), sizeof(page));
	assert_int_equal(pages_finish(&p), 0);
	assert_int_equal(image_writer_finish(&w), 0);
	assert_int_equal(fstatat(t->fd, "pages-1.img", &st, 0), 0);
	assert_int_equal(st.st_size, IMAGE_PAGE_SIZE);
	assert_int_equal(fstatat(t->fd, "pages-2.img", &st, 0), -1);
	assert_int_equal(pages_open(t->fd, IMG_PAGEMAP, 1, &s), 0);
	assert_int_equal(pread(s.runs[0].fd, back, sizeof(back), (off_t)s.runs[0].offset),
			 sizeof(back));
	assert_memory_equal(page, back, sizeof(page));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(test_prepared, room_make, room_drop),
		cmocka_unit_test_setup_teardown(test_expected, room_make, room_drop),
		cmocka_unit_test_setup_teardown(test_records, room_make, room_drop),
		cmocka_unit_test_setup_teardown(test_payload, room_make, room_drop),
		cmocka_unit_test_setup_teardown(test_pages, room_make, room_drop),
		cmocka_unit_test_setup_teardown(test_parent, room_make, room_drop),
		cmocka_unit_test(test_wire),
		cmocka_unit_test(test_bombs),
		cmocka_unit_test_setup_teardown(test_damage, room_make, room_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
