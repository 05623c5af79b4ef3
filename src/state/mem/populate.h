/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Much memory that is to be read into is made by us, beside the agents that read.
 *
 * A read past the page cache finds and clears the page of each place before the disk may write
 * there, and its processor then waits for the disk.  Another one does the first meanwhile: a thread
 * of ours, a little ahead of the agents.
 *
 *	CLEANUP(populate_end) struct populate *p = populate_begin(r);
 *	... the agents read ...
 *
 * No content is written, so that it does not matter who comes first.  It is a help: what does not
 * succeed is made by the reading itself.
 */
#pragma once

#include "state/restore.h"

struct populate *populate_begin(struct restore *r); /* NULL: there is little to be made */
void populate_end(struct populate **p);
