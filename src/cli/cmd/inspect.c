/* SPDX-License-Identifier: Apache-2.0 */
/* inspect of containers, images, or whatever a name stands for. */
#include "engine/inspect.h"

#include "cli/cmd/common.h"
#include "cli/report.h"
#include "cli/types.h"
#include "engine/image.h"

struct inspect_opts {
	bool latest, size;
	const char *format, *type;
};

#define O(field, ...) OPT(struct inspect_opts, field, __VA_ARGS__)
#define FORMAT	      O(format, "format", 'f', "Format the output to a Go template or json", .def = "json")
static const struct opt any_options[] = {
	FORMAT,
	O(latest, "latest", 'l', HELP_LATEST),
	O(size, "size", 's', "Display total file size"),
	O(type, "type", 't', "Specify inspect-object type", .def = "all"),
	{}};
static const struct opt container_options_table[] = {
	FORMAT,
	O(latest, "latest", 'l', HELP_LATEST),
	O(size, "size", 's', "Display total file size"),
	{}};
static const struct opt image_options[] = {FORMAT, {}};

enum { CONTAINERS = 1, IMAGES = 2 }; /* where a name is looked for, in this order */

struct found {
	json_t *j; /* NULL: nothing of that name */
	bool image;
};

static int find_container(struct cli *cli, const char *name, struct found *ret)
{
	const struct inspect_opts *o = cli->opts;
	CLEANUP(container_unref) struct container *c = NULL;
	int r = pick_one(cli, !name, name, &c);

	return r < 0 ? r : container_inspect(cli->engine, c, o->size, &ret->j);
}

static int find_image(struct cli *cli, const char *name, struct found *ret)
{
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	int r = image_resolve(cli->engine, name, &img);

	ret->image = true;
	return r < 0 ? r : image_inspect(cli->engine, &img, &ret->j);
}

static int find(struct cli *cli, const char *name, unsigned where, struct found *ret)
{
	int r = -ENOENT;

	if (where & CONTAINERS) {
		r = find_container(cli, name, ret);
		if (r != -ENOENT || !name)
			return r;
	}
	if (where & IMAGES)
		r = find_image(cli, name, ret);
	if (r != -ENOENT)
		return r;
	if (where == (CONTAINERS | IMAGES))
		return err_set(ENOENT, "no such object: \"%s\"", name);
	if (where == CONTAINERS)
		return err_set(ENOENT, "no such container %s", name);
	return r;
}

/* All that were found of one kind; one that was not makes the status, not the end. */
static int collect(struct cli *cli, unsigned where, json_t *containers, json_t *images, json_t *all,
		   GPtrArray *errors)
{
	const struct inspect_opts *o = cli->opts;

	for (size_t i = 0; i < MAX(cli->nargs, o->latest); i++) {
		struct found f = {0};
		int r = find(cli, o->latest ? NULL : cli->args[i], where, &f);

		if (r < 0) {
			g_ptr_array_add(errors, g_strdup(err_message()));
			if (r != -ENOENT)
				return r;
			continue;
		}
		json_array_append(f.image ? images : containers, f.j);
		json_array_append_new(all, f.j);
	}
	return 0;
}

/* One array, in the order of the names. */
static void print_json(json_t *all, json_t *images)
{
	json_t *out = json_array(), *j;
	size_t i;

	json_array_foreach(all, i, j)
	{
		const struct go_type *type = &type_container;

		for (size_t k = 0; k < json_array_size(images); k++)
			if (json_array_get(images, k) == j)
				type = &type_image;
		json_array_append_new(out, go_to_json((struct go_value){type, j}));
	}
	report_json(out, 5);
	json_decref(out);
}

static int print(const struct inspect_opts *o, json_t *containers, json_t *images, json_t *all)
{
	int r = 0;

	if (!o->format || !*o->format || report_wants_json(o->format)) {
		print_json(all, images);
		return 0;
	}
	if (json_array_size(containers) || !json_array_size(images))
		r = report_template("inspect", o->format, &type_container, containers);
	if (r >= 0 && json_array_size(images))
		r = report_template("inspect", o->format, &type_image, images);
	return r;
}

