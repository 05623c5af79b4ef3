/* SPDX-License-Identifier: Apache-2.0 */
/* Alternate signal stacks, also while one is in use. */
#include "cr.h"

static char stack[65536];
static volatile sig_atomic_t inside;

static void on_it(int sig)
{
	stack_t ss;
	char here;

	inside = &here >= stack && &here < stack + sizeof(stack);
	ready();
	check(sigaltstack(NULL, &ss) == 0 && ss.ss_flags == SS_ONSTACK, "flags %#x", ss.ss_flags);
	check(ss.ss_sp == stack);
}

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

static char disarmed[65536];

/* A child's is given up while it is in use. */
static int make_other(void)
{
	stack_t ss = {
		.ss_sp = disarmed, .ss_size = sizeof(disarmed), .ss_flags = (int)SS_AUTODISARM};

	return sigaltstack(&ss, NULL);
}

static int verify_other(void)
{
	stack_t now;

	return sigaltstack(NULL, &now) == 0 && now.ss_sp == disarmed &&
			       now.ss_flags == (int)SS_AUTODISARM
		       ? 0
		       : 10;
}

int main(void)
{
	struct child other = child_start(make_other, verify_other);
	stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)}, now;
	struct sigaction sa = {.sa_handler = on_it, .sa_flags = SA_ONSTACK};

	check(sigaltstack(&ss, NULL) == 0 && sigaction(SIGUSR1, &sa, NULL) == 0);
	raise(SIGUSR1);
	check(inside);
	child_go(&other);
	check(sigaltstack(NULL, &now) == 0);
	check(now.ss_sp == stack && now.ss_size == sizeof(stack) && now.ss_flags == 0, "flags %#x",
	      now.ss_flags);
	return ok();
}
