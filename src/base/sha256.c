/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sha256.h"

#include <dlfcn.h>
#include <glib.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* struct nettle_hash of <nettle/nettle-meta.h>, the same in all that are libnettle.so.8. */
struct engine_of_nettle {
	const char *name;
	unsigned context_size, digest_size, block_size;
	void (*init)(void *context);
	void (*update)(void *context, size_t len, const uint8_t *data);
	void (*digest)(void *context, size_t len, uint8_t *ret);
};

struct sha256 {
	GChecksum *slow; /* or NULL, and CONTEXT is what FAST works on */
	void *context;
};

static gpointer load(gpointer unused)
{
	void *h = dlopen("libnettle.so.8", RTLD_LAZY | RTLD_LOCAL);
	const struct engine_of_nettle *e = h ? dlsym(h, "nettle_sha256") : NULL;

	return e && e->digest_size == SHA256_HEX / 2 ? (gpointer)e : NULL;
}

static const struct engine_of_nettle *fast(void)
{
	static GOnce once = G_ONCE_INIT;

	return g_once(&once, load, NULL);
}

struct sha256 *sha256_new(void)
{
	struct sha256 *s = g_new0(struct sha256, 1);

	if (!fast()) {
		s->slow = g_checksum_new(G_CHECKSUM_SHA256);
		return s;
	}
	s->context = g_malloc0(fast()->context_size);
	fast()->init(s->context);
	return s;
}

void sha256_update(struct sha256 *s, const void *data, size_t len)
{
	if (s->slow)
		g_checksum_update(s->slow, data, (gssize)len);
	else
		fast()->update(s->context, len, data);
}

void sha256_finish(struct sha256 *s, char ret[SHA256_HEX + 1])
{
	uint8_t sum[SHA256_HEX / 2];

	if (s->slow) {
		memcpy(ret, g_checksum_get_string(s->slow), SHA256_HEX + 1);
		return;
	}
	fast()->digest(s->context, sizeof(sum), sum);
	for (size_t i = 0; i < sizeof(sum); i++)
		snprintf(ret + 2 * i, 3, "%02x", sum[i]);
}

void sha256_free(struct sha256 **sp)
{
	struct sha256 *s = *sp;

	if (!s)
		return;
	if (s->slow)
		g_checksum_free(s->slow);
	g_free(s->context);
	g_clear_pointer(sp, g_free);
}