static int inspect(struct cli *cli, unsigned where)
{
	const struct inspect_opts *o = cli->opts;
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	json_t *containers = json_array(), *images = json_array(), *all = json_array();
	struct engine *e;
	int r = cli_engine(cli, &e);

	if (r >= 0)
		r = collect(cli, where, containers, images, all, errors);
	if (r >= 0 || errors->len)
		r = print(o, containers, images, all);
	json_decref(containers);
	json_decref(images);
	json_decref(all);
	if (r < 0)
		return r;
	for (guint i = 0; i + 1 < errors->len; i++) {
		err_set(ENOENT, "inspecting object: %s", (char *)errors->pdata[i]);
		cli_print_error();
	}
	if (errors->len)
		return err_set(ENOENT, "inspecting object: %s",
			       (char *)errors->pdata[errors->len - 1]);
	return 0;
}

static int check(const struct cli *cli, const struct inspect_opts *o)
{
	if (!cli->nargs && !o->latest)
		return err_set(EINVAL, "no names or ids specified");
	if (cli->nargs && o->latest)
		return err_set(EINVAL, "--latest and arguments cannot be used together");
	return 0;
}

static int parse_type(const char *type, unsigned *ret)
{
	*ret = CONTAINERS | IMAGES;
	if (!type || !strcmp(type, "all"))
		return 0;
	if (!strcmp(type, "container"))
		*ret = CONTAINERS;
	else if (!strcmp(type, "image"))
		*ret = IMAGES;
	else
		return err_set(EINVAL,
			       "invalid type \"%s\": must be \"image\", \"container\", "
			       "\"pod\", \"network\", \"volume\", or \"all\"",
			       type);
	return 0;
}

static int run_any(struct cli *cli)
{
	const struct inspect_opts *o = cli->opts;
	unsigned where;
	int r = parse_type(o->type, &where);

	if (r < 0 || (r = check(cli, o)) < 0)
		return r;
	if (o->latest && !(where & CONTAINERS))
		return err_set(EINVAL, "latest is not supported for type \"%s\"", o->type);
	return inspect(cli, where);
}

static int run_container(struct cli *cli)
{
	int r = check(cli, cli->opts);

	return r < 0 ? r : inspect(cli, CONTAINERS);
}

static int run_image(struct cli *cli)
{
	int r = check(cli, cli->opts);

	return r < 0 ? r : inspect(cli, IMAGES);
}

const struct command cmd_inspect = {
	.path = "inspect",
	.usage = "[options] {CONTAINER|IMAGE} [...]",
	.brief = "Display the configuration of object denoted by ID",
	.text = "Displays the low-level information on an object identified by name or ID: a\n"
		"container or, where there is none of that name, an image.",
	.examples = "fedora\n--type image fedora\nCtrID ImgID\n"
		    "--format \"imageId: {{.Id}} size: {{.Size}}\" fedora",
	.options = any_options,
	.size = sizeof(struct inspect_opts),
	.complete = COMPLETE_OBJECTS,
	.run = run_any,
};

const struct command cmd_container_inspect = {
	.path = "container inspect",
	.usage = "[options] CONTAINER [CONTAINER...]",
	.brief = "Display the configuration of a container",
	.text = "Displays the low-level information on a container identified by name or ID.",
	.examples = "web\n-l --format '{{.Id}} {{.Config.Labels}}'",
	.options = container_options_table,
	.size = sizeof(struct inspect_opts),
	.complete = COMPLETE_CONTAINERS,
	.run = run_container,
};

const struct command cmd_image_inspect = {
	.path = "image inspect",
	.usage = "[options] IMAGE [IMAGE...]",
	.brief = "Display the configuration of an image",
	.text = "Displays the low-level information of an image identified by name or ID.",
	.examples = "alpine\n--format \"imageId: {{.Id}} size: {{.Size}}\" alpine",
	.options = image_options,
	.size = sizeof(struct inspect_opts),
	.complete = COMPLETE_IMAGES,
	.run = run_image,
};
