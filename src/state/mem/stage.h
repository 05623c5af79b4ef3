/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is in the box before its processes are.
 *
 * While a tree still runs elsewhere, its pages come in rounds (struct cryo_pages_out).  What is
 * large, private and anonymous is written into mappings of the stub, each at a place of its own
 * beyond everything that the tree has ("waits"); the rest, and what processes share since fork(2),
 * into a file aside.  At the restore a mapping that waits is moved to where it belongs by
 *mremap(2), page tables and all, so that its size does not matter any more; a child gets its parts
 *by fork(2), of which the others are kept out (MADV_DONTFORK).
 *
 * A mapping of anonymous memory remembers the address where it got its first page (vm_pgoff), and
 * only such as agree in that become one again.  So each is made, and grows, where it belongs ("at
 * home"), and waits elsewhere only between rounds.
 *
 *	r = stage_new(sock, aside_fd, &s);		// waits for the stub
 *	r = stage_maps(s, nspid, maps, n);		// what there is, roughly
 *	r = stage_pages(s, nspid, pieces, n, buf);	// ascending, all that there is
 *	r = stage_round(s);				// that was all of all processes
 *	... more rounds; then cryo_restore() with options.stage
 *
 * Whatever does not fit together is an error: what comes from elsewhere is not trusted.
 */
#pragma once

#include "base/err.h"
#include "state/options.h"

struct stage;

int stage_new(int sock, int aside, struct stage **ret) MUST_CHECK;
void stage_free(struct stage **s);

int stage_maps(struct stage *s, pid_t nspid, const struct page_map *v, unsigned n) MUST_CHECK;
int stage_pages(struct stage *s, pid_t nspid, const struct page_piece *v, unsigned n,
		const uint8_t *buf) MUST_CHECK;
int stage_round(struct stage *s) MUST_CHECK;

/* Bytes that wait in the stub; those that a restore will read from the file aside. */
void stage_sums(const struct stage *s, uint64_t *ret_waiting, uint64_t *ret_aside);
unsigned stage_tasks(const struct stage *s); /* that had memory in the last round */
