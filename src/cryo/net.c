/* SPDX-License-Identifier: Apache-2.0 */
#include "cryo/net.h"
#include "cryo/stage.h"
#include "cryo/tls.h"

#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static int resolve(const struct options *o, int flags, struct addrinfo **ret)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC,
				       .ai_socktype = SOCK_STREAM,
				       .ai_flags = flags | AI_NUMERICSERV};
	char port[16];
	int e;

	snprintf(port, sizeof(port), "%d", (int)o->port);
	e = getaddrinfo(o->address ?: flags & AI_PASSIVE ? "0.0.0.0" : NULL, port, &hints, ret);
	if (e)
		return err_set(EINVAL, "--address %s --port %s: %s", o->address ?: "", port,
			       gai_strerror(e));
	return 0;
}

/* A header is to be on its way at once, not to wait for more. */
static void hurry(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* Handed in by whoever started us. */
static int given(const struct options *o, int *ret_fd)
{
	if (fcntl((int)o->ps_socket, F_GETFD) < 0)
		return err_errno("--ps-socket %d", (int)o->ps_socket);
	*ret_fd = fd_dup_above((int)o->ps_socket, 3);
	return *ret_fd < 0 ? *ret_fd : 0;
}

static int connect_to(const struct options *o, int *ret_fd)
{
	autoclose int fd = -1;
	struct addrinfo *a;
	int r;

	if (o->ps_socket >= 0)
		return given(o, ret_fd);
	if (!o->address || !o->port)
		return err_set(EINVAL, "--page-server needs --address and --port, or --ps-socket");
	r = resolve(o, 0, &a);
	if (r < 0)
		return r;
	fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	r = fd < 0 || connect(fd, a->ai_addr, a->ai_addrlen) < 0
		    ? err_errno("connect to the page server %s port %d", o->address, (int)o->port)
		    : 0;
	freeaddrinfo(a);
	if (r < 0)
		return r;
	hurry(fd);
	*ret_fd = take_fd(&fd);
	return 0;
}

int net_connect(const struct options *o, int *ret_fd)
{
	autoclose int fd = -1;
	int r = connect_to(o, &fd);

	if (r == 0)
		r = tls_client(o, &fd);
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}

static int listen_at(const struct options *o, int *ret_fd, int *ret_port)
{
	autoclose int fd = -1;
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);
	struct addrinfo *a;
	int on = 1, r = resolve(o, AI_PASSIVE, &a);

	if (r < 0)
		return r;
	fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	r = fd < 0 || bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, 1) < 0
		    ? err_errno("listen at %s port %d", o->address ?: "0.0.0.0", (int)o->port)
		    : 0;
	freeaddrinfo(a);
	if (r < 0)
		return r;
	if (getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		return err_errno("port");
	*ret_port = ntohs(((struct sockaddr_in *)&at)->sin_port);
	*ret_fd = take_fd(&fd);
	return 0;
}

static int write_pidfile(const struct session *s, pid_t pid)
{
	autoclose int fd = -1;

	if (!s->o.pidfile)
		return 0;
	fd = openat(s->work, s->o.pidfile, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || dprintf(fd, "%d", pid) < 0)
		return err_errno("pidfile %s", s->o.pidfile);
	return 0;
}

int net_daemonize(struct session *s)
{
	int null;
	pid_t pid;

	if (!s->o.daemon && !s->o.detached)
		return write_pidfile(s, getpid());
	pid = fork();
	if (pid < 0)
		return err_errno("fork");
	if (pid > 0) {
		int r = write_pidfile(s, pid);

		if (r < 0)
			session_report_error(s);
		_exit(r < 0);
	}
	setsid();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; null >= 0 && i < 3; i++)
		dup2(null, i);
	cleanup_close(&null);
	return 0;
}

static int tell_port(const struct session *s, int port)
{
	if (s->port_to >= 0)
		return write(s->port_to, &port, sizeof(port)) < 0 ? err_errno("port") : 0;
	if (!s->o.port) {
		printf("PORT: %d\n", port);
		fflush(stdout);
	}
	return 0;
}

/* Whoever has started us may send the other side now. */
static int ready(struct session *s)
{
	int r = stage_tell(s, "status-ready", (pid_t)s->o.tree, -1);

	session_ready(s);
	return r;
}

static int accept_one(struct session *s, int *ret_fd)
{
	autoclose int at = -1;
	int r, port = 0;

	if (s->o.ps_socket >= 0) {
		r = given(&s->o, ret_fd);
		if (r == 0)
			r = net_daemonize(s);
		if (r == 0)
			r = ready(s);
		return r;
	}
	r = listen_at(&s->o, &at, &port);
	if (r == 0)
		r = tell_port(s, port);
	if (r == 0)
		r = net_daemonize(s);
	if (r == 0)
		r = ready(s);
	if (r < 0)
		return r;
	do
		*ret_fd = accept4(at, NULL, NULL, SOCK_CLOEXEC);
	while (*ret_fd < 0 && errno == EINTR);
	if (*ret_fd < 0)
		return err_errno("accept a connection");
	hurry(*ret_fd);
	return 0;
}

int net_accept(struct session *s, int *ret_fd)
{
	autoclose int fd = -1;
	int r = accept_one(s, &fd);

	if (r == 0)
		r = tls_server(&s->o, &fd);
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}
