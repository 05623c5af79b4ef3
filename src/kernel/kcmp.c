/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/kcmp.h"

#include <errno.h>
#include <sys/syscall.h>

struct item {
	pid_t pid;
	int tfd;
	uint64_t hint;
	uint32_t id;
};

struct kcmp_set {
	int type;
	int failed; /* the comparison cannot fail by itself: its errno is kept here */
	GTree *tree;
	GPtrArray *items; /* by id - 1; owns them */
};

int kcmp_compare(pid_t a, pid_t b, int type, unsigned long ia, unsigned long ib)
{
	long r = syscall(SYS_kcmp, a, b, type, ia, ib);

	if (r < 0)
		return err_errno("compare tasks %d and %d", a, b);
	if (r > 2) /* kcmp(2): 3 is "different, and no order" */
		return err_set(EOPNOTSUPP, "compare tasks %d and %d: no order", a, b);
	return (int)r;
}

static int order(const void *x, const void *y, void *data)
{
	struct kcmp_set *s = data;
	const struct item *a = x, *b = y;
	int r;

	if (a->hint != b->hint)
		return a->hint < b->hint ? -1 : 1;
	if (a->pid == b->pid && a->tfd == b->tfd)
		return 0;
	if (s->failed)
		return -1; /* just come to an end */
	r = kcmp_compare(a->pid, b->pid, s->type, (unsigned long)MAX(a->tfd, 0),
			 (unsigned long)MAX(b->tfd, 0));
	if (r < 0)
		s->failed = r;
	return r == 0 ? 0 : r == 1 ? -1 : 1;
}

struct kcmp_set *kcmp_set_new(int type)
{
	struct kcmp_set *s = g_new0(struct kcmp_set, 1);

	s->type = type;
	s->tree = g_tree_new_full(order, s, NULL, NULL);
	s->items = g_ptr_array_new_with_free_func(g_free);
	return s;
}

void kcmp_set_drop(struct kcmp_set **s)
{
	if (!*s)
		return;
	g_tree_destroy((*s)->tree);
	g_ptr_array_free((*s)->items, TRUE);
	g_free(*s);
	*s = NULL;
}

int kcmp_set_add(struct kcmp_set *s, pid_t pid, int tfd, uint64_t hint, uint32_t *ret_id)
{
	struct item key = {.pid = pid, .tfd = tfd, .hint = hint}, *found;

	s->failed = 0;
	found = g_tree_lookup(s->tree, &key);
	if (!s->failed && !found) {
		key.id = s->items->len + 1;
		found = g_memdup2(&key, sizeof(key));
		/* The calls of the lookup again; cheap against finding the place by hand. */
		g_tree_insert(s->tree, found, found);
		g_ptr_array_add(s->items, found);
		*ret_id = key.id;
		return s->failed ? s->failed : 1;
	}
	if (s->failed)
		return s->failed;
	*ret_id = found->id;
	return 0;
}

void kcmp_set_first(const struct kcmp_set *s, uint32_t id, pid_t *ret_pid, int *ret_tfd)
{
	const struct item *i = s->items->pdata[id - 1];

	*ret_pid = i->pid;
	*ret_tfd = i->tfd;
}

size_t kcmp_set_count(const struct kcmp_set *s)
{
	return s->items->len;
}
