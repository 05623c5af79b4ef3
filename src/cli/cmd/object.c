/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/object.h"
#include "cli/cmd/common.h"

static const char *name_of(const struct object_kind *kind, const json_t *definition)
{
	return json_string_value(json_object_get(definition, kind->name));
}

static int remove_users(struct cli *cli, const struct object_kind *kind, const char *name,
			int timeout)
{
	g_auto(GStrv) ids = NULL;
	int r = kind->users(cli->engine, name, &ids);

	return r < 0 ? r : remove_by_id(cli, ids, timeout);
}

static int remove_one(struct cli *cli, const struct object_kind *kind, const char *ref, bool force,
		      int timeout)
{
	json_t *j = NULL;
	int r = kind->find(cli->engine, ref, &j);
	const char *name = r == 0 ? name_of(kind, j) : NULL;

	if (r == -ENOENT && force) {
		err_clear();
		return 0;
	}
	if (r == 0 && force && g_strcmp0(name, kind->kept) != 0)
		r = remove_users(cli, kind, name, timeout);
	if (r == 0)
		r = kind->remove(cli->engine, name);
	json_decref(j);
	if (r == 0)
		puts(ref);
	return r;
}

int objects_remove(struct cli *cli, const struct object_kind *kind, char *const *refs, bool force,
		   int timeout)
{
	int status = 0;

	for (; *refs; refs++) {
		int r = remove_one(cli, kind, *refs, force, timeout);

		if (r < 0) {
			cli_print_error();
			status = r == -ENOENT ? 1 : r == -EBUSY ? 2 : 125;
		}
	}
	return status;
}

/* 0, or 125 after an error, which is printed.  One that is in use or has gone is passed over. */
static int prune_one(struct engine *e, const struct object_kind *kind, const char *name)
{
	int r = kind->remove(e, name);
	bool failed = r < 0 && r != -EBUSY && r != -ENOENT;

	if (r == 0)
		puts(name);
	if (failed)
		cli_print_error();
	err_clear();
	return failed ? 125 : 0;
}

int objects_prune(struct cli *cli, const struct object_kind *kind, bool force, char *const *filters)
{
	json_t *list = NULL, *j;
	struct engine *e;
	size_t i;
	int r = args_range(cli, 0, 0), status = 0;

	if (r == 0)
		r = kind->check_filters(filters);
	if (r == 0)
		r = cli_engine(cli, &e);
	if (r < 0)
		return r;
	if (!force && !confirm_prune(kind->plural))
		return 0;
	r = kind->list(e, &list);
	json_array_foreach(list, i, j)
	{
		const char *name = name_of(kind, j);

		r = g_strcmp0(name, kind->kept) ? kind->match_filters(e, filters, j) : 0;
		if (r < 0)
			break;
		if (r > 0)
			status |= prune_one(e, kind, name);
	}
	json_decref(list);
	return r < 0 ? r : status;
}
