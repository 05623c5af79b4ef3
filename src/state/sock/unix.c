/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unix(7) sockets: what they are.  Making them again: state/sock/unix_restore.c.
 *
 * A connection whose other end is outside of the tree cannot be kept.  One that waits to be
 * accepted is recorded, as by CRIU, as a client whose peer is the listening socket.
 */
#include "base/file.h"
#include "state/fd/files.h"
#include "state/ns/ns.h"
#include "state/ns/spaces.h"
#include "state/sock/sock.h"
#include "state/sock/socks.h"
#include "state/sock/unix_memory.h"
#include "state/sock/unix_place.h"

#include "image/sk-unix.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define UNIX_PATH_MAX sizeof(((struct sockaddr_un *)NULL)->sun_path)

static bool match(const struct dump *d, const struct fd_view *v)
{
	return sock_family(v) == AF_UNIX;
}

static const struct diag_unix *facts(const struct dump *d, uint32_t ino)
{
	return g_hash_table_lookup(d->socks->unix_all, GUINT_TO_POINTER(ino));
}

/* The listening socket that is to accept the connection of this one; 0: none. */
static uint32_t awaits(const struct dump *d, uint32_t ino)
{
	return GPOINTER_TO_UINT(g_hash_table_lookup(d->socks->awaiting, GUINT_TO_POINTER(ino)));
}

/* "@name" or "/path", for people. */
static void show(const struct diag_unix *u, char ret[static 128])
{
	if (!u || u->name_len == 0)
		snprintf(ret, 128, "unnamed");
	else if (u->name[0] == 0)
		snprintf(ret, 128, "@%.*s", (int)u->name_len - 1, u->name + 1);
	else
		snprintf(ret, 128, "%.*s", (int)u->name_len, u->name);
}

static const struct cryo_external *external_of(const struct dump *d, const struct diag_unix *u)
{
	char mine[32], its[32];

	snprintf(mine, sizeof(mine), "unix[%u]", u->ino);
	snprintf(its, sizeof(its), "unix[%u]", u->peer);
	for (unsigned i = 0; i < d->o.nexternals; i++)
		if (!strcmp(d->o.externals[i].key, mine) || !strcmp(d->o.externals[i].key, its))
			return &d->o.externals[i];
	return NULL;
}

/* --ext-unix-sk, --external unix[INODE] of either end */
static bool may_be_outside(const struct dump *d, const struct diag_unix *u)
{
	return d->o.ext_unix_sk || external_of(d, u);
}

/* A process that has asked for its own dump waits there for the answer. */
static bool leads_to_us(const struct dump *d, const struct diag_unix *u)
{
	const struct cryo_external *x = external_of(d, u);

	return x && x->name && strcmp(x->name, CRYO_SERVICE) == 0;
}

static int refuse_peer(const struct dump *d, const char *link, const struct diag_unix *u,
		       uint32_t peer)
{
	char name[128];

	show(facts(d, peer), name);
	return err_set(EOPNOTSUPP,
		       "%s: the peer of this unix socket (%s, socket:[%u]) is outside of the tree; "
		       "close the connection first, or use --ext-unix-sk to %s",
		       link, name, peer,
		       u->type == SOCK_DGRAM ? "connect it by name again"
					     : "restore it with its peer closed");
}

static int check_inside(struct dump *d, const char *link, const struct diag_unix *u, uint32_t peer)
{
	const struct diag_unix *p = facts(d, peer);

	/* of socketpair(2): only the peer can have sent it */
	if (u->type == SOCK_DGRAM && p && p->peer != u->ino && p->name_len == 0 && u->rqueue)
		return err_set(EOPNOTSUPP,
			       "%s: its peer (socket:[%u]) is connected elsewhere by now, so that "
			       "what it had sent could not be sent again; read it first",
			       link, peer);
	return 0;
}

/* What was found when the tree was frozen, to be looked at again when all is dumped. */
struct unix_peer {
	char link[40];
	uint32_t ino, peer;
	bool external;
};

