/* SPDX-License-Identifier: Apache-2.0 */
/* libnftables, loaded by those that need it: the network lock, and firewalls of a tree's own. */
#pragma once

#include "base/err.h"

#include <nftables/libnftables.h>

struct nft_library {
	struct nft_ctx *(*new)(uint32_t);
	void (*free)(struct nft_ctx *);
	int (*run)(struct nft_ctx *, const char *);
	int (*buffer_output)(struct nft_ctx *);
	const char *(*get_output)(struct nft_ctx *);
	int (*buffer_error)(struct nft_ctx *);
	const char *(*get_error)(struct nft_ctx *);
};
extern struct nft_library nft_library; /* valid after nft_load() */

/* A missing library ends the program: to be called before anything is frozen. */
void nft_load(void);

/* Runs commands in libnftables' text; its first line of complaint is the error. */
int nft_run(struct nft_ctx *nft, const char *text) MUST_CHECK;
