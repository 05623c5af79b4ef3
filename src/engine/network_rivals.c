/* SPDX-License-Identifier: Apache-2.0 */
/* Two containers that publish the same host port. */
#include "engine/container.h"
#include "engine/network_private.h"
#include "engine/store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

static void unref_json(json_t **j)
{
	json_decref(*j);
}

static bool same_host(const char *a, const char *b)
{
	return !*a || !*b || !strcmp(a, b) || !strcmp(a, "0.0.0.0") || !strcmp(b, "0.0.0.0");
}

/* A host port that both publish, as "0.0.0.0:80/tcp"; NULL: none.  The caller's. */
static char *overlap(const json_t *a, const json_t *b)
{
	size_t i, k;
	json_t *p, *q;

	json_array_foreach(a, i, p) json_array_foreach(b, k, q)
	{
		const char *ip = json_string_value(json_object_get(p, "host_ip"));
		const char *ip2 = json_string_value(json_object_get(q, "host_ip"));
		int first = (int)json_integer_value(json_object_get(p, "host_port"));
		int count = (int)json_integer_value(json_object_get(p, "range"));
		int first2 = (int)json_integer_value(json_object_get(q, "host_port"));
		int count2 = (int)json_integer_value(json_object_get(q, "range"));

		if (first < first2 + count2 && first2 < first + count &&
		    json_equal(json_object_get(p, "protocol"), json_object_get(q, "protocol")) &&
		    same_host(ip ?: "", ip2 ?: ""))
			return g_strdup_printf("%s:%d/%s", ip && *ip ? ip : "0.0.0.0",
					       MAX(first, first2),
					       json_string_value(json_object_get(p, "protocol")));
	}
	return NULL;
}

/*
 * Tries the lock of a container that is not the caller's: waiting for it while holding one's own
 * could go round in a circle.  1: *RET_FD holds it; 0: somebody is at work on it.
 */
static int try_lock(struct engine *e, const char *id, int *ret_fd)
{
	g_autofree char *path = g_build_filename(e->runroot, "locks", id, NULL);
	autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_errno("open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? 0 : err_errno("lock %s", path);
	*ret_fd = take_fd(&fd);
	return 1;
}

/*
 * A checkpointed container keeps its network for the restore, but not against one that wants its
 * ports now.  1: they are free; 0: the container is in use.
 */
static int take_over(struct engine *e, const char *id)
{
	CLEANUP(container_unref) struct container *c = NULL;
	autoclose int lock = -1;
	int r = container_find(e, id, &c);

	if (r < 0 && r != -ENOENT) /* ENOENT: what a crash left of a removed one */
		return r;
	if (r == 0) {
		r = try_lock(e, id, &lock);
		if (r <= 0)
			return r;
		r = container_reload(e, c);
		if (r < 0 && r != -ENOENT)
			return r;
		if (r == 0 && c->state.status != CONTAINER_EXITED &&
		    c->state.status != CONTAINER_CREATED)
			return 0;
	}
	r = network_teardown(e, id);
	return r < 0 ? r : 1;
}

struct rival {
	char *id, *port;
};

static void rival_free(void *p)
{
	struct rival *v = p;

	g_free(v->id);
	g_free(v->port);
	g_free(v);
}

/* Our other containers that publish one of PORTS: netavark's second rule would never match. */
static int find_rivals(struct engine *e, const char *id, const json_t *ports, GPtrArray *to)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q =
		store_prepare(e, "SELECT container, request FROM connections WHERE boot=? AND "
				 "container<>? AND request IS NOT NULL");
	g_autofree char *boot = NULL;
	int r = network_boot_id(&boot);

	if (r < 0)
		return r;
	store_bind(q, "ss", boot, id);
	while ((r = store_step(e, q)) > 0) {
		CLEANUP(unref_json) json_t *other = store_json(q, 1);
		struct rival v = {.port = overlap(ports, json_object_get(other, "port_mappings"))};

		if (!v.port)
			continue;
		v.id = g_strdup(store_text(q, 0));
		g_ptr_array_add(to, g_memdup2(&v, sizeof(v)));
	}
	return r;
}

int rivals_make_way(struct engine *e, const char *id, const json_t *ports)
{
	g_autoptr(GPtrArray) rivals = g_ptr_array_new_with_free_func(rival_free);
	int r = json_array_size(ports) ? find_rivals(e, id, ports, rivals) : 0;

	for (guint i = 0; r >= 0 && i < rivals->len; i++) {
		const struct rival *v = rivals->pdata[i];

		r = take_over(e, v->id);
		if (r == 0)
			return err_set(EADDRINUSE,
				       "port %s is already published by container %.12s: stop or "
				       "remove that one first",
				       v->port, v->id);
	}
	return r < 0 ? r : 0;
}
