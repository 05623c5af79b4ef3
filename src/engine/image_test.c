/* SPDX-License-Identifier: Apache-2.0 */
/* Images from import to rmi, in a store and a mount namespace of their own.  Root only. */
#include "base/file.h"
#include "engine/blobs.h"
#include "engine/image.h"
#include "engine/image_store.h"
#include "engine/layer.h"
#include "engine/rootfs.h"
#include "engine/store.h"
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
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define CONTAINER "c0ffee0000000000000000000000000000000000000000000000000000000001"

static char top[] = "/tmp/image-test-XXXXXX";

static struct engine *open_engine(void)
{
	g_autofree char *root = g_build_filename(top, "root", NULL);
	g_autofree char *run = g_build_filename(top, "run", NULL);
	struct engine *e;

	if (engine_open(&(struct engine_options){.root = root, .runroot = run}, &e) < 0)
		g_error("%s", err_message());
	return e;
}

static const struct test_member rootfs[] = {{"bin", S_IFDIR | 0755},
					    {"bin/sh", S_IFREG | 0755, "shell"},
					    {"etc", S_IFDIR | 0755},
					    {"etc/a", 0, "a"},
					    {"etc/b", 0, "b"},
					    {"opt/x/y", 0, "y"},
					    {NULL}};

/* ID: of the new image, or NULL. */
static int import(struct engine *e, const struct test_member *m, const char *name,
		  const char *message, char *id)
{
	const char *const changes[] = {"CMD [\"/bin/sh\"]", "ENV A=b", NULL};
	struct import_options o = {.reference = name, .message = message, .changes = changes};
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	autoclose int fd = test_tar(m, true);
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
	int r = image_import(e, path, &o, &img);

	if (r == 0 && id)
		strcpy(id, img.id);
	return r;
}

static unsigned count(struct engine *e, const char *what)
{
	g_autofree char *path = g_build_filename(e->root, what, NULL);
	g_autoptr(GDir) d = g_dir_open(path, 0, NULL);
	const char *name;
	unsigned n = 0;

	while (d && (name = g_dir_read_name(d)))
		n += name[0] != '.';
	return n;
}

static void assert_empty(struct engine *e)
{
	assert_int_equal(count(e, "blobs/sha256"), 0);
	assert_int_equal(count(e, "overlay"), 0);
	assert_int_equal(count(e, "tmp"), 0);
}

static void note(void *data, const char *what, const char *which)
{
	g_string_append_printf(data, "%s %.30s\n", what, which);
}

static int remove_container(struct engine *e, const char *id)
{
	return store_exec(e, "DELETE FROM containers WHERE id=?", "s", id);
}

static int rmi(struct engine *e, const char *name, bool force, GString *said)
{
	struct image_remove_options o = {.force = force,
					 .remove_container = remove_container,
					 .report = said ? note : NULL,
					 .data = said};

	return image_remove(e, name, &o);
}

static void assert_resolves(struct engine *e, const char *text, const char *id, const char *name)
{
	CLEANUP(image_clear) struct image img = IMAGE_NONE;

	assert_int_equal(image_resolve(e, text, &img), 0);
	assert_string_equal(img.id, id);
	assert_string_equal(img.name, name);
}

