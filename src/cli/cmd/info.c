/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "base/log.h"
#include "base/spawn.h"
#include "cli/cmd/common.h"
#include "cli/cmd/version.h"
#include "cli/report.h"
#include "cli/types.h"
#include "cli/yaml.h"
#include "engine/image.h"
#include "kernel/cgroup.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#define SECCOMP_PROFILE "/usr/share/containers/seccomp.json"

struct info_opts {
	bool debug;
	const char *format;
};

static const struct opt options[] = {
	OPT(struct info_opts, format, "format", 'f',
	    "Change the output format to JSON or a Go template"),
	OPT(struct info_opts, debug, "debug", 'D', "Accepted for compatibility", .hidden = true),
	{}};

/* What "PROG --version" says, without the last newline; "" when it cannot be run. */
static char *version_of(const char *path)
{
	const char *argv[] = {path, "--version", NULL};
	const struct spawn s = {
		.argv = argv, .in = SPAWN_NULL, .out = SPAWN_CAPTURE, .err = SPAWN_NULL};
	char *out = NULL;

	if (!path || spawn_check(&s, &out, NULL) < 0) {
		err_clear();
		return g_strdup("");
	}
	return g_strchomp(out);
}

static json_t *program(const char *name, const char *path)
{
	g_autofree char *version = version_of(path);
	json_t *j = json_pack("{s:s, s:s}", "path", path ? path : "", "version", version);

	if (name)
		json_object_set_new(j, "name", json_string(name));
	return j;
}

/* ID, VERSION_ID and VERSION_CODENAME of os-release(5). */
static json_t *distribution(void)
{
	static const char *const keys[][2] = {{"ID=", "distribution"},
					      {"VERSION_ID=", "version"},
					      {"VERSION_CODENAME=", "codename"}};
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	json_t *j = json_object();

	if (file_read_at(AT_FDCWD, "/etc/os-release", 1 << 16, &text, NULL) < 0) {
		err_clear();
		return j;
	}
	lines = g_strsplit(text, "\n", -1);
	for (char **l = lines; *l; l++)
		for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
			if (g_str_has_prefix(*l, keys[k][0])) {
				g_autofree char *value =
					g_shell_unquote(*l + strlen(keys[k][0]), NULL);

				json_object_set_new(j, keys[k][1], json_string(value ? value : ""));
			}
	return j;
}

static void set_cgroups(json_t *host)
{
	CLEANUP(cgroup_host_clear) struct cgroup_host h = {0};
	json_t *names = json_array();

	if (cgroup_host_ours(&h) < 0)
		err_clear();
	for (size_t i = 0; i < h.n; i++)
		if (*h.v[i].controllers && !g_str_has_prefix(h.v[i].controllers, "name="))
			json_array_append_new(names, json_string(h.v[i].controllers));
	json_object_set_new(host, "cgroupControllers", names);
	json_object_set_new(host, "cgroupManager", json_string("cgroupfs"));
	json_object_set_new(host, "cgroupVersion",
			    json_string(h.layout == CGROUP_V2 ? "v2" : "v1"));
}

