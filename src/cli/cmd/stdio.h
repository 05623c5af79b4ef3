/* SPDX-License-Identifier: Apache-2.0 */
/* What run, start, exec and attach share. */
#pragma once

#define HELP_DETACH_KEYS                                                                           \
	"Select the key sequence for detaching a container: a single character [a-Z] or a comma "  \
	"separated sequence of ctrl-<value>, where <value> is one of: a-z, @, ^, [, \\, ], ^ or _"
