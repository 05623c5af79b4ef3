/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mounts.h"

#include <errno.h>
#include <string.h>

static void user_mount_clear(struct user_mount *m)
{
	g_free(m->source);
	g_free(m->destination);
	g_strfreev(m->options);
}

void user_mounts_clear(struct user_mounts *m)
{
	for (unsigned i = 0; i < m->n; i++)
		user_mount_clear(&m->v[i]);
	g_free(m->v);
	*m = (struct user_mounts){};
}

/* Options that a bind mount of any kind may have. */
static bool known_bind_option(const char *s)
{
	static const char *const known[] = {
		"ro",	   "rw",     "rbind",	   "bind",	  "z",	     "Z",
		"exec",	   "noexec", "suid",	   "nosuid",	  "dev",     "nodev",
		"private", "shared", "slave",	   "rprivate",	  "rshared", "rslave",
		"copy",	   "nocopy", "unbindable", "runbindable",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(s, known[i]))
			return true;
	return false;
}

static bool known_tmpfs_option(const char *s)
{
	static const char *const known[] = {
		"ro",	     "rw",     "exec",	  "noexec",   "suid",	     "nosuid",
		"dev",	     "nodev",  "private", "shared",   "slave",	     "rprivate",
		"rshared",   "rslave", "noatime", "relatime", "strictatime", "notmpcopyup",
		"tmpcopyup", "sync",   "async",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(s, known[i]))
			return true;
	return g_str_has_prefix(s, "size=") || g_str_has_prefix(s, "mode=") ||
	       g_str_has_prefix(s, "uid=") || g_str_has_prefix(s, "gid=") ||
	       g_str_has_prefix(s, "nr_inodes=");
}

static int check_destination(const char *text, const char *path)
{
	if (!path || *path != '/')
		return err_set(EINVAL,
			       "invalid container path \"%s\", must be an absolute path in \"%s\"",
			       path ? path : "", text);
	return 0;
}

static int add(struct user_mounts *all, struct user_mount *m)
{
	for (unsigned i = 0; i < all->n; i++)
		if (!strcmp(all->v[i].destination, m->destination)) {
			int r = err_set(EINVAL, "%s: duplicate mount destination", m->destination);

			user_mount_clear(m);
			return r;
		}
	all->v = g_renew(struct user_mount, all->v, all->n + 1);
	all->v[all->n++] = *m;
	return 0;
}

static int add_mount(struct user_mounts *all, enum user_mount_type type, const char *source,
		     const char *destination, char **options)
{
	struct user_mount m = {
		.type = type,
		.source = g_strdup(source),
		.destination = g_canonicalize_filename(destination, "/"),
		.options = g_strdupv(options),
		.read_only = options && g_strv_contains((const char *const *)options, "ro"),
	};

	return add(all, &m);
}

static bool volume_name_ok(const char *s)
{
	if (!g_ascii_isalnum(*s))
		return false;
	for (; *s; s++)
		if (!g_ascii_isalnum(*s) && !strchr("_.-", *s))
			return false;
	return true;
}

static int parse_volume(struct user_mounts *all, const char *text)
{
	g_auto(GStrv) parts = g_strsplit(text, ":", 4);
	unsigned n = g_strv_length(parts);
	g_auto(GStrv) options = g_strsplit(n == 3 ? parts[2] : "", ",", -1);
	const char *destination = n == 1 ? parts[0] : parts[1];
	int r;

	if (n == 0 || n > 3 || (n > 1 && !*parts[0]))
		return err_set(EINVAL,
			       "incorrect volume format \"%s\", should be "
			       "[host-dir:]ctr-dir[:option]",
			       text);
	r = check_destination(text, destination);
	if (r < 0)
		return r;
	for (char **s = options; *s; s++)
		if (!known_bind_option(*s))
			return err_set(EINVAL, "invalid volume option \"%s\" in \"%s\"", *s, text);
	if (n > 1 && parts[0][0] == '/') {
		g_autofree char *source = g_canonicalize_filename(parts[0], "/");

		return add_mount(all, USER_MOUNT_BIND, source, destination, options);
	}
	if (n > 1 && !volume_name_ok(parts[0]))
		return err_set(EINVAL,
			       "running volume create option: names must match "
			       "[a-zA-Z0-9][a-zA-Z0-9_.-]*: %s: invalid argument",
			       parts[0]);
	return add_mount(all, USER_MOUNT_VOLUME, n > 1 ? parts[0] : NULL, destination, options);
}

static int add_tmpfs(struct user_mounts *all, const char *text, const char *destination,
		     char **options)
{
	int r = check_destination(text, destination);

	if (r < 0)
		return r;
	for (char **s = options; *s; s++)
		if (!known_tmpfs_option(*s))
			return err_set(EINVAL, "unknown mount option \"%s\" in \"%s\"", *s, text);
	return add_mount(all, USER_MOUNT_TMPFS, NULL, destination, options);
}

