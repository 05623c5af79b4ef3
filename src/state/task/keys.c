/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Session keyrings (keyrings(7)) that the tree has made for itself, by name, with the keys in them
 * that can be read; others are refused.  The keyrings of users ("_uid...") and an unnamed one that
 * the first process came with, without keys of its own, belong to whoever restores.  In
 * IMAGE_EXTRA: "keyrings": {"SERIAL":
 * {"name", "uid", "gid", "perm", "keys": [{"type", "name", ..., "payload" or "keys"}]}}, and of
 * each task "keyring": "SERIAL".
 *
 * Keyrings are inherited by fork(2) and joined by name; who joins needs the right to search, which
 * a new one gives nobody but its owner's processes: it has it until all have joined.
 */
#include "state/task/keys.h"

#include "state/ns/spaces.h"
#include "state/task/task.h"

#include "base/json.h"

#include <errno.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAYLOAD_MAX  32768 /* keys of type "user" */
#define DESCRIBE_MAX 4400  /* a name of a page, and numbers */
#define DEPTH_MAX    6	   /* KEYRING_SEARCH_MAX_DEPTH */
#define USR_SEARCH   0x00080000u
#define SESSION_NAME "_ses" /* of whoever joins one without a name */

struct ids {
	int session;
};

static int ask(struct dthread *h, struct batch *b, void *data)
{
	struct ids *q = data;

	q->session = batch_add(b, SYS_keyctl, IMM(KEYCTL_GET_KEYRING_ID),
			       IMM(KEY_SPEC_SESSION_KEYRING), IMM(0));
	batch_may_fail(b, q->session); /* CONFIG_KEYS */
	return 0;
}

/* Threads other than the first have little room. */
static size_t room(const struct batch *b, size_t wanted)
{
	return MIN(wanted, batch_arena_max(b) - 64);
}

/* "type;uid;gid;perm;name" */
int keys_describe(struct batch *b, int key, json_t **ret)
{
	char text[DESCRIBE_MAX] = "";
	size_t len = room(b, sizeof(text));
	g_auto(GStrv) part = NULL;
	int op, r;

	batch_room(b, 1, len + 16);
	op = batch_add(b, SYS_keyctl, IMM(KEYCTL_DESCRIBE), IMM(key), batch_out(b, text, len),
		       IMM(len));
	batch_may_fail(b, op);
	r = batch_run(b);
	if (r < 0)
		return r;
	text[sizeof(text) - 1] = 0;
	part = g_strsplit(text, ";", 5);
	if (batch_result(b, op) < 0 || g_strv_length(part) != 5)
		return err_set(
			EOPNOTSUPP, "key %#x cannot be read: %s", (unsigned)key,
			strerror(batch_result(b, op) < 0 ? (int)-batch_result(b, op) : EBADMSG));
	*ret = json_pack("{s:s,s:I,s:I,s:I,s:s}", "type", part[0], "uid",
			 (json_int_t)strtoul(part[1], NULL, 10), "gid",
			 (json_int_t)strtoul(part[2], NULL, 10), "perm",
			 (json_int_t)strtoul(part[3], NULL, 16), "name", part[4]);
	return *ret ? 0 : err_set(EOPNOTSUPP, "key %#x has a name that is no text", (unsigned)key);
}

static int read_key(struct batch *b, int key, json_t *into, unsigned depth);

static int read_ring(struct batch *b, const int *keys, size_t n, json_t *into, unsigned depth)
{
	json_t *all = json_array();
	int r = 0;

	json_object_set_new(into, "keys", all);
	for (size_t i = 0; r == 0 && i < n; i++) {
		json_t *one = NULL;

		r = keys_describe(b, keys[i], &one);
		if (r < 0)
			return r;
		json_array_append_new(all, one);
		r = read_key(b, keys[i], one, depth + 1);
	}
	return r;
}

static int read_key(struct batch *b, int key, json_t *into, unsigned depth)
{
	g_autofree uint8_t *buf = g_malloc0(PAYLOAD_MAX);
	g_autofree char *payload = NULL;
	size_t len = room(b, PAYLOAD_MAX);
	int64_t n;
	int op, r;

	if (depth > DEPTH_MAX)
		return err_set(EOPNOTSUPP, "keyrings in more than %d others", DEPTH_MAX);
	batch_room(b, 1, len + 16);
	op = batch_add(b, SYS_keyctl, IMM(KEYCTL_READ), IMM(key), batch_out(b, buf, len), IMM(len));
	batch_may_fail(b, op);
	r = batch_run(b);
	if (r < 0)
		return r;
	n = batch_result(b, op);
	if (n < 0 || n > (int64_t)len)
		return err_set(EOPNOTSUPP,
			       "the key \"%s\" of type %s in its keyring cannot "
			       "be read; remove it (keyctl(1), unlink)",
			       json_text_of(into, "name"), json_text_of(into, "type"));
	if (strcmp(json_text_of(into, "type"), "keyring") == 0)
		return read_ring(b, (const int *)(const void *)buf, (size_t)n / sizeof(int), into,
				 depth);
	payload = g_base64_encode(buf, (gsize)n);
	json_object_set_new(into, "payload", json_string(payload));
	return 0;
}

