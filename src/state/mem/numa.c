/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory policies (numa(7)) of mappings and of threads; in IMAGE_EXTRA of the task:
 * "numa": {"START": [mode, node, ...]}, "numa_threads": {"TID": [mode, node, ...]}.  The mode has
 * its flags (MPOL_F_STATIC_NODES ...), as get_mempolicy(2) gives them.  Nodes may be missing on
 * another host: worth a word, not a failure.
 */
#include "state/mem/mem.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MPOL_DEFAULT_ 0
#define MPOL_F_ADDR_  2
#define NODES	      1024 /* 1 << NODES_SHIFT of any distribution */
#define WORDS	      (NODES / 64)

struct policy {
	int mode, op;
	uint64_t nodes[WORDS];
};

static json_t *policy_json(const struct policy *p)
{
	json_t *v = json_array();

	json_array_append_new(v, json_integer(p->mode));
	for (unsigned n = 0; n < NODES; n++)
		if (p->nodes[n / 64] & UINT64_C(1) << n % 64)
			json_array_append_new(v, json_integer(n));
	return v;
}

static bool policy_load(const json_t *v, struct policy *p)
{
	*p = (struct policy){.mode = (int)json_integer_value(json_array_get(v, 0))};
	for (size_t i = 1; i < json_array_size(v); i++) {
		json_int_t n = json_integer_value(json_array_get(v, i));

		if (n >= 0 && n < NODES)
			p->nodes[n / 64] |= UINT64_C(1) << n % 64;
	}
	return json_array_size(v) > 0;
}

static void note(struct dtask *t, const char *kind, const char *key, json_t *value)
{
	json_t *all = json_object_get(t->extra, kind);

	if (!all)
		json_object_set_new(t->extra, kind, all = json_object());
	json_object_set_new(all, key, value);
}

static int dump_mapping(struct dtask *t, struct batch *b, const struct vma *v)
{
	struct policy p = {0};
	char start[24];
	int r;

	batch_add(b, SYS_get_mempolicy, batch_out(b, &p.mode, sizeof(p.mode)),
		  batch_out(b, p.nodes, sizeof(p.nodes)), IMM(NODES), IMM(v->start),
		  IMM(MPOL_F_ADDR_));
	r = batch_run(b);
	snprintf(start, sizeof(start), "%" PRIx64, v->start);
	if (r == 0)
		note(t, "numa", start, policy_json(&p));
	return r;
}

struct modes {
	int *v; /* of each mapping */
};

/* Most have none: only its mode is asked for first. */
static int maps_ask(struct dthread *h, struct batch *b, void *data)
{
	const struct dtask *t = h->task;
	const struct maps *m = &t->maps;
	int *modes;

	if (t->vm != t->index) /* those of an earlier process */
		return 0;
	modes = ((struct modes *)data)->v = g_new0(int, m->n + 1);
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].special < VMA_VDSO) /* CONFIG_NUMA */
			batch_may_fail(b, batch_add(b, SYS_get_mempolicy,
						    batch_out(b, &modes[i], sizeof(int)), IMM(0),
						    IMM(0), IMM(m->v[i].start), IMM(MPOL_F_ADDR_)));
	return 0;
}

static int maps_take(struct dump *d, struct dthread *h, const struct answers *a)
{
	const int *modes = ((const struct modes *)a->data)->v;
	struct dtask *t = h->task;
	int r = 0;

	for (size_t i = 0; r == 0 && modes && i < t->maps.n; i++) {
		CLEANUP(batch_end) struct batch b = {0};

		if (modes[i] == MPOL_DEFAULT_)
			continue;
		dtask_batch(t, &b);
		r = dump_mapping(t, &b, &t->maps.v[i]);
	}
	return r;
}

static void maps_clear_modes(void *data)
{
	g_free(((struct modes *)data)->v);
}

const struct question numa_maps_question = {.bytes = sizeof(struct modes),
					    .leader = true,
					    .ask = maps_ask,
					    .take = maps_take,
					    .clear = maps_clear_modes};

static int ask(struct dthread *h, struct batch *b, void *data)
{
	struct policy *p = data;

	p->op = batch_add(b, SYS_get_mempolicy, batch_out(b, &p->mode, sizeof(p->mode)),
			  batch_out(b, p->nodes, sizeof(p->nodes)), IMM(NODES), IMM(0), IMM(0));
	batch_may_fail(b, p->op);
	return 0;
}

static int take(struct dump *d, struct dthread *h, const struct answers *a)
{
	const struct policy *p = a->data;
	char tid[16];

	snprintf(tid, sizeof(tid), "%d", h->nstid);
	if (answer(a, p->op) == 0 && p->mode != MPOL_DEFAULT_)
		note(h->task, "numa_threads", tid, policy_json(p));
	return 0;
}

const struct question numa_question = {.bytes = sizeof(struct policy), .ask = ask, .take = take};

int numa_restore(struct rtask *t)
{
	json_t *all = json_object_get(t->extra, "numa");
	CLEANUP(batch_end) struct batch b = {0};
	int r;

	if (!all)
		return 0;
	rtask_batch(t, &b);
	for (size_t i = 0; i < t->mm->n_vmas; i++) {
		const VmaEntry *v = t->mm->vmas[i];
		struct policy p;
		char start[24];
		int op;

		snprintf(start, sizeof(start), "%" PRIx64, v->start);
		if (!policy_load(json_object_get(all, start), &p))
			continue;
		op = batch_add(&b, SYS_mbind, IMM(v->start), IMM(v->end - v->start), IMM(p.mode),
			       batch_in(&b, p.nodes, sizeof(p.nodes)), IMM(NODES), IMM(0));
		batch_may_fail(&b, op);
		r = batch_run(&b);
		if (r < 0)
			return r;
		if (batch_result(&b, op) < 0)
			log_warn("task %d: mapping %s has no memory policy any more: %s", t->nspid,
				 start, strerror((int)-batch_result(&b, op)));
	}
	return 0;
}

int numa_tell(struct restore *r, struct rthread *h, struct batch *b)
{
	json_t *all = json_object_get(h->task->extra, "numa_threads");
	struct policy p;
	char tid[16];

	if (!all)
		return 0;
	snprintf(tid, sizeof(tid), "%d", h->nstid);
	if (policy_load(json_object_get(all, tid), &p))
		batch_may_fail(b, batch_add(b, SYS_set_mempolicy, IMM(p.mode),
					    batch_in(b, p.nodes, sizeof(p.nodes)), IMM(NODES)));
	return 0;
}
