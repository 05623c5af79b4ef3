/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials: credentials(7), capabilities(7).
 *
 * The order at restore follows from what each step needs: ids while SECBIT_NO_SETUID_FIXUP keeps
 * capabilities alive (root's need no keeping); inheritable before the bounding set shrinks; ambient
 * while permitted and inheritable are there; securebits while there is CAP_SETPCAP; the final
 * capset(2) takes the rest away.  A change of ids resets the parent-death signal, and dumpable for
 * the whole process, so those come last (kernel/cred.c: commit_creds()).
 */
#include "state/ns/ns.h"
#include "state/ns/spaces.h"
#include "state/task/task.h"

#include "base/log.h"
#include "image/creds.pb-c.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/prctl.h>

#define CAP_WORDS  2
#define GROUPS_MAX 65536 /* NGROUPS_MAX */

static uint32_t *caps_message(uint64_t caps, size_t *n)
{
	uint32_t *w = g_new(uint32_t, CAP_WORDS);

	w[0] = (uint32_t)caps;
	w[1] = (uint32_t)(caps >> 32);
	*n = CAP_WORDS;
	return w;
}

static uint64_t caps_of(const uint32_t *w, size_t n)
{
	return (n > 0 ? w[0] : 0) | (n > 1 ? (uint64_t)w[1] << 32 : 0);
}

static int creds_ask(struct dthread *h, struct batch *b, void *data)
{
	*(int *)data = batch_add(b, SYS_prctl, IMM(PR_GET_SECUREBITS));
	return 0;
}

static int creds_take(struct dump *d, struct dthread *h, const struct answers *a)
{
	const struct procstatus *s = &h->status;
	CredsEntry *e;

	h->core->thread_core->creds = e = g_new0(CredsEntry, 1);
	creds_entry__init(e);
	e->uid = users_uid(d, s->uid[0]);
	e->euid = users_uid(d, s->uid[1]);
	e->suid = users_uid(d, s->uid[2]);
	e->fsuid = users_uid(d, s->uid[3]);
	e->gid = users_gid(d, s->gid[0]);
	e->egid = users_gid(d, s->gid[1]);
	e->sgid = users_gid(d, s->gid[2]);
	e->fsgid = users_gid(d, s->gid[3]);
	e->cap_inh = caps_message(s->cap_inh, &e->n_cap_inh);
	e->cap_prm = caps_message(s->cap_prm, &e->n_cap_prm);
	e->cap_eff = caps_message(s->cap_eff, &e->n_cap_eff);
	e->cap_bnd = caps_message(s->cap_bnd, &e->n_cap_bnd);
	e->cap_amb = caps_message(s->cap_amb, &e->n_cap_amb);
	e->secbits = (uint32_t)answer(a, *(const int *)a->data);
	e->groups = g_memdup2(s->groups, s->ngroups * sizeof(gid_t));
	e->n_groups = s->ngroups;
	for (size_t i = 0; i < e->n_groups; i++)
		e->groups[i] = users_gid(d, e->groups[i]);
	e->has_no_new_privs = s->no_new_privs;
	e->no_new_privs = s->no_new_privs;
	return 0;
}

const struct question creds_question = {
	.bytes = sizeof(int),
	.ask = creds_ask,
	.take = creds_take,
};

int creds_load(struct rthread *h)
{
	const CredsEntry *e = h->core->thread_core->creds;

	if (!e)
		return err_set(EBADMSG, "there are no credentials");
	if (e->n_groups > GROUPS_MAX)
		return err_set(EBADMSG, "%zu groups", e->n_groups);
	return 0;
}

static void capset(struct batch *b, uint64_t inh, uint64_t prm, uint64_t eff)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{(uint32_t)eff, (uint32_t)prm, (uint32_t)inh},
		{(uint32_t)(eff >> 32), (uint32_t)(prm >> 32), (uint32_t)(inh >> 32)},
	};

	batch_room(b, 1, sizeof(head) + sizeof(data) + 16);
	batch_add(b, SYS_capset, batch_in(b, &head, sizeof(head)), batch_in(b, data, sizeof(data)));
}

static bool box_may(const struct restore *r, unsigned cap)
{
	return r->caps & UINT64_C(1) << cap;
}

static bool has_groups(const struct restore *r, const CredsEntry *e)
{
	const GArray *g = r->groups;

	return g && g->len == e->n_groups &&
	       (g->len == 0 || memcmp(g->data, e->groups, g->len * sizeof(gid_t)) == 0);
}

