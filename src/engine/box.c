/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/box.h"
#include "base/file.h"
#include "kernel/mountinfo.h"
#include "kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define BOX_FILE "box.json"
#define BOX_MAX	 ((size_t)4 << 20)

static const char *const stdio_names[3] = {"stdin", "stdout", "stderr"};

/* A terminal stands for all three: conmon holds its other side. */
static const struct cryo_inherit box_inherits[4] = {
	{.name = "stdin", .fd = 0, .in_stub = true},
	{.name = "stdout", .fd = 1, .in_stub = true},
	{.name = "stderr", .fd = 2, .in_stub = true},
	{.name = "tty", .fd = 0, .in_stub = true},
};

void box_add_inherits(GArray *inherits, char *const were[3])
{
	g_array_append_vals(inherits, box_inherits, ARRAY_SIZE(box_inherits));
	for (int i = 0; i < 3; i++) {
		struct cryo_inherit h = {.name = were[i], .fd = i, .in_stub = true};

		if (were[i] && g_str_has_prefix(were[i], "pipe:["))
			g_array_append_val(inherits, h);
	}
}

/* "tty[RDEV:DEV]" for a terminal, the link itself for a pipe or socket, NULL for what is inside. */
static int external_key(const struct proc *p, unsigned i, const char *link, char **ret)
{
	g_autofree char *name = g_strdup_printf("fd/%u", i);
	struct stat st;

	*ret = NULL;
	if (g_str_has_prefix(link, "pipe:[") || g_str_has_prefix(link, "socket:[")) {
		*ret = g_strdup(link);
		return 0;
	}
	if (fstatat(p->dir, name, &st, 0) < 0)
		return err_errno("look at descriptor %u", i);
	if (S_ISCHR(st.st_mode) && major(st.st_rdev) >= 136 && major(st.st_rdev) <= 143)
		*ret = g_strdup_printf("tty[%lx:%lx]", (unsigned long)st.st_rdev,
				       (unsigned long)st.st_dev);
	return 0;
}

static int record_stdio(const struct proc *p, json_t *to)
{
	for (unsigned i = 0; i < 3; i++) {
		g_autofree char *name = g_strdup_printf("fd/%u", i), *link = NULL, *key = NULL;
		json_t *o;
		int r = proc_link(p->dir, name, &link);

		if (r == 0)
			r = external_key(p, i, link, &key);
		if (r < 0)
			return r;
		o = json_pack("{s:s, s:s?}", "is", link, "external", key);
		json_array_append_new(to, o);
	}
	return 0;
}

static int record_mounts(const struct proc *p, json_t *to)
{
	CLEANUP(mountinfo_clear) struct mountinfo m = {0};
	int r = mountinfo_read(p->dir, &m);

	if (r < 0)
		return r;
	for (size_t i = 0; i < m.n; i++)
		json_array_append_new(to, json_string(m.v[i].target));
	return 0;
}

static int open_run_dir(struct engine *e, const struct container *c, int *ret)
{
	g_autofree char *path = container_run_dir(e, c);

	*ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_errno("open %s", path) : 0;
}

int box_record(struct engine *e, struct container *c)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	json_t *stdio = json_array(), *mounts = json_array();
	json_t *all = json_pack("{s:o, s:o}", "stdio", stdio, "mounts", mounts);
	g_autofree char *text = NULL;
	autoclose int dir = -1;
	int r = proc_open(c->state.pid, &p);

	if (r == 0)
		r = record_stdio(&p, stdio);
	if (r == 0)
		r = record_mounts(&p, mounts);
	text = json_dumps(all, JSON_COMPACT);
	json_decref(all);
	if (r == 0)
		r = open_run_dir(e, c, &dir);
	if (r == 0)
		r = file_write_at(dir, BOX_FILE, text, strlen(text), 0600);
	return r < 0 ? err_wrap(r, "look at the new container %s", c->name) : 0;
}

void box_clear(struct box *b)
{
	for (unsigned i = 0; i < 3; i++) {
		g_free(b->descriptors[i]);
		g_free(b->keys[i]);
	}
	g_strfreev(b->mounts);
	*b = (struct box){0};
}

/* Containers with a terminal have the same one three times. */
static void add_external(struct box *b, unsigned i, const char *key)
{
	for (unsigned k = 0; k < b->nexternals; k++)
		if (!strcmp(b->externals[k].key, key))
			return;
	b->keys[i] = g_strdup(key);
	b->externals[b->nexternals++] = (struct cryo_external){
		.key = b->keys[i],
		.name = g_str_has_prefix(key, "tty[") ? "tty" : stdio_names[i],
	};
}

static int fill(const json_t *all, struct box *ret)
{
	const json_t *stdio = json_object_get(all, "stdio"),
		     *mounts = json_object_get(all, "mounts");

	if (json_array_size(stdio) != 3 || !json_is_array(mounts))
		return err_set(EBADMSG, "%s is damaged", BOX_FILE);
	for (unsigned i = 0; i < 3; i++) {
		const json_t *o = json_array_get(stdio, i);
		const char *key = json_string_value(json_object_get(o, "external"));

		ret->descriptors[i] = g_strdup(json_string_value(json_object_get(o, "is")));
		if (key)
			add_external(ret, i, key);
	}
	ret->mounts = g_new0(char *, json_array_size(mounts) + 1);
	for (size_t i = 0; i < json_array_size(mounts); i++)
		ret->mounts[i] = g_strdup(json_string_value(json_array_get(mounts, i)) ?: "");
	return 0;
}

int box_read(struct engine *e, struct container *c, struct box *ret)
{
	autoclose int dir = -1;
	g_autofree char *text = NULL;
	json_error_t error;
	json_t *all;
	int r = open_run_dir(e, c, &dir);

	*ret = (struct box){0};
	if (r == 0)
		r = file_read_at(dir, BOX_FILE, BOX_MAX, &text, NULL);
	if (r < 0)
		return r;
	all = json_loads(text, 0, &error);
	r = all ? fill(all, ret) : err_set(EBADMSG, "%s: %s", BOX_FILE, error.text);
	json_decref(all);
	if (r < 0)
		box_clear(ret);
	return r;
}
