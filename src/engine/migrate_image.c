/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/blobs.h"
#include "engine/image.h"
#include "engine/image_store.h"
#include "engine/migrate_parts.h"
#include "engine/pack.h"
#include "engine/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int send_blob(struct engine *e, struct pack *p, const char *digest)
{
	autoclose int fd = -1;
	int r = digest ? digest_check(digest) : err_set(EBADMSG, "the manifest lacks a digest");

	if (r == 0)
		r = blob_open(e, digest, &fd);
	return r < 0 ? r : pack_file(p, digest + strlen("sha256:"), fd);
}

static const char *listed_digest(const json_t *j)
{
	return json_string_value(json_object_get(j, "digest"));
}

static int send_blobs(struct engine *e, struct pack *p, const struct image *img)
{
	g_autoptr(GHashTable) sent = g_hash_table_new(g_str_hash, g_str_equal);
	json_t *manifest = NULL, *layer;
	size_t i;
	int r = blob_read_json(e, img->digest, &manifest);

	if (r == 0)
		r = send_blob(e, p, img->digest);
	if (r == 0)
		r = send_blob(e, p, listed_digest(json_object_get(manifest, "config")));
	json_array_foreach(json_object_get(manifest, "layers"), i, layer)
	{
		if (r == 0 && listed_digest(layer) &&
		    g_hash_table_add(sent, (void *)listed_digest(layer)))
			r = send_blob(e, p, listed_digest(layer));
	}
	if (r == 0)
		r = pack_finish(p);
	json_decref(manifest);
	return r;
}

int migrate_send_image(struct engine *e, struct channel *ch, const struct image *img)
{
	CLEANUP(pack_drop) struct pack *p = NULL;
	int fd, r = channel_out_begin(ch, &fd);

	if (r == 0)
		r = pack_open(&(struct pack_options){.fd = fd,
						     .compression = PACK_NONE,
						     .shown = "the image"},
			      &p);
	if (r == 0)
		r = send_blobs(e, p, img);
	return channel_out_end(ch, r);
}

/* The layers and the configuration are verified by image_adopt(). */
static int take_blobs(struct engine *e, const char *scratch, int dir, int fd)
{
	CLEANUP(unpack_drop) struct unpack *u = NULL;
	struct unpack_member m;
	int r = unpack_open(&(struct unpack_options){.fd = fd, .shown = "the image"}, &u);

	while (r == 0 && (r = unpack_next(u, &m)) > 0) {
		g_autofree char *digest = g_strconcat("sha256:", m.name, NULL), *path = NULL;

		if (!strcmp(m.name, PACK_SUMS)) {
			r = 0;
			continue;
		}
		r = S_ISREG(m.type) ? digest_check(digest)
				    : err_set(EBADMSG, "the image: member %s", m.name);
		if (r == 0)
			r = unpack_to_file(u, dir, "blob");
		path = g_build_filename(scratch, "blob", NULL);
		if (r == 0)
			r = blob_adopt(e, path, digest);
		unlinkat(dir, "blob", 0);
	}
	return r < 0 ? r : unpack_finish(u);
}

int migrate_has_image(struct engine *e, const json_t *hello)
{
	return image_in_store(e, json_string_value(json_object_get(hello, "imageID")));
}

int migrate_take_image(struct engine *e, struct channel *ch, const json_t *hello)
{
	const char *digest = json_string_value(json_object_get(hello, "imageDigest"));
	const char *name = json_string_value(json_object_get(hello, "imageName"));
	char *const names[] = {(char *)name, NULL};
	const struct image_source source = {.digest = digest, .names = name ? names : NULL};
	CLEANUP(blobs_scratch_drop) char *scratch = NULL;
	autoclose int hold = -1, dir = -1;
	char id[ENGINE_ID_LEN + 1];
	int fd, r1, r = digest ? digest_check(digest) : err_set(EBADMSG, "no image is named");

	if (r == 0)
		r = blobs_hold(e, &hold);
	if (r == 0)
		r = blobs_scratch(e, "migrate", &scratch);
	if (r < 0)
		return r;
	dir = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = dir < 0 ? err_errno("open %s", scratch) : channel_in_begin(ch, &fd);
	if (r < 0)
		return r;
	r = take_blobs(e, scratch, dir, fd);
	r1 = channel_in_end(ch);
	if (r == 0)
		r = r1;
	if (r == 0)
		r = image_adopt(e, &source, id);
	if (r == 0 && g_strcmp0(id, json_string_value(json_object_get(hello, "imageID"))))
		r = err_set(EBADMSG, "the image that came is %s, not the one that was named", id);
	return r;
}
