/* SPDX-License-Identifier: Apache-2.0 */
#include "base/interrupt.h"

#include <errno.h>

static const int signals[3] = {SIGINT, SIGTERM, SIGHUP};

/* A handler can reach nothing else. */
static volatile sig_atomic_t came, committed, depth;

/* The second time is meant at once: whatever is left is as after a crash. */
static void on_signal(int sig)
{
	if (came) {
		signal(sig, SIG_DFL);
		raise(sig);
	}
	came = sig;
}

struct interrupt interrupt_begin(void)
{
	struct interrupt i = {.begun = true, .outer = depth == 0};
	const struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	depth++;
	if (!i.outer)
		return i;
	came = committed = 0;
	for (unsigned k = 0; k < ARRAY_SIZE(signals); k++) {
		sigaction(signals[k], NULL, &i.old[k]);
		if (i.old[k].sa_handler != SIG_IGN) /* nohup(1) */
			sigaction(signals[k], &a, NULL);
	}
	return i;
}

void interrupt_end(struct interrupt *i)
{
	if (!i->begun)
		return;
	depth--;
	if (!i->outer)
		return;
	for (unsigned k = 0; k < ARRAY_SIZE(signals); k++)
		sigaction(signals[k], &i->old[k], NULL);
	came = committed = 0;
}

int interrupt_check(void)
{
	if (!came || committed)
		return 0;
	return err_set(EINTR, came == SIGINT ? "interrupted" : "told to end");
}

void interrupt_commit(void)
{
	committed = depth > 0;
}
