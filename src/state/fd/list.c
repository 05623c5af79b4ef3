/* SPDX-License-Identifier: Apache-2.0 */
#include "state/fd/kind.h"

/* The order is that of match(): what is outside comes first, what takes most comes last. */
const struct fd_kind *const fd_kinds[] = {
	/* clang-format off */
	&fd_external,
	&fd_ctty,
	&fd_pty,
	&fd_ttydev,
	&fd_pipe,
	&fd_fifo,
	&fd_eventfd,
	&fd_epoll,
	&fd_signalfd,
	&fd_timerfd,
	&fd_inotify,
	&fd_bpfmap,
	&fd_fanotify,
	&fd_memfd,
	&fd_unix,
	&fd_inet,
	&fd_netlink,
	&fd_packet,
	&fd_pidfd,
	&fd_nsfile,
	&fd_procfile,
	&fd_pressure,
	&fd_tun,
	&fd_mqfile,
	&fd_uring,
	&fd_uffd,
	&fd_regular, /* takes what has a name */
	/* clang-format on */
};
const size_t fd_kind_count = ARRAY_SIZE(fd_kinds);

const struct fd_kind *fd_kind_of(const struct dump *d, const struct fd_view *v)
{
	for (size_t i = 0; i < fd_kind_count; i++)
		if (fd_kinds[i]->match(d, v))
			return fd_kinds[i];
	return NULL;
}
