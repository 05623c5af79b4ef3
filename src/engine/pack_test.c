/* SPDX-License-Identifier: Apache-2.0 */
/* What is packed comes out again; what is damaged, anywhere, does not. */
#include "base/fd.h"
#include "engine/pack.h"
#include "engine/pack_tree.h"
#include "engine/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

static int scratch(char path[64])
{
	strcpy(path, "/tmp/pack-test-XXXXXX");
	assert_non_null(mkdtemp(path));
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void remove_all(const char *path)
{
	g_autofree char *command = g_strdup_printf("rm -rf %s", path);

	assert_int_equal(system(command), 0);
}

static void make_tree(int dir)
{
	autoclose int fd = openat(dir, "sparse", O_WRONLY | O_CREAT | O_CLOEXEC, 0640);

	assert_int_equal(pwrite(fd, "begin", 5, 0), 5);
	assert_int_equal(pwrite(fd, "end", 3, 50 << 20), 3);
	assert_int_equal(mkdirat(dir, "sub", 0750), 0);
	assert_int_equal(linkat(dir, "sparse", dir, "sub/hard", 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", dir, "link"), 0);
	assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
	assert_int_equal(mkdirat(dir, "sub/t\xc3\xa4g", 0700), 0);
}

/* An archive with some of everything in a memory file. */
static int make_archive(enum pack_compression c)
{
	CLEANUP(pack_drop) struct pack *p = NULL;
	CLEANUP(pack_tree_drop) struct pack_tree *t = NULL;
	g_autofree char *noise = g_malloc(3 << 20);
	int fd = memfd_create("archive", MFD_CLOEXEC);
	char path[64];
	autoclose int dir = scratch(path);

	make_tree(dir);
	srandom(1);
	for (unsigned i = 0; i < 3 << 20; i++)
		noise[i] = (char)random();
	assert_int_equal(
		pack_open(&(struct pack_options){.fd = fd, .compression = c, .shown = "x"}, &p), 0);
	assert_int_equal(pack_bytes(p, "config.dump", "{}", 2), 0);
	assert_int_equal(pack_dir(p, "checkpoint"), 0);
	assert_int_equal(pack_begin(p, "checkpoint/pages-1.img", 3 << 20), 0);
	assert_int_equal(pack_data(p, noise, 1 << 20), 0);
	assert_int_equal(pack_data(p, noise + (1 << 20), 2 << 20), 0);
	assert_int_equal(pack_end(p), 0);
	assert_int_equal(pack_bytes(p, "checkpoint/empty.img", "", 0), 0);
	assert_int_equal(pack_tree_new(dir, &t), 0);
	pack_tree_dots(t); /* hard links must name what they link to in the same way */
	assert_int_equal(pack_tree_add_all(t), 0);
	assert_int_equal(pack_tree_write(t, p, "volumes/v.tar"), 0);
	assert_int_equal(pack_finish(p), 0);
	remove_all(path);
	return fd;
}

/* Reads all of it into DIR as files; the first failure. */
static int read_archive(int fd, int dir)
{
	CLEANUP(unpack_drop) struct unpack *u = NULL;
	struct unpack_member m;
	int r;

	lseek(fd, 0, SEEK_SET);
	r = unpack_open(&(struct unpack_options){.fd = fd, .shown = "x"}, &u);
	while (r == 0 && (r = unpack_next(u, &m)) > 0) {
		g_autofree char *name = g_strdelimit(g_strdup(m.name), "/", '_');

		r = 0;
		if (!strcmp(m.name, "volumes/v.tar"))
			r = unpack_to_tree(u, dir, NULL, 0);
		else if (S_ISREG(m.type))
			r = unpack_to_file(u, dir, name);
	}
	return r < 0 ? r : unpack_finish(u);
}

static void comes_out_again(void **state)
{
	static const enum pack_compression all[] = {PACK_NONE, PACK_GZIP, PACK_ZSTD};

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		autoclose int fd = make_archive(all[i]), dir = -1;
		char path[64], text[8] = "";
		struct stat a, b;

		dir = scratch(path);
		assert_int_equal(read_archive(fd, dir), 0);
		assert_int_equal(fstatat(dir, "checkpoint_pages-1.img", &a, 0), 0);
		assert_int_equal(a.st_size, 3 << 20);
		assert_int_equal(fstatat(dir, "sparse", &a, 0), 0);
		assert_int_equal(fstatat(dir, "sub/hard", &b, 0), 0);
		assert_int_equal(a.st_ino, b.st_ino);
		assert_int_equal(a.st_mode & 07777, 0640);
		assert_int_equal(a.st_size, (50 << 20) + 3);
		assert_true(a.st_blocks < 1000);
		assert_int_equal(readlinkat(dir, "link", text, 5), 5);
		assert_string_equal(text, "/etc/");
		assert_int_equal(fstatat(dir, "sub/t\xc3\xa4g", &a, 0), 0);
		assert_int_equal(fstatat(dir, "fifo", &a, 0), 0);
		assert_true(S_ISFIFO(a.st_mode));
		remove_all(path);
	}
}

/* Every cut is noticed, and a flipped bit unless it is in what nobody reads. */
static void damage_is_noticed(void **state)
{
	autoclose int fd = make_archive(PACK_NONE);
	off_t size = lseek(fd, 0, SEEK_END);
	g_autofree uint8_t *good = g_malloc(size);
	unsigned noticed = 0;

	assert_int_equal(fd_pread_full(fd, good, size, 0), 0);
	srandom(2);
	for (unsigned i = 0; i < 120; i++) {
		autoclose int bad = memfd_create("bad", MFD_CLOEXEC), dir = -1;
		off_t at = i < 40 ? random() % 6000 : random() % size;
		off_t length = i % 3 ? size : at;
		char path[64];
		int r;

		dir = scratch(path);
		assert_int_equal(fd_pwrite_full(bad, good, length, 0), 0);
		if (length == size) {
			uint8_t byte = good[at] ^ (uint8_t)(1 << random() % 8);

			assert_int_equal(fd_pwrite_full(bad, &byte, 1, at), 0);
		}
		r = read_archive(bad, dir);
		noticed += r < 0;
		if (length < size)
			assert_true(r < 0);
		if (r < 0)
			assert_true(strlen(err_message()) > 0);
		remove_all(path);
	}
	assert_true(noticed > 100);
}

static void names_stay_inside(void **state)
{
	static const char *const names[] = {"../x", "a/../../x", "/x", "a/.."};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		CLEANUP(pack_drop) struct pack *p = NULL;
		autoclose int fd = memfd_create("archive", MFD_CLOEXEC), dir = -1;
		char path[64];

		assert_int_equal(pack_open(&(struct pack_options){.fd = fd,
								  .compression = PACK_NONE,
								  .shown = "x"},
					   &p),
				 0);
		assert_int_equal(pack_bytes(p, names[i], "x", 1), 0);
		assert_int_equal(pack_finish(p), 0);
		dir = scratch(path);
		assert_int_equal(read_archive(fd, dir), -EXDEV);
		remove_all(path);
	}
}

static void short_and_long_members(void **state)
{
	CLEANUP(pack_drop) struct pack *p = NULL;
	CLEANUP(pack_drop) struct pack *q = NULL;
	autoclose int fd = memfd_create("archive", MFD_CLOEXEC);
	const struct pack_options o = {.fd = fd, .compression = PACK_NONE, .shown = "x"};

	assert_int_equal(pack_open(&o, &p), 0);
	assert_int_equal(pack_begin(p, "a", 3), 0);
	assert_int_equal(pack_data(p, "xx", 2), 0);
	assert_int_equal(pack_end(p), -EIO);
	assert_int_equal(pack_finish(p), -EIO);
	assert_int_equal(pack_open(&o, &q), 0);
	assert_int_equal(pack_begin(q, "a", 1), 0);
	assert_int_equal(pack_data(q, "xx", 2), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_out_again),
		cmocka_unit_test(damage_is_noticed),
		cmocka_unit_test(names_stay_inside),
		cmocka_unit_test(short_and_long_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