static int check_peer(struct dump *d, const struct sock_view *s, const struct diag_unix *u)
{
	uint32_t peer = u->peer;
	struct unix_peer p = {.ino = u->ino};

	if (!u->has_peer)
		return 0;
	if (peer == 0)
		peer = awaits(d, u->ino);
	if (peer == 0)
		return 0;
	if (socks_has(d, peer))
		return check_inside(d, s->v->link, u, peer);
	p.external = may_be_outside(d, u);
	if (!d->frozen) /* it may be on its way */
		return p.external || socks_flight(d) ? 0 : refuse_peer(d, s->v->link, u, peer);
	p.peer = peer;
	g_strlcpy(p.link, s->v->link, sizeof(p.link));
	if (!d->socks->to_check)
		d->socks->to_check = g_array_new(FALSE, FALSE, sizeof(p));
	g_array_append_val(d->socks->to_check, p);
	return 0;
}

int socks_check_peers(struct dump *d)
{
	GArray *all = d->socks ? d->socks->to_check : NULL;
	int r = 0;

	for (unsigned i = 0; all && r == 0 && i < all->len; i++) {
		const struct unix_peer *p = &g_array_index(all, struct unix_peer, i);
		const struct diag_unix *u = facts(d, p->ino);
		bool inside = socks_has(d, p->peer);

		if (p->external && inside)
			r = err_set(EAGAIN, "%s: its peer is on its way; try again", p->link);
		else if (!p->external)
			r = inside ? check_inside(d, p->link, u, p->peer)
				   : refuse_peer(d, p->link, u, p->peer);
	}
	return r;
}

/* 1: no longer, or not yet, in sock_diag's list (only while the tree runs). */
static int look(struct dump *d, const struct sock_view *s, struct unix_place *p, char **ret_dir,
		const struct diag_unix **ret)
{
	const struct diag_unix *u = facts(d, s->ino);
	int r;

	*ret = u;
	if (!u)
		return d->frozen ? err_set(ENOENT, "%s: sock_diag does not know it", s->v->link)
				 : 1;
	r = check_peer(d, s, u);
	if (r == 0)
		r = unix_waiting_check(d, s, u);
	if (r == 0 && u->name_len && u->name[0]) {
		r = unix_place_read(d, s, p);
		if (r == 0)
			r = unix_place_check(d, s, u, p, ret_dir);
	}
	return r;
}

static int check(struct dump *d, const struct fd_view *v)
{
	CLEANUP(sock_view_clear) struct sock_view s = SOCK_VIEW_NONE;
	CLEANUP(unix_place_clear) struct unix_place p = {0};
	g_autofree char *dir = NULL;
	const struct diag_unix *u;
	int r = fown_check(v);

	if (r == 0)
		r = sock_view_read(d, v, &s);
	if (r == 0)
		r = sock_options_check(&s);
	if (r == 0)
		r = err_wrap(unix_urgent_check(d, &s), "%s", v->link);
	if (r == 0)
		r = look(d, &s, &p, &dir, &u);
	return r < 0 ? r : 0;
}