static void test_names(void **state)
{
	CLEANUP(engine_closep) struct engine *e = open_engine();
	CLEANUP(image_clear) struct image img = IMAGE_NONE, none = IMAGE_NONE;
	g_autoptr(GString) said = g_string_new(NULL);
	const char *wrong[] = {"nosuch", NULL}, *right[] = {"foo", NULL};
	char id[ENGINE_ID_LEN + 1];
	g_autofree char *brief = NULL, *digest = NULL;

	assert_int_equal(import(e, rootfs, "foo", "hi", id), 0);
	brief = g_strndup(id, 7);
	digest = g_strconcat("sha256:", id, NULL);
	assert_resolves(e, "foo", id, "localhost/foo:latest");
	assert_resolves(e, "localhost/foo:latest", id, "localhost/foo:latest");
	assert_resolves(e, id, id, id);
	assert_resolves(e, brief, id, id);
	assert_resolves(e, digest, id, id);
	assert_int_equal(image_resolve(e, "foo", &img), 0);
	assert_int_equal(image_tag(e, &img, "example.com:1/a/bar:2"), 0);
	assert_resolves(e, "bar:2", id, "example.com:1/a/bar:2");
	assert_resolves(e, img.repo_digests[0], id, img.repo_digests[0]);
	assert_int_equal(image_resolve(e, "bar", &none), -ENOENT);
	assert_string_equal(err_message(), "bar: image not known");
	assert_int_equal(image_resolve(e, "Bar", &none), -EINVAL);
	assert_int_equal(image_untag(e, &img, wrong), -ENOENT);
	assert_string_equal(err_message(), "localhost/nosuch:latest: tag not known");
	assert_int_equal(rmi(e, id, false, said), -EINVAL);
	assert_non_null(strstr(err_message(), "more than one tag ([localhost/foo:latest "));
	assert_int_equal(rmi(e, "foo", false, said), 0);
	assert_string_equal(said->str, "Untagged localhost/foo:latest\n");
	assert_int_equal(image_untag(e, &img, right), -ENOENT);
	/* A name that moves leaves the old image without one. */
	assert_int_equal(import(e, rootfs, "example.com:1/a/bar:2", "new", NULL), 0);
	image_clear(&img);
	assert_int_equal(image_resolve(e, id, &img), 0);
	assert_null(img.names[0]);
	assert_int_equal(rmi(e, id, false, NULL), 0);
	assert_int_equal(rmi(e, "bar:2", false, NULL), 0);
	assert_int_equal(rmi(e, "bar:2", false, NULL), -ENOENT);
	assert_empty(e);
}

static void test_inspect(void **state)
{
	CLEANUP(engine_closep) struct engine *e = open_engine();
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	g_autoptr(GPtrArray) history = NULL;
	json_t *j = NULL;
	const struct image_history *newest;

	assert_int_equal(import(e, rootfs, "foo", "made here", NULL), 0);
	assert_int_equal(image_resolve(e, "foo", &img), 0);
	assert_int_equal(image_inspect(e, &img, &j), 0);
	assert_string_equal(json_string_value(json_object_get(j, "Comment")), "made here");
	assert_string_equal(json_string_value(json_object_get(j, "Os")), "linux");
	assert_string_equal(json_string_value(json_array_get(
				    json_object_get(json_object_get(j, "Config"), "Cmd"), 0)),
			    "/bin/sh");
	assert_true(json_integer_value(json_object_get(j, "Size")) > 1000);
	assert_true(img.created_ns > 0);
	json_decref(j);
	assert_int_equal(image_get_history(e, &img, &history), 0);
	assert_int_equal(history->len, 1);
	newest = history->pdata[0];
	assert_string_equal(newest->id, img.id);
	assert_string_equal(newest->comment, "made here");
	assert_int_equal(newest->size_bytes, img.size_bytes);
	assert_int_equal(rmi(e, "foo", false, NULL), 0);
}

static void test_in_use(void **state)
{
	CLEANUP(engine_closep) struct engine *e = open_engine();
	g_autoptr(GString) said = g_string_new(NULL);
	char id[ENGINE_ID_LEN + 1];

	assert_int_equal(import(e, rootfs, "foo", NULL, id), 0);
	assert_int_equal(store_exec(e,
				    "INSERT INTO containers(id, name, created_ns, image_id) "
				    "VALUES(?, 'c', 1, ?)",
				    "ss", CONTAINER, id),
			 0);
	assert_int_equal(rmi(e, "foo", false, said), -EBUSY);
	assert_string_equal(err_message(),
			    "image used by " CONTAINER ": image is in use by a container: "
			    "consider listing external containers and force-removing image");
	assert_int_equal(said->len, 0);
	assert_int_equal(image_in_store(e, id), 1);
	assert_int_equal(rmi(e, "foo", true, said), 0);
	assert_int_equal(image_in_store(e, id), 0);
	assert_empty(e);
}

