/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of a pre-dump: which pages, told while the process stands still; what is in them, read
 * from outside while it runs on.  A page that it writes meanwhile counts as written at the next
 * round, so it does not matter which content is caught; one that it has given back reads as zeros,
 * and will not be asked for.
 */
#pragma once

#include "state/mem/sink.h"

/* options.pages_out->maps(); it still runs. */
int mem_readout_tell_maps(struct dump *d) MUST_CHECK;

/* All processes: d->readouts.  Frozen; with trackers. */
int mem_readout_begin(struct dump *d) MUST_CHECK;

/* Into the images. */
int mem_readout_write(struct dump *d) MUST_CHECK;
void mem_readout_end(struct dump *d);
