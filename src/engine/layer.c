/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacking. */
#include "engine/layer.h"
#include "engine/layer_entry.h"

#include <errno.h>
#include <locale.h>
#include <string.h>

/*
 * libarchive converts names of pax headers from UTF-8 to the thread's locale, and in the C locale
 * that of a plain program fails for everything beyond ASCII.
 */
static void restore_locale(locale_t *old)
{
	locale_t mine = uselocale(*old);

	if (mine != *old && mine != LC_GLOBAL_LOCALE)
		freelocale(mine);
}

static locale_t use_utf8(void)
{
	locale_t l = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);

	return l ? uselocale(l) : uselocale((locale_t)0);
}

int layer_unpack(const struct layer_stream *s, int diff, const int *parents, unsigned nparents,
		 struct layer_result *ret)
{
	CLEANUP(restore_locale) locale_t old __attribute__((unused)) = use_utf8();
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
	else if (r == 0 && fchmod(diff, 0755) < 0)
		r = err_errno("set mode of a layer");
	if (r < 0)
		return r;
	layer_unpacker_init(&u, reader, diff, parents, nparents, s->limits.depth);
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
