/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that can be said to be wrong before anything is created. */
#include "engine/mounts.h"
#include "engine/options.h"
#include "engine/timezone.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int check_capability(const char *text)
{
	if (!g_ascii_strcasecmp(text, "all") || options_capability(text))
		return 0;
	return options_unknown_capability(text);
}

static int check_ulimit(const char *text)
{
	struct ulimit l;

	return !strcmp(text, "host") ? 0 : options_parse_ulimit(text, &l);
}

static int check_device(const char *text)
{
	CLEANUP(device_option_clear) struct device_option d = {};
	struct stat st;
	int r = options_parse_device(text, &d);

	if (r < 0)
		return r;
	return stat(d.source, &st) < 0 ? err_errno("stat %s", d.source) : 0;
}

static int check_sysctl(const char *text)
{
	const char *eq = strchr(text, '=');

	return eq && eq != text ? 0 : err_set(EINVAL, "invalid sysctl: %s is not NAME=VALUE", text);
}

static int check_env(const char *text)
{
	return *text && *text != '=' ? 0 : err_set(EINVAL, "invalid variable: \"%s\"", text);
}

static int check_security(const char *text)
{
	static const char *const known[] = {"seccomp=", "label=",     "apparmor=",	  "mask=",
					    "unmask=",	"proc-opts=", "no-new-privileges"};

	for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
		if (g_str_has_prefix(text, known[i]))
			return 0;
	return err_set(EINVAL, "invalid --security-opt: %s", text);
}

static int check_list(char *const *list, int (*check)(const char *))
{
	for (; list && *list; list++) {
		int r = check(*list);

		if (r < 0)
			return r;
	}
	return 0;
}

static int check_lists(const struct container_options *o)
{
	const struct {
		char *const *list;
		int (*check)(const char *);
	} rows[] = {
		{o->cap_add, check_capability},	   {o->cap_drop, check_capability},
		{o->ulimits, check_ulimit},	   {o->devices, check_device},
		{o->sysctls, check_sysctl},	   {o->env, check_env},
		{o->security_opt, check_security},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = check_list(rows[i].list, rows[i].check);

		if (r < 0)
			return r;
	}
	return 0;
}

static int check_mounts(const struct container_options *o)
{
	CLEANUP(user_mounts_clear) struct user_mounts m = {};
	int r = user_mounts_parse(o, &m);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < m.n; i++) {
		struct stat st;

		if (m.v[i].type == USER_MOUNT_BIND && stat(m.v[i].source, &st) < 0)
			return err_errno("statfs %s", m.v[i].source);
	}
	return 0;
}

int container_options_check_numbers(const struct container_options *o)
{
	char *end;
	long mask = o->umask ? strtol(o->umask, &end, 8) : 0;
	int sig;

	if (o->umask && (!*o->umask || *end || mask < 0 || mask > 0777))
		return err_set(EINVAL, "invalid umask %s: not an octal number", o->umask);
	if (o->stop_signal && options_parse_signal(o->stop_signal, &sig) < 0)
		return -EINVAL;
	if (o->memory_swap > 0 && !o->memory)
		return err_set(EINVAL, "you should always set the memory limit when using the "
				       "memory swap limit");
	if (o->memory_swap > 0 && o->memory_swap < o->memory)
		return err_set(EINVAL,
			       "minimum memoryswap limit should be larger than memory limit");
	if (o->cpus && (o->cpu_quota || o->cpu_period))
		return err_set(EINVAL, "--cpu-period and --cpus cannot be set together");
	if (o->cpus < 0 || o->memory < 0 || o->shm_size < 0 || o->memory_swap < -1 ||
	    o->pids_limit < -1)
		return err_set(EINVAL, "a limit cannot be negative");
	if (o->timeout < 0 || o->timeout > INT32_MAX)
		return err_set(EINVAL, "invalid --timeout: a number of seconds");
	if (o->has_oom_score_adj && (o->oom_score_adj < -1000 || o->oom_score_adj > 1000))
		return err_set(EINVAL, "invalid --oom-score-adj: must be from -1000 to 1000");
	return 0;
}

/* "./x:/y" and ".:/y"; a source without a slash in front is a volume's name. */
static void make_absolute(char **volumes)
{
	for (; volumes && *volumes; volumes++) {
		g_auto(GStrv) parts = g_strsplit(*volumes, ":", 2);
		g_autofree char *source = NULL;

		if (!parts[0] || !parts[1] || parts[0][0] != '.')
			continue;
		source = g_canonicalize_filename(parts[0], NULL);
		g_free(*volumes);
		*volumes = g_strdup_printf("%s:%s", source, parts[1]);
	}
}

/* seccomp=FILE is read at each start. */
static int resolve_profile(char **options)
{
	for (; options && *options; options++) {
		const char *file = *options + strlen("seccomp=");
		g_autofree char *path = NULL;

		if (!g_str_has_prefix(*options, "seccomp=") || !strcmp(file, "unconfined") ||
		    !strcmp(file, "default"))
			continue;
		path = g_canonicalize_filename(file, NULL);
		if (access(path, R_OK) < 0)
			return err_errno("opening seccomp profile %s", path);
		g_free(*options);
		*options = g_strdup_printf("seccomp=%s", path);
	}
	return 0;
}

/* Written at each start, by whoever starts it, wherever that is done. */
static int resolve_pid_file(char **path)
{
	g_autofree char *dir = NULL;
	char *absolute;

	if (!*path)
		return 0;
	absolute = g_canonicalize_filename(*path, NULL);
	g_free(*path);
	*path = absolute;
	dir = g_path_get_dirname(absolute);
	return access(dir, W_OK) < 0 ? err_errno("write %s", absolute) : 0;
}

static int check_log_driver(const struct container_options *o)
{
	static const char *const known[] = {"k8s-file", "json-file", "none"};

	for (unsigned i = 0; o->log_driver && i < ARRAY_SIZE(known); i++)
		if (!strcmp(o->log_driver, known[i]))
			return 0;
	return o->log_driver
		       ? err_set(EINVAL,
				 "log driver \"%s\" is not supported: use k8s-file, json-file "
				 "or none",
				 o->log_driver)
		       : 0;
}

int container_options_check(struct container_options *o)
{
	int r;

	r = container_options_check_text(o);
	if (r < 0)
		return r;
	make_absolute(o->volumes);
	r = check_lists(o);
	if (r == 0)
		r = resolve_profile(o->security_opt);
	if (r == 0)
		r = resolve_pid_file(&o->pidfile);
	if (r == 0)
		r = resolve_pid_file(&o->conmon_pidfile);
	if (r == 0)
		r = check_log_driver(o);
	if (r == 0)
		r = container_options_check_numbers(o);
	if (r == 0 && o->timezone)
		r = timezone_read(o->timezone, NULL, NULL);
	return r == 0 ? check_mounts(o) : r;
}
