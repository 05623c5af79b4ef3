/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/peek.h"

#include "base/log.h"
#include "state/dump.h"

bool dump_peek(struct dump *d, struct peek **ret)
{
	if (!d->peek && !d->no_peek && peek_open(&d->peek) < 0) {
		log_debug("dump: %s", err_message());
		err_clear();
		d->no_peek = true;
	}
	*ret = d->peek;
	return d->peek != NULL;
}
