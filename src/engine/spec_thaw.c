/* SPDX-License-Identifier: Apache-2.0 */
/* Variations of a config.json: the box that a checkpoint is thawed into, and exec's process. */
#include "engine/spec_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>

/*
 * What the stub needs beside the container's own capabilities.  It gives all of them up before the
 * processes run; libcryo never grants more than spec_capability_ceiling() of the container's spec.
 */
static const unsigned stub_needs[] = {
	CAP_CHECKPOINT_RESTORE, /* clone3 set_tid, PR_SET_MM_MAP */
	CAP_SYS_ADMIN,		/* setns, unshare of the time namespace, set_tid before 5.9 */
	CAP_SYS_TIME,		/* /proc/self/timens_offsets */
	CAP_SYS_PTRACE,		/* process_vm and kcmp among tasks with other ids */
	CAP_SYS_RESOURCE,	/* limits, as they were */
	CAP_SYS_NICE,		/* scheduling, as it was */
	CAP_SYS_CHROOT,		/* root directories of tasks */
	CAP_IPC_LOCK,		/* mlocked memory */
	CAP_NET_ADMIN,		/* TCP_REPAIR, SO_*BUFFORCE, SO_MARK */
	CAP_SETPCAP,		/* dropping from the bounding set, securebits */
	CAP_SETUID,		/* ids of tasks */
	CAP_SETGID,
	CAP_KILL,
	CAP_CHOWN, /* deleted files, tmpfs content */
	CAP_FOWNER,
	CAP_DAC_OVERRIDE,
};

uint64_t spec_capability_mask(const json_t *list)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *s = json_string_value(json_array_get(list, i));
		int n = s ? options_capability_number(s) : -1;

		if (n >= 0)
			mask |= 1ull << n;
	}
	return mask;
}

static const json_t *set_of(const json_t *spec, const char *name)
{
	const json_t *process = json_object_get(spec, "process");

	return json_object_get(json_object_get(process, "capabilities"), name);
}

uint64_t spec_capability_ceiling(const json_t *spec)
{
	return spec_capability_mask(set_of(spec, "bounding"));
}

void spec_process_for_stub(json_t *process)
{
	const json_t *sets = json_object_get(process, "capabilities");
	uint64_t caps = spec_capability_mask(json_object_get(sets, "bounding"));

	for (unsigned i = 0; i < ARRAY_SIZE(stub_needs); i++)
		caps |= 1ull << stub_needs[i] & spec_own_capabilities();
	json_object_set_new(process, "user", json_pack("{s:i,s:i}", "uid", 0, "gid", 0));
	json_object_set_new(process, "args", json_pack("[s]", "/proc/self/fd/3"));
	json_object_set_new(process, "cwd", json_string("/"));
	json_object_set_new(process, "noNewPrivileges", json_false());
	json_object_set_new(process, "capabilities", spec_capability_sets(caps, 0, 0));
}

json_t *spec_for_thaw(const json_t *spec)
{
	json_t *copy = json_deep_copy(spec);

	spec_process_for_stub(json_object_get(copy, "process"));
	json_object_del(json_object_get(copy, "linux"), "seccomp");
	return copy;
}

static char **env_of(const json_t *process)
{
	const json_t *list = json_object_get(process, "env");
	char **env = NULL;

	for (size_t i = 0; i < json_array_size(list); i++)
		options_append(&env, json_string_value(json_array_get(list, i)));
	return env;
}

static void set_env(json_t *process, const struct exec_options *o, const struct spec_user *user)
{
	g_auto(GStrv) env = env_of(process);

	if (user) {
		g_autofree char *home = g_strdup_printf("HOME=%s", user->home);

		spec_env_set(&env, home);
	}
	if (o->tty && !spec_env_get(env, "TERM"))
		spec_env_set(&env, "TERM=xterm");
	for (char *const *s = o->env; s && *s; s++)
		spec_env_set(&env, *s);
	json_object_set_new(process, "env", spec_strings(env));
}

static int set_user(json_t *process, const char *rootfs, const struct exec_options *o,
		    struct spec_user *user)
{
	autoclose int root = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	json_t *old = json_object_get(process, "user"), *j;
	json_t *umask = json_object_get(old, "umask");
	int r;

	if (root < 0)
		return err_errno("open root file system %s", rootfs);
	r = spec_user_find(root, o->user, NULL, user);
	if (r < 0)
		return r;
	j = spec_user_json(user);
	if (umask)
		json_object_set(j, "umask", umask);
	json_object_set_new(process, "user", j);
	return 0;
}

/* As Podman: root has the container's, others what --cap-add gave, the privileged all of ours. */
static void set_capabilities(json_t *process, const json_t *spec, const struct exec_options *o)
{
	const json_t *user = json_object_get(process, "user");
	uint32_t uid = json_integer_value(json_object_get(user, "uid"));
	uint64_t own = spec_own_capabilities();
	uint64_t others = spec_capability_mask(set_of(spec, "ambient"));

	if (o->privileged)
		json_object_set_new(process, "capabilities", spec_capability_sets(own, own, uid));
	else if (o->user)
		json_object_set_new(
			process, "capabilities",
			spec_capability_sets(spec_capability_ceiling(spec), others, uid));
}

int spec_exec_process(const json_t *spec, const char *rootfs, const struct exec_options *o,
		      json_t **ret)
{
	json_t *process = json_deep_copy(json_object_get(spec, "process"));
	CLEANUP(spec_user_clear) struct spec_user user = {};
	int r = o->user ? set_user(process, rootfs, o, &user) : 0;

	if (r < 0) {
		json_decref(process);
		return r;
	}
	json_object_set_new(process, "args", spec_strings(o->argv));
	json_object_set_new(process, "terminal", json_boolean(o->tty));
	json_object_del(process, "consoleSize");
	if (o->workdir)
		json_object_set_new(process, "cwd", json_string(o->workdir));
	if (o->privileged)
		json_object_set_new(process, "noNewPrivileges", json_false());
	set_env(process, o, o->user ? &user : NULL);
	set_capabilities(process, spec, o);
	*ret = process;
	return 0;
}
