/* SPDX-License-Identifier: Apache-2.0 */
/* cryo lazy-pages. */
#include "cryo/lazypages.h"
#include "cryo/net.h"

#include "cr/cryo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#define NAME	     "lazy-pages.socket"
#define PATIENCE_MS  5000
#define TRY_AGAIN_MS 10

/* Through the directory's descriptor: a path may be longer than an address. */
static struct sockaddr_un address(const struct session *s)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/" NAME, s->work);
	return a;
}

int lazy_pages_connect(const struct session *s, int *ret_fd)
{
	const struct sockaddr_un a = address(s);
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_errno("socket");
	for (int ms = 0; connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0;
	     ms += TRY_AGAIN_MS) {
		if ((errno != ENOENT && errno != ECONNREFUSED) || ms >= PATIENCE_MS)
			return err_errno("connect to " NAME " in the work directory (start "
					 "cryo lazy-pages with the same one)");
		g_usleep(TRY_AGAIN_MS * 1000);
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

static int listen_here(const struct session *s, int *ret_fd)
{
	const struct sockaddr_un a = address(s);
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (unlinkat(s->work, NAME, 0) < 0 && errno != ENOENT)
		return err_errno("remove the old " NAME);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1) < 0)
		return err_errno("listen at " NAME " in the work directory");
	*ret_fd = take_fd(&fd);
	return 0;
}

static int lazy_pages(struct session *s)
{
	autoclose int at = -1, sock = -1, server = -1;
	struct cryo_lazy_options o = {.images = s->images};
	int r = listen_here(s, &at);

	if (r == 0 && s->o.page_server)
		r = net_connect(&s->o, &server);
	if (r == 0)
		r = net_daemonize(s);
	if (r < 0)
		return r;
	session_ready(s);
	do
		sock = accept4(at, NULL, NULL, SOCK_CLOEXEC);
	while (sock < 0 && errno == EINTR);
	if (sock < 0)
		return err_errno("accept a restore");
	unlinkat(s->work, NAME, 0);
	cleanup_close(&at);
	at = -1;
	o.sock = sock;
	o.page_server = server;
	r = cryo_lazy_pages(&o);
	if (r == 0)
		session_say(s, "All pages are where they belong.");
	return r;
}

const struct action action_lazy_pages = {
	.name = "lazy-pages",
	.log = "lazy-pages.log",
	.needs_images = true,
	.brief = "Give the processes of one restore --lazy-pages their memory when they want it",
	.run = lazy_pages,
};
