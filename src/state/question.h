/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only a thread itself can tell.  Each kind composes its question and later takes the answers;
 * in between all questions to a thread are one batch, and all threads of the tree answer at the
 *same time: a turn costs much more than what is done in it.
 *
 *	static void brk_ask(struct dthread *h, struct batch *b, void *data)
 *	{
 *		struct brk *a = data;
 *
 *		a->brk = batch_add(b, SYS_brk, IMM(0));
 *	}
 *
 *	static int brk_take(struct dump *d, struct dthread *h, const struct answers *a)
 *	{
 *		const struct brk *q = a->data;
 *		... answer(a, q->brk) ...
 *	}
 *
 *	const struct question brk_question = {sizeof(struct brk), true, brk_ask, brk_take};
 */
#pragma once

#include "state/dump.h"

#include <errno.h>

struct answers {
	void *data; /* what ask() was given; where batch_out() has put things */
	const GArray *results;
};

struct question {
	size_t bytes; /* of its data, zeroed; it does not move */
	bool leader;  /* it is about the process: only the first thread is asked */
	int (*ask)(struct dthread *h, struct batch *b, void *data);
	int (*take)(struct dump *d, struct dthread *h, const struct answers *a);
	void (*clear)(void *data); /* may be NULL; also when nothing was answered */
};

/* Result of an operation that ask() has added. */
static inline int64_t answer(const struct answers *a, int id)
{
	return id < 0 || id >= (int)a->results->len ? -EPROTO
						    : g_array_index(a->results, int64_t, id);
}

/*
 * Asks all threads of the tree, which must have their agents.  The last ones still think when it
 * returns: until questions_wait(), or a question to all threads has been taken, agents have other
 * things to do than what somebody else asks of them.
 */
int questions_ask(struct dump *d, const struct question *const *v, unsigned n) MUST_CHECK;

/* Gives the answers to the question to its take(), for one thread. */
int question_take(struct dump *d, struct dthread *h, const struct question *q) MUST_CHECK;

void questions_end(struct dump *d);
