/* SPDX-License-Identifier: Apache-2.0 */
/* A TCP connection that is signed (TCP_MD5SIG). */
#include "cr.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

int main(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct tcp_md5sig m = {.tcpm_keylen = 6, .tcpm_key = "secret"};
	int listening = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0),
	    fd;
	socklen_t len = sizeof(a);

	memcpy(&m.tcpm_addr, &a, sizeof(a));
	if (setsockopt(listening, IPPROTO_TCP, TCP_MD5SIG, &m, sizeof(m)) < 0)
		skip("this kernel has no TCP_MD5SIG");
	check(setsockopt(client, IPPROTO_TCP, TCP_MD5SIG, &m, sizeof(m)) == 0);
	check(bind(listening, (struct sockaddr *)&a, len) == 0 && listen(listening, 8) == 0);
	check(getsockname(listening, (struct sockaddr *)&a, &len) == 0);
	check(connect(client, (struct sockaddr *)&a, len) == 0, "errno %d", errno);
	fd = accept(listening, NULL, NULL);
	check(fd >= 0);
	say("expect: is signed (TCP_MD5SIG)\n");
	ready();
	check(write(client, "x", 1) == 1 && read(fd, &(char){0}, 1) == 1);
	return ok();
}
