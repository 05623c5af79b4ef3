/* SPDX-License-Identifier: Apache-2.0 */
/* cryo cpuinfo dump, cryo cpuinfo check. */
#include "cryo/session.h"

#include "cr/cryo.h"

#include <errno.h>
#include <string.h>

static int cpuinfo(struct session *s)
{
	const char *verb = s->o.words->len > 1 ? g_ptr_array_index(s->o.words, 1) : "";

	if (strcmp(verb, "dump") == 0)
		return cryo_cpuinfo_dump(s->images);
	if (strcmp(verb, "check") == 0)
		return cryo_cpuinfo_check(
			s->images, s->o.cpu_cap ?: CRYO_CPU_FPU | CRYO_CPU_INS | CRYO_CPU_ALL);
	return err_set(EINVAL, "cpuinfo dump or cpuinfo check?");
}

const struct action action_cpuinfo = {
	.name = "cpuinfo",
	.log = NULL,
	.needs_images = true,
	.brief = "dump: write cpuinfo.img; check: compare it with this processor",
	.run = cpuinfo,
};
