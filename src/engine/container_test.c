/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/life_fixture.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

static void test_find(void **state)
{
	CLEANUP(engine_closep) struct engine *e = fixture_open(*state);
	CLEANUP(container_unref) struct container *a = fixture_add(e, "abc1", "one");
	CLEANUP(container_unref) struct container *b = fixture_add(e, "abc2", "two");
	CLEANUP(container_unref) struct container *c = fixture_add(e, "fff", "abc");
	CLEANUP(container_unref) struct container *found = NULL;

	assert_int_equal(container_find(e, "one", &found), 0);
	assert_string_equal(found->id, a->id);
	container_unref(&found);
	assert_int_equal(container_find(e, "abc2", &found), 0);
	assert_string_equal(found->id, b->id);
	container_unref(&found);
	assert_int_equal(container_find(e, a->id, &found), 0);
	container_unref(&found);
	/* A name goes before a start of IDs. */
	assert_int_equal(container_find(e, "abc", &found), 0);
	assert_string_equal(found->id, c->id);
	container_unref(&found);
	assert_int_equal(container_find(e, "ab", &found), -EINVAL);
	assert_non_null(strstr(err_message(), "more than one result for container name or ID ab"));
	assert_int_equal(container_find(e, "nosuch", &found), -ENOENT);
	assert_string_equal(err_message(), "no container with name or ID \"nosuch\" found: "
					   "no such container");
	assert_int_equal(container_latest(e, &found), 0);
	assert_string_equal(found->name, "abc");
}

static void test_latest_of_none(void **state)
{
	CLEANUP(engine_closep) struct engine *e = fixture_open(*state);
	struct container *c = NULL;

	assert_int_equal(container_latest(e, &c), -ENOENT);
	assert_string_equal(err_message(), "no such container");
}

static void test_names(void **state)
{
	CLEANUP(engine_closep) struct engine *e = fixture_open(*state);
	CLEANUP(container_unref) struct container *a = fixture_add(e, NULL, "web");
	CLEANUP(container_unref) struct container *b = container_new();
	g_autofree char *name = NULL, *text = NULL;

	engine_random_id(b->id);
	b->name = g_strdup("web");
	b->config = json_object();
	assert_int_equal(container_insert(e, b), -EEXIST);
	text = g_strdup_printf("the container name \"web\" is already in use by %s", a->id);
	assert_non_null(strstr(err_message(), text));
	assert_int_equal(container_check_name("a.b-c_1"), 0);
	assert_int_equal(container_check_name("-a"), -EINVAL);
	assert_int_equal(container_check_name("a/b"), -EINVAL);
	assert_int_equal(container_check_name(""), -EINVAL);
	assert_int_equal(container_random_name(e, &name), 0);
	assert_int_equal(container_check_name(name), 0);
}

static void test_state_survives(void **state)
{
	struct engine *e = fixture_open(*state);
	struct container *c = fixture_add(e, NULL, "web");
	struct container *d = NULL;

	c->state.status = CONTAINER_EXITED;
	c->state.exit_code = 42;
	c->state.checkpointed = true;
	c->state.checkpointed_ns = INT64_C(1234567890123456789);
	c->state.checkpoint_path = g_strdup("/some/where");
	c->state.network = json_pack("{s:{}}", "cryopod");
	assert_int_equal(container_save(e, c), 0);
	container_unref(&c);
	engine_close(e);
	e = fixture_open(*state);
	assert_int_equal(container_find(e, "web", &d), 0);
	assert_int_equal(d->state.status, CONTAINER_EXITED);
	assert_int_equal(d->state.exit_code, 42);
	assert_true(d->state.checkpointed);
	assert_int_equal(d->state.checkpointed_ns, INT64_C(1234567890123456789));
	assert_string_equal(d->state.checkpoint_path, "/some/where");
	assert_non_null(json_object_get(d->state.network, "cryopod"));
	assert_null(d->state.restore_log);
	container_unref(&d);
	engine_close(e);
}

