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

int rpc_notify(int sock, const char *stage, pid_t pid, int fd)
{
	CriuResp resp = CRIU_RESP__INIT;
	CriuNotify notify = CRIU_NOTIFY__INIT;
	CriuReq *req = NULL;
	bool go_on;
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
	go_on = req->type == CRIU_REQ_TYPE__NOTIFY && req->notify_success;
	criu_req__free_unpacked(req, NULL);
	return go_on ? 0 : err_set(ECANCELED, "RPC: stopped at %s", stage);
}