static int ask_cred(void *arg, int *ret_fd)
{
	struct ucred c = {0};
	socklen_t len = sizeof(c);
	int status = 0, pipes[2];
	pid_t pid = -1;

	if (pipe2(pipes, O_CLOEXEC) == 0)
		pid = fork();
	if (pid < 0)
		return err_errno("fork");
	if (pid == 0) {
		getsockopt(*(int *)arg, SOL_SOCKET, SO_PEERCRED, &c, &len);
		_exit(write(pipes[1], &c.pid, sizeof(c.pid)) < 0);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno("wait for the child in the pid namespace");
	if (status || read(pipes[0], &c.pid, sizeof(c.pid)) != sizeof(c.pid))
		return err_set(EIO, "the child in the pid namespace says nothing");
	return c.pid;
}

/* As the tree numbers a peer that is gone: only who is in its pid namespace is told. */
static pid_t gone_peer(struct dump *d, int fd, pid_t pid)
{
	autoclose int ns = -1;
	int r;

	if (!d->depth)
		return pid;
	r = ns_open(dump_task(d, 0)->proc.dir, NS_PID, &ns);
	if (r == 0)
		r = ns_run(&ns, 1, ask_cred, &fd, NULL);
	if (r < 0)
		err_clear();
	return MAX(r, 0);
}

json_t *unix_cred(struct dump *d, pid_t pid, uid_t uid, gid_t gid)
{
	pid_t nspid = 0;

	for (unsigned i = 0; i < d->tasks->len; i++)
		if (dump_task(d, i)->pid == pid)
			nspid = dump_task(d, i)->nspid;
	return json_pack("[i,I,I]", nspid, (json_int_t)users_uid(d, uid),
			 (json_int_t)users_gid(d, gid));
}

void unix_cred_dump(struct dump *d, int fd, json_t *x)
{
	struct ucred c = {0};
	socklen_t len = sizeof(c);

	json_t *cred;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) < 0 || c.uid == (uid_t)-1)
		return;
	cred = unix_cred(d, c.pid, c.uid, c.gid);
	if (c.pid > 0 && json_integer_value(json_array_get(cred, 0)) == 0)
		json_array_set_new(cred, 0, json_integer(gone_peer(d, fd, c.pid)));
	json_object_set_new(x, "cred", cred);
}

static void dump_name(struct dump *d, UnixSkEntry *e, const struct diag_unix *u,
		      const struct unix_place *p)
{
	e->name.len = u->name_len;
	e->name.data = g_memdup2(u->name, u->name_len);
	if (!p->link)
		return;
	e->mnt_id = p->mnt_id;
	e->has_mnt_id = p->mnt_id >= 0;
	e->has_deleted = true;
	e->deleted = p->deleted || p->moved;
	e->file_perms = g_new0(FilePermsEntry, 1);
	file_perms_entry__init(e->file_perms);
	e->file_perms->mode = p->st.st_mode;
	e->file_perms->uid = users_uid(d, p->st.st_uid);
	e->file_perms->gid = users_gid(d, p->st.st_gid);
}

/* A socket that is not the tree's is recorded by its name only, as CRIU does. */
static int dump_external(struct dump *d, const struct diag_unix *u)
{
	FileEntry f = FILE_ENTRY__INIT;
	UnixSkEntry e = UNIX_SK_ENTRY__INIT;
	SkOptsEntry opts = SK_OPTS_ENTRY__INIT;
	int r;

	if (!dump_once(d, "external unix socket", u->ino))
		return 0;
	f.id = e.id = files_new_id(d);
	f.type = FD_TYPES__UNIXSK;
	f.usk = &e;
	e.ino = u->ino;
	e.type = u->type;
	e.state = u->state;
	e.uflags = UNIX_EXTERNAL;
	e.fown = fown_none();
	e.opts = &opts;
	e.name.len = u->name_len;
	e.name.data = (uint8_t *)u->name;
	r = image_write(&d->w, IMG_FILES, 0, &f.base);
	fown_entry__free_unpacked(e.fown, NULL);
	return r;
}

