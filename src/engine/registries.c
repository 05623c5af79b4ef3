/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/registries.h"
#include "base/file.h"
#include "engine/toml.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define MAIN	 "/etc/containers/registries.conf"
#define DROPINS	 "/etc/containers/registries.conf.d"
#define RECORDED "/var/cache/containers/short-name-aliases.conf" /* answers given to Podman */
#define FILE_MAX ((size_t)4 << 20)

void registries_clear(struct registries *r)
{
	g_free(r->path);
	g_strfreev(r->search);
	if (r->aliases)
		g_hash_table_unref(r->aliases);
	*r = (struct registries){0};
}

static int take_item(void *data, const struct toml_item *item)
{
	struct registries *r = data;

	if (!*item->table && !strcmp(item->key, "unqualified-search-registries")) {
		g_strfreev(r->search);
		r->search = g_strdupv(item->values);
	} else if (!strcmp(item->table, "aliases") && item->values[0]) {
		if (*item->values[0])
			g_hash_table_insert(r->aliases, g_strdup(item->key),
					    g_strdup(item->values[0]));
		else /* containers-registries.conf(5): an empty value takes an alias back */
			g_hash_table_remove(r->aliases, item->key);
	}
	return 0;
}

static int read_one(struct registries *regs, const char *path)
{
	g_autofree char *text = NULL;
	int r = file_read_at(AT_FDCWD, path, FILE_MAX, &text, NULL);

	if (r == -ENOENT) {
		err_clear();
		return 0;
	}
	if (r == 0)
		r = toml_read(text, take_item, regs);
	return r < 0 ? err_wrap(r, "%s", path) : 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_dropins(struct registries *regs)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GDir) dir = g_dir_open(DROPINS, 0, NULL);
	const char *name;
	int r = 0;

	while (dir && (name = g_dir_read_name(dir)))
		if (g_str_has_suffix(name, ".conf"))
			g_ptr_array_add(names, g_build_filename(DROPINS, name, NULL));
	g_ptr_array_sort(names, by_name);
	for (unsigned i = 0; r == 0 && i < names->len; i++)
		r = read_one(regs, names->pdata[i]);
	return r;
}

int registries_read(struct registries *ret)
{
	CLEANUP(registries_clear) struct registries regs = {0};
	const char *path = getenv("CONTAINERS_REGISTRIES_CONF");
	int r;

	regs.path = g_strdup(path && *path ? path : MAIN);
	regs.search = g_new0(char *, 1);
	regs.aliases = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	r = read_one(&regs, regs.path);
	if (r == 0)
		r = read_dropins(&regs);
	if (r == 0)
		r = read_one(&regs, RECORDED);
	if (r < 0)
		return r;
	*ret = regs;
	regs = (struct registries){0};
	return 0;
}

static void add(GPtrArray *to, char *name)
{
	if (g_ptr_array_find_with_equal_func(to, name, g_str_equal, NULL))
		g_free(name);
	else
		g_ptr_array_add(to, name);
}

/* An alias stands for a repository; tag and digest come from the name. */
static char *apply_alias(const struct image_name *n, const char *alias)
{
	CLEANUP(image_name_clear) struct image_name to = {0};
	struct image_name full;

	if (image_name_parse(alias, &to) < 0 || !to.domain) {
		err_clear();
		return NULL;
	}
	full = (struct image_name){to.domain, to.path, n->tag, n->digest};
	return image_name_full(&full, NULL);
}

int registries_candidates(const struct image_name *n, bool local, char ***ret)
{
	CLEANUP(registries_clear) struct registries regs = {0};
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	const char *alias;
	char *aliased;
	int r = registries_read(&regs);

	if (r < 0)
		return r;
	if (local)
		add(names, image_name_full(n, "localhost"));
	alias = g_hash_table_lookup(regs.aliases, n->path);
	aliased = alias ? apply_alias(n, alias) : NULL;
	if (aliased)
		add(names, aliased);
	for (char **s = regs.search; *s && (local || !aliased); s++)
		add(names, image_name_full(n, *s));
	if (local)
		add(names, image_name_full(n, "docker.io"));
	if (!names->len)
		return err_set(ENOENT,
			       "short-name \"%s\" did not resolve to an alias and no "
			       "unqualified-search registries are defined in \"%s\"",
			       n->path, regs.path);
	g_ptr_array_add(names, NULL);
	g_ptr_array_set_free_func(names, NULL);
	*ret = (char **)g_ptr_array_free(g_steal_pointer(&names), FALSE);
	return 0;
}