/* What needs rights is not asked for by whoever has none, if it is so already. */
static void securebits(struct batch *b, const struct restore *r, uint32_t bits)
{
	if (box_may(r, CAP_SETPCAP) || bits != (uint32_t)prctl(PR_GET_SECUREBITS))
		batch_add(b, SYS_prctl, IMM(PR_SET_SECUREBITS), IMM(bits));
}

static void ids(struct batch *b, const struct restore *r, const CredsEntry *e)
{
	if (!has_groups(r, e))
		batch_add(b, SYS_setgroups, IMM(e->n_groups),
			  e->n_groups ? batch_in(b, e->groups, e->n_groups * sizeof(gid_t))
				      : IMM(0));
	/* these two take the file system's along: kernel/sys.c */
	batch_add(b, SYS_setresgid, IMM(e->gid), IMM(e->egid), IMM(e->sgid));
	if (e->fsgid != e->egid)
		batch_add(b, SYS_setfsgid, IMM(e->fsgid));
	batch_add(b, SYS_setresuid, IMM(e->uid), IMM(e->euid), IMM(e->suid));
	if (e->fsuid != e->euid)
		batch_add(b, SYS_setfsuid, IMM(e->fsuid));
}

/* -1, "as it is", for what is unknown there. */
static uint64_t inside(const struct users *u, bool group, uint32_t id)
{
	uint32_t n = spaces_number_inside(u->maps, group, id);

	return n == OVERFLOW_ID && u->maps->len ? (uint64_t)-1 : n;
}

void creds_take_users(const struct rthread *h, const struct users *u, struct batch *b)
{
	const CredsEntry *e = h->core->thread_core->creds;
	g_autofree gid_t *groups = g_new0(gid_t, e->n_groups + 1);
	const uint32_t uid = u->owner ? *u->owner : e->uid, euid = u->owner ? *u->owner : e->euid;
	const uint32_t suid = u->owner ? *u->owner : e->suid;
	bool known = true;

	for (size_t i = 0; i < e->n_groups; i++) {
		groups[i] = (gid_t)inside(u, true, e->groups[i]);
		known = known && groups[i] != (gid_t)-1;
	}
	batch_add(b, SYS_prctl, IMM(PR_SET_SECUREBITS), IMM(SECBIT_NO_SETUID_FIXUP));
	if (!u->deny && known) /* or it has been born with them: spaces_births.c */
		batch_add(b, SYS_setgroups, IMM(e->n_groups),
			  e->n_groups ? batch_in(b, groups, e->n_groups * sizeof(gid_t)) : IMM(0));
	batch_add(b, SYS_setresgid, IMM(inside(u, true, e->gid)), IMM(inside(u, true, e->egid)),
		  IMM(inside(u, true, e->sgid)));
	batch_add(b, SYS_setfsgid, IMM(inside(u, true, e->fsgid)));
	batch_add(b, SYS_setresuid, IMM(inside(u, false, uid)), IMM(inside(u, false, euid)),
		  IMM(inside(u, false, suid)));
	batch_add(b, SYS_setfsuid, IMM(inside(u, false, u->owner ? euid : e->fsuid)));
}

/* kernel/user_namespace.c: set_cred_user_ns(): who enters one has all, and may lose all, there. */
#define ALL_CAPS UINT64_MAX

static bool is_known(unsigned cap)
{
	return prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0;
}

/* What may be given: the ceiling of the local configuration, and what the box has at all. */
static uint64_t allowed(struct rthread *h, uint64_t want, const char *set)
{
	uint64_t can = h->task->restore->o.cap_ceiling & h->task->restore->caps;

	if (spaces_has_users(h->task))
		return want;

	if (want & ~can)
		log_info("thread %d: %s capabilities %#" PRIx64 " are not allowed here", h->nstid,
			 set, want & ~can);
	return want & can;
}

static bool is_root(const CredsEntry *e)
{
	return !e->uid && !e->euid && !e->suid && !e->fsuid;
}

static void drop_bounding(struct batch *b, uint64_t set)
{
	for (unsigned cap = 0; cap < 64; cap++)
		if (set & UINT64_C(1) << cap && is_known(cap))
			batch_add(b, SYS_prctl, IMM(PR_CAPBSET_DROP), IMM(cap));
}

