/* SPDX-License-Identifier: Apache-2.0 */
/* Message queues of System V, with what is in them. */
#include "state/ns/ipc.h"

#include "image/ipc-msg.pb-c.h"

#include <errno.h>
#include <string.h>
#include <sys/msg.h>

#ifndef MSG_COPY
#define MSG_COPY 040000 /* Linux 3.8, CONFIG_CHECKPOINT_RESTORE */
#endif
#define MSG_BYTES_MAX (64u << 20)

static int dump_messages(struct dump *d, int id, const struct msqid_ds *q)
{
	struct message {
		long type;
		uint8_t data[];
	} * m;
	g_autofree void *buf = NULL;
	size_t max = q->__msg_cbytes + 8;

	if (max > MSG_BYTES_MAX)
		return err_set(EFBIG, "%zu bytes are queued", max);
	buf = m = g_malloc0(sizeof(*m) + max + 8);
	for (unsigned i = 0; i < q->msg_qnum; i++) {
		IpcMsg e = IPC_MSG__INIT;
		ssize_t n = msgrcv(id, m, max, i, IPC_NOWAIT | MSG_COPY | MSG_NOERROR);
		int r;

		if (n < 0)
			return err_errno("message %u", i);
		memset(m->data + n, 0, 8);
		e.mtype = (uint64_t)m->type;
		e.msize = (uint32_t)n;
		r = image_write(&d->w, IMG_IPCNS_MSG, d->ipc_id, &e.base);
		if (r == 0)
			r = image_write_raw(&d->w, IMG_IPCNS_MSG, d->ipc_id, m->data,
					    ROUND_UP((size_t)n, 8));
		if (r < 0)
			return r;
	}
	return 0;
}

static int dump_queue(struct dump *d, int id)
{
	IpcMsgEntry e = IPC_MSG_ENTRY__INIT;
	IpcDescEntry desc;
	struct msqid_ds q;
	int r;

	if (msgctl(id, IPC_STAT, &q) < 0)
		return err_errno("look at it");
	ipc_desc_fill(&desc, id, &q.msg_perm);
	e.desc = &desc;
	e.qbytes = (uint32_t)q.msg_qbytes;
	e.qnum = (uint32_t)q.msg_qnum;
	r = image_write(&d->w, IMG_IPCNS_MSG, d->ipc_id, &e.base);
	return r < 0 ? r : dump_messages(d, id, &q);
}

int ipc_msg_dump(struct dump *d)
{
	return ipc_each(d, "msg", dump_queue);
}

static int make_queue(key_t key, int flags, const void *arg)
{
	return msgget(key, flags);
}

static int restore_messages(struct image *img, const IpcMsgEntry *e)
{
	CLEANUP(image_record_free) IpcMsg *m = NULL;
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < e->qnum; i++) {
		g_autofree long *buf = NULL;

		ret = image_read_as(img, &ipc_msg__descriptor, &m);
		if (ret != 0)
			return ret < 0 ? ret : err_set(EBADMSG, "message %u is missing", i);
		if (m->msize > MSG_BYTES_MAX || m->msize > image_rest(img))
			return err_set(EBADMSG, "message %u has %u bytes", i, m->msize);
		buf = g_malloc(sizeof(long) + ROUND_UP((size_t)m->msize, 8));
		*buf = (long)m->mtype;
		ret = image_read_raw(img, buf + 1, ROUND_UP((size_t)m->msize, 8));
		if (ret == 0 && msgsnd((int)e->desc->id, buf, m->msize, IPC_NOWAIT) < 0)
			ret = err_errno("message %u", i);
	}
	return ret;
}

int ipc_msg_restore(struct restore *r)
{
	CLEANUP(image_close) struct image *img = NULL;
	CLEANUP(image_record_free) IpcMsgEntry *e = NULL;
	int ret = image_open(r->o.images, IMG_IPCNS_MSG, r->ipc_id, &img);

	while (ret == 0 && (ret = image_read(img, &e)) == 0) {
		struct msqid_ds q = {0};

		ret = ipc_desc_check(e->desc);
		if (ret == 0)
			ret = ipc_create("msg", e->desc, make_queue, NULL);
		if (ret == 0 && msgctl((int)e->desc->id, IPC_STAT, &q) < 0)
			ret = err_errno("msg %u", e->desc->id);
		ipc_perm_of(e->desc, &q.msg_perm);
		q.msg_qbytes = e->qbytes;
		if (ret == 0 && msgctl((int)e->desc->id, IPC_SET, &q) < 0)
			ret = err_errno("msg %u", e->desc->id);
		if (ret == 0)
			ret = restore_messages(img, e);
		if (ret < 0)
			return err_wrap(ret, "msg %u", e->desc->id);
	}
	return ret < 0 ? ret : 0;
}
