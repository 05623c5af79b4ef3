/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which tasks share which kernel object: kcmp(2) gives an order, a balanced tree over it finds the
 * one in O(log n) calls.
 *
 *	CLEANUP(kcmp_set_drop) struct kcmp_set *files = kcmp_set_new(KCMP_FILE);
 *
 *	r = kcmp_set_add(files, pid, tfd, hint, &id);	// 1: new, 0: known; the same id for the
 *same object
 */
#pragma once

#include "base/err.h"

#include <linux/kcmp.h>
#include <sys/types.h>

/* 0: the same; 1: less, 2: greater, in an order fixed until the next boot. */
int kcmp_compare(pid_t a, pid_t b, int type, unsigned long ia, unsigned long ib) MUST_CHECK;

struct kcmp_set;

struct kcmp_set *kcmp_set_new(int type);
void kcmp_set_drop(struct kcmp_set **s);

/*
 * TFD only for KCMP_FILE.  HINT is anything that is equal for equal objects (hash of device, inode,
 * position): it saves system calls; 0 is always right.  Ids count from 1 in the order of first
 * sight.  Tasks must be stopped, and PID stay the same task, as long as the set lives.
 */
int kcmp_set_add(struct kcmp_set *s, pid_t pid, int tfd, uint64_t hint, uint32_t *ret_id)
	MUST_CHECK;

/* Who brought object ID in. */
void kcmp_set_first(const struct kcmp_set *s, uint32_t id, pid_t *ret_pid, int *ret_tfd);
size_t kcmp_set_count(const struct kcmp_set *s);
