/* SPDX-License-Identifier: Apache-2.0 */
#include "cryo/rpc.h"

#include "base/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int rpc_receive(int sock, CriuReq **ret)
{
	g_autofree uint8_t *buf = NULL;
	ssize_t n;

	/* seqpacket: the length of the whole, without taking it */
	do
		n = recv(sock, NULL, 0, MSG_PEEK | MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno("RPC");
	if (n == 0)
		return 1;
	if (n > RPC_MAX)
		return err_set(EMSGSIZE, "RPC: a request of %zd bytes", n);
	buf = g_malloc((size_t)n);
	n = recv(sock, buf, (size_t)n, 0);
	if (n < 0)
		return err_errno("RPC");
	*ret = criu_req__unpack(NULL, (size_t)n, buf);
	return *ret ? 0 : err_set(EBADMSG, "RPC: this is not a request");
}

int rpc_send(int sock, const CriuResp *resp, int fd)
{
	size_t n = criu_resp__get_packed_size(resp);
	g_autofree uint8_t *buf = g_malloc(n);

	criu_resp__pack(resp, buf);
	return fd_send(sock, buf, n, &fd, fd >= 0);
}

/* *RET is the answer, the caller's; only of who says "go on". */
static int tell(int sock, const char *stage, pid_t pid, int fd, CriuReq **ret)
{
	CriuResp resp = CRIU_RESP__INIT;
	CriuNotify notify = CRIU_NOTIFY__INIT;
	CriuReq *req = NULL;
	int r;

	notify.script = (char *)stage;
	notify.has_pid = pid > 0;
	notify.pid = pid;
	resp.type = CRIU_REQ_TYPE__NOTIFY;
	resp.success = true;
	resp.notify = &notify;
	r = rpc_send(sock, &resp, fd);
	if (r == 0)
		r = rpc_receive(sock, &req);
	if (r != 0)
		return r < 0 ? r : err_set(EPIPE, "RPC: nobody answers at %s", stage);
	if (req->type == CRIU_REQ_TYPE__NOTIFY && req->notify_success) {
		*ret = req;
		return 0;
	}
	criu_req__free_unpacked(req, NULL);
	return err_set(ECANCELED, "RPC: stopped at %s", stage);
}

int rpc_notify(int sock, const char *stage, pid_t pid, int fd)
{
	CriuReq *req = NULL;
	int r = tell(sock, stage, pid, fd, &req);

	if (r == 0)
		criu_req__free_unpacked(req, NULL);
	return r;
}

int rpc_query_files(int sock, char ***ret)
{
	g_autoptr(GStrvBuilder) all = g_strv_builder_new();
	CriuReq *req = NULL;
	int r = tell(sock, "query-ext-files", 0, -1, &req);

	if (r < 0)
		return r;
	for (size_t i = 0; req->opts && i < req->opts->n_external; i++)
		g_strv_builder_add(all, req->opts->external[i]);
	*ret = g_strv_builder_end(all);
	criu_req__free_unpacked(req, NULL);
	return 0;
}
