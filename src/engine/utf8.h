/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libarchive converts names of pax headers between UTF-8 and the thread's locale, and in the C
 * locale that of a plain program fails for everything beyond ASCII.
 *
 *	CLEANUP(utf8_end) struct utf8 utf8 = utf8_begin();	// in this thread, for this scope
 */
#pragma once

#include "base/base.h"

#include <locale.h>

struct utf8 {
	locale_t mine, old; /* MINE is 0 when there is no such locale */
};

static inline struct utf8 utf8_begin(void)
{
	struct utf8 u = {.mine = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0)};

	if (u.mine)
		u.old = uselocale(u.mine);
	return u;
}

static inline void utf8_end(struct utf8 *u)
{
	if (!u->mine)
		return;
	uselocale(u->old);
	freelocale(u->mine);
}
