/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/mountinfo.h"
#include "base/file.h"
#include "kernel/maps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MOUNTINFO_MAX_BYTES ((size_t)256 << 20)

static const struct {
	const char *tag;
	size_t at;
} tags[] = {
	{"shared:", offsetof(struct mount_entry, shared)},
	{"master:", offsetof(struct mount_entry, master)},
	{"propagate_from:", offsetof(struct mount_entry, propagate_from)},
};

static void take_tag(const char *word, struct mount_entry *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
		size_t len = strlen(tags[i].tag);

		if (!strncmp(word, tags[i].tag, len))
			*(int *)((char *)m + tags[i].at) = (int)strtol(word + len, NULL, 10);
	}
	if (!strcmp(word, "unbindable"))
		m->unbindable = true;
}

/* The next word, unescaped; NULL at the end.  An empty one is possible: source "". */
static char *word(char **at)
{
	char *w = strsep(at, " ");

	if (w)
		proc_unescape(w);
	return w;
}

/* 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue */
static int parse_line(char *l, struct mount_entry *m)
{
	char *at = l, *w, *colon;

	w = word(&at);
	m->id = w ? (int)strtol(w, NULL, 10) : 0;
	w = word(&at);
	m->parent = w ? (int)strtol(w, NULL, 10) : 0;
	w = word(&at);
	colon = w ? strchr(w, ':') : NULL;
	if (!colon)
		return -EBADMSG;
	m->major = (uint32_t)strtoul(w, NULL, 10);
	m->minor = (uint32_t)strtoul(colon + 1, NULL, 10);
	m->root = word(&at);
	m->target = word(&at);
	m->options = word(&at);
	while ((w = word(&at)) && strcmp(w, "-"))
		take_tag(w, m);
	m->fstype = word(&at);
	m->source = word(&at);
	m->sb_options = word(&at);
	return m->sb_options ? 0 : -EBADMSG;
}

int mountinfo_parse(char *text_take, struct mountinfo *ret)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct mount_entry));
	g_autofree char *text = text_take;
	char *save = NULL;

	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		struct mount_entry m = {0};

		if (parse_line(l, &m) < 0)
			return err_set(EBADMSG, "mountinfo: cannot read line %s", l);
		g_array_append_val(all, m);
	}
	ret->text = g_steal_pointer(&text);
	ret->n = all->len;
	ret->v = (struct mount_entry *)(void *)g_array_free(g_steal_pointer(&all), FALSE);
	return 0;
}

int mountinfo_read(int dir, struct mountinfo *ret)
{
	char *text;
	int r = file_read_at(dir, "mountinfo", MOUNTINFO_MAX_BYTES, &text, NULL);

	return r < 0 ? r : mountinfo_parse(text, ret);
}

void mountinfo_clear(struct mountinfo *m)
{
	g_free(m->v);
	g_free(m->text);
	*m = (struct mountinfo){0};
}

const struct mount_entry *mountinfo_by_id(const struct mountinfo *m, int id)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].id == id)
			return &m->v[i];
	return NULL;
}

static bool covered(const struct mountinfo *m, const struct mount_entry *e)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].parent == e->id && m->v[i].id != e->id &&
		    !strcmp(m->v[i].target, e->target))
			return true;
	return false;
}

const struct mount_entry *mountinfo_at(const struct mountinfo *m, const char *target)
{
	const struct mount_entry *last = NULL;

	for (size_t i = 0; i < m->n; i++)
		if (!strcmp(m->v[i].target, target) && (!last || !covered(m, &m->v[i])))
			last = &m->v[i];
	return last;
}

bool mount_option(const char *options, const char *name, char **ret_value)
{
	size_t len = strlen(name);

	for (const char *at = options; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, name, len) || (at[len] && at[len] != ',' && at[len] != '='))
			continue;
		if (ret_value)
			*ret_value = at[len] == '='
					     ? g_strndup(at + len + 1, strcspn(at + len + 1, ","))
					     : NULL;
		return true;
	}
	return false;
}

static bool is_above(const struct mountinfo *all, const struct mount_entry *o,
		     const struct mount_entry *m)
{
	for (size_t n = 0; m && n <= all->n; n++) {
		if (m == o)
			return true;
		m = m->parent == m->id ? NULL : mountinfo_by_id(all, m->parent);
	}
	return false;
}

static bool is_on_path(const struct mount_entry *o, const char *path)
{
	size_t len = strcmp(o->target, "/") == 0 ? 0 : strlen(o->target);

	return strncmp(path, o->target, len) == 0 && (!path[len] || path[len] == '/');
}

/* By something that M is mounted on: no path leads through O then. */
static bool is_hidden(const struct mountinfo *all, const struct mount_entry *o,
		      const struct mount_entry *m)
{
	for (size_t n = 0; m && n <= all->n; n++) {
		if (is_on_path(m, o->target) && !is_above(all, m, o))
			return true;
		m = m->parent == m->id ? NULL : mountinfo_by_id(all, m->parent);
	}
	return false;
}

bool mountinfo_hides(const struct mountinfo *all, const struct mount_entry *o,
		     const struct mount_entry *m, const char *path)
{
	return is_on_path(o, path) && !is_above(all, o, m) && !is_hidden(all, o, m);
}

bool mountinfo_covers(const struct mountinfo *all, const struct mount_entry *o,
		      const struct mount_entry *m)
{
	return mountinfo_hides(all, o, m, m->target);
}

bool mountinfo_is_covered(const struct mountinfo *all, const struct mount_entry *m)
{
	for (size_t i = 0; i < all->n; i++)
		if (mountinfo_covers(all, &all->v[i], m))
			return true;
	return false;
}
