/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The object of `container inspect`.  Keys and their order are Podman's (libpod/define/
 * container_inspect.go); json objects keep the order in which members were set.
 */
#include "engine/inspect.h"
#include "engine/exec.h"
#include "engine/inspect_parts.h"
#include "engine/rootfs.h"
#include "engine/spec.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>

char *time_rfc3339(int64_t ns)
{
	time_t s = ns / 1000000000;
	char date[32], fraction[16] = "";
	struct tm tm;

	if (ns == 0)
		return g_strdup("0001-01-01T00:00:00Z");
	gmtime_r(&s, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	if (ns % 1000000000) {
		size_t n;

		g_snprintf(fraction, sizeof(fraction), ".%09d", (int)(ns % 1000000000));
		for (n = strlen(fraction); fraction[n - 1] == '0'; n--)
			fraction[n - 1] = '\0';
	}
	return g_strdup_printf("%s%sZ", date, fraction);
}

void put_text(json_t *o, const char *key, const char *value)
{
	json_object_set_new(o, key, json_string(value ? value : ""));
}

void put_int(json_t *o, const char *key, int64_t value)
{
	json_object_set_new(o, key, json_integer(value));
}

void put_bool(json_t *o, const char *key, bool value)
{
	json_object_set_new(o, key, json_boolean(value));
}

void put_time(json_t *o, const char *key, int64_t ns)
{
	g_autofree char *text = time_rfc3339(ns);

	put_text(o, key, text);
}

void put_strings(json_t *o, const char *key, char *const *v)
{
	json_t *a = json_array();

	for (; v && *v; v++)
		json_array_append_new(a, json_string(*v));
	json_object_set_new(o, key, a);
}

void put_copy(json_t *o, const char *key, json_t *value)
{
	json_object_set_new(o, key, value ? json_incref(value) : json_null());
}

static void put_nonempty(json_t *o, const char *key, const char *value)
{
	if (value && *value)
		put_text(o, key, value);
}

static json_t *state(const struct inspected *in)
{
	const struct container_state *s = &in->c->state;
	const char *cgroup = json_string_value(
		json_object_get(json_object_get(in->spec, "linux"), "cgroupsPath"));
	bool runs = container_is_running(in->c);
	json_t *o = json_object();

	put_text(o, "OciVersion", in->version);
	put_text(o, "Status", container_status_name(s->status));
	put_bool(o, "Running", s->status == CONTAINER_RUNNING || s->status == CONTAINER_STOPPING);
	put_bool(o, "Paused", s->status == CONTAINER_PAUSED);
	put_bool(o, "Restarting", false);
	put_bool(o, "OOMKilled", s->oom_killed);
	put_bool(o, "Dead", false);
	put_int(o, "Pid", s->pid);
	if (s->conmon_pid && (runs || s->status == CONTAINER_INITIALIZED))
		put_int(o, "ConmonPid", s->conmon_pid);
	put_int(o, "ExitCode", s->exit_code);
	put_text(o, "Error", s->error);
	put_time(o, "StartedAt", s->started_ns);
	put_time(o, "FinishedAt", s->finished_ns);
	json_object_set_new(o, "Health",
			    json_pack("{s:s, s:i, s:n}", "Status", "", "FailingStreak", 0, "Log"));
	if (s->checkpointed)
		put_bool(o, "Checkpointed", true);
	if (runs)
		put_nonempty(o, "CgroupPath", cgroup);
	put_time(o, "CheckpointedAt", s->checkpointed_ns);
	put_time(o, "RestoredAt", s->restored_ns);
	put_nonempty(o, "CheckpointLog", s->checkpoint_log);
	put_nonempty(o, "CheckpointPath", s->checkpoint_path);
	put_nonempty(o, "RestoreLog", s->restore_log);
	if (s->restored)
		put_bool(o, "Restored", true);
	if (s->stopped_by_user)
		put_bool(o, "StoppedByUser", true);
	return o;
}

static void put_path(json_t *o, const char *key, const char *dir, const char *name)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);

	put_text(o, key, path);
}

