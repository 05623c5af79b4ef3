/* SPDX-License-Identifier: Apache-2.0 */
/* Users and groups by the container's own /etc/passwd and /etc/group (passwd(5), group(5)). */
#include "engine/spec_parts.h"

#include "base/dir.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define DATABASE_MAX (16u << 20)
#define ID_MAX	     0x7fffffffu /* what runtimes take */
#define GROUPS_MAX   65536	 /* NGROUPS_MAX of the kernel */

void spec_user_clear(struct spec_user *u)
{
	g_free(u->groups);
	g_free(u->home);
	*u = (struct spec_user){};
}

/* The lines of a file in the container; none when it has no such file. */
static int read_lines(int root, const char *path, char ***ret)
{
	/* O_NONBLOCK: an image may have put a fifo there */
	autoclose int fd = dir_open_in_root(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	g_autofree char *text = NULL;
	char self[32];
	struct stat st;
	int r;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) {
		*ret = g_new0(char *, 1);
		return 0;
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno("open %s of the container", path);
	if (!S_ISREG(st.st_mode))
		return err_set(EINVAL, "%s of the container is not a regular file", path);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	r = file_read_at(AT_FDCWD, self, DATABASE_MAX, &text, NULL);
	if (r < 0)
		return err_wrap(r, "%s of the container", path);
	*ret = g_strsplit(text, "\n", -1);
	return 0;
}

/* 1: a number in range; 0: not a number. */
static int parse_id(const char *text, uint32_t *ret)
{
	unsigned long v;
	char *end;

	if (!g_ascii_isdigit(*text))
		return 0;
	errno = 0;
	v = strtoul(text, &end, 10);
	if (*end)
		return 0;
	if (errno || v > ID_MAX)
		return err_set(ERANGE, "uids and gids must be in range 0-%u", ID_MAX);
	*ret = v;
	return 1;
}

static bool entry_id(const char *text, uint32_t *ret)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	*ret = v;
	return g_ascii_isdigit(*text) && !*end && v <= ID_MAX;
}

/* The entry of passwd that WANTED names, by name first and then by number.  NULL: none. */
static char **find_entry(char *const *lines, const char *wanted, bool number, uint32_t id,
			 unsigned fields)
{
	for (int by_number = 0; by_number <= number; by_number++)
		for (char *const *line = lines; *line; line++) {
			g_auto(GStrv) f = g_strsplit(*line, ":", -1);
			uint32_t n;

			if (g_strv_length(f) < fields || !entry_id(f[2], &n))
				continue;
			if (by_number ? n == id : !strcmp(f[0], wanted))
				return g_steal_pointer(&f);
		}
	return NULL;
}

static void add_group(struct spec_user *u, uint32_t gid)
{
	for (unsigned i = 0; i < u->ngroups; i++)
		if (u->groups[i] == gid)
			return;
	if (u->ngroups >= GROUPS_MAX)
		return;
	u->groups = g_renew(uint32_t, u->groups, u->ngroups + 1);
	u->groups[u->ngroups++] = gid;
}

static void add_memberships(struct spec_user *u, char *const *group, const char *name)
{
	for (; *group; group++) {
		g_auto(GStrv) f = g_strsplit(*group, ":", -1);
		g_auto(GStrv) members = g_strv_length(f) > 3 ? g_strsplit(f[3], ",", -1) : NULL;
		uint32_t gid;

		if (members && entry_id(f[2], &gid) &&
		    g_strv_contains((const char *const *)members, name))
			add_group(u, gid);
	}
}

static int find_group(char *const *lines, const char *wanted, uint32_t *ret)
{
	int number = parse_id(wanted, ret);
	g_auto(GStrv) entry = NULL;

	if (number < 0)
		return number;
	entry = find_entry(lines, wanted, number, *ret, 3);
	if (entry)
		entry_id(entry[2], ret);
	else if (!number)
		return err_set(EINVAL, "unable to find group %s: no matching entries in group file",
			       wanted);
	return 0;
}

static int find_user(char *const *passwd, char *const *group, const char *wanted, bool with_groups,
		     struct spec_user *u)
{
	int number = parse_id(wanted, &u->uid);
	g_auto(GStrv) entry = NULL;

	if (number < 0)
		return number;
	entry = find_entry(passwd, wanted, number, u->uid, 6);
	if (!entry && !number)
		return err_set(EINVAL, "unable to find user %s: no matching entries in passwd file",
			       wanted);
	if (!entry)
		return 0;
	entry_id(entry[2], &u->uid);
	entry_id(entry[3], &u->gid);
	if (*entry[5] == '/') {
		g_free(u->home);
		u->home = g_strdup(entry[5]);
	}
	if (with_groups) {
		add_group(u, u->gid);
		add_memberships(u, group, entry[0]);
	}
	return 0;
}

int spec_user_find(int root, const char *user, char *const *group_add, struct spec_user *ret)
{
	g_auto(GStrv) passwd = NULL, group = NULL;
	g_auto(GStrv) parts = g_strsplit(user && *user ? user : "0", ":", 2);
	CLEANUP(spec_user_clear) struct spec_user u = {.home = g_strdup("/")};
	bool own_group = parts[0] && parts[1] && *parts[1];
	int r = read_lines(root, "etc/passwd", &passwd);

	if (r == 0)
		r = read_lines(root, "etc/group", &group);
	if (r == 0)
		r = find_user(passwd, group, *parts[0] ? parts[0] : "0", !own_group, &u);
	if (r == 0 && own_group)
		r = find_group(group, parts[1], &u.gid);
	if (r < 0)
		return r;
	/* without it, a group that owns something could be left by setgroups (CVE-2022-2989) */
	add_group(&u, u.gid);
	for (; group_add && *group_add; group_add++) {
		uint32_t gid;

		r = find_group(group, *group_add, &gid);
		if (r < 0)
			return r;
		add_group(&u, gid);
	}
	*ret = u;
	u = (struct spec_user){};
	return 0;
}

json_t *spec_user_json(const struct spec_user *u)
{
	json_t *j = json_pack("{s:I,s:I}", "uid", (json_int_t)u->uid, "gid", (json_int_t)u->gid);
	json_t *groups = json_array();

	for (unsigned i = 0; i < u->ngroups; i++)
		json_array_append_new(groups, json_integer(u->groups[i]));
	json_object_set_new(j, "additionalGids", groups);
	return j;
}

int spec_put_user(struct spec_context *c)
{
	const char *user = c->o->user;
	json_t *j;
	int r;

	if (!user)
		user = json_string_value(json_object_get(c->image, "User"));
	r = spec_user_find(c->root, user, c->o->group_add, &c->user);
	if (r < 0)
		return r;
	j = spec_user_json(&c->user);
	json_object_set_new(j, "umask",
			    json_integer(c->o->umask ? strtol(c->o->umask, NULL, 8) : 0022));
	json_object_set_new(c->process, "user", j);
	return 0;
}
