/* SPDX-License-Identifier: Apache-2.0 */
/* Mode faults: each step of a dump fails once, the last one when all images are written. */
#pragma once

#include "base/err.h"

void faults_arm(unsigned step); /* counted from 1; 0: none */
bool faults_struck(void);	/* the one that was armed */
