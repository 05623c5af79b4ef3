/* SPDX-License-Identifier: Apache-2.0 */
/* restore --lazy-pages finds lazy-pages by a socket in the work directory. */
#pragma once

#include "cryo/session.h"

/* Waits a while for it to be there. */
int lazy_pages_connect(const struct session *s, int *ret_fd) MUST_CHECK;
