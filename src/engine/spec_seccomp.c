/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux.seccomp from a profile of the distribution (containers/common's seccomp.json) or the user.
 *
 * A profile says for each rule when it applies: architectures, capabilities that the container has
 * or has not, the kernel's version.  The runtime spec knows nothing of that, so it is decided here.
 */
#include "engine/spec_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static const char *const profiles[] = {"/etc/containers/seccomp.json",
				       "/usr/share/containers/seccomp.json"};

static const struct {
	const char *machine, *go, *scmp;
} machines[] = {
	{"x86_64", "amd64", "SCMP_ARCH_X86_64"},     {"aarch64", "arm64", "SCMP_ARCH_AARCH64"},
	{"ppc64le", "ppc64le", "SCMP_ARCH_PPC64LE"}, {"s390x", "s390x", "SCMP_ARCH_S390X"},
	{"riscv64", "riscv64", "SCMP_ARCH_RISCV64"},
};

struct host {
	const char *go, *scmp;
	unsigned major, minor;
};

static int find_host(struct host *ret)
{
	struct utsname u;

	*ret = (struct host){};
	if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &ret->major, &ret->minor) != 2)
		return err_set(ENOSYS, "cannot tell the kernel's version");
	for (unsigned i = 0; i < ARRAY_SIZE(machines); i++)
		if (!strcmp(machines[i].machine, u.machine)) {
			ret->go = machines[i].go;
			ret->scmp = machines[i].scmp;
			return 0;
		}
	return err_set(ENOSYS, "seccomp profiles are not supported on %s", u.machine);
}

static bool has_string(const json_t *list, const char *s)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *v = json_string_value(json_array_get(list, i));

		if (v && !strcmp(v, s))
			return true;
	}
	return false;
}

static bool has_capability(uint64_t caps, const json_t *name)
{
	const char *text = json_string_value(name);
	const char *known = text ? options_capability(text) : NULL;

	return known && caps >> options_capability_number(known) & 1;
}

/* The kernel is VERSION ("4.8") or newer. */
static bool new_enough(const struct host *h, const char *version)
{
	unsigned major, minor;

	if (!version || !*version || sscanf(version, "%u.%u", &major, &minor) != 2)
		return true;
	return h->major > major || (h->major == major && h->minor >= minor);
}

static bool applies(const json_t *rule, const struct host *h, uint64_t caps)
{
	const json_t *in = json_object_get(rule, "includes"),
		     *out = json_object_get(rule, "excludes");
	const json_t *arches = json_object_get(in, "arches"), *need = json_object_get(in, "caps");
	const json_t *refuse = json_object_get(out, "caps");
	const char *too_new = json_string_value(json_object_get(out, "minKernel"));

	if (json_array_size(arches) && !has_string(arches, h->go))
		return false;
	if (has_string(json_object_get(out, "arches"), h->go))
		return false;
	for (size_t i = 0; i < json_array_size(need); i++)
		if (!has_capability(caps, json_array_get(need, i)))
			return false;
	for (size_t i = 0; i < json_array_size(refuse); i++)
		if (has_capability(caps, json_array_get(refuse, i)))
			return false;
	if (!new_enough(h, json_string_value(json_object_get(in, "minKernel"))))
		return false;
	return !too_new || !*too_new || !new_enough(h, too_new);
}

static json_t *translate_rule(const json_t *rule)
{
	json_t *names = json_object_get(rule, "names"), *name = json_object_get(rule, "name");
	json_t *args = json_object_get(rule, "args"), *number = json_object_get(rule, "errnoRet");
	json_t *j = json_object();

	json_object_set(j, "action", json_object_get(rule, "action"));
	if (json_array_size(names))
		json_object_set(j, "names", names);
	else /* profiles before 2017 */
		json_object_set_new(j, "names", json_pack("[O]", name ? name : json_null()));
	if (json_array_size(args))
		json_object_set(j, "args", args);
	if (json_is_integer(number))
		json_object_set(j, "errnoRet", number);
	return j;
}

static json_t *architectures(const json_t *profile, const struct host *h)
{
	const json_t *map = json_object_get(profile, "archMap");
	json_t *plain = json_object_get(profile, "architectures");

	for (size_t i = 0; i < json_array_size(map); i++) {
		json_t *row = json_array_get(map, i);
		json_t *arch = json_object_get(row, "architecture");
		json_t *j;

		if (!json_is_string(arch) || strcmp(json_string_value(arch), h->scmp))
			continue;
		j = json_pack("[O]", arch);
		json_array_extend(j, json_object_get(row, "subArchitectures"));
		return j;
	}
	return json_array_size(plain) ? json_incref(plain) : json_pack("[s]", h->scmp);
}

static int translate(const json_t *profile, const char *path, uint64_t caps, json_t **ret)
{
	const json_t *rules = json_object_get(profile, "syscalls");
	json_t *action = json_object_get(profile, "defaultAction");
	json_t *number = json_object_get(profile, "defaultErrnoRet");
	json_t *j, *list;
	struct host h;
	int r = find_host(&h);

	if (r < 0)
		return r;
	if (!json_is_string(action))
		return err_set(EINVAL, "seccomp profile %s has no defaultAction", path);
	j = json_pack("{s:O,s:o}", "defaultAction", action, "architectures",
		      architectures(profile, &h));
	if (json_is_integer(number))
		json_object_set(j, "defaultErrnoRet", number);
	list = json_array();
	for (size_t i = 0; i < json_array_size(rules); i++)
		if (applies(json_array_get(rules, i), &h, caps))
			json_array_append_new(list, translate_rule(json_array_get(rules, i)));
	json_object_set_new(j, "syscalls", list);
	*ret = j;
	return 0;
}

static const char *default_profile(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(profiles); i++)
		if (access(profiles[i], R_OK) == 0)
			return profiles[i];
	return NULL;
}

int spec_put_seccomp(struct spec_context *c)
{
	const char *path = spec_security_option(c->o, "seccomp");
	json_t *profile, *j = NULL;
	json_error_t why;
	int r;

	if (path ? !strcmp(path, "unconfined") : c->o->privileged)
		return 0;
	if (!path || !*path || !strcmp(path, "default"))
		path = default_profile();
	if (!path)
		return err_set(ENOENT,
			       "the default seccomp profile %s is missing: install "
			       "golang-github-containers-common, or use --security-opt "
			       "seccomp=unconfined",
			       profiles[1]);
	profile = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
	if (!profile)
		return err_set(EINVAL, "opening seccomp profile %s: %s", path, why.text);
	r = translate(profile, path, c->caps, &j);
	json_decref(profile);
	if (r == 0)
		json_object_set_new(c->os, "seccomp", j);
	return r;
}
