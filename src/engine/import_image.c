/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/import_image.h"
#include "engine/digest.h"

#include <errno.h>
#include <string.h>

static const char *text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s && *s ? s : NULL;
}

/* "sha256:HEX", "HEX" or anything else (NULL). */
static const char *as_id(const char *s)
{
	if (s && g_str_has_prefix(s, DIGEST_PREFIX))
		s += strlen(DIGEST_PREFIX);
	return s && digest_is_hex(s, ENGINE_ID_LEN, ENGINE_ID_LEN) ? s : NULL;
}

/* 1: found. */
static int by_id(struct archive_in *in)
{
	static const char *const keys[] = {"rootfsImageID", "rootfsImage", "rootfsImageRef"};

	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *value = text(in->config, keys[i]), *id = as_id(value);
		const char *ref = value && strstr(value, "@" DIGEST_PREFIX) ? value : id;

		if (ref && image_resolve(in->e, ref, &in->image) == 0)
			return 1;
		err_clear();
	}
	return 0;
}

static bool has_name(const struct image *img, const char *name)
{
	return name && g_strv_contains((const char *const *)img->names, name);
}

/* The same files below, whatever its configuration says; rather one that has the name, too. */
static int by_layers(struct archive_in *in)
{
	const json_t *ours = json_object_get(in->config, ARCHIVE_OURS);
	const json_t *layers = json_object_get(ours, "layers");
	const char *name = text(in->config, "rootfsImageName");
	g_autoptr(GPtrArray) all = NULL;
	const struct image *found = NULL;
	int r;

	if (!json_array_size(layers))
		return 0;
	r = image_list(in->e, &all);
	for (unsigned i = 0; r == 0 && i < all->len; i++) {
		const struct image *img = all->pdata[i];
		const json_t *its =
			json_object_get(json_object_get(img->document, "rootfs"), "diff_ids");

		if (json_equal(its, layers) && (!found || has_name(img, name)))
			found = img;
	}
	if (r < 0 || !found)
		return r;
	r = image_resolve(in->e, found->id, &in->image);
	return r < 0 ? r : 1;
}

int import_find_image(struct archive_in *in)
{
	const char *id = as_id(text(in->config, "rootfsImageID"));
	const char *name = text(in->config, "rootfsImageName");
	int r = by_id(in);

	if (r == 0)
		r = by_layers(in);
	if (r < 0)
		return r;
	if (r == 0)
		return err_set(ENOENT,
			       "%s: image not known: the container was made from image %s, which "
			       "is not here: pull or load it first",
			       name ? name : "the archive", id ? id : "(without a digest)");
	/* By which it is known here, not what the archive calls it. */
	g_free(in->image.name);
	in->image.name = g_strdup(has_name(&in->image, name) ? name
				  : in->image.names[0]	     ? in->image.names[0]
							     : in->image.id);
	return 0;
}
