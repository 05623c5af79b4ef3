/* SPDX-License-Identifier: Apache-2.0 */
/* Host and domain name, where the tree has a UTS namespace of its own. */
#include "state/ns/spaces.h"

#include "base/fd.h"
#include "state/ns/ns.h"

#include "image/utsns.pb-c.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>

static int is_own(int dir, bool *ret)
{
	CLEANUP(proc_close) struct proc self = PROC_NONE;
	uint64_t its, ours;
	int r = proc_open(getpid(), &self);

	if (r == 0)
		r = ns_id(dir, NS_UTS, &its);
	if (r == 0)
		r = ns_id(self.dir, NS_UTS, &ours);
	*ret = r == 0 && its != ours;
	return r;
}

static int copy_names(void *arg, int *ret_fd)
{
	autoclose int to = memfd_create("names", MFD_CLOEXEC);
	struct utsname u;
	int r = to < 0 || uname(&u) < 0 ? err_errno("host name")
					: fd_pwrite_full(to, &u, sizeof(u), 0);

	*ret_fd = take_fd(&to);
	return r;
}

/* As T sees them. */
static int dump_names(struct dump *d, struct dtask *t, uint32_t id)
{
	UtsnsEntry e = UTSNS_ENTRY__INIT;
	CLEANUP(batch_end) struct batch b = {0};
	struct utsname u;
	int r;

	dtask_batch(t, &b);
	batch_add(&b, SYS_uname, batch_out(&b, &u, sizeof(u)));
	r = batch_run(&b);
	if (r < 0)
		return r;
	e.nodename = u.nodename;
	e.domainname = u.domainname;
	return image_write(&d->w, IMG_UTSNS, id, &e.base);
}

static int dump_space(struct dump *d, const struct space *s)
{
	struct utsname u;
	UtsnsEntry e = UTSNS_ENTRY__INIT;
	autoclose int copy = -1;
	int r = ns_run(&s->fd, 1, copy_names, NULL, &copy);

	if (r == 0)
		r = fd_pread_full(copy, &u, sizeof(u), 0);
	e.nodename = u.nodename;
	e.domainname = u.domainname;
	return r < 0 ? r : image_write(&d->w, IMG_UTSNS, s->id, &e.base);
}

int uts_dump(struct dump *d)
{
	struct dtask *t = dump_task(d, 0);
	bool own;
	int r = is_own(t->proc.dir, &own);

	if (r == 0 && own)
		r = dump_names(d, t, NSID_UTS);
	for (unsigned i = 0; r == 0 && i < d->spaces->len; i++) {
		const struct space *s = g_ptr_array_index(d->spaces, i);

		if (s->kind == NS_UTS)
			r = dump_space(d, s);
	}
	return r;
}

int uts_restore(struct restore *r)
{
	CLEANUP(image_record_free) UtsnsEntry *e = NULL;
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	CLEANUP(batch_end) struct batch b = {0};
	struct utsname u;
	bool own = false;
	int ret = image_load_optional(r->o.images, IMG_UTSNS, r->nsids.v[NS_UTS], &e);

	if (ret != 0)
		return ret < 0 ? ret : 0;
	if (strlen(e->nodename) >= sizeof(u.nodename) ||
	    strlen(e->domainname) >= sizeof(u.domainname))
		return err_set(EBADMSG, "utsns-%d.img: the names are too long", NSID_UTS);
	ret = proc_open(r->stub.pid, &p);
	if (ret == 0)
		ret = is_own(p.dir, &own);
	if (ret < 0 || !own)
		return ret;
	rtask_batch(restore_task(r, 0), &b);
	batch_add(&b, SYS_uname, batch_out(&b, &u, sizeof(u)));
	ret = batch_run(&b);
	if (ret < 0)
		return ret;
	if (strcmp(u.nodename, e->nodename) != 0 &&
	    (!r->o.hostname_was || strcmp(e->nodename, r->o.hostname_was) != 0))
		batch_add(&b, SYS_sethostname, batch_str(&b, e->nodename),
			  IMM(strlen(e->nodename)));
	if (strcmp(u.domainname, e->domainname) != 0)
		batch_add(&b, SYS_setdomainname, batch_str(&b, e->domainname),
			  IMM(strlen(e->domainname)));
	return batch_run(&b);
}
