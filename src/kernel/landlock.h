/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is restricted by Landlock (landlock(7)).  Neither /proc nor a call tells; the credentials of
 * a thread lead to its domain, in the part of their blob that is Landlock's
 * (security/landlock/cred.h). Where in the blob depends on the security modules that there are
 * (security/security.c: lsm_set_blob_size()) and stands nowhere: it is where a child that we
 * restrict differs from us.
 */
#pragma once

#include "kernel/peek.h"

#define LANDLOCK_NOWHERE UINT_MAX

/* True if there is Landlock in this kernel, and it is on. */
bool landlock_is_on(void);

/* Where in the blob a domain is; LANDLOCK_NOWHERE: this kernel keeps it otherwise. */
int landlock_find(struct peek *k, unsigned *ret) MUST_CHECK;

/*
 * 1: a thread of the process DIR (/proc/PID) is in a domain that we are not in; 0: none is.
 * -EFAULT: threads came and went.
 */
int landlock_restricts(struct peek *k, unsigned at, int dir) MUST_CHECK;