/* A datagram socket is connected again by name; of a stream, the other end is closed. */
static int dump_outside(struct dump *d, UnixSkEntry *e, const struct diag_unix *u)
{
	const struct diag_unix *p = facts(d, e->peer);

	if (!e->peer || socks_has(d, e->peer) || !may_be_outside(d, u))
		return 0;
	if (u->type == SOCK_DGRAM && p && p->name_len)
		return dump_external(d, p);
	e->peer = 0;
	if (leads_to_us(d, u))
		e->uflags = UNIX_SERVICE;
	return 0;
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *file)
{
	CLEANUP(sock_view_clear) struct sock_view s = SOCK_VIEW_NONE;
	CLEANUP(unix_place_clear) struct unix_place p = {0};
	UnixSkEntry *e = file->usk = g_new0(UnixSkEntry, 1);
	const struct diag_unix *u;
	json_t *x;
	int r, off;

	unix_sk_entry__init(e);
	r = sock_view_read(d, v, &s);
	if (r == 0)
		r = look(d, &s, &p, &e->name_dir, &u);
	if (r < 0)
		return r;
	x = sock_extra_new(d, file->id);
	e->id = file->id;
	e->ino = u->ino;
	e->has_ns_id = true;
	e->ns_id = s.ns;
	e->type = u->type;
	e->state = u->state;
	e->flags = v->info.flags & ~(unsigned)O_CLOEXEC;
	e->backlog = u->state == TCP_LISTEN ? u->wqueue : 0;
	e->peer = u->has_peer && !u->peer ? awaits(d, u->ino) : u->peer;
	e->has_shutdown = u->shutdown != 0;
	e->shutdown = (SkShutdown)u->shutdown;
	dump_name(d, e, u, &p);
	if (p.moved)
		json_object_set_new(x, "moved", json_string(p.link));
	if (p.covered)
		json_object_set(x, "covered", p.covered);
	if (u->has_peer)
		json_object_set_new(x, "connected", json_true());
	unix_cred_dump(d, s.fd, x);
	sock_more_dump(&s, x);
	if (sock_get_int(s.fd, SOL_SOCKET, SO_PEEK_OFF, &off) && off >= 0)
		json_object_set_new(x, "peek_off", json_integer(off));
	r = fown_dump(v, &e->fown);
	if (r == 0)
		r = sock_options_dump(&s, &e->opts);
	if (r == 0)
		r = dump_outside(d, e, u);
	if (r == 0 && u->nicons)
		r = unix_waiting_add(d, &s, u, x);
	return r < 0 ? err_wrap(r, "%s", v->link) : 0;
}

/* What is queued may be other files. */
static int dump_late(struct dump *d, const struct fd_view *v, FileEntry *file)
{
	CLEANUP(sock_view_clear) struct sock_view s = SOCK_VIEW_NONE;
	int r;

	if (file->usk->state == TCP_LISTEN)
		return 0;
	r = sock_view_read(d, v, &s);
	if (r == 0)
		r = sock_queue_dump(d, &s, file->id, sock_extra_of(d, file->id));
	return r < 0 ? err_wrap(r, "%s", v->link) : 0;
}

static int load(struct restore *r, struct file *f)
{
	const UnixSkEntry *e = f->entry->usk;

	if (!e)
		return 1;
	if (e->name.len > UNIX_PATH_MAX)
		return err_set(EBADMSG, "unix socket %u has a name of %zu bytes", f->id,
			       e->name.len);
	if (e->type != SOCK_STREAM && e->type != SOCK_DGRAM && e->type != SOCK_SEQPACKET)
		return err_set(EBADMSG, "unix socket %u is of type %u", f->id, e->type);
	return 0;
}

static int open_(struct restore *r, struct file *f)
{
	const UnixSkEntry *e = f->entry->usk;
	int ret = unix_make_all(r);

	if (ret == 0 && f->fd < 0 && !(e->uflags & UNIX_EXTERNAL))
		ret = err_set(EBADMSG, "unix socket %u was not made", e->ino);
	return ret;
}

static int finish(struct restore *r, struct file *f)
{
	const UnixSkEntry *e = f->entry->usk;
	int ret = unix_finish_all(r);

	if (ret < 0 || f->fd < 0)
		return ret;
	return sock_flags_restore(r, f, e->fown, e->flags);
}

const struct fd_kind fd_unix = {
	.name = "unix socket",
	.type = FD_TYPES__UNIXSK,
	.match = match,
	.check = check,
	.dump = dump,
	.dump_late = dump_late,
	.load = load,
	.open = open_,
	.finish = finish,
	.settle = fown_settle,
};