void creds_bounding(struct rtask *t, struct batch *b)
{
	uint64_t keep = 0, all = spaces_has_users(t) ? ALL_CAPS : t->restore->bounding;

	for (unsigned i = 0; i < t->nthreads; i++) {
		const CredsEntry *e = t->threads[i].core->thread_core->creds;

		/* nothing becomes inheritable any more that is not in there */
		keep |= caps_of(e->cap_bnd, e->n_cap_bnd) | caps_of(e->cap_inh, e->n_cap_inh);
	}
	drop_bounding(b, t->dropped = all & ~keep);
}

int creds_tell(struct restore *r, struct rthread *h, struct batch *b)
{
	const ThreadCoreEntry *c = h->core->thread_core;
	const CredsEntry *e = c->creds;
	uint64_t inh = allowed(h, caps_of(e->cap_inh, e->n_cap_inh), "inheritable");
	uint64_t prm = allowed(h, caps_of(e->cap_prm, e->n_cap_prm), "permitted");
	uint64_t eff = caps_of(e->cap_eff, e->n_cap_eff) & prm;
	uint64_t amb = caps_of(e->cap_amb, e->n_cap_amb) & prm & inh;
	bool inner = spaces_has_users(h->task); /* its ids are its own already */
	/* who may not lower it has what its box has, which is what our caller has */
	uint64_t most = inner || !box_may(r, CAP_SETPCAP) ? ALL_CAPS : r->o.cap_ceiling;
	uint64_t bnd = caps_of(e->cap_bnd, e->n_cap_bnd) & most;
	uint64_t caps = inner ? ALL_CAPS : r->caps, bounding = inner ? ALL_CAPS : r->bounding;

	if (!is_root(e) && (inner || box_may(r, CAP_SETUID)))
		batch_add(b, SYS_prctl, IMM(PR_SET_SECUREBITS), IMM(SECBIT_NO_SETUID_FIXUP));
	if (!inner)
		ids(b, r, e);
	/* ambient goes with inheritable: security/commoncap.c: cap_capset() */
	if (inh) {
		capset(b, inh, caps, caps);
		batch_add(b, SYS_prctl, IMM(PR_CAP_AMBIENT), IMM(PR_CAP_AMBIENT_CLEAR_ALL), IMM(0),
			  IMM(0), IMM(0));
	}
	drop_bounding(b, bounding & ~bnd & ~h->task->dropped);
	for (unsigned cap = 0; cap < 64; cap++)
		if (amb & UINT64_C(1) << cap)
			batch_add(b, SYS_prctl, IMM(PR_CAP_AMBIENT), IMM(PR_CAP_AMBIENT_RAISE),
				  IMM(cap), IMM(0), IMM(0));
	if (inner)
		batch_add(b, SYS_prctl, IMM(PR_SET_SECUREBITS), IMM(e->secbits));
	else
		securebits(b, r, e->secbits);
	if (r->o.no_new_privs || (e->has_no_new_privs && e->no_new_privs))
		batch_add(b, SYS_prctl, IMM(PR_SET_NO_NEW_PRIVS), IMM(1), IMM(0), IMM(0), IMM(0));
	capset(b, inh, prm, eff);
	if (c->has_pdeath_sig && c->pdeath_sig)
		batch_add(b, SYS_prctl, IMM(PR_SET_PDEATHSIG), IMM(c->pdeath_sig));
	return 0;
}

void creds_lower(struct restore *r, struct rthread *h, struct batch *b)
{
	const CredsEntry *e = h->core->thread_core->creds;
	uint64_t prm = allowed(h, caps_of(e->cap_prm, e->n_cap_prm), "permitted");

	if (box_may(r, CAP_SETUID))
		batch_add(b, SYS_prctl, IMM(PR_SET_SECUREBITS), IMM(SECBIT_NO_SETUID_FIXUP));
	ids(b, r, e);
	capset(b, 0, r->caps, caps_of(e->cap_eff, e->n_cap_eff) & prm);
}

void creds_raise(struct restore *r, struct rthread *h, struct batch *b)
{
	capset(b, 0, r->caps, r->caps);
	batch_add(b, SYS_prctl, IMM(PR_SET_DUMPABLE), IMM(1)); /* commit_creds() cleared it */
}

int dumpable_tell(struct restore *r, struct rthread *h, struct batch *b)
{
	const MmEntry *m = h->task->mm;

	if (h->slot == h->task->slot && m->has_dumpable && m->dumpable <= 1)
		batch_add(b, SYS_prctl, IMM(PR_SET_DUMPABLE), IMM(m->dumpable));
	return 0;
}
