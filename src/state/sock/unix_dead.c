/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Senders of datagrams that have closed before these were read: a reader is told their names all
 * the same, as the packet holds the socket (net/unix/af_unix.c: unix_copy_addr()).
 */
#include "state/sock/unix_names.h"
#include "state/sock/unix_restore.h"

#include "base/log.h"

#include <errno.h>

static int bind_as(struct restore *r, const struct sock_maker *root, const UnixSkEntry *e, int fd)
{
	CLEANUP(unix_name_back) struct unix_name n = UNIX_NAME_NONE;
	struct sockaddr_un a;
	socklen_t len = unix_name_addr(e, &a);
	int ret = unix_name_aside(r, e, &n);

	return ret < 0 ? ret : sock_bind_by(root, unix_name_dir(e), fd, &a, len);
}

/*
 * Where the name began nobody knows any more, as it is only told: a relative one where the receiver
 * is, an absolute one at the receiver's root.
 */
static char *dir_of(const UnixSkEntry *e, const char *name)
{
	bool absolute = e->name.len && e->name.data[0] == '/';
	g_autofree char *its = NULL, *up = NULL;

	if (name[0] == '/' || !absolute)
		return g_strdup(absolute || name[0] != '/' ? unix_name_dir(e) : NULL);
	its = g_strndup((const char *)e->name.data, e->name.len);
	up = g_path_get_dirname(its);
	return g_build_filename(e->name_dir ? e->name_dir : "/", up, NULL);
}

int unix_dead_sender(struct restore *r, const struct usock *to, const void *name, size_t len,
		     int *ret_fd)
{
	const UnixSkEntry *t = to->e;
	struct sock_maker root = sock_maker_in(r, t->has_ns_id ? t->ns_id : 0);
	g_autofree char *dir = dir_of(t, name);
	UnixSkEntry e = UNIX_SK_ENTRY__INIT;
	autoclose int fd = -1;
	int ret;

	e.name = (ProtobufCBinaryData){.len = len, .data = (uint8_t *)name};
	e.name_dir = dir;
	e.has_mnt_id = t->has_mnt_id;
	e.mnt_id = t->mnt_id;
	root.mnt_id = t->has_mnt_id ? t->mnt_id : -1;
	ret = sock_make(&root, AF_UNIX, SOCK_DGRAM, 0, &fd);
	if (ret < 0)
		return ret;
	ret = bind_as(r, &root, &e, fd);
	if (ret < 0) { /* its directory is gone, or the name is somebody else's outside */
		log_warn("%s: what waits from unix socket %s has no sender", err_message(),
			 unix_name_show(&e));
		err_clear();
		return 1;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}
