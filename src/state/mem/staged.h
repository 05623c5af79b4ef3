/* SPDX-License-Identifier: Apache-2.0 */
/* A restore with memory that is in the box already: state/mem/stage.h. */
#pragma once

#include "state/mem/stage.h"
#include "state/restore.h"

/* It is the restore's from now on. */
void stage_give_stub(struct stage *s, struct stub *ret);

/* t->pages, t->staged; -EAGAIN: its mappings are not those that were made room for. */
int stage_load(struct restore *r, struct rtask *t) MUST_CHECK;
int stage_check(const struct restore *r) MUST_CHECK;
bool stage_waits(const struct rtask *t); /* some of its memory does */

/* Addresses in the stub that are not to be cleared; both 0: none. */
void stage_place(const struct restore *r, uint64_t *ret_start, uint64_t *ret_end);

/* Around the fork of CHILD by PARENT. */
void stage_before_fork(struct restore *r, struct rtask *parent, struct rtask *child,
		       struct batch *b);
int stage_after_fork(struct restore *r, struct rtask *parent, struct rtask *child) MUST_CHECK;

/*
 * The next part of [*AT, END) that waits is moved home, with PROT; *RET_FROM and *RET_TO are where
 * it is.  False: there is none.
 */
bool stage_move(struct rtask *t, struct batch *b, uint64_t *at, uint64_t end, unsigned prot,
		uint64_t *ret_from, uint64_t *ret_to);
/* What has come home with [START, END) but is not of the process any more is dropped. */
void stage_drop_stale(struct rtask *t, struct batch *b, uint64_t start, uint64_t end);
/* All of the process is home: nothing waits in it any more. */
void stage_end(struct rtask *t, struct batch *b);
