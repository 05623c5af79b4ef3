/* SPDX-License-Identifier: Apache-2.0 */
#include "faults.h"

#include "cr/step.h"

#include <errno.h>

static unsigned armed, at;
static bool struck;

void faults_arm(unsigned step)
{
	armed = step;
	at = 0;
	struck = false;
}

bool faults_struck(void)
{
	return struck;
}

int step_fault(const char *story, const char *step)
{
	if (!armed || ++at != armed)
		return 0;
	struck = true;
	return err_set(EIO, "fault at step %u, %s of %s", at, step, story);
}
