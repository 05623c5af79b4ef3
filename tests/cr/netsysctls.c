/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of a network namespace of the tree's own, and of one inside. */
#include "cr.h"

#include <sched.h>

static const struct {
	const char *name, *value;
} settings[] = {
	{"core/somaxconn", "999"},
	{"ipv4/conf/all/arp_announce", "2"},
	{"ipv4/conf/lo/accept_local", "1"},
	{"ipv6/conf/lo/mtu", "1300"}, /* which the device's own replaces when that goes up */
	{"ipv4/fwmark_reflect", "1"},
	{"ipv4/ip_default_ttl", "61"},
	{"ipv4/ip_local_port_range", "40000\t50000"},
	{"ipv4/ip_unprivileged_port_start", "80"},
	{"ipv4/neigh/lo/gc_stale_time", "123"},
	{"ipv4/ping_group_range", "0\t1000"},
	{"ipv4/tcp_fin_timeout", "33"},
	{"ipv4/tcp_syncookies", "0"},
	{"ipv6/conf/default/hop_limit", "63"},
	{"ipv6/ip_nonlocal_bind", "1"},
	{"unix/max_dgram_qlen", "77"},
};

static bool made[ARRAY_SIZE(settings)];

static int open_one(unsigned i, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/sys/net/%s", settings[i].name);
	return open(path, flags | O_CLOEXEC);
}

static int make(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(settings); i++) {
		size_t len = strlen(settings[i].value);
		int fd = open_one(i, O_WRONLY);

		/* not in every kernel */
		made[i] = fd >= 0 && write(fd, settings[i].value, len) == (ssize_t)len;
		close(fd);
	}
	return 0;
}

static int verify(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(settings); i++) {
		int fd = open_one(i, O_RDONLY);
		char b[64] = "";

		if (!made[i])
			continue;
		check(fd >= 0 && read(fd, b, sizeof(b) - 1) > 0, "%s: errno %d", settings[i].name,
		      errno);
		b[strcspn(b, "\n")] = 0;
		check(!strcmp(b, settings[i].value), "%s is %s", settings[i].name, b);
		close(fd);
	}
	return 0;
}

static int make_inside(void)
{
	return unshare(CLONE_NEWNET) < 0 ? 1 : make();
}

int main(void)
{
	struct child c = child_start(make_inside, verify);
	unsigned n = 0;

	make();
	for (unsigned i = 0; i < ARRAY_SIZE(settings); i++)
		n += made[i];
	check(n > 8, "%u", n);
	ready();
	verify();
	child_go(&c);
	return ok();
}
