/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of programs: tun and tap (Documentation/networking/tuntap.rst, drivers/net/tun.c). */
#include "state/ns/net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>

static int set(int fd, unsigned long request, int value, const char *what)
{
	return ioctl(fd, request, value) < 0 ? err_errno("%s %d", what, value) : 0;
}

int net_tun_make(int fd, const char *name, const TunLinkEntry *e, int index)
{
	struct ifreq ifr = {.ifr_flags = (short)(e->flags & ~(unsigned)IFF_PERSIST)};
	int r = 0, none = 0;

	g_strlcpy(ifr.ifr_name, name, sizeof(ifr.ifr_name));
	if (index && ioctl(fd, TUNSETIFINDEX, &index) < 0)
		return err_errno("number %d", index);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
		/* the number is another's: any will do */
		if (errno != EBUSY || !index || ioctl(fd, TUNSETIFINDEX, &none) < 0 ||
		    ioctl(fd, TUNSETIFF, &ifr) < 0)
			return err_errno("create %s", name);
	}
	if (e->owner != -1)
		r = set(fd, TUNSETOWNER, e->owner, "owner");
	if (r == 0 && e->group != -1)
		r = set(fd, TUNSETGROUP, e->group, "group");
	return r;
}

int net_tun_make_lasting(const NetDeviceEntry *e)
{
	autoclose int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	int r;

	if (!e->tun)
		return err_set(EBADMSG, "a tun device without a record of its own");
	if (fd < 0)
		return err_errno("open /dev/net/tun");
	r = net_tun_make(fd, e->name, e->tun, (int)e->ifindex);
	return r < 0 ? r : set(fd, TUNSETPERSIST, 1, "TUNSETPERSIST");
}