/* Nothing in the store after an import that failed at any point. */
static void test_failed_import(void **state)
{
	CLEANUP(engine_closep) struct engine *e = open_engine();
	const struct test_member evil[] = {{"ok", 0, "x"}, {"../out", 0, "y"}, {NULL}};
	const struct import_options bad_change = {.changes =
							  (const char *const[]){"FOO bar", NULL}};
	CLEANUP(image_clear) struct image img = IMAGE_NONE;

	assert_int_equal(import(e, evil, "foo", NULL, NULL), -EXDEV);
	assert_string_equal(err_message(), "../out: the path leaves the layer");
	assert_int_equal(import(e, rootfs, "FOO", NULL, NULL), -EINVAL);
	assert_int_equal(image_import(e, "/nonexistent", &(struct import_options){0}, &img),
			 -ENOENT);
	assert_int_equal(image_import(e, "/dev/null", &bad_change, &img), -EINVAL);
	assert_true(image_import(e, "/dev/null", &(struct import_options){0}, &img) < 0);
	assert_true(image_import(e, "/proc/self/exe", &(struct import_options){0}, &img) < 0);
	assert_int_equal(image_collect_garbage(e), 0);
	assert_empty(e);
}

/* A manifest whose layer is not what it says: refused, and the blob is not trusted again. */
static void test_corrupt_blob(void **state)
{
	static const char config[] = "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]}}";
	static const char manifest[] = "{\"schemaVersion\":2,\"config\":{\"digest\":\"%s\"},"
				       "\"layers\":[{\"digest\":\"%s\"}]}";
	CLEANUP(engine_closep) struct engine *e = open_engine();
	g_autofree char *text = NULL, *doc = NULL, *file = NULL;
	char layer[DIGEST_MAX], config_digest[DIGEST_MAX], digest[DIGEST_MAX];
	char id[ENGINE_ID_LEN + 1];
	autoclose int hold = -1;

	digest_of("layer", 5, layer);
	text = g_strdup_printf(config, layer);
	assert_int_equal(blobs_hold(e, &hold), 0);
	assert_int_equal(blob_write(e, text, strlen(text), config_digest), 0);
	doc = g_strdup_printf(manifest, config_digest, layer);
	assert_int_equal(blob_write(e, doc, strlen(doc), digest), 0);
	assert_int_equal(image_adopt(e, &(struct image_source){.digest = digest}, id), -ENOENT);
	file = blob_path(e, layer);
	assert_true(g_file_set_contents(file, "other", 5, NULL));
	assert_int_equal(image_adopt(e, &(struct image_source){.digest = digest}, id), -EBADMSG);
	assert_false(blob_exists(e, layer));
	g_free(file);
	file = blob_path(e, config_digest);
	assert_true(g_file_set_contents(file, "{}", 2, NULL));
	assert_int_equal(image_adopt(e, &(struct image_source){.digest = digest}, id), -EBADMSG);
	assert_non_null(strstr(err_message(), "is corrupt"));
	assert_false(blob_exists(e, config_digest));
	close(take_fd(&hold));
	assert_int_equal(image_collect_garbage(e), 0);
	assert_empty(e);
}

static void make(struct engine *e, const char *name)
{
	g_autofree char *path = g_build_filename(e->root, name, NULL);

	assert_int_equal(file_mkdirs(path, 0700), 0);
}

