/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unix sockets whose directory something is mounted over: bind(2) and connect(2) find their names
 * in a copy of the mount namespace where that is taken away.
 */
#include "state/fd/files.h"
#include "state/ns/ns.h"
#include "state/sock/sock.h"
#include "state/sock/unix_restore.h"

#include <fcntl.h>

static void cover_free(void *p)
{
	struct unix_cover *c = p;

	cleanup_close(&c->ns);
	cleanup_close(&c->root);
	g_free(c);
}

static int open_root(void *arg, int *ret_fd)
{
	*ret_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? err_errno("open its root directory") : 0;
}

int unix_cover_open(struct restore *r, uint32_t id)
{
	const json_t *how = json_object_get(sock_extra(r, id), "covered");
	struct unix_cover *c;
	int ret;

	if (!how)
		return 0;
	if (!r->socks->covers)
		r->socks->covers = g_hash_table_new_full(NULL, NULL, NULL, cover_free);
	c = g_new0(struct unix_cover, 1);
	c->ns = c->root = -1;
	g_hash_table_insert(r->socks->covers, GUINT_TO_POINTER(id), c);
	ret = covered_namespace(r, how, &c->ns);
	return ret < 0 ? ret : ns_run(&c->ns, 1, open_root, NULL, &c->root);
}

const struct unix_cover *unix_cover(const struct restore *r, uint32_t id)
{
	return id && r->socks && r->socks->covers
		       ? g_hash_table_lookup(r->socks->covers, GUINT_TO_POINTER(id))
		       : NULL;
}
