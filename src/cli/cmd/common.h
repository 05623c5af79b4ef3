/* SPDX-License-Identifier: Apache-2.0 */
/* What most commands include. */
#pragma once

#include "cli/cmd/pick.h"
#include "cli/command.h"
#include "engine/container.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HELP_LATEST "Act on the latest container " CLI_NAME " is aware of"
