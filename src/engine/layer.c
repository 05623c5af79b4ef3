/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacking. */
#include "engine/layer.h"
#include "engine/layer_entry.h"
#include "engine/utf8.h"

#include <errno.h>
#include <string.h>

int layer_unpack(const struct layer_stream *s, int diff, const int *parents, unsigned nparents,
		 struct layer_result *ret)
{
	CLEANUP(utf8_end) struct utf8 utf8 __attribute__((unused)) = utf8_begin();
	CLEANUP(layer_reader_close) struct layer_reader *reader = NULL;
	CLEANUP(layer_unpacker_clear) struct layer_unpacker u = {.tree.dir_fd = -1};
	autoclose int below = -1;
	struct archive_entry *entry;
	struct stat st = {.st_mode = S_IFDIR | 0755};
	int r;

	r = layer_reader_open(s, &reader);
	if (r < 0)
		return r;
	r = overlay_lookup(parents, nparents, "", &st, &below);
	if (r > 0)
		r = overlay_copy_attributes(below, &st, diff, ".");
	else if (r == 0 && !s->plain && fchmod(diff, 0755) < 0)
		r = err_errno("set mode of a layer");
	if (r < 0)
		return r;
	layer_unpacker_init(&u, reader, diff, parents, nparents, s->limits.depth);
	u.plain = s->plain;
	while ((r = layer_reader_next(reader, &entry)) > 0) {
		r = layer_entry_unpack(&u, entry);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = layer_entry_finish(&u);
	return r < 0 ? r : layer_reader_finish(reader, ret);
}

void layer_chain_id(const char *parent, const char *diff_id, char ret[ENGINE_ID_LEN + 1])
{
	g_autofree char *both = NULL;
	char digest[DIGEST_MAX];

	if (parent) { /* OCI image spec, config.md, "Layer ChainID" */
		both = g_strdup_printf(DIGEST_PREFIX "%s %s", parent, diff_id);
		digest_of(both, strlen(both), digest);
		diff_id = digest;
	}
	g_strlcpy(ret, digest_hex(diff_id), ENGINE_ID_LEN + 1);
}