static void set_machine(json_t *host)
{
	struct utsname u;
	struct sysinfo s;
	g_autofree char *uptime = NULL;

	uname(&u);
	sysinfo(&s);
	uptime = g_strdup_printf("%ldh %ldm %.2fs", s.uptime / 3600, s.uptime / 60 % 60,
				 (double)(s.uptime % 60));
	json_object_set_new(host, "arch", json_string(version_arch()));
	json_object_set_new(host, "cpus", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
	json_object_set_new(host, "hostname", json_string(u.nodename));
	json_object_set_new(host, "kernel", json_string(u.release));
	json_object_set_new(host, "os", json_string("linux"));
	json_object_set_new(host, "memFree", json_integer((json_int_t)s.freeram * s.mem_unit));
	json_object_set_new(host, "memTotal", json_integer((json_int_t)s.totalram * s.mem_unit));
	json_object_set_new(host, "swapFree", json_integer((json_int_t)s.freeswap * s.mem_unit));
	json_object_set_new(host, "swapTotal", json_integer((json_int_t)s.totalswap * s.mem_unit));
	json_object_set_new(host, "uptime", json_string(uptime));
}

static json_t *security(void)
{
	return json_pack("{s:b, s:s, s:b, s:b, s:s, s:b}", "apparmorEnabled",
			 !access("/sys/kernel/security/apparmor", F_OK), "capabilities",
			 "CAP_CHOWN,CAP_DAC_OVERRIDE,CAP_FOWNER,CAP_FSETID,CAP_KILL,"
			 "CAP_NET_BIND_SERVICE,CAP_SETFCAP,CAP_SETGID,CAP_SETPCAP,CAP_SETUID,"
			 "CAP_SYS_CHROOT",
			 "rootless", geteuid() != 0, "seccompEnabled",
			 !access("/proc/sys/kernel/seccomp", F_OK), "seccompProfilePath",
			 access(SECCOMP_PROFILE, F_OK) ? "" : SECCOMP_PROFILE, "selinuxEnabled",
			 !access("/sys/fs/selinux/enforce", F_OK));
}

/* Runtime and monitor are told about only as far as they are installed. */
static json_t *host_of(struct engine *e)
{
	json_t *host = json_object();
	g_autofree char *netavark = engine_find_program("netavark");

	set_machine(host);
	set_cgroups(host);
	if (engine_runtime(e) < 0 || engine_conmon(e) < 0) {
		log_warn("%s", err_message());
		err_clear();
	}
	json_object_set_new(host, "buildahVersion", json_string(""));
	json_object_set_new(host, "conmon", program(NULL, e->conmon_path));
	json_object_set_new(host, "ociRuntime",
			    program(e->runtime_name ? e->runtime_name : "", e->runtime_path));
	json_object_set_new(host, "databaseBackend", json_string("sqlite"));
	json_object_set_new(host, "distribution", distribution());
	json_object_set_new(host, "eventLogger", json_string("database"));
	json_object_set_new(host, "logDriver", json_string("k8s-file"));
	json_object_set_new(host, "networkBackend", json_string("netavark"));
	json_object_set_new(
		host, "networkBackendInfo",
		json_pack("{s:s, s:s}", "backend", "netavark", "path", netavark ? netavark : ""));
	json_object_set_new(host, "remoteSocket", json_pack("{s:s, s:b}", "path", "", "exists", 0));
	json_object_set_new(host, "security", security());
	json_object_set_new(host, "serviceIsRemote", json_false());
	return host;
}

static int count_containers(struct engine *e, json_t **ret)
{
	CLEANUP(container_array_free) GPtrArray *list = NULL;
	int paused = 0, running = 0, r = container_list(e, &list);

	if (r < 0)
		return r;
	for (guint i = 0; i < list->len; i++) {
		const struct container *c = list->pdata[i];

		paused += c->state.status == CONTAINER_PAUSED;
		running += c->state.status == CONTAINER_RUNNING;
	}
	*ret = json_pack("{s:i, s:i, s:i, s:i}", "number", (int)list->len, "paused", paused,
			 "running", running, "stopped", (int)list->len - paused - running);
	return 0;
}

static int store_of(struct engine *e, json_t **ret)
{
	g_autofree char *volumes = g_build_filename(e->root, "volumes", NULL);
	g_autoptr(GPtrArray) images = NULL;
	struct statvfs fs = {0};
	json_t *containers = NULL;
	int r = image_list(e, &images);

	if (r < 0 || (r = count_containers(e, &containers)) < 0)
		return r;
	if (statvfs(e->root, &fs) < 0)
		log_debug("statvfs %s: %s", e->root, g_strerror(errno));
	*ret = json_pack("{s:s, s:o, s:s, s:{}, s:s, s:I, s:I, s:{s:i}, s:s, s:s, s:b}",
			 "configFile", "", "containerStore", containers, "graphDriverName",
			 "overlay", "graphOptions", "graphRoot", e->root, "graphRootAllocated",
			 (json_int_t)fs.f_blocks * (json_int_t)fs.f_frsize, "graphRootUsed",
			 (json_int_t)(fs.f_blocks - fs.f_bfree) * (json_int_t)fs.f_frsize,
			 "imageStore", "number", (int)images->len, "runRoot", e->runroot,
			 "volumePath", volumes, "transientStore", 0);
	return 0;
}

static int document(struct engine *e, json_t **ret)
{
	json_t *store;
	int r = store_of(e, &store);

	if (r < 0)
		return r;
	*ret = json_pack("{s:o, s:{s:n, s:[s,s], s:[s], s:[s]}, s:{}, s:o, s:o}", "host",
			 host_of(e), "plugins", "authorization", "log", "k8s-file", "none",
			 "network", "bridge", "volume", "local", "registries", "store", store,
			 "version", version_document());
	return 0;
}

static int run(struct cli *cli)
{
	const struct info_opts *o = cli->opts;
	json_t *info = NULL, *rows;
	struct engine *e;
	int r;

	if (cli->nargs)
		return err_set(EINVAL, "`%s info` takes no arguments", cli_name(cli));
	r = cli_engine(cli, &e);
	if (r < 0 || (r = document(e, &info)) < 0)
		return r;
	if (report_wants_json(o->format)) {
		report_json(info, 2);
	} else if (o->format) {
		rows = json_pack("[O]", info);
		r = report_template("info", o->format, &type_info, rows);
		json_decref(rows);
	} else {
		g_autoptr(GString) text = g_string_new(NULL);

		yaml_print(info, text);
		puts(text->str);
	}
	json_decref(info);
	return r;
}

const struct command cmd_info = {
	.path = "info",
	.usage = "[options]",
	.brief = "Display " CLI_NAME " system information",
	.text = "Display information pertaining to the host, current storage stats, and the "
		"programs "
		"that are used.",
	.options = options,
	.size = sizeof(struct info_opts),
	.run = run,
};
