/* SPDX-License-Identifier: Apache-2.0 */
/* cryo(1), in scdoc, for `cryo __man` while it is built: actions and options from their tables. */
#pragma once

#include "cryo/session.h"

void manual_print(const struct action *const *actions, size_t n);
