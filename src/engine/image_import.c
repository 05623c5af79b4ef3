/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `import`: one pass over the tar file unpacks it, writes it uncompressed as the layer's blob and
 * computes its digest; the layer gets its name when that is known.
 */
#include "base/interrupt.h"
#include "engine/blobs.h"
#include "engine/events.h"
#include "engine/image_change.h"
#include "engine/image_store.h"
#include "engine/inspect.h"
#include "engine/layer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

const char *image_machine_arch(void)
{
	static const char *const names[][2] = {
		{"x86_64", "amd64"},	{"aarch64", "arm64"}, {"i686", "386"},
		{"i386", "386"},	{"armv7l", "arm"},    {"ppc64le", "ppc64le"},
		{"riscv64", "riscv64"}, {"s390x", "s390x"},
	};
	struct utsname u;

	uname(&u);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i][0], u.machine))
			return names[i][1];
	return "amd64";
}

static int open_input(const char *path, int *ret)
{
	struct stat st;
	int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC)
				   : fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return err_set(errno, "error opening \"%s\": open %s: %s", path, path,
			       errno == ENOENT ? "no such file or directory" : g_strerror(errno));
	*ret = fd;
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		return err_set(EISDIR, "%s is a directory: import takes a tar file", path);
	return 0;
}

static int unpack(struct engine *e, const char *path, const char *scratch, struct layer_result *res)
{
	struct layer_stream s = {.limits = LAYER_LIMITS};
	g_autofree char *blob = g_build_filename(scratch, "layer.tar", NULL);
	g_autofree char *dir = g_build_filename(scratch, "layer", NULL);
	g_autofree char *diff = g_build_filename(dir, "diff", NULL);
	autoclose int in = -1, out = -1, to = -1;
	int r = open_input(path, &in);

	if (r < 0)
		return r;
	if (mkdir(dir, 0700) < 0 || mkdir(diff, 0755) < 0)
		return err_errno("create %s", diff);
	to = open(diff, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	out = open(blob, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (to < 0 || out < 0)
		return err_errno("create %s", blob);
	s.fd = in;
	s.copy_fd = out;
	r = layer_unpack(&s, to, NULL, 0, res);
	if (r < 0)
		return r;
	/* An empty input is an empty archive to libarchive, and surely a mistake. */
	if (!res->tar_bytes)
		return err_set(EINVAL, "%s: nothing in it", path);
	r = layer_take(e, dir, NULL, res);
	return r < 0 ? r : blob_adopt(e, blob, res->diff_id);
}

static int build_config(const struct import_options *o, const char *diff_id, json_t **ret)
{
	g_autofree char *now = time_rfc3339(engine_now_ns());
	g_autofree char *by =
		g_strdup_printf("/bin/sh -c #(nop) ADD file:%s in /", digest_hex(diff_id));
	json_t *config = json_object(), *doc;
	int r = 0;

	for (const char *const *c = o->changes; r == 0 && c && *c; c++)
		r = image_change(config, *c);
	if (r < 0) {
		json_decref(config);
		return r;
	}
	doc = json_pack("{s:s, s:s, s:s, s:o, s:{s:s, s:[s]}, s:[{s:s, s:s, s:s*}]}", "created",
			now, "architecture", o->arch ? o->arch : image_machine_arch(), "os",
			o->os ? o->os : "linux", "config", config, "rootfs", "type", "layers",
			"diff_ids", diff_id, "history", "created", now, "created_by", by, "comment",
			o->message);
	if (!doc)
		return err_set(EINVAL, "the message is not UTF-8");
	*ret = doc;
	return 0;
}

static int write_documents(struct engine *e, const struct import_options *o,
			   const struct layer_result *layer, char ret[DIGEST_MAX])
{
	json_t *config = NULL, *layers;
	int r = build_config(o, layer->diff_id, &config);

	if (r < 0)
		return r;
	layers = json_pack("[o]", image_describe_layer(layer->diff_id, layer->tar_bytes));
	return image_write_documents(e, IMAGE_OCI, config, layers, NULL, ret);
}

static int check(const struct import_options *o, char **ret_name)
{
	json_t *nothing = json_object();
	int r = 0;

	/* Whatever can be wrong with the options is, before a large file is read. */
	for (const char *const *c = o->changes; r == 0 && c && *c; c++)
		r = image_change(nothing, *c);
	json_decref(nothing);
	if (r == 0 && o->reference)
		r = image_normalize(o->reference, ret_name);
	return r;
}

int image_import(struct engine *e, const char *path, const struct import_options *o,
		 struct image *ret)
{
	CLEANUP(interrupt_end)
	struct interrupt interrupt __attribute__((unused)) = interrupt_begin();
	CLEANUP(blobs_scratch_drop) char *scratch = NULL;
	g_autofree char *name = NULL;
	char digest[DIGEST_MAX], id[ENGINE_ID_LEN + 1], *names[2] = {NULL, NULL};
	struct layer_result layer;
	autoclose int hold = -1;
	int r = check(o, &name);

	if (r == 0)
		r = blobs_hold(e, &hold);
	if (r == 0)
		r = blobs_scratch(e, "import", &scratch);
	if (r == 0)
		r = unpack(e, path, scratch, &layer);
	if (r == 0)
		r = write_documents(e, o, &layer, digest);
	if (r < 0)
		return r;
	names[0] = name;
	r = image_adopt(e, &(struct image_source){.digest = digest, .names = names}, id);
	if (r == 0)
		r = image_load_record(e, id, ret);
	if (r == 0)
		return err_set(ENOENT, "%s: image not known", id);
	if (r < 0)
		return r;
	ret->name = g_strdup(name ? name : id);
	event_image(e, "import", id, name);
	return 0;
}
