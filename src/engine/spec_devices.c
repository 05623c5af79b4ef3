/* SPDX-License-Identifier: Apache-2.0 */
/* linux.devices and who may open them (linux.resources.devices). */
#include "engine/spec_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define DEPTH_MAX 8

struct nodes {
	json_t *devices, *rules;
};

static void add_node(struct nodes *n, const struct stat *st, const char *path, const char *access)
{
	const char *type = S_ISBLK(st->st_mode) ? "b" : "c";
	json_int_t major = major(st->st_rdev), minor = minor(st->st_rdev);

	json_array_append_new(n->devices,
			      json_pack("{s:s,s:s,s:I,s:I,s:i,s:I,s:I}", "path", path, "type", type,
					"major", major, "minor", minor, "fileMode",
					(int)(st->st_mode & 07777), "uid", (json_int_t)st->st_uid,
					"gid", (json_int_t)st->st_gid));
	if (n->rules)
		json_array_append_new(n->rules,
				      json_pack("{s:b,s:s,s:I,s:I,s:s}", "allow", 1, "type", type,
						"major", major, "minor", minor, "access", access));
}

/* Directories that the runtime makes, or that only mean something on the host. */
static bool is_skipped(const char *name)
{
	static const char *const names[] = {".",      "..",   "pts",	     "shm",   "fd",
					    "mqueue", ".lxc", ".lxd-mounts", ".udev", "console",
					    "ptmx",   "tty",  "hugepages"};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

/* All device nodes below a directory of the host. */
static int add_directory(struct nodes *n, const char *source, const char *destination,
			 const char *access, unsigned depth)
{
	DIR *dir = opendir(source);
	struct dirent *e;
	int r = 0;

	if (!dir)
		return err_errno("read %s", source);
	while (r == 0 && (e = readdir(dir))) {
		g_autofree char *from = g_build_filename(source, e->d_name, NULL);
		g_autofree char *to = g_build_filename(destination, e->d_name, NULL);
		struct stat st;

		if (is_skipped(e->d_name) || lstat(from, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
			r = add_directory(n, from, to, access, depth + 1);
		else if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
			add_node(n, &st, to, access);
	}
	closedir(dir);
	return r;
}

static int add_option(struct nodes *n, const char *text)
{
	CLEANUP(device_option_clear) struct device_option d = {};
	struct stat st;
	int r = options_parse_device(text, &d);

	if (r < 0)
		return r;
	if (stat(d.source, &st) < 0)
		return err_errno("stat %s", d.source);
	if (S_ISDIR(st.st_mode))
		return add_directory(n, d.source, d.destination, d.access, 0);
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(EINVAL, "%s is not a device node", d.source);
	add_node(n, &st, d.destination, d.access);
	return 0;
}

int spec_put_devices(struct spec_context *c)
{
	struct nodes n = {.devices = json_array(), .rules = json_array()};
	json_t *limits = json_object();
	int r = 0;

	json_object_set_new(c->os, "devices", n.devices);
	json_object_set_new(limits, "devices", n.rules);
	json_object_set_new(c->os, "resources", limits);
	json_array_append_new(
		n.rules, json_pack("{s:b,s:s}", "allow", (int)c->o->privileged, "access", "rwm"));
	if (c->o->privileged) {
		n.rules = NULL; /* allowed as a whole */
		r = add_directory(&n, "/dev", "/dev", "rwm", 0);
	}
	for (char *const *s = c->o->devices; s && *s && r == 0; s++)
		r = add_option(&n, *s);
	return r;
}