/* Whoever waits for the lock of a container that is being removed is told so. */
static void test_lock(void **state)
{
	CLEANUP(engine_closep) struct engine *e = fixture_open(*state);
	CLEANUP(container_unref) struct container *c = fixture_add(e, NULL, "web");
	g_autofree char *file = g_build_filename(e->runroot, "locks", c->id, NULL);
	int ready[2], status;
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(container_lock(e, c), 0);
	assert_int_equal(container_lock(e, c), -EDEADLK);
	pid = fork();
	if (pid == 0) {
		struct engine *mine = fixture_open(*state);
		struct container *other = NULL;

		if (container_find(mine, "web", &other) < 0 || write(ready[1], "", 1) != 1)
			_exit(1);
		_exit(container_lock(mine, other) == -ENOENT ? 0 : 2);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(container_delete_record(e, c), 0);
	unlink(file);
	container_unlock(c);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(access(file, F_OK), -1);
	close(ready[0]);
	close(ready[1]);
}

/* A killed holder leaves nothing locked. */
static void test_killed_holder(void **state)
{
	CLEANUP(engine_closep) struct engine *e = fixture_open(*state);
	CLEANUP(container_unref) struct container *c = fixture_add(e, NULL, "web");
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		struct engine *mine = fixture_open(*state);
		struct container *other = NULL;

		if (container_find(mine, "web", &other) < 0 || container_lock(mine, other) < 0 ||
		    write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	assert_int_equal(container_lock(e, c), 0);
	waitpid(pid, NULL, 0);
	close(ready[0]);
	close(ready[1]);
}

static void set_running(struct engine *e, struct container *c, pid_t pid, uint64_t start)
{
	c->state.status = CONTAINER_RUNNING;
	c->state.pid = pid;
	c->state.pid_start = start;
	c->state.started_ns = 1;
	assert_int_equal(container_save(e, c), 0);
}

static void test_refresh(void **state)
{
	CLEANUP(engine_closep) struct engine *e = fixture_open(*state);
	CLEANUP(container_unref) struct container *c = fixture_add(e, NULL, "web");
	g_autofree char *exit_file = container_exit_file(e, c);

	set_running(e, c, getpid(), container_pid_start(getpid()));
	assert_int_equal(container_reload(e, c), 0);
	assert_int_equal(c->state.status, CONTAINER_RUNNING);
	/* The same number, another process. */
	set_running(e, c, getpid(), container_pid_start(getpid()) + 1);
	assert_int_equal(file_replace_at(AT_FDCWD, exit_file, "7", 1, 0600), 0);
	assert_int_equal(container_reload(e, c), 0);
	assert_int_equal(c->state.status, CONTAINER_STOPPED);
	assert_int_equal(c->state.exit_code, 7);
	assert_true(c->state.finished_ns > 0);
}

/* Another boot, or a run root that is gone: what ran has exited, unless it verifiably has not. */
static void test_reboot(void **state)
{
	struct engine *e = fixture_open(*state);
	struct container *gone = fixture_add(e, NULL, "gone"), *here = fixture_add(e, NULL, "here");
	struct fixture *f = *state;

	set_running(e, gone, getpid(), container_pid_start(getpid()) + 1);
	gone->state.checkpointed = true;
	assert_int_equal(container_save(e, gone), 0);
	set_running(e, here, getpid(), container_pid_start(getpid()));
	container_unref(&gone);
	container_unref(&here);
	engine_close(e);
	assert_int_equal(file_remove_tree_at(AT_FDCWD, f->run), 0);
	e = fixture_open(*state);
	assert_int_equal(container_find(e, "gone", &gone), 0);
	assert_int_equal(gone->state.status, CONTAINER_EXITED);
	assert_false(gone->state.checkpointed);
	assert_int_equal(container_find(e, "here", &here), 0);
	assert_int_equal(here->state.status, CONTAINER_RUNNING);
	container_unref(&gone);
	container_unref(&here);
	engine_close(e);
}

static void test_late_exit(void **state)
{
	CLEANUP(engine_closep) struct engine *e = fixture_open(*state);
	CLEANUP(container_unref) struct container *c = fixture_add(e, NULL, "web");
	int code = 0;

	assert_int_equal(container_late_exit(e, c->id, &code), 0);
	c->state.exit_code = 9;
	assert_int_equal(container_delete_record(e, c), 0);
	assert_int_equal(container_late_exit(e, c->id, &code), 1);
	assert_int_equal(code, 9);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_find),		T(test_latest_of_none), T(test_names),
		T(test_state_survives), T(test_lock),		T(test_killed_holder),
		T(test_refresh),	T(test_reboot),		T(test_late_exit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
