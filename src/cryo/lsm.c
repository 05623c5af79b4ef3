/* SPDX-License-Identifier: Apache-2.0 */
#include "cryo/lsm.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* What the restored root is to execute its first program as (apparmor(7), setexeccon(3)). */
static const struct {
	const char *type, *there, *prefix;
} modules[] = {
	{"apparmor", "/sys/kernel/security/apparmor", "exec "},
	{"selinux", "/sys/fs/selinux/enforce", ""},
};

int lsm_parse(const struct options *o, char **ret)
{
	const char *colon = o->lsm_profile ? strchr(o->lsm_profile, ':') : NULL;

	if (!o->lsm_profile)
		return 0;
	if (!colon || !colon[1])
		return err_set(EINVAL, "option --lsm-profile: \"%s\" is not TYPE:NAME",
			       o->lsm_profile);
	for (size_t i = 0; i < ARRAY_SIZE(modules); i++) {
		size_t len = (size_t)(colon - o->lsm_profile);

		if (strncmp(modules[i].type, o->lsm_profile, len) != 0 || modules[i].type[len])
			continue;
		if (access(modules[i].there, F_OK) < 0)
			return err_set(
				EOPNOTSUPP,
				"option --lsm-profile: this kernel has no %s (%s is not there)",
				modules[i].type, modules[i].there);
		*ret = g_strconcat(modules[i].prefix, colon + 1, NULL);
		return 0;
	}
	return err_set(EINVAL,
		       "option --lsm-profile: \"%s\" is neither apparmor:NAME nor "
		       "selinux:CONTEXT",
		       o->lsm_profile);
}
