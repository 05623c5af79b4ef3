/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/spec.h"

#include "base/file.h"
#include "engine/spec_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#define DOCUMENT_MAX (32u << 20)

static const struct {
	const char *name;
	int (*put)(struct spec_context *c);
} parts[] = {
	{"user", spec_put_user},
	{"process", spec_put_process},
	{"capabilities", spec_put_capabilities},
	{"rlimits", spec_put_rlimits},
	{"mounts", spec_put_mounts},
	{"namespaces", spec_put_namespaces},
	{"devices", spec_put_devices},
	{"resources", spec_put_resources},
	{"seccomp", spec_put_seccomp},
	{"paths", spec_put_paths},
};

bool spec_is_unified(void)
{
	struct statfs fs;

	return statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

static void put_annotations(struct spec_context *c)
{
	json_t *j = json_object();
	g_autofree char *stop = g_strdup_printf("%d", spec_stop_signal(c->o, c->image));

	json_object_set_new(j, "io.container.manager", json_string("cryopod"));
	json_object_set_new(j, "org.opencontainers.image.stopSignal", json_string(stop));
	for (char *const *s = c->o->annotations; s && *s; s++) {
		g_auto(GStrv) pair = g_strsplit(*s, "=", 2);

		if (pair[0] && *pair[0])
			json_object_set_new(j, pair[0], json_string(pair[1] ? pair[1] : ""));
	}
	json_object_set_new(c->spec, "annotations", j);
}

static int put_all(struct spec_context *c)
{
	json_object_set_new(c->spec, "ociVersion", json_string("1.0.2"));
	json_object_set_new(c->spec, "process", c->process = json_object());
	json_object_set_new(
		c->spec, "root",
		json_pack("{s:s,s:b}", "path", c->in->rootfs, "readonly", (int)c->o->read_only));
	json_object_set_new(c->spec, "linux", c->os = json_object());
	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
		int r = parts[i].put(c);

		if (r < 0)
			return r;
	}
	put_annotations(c);
	return 0;
}

int spec_build(const struct spec_input *in, json_t **ret)
{
	struct spec_context c = {
		.in = in,
		.o = in->options,
		.image = in->image_config,
		.unified = spec_is_unified(),
		.own = spec_own_capabilities(),
		.root = -1,
	};
	int r = 0;

	c.root = open(in->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (c.root < 0)
		return err_errno("open root file system %s", in->rootfs);
	c.spec = json_object();
	r = put_all(&c);
	close(c.root);
	spec_user_clear(&c.user);
	if (r < 0)
		json_decref(c.spec);
	else
		*ret = c.spec;
	return r;
}

/*
 * RLIM_INFINITY is 2^64-1, and jansson's numbers end at 2^63-1: that stands for it in memory.  Only
 * members are replaced; within a string the quotes would have backslashes.
 */
static const struct {
	const char *memory, *file;
} unlimited[] = {
	{"\"hard\":9223372036854775807", "\"hard\":18446744073709551615"},
	{"\"soft\":9223372036854775807", "\"soft\":18446744073709551615"},
};

int spec_read(int dir, const char *name, json_t **ret)
{
	g_autofree char *text = NULL;
	g_autoptr(GString) doc = NULL;
	json_error_t why;
	int r = file_read_at(dir, name, DOCUMENT_MAX, &text, NULL);

	if (r < 0)
		return r;
	doc = g_string_new(text);
	for (unsigned i = 0; i < ARRAY_SIZE(unlimited); i++)
		g_string_replace(doc, unlimited[i].file, unlimited[i].memory, 0);
	*ret = json_loads(doc->str, 0, &why);
	return *ret ? 0 : err_set(EBADMSG, "%s, line %d: %s", name, why.line, why.text);
}

int spec_write(const json_t *spec, int dir, const char *name)
{
	char *text = json_dumps(spec, JSON_COMPACT);
	g_autoptr(GString) doc = g_string_new(text);

	free(text);
	if (!doc->len)
		return err_set(EILSEQ, "%s cannot be written as JSON", name);
	for (unsigned i = 0; i < ARRAY_SIZE(unlimited); i++)
		g_string_replace(doc, unlimited[i].memory, unlimited[i].file, 0);
	return file_write_at(dir, name, doc->str, doc->len, 0600);
}