int keys_read(struct batch *b, int key, json_t *into)
{
	return read_key(b, key, into, 0);
}

enum whose { OTHERS, PERHAPS_OURS, OURS };

/*
 * Is it nobody's but the tree's?  An unnamed one of the first process may have come with it: it is
 * kept if it has keys of its own, and all of it can be read.
 */
static enum whose is_whose(const struct dtask *t, const char *name)
{
	if (g_str_has_prefix(name, "_uid"))
		return OTHERS;
	return t->parent >= 0 || strcmp(name, SESSION_NAME) != 0 ? OURS : PERHAPS_OURS;
}

/* More than links to the keyrings of users, as pam_keyinit(8) makes them. */
static bool has_keys(const json_t *ring)
{
	const json_t *k;
	size_t i;

	json_array_foreach(json_object_get(ring, "keys"), i,
			   k) if (!g_str_has_prefix(json_text_of(k, "name"), "_uid")) return true;
	return false;
}

/* With its keys, if it is the tree's. */
static int read_session(struct batch *b, const struct dtask *t, int serial, json_t *ring)
{
	enum whose whose = is_whose(t, json_text_of(ring, "name"));
	int r = whose == OTHERS ? 0 : read_key(b, serial, ring, 0);

	if (whose != PERHAPS_OURS || (r == 0 && has_keys(ring)))
		return r;
	json_object_del(ring, "keys");
	if (r == -EOPNOTSUPP) {
		err_clear();
		r = 0;
	}
	return r;
}

static int take(struct dump *d, struct dthread *h, const struct answers *a)
{
	struct dtask *t = h->task;
	const struct ids *q = a->data;
	json_t *all = json_object_get(d->extra, "keyrings"), *ring = NULL;
	int serial = (int)answer(a, q->session), r;
	json_int_t users = spaces_users(d, t);
	CLEANUP(batch_end) struct batch b = {0};
	char key[16];

	if (serial <= 0)
		return 0;
	if (!all)
		json_object_set_new(d->extra, "keyrings", all = json_object());
	snprintf(key, sizeof(key), "%d", serial);
	if (!json_object_get(all, key)) {
		dtask_batch(t, &b);
		r = keys_describe(&b, serial, &ring);
		if (r == -EOPNOTSUPP) { /* who may not even look has not made it */
			err_clear();
			return 0;
		}
		if (r < 0)
			return r;
		json_object_set_new(all, key, ring);
		if (users) /* its numbers of users are those that this task sees */
			json_object_set_new(ring, "users", json_integer(users));
		r = read_session(&b, t, serial, ring);
		if (r < 0)
			return r;
	}
	ring = json_object_get(all, key);
	if (!json_object_get(ring, "keys"))
		return 0;
	/* who is born inside could not join what is made for the tree: names are per user namespace
	 */
	if (users && !json_object_get(ring, "users") && d->o.standalone && spaces_has_births(d))
		return err_set(EOPNOTSUPP,
			       "it has the session keyring of another user namespace, and the tree "
			       "has a pid namespace of users inside; clear it (keyctl(1))");
	if (json_integer_value(json_object_get(ring, "users")) &&
	    json_integer_value(json_object_get(ring, "users")) != users)
		return err_set(EOPNOTSUPP,
			       "it has a session keyring of another user namespace, which cannot "
			       "be saved; clear it (keyctl(1))");
	json_object_set_new(t->extra, "keyring", json_string(key));
	return 0;
}

const struct question keys_question = {
	.bytes = sizeof(struct ids), .leader = true, .ask = ask, .take = take};

void keys_set_owner(struct batch *b, struct arg key, const json_t *k, unsigned more)
{
	/* to whom it belongs, as far as that is allowed here */
	batch_may_fail(b, batch_add(b, SYS_keyctl, IMM(KEYCTL_CHOWN), key,
				    IMM(json_integer_value(json_object_get(k, "uid"))),
				    IMM(json_integer_value(json_object_get(k, "gid")))));
	batch_may_fail(
		b, batch_add(b, SYS_keyctl, IMM(KEYCTL_SETPERM), key,
			     IMM((uint32_t)json_integer_value(json_object_get(k, "perm")) | more)));
}