/* What dead commands left goes, unless somebody may still be at it; containers stay. */
static void test_garbage(void **state)
{
	CLEANUP(engine_closep) struct engine *e = open_engine();
	autoclose int hold = -1;
	char id[ENGINE_ID_LEN + 1], digest[DIGEST_MAX];

	assert_int_equal(import(e, rootfs, "foo", NULL, id), 0);
	assert_int_equal(blobs_hold(e, &hold), 0);
	assert_int_equal(blob_write(e, "orphan", 6, digest), 0);
	make(e, "tmp/pull-dead/layout");
	make(e, "overlay/" CONTAINER "/diff");
	make(e, "overlay/bad0000000000000000000000000000000000000000000000000000000000002/diff");
	make(e, "overlay/bad0000000000000000000000000000000000000000000000000000000000003.new-1");
	assert_int_equal(store_exec(e,
				    "INSERT INTO containers(id, name, created_ns, image_id) "
				    "VALUES(?, 'c', 1, ?)",
				    "ss", CONTAINER, id),
			 0);
	assert_int_equal(image_collect_garbage(e), 0);
	assert_true(blob_exists(e, digest));
	close(take_fd(&hold));
	assert_int_equal(image_collect_garbage(e), 0);
	assert_false(blob_exists(e, digest));
	assert_int_equal(count(e, "tmp"), 0);
	assert_int_equal(count(e, "overlay"), 2); /* the layer and the container */
	assert_int_equal(rootfs_remove(e, CONTAINER), 0);
	assert_int_equal(rmi(e, "foo", true, NULL), 0);
	assert_empty(e);
}

static void write_text(const char *dir, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);

	assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void drop(const char *dir, const char *name)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);

	assert_int_equal(file_remove_tree_at(AT_FDCWD, path), 0);
}

static void test_rootfs(void **state)
{
	CLEANUP(engine_closep) struct engine *e = open_engine();
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	g_autoptr(GPtrArray) changes = NULL, none = NULL;
	g_autoptr(GString) text = g_string_new(NULL);
	g_autofree char *path = NULL, *again = NULL, *where = NULL, *opt = NULL;
	uint64_t size;

	assert_int_equal(import(e, rootfs, "foo", NULL, NULL), 0);
	assert_int_equal(image_resolve(e, "foo", &img), 0);
	assert_int_equal(rootfs_diff(e, CONTAINER, img.layers, &none), 0);
	assert_int_equal(none->len, 0);
	assert_null(rootfs_mountpoint(e, CONTAINER));
	assert_int_equal(rootfs_mount(e, CONTAINER, img.layers, &path), 0);
	assert_int_equal(rootfs_mount(e, CONTAINER, img.layers, &again), 0);
	assert_string_equal(path, again);
	where = rootfs_mountpoint(e, CONTAINER);
	assert_string_equal(path, where);
	write_text(path, "etc/a", "changed");
	write_text(path, "new", "12345");
	drop(path, "etc/b");
	drop(path, "opt");
	opt = g_build_filename(path, "opt", NULL);
	assert_int_equal(mkdir(opt, 0755), 0);
	assert_int_equal(rootfs_diff(e, CONTAINER, img.layers, &changes), 0);
	for (unsigned i = 0; i < changes->len; i++) {
		const struct rootfs_change *c = changes->pdata[i];

		g_string_append_printf(text, "%c %s%s\n", c->kind, c->path,
				       c->directory ? "/" : "");
	}
	assert_string_equal(text->str, "C /etc/\nC /etc/a\nD /etc/b\nA /new\nC /opt/\nD /opt/x/\n");
	assert_int_equal(rootfs_size(e, CONTAINER, &size), 0);
	assert_int_equal(size, strlen("changed") + strlen("12345"));
	assert_int_equal(rootfs_umount(e, CONTAINER), 0);
	assert_int_equal(rootfs_umount(e, CONTAINER), 0);
	assert_int_equal(rootfs_remove(e, CONTAINER), 0);
	assert_int_equal(rootfs_remove(e, CONTAINER), 0);
	assert_int_equal(rmi(e, "foo", false, NULL), 0);
	assert_empty(e);
}