static int parse_tmpfs(struct user_mounts *all, const char *text)
{
	g_auto(GStrv) parts = g_strsplit(text, ":", 2);
	g_auto(GStrv) options = g_strsplit(parts[0] && parts[1] ? parts[1] : "", ",", -1);

	return add_tmpfs(all, text, parts[0], options);
}

/* The words of one --mount. */
struct words {
	const char *type, *source, *destination;
	char **options;
};

static bool take_word(struct words *w, const char *key, const char *value)
{
	static const struct {
		const char *key, *option; /* NULL: with its value */
	} map[] = {
		{"ro", "ro"},	      {"readonly", "ro"},
		{"rw", "rw"},	      {"bind-propagation", NULL},
		{"relabel", NULL},    {"tmpfs-size", NULL},
		{"tmpfs-mode", NULL}, {"notmpcopyup", "notmpcopyup"},
		{"exec", "exec"},     {"noexec", "noexec"},
		{"nosuid", "nosuid"}, {"nodev", "nodev"},
	};
	bool off = value && !strcmp(value, "false");

	if (!strcmp(key, "type"))
		w->type = value;
	else if (!strcmp(key, "src") || !strcmp(key, "source"))
		w->source = value;
	else if (!strcmp(key, "dst") || !strcmp(key, "target") || !strcmp(key, "destination"))
		w->destination = value;
	else {
		for (unsigned i = 0; i < ARRAY_SIZE(map); i++) {
			g_autofree char *with = NULL;

			if (strcmp(key, map[i].key))
				continue;
			if (!map[i].option && !value)
				return false;
			if (g_str_has_prefix(key, "tmpfs-"))
				with = g_strdup_printf("%s=%s", key + 6, value);
			if (!strcmp(key, "relabel"))
				with = g_strdup(!strcmp(value, "private") ? "Z" : "z");
			if (map[i].option)
				with = g_strdup(
					off && !strcmp(map[i].option, "ro") ? "rw" : map[i].option);
			options_append(&w->options, with ? with : value);
			return true;
		}
		return false;
	}
	return value != NULL;
}

static int add_words(struct user_mounts *all, const char *text, const struct words *w)
{
	static char *none[] = {NULL};
	char **options = w->options ? w->options : none;
	int r;

	if (w->type && !strcmp(w->type, "tmpfs"))
		return add_tmpfs(all, text, w->destination, options);
	r = check_destination(text, w->destination);
	if (r < 0)
		return r;
	if ((!w->type || !strcmp(w->type, "volume")) && w->source && !volume_name_ok(w->source))
		return err_set(EINVAL,
			       "running volume create option: names must match "
			       "[a-zA-Z0-9][a-zA-Z0-9_.-]*: %s: invalid argument",
			       w->source);
	if (!w->type || !strcmp(w->type, "volume"))
		return add_mount(all, USER_MOUNT_VOLUME, w->source, w->destination, options);
	if (strcmp(w->type, "bind"))
		return err_set(EINVAL, "invalid filesystem type \"%s\"", w->type);
	if (!w->source || *w->source != '/')
		return err_set(EINVAL, "must set an absolute source in --mount \"%s\"", text);
	return add_mount(all, USER_MOUNT_BIND, w->source, w->destination, options);
}

static int parse_mount(struct user_mounts *all, const char *text)
{
	g_auto(GStrv) parts = g_strsplit(text, ",", -1);
	struct words w = {};
	int r = 0;

	for (char **s = parts; *s && r == 0; s++) {
		char *eq = strchr(*s, '=');

		if (eq)
			*eq++ = '\0';
		if (!take_word(&w, *s, eq))
			r = err_set(EINVAL, "invalid mount option \"%s\" in \"%s\"", *s, text);
	}
	if (r == 0)
		r = add_words(all, text, &w);
	g_strfreev(w.options);
	return r;
}

static unsigned depth(const char *path)
{
	unsigned n = 0;

	for (; *path; path++)
		n += *path == '/' && path[1];
	return n;
}

static int by_depth(const void *a, const void *b, void *unused)
{
	const struct user_mount *x = a, *y = b;

	return (int)depth(x->destination) - (int)depth(y->destination);
}

static int parse_list(struct user_mounts *all, char *const *list,
		      int (*parse)(struct user_mounts *, const char *))
{
	for (; list && *list; list++) {
		int r = parse(all, *list);

		if (r < 0)
			return r;
	}
	return 0;
}

int user_mounts_parse(const struct container_options *o, struct user_mounts *ret)
{
	CLEANUP(user_mounts_clear) struct user_mounts all = {};
	int r = parse_list(&all, o->mounts, parse_mount);

	if (r == 0)
		r = parse_list(&all, o->volumes, parse_volume);
	if (r == 0)
		r = parse_list(&all, o->tmpfs, parse_tmpfs);
	if (r < 0)
		return r;
	if (all.n) /* stable */
		g_qsort_with_data(all.v, all.n, sizeof(*all.v), by_depth, NULL);
	*ret = all;
	all = (struct user_mounts){};
	return 0;
}

char *volume_name_of(const struct user_mount *m)
{
	return m->source ? g_strdup(m->source) : g_uri_escape_string(m->destination, NULL, false);
}
