/* SPDX-License-Identifier: Apache-2.0 */
/* process.capabilities, no_new_privs and the paths that are hidden or read-only. */
#include "engine/spec_parts.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <strings.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Podman's, as in containers.conf(5) */
static const char *const defaults[] = {
	"CAP_CHOWN",   "CAP_DAC_OVERRIDE",     "CAP_FOWNER",	 "CAP_FSETID",
	"CAP_KILL",    "CAP_NET_BIND_SERVICE", "CAP_SETFCAP",	 "CAP_SETGID",
	"CAP_SETPCAP", "CAP_SETUID",	       "CAP_SYS_CHROOT",
};

uint64_t spec_own_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {};

	if (syscall(SYS_capget, &head, data) < 0)
		return 0;
	return data[0].permitted | (uint64_t)data[1].permitted << 32;
}

json_t *spec_capability_list(uint64_t mask)
{
	json_t *j = json_array();

	for (unsigned i = 0; i < 64; i++)
		if (mask >> i & 1 && options_capability_name(i))
			json_array_append_new(j, json_string(options_capability_name(i)));
	return j;
}

static uint64_t bit(const char *name)
{
	return 1ull << options_capability_number(name);
}

static bool is_all(const char *text)
{
	return !g_ascii_strcasecmp(text, "all");
}

static uint64_t all_known(void)
{
	uint64_t mask = 0;

	for (unsigned i = 0; options_capability_name(i); i++)
		mask |= 1ull << i;
	return mask;
}

static int list_mask(char *const *list, uint64_t *ret, bool *ret_all)
{
	*ret = 0;
	*ret_all = false;
	for (; list && *list; list++) {
		const char *name = options_capability(*list);

		if (is_all(*list))
			*ret_all = true;
		else if (name)
			*ret |= bit(name);
		else
			return options_unknown_capability(*list);
	}
	return 0;
}

static const char *first_name(uint64_t mask)
{
	return options_capability_name(__builtin_ctzll(mask));
}

uint64_t spec_default_capabilities(void)
{
	uint64_t mask = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(defaults); i++)
		mask |= bit(defaults[i]);
	return mask;
}

/* containers/common MergeCapabilities: "all" dropped leaves what is added, and the reverse. */
static int merge(const struct container_options *o, uint64_t own, uint64_t *ret)
{
	uint64_t add, drop, base = spec_default_capabilities();
	bool add_all, drop_all;
	int r = list_mask(o->cap_add, &add, &add_all);

	if (r == 0)
		r = list_mask(o->cap_drop, &drop, &drop_all);
	if (r < 0)
		return r;
	if (add_all && drop_all)
		return err_set(EINVAL, "cannot drop and add all capabilities");
	if (add & drop)
		return err_set(EINVAL, "capability \"%s\" cannot be dropped and added",
			       first_name(add & drop));
	if (add & ~own)
		return err_set(EPERM, "capability %s cannot be added: this process has not got it",
			       first_name(add & ~own));
	if (drop_all)
		base = 0;
	if (add_all)
		base = own & all_known();
	*ret = ((base | add) & ~drop) & own;
	return 0;
}

json_t *spec_capability_sets(uint64_t bounding, uint64_t others, uint32_t uid)
{
	uint64_t effective = uid == 0 ? bounding : others;
	uint64_t ambient =
		uid == 0 ? 0 : others; /* needed by a program without file capabilities */

	return json_pack("{s:o,s:o,s:o,s:o,s:o}", "bounding", spec_capability_list(bounding),
			 "effective", spec_capability_list(effective), "permitted",
			 spec_capability_list(effective), "inheritable",
			 spec_capability_list(ambient), "ambient", spec_capability_list(ambient));
}

int spec_put_capabilities(struct spec_context *c)
{
	const char *nnp = spec_security_option(c->o, "no-new-privileges");
	uint64_t added = 0;
	bool all;
	int r;

	if (c->o->privileged) {
		c->caps = c->own & all_known();
	} else {
		r = merge(c->o, c->own, &c->caps);
		if (r == 0)
			r = list_mask(c->o->cap_add, &added, &all);
		if (r < 0)
			return r;
	}
	json_object_set_new(c->process, "capabilities",
			    spec_capability_sets(c->caps, added & c->caps, c->user.uid));
	json_object_set_new(c->process, "noNewPrivileges",
			    json_boolean(nnp && strcmp(nnp, "false")));
	return 0;
}

const char *spec_security_option(const struct container_options *o, const char *key)
{
	size_t n = strlen(key);
	const char *found = NULL;

	for (char *const *s = o->security_opt; s && *s; s++) {
		if (strncmp(*s, key, n))
			continue;
		if (!(*s)[n])
			found = "";
		if ((*s)[n] == '=' || (*s)[n] == ':')
			found = *s + n + 1;
	}
	return found;
}

static const char *const masked[] = {
	"/proc/acpi",	       "/proc/kcore",	   "/proc/keys",
	"/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
	"/proc/sched_debug",   "/proc/scsi",	   "/sys/firmware",
	"/sys/fs/selinux",     "/sys/dev/block",   "/sys/devices/virtual/powercap",
};

static const char *const read_only[] = {
	"/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

static json_t *paths(const char *const *list, unsigned n, char *const *except)
{
	json_t *j = json_array();

	for (unsigned i = 0; i < n; i++)
		if (!except || !g_strv_contains((const char *const *)except, list[i]))
			json_array_append_new(j, json_string(list[i]));
	return j;
}

int spec_put_paths(struct spec_context *c)
{
	const char *mask = spec_security_option(c->o, "mask");
	const char *unmask = spec_security_option(c->o, "unmask");
	g_auto(GStrv) more = mask ? g_strsplit(mask, ":", -1) : NULL;
	g_auto(GStrv) except = unmask ? g_strsplit(unmask, ":", -1) : NULL;
	json_t *hidden;

	if (c->o->privileged)
		return 0;
	if (unmask && is_all(unmask)) {
		hidden = json_array();
	} else {
		hidden = paths(masked, ARRAY_SIZE(masked), except);
		json_object_set_new(c->os, "readonlyPaths",
				    paths(read_only, ARRAY_SIZE(read_only), except));
	}
	for (char **s = more; s && *s; s++)
		json_array_append_new(hidden, json_string(*s));
	json_object_set_new(c->os, "maskedPaths", hidden);
	return 0;
}
