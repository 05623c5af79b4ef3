/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyrings of processes and of threads (process-keyring(7), thread-keyring(7)): each makes its own
 * again.  A thread is born with that of its process; where it has a keyring of a thread, one that
 * is born has an empty one, so those come when all threads are there (kernel/cred.c: copy_creds()).
 * In IMAGE_EXTRA of the task: "process_keyring": RING, "thread_keyrings": {"TID": RING}; keys.h.
 */
#include "state/extra.h"
#include "state/ns/spaces.h"
#include "state/task/keys.h"
#include "state/task/task.h"

#include "base/json.h"

#include <errno.h>
#include <linux/keyctl.h>

struct ids {
	int process, thread;
};

static int ask(struct dthread *h, struct batch *b, void *data)
{
	static const int special[] = {KEY_SPEC_PROCESS_KEYRING, KEY_SPEC_THREAD_KEYRING};
	struct ids *q = data;
	int *ops[] = {&q->process, &q->thread};

	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) { /* CONFIG_KEYS */
		*ops[i] = batch_add(b, SYS_keyctl, IMM(KEYCTL_GET_KEYRING_ID), IMM(special[i]),
				    IMM(0));
		batch_may_fail(b, *ops[i]);
	}
	return 0;
}

/* A link to the keyring of a user would become another keyring. */
static int check_links(const json_t *ring)
{
	const json_t *k;
	size_t i;
	int r = 0;

	json_array_foreach(json_object_get(ring, "keys"), i, k)
	{
		if (json_object_get(k, "keys") && json_text_of(k, "name")[0] == '_')
			return err_set(EOPNOTSUPP,
				       "it is linked with the keyring \"%s\"; unlink that "
				       "(keyctl(1))",
				       json_text_of(k, "name"));
		r = check_links(k);
		if (r < 0)
			return r;
	}
	return 0;
}

/* By the thread itself: nobody else may read what it possesses. */
static int read_ring(struct dump *d, struct dthread *h, int serial, json_t **ret)
{
	CLEANUP(batch_end) struct batch b = {0};
	json_t *ring = NULL;
	int r = spaces_users(d, h->task)
			? err_set(EOPNOTSUPP,
				  "it is of another user namespace; clear it (keyctl(1))")
			: 0;

	batch_begin(&b, h->task->agent, h->slot);
	if (r == 0)
		r = keys_describe(&b, serial, &ring);
	if (r == 0)
		r = keys_read(&b, serial, ring);
	if (r == 0)
		r = check_links(ring);
	if (r < 0)
		json_decref(ring);
	else
		*ret = ring;
	return r;
}

static int take_process(struct dump *d, struct dthread *h, int serial)
{
	struct dtask *t = h->task;
	json_t *ring;
	int r;

	if (h != t->threads)
		return serial == t->process_keyring
			       ? 0
			       : err_set(EOPNOTSUPP,
					 "thread %d has another keyring of its process than the "
					 "first one; clear it (keyctl(1))",
					 h->nstid);
	t->process_keyring = serial;
	if (!serial)
		return 0;
	r = read_ring(d, h, serial, &ring);
	if (r < 0)
		return err_wrap(r, "its process keyring");
	json_object_set_new(t->extra, "process_keyring", ring);
	return 0;
}

static int take_thread(struct dump *d, struct dthread *h, int serial)
{
	json_t *ring;
	int r = read_ring(d, h, serial, &ring);

	if (r < 0)
		return err_wrap(r, "thread %d: its keyring", h->nstid);
	extra_set(h->task->extra, "thread_keyrings", (uint32_t)h->nstid, ring);
	return 0;
}

static int take(struct dump *d, struct dthread *h, const struct answers *a)
{
	const struct ids *q = a->data;
	int64_t process = answer(a, q->process), thread = answer(a, q->thread);
	int r = take_process(d, h, (int)MAX(process, 0));

	return r == 0 && thread > 0 ? take_thread(d, h, (int)thread) : r;
}

const struct question ownkeys_question = {.bytes = sizeof(struct ids), .ask = ask, .take = take};

/* Into SPECIAL, which is made. */
static int fill(struct batch *b, int special, const json_t *ring)
{
	int op = batch_add(b, SYS_keyctl, IMM(KEYCTL_GET_KEYRING_ID), IMM(special), IMM(1)), serial;
	int r = batch_run(b);

	if (r < 0)
		return r;
	serial = (int)batch_result(b, op);
	r = keys_add(b, serial, json_object_get(ring, "keys"));
	keys_set_owner(b, IMM(serial), ring, 0);
	return r < 0 ? r : batch_run(b);
}

int ownkeys_restore(struct restore *r, struct rtask *t)
{
	const json_t *ring = json_object_get(t->extra, "process_keyring");
	CLEANUP(batch_end) struct batch b = {0};
	int ret;

	if (!ring)
		return 0;
	rtask_batch(t, &b);
	ret = fill(&b, KEY_SPEC_PROCESS_KEYRING, ring);
	return ret < 0 ? err_wrap(ret, "process keyring") : 0;
}

int ownkeys_restore_thread(struct restore *r, struct rthread *h)
{
	const json_t *ring = extra_get(h->task->extra, "thread_keyrings", (uint32_t)h->nstid);
	CLEANUP(batch_end) struct batch b = {0};
	int ret;

	if (!ring)
		return 0;
	rthread_batch(h, &b);
	ret = fill(&b, KEY_SPEC_THREAD_KEYRING, ring);
	return ret < 0 ? err_wrap(ret, "keyring of thread %d", h->nstid) : 0;
}
