/* SPDX-License-Identifier: Apache-2.0 */
#include "cryo/external.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const kinds[] = {"tty[",  "file[", "dev[",	  "pipe:[",  "unix[", "mnt[",
				    "veth[", "net[",  "macvlan[", "netdev[", "pid["};

static bool starts(const char *const *list, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (g_str_has_prefix(word, list[i]))
			return true;
	return false;
}

static int check_key(const char *word)
{
	if (!starts(kinds, ARRAY_SIZE(kinds), word) || !strchr(word, ']'))
		return err_set(EINVAL,
			       "option --external: \"%s\" is neither tty[RDEV:DEV], "
			       "file[MOUNT:INODE], dev[MAJOR/MINOR], pipe:[INODE], unix[INODE], "
			       "mnt[PATH], "
			       "veth[IN]:OUT, macvlan[IN]:OUT nor netdev[IN]:OUT",
			       word);
	return 0;
}

static int add(struct externals *x, const char *word)
{
	int r = check_key(word);
	char *key, *end;

	if (r < 0)
		return r;
	key = g_strdup(word);
	end = strchr(key, ']') + 1;
	x->v = g_renew(struct cryo_external, x->v, x->n + 1);
	if (*end == ':')
		x->v[x->n].name = g_strdup(end + 1);
	else if (g_str_has_prefix(key, "mnt["))
		x->v[x->n].name = g_strndup(key + 4, strlen(key) - 5);
	else
		x->v[x->n].name = g_strdup(key);
	*end = 0;
	/* CRIU writes devices 8/1 */
	if (g_str_has_prefix(key, "dev[") && strchr(key, '/'))
		*strchr(key, '/') = ':';
	x->v[x->n++].key = key;
	return 0;
}

/* "KEY:VALUE" */
static int add_mount(struct externals *x, const char *word)
{
	const char *colon = strchr(word, ':');
	g_autofree char *key = NULL;

	if (strcmp(word, "auto") == 0)
		return add(x, "mnt[]");
	if (!colon || colon == word)
		return err_set(EINVAL, "option --ext-mount-map: \"%s\" is not KEY:VALUE", word);
	key = g_strdup_printf("mnt[%.*s]%s", (int)(colon - word), word, colon);
	return add(x, key);
}

int externals_add_unix(const char *inodes, struct externals *x)
{
	g_auto(GStrv) all = g_strsplit(inodes, ",", -1);
	int r = 0;

	for (char **one = all; r == 0 && *one; one++) {
		g_autofree char *key = g_strdup_printf("unix[%s]", *one);

		if (!**one || strspn(*one, "0123456789") != strlen(*one))
			return err_set(EINVAL,
				       "option --ext-unix-sk: \"%s\" is not an inode's number",
				       *one);
		r = add(x, key);
	}
	return r;
}

int externals_add_service(int sock, struct externals *x)
{
	g_autofree char *key = NULL;
	struct stat st;

	if (fstat(sock, &st) < 0)
		return err_errno("RPC");
	key = g_strdup_printf("unix[%lu]:%s", (unsigned long)st.st_ino, CRYO_SERVICE);
	return add(x, key);
}

/* "IN=OUT" */
static int add_veth(struct externals *x, const char *word)
{
	const char *is = strchr(word, '=');
	g_autofree char *key = NULL;

	if (!is || is == word)
		return err_set(EINVAL, "option --veth-pair: \"%s\" is not IN=OUT", word);
	key = g_strdup_printf("veth[%.*s]:%s", (int)(is - word), word, is + 1);
	return add(x, key);
}

static int add_all(struct externals *x, char *const *words,
		   int (*fn)(struct externals *x, const char *word))
{
	int r = 0;

	for (; r == 0 && words && *words; words++)
		r = fn(x, *words);
	return r;
}

int externals_parse(const struct options *o, struct externals *ret)
{
	int r = add_all(ret, o->externals, add);

	if (r == 0)
		r = add_all(ret, o->mount_map, add_mount);
	return r < 0 ? r : add_all(ret, o->veth_pairs, add_veth);
}

int externals_add(char *const *words, struct externals *x)
{
	return add_all(x, words, add);
}

void externals_clear(struct externals *x)
{
	for (unsigned i = 0; i < x->n; i++) {
		g_free((char *)x->v[i].key);
		g_free((char *)x->v[i].name);
	}
	g_free(x->v);
}

static int parse_inherit(const char *word, struct cryo_inherit *ret)
{
	char *end;
	long fd;

	if (!g_str_has_prefix(word, "fd["))
		return err_set(EINVAL, "option --inherit-fd: \"%s\" is not fd[N]:KEY", word);
	fd = strtol(word + 3, &end, 10);
	if (end == word + 3 || fd < 0 || fd > INT32_MAX || !g_str_has_prefix(end, "]:") || !end[2])
		return err_set(EINVAL, "option --inherit-fd: \"%s\" is not fd[N]:KEY", word);
	if (fcntl((int)fd, F_GETFD) < 0)
		return err_errno("option --inherit-fd: descriptor %ld", fd);
	*ret = (struct cryo_inherit){.name = end + 2, .fd = (int)fd};
	return 0;
}

int inherits_parse(char *const *words, struct inherits *ret)
{
	int r = 0;

	ret->v = g_array_new(FALSE, TRUE, sizeof(struct cryo_inherit));
	for (unsigned i = 0; r == 0 && words && words[i]; i++) {
		struct cryo_inherit one;

		r = parse_inherit(words[i], &one);
		if (r == 0)
			g_array_append_val(ret->v, one);
	}
	return r;
}

void inherits_clear(struct inherits *i)
{
	g_clear_pointer(&i->v, g_array_unref);
}
