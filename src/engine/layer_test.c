/* SPDX-License-Identifier: Apache-2.0 */
/* Layers as nobody should write them.  Root only: owners, devices, trusted.* attributes. */
#include "base/file.h"
#include "engine/layer.h"
#include "engine/layer_tree.h"
#include "engine/test_tar.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <cmocka.h>

struct place {
	char top[64]; /* only "diff" may ever be in it */
	int diff;
	struct layer_result res;
};

static void place_open(struct place *p)
{
	g_autofree char *diff = NULL;

	strcpy(p->top, "/tmp/layer-test-XXXXXX");
	assert_non_null(mkdtemp(p->top));
	diff = g_build_filename(p->top, "diff", NULL);
	assert_int_equal(mkdir(diff, 0700), 0);
	p->diff = open(diff, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(p->diff >= 0);
}

static void place_close(struct place *p)
{
	g_autoptr(GDir) d = g_dir_open(p->top, 0, NULL);

	assert_string_equal(g_dir_read_name(d), "diff");
	assert_null(g_dir_read_name(d));
	close(p->diff);
	assert_int_equal(file_remove_tree_at(AT_FDCWD, p->top), 0);
}

static int unpack_limited(struct place *p, const struct test_member *m, const struct place *below,
			  struct layer_limits limits)
{
	autoclose int fd = test_tar(m, true);
	struct layer_stream s = {.fd = fd, .limits = limits, .copy_fd = -1};

	return layer_unpack(&s, p->diff, below ? &below->diff : NULL, below ? 1 : 0, &p->res);
}

static int unpack(struct place *p, const struct test_member *m, const struct place *below)
{
	return unpack_limited(p, m, below, LAYER_LIMITS);
}

static struct stat look(const struct place *p, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(p->diff, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st;
}

static bool is_there(const struct place *p, const char *name)
{
	return faccessat(p->diff, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_whiteout(const struct place *p, const char *name)
{
	struct stat st = look(p, name);

	return overlay_is_whiteout(&st);
}

static bool is_opaque(const struct place *p, const char *name)
{
	autoclose int fd = openat(p->diff, name, O_PATH | O_CLOEXEC);

	return overlay_is_opaque(fd);
}

#define DIR(...) S_IFDIR | 0755, ##__VA_ARGS__
#define LINK(to) S_IFLNK | 0777, NULL, to

static void test_kinds(void **state)
{
	const struct test_member m[] = {
		{"d", S_IFDIR | 01777, .owner = 3},
		{"d/file", S_IFREG | 06755, "hello", .owner = 1000},
		{"d/hard", .hardlink = "d/file"},
		{"link", LINK("/etc/passwd"), .owner = 7},
		{"null", S_IFCHR | 0666, .dev = makedev(1, 3)},
		{"pipe", S_IFIFO | 0600},
		{"/abs/./x", 0, "abs"},
		{"ping", S_IFREG | 0755, "x", .xattr = "user.note", .value = "kept"},
		{"evil", DIR(), .xattr = "trusted.overlay.redirect", .value = "/x"},
		{"gr\xc3\xbc\xc3\x9f", 0, "utf"},
		{NULL},
	};
	struct place p;
	struct stat st;
	char buf[16];

	place_open(&p);
	assert_int_equal(unpack(&p, m, NULL), 0);
	st = look(&p, "d");
	assert_int_equal(st.st_mode, S_IFDIR | 01777);
	assert_int_equal(st.st_uid, 3);
	assert_int_equal(st.st_mtim.tv_sec, 1000);
	st = look(&p, "d/file");
	assert_int_equal(st.st_mode, S_IFREG | 06755);
	assert_int_equal(st.st_uid, 1000);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(st.st_mtim.tv_nsec, 500);
	assert_int_equal(look(&p, "d/hard").st_ino, st.st_ino);
	assert_int_equal(look(&p, "link").st_uid, 7);
	assert_int_equal(look(&p, "null").st_rdev, makedev(1, 3));
	assert_true(S_ISFIFO(look(&p, "pipe").st_mode));
	assert_int_equal(look(&p, "abs/x").st_size, 3);
	assert_int_equal(look(&p, "gr\xc3\xbc\xc3\x9f").st_size, 3);
	assert_int_equal(fchdir(p.diff), 0);
	assert_int_equal(getxattr("ping", "user.note", buf, sizeof(buf)), 4);
	assert_int_equal(getxattr("evil", "trusted.overlay.redirect", buf, sizeof(buf)), -1);
	assert_int_equal(chdir("/"), 0);
	place_close(&p);
}

/* Each of these names something outside; the message has to say which. */
static void test_escapes(void **state)
{
	static const struct {
		const char *named;
		struct test_member m[3];
	} cases[] = {
		{"../x", {{"../x"}}},
		{"a/../../x", {{"a/../../x"}}},
		{"..", {{"..", DIR()}}},
		{"/../x", {{"/../x"}}},
		{"l/x", {{"l", LINK("/")}, {"l/x"}}},
		{"l/x", {{"l", LINK("..")}, {"l/x"}}},
		{"l/x", {{"l", LINK("./../..")}, {"l/x"}}},
		{"l", {{"l", LINK("/etc")}, {"l/a/b/c/x"}}},
		{"l/.wh.x", {{"l", LINK("/etc")}, {"l/.wh.passwd"}}},
		{"h", {{"h", .hardlink = "../../etc/passwd"}}},
		{"h", {{"h", .hardlink = "/etc/passwd"}}},
		{"h", {{"l", LINK("/etc")}, {"h", .hardlink = "l/passwd"}}},
		{".wh.", {{".wh."}}},
		{"a/.wh..", {{"a/.wh.."}}},
		{".wh...", {{".wh..."}}},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct place p;
		int r;

		place_open(&p);
		r = unpack(&p, cases[i].m, NULL);
		if (r != -EXDEV ||
		    !strstr(err_message(), cases[i].named[0] == 'l' ? "l" : cases[i].named))
			print_message("case %u: %d %s\n", i, r, r ? err_message() : "");
		assert_int_equal(r, -EXDEV);
		place_close(&p);
	}
}

static void test_links_inside(void **state)
{
	const struct test_member m[] = {{"usr/bin", DIR()},
					{"bin", LINK("usr/bin")},
					{"bin/sh", 0, "shell"},
					{"a", DIR()},
					{"a/x"},
					{"a", LINK("usr")},
					{"a/y", 0, "through"},
					{"f", 0, "old"},
					{"f", 0, "newer"},
					{NULL}};
	struct place p;

	place_open(&p);
	assert_int_equal(unpack(&p, m, NULL), 0);
	assert_int_equal(look(&p, "usr/bin/sh").st_size, 5);
	assert_int_equal(look(&p, "usr/y").st_size, 7);
	assert_int_equal(look(&p, "f").st_size, 5);
	place_close(&p);
}

static void test_whiteouts(void **state)
{
	const struct test_member m[] = {
		{"etc/.wh.gone"}, {"opt/.wh..wh..opq"}, {"opt/new"},  {".wh..wh.plnk", DIR()},
		{".wh.again"},	  {"again", DIR()},	{".wh.deep"}, {"deep/er/x"},
		{"kept", DIR()},  {".wh.kept"},		{NULL}};
	struct place p;

	place_open(&p);
	assert_int_equal(unpack(&p, m, NULL), 0);
	assert_true(is_whiteout(&p, "etc/gone"));
	assert_false(is_there(&p, "etc/.wh.gone"));
	assert_true(is_opaque(&p, "opt"));
	assert_true(is_there(&p, "opt/new"));
	assert_false(is_there(&p, "opt/.wh..wh..opq"));
	assert_false(is_there(&p, ".wh..wh.plnk"));
	assert_true(is_opaque(&p, "again"));
	assert_true(is_opaque(&p, "deep"));
	assert_true(is_there(&p, "deep/er/x"));
	assert_true(is_opaque(&p, "kept"));
	place_close(&p);
}

/* Directories that a layer has no entry for look as they did below. */
static void test_implicit_parents(void **state)
{
	const struct test_member base[] = {{"tmp", S_IFDIR | 01777, .owner = 5}, {NULL}};
	const struct test_member m[] = {{"tmp/x/y"}, {NULL}};
	struct place below, p;

	place_open(&below);
	assert_int_equal(unpack(&below, base, NULL), 0);
	assert_int_equal(fchmod(below.diff, 0711), 0);
	place_open(&p);
	assert_int_equal(unpack(&p, m, &below), 0);
	assert_int_equal(look(&p, "tmp").st_mode, S_IFDIR | 01777);
	assert_int_equal(look(&p, "tmp").st_uid, 5);
	assert_int_equal(look(&p, "tmp/x").st_mode, S_IFDIR | 0755);
	assert_int_equal(look(&p, ".").st_mode, S_IFDIR | 0711);
	place_close(&p);
	place_close(&below);
}

static void test_digests(void **state)
{
	const struct test_member m[] = {{"f", 0, "content"}, {NULL}};
	char wrong[DIGEST_MAX];
	struct place p;
	autoclose int fd = test_tar(m, true);
	struct layer_stream s = {.fd = fd, .limits = LAYER_LIMITS, .copy_fd = -1};
	struct layer_result res;
	off_t size = lseek(fd, 0, SEEK_END);

	place_open(&p);
	digest_of("x", 1, wrong);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(layer_unpack(&s, p.diff, NULL, 0, &res), 0);
	assert_int_equal(res.packed_bytes, size);
	s.digest = wrong;
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(layer_unpack(&s, p.diff, NULL, 0, &p.res), -EBADMSG);
	assert_non_null(strstr(err_message(), wrong));
	s.digest = res.digest;
	s.diff_id = wrong;
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(layer_unpack(&s, p.diff, NULL, 0, &p.res), -EBADMSG);
	s.diff_id = res.diff_id;
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(layer_unpack(&s, p.diff, NULL, 0, &p.res), 0);
	/* Something after the compressed stream belongs to the digest. */
	lseek(fd, 0, SEEK_END);
	assert_int_equal(write(fd, "tail", 4), 4);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(layer_unpack(&s, p.diff, NULL, 0, &p.res), -EBADMSG);
	place_close(&p);
}

static void test_damage(void **state)
{
	g_autofree char *big = g_strnfill(300000, 'x');
	const struct test_member m[] = {{"f", 0, big}, {"g", 0, "y"}, {NULL}};
	struct place p;
	autoclose int fd = test_tar(m, true);
	struct layer_stream s = {.fd = fd, .limits = LAYER_LIMITS, .copy_fd = -1};
	off_t size = lseek(fd, 0, SEEK_END);
	int r;

	place_open(&p);
	assert_int_equal(ftruncate(fd, size / 2), 0);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(layer_unpack(&s, p.diff, NULL, 0, &p.res), -EBADMSG);
	assert_non_null(strstr(err_message(), "gzip"));
	assert_int_equal(ftruncate(fd, 0), 0);
	lseek(fd, 0, SEEK_SET);
	r = layer_unpack(&s, p.diff, NULL, 0, &p.res); /* nothing: fine, or damage; no crash */
	assert_true(r == 0 || r == -EBADMSG);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(write(fd, big, 5000), 5000);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(layer_unpack(&s, p.diff, NULL, 0, &p.res), -EBADMSG);
	place_close(&p);
}

static void test_limits(void **state)
{
	g_autofree char *big = g_strnfill(100000, 0x20);
	g_autoptr(GString) deep = g_string_new("x");
	struct test_member bomb[] = {{"f", 0, big}, {"g"}, {NULL}};
	struct test_member pit[] = {{NULL}, {NULL}};
	struct layer_limits limits = LAYER_LIMITS;
	struct place p;

	place_open(&p);
	limits.bytes = 50000;
	assert_int_equal(unpack_limited(&p, bomb, NULL, limits), -EFBIG);
	limits = LAYER_LIMITS;
	limits.entries = 1;
	assert_int_equal(unpack_limited(&p, bomb, NULL, limits), -EFBIG);
	for (unsigned i = 0; i < 300; i++)
		g_string_append(deep, "/x");
	pit[0].name = deep->str;
	assert_int_equal(unpack(&p, pit, NULL), -ENAMETOOLONG);
	place_close(&p);
}

/* A header's checksum is made good again, or nothing behind it would ever be reached. */
static void mutate(GRand *rand, unsigned char *tar, size_t blocks)
{
	unsigned char *b = tar + 512 * (size_t)g_rand_int_range(rand, 0, (gint32)blocks);
	unsigned sum = 0;

	for (int n = g_rand_int_range(rand, 1, 4); n > 0; n--)
		b[g_rand_int_range(rand, 0, 512)] = (unsigned char)g_rand_int_range(rand, 0, 256);
	if (memcmp(b + 257, "ustar", 5) != 0)
		return;
	memset(b + 148, ' ', 8);
	for (unsigned i = 0; i < 512; i++)
		sum += b[i];
	snprintf((char *)b + 148, 8, "%06o", sum);
}

/* Whatever is in it: an answer, and nothing outside (place_close() looks). */
static void test_mutations(void **state)
{
	const struct test_member m[] = {{"d", DIR(), .owner = 3},
					{"d/f", 0, "hello", .xattr = "user.x", .value = "y"},
					{"d/l", LINK("../d/f")},
					{"h", .hardlink = "d/f"},
					{"n", S_IFCHR | 0666, .dev = makedev(1, 3)},
					{"d/.wh.gone"},
					{"d/.wh..wh..opq"},
					{"gr\xc3\xbc\xc3\x9f/deep/er/x", 0, "utf"},
					{NULL}};
	autoclose int fd = test_tar(m, false);
	size_t size = (size_t)lseek(fd, 0, SEEK_END);
	g_autofree unsigned char *good = g_malloc(size), *bad = g_malloc(size);
	GRand *rand = g_rand_new_with_seed(4711);

	assert_int_equal(pread(fd, good, size, 0), size);
	for (unsigned i = 0; i < 100; i++) {
		struct layer_stream s = {.fd = fd, .limits = LAYER_LIMITS, .copy_fd = -1};
		struct place p;

		s.limits.bytes = 1 << 20;
		memcpy(bad, good, size);
		mutate(rand, bad, size / 512);
		assert_int_equal(pwrite(fd, bad, size, 0), size);
		lseek(fd, 0, SEEK_SET);
		place_open(&p);
		assert_true(layer_unpack(&s, p.diff, NULL, 0, &p.res) <= 0);
		place_close(&p);
	}
	g_rand_free(rand);
}

/* In a mount namespace and a process of its own. */
static int fill_disk(void)
{
	g_autofree char *big = g_strnfill(3 << 20, 'x');
	const struct test_member m[] = {{"big", 0, big}, {NULL}};
	struct place p = {.diff = -1};
	int r;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/mnt", "tmpfs", 0, "size=1m") < 0)
		return 1;
	p.diff = open("/mnt", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = unpack(&p, m, NULL);
	return r == -ENOSPC && strstr(err_message(), "big") ? 0 : 2;
}

static void test_disk_full(void **state)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fill_disk());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* The chain IDs of the OCI image specification's example do not come with numbers; ours do. */
static void test_chain(void **state)
{
	char a[ENGINE_ID_LEN + 1], b[ENGINE_ID_LEN + 1], expected[DIGEST_MAX];
	char one[DIGEST_MAX], two[DIGEST_MAX];
	g_autofree char *both = NULL;

	digest_of("1", 1, one);
	digest_of("2", 1, two);
	layer_chain_id(NULL, one, a);
	assert_string_equal(a, digest_hex(one));
	layer_chain_id(a, two, b);
	both = g_strdup_printf("%s %s", one, two);
	digest_of(both, strlen(both), expected);
	assert_string_equal(b, digest_hex(expected));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_links_inside),
		cmocka_unit_test(test_whiteouts),
		cmocka_unit_test(test_implicit_parents),
		cmocka_unit_test(test_digests),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_mutations),
		cmocka_unit_test(test_disk_full),
		cmocka_unit_test(test_chain),
	};

	if (geteuid() != 0)
		return 77; /* meson: skipped */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
