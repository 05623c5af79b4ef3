/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/pace.h"

#include <fcntl.h>
#include <stdint.h>

static bool set_stop_signals(bool quiet)
{
	struct sigaction a;

	if (sigaction(SIGCHLD, NULL, &a) < 0 || quiet == !!(a.sa_flags & SA_NOCLDSTOP))
		return false;
	a.sa_flags ^= SA_NOCLDSTOP;
	return sigaction(SIGCHLD, &a, NULL) == 0;
}

void pace_begin(struct pace *p)
{
	static const int32_t limit_us = 0;

	*p = PACE_NONE;
	p->quiet = set_stop_signals(true);
	p->fd = open("/dev/cpu_dma_latency", O_WRONLY | O_CLOEXEC);
	if (p->fd >= 0 && write(p->fd, &limit_us, sizeof(limit_us)) != sizeof(limit_us))
		cleanup_close(&p->fd);
}

void pace_end(struct pace *p)
{
	if (p->quiet)
		set_stop_signals(false);
	cleanup_close(&p->fd);
	*p = PACE_NONE;
}
