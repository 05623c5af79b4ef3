/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/image_checkpoint.h"
#include "base/file.h"
#include "base/spawn.h"
#include "engine/archive_trust.h"
#include "engine/blobs.h"
#include "engine/image_store.h"
#include "engine/inspect.h"
#include "engine/options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#define PODMAN "io.podman.annotations.checkpoint."
#define CRIO   "io.kubernetes.cri-o.annotations.checkpoint."

/* What programs that compare versions take us for: the CRIU whose images ours are. */
#define CRIU_VERSION "40200"

struct checkpoint_image {
	struct engine *e;
	char *name, *scratch, *blob; /* complete; ROOT/tmp/...; the layer in it */
	int hold, fd;
	struct sha256 *sum;
	uint64_t bytes;
	char layer[DIGEST_MAX];
	struct archive_options archive;
};

static void on_output(void *arg, const void *data, size_t len)
{
	struct checkpoint_image *ci = arg;

	sha256_update(ci->sum, data, len);
	ci->bytes += len;
}

int checkpoint_image_begin(struct engine *e, const char *name, struct checkpoint_image **ret)
{
	struct checkpoint_image *ci = *ret = g_new0(struct checkpoint_image, 1);
	int r;

	ci->e = e;
	ci->hold = ci->fd = -1;
	ci->sum = sha256_new();
	r = image_normalize(name, &ci->name);
	if (r == 0)
		r = blobs_hold(e, &ci->hold);
	if (r == 0)
		r = blobs_scratch(e, "checkpoint", &ci->scratch);
	if (r < 0)
		return r;
	ci->blob = g_build_filename(ci->scratch, "layer.tar", NULL);
	ci->fd = open(ci->blob, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (ci->fd < 0)
		return err_errno("create %s", ci->blob);
	ci->archive = (struct archive_options){
		.fd = ci->fd, .compression = PACK_NONE, .tap = on_output, .tap_arg = ci};
	return 0;
}

const struct archive_options *checkpoint_image_archive(struct checkpoint_image *ci)
{
	return &ci->archive;
}

/* What "PROG --version" says, its lines joined; "" when it cannot be run. */
static char *version_of(const char *program)
{
	const char *const argv[] = {program, "--version", NULL};
	const struct spawn s = {.argv = argv, .in = SPAWN_NULL};
	char *out = NULL;

	if (!program || spawn_check(&s, &out, NULL) < 0) {
		err_clear();
		return g_strdup("");
	}
	return g_strchomp(out);
}

/* os-release(5) */
static char *os_release(const char *key)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	if (file_read_at(AT_FDCWD, "/etc/os-release", 1 << 16, &text, NULL) < 0) {
		err_clear();
		return g_strdup("");
	}
	lines = g_strsplit(text, "\n", -1);
	for (char **l = lines; *l; l++)
		if (g_str_has_prefix(*l, key) && (*l)[strlen(key)] == '=')
			return g_strstrip(g_strdelimit(g_strdup(*l + strlen(key) + 1), "\"'", ' '));
	return g_strdup("");
}

static void note(json_t *to, const char *prefix, const char *name, const char *value)
{
	g_autofree char *key = g_strconcat(prefix, name, NULL);

	json_object_set_new(to, key, json_string(value ? value : ""));
}

static void note_both(json_t *to, const char *name, const char *value)
{
	note(to, PODMAN, name, value);
	note(to, CRIO, name, value);
}

static json_t *annotations(struct engine *e, struct container *c)
{
	g_autofree char *runtime = version_of(container_text(c, "runtimePath"));
	g_autofree char *conmon = engine_conmon(e) < 0 ? g_strdup("") : version_of(e->conmon_path);
	g_autofree char *version = os_release("VERSION_ID"), *distribution = os_release("ID");
	const struct container_options *o = NULL;
	json_t *all = json_object();
	struct utsname u;

	uname(&u);
	err_clear();
	if (container_options(c, &o) < 0)
		err_clear();
	note_both(all, "name", c->name);
	note_both(all, "rawImageName", o ? o->image : NULL);
	note_both(all, "rootfsImageID", c->image_id);
	note_both(all, "rootfsImageName", c->image_name);
	note_both(all, "criu.version", CRIU_VERSION);
	note(all, PODMAN, "podman.version", CRYOPOD_VERSION);
	note(all, CRIO, "cri-o.version", CRYOPOD_VERSION);
	note(all, PODMAN, "runtime.name", container_text(c, "runtime"));
	note(all, PODMAN, "runtime.version", runtime);
	note(all, PODMAN, "conmon.version", conmon);
	note(all, PODMAN, "host.arch", image_machine_arch());
	note(all, PODMAN, "host.kernel", u.release);
	note(all, PODMAN, "cgroups.version",
	     access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 ? "v2" : "v1");
	note(all, PODMAN, "distribution.version", version);
	note(all, PODMAN, "distribution.name", distribution);
	return all;
}

