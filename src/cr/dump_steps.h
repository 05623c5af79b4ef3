/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cr/step.h"

/* The second half of a dump's story: dump.c. */
const struct dump_step *dump_steps(unsigned *ret_n);

/* A network that somebody else has locked is let go; what fails is only told. */
void dump_unlock_network(struct dump *d);
