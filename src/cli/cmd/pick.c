/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/pick.h"

#include "base/file.h"
#include "cli/cmd/filter.h"
#include "engine/lifecycle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define CIDFILE_MAX 4096

const char *pick_name(const char *typed)
{
	return typed[0] == '/' && typed[1] ? typed + 1 : typed;
}

int args_range(const struct cli *cli, int min, int max)
{
	int n = (int)cli->nargs;

	if (n >= min && (max < 0 || n <= max))
		return 0;
	if (max < 0)
		return err_set(EINVAL, "requires at least %d arg(s), only received %d", min, n);
	if (min == max)
		return err_set(EINVAL, "accepts %d arg(s), received %d", min, n);
	if (!min)
		return err_set(EINVAL, "accepts at most %d arg(s), received %d", max, n);
	return err_set(EINVAL, "accepts between %d and %d arg(s), received %d", min, max, n);
}

int pick_check(const struct cli *cli, bool all, bool latest, bool other)
{
	if (all && latest)
		return err_set(EINVAL, "--all and --latest cannot be used together");
	if (cli->nargs && all)
		return err_set(EINVAL, "no arguments are needed with --all");
	if (cli->nargs && latest)
		return err_set(EINVAL, "--latest and containers cannot be used together");
	if (!cli->nargs && !all && !latest && !other)
		return err_set(EINVAL, "you must provide at least one name or id");
	return 0;
}

static void pick_clear(void *data)
{
	container_unref(&((struct pick *)data)->c);
}

static void append(GArray *picks, struct container *c, const char *shown)
{
	struct pick p = {c, shown ? shown : c->id};

	g_array_append_val(picks, p);
}

static int append_matching(struct engine *e, const struct pick_how *how, GArray *picks)
{
	CLEANUP(filters_clear) struct filters f = {0};
	CLEANUP(container_array_free) GPtrArray *list = NULL;
	int r = filters_parse(e, how->filters, &f);

	if (r < 0)
		return r;
	r = container_list(e, &list);
	for (guint i = 0; r >= 0 && i < list->len; i++) {
		struct container *c = list->pdata[i];

		if ((!how->wanted || how->wanted(c)) && filters_match(&f, c))
			append(picks, container_ref(c), NULL);
	}
	return r;
}

static int append_named(struct engine *e, const char *typed, const char *shown, bool ignore,
			GArray *picks)
{
	struct container *c = NULL;
	int r = container_find(e, pick_name(typed), &c);

	if (r == -ENOENT && ignore) {
		err_clear();
		return 0;
	}
	if (r < 0)
		return r;
	append(picks, c, shown);
	return 0;
}

static int append_cidfile(struct engine *e, const char *path, bool ignore, GArray *picks)
{
	g_autofree char *text = NULL;
	int r = file_read_at(AT_FDCWD, path, CIDFILE_MAX, &text, NULL);

	if (r == -ENOENT && ignore) {
		err_clear();
		return 0;
	}
	if (r < 0)
		return err_wrap(r, "reading CIDFile");
	text[strcspn(text, "\n")] = '\0';
	return append_named(e, text, NULL, ignore, picks);
}

int pick_containers(struct cli *cli, const struct pick_how *how, GArray **ret)
{
	g_autoptr(GArray) picks = g_array_new(FALSE, FALSE, sizeof(struct pick));
	struct container *c = NULL;
	struct engine *e;
	int r = cli_engine(cli, &e);

	if (r < 0)
		return r;
	g_array_set_clear_func(picks, pick_clear);
	if (how->all || (how->filters && how->filters[0])) {
		r = append_matching(e, how, picks);
	} else if (how->latest) {
		r = container_latest(e, &c);
		if (r >= 0)
			append(picks, c, NULL);
	}
	for (size_t i = 0; r >= 0 && i < cli->nargs; i++)
		r = append_named(e, cli->args[i], cli->args[i], how->ignore, picks);
	for (char *const *f = how->cidfiles; r >= 0 && f && *f; f++)
		r = append_cidfile(e, *f, how->ignore, picks);
	if (r < 0)
		return r;
	*ret = g_steal_pointer(&picks);
	return 0;
}

int pick_one(struct cli *cli, bool latest, const char *name, struct container **ret)
{
	struct engine *e;
	int r = cli_engine(cli, &e);

	if (r < 0)
		return r;
	return latest ? container_latest(e, ret) : container_find(e, pick_name(name), ret);
}

int pick_each(struct cli *cli, const GArray *picks,
	      int (*each)(struct cli *cli, struct engine *e, struct container *c))
{
	int status = 0;

	for (guint i = 0; i < picks->len; i++) {
		const struct pick *p = &g_array_index(picks, struct pick, i);

		if (each(cli, cli->engine, p->c) < 0) {
			cli_print_error();
			status = cli->error_status;
		} else {
			puts(p->shown);
			fflush(stdout);
		}
	}
	return status;
}

int remove_by_id(struct cli *cli, char *const *ids, int timeout)
{
	const struct remove_options how = {.force = true, .timeout = timeout};
	int r = 0;

	for (; r >= 0 && ids && *ids; ids++) {
		CLEANUP(container_unref) struct container *c = NULL;

		r = container_find(cli->engine, *ids, &c);
		if (r == 0)
			r = container_remove(cli->engine, c, &how);
		if (r == -ENOENT) {
			err_clear();
			r = 0;
		}
	}
	return r;
}

bool confirm_removal(const char *all)
{
	char answer[16] = "";

	printf("WARNING! This will remove all %s.\n"
	       "Are you sure you want to continue? [y/N] ",
	       all);
	fflush(stdout);
	return fgets(answer, sizeof(answer), stdin) && (*answer == 'y' || *answer == 'Y');
}

bool confirm_prune(const char *what)
{
	g_autofree char *all = g_strdup_printf("%s not used by at least one container", what);

	return confirm_removal(all);
}
