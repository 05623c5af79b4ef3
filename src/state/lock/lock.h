/* SPDX-License-Identifier: Apache-2.0 */
/* File locks: flock(2), fcntl(2) by process and by description (OFD), leases.  filelocks.img */
#pragma once

#include "state/fd/kind.h"

/* Refuses locks unless they are to be kept. */
int locks_check(struct dump *d, const struct fd_view *v) MUST_CHECK;

/* Has the description a lease?  Opening its file would break that. */
bool locks_lease(const struct fdinfo *info);

/* Those that this descriptor shows; FIRST: nobody has shown this description before. */
int locks_dump(struct dump *d, const struct fd_view *v, bool first) MUST_CHECK;

/* Those of a description that is on its way (SCM_RIGHTS), and that nobody has open. */
int locks_dump_flight(struct dump *d, const struct fd_view *v, uint32_t id) MUST_CHECK;
int locks_restore_flight(struct restore *r) MUST_CHECK; /* while we have them open */

int locks_load(struct restore *r) MUST_CHECK;

/* Those of a task, when neither it nor we close any more descriptors. */
int locks_restore(struct restore *r, struct rtask *t) MUST_CHECK;