static int add_keys(struct batch *b, int ring, const json_t *keys, unsigned depth)
{
	json_t *k;
	size_t i;
	int r = 0;

	if (depth > DEPTH_MAX)
		return err_set(EBADMSG, "%s: keyrings in too many others", IMAGE_EXTRA);
	json_array_foreach(keys, i, k)
	{
		const json_t *inner = json_object_get(k, "keys");
		gsize n = 0;
		g_autofree guchar *payload =
			inner ? NULL : g_base64_decode(json_text_of(k, "payload"), &n);
		int op;

		batch_room(b, 3, n + strlen(json_text_of(k, "name")) + 64);
		op = batch_add(b, SYS_add_key, batch_str(b, json_text_of(k, "type")),
			       batch_str(b, json_text_of(k, "name")),
			       n ? batch_in(b, payload, n) : IMM(0), IMM(n), IMM(ring));
		if (!inner)
			keys_set_owner(b, RES(op), k, 0);
		r = batch_run(b);
		if (r == 0 && inner)
			r = add_keys(b, (int)batch_result(b, op), inner, depth + 1);
		if (r == 0 && inner)
			keys_set_owner(b, IMM(batch_result(b, op)), k, 0);
		if (r < 0)
			return err_wrap(r, "key \"%s\"", json_text_of(k, "name"));
	}
	return batch_run(b);
}

int keys_add(struct batch *b, int ring, const json_t *keys)
{
	return add_keys(b, ring, keys, 0);
}

/* The name of the one that the task has; "": none. */
static int current_name(struct batch *b, json_t **ret)
{
	int op = batch_add(b, SYS_keyctl, IMM(KEYCTL_GET_KEYRING_ID), IMM(KEY_SPEC_SESSION_KEYRING),
			   IMM(0));
	int r;

	batch_may_fail(b, op);
	r = batch_run(b);
	if (r < 0 || batch_result(b, op) < 0)
		return r < 0 ? r : 1;
	return keys_describe(b, (int)batch_result(b, op), ret);
}

/* Joins it; *RET_NEW: it is the first. */
static int join(struct batch *b, json_t *ring, bool *ret_new)
{
	json_int_t made = json_integer_value(json_object_get(ring, "made"));
	bool nameless = strcmp(json_text_of(ring, "name"), SESSION_NAME) == 0;
	json_t *now = NULL;
	int op, r = current_name(b, &now);
	bool same = r == 0 && strcmp(json_text_of(now, "name"), json_text_of(ring, "name")) == 0 &&
		    !nameless;

	json_decref(now);
	if (r < 0)
		return r;
	op = same ? batch_add(b, SYS_keyctl, IMM(KEYCTL_GET_KEYRING_ID),
			      IMM(KEY_SPEC_SESSION_KEYRING), IMM(0))
		  : batch_add(b, SYS_keyctl, IMM(KEYCTL_JOIN_SESSION_KEYRING),
			      nameless ? IMM(0) : batch_str(b, json_text_of(ring, "name")));
	r = batch_run(b);
	*ret_new = r == 0 && batch_result(b, op) != made;
	if (*ret_new)
		json_object_set_new(ring, "made", json_integer(batch_result(b, op)));
	return r;
}

/* That of its own, or of the root's users, or NULL. */
static json_t *ring_of(const struct restore *r, const struct rtask *t, bool inside)
{
	const char *serial = json_string_value(json_object_get(t->extra, "keyring"));
	json_t *ring = json_object_get(json_object_get(r->extra, "keyrings"), serial ?: "");

	return (json_object_get(ring, "users") != NULL) == inside ? ring : NULL;
}

static int restore(struct restore *r, struct rtask *t, json_t *ring)
{
	CLEANUP(batch_end) struct batch b = {0};
	bool fresh;
	int ret;

	if (!ring)
		return 0;
	rtask_batch(t, &b);
	ret = join(&b, ring, &fresh);
	if (ret == 0 && fresh) {
		int made = (int)json_integer_value(json_object_get(ring, "made"));

		ret = add_keys(&b, made, json_object_get(ring, "keys"), 0);
		keys_set_owner(&b, IMM(made), ring, USR_SEARCH);
	}
	if (ret == 0)
		ret = batch_run(&b);
	return ret < 0 ? err_wrap(ret, "session keyring \"%s\"", json_text_of(ring, "name")) : 0;
}

int keys_restore(struct restore *r, struct rtask *t)
{
	return restore(r, t, ring_of(r, t, false));
}

int keys_restore_inside(struct restore *r, struct rtask *t)
{
	return restore(r, t, ring_of(r, t, true));
}

static int end(struct rtask *t, json_t *ring)
{
	CLEANUP(batch_end) struct batch b = {0};

	if (!ring)
		return 0;
	rtask_batch(t, &b);
	keys_set_owner(&b, IMM(json_integer_value(json_object_get(ring, "made"))), ring, 0);
	return batch_run(&b);
}

int keys_restore_end(struct restore *r, struct rtask *t)
{
	return end(t, ring_of(r, t, false));
}

int keys_restore_end_inside(struct restore *r, struct rtask *t)
{
	return end(t, ring_of(r, t, true));
}
