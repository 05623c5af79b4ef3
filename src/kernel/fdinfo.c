/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/fdinfo.h"
#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An epoll with many members or a file with many locks has many lines. */
#define FDINFO_MAX_BYTES ((size_t)256 << 20)

static void split(char *l, struct fdinfo_line *ret)
{
	char *end = l + strcspn(l, ": \t");

	ret->key = l;
	if (*end)
		*end++ = 0;
	ret->value = end + strspn(end, " \t");
}

static int common(struct fdinfo *f)
{
	uint64_t flags, mnt_id;
	int r;

	r = fdinfo_u64(f, "pos", 10, &f->pos);
	if (r == 0)
		r = fdinfo_u64(f, "flags", 8, &flags);
	if (r == 0)
		r = fdinfo_u64(f, "mnt_id", 10, &mnt_id);
	if (r < 0)
		return r;
	f->flags = (unsigned)flags;
	f->mnt_id = (int)mnt_id;
	if (fdinfo_get(f, "ino"))
		return fdinfo_u64(f, "ino", 10, &f->ino);
	return 0;
}

int fdinfo_read(int dir, int tfd, struct fdinfo *ret)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct fdinfo_line));
	CLEANUP(fdinfo_clear) struct fdinfo f = {.tfd = tfd};
	char name[32], *save = NULL;
	int r;

	snprintf(name, sizeof(name), "fdinfo/%d", tfd);
	r = file_read_at(dir, name, FDINFO_MAX_BYTES, &f.text, NULL);
	if (r < 0)
		return r;
	for (char *l = strtok_r(f.text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		struct fdinfo_line line;

		split(l, &line);
		g_array_append_val(all, line);
	}
	f.n = all->len;
	f.lines = (struct fdinfo_line *)(void *)g_array_free(g_steal_pointer(&all), FALSE);
	r = common(&f);
	if (r < 0)
		return err_wrap(r, "%s", name);
	*ret = f;
	f = (struct fdinfo){0};
	return 0;
}

void fdinfo_clear(struct fdinfo *f)
{
	g_free(f->lines);
	g_free(f->text);
	*f = (struct fdinfo){0};
}

const char *fdinfo_next(const struct fdinfo *f, const char *key, size_t *at)
{
	while (*at < f->n) {
		const struct fdinfo_line *l = &f->lines[(*at)++];

		if (!strcmp(l->key, key))
			return l->value;
	}
	return NULL;
}

const char *fdinfo_get(const struct fdinfo *f, const char *key)
{
	size_t at = 0;

	return fdinfo_next(f, key, &at);
}

static int number(const char *s, int base, uint64_t *ret)
{
	char *end;

	*ret = strtoull(s, &end, base);
	return end == s ? -EBADMSG : 0;
}

int fdinfo_u64(const struct fdinfo *f, const char *key, int base, uint64_t *ret)
{
	const char *value = fdinfo_get(f, key);

	if (!value)
		return err_set(EBADMSG, "no line %s", key);
	if (number(value, base, ret) < 0)
		return err_set(EBADMSG, "%s: not a number: %s", key, value);
	return 0;
}

int fdinfo_field(const char *value, const char *name, int base, uint64_t *ret)
{
	size_t len = strlen(name);

	for (const char *at = value; (at = strstr(at, name)); at++) {
		const char *v = at + len;

		/* "ino" is not the end of another name, as in "sino:". */
		if ((at != value && at[-1] != ' ' && at[-1] != '\t') || *v != ':')
			continue;
		v += 1 + strspn(v + 1, " \t");
		if (number(v, base, ret) == 0)
			return 0;
	}
	return err_set(EBADMSG, "no number %s in: %s", name, value);
}
