/* SPDX-License-Identifier: Apache-2.0 */
/* image prune: those that no name leads to, or that no container uses. */
#include "cli/cmd/common.h"
#include "cli/cmd/filter.h"
#include "cli/cmd/prune.h"
#include "cli/human.h"
#include "engine/image.h"

struct image_prune_opts {
	bool all, force;
	char **filter;
};

#define O(field, ...) OPT(struct image_prune_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(all, "all", 'a', "Remove all images not in use by containers, not just dangling ones"),
	OPT_ARRAY(struct image_prune_opts, filter, "filter", 0,
		  "Provide filter values (e.g. 'label=<key>=<value>')"),
	O(force, "force", 'f', "Do not prompt for confirmation"),
	{}};

static const char *value_of(const char *filter, const char *key)
{
	return g_str_has_prefix(filter, key) ? filter + strlen(key) : NULL;
}

int prune_filters_check(char *const *filters)
{
	for (; filters && *filters; filters++) {
		const char *when = value_of(*filters, "until=");
		int64_t unused;

		if (when && !human_parse_when(when, engine_now_ns(), &unused))
			return err_set(EINVAL, "unable to interpret time value \"%s\"", when);
		if (!when && !value_of(*filters, "label=") && !value_of(*filters, "label!="))
			return err_set(EINVAL, "\"%.*s\" is an invalid prune filter",
				       (int)strcspn(*filters, "="), *filters);
	}
	return 0;
}

bool prune_filters_match(char *const *filters, const json_t *labels, int64_t created_ns)
{
	bool asked = false, found = false;

	for (; filters && *filters; filters++) {
		const char *has = value_of(*filters, "label="),
			   *not = value_of(*filters, "label!=");
		const char *when = value_of(*filters, "until=");
		int64_t until = 0;

		asked |= has != NULL;
		found |= has && filter_label(has, labels);
		if (not &&filter_label(not, labels))
			return false;
		if (when &&
		    (!human_parse_when(when, engine_now_ns(), &until) || created_ns >= until))
			return false;
	}
	return !asked || found;
}

static void say_nothing(void *data, const char *what, const char *which)
{
}

/* 1: it is gone.  In use by now, or gone already: it is passed over. */
static int remove_one(struct engine *e, const struct image *img)
{
	static const struct image_remove_options how = {
		.all_names = true, .ignore = true, .report = say_nothing};
	int r = image_remove(e, img->id, &how);

	if (r == -EBUSY || r == -ENOENT) {
		err_clear();
		return 0;
	}
	return r < 0 ? r : 1;
}

int prune_images(struct engine *e, bool all, char *const *filters, const char *title,
		 uint64_t *bytes)
{
	g_autoptr(GPtrArray) list = NULL;
	int status = 0, r = image_list(e, &list);

	for (guint i = 0; r >= 0 && i < list->len; i++) {
		const struct image *img = list->pdata[i];
		g_auto(GStrv) users = NULL;

		r = image_users(e, img->id, &users);
		if (r < 0 || users[0] || (!all && img->names[0]) ||
		    !prune_filters_match(filters, json_object_get(img->config, "Labels"),
					 img->created_ns))
			continue;
		r = remove_one(e, img);
		if (r < 0) {
			cli_print_error();
			status = 125;
			r = 0;
			continue;
		}
		if (!r)
			continue;
		if (title)
			puts(title);
		title = NULL;
		puts(img->id);
		*bytes += img->size_bytes;
	}
	return r < 0 ? r : status;
}

bool prune_confirm(const char *text)
{
	char answer[16] = "";

	printf("%s\nAre you sure you want to continue? [y/N] ", text);
	fflush(stdout);
	return fgets(answer, sizeof(answer), stdin) && (*answer == 'y' || *answer == 'Y');
}

static int run(struct cli *cli)
{
	const struct image_prune_opts *o = cli->opts;
	uint64_t unused = 0;
	struct engine *e;
	int r = args_range(cli, 0, 0);

	if (r == 0)
		r = prune_filters_check(o->filter);
	if (r < 0)
		return r;
	if (!o->force &&
	    !prune_confirm(o->all ? "WARNING! This command removes all images without at least one "
				    "container associated with them."
				  : "WARNING! This command removes all dangling images."))
		return 0;
	r = cli_engine(cli, &e);
	return r < 0 ? r : prune_images(e, o->all, o->filter, NULL, &unused);
}

const struct command cmd_image_prune = {
	.path = "image prune",
	.usage = "[options]",
	.brief = "Remove unused images",
	.text = "Removes the images that have no name and that no container uses; with --all, "
		"every one that no\ncontainer uses.",
	.examples = "\n--all --force\n--filter until=24h",
	.options = options,
	.size = sizeof(struct image_prune_opts),
	.run = run,
};
