/* SPDX-License-Identifier: Apache-2.0 */
#include "state/nft.h"

#include "base/lazy.h"

#include <errno.h>
#include <string.h>

struct nft_library nft_library;

static const struct lazy_symbol symbols[] = {
	{"nft_ctx_new", &nft_library.new},
	{"nft_ctx_free", &nft_library.free},
	{"nft_run_cmd_from_buffer", &nft_library.run},
	{"nft_ctx_buffer_output", &nft_library.buffer_output},
	{"nft_ctx_get_output_buffer", &nft_library.get_output},
	{"nft_ctx_buffer_error", &nft_library.buffer_error},
	{"nft_ctx_get_error_buffer", &nft_library.get_error},
};

void nft_load(void)
{
	if (!nft_library.new)
		lazy_load("libnftables.so.1", symbols, ARRAY_SIZE(symbols));
}

int nft_run(struct nft_ctx *nft, const char *text)
{
	const char *why;

	if (nft_library.run(nft, text) == 0)
		return 0;
	why = nft_library.get_error(nft);
	return err_set(EIO, "nftables: %.*s", (int)strcspn(why, "\n"), why);
}