static int write_documents(struct checkpoint_image *ci, struct container *c, char ret[DIGEST_MAX])
{
	g_autofree char *now = time_rfc3339(engine_now_ns());
	json_t *config = json_pack("{s:s, s:s, s:s, s:{}, s:{s:s, s:[s]}, s:[{s:s, s:s}]}",
				   "created", now, "architecture", image_machine_arch(), "os",
				   "linux", "config", "rootfs", "type", "layers", "diff_ids",
				   ci->layer, "history", "created", now, "created_by", "/bin/sh");

	return image_write_documents(ci->e, IMAGE_OCI, config,
				     json_pack("[o]", image_describe_layer(ci->layer, ci->bytes)),
				     annotations(ci->e, c), ret);
}

int checkpoint_image_commit(struct checkpoint_image *ci, struct container *c)
{
	char manifest[DIGEST_MAX], id[ENGINE_ID_LEN + 1];
	char *names[2] = {ci->name, NULL};
	int r;

	digest_finish(ci->sum, ci->layer);
	archive_mark(ci->e, ci->fd);
	if (fsync(ci->fd) < 0)
		return err_errno("write the checkpoint's layer");
	r = blob_adopt(ci->e, ci->blob, ci->layer);
	if (r == 0)
		r = write_documents(ci, c, manifest);
	return r < 0 ? r
		     : image_adopt(ci->e,
				   &(struct image_source){.digest = manifest, .names = names}, id);
}

const char *checkpoint_image_layer(const struct checkpoint_image *ci)
{
	return ci->layer;
}

const char *checkpoint_image_name(const struct checkpoint_image *ci)
{
	return ci->name;
}

void checkpoint_image_drop(struct checkpoint_image **cip)
{
	struct checkpoint_image *ci = *cip;

	if (!ci)
		return;
	cleanup_close(&ci->fd);
	blobs_scratch_drop(&ci->scratch);
	cleanup_close(&ci->hold);
	sha256_free(&ci->sum);
	g_free(ci->name);
	g_free(ci->blob);
	g_clear_pointer(cip, g_free);
}

bool checkpoint_image_is(const json_t *manifest)
{
	const json_t *notes = json_object_get(manifest, "annotations");

	return json_object_get(notes, PODMAN "runtime.name") || json_object_get(notes, CRIO "name");
}

int checkpoint_image_check(struct engine *e, const struct image *img)
{
	json_t *manifest = NULL;
	const char *wanted;
	bool is;
	int r = blob_read_json(e, img->digest, &manifest);

	if (r < 0)
		return r;
	is = checkpoint_image_is(manifest);
	wanted = json_string_value(
		json_object_get(json_object_get(manifest, "annotations"), PODMAN "runtime.name"));
	if (is)
		r = engine_runtime(e);
	if (r == 0 && is && wanted && strcmp(wanted, e->runtime_name))
		r = err_set(EINVAL, "container image \"%s\" requires runtime: \"%s\"", img->id,
			    wanted);
	json_decref(manifest);
	return r < 0 ? r : is;
}

int checkpoint_image_open(struct engine *e, const struct image *img, int *ret)
{
	json_t *manifest = NULL;
	const json_t *layers;
	const char *digest;
	int r = blob_read_json(e, img->digest, &manifest);

	if (r < 0)
		return r;
	layers = json_object_get(manifest, "layers");
	digest = json_string_value(json_object_get(json_array_get(layers, 0), "digest"));
	if (json_array_size(layers) != 1 || !digest)
		r = err_set(EBADMSG, "image %s: a checkpoint has one layer", img->id);
	if (r == 0)
		r = blob_open(e, digest, ret);
	json_decref(manifest);
	return r;
}
