/* SPDX-License-Identifier: Apache-2.0 */
/* What no kind takes: why not, and what helps. */
#include "state/fd/kind.h"
#include "state/sock/sock.h"

#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

static const struct {
	const char *prefix, *why;
} by_name[] = {
	{"anon_inode:[perf_event]", "perf events cannot be saved; stop profiling first"},
	{"anon_inode:bpf", "BPF objects cannot be saved; unload them first"},
	{"anon_inode:btf", "BPF objects cannot be saved; unload them first"},
	{"anon_inode:seccomp notify", "seccomp listeners cannot be saved"},
	{"anon_inode:[fscontext]",
	 "a file system that is being made (fsopen(2)) cannot be saved; close it first"},
	{"anon_inode:[landlock-ruleset]", "landlock rulesets cannot be saved; close it first"},
	{"anon_inode:kvm", "virtual machines cannot be saved; stop the machine first"},
	{"anon_inode:sync_file", "fences of graphics drivers cannot be saved"},
	{"anon_inode:", "files of this kind cannot be saved; close it first"},
	{"/dmabuf:", "buffers of graphics drivers cannot be saved"},
	{"/secretmem", "secret memory cannot be saved: that is its purpose"},
};

/* linux/miscdevice.h, linux/major.h */
static const struct {
	unsigned major, minor;
	const char *why;
} by_number[] = {
	{10, 229, "FUSE servers cannot be saved; unmount it first"},
	{10, 232, "virtual machines cannot be saved; stop the machine first"},
	{10, 183, "the hardware's random numbers cannot be saved; close it first"},
};

static const struct {
	int family;
	const char *name;
} families[] = {
	{AF_ALG, "crypto (AF_ALG)"},
	{AF_BLUETOOTH, "Bluetooth"},
	{AF_CAN, "CAN"},
	{AF_KCM, "KCM"},
	{AF_KEY, "PF_KEY"},
	{AF_PPPOX, "PPPoX"},
	{AF_QIPCRTR, "Qualcomm IPC"},
	{AF_RXRPC, "RxRPC"},
	{AF_SMC, "SMC"},
	{AF_TIPC, "TIPC"},
	{AF_VSOCK, "vsock"},
	{AF_XDP, "XDP"},
};

static int refuse_socket(const struct fd_view *v)
{
	int family = sock_family(v);

	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		if (families[i].family == family)
			return err_set(EOPNOTSUPP, "%s: %s sockets cannot be saved; close it first",
				       v->link, families[i].name);
	return err_set(EOPNOTSUPP, "%s: sockets of family %d cannot be saved; close it first",
		       v->link, family);
}

int fd_refuse(const struct fd_view *v)
{
	unsigned major = major(v->st.st_rdev), minor = minor(v->st.st_rdev);

	if (S_ISSOCK(v->st.st_mode))
		return refuse_socket(v);
	for (size_t i = 0; i < ARRAY_SIZE(by_name); i++)
		if (g_str_has_prefix(v->link, by_name[i].prefix))
			return err_set(EOPNOTSUPP, "%s: %s", v->link, by_name[i].why);
	if (!S_ISCHR(v->st.st_mode) && !S_ISBLK(v->st.st_mode))
		return err_set(EOPNOTSUPP, "%s: files of this kind cannot be saved", v->link);
	for (size_t i = 0; i < ARRAY_SIZE(by_number) && S_ISCHR(v->st.st_mode); i++)
		if (by_number[i].major == major && by_number[i].minor == minor)
			return err_set(EOPNOTSUPP, "%s: %s", v->link, by_number[i].why);
	return err_set(EOPNOTSUPP,
		       "%s: device %u:%u may have a state of its own, which cannot be saved; "
		       "close it first",
		       v->link, major, minor);
}
