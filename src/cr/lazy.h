/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cr/cryo.h"
#include "state/dump.h"

/* Serves those that come from SOCK, and says there by their number which have all. */
int lazy_serve(const struct cryo_lazy_options *o, int sock) MUST_CHECK;

/* The other end of its page server: pages of a tree that stands still. */
int lazy_dump_serve(struct dump *d, int sock) MUST_CHECK;
