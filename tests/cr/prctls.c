/* SPDX-License-Identifier: Apache-2.0 */
/* Small per-process settings: name, parent death signal, subreaper, dumpable, timer slack, THP. */
#include "cr.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static int pdeath_make(void)
{
	return prctl(PR_SET_PDEATHSIG, SIGUSR2);
}

static int pdeath_verify(void)
{
	int sig = 0;

	prctl(PR_GET_PDEATHSIG, &sig);
	return sig == SIGUSR2 ? 0 : 10;
}

int main(void)
{
	struct child c = child_start(pdeath_make, pdeath_verify);
	char name[16];
	int v;

	prctl(PR_SET_NAME, "odd (name) x");
	check(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	check(prctl(PR_SET_TIMERSLACK, 123456) == 0);
	check(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
	check(prctl(PR_SET_DUMPABLE, 0) == 0);
	setpriority(PRIO_PROCESS, 0, 5);
	ready();
	check(prctl(PR_GET_NAME, name) == 0 && !strcmp(name, "odd (name) x"), "%s", name);
	check(prctl(PR_GET_CHILD_SUBREAPER, &v) == 0 && v == 1);
	check(prctl(PR_GET_TIMERSLACK) == 123456, "%d", prctl(PR_GET_TIMERSLACK));
	check(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1);
	check(prctl(PR_GET_DUMPABLE) == 0);
	check(getpriority(PRIO_PROCESS, 0) == 5);
	child_go(&c);
	return ok();
}
