/* SPDX-License-Identifier: Apache-2.0 */
/* A store of one's own in a temporary directory, for tests of containers. */
#pragma once

#include "base/file.h"
#include "engine/container_store.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
	char dir[64], root[80], run[80];
};

static inline int fixture_setup(void **state)
{
	struct fixture *f = g_new0(struct fixture, 1);

	g_strlcpy(f->dir, "/tmp/cryopod-test-XXXXXX", sizeof(f->dir));
	assert_non_null(mkdtemp(f->dir));
	g_snprintf(f->root, sizeof(f->root), "%s/root", f->dir);
	g_snprintf(f->run, sizeof(f->run), "%s/run", f->dir);
	*state = f;
	return 0;
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(file_remove_tree_at(AT_FDCWD, f->dir), 0);
	g_free(f);
	return 0;
}

static inline struct engine *fixture_open(const struct fixture *f)
{
	const struct engine_options o = {.root = f->root, .runroot = f->run};
	struct engine *e = NULL;

	if (engine_open(&o, &e) < 0)
		fail_msg("%s", err_message());
	return e;
}

/* ID NULL: a random one. */
static inline struct container *fixture_add(struct engine *e, const char *id, const char *name)
{
	struct container *c = container_new();

	engine_random_id(c->id);
	if (id)
		memcpy(c->id, id, strlen(id));
	c->name = g_strdup(name);
	c->created_ns = engine_now_ns();
	c->config = json_pack("{s:{}, s:s}", "options", "runtime", "runc");
	if (container_insert(e, c) < 0)
		fail_msg("%s", err_message());
	return c;
}