static void put_first(json_t *o, const struct inspected *in)
{
	json_t *argv = json_object_get(in->c->config, "argv"), *args = json_array();
	bool started = in->c->state.status != CONTAINER_CREATED;

	put_text(o, "Id", in->c->id);
	put_time(o, "Created", in->c->created_ns);
	put_text(o, "Path", json_string_value(json_array_get(argv, 0)));
	for (size_t i = 1; i < json_array_size(argv); i++)
		json_array_append(args, json_array_get(argv, i));
	json_object_set_new(o, "Args", args);
	json_object_set_new(o, "State", state(in));
	put_text(o, "Image", in->c->image_id);
	put_text(o, "ImageDigest", container_text(in->c, "imageDigest"));
	put_text(o, "ImageName", in->c->image_name);
	put_text(o, "Rootfs", "");
	put_text(o, "Pod", "");
	put_path(o, "ResolvConfPath", started ? in->run : "", started ? "resolv.conf" : "");
	put_path(o, "HostnamePath", started ? in->run : "", started ? "hostname" : "");
	put_path(o, "HostsPath", started ? in->run : "", started ? "hosts" : "");
	put_text(o, "StaticDir", in->dir);
	if (in->spec)
		put_path(o, "OCIConfigPath", in->dir, "config.json");
	put_text(o, "OCIRuntime", container_text(in->c, "runtime"));
	put_path(o, "ConmonPidFile", in->run, "conmon.pid");
	put_path(o, "PidFile", in->run, "pidfile");
	if (in->o->conmon_pidfile)
		put_text(o, "ConmonPidFile", in->o->conmon_pidfile);
	if (in->o->pidfile)
		put_text(o, "PidFile", in->o->pidfile);
	put_text(o, "Name", in->c->name);
	put_int(o, "RestartCount", in->c->state.restarts);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_caps(json_t *o, const char *key, const struct inspected *in, const char *set)
{
	json_t *process = json_object_get(in->spec, "process");
	json_t *list = json_object_get(json_object_get(process, "capabilities"), set);

	g_autoptr(GPtrArray) names = g_ptr_array_new();
	const json_t *name;
	size_t i;

	json_array_foreach(list, i, name) g_ptr_array_add(names, (void *)json_string_value(name));
	g_ptr_array_sort(names, by_text);
	g_ptr_array_add(names, NULL);
	put_strings(o, key, (char *const *)names->pdata);
}

static json_t *graph_driver(const struct inspected *in)
{
	g_autofree char *upper = rootfs_diff_path(in->e, in->c->id), *parent = NULL, *work = NULL;
	g_autofree char *merged = rootfs_mountpoint(in->e, in->c->id);
	json_t *data = json_object();

	parent = g_path_get_dirname(upper);
	work = g_build_filename(parent, "work", NULL);
	put_text(data, "LowerDir", in->lower);
	if (merged)
		put_text(data, "MergedDir", merged);
	put_text(data, "UpperDir", upper);
	put_text(data, "WorkDir", work);
	return json_pack("{s:s, s:o}", "Name", "overlay", "Data", data);
}

static json_t *dependencies(const struct inspected *in)
{
	json_t *a = json_array();
	json_t *id;
	const char *key;

	json_object_foreach(json_object_get(in->c->config, "partners"), key, id)
		json_array_append(a, id);
	return a;
}

static void put_rest(json_t *o, const struct inspected *in)
{
	put_text(o, "Driver", "overlay");
	put_text(o, "MountLabel", "");
	put_text(o, "ProcessLabel", "");
	put_text(o, "AppArmorProfile", "");
	put_caps(o, "EffectiveCaps", in, "effective");
	put_caps(o, "BoundingCaps", in, "bounding");
	json_object_set_new(o, "ExecIDs", exec_list(in->e, in->c));
	json_object_set_new(o, "GraphDriver", graph_driver(in));
	json_object_set_new(o, "Mounts", inspect_mounts(in));
	json_object_set_new(o, "Dependencies", dependencies(in));
	json_object_set_new(o, "NetworkSettings", inspect_network(in));
	put_text(o, "Namespace", "");
	put_bool(o, "IsInfra", false);
	put_bool(o, "IsService", false);
	put_bool(o, "KubeExitCodePropagation", false);
	json_object_set_new(o, "lockNumber", json_integer(0));
	json_object_set_new(o, "Config", inspect_config(in));
	json_object_set_new(o, "HostConfig", inspect_host_config(in));
}

static void put_sizes(json_t *o, const struct inspected *in)
{
	uint64_t rw = 0;

	if (rootfs_size(in->e, in->c->id, &rw) < 0)
		err_clear();
	put_int(o, "SizeRw", (int64_t)rw);
	put_int(o, "SizeRootFs", (int64_t)(rw + in->image_bytes));
}

/* An image that is gone, or a container that was never started, leaves gaps, not errors. */
static void look_around(struct inspected *in)
{
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	autoclose int dir = open(in->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_autoptr(GString) lower = g_string_new(NULL);

	if (dir >= 0 && spec_read(dir, "config.json", &in->spec) < 0)
		err_clear();
	in->version = json_string_value(json_object_get(in->spec, "ociVersion"));
	if (!in->version)
		in->version = "1.0.2";
	if (image_resolve(in->e, in->c->image_id, &img) < 0) {
		err_clear();
		return;
	}
	in->image_bytes = img.size_bytes;
	/* The lowest layer comes first in the image, last in overlayfs's option. */
	for (unsigned i = g_strv_length(img.layers); i > 0; i--)
		g_string_append_printf(lower, "%s%s/overlay/%s/diff", lower->len ? ":" : "",
				       in->e->root, img.layers[i - 1]);
	in->lower = g_strdup(lower->str);
}

int container_inspect(struct engine *e, struct container *c, bool size, json_t **ret)
{
	g_autofree char *dir = container_static_dir(e, c), *run = container_run_dir(e, c);
	struct inspected in = {.e = e, .c = c, .dir = dir, .run = run};
	json_t *o;
	int r = container_options(c, &in.o);

	if (r < 0)
		return r;
	look_around(&in);
	o = json_object();
	put_first(o, &in);
	if (size)
		put_sizes(o, &in);
	put_rest(o, &in);
	json_decref(in.spec);
	g_free(in.lower);
	*ret = o;
	return 0;
}
