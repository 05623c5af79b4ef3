/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What mq_receive(3) would give, without taking it; and whom mq_notify(3) is to tell, and what.
 * ipc/mqueue.c: struct mqueue_inode_info, struct posix_msg_tree_node; ipc/msgutil.c: load_msg()
 */
#include "kernel/peek.h"
#include "state/ns/mqueue.h"
#include "state/sock/sock.h"

#include <errno.h>
#include <signal.h>

#define MESSAGES_MAX (1u << 20)
#define BYTES_MAX    (256u << 20)
#define DEPTH	     64
#define PAGE	     4096

struct walk {
	struct dump *d;
	uint32_t id;
	json_t *priorities;
	unsigned n;
};

/* The first piece is behind its header, the others behind a pointer to the next, a page each. */
static int read_text(struct peek *k, uint64_t msg, GByteArray *into)
{
	uint64_t left, at, next;
	unsigned header;
	int r = peek_u64(k, msg, "msg_msg", "m_ts", &left);

	if (r == 0)
		r = peek_u64(k, msg, "msg_msg", "next", &next);
	if (r == 0)
		r = peek_size(k, "msg_msg", &header);
	if (r == 0 && left > BYTES_MAX)
		r = err_set(EFBIG, "a message of %" PRIu64 " bytes", left);
	at = msg;
	while (r == 0) {
		size_t n = MIN(left, PAGE - header), was = into->len;

		g_byte_array_set_size(into, (guint)(was + n));
		r = n ? peek_read(k, at + header, into->data + was, n) : 0;
		left -= n;
		if (r < 0 || !left)
			return r;
		if (at != msg)
			r = peek_u64(k, at, "msg_msgseg", "next", &next);
		at = next;
		header = sizeof(uint64_t);
	}
	return r;
}

/* Those of one priority, in their order. */
static int read_list(struct peek *k, struct walk *w, uint64_t head, uint32_t priority)
{
	uint64_t at, within;
	int r = peek_at(k, 0, "msg_msg", "m_list", &within);

	if (r == 0)
		r = peek_u64(k, head, "list_head", "next", &at);
	while (r == 0 && at != head) {
		g_autoptr(GByteArray) text = g_byte_array_new();

		if (++w->n > MESSAGES_MAX)
			return err_set(E2BIG, "more than %u messages", MESSAGES_MAX);
		r = read_text(k, at - within, text);
		if (r == 0)
			r = sock_queue_add(w->d, w->id, text->data, text->len);
		json_array_append_new(w->priorities, json_integer(priority));
		if (r == 0)
			r = peek_u64(k, at, "list_head", "next", &at);
	}
	return r;
}

/* A tree of priorities, from the highest down. */
static int read_tree(struct peek *k, struct walk *w, uint64_t node, unsigned depth)
{
	uint64_t within, left, right, list;
	uint32_t priority;
	int r = !node ? 0 : peek_at(k, 0, "posix_msg_tree_node", "rb_node", &within);

	if (!node || r < 0)
		return r;
	if (depth > DEPTH)
		return err_set(ELOOP, "a tree of the kernel has no end");
	r = peek_u64(k, node, "rb_node", "rb_right", &right);
	if (r == 0)
		r = peek_u64(k, node, "rb_node", "rb_left", &left);
	if (r == 0)
		r = peek_at(k, node - within, "posix_msg_tree_node", "msg_list", &list);
	if (r == 0)
		r = peek_u32(k, node - within, "posix_msg_tree_node", "priority", &priority);
	if (r == 0)
		r = read_tree(k, w, right, depth + 1);
	if (r == 0)
		r = read_list(k, w, list, priority);
	return r < 0 ? r : read_tree(k, w, left, depth + 1);
}

static int read_notify(struct peek *k, struct dump *d, uint64_t info, json_t *x)
{
	uint64_t owner, value;
	uint32_t signal, how;
	pid_t pid, nspid = 0;
	int r = peek_u64(k, info, "mqueue_inode_info", "notify_owner", &owner);

	if (r < 0 || !owner)
		return r;
	r = peek_pid(k, owner, &pid);
	if (r == 0)
		r = peek_u64(k, info, "mqueue_inode_info", "notify.sigev_value", &value);
	if (r == 0)
		r = peek_u32(k, info, "mqueue_inode_info", "notify.sigev_signo", &signal);
	if (r == 0)
		r = peek_u32(k, info, "mqueue_inode_info", "notify.sigev_notify", &how);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < d->tasks->len; i++)
		if (dump_task(d, i)->pid == pid)
			nspid = dump_task(d, i)->nspid;
	if (!nspid)
		return err_set(EOPNOTSUPP,
			       "process %d, outside of the tree, is to be told of "
			       "messages",
			       pid);
	json_object_set_new(x, "notify",
			    json_pack("{s:i,s:i,s:i,s:I}", "pid", nspid, "how", (int)how, "signal",
				      (int)signal, "value", (json_int_t)value));
	return 0;
}

int mqueue_peek(struct dump *d, int fd, uint32_t id, json_t *x)
{
	struct walk w = {.d = d, .id = id, .priorities = json_array()};
	uint64_t file, inode, within, info, root;
	struct peek *k;
	int r;

	json_object_set_new(x, "priorities", w.priorities);
	if (!dump_peek(d, &k))
		return err_set(EOPNOTSUPP, "its messages cannot be read without taking them, as "
					   "this kernel does not let its memory be read");
	r = peek_file(k, fd, &file);
	if (r == 0)
		r = peek_u64(k, file, "file", "f_inode", &inode);
	if (r == 0)
		r = peek_at(k, 0, "mqueue_inode_info", "vfs_inode", &within);
	info = inode - within;
	if (r == 0)
		r = peek_u64(k, info, "mqueue_inode_info", "msg_tree.rb_node", &root);
	if (r == 0)
		r = read_tree(k, &w, root, 0);
	return r < 0 ? r : read_notify(k, d, info, x);
}
