/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/caps.h"

#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>

#define CAP(n) [CAP_##n] = "CAP_" #n
static const char *const names[] = {
	CAP(CHOWN),	     CAP(DAC_OVERRIDE), CAP(DAC_READ_SEARCH),  CAP(FOWNER),
	CAP(FSETID),	     CAP(KILL),		CAP(SETGID),	       CAP(SETUID),
	CAP(SETPCAP),	     CAP(LINUX_IMMUTABLE), CAP(NET_BIND_SERVICE), CAP(NET_BROADCAST),
	CAP(NET_ADMIN),	     CAP(NET_RAW),	CAP(IPC_LOCK),	       CAP(IPC_OWNER),
	CAP(SYS_MODULE),     CAP(SYS_RAWIO),	CAP(SYS_CHROOT),       CAP(SYS_PTRACE),
	CAP(SYS_PACCT),	     CAP(SYS_ADMIN),	CAP(SYS_BOOT),	       CAP(SYS_NICE),
	CAP(SYS_RESOURCE),   CAP(SYS_TIME),	CAP(SYS_TTY_CONFIG),   CAP(MKNOD),
	CAP(LEASE),	     CAP(AUDIT_WRITE),	CAP(AUDIT_CONTROL),    CAP(SETFCAP),
	CAP(MAC_OVERRIDE),   CAP(MAC_ADMIN),	CAP(SYSLOG),	       CAP(WAKE_ALARM),
	CAP(BLOCK_SUSPEND),  CAP(AUDIT_READ),	CAP(PERFMON),	       CAP(BPF),
	CAP(CHECKPOINT_RESTORE),
};

uint64_t caps_from_json(const json_t *list)
{
	uint64_t mask = 0;
	const json_t *v;
	size_t i;

	json_array_foreach(list, i, v)
		for (size_t cap = 0; cap < ARRAY_SIZE(names); cap++)
			if (!strcmp(json_string_value(v) ?: "", names[cap]))
				mask |= UINT64_C(1) << cap;
	return mask;
}

int caps_last(void)
{
	int cap = 0;

	while (cap < 63 && prctl(PR_CAPBSET_READ, cap + 1, 0, 0, 0) >= 0)
		cap++;
	return cap;
}
