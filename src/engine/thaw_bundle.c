/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/thaw_bundle.h"
#include "base/file.h"
#include "engine/seccomp_floor.h"
#include "engine/spec.h"

#include <fcntl.h>

void thaw_limits_clear(struct thaw_limits *l)
{
	g_clear_pointer(&l->floor, g_free);
}

static int read_limits(const json_t *spec, int dir, bool doubted, struct thaw_limits *ret)
{
	const json_t *process = json_object_get(spec, "process");
	int r = doubted ? seccomp_floor_make(spec, dir) : 0;

	ret->caps = spec_capability_ceiling(spec);
	ret->no_new_privs = json_is_true(json_object_get(process, "noNewPrivileges"));
	return r < 0 ? r : seccomp_floor_read(dir, &ret->floor, &ret->floor_len);
}

static int write_thaw(const json_t *spec, const char *path)
{
	autoclose int dir = -1;
	json_t *thaw;
	int r = file_mkdirs(path, 0700);

	if (r < 0)
		return r;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_errno("open %s", path);
	thaw = spec_for_thaw(spec);
	r = spec_write(thaw, dir, "config.json");
	json_decref(thaw);
	return r;
}

int thaw_bundle_write(struct engine *e, struct container *c, bool doubted, struct thaw_limits *ret,
		      char **ret_path)
{
	g_autofree char *userdata = container_static_dir(e, c), *run = container_run_dir(e, c);
	g_autofree char *path = g_build_filename(run, "thaw", NULL);
	autoclose int dir = open(userdata, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	json_t *spec = NULL;
	int r = dir < 0 ? err_errno("open %s", userdata) : spec_read(dir, "config.json", &spec);

	if (r == 0)
		r = read_limits(spec, dir, doubted, ret);
	if (r == 0)
		r = write_thaw(spec, path);
	json_decref(spec);
	if (r == 0)
		*ret_path = g_steal_pointer(&path);
	return r;
}