static void test_many_layers(void **state)
{
	enum { N = 130 };
	CLEANUP(engine_closep) struct engine *e = open_engine();
	g_auto(GStrv) layers = g_new0(char *, N + 1);
	g_autofree char *path = NULL, *file = NULL, *text = NULL;

	for (unsigned i = 0; i < N; i++) {
		g_autofree char *dir = g_strdup_printf("overlay/%064u/diff", i);
		g_autofree char *full = g_build_filename(e->root, dir, NULL);
		g_autofree char *number = g_strdup_printf("%u", i);

		make(e, dir);
		layers[i] = g_strdup_printf("%064u", i);
		write_text(full, "f", number);
	}
	assert_int_equal(rootfs_mount(e, CONTAINER, layers, &path), 0);
	file = g_build_filename(path, "f", NULL);
	assert_true(g_file_get_contents(file, &text, NULL, NULL));
	assert_string_equal(text, "129");
	assert_int_equal(rootfs_remove(e, CONTAINER), 0);
	assert_int_equal(image_collect_garbage(e), 0);
	assert_empty(e);
}

static void test_image_mount(void **state)
{
	CLEANUP(engine_closep) struct engine *e = open_engine();
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	g_autofree char *path = NULL, *again = NULL, *file = NULL;

	assert_int_equal(import(e, rootfs, "foo", NULL, NULL), 0);
	assert_int_equal(image_resolve(e, "foo", &img), 0);
	assert_int_equal(image_mount(e, &img, &path), 0);
	assert_int_equal(image_mount(e, &img, &again), 0);
	file = g_build_filename(path, "bin", "sh", NULL);
	assert_int_equal(access(file, F_OK), 0);
	assert_int_equal(access(file, W_OK), -1);
	assert_int_equal(errno, EROFS);
	assert_int_equal(image_umount(e, &img), 0);
	assert_null(image_mountpoint(e, &img));
	assert_int_equal(image_umount(e, &img), 0);
	assert_int_equal(rmi(e, "foo", false, NULL), 0);
	assert_empty(e);
}

/* One of several processes that share the store: the same layer, names of their own. */
static int hammer(unsigned me)
{
	struct engine *e = open_engine();
	g_autofree char *name = g_strdup_printf("mine%u", me);
	int r = 0;

	for (unsigned i = 0; r == 0 && i < 5; i++) {
		CLEANUP(image_clear) struct image img = IMAGE_NONE;

		r = import(e, rootfs, name, name, NULL);
		if (r == 0)
			r = image_resolve(e, name, &img);
		if (r == 0) {
			g_autofree char *sh = g_build_filename(e->root, "overlay", img.layers[0],
							       "diff", "bin", "sh", NULL);

			r = access(sh, F_OK) < 0 ? err_errno("open %s", sh) : 0;
		}
		if (r == 0)
			r = rmi(e, name, false, NULL);
	}
	if (r < 0)
		fprintf(stderr, "%s: %s\n", name, err_message());
	engine_close(e);
	return r < 0;
}

static void test_concurrent(void **state)
{
	pid_t pids[4];

	for (unsigned i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0)
			_exit(hammer(i));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(pids); i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	CLEANUP(engine_closep) struct engine *e = open_engine();

	assert_int_equal(image_collect_garbage(e), 0);
	assert_empty(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	     cmocka_unit_test(test_inspect),
		cmocka_unit_test(test_in_use),	     cmocka_unit_test(test_failed_import),
		cmocka_unit_test(test_corrupt_blob), cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_rootfs),	     cmocka_unit_test(test_many_layers),
		cmocka_unit_test(test_image_mount),  cmocka_unit_test(test_concurrent),
	};
	int failed;

	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !mkdtemp(top))
		return 77; /* meson: skipped */
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (file_remove_tree_at(AT_FDCWD, top) < 0)
		fprintf(stderr, "%s\n", err_message());
	return failed;
}
